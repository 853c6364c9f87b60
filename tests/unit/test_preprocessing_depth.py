"""DepthCropper: the cube around the hand, against a loop over pixels."""

from __future__ import annotations

import numpy as np
import pytest

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.exceptions import CameraError, InputError
from skhand.geometry import project
from skhand.preprocessing import DepthCropper

N, SIZE = 8, 64


@pytest.fixture(scope="module")
def frames():
    hands = make_hands(N, image_size=SIZE, random_state=0)
    return hands.data.replace(pose3d=hands.target)


def cut(depth, camera, centre, cube, size):
    """Nearest pixel of each pixel of the cube's front, one by one; NaN outside of the cube or the picture."""
    (width, height, deep), (x, y, z) = cube, centre
    out = np.full((size, size), np.nan)
    for row in range(size):
        for column in range(size):
            right, down = ((column + 0.5) / size - 0.5) * width, ((row + 0.5) / size - 0.5) * height
            u, v, _ = camera @ [(x + right) / z, (y + down) / z, 1.0]
            u, v = round(u), round(v)
            if 0 <= u < depth.shape[1] and 0 <= v < depth.shape[0] and abs(depth[v, u] - z) <= deep / 2:
                out[row, column] = depth[v, u]
    return out


@pytest.mark.parametrize("cube", [300.0, 120.0, (200.0, 100.0, 60.0)])
def test_the_cube_is_cut_out(frames, cube):
    crops = DepthCropper(size=21, cube=cube, centre="root").fit_transform(frames)
    assert crops.depth.dtype == np.float32
    sides = np.broadcast_to(cube, 3)
    wrong = 0
    for row in range(N):
        wanted = cut(frames.depth[row], frames.camera[row], frames.root[row], sides, 21)
        found = np.where(crops.depth[row] > 0, crops.depth[row], np.nan)
        wrong += (~np.isclose(found, wanted, equal_nan=True)).sum()
    assert wrong <= 3  # of 3528: where two pixels are equally near
    unit = DepthCropper(size=21, cube=cube, centre="root", output="unit").fit_transform(frames).depth
    inside = crops.depth > 0
    z = np.broadcast_to(frames.root[:, 2, None, None], inside.shape)
    np.testing.assert_allclose(unit[inside], (crops.depth - z)[inside] / (sides[2] / 2), atol=1e-4)
    assert (unit[~inside] == 1).all()
    assert unit.min() >= -1


def test_all_that_belongs_to_the_picture_follows(frames):
    crops = DepthCropper(size=(40, 50), centre="root").fit_transform(frames)
    np.testing.assert_allclose(project(crops.pose3d, crops.camera), crops.keypoints2d, atol=1e-9)
    np.testing.assert_allclose(
        project(crops.root[:, None], crops.camera)[:, 0], np.full((N, 2), [24.5, 19.5])
    )
    corner = crops.root + [150.0, 150.0, 0.0]
    np.testing.assert_allclose(project(corner[:, None], crops.camera)[:, 0], np.full((N, 2), [49.5, 39.5]))
    assert crops.rgb.shape == (N, 40, 50, 3)
    assert crops.mask.shape == (N, 40, 50)
    np.testing.assert_array_equal(crops.root, frames.root)
    back = DepthCropper().inverse_transform(crops)
    for name in ("camera", "keypoints2d", "box"):
        np.testing.assert_allclose(getattr(back, name), getattr(frames, name), atol=1e-6, err_msg=name)


def mean_of(depth, counts, camera):
    v, u = np.nonzero(counts)
    z = depth[counts].mean(dtype=np.float64)
    return np.linalg.inv(camera) @ [u.mean(), v.mean(), 1] * z


@pytest.mark.parametrize("within", ["mask", "box", "picture"])
def test_the_centre_of_mass(frames, within):
    """The middle of the crop is the mean pixel and depth of what is measured."""
    table = frames.replace(box=np.tile([10.0, 5.5, 40.0, 30.0], (N, 1)))
    depth = frames.depth.copy()
    depth[:, ::5], depth[:, 18], depth[:, 19] = np.nan, 5000, 20
    crops = DepthCropper(size=11, near=50, far=2000, within=within).fit_transform(table.replace(depth=depth))
    v, u = np.mgrid[:SIZE, :SIZE]
    for row in range(N):
        counts = (depth[row] >= 50) & (depth[row] <= 2000)
        if within == "mask":
            counts &= frames.mask[row]
        elif within == "box":
            counts &= (u >= 10) & (u <= 50) & (v >= 5.5) & (v <= 35.5)
        centre = mean_of(depth[row], counts, frames.camera[row])
        np.testing.assert_allclose(project(centre, crops.camera[row]), (5, 5), atol=1e-6)


def test_the_whole_picture_is_the_default(frames):
    """A loader's box and mask are ground truth: they count only where they are asked for."""
    bare = DepthCropper(size=11).fit_transform(frames.replace(box=None, mask=None))
    half = frames.mask & (np.arange(SIZE) < SIZE / 2)
    box = np.tile([0.0, 0.0, SIZE / 2, SIZE], (N, 1))
    crops = DepthCropper(size=11).fit_transform(frames.replace(mask=half, box=box))
    np.testing.assert_array_equal(crops.affine, bare.affine)
    for within in ("box", "mask"):
        asked = DepthCropper(size=11, within=within).fit_transform(frames.replace(mask=half, box=box))
        assert (asked.affine != bare.affine).any()


def test_roots_that_are_not_known_give_way_to_the_centre_of_mass(frames):
    root = frames.root.copy()
    root[1], root[2] = np.nan, -root[2]
    told = "root is NaN in 1 and not in front of the camera in 1 of 8 rows"
    with pytest.warns(UserWarning, match=told) as warned:
        crops = DepthCropper(size=9, centre="root", within="mask").fit_transform(frames.replace(root=root))
    assert warned[0].filename == __file__  # not scikit-learn's ``fit_transform``
    rooted = DepthCropper(size=9, centre="root").fit_transform(frames)
    mass = DepthCropper(size=9, within="mask").fit_transform(frames)
    np.testing.assert_array_equal(crops.depth[[1, 2]], mass.depth[[1, 2]])
    np.testing.assert_array_equal(crops.affine[[1, 2]], mass.affine[[1, 2]])
    others = [0, *range(3, N)]
    np.testing.assert_array_equal(crops.depth[others], rooted.depth[others])
    depth = frames.depth.copy()
    depth[1] = 0
    with pytest.raises(InputError, match=r"depth: nothing.*rows \[1\]"), pytest.warns(UserWarning):
        DepthCropper(centre="root").fit_transform(frames.replace(root=root, depth=depth))


def test_a_given_centre(frames):
    each = DepthCropper(size=9, centre=frames.root).fit_transform(frames).depth
    np.testing.assert_array_equal(each, DepthCropper(size=9, centre="root").fit_transform(frames).depth)
    one = DepthCropper(size=9, centre=frames.root[2]).fit_transform(frames).depth
    np.testing.assert_array_equal(one[2], each[2])


CAMERA = np.array([[100.0, 0, 4.5], [0, 100.0, 4.5], [0, 0, 1]])
LAYERS = np.array([0, np.nan, 100, 349, 350, 500, 650, 651, 3000, 500], np.float32)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, [0, 0, 0, 0, 350, 500, 650, 0, 0, 500]),
        ({"nearer": "clip"}, [0, 0, 350, 350, 350, 500, 650, 0, 0, 500]),
        ({"output": "unit"}, [1, 1, 1, 1, -1, 0, 1, 1, 1, 0]),
        ({"output": "unit", "background": 2.0}, [2, 2, 2, 2, -1, 0, 1, 2, 2, 0]),
        ({"output": "unit", "nearer": "clip"}, [1, 1, -1, -1, -1, 0, 1, 1, 1, 0]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
def test_background_holes_and_what_is_in_front(options, wanted, dtype):
    depth = np.nan_to_num(LAYERS).astype(dtype) if dtype == np.uint16 else LAYERS
    frames = HandFrames(depth=np.tile(depth, (1, 10, 1)), camera=CAMERA)
    cropper = DepthCropper(size=10, cube=(50, 50, 300), centre=(0, 0, 500), **options)
    np.testing.assert_array_equal(cropper.fit_transform(frames).depth[0, 3], wanted)


def test_lazy_pictures_stay_lazy(frames):
    lazy = make_hands(N, image_size=SIZE, random_state=0, lazy=True).data
    crops, wanted = (DepthCropper(size=16).fit_transform(table) for table in (lazy, frames))
    assert not isinstance(crops.depth, np.ndarray)
    np.testing.assert_array_equal(crops.depth[[5, 0]], wanted.depth[[5, 0]])
    np.testing.assert_array_equal(crops.camera, wanted.camera)


@pytest.mark.parametrize("output", ["mm", "unit"])
def test_half_precision_does_not_overflow(frames, output):
    """A picture's sum of depths is far beyond what float16 holds."""
    half = frames.replace(depth=frames.depth.astype(np.float16))
    assert half.depth[0].sum(dtype=np.float64) > 2 * 65504
    single = half.replace(depth=half.depth.astype(np.float32))
    crops, wanted = (DepthCropper(size=16, output=output).fit_transform(table) for table in (half, single))
    np.testing.assert_array_equal(crops.affine, wanted.affine)
    np.testing.assert_array_equal(crops.depth, wanted.depth)
    assert crops.depth.dtype == np.float32 and (crops.depth > 0).any()


def test_our_estimators_take_it(frames):
    crops = DepthCropper(size=16).fit_transform(frames)
    settings = {"backbone": "small", "hidden_units": 8, "n_hidden_layers": 1, "max_epochs": 1}
    model = CrossModalVAERegressor(source="depth", given=("root",), **settings).fit(crops, frames.pose3d)
    assert np.isfinite(model.predict(crops)).all()


UP = np.diag([1.0, -1.0, 1.0])


@pytest.mark.parametrize(
    ("cropper", "change", "error", "message"),
    [
        (DepthCropper(), lambda X: X.replace(depth=None), InputError, "depth: X needs this column"),
        (DepthCropper(), lambda X: X.replace(camera=None), InputError, "camera: X needs this column"),
        (DepthCropper(centre="root"), lambda X: X.replace(root=None), InputError, "root: X needs this"),
        (DepthCropper(centre="palm"), lambda X: X, InputError, "centre: expected one of"),
        (DepthCropper(centre=(1.0, 2.0)), lambda X: X, InputError, "centre: expected shape"),
        (DepthCropper(centre=(0.0, 0.0, -1.0)), lambda X: X, InputError, "centre: NaN or z <= 0"),
        (DepthCropper(within="hand"), lambda X: X, InputError, "within: expected one of"),
        (DepthCropper(within="box"), lambda X: X.replace(box=None), InputError, "box: X needs this column"),
        (DepthCropper(), lambda X: X.replace(depth=X.depth * 0), InputError, r"depth: nothing.*rows \[0"),
        (DepthCropper(), lambda X: X.replace(camera=X.camera @ UP), CameraError, "camera: .*y down"),
        (DepthCropper(cube=0), lambda X: X, InputError, "cube: expected a number > 0"),
        (DepthCropper(cube=(1, 2)), lambda X: X, InputError, "cube: expected one side or three"),
        (DepthCropper(size=0), lambda X: X, InputError, "size: "),
        (DepthCropper(near=9, far=8), lambda X: X, InputError, "far: "),
        (DepthCropper(output="cm"), lambda X: X, InputError, "output: "),
        (DepthCropper(nearer="far"), lambda X: X, InputError, "nearer: "),
        (DepthCropper(), lambda X: X[[]], InputError, "X: expected at least 1 sample"),
        (DepthCropper(), lambda X: X.depth, InputError, "X: expected a HandFrames"),
    ],
)
def test_bad_input_is_named(frames, cropper, change, error, message):
    with pytest.raises(error, match=message):
        cropper.fit(change(frames)).transform(change(frames))


def test_cubes_outside_of_the_picture_are_told(frames):
    root = frames.root.copy()
    root[2] += [5000.0, 0.0, 0.0]
    with pytest.warns(UserWarning, match=r"^X: the crops of 1 of 8 rows show nothing of .*64 x 64 px.*\[2\]"):
        crops = DepthCropper(size=16, centre="root").fit_transform(frames.replace(root=root))
    assert not crops.depth[2].any()
