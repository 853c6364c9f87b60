"""Percentage of correct keypoints, its curve and the area under it."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand.metrics._errors import joint_errors
from skhand.metrics._thresholds import area_under, check_grid, check_limits, fractions_correct

__all__ = ["pck", "pck_auc", "pck_curve"]


def pck(
    y_true: Any,
    y_pred: Any,
    threshold: Any,
    *,
    average: str = "joints",
    visible: Any = None,
    align: str | None = None,
    root: str | int = "palm",
    root_joint: str = "keep",
    n_dims: int = 3,
) -> Any:
    """Fraction of joints whose error is at most ``threshold``.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_joints, n_dims) or flattened, mm or px
        True and predicted joints; a true joint that is NaN is not counted.
    threshold : float or array-like of shape (n_thresholds,), unit of ``y_true``
        Largest error of a correct joint: an error equal to it is correct.
    average : {"joints", "frames", "pooled"}, default="joints"
        As in `mean_epe`.
    visible, align, root, root_joint, n_dims : optional
        As in `joint_errors`.

    Returns
    -------
    fraction : float, or ndarray of shape (n_thresholds,), 0 to 1
        One number for one threshold.

    Raises
    ------
    InputError
        As in `joint_errors`, and if a threshold is negative or not a number.

    See Also
    --------
    skhand.metrics.scorers.pck : For ``scoring=``. This function is a metric, no scorer: a search with
        it finds only NaN.

    Examples
    --------
    >>> from skhand.metrics import pck
    >>> pck([[[0.0, 0.0], [0.0, 0.0]]], [[[3.0, 4.0], [6.0, 8.0]]], 5.0)
    0.5
    """
    limits = check_limits(threshold, "threshold")
    errors = joint_errors(
        y_true, y_pred, visible=visible, align=align, root=root, root_joint=root_joint, n_dims=n_dims
    )
    return fractions_correct(errors, limits, average)


def pck_curve(
    y_true: Any,
    y_pred: Any,
    *,
    thresholds: Any = "hand3d",
    average: str = "joints",
    visible: Any = None,
    align: str | None = None,
    root: str | int = "palm",
    root_joint: str = "keep",
    n_dims: int = 3,
) -> tuple[np.ndarray, np.ndarray]:
    """Fraction of correct joints over a grid of thresholds.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_joints, n_dims) or flattened, mm or px
        True and predicted joints; a true joint that is NaN is not counted.
    thresholds : str, tuple (low, high, n) or array-like of shape (n_thresholds,), default="hand3d"
        The grid, in the unit of ``y_true``: a name from `GRIDS`; a tuple for ``n`` points from ``low`` to
        ``high``, both included; or the increasing points themselves, as a list or an array.
    average : {"joints", "frames", "pooled"}, default="joints"
        As in `mean_epe`.
    visible, align, root, root_joint, n_dims : optional
        As in `joint_errors`.

    Returns
    -------
    thresholds : ndarray of shape (n_thresholds,), unit of ``y_true``
    fractions : ndarray of shape (n_thresholds,), 0 to 1

    Raises
    ------
    InputError
        As in `joint_errors`, and if the grid is unknown or not increasing.
    """
    grid = check_grid(thresholds)
    errors = joint_errors(
        y_true, y_pred, visible=visible, align=align, root=root, root_joint=root_joint, n_dims=n_dims
    )
    return grid, fractions_correct(errors, grid, average)


def pck_auc(
    y_true: Any,
    y_pred: Any,
    *,
    thresholds: Any = "hand3d",
    average: str = "joints",
    visible: Any = None,
    align: str | None = None,
    root: str | int = "palm",
    root_joint: str = "keep",
    n_dims: int = 3,
) -> float:
    """Area under the curve of correct joints by the trapezoid rule, divided by the grid's range.

    The range and the number of points both change the number; `GRIDS` has those of the papers.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_joints, n_dims) or flattened, mm or px
        True and predicted joints; a true joint that is NaN is not counted.
    thresholds : str, tuple (low, high, n) or array-like of shape (n_thresholds,), default="hand3d"
        The grid, in the unit of ``y_true``, as in `pck_curve`. ``"hand3d"`` is 0 to 50 mm in 20 points
        (Zimmermann & Brox 2017, Spurr et al. 2018).
    average : {"joints", "frames", "pooled"}, default="joints"
        As in `mean_epe`.
    visible, align, root, root_joint, n_dims : optional
        As in `joint_errors`.

    Returns
    -------
    area : float, 0 to 1

    Raises
    ------
    InputError
        As in `joint_errors`, and if the grid is unknown or not increasing.

    See Also
    --------
    skhand.metrics.scorers.pck_auc : For ``scoring=``. This function is a metric, no scorer: a search with
        it finds only NaN.
    """
    grid, fractions = pck_curve(
        y_true,
        y_pred,
        thresholds=thresholds,
        average=average,
        visible=visible,
        align=align,
        root=root,
        root_joint=root_joint,
        n_dims=n_dims,
    )
    return area_under(fractions, grid)
