"""Compute end-point errors: the mean and the median distance of predicted from true joints."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from skhand.metrics._errors import ErrorOptions, joint_errors, list_options
from skhand.metrics._statistics import average_errors

__all__ = ["mean_epe", "median_epe"]


@list_options()
def mean_epe(
    y_true: Any,
    y_pred: Any,
    *,
    average: str = "joints",
    **options: Unpack[ErrorOptions],
) -> float:
    """Compute the mean end-point error, also called mean joint error or MPJPE.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_joints, n_dims) or flattened, mm or px
        True and predicted joints; a true joint that is NaN is not counted.
    average : {"joints", "frames", "pooled"}, default="joints"
        ``"joints"``: each joint over its counted samples, then over joints; a joint that is never seen is
        left out (Zimmermann & Brox 2017). ``"frames"``: the joints of each frame, then over frames (depth
        papers). ``"pooled"``: all counted joints at once. They agree where every joint counts.
    visible, align, root, root_joint, n_dims : optional
        As in `joint_errors`.

    Returns
    -------
    error : float, unit of ``y_true``

    Raises
    ------
    InputError
        As in `joint_errors`.

    See Also
    --------
    skhand.metrics.neg_epe : For ``scoring=``, where this function itself does not serve.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.metrics import mean_epe
    >>> y = np.zeros((2, 21, 3))
    >>> mean_epe(y, y + [0.0, 3.0, 4.0])
    5.0
    """
    return average_errors(joint_errors(y_true, y_pred, **options), average)


@list_options()
def median_epe(
    y_true: Any,
    y_pred: Any,
    *,
    average: str = "joints",
    **options: Unpack[ErrorOptions],
) -> float:
    """Compute the median end-point error.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_joints, n_dims) or flattened, mm or px
        True and predicted joints; a true joint that is NaN is not counted.
    average : {"joints", "frames", "pooled"}, default="joints"
        ``"joints"``: the mean over joints of each joint's median (Zimmermann & Brox 2017). ``"frames"``: the
        mean over frames of each frame's median. ``"pooled"``: the median of all counted joints. The three
        differ even where every joint counts.
    visible, align, root, root_joint, n_dims : optional
        As in `joint_errors`.

    Returns
    -------
    error : float, unit of ``y_true``

    Raises
    ------
    InputError
        As in `joint_errors`.

    See Also
    --------
    skhand.metrics.neg_median_epe : For ``scoring=``, where this function itself does not serve.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.metrics import median_epe
    >>> y = np.zeros((3, 21, 3))
    >>> median_epe(y, y + [[[1.0, 0.0, 0.0]], [[2.0, 0.0, 0.0]], [[30.0, 0.0, 0.0]]])
    2.0
    """
    return average_errors(joint_errors(y_true, y_pred, **options), average, np.nanmedian)
