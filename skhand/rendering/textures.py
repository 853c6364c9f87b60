"""Patterns that repeat without a seam: what leaves, clutter, lamps out of focus and grain look like."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from skhand.rendering.draws import Draws

__all__ = [
    "CLOUD",
    "CLUTTER",
    "FOLDS",
    "GRAIN",
    "LABELS",
    "LAMPS",
    "LEAVES",
    "PATTERNS",
    "TILE",
    "make_patterns",
    "sample_pattern",
]

TILE, LABELS = 256, 12
PATTERNS = ("cloud", "leaves", "clutter", "lamps", "grain", "folds")
CLOUD, LEAVES, CLUTTER, LAMPS, GRAIN, FOLDS = range(len(PATTERNS))


@lru_cache(maxsize=1)
def make_patterns() -> np.ndarray:
    """Make the patterns, the same ones in every process.

    "cloud" and "grain" are noise whose amplitude falls as 1 / frequency, as it does in photographs
    (Field 1987, "Relations between the statistics of natural images and the response properties of
    cortical cells"), the second one stretched along x. "leaves" and "clutter" are the dead leaves model
    (Lee, Mumford and Huang 2001, "Occlusion models for natural images"): ellipses with radii r drawn
    from 1 / r^3, each one hiding those before it; the whole part of `LABELS` times the value says which
    of so many colours a leaf has. "lamps" are discs of light that add up, "folds" slopes of smooth noise.

    Returns
    -------
    patterns : ndarray of shape (6, TILE, TILE), float32
        "cloud", "grain" and "folds" have mean 0 and standard deviation 1, cut off at 3; the others lie
        in [0, 1].
    """
    rng = np.random.default_rng(20)
    made = [
        _noise(rng, 1.0, 1.0),
        _dead_leaves(rng, 1500, 3.0, 12.0, 0.35),
        _dead_leaves(rng, 700, 5.0, 60.0, 0.5),
        _discs(rng, 70),
        _noise(rng, 14.0, 1.0),
        _slopes(_noise(rng, 0.35, 2.2)),
    ]
    return np.stack(made).astype(np.float32)


@lru_cache(maxsize=4)
def _patterns_on(device: torch.device) -> torch.Tensor:
    return torch.as_tensor(make_patterns(), device=device).reshape(len(PATTERNS), -1)


def sample_pattern(
    draws: Draws,
    pattern: int,
    side: int,
    device: torch.device,
    span: tuple[float, float] = (90.0, 250.0),
    stretch: float = 1.0,
) -> torch.Tensor:
    """Take a window at a random place of a pattern for each row.

    Parameters
    ----------
    draws : Draws
        Five numbers are taken.
    pattern : int
        Index into `PATTERNS`.
    side : int, px
        Height and width of the window's picture.
    device : torch.device
    span : (float, float)
        Least and largest side of the window, in pixels of the pattern.
    stretch : float, default=1.0
        How many times longer than wide (in the pattern) the window is: above 1 pulls it along x.

    Returns
    -------
    window : Tensor of shape (n, side, side)
    """
    offset, size, flip = draws.uniform(2), draws.uniform(low=span[0], high=span[1]), draws.uniform(2) < 0.5
    steps = (np.arange(side) + 0.5) / side * size[:, None]
    x = np.where(flip[:, :1], -1, 1) * steps / stretch + TILE * offset[:, :1]
    y = np.where(flip[:, 1:], -1, 1) * steps + TILE * offset[:, 1:]
    column = torch.as_tensor(np.floor(x).astype(np.int64) % TILE, device=device)
    line = torch.as_tensor(np.floor(y).astype(np.int64) % TILE * TILE, device=device)
    return _patterns_on(device)[pattern].take(line[:, :, None] + column[:, None, :])


def _noise(rng: np.random.Generator, stretch: float, power: float) -> np.ndarray:
    """Return noise with an amplitude of 1 / frequency^power, ``stretch`` times longer along x."""
    fy, fx = np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :] * stretch
    frequency = np.sqrt(fx * fx + fy * fy)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE))) / frequency**power
    return _standard(np.fft.irfft2(spectrum, (TILE, TILE)))


def _slopes(noise: np.ndarray) -> np.ndarray:
    return _standard(np.roll(noise, -1, axis=1) - noise)


def _standard(noise: np.ndarray) -> np.ndarray:
    return np.clip((noise - noise.mean()) / noise.std(), -3.0, 3.0)


def _dead_leaves(
    rng: np.random.Generator, count: int, low: float, high: float, least_width: float
) -> np.ndarray:
    """Return ellipses that hide each other, each with a brightness and a slight gradient."""
    tile = np.full((TILE, TILE), 0.5)
    u = rng.random(count)
    radii = low / np.sqrt(1.0 - u * (1.0 - (low / high) ** 2))
    for radius in radii:
        angle, width = rng.uniform(0, np.pi), rng.uniform(least_width, 1.0)
        label, (cx, cy) = rng.integers(LABELS), rng.integers(TILE, size=2)
        reach = int(np.ceil(radius))
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] / radius
        along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        inside = along**2 + (across / width) ** 2 < 1.0
        rows, columns = np.nonzero(inside)
        tile[(rows + cy) % TILE, (columns + cx) % TILE] = (label + 0.5 + 0.45 * along[inside]) / LABELS
    return tile


def _discs(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return discs of light with soft rims, few of them bright."""
    tile = np.zeros((TILE, TILE))
    steps = np.arange(TILE)
    for _ in range(count):
        radius, (cx, cy) = rng.uniform(7.0, 16.0), rng.integers(TILE, size=2)
        dx = (steps - cx + TILE // 2) % TILE - TILE // 2
        dy = (steps - cy + TILE // 2) % TILE - TILE // 2
        distance = np.sqrt(dx[None] ** 2 + dy[:, None] ** 2)
        disc = np.clip((radius - distance) / 2.0, 0.0, 1.0) * (0.8 + 0.2 * distance / radius)
        tile += disc * (0.1 + 0.9 * rng.random() ** 3)
    return np.minimum(tile, 1.0)
