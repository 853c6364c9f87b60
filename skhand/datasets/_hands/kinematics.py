"""Forward kinematics of a right hand with 22 angles.

Hand frame, mm: the wrist is the origin, x points radially (to the thumb), y distally (to the fingers),
z palmar (out of the palm). A left hand is the mirror image and has the same angles.
"""

from __future__ import annotations

import numpy as np

__all__ = ["ANGLES", "LIMITS", "forward_kinematics"]

_FINGERS = ("index", "middle", "ring", "little")

ANGLES: tuple[str, ...] = (
    "thumb_radial",
    "thumb_palmar",
    "thumb_twist",
    "thumb_mcp",
    "thumb_ip",
    *(f"{finger}_{angle}" for finger in _FINGERS for angle in ("abduction", "mcp", "pip", "dip")),
    "palm_cup",
)
"""Names of the 22 angles. Positive: abduction to the thumb's side, flexion to the palm."""

_FINGER_LIMITS = ((-25.0, 25.0), (-30.0, 95.0), (-8.0, 115.0), (-12.0, 90.0))

LIMITS: np.ndarray = np.array(
    [
        (-15.0, 75.0),
        (-10.0, 75.0),
        (-130.0, -10.0),
        (-20.0, 75.0),
        (-35.0, 90.0),
        *_FINGER_LIMITS * 4,
        (0.0, 22.0),
    ]
)
"""Smallest and largest value of each angle, degrees, shape (22, 2)."""

# how far a finger's flexion plane is rolled about its own axis and fanned in the palm, degrees
_ROLL = (-6.0, 0.0, 7.0, 14.0)
_FAN = (3.0, 0.0, -4.0, -9.0)
_CUPPED = (0.0, 0.0, 0.5, 1.0)


def _rotation(axis: int, degrees: np.ndarray) -> np.ndarray:
    """Return right-handed rotations about one coordinate axis, shape (n, 3, 3)."""
    radians = np.deg2rad(np.ascontiguousarray(degrees, dtype=np.float64))
    cosine, sine = np.cos(radians), np.sin(radians)
    matrix = np.zeros((len(radians), 3, 3))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix[:, axis, axis] = 1.0
    matrix[:, first, first] = matrix[:, second, second] = cosine
    matrix[:, first, second], matrix[:, second, first] = -sine, sine
    return matrix


def forward_kinematics(
    angles: np.ndarray, bases: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place the joints of right hands.

    Parameters
    ----------
    angles : ndarray of shape (n, 22), degrees
        In the order of `ANGLES`.
    bases : ndarray of shape (n, 5, 3), mm
        Thumb CMC and the four MCPs of the flat hand, in the hand frame.
    lengths : ndarray of shape (n, 5, 3), mm
        The three bones beyond each base, thumb first.

    Returns
    -------
    joints : ndarray of shape (n, 21, 3), mm
        Hand frame.
    frames : ndarray of shape (n, 5, 3, 3, 3)
        For each bone beyond a base its rotation matrix: columns are the bone's radial side, its own
        direction, and its palmar side.
    palm : ndarray of shape (n, 5, 3, 3)
        For each base the rotation that cupping gave to the palm there.
    """
    n = len(angles)
    joints = np.zeros((n, 21, 3))
    frames = np.zeros((n, 5, 3, 3, 3))
    palm = np.zeros((n, 5, 3, 3))
    for digit in range(5):
        if digit == 0:
            palm[:, 0] = np.eye(3)
            radial, palmar, twist, mcp, ip = angles[:, :5].T
            turn = _rotation(2, -radial) @ _rotation(0, palmar) @ _rotation(1, twist)
            bends: tuple[np.ndarray, ...] = (mcp, ip)
        else:
            abduction, mcp, pip, dip = angles[:, 1 + 4 * digit : 5 + 4 * digit].T
            palm[:, digit] = _rotation(1, _CUPPED[digit - 1] * angles[:, 21])
            turn = palm[:, digit] @ _rotation(1, np.full(n, _ROLL[digit - 1]))
            turn = turn @ _rotation(2, -(abduction + _FAN[digit - 1])) @ _rotation(0, mcp)
            bends = (pip, dip)
        position = (palm[:, digit] @ bases[:, digit, :, None])[..., 0]
        joints[:, 1 + 4 * digit] = position
        for bone in range(3):
            if bone:
                turn = turn @ _rotation(0, bends[bone - 1])
            frames[:, digit, bone] = turn
            position = position + turn[:, :, 1] * lengths[:, digit, bone, None]
            joints[:, 2 + 4 * digit + bone] = position
    return joints, frames, palm
