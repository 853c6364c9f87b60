"""Copies and pickles: weights as numpy arrays, which load on any device."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skhand.exceptions import InputError
from skhand.training import building, resolve_device, to_numpy, to_tensors

__all__ = ["PickledNetworks"]


class PickledNetworks(BaseEstimator):
    """Base of estimators whose networks are pickled as arrays, also in the middle of a fit.

    They have ``module_``, ``_live`` (the weights in training, where ``module_`` is their average),
    ``_optimizer_state``, ``device_`` and the method ``_build_module``.
    """

    device: str
    device_: torch.device
    module_: Any
    _live: Any
    _optimizer_state: Any
    _average: Any
    _memory_format: torch.memory_format

    def _build_module(self, pretrained: str | bool) -> Any:
        """Return new networks of the fitted architecture."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        if "module_" not in vars(self):
            return dict(super().__getstate__())
        with self._turn():  # between two steps of a training that another thread may run
            return self._pickled_state()

    def _pickled_state(self) -> dict[str, Any]:
        """Return what is pickled of a fitted estimator."""
        state = dict(super().__getstate__())
        del state["_lock"]
        average, optimizer = state.pop("_average", None), state.pop("_optimizer", None)
        if average is not None:  # in the middle of a fit
            state["_n_averaged"] = average.n_steps
        if optimizer is not None:
            state["_optimizer_state"] = optimizer.state_dict()
        live = state.pop("_live")
        state["_live_weights"] = None if live is state["module_"] else to_numpy(live.state_dict())
        state["module_"] = to_numpy(state["module_"].state_dict())
        state["_optimizer_state"] = to_numpy(state["_optimizer_state"])
        del state["device_"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        weights, live_weights = state.get("module_"), state.pop("_live_weights", None)
        super().__setstate__(state)
        if weights is None:
            return
        try:
            self.device_ = resolve_device(self.device)
        except InputError:  # fitted on a device that this machine does not have
            self.device_ = resolve_device("auto")
        self.module_ = self._rebuild(weights)
        self._live = self.module_ if live_weights is None else self._rebuild(live_weights)
        self._optimizer_state, self._average = to_tensors(self._optimizer_state), None

    def _turn(self) -> contextlib.AbstractContextManager[object]:
        """Return the lock of the networks' mode and weights: a step trains them, or a chunk is predicted.

        Shallow copies, which have the same networks, share it.
        """
        return self.__dict__.setdefault("_lock", threading.RLock())

    def _rebuild(self, weights: dict[str, np.ndarray]) -> Any:
        """Return networks with these weights."""
        with torch.inference_mode(False):  # which may surround this, and whose tensors are of no use later
            with building(0), torch.device("meta"):  # without a random draw
                module = self._build_module(pretrained=False)
            module.load_state_dict(to_tensors(weights), assign=True)
            return module.to(self.device_, memory_format=self._memory_format).eval()
