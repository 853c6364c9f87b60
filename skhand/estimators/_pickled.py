"""Copies and pickles of a fitted estimator: its weights as numpy arrays, which load on any device."""

from __future__ import annotations

from typing import Any

import torch
from sklearn.base import BaseEstimator

from skhand.exceptions import InputError
from skhand.training import resolve_device, to_numpy, to_tensors


class Pickled(BaseEstimator):
    """Base of estimators with ``module_``, ``device_``, ``_optimizer_state`` and ``_build_module``."""

    device: str
    device_: torch.device
    module_: Any
    _optimizer_state: dict[str, Any]
    _memory_format = torch.channels_last

    def _build_module(self, pretrained: bool) -> Any:
        """Return new networks of the fitted architecture."""
        raise NotImplementedError

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "module_")

    def __copy__(self) -> Any:
        shallow = object.__new__(type(self))  # copy.copy would otherwise pickle the weights
        shallow.__dict__.update(self.__dict__)
        return shallow

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "module_" in state:
            state["module_"] = to_numpy(state["module_"].state_dict())
            state["_optimizer_state"] = to_numpy(state["_optimizer_state"])
            del state["device_"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        weights = state.get("module_")
        super().__setstate__(state)
        if weights is not None:
            try:
                self.device_ = resolve_device(self.device)
            except InputError:  # fitted on a device that this machine does not have
                self.device_ = resolve_device("auto")
            with torch.device("meta"):  # without a random draw: a copy may be made in the middle of a fit
                module = self._build_module(pretrained=False)
            module.load_state_dict(to_tensors(weights), assign=True)
            self.module_ = module.to(self.device_, memory_format=self._memory_format).eval()
            self._optimizer_state = to_tensors(self._optimizer_state)
