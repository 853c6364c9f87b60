"""JointAngles, BoneLengths and CanonicalPose: hands whose angles, lengths and places are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.exceptions import InputError
from skhand.geometry import hand_axes
from skhand.metrics import joint_angles
from skhand.preprocessing import BoneLengths, CanonicalPose, JointAngles
from skhand.skeleton import BONES, FINGERS, JOINTS

FEATURES = [JointAngles(side="right"), BoneLengths(), CanonicalPose(side="right")]


def flat_hand():
    """A right hand: wrist at the origin, fingers along y, the thumb's side at x > 0, palm at z > 0."""
    hand = np.zeros((21, 3))
    for x, finger in zip([40.0, 25.0, 0.0, -20.0, -40.0], FINGERS, strict=True):
        first, step = (20.0, 30.0) if finger == "thumb" else (90.0, 25.0)
        hand[list(FINGERS[finger])] = [[x, first + step * i, 0] for i in range(4)]
    return hand


def turned(hand, finger, joint, axis, degrees):
    """Turn what lies beyond a joint (0 to 2) of a finger about an axis through it."""
    hand, rows = hand.copy(), list(FINGERS[finger])
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * np.asarray(axis, dtype=float)).as_matrix()
    pivot = hand[rows[joint]].copy()
    hand[rows[joint + 1 :]] = (hand[rows[joint + 1 :]] - pivot) @ turn.T + pivot
    return hand


def moved(hands, seed=0):
    """Hands somewhere else, turned and of another size."""
    return 1.7 * hands @ Rotation.random(random_state=seed).as_matrix().T + [30.0, -80.0, 600.0]


def angles_of(hand, side="right"):
    features = JointAngles(side=side)
    values = features.fit_transform(hand[None])[0]
    return dict(zip(features.get_feature_names_out(), values, strict=True))


@pytest.mark.parametrize("finger", ["index", "middle", "ring", "little"])
@pytest.mark.parametrize("degrees", [-20.0, 35.0, 90.0])
def test_each_finger_joint_has_the_flexion_it_was_bent_by(finger, degrees):
    for joint, name in enumerate(("mcp", "pip", "dip")):
        bent = turned(flat_hand(), finger, joint, [1, 0, 0], degrees)  # y towards z, the palm's side
        for side, hand in (("right", bent), ("left", bent * [-1, 1, 1])):
            found = angles_of(moved(hand), side)
            assert found.pop(f"{finger}_{name}") == pytest.approx(degrees, abs=1e-6)
            assert max(map(abs, found.values())) < 1e-5  # arccos of 1 is known to half the digits


@pytest.mark.parametrize("degrees", [-25.0, 15.0])
def test_abduction_is_the_turn_to_the_thumbs_side(degrees):
    hand = turned(flat_hand(), "ring", 0, [0, 0, -1], degrees)  # y towards x
    assert angles_of(moved(hand))["ring_abduction"] == pytest.approx(degrees, abs=1e-6)
    mirrored = angles_of(moved(hand * [-1, 1, 1]), "left")
    assert mirrored["ring_abduction"] == pytest.approx(degrees, abs=1e-6)


def test_the_thumb_has_two_angles_at_its_base_and_two_plain_ones():
    hand = turned(flat_hand(), "thumb", 2, [0, 0, 1], 50)
    hand = turned(hand, "thumb", 1, [1, 0, 0], 30)
    hand = turned(hand, "thumb", 0, [1, 0, 0], 20)  # out of the palm's plane first, then within it
    hand = turned(hand, "thumb", 0, [0, 0, -1], 40)
    for side, shown in (("right", hand), ("left", hand * [-1, 1, 1])):
        found = angles_of(moved(shown), side)
        assert found["thumb_radial"] == pytest.approx(40, abs=1e-6)
        assert found["thumb_palmar"] == pytest.approx(20, abs=1e-6)
        assert found["thumb_mcp"] == pytest.approx(30, abs=1e-6)
        assert found["thumb_ip"] == pytest.approx(50, abs=1e-6)


def test_generated_hands_have_the_thumb_angles_they_were_posed_with():
    hands = make_hands(200, images=(), random_state=0)
    X = hands.data.replace(pose3d=hands.target)
    features = JointAngles()
    names = features.get_feature_names_out().tolist()
    found = features.transform(X)
    np.testing.assert_array_equal(found[:, 2:], joint_angles(hands.target, hands.data.side))
    for name in ("thumb_radial", "thumb_palmar"):
        posed = hands.angles[:, list(hands.angle_names).index(name)]
        # not the same number: the frame that hands are posed in is not quite that of the palm's joints
        assert np.corrcoef(found[:, names.index(name)], posed)[0, 1] > 0.95, name


def test_bones_are_the_distances_of_their_ends():
    hand = moved(flat_hand())
    features = BoneLengths()
    lengths = features.transform(hand[None])[0]
    np.testing.assert_allclose(lengths[1:4], 1.7 * 30)
    for name, length, (parent, child) in zip(features.get_feature_names_out(), lengths, BONES, strict=True):
        assert name == f"{JOINTS[parent]}_to_{JOINTS[child]}"
        assert length == pytest.approx(np.linalg.norm(hand[child] - hand[parent]))


def test_a_moved_hand_comes_back_into_its_own_frame():
    hand = turned(flat_hand(), "index", 0, [1, 0, 0], 40)
    wanted = (hand - hand[0]) / 25
    rooted = CanonicalPose(side="right", root="wrist").transform(moved(hand)[None])
    np.testing.assert_allclose(rooted.reshape(21, 3), wanted, atol=1e-9)
    palm = CanonicalPose(side="right", scale_bone=None).transform(moved(hand).reshape(1, 63))
    np.testing.assert_allclose(palm.reshape(21, 3), 1.7 * (hand - [0, 45, 0]), atol=1e-9)


def test_left_hands_become_right_ones_unless_they_are_to_stay():
    hand = turned(flat_hand(), "index", 0, [1, 0, 0], 40)
    X = HandFrames(pose3d=np.stack([moved(hand, 1), moved(hand * [-1, 1, 1], 2)]), side=["right", "left"])
    both = CanonicalPose(root="wrist").transform(X).reshape(2, 21, 3)
    np.testing.assert_allclose(both, np.stack([hand, hand]) / 25, atol=1e-9)
    apart = CanonicalPose(root="wrist", mirror_left=False).transform(X).reshape(2, 21, 3)
    np.testing.assert_allclose(apart, np.stack([hand, hand * [-1, 1, 1]]) / 25, atol=1e-9)


def test_a_hands_frame_is_right_handed_for_right_hands_only():
    X = make_hands(20, images=(), random_state=0)
    axes = hand_axes(X.target, X.data.side)
    np.testing.assert_allclose(axes @ axes.swapaxes(1, 2), np.broadcast_to(np.eye(3), axes.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(axes), np.where(X.data.side == "left", -1, 1))
    line = np.outer(np.arange(21.0), [1.0, 2.0, 3.0])[None]  # a hand without a palm's plane
    assert np.isnan(hand_axes(line, "left")).all() and np.isnan(hand_axes(0 * line, "left")).all()


def test_unknown_joints_make_their_own_features_unknown_only():
    hand = flat_hand()
    hand[FINGERS["ring"][3]] = np.nan
    names = [name for name, value in angles_of(hand).items() if np.isnan(value)]
    assert names == ["ring_dip"]
    assert np.flatnonzero(np.isnan(BoneLengths().transform(hand[None])[0])).tolist() == [15]
    assert np.isnan(CanonicalPose(side="right").transform(hand[None])).sum() == 3


@pytest.mark.parametrize("features", FEATURES, ids=lambda each: type(each).__name__)
def test_tables_pipelines_and_clones(features):
    pandas = pytest.importorskip("pandas")
    hands = make_hands(30, images=(), side="right", random_state=0)
    names = features.get_feature_names_out()
    assert len(set(names)) == len(names) and names.dtype == object
    table = clone(features).set_output(transform="pandas").fit_transform(hands.target)
    assert isinstance(table, pandas.DataFrame) and table.columns.tolist() == names.tolist()
    values = features.transform(hands.target)
    np.testing.assert_array_equal(table.to_numpy(), values)
    flat = pandas.DataFrame(hands.target.reshape(30, 63), index=range(5, 35))
    np.testing.assert_array_equal(features.transform(flat), values)
    frames = hands.data.replace(pose3d=hands.target)
    np.testing.assert_array_equal(clone(features).set_output(transform="pandas").transform(frames), values)
    check_is_fitted(features)
    pipe = make_pipeline(features, StandardScaler())
    assert pipe.fit(hands.target).get_feature_names_out().tolist() == names.tolist()


@pytest.mark.parametrize("features", FEATURES, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_valid_tag_types,
    ],
    ids=lambda each: each.__name__,
)
def test_scikit_learns_checks_that_bring_no_data_of_their_own(features, check):
    check(type(features).__name__, clone(features))


def test_gestures_are_told_by_the_joint_angles():
    hands = make_hands(300, images=(), gestures=["fist", "open", "victory"], random_state=0)
    X = hands.data.replace(pose3d=hands.target)
    model = make_pipeline(JointAngles(), StandardScaler(), LogisticRegression()).fit(
        X[:200], hands.gesture[:200]
    )
    assert model.score(X[200:], hands.gesture[200:]) > 0.95
    search = GridSearchCV(
        make_pipeline(CanonicalPose(), HistGradientBoostingClassifier(max_iter=5)),
        {"canonicalpose__mirror_left": [True, False], "canonicalpose__scale_bone": [None, ("wrist", "palm")]},
        cv=2,
    ).fit(X[:100], hands.gesture[:100])
    assert search.best_score_ > 0.8
    both = make_union(JointAngles(), BoneLengths()).fit_transform(X)
    assert both.shape == (300, 40)


@pytest.mark.parametrize("features", [JointAngles, BoneLengths, CanonicalPose])
def test_what_is_no_hand_is_named(features):
    make = features if features is BoneLengths else lambda: features(side="left")
    hands = np.stack([flat_hand()] * 3)
    zero, infinite = hands.copy(), hands.copy()
    zero[1], infinite[2, 4, 0] = 0, np.inf
    for bad, message in [
        (zero, r"X: expected hands, got joints that are all zero in the rows \[1\]"),
        (infinite, "X: expected finite numbers"),
        (hands[:, :20], "X: expected hands of 21 joints, got 20"),
        (hands.reshape(3, 63)[:, :62], "X: expected"),
        (hands[:0], "X: expected at least 1 sample"),
        ("hand", "X: expected numbers"),
        ([[1.0], [1.0, 2.0]], "X: expected numbers"),
        (None, "X: expected"),
        (HandFrames(side=["left"]), "pose3d: X needs this column"),
    ]:
        for call in (make().fit, make().transform):
            with pytest.raises(InputError, match=message):
                call(bad)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (JointAngles(), "side: expected 'left' or 'right' for poses in an array"),
        (CanonicalPose(), "side: expected 'left' or 'right' for poses in an array"),
        (JointAngles(side="both"), "side: expected one of"),
        (CanonicalPose(side=3), "side: expected one of"),
        (CanonicalPose(side="left", mirror_left=1), "mirror_left: expected one of"),
        (CanonicalPose(side="left", root="elbow"), "root: expected one of"),
        (CanonicalPose(side="left", root=21), "root: expected the index"),
        (CanonicalPose(side="left", scale_bone="wrist"), "scale_bone: expected the names"),
    ],
)
def test_bad_parameters_are_named(features, message):
    with pytest.raises(InputError, match=message):
        features.fit(flat_hand()[None])
    if "array" in message:
        with pytest.raises(InputError, match="side: X needs this column"):
            features.fit(HandFrames(pose3d=flat_hand()[None]))
