"""Forecast of the time that a stage which has not begun will take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import nn

from skhand.exceptions import DivergenceError
from skhand.training._loop import Loop, Stage

__all__ = ["forecast_stage"]


class _Clock(Callback):
    """Notes when each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_batch_end(self, net: Any, **_: Any) -> None:
        self.ends.append(time.perf_counter())


def forecast_stage(
    stage: Stage,
    module: nn.Module,
    columns_of: Callable[[int], Mapping[str, Any]],
    *,
    seed: Sequence[int],
    device: torch.device,
    n_workers: int | None,
) -> float:
    """Return how long a stage will take at the speed of its second step.

    The two steps change the networks.

    Parameters
    ----------
    stage : Stage
        What is to be trained.
    module : Module
        A copy of the networks.
    columns_of, seed, device, n_workers
        As in `Loop`.

    Returns
    -------
    seconds : float
    """
    clock = _Clock()
    loop = Loop(
        stage,
        module,
        average=None,
        columns_of=columns_of,
        n_workers=n_workers,
        seed=seed,
        device=device,
        optimizer_state=None,
        callbacks=[clock],
        best=None,
        after_epoch=lambda rows, n_steps: False,
        save=None,
    )
    n_steps, loop.n_steps = loop.n_steps, min(2, loop.n_steps)
    with contextlib.suppress(DivergenceError):  # of networks that are not trained that far yet
        loop.run()
    if loop.interrupted:
        raise KeyboardInterrupt
    return n_steps * (clock.ends[1] - clock.ends[0]) if len(clock.ends) == 2 else 0.0
