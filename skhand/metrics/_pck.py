"""Compute fractions of correct keypoints and frames, their curve and the area under it."""

from __future__ import annotations

import numbers
from typing import Any, Unpack

import numpy as np

from skhand._validation import LARGEST_FLOAT, check_number, check_numbers
from skhand.exceptions import InputError
from skhand.metrics._errors import ErrorOptions, joint_errors, list_options
from skhand.metrics._statistics import (
    check_grid,
    check_limits,
    compute_area,
    compute_fractions,
    find_largest_errors,
)

__all__ = ["pcf", "pck", "pck_auc", "pck_curve", "pckh"]


@list_options()
def pck(
    y_true: Any,
    y_pred: Any,
    threshold: Any,
    *,
    average: str = "joints",
    **options: Unpack[ErrorOptions],
) -> Any:
    """Compute the fraction of joints whose error is at most ``threshold``.

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
    skhand.metrics.pck_scorer : For ``scoring=``. This function is a metric, no scorer: a search with
        it finds only NaN.

    Examples
    --------
    >>> from skhand.metrics import pck
    >>> pck([[[0.0, 0.0], [0.0, 0.0]]], [[[3.0, 4.0], [6.0, 8.0]]], 5.0)
    0.5
    """
    limits = check_limits(threshold, "threshold")
    errors = joint_errors(y_true, y_pred, **options)
    return compute_fractions(errors, limits, average)


@list_options()
def pck_curve(
    y_true: Any,
    y_pred: Any,
    *,
    thresholds: Any = "hand3d",
    average: str = "joints",
    **options: Unpack[ErrorOptions],
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the fraction of correct joints over a grid of thresholds.

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

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.metrics import pck_curve
    >>> y = np.zeros((4, 21, 3))
    >>> predicted = y + np.array([5.0, 15.0, 25.0, 35.0])[:, None, None] * [1.0, 0.0, 0.0]
    >>> thresholds, shares = pck_curve(y, predicted, thresholds=[10.0, 20.0, 30.0])
    >>> shares
    array([0.25, 0.5 , 0.75])
    """
    grid = check_grid(thresholds)
    errors = joint_errors(y_true, y_pred, **options)
    return grid, compute_fractions(errors, grid, average)


@list_options()
def pck_auc(
    y_true: Any,
    y_pred: Any,
    *,
    thresholds: Any = "hand3d",
    average: str = "joints",
    **options: Unpack[ErrorOptions],
) -> float:
    """Compute the area under the curve of correct joints by the trapezoid rule, divided by the grid's range.

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
    skhand.metrics.pck_auc_scorer : For ``scoring=``. This function is a metric, no scorer: a search with
        it finds only NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.metrics import pck_auc
    >>> y = np.zeros((2, 21, 3))
    >>> pck_auc(y, y), pck_auc(y, y + 100)
    (1.0, 0.0)
    """
    grid, fractions = pck_curve(y_true, y_pred, thresholds=thresholds, average=average, **options)
    return compute_area(fractions, grid)


@list_options()
def pcf(
    y_true: Any,
    y_pred: Any,
    threshold: Any,
    **options: Unpack[ErrorOptions],
) -> Any:
    """Compute the fraction of frames whose LARGEST joint error is at most ``threshold``.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_joints, n_dims) or flattened, mm or px
        True and predicted joints; a true joint that is NaN is not counted, a frame without any neither.
    threshold : float or array-like of shape (n_thresholds,), unit of ``y_true``
        Largest error of a correct frame: an error equal to it is correct.
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
    skhand.metrics.pcf_scorer : For ``scoring=``. This function is a metric, no scorer: a search with
        it finds only NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.metrics import pcf
    >>> y = np.zeros((2, 21, 3))
    >>> predicted = y.copy()
    >>> predicted[0, 4] = [50.0, 0.0, 0.0]  # one joint of one hand
    >>> pcf(y, predicted, 40.0)
    0.5
    """
    limits = check_limits(threshold, "threshold")
    errors = joint_errors(y_true, y_pred, **options)
    return compute_fractions(find_largest_errors(errors), limits, "pooled")


@list_options(n_dims=2)
def pckh(
    y_true: Any,
    y_pred: Any,
    head_size: Any,
    *,
    threshold: Any = 0.5,
    average: str = "joints",
    **options: Unpack[ErrorOptions],
) -> Any:
    """Compute the fraction of joints whose error is at most ``threshold`` times the sample's head size.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_joints, n_dims) or flattened, px or mm
        True and predicted joints; a true joint that is NaN is not counted.
    head_size : array-like of shape (n_samples,) or float, unit of ``y_true``
        Length of the head segment of each sample (Andriluka et al. 2014). A sample whose length is NaN is not
        counted.
    threshold : float or array-like of shape (n_thresholds,), in head sizes, default=0.5
        Largest error of a correct joint: an error equal to it is correct.
    average : {"joints", "frames", "pooled"}, default="joints"
        As in `mean_epe`.
    visible, align, root, root_joint : optional
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
        As in `joint_errors`, and if a head size is neither a number above 0 nor NaN, or no sample that counts
        has one.

    See Also
    --------
    skhand.metrics.pckh_scorer : For ``scoring=``. This function is a metric, no scorer: a search with
        it finds only NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.metrics import pckh
    >>> y = np.zeros((2, 21, 2))
    >>> pckh(y, y + [8.0, 0.0], head_size=[10.0, 20.0], threshold=0.5)
    0.5
    """
    limits = check_limits(threshold, "threshold")
    options.setdefault("n_dims", 2)
    errors = joint_errors(y_true, y_pred, **options)
    if isinstance(head_size, numbers.Real) and not isinstance(head_size, bool | np.bool_):
        check_number(head_size, "head_size", low=0, high=LARGEST_FLOAT, include_low=False)
        head_size = np.full(len(errors), float(head_size))
    sizes = check_numbers(
        head_size,
        "head_size",
        (len(errors),),
        low=0,
        include_low=False,
        allow_nan=True,
        what="lengths above 0",
    )
    relative = errors / sizes[:, None]
    if np.isnan(relative).all():
        raise InputError("head_size: expected the length of at least one sample that counts, got only NaN.")
    return compute_fractions(relative, limits, average)
