"""Generated scenes: what they show, and that they depend on the seed and the row only."""

import numpy as np
import pytest
import torch

from skhand import HandFrames
from skhand.datasets import make_scenes
from skhand.datasets._scenes import _source, load_pool, render_backgrounds, render_hands
from skhand.estimators import LatentHeatmapRegressor
from skhand.exceptions import InputError
from skhand.preprocessing import HandCropper
from skhand.rendering.scenes import GROUNDS, SCENE_NUMBERS, SLOTS, compose_scenes, find_arms
from skhand.tracking._crops import judge_poses


@pytest.fixture(scope="module")
def scenes():
    return make_scenes(24, image_size=96, random_state=3)


@pytest.fixture(scope="module")
def pool():
    arrays = render_hands(5, np.arange(8), 96)
    return load_pool({**arrays, "backgrounds": render_backgrounds(5, np.arange(4), 64)})


def compose(pool, numbers, n=None):
    n = len(numbers) if n is None else n
    hands, grounds = (
        torch.arange(n * SLOTS).view(n, SLOTS) % 8,
        torch.arange(n * GROUNDS).view(n, GROUNDS) % 4,
    )
    return compose_scenes(pool, hands, grounds, numbers[:n], torch.zeros(n, 3, 96, 96))


def test_a_scene_depends_on_its_seed_and_row_only(scenes):
    fewer = make_scenes(5, image_size=96, random_state=3)
    others = make_scenes(5, image_size=96, random_state=4)
    assert np.array_equal(fewer.pictures, scenes.pictures[:5])
    assert np.array_equal(fewer.data.box, scenes.data.box[scenes.data.picture < 5])
    assert not np.array_equal(fewer.pictures, others.pictures)


def test_scenes_have_none_to_two_hands_of_many_sizes(scenes):
    counts = np.bincount(scenes.data.picture, minlength=24)
    assert set(counts) == {0, 1, 2}
    assert set(scenes.data.side) == {"left", "right"}
    longest = scenes.data.box[:, 2:].max(axis=1) / 96
    assert longest.min() < 0.2 and longest.max() > 0.5


def test_hands_are_rows_that_can_be_cropped(scenes):
    assert isinstance(scenes.data, HandFrames)
    crops = HandCropper(32).fit_transform(scenes.data)
    assert crops.rgb[:].shape == (len(scenes.data), 32, 32, 3)
    assert np.array_equal(crops.picture, scenes.data.picture)


def test_boxes_hold_the_joints_with_a_margin(scenes):
    low, high = scenes.data.keypoints2d.min(axis=1), scenes.data.keypoints2d.max(axis=1)
    box = scenes.data.box
    margin = np.concatenate([low - box[:, :2], box[:, :2] + box[:, 2:] - high], axis=1)
    assert (margin > 0).all()
    # the same margin on all four sides
    assert np.ptp(margin, axis=1).max() < 1e-3


def test_the_pasted_hand_lies_at_its_joints(pool):
    """Of one hand before black, most of the joints' pixels are bright and the corners are not."""
    pool.backgrounds[:] = 0
    pool.rgba[:, :3] = 255
    numbers = torch.full((1, SCENE_NUMBERS), 0.5)
    numbers[:, 0], numbers[:, 1] = 0.5, 0.9  # one hand, which is pasted
    made = compose(pool, numbers)
    assert made.shown.tolist() == [[True, False]]
    x, y = made.points[0, 0].round().long().clamp(0, 95).unbind(1)
    bright = made.pictures[0].float().mean(dim=0)
    inside = bright[y, x]
    assert (inside > bright.min() + 40).float().mean() > 0.8


def test_a_mirrored_hand_has_the_other_side(pool):
    torch.manual_seed(0)
    numbers = torch.rand(32, SCENE_NUMBERS)
    made = compose(pool, numbers)
    own = pool.is_left[torch.arange(64).view(32, 2) % 8]
    assert (made.is_left != own).any() and (made.is_left == own).any()
    # a similarity with a mirror reverses the turn of three joints
    rows = torch.arange(64).view(32, 2) % 8

    def turn(points):
        one, other = points[..., 5, :] - points[..., 0, :], points[..., 17, :] - points[..., 0, :]
        return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]

    assert torch.equal(turn(made.points) * turn(pool.points[rows]) < 0, made.is_left != own)


def test_sides_are_those_of_the_pictures(pool):
    source = _source(5, 96, 10_000, "cpu")
    poses = source.poses(np.arange(8))
    assert set(poses.is_left) == {True, False}
    # seen from the other side of the mirror, points turn the other way, and lie on the picture's hand
    ahead = poses.joints[..., :2] / poses.joints[..., 2:]
    one, other = ahead[:, 5] - ahead[:, 0], ahead[:, 17] - ahead[:, 0]
    turn = np.sign(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0])
    points = pool.points.numpy()
    one, other = points[:, 5] - points[:, 0], points[:, 17] - points[:, 0]
    seen = np.sign(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0])
    np.testing.assert_array_equal(seen == turn, ~pool.is_left.numpy())
    for i in range(8):
        x, y = points[i][poses.visible[i]].round().astype(int).clip(0, 95).T
        assert (pool.rgba[i, 3, y, x] > 0).float().mean() > 0.8, i


def test_a_pose_network_sees_the_sides_that_scenes_say():
    scenes = make_scenes(60, image_size=192, random_state=1)
    hands = scenes.data[np.flatnonzero(scenes.data.box[:, 2:].max(axis=1) > 60)]
    pose, camera = LatentHeatmapRegressor.from_pretrained(device="cpu"), np.diag([300.0, 300.0, 1.0])
    camera[:2, 2] = 96
    right = [
        judge_poses(pose, picture, box[None], np.zeros(1), np.ones(1, bool), camera)[1][0] >= 0
        for picture, box in zip(hands.rgb, hands.box, strict=True)
    ]
    assert len(right) > 20
    assert np.mean(np.where(right, "right", "left") == hands.side) > 0.7


def test_arms_leave_where_the_mask_meets_the_rim():
    mask = torch.zeros(2, 20, 20, dtype=torch.bool)
    mask[0, 10:, 4:10] = True
    arm = find_arms(mask)
    assert arm[0].tolist() == pytest.approx([6.5, 19.0, 3.0])
    assert arm[1, 2] == 0


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"n_samples": 0}, "n_samples"), ({"image_size": 32}, "image_size"), ({"device": "nowhere"}, "device")],
)
def test_wrong_arguments_are_named(arguments, name):
    with pytest.raises(InputError, match=name):
        make_scenes(**{"n_samples": 1, **arguments})
