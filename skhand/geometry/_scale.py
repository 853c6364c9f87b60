"""Scale of a hand from mean bone lengths (Iqbal et al. 2018, Eq. 7)."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_numbers, check_shape
from skhand.geometry._align import bone_lengths
from skhand.skeleton import BONES

__all__ = ["mean_bone_lengths", "recover_scale"]


def mean_bone_lengths(joints: Any) -> np.ndarray:
    """Measure the mean length of each bone over hands.

    Parameters
    ----------
    joints : array-like of shape (n_samples, 21, 3), mm
        Joints in canonical order. A bone with a joint that is NaN is not counted.

    Returns
    -------
    lengths : ndarray of shape (20,), mm
        In the order of `skhand.skeleton.BONES`; NaN for a bone that no hand has.

    Raises
    ------
    InputError
        If there are not 21 joints.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.geometry import mean_bone_lengths
    >>> hands = make_hands(20, images=(), random_state=0).target
    >>> mean_bone_lengths(hands).shape
    (20,)
    """
    lengths = bone_lengths(check_shape(joints, "joints", ("n_samples", "n_joints", 3)))
    known = np.isfinite(lengths)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, lengths, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def recover_scale(joints: Any, mean_bones: Any) -> np.ndarray:
    """Find the factor that brings a hand's bones closest to mean bone lengths (Iqbal et al. 2018).

    Equation 7, the least-squares solution ``s = sum(d * mu) / sum(d * d)``, d being the hand's bone lengths
    and mu the mean ones.

    Parameters
    ----------
    joints : array-like of shape (n_samples, 21, 3), any unit
        Joints up to scale, in canonical order.
    mean_bones : array-like of shape (20,), mm
        Mean lengths in the order of `skhand.skeleton.BONES`, for example from `mean_bone_lengths`. NaN bones
        do not count, in either.

    Returns
    -------
    scale : ndarray of shape (n_samples,), mm a unit of ``joints``
        NaN where no bone counts or all have no length.

    Raises
    ------
    InputError
        If there are not 21 joints, or a mean length is not above 0 or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.geometry import bone_lengths, recover_scale
    >>> hand = np.random.default_rng(0).normal(size=(1, 21, 3))
    >>> float(recover_scale(hand, 50 * bone_lengths(hand)[0])[0].round(6))
    50.0
    """
    mean = check_numbers(
        mean_bones,
        "mean_bones",
        (len(BONES),),
        low=0,
        include_low=False,
        allow_nan=True,
        what="lengths above 0 (mm)",
    )
    lengths = bone_lengths(check_shape(joints, "joints", ("n_samples", "n_joints", 3)))
    counts = np.isfinite(lengths) & np.isfinite(mean)
    d, mu = np.where(counts, lengths, 0.0), np.where(counts, mean, 0.0)
    size = (d * d).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(size > 0, (d * mu).sum(axis=1) / size, np.nan)
