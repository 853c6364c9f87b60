"""scikit-learn's checks on SimToRealRegressor.

It reads pictures, and the suite has tables, so each row is painted as bars; with two domains it is synthetic
or real by its first number. The targets are the suite's own. Every check runs on that, and none is excused.
Flattened pictures and poses give the same bits as whole ones.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.estimators import SimToRealRegressor

SIZE = 8

#: Checks that cannot apply, with the reason and the test that replaces each: none.
CANNOT_APPLY: dict[str, str] = {}


class PaintedRegressor(SimToRealRegressor):
    """The estimator on painted tables."""

    def _painted(self, X, reset):
        X = validate_data(self, X, dtype=np.float64, reset=reset)
        shown = 1 / (1 + np.exp(-np.clip(X, -30, 30)))
        width = max(SIZE, X.shape[1])
        bars = shown[:, np.arange(width) * X.shape[1] // width]
        pictures = np.broadcast_to(bars[:, None, :, None], (len(X), SIZE, width, 3)).astype(np.float32)
        return HandFrames(rgb=pictures, domain=self._domains(X))

    def _domains(self, X):
        return np.full(len(X), "real")

    def _trained(self, method, X, y, reset):
        pictures = self._painted(X, reset)
        n_features = self.n_features_in_
        method(pictures, y)
        self.n_features_in_ = n_features
        return self

    def fit(self, X, y=None):
        """Paint and fit."""
        return self._trained(super().fit, X, y, reset=True)

    def partial_fit(self, X, y=None):
        """Paint and go on."""
        return self._trained(super().partial_fit, X, y, reset=not hasattr(self, "module_"))

    def predict(self, X, return_std=False, source=None, target=None):
        """Paint and predict."""
        check_is_fitted(self)
        return super().predict(self._painted(X, reset=False), return_std, source, target)

    def transform(self, X, source=None, space="pose"):
        """Paint and embed."""
        check_is_fitted(self)
        return super().transform(self._painted(X, reset=False), source, space)


class PaintedOfTwoDomains(PaintedRegressor):
    """The same with rows of both domains, so that all three stages are trained."""

    def _domains(self, X):
        return np.where(np.sin(7 * X[:, 0]) > 0, "synthetic", "real")


def small(cls, **options):
    settings = {
        "preset": "code", "width": 4, "max_iter": {"pose": 60, "depth": 2, "posterior": 80}, "latent_dim": 5,
        "lr": {"pose": 2e-2, "posterior": 3e-3}, "batch_size": {"posterior": 16}, "random_state": 0,
    }  # fmt: skip
    return cls(**{**settings, **options})


@parametrize_with_checks([small(PaintedRegressor)], expected_failed_checks=lambda _: CANNOT_APPLY)
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([small(PaintedOfTwoDomains)], expected_failed_checks=lambda _: CANNOT_APPLY)
def test_check_estimator_with_two_domains(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("kind", "shape"), [("depth", (16, 16)), ("rgb", (16, 16, 3))])
def test_flattened_pictures_and_poses_give_the_same_bits(kind, shape):
    hands = make_hands(12, image_size=16, images=(kind,), random_state=0)
    pictures = np.asarray(getattr(hands.data, kind))
    flat = pictures.reshape(12, -1)
    options = {"max_iter": 2, "augment": None}
    whole = small(SimToRealRegressor, **options).fit(pictures, hands.target)
    flattened = small(SimToRealRegressor, image_shape=shape, flat_poses=True, **options).fit(
        flat, hands.target.reshape(12, -1)
    )
    assert flattened.n_features_in_ == flat.shape[1]
    np.testing.assert_array_equal(flattened.predict(flat), whole.predict(pictures).reshape(12, -1))
    np.testing.assert_array_equal(flattened.transform(flat), whole.transform(pictures))
    with pytest.raises(ValueError, match="features"):
        flattened.predict(flat[:, :-3])
