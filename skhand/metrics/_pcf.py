"""Percentage of correct frames, as the papers on depth pictures report it."""

from __future__ import annotations

from typing import Any

from skhand.metrics._errors import frame_maxima, joint_errors
from skhand.metrics._thresholds import check_limits, fractions_correct

__all__ = ["pcf"]


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
    skhand.metrics.scorers.pcf : For ``scoring=``. This function is a metric, no scorer: a search with
        it finds only NaN.
    """
    limits = check_limits(threshold, "threshold")
    errors = joint_errors(
        y_true, y_pred, visible=visible, align=align, root=root, root_joint=root_joint, n_dims=n_dims
    )
    return fractions_correct(frame_maxima(errors), limits, "pooled")
