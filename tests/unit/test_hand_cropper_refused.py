"""HandCropper: parameters and tables that are refused, by name."""

from __future__ import annotations

import numpy as np
import pytest
from crops import HEIGHT, WIDTH, hands_in_noise, window_of

from skhand import HandFrames
from skhand.exceptions import InputError
from skhand.preprocessing import HandCropper


@pytest.fixture
def frames(rng):
    return hands_in_noise(rng)


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
