"""Poses: a weighted mixture of named gestures, pinches that close, and free poses, among them blends."""

from __future__ import annotations

import numpy as np

from skhand.rendering.contact import overlap
from skhand.rendering.draws import Draws, to_choice, to_normal
from skhand.rendering.kinematics import LIMITS, forward_kinematics

__all__ = ["GESTURES", "WEIGHTS", "draw_poses"]

# thumb: radial, palmar, twist, MCP, IP
_THUMB = {
    "out": (48, 22, -62, 4, 2),
    "up": (60, 8, -55, -4, -8),
    "side": (14, 14, -55, 12, 6),
    "rest": (30, 28, -70, 14, 14),
    "over": (20, 42, -88, 42, 42),
    "cross": (11, 47, -98, 48, 38),
    "tuck": (4, 44, -104, 56, 36),
    "oppose": (30, 50, -88, 18, 22),
    "pinch": (26, 45, -91, 21, 23),
    "reach": (8, 46, -103, 27, 17),
    "far": (16, 55, -103, 32, 24),
    "purse": (13, 45, -90, 28, 21),
    "hook": (40, 34, -70, 18, 40),
}
# finger: MCP, PIP, DIP
_FINGER = {
    "E": (4, 8, 4),
    "B": (-10, 4, 2),
    "F": (66, 100, 48),
    "H": (42, 50, 26),
    "R": (22, 32, 16),
    "C": (8, 78, 48),
    "S": (34, 9, 4),
    "T": (64, 14, 6),
    "L": (58, 84, 40),
    "P": (48, 50, 25),
    "O": (51, 51, 20),
    "K": (20, 60, 34),
}
_SHAPE_WEIGHTS = np.array([5.0, 2.0, 5.0, 2.0, 3.0, 2.0, 3.0, 2.0, 3.0, 1.0, 1.0, 2.0])
"""How often a finger of a free pose has each of these shapes."""

# name: weight, thumb, the four fingers' shapes, their abduction, palm cup, digit that the thumb's tip meets
_TABLE: tuple[tuple[str, float, str, str, tuple[int, int, int, int], int, int], ...] = (
    ("open", 7.0, "out", "EEEE", (10, 2, -5, -13), 0, 0),
    ("spread", 4.0, "out", "BBBB", (16, 4, -8, -20), 0, 0),
    ("flat", 4.0, "side", "EEEE", (-10, 1, 7, 14), 0, 0),
    ("relaxed", 6.0, "rest", "RRRR", (2, 1, 0, -1), 6, 0),
    ("knuckles bent", 3.0, "oppose", "SSSS", (4, 1, -2, -6), 6, 0),
    ("half closed", 4.0, "rest", "HHHH", (3, 0, -1, -3), 8, 0),
    ("fist", 5.0, "over", "FFFF", (0, 0, 0, 0), 8, 0),
    ("fist, thumb aside", 2.5, "side", "FFFF", (0, 0, 0, 0), 8, 0),
    ("thumb up", 4.0, "up", "FFFF", (0, 0, 0, 0), 6, 0),
    ("point", 5.0, "cross", "EFFF", (0, 0, 0, 0), 6, 0),
    ("L", 4.0, "up", "EFFF", (4, 0, 0, 0), 6, 0),
    ("gun", 2.5, "up", "EEFF", (-4, 6, 0, 0), 6, 0),
    ("victory", 5.0, "cross", "EEFF", (12, -4, 0, 0), 6, 0),
    ("two together", 2.5, "cross", "EEFF", (-5, 7, 0, 0), 6, 0),
    ("three", 4.0, "cross", "EEEF", (10, 1, -6, 0), 6, 0),
    ("three with thumb", 3.0, "out", "EEFF", (10, -2, 0, 0), 6, 0),
    ("four", 4.0, "tuck", "EEEE", (9, 2, -4, -12), 4, 0),
    ("horns", 4.0, "cross", "EFFE", (6, 0, 0, -10), 6, 0),
    ("I love you", 3.0, "up", "EFFE", (7, 0, 0, -12), 4, 0),
    ("call me", 4.0, "up", "FFFE", (0, 0, 0, -14), 6, 0),
    ("little finger", 2.5, "cross", "FFFE", (0, 0, 0, -8), 6, 0),
    ("middle finger", 1.0, "over", "FEFF", (0, 0, 0, 0), 6, 0),
    ("ring finger down", 2.5, "cross", "EEFE", (9, 1, 0, -8), 6, 0),
    ("middle finger down", 1.5, "cross", "EFEE", (8, 0, -1, -8), 4, 0),
    ("last three", 2.5, "cross", "FEEE", (0, 5, -3, -12), 4, 0),
    ("ok", 4.0, "pinch", "PEEE", (2, 4, -3, -12), 4, 1),
    ("pinch", 3.0, "pinch", "PKLF", (2, 0, 0, 0), 6, 1),
    ("pinch, fingers closed", 2.0, "pinch", "PFFF", (2, 0, 0, 0), 8, 1),
    ("pinch, middle", 2.5, "reach", "EPEE", (8, 0, -3, -10), 8, 2),
    ("pinch, ring", 2.0, "far", "EEPE", (8, 2, 2, -8), 15, 3),
    ("pinch, little", 2.0, "far", "EEEP", (6, 2, -1, 4), 19, 4),
    ("purse", 2.0, "purse", "OOOO", (0, 3, -3, 0), 8, 2),
    ("claw", 4.0, "hook", "CCCC", (8, 2, -3, -9), 2, 0),
    ("cylinder grip", 3.5, "oppose", "HHHH", (2, 0, 0, -2), 10, 0),
    ("ball grip", 3.0, "oppose", "KKKK", (12, 3, -5, -13), 10, 0),
    ("hook grip", 2.0, "side", "CFFF", (0, 0, 0, 0), 2, 0),
    ("duck", 2.0, "oppose", "TTTT", (0, 0, 0, 0), 8, 0),
    ("staircase", 2.5, "rest", "ERHL", (3, 0, 0, -2), 4, 0),
    ("staircase back", 1.5, "rest", "LHRE", (3, 0, 0, -8), 4, 0),
)

GESTURES: tuple[str, ...] = (*(row[0] for row in _TABLE), "free")
"""Names of the gestures; the last one stands for poses that follow no gesture."""

WEIGHTS: np.ndarray = np.array([*(row[1] for row in _TABLE), 60.0])
"""How often each gesture is drawn by default, shape (n_gestures,)."""

_FREE = len(_TABLE)
_MEETS = np.array([*(row[6] for row in _TABLE), 0])
_TIPS = np.array([4, 8, 12, 16, 20])
_FANNED = np.array([10.0, 2.0, -5.0, -13.0])
"""Abductions of an open hand, degrees."""

_ROUNDS = ((0, 1), (1, 3), (3, 8))
"""Candidates that are tried together; a round is for the rows that have no good one yet."""
_NUMBERS = 27
"""Normal numbers that a candidate uses."""
_DEEPEST, _WIDEST = 4.0, 14.0
"""A candidate is taken at once if its parts overlap by at most the first, and tips that are to meet are
at most the second apart, mm."""

# degrees, one standard deviation; of a finger's noise the first part is correlated between neighbours
_THUMB_NOISE = np.array([11.0, 12.0, 11.0, 11.0, 13.0])
_MCP_NOISE, _PIP_NOISE, _DIP_NOISE = (8.0, 6.0), (7.0, 6.0), 5.0
_SIDE_NOISE, _CUP_NOISE = 2.5, 4.0
_NEIGHBOUR = 0.55
"""Correlation of the flexion of neighbouring fingers."""
_RATIO = 0.55
"""DIP to PIP flexion in the table of shapes; a row's own lies anywhere between 0 and twice that."""


def _angles_of(row: tuple[str, float, str, str, tuple[int, int, int, int], int, int]) -> list[float]:
    _, _, thumb, shapes, abductions, cup, _ = row
    fingers = [
        angle
        for shape, abduction in zip(shapes, abductions, strict=True)
        for angle in (abduction, *_FINGER[shape])
    ]
    return [*_THUMB[thumb], *fingers, cup]


# the last row stands for free poses, which have no mean
_MEANS = np.array([*(_angles_of(row) for row in _TABLE), [0] * 22], dtype=np.float64)
_SHAPES = np.array(list(_FINGER.values()), dtype=np.float64)
_THUMBS = np.array(list(_THUMB.values()), dtype=np.float64)


def draw_poses(
    draws: Draws, bases: np.ndarray, lengths: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one pose a row.

    A row draws its gesture and then noisy versions of it until one's parts do not overlap (and, for a
    pinch, its tips meet). Where none of them is good, the best is kept. A free pose is a noisy version of
    a blend of two gestures, or of shapes drawn finger by finger.

    Parameters
    ----------
    draws : Draws
        The rows' random numbers.
    bases, lengths : ndarray of shape (n, 5, 3), mm
        The hands, as in `forward_kinematics`.
    weights : ndarray of shape (n_gestures,), default=None
        How often each of `GESTURES` is drawn, not all zero; None means `WEIGHTS`.

    Returns
    -------
    angles : ndarray of shape (n, 22), degrees
        Inside `LIMITS`.
    gesture : ndarray of shape (n,), int
        Index into `GESTURES`.
    """
    weights = WEIGHTS if weights is None else np.asarray(weights, dtype=np.float64)
    gesture = draws.choice(weights)
    middle = np.where((gesture == _FREE)[:, None], _free_middles(draws, len(gesture)), _MEANS[gesture])
    meets = _MEETS[gesture]
    tight = np.where(gesture == _FREE, 1.4, np.where(meets > 0, 0.5, 1.0))
    looseness = tight * draws.uniform(low=0.5, high=1.35)
    ratio = draws.uniform(high=1.1)
    numbers = draws.uniform(_ROUNDS[-1][1], _NUMBERS)
    best, chosen = np.full(len(gesture), np.inf), np.empty((len(gesture), 22))
    rows = np.arange(len(gesture))
    for first, last in _ROUNDS:
        again = np.repeat(rows, last - first)
        noise = to_normal(numbers[rows, first:last].reshape(-1, _NUMBERS))
        angles = _variant(noise, middle[again], looseness[again], ratio[again])
        cost = _cost(angles, bases[again], lengths[again], meets[again]).reshape(len(rows), -1)
        pick, lowest = cost.argmin(axis=1), cost.min(axis=1)
        better = lowest < best[rows]
        best[rows[better]] = lowest[better]
        chosen[rows[better]] = angles.reshape(len(rows), -1, 22)[better, pick[better]]
        rows = rows[best[rows] > 0]
        if len(rows) == 0:
            break
    return chosen, gesture


def _free_middles(draws: Draws, n: int) -> np.ndarray:
    """Return angles around which free poses lie, degrees, shape (n, 22).

    Half of them are blends of two gestures, the thumb by a share of its own. The others take a shape for
    each finger, often that of the finger beside it, and any thumb.
    """
    one, two = (_MEANS[draws.choice(WEIGHTS[:_FREE])] for _ in range(2))
    blended = one + np.repeat(draws.uniform(2), [5, 17], axis=1) * (two - one)
    shape = to_choice(draws.uniform(4), _SHAPE_WEIGHTS)
    alike = draws.uniform(3) < 0.45
    for finger in range(1, 4):
        shape[:, finger] = np.where(alike[:, finger - 1], shape[:, finger - 1], shape[:, finger])
    fan, cup, thumb, coin = draws.uniform(4).T
    composed = np.empty((n, 22))
    composed[:, :5] = _THUMBS[(thumb * len(_THUMBS)).astype(int)]
    fingers = composed[:, 5:21].reshape(n, 4, 4)
    fingers[..., 0] = (2.0 * fan[:, None] - 0.7) * _FANNED
    fingers[..., 1:] = _SHAPES[shape]
    composed[:, 21] = 16.0 * cup**2
    return np.where(coin[:, None] < 0.5, blended, composed)


def _variant(noise: np.ndarray, middle: np.ndarray, looseness: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Return one noisy version of the mean angles, clipped to the limits, shape (n, 22)."""
    n, loose = len(middle), looseness[:, None]
    angles = middle.copy()
    angles[:, :5] += loose * noise[:, :5] * _THUMB_NOISE
    angles[:, 21] += _CUP_NOISE * noise[:, 5]
    level, own = noise[:, 11:15].copy(), noise[:, 15:27].reshape(n, 3, 4)
    for finger in range(1, 4):
        level[:, finger] = _NEIGHBOUR * level[:, finger - 1] + (1 - _NEIGHBOUR**2) ** 0.5 * level[:, finger]
    fingers = angles[:, 5:21].reshape(n, 4, 4)
    abduction, mcp, pip, dip = (fingers[..., k] for k in range(4))
    bent = loose * (0.4 + np.clip(pip / 60.0, 0.0, 1.0))
    mcp += 0.5 * (loose + bent) * (_MCP_NOISE[0] * level + _MCP_NOISE[1] * own[:, 0])
    pip += bent * (_PIP_NOISE[0] * level + _PIP_NOISE[1] * own[:, 1])
    dip += (ratio[:, None] - _RATIO) * np.maximum(pip, 0.0) + bent * _DIP_NOISE * own[:, 2]
    # fingers spread when straight and come together when they bend
    abduction *= 1 + 0.35 * noise[:, 6:7]
    abduction += _SIDE_NOISE * loose * noise[:, 7:11]
    abduction *= np.clip(1.15 - mcp / 80.0, 0.1, 1.0)
    return np.clip(angles, LIMITS[:, 0], LIMITS[:, 1], out=angles)


def _cost(angles: np.ndarray, bases: np.ndarray, lengths: np.ndarray, meets: np.ndarray) -> np.ndarray:
    """Return by how much poses miss what is asked of them, mm, shape (n,)."""
    joints, _, _ = forward_kinematics(angles, bases, lengths)
    cost = np.maximum(overlap(joints, lengths) - _DEEPEST, 0.0)
    gap = np.linalg.norm(joints[:, 4] - joints[np.arange(len(joints)), _TIPS[meets]], axis=1)
    return cost + np.where(meets > 0, np.maximum(gap - _WIDEST, 0.0), 0.0)
