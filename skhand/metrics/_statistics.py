"""Compute statistics of joint errors: arrays (n_samples, n_joints), NaN where a joint does not count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skhand._validation import check_number, check_option, describe, read_numbers
from skhand.exceptions import InputError

__all__ = ["GRIDS"]

AVERAGES = ("joints", "frames", "pooled")

#: Thresholds of published protocols, mm ("hand3d_2d": px). "hand3d_20_50" is the slice that hand3d calls
#: 20-50 mm: it starts at 21.05 mm. The papers behind "20_50" and "0_100" print no grid; 100 points are ours.
GRIDS: dict[str, np.ndarray] = {
    "hand3d": np.linspace(0, 50, 20),
    "hand3d_20_50": np.linspace(0, 50, 20)[8:],
    "hand3d_2d": np.linspace(0, 30, 20),
    "freihand": np.linspace(0, 50, 100),
    "20_50": np.linspace(20, 50, 100),
    "0_100": np.linspace(0, 100, 100),
}


def average_errors(
    errors: np.ndarray, average: str, statistic: Callable[..., np.ndarray] = np.nanmean
) -> float:
    """Compute the ``statistic`` of the errors in the order that ``average`` names."""
    check_option(average, "average", AVERAGES)
    if average == "pooled":
        return float(statistic(errors))
    rows = errors.T if average == "joints" else errors
    rows = rows[~np.isnan(rows).all(axis=1)]
    return float(np.mean(statistic(rows, axis=1)))


def find_largest_errors(errors: np.ndarray) -> np.ndarray:
    """Return the largest error of each frame in which a joint counts, (n_frames, 1)."""
    return np.nanmax(errors[~np.isnan(errors).all(axis=1)], axis=1, keepdims=True)


def compute_fractions(errors: np.ndarray, limits: np.ndarray, average: str) -> Any:
    """Compute the fraction of errors within each limit; a scalar limit gives a float."""
    missed = np.isnan(errors)
    fractions = [
        average_errors(np.where(missed, np.nan, errors <= limit), average) for limit in limits.ravel()
    ]
    return np.array(fractions) if limits.ndim else fractions[0]


def compute_area(fractions: np.ndarray, grid: np.ndarray) -> float:
    """Compute the area under a curve by the trapezoid rule, divided by the grid's range."""
    return float(np.trapezoid(fractions, grid) / (grid[-1] - grid[0]))


def check_limits(value: Any, name: str) -> np.ndarray:
    """Return one or more thresholds as an array of 0 or 1 axes."""
    given = read_numbers(value, name, "one or more numbers")
    limits = given.astype(np.float64)
    if (
        given.dtype == bool
        or limits.ndim > 1
        or limits.size == 0
        or not (np.isfinite(limits) & (limits >= 0)).all()
    ):
        raise InputError(f"{name}: expected one or more numbers >= 0, got {value!r}.")
    return limits


def check_grid(thresholds: Any) -> np.ndarray:
    """Return the grid that a name, a (low, high, n) tuple or an array stands for."""
    if isinstance(thresholds, str):
        return GRIDS[check_option(thresholds, "thresholds", GRIDS)].copy()
    if isinstance(thresholds, tuple):
        if len(thresholds) != 3:
            raise InputError(f"thresholds: expected a tuple (low, high, n), got {thresholds!r}.")
        low, high = check_limits(thresholds[:2], "thresholds (low, high)")
        thresholds = np.linspace(
            low, high, check_number(thresholds[2], "thresholds (n)", integer=True, low=2)
        )
    grid = check_limits(thresholds, "thresholds")
    if grid.ndim != 1 or len(grid) < 2 or not (np.diff(grid) > 0).all():
        raise InputError(f"thresholds: expected at least two increasing numbers, got {describe(thresholds)}.")
    return grid
