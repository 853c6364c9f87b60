"""Rows of books, bottles, tins or boxes on boards, as in a shop, a library or a kitchen."""

from __future__ import annotations

import numpy as np
import torch

from skhand.rendering.draws import Draws
from skhand.rendering.paint import axis, colours, edge, lift, rectangle

__all__ = ["draw_shelves"]

_ROWS, _THINGS, _KINDS = 7, 24, 10


def draw_shelves(draws: Draws, side: int, device: torch.device) -> torch.Tensor:
    """Draw shelves: along x each board has a profile of colours and heights, worked out once a board.

    Parameters
    ----------
    draws : Draws
    side : int, px
    device : torch.device

    Returns
    -------
    canvas : Tensor of shape (n, 3, side, side)
        Linear light.
    """
    n, place = len(draws.block), axis(side)
    profile, height = _profiles(draws, side)
    tints = colours(draws, (0.05, 0.7, 0.03, 1.0), (0.1, 0.95, 0.03, 1.0), (0.04, 0.9, 0.02, 1.0))
    ink = lift(tints, device)[..., None, None]
    label, centre, depth, boards, start, thick, frame, x, wide = draws.uniform(9).T[..., None]
    y = place * (1.6 + 4.4 * boards) + start
    row = np.minimum(np.floor(y).astype(np.int64), _ROWS - 1)
    v = y % 1.0
    line = torch.as_tensor((row + _ROWS * np.arange(n)[:, None]).ravel(), device=device)
    colour = lift(profile, device).reshape(n * _ROWS, 6 * side)[line]
    body, other = colour.reshape(n, side, 2, 3, side).permute(2, 0, 3, 1, 4).unbind(0)
    tops = lift(height, device).reshape(n * _ROWS, side)[line].reshape(n, side, side)
    covers = np.stack(
        [
            edge(0.06 + 0.14 * label - np.abs(v - 0.45 - 0.35 * centre), 15.0),
            edge(v - 0.97 + 0.07 * thick, 30.0),
            1.0 - (0.25 + 0.65 * depth) * np.clip(1.0 - 1.6 * v, 0.0, 1.0),
            v - 1.0,
        ]
    )
    on_label, on_board, dark, below = lift(covers, device)[:, :, None, :, None].unbind(0)
    things = torch.lerp(body, other, on_label).mul_(dark * 0.65 + 0.35)
    present = tops[:, None].add(below).mul_(side / 4.0).add_(0.5).clamp_(0.0, 1.0)
    canvas = torch.lerp(ink[:, 0] * dark, things, present)
    canvas.lerp_(ink[:, 1], on_board)
    half = (0.02 + 0.06 * wide)[:, 0]
    x = x[:, 0]
    rectangle(canvas, (x - half, 0 * x - 1, x + half, 0 * x + 2), ink[:, 2], frame[:, 0] < 0.5)
    return canvas


def _profiles(draws: Draws, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each board, the colours along x of the things and their labels, and how high they are.

    Returns
    -------
    colour : ndarray of shape (n, _ROWS, 2, 3, side)
    height : ndarray of shape (n, _ROWS, side), parts of a board's height
    """
    n, place = len(draws.block), axis(side)
    palette = colours(draws, *[(0.08, 0.98, 0.22, 1.0)] * _KINDS)
    count, uneven, run, gap, rounded, ragged = draws.uniform(6).T[..., None, None]
    widths, sorts, lengths = draws.uniform(3, _ROWS, _THINGS).transpose(1, 0, 2, 3)
    ends = np.cumsum((1.0 + 1.4 * uneven * (widths - 0.5)) / (4.0 + 12.0 * count), axis=2)
    which = (place[:, None] >= ends[:, :, None, :]).sum(axis=3).clip(max=_THINGS - 1)
    first = np.concatenate([np.zeros((n, _ROWS, 1)), ends], axis=2)
    left, right = np.take_along_axis(first, which, axis=2), np.take_along_axis(ends, which, axis=2)
    u = (2.0 * (place - left) / (right - left) - 1.0) / (0.98 - 0.23 * gap)
    rounded = rounded < 0.6
    shade = np.where(rounded, np.sqrt(np.maximum(1.0 - u * u, 0.0)), 0.75 + 0.2 * u)
    level = 0.25 + 0.75 * shade + rounded * 0.5 * np.maximum(1.0 - 8.0 * np.abs(u + 0.4), 0.0)
    number = np.floor(which / (1 + np.floor(4.0 * run**2))).astype(int)
    kind = (np.take_along_axis(sorts, number, axis=2) * _KINDS).astype(int)
    label = (kind + 3 + np.arange(_ROWS)[:, None]) % _KINDS
    owner = np.arange(n)[:, None, None]
    colour = np.stack([palette[owner, kind], palette[owner, label]], axis=2) * level[:, :, None, :, None]
    length = np.take_along_axis(lengths, number, axis=2)
    height = 0.6 + 0.3 * draws.uniform(_ROWS)[:, :, None] - 0.35 * ragged * length
    return np.moveaxis(colour, -1, 3), np.where((np.abs(u) < 1.0) & (length < 0.93), height, 0.0)
