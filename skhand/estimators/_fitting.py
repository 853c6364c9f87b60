"""The epochs of a fit: skorch's loops, scikit-learn's callbacks, the history, a warning when it ran away."""

from __future__ import annotations

import contextlib
import copy
import numbers
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from skhand._validation import check_number, check_option, warn_user
from skhand.estimators._inputs import check_given
from skhand.exceptions import InputError, TrainingWarning
from skhand.training import CosineRate, EpochEnd, KeepBest, TaskNet, check_callbacks

__all__ = [
    "Run",
    "check_training",
    "falling_rate",
    "keep_best",
    "require_same",
    "train",
    "unchanged_by_errors",
    "warn_if_diverged",
]


def check_training(estimator: Any) -> None:
    """Judge the parameters that every estimator has, before any work.

    Raises
    ------
    InputError
    """
    check_number(estimator.n_iter_no_change, "n_iter_no_change", integer=True, low=1)
    check_number(estimator.tol, "tol", low=0, high=1)
    check_number(estimator.validation_fraction, "validation_fraction", low=0, high=0.9, include_low=False)
    check_option(estimator.lr_schedule, "lr_schedule", ("constant", "cosine"))
    for name in ("early_stopping", "warm_start"):
        check_option(getattr(estimator, name), name, (True, False))
    check_callbacks(estimator.callbacks)
    check_given(estimator.given)


def require_same(fitted: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with networks that the parameters no longer describe.

    Raises
    ------
    InputError
        If a value differs; it names the parameter.
    """
    for name, value in fitted.items():
        if wanted[name] != value:
            raise InputError(f"{name}: expected {value!r} as first fitted, to go on; got {wanted[name]!r}.")


@contextlib.contextmanager
def unchanged_by_errors(estimator: Any) -> Iterator[None]:
    """Leave an estimator as it was when the block raises: one that was fitted before stays so."""
    before = dict(estimator.__dict__)
    try:
        yield
    except Exception:
        estimator.__dict__.clear()
        estimator.__dict__.update(before)
        raise


def falling_rate(
    estimator: Any, lr: float, length: int, n_done: int = 0, by_batch: bool = False
) -> list[Any]:
    """The schedule as a list of callbacks: none where the rate is constant.

    Parameters
    ----------
    estimator : estimator
        With ``lr_schedule``.
    lr, length, n_done, by_batch
        Of `skhand.training.CosineRate`; where all of ``length`` is done the rate is constant.
    """
    falls = estimator.lr_schedule == "cosine" and n_done < length
    return [CosineRate(lr, length, n_done, by_batch)] if falls else []


def keep_best(estimator: Any, validation: Any, n_done: int = 0) -> list[Any]:
    """The validation error with early stopping as a list of callbacks: none without validation data.

    Parameters
    ----------
    estimator : estimator
        With ``_error``, which takes what ``validation`` holds, and ``_error_name``, its name in the history.
    validation : tuple or None
        Columns and rows.
    n_done : int
        How many of the history's last epochs are those that the training goes on from.
    """
    if validation is None:
        return []
    name, patience = estimator._error_name, estimator.n_iter_no_change if estimator.early_stopping else None
    past = estimator.history_.get(name, [])[-n_done:] if n_done else []
    past = [error for error in past if np.isfinite(error)]
    return [KeepBest(lambda: estimator._error(*validation), name, patience, estimator.tol, past)]


@dataclass
class Run:
    """Some epochs of one task.

    Parameters
    ----------
    task : object with ``step``
        What one training step does; see `skhand.training.TaskNet`.
    batches : iterable with a length
        One epoch.
    epochs : int
        How many.
    lr : float
        Learning rate of Adam.
    callbacks : list of skorch callbacks
        The estimator's own, before the user's.
    resume : bool
        Whether to go on from the optimiser's last state.
    stage : str or None
        Name in the history's column ``stage``; None for an estimator without stages.
    adam : dict
        Other options of Adam.
    """

    task: Any
    batches: Any
    epochs: int
    lr: float
    callbacks: list[Any]
    resume: bool = False
    stage: str | None = None
    adam: dict[str, Any] = field(default_factory=dict)


def train(estimator: Any, runs: Iterable[Run], epochs: int, data: Any) -> bool:
    """Train ``estimator.module_`` and keep ``history_`` and ``n_iter_``; return whether it was interrupted.

    Parameters
    ----------
    estimator : estimator
        With ``module_``, ``history_``, ``n_iter_``, ``device_``, ``_optimizer_state`` and the parameters
        ``verbose`` and ``callbacks``.
    runs : iterable of Run
        One after the other. The next one is asked for when the last one has ended by itself or by a skorch
        callback's wish; an interrupt and scikit-learn's callbacks end them all.
    epochs : int
        Of all runs together, for scikit-learn's progress.
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
    interrupted = False
    for run in runs:
        net, stopped = _train_one(estimator, run, context, data)
        interrupted = net.interrupted_
        if interrupted or stopped:
            break
    if context is not None:
        _task_end(context, estimator, data)
    return interrupted


def _train_one(estimator: Any, run: Run, context: Any, data: Any) -> tuple[TaskNet, bool]:
    """One run; return its net and whether scikit-learn's callbacks want no further one."""
    past = {name: list(values) for name, values in estimator.history_.items()}
    n_past = estimator.n_iter_
    stopped = False

    def record() -> None:
        estimator.n_iter_ = n_past + len(net.history)
        estimator.history_ = _joined(past, n_past, net.history, run.stage)

    def epoch_end() -> bool:
        nonlocal stopped
        record()
        if estimator.verbose:
            print(_line(estimator.history_, estimator.n_iter_))
        if context is None:
            return False
        step = context.subcontext(task_name="epoch")
        step.call_on_fit_task_begin(estimator=estimator, X=data[0], y=data[1])
        stopped = bool(_task_end(step, estimator, data))
        return stopped

    net = TaskNet(
        estimator.module_,
        task=run.task,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        **{f"optimizer__{name}": value for name, value in run.adam.items()},
        lr=run.lr,
        max_epochs=run.epochs,
        device=estimator.device_,
        callbacks=[*run.callbacks, EpochEnd(epoch_end), *(estimator.callbacks or [])],
    ).initialize()
    if run.resume and estimator._optimizer_state:
        net.optimizer_.load_state_dict(estimator._optimizer_state)
        for group in net.optimizer_.param_groups:
            group["lr"] = run.lr
    net.partial_fit(run.batches)
    record()  # with what the user's callbacks wrote down in the last epoch
    estimator.module_ = net.module_.eval()
    estimator._optimizer_state = net.optimizer_.state_dict()
    return net, stopped


def _task_end(part: Any, estimator: Any, data: Any) -> Any:
    """Tell scikit-learn's callbacks that a part has ended; they get weights that no longer change."""

    def snapshot() -> dict[str, Any]:
        module = copy.deepcopy(estimator.module_).eval()
        return {"module_": module, "history_": dict(estimator.history_)}

    return part.call_on_fit_task_end(
        estimator=estimator, X=data[0], y=data[1], reconstruction_attributes=snapshot
    )


def warn_if_diverged(estimator: Any) -> None:
    """Warn of a training loss that is not a finite number."""
    losses = estimator.history_.get("train_loss", [])
    if losses and not np.isfinite(losses[-1]):
        warn_user(
            f"lr={estimator.lr!r}: the training loss is no longer a finite number; predictions will be NaN. "
            "Try a smaller lr, and look for NaN in lazily read pictures.",
            TrainingWarning,
        )


def _joined(past: dict[str, list[Any]], n_past: int, rows: Any, stage: str | None) -> dict[str, list[Any]]:
    """Past columns and the numbers of new rows as columns, NaN where one is missing."""
    new = [{name: float(value) for name, value in row.items() if _is_number(name, value)} for row in rows]
    names = list(dict.fromkeys([*past, *(name for row in new for name in row)]))
    columns = {
        name: past.get(name, [np.nan] * n_past) + [row.get(name, np.nan) for row in new] for name in names
    }
    return columns if stage is None else {**columns, "stage": past.get("stage", []) + [stage] * len(new)}


def _is_number(name: str, value: Any) -> bool:
    return name != "epoch" and isinstance(value, numbers.Real)


def _line(history: dict[str, list[Any]], n_iter: int) -> str:
    shown = [
        f"{name} {values[-1]:.4g}"
        for name, values in history.items()
        if not (name in ("stage", "seconds") or "_gradient" in name)
        and (name == "train_loss" or not np.isnan(values[-1]))  # NaN is a term of another stage
    ]
    stage = f" ({history['stage'][-1]})" if "stage" in history else ""
    return f"epoch {n_iter}{stage}: " + ", ".join(shown)
