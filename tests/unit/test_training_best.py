"""The best weights of a stage, and when it stops for want of better ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from skhand.training import BestWeights, Loop, Objective, Stage


class Counting(Objective):
    """Each step adds 1 to the one weight."""

    def __init__(self):
        super().__init__({})

    def columns(self, stream):
        return {"id"}

    def step(self, module, batches, context):
        with torch.no_grad():
            module.weight += 1
        return {"mse": module.weight.detach().clone().squeeze()}


def train(errors, patience, tol, n_epochs=4, past=()):
    """Train epochs of one step each, with these errors: of the start, and of each epoch."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    errors = iter(errors)
    best = BestWeights(lambda: next(errors), "valid", patience, tol, past)
    columns = {"id": np.arange(2)}
    return Loop(
        Stage(Counting(), {"rows": np.arange(2)}, lr=0.1, batch_size=2, n_epochs=n_epochs), module,
        average=None, columns_of=lambda number: columns, n_workers=0, seed=[0], device=torch.device("cpu"),
        optimizer_state=None, callbacks=[], best=best, after_epoch=lambda rows, n_steps: False, save=None,
    ).run()  # fmt: skip


def test_the_best_weights_come_back_after_patience():
    loop = train([9.0, 5.0, 3.0, 4.0, 4.0, 4.0, 1.0], 2, 1e-3, n_epochs=6)
    assert [row["valid"] for row in loop.net.history] == [5, 3, 4, 4]
    assert loop.module.weight.item() == 2  # what it was after the second epoch
    assert loop.stopped


def test_an_improvement_below_tol_is_kept_but_does_not_wait_longer():
    loop = train([9.0, 1.0, 0.9999, 0.9998, 0.5], 2, 1e-2)
    assert len(loop.net.history) == 3
    assert loop.module.weight.item() == 3


def test_without_patience_validation_only_records():
    loop = train([1.0, 2.0, 3.0, 4.0], None, 1e-3)  # nor is the start looked at
    assert [row["valid"] for row in loop.net.history] == [1, 2, 3, 4]
    assert loop.module.weight.item() == 4


def test_the_weights_that_a_stage_starts_from_count():
    loop = train([1.0, 2.0, 3.0, 4.0], 2, 1e-3)
    assert [row["valid"] for row in loop.net.history] == [2, 3]  # patience counts from the start
    assert loop.module.weight.item() == 0
    assert train([3.0, 2.0, 3.0, 4.0], 2, 1e-3).module.weight.item() == 1


def test_an_error_that_is_no_number_is_no_improvement():
    loop = train([np.nan, 5.0, np.nan, np.nan], 2, 1e-3)
    assert loop.module.weight.item() == 1
    assert len(loop.net.history) == 3
    loop = train([np.nan] * 4, 2, 1e-3)  # nothing is known to be better than the last
    assert loop.module.weight.item() == 2


def test_epochs_without_improvement_of_an_earlier_training_go_on_counting():
    # 4 and 5 were epochs without improvement: one more is the third
    loop = train([5.0, 6.0, 7.0, 8.0], 3, 1e-3, past=[3.0, 4.0, 5.0])
    assert len(loop.net.history) == 1
    loop = train([3.0, 6.0, 7.0, 8.0], 3, 1e-3, past=[5.0, 4.0, 3.0])
    assert len(loop.net.history) == 3
    assert loop.module.weight.item() == 0


def test_a_state_goes_on_where_it_was():
    module = nn.Linear(1, 1)
    errors = iter([5.0, 4.0, 6.0])
    best = BestWeights(lambda: next(errors), "valid", 2, 0.0)
    best.start(module)
    best.judge(module)
    best.judge(module)
    rest = BestWeights(lambda: 7.0, "valid", 2, 0.0)
    rest.resume(best.state())
    assert (rest.best, rest.waited, rest.is_over) == (4.0, 1, False)
    rest.judge(module)
    assert rest.is_over
