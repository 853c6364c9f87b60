"""Bone lengths and joint angles of hands that are known."""

from __future__ import annotations

import numpy as np
import pytest

from skhand.datasets import make_hands
from skhand.exceptions import InputError
from skhand.geometry import rotation_to_axis
from skhand.metrics import angle_violations, bone_length_error, joint_angles
from skhand.metrics._plausibility import ANGLES, LIMITS
from skhand.skeleton import FINGERS


def flat_right_hand():
    """Wrist at the origin, fingers straight along y, the thumb's side at x > 0, the palm facing z > 0."""
    hand = np.zeros((21, 3))
    for x, finger in zip([40.0, 25.0, 0.0, -20.0, -40.0], FINGERS, strict=True):
        first, step = (20.0, 30.0) if finger == "thumb" else (90.0, 25.0)
        for i, joint in enumerate(FINGERS[finger]):
            hand[joint] = [x, first + step * i, 0]
    return hand


def bent(finger, joint, degrees):
    """The flat hand with one joint of one finger flexed to the palm."""
    hand = flat_right_hand()
    rows = list(FINGERS[finger])[joint + 1 :]
    pivot = hand[FINGERS[finger][joint]]
    angle = np.deg2rad(degrees)
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )  # y towards z
    hand[rows] = (hand[rows] - pivot) @ turn.T + pivot
    return hand


def angle(hand, name, side="right"):
    return joint_angles(hand[None], side)[0, ANGLES.index(name)]


@pytest.mark.parametrize("degrees", [-20.0, 0.0, 35.0, 90.0])
@pytest.mark.parametrize(("joint", "name"), [(0, "index_mcp"), (1, "index_pip"), (2, "index_dip")])
def test_flexion_is_the_angle_that_was_bent(joint, name, degrees):
    hand = bent("index", joint, degrees)
    assert angle(hand, name) == pytest.approx(degrees, abs=1e-9)
    others = [a for a in ANGLES if a != name]
    assert all(abs(angle(hand, other)) < 1e-9 for other in others)


def test_bending_all_joints_adds_up_at_none_of_them():
    hand = flat_right_hand()
    y, z = hand[FINGERS["middle"][0]][1], 0.0
    for joint, total in zip(FINGERS["middle"][1:], np.deg2rad([30, 80, 120]), strict=True):
        y, z = y + 25 * np.cos(total), z + 25 * np.sin(total)
        hand[joint] = [0, y, z]
    got = [angle(hand, f"middle_{name}") for name in ("mcp", "pip", "dip")]
    np.testing.assert_allclose(got, [30, 50, 40], atol=1e-9)


def test_abduction_is_positive_to_the_thumbs_side():
    hand = flat_right_hand()
    rows = list(FINGERS["little"])[1:]
    hand[rows, 0] -= np.array([1, 2, 3]) * 25 * np.tan(np.deg2rad(20))
    assert angle(hand, "little_abduction") == pytest.approx(-20, abs=1e-9)


def test_a_left_hand_is_the_mirror_image_and_the_camera_does_not_matter():
    hand = bent("ring", 1, 70)
    turned = hand @ rotation_to_axis(np.array([0.3, -0.4, 0.9])).T + [10, 20, 500]
    np.testing.assert_allclose(
        joint_angles(turned[None], "right"), joint_angles(hand[None], "right"), atol=1e-9
    )
    mirrored = turned * [-1, 1, 1]
    np.testing.assert_allclose(
        joint_angles(mirrored[None], "left"), joint_angles(hand[None], "right"), atol=1e-9
    )
    assert angle(mirrored, "ring_pip", "right") == pytest.approx(-70, abs=1e-9)


def test_generated_hands_have_the_angles_they_were_posed_with_and_violate_nothing():
    hands = make_hands(3000, image_size=16, images=(), random_state=0)
    angles = joint_angles(hands.target, hands.data.side)
    names = list(hands.angle_names)
    for finger in ("index", "middle", "ring", "little"):
        for joint in ("pip", "dip"):
            name = f"{finger}_{joint}"
            off = angles[:, ANGLES.index(name)] - hands.angles[:, names.index(name)]
            # the axis is read off the palm and not off the finger: up to 36 degrees of roll
            assert np.percentile(np.abs(off), 90) < 3, name
    assert angle_violations(hands.target, hands.data.side) == 0


def test_real_hands_violate_next_to_nothing(real_data):
    stb = np.load(real_data / "poses" / "stb_poses.npz")["joints_mm"]
    rhd = np.load(real_data / "poses" / "rhd_poses.npz")
    assert angle_violations(stb, "left") == 0
    assert angle_violations(rhd["joints_mm"], np.where(rhd["left"], "left", "right")) < 1e-3
    # one person: the bones are as long in every frame
    assert bone_length_error(stb[1:], stb[:-1]) < 1e-3


def test_a_share_of_violations_is_counted():
    hands = np.stack([flat_right_hand(), bent("index", 1, -60), bent("index", 2, 150)])
    assert angle_violations(hands, "right") == pytest.approx(2 / (3 * 18))
    assert angle_violations(hands.reshape(3, 63), ["right"] * 3) == pytest.approx(2 / (3 * 18))
    assert LIMITS.shape == (18, 2)


def test_bone_length_error_is_in_the_unit_of_the_joints(rng):
    hand = flat_right_hand()
    longer = hand.copy()
    longer[FINGERS["index"][3]] += [0, 5.0, 0]
    assert bone_length_error([hand], [longer]) == pytest.approx(5 / 20)
    shifted = hand + rng.normal(size=3)
    assert bone_length_error([hand], [shifted]) == pytest.approx(0, abs=1e-12)


def test_unknown_joints_are_left_out():
    hand, longer = flat_right_hand(), flat_right_hand()
    longer[FINGERS["index"][3]] += [0, 5.0, 0]
    hand[FINGERS["thumb"][3]] = np.nan
    assert bone_length_error([hand], [longer]) == pytest.approx(5 / 19)
    assert angle_violations([hand], "right") == 0


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda y: bone_length_error(y, y[:1]), "y_pred"),
        (lambda y: bone_length_error(y * np.nan, y), "y_true"),
        (lambda y: bone_length_error(y[:, :20], y[:, :20]), "y_true"),
        (lambda y: joint_angles(np.repeat(y, 2, axis=1), "left"), "y"),
        (lambda y: joint_angles(y, ["left"] * 3), "side"),
        (lambda y: joint_angles(y, "both"), "side"),
        (lambda y: angle_violations(y * np.nan, "left"), "y"),
    ],
)
def test_wrong_arguments_are_named(call, name):
    with pytest.raises(InputError, match=f"^{name}: expected"):
        call(np.stack([flat_right_hand()] * 2))


def test_predictions_that_are_not_known_are_no_short_bones():
    hand = flat_right_hand()
    broken = np.stack([hand, hand])
    broken[1, FINGERS["index"][3]] = np.nan
    with pytest.raises(InputError, match="^y_pred: .*NaN in 1 of 40 bones that count, first in sample 1"):
        bone_length_error([hand, hand], broken)
    true = np.stack([hand, hand])
    true[1, FINGERS["index"][3]] = np.nan  # that bone does not count, so its prediction does not either
    assert bone_length_error(true, broken) == 0


@pytest.mark.parametrize("number", [np.inf, -np.inf])
def test_infinite_joints_are_refused(number):
    hands = np.stack([flat_right_hand()] * 2)
    broken = hands.copy()
    broken[0, 5] = number
    for call, name in (
        (lambda: bone_length_error(hands, broken), "y_pred"),
        (lambda: bone_length_error(broken, hands), "y_true"),
        (lambda: joint_angles(broken, "right"), "y"),
    ):
        with pytest.raises(InputError, match=f"^{name}: expected finite numbers"):
            call()


def test_hands_of_no_extent_violate_all_angles():
    assert angle_violations(np.zeros((2, 21, 3)), "right") == 1
    assert np.isnan(joint_angles(np.full((1, 21, 3), 7.0), "left")).all()
    assert angle_violations([flat_right_hand(), np.zeros((21, 3))], "right") == pytest.approx(0.5)
    stump = flat_right_hand()
    stump[FINGERS["ring"][3]] = stump[FINGERS["ring"][2]]  # the last bone of a finger: its DIP angle
    assert angle_violations([stump], "right") == pytest.approx(1 / 18)


def test_hands_that_are_not_known_are_not_passed_over():
    hand, lost = flat_right_hand(), np.full((21, 3), np.nan)
    with pytest.raises(InputError, match="^y: .*no known angle in 1 of 2 hands, first in sample 1"):
        angle_violations([hand, lost], "right")
    hand[FINGERS["index"][3]] = np.nan
    with pytest.warns(UserWarning, match="^y: 1 of 18 angles have a joint that is NaN"):
        assert angle_violations([hand], "right") == 0


def test_the_limits_are_the_documented_ones():
    finger = [(-45, 45), (-45, 110), (-25, 130), (-25, 110)]
    little = [(-60, 50), *finger[1:]]
    np.testing.assert_array_equal(LIMITS, [(0, 95), (0, 105), *3 * finger, *little])


@pytest.mark.parametrize("joint", range(21))
def test_a_joint_that_is_not_known_leaves_out_the_angles_that_need_it(joint):
    hand = bent("index", 1, 40)
    hand[joint] = np.nan
    n_lost = np.isnan(joint_angles([hand], "right")).sum()
    with pytest.warns(UserWarning, match=f"^y: {n_lost} of 18 angles have a joint that is NaN"):
        assert angle_violations([hand], "right") == 0


@pytest.mark.parametrize("degrees", [0.0, 35.0, 90.0])
@pytest.mark.parametrize(("joint", "name"), [(1, "thumb_mcp"), (2, "thumb_ip")])
def test_the_thumbs_angles_are_those_of_its_own_bones(joint, name, degrees):
    hand = bent("thumb", joint, degrees)
    for each in ANGLES:
        assert angle(hand, each) == pytest.approx(degrees if each == name else 0.0, abs=1e-5)
