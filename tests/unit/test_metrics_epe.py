"""Errors and their averages, held against loops written out here."""

from __future__ import annotations

import numpy as np
import pytest

from skhand.exceptions import InputError
from skhand.metrics import joint_errors, mean_epe, median_epe
from skhand.skeleton import JOINTS, convert, joint_index


@pytest.fixture
def poses(rng):
    """True and predicted hands, mm, and a mask with joint 7 never seen and frame 3 not seen at all."""
    y_true = rng.normal(0, 60, (9, 21, 3)) + [0, 0, 500]
    y_pred = y_true + rng.gamma(2, 6, (9, 21, 1)) * rng.normal(size=(9, 21, 3))
    visible = rng.random((9, 21)) < 0.6
    visible[:, 7] = visible[3] = False
    return y_true, y_pred, visible


def distance(a, b):
    return sum((float(p) - float(q)) ** 2 for p, q in zip(a, b, strict=True)) ** 0.5


def nested(y_true, y_pred, visible, statistic, outer):
    """Loop: ``statistic`` over one axis, then the mean over the other; ``outer`` 0: frames, 1: joints."""
    n = y_true.shape[:2]
    values = []
    for a in range(n[outer]):
        cells = [(a, b) if outer == 0 else (b, a) for b in range(n[1 - outer])]
        errors = [distance(y_true[c], y_pred[c]) for c in cells if visible[c]]
        if errors:
            values.append(statistic(errors))
    return sum(values) / len(values)


@pytest.mark.parametrize(("metric", "statistic"), [(mean_epe, np.mean), (median_epe, np.median)])
def test_averages_equal_the_loops(poses, metric, statistic):
    y_true, y_pred, visible = poses
    pooled = [distance(y_true[i, j], y_pred[i, j]) for i in range(9) for j in range(21) if visible[i, j]]
    got = {a: metric(y_true, y_pred, average=a, visible=visible) for a in ("joints", "frames", "pooled")}
    assert got["joints"] == pytest.approx(nested(*poses, statistic, outer=1))
    assert got["frames"] == pytest.approx(nested(*poses, statistic, outer=0))
    assert got["pooled"] == pytest.approx(statistic(pooled))
    assert len({round(value, 6) for value in got.values()}) == 3
    assert metric(y_true, y_pred, visible=visible) == got["joints"]


def test_means_agree_only_with_full_visibility_and_medians_not_even_then(poses):
    y_true, y_pred, _ = poses
    means = [mean_epe(y_true, y_pred, average=a) for a in ("joints", "frames", "pooled")]
    medians = [median_epe(y_true, y_pred, average=a) for a in ("joints", "frames", "pooled")]
    assert np.ptp(means) < 1e-9
    assert min(abs(a - b) for a, b in [(medians[0], medians[1]), (medians[0], medians[2])]) > 0.1


def test_known_medians():
    """Joint errors 0, 0, 9 and 1, 2, 3: per-joint medians 0 and 2, pooled median of 0 0 1 2 3 9."""
    y_true = np.zeros((3, 2, 2))
    y_pred = np.zeros((3, 2, 2))
    y_pred[:, :, 0] = [[0, 1], [0, 2], [9, 3]]
    assert median_epe(y_true, y_pred) == 1.0
    assert median_epe(y_true, y_pred, average="pooled") == 1.5
    assert median_epe(y_true, y_pred, average="frames") == pytest.approx((0.5 + 1 + 6) / 3)


def test_joint_never_seen_is_dropped_and_not_counted_as_zero(poses):
    y_true, y_pred, _ = poses
    visible = np.ones((9, 21), bool)
    visible[:, 7] = False
    rest = [j for j in range(21) if j != 7]
    expected = mean_epe(y_true[:, rest], y_pred[:, rest])
    assert mean_epe(y_true, y_pred, visible=visible) == pytest.approx(expected)


def test_nan_target_is_the_same_as_not_visible(poses):
    y_true, y_pred, visible = poses
    holed = y_true.copy()
    holed[~visible, 1] = np.nan
    assert mean_epe(holed, y_pred) == mean_epe(y_true, y_pred, visible=visible)
    np.testing.assert_array_equal(np.isnan(joint_errors(holed, y_pred)), ~visible)


def test_root_changes_the_number_and_equals_the_loop(poses):
    y_true, y_pred, _ = poses
    got = {}
    for root in ("palm", "wrist", "middle_mcp", "index_mcp"):
        parts = ["wrist", "middle_mcp"] if root == "palm" else [root]
        rows = [JOINTS.index(part) for part in parts]
        total = 0.0
        for true, pred in zip(y_true, y_pred, strict=True):
            true_root, pred_root = (
                sum(true[r] for r in rows) / len(rows),
                sum(pred[r] for r in rows) / len(rows),
            )
            total += sum(distance(true[j] - true_root, pred[j] - pred_root) for j in range(21))
        got[root] = mean_epe(y_true, y_pred, align="root", root=root)
        assert got[root] == pytest.approx(total / (9 * 21))
    assert len({round(value, 3) for value in got.values()}) == 4
    by_index = mean_epe(y_true, y_pred, align="root", root=JOINTS.index("middle_mcp"))
    assert by_index == got["middle_mcp"]


def test_root_joint_counts_as_zero_or_not_at_all(poses):
    y_true, y_pred, _ = poses
    for root in ("wrist", "middle_mcp"):
        kept = mean_epe(y_true, y_pred, align="root", root=root)
        zero = mean_epe(y_true, y_pred, align="root", root=root, root_joint="zero")
        dropped = mean_epe(y_true, y_pred, align="root", root=root, root_joint="drop")
        assert kept == pytest.approx(zero)
        assert dropped == pytest.approx(zero * 21 / 20)
    errors = joint_errors(y_true, y_pred, align="root", root="palm")
    dropped = joint_errors(y_true, y_pred, align="root", root="palm", root_joint="drop")
    assert np.isnan(dropped[:, 0]).all() and not np.isnan(dropped[:, 1:]).any()
    for root_joint, expected in [
        ("keep", errors.mean()),
        ("zero", errors[:, 1:].sum() / (9 * 21)),
        ("drop", errors[:, 1:].mean()),
    ]:
        assert mean_epe(y_true, y_pred, align="root", root_joint=root_joint) == pytest.approx(expected)


def test_palm_counted_as_zero_is_the_layout_with_a_palm(poses):
    """hand3d's 21 joints have the palm where the canonical hand has the wrist."""
    palmed = [convert(y, "canonical", "stb") for y in poses[:2]]
    expected = mean_epe(*palmed, align="root", root=joint_index("palm", "stb"))
    assert mean_epe(*poses[:2], align="root", root_joint="zero") == pytest.approx(expected)


def test_alignments_remove_what_they_name_and_no_more(poses, rng):
    y_true, _, visible = poses
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    moved, scaled, turned = y_true + [5, -7, 90], 0.8 * y_true + [5, -7, 90], 0.8 * y_true @ turn.T + 11
    mirrored = y_true * [-1, 1, 1]
    for pred, exact in [
        (moved, ("root", "root+scale", "procrustes")),
        (scaled, ("root+scale", "procrustes")),
        (turned, ("procrustes",)),
        (mirrored, ()),
    ]:
        for align in (None, "root", "root+scale", "procrustes"):
            error = mean_epe(y_true, pred, align=align, visible=visible)
            assert error < 1e-9 if align in exact else error > 5


def test_scale_and_procrustes_minimise_the_squared_error(poses, rng):
    """No other factor, and no small turn of the aligned prediction, does better."""
    y_true, y_pred, _ = poses
    true, pred = (y - (y[:, :1] + y[:, 9:10]) / 2 for y in (y_true, y_pred))
    best = (joint_errors(y_true, y_pred, align="root+scale") ** 2).sum(axis=1)
    for factor in np.linspace(0.5, 1.5, 41):
        assert (best <= ((factor * pred - true) ** 2).sum((1, 2)) + 1e-6).all()
    best = (joint_errors(y_true, y_pred, align="procrustes") ** 2).sum(axis=1)
    for _ in range(30):
        turn, _ = np.linalg.qr(rng.normal(scale=0.1, size=(3, 3)) + np.eye(3))
        turn *= np.sign(np.linalg.det(turn))
        centred = y_pred - y_pred.mean(1, keepdims=True)
        other = rng.uniform(0.8, 1.1) * centred @ turn.T + y_true.mean(1, keepdims=True)
        assert (best <= ((other - y_true) ** 2).sum((1, 2)) + 1e-6).all()


def test_alignment_uses_the_counted_joints_only(poses):
    """A wild prediction of a joint that does not count changes nothing, even where it is NaN."""
    y_true, y_pred, visible = poses
    visible[:, [0, 9]] = True
    visible[3] = False
    for wild in (1e4, np.nan):
        spoilt = np.where(visible[..., None], y_pred, wild)
        for align in ("root+scale", "procrustes"):
            expected = mean_epe(y_true, y_pred, align=align, visible=visible)
            assert mean_epe(y_true, spoilt, align=align, visible=visible) == pytest.approx(expected)


def test_flattened_and_stacked_give_the_same(poses):
    y_true, y_pred, visible = poses
    expected = mean_epe(y_true, y_pred, visible=visible, align="root")
    for true in (y_true, y_true.reshape(9, 63)):
        for pred in (y_pred, y_pred.reshape(9, 63)):
            assert mean_epe(true, pred, visible=visible, align="root") == expected
    flat = mean_epe(y_true[..., :2].reshape(9, 42), y_pred[..., :2].reshape(9, 42), n_dims=2)
    assert flat == mean_epe(y_true[..., :2], y_pred[..., :2])


def test_frame_without_root_is_left_out(poses):
    y_true, y_pred, _ = poses
    holed = y_true.copy()
    holed[2, 0] = np.nan
    rest = [i for i in range(9) if i != 2]
    for align in ("root", "root+scale"):
        expected = mean_epe(y_true[rest], y_pred[rest], align=align)
        assert mean_epe(holed, y_pred, align=align) == pytest.approx(expected)
        spoilt = np.where(np.arange(9)[:, None, None] == 2, np.nan, y_pred)
        spoilt[2, 1:] = y_pred[2, 1:]
        assert mean_epe(holed, spoilt, align=align) == pytest.approx(expected)


ONES = np.ones((4, 21, 3))
HOLED = np.where(np.arange(21)[:, None] == 3, np.nan, ONES)


@pytest.mark.parametrize(
    ("y_true", "y_pred", "options", "message"),
    [
        (ONES, HOLED, {}, "y_pred: expected finite numbers, got NaN or infinity in 4 of 84"),
        (ONES, ONES * np.inf, {}, "y_pred: expected finite"),
        (ONES * np.inf, ONES, {}, "y_true: expected finite"),
        (ONES * np.nan, ONES, {}, "y_true: expected at least one labelled and visible"),
        (ONES, ONES, {"visible": np.zeros((4, 21), bool)}, "y_true: expected at least one labelled"),
        (ONES, ONES, {"visible": np.ones((4, 20), bool)}, "visible: expected an array of shape"),
        (ONES, ONES, {"visible": np.full((4, 21), 0.3)}, "visible: expected a mask"),
        (ONES, ONES[:3], {}, r"y_pred: expected \(4, 21, 3\)"),
        (ONES[:3], ONES, {}, r"y_pred: expected \(3, 21, 3\) .* got \(4, 21, 3\)"),
        (ONES, ONES[..., :2], {}, r"y_pred: expected \(4, 21, 3\)"),
        (ONES, ONES[..., :2].reshape(4, 42), {}, r"y_pred: expected \(4, 21, 3\).*got \(4, 14, 3\)"),
        (ONES, ONES.transpose(0, 2, 1), {}, "y_pred: expected shape"),
        (ONES, ONES.reshape(4, 63)[:, :62], {}, "y_pred: expected shape"),
        (ONES[:0], ONES[:0], {}, "y_true: expected shape"),
        (ONES, [["a"] * 63] * 4, {}, "y_pred: expected numbers"),
        (ONES, ONES, {"align": "pa"}, "align: expected one of None, 'root'"),
        (ONES, ONES, {"root_joint": "none"}, "root_joint: expected one of 'keep'"),
        (ONES, ONES, {"align": "root", "root": "elbow"}, "root: expected one of 'palm'"),
        (ONES, ONES, {"align": "root", "root": 21}, "root: expected an integer"),
        (ONES[:, :14], ONES[:, :14], {"align": "root"}, "root: expected a joint's index for poses of 14"),
        (ONES, ONES, {"n_dims": 4}, "n_dims: expected an integer"),
        (ONES, ONES, {"average": "mean"}, "average: expected one of 'joints'"),
        (
            np.where(np.arange(21)[:, None] == 0, np.nan, ONES),
            ONES,
            {"align": "root"},
            "is the root labelled",
        ),
    ],
)
def test_bad_input_is_named(y_true, y_pred, options, message):
    for metric in (mean_epe, median_epe):
        with pytest.raises(InputError, match=message):
            metric(y_true, y_pred, **options)


def test_nan_prediction_of_the_root_is_an_error():
    visible = np.ones((4, 21), bool)
    visible[:, 3] = False
    with pytest.raises(InputError, match="y_pred: expected a finite root"):
        mean_epe(ONES, HOLED, visible=visible, align="root", root=3)


def test_nan_prediction_without_a_target_is_ignored():
    assert mean_epe(HOLED, HOLED) == 0.0
