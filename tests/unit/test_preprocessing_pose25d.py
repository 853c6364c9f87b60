"""Pose25D: pixels and scale-free depths, and back."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from skhand import HandFrames
from skhand.exceptions import CameraError, InputError
from skhand.preprocessing import HandCropper, Pose25D

N = 6
CAMERA = np.array([[500.0, 2.0, 300.0], [0.0, 480.0, 250.0], [0.0, 0.0, 1.0]])


@pytest.fixture
def poses(rng):
    """Flat hands, of which one depth of the root only has the length."""
    return rng.normal(0, [60, 60, 15], (N, 21, 3)) + [20, -10, 600]


def test_by_hand(poses):
    encoded = Pose25D().fit(poses).transform(poses, camera=CAMERA)
    for pose, found in zip(poses, encoded, strict=True):
        lines = pose @ CAMERA.T
        np.testing.assert_allclose(found[:, :2], lines[:, :2] / pose[:, 2:])
        depth = pose[:, 2] - (pose[0, 2] + pose[9, 2]) / 2
        np.testing.assert_allclose(found[:, 2], depth / np.linalg.norm(pose[5] - pose[0]))


@pytest.mark.parametrize("root", ["palm", "wrist", 9])
@pytest.mark.parametrize("bone", [("index_mcp", "wrist"), ("middle_mcp", "palm")])
def test_the_way_back(poses, root, bone):
    poses[:, 5], poses[:, 9] = poses[:, 0] + [20, 80, 3], poses[:, 0] + [-5, 90, -4]
    encoder = Pose25D(root=root, bone=bone)
    table = encoder.fit_transform(HandFrames(pose3d=poses, camera=CAMERA, scale=np.full(N, 3.0)))
    np.testing.assert_allclose(encoder.inverse_transform(table).pose3d, poses, atol=1e-6)
    points = encoder.transform(poses, CAMERA)
    np.testing.assert_array_equal(points, table.pose3d)
    back = encoder.inverse_transform(points, CAMERA, table.scale)
    np.testing.assert_allclose(back, poses, atol=1e-6)
    in_bones = encoder.inverse_transform(points, CAMERA)
    np.testing.assert_allclose(in_bones * table.scale[:, None, None], poses, atol=1e-6)


def test_in_a_pipeline_behind_a_crop(poses):
    frames = HandFrames(pose3d=poses, camera=CAMERA, box=np.tile([200.0, 150.0, 150.0, 150.0], (N, 1)))
    encoded = make_pipeline(HandCropper(64), clone(Pose25D())).fit_transform(frames)
    crops = HandCropper(64).fit_transform(frames)
    np.testing.assert_array_equal(encoded.pose3d, Pose25D().transform(poses, crops.camera))


def test_unknown_joints_pass(poses):
    poses[0, 20], poses[1, 0] = np.nan, np.nan
    unknown = np.isnan(Pose25D().fit(poses).transform(poses, camera=CAMERA))
    assert unknown[0].all(axis=1).sum() == 1
    assert unknown[1, :, 2].all()
    assert not unknown[2:].any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda y: Pose25D(root="elbow").fit(y), InputError, "root: expected one of"),
        (lambda y: Pose25D(bone=("wrist",)).fit(y), InputError, "bone: expected the names"),
        (lambda y: Pose25D().fit(y[:, :14]), InputError, "X: expected poses of 21 joints, got 14"),
        (lambda y: Pose25D().fit(HandFrames(side=["left"])), InputError, "pose3d: X needs this column"),
        (lambda y: Pose25D().transform(y), CameraError, "camera: expected the intrinsics"),
        (lambda y: Pose25D().inverse_transform(HandFrames(pose3d=y)), InputError, "scale: X needs"),
        (lambda y: Pose25D().inverse_transform(y, CAMERA, [1.0]), InputError, "scale: expected"),
    ],
)
def test_bad_input_is_named(poses, call, error, message):
    with pytest.raises(error, match=message):
        call(poses)
