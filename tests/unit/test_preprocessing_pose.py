"""PoseNormalizer: root-relative poses in bones, and back."""

from __future__ import annotations

import numpy as np
import pytest

from skhand import HandFrames
from skhand.exceptions import InputError
from skhand.preprocessing import PoseNormalizer

N = 7


@pytest.fixture
def poses(rng):
    return rng.normal(0, 40, (N, 21, 3)) + [0, 0, 500]


def test_by_hand(poses):
    normalised = PoseNormalizer().fit_transform(poses)
    for pose, found in zip(poses, normalised, strict=True):
        root = (pose[0] + pose[9]) / 2
        np.testing.assert_allclose(found, (pose - root) / np.linalg.norm(pose[9] - pose[10]))
    wrist = PoseNormalizer(root="wrist", scale_bone=None).fit_transform(poses)
    np.testing.assert_allclose(wrist, poses - poses[:, :1])
    np.testing.assert_allclose(
        PoseNormalizer(root=9, scale_bone=None).transform(poses), poses - poses[:, 9:10]
    )


@pytest.mark.parametrize("bone", [("middle_mcp", "middle_pip"), ("wrist", "palm"), None])
def test_the_way_back(poses, bone):
    normalizer = PoseNormalizer(scale_bone=bone)
    table = normalizer.fit_transform(HandFrames(pose3d=poses, scale=np.full(N, 3.0)))
    back = normalizer.inverse_transform(table)
    np.testing.assert_allclose(back.pose3d, poses, atol=1e-9)
    scale = None if bone is None else table.scale
    assert (table.scale == 3.0).all() == (bone is None)
    there = normalizer.transform(poses)
    np.testing.assert_allclose(normalizer.inverse_transform(there, table.root, scale), poses, atol=1e-9)
    relative = normalizer.inverse_transform(there, scale=scale)
    np.testing.assert_allclose(relative + table.root[:, None], poses, atol=1e-9)
    one = normalizer.inverse_transform(there[:1], table.root[0], None if scale is None else scale[0])
    np.testing.assert_allclose(one, poses[:1], atol=1e-9)


def test_unknown_joints_pass(poses):
    poses[0, 20], poses[1, 0] = np.nan, np.nan
    poses[2, 10] = poses[2, 9]
    normalised = PoseNormalizer().fit_transform(poses)
    assert np.isnan(normalised).all(axis=2).sum(axis=1).tolist() == [1, 21, 21, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda y: PoseNormalizer(root="elbow").fit(y), "root: expected one of"),
        (lambda y: PoseNormalizer(scale_bone=("wrist",)).fit(y), "bone: expected the names"),
        (lambda y: PoseNormalizer().fit(y[:, :14]), "21"),
        (
            lambda y: PoseNormalizer().fit(y[..., :2]),
            r"X: expected an array of shape \(n_samples, n_joints, 3\)",
        ),
        (lambda y: PoseNormalizer().fit([["a"]]), "X: expected numbers"),
        (lambda y: PoseNormalizer().fit(HandFrames(side=["left"])), "pose3d: X needs this column"),
        (lambda y: PoseNormalizer().inverse_transform(y), "scale: expected the length"),
        (lambda y: PoseNormalizer().inverse_transform(y, scale=[1.0]), "scale: expected shape"),
        (lambda y: PoseNormalizer().inverse_transform(y, y[0], 1.0), "root: expected shape"),
    ],
)
def test_bad_input_is_named(poses, call, message):
    with pytest.raises(InputError, match=message):
        call(poses)
