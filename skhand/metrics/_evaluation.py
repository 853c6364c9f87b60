"""Keep what an evaluation found: scores, curves, and what was given, to print and to write."""

from __future__ import annotations

import importlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from skhand._validation import check_option, describe
from skhand.exceptions import InputError
from skhand.metrics._protocols import MEANS, MEDIANS, Protocol, name_alignment, name_given, name_grid
from skhand.metrics._statistics import (
    average_errors,
    check_grid,
    compute_area,
    compute_fractions,
    find_largest_errors,
)

__all__ = ["Evaluation"]

_PCF_GRID = np.linspace(0, 80, 81)


@dataclass(frozen=True, repr=False, eq=False)
class Evaluation:
    """Hold the scores of one set of predictions by one protocol.

    `evaluate` and `evaluate_predictions` make it.

    Parameters
    ----------
    protocol : Protocol
        How it was scored.
    given : tuple of {"root", "scale", "side"} or None
        What was given to the model; None where it was not said.
    errors : dict of ndarray of shape (n_rows, n_joints), in the protocol's unit
        One array an alignment of the protocol, joints in the order of ``protocol.joints``; NaN where a joint
        does not count.
    differs : tuple of str
        What differs from the protocol's paper or looks wrong in the truth, in words; printed as warnings.
    notes : tuple of str
        What is worth knowing and no fault, as rows that are not the whole test set.
    root : str
        The root, and where a palm or a wrist was taken from.
    counted : {"all", "visible"}
        Whether all labelled joints were counted, or those of a mask.

    Attributes
    ----------
    scores : dict of dict of float
        Alignment -> name -> value: ``"epe_mean"`` and ``"epe_median"`` in the protocol's unit, and as
        fractions ``"auc_<grid>"``, ``"pck_<threshold>"`` and ``"pcf_<threshold>"``.
    mean_epe, median_epe : float, in the protocol's unit
        Of the first alignment.
    auc : dict of float
        Grid -> area, of the first alignment.
    given_differs : bool or None
        Whether what was given is not what the paper gives; None where either is not known.
    n_rows, n_frames, n_joints : int
        Rows that came, rows with a joint that counts, and joints that count.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.metrics import evaluate_predictions
    >>> y = np.random.default_rng(0).normal(size=(20, 21, 3)) * 30
    >>> report = evaluate_predictions(y, y + [3.0, 0.0, 0.0], protocol="freihand")
    >>> type(report).__name__
    'Evaluation'
    """

    protocol: Protocol
    given: tuple[str, ...] | None
    errors: dict[str | None, np.ndarray]
    differs: tuple[str, ...]
    notes: tuple[str, ...]
    root: str
    counted: str

    @property
    def given_differs(self) -> bool | None:
        if self.given is None or self.protocol.given is None:
            return None
        return set(self.given) != set(self.protocol.given)

    @property
    def n_rows(self) -> int:
        return len(self._first)

    @property
    def n_frames(self) -> int:
        return int((~np.isnan(self._first)).any(axis=1).sum())

    @property
    def n_joints(self) -> int:
        return int((~np.isnan(self._first)).sum())

    @property
    def mean_epe(self) -> float:
        return self.scores[self.protocol.align[0]]["epe_mean"]

    @property
    def median_epe(self) -> float:
        return self.scores[self.protocol.align[0]]["epe_median"]

    @property
    def auc(self) -> dict[str, float]:
        return {grid: self.scores[self.protocol.align[0]][f"auc_{grid}"] for grid in self.protocol.auc}

    @cached_property
    def scores(self) -> dict[str | None, dict[str, float]]:
        return {align: self._score(align) for align in self.protocol.align}

    @property
    def _first(self) -> np.ndarray:
        return self.errors[self.protocol.align[0]]

    def _score(self, align: str | None) -> dict[str, float]:
        protocol, errors = self.protocol, self.errors[align]
        scores = {
            "epe_mean": average_errors(errors, protocol.average),
            "epe_median": average_errors(errors, protocol.median, np.nanmedian),
        }
        for grid in protocol.auc:
            points, fractions = self.pck_curve(grid, align=align)
            scores[f"auc_{grid}"] = compute_area(fractions, points)
        for limit in protocol.pck:
            scores[f"pck_{limit:g}"] = compute_fractions(errors, np.array(limit), protocol.average)
        for limit in protocol.pcf:
            scores[f"pcf_{limit:g}"] = compute_fractions(
                find_largest_errors(errors), np.array(limit), "pooled"
            )
        return scores

    def pck_curve(self, thresholds: Any = None, *, align: Any = "first") -> tuple[np.ndarray, np.ndarray]:
        """Compute the fraction of correct joints over thresholds, averaged as the protocol says.

        ``PckCurveDisplay(*evaluation.pck_curve())`` draws it.

        Parameters
        ----------
        thresholds : str, tuple (low, high, n) or array-like of shape (n_thresholds,), default=None
            As in `skhand.metrics.pck_curve`; by default the protocol's first grid, else 0 to 80 in 81 points.
        align : {"first", None, "root", "root+scale", "procrustes"}, default="first"
            One of the protocol's alignments.

        Returns
        -------
        thresholds : ndarray of shape (n_thresholds,), in the protocol's unit
        fractions : ndarray of shape (n_thresholds,), 0 to 1

        Raises
        ------
        InputError
            If the grid is unknown or not increasing, or the alignment is none of the protocol's.
        """
        if thresholds is None:
            thresholds = self.protocol.auc[0] if self.protocol.auc else _PCF_GRID
        grid = check_grid(thresholds)
        return grid, compute_fractions(self._get_errors(align), grid, self.protocol.average)

    def pcf_curve(self, thresholds: Any = None, *, align: Any = "first") -> tuple[np.ndarray, np.ndarray]:
        """Compute the fraction of frames whose largest error is within the thresholds.

        Parameters
        ----------
        thresholds : str, tuple (low, high, n) or array-like of shape (n_thresholds,), default=None
            As in `skhand.metrics.pck_curve`; 0 to 80 in 81 points by default.
        align : {"first", None, "root", "root+scale", "procrustes"}, default="first"
            One of the protocol's alignments.

        Returns
        -------
        thresholds : ndarray of shape (n_thresholds,), in the protocol's unit
        fractions : ndarray of shape (n_thresholds,), 0 to 1

        Raises
        ------
        InputError
            If the grid is unknown or not increasing, or the alignment is none of the protocol's.
        """
        grid = check_grid(_PCF_GRID if thresholds is None else thresholds)
        return grid, compute_fractions(find_largest_errors(self._get_errors(align)), grid, "pooled")

    def _get_errors(self, align: Any) -> np.ndarray:
        return (
            self._first
            if isinstance(align, str) and align == "first"
            else self.errors[check_option(align, "align", self.errors)]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the single errors in plain types.

        Returns
        -------
        summary : dict
            The alignment None is called ``"none"``. ``"curves"`` has the curves of the protocol's grids, and
            of correct frames where the protocol has them.
        """
        protocol = self.protocol
        curves: dict[str, Any] = {}
        for align in protocol.align:
            named = {f"pck_{grid}": self.pck_curve(grid, align=align) for grid in protocol.auc}
            if protocol.pcf:
                named["pcf"] = self.pcf_curve(align=align)
            curves[name_alignment(align)] = {
                name: {"thresholds": grid.tolist(), "fractions": fractions.tolist()}
                for name, (grid, fractions) in named.items()
            }
        return {
            "protocol": protocol.name,
            "source": protocol.source,
            "unit": protocol.unit,
            "given": None if self.given is None else list(self.given),
            "given_by_paper": None if protocol.given is None else list(protocol.given),
            "given_differs": self.given_differs,
            "differs": list(self.differs),
            "notes": list(self.notes),
            "root": self.root,
            "n_rows": self.n_rows,
            "n_frames": self.n_frames,
            "n_joints": self.n_joints,
            "counted": self.counted,
            "average": protocol.average,
            "median": protocol.median,
            "scores": {name_alignment(align): dict(values) for align, values in self.scores.items()},
            "curves": curves,
        }

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write the summary as JSON.

        Parameters
        ----------
        path : str or path, default=None
            File to write, or to replace; none by default.

        Returns
        -------
        text : str

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        text = json.dumps(self.to_dict(), indent=1)
        if path is not None:
            if not isinstance(path, str | os.PathLike) or not os.fspath(path):
                raise InputError(f"path: expected a file to write, got {describe(path)}.")
            try:
                Path(path).write_text(text + "\n", encoding="utf-8")
            except OSError as error:
                raise InputError(f"path: expected a file that can be written, got {error}.") from error
        return text

    def to_frame(self) -> Any:
        """Return a table of the scores.

        Returns
        -------
        table : pandas.DataFrame
            One row a score, with the columns protocol, given, align, score and value, so that tables of
            several evaluations can be joined.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError as error:
            raise ImportError(
                "to_frame needs pandas; install it with: pip install 'skhand[notebook]'"
            ) from error
        given = "not stated" if self.given is None else name_given(self.given)
        rows = [
            (self.protocol.name, given, name_alignment(align), score, value)
            for align, values in self.scores.items()
            for score, value in values.items()
        ]
        return pandas.DataFrame(rows, columns=["protocol", "given", "align", "score", "value"])

    def __repr__(self) -> str:
        given = "not stated" if self.given is None else name_given(self.given)
        return (
            f"<Evaluation by {self.protocol.name}: EPE {self.mean_epe:.2f} {self.protocol.unit}, "
            f"given {given}, {self.n_frames} frames{', differs from the paper' if self.differs else ''}>"
        )

    def __str__(self) -> str:
        protocol = self.protocol
        given = "not stated" if self.given is None else name_given(self.given)
        rule = "visible joints" if self.counted == "visible" else "all labelled joints"
        lines = [
            f"{protocol.name}: {protocol.source}",
            f"  given    {given}",
            f"  root     {self.root}",
            *(f"  WARNING  {what}" for what in self.differs),
            *(f"  note     {what}" for what in self.notes),
            f"  counted  {self.n_frames} of {self.n_rows} rows, {self.n_joints} joints ({rule})",
            f"  mean     {MEANS[protocol.average]}",
            f"  median   {MEDIANS[protocol.median]}",
        ]
        for align, values in self.scores.items():
            lines += [f"  alignment: {name_alignment(align)}", *_format_scores(values, protocol)]
        return "\n".join(lines)


def _format_scores(values: dict[str, float], protocol: Protocol) -> list[str]:
    """Write one line a score."""
    unit = protocol.unit
    names = {
        "epe_mean": "EPE mean",
        "epe_median": "EPE median",
        **{f"auc_{grid}": f"AUC {name_grid(grid, unit)}" for grid in protocol.auc},
        **{f"pck_{t:g}": f"PCK {t:g} {unit}" for t in protocol.pck},
        **{f"pcf_{t:g}": f"PCF {t:g} {unit}" for t in protocol.pcf},
    }
    width = max(map(len, names.values()))
    return [
        f"    {text:{width}}  " + (f"{values[key]:.3f} {unit}" if "EPE" in text else f"{values[key]:.4f}")
        for key, text in names.items()
    ]
