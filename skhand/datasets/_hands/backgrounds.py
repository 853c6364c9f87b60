"""Procedural backgrounds: soft noise, shapes, stripes, shelves with rows of things, and bare skin."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import interpolate

from skhand.datasets._hands.draws import Draws

__all__ = ["BACKGROUND_DRAWS", "draw_backgrounds"]

_SHAPES = 10
_GRIDS = (3, 6, 12, 24)
BACKGROUND_DRAWS = 3 * sum(grid * grid for grid in _GRIDS) + 640


def _colour(draws: Draws, *shape: int) -> np.ndarray:
    """Return colours of random brightness and saturation, linear light, shape (n, *shape, 3)."""
    value = draws.uniform(*shape, 1) ** 1.5
    saturation = draws.uniform(*shape, 1) ** 1.6 * 0.9
    hue = draws.uniform(*shape, 3)
    return value * (1 - saturation + saturation * hue / np.maximum(hue.max(axis=-1, keepdims=True), 1e-3))


def _columns(values: np.ndarray) -> list[torch.Tensor]:
    """Return the last axis as tensors that broadcast over (n, height, width)."""
    return [
        torch.as_tensor(np.ascontiguousarray(column), dtype=torch.float32)[:, None, None]
        for column in values.T
    ]


def draw_backgrounds(draws: Draws, skin: np.ndarray, size: int) -> torch.Tensor:
    """Draw one background a row.

    Parameters
    ----------
    draws : Draws
        With at least `BACKGROUND_DRAWS` numbers.
    skin : ndarray of shape (n, 3)
        Colour of the bare skin that some of the shapes have.
    size : int, px

    Returns
    -------
    pictures : Tensor of shape (n, 3, size, size)
        Linear light, 0 to 1.
    """
    n = len(skin)
    picture = _clouds(draws, n, size)
    grid = (torch.arange(size, dtype=torch.float32) + 0.5) / size - 0.5
    x, y = grid[None, None, :], grid[None, :, None]
    picture = _shelves(draws, picture, x, y)
    for number in range(_SHAPES):
        colour = _colour(draws, 2)
        if number >= _SHAPES - 2:
            is_skin = draws.uniform() < 0.35
            colour = np.where(is_skin[:, None, None], skin[:, None] * np.array([[1.0], [0.8]]), colour)
        picture = _shape(draws, picture, x, y, colour)
    return picture


def _clouds(draws: Draws, n: int, size: int) -> torch.Tensor:
    """Return coloured noise of several sizes."""
    strength = draws.uniform(len(_GRIDS)) ** 2 * np.array([0.6, 0.45, 0.35, 0.3])
    base = _colour(draws)
    grey = draws.uniform()[:, None, None, None]
    picture = torch.as_tensor(base, dtype=torch.float32)[:, :, None, None].expand(n, 3, size, size)
    for k, cells in enumerate(_GRIDS):
        noise = draws.uniform(3, cells, cells) - 0.5
        noise = noise * (1 - grey) + noise[:, :1] * grey
        field = torch.as_tensor(noise * strength[:, k, None, None, None], dtype=torch.float32)
        picture = picture + interpolate(field, size=(size, size), mode="bilinear", align_corners=True)
    return picture.clamp(0.0, 1.0)


def _shelves(draws: Draws, picture: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Put rows of rounded things (bottles, books, keys) into about a third of the pictures."""
    n = len(picture)
    (on,) = _columns((draws.uniform() < 0.4)[:, None].astype(float))
    params = draws.uniform(8)
    cells_x, cells_y, lean, turn, gap, ends, band, offset = _columns(params)
    palette = torch.as_tensor(_colour(draws, 8), dtype=torch.float32)
    cells_x, cells_y = 3.0 + 11.0 * cells_x, 1.5 + 6.0 * cells_y
    lean = (lean - 0.5) * 0.5
    u, v = (x + lean * y + turn) * cells_x, (y - lean * x + offset) * cells_y
    column, row = u.floor(), v.floor()
    u, v = u - column - 0.5, v - row
    half = 0.28 + 0.2 * gap
    round_off = (1.0 - (u / half) * (u / half)).clamp_min(0.0)
    inside = ((round_off > 0) & (v > 0.12 + 0.2 * ends) & (v < 0.9)).to(torch.float32) * on
    which = (column * 3.0 + row * 5.0 + ((column * 7.0 + row * 3.0) * 0.37).floor()).to(torch.int64) % 8
    label = ((v - 0.35 - 0.3 * band).abs() < 0.12).to(torch.float32)
    shelf = (v >= 0.94).to(torch.float32) * on
    light = 0.35 + 0.65 * round_off.sqrt()
    out = []
    for channel in range(3):
        colours = torch.gather(palette[:, :, channel], 1, which.reshape(n, -1)).reshape(which.shape)
        other = torch.gather(palette[:, :, channel], 1, ((which + 3) % 8).reshape(n, -1)).reshape(which.shape)
        thing = (colours * (1 - label) + other * label) * light
        board = palette[:, 0, channel, None, None]
        layer = picture[:, channel] * (1 - inside) + thing * inside
        out.append(layer * (1 - shelf) + board * shelf)
    return torch.stack(out, dim=1)


def _shape(
    draws: Draws, picture: torch.Tensor, x: torch.Tensor, y: torch.Tensor, colour: np.ndarray
) -> torch.Tensor:
    """Put one ellipse or rectangle with a gradient or stripes over the pictures."""
    is_there = draws.uniform() < 0.75
    angle = draws.normal() * np.where(draws.uniform() < 0.5, 0.08, 1.5)
    cosine, sine = _columns(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    params = draws.uniform(8)
    cx, cy, wide, high, kind, edge, stripes, phase = _columns(params)
    (there,) = _columns(is_there[:, None].astype(float))
    wide, high = 0.04 + 0.45 * wide * wide, 0.04 + 0.6 * high * high
    dx, dy = x - 1.2 * (cx - 0.5), y - 1.2 * (cy - 0.5)
    u, v = (cosine * dx + sine * dy) / wide, (cosine * dy - sine * dx) / high
    round_distance = 1.0 - (u * u + v * v)
    box_distance = 1.0 - torch.maximum(u.abs(), v.abs())
    inside = torch.where(kind < 0.35, round_distance, box_distance)
    cover = (inside * (4.0 + 60.0 * edge)).clamp(0.0, 1.0) * there
    wave = u * (1.0 + 9.0 * stripes) + phase
    striped = (wave - wave.floor() > 0.5).to(torch.float32)
    smooth = (0.5 + 0.5 * v).clamp(0.0, 1.0)
    share = torch.where(stripes > 0.7, striped, smooth)
    one = torch.as_tensor(colour, dtype=torch.float32)
    layers = []
    for channel in range(3):
        paint = one[:, 0, channel, None, None] * share + one[:, 1, channel, None, None] * (1 - share)
        layers.append(picture[:, channel] * (1 - cover) + paint * cover)
    return torch.stack(layers, dim=1)
