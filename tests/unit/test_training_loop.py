"""The loop: epochs, callbacks, stops, interrupts, rates, divergence, and going on from a state."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping
from torch import nn
from trainings import AtEpoch, assert_same_weights, interrupt

from skhand.exceptions import DivergenceError, InputError
from skhand.training import Average, BestWeights, Loop, Objective, Stage, check_callbacks

CPU = torch.device("cpu")


class Counting(Objective):
    """Each step adds 1 to the one weight and reports it."""

    def __init__(self):
        super().__init__({})

    def columns(self, stream):
        return {"id"}

    def step(self, module, batches, context):
        with torch.no_grad():
            module.weight += 1
        terms = {"mse_a": module.weight.detach().clone().squeeze()}
        return {**terms, "kl_gradient_a": torch.tensor(7.0)} if context.measure else terms


class Noisy(Counting):
    """Each step takes a step of Adam towards random numbers."""

    def step(self, module, batches, context):
        wanted = torch.randn(1, generator=context.generator) + batches["rows"]["id"].sum()
        context.optimizer.zero_grad()
        loss = (module.weight - wanted).square().mean()
        loss.backward()
        context.optimizer.step()
        return {"mse_a": loss.detach()}


class Scripted(Counting):
    """Reports what it is told, and counts in the weight."""

    def __init__(self, *values):
        super().__init__()
        self.values = values

    def step(self, module, batches, context):
        super().step(module, batches, context)
        zero = torch.zeros(())
        return {"mse_a": torch.tensor(self.values[context.number]), "kl_a": zero, "kl_gradient_a": zero / 0}


def make_loop(
    callbacks=(), *, objective=None, n_epochs=4, steps=1, columns_of=None, best=None, averaging=None,
    save=None, state=None, save_every=120.0, after_epoch=None, optimizer_state=None, **options,
):  # fmt: skip
    """A loop of epochs of so many steps on a module with one weight, which is 0."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    settings = {"lr": 0.1, "batch_size": 2, "n_epochs": n_epochs, **options}
    stage = Stage(objective or Counting(), {"rows": np.arange(2 * steps)}, **settings)
    columns = {"id": np.arange(2 * steps)}
    return Loop(
        stage, module, average=None if averaging is None else Average(module, averaging),
        columns_of=columns_of or (lambda number: columns), n_workers=0, seed=[3], device=CPU,
        optimizer_state=optimizer_state, callbacks=list(callbacks), best=best,
        after_epoch=after_epoch or (lambda rows, n_steps: False), save=save, save_every=save_every,
        state=state,
    )  # fmt: skip


class Rates(Callback):
    """Remember the learning rate at each epoch's end, and at each batch."""

    def on_train_begin(self, net, **kwargs):
        self.epochs, self.batches = [], []

    def on_epoch_end(self, net, **kwargs):
        self.epochs.append(net.optimizer_.param_groups[0]["lr"])

    def on_batch_begin(self, net, **kwargs):
        self.batches.append(net.optimizer_.param_groups[0]["lr"])


# ---------------------------------------------------------------- epochs and callbacks


def test_an_epochs_row_holds_the_mean_of_its_steps():
    loop = make_loop(steps=3).run()
    history = loop.net.history
    assert [row["mse_a"] for row in history] == [2, 5, 8, 11]
    assert [row["train_loss"] for row in history] == [2, 5, 8, 11]  # a gradient ratio is no loss
    assert [row["kl_gradient_a"] for row in history] == [7] * 4
    assert not loop.module.training


def test_the_last_epoch_may_be_shorter_and_its_mean_is_of_its_own_steps():
    seen = []
    loop = make_loop(
        steps=1,
        n_steps=7,
        epoch_length=3,
        after_epoch=lambda rows, n_steps: seen.append((len(rows), n_steps)),
    )
    history = loop.run().net.history
    assert [row["mse_a"] for row in history] == [2, 5, 7]
    assert seen == [(1, 3), (2, 6), (3, 7)]


def test_a_stop_ends_after_the_epoch_and_every_callback_hears_of_it():
    ended, trained = [], []
    count = type(
        "Count",
        (Callback,),
        {
            "on_epoch_begin": lambda self, net, **_: trained.append(1),
            "on_epoch_end": lambda self, net, **_: ended.append(1),
        },
    )()
    loop = make_loop([AtEpoch(2, lambda net: setattr(net, "stop_", True)), count]).run()
    assert len(loop.net.history) == len(ended) == len(trained) == 2
    assert loop.stopped and not loop.interrupted


def test_what_looks_on_after_an_epoch_may_stop_it():
    loop = make_loop(after_epoch=lambda rows, n_steps: n_steps == 3).run()
    assert len(loop.net.history) == 3
    assert loop.stopped


def test_skorchs_own_early_stopping_is_a_stop_and_no_interrupt():
    loop = make_loop([EarlyStopping("train_loss", patience=2, sink=lambda *_: None)], n_epochs=9).run()
    assert len(loop.net.history) == 3  # the weight only grows
    assert loop.stopped and not loop.interrupted


def test_callbacks_see_batches_by_stream_gradients_and_the_net():
    seen = {"batch": [], "gradient": 0}

    class Look(Callback):
        def on_batch_begin(self, net, batch, training, **kwargs):
            seen["batch"].append({stream: list(columns) for stream, columns in batch.items()})
            assert training and net.module_.training

        def on_grad_computed(self, net, named_parameters, **kwargs):
            seen["gradient"] += 1

    class Shown(Noisy):
        def step(self, module, batches, context):
            context.on_gradients()
            return super().step(module, batches, context)

    make_loop([Look()], objective=Shown(), steps=2, n_epochs=2).run()
    assert seen == {"batch": [{"rows": ["id"]}] * 4, "gradient": 4}


@pytest.mark.parametrize("callbacks", [Callback(), [Callback], ["name"], [("name", 3)], "callback", 3])
def test_callbacks_that_are_none_are_refused(callbacks):
    with pytest.raises(InputError, match="callbacks"):
        check_callbacks(callbacks)


def test_callbacks_may_have_names():
    callback = Callback()
    assert check_callbacks(None) == []
    assert check_callbacks([callback, ("name", callback)]) == [callback, ("name", callback)]


# ---------------------------------------------------------------- interrupts


def test_an_interrupt_is_remembered_and_drops_the_unfinished_epoch():
    loop = make_loop([AtEpoch(2, interrupt)]).run()
    assert loop.interrupted
    assert len(loop.net.history) == 2

    def interrupted(number):
        if number:
            raise KeyboardInterrupt
        return {"id": np.arange(4)}

    loop = make_loop(columns_of=interrupted, steps=2, epoch_length=3).run()  # the second pass is not read
    assert loop.interrupted
    assert len(loop.net.history) == 0
    assert loop.module.weight.item() == 2
    assert not loop.module.training


def test_an_error_passes_and_leaves_evaluation_mode():
    def fail(net):
        raise ZeroDivisionError

    loop = make_loop([AtEpoch(2, fail)])
    with pytest.raises(ZeroDivisionError):
        loop.run()
    assert not loop.interrupted
    assert not loop.module.training


# ---------------------------------------------------------------- the rate


def test_the_rate_descends_along_half_a_cosine():
    rates = Rates()
    make_loop([rates], lr=0.4, descent=(4, 0)).run()
    assert rates.epochs == pytest.approx([0.4, 0.4 * (2 + 2**0.5) / 4, 0.2, 0.4 * (2 - 2**0.5) / 4])


def test_the_rate_stays_at_zero_after_its_descent_and_never_climbs():
    rates = Rates()
    make_loop([rates], lr=0.4, descent=(4, 3)).run()
    assert rates.epochs == pytest.approx([0.4 * (2 - 2**0.5) / 4, 0, 0, 0])


def test_the_rate_descends_from_batch_to_batch_and_starts_epochs_where_it_would_by_epoch():
    by_epoch, by_batch = Rates(), Rates()
    make_loop([by_epoch], lr=0.4, descent=(4, 0)).run()
    make_loop([by_batch], lr=0.4, steps=2, descent=(4, 0)).run()
    assert by_batch.batches == pytest.approx([0.2 * (1 + np.cos(np.pi * step / 8)) for step in range(8)])
    assert by_batch.batches[::2] == pytest.approx(by_epoch.batches)


def test_the_descent_of_a_stage_of_steps_is_in_steps():
    rates, halves = Rates(), Rates()
    make_loop([rates], lr=0.4, n_steps=8, epoch_length=2, descent=(8, 0)).run()
    assert rates.batches == pytest.approx([0.2 * (1 + np.cos(np.pi * step / 8)) for step in range(8)])
    make_loop([halves], lr=0.4, n_steps=8, epoch_length=2, descent=(16, 8)).run()
    assert halves.batches == pytest.approx([0.2 * (1 + np.cos(np.pi * step / 16)) for step in range(8, 16)])


def test_without_a_descent_the_rate_is_the_stages_also_after_another_training():
    rates = Rates()
    old = make_loop(objective=Noisy(), lr=0.4, descent=(4, 0)).run().optimizer.state_dict()
    loop = make_loop([rates], objective=Noisy(), lr=0.3, optimizer_state=old)
    assert loop.optimizer.state_dict()["state"][0]["step"] == 4  # the moments are those of before
    loop.run()
    assert rates.batches == [0.3] * 4


# ---------------------------------------------------------------- divergence


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e5])
def test_a_loss_that_is_no_number_or_has_grown_without_bound_stops_the_training(value):
    loop = make_loop(objective=Scripted(2.0, 2.0, 2.0, value), steps=2, name="depth")
    with pytest.raises(DivergenceError, match=r"lr=0\.1: .*'mse_a' became .* in epoch 2, batch 2.*'depth'"):
        loop.run()
    assert loop.module.weight.item() == 2  # as at the end of the epoch that ended well
    assert len(loop.net.history) == 1
    assert not loop.module.training


def test_a_training_that_diverges_at_once_is_back_where_it_began():
    loop = make_loop(objective=Scripted(2.0, np.nan), steps=3)
    with pytest.raises(DivergenceError, match="epoch 1, batch 2"):
        loop.run()
    assert loop.module.weight.item() == 0
    assert len(loop.net.history) == 0


def test_a_large_loss_that_does_not_grow_is_a_training_and_so_is_a_tenfold_growth():
    assert len(make_loop(objective=Scripted(1e9, 2e9, 1e10, 1e13)).run().net.history) == 4
    with pytest.raises(DivergenceError):
        make_loop(objective=Scripted(1e9, 2e9, 1e10, 2e14)).run()


# ---------------------------------------------------------------- random numbers, averages and states


def test_a_training_draws_from_no_random_numbers_but_its_own():
    trained = []
    for seed in (1, 2):
        loop = make_loop(objective=Noisy(), steps=3)
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        trained.append(loop.run().module.state_dict())
        assert torch.equal(torch.get_rng_state(), before)
    assert_same_weights(*trained)


def test_the_averaged_weights_are_those_that_are_validated():
    made, seen = {}, []

    def score():
        seen.append(made["loop"].answer.weight.item() if made else 0.0)
        return -len(seen)

    made["loop"] = loop = make_loop(averaging=0.5, best=BestWeights(score, "valid", 9, 0.0))
    loop.run()
    average = 0.0
    for step, wanted in enumerate(seen[1:]):
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * (step + 1)
        assert wanted == pytest.approx(average)
    assert loop.average.module.weight.item() == pytest.approx(average)
    assert loop.answer is loop.average.module


def test_going_on_from_any_step_ends_with_the_same_weights_history_and_best():
    def best():
        errors = iter([9.0, 5.0, 3.0, 4.0, 6.0])
        return BestWeights(lambda: next(errors), "valid", 9, 0.0)

    options = {
        "objective": Noisy(), "steps": 3, "averaging": 0.9, "descent": (4, 0), "lr": 0.2, "save_every": 0.0,
    }  # fmt: skip
    states = []
    whole = make_loop(best=best(), save=lambda state: states.append(copy.deepcopy(state)), **options).run()
    assert [state["step"] for state in states] == list(range(1, 13))
    for state in states[1::3] + states[2::3]:  # in the middle of epochs and at their ends
        rest = best()
        for _ in range(1 + state["step"] // 3):
            rest.score()
        loop = make_loop(best=rest, state=state, **options).run()
        assert_same_weights(loop.module.state_dict(), whole.module.state_dict())
        assert_same_weights(loop.answer.state_dict(), whole.answer.state_dict())
        assert loop.average.n_steps == whole.average.n_steps == 12
        rows = list(loop.net.history)
        for row, wanted in zip(rows, list(whole.net.history)[4 - len(rows) :], strict=True):
            assert (row["mse_a"], row["valid"]) == (wanted["mse_a"], wanted["valid"])


def test_a_state_is_saved_after_each_epoch_and_when_it_is_due_within_one():
    seldom, often = [], []
    make_loop(steps=3, save=lambda state: seldom.append(state["step"])).run()
    make_loop(steps=3, save=lambda state: often.append(state["step"]), save_every=0.0).run()
    assert seldom == [3, 6, 9, 12]
    assert often == list(range(1, 13))


def test_epochs_left_count_the_one_that_was_begun_and_none_after_the_end():
    states = []
    make_loop(
        steps=3, n_epochs=2, save=lambda state: states.append(copy.deepcopy(state)), save_every=0.0
    ).run()
    left = [make_loop(steps=3, n_epochs=2, state=state).count_epochs_left() for state in states]
    assert left == [2, 2, 1, 1, 1, 0]


def test_terms_in_half_precision_are_added_up_in_float32():
    class Half(Counting):
        def step(self, module, batches, context):
            return {"mse_a": torch.ones((), dtype=torch.bfloat16)}

    states = []
    loop = make_loop(objective=Half(), steps=600, n_epochs=1, save=states.append, save_every=0.0).run()
    assert loop.net.history[-1]["mse_a"] == 1.0  # a sum in bfloat16 stands still at 256
    totals = [state["totals"]["mse_a"] for state in states if state["totals"]]
    assert {total.dtype for total in totals} == {torch.float32}  # what a checkpoint can keep


def test_a_stop_is_kept_in_the_state():
    states = []
    make_loop([AtEpoch(2, lambda net: setattr(net, "stop_", True))], save=states.append).run()
    loop = make_loop(state=states[-1]).run()
    assert loop.stopped
    assert len(loop.net.history) == 0


def test_only_a_gpu_replays_a_step():
    class Replayable(Counting):
        replayable = True

    assert make_loop(objective=Replayable()).run().module.weight.item() == 4
