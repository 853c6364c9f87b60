"""Poses: a weighted mixture of named gestures, blends of two, pinches that close, and free poses."""

from __future__ import annotations

import numpy as np

from skhand.datasets._hands.draws import Draws
from skhand.datasets._hands.kinematics import LIMITS, forward_kinematics
from skhand.datasets._hands.subjects import MEAN_LENGTHS

__all__ = ["GESTURES", "draw_poses", "overlap"]

# thumb: radial, palmar, twist, MCP, IP
_THUMB = {
    "out": (48, 22, -62, 4, 2),
    "up": (60, 8, -55, -4, -8),
    "side": (14, 14, -55, 12, 6),
    "rest": (30, 28, -70, 14, 14),
    "over": (20, 42, -88, 42, 42),
    "cross": (12, 46, -98, 48, 38),
    "tuck": (4, 44, -104, 56, 36),
    "oppose": (30, 50, -88, 18, 22),
    "reach": (20, 56, -100, 26, 26),
    "hook": (40, 34, -70, 18, 40),
}
# finger: MCP, PIP, DIP
_FINGER = {
    "E": (4, 8, 4),
    "B": (-10, 4, 2),
    "F": (72, 98, 58),
    "H": (42, 50, 26),
    "R": (22, 32, 16),
    "C": (8, 78, 48),
    "T": (64, 14, 6),
    "L": (58, 84, 40),
    "P": (46, 52, 26),
    "O": (48, 46, 24),
    "K": (20, 60, 34),
}

# name: weight, thumb, the four fingers' shapes, their abduction, palm cup, digit that the thumb's tip meets
_TABLE: tuple[tuple[str, float, str, str, tuple[int, int, int, int], int, int], ...] = (
    ("open", 7.0, "out", "EEEE", (10, 2, -5, -13), 0, 0),
    ("spread", 4.0, "out", "BBBB", (16, 4, -8, -20), 0, 0),
    ("flat", 4.0, "side", "EEEE", (-3, 0, 3, 7), 0, 0),
    ("relaxed", 6.0, "rest", "RRRR", (5, 1, -2, -5), 6, 0),
    ("half closed", 4.0, "rest", "HHHH", (3, 0, -1, -3), 8, 0),
    ("fist", 5.0, "over", "FFFF", (0, 0, 0, 0), 8, 0),
    ("fist, thumb aside", 2.5, "side", "FFFF", (0, 0, 0, 0), 8, 0),
    ("thumb up", 4.0, "up", "FFFF", (0, 0, 0, 0), 6, 0),
    ("point", 5.0, "cross", "EFFF", (0, 0, 0, 0), 6, 0),
    ("L", 4.0, "up", "EFFF", (4, 0, 0, 0), 6, 0),
    ("gun", 2.5, "up", "EEFF", (-2, 2, 0, 0), 6, 0),
    ("victory", 5.0, "cross", "EEFF", (12, -8, 0, 0), 6, 0),
    ("two together", 2.5, "cross", "EEFF", (-3, 3, 0, 0), 6, 0),
    ("three", 4.0, "cross", "EEEF", (10, 1, -9, 0), 6, 0),
    ("three with thumb", 3.0, "out", "EEFF", (10, -5, 0, 0), 6, 0),
    ("four", 4.0, "tuck", "EEEE", (9, 2, -4, -12), 4, 0),
    ("horns", 4.0, "cross", "EFFE", (6, 0, 0, -10), 6, 0),
    ("I love you", 3.0, "up", "EFFE", (7, 0, 0, -12), 4, 0),
    ("call me", 4.0, "up", "FFFE", (0, 0, 0, -14), 6, 0),
    ("little finger", 2.5, "cross", "FFFE", (0, 0, 0, -8), 6, 0),
    ("middle finger", 1.0, "over", "FEFF", (0, 0, 0, 0), 6, 0),
    ("last three", 2.5, "cross", "FEEE", (0, 5, -3, -12), 4, 0),
    ("ok", 4.0, "oppose", "PEEE", (3, 4, -3, -12), 4, 1),
    ("pinch", 3.0, "oppose", "PKLF", (2, 0, 0, 0), 6, 1),
    ("pinch, fingers closed", 2.0, "oppose", "PFFF", (2, 0, 0, 0), 8, 1),
    ("pinch, middle", 2.5, "reach", "EPEE", (8, 0, -3, -10), 8, 2),
    ("pinch, ring", 2.0, "reach", "EEPE", (8, 2, 2, -8), 14, 3),
    ("pinch, little", 2.0, "reach", "EEEP", (6, 2, -1, 4), 18, 4),
    ("purse", 2.0, "oppose", "OOOO", (-4, 0, 4, 9), 14, 2),
    ("claw", 4.0, "hook", "CCCC", (8, 2, -3, -9), 2, 0),
    ("cylinder grip", 3.5, "oppose", "HHHH", (2, 0, 0, -2), 10, 0),
    ("ball grip", 3.0, "oppose", "KKKK", (12, 3, -5, -13), 10, 0),
    ("hook grip", 2.0, "side", "CFFF", (0, 0, 0, 0), 2, 0),
    ("duck", 2.0, "oppose", "TTTT", (-2, 0, 2, 5), 8, 0),
    ("staircase", 2.5, "rest", "ERHL", (3, 0, 0, -2), 4, 0),
    ("staircase back", 1.5, "rest", "LHRE", (3, 0, 0, -8), 4, 0),
)

GESTURES: tuple[str, ...] = (*(row[0] for row in _TABLE), "free")
"""Names of the gestures; the last one stands for poses that follow no gesture."""

_WEIGHTS = np.array([*(row[1] for row in _TABLE), 16.0])
_MEETS = np.array([*(row[6] for row in _TABLE), 0])
_CANDIDATES = 5
_TIPS = np.array([4, 8, 12, 16, 20])
_NEIGHBOUR = 0.55
"""Correlation of the flexion of neighbouring fingers."""


def _angles_of(row: tuple[str, float, str, str, tuple[int, int, int, int], int, int]) -> list[float]:
    _, _, thumb, shapes, abductions, cup, _ = row
    fingers = [
        angle
        for shape, abduction in zip(shapes, abductions, strict=True)
        for angle in (abduction, *_FINGER[shape])
    ]
    return [*_THUMB[thumb], *fingers, cup]


_MEANS = np.array([*(_angles_of(row) for row in _TABLE), _angles_of(_TABLE[3])], dtype=np.float64)


def draw_poses(draws: Draws, bases: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw one pose a row.

    A row draws its gesture and some variants of it; the variant whose digits overlap least is kept
    (for a pinch, the one whose tips meet best as well).

    Parameters
    ----------
    draws : Draws
        The rows' random numbers.
    bases, lengths : ndarray of shape (n, 5, 3), mm
        The hands, as in `forward_kinematics`.

    Returns
    -------
    angles : ndarray of shape (n, 22), degrees
        Inside `LIMITS`.
    gesture : ndarray of shape (n,), int
        Index into `GESTURES`.
    """
    gesture = draws.choice(_WEIGHTS)
    other = draws.choice(_WEIGHTS[:-1])
    blend = np.where(draws.uniform() < 0.18, draws.uniform(high=0.5), 0.0)
    thumb_blend = np.where(draws.uniform() < 0.15, draws.uniform(high=0.7), 0.0)
    looseness = draws.uniform(low=0.6, high=1.5)
    middle = _MEANS[gesture] * (1 - blend[:, None]) + _MEANS[other] * blend[:, None]
    thumb = _MEANS[gesture, :5] * (1 - thumb_blend[:, None]) + _MEANS[other, :5] * thumb_blend[:, None]
    middle[:, :5] = thumb
    best = np.full(len(gesture), np.inf)
    chosen = np.zeros((len(gesture), 22))
    for _ in range(_CANDIDATES):
        angles = _variant(draws, middle, looseness, gesture == len(GESTURES) - 1)
        joints, _, _ = forward_kinematics(angles, bases, lengths)
        cost = np.maximum(overlap(joints, lengths) - 4.0, 0.0)
        meets = _MEETS[gesture]
        gap = np.linalg.norm(joints[:, 4] - joints[np.arange(len(joints)), _TIPS[meets]], axis=1)
        cost = cost + np.where(meets > 0, np.maximum(gap - 14.0, 0.0), 0.0)
        better = cost < best - 1e-9
        best = np.where(better, cost, best)
        chosen = np.where(better[:, None], angles, chosen)
    return chosen, gesture


def _variant(draws: Draws, middle: np.ndarray, looseness: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Return one noisy version of the mean angles, clipped to the limits, shape (n, 22)."""
    angles = middle.copy()
    loose, anywhere = looseness[:, None], free[:, None]
    noise = draws.normal(5)
    near, wide = np.array([9.0, 8.0, 9.0, 9.0, 12.0]), np.array([18.0, 17.0, 16.0, 18.0, 22.0])
    angles[:, :5] += noise * np.where(anywhere, wide, loose * near)
    spread = 1 + 0.35 * draws.normal()
    sideways = 2.5 * looseness[:, None] * draws.normal(4)
    level = draws.normal(4)
    for finger in range(1, 4):
        level[:, finger] = _NEIGHBOUR * level[:, finger - 1] + (1 - _NEIGHBOUR**2) ** 0.5 * level[:, finger]
    own = draws.normal(4, 3)
    ratio = draws.uniform(4, low=0.35, high=0.8)
    abduction, mcp, pip, dip = (angles[:, 5 + k : 21 : 4] for k in range(4))
    bent = loose * (0.4 + np.clip(pip / 60.0, 0.0, 1.0))
    free_pip = np.clip(45 + 30 * level + 22 * own[..., 1], 0, 110)
    free_mcp = np.clip(45 + 38 * level, -5, 110) + 16 * own[..., 0]
    mcp[:] = np.where(anywhere, free_mcp, mcp + loose * (7.0 * level + 5.0 * own[..., 0]))
    pip[:] = np.where(anywhere, free_pip, pip + bent * (7.0 * level + 5.0 * own[..., 1]))
    dip[:] = np.where(
        anywhere, ratio * free_pip + 4 * own[..., 2], dip + bent * (4.2 * level + 4.0 * own[..., 2])
    )
    # fingers spread when straight and come together when they bend
    abduction[:] = (abduction * spread[:, None] + sideways) * np.clip(1.15 - mcp / 80.0, 0.1, 1.0)
    angles[:, 21] += 4.0 * draws.normal()
    return np.clip(angles, LIMITS[:, 0], LIMITS[:, 1])


# each bone as three balls, and the palm as twelve: shares along a bone, radii of a mean hand in mm
_SHARES = np.array([0.1, 0.5, 0.9])
_PALM_SHARES = np.array([0.35, 0.6, 0.82])
_FINGER_BALLS = np.array([11.0, 10.5, 10.5, 10.0, 9.5, 9.0, 8.5, 8.0, 7.5])
_BALLS = np.concatenate(
    [*(_FINGER_BALLS * size for size in (1.0, 0.86, 0.86, 0.86, 0.78)), np.full(12, 11.0)]
)


def _ball_pairs() -> np.ndarray:
    """Return the pairs of balls that must not overlap, shape (2, n_pairs).

    The first bones touch the palm by nature, and neighbouring fingers do at their roots.
    """
    digit = np.repeat(np.arange(6), [9, 9, 9, 9, 9, 12])
    place = np.concatenate([np.tile(np.arange(9), 5), np.arange(12)])
    one, two = np.triu_indices(len(digit), 1)
    with_palm = digit[two] == 5
    first = np.where((digit[one] == 0) | with_palm, 3, 1)
    second = np.where(with_palm, np.where(digit[one] == 0, 3, 0), 1)
    keep = (digit[one] != digit[two]) & (place[one] >= first) & (place[two] >= second)
    return np.stack([one[keep], two[keep]])


_ONE, _TWO = _ball_pairs()


def overlap(joints: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return how deep two digits, or a digit and the palm, lie in one another, mm, shape (n,)."""
    size = lengths.sum(axis=(1, 2)) / MEAN_LENGTHS.sum()
    chains = joints[:, 1:].reshape(-1, 5, 4, 1, 3)
    balls = chains[:, :, :-1] * (1 - _SHARES[:, None]) + chains[:, :, 1:] * _SHARES[:, None]
    palm = joints[:, [5, 9, 13, 17], None] * _PALM_SHARES[:, None]
    centres = np.concatenate([balls.reshape(-1, 45, 3), palm.reshape(-1, 12, 3)], axis=1)
    x, y, z = (np.ascontiguousarray(centres[..., k]) for k in range(3))
    gap = np.sqrt(
        (x[:, _ONE] - x[:, _TWO]) ** 2 + (y[:, _ONE] - y[:, _TWO]) ** 2 + (z[:, _ONE] - z[:, _TWO]) ** 2
    )
    return ((_BALLS[_ONE] + _BALLS[_TWO]) * size[:, None] - gap).max(axis=1)
