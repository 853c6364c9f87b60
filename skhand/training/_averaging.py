"""Averaged weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

__all__ = ["Average"]


class Average:
    """An exponential moving average of all weights and of the batch statistics.

    The decay grows from 0.1 to its value, as ``(1 + t) / (10 + t)`` of the t-th step, so that the average
    does not hang on to the weights that a training starts from. torch's own `AveragedModel` has no such
    start.

    Parameters
    ----------
    module : Module
        The networks, of which ``module`` is to be the averaged copy.
    decay : float
        Share of the average that a step leaves, 0 to 1.
    n_steps : int, default=0
        Steps that are averaged already.

    Attributes
    ----------
    module : Module
        The averaged networks, in evaluation mode.
    """

    def __init__(self, module: nn.Module, decay: float, n_steps: int = 0):
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay, self.n_steps = decay, n_steps

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average towards the weights of a step."""
        decay = min(self.decay, (1 + self.n_steps) / (10 + self.n_steps))
        self.n_steps += 1
        mine, theirs = list(self.module.state_dict().values()), list(module.state_dict().values())
        pairs = [pair for pair in zip(mine, theirs, strict=True) if pair[0].is_floating_point()]
        torch._foreach_lerp_([old for old, _ in pairs], [new for _, new in pairs], 1 - decay)
        for old, new in zip(mine, theirs, strict=True):
            if not old.is_floating_point():
                old.copy_(new)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"weights": self.module.state_dict(), "n_steps": self.n_steps}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` returned."""
        self.module.load_state_dict(state["weights"])
        self.n_steps = state["n_steps"]
