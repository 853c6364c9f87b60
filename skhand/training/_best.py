"""Validation after every epoch: the best weights, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

__all__ = ["BestWeights", "copy_weights"]


class BestWeights:
    """The weights with the lowest validation error, those at the start of the stage among them.

    Parameters
    ----------
    score : callable
        Takes no argument and returns the present error, lower is better.
    name : str
        Name of the error in the history.
    patience : int or None
        Epochs without improvement before the training stops; None only records errors.
    tol : float
        What counts as an improvement, relative to the best.
    past : sequence of float, default=()
        Errors of the epochs of an earlier training that this one goes on from: these are the ones to improve
        on, and the epochs without improvement go on counting.
    """

    def __init__(
        self,
        score: Callable[[], float],
        name: str,
        patience: int | None,
        tol: float,
        past: Sequence[float] = (),
    ):
        self.score, self.name, self.patience, self.tol, self.past = score, name, patience, tol, list(past)
        self.best, self.waited = math.inf, 0
        self.weights: dict[str, Tensor] | None = None

    @property
    def is_over(self) -> bool:
        """Patience is over."""
        return self.patience is not None and self.waited >= self.patience

    def start(self, module: nn.Module) -> None:
        """Count the weights that the training starts from."""
        if self.patience is None:
            return
        for error in self.past:
            self._improves(error)
        error = self.score()
        if not math.isnan(error):  # against which no error would be an improvement
            self.best, self.weights = error, copy_weights(module)

    def judge(self, module: nn.Module) -> float:
        """Score an epoch, remember its weights if they are the best, and return the error."""
        error = self.score()
        if self.patience is not None and self._improves(error):
            self.weights = copy_weights(module)
        return error

    def _improves(self, error: float) -> bool:
        self.waited += 1
        if not error < self.best:
            return False
        if error < self.best * (1 - self.tol):
            self.waited = 0
        self.best = error
        return True

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"best": self.best, "waited": self.waited, "weights": self.weights}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` returned."""
        self.best, self.waited, self.weights = state["best"], state["waited"], state["weights"]


def copy_weights(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all weights and buffers."""
    return {key: value.detach().clone() for key, value in module.state_dict().items()}
