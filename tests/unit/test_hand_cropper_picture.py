"""HandCropper: the picture in the window, the columns that follow it, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from crops import HEIGHT, WIDTH, hands_in_noise, window_of
from PIL import Image
from sklearn.pipeline import make_pipeline

from skhand import HandFrames
from skhand.geometry import project
from skhand.preprocessing import HandCropper, HandMirror
from skhand.preprocessing._crop import Crop


@pytest.fixture
def frames(rng):
    return hands_in_noise(rng)


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
def test_depth_and_mask_take_the_nearest_pixel(frames, size):
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


@pytest.mark.parametrize("order", ["antialiased", "bilinear", "nearest"])
def test_nothing_of_what_lay_in_the_memory_stays(order, frames):
    windows = np.array([(-20, -10, 60, 60), (110, 70, 40, 40), (10, 10, 30, 30), (500, 0, 9, 9)])
    crop, outs = Crop(windows, (30, 30), order), []
    for content in (0, 77):
        outs.append(np.full((4, 30, 30, 3), content, np.uint8))
        crop(list(frames.rgb[:4]), np.arange(4), outs[-1])
    np.testing.assert_array_equal(*outs)
    assert not outs[0][3].any()


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
