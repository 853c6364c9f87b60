"""Draw the share of joints within a distance, as a curve over the distance."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_shape
from skhand.exceptions import InputError
from skhand.metrics import pck_curve
from skhand.metrics._statistics import compute_area
from skhand.plotting._draw import import_pyplot

__all__ = ["PckCurveDisplay"]


class PckCurveDisplay:
    """Share of joints whose error is at most a threshold, over the threshold.

    Parameters
    ----------
    thresholds : array-like of shape (n_thresholds,), mm or px
        Distances, rising.
    pck : array-like of shape (n_thresholds,)
        Share of joints within each distance, 0 to 1.
    name : str, optional
        What the curve is called in the legend.
    unit : str, default="mm"
        Unit of the thresholds, for the axis.

    Attributes
    ----------
    auc : float
        Area under the curve over the range of its thresholds, trapezoid rule, 0 to 1.
    line_ : matplotlib line
        The curve.
    ax_ : matplotlib axes
        Where it was drawn; hand it to the next ``plot`` to compare curves.
    figure_ : matplotlib figure
        The axes' figure.

    Raises
    ------
    InputError
        If the two arrays differ in length, or there are fewer than two thresholds, or they do not rise.
    """

    def __init__(self, thresholds: Any, pck: Any, *, name: str | None = None, unit: str = "mm"):
        self.thresholds = check_shape(thresholds, "thresholds", ("n_thresholds",)).astype(np.float64)
        self.pck = check_shape(pck, "pck", (len(self.thresholds),)).astype(np.float64)
        if len(self.thresholds) < 2 or (np.diff(self.thresholds) <= 0).any():
            raise InputError(f"thresholds: expected at least two rising distances, got {self.thresholds}.")
        self.name, self.unit = name, unit
        self.auc = compute_area(self.pck, self.thresholds)

    def plot(self, ax: Any = None, *, name: str | None = None, **line_kwargs: Any) -> PckCurveDisplay:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.
        name : str, default=None
            What the curve is called in the legend; by default the name it was made with.
        **line_kwargs : dict
            Passed to matplotlib's ``plot``.

        Returns
        -------
        display : PckCurveDisplay
        """
        plt = import_pyplot("PckCurveDisplay")
        if ax is None:
            _, ax = plt.subplots(figsize=(5.2, 4.0), layout="constrained")
        name = self.name if name is None else name
        low, high = self.thresholds[[0, -1]]
        area = f"AUC {low:g}-{high:g} {self.unit} = {self.auc:.3f}"
        label = {"label": area if name is None else f"{name} ({area})"}
        (self.line_,) = ax.plot(self.thresholds, self.pck, **{**label, **line_kwargs})
        ax.set(xlabel=f"error threshold [{self.unit}]", ylabel="share of joints within it", ylim=(0, 1))
        ax.margins(x=0)
        ax.grid(alpha=0.3)
        ax.legend(loc="lower right")
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
        """Draw the curve of predictions.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_joints, 3) or (n_samples, 3 * n_joints), mm
            True joints; NaN joints do not count.
        y_pred : array-like of the same shape, mm
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
        name : str, default=None
            What the curve is called in the legend.
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
        grid, fractions = pck_curve(
            y_true, y_pred, thresholds=thresholds, visible=visible, align=align, root=root
        )
        return cls(grid, fractions, name=name, unit=unit).plot(ax=ax, **line_kwargs)

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
        """Predict and draw the curve.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator of 3D joints.
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
        name : str, default=None
            What the curve is called in the legend; the estimator's class by default.
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
        return cls.from_predictions(
            y,
            estimator.predict(X),
            thresholds=thresholds,
            visible=visible,
            align=align,
            root=root,
            name=type(estimator).__name__ if name is None else name,
            unit=unit,
            ax=ax,
            **line_kwargs,
        )
