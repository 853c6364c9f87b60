"""The description of an object in the cache's key: all of its state, its class and its code."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skhand.datasets._state import hash_state
from skhand.exceptions import InputError
from skhand.preprocessing import HandCropper


class Thing(BaseEstimator):
    def __init__(self, value=None):
        self.value = value


class Slots:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


def made(source, name="Made", **known):
    """Return what a user's module defines."""
    module = {"__name__": "a_users_module", "BaseEstimator": BaseEstimator, **known}
    exec(source, module)
    return module[name]


def same(one, other):
    return hash_state(one, "crop") == hash_state(other, "crop")


VALUES = [
    *(None, True, 1, 1.0, "1", b"1", (1,), [1], {1}, {1: 1}, {"1": 1}, [1, [2]], [[1], 2], [1, 2]),
    *(np.float32(1), np.float64(1), np.array([1]), np.array([1.0]), np.array([[1]]), np.array([1], object)),
    *(
        slice(1),
        range(1),
        len,
        np.sin,
        np.cos,
        HandCropper,
        HandCropper(16),
        HandCropper(24),
        Thing(1),
        Slots(1),
    ),
    *(partial(pow, 2), partial(pow, 3), np.random.default_rng(1), np.random.default_rng(2)),
    *(np.random.RandomState(1), np.random.RandomState(2), lambda x: x + 1, lambda x: x + 2, lambda y=1: y),
    *(make_pipeline(HandCropper(16)), make_pipeline(HandCropper(24))),
    *(FunctionTransformer(lambda x: x + 1), FunctionTransformer(lambda x: x + 2)),
]


def test_no_two_objects_that_differ_have_one_description():
    hashes = [hash_state(Thing(value), "crop") for value in VALUES]
    assert len(set(hashes)) == len(VALUES)


def test_equal_objects_have_one_description_whatever_fit_has_learned():
    for value in (Thing([1, {"a": np.ones(3)}]), HandCropper(16), {"b", "a"}, np.random.default_rng(3)):
        assert same(value, value)
    one, fitted = HandCropper(16), HandCropper(16)
    fitted.n_features_in_ = 3
    assert same(one, fitted)
    fitted.hidden = 3
    assert not same(one, fitted)


def test_code_without_a_version_is_part_of_it():
    body = "class Made(BaseEstimator):\n    def transform(self, X):\n        return X[:{}]\n"
    assert same(made(body.format(16))(), made(body.format(16))())
    assert not same(made(body.format(16))(), made(body.format(24))())
    body = "SIZE = {}\ndef cut(X):\n    return X[:SIZE]\ndef Made(X):\n    return cut(X)\n"
    assert same(made(body.format(16)), made(body.format(16)))
    assert not same(made(body.format(16)), made(body.format(24)))  # a number of the module
    body = "class Made(BaseEstimator):\n    size = {}\n"
    assert not same(made(body.format(16))(), made(body.format(24))())  # of the class


def test_closures_and_defaults_are_part_of_it():
    def cutter(size):
        return lambda X: X[:size]

    assert same(cutter(3), cutter(3)) and not same(cutter(3), cutter(4))


def test_the_version_of_a_package_is_part_of_it(monkeypatch):
    import skhand

    before = hash_state(HandCropper(16), "crop")
    monkeypatch.setattr(skhand, "__version__", "0.0.other")
    assert hash_state(HandCropper(16), "crop") != before


def test_another_process_describes_it_alike():
    code = (
        "from skhand.datasets._state import hash_state; from skhand.preprocessing import HandCropper;"
        "from sklearn.pipeline import make_pipeline;"
        "print(hash_state([make_pipeline(HandCropper(16)), {'a', 'b', 'c'}, len], 'crop'))"
    )
    value = [make_pipeline(HandCropper(16)), {"a", "b", "c"}, len]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hash_state(value, "crop")


def test_cycles_and_depth_end():
    loop = []
    loop.append(loop)
    assert same(loop, loop)
    deep = []
    for _ in range(500):
        deep = [deep]
    with pytest.raises(InputError, match="crop: expected less deeply nested"):
        hash_state(deep, "crop")


def test_what_cannot_be_described_is_refused(tmp_path):
    with open(tmp_path / "a", "w") as file:
        for wrong in (file, threading.Lock(), (i for i in range(3))):
            with pytest.raises(
                InputError, match="crop: expected parameters that can be described.*cache=None"
            ):
                hash_state(Thing(wrong), "crop")
