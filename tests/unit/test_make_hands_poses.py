"""The pose side of the generator: random numbers by row, kinematics, contact, gestures, people."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from skhand.datasets._hands.contact import overlap
from skhand.datasets._hands.draws import Draws, raw_bytes, to_choice
from skhand.datasets._hands.gestures import GESTURES, WEIGHTS, draw_poses
from skhand.datasets._hands.kinematics import ANGLES, LIMITS, forward_kinematics
from skhand.datasets._hands.subjects import MEAN_BASES, MEAN_LENGTHS, draw_subjects

MASK = 2**64 - 1
FINGERS = ("thumb", "index", "middle", "ring", "little")


def scramble(value):
    """The finaliser of SplitMix64, in Python's integers."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def make_poses(rows, seed=0, weights=None):
    """Angles, gestures, joints and bone lengths of the rows, each row its own person."""
    people = draw_subjects(seed, rows)
    angles, gesture = draw_poses(Draws(seed, "pose", rows, 320), people.bases, people.lengths, weights)
    joints, _, _ = forward_kinematics(angles, people.bases, people.lengths)
    return angles, gesture, joints, people.lengths


def only(name):
    """Weights that draw one gesture."""
    return np.array([float(gesture == name) for gesture in GESTURES])


@pytest.fixture(scope="module")
def poses():
    return make_poses(np.arange(4000))


def test_draws_are_splitmix64():
    step = 0x9E3779B97F4A7C15
    rows = np.array([0, 5, 2**40])
    block = Draws(77, "look", rows, 6).uniform(6)
    for row, numbers in zip(rows.tolist(), block, strict=True):
        key = scramble((scramble(77 | (2 << 32)) + row * step) & MASK)
        expected = [(scramble((key + k * step) & MASK) >> 11) / 2**53 for k in range(1, 7)]
        assert numbers.tolist() == expected


def test_draws_are_uniform_and_independent():
    n, size = 3000, 100
    block = Draws(1, "pose", np.arange(n), size).uniform(size)
    # chi-square of 256 cells: mean 255, standard deviation 22.6
    counts = np.histogram(block, 256, (0, 1))[0]
    assert abs(((counts - n * size / 256) ** 2 / (n * size / 256)).sum() - 255) < 5 * 22.6
    others = (
        Draws(2, "pose", np.arange(n), size).uniform(size),
        Draws(1, "look", np.arange(n), size).uniform(size),
        np.roll(block, 1, axis=0),
        np.roll(block, 1, axis=1),
    )
    for other in others:  # a correlation has a standard deviation of 1 / sqrt(300 000)
        assert abs(np.corrcoef(block.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(n * size)
    columns = np.corrcoef(block.T) - np.eye(size)
    assert np.abs(columns).max() < 5.5 / np.sqrt(n)
    pairs = np.histogram2d(block[:, ::2].ravel(), block[:, 1::2].ravel(), 16, [(0, 1), (0, 1)])[0]
    expected = n * size / 2 / 256
    assert abs(((pairs - expected) ** 2 / expected).sum() - 255) < 5 * 22.6


def test_draws_give_out_what_they_hold_and_no_more():
    draws = Draws(0, "pose", np.arange(3), 10)
    first, second = draws.uniform(2, 3), draws.uniform(low=-1.0, high=1.0)
    assert first.shape == (3, 2, 3) and second.shape == (3,)
    whole = Draws(0, "pose", np.arange(3), 10).uniform(7)
    np.testing.assert_array_equal(first.reshape(3, 6), whole[:, :6])
    np.testing.assert_allclose(second, 2 * whole[:, 6] - 1, atol=1e-15)
    with pytest.raises(IndexError, match="may draw 10 numbers, 11 were asked for"):
        draws.uniform(4)


def test_normal_numbers_and_choices_follow_their_distribution():
    draws = Draws(4, "pose", np.arange(20000), 4)
    normal = draws.normal(3)
    # standard errors of 60 000 numbers: 0.0041 of the mean, 0.0029 of the deviation
    assert abs(normal.mean()) < 0.02 and abs(normal.std() - 1) < 0.015 and abs((normal**3).mean()) < 0.06
    shares = np.bincount(draws.choice(np.array([0.0, 3.0, 0.0, 1.0, 0.0])), minlength=5) / 20000
    np.testing.assert_allclose(shares, [0, 0.75, 0, 0.25, 0], atol=0.015)
    edges = np.array([0.0, np.nextafter(1.0, 0.0)])
    assert to_choice(edges, np.array([0.0, 1.0, 1.0, 0.0])).tolist() == [1, 2]


def test_raw_bytes_are_uniform_and_belong_to_their_row():
    raw = raw_bytes(3, "noise", np.arange(50), (7, 61))
    assert raw.shape == (50, 7, 61) and raw.dtype == np.uint8
    counts, expected = np.bincount(raw.ravel(), minlength=256), raw.size / 256
    assert abs(((counts - expected) ** 2 / expected).sum() - 255) < 5 * 22.6
    np.testing.assert_array_equal(raw_bytes(3, "noise", np.array([31, 8]), (7, 61)), raw[[31, 8]])


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_pose_is_the_same_bits_in_any_chunk(size):
    rows = np.arange(100, 228)
    whole = make_poses(rows)
    for start in range(0, len(rows), size):
        part = make_poses(rows[start : start + size])
        for one, two in zip(whole, part, strict=True):
            np.testing.assert_array_equal(one[start : start + size], two)


def test_kinematics_are_a_chain_of_rotations(rng):
    n = 20
    angles = rng.uniform(LIMITS[:, 0], LIMITS[:, 1], (n, 22))
    people = draw_subjects(0, np.arange(n))
    joints, frames, palm = forward_kinematics(angles, people.bases, people.lengths)
    roll, fan, cup = (-6, 0, 7, 14), (1, -6, -10, -17), (0, 0, 0, 0.5, 1)

    def turn(axis, degrees):
        return Rotation.from_euler(axis, degrees, degrees=True)

    for i in range(n):
        radial, palmar, twist = angles[i, :3]
        for digit in range(5):
            base = turn("y", cup[digit] * angles[i, 21])
            if digit:
                abduction, *bends = angles[i, 1 + 4 * digit : 5 + 4 * digit]
                here = base * turn("y", roll[digit - 1]) * turn("z", -abduction - fan[digit - 1])
            else:
                here, bends = turn("z", -radial) * turn("x", palmar) * turn("y", twist), [0, *angles[i, 3:5]]
            place = base.apply(people.bases[i, digit])
            np.testing.assert_allclose(joints[i, 1 + 4 * digit], place, atol=1e-9)
            np.testing.assert_allclose(palm[i, digit], base.as_matrix(), atol=1e-12)
            for bone in range(3):
                here = here * turn("x", bends[bone])
                place = place + here.apply([0, people.lengths[i, digit, bone], 0])
                np.testing.assert_allclose(joints[i, 2 + 4 * digit + bone], place, atol=1e-9)
                np.testing.assert_allclose(frames[i, digit, bone], here.as_matrix(), atol=1e-12)


def balls(joints, lengths, per_bone):
    """Bones as rows of balls: centres, radii, digit (5 the palm) and bone of each ball."""
    radii = [
        (9.0, 10.0, 9.4, 7.2),
        (9.4, 9.0, 7.9, 6.6),
        (9.5, 9.2, 8.1, 6.8),
        (9.0, 8.6, 7.6, 6.4),
        (8.0, 7.4, 6.6, 5.6),
    ]
    size = lengths.sum(axis=(1, 2)) / MEAN_LENGTHS.sum()
    centres, sizes, owners = [], [], []
    for share in np.linspace(0, 1, per_bone):
        for digit in range(5):
            chain = joints[:, 1 + 4 * digit : 5 + 4 * digit]
            for bone in range(3):
                centres.append(chain[:, bone] * (1 - share) + chain[:, bone + 1] * share)
                sizes.append(radii[digit][bone] * (1 - share) + radii[digit][bone + 1] * share)
                owners.append((digit, bone))
            if digit:
                along = 0.3 + 0.55 * share
                centres.append(joints[:, 0] * (1 - along) + chain[:, 0] * along)
                sizes.append(11.0)
                owners.append((5, 0))
    return np.stack(centres, axis=1), size[:, None] * np.array(sizes), np.array(owners)


def dense_overlap(joints, lengths, per_bone=9):
    """Deepest overlap of balls that do not touch by nature, mm."""
    centres, radii, owners = balls(joints, lengths, per_bone)
    digit, bone = owners.T
    deepest = np.full(len(joints), -np.inf)
    for k in range(len(owners)):
        fingers = (digit > digit[k]) & (digit < 5) & ((bone[k] > 0) | (bone > 0))
        palm = (digit == 5) & (digit[k] < 5) & (bone[k] == 2)
        others = fingers | palm
        if others.any():
            gap = np.linalg.norm(centres[:, others] - centres[:, [k]], axis=-1)
            deepest = np.maximum(deepest, (radii[:, others] + radii[:, [k]] - gap).max(axis=1))
    return deepest


def test_overlap_is_that_of_dense_balls(poses):
    _, _, joints, lengths = poses
    dense = dense_overlap(joints[:100], lengths[:100], per_bone=40)
    # balls about 1 mm apart miss little of the deepest point; a taper's deepest point lies beside the axes'
    np.testing.assert_allclose(overlap(joints[:100], lengths[:100]), dense, atol=0.3)


def test_parts_of_poses_seldom_overlap(poses, rng):
    _, _, joints, lengths = poses
    dense = dense_overlap(joints[:1500], lengths[:1500])
    assert (overlap(joints, lengths) > 8).mean() < 0.02 and (dense > 8).mean() < 0.02
    assert (dense > 5).mean() < 0.08
    # angles drawn at random within the same limits do overlap
    angles = rng.uniform(LIMITS[:, 0], LIMITS[:, 1], (500, 22))
    people = draw_subjects(0, np.arange(500))
    joints, _, _ = forward_kinematics(angles, people.bases, people.lengths)
    assert (dense_overlap(joints, people.lengths) > 8).mean() > 0.2


def test_angles_stay_inside_their_limits_and_use_them(poses):
    angles, gesture, _, _ = poses
    assert (angles >= LIMITS[:, 0]).all() and (angles <= LIMITS[:, 1]).all()
    assert (np.ptp(angles, axis=0) > 0.5 * np.ptp(LIMITS, axis=1)).all()
    shares = np.bincount(gesture, minlength=len(GESTURES)) / len(gesture)
    # largest standard deviation of a share here: 0.006
    np.testing.assert_allclose(shares, WEIGHTS / WEIGHTS.sum(), atol=0.03)


def test_flexion_goes_together_in_neighbouring_fingers():
    angles, _, _, _ = make_poses(np.arange(2000), weights=only("relaxed"))
    mcp = angles[:, [ANGLES.index(f"{finger}_mcp") for finger in FINGERS[1:]]]
    correlation = np.corrcoef(mcp.T)
    assert correlation[0, 1] > 0.3 and correlation[0, 1] > correlation[0, 3] + 0.1


STRETCHED = {
    "open": "index middle ring little",
    "flat": "index middle ring little",
    "fist": "",
    "thumb up": "",
    "point": "index",
    "L": "index",
    "victory": "index middle",
    "three": "index middle ring",
    "four": "index middle ring little",
    "horns": "index little",
    "call me": "little",
    "middle finger": "middle",
    "last three": "middle ring little",
    "ring finger down": "index middle little",
    "ok": "middle ring little",
}


@pytest.mark.parametrize("name", STRETCHED)
def test_gestures_stretch_the_fingers_they_are_known_by(name):
    _, gesture, joints, lengths = make_poses(np.arange(200), weights=only(name))
    assert (gesture == GESTURES.index(name)).all()
    reach = np.linalg.norm(joints[:, 8::4] - joints[:, 5::4], axis=-1) / lengths[:, 1:].sum(axis=2)
    for finger, stretch in zip(FINGERS[1:], reach.T, strict=True):
        if finger in STRETCHED[name].split():
            assert np.median(stretch) > 0.93, finger
        else:
            assert np.median(stretch) < 0.9, finger
    # the thumb of these stands off the hand, whose index finger's knuckle is 24 mm from the middle's
    assert (np.median(joints[:, 4, 0]) > 60) == (name in ("open", "thumb up", "L", "call me"))


@pytest.mark.parametrize(
    ("name", "digit"),
    [("ok", 1), ("pinch", 1), ("pinch, middle", 2), ("pinch, ring", 3), ("pinch, little", 4), ("purse", 2)],
)
def test_pinching_tips_meet(name, digit):
    _, _, joints, _ = make_poses(np.arange(200), weights=only(name))
    gaps = np.linalg.norm(joints[:, [8, 12, 16, 20]] - joints[:, [4]], axis=-1)
    # pads touch when the tips are about 13 mm apart
    assert np.median(gaps[:, digit - 1]) < 15 and np.percentile(gaps[:, digit - 1], 90) < 22
    assert name == "purse" or (gaps.argmin(axis=1) == digit - 1).mean() > 0.9


def test_every_gesture_can_be_made_without_overlap():
    for name in GESTURES:
        _, _, joints, lengths = make_poses(np.arange(100), weights=only(name))
        assert np.median(overlap(joints, lengths)) < 5.0, name
        assert (overlap(joints, lengths) > 8.0).mean() < 0.2, name


def test_weights_choose_among_gestures():
    weights = only("fist") + 3 * only("open")
    angles, gesture, _, _ = make_poses(np.arange(1000), weights=weights)
    assert set(gesture) == {GESTURES.index("fist"), GESTURES.index("open")}
    assert abs((gesture == GESTURES.index("open")).mean() - 0.75) < 0.05
    pips = angles[:, [ANGLES.index(f"{finger}_pip") for finger in FINGERS[1:]]].mean(axis=1)
    # named gestures are not blended: fingers bent by 100 and by 8 degrees stay far apart
    assert pips[gesture == GESTURES.index("fist")].min() > 65
    assert pips[gesture == GESTURES.index("open")].max() < 30


def test_free_poses_fill_the_room_between_gestures():
    angles, gesture, _, _ = make_poses(np.arange(2000), weights=only("free"))
    assert (gesture == GESTURES.index("free")).all()
    # each finger is straight, half bent and folded at times, and so are two neighbours independently
    bent = np.digitize(angles[:, [ANGLES.index(f"{finger}_pip") for finger in FINGERS[1:]]], [30, 70])
    for one, two in ((0, 1), (1, 2), (2, 3)):
        together = np.histogram2d(bent[:, one], bent[:, two], [0, 1, 2, 3])[0] / len(bent)
        assert together.min() > 0.02
    assert (angles[:, :5].std(axis=0) > 12).all()


def test_people_differ_as_much_as_asked():
    numbers = np.arange(60)
    same, one, two = (draw_subjects(5, numbers, shape=shape) for shape in (0.0, 1.0, 2.0))
    np.testing.assert_allclose(same.bases, np.broadcast_to(MEAN_BASES, (60, 5, 3)))
    np.testing.assert_allclose(same.lengths, np.broadcast_to(MEAN_LENGTHS, (60, 5, 3)))
    assert (same.thickness == 1).all()
    total = np.array([people.lengths.sum(axis=(1, 2)) for people in (same, one, two)])
    deviation = total.std(axis=1) / total.mean(axis=1)
    # size 7%, cut at two deviations, with the bones' own beside it
    assert deviation[0] < 1e-12 and 0.05 < deviation[1] < 0.09 and 1.7 < deviation[2] / deviation[1] < 2.3
    np.testing.assert_array_equal(draw_subjects(5, numbers[[40, 3]]).lengths, one.lengths[[40, 3]])


def test_skin_stays_in_its_range():
    numbers = np.arange(200)
    ranges = ((0.0, 0.2), (0.0, 1.0), (0.8, 1.0))
    light, any_tone, dark = (draw_subjects(5, numbers, skin=skin).skin.mean(axis=1) for skin in ranges)
    assert light.min() > dark.max()
    assert any_tone.min() < np.median(dark) and any_tone.max() > np.median(light)
    whole, one = draw_subjects(5, numbers), draw_subjects(5, numbers, skin=(0.5, 0.5))
    np.testing.assert_array_equal(whole.lengths, one.lengths)
    assert np.ptp(one.palm_shift, axis=0).max() == 0.0
