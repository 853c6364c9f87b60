"""The people: bone lengths, thickness and skin, one draw a subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skhand.rendering.draws import Draws

__all__ = ["MEAN_BASES", "MEAN_FLESH", "MEAN_LENGTHS", "Subjects", "draw_subjects"]

MEAN_BASES: np.ndarray = np.array(
    [(26.0, 25.0, 11.0), (24.0, 93.0, -1.0), (0.0, 95.0, -4.0), (-20.0, 89.0, -3.0), (-38.5, 79.0, 1.5)]
)
"""Thumb CMC and the four MCPs of a mean adult's flat right hand, mm, hand frame."""

MEAN_LENGTHS: np.ndarray = np.array(
    [(42.0, 34.0, 27.0), (41.5, 26.5, 23.0), (46.0, 29.0, 24.0), (42.0, 27.5, 23.5), (34.0, 19.5, 20.5)]
)
"""The three bones beyond each base of a mean adult's hand, mm."""

MEAN_FLESH: np.ndarray = np.array([1.0, 20.0, 1.0])
"""A mean hand's `Subjects.flesh`; a middle finger's bones are 99 mm, 80 from web to tip (Pheasant 1986)."""

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
    """Traits of people, the same in all pictures of a person.

    Attributes
    ----------
    bases, lengths : ndarray of shape (n, 5, 3), mm
        As in `forward_kinematics`.
    thickness : ndarray of shape (n, 3)
        Factors on the radii of fingers, palm and forearm (the scale is in already).
    flesh : ndarray of shape (n, 3)
        Factor on the radii of the fingers' ends, how far webs reach beyond the knuckles (mm, at mean size),
        factor on the ball of the thumb.
    skin : ndarray of shape (n, 3)
        Albedo of the back of the hand, linear light, 0 to 1.
    palm_shift : ndarray of shape (n, 3)
        Albedo of the palm divided by that of the back.
    habit : ndarray of shape (n, 2)
        How much veins and hair show, 0 to 1.
    """

    bases: np.ndarray
    lengths: np.ndarray
    thickness: np.ndarray
    flesh: np.ndarray
    skin: np.ndarray
    palm_shift: np.ndarray
    habit: np.ndarray


def draw_subjects(
    seed: int, numbers: np.ndarray, shape: float = 1.0, skin: tuple[float, float] = (0.0, 1.0)
) -> Subjects:
    """Draw the subjects with the given numbers; a number is always the same person for one seed.

    Parameters
    ----------
    seed : int
        Seed of the data set, below 2**32.
    numbers : ndarray of shape (n,)
        Which people.
    shape : float, default=1.0
        How much people differ in size and proportions: 0 gives everyone the mean hand, 1 the spread of
        adults (size 7%, palm against fingers 4%, single bones 2 to 5%, each one standard deviation and
        drawn within two; the flesh by 6 to 12%).
    skin : tuple (lightest, darkest), default=(0.0, 1.0)
        Range of the skin's tone, within 0 for the lightest and 1 for the darkest.

    Returns
    -------
    people : Subjects
        One row a number.
    """
    draws = Draws(seed, "subject", numbers, 80)

    def differ(by: float, *size: int) -> np.ndarray:
        return 1.0 + shape * by * np.clip(draws.normal(*size), -2, 2)

    scale = differ(0.07)
    palm = differ(0.04, 1, 1) * differ(0.015, 5, 3)
    palm[:, 1:, 0] *= differ(0.06, 1)
    bases = MEAN_BASES * palm
    bases[:, 1:, 2] += 2.0 * (differ(1.0, 1) - 1.0)
    lengths = MEAN_LENGTHS * differ(0.02, 5, 1) * differ(0.025, 5, 3)
    lengths[:, :, 2] *= differ(0.05, 1)
    thickness = scale[:, None] * differ(0.07, 1) * differ(0.03, 3)
    low, high = skin
    tone = (low + (high - low) * draws.uniform() ** 1.3) * (len(_TONES) - 1)
    step = np.minimum(tone.astype(int), len(_TONES) - 2)
    weight = (tone - step)[:, None]
    albedo = _TONES[step] * (1 - weight) + _TONES[step + 1] * weight
    albedo = albedo * (1.0 + np.clip(0.07 * draws.normal(1) + 0.03 * draws.normal(3), -0.2, 0.2))
    darkness = (tone / (len(_TONES) - 1))[:, None]
    palm_shift = np.array([1.12, 1.05, 1.04]) + darkness * np.array([0.9, 0.75, 0.6])
    habit = np.array([0.5, 0.25]) * draws.uniform(2) ** 2
    flesh = MEAN_FLESH * np.stack([differ(0.06), differ(0.12), differ(0.06)], axis=1)
    return Subjects(
        bases * scale[:, None, None],
        lengths * scale[:, None, None],
        thickness,
        flesh,
        np.clip(albedo, 0.03, 0.92),
        palm_shift,
        habit,
    )
