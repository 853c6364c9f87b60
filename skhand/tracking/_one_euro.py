"""The One-Euro filter: smooth when slow, prompt when fast."""

from __future__ import annotations

import numpy as np

__all__ = ["OneEuro"]

_SPEED_CUTOFF = 1.0  # Hz, of the speed's own smoothing, as in the paper


class OneEuro:
    """A low-pass filter of first order whose cutoff rises with the speed (Casiez et al. 2012).

    Parameters
    ----------
    min_cutoff : float, Hz
        Cutoff of what does not move.
    beta : float
        Rise of the cutoff with the speed, Hz for each unit of length a second.
    """

    def __init__(self, min_cutoff: float, beta: float):
        self.min_cutoff, self.beta = min_cutoff, beta
        self._value: np.ndarray | None = None
        self._speed: np.ndarray | None = None

    def __call__(self, value: np.ndarray, elapsed: float, unit: float | np.ndarray) -> np.ndarray:
        """Filter the next value.

        Parameters
        ----------
        value : ndarray
            Any numbers, each filtered by itself.
        elapsed : float, s
            Time since the value before.
        unit : float or ndarray
            What speeds are measured in, for example the size of the hand.

        Returns
        -------
        smooth : ndarray
        """
        if self._value is None or self._speed is None:
            self._value, self._speed = value, np.zeros_like(value)
            return value
        speed = (value - self._value) / elapsed
        self._speed = self._speed + _smoothing(_SPEED_CUTOFF, elapsed) * (speed - self._speed)
        cutoff = self.min_cutoff + self.beta * np.abs(self._speed) / unit
        self._value = self._value + _smoothing(cutoff, elapsed) * (value - self._value)
        return self._value


def _smoothing(cutoff: float | np.ndarray, elapsed: float) -> float | np.ndarray:
    """Share of the new value in the filtered one."""
    rate = 2 * np.pi * cutoff * elapsed
    return rate / (rate + 1)
