"""Draw the course of a training: one line a term, one band a stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skhand._validation import check_option, describe
from skhand.exceptions import InputError
from skhand.plotting._checks import check_axes, check_numbers
from skhand.plotting._draw import import_pyplot, put_legend_below

__all__ = ["HistoryDisplay"]

_SCALES = (None, "linear", "log")


class HistoryDisplay:
    """The terms of the loss and the validation error, epoch by epoch, with the stages of the training.

    Parameters
    ----------
    history : dict of str to array-like of shape (n_epochs,)
        An estimator's ``history_``: one column a term, and the column ``stage`` where there are stages. NaN
        where an epoch has no such term.
    terms : sequence of str or None, default=None
        Columns to draw; None is all but seconds and gradients.

    Attributes
    ----------
    lines_ : dict of str to matplotlib line
        The terms.
    ax_ : matplotlib axes
        Where they were drawn.
    figure_ : matplotlib figure
        The axes' figure.

    Raises
    ------
    InputError
        If a column is no column of numbers or differs in length, or a term has no column.

    Examples
    --------
    >>> from skhand.plotting import HistoryDisplay
    >>> history = {"train_loss": [2.0, 1.0, 0.5], "valid_epe": [40.0, 30.0, 25.0]}
    >>> display = HistoryDisplay(history).plot()
    >>> type(display).__name__
    'HistoryDisplay'
    """

    def __init__(self, history: Mapping[str, Any], *, terms: Any = None):
        if not isinstance(history, Mapping) or not history:
            raise InputError(f"history: expected a dict of columns, got {describe(history)}.")
        self.stages = None if "stage" not in history else [str(stage) for stage in history["stage"]]
        columns = {
            name: check_numbers(column, f"history[{name!r}]", ("n_epochs",))
            for name, column in history.items()
            if name != "stage"
        }
        lengths = {name: len(column) for name, column in columns.items()}
        lengths |= {} if self.stages is None else {"stage": len(self.stages)}
        if len(set(lengths.values())) > 1 or 0 in lengths.values() or not columns:
            raise InputError(f"history: expected columns of one length, above 0, got {lengths}.")
        if terms is None:
            terms = [name for name in columns if name != "seconds" and "_gradient" not in name]
        elif not isinstance(terms, tuple | list) or len(terms) == 0:
            raise InputError(f"terms: expected some of {list(columns)}, got {terms!r}.")
        self.terms = {check_option(name, "terms", columns): columns[name] for name in terms}

    def plot(self, ax: Any = None, *, scale: str | None = None) -> HistoryDisplay:
        """Draw the lines; the legend is under the axis.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.
        scale : {"linear", "log"} or None, default=None
            Scale of the vertical axis; None is "log" where all numbers are above 0.

        Returns
        -------
        display : HistoryDisplay
        """
        check_axes(ax)
        check_option(scale, "scale", _SCALES)
        plt = import_pyplot("HistoryDisplay")
        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
        self.lines_ = {}
        for i, (name, column) in enumerate(self.terms.items()):
            epochs = 1.0 + np.arange(len(column))
            if not name.startswith("valid_"):  # the losses of two stages are not one curve
                epochs, column = (np.insert(each, self._starts()[1:], np.nan) for each in (epochs, column))
            known = np.isfinite(column)
            lone = (
                known & ~np.r_[known[1:], False] & ~np.r_[False, known[:-1]]
            )  # a line shows no single epoch
            (self.lines_[name],) = ax.plot(
                epochs,
                column,
                label=name,
                linestyle="--"
                if name.startswith("valid_")
                else ("-", ":", "-.")[i // 10 % 3],  # of ten colours
                marker="." if lone.any() else None,
            )
        numbers = np.concatenate(list(self.terms.values()))
        if scale is None:
            scale = "log" if (numbers[np.isfinite(numbers)] > 0).all() else "linear"
        error = [name for name in self.terms if name.startswith("valid_")]
        drawn = ["loss"] if len(error) < len(self.terms) else []
        drawn += ["valid_epe [mm]"] if error == ["valid_epe"] else error
        ax.set(yscale=scale, xlabel="epoch", ylabel=", ".join(drawn))
        ax.grid(alpha=0.3)
        ax.xaxis.get_major_locator().set_params(integer=True)
        if self.stages is not None:
            _mark_stages(ax, self.stages, self._starts())
        put_legend_below(ax, n_columns=2)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _starts(self) -> list[int]:
        """Return the first epoch of each stage, from 0."""
        stages = self.stages or [""]
        return [i for i, stage in enumerate(stages) if i == 0 or stage != stages[i - 1]]

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, terms: Any = None, scale: str | None = None, ax: Any = None
    ) -> HistoryDisplay:
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with ``history_``.
        terms : sequence of str or None, default=None
            Columns to draw; None is all but seconds and gradients.
        scale : {"linear", "log"} or None, default=None
            Scale of the vertical axis; None is "log" where all numbers are above 0.
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : HistoryDisplay
        """
        if isinstance(estimator, type) or not hasattr(estimator, "fit"):
            raise InputError(f"estimator: expected a fitted estimator, got {describe(estimator)}.")
        check_is_fitted(estimator)
        if not hasattr(estimator, "history_"):
            raise InputError(f"estimator: expected one with `history_`, got {describe(estimator)}.")
        return cls(estimator.history_, terms=terms).plot(ax=ax, scale=scale)


def _mark_stages(ax: Any, stages: list[str], starts: list[int]) -> None:
    """Write each stage's name over its epochs, and shade every other one."""
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(stages)], strict=True)):
        if number % 2:
            ax.axvspan(start + 0.5, end + 0.5, color="black", alpha=0.06, linewidth=0)
        ax.annotate(
            stages[start],
            ((start + end + 1) / 2, 1.01),
            xycoords=ax.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize="small",
        )
    ax.set_xlim(0.5, len(stages) + 0.5)
