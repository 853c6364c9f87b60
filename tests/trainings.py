"""Shared by tests of trainings: weights, a small estimator, callbacks and optimisers that look on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback

from skhand.estimators import AlignedLatentRegressor


def weights(estimator: Any) -> dict[str, torch.Tensor]:
    """A copy of a fitted estimator's weights and buffers."""
    return {name: value.clone() for name, value in estimator.module_.state_dict().items()}


def assert_same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """The same names in the same order, and the same values to the last bit."""
    assert list(one) == list(other)
    for name in one:
        assert torch.equal(one[name], other[name]), name


def lifting(**options: Any) -> AlignedLatentRegressor:
    """A small estimator of poses from keypoints."""
    settings = {
        "source": "keypoints2d", "hidden_units": 32, "n_hidden_layers": 2, "latent_dim": 8, "context_dim": 4,
        "lr": 2e-3, "max_epochs": 2, "batch_size": 32, "given": ("root",), "random_state": 0,
    }  # fmt: skip
    return AlignedLatentRegressor(**{**settings, **options})


class AtEpoch(Callback):
    """Do something with the net at the end of one epoch of all stages together (1 is the first)."""

    def __init__(self, epoch: int, function: Callable[[Any], None]):
        self.epoch, self.function, self.count = epoch, function, 0

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Count the epoch."""
        self.count += 1
        if self.count == self.epoch:
            self.function(net)


class SeenRows(Callback):
    """Writes down which rows each stream trains on, told by their column of this name."""

    def __init__(self, column: Any, name: str = "rgb"):
        self.name, self.rows = name, {row.tobytes(): i for i, row in enumerate(np.asarray(column))}
        self.seen: dict[str, set[int]] = {}

    def on_batch_begin(self, net: Any, batch: Any = None, **kwargs: Any) -> None:
        """Write down the rows of each stream's batch."""
        for stream, columns in batch.items():
            rows = {self.rows[row.tobytes()] for row in columns[self.name].numpy()}
            self.seen.setdefault(stream, set()).update(rows)

    def clear_and_return(self, *_: Any) -> dict[str, set[int]]:
        """Return what was seen since the last call."""
        seen, self.seen = self.seen, {}
        return seen


def interrupt(net: Any) -> None:
    """What Ctrl-C raises."""
    raise KeyboardInterrupt


class RecordingSGD(torch.optim.SGD):
    """Remembers the gradients of each step in ``seen`` and takes it; with ``lr=0`` it moves nothing."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.seen: list[list[torch.Tensor | None]] = []

    def step(self, closure: Any = None) -> Any:
        """Remember, then step."""
        grads = [p.grad for p in self.param_groups[0]["params"]]
        self.seen.append([None if grad is None else grad.clone() for grad in grads])
        return super().step(closure)
