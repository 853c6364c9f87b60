"""Measure whether a predicted hand is a possible one, by its bone lengths and joint angles."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_shape
from skhand.exceptions import InputError
from skhand.geometry import bone_lengths, hand_axes
from skhand.skeleton import FINGERS, JOINTS

__all__ = ["angle_violations", "bone_length_error", "joint_angles"]

_LONG = ("index", "middle", "ring", "little")
_ANGLES = ("abduction", "mcp", "pip", "dip")
# degrees; flexion to the palm and abduction to the thumb's side are positive
_LIMITS = {"abduction": (-45.0, 45.0), "mcp": (-45.0, 110.0), "pip": (-25.0, 130.0), "dip": (-25.0, 110.0)}
_THUMB_LIMITS = {"mcp": (0.0, 95.0), "ip": (0.0, 105.0)}
_LITTLE_ABDUCTION = (-60.0, 50.0)  # it spreads farthest, and cupping the palm turns it further

ANGLES = (
    *(f"thumb_{angle}" for angle in _THUMB_LIMITS),
    *(f"{finger}_{angle}" for finger in _LONG for angle in _ANGLES),
)
LIMITS = np.array([*_THUMB_LIMITS.values(), *(_LIMITS[angle] for _ in _LONG for angle in _ANGLES)])
LIMITS[ANGLES.index("little_abduction")] = _LITTLE_ABDUCTION


def bone_length_error(y_true: Any, y_pred: Any) -> float:
    """Compute the mean absolute difference between the bones' predicted and true lengths.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, 21, 3) or (n_samples, 63), mm
        True and predicted joints in canonical order. Bones with a true joint that is NaN are left out.

    Returns
    -------
    error : float, unit of ``y_true``
        Mean over all hands and their 20 bones.

    Raises
    ------
    InputError
        If the shapes differ, joints are not 21, or no bone is known.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.metrics import bone_length_error
    >>> y = np.random.default_rng(0).normal(size=(5, 21, 3))
    >>> round(bone_length_error(y, 1.1 * y) / bone_length_error(y, 1.2 * y), 6)
    0.5
    """
    true, pred = _check_hands(y_true, "y_true"), _check_hands(y_pred, "y_pred")
    if true.shape != pred.shape:
        raise InputError(f"y_pred: expected the shape of y_true {true.shape}, got {pred.shape}.")
    errors = np.abs(bone_lengths(pred) - bone_lengths(true))
    if np.isnan(errors).all():
        raise InputError("y_true: expected at least one bone whose joints are known, got only NaN.")
    return float(np.nanmean(errors))


def joint_angles(y: Any, side: Any) -> np.ndarray:
    """Compute how far a hand's joints are bent.

    The hand's frame is x to the thumb's side, y from the wrist to the middle MCP, z out of the palm. At a
    finger's MCP the angles are the proximal bone's flexion and abduction in it; at PIP and DIP the flexion
    of a bone against the one before, seen along the hand's x axis, made perpendicular to the bones one after
    the other. A thumb's MCP and IP have the plain angle between two bones.

    Parameters
    ----------
    y : array-like of shape (n_samples, 21, 3) or (n_samples, 63), mm
        Joints in canonical order, camera frame.
    side : {"left", "right"} or array-like of them of shape (n_samples,)
        Which hand it is.

    Returns
    -------
    angles : ndarray of shape (n_samples, 18), degrees
        Thumb MCP and IP, then abduction and flexion at MCP, PIP and DIP of each finger. Flexion to the palm
        and abduction to the thumb's side are positive. NaN where a joint is NaN.

    Raises
    ------
    InputError
        If joints are not 21, or the sides are not one or one a row.
    """
    hands = _check_hands(y, "y")
    thumb = _normalise(np.diff(hands[:, list(FINGERS["thumb"])], axis=1))
    hands = hands @ hand_axes(hands, side).swapaxes(1, 2)
    across, along, palmar = np.eye(3)
    bones = {name: _normalise(np.diff(hands[:, list(FINGERS[name])], axis=1)) for name in _LONG}
    angles = [np.arccos(np.clip(_dot(thumb[:, i], thumb[:, i + 1]), -1.0, 1.0)) for i in (0, 1)]
    for finger in _LONG:
        first = bones[finger][:, 0]
        angles.append(np.arcsin(np.clip(_dot(first, across), -1.0, 1.0)))
        angles.append(np.arctan2(_dot(first, palmar), _dot(first, along)))
        axis = np.broadcast_to(across, first.shape)
        for before, after in ((0, 1), (1, 2)):
            old, new = bones[finger][:, before], bones[finger][:, after]
            axis = _normalise(axis - _dot(axis, old)[:, None] * old)
            angles.append(np.arctan2(_dot(new, np.cross(axis, old)), _dot(new, old)))
    return np.rad2deg(np.stack(angles, axis=1))


def angle_violations(y: Any, side: Any) -> float:
    """Compute the share of joint angles that no hand can take.

    Parameters
    ----------
    y : array-like of shape (n_samples, 21, 3) or (n_samples, 63), mm
        Joints in canonical order, camera frame.
    side : {"left", "right"} or array-like of them of shape (n_samples,)
        Which hand it is.

    Returns
    -------
    share : float
        Of the 18 `joint_angles` of all hands, those outside their limits: abduction -45 to 45 degrees
        (little finger -60 to 50), flexion at MCP -45 to 110, PIP -25 to 130, DIP -25 to 110, thumb MCP up to
        95 and IP up to 105. The limits are wide: they leave room for supple hands and for the angles being
        read off joints alone.

    Raises
    ------
    InputError
        As from `joint_angles`, or if no angle is known.
    """
    angles = joint_angles(y, side)
    known = np.isfinite(angles)
    if not known.any():
        raise InputError("y: expected at least one hand with known joints, got only NaN.")
    outside = (angles < LIMITS[:, 0]) | (angles > LIMITS[:, 1])
    return float(outside[known].mean())


def _check_hands(y: Any, name: str) -> np.ndarray:
    array = np.asarray(y, dtype=np.float64)
    if array.ndim == 2 and array.shape[1] == 3 * len(JOINTS):
        array = array.reshape(-1, len(JOINTS), 3)
    return check_shape(array, name, ("n_samples", len(JOINTS), 3))


def _normalise(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=-1)
