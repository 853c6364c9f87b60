"""Adam for losses that take their steps in turn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["AdamInTurn"]


class AdamInTurn(torch.optim.Adam):
    """Adam that keeps the moments of each loss apart, where several take steps in turn on the same weights.

    Adam divides a step by the size of the last gradients. With common moments the loss with large gradients
    sets that size for all others, and its momentum goes on in their steps: next to a pose error, the
    reconstruction of a picture moved a shared encoder along the pose's last step and hardly along its own
    gradient. With moments of its own, a loss's step depends on its own history only.
    """

    def __init__(self, params: Any, **options: Any):
        super().__init__(params, **options)
        self._loss: str | None = None
        self._states: dict[str | None, Any] = {None: self.state}

    def turn_to(self, loss: str | None) -> None:
        """Take up the moments of this loss; None is that of objectives with one loss."""
        self._loss = loss
        self.state = self._states.setdefault(loss, defaultdict(dict))

    def state_dict(self) -> dict[str, Any]:
        """Return the settings and the moments, by number of the weight or ``"<loss>:<number>"``."""
        loss, moments = self._loss, {}
        for name in self._states:
            self.turn_to(name)
            packed = super().state_dict()
            for weight, values in packed["state"].items():
                moments[weight if name is None else f"{name}:{weight}"] = values
        self.turn_to(loss)
        return {"state": moments, "param_groups": packed["param_groups"]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up what `state_dict` returned, laid out in memory as the weights are.

        Adam's fused step relies on moments that are laid out as their weights.
        """
        by_loss: dict[str | None, dict[int, Any]] = {None: {}}
        for key, values in state_dict["state"].items():
            name, _, weight = key.rpartition(":") if isinstance(key, str) else (None, "", key)
            by_loss.setdefault(name, {})[int(weight)] = values
        for name, state in by_loss.items():
            self.turn_to(name)
            super().load_state_dict({"state": state, "param_groups": state_dict["param_groups"]})
            self._states[name] = self.state
            for weight, values in self.state.items():
                for key, value in values.items():
                    if isinstance(value, Tensor) and value.shape == weight.shape:
                        values[key] = torch.empty_like(weight, requires_grad=False).copy_(value)
