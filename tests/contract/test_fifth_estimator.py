"""The fifth estimator of the contributing guide: scikit-learn's checks, its length, and that it learns."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from contract.fifth_estimator import DirectRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from skhand.datasets import make_hands
from skhand.estimators._base import PoseEstimator
from skhand.exceptions import InputError
from skhand.metrics import mean_epe


@parametrize_with_checks([DirectRegressor(hidden_units=64, lr=3e-3, max_epochs=40, random_state=0)])
def test_check_estimator(estimator, check):
    check(estimator)


def test_it_is_a_pose_estimator_of_under_a_hundred_lines():
    assert issubclass(DirectRegressor, PoseEstimator)
    assert len(Path(__file__).with_name("fifth_estimator.py").read_text().splitlines()) < 100


@pytest.fixture(scope="module")
def hands():
    return make_hands(
        900, image_size=24, rotation=0.0, side="right", n_subjects=12, images=("depth",), random_state=0
    )


@pytest.mark.parametrize(("source", "share"), [("keypoints2d", 0.5), ("depth", 0.7)])
def test_it_learns_the_poses_of_other_people(hands, source, share):
    """Nine people train and three test; measured were 0.39 and 0.56 of the mean pose's error."""
    train, test = hands.groups < 9, hands.groups >= 9
    X, y = hands.data, hands.target
    estimator = DirectRegressor(
        source=source, given=("root", "scale"), lr=2e-3, max_epochs=25, lr_schedule="cosine", augment=None,
        random_state=0,
    ).fit(X[train], y[train], X_val=X[test], y_val=y[test])  # fmt: skip
    error = mean_epe(y[test], estimator.predict(X[test]), align="root")
    relative = y - X.root[:, None]
    mean_pose = np.broadcast_to(relative[train].mean(axis=0), relative[test].shape)
    assert error < share * mean_epe(relative[test], mean_pose, align="root")
    assert estimator.history_["valid_epe"][-1] == pytest.approx(error, rel=1e-6)


def test_it_has_all_that_the_base_gives(tmp_path):
    hands = make_hands(48, image_size=16, images=(), random_state=0)
    settings = {"source": "keypoints2d", "max_epochs": 3, "given": ("root",), "random_state": 0}
    whole = DirectRegressor(**settings).fit(hands.data, hands.target)
    answer = whole.predict(hands.data)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(whole)).predict(hands.data), answer)
    kept = DirectRegressor(**settings, checkpoint=tmp_path / "c").fit(hands.data, hands.target)
    again = DirectRegressor(**settings, checkpoint=tmp_path / "c").fit(hands.data, hands.target)
    for estimator in (kept, again):
        np.testing.assert_array_equal(estimator.predict(hands.data), answer)
    averaged = DirectRegressor(**settings, averaging=0.5).fit(hands.data, hands.target)
    assert np.abs(averaged.predict(hands.data) - answer).max() > 0.01
    stopped = DirectRegressor(**settings, early_stopping=True).fit(hands.data, hands.target)
    assert len(stopped.history_["valid_epe"]) == 3
    np.testing.assert_allclose(
        whole.inverse_transform(whole.transform(hands.data)),
        whole.predict(hands.data.replace(root=None)),
        atol=1e-4,
    )
    with pytest.raises(InputError, match="^max_epochs: expected"):
        whole.set_params(max_epochs=0).fit(hands.data, hands.target)
