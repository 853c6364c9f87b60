"""AlignedLatentRegressor when it goes on: rates, turns, the best weights so far, and no way back."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from trainings import AtEpoch, interrupt

from skhand.datasets import make_hands
from skhand.estimators import AlignedLatentRegressor, CrossModalVAERegressor

STAGES = ("disentangle", "align", "finetune", "refine")


@pytest.fixture(scope="module")
def hands():
    return make_hands(48, image_size=16, rotation=60.0, images=(), random_state=0)


@pytest.fixture(scope="module")
def others():
    return make_hands(24, image_size=16, rotation=60.0, images=(), random_state=5)


def lifting(**options):
    """A small estimator of poses from keypoints."""
    settings = {
        "source": "keypoints2d", "hidden_units": 16, "n_hidden_layers": 2, "latent_dim": 4, "context_dim": 3,
        "lr": 2e-3, "max_epochs": 1, "batch_size": 16, "given": ("root",), "random_state": 0,
    }  # fmt: skip
    return AlignedLatentRegressor(**{**settings, **options})


class Seen(Callback):
    """Write down every epoch's learning rate, and the steps that the optimiser has behind it."""

    def __init__(self):
        self.rates, self.steps = [], []

    def on_epoch_begin(self, net, **kwargs):
        self.rates.append(net.optimizer_.param_groups[0]["lr"])
        state = net.optimizer_.state_dict()["state"].values()
        self.steps.append({float(moments["step"]) for moments in state})


def weights(estimator):
    return {name: value.clone() for name, value in estimator.module_.named_parameters()}


# ---------------------------------------------------------------- rates


def test_partial_fit_after_a_finished_cosine_trains_at_the_constant_rate(hands):
    seen = Seen()
    estimator = lifting(
        lr_schedule="cosine", max_epochs=2, stages=("vae", "refine"), callbacks=[seen],
        lr={"vae": 2e-3, "refine": 1e-3},
    ).fit(hands.data, hands.target)  # fmt: skip
    assert seen.rates == [2e-3, 1e-3, 1e-3, 5e-4]
    before = weights(estimator)
    for _ in range(3):
        estimator.partial_fit(hands.data, hands.target)
    assert seen.rates[4:] == [1e-3] * 3
    after = weights(estimator)
    assert not torch.equal(before["decoders.pose3d.end.weight"], after["decoders.pose3d.end.weight"])
    again = estimator.set_params(warm_start=True).fit(hands.data, hands.target)
    assert seen.rates[7:] == [1e-3, 5e-4]  # the last stage as a whole, in a course of its own
    assert again.history_["stage"][4:] == ["refine"] * 5


def test_partial_fit_walks_along_the_cosine_of_an_unfinished_stage(hands):
    seen = Seen()
    estimator = lifting(lr_schedule="cosine", max_epochs=2, stages=("vae",), callbacks=[seen])
    for _ in range(4):
        estimator.partial_fit(hands.data, hands.target)
    assert seen.rates == [2e-3, 1e-3, 2e-3, 2e-3]


def test_the_other_estimators_partial_fit_is_at_the_constant_rate_too(hands):
    seen = Seen()
    estimator = CrossModalVAERegressor(
        source="keypoints2d", hidden_units=16, n_hidden_layers=1, max_epochs=2, lr=2e-3, lr_schedule="cosine",
        batch_size=16, callbacks=[seen], random_state=0,
    ).fit(hands.data, hands.target)  # fmt: skip
    estimator.partial_fit(hands.data, hands.target).partial_fit(hands.data, hands.target)
    assert seen.rates == [2e-3, 1e-3, 2e-3, 2e-3]


# ---------------------------------------------------------------- turns


@pytest.mark.parametrize("batch_size", [48, 16])
def test_kinematic_losses_take_turns_from_call_to_call_as_within_one_fit(hands, batch_size):
    """With one batch a call, and with three, where each call would begin with the same loss."""
    options = {"stages": ("vae", "refine"), "max_epochs": {"vae": 1, "refine": 4}, "batch_size": batch_size}
    whole = lifting(**options).fit(hands.data, hands.target)
    parts = lifting(**options)
    for _ in range(5):
        parts.partial_fit(hands.data, hands.target)
    interrupted = lifting(**options, warm_start=True, callbacks=[AtEpoch(2, interrupt)])
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(hands.data, hands.target)
    interrupted.set_params(callbacks=None).fit(hands.data, hands.target)
    turns = {name: np.isfinite(whole.history_[name]) for name in ("kcs", "geo")}
    for estimator in (parts, interrupted):
        assert estimator.history_["stage"] == ["vae", *["refine"] * 4]
        for name, expected in turns.items():
            np.testing.assert_array_equal(np.isfinite(estimator.history_[name]), expected)
    if batch_size == 48:
        np.testing.assert_array_equal(turns["kcs"], [False, True, False, True, False])
        np.testing.assert_array_equal(turns["geo"], [False, False, True, False, True])
    else:  # a term's mean over an epoch's batches has two turns in it, then one, and so on
        ratios = {name: np.array(parts.history_[name][1:]) for name in ("kcs", "geo")}
        assert (ratios["kcs"][[0, 2]] > 1.3 * ratios["kcs"][[1, 3]]).all()
        assert (ratios["geo"][[0, 2]] < ratios["geo"][[1, 3]] / 1.3).all()


# ---------------------------------------------------------------- the best weights


def test_a_resumed_stage_keeps_the_best_weights_from_before_the_interrupt(hands, others):
    validation = {"X_val": others.data, "y_val": others.target}
    estimator = lifting(
        stages=("vae",), lr=0.05, early_stopping=True, max_epochs=12, n_iter_no_change=20, warm_start=True,
        callbacks=[AtEpoch(10, interrupt)], random_state=1,
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(hands.data, hands.target, **validation)
    best = min(estimator.history_["valid_epe"])
    before = weights(estimator)
    estimator.set_params(callbacks=None, lr=3.0)  # nothing good comes of this rate
    estimator.fit(hands.data, hands.target, **validation)
    errors = estimator.history_["valid_epe"]
    assert len(errors) == 12 and min(errors[10:]) > best
    assert all(torch.equal(value, before[name]) for name, value in weights(estimator).items())


def test_patience_goes_on_counting_after_an_interrupt(hands, others):
    validation = {"X_val": others.data, "y_val": others.target}
    estimator = lifting(
        stages=("vae",), early_stopping=True, max_epochs=30, n_iter_no_change=4, warm_start=True,
    )  # fmt: skip
    for lr, n_epochs in ((2e-3, 2), (3.0, 2)):  # nothing good comes of the second rate
        estimator.set_params(lr=lr, callbacks=[AtEpoch(n_epochs, interrupt)])
        with pytest.raises(KeyboardInterrupt):
            estimator.fit(hands.data, hands.target, **validation)
    errors = estimator.history_["valid_epe"]
    best = int(np.argmin(errors))
    assert len(errors) == 4 and best < 2
    estimator.set_params(callbacks=None).fit(hands.data, hands.target, **validation)
    assert len(estimator.history_["valid_epe"]) == best + 1 + 4


# ---------------------------------------------------------------- no way back


def test_more_epochs_go_to_the_stage_that_was_begun_last_and_to_later_ones(hands):
    seen = Seen()
    estimator = lifting(callbacks=[seen])
    for _ in range(3):
        estimator.partial_fit(hands.data, hands.target)
    assert estimator.history_["stage"] == list(STAGES[:3])
    estimator.set_params(max_epochs=2)
    with_fit = copy.deepcopy(estimator).set_params(warm_start=True).fit(hands.data, hands.target)
    estimator.partial_fit(hands.data, hands.target).partial_fit(hands.data, hands.target)
    assert estimator.history_["stage"] == [*STAGES[:3], "finetune", "refine"]
    assert seen.steps == [set(), set(), set(), {3.0}, set()]  # of its own stage, or none
    assert with_fit.history_["stage"] == [*STAGES[:3], "finetune", "refine", "refine"]
