"""The skorch net: epochs, history and callbacks around a task's training step."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import nn

from skhand.exceptions import InputError
from skhand.training._replay import ReplayedStep

__all__ = ["CosineRate", "EpochEnd", "KeepBest", "StopTraining", "TaskNet", "check_callbacks"]


class StopTraining(Exception):
    """Raised after an epoch in which a callback has set ``net.stop_``."""


class TaskNet(NeuralNet):
    """A skorch net whose step belongs to a task, and whose batches come sliced.

    Losses stay on the device until the epoch ends, so that a GPU is never waited for. An interrupt ends the
    loop and is remembered in ``interrupted_``, for the caller to pass on.

    Parameters
    ----------
    module : Module
        The networks.
    task : object with ``step``
        See `skhand.training.PairTask`.
    **kwargs : dict
        skorch's own.
    """

    def __init__(self, module: nn.Module, *, task: Any, **kwargs: Any):
        self.task = task
        super().__init__(module, criterion=nn.MSELoss, train_split=None, **kwargs)

    @property
    def _default_callbacks(self) -> list[Any]:
        return []

    def get_split_datasets(self, X: Any, y: Any = None, **_: Any) -> tuple[Any, None]:
        """The batches as they are, and no validation part."""
        return X, None

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """The batches themselves: they are their own iterator."""
        return dataset

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Callable[..., Any], **_: Any
    ) -> None:
        """Run the task's step over one epoch of batches and record the mean of every loss term."""
        if iterator is None:
            return
        start = time.perf_counter()
        totals: dict[str, torch.Tensor] = {}
        self._set_training(True)
        for i, streams in enumerate(iterator):
            self.history.new_batch()
            self.notify("on_batch_begin", batch=streams, training=True)
            terms = self.step_(streams, measure=i == 0)
            for name, value in terms.items():
                totals[name] = totals[name] + value if name in totals else value
            self.notify("on_batch_end", batch=streams, training=True)
        self._set_training(False)
        counts = {name: 1 if "_gradient" in name else len(iterator) for name in totals}
        means = {name: float(total) / counts[name] for name, total in totals.items()}
        loss = sum(value for name, value in means.items() if "_gradient" not in name)
        for name, number in {"train_loss": loss, **means, "seconds": time.perf_counter() - start}.items():
            self.history.record(name, number)

    def _training_step(self) -> Callable[..., dict[str, torch.Tensor]]:
        """The task's step, replayed on a GPU where the task allows it and no callback waits for gradients."""
        watched = any(
            type(callback).on_grad_computed is not Callback.on_grad_computed
            for _, callback in self.callbacks_
        )
        on_gpu = torch.device(self.device).type == "cuda"
        if on_gpu and getattr(self.task, "replayable", False) and not watched:
            return ReplayedStep(self.task, self.module_, self.optimizer_)
        on_gradients = self._gradients_ready if watched else None
        return partial(self.task.step, self.module_, self.optimizer_, on_gradients=on_gradients)

    def _gradients_ready(self) -> None:
        """Let the callbacks see, and clip, the gradients."""
        self.notify("on_grad_computed", named_parameters=list(self.module_.named_parameters()), training=True)

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call the callbacks; an epoch's end is where training stops when one of them has asked for it.

        skorch's own callbacks ask by a KeyboardInterrupt of their own, which is told from the user's by where
        it was raised.
        """
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as interrupt:
            if not (method_name == "on_epoch_end" and _raised_in(interrupt) == method_name):
                raise
            self.stop_ = True
        if method_name == "on_epoch_end" and self.stop_:
            raise StopTraining

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **params: Any) -> TaskNet:
        """Run the epochs; an interrupt, or a callback that sets ``stop_``, ends them."""
        self.interrupted_, self.stop_ = False, False
        self.step_ = self._training_step()
        try:
            super().fit_loop(X, y, epochs, **params)
        except StopTraining:
            pass
        except KeyboardInterrupt:
            self.interrupted_ = True
        finally:
            del self.step_  # a recording holds a step's memory
            self._set_training(False)
            if self.history and "train_loss" not in self.history[-1]:  # an epoch that was not finished
                del self.history[-1]
        return self


def _raised_in(error: BaseException) -> str:
    """Name of the function that raised an exception."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame.f_code.co_name


def check_callbacks(callbacks: Any) -> list[Any]:
    """Return skorch callbacks as a list; None is none.

    Raises
    ------
    InputError
        If they are not a list of callbacks, each an instance or a pair of a name and an instance.
    """
    if callbacks is None:
        return []
    each = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    for callback in each:
        part = callback[1] if isinstance(callback, tuple) and len(callback) == 2 else callback
        if not isinstance(callback, tuple | Callback) or not isinstance(part, Callback):
            raise InputError(
                f"callbacks: expected a list of skorch callbacks, or None, got {callbacks!r}. "
                "scikit-learn's own callbacks go through set_callbacks."
            )
    if not isinstance(callbacks, list | tuple):
        raise InputError(f"callbacks: expected a list, got {callbacks!r}.")
    return each


class CosineRate(Callback):
    """Lower the learning rate from its start to zero along half a cosine, and leave it there.

    Parameters
    ----------
    lr : float
        Rate at the start.
    length : int
        Epochs of the descent, or batches.
    n_done : int, default=0
        How many of them an earlier, interrupted training has done.
    by_batch : bool, default=False
        Whether the rate is set for each batch rather than for each epoch.
    """

    def __init__(self, lr: float, length: int, n_done: int = 0, by_batch: bool = False):
        self.lr, self.length, self.n_done, self.by_batch = lr, length, n_done, by_batch

    def on_train_begin(self, net: NeuralNet, **_: Any) -> None:
        """Start the count."""
        self.done_ = self.n_done

    def on_epoch_begin(self, net: NeuralNet, **_: Any) -> None:
        """Set this epoch's rate."""
        if not self.by_batch:
            self._lower(net)

    def on_batch_begin(self, net: NeuralNet, **_: Any) -> None:
        """Set this batch's rate."""
        if self.by_batch:
            self._lower(net)

    def _lower(self, net: NeuralNet) -> None:
        rate = 0.5 * self.lr * (1 + math.cos(math.pi * min(self.done_, self.length) / self.length))
        for group in net.optimizer_.param_groups:
            group["lr"] = rate
        self.done_ += 1


class KeepBest(Callback):
    """Score every epoch on validation data, stop when it no longer improves, and bring the best weights back.

    All weights of all networks are kept and restored together.

    Parameters
    ----------
    score : callable
        Takes no argument and returns this epoch's error, lower is better.
    name : str
        Name of the error in the history.
    patience : int or None
        Epochs without improvement before the training stops; None only records.
    tol : float
        What counts as an improvement, relative to the best.
    past : sequence of float, default=()
        Errors of the epochs of an earlier, interrupted training, which brought its best weights back: these
        are the ones to improve on, and the epochs without improvement go on counting.
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

    def on_train_begin(self, net: NeuralNet, **_: Any) -> None:
        """Start with the present weights as the best where a training goes on, and with none otherwise."""
        self.best_, self.waited_ = math.inf, 0
        self.state_: dict[str, torch.Tensor] | None = None
        if self.patience is not None and self.past:
            for error in self.past:
                self._improves(error)
            self.best_ = self.score()
            self._remember(net)

    def on_epoch_end(self, net: NeuralNet, **_: Any) -> None:
        """Score, remember, and stop when patience is over."""
        error = self.score()
        net.history.record(self.name, error)
        if self.patience is None:
            return
        if self._improves(error):
            self._remember(net)
        if self.waited_ >= self.patience:
            net.stop_ = True

    def on_train_end(self, net: NeuralNet, **_: Any) -> None:
        """Restore the best weights."""
        if self.state_ is not None:
            net.module_.load_state_dict(self.state_)

    def _improves(self, error: float) -> bool:
        self.waited_ += 1
        if not error < self.best_:
            return False
        if error < self.best_ * (1 - self.tol):
            self.waited_ = 0
        self.best_ = error
        return True

    def _remember(self, net: NeuralNet) -> None:
        self.state_ = {key: value.detach().clone() for key, value in net.module_.state_dict().items()}


class EpochEnd(Callback):
    """Call a function after every epoch; training stops when it returns True.

    Parameters
    ----------
    function : callable
        Takes no argument.
    """

    def __init__(self, function: Callable[[], bool]):
        self.function = function

    def on_epoch_end(self, net: NeuralNet, **_: Any) -> None:
        """Call the function."""
        if self.function():
            net.stop_ = True
