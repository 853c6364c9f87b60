"""2.5D poses: the quadratic of Iqbal et al. against a numeric solution, made hands and RHD's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from skhand.exceptions import CameraError, InputError
from skhand.geometry import decode_25d, encode_25d, project
from skhand.skeleton import root_position

CAMERA = np.array([[600.0, 2.0, 150.0], [0.0, 580.0, 170.0], [0.0, 0.0, 1.0]])
CHOICES = [
    ("palm", ("index_mcp", "wrist")),
    ("wrist", ("index_mcp", "palm")),
    (9, ("middle_mcp", "middle_pip")),
]


@pytest.fixture
def joints(rng):
    return rng.normal(0, 40, (30, 21, 3)) + [20, -30, 500]


@pytest.mark.parametrize(("root", "bone"), CHOICES)
def test_encoded_poses_are_pixels_and_depths_in_bones(joints, root, bone):
    points, scale = encode_25d(joints, CAMERA, root=root, bone=bone)
    np.testing.assert_allclose(points[..., :2], project(joints, CAMERA))
    ends = [root_position(joints, name) for name in bone]
    np.testing.assert_allclose(scale, np.linalg.norm(ends[0] - ends[1], axis=1))
    depth = joints[..., 2] - root_position(joints, root)[:, None, 2]
    np.testing.assert_allclose(points[..., 2] * scale[:, None], depth, atol=1e-9)


@pytest.mark.parametrize(("root", "bone"), CHOICES)
def test_decoding_gives_the_poses_back(joints, root, bone):
    points, scale = encode_25d(joints, CAMERA, root=root, bone=bone)
    back = decode_25d(points, CAMERA, scale, root=root, bone=bone)
    np.testing.assert_allclose(back.joints, joints, atol=1e-6)
    np.testing.assert_allclose(back.root_depth, root_position(joints, root)[:, 2], atol=1e-6)
    assert not back.clamped.any()
    free = decode_25d(points, CAMERA, root=root, bone=bone)
    np.testing.assert_allclose(free.joints * scale[:, None, None], joints, atol=1e-6)
    one = decode_25d(points[:1], CAMERA, scale[0], root=root, bone=bone)
    np.testing.assert_array_equal(one.joints, back.joints[:1])


def test_the_root_depth_is_where_the_bone_has_its_length(joints):
    """Also of disturbed poses, against a root finder on the bone's length itself."""
    points, _ = encode_25d(joints, CAMERA)
    points += np.random.default_rng(1).normal(0, [1, 1, 0.02], points.shape)
    rays = np.concatenate([points[..., :2], np.ones((30, 21, 1))], axis=-1) @ np.linalg.inv(CAMERA).T

    def too_long(z, row):
        ends = [(z + points[row, joint, 2]) * rays[row, joint] for joint in (5, 0)]
        return np.linalg.norm(ends[0] - ends[1]) - 1

    found = decode_25d(points, CAMERA).root_depth
    wanted = [
        brentq(too_long, z - 0.3 * abs(z), z + 100 * abs(z), args=(row,)) for row, z in enumerate(found)
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_what_cannot_be_is_counted():
    points = np.zeros((5, 21, 3))
    points[..., :2] = CAMERA[:2, 2]
    points[0, 5, :2] += 60.0, 0.0  # the bone across: one depth before, one behind the camera
    points[1, 5] += 60.0, 0.0, 1.4  # longer than it is, whatever the depth
    points[2, 5] += 60.0, 0.0, -0.999  # towards the camera
    points[2, :, 0] += 3000.0
    points[3, 5, 2] = 0.5  # two ends at one pixel: no depth fits
    points[4, 5] += 60.0, 0.0, -1.4  # longer than it is, and towards the camera
    back = decode_25d(points, CAMERA)
    np.testing.assert_array_equal(back.clamped, [False, True, False, False, True])
    np.testing.assert_array_equal(back.ambiguous, [False, False, True, False, False])
    np.testing.assert_allclose(back.root_depth[0], 600 / 60)
    assert np.isfinite(back.joints[[0, 1, 2, 4]]).all()
    assert np.isnan(back.joints[3]).all()


@pytest.mark.parametrize("towards", [-1.4, 1.4])
def test_where_no_depth_fits_the_bone_comes_as_near_to_its_length_as_it_can(towards):
    """A bone 0.1 wide in normalised coordinates: (z + 1.4) 0.1 across and 1.4 along, shortest at z = -1.4."""
    points = np.zeros((1, 21, 3))
    points[..., :2] = CAMERA[:2, 2]
    points[0, 5] += 60.0, 0.0, towards
    back = decode_25d(points, CAMERA)
    assert back.clamped.all()

    def off(z):
        return np.hypot(0.1 * (z + towards), towards) - 1

    best = minimize_scalar(off, bracket=(-10.0, 10.0))
    np.testing.assert_allclose(best.x, -towards, atol=1e-6)
    np.testing.assert_allclose(back.root_depth, -towards)


@pytest.mark.parametrize("unit", [1.0, 1e-3])
def test_the_unit_of_the_poses_is_free_and_a_bone_of_no_length_has_no_depths(joints, unit):
    joints[1, 5] = joints[1, 0]
    points, scale = encode_25d(joints * unit, CAMERA)
    assert scale[1] == 0 and np.isnan(points[1, :, 2]).all() and np.isfinite(points[1, :, :2]).all()
    np.testing.assert_allclose(
        np.delete(points, 1, axis=0), np.delete(encode_25d(joints, CAMERA).points, 1, axis=0)
    )


def test_unknown_joints_stay_unknown(joints):
    joints[0, 20], joints[1, 0] = np.nan, np.nan
    points, scale = encode_25d(joints, CAMERA)
    back = decode_25d(points, CAMERA, scale).joints
    assert np.isnan(back[0]).any(axis=1).tolist() == [False] * 20 + [True]
    assert np.isnan(back[1]).all()
    np.testing.assert_allclose(back[2:], joints[2:], atol=1e-6)
    assert np.isfinite(back[2:]).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: encode_25d(np.zeros((2, 14, 3)), CAMERA), InputError, "joints: .*21"),
        (lambda: encode_25d(np.zeros((2, 21, 3)), None), CameraError, "camera"),
        (lambda: encode_25d(np.zeros((2, 21, 3)), CAMERA, root="elbow"), InputError, "root: "),
        (lambda: encode_25d(np.zeros((2, 21, 3)), CAMERA, bone=("wrist",)), InputError, "bone: "),
        (lambda: decode_25d(np.zeros((2, 21, 2)), CAMERA), InputError, "points: "),
        (lambda: decode_25d(np.zeros((2, 21, 3)), CAMERA, bone="wrist"), InputError, "bone: "),
        (lambda: decode_25d(np.zeros((2, 21, 3)), CAMERA, bone=("wrist",)), InputError, "bone: "),
        (lambda: decode_25d(np.zeros((2, 21, 3)), CAMERA, bone=("wrist",) * 3), InputError, "bone: "),
        (lambda: decode_25d(np.zeros((2, 21, 3)), CAMERA, [1.0]), InputError, "scale: .*2"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(("root", "n_ambiguous"), [("palm", 32), ("wrist", 37)])
@pytest.mark.parametrize(("end", "n_other"), [("palm", 5), ("wrist", 7)])
def test_rhd_comes_back_but_for_the_few_rows_of_the_other_root(real_data, root, n_ambiguous, end, n_other):
    """Where 2aZ + b > 0 the larger root is the true one; the few others are among the ambiguous rows."""
    with np.load(real_data / "poses" / "rhd_poses.npz") as rhd:
        joints, camera = rhd["joints_mm"].astype(np.float64), rhd["K"]
    bone = ("index_mcp", end)
    points, scale = encode_25d(joints, camera, root=root, bone=bone)
    back = decode_25d(points, camera, scale, root=root, bone=bone)
    off = np.abs(back.joints - joints).max(axis=(1, 2))
    wrong = np.abs(back.root_depth - root_position(joints, root)[:, 2]) > 1e-3
    assert off[~wrong].max() < 1e-6
    assert wrong.sum() == n_other
    assert back.ambiguous[wrong].all()
    assert back.clamped.sum() == 0
    if end == "wrist":
        assert back.ambiguous.sum() == n_ambiguous
