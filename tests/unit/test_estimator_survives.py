"""What goes wrong in a fit leaves every estimator as it was, or fitted with what was trained until then."""

from __future__ import annotations

import copy
import functools
import pickle
import signal

import numpy as np
import pytest
from skorch.callbacks import Callback
from smallest import KINDS, Pictures, Y, image_of, rows_of, smallest
from trainings import AtEpoch, assert_same_weights, weights

from skhand.exceptions import DivergenceError, TrainingWarning

pytestmark = pytest.mark.filterwarnings("ignore:stages. the stage 'posterior' has trained no epoch")


@functools.cache
def _fitted(kind):
    return pickle.dumps(smallest(kind).fit(rows_of(kind), Y))


def fitted(kind, **options):
    return pickle.loads(_fitted(kind)).set_params(**options)


def state_of(estimator):
    """All that an estimator is, but for its callbacks, as bytes."""
    state = {name: value for name, value in estimator.__getstate__().items() if name != "callbacks"}
    return pickle.dumps(copy.deepcopy(state))  # a copy shares no strings by accident


class After(Callback):
    """Call a function with the net at the end of a batch (1 is the first)."""

    def __init__(self, n_batches, function):
        self.n_batches, self.function, self.n_seen = n_batches, function, 0

    def on_batch_end(self, net, **kwargs):
        self.n_seen += 1
        if self.n_seen == self.n_batches:
            self.function(net)


class InTheMiddleOf(After):
    """Call a function with the net in the middle of a step."""

    def on_batch_end(self, net, **kwargs):
        pass

    def on_grad_computed(self, net, **kwargs):
        super().on_batch_end(net)


class AtTheStart(Callback):
    """Call a function with the net before any training."""

    def __init__(self, function):
        self.function = function

    def on_train_begin(self, net, **kwargs):
        self.function(net)


def fail(error):
    def function(net):
        raise error

    return function


# ---------------------------------------------------------------- errors leave it as it was


def unreadable(kind):
    """A disk that fails after the first batch."""
    pictures = Pictures(np.asarray(getattr(rows_of(kind), image_of(kind))))
    error = OSError("the disk is gone")
    return rows_of(kind, pictures), [After(1, lambda net: setattr(pictures, "error", error))], OSError


def a_callback_at_batch_end(kind):
    return rows_of(kind), [After(2, fail(RuntimeError("mine")))], RuntimeError


def a_callback_at_epoch_end(kind):
    return rows_of(kind), [AtEpoch(1, fail(RuntimeError("mine")))], RuntimeError


def a_callback_after_an_epoch(kind):
    return rows_of(kind), [AtEpoch(2, fail(RuntimeError("mine")))], RuntimeError


def no_memory_in_a_step(kind):
    return rows_of(kind), [InTheMiddleOf(2, fail(MemoryError()))], MemoryError


def an_interrupt_while_reading(kind):
    array = np.asarray(getattr(rows_of(kind), image_of(kind)), dtype=np.float32)
    callbacks = [AtTheStart(fail(AssertionError("trained")))]
    return rows_of(kind, Pictures(array, KeyboardInterrupt())), callbacks, KeyboardInterrupt


FAULTS = (
    unreadable, a_callback_at_batch_end, a_callback_at_epoch_end, a_callback_after_an_epoch,
    no_memory_in_a_step, an_interrupt_while_reading,
)  # fmt: skip
CALLS = ("fit", "warm start", "partial_fit")


def call(estimator, name, *arguments):
    """Fit, go on or fit a little."""
    estimator.set_params(warm_start=name == "warm start")
    return (estimator.partial_fit if name == "partial_fit" else estimator.fit)(*arguments)


def cases(calls):
    """Kinds, faults and calls, but for what never happens."""
    return [
        pytest.param(kind, fault, name, id=f"{kind}-{fault.__name__}-{name}")
        for kind in KINDS
        for fault in FAULTS
        for name in calls
        if not (name == "partial_fit" and fault is a_callback_after_an_epoch)  # it trains one epoch
        and not ("fit" in calls[1] and name == calls[1] and (kind, fault) == ("sim-to-real", unreadable))
    ]  # a first partial_fit trains the stage "pose", which reads no pictures


@pytest.mark.parametrize(("kind", "fault", "name"), cases(CALLS))
def test_an_error_leaves_a_fitted_estimator_as_it_was(kind, fault, name):
    X, callbacks, error = fault(kind)
    estimator = fitted(kind, warm_start=name == "warm start", callbacks=callbacks)
    predicted, state, attributes = (
        estimator.predict(rows_of(kind)),
        state_of(estimator),
        dict(vars(estimator)),
    )
    with pytest.raises(error):
        call(estimator, name, X, Y)
    now = vars(estimator)
    assert list(now) == list(attributes)
    assert [each for each in now if now[each] is not attributes[each]] == []
    assert state_of(estimator) == state
    assert not estimator.module_.training
    np.testing.assert_array_equal(estimator.predict(rows_of(kind)), predicted)
    after, never = (each.set_params(callbacks=None, warm_start=False) for each in (estimator, fitted(kind)))
    for each in (after, never):
        each.partial_fit(rows_of(kind), Y)
    assert_same_weights(weights(after), weights(never))


@pytest.mark.parametrize(("kind", "fault", "name"), cases(("fit", "partial_fit")))
def test_an_error_leaves_an_unfitted_estimator_unfitted(kind, fault, name):
    X, callbacks, error = fault(kind)
    estimator = smallest(kind, callbacks=callbacks)
    attributes = dict(vars(estimator))
    with pytest.raises(error):
        call(estimator, name, X, Y)
    assert vars(estimator) == attributes
    estimator.set_params(callbacks=None).fit(rows_of(kind), Y)
    np.testing.assert_array_equal(estimator.predict(rows_of(kind)), fitted(kind).predict(rows_of(kind)))


# ---------------------------------------------------------------- Ctrl-C


def ctrl_c(net):
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", KINDS)
def test_ctrl_c_in_training_leaves_what_was_trained(kind, name):
    """The step is finished, and predictions and latent statistics are those of the weights there are."""
    seen = []
    pressed = After(1, lambda net: (ctrl_c(net), seen.append(weights_of(net))))
    estimator = fitted(kind, callbacks=[pressed], warm_start=name == "warm start")
    with (
        pytest.warns(TrainingWarning, match="^fit was interrupted after .* epochs; the estimator is fitted"),
        pytest.raises(KeyboardInterrupt),
    ):
        call(estimator, name, rows_of(kind), Y)
    assert pressed.n_seen == 1
    assert estimator.interrupted_ is True
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert_same_weights(weights(estimator), seen[0])
    assert_usable(kind, estimator)
    estimator.set_params(callbacks=None, warm_start=False).fit(rows_of(kind), Y)
    assert estimator.interrupted_ is False
    assert_same_weights(weights(estimator), weights(fitted(kind)))


def weights_of(net):
    return {name: value.clone() for name, value in net.module_.state_dict().items()}


def assert_usable(kind, estimator):
    """It predicts, is pickled, and draws samples of the latent distribution of the training rows."""
    predicted = estimator.predict(rows_of(kind))
    assert np.isfinite(predicted).all()
    again = pickle.loads(pickle.dumps(copy.copy(estimator).set_params(callbacks=None)))
    np.testing.assert_array_equal(again.predict(rows_of(kind)), predicted)
    if kind == "heatmap":
        return
    if kind != "sim-to-real":  # whose samples are of the prior
        mean = estimator.transform(rows_of(kind)).mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(estimator.latent_mean_, mean, rtol=1e-12)
    drawn = np.random.RandomState(0).multivariate_normal(
        estimator.latent_mean_, estimator.latent_cov_, size=5
    )
    np.testing.assert_array_equal(estimator.sample(5, random_state=0), estimator.inverse_transform(drawn))


@pytest.mark.parametrize("kind", KINDS)
def test_ctrl_c_in_a_first_fit_leaves_a_fitted_estimator(kind):
    estimator = smallest(kind, callbacks=[After(1, ctrl_c)])
    with pytest.warns(TrainingWarning, match="interrupted"), pytest.raises(KeyboardInterrupt):
        estimator.fit(rows_of(kind), Y)
    assert estimator.interrupted_ is True
    assert estimator.n_iter_ == 0
    assert_usable(kind, estimator)


@pytest.mark.parametrize("kind", ["cross-modal", "aligned", "sim-to-real"])
def test_ctrl_c_while_the_latent_statistics_are_measured_leaves_them_measured(kind):
    pictures = Interrupting(np.asarray(getattr(rows_of(kind), image_of(kind))))
    estimator = smallest(kind, callbacks=[AtTheEnd(n_stages(kind), lambda: setattr(pictures, "waits", True))])
    with pytest.warns(TrainingWarning, match="interrupted"), pytest.raises(KeyboardInterrupt):
        estimator.fit(rows_of(kind, pictures), Y)
    assert not pictures.waits
    assert estimator.interrupted_ is True
    whole = fitted(kind)
    assert_same_weights(weights(estimator), weights(whole))
    np.testing.assert_array_equal(estimator.latent_mean_, whole.latent_mean_)
    np.testing.assert_array_equal(estimator.latent_cov_, whole.latent_cov_)
    np.testing.assert_array_equal(
        estimator.predict(rows_of(kind), return_std=True), whole.predict(rows_of(kind), return_std=True)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_ctrl_c_after_the_last_epoch_loses_nothing(kind):
    estimator = smallest(kind, callbacks=[AtTheEnd(n_stages(kind), lambda: ctrl_c(None))])
    with pytest.warns(TrainingWarning, match="interrupted"), pytest.raises(KeyboardInterrupt):
        estimator.fit(rows_of(kind), Y)
    assert estimator.interrupted_ is True
    assert estimator.n_iter_ == fitted(kind).n_iter_
    assert_same_weights(weights(estimator), weights(fitted(kind)))
    assert_usable(kind, estimator)


def n_stages(kind):
    return len(dict.fromkeys(fitted(kind).history_.get("stage", [""])))


class Interrupting(Pictures):
    """Pictures in the reading of which Ctrl-C is pressed once, when it is waited for."""

    waits = False

    def _read(self, rows):
        if self.waits:
            self.waits = False
            signal.raise_signal(signal.SIGINT)
        return super()._read(rows)


class AtTheEnd(Callback):
    """Call a function when the last of so many stages has been trained."""

    def __init__(self, n_stages, function):
        self.left, self.function = n_stages, function

    def on_train_end(self, net, **kwargs):
        self.left -= 1
        if self.left == 0:
            self.function()


# ---------------------------------------------------------------- divergence


@pytest.mark.parametrize("kind", KINDS)
def test_a_learning_rate_that_diverges_is_named_with_epoch_batch_and_term(kind):
    estimator = fitted(kind, lr=1e6)
    state, names = state_of(estimator), set(estimator.history_)
    with pytest.raises(DivergenceError, match=r"^lr=1e\+06: .*epoch \d+, batch \d+") as raised:
        estimator.fit(rows_of(kind), Y)
    term = str(raised.value).split("the loss term '")[1].split("'")[0]
    assert term in names - {"train_loss", "seconds", "stage"}
    assert state_of(estimator) == state


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_diverges_keeps_the_last_epoch_that_ended_well(kind):
    seen = []

    def too_fast(net):
        seen.append(weights_of(net))
        for group in net.optimizer_.param_groups:
            group["lr"] = 1e6

    estimator = smallest(kind, callbacks=[AtEpoch(1, too_fast)], **longer(kind))
    with pytest.raises(DivergenceError, match="in epoch 2, batch"):
        estimator.fit(rows_of(kind), Y)
    assert estimator.n_iter_ == len(estimator.history_["train_loss"]) == 1
    assert estimator.interrupted_ is True
    assert_same_weights(weights(estimator), seen[0])
    assert_usable(kind, estimator)
    estimator.set_params(callbacks=None).partial_fit(rows_of(kind), Y)
    assert np.isfinite(estimator.history_["train_loss"]).all()
    assert estimator.n_iter_ == 2


def longer(kind):
    """Several epochs of each stage."""
    return {"max_iter": 12} if kind == "sim-to-real" else {"max_epochs": 6}
