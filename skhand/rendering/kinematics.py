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

_BENDS = ((-30.0, 95.0), (-8.0, 115.0), (-12.0, 90.0))

LIMITS: np.ndarray = np.array(
    [
        (-15.0, 75.0),
        (-20.0, 75.0),
        (-130.0, -10.0),
        (-20.0, 75.0),
        (-35.0, 90.0),
        *((-25.0, 25.0), *_BENDS) * 3,
        *((-32.0, 25.0), *_BENDS),
        (0.0, 22.0),
    ]
)
"""Smallest and largest value of each angle, degrees, shape (22, 2)."""

# how far a finger's flexion plane is rolled about its own axis and fanned in the palm, degrees
_ROLL = np.array([-6.0, 0.0, 7.0, 14.0])
_FAN = np.array([1.0, -6.0, -10.0, -17.0])
_CUPPED = np.array([0.0, 0.0, 0.0, 0.5, 1.0])
"""Share of the palm's cup that each digit's base turns with."""


def forward_kinematics(
    angles: np.ndarray, bases: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place the joints of right hands.

    A digit bends about one axis at all of its joints, so its bones lie in one plane, which is turned
    with its base.

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
    radians = np.deg2rad(np.asarray(angles, dtype=np.float64))
    side, forward, out, bends = _digits(radians)
    sine, cosine = np.sin(bends)[..., None], np.cos(bends)[..., None]
    frames = np.empty((n, 5, 3, 3, 3))
    frames[..., 0] = side[:, :, None]
    frames[..., 1] = forward[:, :, None] * cosine + out[:, :, None] * sine
    frames[..., 2] = out[:, :, None] * cosine - forward[:, :, None] * sine
    cup = radians[:, 21:] * _CUPPED
    sine, cosine = np.sin(cup), np.cos(cup)
    palm = np.zeros((n, 5, 3, 3))
    palm[..., 0, 0] = palm[..., 2, 2] = cosine
    palm[..., 0, 2], palm[..., 2, 0] = sine, -sine
    palm[..., 1, 1] = 1.0
    joints = np.zeros((n, 21, 3))
    chains = joints[:, 1:].reshape(n, 5, 4, 3)  # a view
    chains[:, :, 0] = bases
    chains[:, :, 0, 0] = cosine * bases[..., 0] + sine * bases[..., 2]
    chains[:, :, 0, 2] = cosine * bases[..., 2] - sine * bases[..., 0]
    for bone in range(3):
        step = frames[:, :, bone, :, 1] * lengths[:, :, bone, None]
        chains[:, :, bone + 1] = chains[:, :, bone] + step
    return joints, frames, palm


def _digits(radians: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return each digit's radial, distal and palmar direction unbent, and its bones' bends.

    The directions are the columns of Rz(-radial) Rx(palmar) Ry(twist) for the thumb and of
    Ry(cup + roll) Rz(-abduction - fan) for the fingers, each of shape (n, 5, 3). The bends are summed
    along the digit, radians, shape (n, 5, 3).
    """
    n = len(radians)
    side, forward, out = (np.empty((n, 5, 3)) for _ in range(3))
    fingers = radians[:, 5:21].reshape(n, 4, 4)
    roll = radians[:, 21:] * _CUPPED[1:] + np.deg2rad(_ROLL)
    fan = fingers[..., 0] + np.deg2rad(_FAN)
    (sr, sf), (cr, cf) = (function(np.stack([roll, fan])) for function in (np.sin, np.cos))
    side[:, 1:] = np.stack([cr * cf, -sf, -sr * cf], axis=-1)
    forward[:, 1:] = np.stack([cr * sf, cf, -sr * sf], axis=-1)
    out[:, 1:] = np.stack([sr, np.zeros_like(sr), cr], axis=-1)
    (sa, sb, sc), (ca, cb, cc) = (
        function(np.ascontiguousarray(radians[:, :3].T)) for function in (np.sin, np.cos)
    )
    side[:, 0] = np.stack([ca * cc + sa * sb * sc, ca * sb * sc - sa * cc, -cb * sc], axis=-1)
    forward[:, 0] = np.stack([sa * cb, ca * cb, sb], axis=-1)
    out[:, 0] = np.stack([ca * sc - sa * sb * cc, -sa * sc - ca * sb * cc, cb * cc], axis=-1)
    bends = np.zeros((n, 5, 3))
    bends[:, 0, 1:] = radians[:, 3:5]
    bends[:, 1:] = fingers[..., 1:]
    return side, forward, out, np.cumsum(bends, axis=-1)
