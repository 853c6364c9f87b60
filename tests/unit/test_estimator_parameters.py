"""Every parameter and keyword of every estimator: what it may not be is refused by its name, at once."""

from __future__ import annotations

import functools
import inspect
import pickle
import re
import time

import numpy as np
import pytest
import torch
from odd_values import ODD
from skorch.callbacks import Callback
from smallest import KINDS, Y, rows_of, smallest

from skhand.estimators import LatentHeatmapRegressor
from skhand.estimators._parameters import COMMON
from skhand.exceptions import InputError


class Begun(Exception):
    """A training has begun: all checks were passed."""


class Stop(Callback):
    def on_train_begin(self, net, **kwargs):
        raise Begun


@functools.cache
def _fitted(kind):
    return pickle.dumps(smallest(kind).fit(rows_of(kind), Y))


def fitted(kind):
    return pickle.loads(_fitted(kind))


def parameters():
    return [(kind, name) for kind in KINDS for name in smallest(kind).get_params(deep=False)]


def short(value):
    return repr(value)[:60]


@pytest.mark.parametrize(("kind", "name"), parameters())
def test_a_fit_takes_a_parameter_or_refuses_it_by_name(kind, name):
    """Nothing is trained, nothing is built that memory cannot hold, and no other error is raised."""
    for value in ODD[1:] if name == "callbacks" else ODD:
        if name == "callbacks" and isinstance(value, list) and not value:
            continue  # no callback: it would train
        estimator = smallest(kind, callbacks=[Stop()]).set_params(**{name: value})
        start = time.perf_counter()
        try:
            estimator.fit(rows_of(kind), Y)
        except Begun:
            pass
        except (ValueError, TypeError) as error:
            assert isinstance(error, InputError), f"{short(value)}: {error!r}"
            assert name in str(error), f"{short(value)}: {error}"
            assert not hasattr(estimator, "module_")
        else:
            pytest.fail(f"{short(value)}: trained")
        assert time.perf_counter() - start < 5, short(value)


def test_every_parameter_is_checked():
    """``pairs``, which is not in the table, is checked where it meets ``source``."""
    together = {"cross-modal": {"pairs"}, "aligned": set(), "heatmap": set(), "sim-to-real": set()}
    for kind in KINDS:
        estimator = smallest(kind)
        assert set(estimator.get_params(deep=False)) - set(estimator._checks) == together[kind]
    assert set(COMMON) - {"flat_poses", "max_epochs"} <= set(smallest("sim-to-real").get_params())


def keywords():
    """Every argument of every public method but for X, y and Z."""
    cases = []
    for kind in KINDS:
        cls = type(smallest(kind))
        for method in METHODS:
            for name in inspect.signature(getattr(cls, method, sum)).parameters:
                if hasattr(cls, method) and name not in ("self", "X", "y", "Z", "X_start", "X_end"):
                    cases.append((kind, method, name))
    return cases


METHODS = (
    *("predict", "predict_keypoints", "predict_25d", "predict_heatmaps", "transform", "inverse_transform"),
    *("sample", "sample_posterior", "interpolate", "translate", "score"),
)


def call(estimator, method, X, **options):
    """Call a method with the rows it needs, and what else it must have."""
    arguments = {
        "sample": (),
        "interpolate": (X, X),
        "inverse_transform": (np.zeros((1, len(getattr(estimator, "latent_mean_", [])))),),
        "score": (X, Y[: len(X)]),
    }
    needed = {"to": "pose"} if method == "translate" else {}
    return getattr(estimator, method)(*arguments.get(method, (X,)), **{**needed, **options})


@pytest.mark.parametrize(("kind", "method", "name"), keywords())
def test_a_method_takes_a_keyword_or_refuses_it_by_name(kind, method, name):
    estimator, X = fitted(kind), rows_of(kind)[:2]
    for value in ODD:
        if name in ("n_samples", "n_steps") and isinstance(value, int) and value > 10**6:
            continue  # a fair wish, and more than memory holds
        try:
            call(estimator, method, X, **{name: value})
        except (ValueError, TypeError) as error:
            assert isinstance(error, InputError), f"{short(value)}: {error!r}"
            assert name in str(error), f"{short(value)}: {error}"


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in KINDS for name in ("image_shape", "predict_precision")]
    + [("heatmap", "camera"), ("sim-to-real", "domain")],
)
def test_a_parameter_that_was_set_after_fit_is_checked_to_predict(kind, name):
    estimator = fitted(kind).set_params(**{name: "abc"})
    with pytest.raises(InputError, match=f"^{name}: "):
        estimator.predict(rows_of(kind))


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (kind, method)
        for kind in KINDS
        for method in METHODS
        if hasattr(type(smallest(kind)), method) and method not in ("sample", "inverse_transform")
    ],
)
@pytest.mark.parametrize("as_array", [False, True])
def test_no_rows_are_refused_as_scikit_learn_does(kind, method, as_array):
    X = rows_of(kind)[:0]
    if as_array:
        X = np.asarray(getattr(X, "depth" if kind == "sim-to-real" else "rgb"))
    with pytest.raises(ValueError, match=r"X: expected at least 1 sample, got 0 sample\(s\)"):
        call(fitted(kind), method, X)


@pytest.mark.parametrize("shape", [(768,), [], (16, 16, 3, 1), (16, -16, 3), (16, "16", 3), "abc", 768])
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_shape_that_is_none_is_refused(kind, shape):
    with pytest.raises(InputError, match="^image_shape: "):
        smallest(kind, image_shape=shape).fit(rows_of(kind), Y)


ROWS = [
    *(*ODD, np.array(["a"] * 24), [["a", "b"]] * 24, np.zeros((24, 0)), np.full((24, 21, 2), 1j), {"rgb": 1}),
    *([None] * 24, torch.zeros(24, 3, requires_grad=True)),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["X", "y", "X_val", "y_val"])
def test_a_fit_refuses_rows_by_their_name(kind, name):
    X = rows_of(kind).replace(pose3d=Y)
    for value in ROWS:
        estimator = smallest(kind, callbacks=[Stop()])
        arguments = {"X": X, "y": Y, "X_val": X, "y_val": Y, name: value}
        try:
            estimator.fit(**arguments)
        except Begun:
            pass
        except (ValueError, TypeError) as error:
            assert re.search(rf"\b{name}\b", str(error)), f"{short(value)}: {error}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", [method for method in METHODS if method not in ("sample", "interpolate")])
def test_a_method_refuses_rows_by_their_name(kind, method):
    estimator = fitted(kind)
    if not hasattr(estimator, method):
        return
    name = "Z" if method == "inverse_transform" else "X"
    needed = {"to": "pose"} if method == "translate" else {"y": Y} if method == "score" else {}
    for value in ROWS:
        try:
            getattr(estimator, method)(**{name: value}, **needed)
        except (ValueError, TypeError) as error:
            assert re.search(rf"\b{name}\b", str(error)), f"{short(value)}: {error}"


@pytest.mark.parametrize("path", [value for value in ODD if value is not None])
def test_weights_at_a_path_that_is_none_are_refused(path):
    with pytest.raises(InputError, match=r"^path: |^abc: missing"):
        LatentHeatmapRegressor.from_pretrained(path)
