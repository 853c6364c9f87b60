"""The people: bone lengths, thickness and skin, one draw a subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skhand.datasets._hands.draws import Draws

__all__ = ["MEAN_BASES", "MEAN_LENGTHS", "Subjects", "draw_subjects"]

MEAN_BASES: np.ndarray = np.array(
    [(22.0, 22.0, 10.0), (22.0, 87.0, 3.0), (0.0, 89.0, 0.0), (-18.5, 83.5, 1.0), (-35.0, 74.0, 4.0)]
)
"""Thumb CMC and the four MCPs of a mean adult's flat right hand, mm, hand frame."""

MEAN_LENGTHS: np.ndarray = np.array(
    [(43.0, 34.0, 27.0), (42.0, 25.5, 23.0), (46.5, 29.0, 24.0), (42.5, 27.5, 23.5), (33.0, 20.0, 20.5)]
)
"""The three bones beyond each base of a mean adult's hand, mm."""

# linear-light albedo from light to dark
_TONES = np.array(
    [
        (0.83, 0.58, 0.47),
        (0.74, 0.48, 0.36),
        (0.62, 0.37, 0.25),
        (0.47, 0.26, 0.165),
        (0.29, 0.15, 0.095),
        (0.14, 0.075, 0.05),
    ]
)


@dataclass(frozen=True)
class Subjects:
    """What stays the same in all pictures of a person.

    Attributes
    ----------
    bases, lengths : ndarray of shape (n, 5, 3), mm
        As in `forward_kinematics`.
    thickness : ndarray of shape (n, 3)
        Factors on the radii of fingers, palm and forearm (the scale is in already).
    skin : ndarray of shape (n, 3)
        Albedo of the back of the hand, linear light, 0 to 1.
    palm_shift : ndarray of shape (n, 3)
        Albedo of the palm divided by that of the back.
    """

    bases: np.ndarray
    lengths: np.ndarray
    thickness: np.ndarray
    skin: np.ndarray
    palm_shift: np.ndarray


def draw_subjects(seed: int, numbers: np.ndarray) -> Subjects:
    """Draw the subjects with the given numbers; a number is always the same person for one seed."""
    draws = Draws(seed, "subject", numbers, 64)
    scale = np.clip(1.0 + 0.07 * draws.normal(), 0.85, 1.15)
    bases = MEAN_BASES * (1.0 + 0.04 * np.clip(draws.normal(5, 3), -2, 2))
    bases[:, 1:, 0] = bases[:, 1:, 0] * (1.08 + 0.10 * np.clip(draws.normal(1), -2, 2))
    digit = 1.0 + 0.03 * np.clip(draws.normal(5, 1), -2, 2)
    bone = 1.0 + 0.03 * np.clip(draws.normal(5, 3), -2, 2)
    lengths = MEAN_LENGTHS * digit * bone
    thickness = scale[:, None] * (1.0 + 0.07 * np.clip(draws.normal(1) + 0.4 * draws.normal(3), -2, 2))
    tone = draws.uniform() ** 1.3 * (len(_TONES) - 1)
    low = np.minimum(tone.astype(int), len(_TONES) - 2)
    weight = (tone - low)[:, None]
    skin = _TONES[low] * (1 - weight) + _TONES[low + 1] * weight
    skin = skin * (1.0 + np.clip(0.07 * draws.normal(1) + 0.03 * draws.normal(3), -0.2, 0.2))
    darkness = (tone / (len(_TONES) - 1))[:, None]
    palm_shift = np.array([1.12, 1.05, 1.04]) + darkness * np.array([0.9, 0.75, 0.6])
    return Subjects(
        bases * scale[:, None, None],
        lengths * scale[:, None, None],
        thickness,
        np.clip(skin, 0.03, 0.92),
        palm_shift,
    )
