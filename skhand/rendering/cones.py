"""The hand's surface: round cones (two spheres and their hull) hung on the joints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skhand.rendering.kinematics import forward_kinematics
from skhand.rendering.subjects import MEAN_BASES, MEAN_FLESH, MEAN_LENGTHS

__all__ = ["BLEND", "FRAME", "NEIGHBOURS", "PARTS", "build_cones"]

_CARPALS = np.array([(11.0, 6.0, 0.0), (3.5, 5.0, -2.0), (-4.5, 6.0, -1.5), (-11.0, 7.0, 0.5)])
# half of breadths: Pheasant 1986, "Bodyspace": 19.5 mm at the index finger's PIP and 21 mm at the thumb's IP
_FINGER_RADII = np.array(
    [(10.0, 9.7, 8.6, 7.6), (10.2, 9.9, 8.8, 7.8), (9.6, 9.3, 8.3, 7.4), (8.6, 8.0, 7.2, 6.5)]
)
_THUMB_RADII = (12.0, 10.8, 10.2, 8.7)
_WEB = 4.2
"""Radius of a web's edge, mm."""
_FOREARM = 320.0
"""The arm widens as a forearm of this length does, mm."""


@dataclass
class _Builder:
    """Collects cones; each carries the part it belongs to: (digit, bone), digit 5 for the palm, 6 the arm."""

    a: list[np.ndarray]
    b: list[np.ndarray]
    radii: list[np.ndarray]
    parts: list[tuple[int, int]]

    def add(self, part: tuple[int, int], a: np.ndarray, b: np.ndarray, radius_a: Any, radius_b: Any) -> None:
        self.parts.append(part)
        self.a.append(a)
        self.b.append(b)
        n = len(a)
        self.radii.append(np.stack([np.broadcast_to(radius_a, n), np.broadcast_to(radius_b, n)], axis=1))


def _mix(one: np.ndarray, two: np.ndarray, share: float) -> np.ndarray:
    return one * (1 - share) + two * share


def _finger(
    build: _Builder,
    digit: int,
    joints: np.ndarray,
    frames: np.ndarray,
    thick: np.ndarray,
    taper: np.ndarray,
) -> None:
    """Three bones and their palmar pads."""
    chain = joints[:, 1 + 4 * digit : 5 + 4 * digit]
    radii = np.array(_THUMB_RADII if digit == 0 else _FINGER_RADII[digit - 1]) * thick[:, None]
    radii = radii * taper[:, None] ** np.array([0.0, 0.2, 0.6, 1.0])
    for bone in range(3):
        start, end = chain[:, bone], chain[:, bone + 1]
        palmar, along = frames[:, digit, bone, :, 2], frames[:, digit, bone, :, 1]
        ra, rb = radii[:, bone], radii[:, bone + 1]
        if digit == 0 and bone == 0:
            build.add((0, 0), start, end, ra * 1.05, rb)
            continue
        if bone == 2:
            tip = end - along * (0.52 * rb)[:, None]
            build.add((digit, 2), start, tip - palmar * (0.04 * rb)[:, None], ra * 0.97, rb * 0.93)
            pulp = _mix(start, end, 0.58) + palmar * (0.12 * rb)[:, None]
            build.add((digit, 2), pulp, tip + palmar * (0.05 * rb)[:, None], rb * 1.03, rb * 0.88)
            continue
        build.add((digit, bone), start, end, ra, rb)
        low, high = (0.3, 0.72) if bone == 0 else (0.32, 0.7)
        shift = palmar * (0.24 * rb)[:, None]
        build.add(
            (digit, bone), _mix(start, end, low) + shift, _mix(start, end, high) + shift, ra * 0.92, rb * 0.93
        )


def _palm(
    build: _Builder,
    joints: np.ndarray,
    frames: np.ndarray,
    palm: np.ndarray,
    size: np.ndarray,
    thick: np.ndarray,
    web: np.ndarray,
    ball: np.ndarray,
) -> None:
    """Metacarpals, the gaps and webs between them, thenar and hypothenar."""
    knuckles = joints[:, [5, 9, 13, 17]]
    carpals = _CARPALS * size[:, None, None]
    back = palm[:, 1:, :, 2]
    beyond = knuckles + frames[:, 1:, 0, :, 1] * web[:, None, None]
    for k in range(4):
        head = np.array([10.6, 10.8, 10.2, 9.2])[k] * thick
        start = carpals[:, k] + back[:, k] * (2.0 * thick)[:, None]
        build.add((5, k), start, knuckles[:, k] + back[:, k] * (1.0 * thick)[:, None], 12.6 * thick, head)
        # the pad below the finger
        pad = knuckles[:, k] + back[:, k] * (4.0 * thick)[:, None]
        build.add(
            (5, k),
            _mix(carpals[:, k], pad, 0.55) + back[:, k] * (2.5 * thick)[:, None],
            _mix(carpals[:, k], pad, 0.93),
            10.5 * thick,
            8.6 * thick,
        )
    for k in range(3):
        middle = (
            0.5 * (knuckles[:, k] + knuckles[:, k + 1])
            + (back[:, k] + back[:, k + 1]) * (1.2 * thick)[:, None]
        )
        start = (
            0.5 * (carpals[:, k] + carpals[:, k + 1]) + (back[:, k] + back[:, k + 1]) * (1.5 * thick)[:, None]
        )
        build.add((5, k), _mix(start, middle, 0.45), _mix(start, middle, 0.97), 11.5 * thick, 9.0 * thick)
        # the web between two fingers, on the palm's side and towards the back of the hand
        edge = 0.5 * (beyond[:, k] + beyond[:, k + 1])
        build.add((5, k), _mix(start, middle, 0.95), edge, 8.6 * thick, _WEB * thick)
        over = middle - (back[:, k] + back[:, k + 1]) * (2.4 * thick)[:, None]
        build.add((5, k), over, _mix(over, edge, 0.7), 7.4 * thick, _WEB * thick)
    _thenar(build, joints, frames, palm, size, thick, ball)
    # hypothenar
    heel = np.array([-14.0, 7.0, 4.0]) * size[:, None]
    rim = _mix(carpals[:, 3], knuckles[:, 3], 0.72) + back[:, 3] * (5.0 * thick)[:, None]
    build.add((5, 6), heel, rim, 14.4 * thick, 11.4 * thick)


def _thenar(
    build: _Builder,
    joints: np.ndarray,
    frames: np.ndarray,
    palm: np.ndarray,
    size: np.ndarray,
    thick: np.ndarray,
    ball: np.ndarray,
) -> None:
    """The ball of the thumb, and the web between thumb and index finger."""
    cmc, mcp, knuckle = joints[:, 1], joints[:, 2], joints[:, 5]
    carpal = _CARPALS[0] * size[:, None]
    thumb_palmar = frames[:, 0, 0, :, 2]
    base = np.array([12.0, 7.0, 6.0]) * size[:, None]
    full = ball * thick
    build.add((5, 4), base, _mix(cmc, mcp, 0.25), 13.0 * thick, 12.8 * thick)
    # thenar: from the carpus along the metacarpal, on its palmar side
    belly = _mix(cmc, mcp, 0.45) + thumb_palmar * (3.5 * thick)[:, None]
    build.add((5, 4), np.array([6.0, 16.0, 11.0]) * size[:, None], belly, 12.0 * full, 13.8 * full)
    build.add(
        (5, 4), belly, _mix(cmc, mcp, 0.9) + thumb_palmar * (1.0 * thick)[:, None], 13.8 * full, 11.3 * thick
    )
    inner = _mix(np.zeros_like(cmc), joints[:, 9], 0.45) + palm[:, 2, :, 2] * (6.0 * thick)[:, None]
    build.add((5, 4), inner, belly, 9.5 * thick, 10.6 * full)
    # first web: between the thumb's and the index finger's metacarpals
    root = _mix(carpal, knuckle, 0.42)
    build.add((5, 5), root, _mix(cmc, mcp, 0.5), 10.0 * thick, 9.5 * thick)
    build.add((5, 5), _mix(carpal, knuckle, 0.62), _mix(cmc, mcp, 0.74), 8.8 * thick, 8.4 * thick)
    # its edge, a little hollow, from the index finger's knuckle to beyond the thumb's
    high, low = _mix(carpal, knuckle, 0.84), _mix(mcp, joints[:, 3], 0.14)
    hollow = _mix(0.5 * (high + low), _mix(carpal, cmc, 0.5), 0.2)
    build.add((5, 5), high, hollow, 7.2 * thick, 5.6 * thick)
    build.add((5, 5), low, hollow, 7.6 * thick, 5.6 * thick)


def _arm(build: _Builder, elbow: np.ndarray, side: np.ndarray, thick: np.ndarray, sleeve: np.ndarray) -> None:
    """Forearm of three cones beside each other, the wrist, and a sleeve (of radius 0 where there is none)."""
    origin = np.zeros_like(elbow)
    length = np.linalg.norm(elbow, axis=1)
    grown = length / _FOREARM
    wide = (14.6 + 18.4 * grown) * thick
    build.add((6, 0), origin + np.array([0.0, 5.0, 1.0]), elbow, 14.6 * thick, wide)
    for sign in (1.0, -1.0):
        start = origin + side * (sign * 11.5 * thick)[:, None] + np.array([0.0, 5.0, 1.0])
        end = elbow + side * (sign * (11.5 + 3.5 * grown) * thick)[:, None]
        build.add((6, 0), start, end, 14.2 * thick, (14.2 + 14.8 * grown) * thick)
        # the wrist: from the heel of the hand into the forearm
        heel = np.array([sign * 10.0, 19.0, 1.0]) * thick[:, None]
        into = start + (end - start) * np.minimum(0.14 / grown, 1.0)[:, None]
        build.add((6, 0), heel, into, 13.2 * thick, 16.2 * thick)
    share = np.clip(sleeve[:, 0] / length, 0.05, 0.97)[:, None]
    on = sleeve[:, 1]
    for sign in (1.0, -1.0):
        start = elbow * share + side * (sign * 11.0 * thick)[:, None]
        end = elbow * 1.02 + side * (sign * (11.0 + 3.0 * grown) * thick)[:, None]
        build.add(
            (6, 1),
            start,
            end,
            np.where(on, sleeve[:, 2] + 21.0 * thick, 0.01),
            np.where(on, sleeve[:, 2] + (21.0 + 14.0 * grown) * thick, 0.01),
        )


def build_cones(
    joints: np.ndarray,
    frames: np.ndarray,
    palm: np.ndarray,
    thickness: np.ndarray,
    flesh: np.ndarray,
    elbow: np.ndarray,
    side: np.ndarray,
    sleeve: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hang the cones on posed right hands.

    Parameters
    ----------
    joints, frames, palm : ndarray
        From `forward_kinematics`, hand frame, mm.
    thickness : ndarray of shape (n, 3)
        Factors on the radii of fingers, palm and forearm.
    flesh : ndarray of shape (n, 3)
        As in `Subjects`.
    elbow, side : ndarray of shape (n, 3), mm and unit
        End of the forearm, and the direction across it, hand frame.
    sleeve : ndarray of shape (n, 3)
        Distance of the sleeve's hem from the wrist (mm), whether it is there, how loose it is (mm).

    Returns
    -------
    a, b : ndarray of shape (n, n_cones, 3), mm
        Ends of the axes, hand frame.
    radii : ndarray of shape (n, n_cones, 2), mm
    """
    build = _hang(joints, frames, palm, thickness, flesh, elbow, side, sleeve)
    return np.stack(build.a, axis=1), np.stack(build.b, axis=1), np.stack(build.radii, axis=1)


def _hang(
    joints: np.ndarray,
    frames: np.ndarray,
    palm: np.ndarray,
    thickness: np.ndarray,
    flesh: np.ndarray,
    elbow: np.ndarray,
    side: np.ndarray,
    sleeve: np.ndarray,
) -> _Builder:
    build = _Builder([], [], [], [])
    size = np.linalg.norm(joints[:, 9], axis=1) / np.linalg.norm(MEAN_BASES[2])
    for digit in range(5):
        _finger(build, digit, joints, frames, thickness[:, 0], flesh[:, 0])
    web = flesh[:, 1] * size - _WEB * thickness[:, 1]
    _palm(build, joints, frames, palm, size, thickness[:, 1], web, flesh[:, 2])
    _arm(build, elbow, side, thickness[:, 2], sleeve)
    return build


def _rest() -> _Builder:
    """Return the cones of the mean hand, flat and with the thumb half out."""
    angles = np.zeros((1, 22))
    angles[0, :5] = 32.0, 25.0, -65.0, 8.0, 8.0
    joints, frames, palm = forward_kinematics(angles, MEAN_BASES[None], MEAN_LENGTHS[None])
    arm = np.array([[0.0, -320.0, 0.0]]), np.array([[1.0, 0.0, 0.0]]), np.array([[60.0, 1.0, 8.0]])
    return _hang(joints, frames, palm, np.ones((1, 3)), MEAN_FLESH[None], *arm)


def _adjacent(one: tuple[int, int], two: tuple[int, int]) -> bool:
    """Tell whether skin may run smoothly from one part to another."""
    if (6, 1) in (one, two):
        return one == two
    if one[0] == two[0]:
        return one[0] >= 5 or abs(one[1] - two[1]) <= 1
    (digit, bone), (other, _) = sorted((one, two))
    return (digit < 5 and other == 5 and bone == 0) or digit == 5


def _gaps(build: _Builder) -> np.ndarray:
    """Return the distances between the cones' surfaces, sampled along the axes, shape (n, n)."""
    share = np.linspace(0.0, 1.0, 9)[:, None]
    a, b, radii = np.concatenate(build.a), np.concatenate(build.b), np.concatenate(build.radii)
    centres = a[:, None] * (1 - share) + b[:, None] * share
    thick = radii[:, :1] * (1 - share[:, 0]) + radii[:, 1:] * share[:, 0]
    gap = np.linalg.norm(centres[:, None, :, None] - centres[None, :, None], axis=-1)
    return (gap - thick[:, None, :, None] - thick[None, :, None]).min(axis=(2, 3))


def _neighbours(build: _Builder, most: int) -> np.ndarray:
    """Return for each cone its nearest adjacent cones, padded with the number of cones."""
    gaps, n = _gaps(build), len(build.parts)
    table = np.full((n, most), n)
    for i, part in enumerate(build.parts):
        near = [
            j for j in np.argsort(gaps[i]) if j != i and gaps[i, j] < 5.0 and _adjacent(part, build.parts[j])
        ]
        table[i, : len(near[:most])] = near[:most]
    return table


_REST = _rest()
PARTS: np.ndarray = np.array(_REST.parts)
"""Digit (5 the palm, 6 the arm) and bone of each cone; the arm's bone 1 is the sleeve, shape (n_cones, 2)."""

NEIGHBOURS: np.ndarray = _neighbours(_REST, 9)
"""Cones whose skin runs into a cone's skin; the number of cones stands for none, shape (n_cones, 9)."""

FRAME: np.ndarray = np.where(PARTS[:, 0] < 5, PARTS[:, 0] * 3 + PARTS[:, 1], 10 + PARTS[:, 0])
"""Which of the 17 frames (15 bones, palm, arm) a cone moves with, shape (n_cones,)."""

BLEND: np.ndarray = np.where(PARTS[:, 0] < 5, 3.5, np.where(PARTS[:, 0] == 5, 8.0, 10.0))
"""How far around a seam the skin is smoothed, mm, shape (n_cones,)."""
