"""Hands as other renderers draw them: a network that learns from these too does not rely on ours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from skhand.rendering.draws import Draws

__all__ = ["STRANGE_DRAWS", "Strange", "draw_strange"]

STRANGE_DRAWS = 24


@dataclass
class Strange:
    """The strange things about each row; mostly none.

    Attributes
    ----------
    arm : ndarray of shape (n,), mm
        Longest length of the forearm; infinite where it is as ever.
    skin : ndarray of shape (n, 3)
        Albedo of the skin; NaN where it is the person's.
    plain : ndarray of shape (n,), bool
        Whether the skin has no creases, veins, hair or spots.
    flat : ndarray of shape (n,), bool
        Whether light comes evenly from everywhere.
    ground : ndarray of shape (n, 2, 3)
        Colours of the background at the top and at the bottom, linear light; NaN where it is as ever.
    sharp : ndarray of shape (n,), bool
        Whether the background is in focus down to the pixel, as where it was pasted behind.
    """

    arm: np.ndarray
    skin: np.ndarray
    plain: np.ndarray
    flat: np.ndarray
    ground: np.ndarray
    sharp: np.ndarray

    def shorten(self, elbow: np.ndarray, sleeve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of the forearms (n, 3), mm, and the sleeves, which short arms do without."""
        length = np.linalg.norm(elbow, axis=1)
        short = self.arm < length
        elbow = elbow * np.where(short, self.arm / length, 1.0)[:, None]
        return elbow, np.where(short[:, None], np.array([1.0, 0.0, 0.0]), sleeve)

    def colour(self, skin: np.ndarray) -> np.ndarray:
        """Return the albedo of the skin, (n, 3)."""
        return np.where(np.isnan(self.skin), skin, self.skin)

    def light(self, values: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """Return the first fields of `Look` where light is even or the skin plain."""
        sleeve, stripes, key, key_colour, sky, ground, detail, texture = values
        flat = self.flat[:, None]
        even = np.maximum(sky, 0.6) * 1.3
        sky, ground = np.where(flat, even, sky), np.where(flat, even, ground)
        key_colour = np.where(flat, 0.1 * key_colour, key_colour)
        detail = np.where(self.plain[:, None], 0.0, detail)
        return sleeve, stripes, key, key_colour, sky, ground, detail, texture

    def repaint(self, ground: torch.Tensor) -> torch.Tensor:
        """Return backgrounds (n, 3, size, size), linear light, painted over where they are strange."""
        rows = np.flatnonzero(~np.isnan(self.ground[:, 0, 0]))
        if len(rows) == 0:
            return ground
        ends = torch.as_tensor(self.ground[rows], dtype=torch.float32, device=ground.device)
        share = torch.linspace(0.0, 1.0, ground.shape[2], device=ground.device)[:, None]
        top, bottom = (ends[:, k, :, None, None] for k in range(2))
        ground[torch.as_tensor(rows, device=ground.device)] = torch.lerp(top, bottom, share).expand(
            -1, -1, -1, ground.shape[3]
        )
        return ground


def draw_strange(seed: int, rows: np.ndarray, share: float) -> Strange:
    """Draw what is strange in a share of the rows: some of six things each, a few of them none.

    Parameters
    ----------
    seed : int
    rows : ndarray of shape (n,)
    share : float, 0 to 1

    Returns
    -------
    strange : Strange
    """
    draws = Draws(seed, "strange", rows, STRANGE_DRAWS)
    chosen = draws.uniform() < share
    arm, skin, plain, flat, ground = (chosen[:, None] & (draws.uniform(5) < 0.45)).T
    colour = _vivid(draws.uniform(3))
    first, second = _vivid(draws.uniform(3)), _vivid(draws.uniform(3))
    even = draws.uniform()[:, None] < 0.5
    ends = np.stack([first, np.where(even, first, second)], axis=1)
    return Strange(
        np.where(arm, draws.uniform(low=15.0, high=60.0), np.inf),
        np.where(skin[:, None], np.clip(colour, 0.03, 0.92), np.nan),
        plain,
        flat,
        np.where(ground[:, None, None], ends, np.nan),
        chosen & (draws.uniform() < 0.45),
    )


def _vivid(numbers: np.ndarray) -> np.ndarray:
    """Return colours, linear light, of any hue, from three uniform numbers each, (n, 3)."""
    hue, saturation, value = numbers.T
    turn = 6.0 * hue[:, None] + np.array([0.0, 4.0, 2.0])
    pure = np.clip(np.abs(turn % 6.0 - 3.0) - 1.0, 0.0, 1.0)
    return (value[:, None] * (1.0 - saturation[:, None] * (1.0 - pure))) ** 2
