"""scikit-learn's own checks, on tables and on pictures, without an expected failure."""

from __future__ import annotations

import numpy as np
from sklearn import config_context, get_config
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from skhand.estimators import AlignedLatentRegressor, CrossModalVAERegressor


class PictureRegressor(CrossModalVAERegressor):
    """The estimator on pictures: each row of the suite's tables is painted as bars, one pixel wide."""

    def _painted(self, X, reset):
        X = validate_data(self, X, dtype=np.float64, reset=reset)
        shown = 1 / (1 + np.exp(-np.clip(X, -30, 30)))
        return np.broadcast_to(shown[:, None, :, None], (len(X), 4, X.shape[1], 3)).astype(np.float32)

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
        check_is_fitted(self)


TABLE = CrossModalVAERegressor(hidden_units=64, n_hidden_layers=2, lr=3e-3, max_epochs=40, random_state=0)
PICTURES = PictureRegressor(
    backbone="small", hidden_units=32, n_hidden_layers=1, lr=5e-3, max_epochs=20, random_state=0
)
ALIGNED = AlignedLatentRegressor(
    latent_dim=8,
    context_dim=4,
    hidden_units=32,
    n_hidden_layers=2,
    beta=1e-6,
    adversarial_weight=1e-4,
    lr=3e-3,
    max_epochs=10,
    random_state=0,
)


def test_the_checks_run_with_the_array_api_switched_on():
    with config_context(array_api_dispatch=True):  # refused where scipy was imported without it
        assert get_config()["array_api_dispatch"]


@parametrize_with_checks([TABLE, ALIGNED, PICTURES])
def test_check_estimator(estimator, check):
    check(estimator)
