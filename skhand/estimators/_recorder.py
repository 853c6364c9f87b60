"""The end of every epoch: the history, a line of text, scikit-learn's callbacks."""

from __future__ import annotations

import contextlib
import copy
import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np

from skhand.training import Loop, format_duration

__all__ = ["EpochRecorder"]

Rows = list[dict[str, Any]]


class EpochRecorder:
    """Keeps an estimator's ``history_`` and ``n_iter_``, and tells scikit-learn's callbacks.

    Parameters
    ----------
    estimator : estimator
        With ``history_``, ``n_iter_`` and the parameter ``verbose``.
    X, y : object
        As the user gave them, for the callbacks.

    Attributes
    ----------
    stopped : bool
        Whether a callback of scikit-learn's wants no further epoch and no further stage.

    Notes
    -----
    scikit-learn's callbacks are told of three tasks, one inside of the other: "fit", the stage by its name
    where the estimator has stages, and "epoch". What Ctrl-C or a loss that diverges cuts short, stage and
    epoch, does not end for them; the fit does, with what was trained.
    """

    def __init__(self, estimator: Any, X: Any, y: Any):
        self.estimator, self.X, self.y = estimator, X, y
        self.stopped = False
        self.fit: Any = None  # contexts of scikit-learn's, None where nobody is to be told
        self.epoch: Any = None

    @contextlib.contextmanager
    def watching(self, n_stages: int) -> Iterator[None]:
        """Tell scikit-learn's callbacks of the whole training, of so many stages or one without a name."""
        self.n_stages = n_stages
        yield
        self._begin_fit(0)  # where nothing was left to be trained
        if self.fit is not None:
            self._end(self.fit)

    def _begin_fit(self, n_parts: int) -> None:
        estimator = self.estimator
        listening = hasattr(estimator, "_skl_callbacks") or hasattr(estimator, "_parent_callback_ctx")
        if self.fit is None and listening:
            self.fit = self._begin(estimator._init_callback_context(max_subtasks=n_parts))

    def begin_stage(self, stage: str | None, loop: Loop) -> None:
        """Begin a stage, or what is left of it, that a loop trains."""
        self._begin_fit(loop.count_epochs_left() if stage is None else self.n_stages)
        self.stage, self.loop, self.part = stage, loop, self.fit
        self.n_past, self.n_final = self.estimator.n_iter_, 0  # epochs before, and those that nobody changes
        if self.fit is not None and stage is not None:
            self.part = self._begin(self.fit.subcontext(stage, max_subtasks=loop.count_epochs_left()))

    def end_stage(self) -> None:
        """End a stage, whose weights are those that the next one starts from."""
        if self.part is not self.fit:
            self.stopped = bool(self._end(self.part)) or self.stopped

    def before_epoch(self) -> None:
        """Begin an epoch, or what is left of it."""
        if self.part is not None:
            self.epoch = self._begin(self.part.subcontext("epoch"))

    def after_epoch(self, rows: Rows, n_steps: int) -> bool:
        """Record an epoch, after so many steps, and return whether the training is to stop."""
        self.record(rows)
        self.estimator._note_steps(self.stage, n_steps)
        if self.estimator.verbose:
            done, total = self.loop.count_epochs()
            seconds = self.estimator.history_["seconds"][-min(done, len(rows)) :]
            left = (total - done) * sum(seconds) / len(seconds)
            print(_format_line(self.estimator.history_, f"{done}/{total}", left))
        if self.epoch is not None:
            self.stopped = bool(self._end(self.epoch))
        return self.stopped

    def record(self, rows: Rows) -> None:
        """Write the epochs of this stage behind those before it; callbacks may still add to the last one."""
        n_known = self.n_past + self.n_final
        past = {name: values[:n_known] for name, values in self.estimator.history_.items()}
        self.estimator.n_iter_ = self.n_past + len(rows)
        self.estimator.history_ = _join(past, n_known, rows[self.n_final :], self.stage)
        self.n_final = max(self.n_final, len(rows) - 1)

    def _begin(self, task: Any) -> Any:
        """Tell the callbacks that a task has begun, and return it."""
        return task.call_on_fit_task_begin(estimator=self.estimator, X=self.X, y=self.y)

    def _end(self, task: Any) -> Any:
        """Tell the callbacks that a task has ended; they get weights that no longer change."""
        estimator = self.estimator

        def snapshot() -> dict[str, Any]:
            module = copy.deepcopy(estimator.module_).eval()
            return {"module_": module, "history_": dict(estimator.history_)}

        return task.call_on_fit_task_end(
            estimator=estimator, X=self.X, y=self.y, reconstruction_attributes=snapshot
        )


def _join(past: dict[str, list[Any]], n_past: int, rows: Rows, stage: str | None) -> dict[str, list[Any]]:
    """Return past columns with the numbers of new rows, NaN where one is missing."""
    new = [{name: float(value) for name, value in row.items() if _is_number(name, value)} for row in rows]
    names = list(dict.fromkeys([*past, *(name for row in new for name in row)]))
    columns = {
        name: past.get(name, [np.nan] * n_past) + [row.get(name, np.nan) for row in new] for name in names
    }
    return columns if stage is None else {**columns, "stage": past.get("stage", []) + [stage] * len(new)}


def _is_number(name: str, value: Any) -> bool:
    return name != "epoch" and isinstance(value, numbers.Real)


def _format_line(history: dict[str, list[Any]], number: str, left: float) -> str:
    """Return the last epoch as one line of text: its number in the stage, losses, and the time left, s."""
    shown = [
        f"{name} {values[-1]:.4g}"
        for name, values in history.items()
        if not (name in ("stage", "seconds") or "_gradient" in name)
        and (name == "train_loss" or not np.isnan(values[-1]))  # NaN is a term of another stage
    ]
    shown += [format_duration(history["seconds"][-1]), f"{format_duration(left)} left"]
    stage = f" ({history['stage'][-1]})" if "stage" in history else ""
    return f"epoch {number}{stage}: " + ", ".join(shown)
