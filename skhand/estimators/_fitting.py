"""The epochs of a fit: skorch's loop, scikit-learn's callbacks, the history, a warning when it ran away."""

from __future__ import annotations

import copy
import numbers
import warnings
from typing import Any

import numpy as np
import torch

from skhand.exceptions import TrainingWarning
from skhand.training import EpochEnd, TaskNet

__all__ = ["train", "warn_if_diverged"]


def train(
    estimator: Any, task: Any, batches: Any, epochs: int, *, resume: bool, callbacks: list[Any], data: Any
) -> bool:
    """Train ``estimator.module_`` and keep ``history_`` and ``n_iter_``; return whether it was interrupted.

    Parameters
    ----------
    estimator : estimator
        With ``module_``, ``history_``, ``n_iter_``, ``device_``, ``_optimizer_state`` and the parameters
        ``lr``, ``verbose`` and ``callbacks``.
    task : object with ``step``
        What one training step does; see `skhand.training.TaskNet`.
    batches : iterable with a length
        One epoch.
    epochs : int
        How many.
    resume : bool
        Whether to go on from the optimiser's last state.
    callbacks : list of skorch callbacks
        The estimator's own, before the user's.
    data : (X, y)
        As the user gave them, for scikit-learn's callbacks.

    Returns
    -------
    interrupted : bool
    """
    context = None
    if hasattr(estimator, "_skl_callbacks") or hasattr(estimator, "_parent_callback_ctx"):
        context = estimator._init_callback_context(max_subtasks=epochs)
        context.call_on_fit_task_begin(estimator=estimator, X=data[0], y=data[1])
    past = {name: list(values) for name, values in estimator.history_.items()}
    n_past = estimator.n_iter_

    def record() -> None:
        estimator.n_iter_ = n_past + len(net.history)
        estimator.history_ = _joined(past, n_past, net.history)

    def snapshot() -> dict[str, Any]:
        """What scikit-learn's callbacks get beside a shallow copy: weights that no longer change."""
        module = copy.deepcopy(estimator.module_).eval()
        return {"module_": module, "history_": dict(estimator.history_)}

    def task_end(part: Any) -> Any:
        return part.call_on_fit_task_end(
            estimator=estimator, X=data[0], y=data[1], reconstruction_attributes=snapshot
        )

    def epoch_end() -> bool:
        record()
        if estimator.verbose:
            print(_line(estimator.history_, estimator.n_iter_))
        if context is None:
            return False
        step = context.subcontext(task_name="epoch")
        step.call_on_fit_task_begin(estimator=estimator, X=data[0], y=data[1])
        return bool(task_end(step))

    net = TaskNet(
        estimator.module_,
        task=task,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=estimator.lr,
        max_epochs=epochs,
        device=estimator.device_,
        callbacks=[*callbacks, EpochEnd(epoch_end), *(estimator.callbacks or [])],
    ).initialize()
    if resume and estimator._optimizer_state:
        net.optimizer_.load_state_dict(estimator._optimizer_state)
        for group in net.optimizer_.param_groups:
            group["lr"] = estimator.lr
    net.partial_fit(batches)
    record()  # with what the user's callbacks wrote down in the last epoch
    estimator.module_ = net.module_.eval()
    estimator._optimizer_state = net.optimizer_.state_dict()
    if context is not None:
        task_end(context)
    return net.interrupted_


def warn_if_diverged(estimator: Any) -> None:
    """Warn of a training loss that is not a finite number."""
    losses = estimator.history_.get("train_loss", [])
    if losses and not np.isfinite(losses[-1]):
        warnings.warn(
            f"lr={estimator.lr:g}: the training loss is no longer a finite number; predictions will be NaN. "
            "Try a smaller lr, and look for NaN in lazily read pictures.",
            TrainingWarning,
            stacklevel=3,
        )


def _joined(past: dict[str, list[float]], n_past: int, rows: Any) -> dict[str, list[float]]:
    """Past columns and the numbers of new rows as columns, NaN where one is missing."""
    new = [{name: float(value) for name, value in row.items() if _is_number(name, value)} for row in rows]
    names = list(dict.fromkeys([*past, *(name for row in new for name in row)]))
    return {
        name: past.get(name, [np.nan] * n_past) + [row.get(name, np.nan) for row in new] for name in names
    }


def _is_number(name: str, value: Any) -> bool:
    return name != "epoch" and isinstance(value, numbers.Real)


def _line(history: dict[str, list[float]], n_iter: int) -> str:
    shown = [name for name in history if not name.startswith(("kl_gradient", "seconds"))]
    return f"epoch {n_iter}: " + ", ".join(f"{name} {history[name][-1]:.4g}" for name in shown)
