"""scikit-learn's own checks, on tables and on pictures, without an expected failure."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import validate_data

from skhand.estimators import CrossModalVAERegressor


class PictureRegressor(CrossModalVAERegressor):
    """The estimator on pictures: each row of the suite's tables is painted, feature by feature, as bars."""

    def _painted(self, X, reset):
        X = validate_data(self, X, dtype=np.float64, reset=reset)
        shown = 1 / (1 + np.exp(-np.clip(X, -30, 30)))
        bars = np.repeat(shown, 2, axis=1)[:, None, :, None]
        return np.broadcast_to(bars, (len(X), 8, bars.shape[2], 3)).astype(np.float32)

    def fit(self, X, y=None):
        """Paint and fit."""
        pictures = self._painted(X, reset=True)
        n_features = self.n_features_in_
        super().fit(pictures, y)
        self.n_features_in_ = n_features
        return self

    def partial_fit(self, X, y=None):
        """Paint and go on."""
        pictures = self._painted(X, reset=not hasattr(self, "module_"))
        n_features = self.n_features_in_
        super().partial_fit(pictures, y)
        self.n_features_in_ = n_features
        return self

    def predict(self, X, return_std=False, source=None, target=None):
        """Paint and predict."""
        self._check_fitted()
        return super().predict(self._painted(X, reset=False), return_std, source, target)

    def transform(self, X, source=None):
        """Paint and embed."""
        self._check_fitted()
        return super().transform(self._painted(X, reset=False), source)

    def _check_fitted(self):
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)


TABLE = CrossModalVAERegressor(hidden_units=64, lr=2e-3, max_epochs=60, random_state=0)
PICTURES = PictureRegressor(
    backbone="small", hidden_units=64, lr=2e-3, max_epochs=30, batch_size=32, random_state=0
)


@parametrize_with_checks([TABLE, PICTURES])
def test_check_estimator(estimator, check):
    check(estimator)
