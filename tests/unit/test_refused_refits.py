"""A refit that is refused leaves a fitted estimator as it was, however late it is refused."""

from __future__ import annotations

import numpy as np
import pytest

from skhand.datasets import make_hands
from skhand.estimators import AlignedLatentRegressor, CrossModalVAERegressor
from skhand.exceptions import InputError

SMALL = {"hidden_units": 16, "n_hidden_layers": 2, "latent_dim": 4, "max_epochs": 1, "random_state": 0}
KINDS = {
    "cross-modal": lambda: CrossModalVAERegressor(source="keypoints2d", variant=2, **SMALL),
    "aligned": lambda: AlignedLatentRegressor(source="keypoints2d", context_dim=3, **SMALL),
}


@pytest.fixture(scope="module")
def hands():
    return make_hands(12, image_size=16, images=(), random_state=0)


def one_labelled_row(hands):
    y = hands.target[:, :16].copy()
    y[1:] = np.nan
    return {"early_stopping": True}, hands.data.keypoints2d[:, :16], y


def no_row_with_both(hands):
    X, y = hands.data.keypoints2d[:, :16].copy(), hands.target[:, :16].copy()
    X[:6], y[6:] = np.nan, np.nan
    return {}, X, y


def no_pretrained_weights(hands):
    return {"pretrained": True}, hands.data.keypoints2d[:, :16], hands.target[:, :16]


def no_seed(hands):
    return {"random_state": "seven"}, hands.data.keypoints2d[:, :16], hands.target[:, :16]


@pytest.mark.parametrize("refused", [one_labelled_row, no_row_with_both, no_pretrained_weights, no_seed])
@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_refit_leaves_the_estimator_as_it_was(hands, kind, refused):
    """The refused data have 16 joints, which nothing fitted may speak of afterwards."""
    X, y = hands.data.keypoints2d, hands.target
    estimator = KINDS[kind]().fit(X, y)
    predicted, state = estimator.predict(X), dict(vars(estimator))
    changed, X_other, y_other = refused(hands)
    with pytest.raises(ValueError):
        estimator.set_params(**changed).fit(X_other, y_other)
    now = vars(estimator)
    assert {name for name in now if now[name] is not state.get(name)} == set(changed)
    assert set(now) == set(state)
    np.testing.assert_array_equal(estimator.predict(X), predicted)


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_first_fit_leaves_nothing_behind(hands, kind):
    estimator = KINDS[kind]().set_params(pretrained=True)
    with pytest.raises(InputError, match="^pretrained"):
        estimator.fit(hands.data.keypoints2d, hands.target)
    assert [name for name in vars(estimator) if name.endswith("_")] == []
