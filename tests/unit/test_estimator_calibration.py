"""Predicted standard deviations after `calibrate_std`: of the size of the errors on held-out rows."""

import pickle

import numpy as np
import pytest

from skhand.datasets import make_hands
from skhand.estimators import (
    AlignedLatentRegressor,
    CrossModalVAERegressor,
    LatentHeatmapRegressor,
    SimToRealRegressor,
)
from skhand.estimators._calibration import fit_std
from skhand.exceptions import InputError


def test_factor_and_floor_of_made_up_errors_are_found():
    rng = np.random.default_rng(0)
    std = rng.gamma(2.0, 2.0, (20_000, 3))
    floor = np.array([0.5, 4.0, 20.0])
    errors = rng.normal(0, np.sqrt((1.7 * std) ** 2 + floor**2))
    errors[rng.random(errors.shape) < 0.1] = np.nan
    factor, found = fit_std(errors, std)
    assert factor == pytest.approx(1.7, rel=0.03)
    np.testing.assert_allclose(found[1:], floor[1:], rtol=0.05)
    assert found[0] < 1.0  # next to deviations of 7 it hardly shows


def test_a_spread_that_says_nothing_ends_in_the_floor():
    rng = np.random.default_rng(0)
    std, errors = rng.gamma(2.0, 0.1, (5_000, 2)), rng.normal(0, [3.0, 6.0], (5_000, 2))
    factor, floor = fit_std(errors, std)
    np.testing.assert_allclose(floor, [3.0, 6.0], rtol=0.05)
    assert factor * std.mean() < 1.0


@pytest.fixture(scope="module")
def hands():
    return make_hands(
        500, image_size=16, images=("mask", "rgb"), side="left", rotation=30, n_subjects=50, random_state=0
    )


@pytest.fixture(scope="module")
def fitted(hands):
    estimator = CrossModalVAERegressor(
        source="keypoints2d", given=("root",), lr=1e-3, max_epochs=15, hidden_units=64, random_state=0
    )
    return estimator.fit(hands.data[:300], hands.target[:300])


def coverage(estimator, X, y):
    predicted, std = estimator.predict(X, return_std=True)
    return np.mean(np.abs(predicted - y) < std)


def test_two_thirds_of_new_errors_are_within_one_calibrated_std(hands, fitted):
    X, y = hands.data, hands.target
    assert coverage(fitted, X[400:], y[400:]) < 0.4
    calibrated = pickle.loads(pickle.dumps(fitted)).calibrate_std(X[300:400], y[300:400])
    assert 0.6 < coverage(calibrated, X[400:], y[400:]) < 0.8  # of a normal distribution 0.68
    assert calibrated.std_floor_.shape == (21, 3)
    assert np.array_equal(calibrated.predict(X), fitted.predict(X))
    again = pickle.loads(pickle.dumps(calibrated))
    for one, other in zip(
        again.predict(X[:5], return_std=True), calibrated.predict(X[:5], return_std=True), strict=True
    ):
        assert np.array_equal(one, other)


def test_without_a_root_column_the_errors_are_those_relative_to_the_root(hands, fitted):
    X, y = hands.data.replace(root=None), hands.target
    calibrated = pickle.loads(pickle.dumps(fitted)).calibrate_std(X[300:400], y[300:400])
    with_root = pickle.loads(pickle.dumps(fitted)).calibrate_std(hands.data[300:400], y[300:400])
    np.testing.assert_allclose(calibrated.std_floor_, with_root.std_floor_, rtol=1e-3)


def test_a_new_fit_forgets_the_calibration(hands, fitted):
    calibrated = pickle.loads(pickle.dumps(fitted)).calibrate_std(hands.data[300:400], hands.target[300:400])
    calibrated.partial_fit(hands.data[:300], hands.target[:300])
    assert not hasattr(calibrated, "std_factor_")


@pytest.mark.parametrize(
    "estimator",
    [
        AlignedLatentRegressor(source="keypoints2d", given=("root",), hidden_units=32, lr=1e-3, max_epochs=3),
        SimToRealRegressor(
            given=("root",), width=2, max_iter={"pose": 60, "depth": 4, "posterior": 40}, lr=1e-3,
            batch_size={"depth": 4}, augment=None,
        ),
    ],
    ids=["AlignedLatentRegressor", "SimToRealRegressor"],
)  # fmt: skip
def test_the_other_latent_spaces_are_calibrated_too(estimator):
    hands = make_hands(320, image_size=16, images=("depth",), rotation=30, n_subjects=50, random_state=1)
    estimator.set_params(random_state=0).fit(hands.data[:120], hands.target[:120])
    assert coverage(estimator, hands.data[220:], hands.target[220:]) < 0.4
    estimator.calibrate_std(hands.data[120:220], hands.target[120:220])
    assert 0.6 < coverage(estimator, hands.data[220:], hands.target[220:]) < 0.8


def test_heatmaps_are_calibrated_too(hands):
    estimator = LatentHeatmapRegressor(network="paper", width=4, fast=True, max_epochs=1, random_state=0)
    estimator.fit(hands.data[:60], hands.target[:60])
    estimator.calibrate_std(hands.data[60:160], hands.target[60:160])
    assert 0.5 < coverage(estimator, hands.data[160:260], hands.target[160:260]) < 0.85


def test_what_cannot_be_calibrated_on_is_refused(hands, fitted):
    X, y = hands.data, hands.target
    with pytest.raises(InputError, match="X: expected at least 10 rows to calibrate on, got 9"):
        fitted.calibrate_std(X[:9], y[:9])
    with pytest.raises(InputError, match="y: expected targets of shape"):
        fitted.calibrate_std(X[:20], y[:20, :, :2].reshape(20, -1))
    unknown = y[:20].copy()
    unknown[:, 3, 1] = np.nan
    with pytest.raises(InputError, match="y: expected each coordinate to be known in some row"):
        fitted.calibrate_std(X[:20], unknown)
