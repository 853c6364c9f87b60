"""Depths to which the parts of a hand lie in one another."""

from __future__ import annotations

import numpy as np

from skhand.rendering.subjects import MEAN_LENGTHS

__all__ = ["overlap"]

# radii of a mean hand at each digit's four joints, mm, below the skin, which gives way; the thumb's first
# bone without its muscle
_RADII = np.array(
    [
        (9.0, 10.0, 9.4, 7.2),
        (9.4, 9.0, 7.9, 6.6),
        (9.5, 9.2, 8.1, 6.8),
        (9.0, 8.6, 7.6, 6.4),
        (8.0, 7.4, 6.6, 5.6),
    ]
)
_PALM_RADIUS = 11.0
_PALM_SHARES = (0.3, 0.85)
"""Where a metacarpal begins and ends on the line from the wrist to the knuckle."""


def _bone_pairs() -> np.ndarray:
    """Return the pairs of bones that must not overlap, shape (2, n_pairs).

    Bones 3 d to 3 d + 2 are those of digit d, bones 15 to 18 the metacarpals. Left out are bones that
    touch by nature: those of one digit, the first bones of the digits among themselves, and the palm with
    all but the last bones.
    """
    pairs = []
    for digit in range(5):
        pairs += [(3 * digit + 2, palm) for palm in range(15, 19)]
        for other in range(digit + 1, 5):
            bones = [(one, two) for one in range(3) for two in range(3) if one or two]
            pairs += [(3 * digit + one, 3 * other + two) for one, two in bones]
    return np.array(pairs).T


_ONE, _TWO = _bone_pairs()


def overlap(joints: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return how deep two digits, or a digit's tip and the palm, lie in one another.

    Bones are tapered capsules. Their depth is the sum of the radii at the two nearest points of their
    axes less the distance of these (closest points of segments: Ericson, Real-Time Collision Detection,
    2005, section 5.1.9).

    Parameters
    ----------
    joints : ndarray of shape (n, 21, 3), mm
        Of right or left hands.
    lengths : ndarray of shape (n, 5, 3), mm
        The hands' bones; they tell how thick the digits are.

    Returns
    -------
    depth : ndarray of shape (n,), float32, mm
        Of the pair of bones that lies deepest; negative where none touch.
    """
    size = (lengths.sum(axis=(1, 2)) / MEAN_LENGTHS.sum()).astype(np.float32)
    start, along = _bones(joints)
    square = (along * along).sum(axis=0)
    apart, one, two = start[:, _ONE] - start[:, _TWO], along[:, _ONE], along[:, _TWO]
    a, e = square[_ONE], square[_TWO]
    b, c, f = ((u * v).sum(axis=0) for u, v in ((one, two), (one, apart), (two, apart)))
    s = _share((b * f - c * e) / np.maximum(a * e - b * b, 1e-3))
    t = _share((b * s + f) / e)
    s = _share((b * t - c) / a)
    apart += s * one - t * two
    radius = _thick(_ONE, s) + _thick(_TWO, t)
    return (radius * size - np.sqrt((apart * apart).sum(axis=0))).max(axis=0)


def _bones(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bones' starts and what leads to their ends, each of shape (3, 19, n), float32."""
    points = np.ascontiguousarray(joints.transpose(2, 1, 0), dtype=np.float32)
    chains = points[:, 1:].reshape(3, 5, 4, -1)
    wrist, knuckles = points[:, :1], chains[:, 1:, 0]
    palm = knuckles - wrist
    low, high = _PALM_SHARES
    starts = chains[:, :, :-1].reshape(3, 15, -1)
    ends = chains[:, :, 1:].reshape(3, 15, -1)
    start = np.concatenate([starts, wrist + np.float32(low) * palm], axis=1)
    return start, np.concatenate([ends - starts, np.float32(high - low) * palm], axis=1)


def _share(value: np.ndarray) -> np.ndarray:
    return np.clip(value, np.float32(0), np.float32(1), out=value)


_START = np.concatenate([_RADII[:, :-1].ravel(), np.full(4, _PALM_RADIUS)]).astype(np.float32)
_TAPER = np.concatenate([np.diff(_RADII, axis=1).ravel(), np.zeros(4)]).astype(np.float32)


def _thick(bones: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the radii of bones at a share of their length, mm, shape (n_pairs, n)."""
    return _START[bones, None] + _TAPER[bones, None] * share
