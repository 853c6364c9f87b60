"""scikit-learn's checks on LatentHeatmapRegressor.

The suite's tables are no pictures of hands and its targets no poses, so the suite runs on a wrapper that
draws both: a row of a table becomes a picture of bars, and a target moves the fingers of a stiff hand
sideways. Every check runs on that, and none is excused. The wrapper reads the table itself; how the estimator
reads flattened pictures is tested below: the same bits as of whole ones, and the suite's odd inputs.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data

from skhand.datasets import make_hands
from skhand.estimators import LatentHeatmapRegressor

SIZE = 16
CAMERA = np.array([[16.0, 0.0, 7.5], [0.0, 16.0, 7.5], [0.0, 0.0, 1.0]])
FINGERS = np.array([0, *np.repeat(np.arange(5), 4)])  # the wrist moves with the first
MM = 60.0  # mm a standard deviation of the target

#: Checks that cannot apply, with the reason and the test that replaces each: none.
CANNOT_APPLY: dict[str, str] = {}


def stiff_hand() -> np.ndarray:
    """A flat hand half a metre from the camera, (21, 3), mm."""
    across = np.repeat(np.linspace(-40.0, 40.0, 5), 4)
    up = np.tile([-20.0, -50.0, -75.0, -95.0], 5)
    joints = np.stack([across, up, np.zeros(20)], axis=1)
    return np.concatenate([[[0.0, 60.0, 0.0]], joints]) + [0.0, 0.0, 500.0]


class DrawnHands(LatentHeatmapRegressor):
    """The estimator behind drawn pictures and drawn poses."""

    def _pictures(self, X, reset):
        X = validate_data(self, X, dtype=np.float64, reset=reset)
        shown = 1 / (1 + np.exp(-np.clip(X, -30, 30)))
        bars = shown[:, np.arange(SIZE) * X.shape[1] // SIZE]
        return np.broadcast_to(bars[:, None, :, None], (len(X), SIZE, SIZE, 3)).astype(np.float32)

    def _poses(self, y, X):
        if y is None:
            return None
        y = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
        check_consistent_length(X, y)
        moves = y.reshape(len(y), -1)
        if not hasattr(self, "module_"):
            self.target_shape_, self.mean_, self.std_ = y.shape[1:], moves.mean(), moves.std() + 1e-9
        moves = (moves - self.mean_) / self.std_
        poses = np.repeat(stiff_hand()[None], len(y), axis=0)
        poses[..., 0] += MM * moves[:, FINGERS % moves.shape[1]]
        return poses

    def _trained(self, method, X, y, reset):
        pictures = self._pictures(X, reset)
        n_features = self.n_features_in_
        method(pictures, self._poses(y, X))
        self.n_features_in_ = n_features
        return self

    def fit(self, X, y=None):
        """Draw and fit."""
        vars(self).pop("module_", None)
        return self._trained(super().fit, X, y, reset=True)

    def partial_fit(self, X, y=None):
        """Draw and go on."""
        return self._trained(super().partial_fit, X, y, reset=not hasattr(self, "module_"))

    def predict(self, X):
        """Draw and predict; read the target off the fingers."""
        check_is_fitted(self)
        moved = (super().predict(self._pictures(X, reset=False)) - stiff_hand())[..., 0] / MM
        n_targets = int(np.prod(self.target_shape_))
        read = [moved[:, FINGERS % n_targets == i].mean(axis=1) for i in range(n_targets)]
        return (np.stack(read, axis=1) * self.std_ + self.mean_).reshape(-1, *self.target_shape_)

    def transform(self, X):
        """Draw and embed."""
        check_is_fitted(self)
        return super().transform(self._pictures(X, reset=False))

    def score(self, X, y):
        """The score of the targets."""
        return r2_score(y, self.predict(X))


def small(cls=DrawnHands, **options):
    settings = {
        "network": "paper",
        "width": 16, "fast": True, "max_epochs": 12, "lr": 1e-2, "batch_size": 32, "augment": None,
        "camera": CAMERA, "random_state": 0,
    }  # fmt: skip
    return cls(**{**settings, **options})


@parametrize_with_checks([small()], expected_failed_checks=lambda _: CANNOT_APPLY)
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [small(network="pyramid", fast=False, backbone="resnet10")], expected_failed_checks=lambda _: CANNOT_APPLY
)
def test_check_estimator_with_the_default_network(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [small(heatmap="holistic", backbone="small"), small(heatmap="direct", sigma=1.0)],
    expected_failed_checks=lambda _: CANNOT_APPLY,
)
def test_check_estimator_with_the_other_heads(estimator, check):
    check(estimator)


@pytest.mark.parametrize("heatmap", ["latent", "direct", "holistic"])
def test_flattened_pictures_and_poses_give_the_same_bits(heatmap):
    hands = make_hands(12, image_size=SIZE, images=("rgb",), random_state=0)
    settings = {"heatmap": heatmap, "backbone": "small", "max_epochs": 2}
    camera = hands.data.camera[0]
    flat = hands.data.rgb.reshape(12, -1)
    whole = small(LatentHeatmapRegressor, camera=camera, **settings).fit(hands.data.rgb, hands.target)
    flattened = small(LatentHeatmapRegressor, camera=camera, image_shape=(SIZE, SIZE, 3), **settings).fit(
        flat, hands.target.reshape(12, -1)
    )
    assert flattened.n_features_in_ == flat.shape[1]
    np.testing.assert_array_equal(flattened.predict(flat), whole.predict(hands.data.rgb).reshape(12, -1))
    np.testing.assert_array_equal(flattened.transform(flat), whole.transform(hands.data.rgb))
    with pytest.raises(ValueError, match="features"):
        flattened.predict(flat[:, :-3])


# ---------------------------------------------------------------- the estimator itself, on flattened pictures


@pytest.fixture(scope="module")
def flat():
    hands = make_hands(12, image_size=SIZE, images=("rgb",), random_state=0)
    return hands.data.rgb.reshape(12, -1), hands.target.reshape(12, -1)


def plain(**options):
    settings = {"width": 4, "max_epochs": 1, "image_shape": (SIZE, SIZE, 3), **options}
    return small(LatentHeatmapRegressor, **settings)


@pytest.fixture(scope="module")
def fitted(flat):
    return plain().fit(*flat)


def test_any_type_of_number_gives_the_same_bits(fitted, flat):
    X, y = flat
    wanted = fitted.predict(X)
    for other in (X / 255, (X / 255).tolist(), np.asfortranarray(X)):
        np.testing.assert_array_equal(plain().fit(other, y).predict(other), wanted)
    np.testing.assert_array_equal(plain().fit(X, y.astype(object)).predict(X), wanted)
    single = plain().fit(X, y.astype(np.float32)).predict(X)
    np.testing.assert_allclose(single, wanted, rtol=1e-3, atol=1e-2)  # y is rounded to 1e-5 mm before


BAD = {
    "sparse": (sparse.csr_matrix, TypeError, "[Ss]parse"),
    "sparse array": (sparse.csr_array, TypeError, "[Ss]parse"),
    "complex": (lambda X: X + 1j, ValueError, "Complex data not supported"),
    "NaN": (lambda X: np.where(np.arange(X.shape[1]) == 3, np.nan, X / 255), ValueError, "NaN"),
    "infinity": (lambda X: np.where(np.arange(X.shape[1]) == 3, np.inf, X / 255), ValueError, "inf"),
    "one row without its axis": (lambda X: X[0], ValueError, "Reshape your data"),
    "int64": (lambda X: X.astype(np.int64), ValueError, "expected rgb as uint8 or float"),
    "objects": (lambda X: X.astype(object), ValueError, "expected rgb as uint8 or float"),
    "float up to 255": (lambda X: X.astype(float), ValueError, "expected float pictures in 0 to 1"),
    "no rows": (lambda X: X[:0], ValueError, "0 sample"),
    "no columns": (lambda X: X[:, :0], ValueError, "0 feature"),
    "too few columns": (lambda X: X[:, :-3], ValueError, "features"),
    "no shape": (lambda X: "pictures", ValueError, "not a readable picture"),
}


@pytest.mark.parametrize("name", BAD)
def test_odd_tables_are_refused_by_all_methods(fitted, flat, name):
    change, error, message = BAD[name]
    X, y = flat
    with pytest.raises(error, match=message):
        plain().fit(change(X), y)
    for method in (fitted.predict, fitted.predict_keypoints, fitted.transform):
        with pytest.raises(error, match=message):
            method(change(X))


def test_odd_targets_are_refused(flat):
    X, y = flat
    for bad in (y[:5], np.where(np.arange(63) == 0, np.inf, y), np.full_like(y, np.nan), y[:, 0], y + 1j):
        with pytest.raises(ValueError):
            plain().fit(X, bad)
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        plain().fit(X, None)
    with pytest.raises(NotFittedError):
        plain().predict(X)


def test_names_of_columns_are_kept_and_compared(fitted, flat):
    X, y = flat
    frame = pd.DataFrame(X, columns=[f"p{i}" for i in range(X.shape[1])])
    est = plain().fit(frame, y)
    assert est.feature_names_in_.tolist() == frame.columns.tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(est.predict(frame), fitted.predict(X))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        est.predict(X)
    with pytest.raises(ValueError, match="feature names should match"):
        est.predict(frame[frame.columns[::-1]])
    names = est.set_output(transform="pandas").transform(frame).columns
    assert names.tolist() == est.get_feature_names_out().tolist()


def test_one_row_is_enough_and_nothing_given_is_changed(flat):
    X, y = flat
    before = X.copy(), y.copy()
    X.flags.writeable = y.flags.writeable = False
    est = plain(augment="auto").fit(X[:1], y[:1])
    assert np.isfinite(est.predict(X)).all() and est.n_features_in_ == X.shape[1]
    for given, kept in zip((X, y), before, strict=True):
        np.testing.assert_array_equal(given, kept)
