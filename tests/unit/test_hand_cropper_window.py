"""HandCropper: where the window lies, by every source and rule."""

from __future__ import annotations

import numpy as np
import pytest
from crops import HEIGHT, WIDTH, hands_in_noise, window_of

from skhand import HandFrames
from skhand.exceptions import InputError
from skhand.preprocessing import HandCropper, head_box


@pytest.fixture
def frames(rng):
    return hands_in_noise(rng)


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
