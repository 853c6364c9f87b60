"""``set_output``: the latent space of predictions as a table, other spaces as arrays."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone

from skhand.datasets import make_hands
from skhand.estimators import AlignedLatentRegressor, SimToRealRegressor
from skhand.exceptions import InputError

pandas = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def hands():
    return make_hands(24, image_size=16, images=("depth",), domain="real", random_state=0)


@pytest.fixture(scope="module")
def aligned(hands):
    return AlignedLatentRegressor(
        source="keypoints2d", hidden_units=16, n_hidden_layers=2, latent_dim=4, context_dim=3, max_epochs=1,
        given=("root",), random_state=0,
    ).fit(hands.data, hands.target)  # fmt: skip


def columns_of(prefix, n):
    return [f"{prefix}{i}" for i in range(n)]


@pytest.mark.parametrize(("space", "n_columns"), [("context", 3), ("source", 4), ("pose", 4)])
def test_another_space_is_an_array(aligned, hands, space, n_columns):
    X = hands.data if space != "pose" else hands.target
    Z = aligned.transform(X, space=space)
    assert isinstance(Z, np.ndarray)
    assert Z.shape == (24, n_columns)
    again = pickle.loads(pickle.dumps(aligned)).set_output(transform="default").transform(X, None, space)
    np.testing.assert_array_equal(again, Z, strict=True)
    asking = pickle.loads(pickle.dumps(aligned)).set_output(transform="pandas")
    with pytest.raises(InputError, match="^space: expected None where set_output asks for a table"):
        asking.transform(X, space=space)
    with config_context(transform_output="pandas"), pytest.raises(InputError, match="^space: "):
        aligned.transform(X, space=space)


def test_the_space_of_predictions_has_the_estimators_columns(aligned, hands):
    with config_context(transform_output="pandas"):
        for options in ({}, {"space": "aligned"}, {"source": "keypoints2d"}):
            table = aligned.transform(hands.data, **options)
            assert list(table.columns) == list(aligned.get_feature_names_out())
            assert list(table.columns) == columns_of("alignedlatentregressor", 4)
    Z = aligned.transform(hands.data)
    assert isinstance(Z, np.ndarray)
    np.testing.assert_array_equal(table.to_numpy(), Z, strict=True)
    fitted = pickle.loads(pickle.dumps(aligned)).set_output(transform="pandas")
    pandas.testing.assert_frame_equal(fitted.transform(hands.data, None, "aligned"), table)


def test_an_index_is_kept():
    rng = np.random.default_rng(0)
    X = pandas.DataFrame(rng.normal(size=(20, 4)), index=np.arange(100, 120), columns=list("abcd"))
    y = rng.normal(size=(20, 3))
    estimator = AlignedLatentRegressor(
        hidden_units=16, n_hidden_layers=2, latent_dim=4, context_dim=3, max_epochs=1, random_state=0
    )
    estimator = clone(estimator).fit(X, y).set_output(transform="pandas")
    for space in (None, "aligned"):
        assert list(estimator.transform(X, space=space).index) == list(X.index)


def test_a_walk_is_the_same_where_latent_vectors_come_as_tables(aligned, hands):
    start, end = hands.data[:3], hands.data[3:6]
    walk = aligned.interpolate(start, end, n_steps=3)
    with config_context(transform_output="pandas"):
        np.testing.assert_array_equal(aligned.interpolate(start, end, n_steps=3), walk)
        table = aligned.transform(start)
        np.testing.assert_array_equal(
            aligned.inverse_transform(table), aligned.predict(start.replace(root=None))
        )


def test_latent_maps_of_depth_pictures_are_an_array_and_poses_a_table(hands):
    estimator = SimToRealRegressor(
        width=2,
        latent_dim=5,
        max_iter=2,
        given=("root",),
        stages=("pose", "depth", "posterior"),
        random_state=0,
    )
    synthetic = hands.data.replace(domain=np.where(np.arange(24) % 2, "synthetic", "real"))
    estimator.fit(synthetic, hands.target)
    Z = estimator.transform(synthetic, space="depth")
    assert Z.shape == (24, 4 * 2 * 4 * 4)
    assert isinstance(Z, np.ndarray)
    estimator.set_output(transform="pandas")
    for options in ({}, {"space": "pose"}):
        assert list(estimator.transform(synthetic, **options).columns) == columns_of("simtorealregressor", 5)
