"""Draw the share of joints within a distance, as a curve over the distance, of one estimator or several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skhand.exceptions import InputError
from skhand.metrics import pck_curve
from skhand.metrics._statistics import check_grid, compute_area
from skhand.plotting._checks import (
    check_alike,
    check_axes,
    check_joints,
    check_method,
    check_name,
    check_numbers,
    check_root,
    check_rows,
    check_unit,
    predict_joints,
    require_truth,
)
from skhand.plotting._draw import import_pyplot, put_legend_below

__all__ = ["PckCurveDisplay"]


class PckCurveDisplay:
    """Share of joints whose error is at most a threshold, over the threshold; several curves share one axis.

    Parameters
    ----------
    thresholds : array-like of shape (n_thresholds,), mm or px
        Distances, rising.
    pck : array-like of shape (n_thresholds,), or dict of str to that
        Share of joints within each distance, 0 to 1; of a dict, one curve a name.
    name : str or None, default=None
        What a single curve is called in the legend.
    unit : str, default="mm"
        Unit of the thresholds, for the axis.

    Attributes
    ----------
    auc : float, or dict of str to float
        Area under the curve over the range of its thresholds, trapezoid rule, 0 to 1.
    line_ : matplotlib line, or dict of str to that
        The curve.
    ax_ : matplotlib axes
        Where it was drawn; hand it to the next ``plot`` to compare curves.
    figure_ : matplotlib figure
        The axes' figure.

    Raises
    ------
    InputError
        If arrays differ in length, there are fewer than two thresholds, they do not rise, or a share is
        outside 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.plotting import PckCurveDisplay
    >>> y = np.random.default_rng(0).normal(size=(4, 21, 3)) * 30 + [0.0, 0.0, 500.0]
    >>> display = PckCurveDisplay.from_predictions(y, {"one": y + 5, "two": y + 9})
    >>> len(display.ax_.lines)
    2
    """

    def __init__(self, thresholds: Any, pck: Any, *, name: str | None = None, unit: str = "mm"):
        self.thresholds = check_numbers(thresholds, "thresholds", ("n_thresholds",))
        rising = np.isfinite(self.thresholds).all() and (np.diff(self.thresholds) > 0).all()
        if len(self.thresholds) < 2 or not rising:
            raise InputError(f"thresholds: expected at least two rising distances, got {self.thresholds}.")
        _check_names(name, unit, pck, "pck")
        self.name, self.unit = name, unit
        self.pck = _map(pck, lambda each, argument: _check_shares(each, argument, self.thresholds), "pck")
        self.auc = _map(self.pck, lambda each, _: compute_area(each, self.thresholds), "pck")

    def plot(self, ax: Any = None, *, name: str | None = None, **line_kwargs: Any) -> PckCurveDisplay:
        """Draw the curve, or the curves; the legend is under the axis.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.
        name : str or None, default=None
            What a single curve is called in the legend; by default the name it was made with.
        **line_kwargs : dict
            Passed to matplotlib's ``plot``.

        Returns
        -------
        display : PckCurveDisplay
        """
        check_axes(ax)
        _check_names(name, self.unit, self.pck, "pck")
        plt = import_pyplot("PckCurveDisplay")
        if ax is None:
            _, ax = plt.subplots(figsize=(5.2, 4.4), layout="constrained")
        low, high = self.thresholds[[0, -1]]

        def draw(pck: np.ndarray, label: str | None, auc: float) -> Any:
            area = f"AUC {low:g}-{high:g} {self.unit} = {auc:.3f}"
            label = area if label is None else f"{label} ({area})"
            return ax.plot(self.thresholds, pck, **{"label": label, **line_kwargs})[0]

        if isinstance(self.pck, dict):
            self.line_ = {each: draw(pck, each, self.auc[each]) for each, pck in self.pck.items()}
        else:
            self.line_ = draw(self.pck, self.name if name is None else name, self.auc)
        ax.set(xlabel=f"error threshold [{self.unit}]", ylabel="share of joints within it", ylim=(0, 1))
        ax.margins(x=0)
        ax.grid(alpha=0.3)
        put_legend_below(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        thresholds: Any = "freihand",
        visible: Any = None,
        align: str | None = None,
        root: str | int = "palm",
        name: str | None = None,
        unit: str = "mm",
        ax: Any = None,
        **line_kwargs: Any,
    ) -> PckCurveDisplay:
        """Draw the curve of predictions, or one curve a name.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_joints, 3) or (n_samples, 3 * n_joints), mm
            True joints; NaN joints do not count.
        y_pred : array-like of the same shape, mm, or dict of str to that
            Predicted joints.
        thresholds : str, tuple (low, high, n) or array-like of shape (n_thresholds,), mm, default="freihand"
            The grid of distances, as in `skhand.metrics.pck_curve`; ``"freihand"`` is 0 to 50 mm in 100
            points.
        visible : array-like of shape (n_samples, n_joints), bool, default=None
            Joints that count; all by default.
        align : {None, "root", "root+scale", "procrustes"}, default=None
            What is taken out before the error, as in `skhand.metrics.joint_errors`.
        root : str or int, default="palm"
            The root of ``align``: a joint's name or index, or ``"palm"``.
        name : str or None, default=None
            What a single curve is called in the legend.
        unit : str, default="mm"
            Unit of the thresholds, for the axis.
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.
        **line_kwargs : dict
            Passed to matplotlib's ``plot``.

        Returns
        -------
        display : PckCurveDisplay
        """
        check_axes(ax)
        _check_names(name, unit, y_pred, "y_pred")
        grid = check_grid(thresholds)
        truth = check_joints(y_true, "y_true")
        check_root(root, truth.shape[1])

        def compute(predicted: Any, argument: str) -> np.ndarray:
            predicted = check_joints(predicted, argument)
            check_alike(truth, predicted, argument)
            options = {"thresholds": grid, "visible": visible, "align": align, "root": root}
            return pck_curve(truth, predicted, **options)[1]

        curves = _map(y_pred, compute, "y_pred")
        return cls(grid, curves, name=name, unit=unit).plot(ax=ax, **line_kwargs)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        thresholds: Any = "freihand",
        visible: Any = None,
        align: str | None = None,
        root: str | int = "palm",
        name: str | None = None,
        unit: str = "mm",
        ax: Any = None,
        **line_kwargs: Any,
    ) -> PckCurveDisplay:
        """Predict and draw the curve, or one curve an estimator.

        Parameters
        ----------
        estimator : estimator, or dict of str to estimator
            Fitted estimators of 3D joints; the names of a dict are those in the legend.
        X : HandFrames or array-like of shape (n_samples, ...)
            Input rows.
        y : array-like of shape (n_samples, n_joints, 3) or (n_samples, 3 * n_joints), mm
            True joints; NaN joints do not count.
        thresholds : str, tuple (low, high, n) or array-like of shape (n_thresholds,), mm, default="freihand"
            The grid of distances, as in `skhand.metrics.pck_curve`; ``"freihand"`` is 0 to 50 mm in 100
            points.
        visible : array-like of shape (n_samples, n_joints), bool, default=None
            Joints that count; all by default.
        align : {None, "root", "root+scale", "procrustes"}, default=None
            What is taken out before the error, as in `skhand.metrics.joint_errors`.
        root : str or int, default="palm"
            The root of ``align``: a joint's name or index, or ``"palm"``.
        name : str or None, default=None
            What a single curve is called in the legend; the estimator's class by default.
        unit : str, default="mm"
            Unit of the thresholds, for the axis.
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.
        **line_kwargs : dict
            Passed to matplotlib's ``plot``.

        Returns
        -------
        display : PckCurveDisplay
        """
        check_axes(ax)
        _check_names(name, unit, estimator, "estimator")
        _map(estimator, lambda each, argument: check_method(each, "predict", argument), "estimator")
        check_grid(thresholds)
        X = check_rows(X)
        options = {"visible": visible, "align": align, "root": root}
        truth = require_truth(y, len(X), options)
        check_root(root, truth.shape[1])
        if name is None and not isinstance(estimator, Mapping):
            name = type(estimator).__name__
        predicted = _map(estimator, lambda each, _: predict_joints(each, X, truth), "estimator")
        options |= {"thresholds": thresholds, "name": name, "unit": unit, "ax": ax}
        return cls.from_predictions(truth, predicted, **options, **line_kwargs)


def _map(value: Any, function: Any, argument: str) -> Any:
    """Call a function on a value and its name, or on each value of a dict."""
    if not isinstance(value, Mapping):
        return function(value, argument)
    return {name: function(each, f"{argument}[{name!r}]") for name, each in value.items()}


def _check_names(name: Any, unit: Any, curves: Any, argument: str) -> None:
    """Validate what is written into legend and axis; a dict brings names of its own."""
    check_name(name)
    check_unit(unit)
    if not isinstance(curves, Mapping):
        return
    if name is not None:
        raise InputError(f"name: expected None for a dict, whose keys are the names; got {name!r}.")
    if len(curves) == 0 or not all(isinstance(key, str) for key in curves):
        raise InputError(f"{argument}: expected at least one, by names that are str; got {list(curves)[:3]}.")


def _check_shares(pck: Any, argument: str, thresholds: np.ndarray) -> np.ndarray:
    """Return shares, one a threshold."""
    shares = check_numbers(pck, argument, (len(thresholds),))
    if not ((shares >= 0) & (shares <= 1)).all():
        raise InputError(
            f"{argument}: expected shares from 0 to 1, got {shares.min():g} to {shares.max():g}."
        )
    return shares
