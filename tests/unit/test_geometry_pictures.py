"""Warps of pictures, and views whose camera and joints follow the picture's content."""

from __future__ import annotations

import numpy as np
import pytest

from skhand import HandFrames
from skhand.exceptions import InputError
from skhand.geometry import (
    View,
    affine_crop,
    affine_mirror,
    affine_rotate,
    apply_affine,
    crop_view,
    mirror_view,
    project,
    rotate_view,
    warp_images,
)

HEIGHT, WIDTH = 96, 128
WHOLE = (-0.5, -0.5, WIDTH, HEIGHT)


@pytest.fixture
def picture(rng):
    return rng.integers(0, 256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def view(rng):
    """Two hands, one channel a joint, with a blob drawn where the joint projects."""
    camera = np.array([[300.0, 0.0, 70.0], [0.0, 280.0, 40.0], [0.0, 0.0, 1.0]])
    pose3d = rng.uniform((-50, -12, 480), (50, 45, 540), size=(2, 21, 3))
    keypoints2d = project(pose3d, camera)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([columns, rows], axis=-1)[None, :, :, None]
    blobs = np.exp(-((pixels - keypoints2d[:, None, None]) ** 2).sum(-1) / (2 * 2.0**2))
    return View(
        rgb=blobs,
        camera=np.stack([camera, camera]),
        pose3d=pose3d,
        root=pose3d[:, 9],
        keypoints2d=keypoints2d,
        side=np.array(["left", "right"]),
    )


def blob_centres(rgb):
    """Centre of mass of each channel, px."""
    rows, columns = np.mgrid[: rgb.shape[1], : rgb.shape[2]]
    mass = rgb.sum((1, 2))
    return np.stack([(rgb * axis[..., None]).sum((1, 2)) / mass for axis in (columns, rows)], axis=-1)


CHANGES = {
    "crop, smaller": lambda view: crop_view(view, (2.3, -14.6, 130.0, 130.0), 100),
    "crop, larger": lambda view: crop_view(view, [(0, -10, 128, 110), (5.5, -3, 128, 100)], (170, 220)),
    "crop, oblong": lambda view: crop_view(view, (-10, -20, 150, 130), (120, 200)),
    "rotate": lambda view: rotate_view(crop_view(view, (-60, -60, 220, 220), 220), [25.0, -170.0]),
    "rotate about a pixel": lambda view: rotate_view(
        crop_view(view, (-80, -80, 260, 260), 260), 40.0, (120, 150)
    ),
    "mirror": mirror_view,
    "all": lambda view: mirror_view(rotate_view(crop_view(view, (-60, -60, 230, 230), 180), [80.0, -30.0])),
}


@pytest.mark.parametrize("change", CHANGES)
def test_joints_stay_on_the_picture(change, view):
    np.testing.assert_allclose(blob_centres(view.rgb), view.keypoints2d, atol=0.02)
    changed = CHANGES[change](view)
    centres = blob_centres(changed.rgb)
    assert np.abs(centres - view.keypoints2d).max() > 5
    assert np.abs(centres - changed.keypoints2d).max() < 0.1
    np.testing.assert_allclose(project(changed.pose3d, changed.camera), changed.keypoints2d, atol=1e-9)
    np.testing.assert_allclose(apply_affine(changed.affine, view.keypoints2d), changed.keypoints2d, atol=1e-9)
    np.testing.assert_allclose(changed.root, changed.pose3d[:, 9], atol=1e-12)


def test_one_hand_goes_without_the_first_axis(view):
    one = View(**{name: None if value is None else value[0] for name, value in vars(view).items()})
    for change in (lambda v: crop_view(v, (3, 4, 80, 80), 50), lambda v: rotate_view(v, 20.0), mirror_view):
        together, alone = change(view), change(one)
        for name in ("rgb", "camera", "pose3d", "root", "keypoints2d", "affine"):
            np.testing.assert_allclose(
                getattr(alone, name), getattr(together, name)[0], atol=1e-9, err_msg=name
            )


def test_a_mirror_changes_side_and_sign_and_twice_is_nothing(view):
    mirrored = mirror_view(view)
    assert mirrored.side.tolist() == ["right", "left"]
    assert mirror_view(View(depth=np.zeros((4, 4)), side="left")).side == "right"
    np.testing.assert_allclose(mirrored.pose3d, view.pose3d * (-1, 1, 1))
    np.testing.assert_allclose(mirrored.camera[0], [[300, 0, 57], [0, 280, 40], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(mirror_view(mirrored).camera, view.camera, atol=1e-12)
    np.testing.assert_array_equal(mirror_view(mirrored).rgb, view.rgb)


def test_a_crop_leaves_space_alone_and_a_turn_keeps_distances(view):
    cropped = crop_view(view, (10, 10, 50, 50), 64)
    assert cropped.pose3d is view.pose3d
    assert cropped.side is view.side
    turned = rotate_view(view, [10.0, 77.0])
    np.testing.assert_allclose(turned.pose3d[..., 2], view.pose3d[..., 2])
    np.testing.assert_allclose(np.linalg.norm(turned.pose3d, axis=-1), np.linalg.norm(view.pose3d, axis=-1))


def test_depth_and_mask_take_the_nearest_pixel(rng):
    depth = rng.choice([0.0, 400.0, 650.0], size=(3, 20, 30))
    turned = rotate_view(View(depth=depth, mask=depth > 0), 30.0)
    assert set(np.unique(turned.depth)) == {0.0, 400.0, 650.0}
    assert turned.mask.dtype == bool
    np.testing.assert_array_equal(turned.mask, turned.depth > 0)


def test_a_view_takes_and_gives_the_columns_of_hand_frames(picture):
    frames = HandFrames(rgb=np.stack([picture, picture]), camera=np.diag([500.0, 500.0, 1.0]), side="left")
    view = View(rgb=frames.rgb, camera=frames.camera, side=frames.side)
    back = HandFrames(**vars(mirror_view(crop_view(view, (10, 10, 40, 40), 32))))
    assert back.rgb.shape == (2, 32, 32, 3)
    assert back.side.tolist() == ["right", "right"]


def bilinear(picture, u, v):
    """Reference: mean of the four neighbours by area, 0 outside."""
    total = 0.0
    for row in (int(np.floor(v)), int(np.floor(v)) + 1):
        for column in (int(np.floor(u)), int(np.floor(u)) + 1):
            if 0 <= row < picture.shape[0] and 0 <= column < picture.shape[1]:
                total += (1 - abs(row - v)) * (1 - abs(column - u)) * picture[row, column]
    return total


def test_warp_is_bilinear_sampling(rng):
    picture = rng.uniform(size=(7, 9))
    affine = np.array([[0.8, 0.3, 1.2], [-0.2, 1.1, 0.7], [0.0, 0.0, 1.0]])
    expected = np.empty((6, 8))
    for v, u in np.ndindex(expected.shape):
        expected[v, u] = bilinear(picture, *(np.linalg.inv(affine) @ [u, v, 1])[:2])
    assert (expected == 0).any()
    np.testing.assert_allclose(warp_images(picture, affine, (6, 8)), expected, atol=1e-12)
    as_bytes = (picture * 255).astype(np.uint8)
    reference = warp_images(as_bytes.astype(float), affine, (6, 8))
    assert np.abs(warp_images(as_bytes, affine, (6, 8)) - reference).max() <= 0.5 + 1e-4


def test_exact_warps_equal_numpy(picture):
    pictures = np.stack([picture, picture[::-1]])
    same = np.stack([np.eye(3)] * 2)
    np.testing.assert_array_equal(warp_images(pictures, same, (HEIGHT, WIDTH)), pictures)
    np.testing.assert_array_equal(
        warp_images(picture, affine_crop(WHOLE, (HEIGHT, WIDTH)), (HEIGHT, WIDTH)), picture
    )
    slice_of = affine_crop((10 - 0.5, 20 - 0.5, 40, 30), (30, 40))
    np.testing.assert_array_equal(warp_images(picture, slice_of, (30, 40)), picture[20:50, 10:50])
    mirrored = warp_images(picture, affine_mirror(WIDTH), (HEIGHT, WIDTH))
    np.testing.assert_array_equal(mirrored, picture[:, ::-1])
    square = picture[:, :HEIGHT]
    middle = ((HEIGHT - 1) / 2, (HEIGHT - 1) / 2)
    for order in (0, 1):
        turned = warp_images(square, affine_rotate(90, middle), HEIGHT, order=order)
        np.testing.assert_array_equal(turned[1:-1, 1:-1], np.rot90(square, -1)[1:-1, 1:-1])


def test_halving_a_picture_averages_blocks_of_four(picture):
    half = warp_images(picture.astype(np.float64), affine_crop(WHOLE, (HEIGHT // 2, WIDTH // 2)), (48, 64))
    blocks = picture.reshape(48, 2, 64, 2, 3).mean((1, 3))
    np.testing.assert_allclose(half, blocks, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, bool])
@pytest.mark.parametrize("order", [0, 1])
def test_dtype_stays(dtype, order, rng):
    pictures = rng.integers(0, 2, size=(2, 9, 9)).astype(dtype)
    warped = warp_images(pictures, np.stack([affine_rotate(45, (4, 4))] * 2), 9, order=order)
    assert warped.dtype == dtype
    assert warped.shape == (2, 9, 9)
    np.testing.assert_allclose(warped[:, 4, 4].astype(float), pictures[:, 4, 4].astype(float), atol=1e-6)


def test_affines_by_hand():
    crop = affine_crop((10, 20, 40, 80), (160, 120))
    np.testing.assert_allclose(
        apply_affine(crop, [[10, 20], [50, 100], [30, 60]]), [[-0.5, -0.5], [119.5, 159.5], [59.5, 79.5]]
    )
    np.testing.assert_allclose(
        apply_affine(affine_rotate(90, (5, 5)), [[6, 5], [5, 5]]), [[5, 6], [5, 5]], atol=1e-12
    )
    np.testing.assert_allclose(apply_affine(affine_mirror(10), [[0, 3], [9, 4]]), [[9, 3], [0, 4]])
    many = affine_rotate([90, 180], [(5, 5), (1, 1)])
    np.testing.assert_allclose(apply_affine(many, [[[6, 5]], [[2, 1]]]), [[[5, 6]], [[0, 1]]], atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: affine_crop((0, 0, 0, 10), 8), "box: .*width and height > 0"),
        (lambda: affine_crop((0, np.nan, 5, 10), 8), "box: .*finite"),
        (lambda: affine_crop((0, 0, 5), 8), r"box: .*\(\.\.\., 4\)"),
        (lambda: affine_crop((0, 0, 5, 5), 0), "size: expected an integer >= 1"),
        (lambda: affine_crop((0, 0, 5, 5), (8, 8, 3)), "size: .*height, width"),
        (lambda: affine_mirror(1.5), "width: expected an integer"),
        (
            lambda: warp_images(np.zeros((2, 8, 8)), np.stack([np.eye(3)] * 3), 4),
            "affine: expected one matrix a picture",
        ),
        (lambda: warp_images(np.zeros((8, 8)), np.diag([0.0, 1, 1]), 4), "affine: .*inverted"),
        (lambda: warp_images(np.zeros((8, 8)), np.eye(3), 4, order=3), "order: .*got 3"),
        (lambda: crop_view(View(side="left"), (0, 0, 5, 5), 8), "view: expected at least one picture"),
        (
            lambda: mirror_view(View(rgb=np.zeros((2, 8, 8, 3)), mask=np.zeros((8, 8)))),
            "view: expected pictures of one",
        ),
        (lambda: rotate_view(View(depth=np.zeros((2, 8, 8))), [1.0, 2.0, 3.0]), "degrees: .*2 pictures.*3"),
        (lambda: crop_view(View(depth=np.zeros((2, 8, 8))), [(0, 0, 4, 4)] * 3, 4), "box: .*2 pictures.*3"),
        (lambda: crop_view(View(depth=np.zeros((8, 8))), [(0, 0, 4, 4)] * 3, 4), "box: .*one picture.*3"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
