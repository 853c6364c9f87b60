"""The table that make_hands returns: geometry, seeds, sides, people and errors."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from skhand.datasets import make_hands
from skhand.exceptions import InputError
from skhand.rendering.gestures import GESTURES
from skhand.rendering.kinematics import ANGLES, LIMITS
from skhand.skeleton import JOINTS

PARENTS = [0, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19]
MIRROR = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def poses():
    """Two thousand hands without pictures."""
    return make_hands(2000, images=(), n_subjects=5, random_state=0)


@pytest.fixture(scope="module")
def small():
    """A dozen hands with all three pictures."""
    return make_hands(12, image_size=40, random_state=7)


def test_bunch_has_the_documented_fields(small):
    data = small.data
    assert data.rgb.shape == (12, 40, 40, 3) and data.rgb.dtype == np.uint8
    assert data.depth.shape == (12, 40, 40) and data.depth.dtype == np.float32
    assert data.mask.shape == (12, 40, 40) and data.mask.dtype == np.bool_
    assert data.keypoints2d.shape == (12, 21, 2) and data.camera.shape == (12, 3, 3)
    assert small.target.shape == (12, 21, 3) and small.visible.shape == (12, 21)
    assert small.angles.shape == (12, 22) and len(small.angle_names) == len(ANGLES) == 22
    assert tuple(small.joint_names) == JOINTS
    assert set(small.gesture) <= set(GESTURES) and set(data.domain) == {"synthetic"}
    assert "What is not" in small.DESCR
    both = make_hands(3, image_size=16, random_state=7, return_X_y=True)
    assert len(both) == 2 and np.array_equal(both[1], small.target[:3])


def test_2d_is_the_projection_of_3d(poses):
    camera, joints = poses.data.camera, poses.target
    homogeneous = np.einsum("nij,nkj->nki", camera, joints)
    expected = homogeneous[..., :2] / homogeneous[..., 2:]
    assert np.abs(poses.data.keypoints2d - expected).max() < 0.01


def test_columns_follow_from_the_joints(poses):
    joints, data = poses.target, poses.data
    np.testing.assert_allclose(data.scale, np.sqrt(((joints[:, 10] - joints[:, 9]) ** 2).sum(1)))
    np.testing.assert_allclose(data.root, (joints[:, 0] + joints[:, 9]) / 2)
    x, y, width, height = data.box.T
    pixels = data.keypoints2d
    assert (pixels[..., 0].min(1) > x).all() and (pixels[..., 0].max(1) < x + width).all()
    assert (pixels[..., 1].min(1) > y).all() and (pixels[..., 1].max(1) < y + height).all()
    # the crop holds the hand with a margin, and not much more
    inside = ((pixels > -0.5) & (pixels < 127.5)).all(axis=-1)
    assert inside.mean() > 0.99
    assert (np.maximum(width, height) > 128 / 2.0).all()
    assert (joints[..., 2] > 100).all() and (np.median(joints[..., 2], axis=1) < 1000).all()


def test_angles_stay_inside_their_limits(poses):
    assert (poses.angles >= LIMITS[:, 0]).all() and (poses.angles <= LIMITS[:, 1]).all()
    # each angle moves: the table of limits is used, and not a constant pose
    assert (poses.angles.std(axis=0) > 2.0).all()
    assert len(set(poses.gesture)) == len(GESTURES)


def test_joint_bends_are_the_reported_angles(poses):
    joints = poses.target
    for finger, start in (("index", 5), ("little", 17)):
        before, after = joints[:, start + 1] - joints[:, start], joints[:, start + 2] - joints[:, start + 1]
        cosine = (before * after).sum(1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
        reported = poses.angles[:, ANGLES.index(f"{finger}_pip")]
        np.testing.assert_allclose(np.degrees(np.arccos(np.clip(cosine, -1, 1))), np.abs(reported), atol=1e-3)


def test_bone_lengths_belong_to_the_person(poses):
    lengths = np.linalg.norm(poses.target - poses.target[:, PARENTS], axis=-1)
    assert set(poses.groups) == set(range(5))
    for person in range(5):
        own = lengths[poses.groups == person]
        assert np.ptp(own, axis=0).max() < 1e-9
    assert len({round(float(row[9]), 3) for row in lengths}) == 5
    # adult hands: wrist to middle MCP, and the middle finger's proximal bone
    assert lengths[:, 9].min() > 70 and lengths[:, 9].max() < 115
    assert lengths[:, 10].min() > 33 and lengths[:, 10].max() < 62


def test_fingers_seldom_run_through_each_other(poses):
    share = np.linspace(0.0, 1.0, 9)[:, None]
    chains = poses.target[:, 1:].reshape(-1, 5, 4, 3)[:, :, 1:, None]
    axes = (chains[:, :, :-1] * (1 - share) + chains[:, :, 1:] * share).reshape(-1, 5, 18, 3)
    closest = np.full(len(axes), np.inf)
    for one in range(5):
        for two in range(one):
            gaps = np.linalg.norm(axes[:, one, :, None] - axes[:, two, None], axis=-1)
            closest = np.minimum(closest, gaps.min(axis=(1, 2)))
    # fingers are about 15 mm thick
    assert (closest < 7).mean() < 0.08
    assert (closest < 4).mean() < 0.02


@pytest.mark.parametrize("largest", [0.0, 40.0])
def test_rotation_bounds_the_view(largest):
    joints = make_hands(200, images=(), side="right", rotation=largest, random_state=1).target
    up = joints[:, 9] - joints[:, 0]
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    across = joints[:, 5] - joints[:, 17]
    across -= (across * up).sum(1, keepdims=True) * up
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    # columns radial, distal, palmar; the frontal view has them right, up and to the camera
    frame = np.stack([across, up, np.cross(across, up)], axis=2)
    trace = np.einsum("nij,ij->n", frame, np.diag([1.0, -1.0, -1.0]))
    angle = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    assert angle.max() < largest + 16  # palms cup, and people's are not alike
    assert abs(np.median(angle) - largest / 2) < 6


def test_full_rotation_reaches_every_view(poses):
    joints = poses.target
    up = joints[:, 9] - joints[:, 0]
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    for axis in range(3):
        assert up[:, axis].min() < -0.9 and up[:, axis].max() > 0.9


def test_rows_do_not_depend_on_how_many_are_made(small):
    for n in (1, 5):
        fewer = make_hands(n, image_size=40, random_state=7)
        assert np.array_equal(fewer.target, small.target[:n])
        for name in ("rgb", "depth", "mask"):
            assert np.array_equal(getattr(fewer.data, name), getattr(small.data, name)[:n])
        assert np.array_equal(fewer.visible, small.visible[:n])
        assert np.array_equal(fewer.data.side, small.data.side[:n])


def test_lazy_pictures_are_the_same_bit_by_bit(small):
    lazy = make_hands(12, image_size=40, random_state=7, lazy=True).data
    for name in ("rgb", "depth", "mask"):
        column, made = getattr(lazy, name), getattr(small.data, name)
        assert column.shape == made.shape and column.dtype == made.dtype and column.ndim == made.ndim
        assert len(column) == 12
        assert np.array_equal(np.asarray(column), made)
        assert np.array_equal(column[3], made[3])
        assert np.array_equal(column[-2:], made[-2:])
        assert np.array_equal(column[np.array([9, 0, 9])], made[[9, 0, 9]])
        assert column[[]].shape == (0, *made.shape[1:])
    assert np.array_equal(lazy[[8, 2]].rgb[:], small.data.rgb[[8, 2]])


def test_lazy_columns_pickle_small(small):
    lazy = make_hands(1000, image_size=40, random_state=7, images=("rgb",), lazy=True).data.rgb
    dumped = pickle.dumps(lazy)
    assert len(dumped) < 2000
    assert np.array_equal(pickle.loads(dumped)[[4, 11]], small.data.rgb[[4, 11]])


def test_left_is_the_mirror_image_of_right():
    right = make_hands(9, image_size=33, side="right", random_state=2)
    left = make_hands(9, image_size=33, side="left", random_state=2)
    assert set(left.data.side) == {"left"} and set(right.data.side) == {"right"}
    assert np.array_equal(left.target, right.target * MIRROR)
    assert np.array_equal(left.visible, right.visible) and np.array_equal(left.angles, right.angles)
    for name in ("rgb", "depth", "mask"):
        assert np.array_equal(getattr(left.data, name), getattr(right.data, name)[:, :, ::-1])
    mirrored = right.data.keypoints2d * [-1, 1] + [32, 0]
    np.testing.assert_allclose(left.data.keypoints2d, mirrored, atol=1e-9)
    np.testing.assert_allclose(left.data.camera[:, 0, 2], 32 - right.data.camera[:, 0, 2])
    assert set(make_hands(50, images=(), random_state=0).data.side) == {"left", "right"}


def test_random_state_forms():
    one = make_hands(2, images=(), random_state=np.random.RandomState(3)).target
    two = make_hands(2, images=(), random_state=np.random.RandomState(3)).target
    assert np.array_equal(one, two)
    assert not np.array_equal(make_hands(2, images=()).target, make_hands(2, images=()).target)
    assert not np.array_equal(one, make_hands(2, images=(), random_state=4).target)


def test_small_integers_and_iterators_are_taken():
    hands = make_hands(2, image_size=np.uint8(40), images=iter(["rgb"]), random_state=7)
    assert np.array_equal(hands.data.rgb, make_hands(2, image_size=40, random_state=7).data.rgb)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_samples", 0),
        ("n_samples", 2.5),
        ("image_size", 15),
        ("n_subjects", 0),
        ("side", "middle"),
        ("rotation", 181.0),
        ("rotation", -1.0),
        ("rotation", np.nan),
        ("images", ("rgb", "normals")),
        ("images", "rgb"),
        ("images", 3),
    ],
)
def test_bad_arguments_are_named(name, value):
    with pytest.raises(InputError, match=name):
        make_hands(**{"n_samples": 2, "image_size": 16, name: value})
