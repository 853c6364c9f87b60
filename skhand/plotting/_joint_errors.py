"""Draw the mean error of each joint, as bars."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._drawing import joint_colours
from skhand.exceptions import InputError
from skhand.metrics import joint_errors
from skhand.plotting._checks import (
    check_alike,
    check_axes,
    check_joints,
    check_method,
    check_numbers,
    check_rows,
    check_unit,
    find_root,
    predict_joints,
    require_truth,
)
from skhand.plotting._draw import import_pyplot
from skhand.skeleton import Layout, resolve_layout

__all__ = ["JointErrorDisplay"]


class JointErrorDisplay:
    """Mean error of each joint: one bar a joint, one colour a finger.

    Parameters
    ----------
    errors : array-like of shape (n_joints,), mm or px
        Mean error of each joint; NaN where none is known.
    layout : str or Layout, default="canonical"
        Which joints they are: a layout, or its name in `skhand.skeleton.LAYOUTS`.
    unit : str, default="mm"
        Unit of the errors, for the axis.

    Attributes
    ----------
    bars_ : matplotlib bar container
        One bar a joint, in the order of the layout.
    ax_ : matplotlib axes
        Where they were drawn.
    figure_ : matplotlib figure
        The axes' figure.

    Raises
    ------
    InputError
        If there is not one error a joint, an error is negative or infinite, or none is known.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.plotting import JointErrorDisplay
    >>> y = np.random.default_rng(0).normal(size=(4, 21, 3)) * 30 + [0.0, 0.0, 500.0]
    >>> display = JointErrorDisplay.from_predictions(y, y + 5)
    >>> type(display).__name__
    'JointErrorDisplay'
    """

    def __init__(self, errors: Any, *, layout: str | Layout = "canonical", unit: str = "mm"):
        self.layout = resolve_layout(layout)
        self.errors = check_numbers(errors, "errors", (len(self.layout),))
        known = self.errors[~np.isnan(self.errors)]
        if len(known) == 0 or (known < 0).any() or np.isinf(known).any():
            raise InputError(f"errors: expected distances >= 0 or NaN, one at least, got {self.errors}.")
        self.unit = check_unit(unit)

    def plot(self, ax: Any = None) -> JointErrorDisplay:
        """Draw the bars, and a line at their mean.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : JointErrorDisplay
        """
        check_axes(ax)
        plt = import_pyplot("JointErrorDisplay")
        if ax is None:
            _, ax = plt.subplots(figsize=(0.32 * len(self.errors) + 1.2, 3.6), layout="constrained")
        mean = float(np.nanmean(self.errors))
        places = np.arange(len(self.errors))
        self.bars_ = ax.bar(places, self.errors, color=joint_colours(self.layout))
        ax.axhline(mean, color="black", linewidth=1, linestyle="--")
        ax.set_title(f"mean over joints {mean:.1f} {self.unit} (dashed)", fontsize=9)
        names = [joint.replace("_", " ") for joint in self.layout.joints]
        ax.set_xticks(places, names, rotation=90, fontsize=8)
        ax.set(ylabel=f"mean error [{self.unit}]", xlim=(-0.7, len(places) - 0.3))
        ax.grid(axis="y", alpha=0.3)
        ax.set_axisbelow(True)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        visible: Any = None,
        align: str | None = None,
        root: str | int = "palm",
        layout: str | Layout = "canonical",
        unit: str = "mm",
        ax: Any = None,
    ) -> JointErrorDisplay:
        """Draw the errors of predictions.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_joints, 3) or (n_samples, 3 * n_joints), mm
            True joints; NaN joints do not count.
        y_pred : array-like of the same shape, mm
            Predicted joints.
        visible : array-like of shape (n_samples, n_joints), bool, default=None
            Joints that count; all by default.
        align : {None, "root", "root+scale", "procrustes"}, default=None
            What is taken out before the error, as in `skhand.metrics.joint_errors`.
        root : str or int, default="palm"
            The root of ``align``: a joint's name or index, or ``"palm"``.
        layout : str or Layout, default="canonical"
            Which joints they are: a layout, or its name in `skhand.skeleton.LAYOUTS`.
        unit : str, default="mm"
            Unit of the errors, for the axis.
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : JointErrorDisplay
        """
        check_axes(ax)
        check_unit(unit)
        layout = resolve_layout(layout)
        truth, predicted = check_joints(y_true, "y_true", layout), check_joints(y_pred, "y_pred", layout)
        check_alike(truth, predicted)
        errors = joint_errors(
            truth, predicted, visible=visible, align=align, root=find_root(root, layout, align)
        )
        counted = np.isfinite(errors)
        n_counted = np.where(counted.any(axis=0), counted.sum(axis=0), np.nan)
        means = np.where(counted, errors, 0.0).sum(axis=0) / n_counted
        return cls(means, layout=layout, unit=unit).plot(ax=ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        visible: Any = None,
        align: str | None = None,
        root: str | int = "palm",
        layout: str | Layout = "canonical",
        unit: str = "mm",
        ax: Any = None,
    ) -> JointErrorDisplay:
        """Predict and draw the errors.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator of 3D joints.
        X : HandFrames or array-like of shape (n_samples, ...)
            Input rows.
        y : array-like of shape (n_samples, n_joints, 3) or (n_samples, 3 * n_joints), mm
            True joints; NaN joints do not count.
        visible : array-like of shape (n_samples, n_joints), bool, default=None
            Joints that count; all by default.
        align : {None, "root", "root+scale", "procrustes"}, default=None
            What is taken out before the error, as in `skhand.metrics.joint_errors`.
        root : str or int, default="palm"
            The root of ``align``: a joint's name or index, or ``"palm"``.
        layout : str or Layout, default="canonical"
            Which joints they are: a layout, or its name in `skhand.skeleton.LAYOUTS`.
        unit : str, default="mm"
            Unit of the errors, for the axis.
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : JointErrorDisplay
        """
        check_method(estimator, "predict")
        check_axes(ax)
        check_unit(unit)
        layout, X = resolve_layout(layout), check_rows(X)
        options = {"visible": visible, "align": align, "root": find_root(root, layout, align)}
        truth = require_truth(y, len(X), options, layout)
        predicted = predict_joints(estimator, X, truth)
        return cls.from_predictions(truth, predicted, layout=layout, unit=unit, ax=ax, **options)
