"""Surroundings of a hand: shelves, rooms, desks, gardens, houses, walls, cloth, clutter and lamps.

Each function paints one kind of surroundings for some rows: it takes their random numbers, the side of the
square canvas (px) and the device, and returns (n, 3, side, side) in linear light. Rows do not meet, so that a
picture does not depend on which others are drawn with it.
"""

from __future__ import annotations

import numpy as np
import torch

from skhand.rendering.draws import Draws
from skhand.rendering.paint import axis, colours, edge, lift, rectangle, tables, thing
from skhand.rendering.shelves import draw_shelves
from skhand.rendering.textures import (
    CLOUD,
    CLUTTER,
    FOLDS,
    GRAIN,
    LABELS,
    LAMPS,
    LEAVES,
    sample_pattern,
)

__all__ = ["SURROUNDINGS", "SURROUNDINGS_DRAWS", "add_person"]

SURROUNDINGS_DRAWS = 780


def _inks(tints: np.ndarray, device: torch.device) -> torch.Tensor:
    """Return colours (n, k, 3) in a shape that broadcasts over pictures, (n, k, 3, 1, 1)."""
    return lift(tints, device)[..., None, None]


def _plain(ink: torch.Tensor, side: int) -> torch.Tensor:
    """Return a canvas of one colour a row."""
    return ink.expand(len(ink), 3, side, side).clone()


def _box(x: np.ndarray, y: np.ndarray, wide: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return rectangles from their middle and size."""
    return x - wide / 2, y - high / 2, x + wide / 2, y + high / 2


def _room(draws: Draws, side: int, device: torch.device) -> torch.Tensor:
    """A wall, its corner and the floor, with a window, a door, pictures and furniture before it."""
    place = axis(side)
    wall, ground = (0.35, 0.98, 0.02, 0.5), (0.15, 0.8, 0.02, 1.0)
    tints = colours(draws, wall, ground)
    ink = _inks(tints, device)
    canvas = _plain(ink[:, 0], side)
    corner, lean, darker, floor, board = draws.uniform(5).T
    corner, lean, floor = 1.2 * corner - 0.6, 0.15 * (lean - 0.5), 0.55 + 0.6 * floor
    across, down = tables(corner[:, None] - place, lean[:, None] * place, device=device)
    turned = (across[:, None, :] + down[:, :, None]).mul_(side).clamp_(0.0, 1.0)
    canvas.mul_(turned.mul_(lift(-0.35 * darker, device)[:, None, None]).add_(1.0)[:, None])
    grain = sample_pattern(draws, GRAIN, side, device).mul_(0.12).add_(1.0)
    low = lift(edge(place - floor[:, None], side), device)
    canvas.lerp_(ink[:, 1] * grain[:, None], low[:, None, :, None])
    rectangle(canvas, (0 * floor, floor - 0.04, 0 * floor + 1, floor), 0.5 + 0.5 * ink[:, 0], board < 0.5)
    _window(draws, canvas)
    _pictures(draws, canvas)
    _furniture(draws, canvas, floor)
    return canvas


def _window(draws: Draws, canvas: torch.Tensor) -> None:
    """Paint a window or a door with a frame, two panes or panels and a bar."""
    x, y, wide, high, there, glass, day, bar = draws.uniform(8).T
    frame = colours(draws, (0.2, 1.0, 0.03, 1.0))[:, 0]
    daylight = (0.6 + 0.4 * day)[:, None] * np.array([0.92, 0.97, 1.0])
    inner = np.where(glass[:, None] < 0.6, daylight, frame * 0.82)
    ink = _inks(np.stack([frame, inner], axis=1), canvas.device)
    left, top, right, bottom = _box(x, 0.2 + 0.3 * y, 0.2 + 0.35 * wide, 0.3 + 0.7 * high)
    bar, middle = 0.012 + 0.012 * bar, (left + right) / 2
    rectangle(canvas, (left, top, right, bottom), ink[:, 0], there < 0.55)
    for start, stop in ((left + 2 * bar, middle - bar), (middle + bar, right - 2 * bar)):
        rectangle(canvas, (start, top + 2 * bar, stop, bottom - 2 * bar), ink[:, 1], there < 0.55)


def _pictures(draws: Draws, canvas: torch.Tensor) -> None:
    """Paint up to two framed pictures or posters."""
    ink = _inks(colours(draws, *[(0.08, 0.95, 0.15, 1.0)] * 4), canvas.device)
    numbers = draws.uniform(2, 6).transpose(1, 2, 0)
    for k, (x, y, wide, high, rim, there) in enumerate(numbers):
        left, top, right, bottom = _box(x, 0.05 + 0.45 * y, 0.1 + 0.25 * wide, 0.1 + 0.25 * high)
        rim, on = 0.01 + 0.02 * rim, there < (0.5, 0.3)[k]
        rectangle(canvas, (left, top, right, bottom), ink[:, 2 * k], on)
        rectangle(canvas, (left + rim, top + rim, right - rim, bottom - rim), ink[:, 2 * k + 1], on)


def _furniture(draws: Draws, canvas: torch.Tensor, floor: np.ndarray) -> None:
    """Paint a cupboard with doors or drawers, something low and soft, and a rounded thing on top."""
    device, place = canvas.device, axis(canvas.shape[-1])
    tints = colours(draws, (0.1, 0.9, 0.06, 1.0), (0.1, 0.8, 0.12, 1.0), *[(0.08, 0.95, 0.25, 1.0)] * 2)
    ink = _inks(tints, device)
    x, wide, high, foot, there, slope, count, lined, upright = draws.uniform(9).T
    wide, high, foot, there = 0.2 + 0.4 * wide, 0.15 + 0.6 * high**1.5, floor + 0.08 * foot, there < 0.7
    slope = 1.0 - 0.35 * slope[:, None] * np.clip(place - x[:, None] + 0.2, 0.0, 1.0)
    body = (x - wide / 2, foot - high, x + wide / 2, foot)
    rectangle(canvas, body, ink[:, 0] * lift(slope, device)[:, None, None, :], there)
    count, upright, dark = 1 + np.floor(4 * count), upright < 0.5, 0.3 * ink[:, 0]
    for k in range(1, 4):
        share, on = k / count, there & (lined < 0.75) & (k < count)
        x_line, y_line = (
            np.where(upright, x + wide * (share - 0.5), x),
            foot - high * np.where(upright, 0.5, share),
        )
        groove = _box(x_line, y_line, np.where(upright, 0.012, wide), np.where(upright, high, 0.012))
        rectangle(canvas, groove, dark, on)
    u = draws.uniform(10).T
    top = (x + wide * (0.8 * u[0] - 0.4), foot - high - 0.05)
    thing(canvas, top, (0.03 + 0.05 * u[1], 0.06 + 0.05 * u[2]), 0.0, u[3], ink[:, 2:], there & (u[4] < 0.6))
    seat, half = (u[5], foot + 0.02 + 0.1 * u[6]), (0.15 + 0.25 * u[7], 0.06 + 0.16 * u[8])
    cloth = torch.stack([ink[:, 1], 0.4 * ink[:, 1]], dim=1)
    thing(canvas, seat, half, 0.0, 0.75, cloth, u[9] < 0.5)


def _desk(draws: Draws, side: int, device: torch.device) -> torch.Tensor:
    """A table top, mostly wooden, with paper, books, telephones, cups and pens lying on it."""
    count = 4
    tints = colours(draws, (0.2, 0.95, 0.02, 0.8), *[(0.05, 1.0, 0.2, 1.0)] * count)
    ink = _inks(tints, device)
    strength, turn = draws.uniform(2).T
    grain = sample_pattern(draws, GRAIN, side, device).mul_(lift(0.16 * strength, device)[:, None, None])
    canvas = _plain(ink[:, 0], side).mul_(grain.add_(1.0)[:, None])
    numbers = draws.uniform(count, 10).transpose(1, 2, 0)
    for k, (x, y, long, slim, flat, square, aligned, angle, dim, there) in enumerate(numbers):
        long = 0.04 + 0.24 * long**1.3
        slim = np.maximum(long * np.where(slim < 0.2, 0.08, 0.45 + 0.55 * flat), 0.008)
        angle = 3.0 * turn + np.where(aligned < 0.6, 0.4, 5.0) * (angle - 0.5)
        far = lift(0.5 + 0.5 * dim, device)[:, None, None, None]
        both = torch.stack([ink[:, k + 1], ink[:, k + 1] * far], dim=1)
        field = ink[:, 1 + (k + 2) % count].lerp(both[:, 0], lift(square > 0.35, device)[:, None, None, None])
        place = (1.2 * x - 0.1, 1.2 * y - 0.1)
        kind = np.where(square < 0.7, 0.97, 0.0)
        thing(canvas, place, (long, slim), angle, kind, both, there < 0.75, shadow=0.3, inner=field)
    return canvas


def _garden(draws: Draws, side: int, device: torch.device) -> torch.Tensor:
    """Sky, trees or bushes, and grass or pavement."""
    place = axis(side)
    day, dark, crown, sharp, tree, horizon, paved, x, wide = draws.uniform(9).T
    bark, stone, hue = colours(
        draws, (0.1, 0.45, 0.0, 1.0), (0.35, 0.8, 0.0, 1.0), (0.3, 0.75, 0.0, 0.4)
    ).transpose(1, 0, 2)
    sky = (0.55 + 0.45 * day)[:, None] * np.array([0.75, 0.88, 1.0])
    hue = hue * np.array([0.55, 0.8, 0.2])
    hue = hue / hue.max(axis=1, keepdims=True) * (0.06 + 0.34 * dark)[:, None]
    soil = np.where(paved[:, None] < 0.4, stone, 1.6 * hue)
    ink = _inks(
        np.stack([sky * np.array([0.7, 0.85, 1.0]), sky, 0.15 * hue, 2 * hue + 0.04, bark, soil], 1), device
    )
    haze = lift(np.clip(place + 0.3, 0.0, 1.0), device)[None, None, :, None].expand(-1, -1, -1, side)
    canvas = torch.lerp(ink[:, 0], ink[:, 1], haze)
    leaves = sample_pattern(draws, LEAVES, side, device, (120.0, 250.0)).pow_(2)
    clumps = sample_pattern(draws, CLOUD, side, device, (40.0, 150.0))
    outline = sample_pattern(draws, CLOUD, side, device, (60.0, 150.0), 2.0)[:, :1]
    leaves.mul_((clumps * 0.5).add_(0.9).clamp_(min=0.1))
    top = lift(place - (1.15 * crown - 0.5)[:, None], device)[:, :, None] - 0.07 * outline
    cover = clumps.mul_(0.07).add_(top).mul_(lift(12.0 + 20.0 * sharp, device)[:, None, None])
    canvas.lerp_(torch.lerp(ink[:, 2], ink[:, 3], leaves[:, None]), cover.clamp_(0.0, 1.0)[:, None])
    rectangle(canvas, _box(x, 0 * x + 0.6, 0.02 + 0.1 * wide**2, 0 * x + 0.9), ink[:, 4], tree < 0.35)
    rough = sample_pattern(draws, LEAVES, side, device, (150.0, 250.0), 0.5).mul_(0.5).add_(0.7)
    near = lift(edge(place - (0.55 + 0.65 * horizon)[:, None], side / 3.0), device)
    return canvas.lerp_(ink[:, 5] * rough[:, None], near[:, None, :, None])


def _houses(draws: Draws, side: int, device: torch.device) -> torch.Tensor:
    """A front with windows, or tiles or bricks seen near: fields that repeat across and down."""
    place, muted = axis(side), (0.15, 0.95, 0.03, 0.7)
    wall, field, road = colours(draws, muted, muted, (0.2, 0.6, 0.0, 1.0)).transpose(1, 0, 2)
    near, change, joint, street = draws.uniform(4).T
    near = near[:, None] < 0.5
    field = np.where(near, np.minimum(wall * (0.5 + change)[:, None], 1.0), field)
    ink = _inks(np.stack([wall, field, road], axis=1), device)
    count, offset = (2.0 + 6.0 * draws.uniform(2) ** 1.5)[..., None], draws.uniform(2)[..., None]
    share = np.where(near, 0.47 - 0.05 * joint[:, None], 0.2 + 0.2 * draws.uniform(2))[..., None]
    cell = np.abs((place * count + offset) % 1.0 - 0.5)
    down, across = lift(edge(share - cell, side / count), device).unbind(1)
    stone = sample_pattern(draws, CLOUD, side, device).mul_(0.15).add_(1.0)[:, None]
    canvas = _plain(ink[:, 0], side)
    canvas.lerp_(ink[:, 1] * stone, (down[:, :, None] * across[:, None, :])[:, None])
    rectangle(canvas, (0 * street, 0.7 + 0.9 * street, 0 * street + 1, 0 * street + 2), ink[:, 2])
    return canvas


def _wall(draws: Draws, side: int, device: torch.device) -> torch.Tensor:
    """A bare wall or a backdrop, hardly uneven, perhaps with the shadow of something."""
    canvas = _plain(_inks(colours(draws, (0.08, 1.0, 0.04, 0.7)), device)[:, 0], side)
    rough, dark, on = draws.uniform(3).T
    rough, dark = tables(0.02 + 0.1 * rough**3, -0.5 * dark * (on < 0.4), device=device)
    uneven = sample_pattern(draws, CLOUD, side, device, (60.0, 250.0)).mul_(rough[:, None, None])
    shadow = sample_pattern(draws, FOLDS, side, device, (50.0, 130.0)).add_(0.5).clamp_(0.0, 1.0)
    shadow.mul_(dark[:, None, None]).add_(1.0)
    return canvas.mul_(uneven.add_(1.0).mul_(shadow)[:, None])


def _cloth(draws: Draws, side: int, device: torch.device) -> torch.Tensor:
    """Cloth in folds: a curtain, a bed, a shirt; plain, striped or chequered."""
    one, two = colours(draws, *[(0.1, 0.95, 0.08, 0.8)] * 2).transpose(1, 0, 2)
    plain, count, wide, checks, deep = draws.uniform(5).T
    ink = _inks(np.stack([one, np.where(plain[:, None] < 0.5, one, two)], axis=1), device)
    count = 2.0 + 18.0 * count[:, None]
    wave = np.abs((axis(side) * count) % 1.0 - 0.5) * 2.0
    stripe = edge(wave - 0.2 - 0.6 * wide[:, None], side / (2.0 * count))
    down, across = tables(0.6 * stripe, np.where(checks[:, None] < 0.5, 0.4 * stripe, 0.0), device=device)
    canvas = torch.lerp(ink[:, 0], ink[:, 1], (down[:, :, None] + across[:, None, :])[:, None])
    slope = sample_pattern(draws, FOLDS, side, device, (60.0, 200.0))
    slope.mul_(lift(0.05 + 0.35 * deep, device)[:, None, None])
    return canvas.mul_(slope.add_(0.8).clamp_(0.12, 1.6)[:, None])


def _clutter(draws: Draws, side: int, device: torch.device) -> torch.Tensor:
    """Things of all sizes that hide each other, in the few colours of one palette."""
    palette = lift(colours(draws, *[(0.05, 0.95, 0.08, 0.8)] * LABELS), device)
    level = sample_pattern(draws, CLUTTER, side, device, (120.0, 250.0)).mul_(LABELS)
    label = level.floor()
    which = label.to(torch.int64) + LABELS * torch.arange(len(palette), device=device)[:, None, None]
    canvas = palette.reshape(-1, 3)[which].permute(0, 3, 1, 2).contiguous()
    return canvas.mul_(level.sub_(label).mul_(0.6).add_(0.6)[:, None])


def _lamps(draws: Draws, side: int, device: torch.device) -> torch.Tensor:
    """Lamps far out of focus in the dark, or the sun between leaves."""
    ink = _inks(colours(draws, (0.05, 0.45, 0.1, 1.0), *[(0.6, 1.2, 0.3, 1.0)] * 2), device)
    clouds = sample_pattern(draws, CLOUD, side, device, (60.0, 200.0)).mul_(0.5).add_(1.0).clamp_(min=0.2)
    canvas = _plain(ink[:, 0], side).mul_(clouds[:, None])
    for k in (1, 2):
        canvas.addcmul_(sample_pattern(draws, LAMPS, side, device, (80.0, 240.0))[:, None], ink[:, k])
    return canvas.clamp_(max=1.3)


def add_person(draws: Draws, canvas: torch.Tensor, skin: np.ndarray) -> None:
    """Paint somebody behind the hand: shirt, neck, head with hair, and an arm; in place.

    Parameters
    ----------
    draws : Draws
    canvas : Tensor of shape (n, 3, side, side)
    skin : ndarray of shape (n, 3), linear light
    """
    shirt, hair = colours(draws, (0.08, 0.95, 0.12, 1.0), (0.05, 0.4, 0.0, 1.0)).transpose(1, 0, 2)
    ink = _inks(np.stack([skin, 0.7 * skin, shirt, 0.6 * shirt, hair, skin], axis=1), canvas.device)
    bare, dressed, head = ink[:, :2], ink[:, 2:4], ink[:, 4:]
    x, size, low, turn, arm = draws.uniform(5).T
    x, size, low, turn = 1.2 * x - 0.1, 0.5 + 0.9 * size, 0.2 + 0.7 * low, 0.4 + 1.6 * (turn - 0.5)
    thing(canvas, (x, low - 0.12 * size), (0.065 * size, 0.16 * size), 0.0, 0.5, 0.6 * bare, shadow=0.25)
    skull = (x, low - 0.27 * size)
    thing(canvas, skull, (0.125 * size, 0.17 * size), 0.0, 0.15, head, shadow=0.25, change=3.0)
    thing(canvas, (x, low + 0.55 * size), (0.33 * size, 0.58 * size), 0.0, 0.55, dressed, shadow=0.25)
    elbow, reach = (x + 0.4 * size, low + 0.4 * size), (0.3 * size, 0.075 * size)
    thing(canvas, elbow, reach, turn, 0.6, bare, arm < 0.6, shadow=0.3)
    sleeve = (elbow[0] - 0.2 * size * np.cos(turn), elbow[1] - 0.2 * size * np.sin(turn))
    thing(canvas, sleeve, (0.17 * size, 0.11 * size), turn, 0.7, dressed, arm < 0.6)


# what paints it, how often, and by how much it is out of focus at least (see `defocus`)
SURROUNDINGS = (
    (draw_shelves, 0.21, 0.0),
    (_room, 0.22, 0.0),
    (_desk, 0.12, 0.0),
    (_garden, 0.12, 0.0),
    (_houses, 0.07, 0.0),
    (_wall, 0.10, 0.0),
    (_cloth, 0.07, 0.0),
    (_clutter, 0.05, 1.2),
    (_lamps, 0.04, 0.4),
)
