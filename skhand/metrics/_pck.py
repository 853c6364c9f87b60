"""Percentage of correct keypoints and of correct frames, their curve and the area under it."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_number, check_option, check_shape, describe
from skhand.exceptions import InputError
from skhand.metrics._errors import averaged, joint_errors

__all__ = ["GRIDS", "pcf", "pck", "pck_auc", "pck_curve", "pckh"]

#: Thresholds of published protocols, mm ("hand3d_2d": px). "hand3d_20_50" is the slice that hand3d calls
#: 20-50 mm: it starts at 21.05 mm. The papers behind "20_50" and "0_100" print no grid; 100 points are ours.
GRIDS: dict[str, np.ndarray] = {
    "hand3d": np.linspace(0, 50, 20),
    "hand3d_20_50": np.linspace(0, 50, 20)[8:],
    "hand3d_2d": np.linspace(0, 30, 20),
    "freihand": np.linspace(0, 50, 100),
    "20_50": np.linspace(20, 50, 100),
    "0_100": np.linspace(0, 100, 100),
}


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
    visible, align, root, root_joint, n_dims
        As in `joint_errors`.

    Returns
    -------
    fraction : float, or ndarray of shape (n_thresholds,), 0 to 1
        One number for one threshold.

    Raises
    ------
    InputError
        As in `joint_errors`, and if a threshold is negative or not a number.

    Examples
    --------
    >>> from skhand.metrics import pck
    >>> pck([[[0.0, 0.0], [0.0, 0.0]]], [[[3.0, 4.0], [6.0, 8.0]]], 5.0)
    0.5
    """
    limits = _check_thresholds(threshold, "threshold")
    errors = joint_errors(
        y_true, y_pred, visible=visible, align=align, root=root, root_joint=root_joint, n_dims=n_dims
    )
    return _fractions(errors, limits, average)


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
    visible, align, root, root_joint, n_dims
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
    grid = _check_grid(thresholds)
    errors = joint_errors(
        y_true, y_pred, visible=visible, align=align, root=root, root_joint=root_joint, n_dims=n_dims
    )
    return grid, _fractions(errors, grid, average)


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
    visible, align, root, root_joint, n_dims
        As in `joint_errors`.

    Returns
    -------
    area : float, 0 to 1

    Raises
    ------
    InputError
        As in `joint_errors`, and if the grid is unknown or not increasing.
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
    return float(np.trapezoid(fractions, grid) / (grid[-1] - grid[0]))


def pckh(
    y_true: Any,
    y_pred: Any,
    head_size: Any,
    *,
    threshold: Any = 0.5,
    average: str = "joints",
    visible: Any = None,
    align: str | None = None,
    root: str | int = "palm",
    root_joint: str = "keep",
    n_dims: int = 2,
) -> Any:
    """Fraction of joints whose error is at most ``threshold`` times the sample's head size.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_joints, n_dims) or flattened, px or mm
        True and predicted joints; a true joint that is NaN is not counted.
    head_size : array-like of shape (n_samples,) or float, unit of ``y_true``
        Length of the head segment of each sample (Andriluka et al. 2014).
    threshold : float or array-like of shape (n_thresholds,), in head sizes, default=0.5
        Largest error of a correct joint: an error equal to it is correct.
    average : {"joints", "frames", "pooled"}, default="joints"
        As in `mean_epe`.
    visible, align, root, root_joint
        As in `joint_errors`.
    n_dims : int, default=2
        Coordinates a joint in flattened arrays.

    Returns
    -------
    fraction : float, or ndarray of shape (n_thresholds,), 0 to 1
        One number for one threshold.

    Raises
    ------
    InputError
        As in `joint_errors`, and if a head size is not a number above 0.
    """
    limits = _check_thresholds(threshold, "threshold")
    errors = joint_errors(
        y_true, y_pred, visible=visible, align=align, root=root, root_joint=root_joint, n_dims=n_dims
    )
    if isinstance(head_size, int | float):
        head_size = np.full(len(errors), float(head_size))
    sizes = check_shape(head_size, "head_size", (len(errors),))
    if sizes.dtype.kind not in "iuf" or not ((sizes > 0) & np.isfinite(sizes)).all():
        raise InputError(f"head_size: expected lengths above 0, got {describe(head_size)}.")
    return _fractions(errors / sizes[:, None], limits, average)


def pcf(
    y_true: Any,
    y_pred: Any,
    threshold: Any,
    *,
    visible: Any = None,
    align: str | None = None,
    root: str | int = "palm",
    root_joint: str = "keep",
    n_dims: int = 3,
) -> Any:
    """Fraction of frames whose LARGEST joint error is at most ``threshold``.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_joints, n_dims) or flattened, mm or px
        True and predicted joints; a true joint that is NaN is not counted, a frame without any neither.
    threshold : float or array-like of shape (n_thresholds,), unit of ``y_true``
        Largest error of a correct frame: an error equal to it is correct.
    visible, align, root, root_joint, n_dims
        As in `joint_errors`.

    Returns
    -------
    fraction : float, or ndarray of shape (n_thresholds,), 0 to 1
        One number for one threshold.

    Raises
    ------
    InputError
        As in `joint_errors`, and if a threshold is negative or not a number.
    """
    limits = _check_thresholds(threshold, "threshold")
    errors = joint_errors(
        y_true, y_pred, visible=visible, align=align, root=root, root_joint=root_joint, n_dims=n_dims
    )
    seen = ~np.isnan(errors).all(axis=1)
    return _fractions(np.nanmax(errors[seen], axis=1, keepdims=True), limits, "pooled")


def _fractions(errors: np.ndarray, limits: np.ndarray, average: str) -> Any:
    """Average the correct ones at each limit; a scalar limit gives a float."""
    missed = np.isnan(errors)
    fractions = [averaged(np.where(missed, np.nan, errors <= limit), average) for limit in limits.ravel()]
    return np.array(fractions) if limits.ndim else fractions[0]


def _check_thresholds(value: Any, name: str) -> np.ndarray:
    try:
        limits = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected a number or an array of numbers, got {describe(value)}.") from error
    if limits.ndim > 1 or limits.size == 0 or not (np.isfinite(limits) & (limits >= 0)).all():
        raise InputError(f"{name}: expected one or more numbers >= 0, got {value!r}.")
    return limits


def _check_grid(thresholds: Any) -> np.ndarray:
    """Return the grid that a name, a (low, high, n) tuple or an array stands for."""
    if isinstance(thresholds, str):
        return GRIDS[check_option(thresholds, "thresholds", GRIDS)].copy()
    if isinstance(thresholds, tuple):
        if len(thresholds) != 3:
            raise InputError(f"thresholds: expected a tuple (low, high, n), got {thresholds!r}.")
        low, high, n_points = thresholds
        check_number(low, "thresholds (low)", low=0)
        check_number(n_points, "thresholds (n)", integer=True, low=2)
        thresholds = np.linspace(low, check_number(high, "thresholds (high)", high=np.finfo(float).max), n_points)
    grid = _check_thresholds(thresholds, "thresholds")
    if grid.ndim != 1 or len(grid) < 2 or not (np.diff(grid) > 0).all():
        raise InputError(f"thresholds: expected at least two increasing numbers, got {describe(thresholds)}.")
    return grid
