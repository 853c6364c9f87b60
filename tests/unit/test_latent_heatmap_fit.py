"""LatentHeatmapRegressor: what it learns, from which rows, and how it goes on."""

from __future__ import annotations

import copy
import re
import warnings

import numpy as np
import pytest
from drawn import CAMERA, drawn_hands

from skhand import concat_frames
from skhand.datasets import make_hands
from skhand.estimators import LatentHeatmapRegressor
from skhand.exceptions import InputError, SideInformationError, TrainingWarning
from skhand.geometry import bone_length, bone_lengths, project
from skhand.metrics import mean_epe
from skhand.skeleton import root_position


def small(**options):
    settings = {
        "network": "paper",
        "width": 16, "fast": True, "backbone": "small", "sigma": 1.0, "lr": 5e-3, "max_epochs": 2,
        "batch_size": 16, "augment": None, "random_state": 0,
    }  # fmt: skip
    return LatentHeatmapRegressor(**{**settings, **options})


@pytest.fixture(scope="module")
def learned():
    return small(max_epochs=15, lr_schedule="cosine").fit(*drawn_hands(320, 0))


@pytest.fixture(scope="module")
def unseen():
    return drawn_hands(40, 1)


@pytest.fixture(scope="module")
def hands():
    return make_hands(48, image_size=16, rotation=60.0, images=("rgb",), random_state=0)


# ---------------------------------------------------------------- learning


def test_absolute_poses_and_places_are_read_off_pictures(learned, unseen):
    X, y = unseen
    assert mean_epe(project(y, CAMERA), learned.predict_keypoints(X), n_dims=2) < 0.8
    predicted = learned.predict(X)
    assert mean_epe(y, predicted, align="root") < 10
    root, found = root_position(y)[:, 2], root_position(predicted)[:, 2]
    assert np.abs(root - found).mean() < 0.5 * np.abs(root - root.mean()).mean()


@pytest.mark.parametrize(("heatmap", "lr"), [("direct", 5e-3), ("holistic", 2e-3)])
def test_the_other_heads_learn_too(heatmap, lr, unseen):
    X, y = unseen
    estimator = small(heatmap=heatmap, lr=lr, max_epochs=20, lr_schedule="cosine")
    estimator.fit(*drawn_hands(320, 0))
    wanted = project(y, CAMERA)
    spread = mean_epe(wanted, np.broadcast_to(wanted.mean(axis=0), wanted.shape), n_dims=2)
    assert mean_epe(wanted, estimator.predict_keypoints(X), n_dims=2) < 0.6 * spread


def test_pictures_moved_by_whole_pixels_move_the_places_by_as_much(learned, unseen):
    X, _ = unseen
    before = learned.predict_keypoints(X)
    for du, dv in [(2, 0), (0, -2), (-1, 1)]:
        moved = np.roll(X.rgb, (dv, du), axis=(1, 2))  # the border is black
        off = learned.predict_keypoints(X.replace(rgb=moved)) - before - [du, dv]
        np.testing.assert_allclose(np.median(off, axis=(0, 1)), 0, atol=0.3)
        missed = np.linalg.norm(off, axis=2)  # 0.3 px in the mean, nine in ten within 0.8 px, when measured
        assert missed.mean() < 0.6 and np.quantile(missed, 0.9) < 1.2


def test_rows_with_keypoints_only_improve_the_places(unseen):
    X, y = drawn_hands(160, 0)
    X = X.replace(keypoints2d=project(y, CAMERA))
    some = np.where(np.arange(160)[:, None, None] < 16, y, np.nan)
    alone = small(max_epochs=20).fit(X[:16], y[:16])
    mixed = small(max_epochs=20).fit(X, some)
    new, wanted = unseen[0], project(unseen[1], CAMERA)
    errors = [mean_epe(wanted, est.predict_keypoints(new), n_dims=2) for est in (alone, mixed)]
    assert errors[1] < 0.5 * errors[0]


def test_an_unseen_joint_of_a_row_without_a_pose_does_not_count(hands):
    X = hands.data.replace(visible=np.ones((48, 21), bool))
    y = np.where(np.arange(48)[:, None, None] < 24, hands.target, np.nan)
    hidden, wrong = X.visible.copy(), X.keypoints2d.copy()
    hidden[30:, 5] = False
    wrong[30:, 5] = 999.0
    told = small().fit(X.replace(visible=hidden, keypoints2d=wrong), y)
    unknown = np.where(hidden[..., None], X.keypoints2d, np.nan)
    without = small().fit(X.replace(keypoints2d=unknown), y)
    np.testing.assert_array_equal(told.predict(X), without.predict(X))


def test_unseen_joints_of_rows_with_a_pose_count(hands):
    X = hands.data
    seen = small().fit(X.replace(visible=np.ones((48, 21), bool)), hands.target)
    unseen = small().fit(X.replace(visible=np.zeros((48, 21), bool)), hands.target)
    np.testing.assert_array_equal(seen.predict(X), unseen.predict(X))


def test_data_sets_are_joined(hands):
    one, other = hands.data[:30], hands.data[30:].replace(scale=None, root=None)
    both = concat_frames([one, other])
    y = np.concatenate([hands.target[:30], np.full((18, 21, 3), np.nan)])
    whole = small().fit(hands.data, y)
    joined = small().fit(both, y)
    np.testing.assert_array_equal(joined.predict(hands.data), whole.predict(hands.data))


# ---------------------------------------------------------------- what fit keeps


def test_mean_bones_are_those_of_the_labelled_rows_or_the_users(hands):
    y = hands.target.copy()
    y[20:] = np.nan
    learned = small(max_epochs=1).fit(hands.data, y)
    np.testing.assert_allclose(learned.mean_bones_, bone_lengths(hands.target[:20]).mean(axis=0))
    told = small(max_epochs=1, mean_bones=np.full(20, 30.0)).fit(hands.data, y)
    np.testing.assert_array_equal(told.mean_bones_, 30.0)
    learned_scale, told_scale = (est.predict_25d(hands.data).scale for est in (learned, told))
    assert np.abs(learned_scale / told_scale - 1).min() > 0.01
    lengths = bone_lengths(learned.predict_25d(hands.data).joints)
    np.testing.assert_allclose((lengths**2).sum(1), (lengths * learned.mean_bones_).sum(1))  # Eq. 7


def test_ambiguous_rows_are_counted():
    """A bone that points at a near camera has two root depths: roots of a polynomial, in mm."""
    hands = make_hands(16, image_size=16, images=("rgb",), random_state=0)
    y = hands.target.copy()
    y[:8] += [300.0, 0.0, 0.0]
    y[:8, :, 2] += (200 - y[:8, 0, 2])[:, None]
    y[:8, 5] = y[:8, 0] + [30.0, 0.0, -95.0]
    n_two = 0
    for pose in y:
        tip, wrist = pose[5] / pose[5, 2], pose[0] / pose[0, 2]
        above = pose[[5, 0], 2] - root_position(pose)[2]
        slope, offset = tip - wrist, above[0] * tip - above[1] * wrist
        length = np.linalg.norm(pose[5] - pose[0])
        roots = np.roots([slope @ slope, 2 * slope @ offset, offset @ offset - length**2])
        n_two += bool((roots > 0).all())
    estimator = small(max_epochs=1).fit(hands.data.replace(keypoints2d=None), y)
    assert estimator.n_ambiguous_ == n_two > 0


def test_the_history_has_both_terms_and_alpha_zero_learns_no_depth(hands):
    estimator = small(max_epochs=3).fit(hands.data, hands.target, X_val=hands.data, y_val=hands.target)
    history = estimator.history_
    assert set(history) == {"train_loss", "xy", "depth", "depth_gradient", "seconds", "valid_epe"}
    total = np.add(history["xy"], history["depth"])
    np.testing.assert_allclose(history["train_loss"], total, rtol=1e-6)
    y, found = (
        poses - root_position(poses)[:, None] for poses in (hands.target, estimator.predict(hands.data))
    )
    per_row = np.linalg.norm(found - y, axis=2).mean(axis=1)
    assert history["valid_epe"][-1] == pytest.approx(np.median(per_row), rel=1e-6)
    assert small(alpha=0.0).fit(hands.data, hands.target).history_["depth"] == [0.0, 0.0]
    with pytest.warns(TrainingWarning, match="alpha"):
        small(alpha=1e-9, max_epochs=10).fit(hands.data[:4], hands.target[:4])


def test_neither_a_few_rows_nor_the_roots_depth_decide_the_validation_error(learned, unseen):
    X, y = unseen
    barely = copy.deepcopy(learned).set_params(warm_start=True, max_epochs=1, lr=1e-12)
    train = drawn_hands(64, 0)

    def error(poses):
        return copy.deepcopy(barely).fit(*train, X_val=X, y_val=poses).history_["valid_epe"][-1]

    plain = error(y)
    assert 0 < plain < 10
    assert error(y + [0.0, 0.0, 100.0]) == pytest.approx(plain)
    odd = np.where(np.arange(40)[:, None, None] < 2, 10 * y, y)  # 27 mm more in a mean
    assert plain <= error(odd) < 1.2 * plain


def test_partly_known_validation_poses_and_a_given_root_enter_the_error(hands):
    y = hands.target[:12].copy()
    y[3, 12:] = np.nan
    y[4] = np.nan
    estimator = small(given="root").fit(hands.data, hands.target, X_val=hands.data[:12], y_val=y)
    off = [root_position(poses)[:, None] for poses in (y, estimator.predict(hands.data[:12]))]
    missed = np.linalg.norm((y - off[0]) - (estimator.predict(hands.data[:12]) - off[1]), axis=2)
    wanted = np.median([row[np.isfinite(row)].mean() for i, row in enumerate(missed) if i != 4])
    assert estimator.history_["valid_epe"][-1] == pytest.approx(wanted, rel=1e-6)


def test_rows_without_a_given_root_train_and_are_not_validated(hands):
    """Of two data sets one has roots."""
    X = concat_frames([hands.data[:24], hands.data[24:].replace(root=None)])
    estimator = small(given="root", early_stopping=True, validation_fraction=0.25, max_epochs=6)
    estimator.fit(X, hands.target)
    rows = np.random.default_rng(estimator._split_seed).permutation(24)[:6]
    predicted = estimator.predict(X[rows])
    y, found = (poses - root_position(poses)[:, None] for poses in (hands.target[rows], predicted))
    wanted = np.median(np.linalg.norm(found - y, axis=2).mean(axis=1))
    assert min(estimator.history_["valid_epe"]) == pytest.approx(wanted, rel=1e-6)
    with pytest.raises(InputError, match="expected at least one labelled row, with its root"):
        small(given="root").fit(X, hands.target, X_val=X[24:], y_val=hands.target[24:])


def test_poses_of_the_tables_are_learned_and_validated(hands):
    X = hands.data.replace(pose3d=hands.target)
    of_table = small().fit(X[:36], X_val=X[36:])
    given = small().fit(X[:36], hands.target[:36], X_val=X[36:], y_val=hands.target[36:])
    for name in ("train_loss", "valid_epe"):
        assert of_table.history_[name] == given.history_[name]
    flat = small().fit(X[:36], hands.target[:36].reshape(36, -1), X_val=X[36:])
    assert flat.history_["valid_epe"] == given.history_["valid_epe"]
    with pytest.raises(
        InputError, match="y_val: expected targets with X_val, which has no column pose3d, got None"
    ):
        small().fit(X[:36], X_val=hands.data[36:])


# ---------------------------------------------------------------- going on


def test_partial_fit_goes_on_where_fit_stopped(hands):
    whole = small(max_epochs=2, batch_size=48).fit(hands.data, hands.target)
    parts = small(batch_size=48)
    for _ in range(2):
        parts.partial_fit(hands.data, hands.target)
    assert parts.n_iter_ == 2
    assert parts.history_["train_loss"] == pytest.approx(whole.history_["train_loss"], rel=1e-4)


def test_a_warm_start_learns_the_new_hands_bones(hands):
    estimator = small(warm_start=True).fit(hands.data, hands.target)
    first = estimator.mean_bones_
    estimator.fit(hands.data, 1.1 * hands.target)
    np.testing.assert_allclose(estimator.mean_bones_, 1.1 * first)
    assert estimator.n_iter_ == 4


def test_early_stopping_sets_labelled_rows_aside_and_keeps_the_best(hands):
    y = np.where(np.arange(48)[:, None, None] < 24, hands.target, np.nan)
    estimator = small(early_stopping=True, n_iter_no_change=2, max_epochs=12, validation_fraction=0.25)
    estimator.fit(hands.data, y)
    rows = np.random.default_rng(estimator._split_seed).permutation(24)[:6]  # a quarter of the labelled ones
    y, found = (
        poses - root_position(poses)[:, None] for poses in (y[rows], estimator.predict(hands.data[rows]))
    )
    wanted = np.median(np.linalg.norm(found - y, axis=2).mean(axis=1))
    assert min(estimator.history_["valid_epe"]) == pytest.approx(wanted, rel=1e-6)


def test_a_refused_fit_leaves_what_was_fitted(hands):
    """Each is refused when the size of the new pictures is known already."""
    estimator = small().fit(hands.data, hands.target)
    before = estimator.predict(hands.data)
    kept = {name: value for name, value in vars(estimator).items() if name.endswith("_")}
    other = make_hands(6, image_size=24, images=("rgb",), random_state=0)
    one = np.where(np.arange(6)[:, None, None] < 1, other.target, np.nan)
    unscaled = other.data.replace(scale=np.where(np.arange(6) == 0, other.data.scale, np.nan))
    refused = [
        ({"early_stopping": True}, (other.data, one), "validation_fraction"),
        ({"early_stopping": True, "given": ("scale",)}, (unscaled, one), "validation_fraction"),
        ({"early_stopping": False, "given": ("side",), "root": "wrist"}, (other.data, one * np.nan), "y: "),
    ]
    for settings, data, message in refused:
        with pytest.raises(InputError, match=message):
            estimator.set_params(**settings).fit(*data)
        estimator.set_params(early_stopping=False, given=(), root="palm")
        assert all(getattr(estimator, name) is value for name, value in kept.items())
        np.testing.assert_array_equal(estimator.predict(hands.data), before)
    estimator.partial_fit(hands.data, hands.target)


# ---------------------------------------------------------------- given


def test_given_root_and_scale_place_the_same_prediction(hands):
    X = hands.data.replace(scale=bone_length(hands.target, ("index_mcp", "wrist")))
    free, told = (small(given=given).fit(X, hands.target) for given in ((), ("root", "scale")))
    wanted = free.predict_25d(X)
    found = told.predict_25d(X)
    np.testing.assert_array_equal(found.points, wanted.points)
    assert told.scale_ratio_ == pytest.approx(1.0)
    np.testing.assert_allclose(found.scale, X.scale)
    np.testing.assert_allclose(found.root_depth, X.root[:, 2])
    depth = X.root[:, None, 2] + X.scale[:, None] * wanted.points[..., 2]
    np.testing.assert_allclose(told.predict(X)[..., 2], depth)
    np.testing.assert_allclose(project(told.predict(X), X.camera), wanted.points[..., :2], atol=1e-9)


def test_without_a_root_column_a_given_root_makes_predictions_relative(hands):
    estimator = small(given="root").fit(hands.data, hands.target)
    relative = estimator.predict(hands.data.replace(root=None))
    np.testing.assert_allclose(root_position(relative), 0, atol=1e-9)


def test_a_scale_of_another_bone_is_told_and_converted(hands):
    with pytest.warns(TrainingWarning, match="scale: X's column is not the length of bone"):
        estimator = small(given=("scale",)).fit(hands.data, hands.target)
    ratio = np.median(bone_length(hands.target, ("index_mcp", "wrist")) / hands.data.scale)
    assert estimator.scale_ratio_ == pytest.approx(ratio)
    np.testing.assert_allclose(estimator.predict_25d(hands.data).scale, ratio * hands.data.scale)
    same = small(given=("scale",), bone=("middle_mcp", "middle_pip")).fit(hands.data, hands.target)
    assert same.scale_ratio_ == pytest.approx(1.0)


def test_keypoints_need_no_scale(hands):
    """Rows without a pose, and without the given scale, train and are answered in the picture."""
    some = np.arange(48) < 24
    X = hands.data.replace(scale=np.where(some, hands.data.scale, np.nan))
    y = np.where(some[:, None, None], hands.target, np.nan)
    bone = ("middle_mcp", "middle_pip")  # the column's own
    estimator = small(given=("scale",), bone=bone).fit(X, y)
    free = small(bone=bone).fit(X, y)
    for answer in ("predict_keypoints", "transform"):
        np.testing.assert_array_equal(getattr(estimator, answer)(X), getattr(free, answer)(X))
    np.testing.assert_array_equal(estimator.predict_heatmaps(X).joints, free.predict_heatmaps(X).joints)
    bare = X.replace(scale=None)
    np.testing.assert_array_equal(estimator.predict_keypoints(bare), free.predict_keypoints(X))
    np.testing.assert_allclose(estimator.predict_25d(X[:24]).scale, X.scale[:24])
    for rows in (X, bare):
        with pytest.raises(SideInformationError, match="scale"):
            estimator.predict(rows)


def test_a_root_column_of_another_joint_is_told(hands):
    tip = root_position(hands.target, "middle_tip")
    off = np.median(np.linalg.norm(tip - hands.data.root, axis=1))
    message = re.escape(f"root: X's column is not the position of root='middle_tip' in y, but {off:.3g} mm")
    with pytest.warns(TrainingWarning, match=message) as warned:
        small(given="root", root="middle_tip").fit(hands.data, hands.target)
    assert warned[0].filename == __file__
    partly = np.where(np.arange(48)[:, None] < 40, tip, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        small(root="middle_tip").fit(hands.data, hands.target)
        small(given="root").fit(hands.data, hands.target)
        small(given="root", root="middle_tip").fit(hands.data.replace(root=partly), hands.target)
        small(given="root", root="middle_tip").fit(hands.data.replace(root=np.nan * tip), hands.target)


def test_a_given_root_nearer_than_the_hand_is_deep_is_marked(hands):
    estimator = small(given="root").fit(hands.data, hands.target)
    near = hands.data.replace(root=np.where(np.arange(48)[:, None] % 2, hands.data.root, [0.0, 0.0, 1.0]))
    plain, placed = estimator.predict_25d(hands.data), estimator.predict_25d(near)
    behind = (placed.joints[..., 2] <= 0).any(axis=1)
    assert behind[::2].any() and not behind[1::2].any()
    np.testing.assert_array_equal(placed.clamped, plain.clamped | behind)


@pytest.mark.parametrize("heatmap", ["latent", "holistic"])
def test_a_given_side_enters_the_network(hands, heatmap):
    X = hands.data
    mirrored = X.replace(side=np.where(X.side == "left", "right", "left"))
    told = small(given=("side",), heatmap=heatmap).fit(X, hands.target)
    assert np.abs(told.transform(X) - told.transform(mirrored)).max(axis=1).min() > 0
    untold = small(heatmap=heatmap).fit(X, hands.target)
    np.testing.assert_array_equal(untold.transform(X), untold.transform(mirrored))
