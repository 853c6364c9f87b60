"""HandCropper: the window, the picture in it, what follows, the lazy way, and the way back."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.exceptions import InputError
from skhand.frames import ImageFiles
from skhand.geometry import project
from skhand.metrics import get_scorer
from skhand.preprocessing import HandCropper, HandMirror, head_box

HEIGHT, WIDTH = 96, 128
CAMERA = np.array([[300.0, 0.0, 70.0], [0.0, 280.0, 40.0], [0.0, 0.0, 1.0]])


@pytest.fixture
def frames(rng):
    """Six hands in pictures of noise, with everything that a table can hold."""
    pose = rng.uniform((-50, -12, 480), (50, 45, 540), size=(6, 21, 3))
    points = project(pose, CAMERA)
    corner = points.min(axis=1)
    depth = rng.uniform(300, 600, (6, HEIGHT, WIDTH)).astype(np.float32)
    return HandFrames(
        rgb=rng.integers(0, 256, (6, HEIGHT, WIDTH, 3), dtype=np.uint8),
        depth=depth,
        mask=depth > 450,
        keypoints2d=points,
        pose3d=pose,
        camera=CAMERA,
        side=np.array(["left", "right"] * 3),
        root=pose[:, 9],
        box=np.concatenate([corner, points.max(axis=1) - corner], axis=1),
    )


def window_of(crops, row):
    """First column, first row, width and height of a crop, px, read off its affine."""
    height, width = crops.rgb.shape[1:3]
    factor = np.array([crops.affine[row, 0, 0], crops.affine[row, 1, 1]])
    first = (-0.5 - crops.affine[row, :2, 2]) / factor + 0.5
    window = np.concatenate([first, np.array([width, height]) / factor])
    np.testing.assert_allclose(window, window.round(), atol=1e-9)
    return window.round().astype(int)


def pillow_crop(picture, window, size):
    """An independent crop: Pillow's bilinear filter, which averages where it shrinks."""
    x, y, width, height = window.tolist()
    piece = Image.fromarray(picture).crop((x, y, x + width, y + height))  # 0 outside
    return np.asarray(piece.resize(size[::-1], Image.Resampling.BILINEAR))


def dots(points, height=HEIGHT, width=WIDTH):
    """Pictures with a soft dot of its own colour at each of three points."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns, rows], axis=-1)[None, :, :, None]
    return np.exp(-((pixels - points[:, None, None]) ** 2).sum(-1) / (2 * 3.0**2))


def dot_centres(rgb):
    rows, columns = np.mgrid[: rgb.shape[1], : rgb.shape[2]]
    rgb = rgb.astype(np.float64)
    mass = rgb.sum((1, 2))
    return np.stack([(rgb * axis[..., None]).sum((1, 2)) / mass for axis in (columns, rows)], axis=-1)


# ------------------------------------------------------------------ the picture and what follows it


@pytest.mark.parametrize("box", [(20, 10, 75, 75), (2, -30, 140, 140), (30.4, 25.2, 60.6, 50)])
@pytest.mark.parametrize("size", [48, 300, (60, 110)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_dots_stay_under_their_keypoints(box, size, dtype):
    points = np.array([[[42.0, 37.0], [60.5, 50.25], [76.0, 60.0]]])
    rgb = dots(points)
    rgb = np.rint(rgb * 255).astype(np.uint8) if dtype == np.uint8 else rgb.astype(dtype)
    frames = HandFrames(rgb=rgb, keypoints2d=points, box=np.array([box]))
    crops = HandCropper(size, margin=1.0).fit_transform(frames)
    assert crops.rgb.dtype == dtype
    tolerance = 0.08 if dtype == np.uint8 else 0.03
    np.testing.assert_allclose(dot_centres(crops.rgb), crops.keypoints2d, atol=tolerance)


@pytest.mark.parametrize("corner", [(-20, -20), (88, -20), (-20, 56), (88, 56)])
def test_dots_at_the_picture_s_border(corner):
    """The crop reaches over a corner; a dot that is whole lies where it shall, what is outside is 0."""
    x, y = corner
    points = np.full((1, 3, 2), (max(x, 0) + 12.0, max(y, 0) + 12.0))
    frames = HandFrames(rgb=np.maximum(dots(points), 1e-3), keypoints2d=points, box=[(x, y, 60.0, 60.0)])
    crops = HandCropper(90, margin=1.0).fit_transform(frames)
    u, v = (
        np.linalg.inv(crops.affine[0])[:2, :2].diagonal()[:, None] * np.arange(90)
        + np.linalg.inv(crops.affine[0])[:2, 2:]
    )
    outside = (v < -1)[:, None] | (v > HEIGHT)[:, None] | (u < -1) | (u > WIDTH)
    assert outside.any() and (crops.rgb[0][outside] == 0).all() and (crops.rgb[0][~outside] > 0).mean() > 0.97
    bright = np.where(crops.rgb > 0.01, crops.rgb, 0)
    np.testing.assert_allclose(dot_centres(bright), crops.keypoints2d, atol=0.15)


@pytest.mark.parametrize("size", [16, 40, 200, (31, 57)])
@pytest.mark.parametrize("margin", [0.4, 1.0, 2.5])
def test_colour_equals_pillow_s_antialiased_crop(frames, size, margin):
    crops = HandCropper(size, margin=margin, source="keypoints").fit_transform(frames)
    for row, picture in enumerate(frames.rgb):
        reference = pillow_crop(picture, window_of(crops, row), crops.rgb.shape[1:3])
        assert np.abs(crops.rgb[row].astype(int) - reference).max() <= 2


def bilinear_crop(picture, window, size):
    """The mean of the four pixels next to each new one's centre, those at the window's border repeated."""
    x, y, width, height = window.tolist()
    piece = np.asarray(Image.fromarray(picture).crop((x, y, x + width, y + height)), dtype=float)
    for axis, (old, new) in enumerate(((height, size[0]), (width, size[1]))):
        place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        first = np.minimum(place.astype(int), max(old - 2, 0))
        share = (place - first).reshape(-1, *[1] * (2 - axis))
        before = piece.take(first, axis=axis)
        piece = before + share * (piece.take(np.minimum(first + 1, old - 1), axis=axis) - before)
    return piece


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32])
@pytest.mark.parametrize("size", [16, 40, 200, (31, 57)])
@pytest.mark.parametrize("margin", [0.4, 1.0, 2.5])
def test_without_antialiasing_colour_is_that_of_four_pixels(frames, size, margin, dtype):
    cropper = HandCropper(size, margin=margin, source="keypoints", antialias=False)
    crops = cropper.fit_transform(frames.replace(rgb=frames.rgb.astype(dtype)))
    assert crops.rgb.dtype == dtype
    for row, picture in enumerate(frames.rgb):
        reference = bilinear_crop(picture, window_of(crops, row), crops.rgb.shape[1:3])
        assert np.abs(crops.rgb[row] - reference).max() <= (2 if dtype == np.uint8 else 0.3)


@pytest.mark.parametrize("size", [15, 200])
def test_depth_and_mask_take_the_nearest_pixel(frames, size, monkeypatch):
    monkeypatch.setattr(np, "empty", lambda shape, dtype=float: np.full(shape, 1, dtype))
    crops = HandCropper(size, margin=1.7).fit_transform(frames)
    for name in ("depth", "mask"):
        new, old = getattr(crops, name), getattr(frames, name)
        assert new.dtype == old.dtype
        for row in (0, 3):
            back = np.linalg.inv(crops.affine[row])
            for v in range(size):
                for u in range(0, size, 3):
                    x, y, _ = np.floor(back @ (u, v, 1) + 0.5 + 1e-9).astype(int)
                    inside = 0 <= x < WIDTH and 0 <= y < HEIGHT
                    assert new[row, v, u] == (old[row, y, x] if inside else 0)


def test_camera_box_and_affine_follow_and_points_in_3d_stay(frames):
    crops = HandCropper(64).fit_transform(frames)
    np.testing.assert_allclose(project(crops.pose3d, crops.camera), crops.keypoints2d, atol=1e-9)
    np.testing.assert_array_equal(crops.pose3d, frames.pose3d)
    np.testing.assert_array_equal(crops.root, frames.root)
    np.testing.assert_array_equal(crops.side, frames.side)
    np.testing.assert_allclose(crops.box[:, :2], crops.keypoints2d.min(axis=1), atol=1e-9)
    np.testing.assert_allclose(crops.box[:, :2] + crops.box[:, 2:], crops.keypoints2d.max(axis=1), atol=1e-9)
    homogeneous = np.concatenate([frames.keypoints2d, np.ones((6, 21, 1))], axis=2)
    moved = (crops.affine[:, None] @ homogeneous[..., None])[..., :2, 0]
    np.testing.assert_allclose(moved, crops.keypoints2d, atol=1e-9)


def test_the_way_back_returns_what_was_there(frames):
    cropper = HandCropper(64)
    twice = HandCropper(32, source="keypoints").fit_transform(cropper.fit_transform(frames))
    for crops in (cropper.transform(frames), twice):
        back = cropper.inverse_transform(crops)
        for name in ("camera", "keypoints2d", "box", "pose3d"):
            np.testing.assert_allclose(getattr(back, name), getattr(frames, name), atol=1e-6)
        assert not {"rgb", "depth", "mask", "affine"} & set(back.columns)


def test_the_way_back_through_a_pipeline_with_a_mirror(frames):
    pipeline = make_pipeline(HandCropper(64), HandMirror())
    crops = pipeline.fit_transform(frames)
    np.testing.assert_allclose(project(crops.pose3d, crops.camera), crops.keypoints2d, atol=1e-9)
    back = pipeline.inverse_transform(crops)
    for name in ("camera", "keypoints2d", "pose3d", "root"):
        np.testing.assert_allclose(getattr(back, name), getattr(frames, name), atol=1e-6)
    assert (back.side == frames.side).all()


# ------------------------------------------------------------------ where the window lies


def test_window_of_a_box(frames):
    frames = frames.replace(box=np.full((6, 4), (30.0, 20.0, 40.0, 25.0)))
    for margin, side in ((1.0, 40), (1.5, 60), (None, 48)):
        window = window_of(HandCropper(32, margin=margin).fit_transform(frames), 0)
        assert tuple(window[2:]) == (side, side)
        centre = window[:2] - 0.5 + side / 2
        assert np.abs(centre - (50, 32.5)).max() <= 0.5
    assert tuple(window_of(HandCropper(32, min_size=90).fit_transform(frames), 0)[2:]) == (90, 90)
    assert tuple(window_of(HandCropper(32, max_size=20).fit_transform(frames), 0)[2:]) == (20, 20)
    tall = HandCropper((64, 32), margin=1.0).fit_transform(frames)
    assert tuple(window_of(tall, 0)[2:]) == (40, 80)
    stretched = HandCropper(32, margin=1.0, square=False).fit_transform(frames)
    assert tuple(window_of(stretched, 0)[2:]) == (40, 25)


def test_window_of_a_mask_holds_just_its_pixels():
    mask = np.zeros((1, HEIGHT, WIDTH), bool)
    mask[0, 30:51, 60:71] = True
    crops = HandCropper(21, source="mask", margin=1.0).fit_transform(
        HandFrames(mask=mask, rgb=np.zeros((1, HEIGHT, WIDTH, 3), np.uint8))
    )
    assert tuple(window_of(crops, 0)) == (55, 30, 21, 21)
    np.testing.assert_array_equal(crops.mask[0], mask[0, 30:51, 55:76])


def test_auto_takes_what_each_row_has(frames):
    box, points = frames.box.copy(), frames.keypoints2d.copy()
    box[[1, 2]] = np.nan
    points[[0, 2]] = np.nan
    some = frames.replace(box=box, keypoints2d=points)
    crops = HandCropper(32).fit_transform(some)
    for row, source in ((0, "box"), (1, "keypoints"), (2, "mask")):
        alone = HandCropper(32, source=source).fit_transform(some[[row]])
        np.testing.assert_array_equal(crops.affine[row], alone.affine[0])


def test_hand3d_rule(frames):
    points = frames.keypoints2d.copy()
    points[0, 3] = np.nan  # not visible
    points[1] = points[1, :1] + 0.1 * np.arange(21)[:, None]  # a tiny hand
    points[2] = 12 * (points[2] - 60)  # a huge one
    crops = HandCropper(preset="hand3d").fit_transform(frames.replace(keypoints2d=points))
    assert crops.rgb.shape == (6, 256, 256, 3)
    for row in range(6):
        window = window_of(crops, row)
        centre = points[row, 9]
        side = 2 * np.nanmax(np.abs(points[row] - centre))
        assert window[2] == window[3] == np.rint(np.clip(side, 50, 500))
        assert np.abs(window[:2] - 0.5 + window[2] / 2 - centre).max() <= 0.5
    assert {window_of(crops, 1)[2], window_of(crops, 2)[2]} == {50, 500}
    by_hand = HandCropper(centre="middle_mcp", min_size=50, max_size=500, margin=1.0)
    np.testing.assert_array_equal(by_hand.fit_transform(frames).affine, crops_of(frames, "hand3d").affine)


def test_hand3d_takes_the_visible_joints(frames):
    points = frames.keypoints2d.copy()
    farthest = np.abs(points - points[:, 9:10]).max(axis=2).argsort(axis=1)[:, -8:]
    visible = np.ones((6, 21), bool)
    np.put_along_axis(visible, farthest, False, axis=1)
    visible[:, 9] = False  # the centre
    visible[1] = False
    visible[2], visible[2, 3] = False, True
    points[2, 3] = np.nan
    seen = frames.replace(visible=visible, keypoints2d=points)
    crops = crops_of(seen, "hand3d")
    counts = visible.copy()
    counts[[1, 2]] = True
    for row in range(6):
        reach = np.nanmax(np.abs(points[row] - points[row, 9])[counts[row]])
        window = window_of(crops, row)
        assert window[2] == np.rint(np.clip(2 * reach, 50, 500))
        assert np.abs(window[:2] - 0.5 + window[2] / 2 - points[row, 9]).max() <= 0.5
    known = crops_of(seen.replace(visible=None), "hand3d")
    assert (crops.affine != known.affine).any(axis=(1, 2)).tolist() == [True, False, False, True, True, True]
    for cropper in (HandCropper(source="keypoints"), HandCropper(centre="middle_mcp")):
        wanted = cropper.fit_transform(seen.replace(visible=None))
        np.testing.assert_array_equal(cropper.fit_transform(seen).affine, wanted.affine)
    with pytest.raises(InputError, match="visible: expected 21 joints"):
        HandCropper(preset="hand3d").fit(frames.replace(visible=visible[:, :14]))


@pytest.mark.parametrize("options", [{"source": "keypoints"}, {"preset": "hand3d"}, {"centre": "wrist"}])
def test_rows_without_keypoints_are_cropped_to_their_box(frames, options):
    points = frames.keypoints2d.copy()
    points[[2, 5]] = np.nan
    if "source" not in options:
        points[3, [0, 9]] = np.nan  # no centre
    lacking = frames.replace(keypoints2d=points)
    crops = HandCropper(**options).fit_transform(lacking)
    wanted = HandCropper(**options).fit_transform(frames)
    limits = dict(margin=1.0, min_size=50, max_size=500) if "preset" in options else {}
    boxed = HandCropper(source="box", **limits).fit_transform(frames)
    by_box = np.isnan(points).any(axis=(1, 2))
    np.testing.assert_array_equal(crops.affine[by_box], boxed.affine[by_box])
    np.testing.assert_array_equal(crops.affine[~by_box], wanted.affine[~by_box])
    gone = HandCropper(**options).fit_transform(frames.replace(keypoints2d=None))
    np.testing.assert_array_equal(gone.affine, boxed.affine)
    box = frames.box.copy()
    box[[0, 5]] = np.nan
    with pytest.raises(InputError, match="in keypoints2d or box, got none in 1 of 6 rows: 5"):
        HandCropper(**options).fit_transform(lacking.replace(box=box))


def crops_of(frames, preset):
    return HandCropper(preset=preset).fit_transform(frames)


def test_iqbal_rule(frames):
    box = head_box(frames.keypoints2d.mean(axis=1), np.full(6, 60.0))
    crops = crops_of(frames.replace(box=box), "iqbal")
    assert tuple(window_of(crops, 0)[2:]) == (42, 42)
    np.testing.assert_allclose(crops.box[:, 2:], 256, atol=1e-9)
    with pytest.raises(InputError, match="head_length"):
        head_box([[1, 2]], [0.0])


# ------------------------------------------------------------------ lazy columns


class Ragged:
    """Pictures of different sizes, one at a time."""

    def __init__(self, pictures):
        self.pictures = pictures
        self.shape, self.dtype, self.ndim = (len(pictures), None, None, 3), np.dtype(np.uint8), 4

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, row):
        return self.pictures[int(row)]


def lazy_columns(frames, folder):
    """The same pictures as a memory map, as files, and as rows of a memory map."""
    path = folder / "rgb.dat"
    disk = np.memmap(path, np.uint8, "w+", shape=frames.rgb.shape)
    disk[:] = frames.rgb
    disk.flush()
    double = np.memmap(folder / "double.dat", np.uint8, "w+", shape=(12, *frames.rgb.shape[1:]))
    double[::2] = frames.rgb
    files = [folder / f"{i}.png" for i in range(len(frames))]
    for file, picture in zip(files, frames.rgb, strict=True):
        Image.fromarray(picture).save(file)
    return {
        "map": disk,
        "files": ImageFiles(files),
        "rows": HandFrames(rgb=double, box=np.repeat(frames.box, 2, 0))[::2].rgb,
        "ragged": Ragged(list(frames.rgb)),
    }


@pytest.mark.parametrize("kind", ["map", "files", "rows", "ragged"])
def test_lazy_columns_stay_lazy_and_give_the_same(kind, frames, tmp_path):
    column = lazy_columns(frames, tmp_path)[kind]
    plain = frames.replace(depth=None, mask=None)
    wanted = HandCropper(40).fit_transform(plain)
    assert type(wanted.rgb) is np.ndarray
    crops = HandCropper(40).fit_transform(plain.replace(rgb=column))
    assert not isinstance(crops.rgb, np.ndarray)
    assert (crops.rgb.shape, crops.rgb.dtype, crops.rgb.ndim) == (wanted.rgb.shape, np.uint8, 4)
    np.testing.assert_array_equal(crops.rgb, wanted.rgb)
    rows = np.array([4, 1, 1])
    np.testing.assert_array_equal(crops.rgb[rows, ...], wanted.rgb[rows])
    np.testing.assert_array_equal(crops.rgb[-1], wanted.rgb[-1])
    np.testing.assert_array_equal(crops[rows].rgb[1:], wanted.rgb[rows[1:]])
    assert crops.rgb[[]].shape == (0, 40, 40, 3)
    np.testing.assert_array_equal(HandCropper(40, lazy=False).transform(plain).rgb, wanted.rgb)
    again = HandCropper(20, source="keypoints").fit_transform(crops)
    np.testing.assert_array_equal(again.rgb, HandCropper(20, source="keypoints").fit_transform(wanted).rgb)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(crops)).rgb, wanted.rgb)


def test_a_lazy_crop_of_a_memory_map_pickles_by_reference(frames, tmp_path):
    crops = HandCropper(40).fit_transform(frames.replace(rgb=lazy_columns(frames, tmp_path)["map"]))
    alone = HandFrames(rgb=crops.rgb, side="left")
    assert len(pickle.dumps(alone)) < 5_000 < frames.rgb.nbytes
    assert len(pickle.dumps(alone[:4])) < 5_000


def test_pictures_of_different_sizes(frames):
    pictures = [picture[: 90 - i, : 120 - 2 * i] for i, picture in enumerate(frames.rgb)]
    plain = frames.replace(depth=None, mask=None)
    crops = HandCropper(40).fit_transform(plain.replace(rgb=Ragged(pictures)))
    for row, picture in enumerate(pictures):
        alone = HandCropper(40).fit_transform(plain[[row]].replace(rgb=picture[None]))
        np.testing.assert_array_equal(crops.rgb[row], alone.rgb[0])


def test_generated_hands_are_rendered_and_cropped_on_demand():
    arguments = dict(n_samples=20, image_size=48, random_state=0)
    eager = HandCropper(32, source="mask").fit_transform(make_hands(**arguments).data)
    lazy = HandCropper(32, source="mask").fit_transform(make_hands(**arguments, lazy=True).data)
    for name in ("rgb", "depth", "mask"):
        assert not isinstance(getattr(lazy, name), np.ndarray)
        np.testing.assert_array_equal(getattr(lazy, name), getattr(eager, name))


def test_rows_of_rows(frames, tmp_path):
    some = frames.replace(rgb=lazy_columns(frames, tmp_path)["rows"])[[5, 3, 1]]
    crops = HandCropper(40).fit_transform(some[[2, 0]])
    np.testing.assert_array_equal(crops.rgb, HandCropper(40).fit_transform(frames[[1, 5]]).rgb)


def test_lazy_can_be_forced_either_way(frames, tmp_path):
    lazy = HandCropper(40, lazy=True).fit_transform(frames)
    assert not isinstance(lazy.rgb, np.ndarray)
    np.testing.assert_array_equal(lazy.depth, HandCropper(40).fit_transform(frames).depth)
    column = lazy_columns(frames, tmp_path)["files"]
    eager = HandCropper(40, lazy=False).fit_transform(frames.replace(rgb=column))
    np.testing.assert_array_equal(eager.rgb, lazy.rgb)
    assert type(HandCropper(40).fit_transform(frames[1:]).rgb) is np.ndarray


def test_rows_do_not_depend_on_each_other_or_on_threads(frames, monkeypatch):
    together = HandCropper(40).fit_transform(frames)
    for row in range(len(frames)):
        np.testing.assert_array_equal(HandCropper(40).fit_transform(frames[row]).rgb[0], together.rgb[row])
    many = frames[np.tile(np.arange(6), 5)]
    for n_threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=n_threads: n)
        crops = HandCropper(40).fit_transform(many)
        np.testing.assert_array_equal(crops.rgb, np.tile(together.rgb, (5, 1, 1, 1)))


_TWENTY_GB = """
import resource, sys
import numpy as np
from skhand import HandFrames
from skhand.estimators import CrossModalVAERegressor
from skhand.preprocessing import HandCropper

shape = (22_000, 480, 640, 3)
rgb = np.memmap(sys.argv[1], np.uint8, "w+", shape=shape)
rng = np.random.default_rng(0)
box = np.column_stack([rng.uniform(0, 300, (len(rgb), 2)), np.full((len(rgb), 2), 200.0)])
y = np.full((len(rgb), 21, 3), np.nan)
y[::500] = rng.normal(0, 40, (44, 21, 3))
crops = HandCropper(64).fit_transform(HandFrames(rgb=rgb, box=box))
est = CrossModalVAERegressor(backbone="small", max_epochs=1, batch_size=16, random_state=0)
est.fit(crops, y)
assert est.predict(crops[:8]).shape == (8, 21, 3)
print(rgb.nbytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_twenty_gigabytes_are_cropped_and_fitted_in_less_than_three(tmp_path):
    path = tmp_path / "rgb.dat"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _TWENTY_GB, str(path)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    size, peak = map(int, done.stdout.split())
    assert size > 20e9 and peak < 3 * 2**30
    assert path.stat().st_blocks * 512 < 2**30  # the file is sparse: it is read, and stays so


# ------------------------------------------------------------------ in scikit-learn


def scattered(data, rng, size=160):
    """The hands' pictures at random places of large ones: what a crop shows is far from where it is."""
    height, width = data.rgb.shape[1:3]
    corner = rng.integers(0, size - height + 1, (len(data), 2))
    rgb = np.zeros((len(data), size, size, 3), np.uint8)
    for new, old, (x, y) in zip(rgb, data.rgb, corner, strict=True):
        new[y : y + height, x : x + width] = old
    camera, box = data.camera.copy(), data.box.copy()
    camera[:, :2, 2] += corner
    box[:, :2] += corner
    return data.replace(rgb=rgb, camera=camera, box=box, keypoints2d=data.keypoints2d + corner[:, None])


def test_searching_margin_and_latent_dim_predicts_in_the_full_frame(rng):
    """Crops and mirrored hands go in; keypoints in the full picture and poses of the true side come out."""
    hands = make_hands(40, image_size=64, rotation=30, images=("rgb",), random_state=0)
    frames = scattered(hands.data, rng)
    pairs = [("rgb", "pose3d"), ("rgb", "keypoints2d")]
    settings = dict(given=("root",), pairs=pairs, lr=1e-3, max_epochs=4, random_state=0)
    regressor = CrossModalVAERegressor(backbone="small", **settings)
    pipeline = Pipeline([("crop", HandCropper(32)), ("mirror", HandMirror()), ("vae", regressor)])
    grid = {"crop__margin": [1.0, 1.6], "vae__latent_dim": [4, 8]}
    search = GridSearchCV(pipeline, grid, scoring=get_scorer("neg_epe", align=None), cv=2)
    search.fit(frames, hands.target)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(set(search.cv_results_["mean_test_score"])) == 4
    seen = search.best_estimator_.predict(frames, target="keypoints2d")
    assert np.median(np.linalg.norm(seen - frames.keypoints2d, axis=-1)) < 10  # px of 160; in the crop, 100
    predicted, root = search.predict(frames), frames.root[:, None]
    other_side = (predicted - root) * [-1, 1, 1] + root
    error, error_mirrored = (
        np.linalg.norm(poses - hands.target, axis=-1).mean(1) for poses in (predicted, other_side)
    )
    left = frames.side == "left"
    assert 10 < left.sum() < 30
    for rows in (left, ~left):
        assert (error < error_mirrored)[rows].mean() > 0.9


def test_stateless_and_searchable(frames):
    cropper = HandCropper(40, margin=1.3, preset="hand3d")
    assert clone(cropper).get_params() == cropper.get_params()
    assert HandCropper(40).transform(frames[0]).rgb.shape == (1, 40, 40, 3)
    assert repr(cropper) == "HandCropper(margin=1.3, preset='hand3d', size=40)"


def test_a_box_far_outside_gives_empty_pictures(frames):
    crops = HandCropper(20).fit_transform(frames.replace(box=np.full((6, 4), (500.0, 10.0, 30.0, 30.0))))
    for name in ("rgb", "depth", "mask"):
        assert not getattr(crops, name).any()


def test_keypoints_alone_can_be_cropped(frames):
    table = HandFrames(keypoints2d=frames.keypoints2d, camera=frames.camera)
    crops = HandCropper(100).fit_transform(table)
    assert crops.columns == ["keypoints2d", "camera", "affine"]
    assert ((crops.keypoints2d > 0) & (crops.keypoints2d < 100)).all()


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(size=0), "size"),
        (dict(size=(1, 2, 3)), "size"),
        (dict(source="rgb"), "source"),
        (dict(margin=0), "margin"),
        (dict(margin="wide"), "margin"),
        (dict(square="no"), "square"),
        (dict(min_size=-1), "min_size"),
        (dict(min_size=100, max_size=50), "max_size"),
        (dict(centre="palm_mcp"), "palm_mcp"),
        (dict(centre="wrist", source="box"), "centre"),
        (dict(preset="spurr"), "preset"),
        (dict(preset="hand3d", max_size=300), "max_size: the preset 'hand3d'"),
        (dict(preset="iqbal", source="mask"), "source: the preset 'iqbal'"),
        (dict(antialias="no"), "antialias"),
        (dict(lazy="yes"), "lazy"),
    ],
)
def test_wrong_parameters_are_named(frames, parameters, message):
    cropper = HandCropper(**parameters)
    for method in (cropper.fit, cropper.transform):
        with pytest.raises(InputError, match=message):
            method(frames)


def test_rows_with_nothing_to_crop_to_are_named(frames):
    points = frames.keypoints2d.copy()
    points[[2, 5]] = np.nan
    lacking = frames.replace(keypoints2d=points, box=None)
    with pytest.raises(InputError, match="keypoints2d or box, got none in 2 of 6 rows: 2, 5"):
        HandCropper(source="keypoints").fit_transform(lacking)
    points[[2, 5]] = frames.keypoints2d[[2, 5]]
    points[3, 9] = np.nan
    with pytest.raises(InputError, match="'middle_mcp' to crop to in .* got none in 1 of 6 rows: 3"):
        HandCropper(preset="hand3d").fit_transform(frames.replace(keypoints2d=points, box=None))
    with pytest.raises(InputError, match="mask, got none in 6 of 6 rows"):
        HandCropper(source="mask").fit_transform(frames.replace(mask=np.zeros((6, HEIGHT, WIDTH), bool)))
    points[...] = np.nan
    points[:, 4] = 30.0
    single = frames.replace(keypoints2d=points)
    with pytest.raises(InputError, match="single point"):
        HandCropper(source="keypoints").fit_transform(single)
    crops = HandCropper(32, source="keypoints", min_size=20).fit_transform(single)
    assert tuple(window_of(crops, 0)[2:]) == (20, 20)
    points[:, 5] = 1e6  # as from a joint near the camera's plane
    with pytest.raises(InputError, match="max_size"):
        HandCropper(source="keypoints").fit_transform(frames.replace(keypoints2d=points))


def test_what_is_no_table_of_hands_is_refused(frames):
    for X in (np.zeros((4, 32, 32, 3), np.uint8), [[1.0]], None):
        for method in (HandCropper().fit, HandCropper().transform, HandCropper().inverse_transform):
            with pytest.raises(InputError, match="HandFrames"):
                method(X)
    with pytest.raises(InputError, match="at least 1 sample"):
        HandCropper().transform(frames[[]])
    with pytest.raises(InputError, match="needs a HandFrames with box or keypoints2d or mask, got"):
        HandCropper().transform(HandFrames(rgb=frames.rgb))
    with pytest.raises(InputError, match="needs a HandFrames with mask, got"):
        HandCropper(source="mask").transform(frames.replace(mask=None))
    with pytest.raises(InputError, match="21 keypoints"):
        HandCropper(preset="hand3d").fit(HandFrames(keypoints2d=np.zeros((2, 14, 2))))
    with pytest.raises(InputError, match="one size"):
        HandCropper().transform(frames.replace(depth=np.zeros((6, 10, 10))))
