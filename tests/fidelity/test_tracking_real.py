"""A video made of photographs is followed, with the weights that ship; see examples/benchmarks."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from skhand.estimators import LatentHeatmapRegressor
from skhand.geometry import project
from skhand.tracking import HandTracker

SCRIPTS = Path(__file__).resolve().parents[2] / "examples" / "benchmarks"


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(SCRIPTS))
    try:
        import photographs_to_pose
    finally:
        sys.path.remove(str(SCRIPTS))
    return photographs_to_pose


@pytest.fixture(scope="module")
def pose():
    return LatentHeatmapRegressor.from_pretrained()


def test_the_moved_photographs_keep_their_labels(script, real_data):
    frames = list(islice(script.move_photographs(real_data / "real-rgb"), 0, None, 40))
    assert len(frames) == 10
    for frame in frames:
        assert frame.picture.shape == (480, 640, 3)
        np.testing.assert_allclose(project(frame.joints, frame.camera), frame.keypoints, atol=1e-3)
        u, v = frame.keypoints.T
        assert u.min() > 0 and u.max() < 639 and v.min() > 0 and v.max() < 479
    centres = np.array([frame.keypoints.mean(axis=0) for frame in frames])
    assert np.ptp(centres, axis=0).min() > 100


def test_a_hand_is_followed_from_one_box_on(script, real_data, pose):
    frames = list(islice(script.move_photographs(real_data / "real-rgb"), 60))
    tracker = HandTracker(script.TrueBox(), pose, max_hands=1)
    followed = script.follow(tracker, frames, camera=False, each_alone=False)
    assert followed["lost"] == 0 and followed["identities"] == 1
    assert followed["given"] == ["box"]
