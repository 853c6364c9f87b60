"""Hands as plotly figures: every bone where it is, one colour a finger, and the axes of the camera."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from skhand.plotting import SkeletonDisplay
from skhand.skeleton import BONES, FINGERS, JOINTS

pytest.importorskip("plotly")


@pytest.fixture
def pose():
    return np.random.default_rng(0).uniform(-60, 60, (21, 3)) + [0.0, 0.0, 500.0]


def bones_of(trace):
    """The drawn bones (n_bones, 2, 3), the joints' names at their ends, and the colours."""
    points = np.array([trace.x, trace.y, trace.z]).T.reshape(-1, 3, 3)
    assert np.isnan(points[:, 2]).all()  # a gap after every bone
    return points[:, :2], np.array(trace.text).reshape(-1, 3)[:, :2], trace.line.color[::3]


def test_every_bone_is_drawn_in_the_camera_frame_with_one_colour_a_finger(pose):
    (trace,) = SkeletonDisplay(pose).to_plotly().data
    drawn, names, colours = bones_of(trace)
    np.testing.assert_allclose(drawn, pose[np.array(BONES)])
    assert names.tolist() == [[JOINTS[i], JOINTS[j]] for i, j in BONES]
    by_finger = [{colours[joint - 1] for joint in joints} for joints in FINGERS.values()]
    assert all(len(found) == 1 for found in by_finger) and len(set.union(*by_finger)) == 5


def test_the_view_is_the_cameras_with_one_scale(pose):
    scene = SkeletonDisplay(pose).to_plotly().layout.scene
    assert scene.aspectmode == "data" and scene.camera.up.y == -1  # y points down
    assert scene.camera.eye.z < 0 and abs(scene.camera.eye.z) > abs(scene.camera.eye.x)
    assert "mm" in scene.xaxis.title.text


def test_truth_is_grey_and_samples_are_faint(pose):
    samples = np.stack([pose + 3, pose - 3])
    figure = SkeletonDisplay(pose + 1, pose, samples=samples).to_plotly()
    assert [trace.name for trace in figure.data] == ["sample 0", "sample 1", "truth", "prediction"]
    assert figure.data[2].line.color == figure.data[2].marker.color == "#8C8C8C"
    assert figure.data[0].opacity < figure.data[3].opacity == 1
    assert [trace.showlegend for trace in figure.data] == [False, False, True, True]
    np.testing.assert_allclose(bones_of(figure.data[0])[0], samples[0][np.array(BONES)])


def test_bones_with_an_unknown_end_are_left_out_and_lone_joints_stay(pose):
    pose[1] = np.nan  # the thumb's CMC: the bones on both of its sides go
    (trace,) = SkeletonDisplay(pose).to_plotly().data
    drawn, _, _ = bones_of(trace)
    kept = [bone for bone in BONES if 1 not in bone]
    np.testing.assert_allclose(drawn, pose[np.array(kept)])
    pose[:] = np.nan
    pose[4] = [1.0, 2.0, 3.0]
    (trace,) = SkeletonDisplay(pose).to_plotly().data
    assert trace.text == ("thumb_tip", "")


def test_without_plotly_the_error_says_what_to_install(pose, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(ImportError, match=r"plotly.*skhand\[plotly\]"):
        SkeletonDisplay(pose).to_plotly()
