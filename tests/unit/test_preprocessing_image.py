"""ImageNormalizer: pictures as numbers with a chosen mean and deviation, and back to the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from skhand import HandFrames
from skhand.estimators import CrossModalVAERegressor
from skhand.exceptions import InputError
from skhand.preprocessing import ImageNormalizer

METHODS = ["unit", "centred", "imagenet", "standard"]


@pytest.fixture
def pictures(rng):
    return rng.integers(0, [256, 100, 3], (150, 6, 5, 3), dtype=np.uint8)


class Lazy:
    """Pictures that count how many rows were read at once."""

    def __init__(self, pictures):
        self.pictures, self.most = pictures, 0
        self.shape, self.dtype, self.ndim = pictures.shape, pictures.dtype, pictures.ndim

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, rows):
        self.most = max(self.most, np.size(np.arange(len(self))[rows]))
        return self.pictures[rows]


def reference(method, pictures):
    unit = pictures.astype(np.float64) / 255
    if method == "imagenet":
        return (unit - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    if method == "standard":
        return (unit - unit.mean((0, 1, 2))) / unit.std((0, 1, 2))
    return unit if method == "unit" else unit - 0.5


@pytest.mark.parametrize("method", METHODS)
def test_normalised_and_back(method, pictures):
    normalizer = ImageNormalizer(method=method)
    found = normalizer.fit_transform(pictures)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(method, pictures), atol=1e-4)
    np.testing.assert_array_equal(normalizer.inverse_transform(found), pictures)
    np.testing.assert_allclose(normalizer.transform(pictures / 255), found, atol=1e-5)
    np.testing.assert_array_equal(normalizer.transform(pictures[:1]), found[:1])


@pytest.mark.parametrize("method", METHODS)
def test_tables_and_lazy_pictures(method, pictures):
    lazy = Lazy(pictures)
    normalizer = ImageNormalizer(method=method).fit(HandFrames(rgb=lazy, side="left"))
    table = normalizer.transform(HandFrames(rgb=lazy, side="left"))
    assert table.columns == ["rgb", "side"]
    assert not isinstance(table.rgb, np.ndarray)
    assert table.rgb.dtype == np.float32
    np.testing.assert_array_equal(table.rgb[:], normalizer.fit(pictures).transform(pictures))
    np.testing.assert_array_equal(normalizer.inverse_transform(table).rgb[:], pictures)
    assert lazy.most <= 64


def test_float_and_byte_pictures_have_the_same_statistics(pictures):
    first, second = (ImageNormalizer(method="standard").fit(X) for X in (pictures, pictures / 255))
    np.testing.assert_allclose(first.mean_, second.mean_)
    np.testing.assert_allclose(first.std_, second.std_)


def test_a_constant_channel_is_not_divided_by_zero(pictures):
    pictures[..., 1] = 77
    found = ImageNormalizer(method="standard").fit_transform(pictures)
    np.testing.assert_allclose(found[..., 1], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda X: ImageNormalizer(method="zscore").fit(X), "method: expected one of"),
        (lambda X: ImageNormalizer().fit(X[..., :2]), "X: expected pictures"),
        (lambda X: ImageNormalizer().fit(X[:0]), "X: expected pictures"),
        (lambda X: ImageNormalizer().fit(X.astype(int)), "X: expected uint8"),
        (lambda X: ImageNormalizer().fit(HandFrames(depth=X[..., 0])), "rgb: X needs this column"),
        (lambda X: ImageNormalizer(method="standard").fit(X * np.nan), "rgb: expected finite"),
    ],
)
def test_bad_input_is_named(pictures, call, message):
    with pytest.raises(InputError, match=message):
        call(pictures)


def test_it_has_to_be_fitted(pictures):
    with pytest.raises(NotFittedError):
        ImageNormalizer().transform(pictures)


def test_our_estimators_take_unit_pictures_and_refuse_others(pictures, rng):
    pictures, y = pictures[:20].repeat(2, axis=1).repeat(2, axis=2), rng.normal(0, 40, (20, 21, 3))
    settings = {
        "backbone": "small",
        "hidden_units": 8,
        "n_hidden_layers": 1,
        "max_epochs": 1,
        "random_state": 0,
    }
    model = CrossModalVAERegressor(**settings)
    scaled = make_pipeline(ImageNormalizer(), model).fit(pictures, y).predict(pictures)
    np.testing.assert_allclose(scaled, model.fit(pictures, y).predict(pictures), atol=0.05)
    with pytest.raises(InputError, match="X: expected float pictures in 0 to 1"):
        make_pipeline(ImageNormalizer(method="imagenet"), model).fit(pictures, y)
