"""Percentage of correct keypoints, measured in head sizes."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from skhand._validation import check_shape, describe
from skhand.exceptions import InputError
from skhand.metrics._errors import joint_errors
from skhand.metrics._thresholds import check_limits, fractions_correct

__all__ = ["pckh"]


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
    skhand.metrics.scorers.pckh : For ``scoring=``. This function is a metric, no scorer: a search with
        it finds only NaN.
    """
    limits = check_limits(threshold, "threshold")
    errors = joint_errors(
        y_true, y_pred, visible=visible, align=align, root=root, root_joint=root_joint, n_dims=n_dims
    )
    if isinstance(head_size, numbers.Real):
        head_size = np.full(len(errors), float(head_size))
    sizes = check_shape(head_size, "head_size", (len(errors),))
    if sizes.dtype.kind not in "iuf" or (sizes <= 0).any() or np.isinf(sizes).any():
        raise InputError(
            f"head_size: expected lengths above 0, or NaN where unknown, got {describe(head_size)}."
        )
    relative = errors / sizes[:, None]
    if np.isnan(relative).all():
        raise InputError("head_size: expected the length of at least one sample that counts, got only NaN.")
    return fractions_correct(relative, limits, average)
