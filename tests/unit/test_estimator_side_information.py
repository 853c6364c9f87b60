"""Roots, scales and lazily read pictures that no prediction can be made of are refused, with their rows."""

from __future__ import annotations

import functools
import pickle

import numpy as np
import pytest
from smallest import KINDS, Pictures, Y, image_of, rows_of, smallest

from skhand.exceptions import InputError, SideInformationError

pytestmark = pytest.mark.filterwarnings("ignore:stages. the stage 'posterior' has trained no epoch")


@functools.cache
def _fitted(kind, given):
    return pickle.dumps(smallest(kind, given=given).fit(rows_of(kind), Y))


def fitted(kind, *given):
    return pickle.loads(_fitted(kind, given))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", ["predict", "score"])
def test_an_unknown_root_is_refused_with_its_row(kind, value, method):
    X = rows_of(kind)
    root = X.root.copy()
    root[5, 2] = value
    estimator = fitted(kind, "root")
    with pytest.raises(SideInformationError if np.isnan(value) else InputError, match="root"):
        X = X.replace(root=root)  # the table itself refuses infinity
        getattr(estimator, method)(X, *((Y,) if method == "score" else ()))


@pytest.mark.parametrize("kind", ["cross-modal", "aligned", "sim-to-real"])
def test_a_missing_root_says_which_rows_and_what_to_do(kind):
    X = rows_of(kind)
    root = X.root.copy()
    root[[5, 7]] = np.nan
    with pytest.raises(SideInformationError, match=r"rows \[5, 7\].*X.replace\(root=None\)"):
        fitted(kind, "root").predict(X.replace(root=root))
    assert np.isfinite(fitted(kind, "root").predict(X.replace(root=None))).all()
    assert np.isfinite(fitted(kind, "root").transform(X.replace(root=root))).all()  # no root is needed there


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.inf, -1.0])
@pytest.mark.parametrize("labelled", [True, False])
def test_one_infinite_or_negative_scale_is_refused(kind, value, labelled):
    X, y = rows_of(kind), Y.copy()
    scale = X.scale.copy()
    scale[3] = value
    y[3] = y[3] if labelled else np.nan
    with pytest.raises(InputError, match=r"scale: expected .*(rows \[3\]|with others)"):
        X = X.replace(scale=scale, pose3d=None)  # the table itself refuses it
        smallest(kind, given=("root", "scale")).fit(X, y)


@pytest.mark.parametrize("kind", ["cross-modal", "aligned", "sim-to-real"])
@pytest.mark.parametrize("unknown", [np.nan, 0.0])
def test_an_unknown_scale_of_an_unlabelled_row_does_not_count(kind, unknown):
    """The mean is that of the known ones, which numpy computes, and samples in it are finite."""
    X, y = rows_of(kind), Y.copy()
    scale = X.scale.copy()
    scale[3], y[3] = unknown, np.nan
    estimator = smallest(kind, given=("root", "scale")).fit(X.replace(scale=scale, pose3d=None), y)
    np.testing.assert_allclose(estimator.scale_mean_, np.delete(scale, 3).mean())
    assert np.isfinite(estimator.sample(2, random_state=0)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["fit", "predict"])
def test_every_lazily_read_float_picture_is_looked_at(kind, method):
    """Row 20 of 24: of lazy pictures the first 16 are read before the training."""
    good = np.asarray(getattr(rows_of(kind), image_of(kind)), np.float32) / (
        255 if image_of(kind) == "rgb" else 1
    )
    bad = good.copy()
    bad[20, 3, 3] = -5.0
    assert np.isfinite(bad).all()
    estimator = fitted(kind) if method == "predict" else smallest(kind)
    arguments = (Y,) if method == "fit" else ()
    before = set(vars(estimator)) | {"_lock"}
    with pytest.raises(
        InputError, match=r"X: expected (float pictures in 0 to 1|depth in mm, 0 or more).*-5"
    ):
        getattr(estimator, method)(rows_of(kind, Pictures(bad)), *arguments)
    assert set(vars(estimator)) | {"_lock"} == before
    if method == "predict":
        estimator.predict(rows_of(kind, Pictures(good)))
