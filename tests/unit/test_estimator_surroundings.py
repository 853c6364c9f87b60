"""What is around a fit does not change it: other threads, torch's defaults, pickling and validation in it."""

from __future__ import annotations

import contextlib
import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from smallest import KINDS, Y, rows_of, smallest
from trainings import assert_same_weights, weights

from skhand.datasets import make_hands
from skhand.estimators import LatentHeatmapRegressor
from skhand.skeleton import root_position

pytestmark = pytest.mark.filterwarnings("ignore:stages. the stage 'posterior' has trained no epoch")


def without_callbacks(estimator):
    return copy.copy(estimator).set_params(callbacks=None)


def weights_of(net):
    return {name: value.clone() for name, value in net.module_.state_dict().items()}


# ---------------------------------------------------------------- pickles in the middle of a fit


class Pickling(Callback):
    """Pickle the estimator after every batch, with the weights and the optimiser's state beside it."""

    def __init__(self):
        self.kept = []

    def on_batch_end(self, net, **kwargs):
        state = copy.deepcopy(net.optimizer_.state_dict())
        self.kept.append((pickle.dumps(without_callbacks(self.estimator)), weights_of(net), state))


@pytest.mark.parametrize("averaging", [None, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_in_the_middle_of_a_fit_has_weights_and_optimiser_of_one_moment(kind, averaging):
    pickling = Pickling()
    estimator = pickling.estimator = smallest(kind, callbacks=[pickling], averaging=averaging)
    estimator.fit(rows_of(kind), Y)
    assert len(pickling.kept) > 3
    for pickled, live, state in pickling.kept:
        again = pickle.loads(pickled)
        assert_same_weights(dict(again._live.state_dict()), live)
        if averaging is None:
            assert again.module_ is again._live
        assert_same_state(again._optimizer_state, state)
        assert np.isfinite(again.predict(rows_of(kind)[:2])).all()
    last = pickle.loads(pickling.kept[-1][0])
    assert_same_weights(weights(last), weights(estimator))
    vars(last).update({name: getattr(estimator, name) for name in estimator._progress})  # the epoch has ended
    for each in (last, estimator.set_params(callbacks=None)):
        each.partial_fit(rows_of(kind), Y)
    assert_same_weights(weights(last), weights(estimator))


def assert_same_state(one, other):
    """Two states of an optimiser, equal to the last bit."""
    for group, as_kept in zip(one["param_groups"], other["param_groups"], strict=True):
        assert {**group, "betas": tuple(group["betas"])} == as_kept
    assert list(one["state"]) == list(other["state"])
    for number, values in one["state"].items():
        for name, value in values.items():
            assert torch.equal(value, other["state"][number][name]), name


# ---------------------------------------------------------------- averaged weights


@pytest.mark.parametrize("kind", KINDS)
def test_averaged_weights_predict_are_pickled_and_are_validated(kind):
    X = rows_of(kind)
    validation = {"X_val": X[:8], "y_val": Y[:8]}
    plain, averaged = (smallest(kind, averaging=decay).fit(X, Y, **validation) for decay in (None, 0.9))
    assert averaged.history_["train_loss"] == plain.history_["train_loss"]  # the same weights are trained
    predicted = averaged.predict(X)
    assert not np.array_equal(predicted, plain.predict(X))
    (name,) = (column for column in averaged.history_ if column.startswith("valid_"))
    error = averaged.history_[name][-1]
    assert error != plain.history_[name][-1]
    assert error == pytest.approx(error_of(averaged, X[:8], Y[:8]), rel=1e-6)
    again = pickle.loads(pickle.dumps(averaged))
    np.testing.assert_array_equal(again.predict(X), predicted)
    for each in (averaged, again):
        each.partial_fit(X, Y)
    assert_same_weights(weights(averaged), weights(again))
    assert_same_weights(dict(averaged._live.state_dict()), dict(again._live.state_dict()))


def error_of(estimator, X, wanted):
    """The validation error, mm, of predictions."""
    poses = estimator.predict(X), wanted
    found, true = (each - root_position(each, estimator.root_)[:, None] for each in poses)
    errors = np.linalg.norm(found - true, axis=2)
    is_median = isinstance(estimator, LatentHeatmapRegressor)
    return np.median(errors.mean(axis=1)) if is_median else errors.mean()


# ---------------------------------------------------------------- early stopping


class Wrecking(Callback):
    """Make the weights worse after every batch."""

    def __init__(self, much):
        self.much = much

    def on_batch_end(self, net, **kwargs):
        with torch.no_grad():
            for weight in net.module_.parameters():
                weight.add_(self.much)


@pytest.mark.parametrize("averaging", [None, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_early_stopping_that_only_gets_worse_returns_what_it_started_from(kind, averaging):
    X = rows_of(kind)
    estimator = smallest(kind, averaging=averaging).fit(X, Y)
    predicted, error, n_before = estimator.predict(X), error_of(estimator, X, Y), estimator.n_iter_
    epochs = {"max_iter": 40} if kind == "sim-to-real" else {"max_epochs": 20}
    callbacks = [Wrecking(0.2 if kind == "heatmap" else 0.02)]  # others diverge by as much
    stopping = {"early_stopping": True, "n_iter_no_change": 2, "warm_start": True, "callbacks": callbacks}
    estimator.set_params(**stopping, **epochs).fit(X, Y, X_val=X, y_val=Y)
    (name,) = (column for column in estimator.history_ if column.startswith("valid_"))
    errors = np.array(estimator.history_[name][n_before:])
    assert len(errors) >= 2
    assert (errors[np.isfinite(errors)] > error).all()
    np.testing.assert_array_equal(estimator.predict(X), predicted)


# ---------------------------------------------------------------- threads


def trained(kind, seed=0):
    """Everything that a fit and predictions come to."""
    estimator = smallest(kind, random_state=seed).fit(rows_of(kind), Y)
    return {**weights(estimator), "answer": torch.from_numpy(np.asarray(estimator.predict(rows_of(kind))))}


def test_fits_in_threads_are_the_fits_one_after_the_other():
    jobs = [(kind, seed) for seed in (0, 1) for kind in KINDS]
    torch.manual_seed(5)
    state = torch.get_rng_state()
    alone = [trained(*job) for job in jobs]
    assert torch.equal(torch.get_rng_state(), state)
    with ThreadPoolExecutor(len(jobs)) as pool:
        together = list(pool.map(lambda job: trained(*job), jobs))
    assert torch.equal(torch.get_rng_state(), state)
    for one, other in zip(alone, together, strict=True):
        assert_same_weights(one, other)


def test_two_fits_of_one_kind_in_two_threads():
    alone = [trained("cross-modal", seed) for seed in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda seed: trained("cross-modal", seed), (0, 1)))
    for one, other in zip(alone, together, strict=True):
        assert_same_weights(one, other)


# ---------------------------------------------------------------- torch's defaults


@contextlib.contextmanager
def default_dtype():
    """Let torch make float64 where nothing else is said."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def default_device():
    """Let torch make tensors without memory where nothing else is said."""
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


DEFAULTS = [default_dtype, default_device]


def answers(estimator, kind):
    """Every array that an estimator answers with."""
    X = rows_of(kind)
    arrays = [estimator.predict(X), estimator.transform(X)]
    if kind == "heatmap":
        return [*arrays, estimator.predict_keypoints(X)]
    arrays.append(estimator.predict(X, return_std=True)[1])
    # the published code trains no mapping, and so samples no pictures
    pictures = kind == "sim-to-real" and estimator.preset != "code"
    targets = ("pose3d", "synthetic", "real") if pictures else ("pose3d",)
    return [*arrays, *estimator.sample(3, target=targets, random_state=0).values(), estimator.score(X, Y)]


OPTIONS = {
    "cross-modal": [{}, {"variant": 4}, {"pairs": [("rgb", "pose3d"), ("keypoints2d", "rgb")]}],
    "aligned": [{}, {"decoded": "concat", "given": ("root", "scale")}],
    "heatmap": [{}, {"heatmap": "direct"}, {"heatmap": "holistic", "backbone": "small"}],
    "sim-to-real": [{}, {"preset": "code"}],
}


@pytest.mark.parametrize("default", DEFAULTS)
@pytest.mark.parametrize(
    ("kind", "options"), [(kind, options) for kind, several in OPTIONS.items() for options in several]
)
def test_torchs_defaults_change_nothing(kind, options, default):
    settings = {"augment": "paper", "averaging": 0.9, "early_stopping": True, "validation_fraction": 0.2}
    plain = smallest(kind, **settings, **options).fit(rows_of(kind), Y)
    expected = answers(plain, kind)
    with default():
        estimator = smallest(kind, **settings, **options).fit(rows_of(kind), Y)
        for got, wanted in zip(answers(estimator, kind), expected, strict=True):
            np.testing.assert_array_equal(got, wanted, strict=True)
        again = pickle.loads(pickle.dumps(estimator))
        again.partial_fit(rows_of(kind), Y)
    assert_same_weights(weights(estimator), weights(plain))
    assert_same_weights(weights(again), weights(plain.partial_fit(rows_of(kind), Y)))
    for name, losses in plain.history_.items():
        if name not in ("seconds", "stage"):
            np.testing.assert_array_equal(again.history_[name], losses)


@pytest.mark.parametrize("default", DEFAULTS)
@pytest.mark.parametrize("options", [{}, {"domain": "real"}, {"domain": "real", "images": ("depth", "mask")}])
def test_torchs_defaults_change_no_made_hand(options, default):
    settings = {"image_size": 24, "random_state": 0, **options}
    plain = make_hands(6, **settings)
    with default():
        made = make_hands(6, **settings)
    for name in made.data.columns:
        np.testing.assert_array_equal(
            np.asarray(getattr(made.data, name)), np.asarray(getattr(plain.data, name))
        )
