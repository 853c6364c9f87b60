"""Correct keypoints and frames, held against loops written out here."""

from __future__ import annotations

import numpy as np
import pytest

from skhand.exceptions import InputError
from skhand.metrics import GRIDS, pcf, pck, pck_auc, pck_curve, pckh


def line(errors):
    """Truth at 0 and predictions at these distances along x, (n_samples, n_joints) -> (.., .., 3)."""
    y_pred = np.zeros((*np.shape(errors), 3))
    y_pred[..., 0] = errors
    return np.zeros_like(y_pred), y_pred


@pytest.fixture
def errors(rng):
    return rng.gamma(2, 12, (40, 21))


def loop_auc(errors, grid):
    """Trapezoids summed one by one, over the range."""
    flat = [float(e) for e in np.ravel(errors)]
    heights = [sum(e <= t for e in flat) / len(flat) for t in grid]
    area = 0.0
    for k in range(len(grid) - 1):
        area += (grid[k + 1] - grid[k]) * (heights[k] + heights[k + 1]) / 2
    return area / (grid[-1] - grid[0])


def test_error_equal_to_the_threshold_is_correct():
    y_true, y_pred = line([[5.0, 5.0, 6.0, 4.0]])
    assert pck(y_true, y_pred, 5.0) == 0.75
    assert pck(y_true, y_pred, np.nextafter(5.0, 0)) == 0.25
    assert pcf(y_true, y_pred, 6.0) == 1.0
    assert pcf(y_true, y_pred, np.nextafter(6.0, 0)) == 0.0
    assert pckh(y_true, y_pred, [10.0], threshold=0.5) == 0.75


def test_pck_averages_joints_first_and_drops_joints_never_seen():
    """Joint 0 is right in 1 of 1, joint 1 in 1 of 3, joint 2 is never seen."""
    y_true, y_pred = line([[1.0, 1.0, 1.0], [9.0, 9.0, 1.0], [9.0, 9.0, 1.0]])
    visible = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 0]], bool)
    assert pck(y_true, y_pred, 5.0, visible=visible) == pytest.approx((1 + 1 / 3) / 2)
    assert pck(y_true, y_pred, 5.0, visible=visible, average="pooled") == pytest.approx(2 / 4)
    assert pck(y_true, y_pred, 5.0, visible=visible, average="frames") == pytest.approx(1 / 3)
    curve = pck_curve(y_true, y_pred, thresholds=[0, 5, 10], visible=visible)[1]
    np.testing.assert_allclose(curve, [0, 2 / 3, 1])


def test_curve_is_pck_at_each_threshold(errors):
    y_true, y_pred = line(errors)
    grid, fractions = pck_curve(y_true, y_pred, thresholds=(0, 50, 20))
    np.testing.assert_allclose(grid, [50 * k / 19 for k in range(20)])
    np.testing.assert_allclose(fractions, [np.mean([e <= t for e in errors.ravel()]) for t in grid])
    np.testing.assert_array_equal(pck(y_true, y_pred, grid), fractions)
    assert isinstance(pck(y_true, y_pred, 20), float)


@pytest.mark.parametrize("name", list(GRIDS))
def test_auc_on_each_named_grid_equals_the_loop(errors, name):
    y_true, y_pred = line(errors)
    assert pck_auc(y_true, y_pred, thresholds=name) == pytest.approx(loop_auc(errors, GRIDS[name]))


def test_auc_grid_of_20_and_of_100_points_differ():
    """All errors just above 0: a step between the first two points; the trapezoid loses half a gap."""
    y_true, y_pred = line(np.full((2, 21), 0.1))
    assert pck_auc(y_true, y_pred, thresholds="hand3d") == pytest.approx(1 - 0.5 / 19)
    assert pck_auc(y_true, y_pred, thresholds="freihand") == pytest.approx(1 - 0.5 / 99)
    assert pck_auc(y_true, y_pred) == pck_auc(y_true, y_pred, thresholds=(0.0, 50.0, 20))
    assert pck_auc(y_true, y_pred, thresholds="freihand") == pck_auc(y_true, y_pred, thresholds=(0, 50, 100))


def test_the_slice_called_20_to_50_starts_at_21(errors):
    y_true, y_pred = line(errors)
    sliced = np.linspace(0, 50, 20)[8:]
    assert GRIDS["hand3d_20_50"][0] == pytest.approx(21.0526, abs=1e-4)
    assert len(GRIDS["hand3d_20_50"]) == 12
    got = pck_auc(y_true, y_pred, thresholds="hand3d_20_50")
    assert got == pytest.approx(loop_auc(errors, sliced))
    assert got == pck_auc(y_true, y_pred, thresholds=sliced)
    assert pck_auc(y_true, y_pred, thresholds=(20, 50, 12)) < got - 0.005


def test_auc_known_values():
    """Half of the joints exact, the other half never right: the area is one half on every grid."""
    y_true, y_pred = line([[0.0, 500.0], [500.0, 0.0]])
    for grid in (*GRIDS, (3, 7, 5), [1.0, 2.0, 50.0]):
        assert pck_auc(y_true, y_pred, thresholds=grid) == pytest.approx(0.5)


def test_pcf_takes_the_largest_error_of_each_frame(errors):
    y_true, y_pred = line(errors)
    for d in (20.0, 60.0, 80.0):
        good = sum(all(e <= d for e in frame) for frame in errors)
        assert pcf(y_true, y_pred, d) == pytest.approx(good / 40)
    np.testing.assert_array_equal(pcf(y_true, y_pred, [20, 60]), [pcf(y_true, y_pred, d) for d in (20, 60)])
    assert pcf(y_true, y_pred, 60.0) < pck(y_true, y_pred, 60.0)


def test_pcf_of_partly_seen_frames():
    """Frame 0 is good where seen, frame 1 is bad, frame 2 is not seen and does not count."""
    y_true, y_pred = line([[1.0, 90.0], [1.0, 90.0], [1.0, 1.0]])
    visible = np.array([[1, 0], [1, 1], [0, 0]], bool)
    assert pcf(y_true, y_pred, 40.0, visible=visible) == 0.5


def test_pckh_measures_in_each_samples_own_head(errors, rng):
    y_true, y_pred = line(errors)
    heads = rng.uniform(20, 90, 40)
    good = sum(errors[i, j] <= 0.5 * heads[i] for i in range(40) for j in range(21))
    assert pckh(y_true, y_pred, heads) == pytest.approx(good / (40 * 21))
    assert pckh(y_true, y_pred, 40.0) == pck(y_true, y_pred, 20.0)
    np.testing.assert_array_equal(
        pckh(y_true, y_pred, 40.0, threshold=[0.25, 0.5]), pck(y_true, y_pred, [10, 20])
    )


@pytest.mark.parametrize("average", ["joints", "frames", "pooled"])
def test_pckh_leaves_out_samples_without_a_head(errors, rng, average):
    y_true, y_pred = line(errors)
    heads = rng.uniform(20, 90, 40)
    known = np.arange(40) % 3 > 0
    wanted = pckh(y_true[known], y_pred[known], heads[known], average=average)
    assert pckh(y_true, y_pred, np.where(known, heads, np.nan), average=average) == wanted


@pytest.mark.parametrize(
    ("metric", "options", "message"),
    [
        (pck, {"threshold": -1}, "threshold: expected one or more numbers >= 0"),
        (pck, {"threshold": "hand3d"}, "threshold: expected one or more numbers, got 'hand3d'"),
        (pcf, {"threshold": np.nan}, "threshold: expected one or more numbers >= 0"),
        (pcf, {"threshold": []}, "threshold: expected one or more numbers >= 0"),
        (pck_auc, {"thresholds": "0-50"}, "thresholds: expected one of 'hand3d'"),
        (pck_auc, {"thresholds": 50}, "thresholds: expected at least two increasing"),
        (pck_auc, {"thresholds": [0, 50, 20]}, "thresholds: expected at least two increasing"),
        (pck_auc, {"thresholds": (0, 50)}, r"thresholds: expected a tuple \(low, high, n\)"),
        (pck_auc, {"thresholds": (0, 50, 1)}, r"thresholds \(n\): expected an integer >= 2"),
        (pck_auc, {"thresholds": (50, 0, 20)}, "thresholds: expected at least two increasing"),
        (pck_auc, {"thresholds": (0, np.inf, 20)}, r"thresholds \(low, high\): expected"),
        (pckh, {"head_size": None}, "head_size: expected an array of shape"),
        (pckh, {"head_size": [1.0]}, "head_size: expected an array of shape"),
        (pckh, {"head_size": [1.0, 0.0]}, "head_size: expected lengths above 0"),
        (pckh, {"head_size": [1.0, np.inf]}, "head_size: expected lengths above 0"),
        (pckh, {"head_size": [np.nan, np.nan]}, "head_size: expected the length of at least one sample"),
        (
            pckh,
            {"head_size": [1.0, np.nan], "visible": [[0, 0], [1, 1]]},
            "head_size: expected the length of at least one sample",
        ),
    ],
)
def test_bad_options_are_named(metric, options, message):
    with pytest.raises(InputError, match=message):
        metric(*line([[1.0, 2.0], [3.0, 4.0]]), **options)
