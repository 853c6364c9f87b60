"""Measure whether a predicted hand is a possible one, by its bone lengths and joint angles."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import describe, warn_user
from skhand.exceptions import InputError
from skhand.geometry import bone_lengths, hand_axes
from skhand.geometry._hand_frame import check_sides
from skhand.metrics._errors import check_no_infinity, check_poses
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


def _list_joints(angle: str) -> list[int]:
    """List the joints that an angle is measured on."""
    finger, name = angle.split("_")
    if finger == "thumb":
        first = list(_THUMB_LIMITS).index(name)
        return list(FINGERS["thumb"][first : first + 3])
    palm = [JOINTS.index(joint) for joint in ("wrist", "index_mcp", "middle_mcp", "little_mcp")]
    return [*palm, *FINGERS[finger][: {"abduction": 2, "mcp": 2, "pip": 3, "dip": 4}[name]]]


# angle -> the joints that it is measured on
_MEASURED_ON = np.zeros((len(ANGLES), len(JOINTS)), dtype=bool)
for _row, _angle in zip(_MEASURED_ON, ANGLES, strict=True):
    _row[_list_joints(_angle)] = True


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
        If the shapes differ, joints are not 21, no bone is known, or a predicted joint of a bone that counts
        is not finite.

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
    lengths, predicted = bone_lengths(true), bone_lengths(pred)
    counted = np.isfinite(lengths)
    if not counted.any():
        raise InputError("y_true: expected at least one bone whose joints are known, got only NaN.")
    broken = counted & np.isnan(predicted)
    if broken.any():
        raise InputError(
            f"y_pred: expected finite numbers, got NaN in {broken.sum()} of {counted.sum()} bones that "
            f"count, first in sample {np.argwhere(broken)[0][0]}."
        )
    return float(np.abs(predicted - lengths)[counted].mean())


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
        and abduction to the thumb's side are positive. NaN where a joint that an angle is measured on is NaN,
        or a bone has no length.

    Raises
    ------
    InputError
        If joints are not 21, or the sides are not one or one a row.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.metrics import joint_angles
    >>> hands = make_hands(3, images=(), random_state=0)
    >>> joint_angles(hands.target, hands.data.side).shape
    (3, 18)
    """
    hands = _check_hands(y, "y")
    side = check_sides(side, hands, "y")
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
        read off joints alone. An angle between joints that lie in one place counts as outside.

    Warns
    -----
    UserWarning
        If some of a hand's joints are NaN; it says how many angles are left out.

    Raises
    ------
    InputError
        As from `joint_angles`, or if no angle of a hand is known.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.metrics import angle_violations
    >>> hands = make_hands(50, images=(), random_state=0)
    >>> angle_violations(hands.target, hands.data.side) < 0.01
    True
    """
    hands = _check_hands(y, "y")
    angles = joint_angles(hands, side)
    lost = np.isnan(hands).any(axis=2).astype(int) @ _MEASURED_ON.T > 0
    if lost.all(axis=1).any():
        rows = np.flatnonzero(lost.all(axis=1))
        raise InputError(
            f"y: expected hands with known joints, got no known angle in {len(rows)} of {len(hands)} hands, "
            f"first in sample {rows[0]}; leave such rows out."
        )
    if lost.any():
        warn_user(f"y: {lost.sum()} of {lost.size} angles have a joint that is NaN and are left out.")
    inside = (angles >= LIMITS[:, 0]) & (angles <= LIMITS[:, 1])
    return float(1 - inside[~lost].mean())


def _check_hands(y: Any, name: str) -> np.ndarray:
    hands = check_poses(y, name, 3)
    if hands.shape[1:] != (len(JOINTS), 3):
        raise InputError(
            f"{name}: expected shape (n_samples, {len(JOINTS)}, 3), or flattened; got {describe(y)}."
        )
    check_no_infinity(hands, name)
    return hands


def _normalise(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 1e-12, lengths, np.nan)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=-1)
