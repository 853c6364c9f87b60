"""The warp of pictures: values against independent references, dtypes, batches, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from skhand._warp import warp_pictures
from skhand.datasets import make_hands
from skhand.exceptions import InputError
from skhand.geometry import affine_crop, affine_mirror, affine_rotate
from skhand.preprocessing import warp_images

HEIGHT, WIDTH = 96, 128
WHOLE = (-0.5, -0.5, WIDTH, HEIGHT)


@pytest.fixture
def picture(rng):
    return rng.integers(0, 256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)


def warp_one(picture, affine, size, **options):
    """One picture, without the first axis."""
    return warp_images(picture[None], affine, size, **options)[0]


def bilinear(picture, u, v):
    """Reference: mean of the four neighbours by area, 0 outside."""
    total = 0.0
    for row in (int(np.floor(v)), int(np.floor(v)) + 1):
        for column in (int(np.floor(u)), int(np.floor(u)) + 1):
            if 0 <= row < picture.shape[0] and 0 <= column < picture.shape[1]:
                total += (1 - abs(row - v)) * (1 - abs(column - u)) * picture[row, column]
    return total


def scipy_warp(pictures, matrices, size, order):
    """Reference: scipy's interpolation, channel by channel, in the pictures' dtype."""
    warped = np.zeros((len(pictures), *size, *pictures.shape[3:]), pictures.dtype)
    v, u = np.mgrid[: size[0], : size[1]]
    for new, old, matrix in zip(warped, pictures, matrices, strict=True):
        u_old, v_old, third = np.tensordot(np.linalg.inv(matrix), [u, v, np.ones_like(u)], axes=1)
        where = np.where(third > 0, [v_old / third, u_old / third], -9.0)
        for channel in np.ndindex(pictures.shape[3:]):
            values = old[(..., *channel)].astype(np.float64)
            values = ndimage.map_coordinates(values, where, order=order, mode="grid-constant")
            new[(..., *channel)] = values if new.dtype.kind == "f" else np.rint(values)
    return warped


# ------------------------------------------------------------------ values


def test_warp_is_bilinear_sampling(rng):
    picture = rng.uniform(size=(7, 9))
    affine = np.array([[0.8, 0.3, 1.2], [-0.2, 1.1, 0.7], [0.0, 0.0, 1.0]])
    expected = np.empty((6, 8))
    for v, u in np.ndindex(expected.shape):
        expected[v, u] = bilinear(picture, *(np.linalg.inv(affine) @ [u, v, 1])[:2])
    assert (expected == 0).any()
    np.testing.assert_allclose(warp_one(picture, affine, (6, 8)), expected, atol=1e-12)
    as_bytes = (picture * 255).astype(np.uint8)
    reference = warp_one(as_bytes.astype(float), affine, (6, 8))
    assert np.abs(warp_one(as_bytes, affine, (6, 8)) - reference).max() <= 0.5 + 1e-4


def test_exact_warps_equal_numpy(picture):
    pictures = np.stack([picture, picture[::-1]])
    same = np.stack([np.eye(3)] * 2)
    np.testing.assert_array_equal(warp_images(pictures, same, (HEIGHT, WIDTH)), pictures)
    np.testing.assert_array_equal(
        warp_one(picture, affine_crop(WHOLE, (HEIGHT, WIDTH)), (HEIGHT, WIDTH)), picture
    )
    slice_of = affine_crop((10 - 0.5, 20 - 0.5, 40, 30), (30, 40))
    np.testing.assert_array_equal(warp_one(picture, slice_of, (30, 40)), picture[20:50, 10:50])
    mirrored = warp_one(picture, affine_mirror(WIDTH), (HEIGHT, WIDTH))
    np.testing.assert_array_equal(mirrored, picture[:, ::-1])
    square = picture[:, :HEIGHT]
    middle = ((HEIGHT - 1) / 2, (HEIGHT - 1) / 2)
    for order in (0, 1):
        turned = warp_one(square, affine_rotate(90, middle), HEIGHT, order=order)
        np.testing.assert_array_equal(turned[1:-1, 1:-1], np.rot90(square, -1)[1:-1, 1:-1])


def test_halving_a_picture_averages_blocks_of_four(picture):
    half = warp_one(picture.astype(np.float64), affine_crop(WHOLE, (HEIGHT // 2, WIDTH // 2)), (48, 64))
    blocks = picture.reshape(48, 2, 64, 2, 3).mean((1, 3))
    np.testing.assert_allclose(half, blocks, atol=1e-9)


def test_affine_and_projective_matrices_agree(rng):
    picture = rng.integers(0, 256, (1, 20, 30, 3)).astype(np.float32)
    affine = affine_crop([(3.2, -2.0, 21.0, 18.0)], (25, 24))
    nearly = affine + [[[0, 0, 0], [0, 0, 0], [1e-13, 0, 0]]]
    for order in (0, 1):
        first, second = (warp_images(picture, matrix, (25, 24), order=order) for matrix in (affine, nearly))
        np.testing.assert_allclose(first, second, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.uint16, np.bool_, np.int32, np.float64])
@pytest.mark.parametrize("order", [0, 1])
def test_the_warp_is_scipy_s(rng, dtype, order):
    channels = () if dtype in (np.bool_, np.uint16) else (3,)
    pictures = (2 * rng.uniform(0, 60, (3, 20, 30, *channels))).astype(dtype)
    matrix = np.eye(3) + rng.normal(0, [0.1, 0.1, 3], (3, 3, 3)) * [[1], [1], [0.003]]
    wanted = scipy_warp(pictures, matrix, (25, 24), order)
    found = warp_images(pictures, matrix, (25, 24), order=order)
    assert found.dtype == dtype
    off = np.abs(found.astype(float) - wanted.astype(float))
    assert (off > (1e-3 if dtype == np.float32 else 0 if found.dtype.kind != "f" else 1e-9)).mean() < 0.002
    nowhere = np.isclose(wanted, 0) & (off > 1e-3)
    assert nowhere.mean() < 0.002  # half-way values and pixels


@pytest.mark.parametrize("degrees", [60, 120])
def test_what_is_behind_the_camera_is_not_seen(degrees):
    """A camera that sees 90 degrees, turned by 60: half is new; by 120: all, also what is behind it."""
    size = 48
    camera = np.array([[24.0, 0, 23.5], [0, 24.0, 23.5], [0, 0, 1]])
    turn = Rotation.from_euler("y", -degrees, degrees=True).as_matrix()
    homography = (camera @ turn @ np.linalg.inv(camera))[None]
    white = np.ones((1, size, size))
    seen = warp_images(white, homography, size)[0, size // 2]
    np.testing.assert_allclose(seen, scipy_warp(white, homography, (size, size), 1)[0, size // 2], atol=1e-4)
    angle = np.degrees(np.arctan((np.arange(size) - 23.5) / 24)) + degrees
    np.testing.assert_array_equal(seen > 0.5, angle < 45.6)
    assert (seen > 0.5).any() == (degrees == 60)


def test_nearest_copies_values_as_they_are(rng):
    depth = rng.choice([0.0, 400.0, 650.0], size=(3, 20, 30))
    turned = warp_images(depth, affine_rotate(30.0, (14.5, 9.5)), (20, 30), order=0)
    mask = warp_images(depth > 0, affine_rotate(30.0, (14.5, 9.5)), (20, 30), order=0)
    assert set(np.unique(turned)) == {0.0, 400.0, 650.0}
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, turned > 0)
    holes = np.where(depth == 400, np.nan, depth)
    turned_holes = warp_images(holes, affine_rotate(30.0, (14.5, 9.5)), (20, 30), order=0)
    np.testing.assert_array_equal(np.isnan(turned_holes), turned == 400)


# ------------------------------------------------------------------ dtypes, batches and lazy columns


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.uint16, ">u2", np.int64, np.float16, np.float32, np.float64, ">f4", bool]
)
@pytest.mark.parametrize("order", [0, 1])
def test_dtype_stays(dtype, order, rng):
    pictures = rng.integers(0, 2, size=(2, 9, 9)).astype(dtype)
    warped = warp_images(pictures, np.stack([affine_rotate(45, (4, 4))] * 2), 9, order=order)
    assert warped.dtype == dtype
    assert warped.shape == (2, 9, 9)
    np.testing.assert_allclose(warped[:, 4, 4].astype(float), pictures[:, 4, 4].astype(float), atol=1e-6)


@pytest.mark.parametrize("order", [0, 1])
def test_large_numbers_are_not_rounded_away(order):
    for value, dtype in ((60_000, np.float16), (65_535, np.uint16), (2**31 - 1, np.int32)):
        pictures = np.full((1, 6, 6), value, dtype)
        warped = warp_images(pictures, affine_crop((0.5, 0.5, 4, 4), 4), 4, order=order)
        np.testing.assert_array_equal(warped, pictures[:, :4, :4])


def test_pictures_are_always_a_batch(rng):
    depth = rng.uniform(300, 600, (4, 16, 16)).astype(np.float32)
    affine = affine_rotate(20.0, (7.5, 7.5))
    warped = warp_images(depth, affine, 10)
    assert warped.shape == (4, 10, 10)
    for row in range(4):
        np.testing.assert_array_equal(warped[row], warp_images(depth[row, None], affine[None], 10)[0])
    narrow = rng.uniform(size=(5, 16, 3))
    with pytest.raises(InputError, match="images: .*one picture of 3 channels.*picture.None."):
        warp_images(narrow, affine, 10)
    assert warp_images(narrow, np.stack([affine] * 5), 10).shape == (5, 10, 10)
    assert warp_images(narrow[None], affine, 10).shape == (1, 10, 10, 3)


@pytest.mark.parametrize("order", [0, 1])
def test_views_and_read_only_arrays_are_welcome(order, picture):
    other = picture[::-2, ::2, ::-1]
    wanted = warp_one(np.ascontiguousarray(other), affine_rotate(10, (20, 20)), 40, order=order)
    np.testing.assert_array_equal(warp_one(other, affine_rotate(10, (20, 20)), 40, order=order), wanted)
    locked = np.ascontiguousarray(other)
    locked.flags.writeable = False
    np.testing.assert_array_equal(warp_one(locked, affine_rotate(10, (20, 20)), 40, order=order), wanted)


def test_a_lazy_column_is_read(rng):
    lazy, eager = (make_hands(5, image_size=24, random_state=0, lazy=lazy).data.rgb for lazy in (True, False))
    affine = affine_rotate([10.0, 50.0, 90.0, 0.0, -20.0], (11.5, 11.5))
    np.testing.assert_array_equal(warp_images(lazy, affine, 20), warp_images(eager, affine, 20))


# ------------------------------------------------------------------ the function on tensors


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_batch_of_tensors_is_warped_as_its_pictures(rng, mode, memory_format):
    """In single precision: positions are off by 1e-5 px, so half-way pixels of "nearest" may differ."""
    pictures = rng.uniform(size=(6, 3, 20, 30)).astype(np.float32)
    matrices = np.eye(3) + rng.normal(0, [0.1, 0.1, 3], (6, 3, 3)) * [[1], [1], [0.003]]
    batch = torch.from_numpy(pictures).to(memory_format=memory_format)
    warped = warp_pictures(batch, torch.from_numpy(matrices).float(), (25, 24), mode)
    assert warped.shape == (6, 3, 25, 24)
    assert warped.dtype == torch.float32
    order = 0 if mode == "nearest" else 1
    wanted = warp_images(pictures.transpose(0, 2, 3, 1), matrices, (25, 24), order=order)
    off = np.abs(warped.numpy().transpose(0, 2, 3, 1) - wanted)
    assert (off > 1e-4).mean() < (0.001 if mode == "nearest" else 1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_interpolated_in_single_precision(rng, dtype):
    pictures = torch.from_numpy(rng.uniform(300, 600, (2, 1, 40, 500))).to(dtype)
    matrices = torch.from_numpy(affine_rotate([10.0, -25.0], (250, 20))).float()
    warped = warp_pictures(pictures, matrices, (40, 500))
    assert warped.dtype == dtype
    wanted = warp_pictures(pictures.float(), matrices, (40, 500)).to(dtype)
    torch.testing.assert_close(warped, wanted, atol=0, rtol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_a_cuda_graph_records_the_warp(rng, mode):
    first, second = (torch.from_numpy(rng.uniform(size=(4, 3, 20, 30))).float().cuda() for _ in range(2))
    matrices = torch.from_numpy(affine_rotate([10.0, -25.0, 90.0, 3.0], (15, 10))).float().cuda()
    wanted = warp_pictures(second, matrices, (25, 24), mode)
    pictures, graph = first.clone(), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        warped = warp_pictures(pictures, matrices, (25, 24), mode)
    pictures.copy_(second)
    graph.replay()
    torch.testing.assert_close(warped, wanted)
    torch.testing.assert_close(warped.cpu(), warp_pictures(second.cpu(), matrices.cpu(), (25, 24), mode))


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: warp_images(np.zeros((2, 8, 8)), np.stack([np.eye(3)] * 3), 4),
            "affine: expected one matrix a picture",
        ),
        (lambda: warp_images(np.zeros((1, 8, 8)), np.diag([0.0, 1, 1]), 4), "affine: .*inverted"),
        (lambda: warp_images(np.zeros((1, 8, 8)), np.eye(3), 4, order=3), "order: .*got 3"),
        (lambda: warp_images(np.zeros((8, 8)), np.eye(3), 4), r"images: .*\(8, 8\).*picture\[None\]"),
        (lambda: warp_images(np.zeros((1, 8, 8)), np.eye(3), (4, 4, 4)), "size: .*height, width"),
        (lambda: warp_images(np.zeros((2, 8, 8)), np.eye(2), 4), r"affine: .*\(\.\.\., 3, 3\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_outside_can_be_the_mirror_image():
    picture = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    shift = torch.eye(3)[None].clone()
    shift[:, 0, 2] = 2.0
    warped = warp_pictures(picture, shift, (4, 4), outside="reflection")
    assert torch.allclose(warped[0, 0, 0], torch.tensor([1.0, 0.0, 0.0, 1.0]), atol=1e-5)
