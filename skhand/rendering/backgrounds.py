"""Procedural backgrounds: one kind of surroundings a row, lit, seen from somewhere, more or less blurred."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import grid_sample

from skhand.rendering.draws import Draws
from skhand.rendering.lens import defocus
from skhand.rendering.paint import axis, lift, pick
from skhand.rendering.surroundings import SURROUNDINGS, SURROUNDINGS_DRAWS, add_person
from skhand.rendering.textures import CLOUD, sample_pattern

__all__ = ["BACKGROUND_DRAWS", "draw_backgrounds", "enlarge"]

BACKGROUND_DRAWS = 1100
_LARGEST, _SMALLEST = 128, 32
_PERSON, _IN_FOCUS = 0.22, 0.4


def draw_backgrounds(
    draws: Draws,
    skin: np.ndarray,
    size: int,
    device: torch.device | str = "cpu",
    sharp: np.ndarray | None = None,
) -> torch.Tensor:
    """Draw one background a row.

    A row pays for its own kind of surroundings only. Above 128 px it is drawn at half the size.

    Parameters
    ----------
    draws : Draws
        With at least `BACKGROUND_DRAWS` numbers.
    skin : ndarray of shape (n, 3)
        Colour of the person's skin in the shade, linear light; some rows show more of that person.
    size : int, px
    device : torch.device, default="cpu"
    sharp : ndarray of shape (n,), bool, or None
        Which rows are in focus down to the pixel in which they are drawn; None is none.

    Returns
    -------
    pictures : Tensor of shape (n, 3, size, size)
        Linear light, from 0 to about 1.
    """
    device, n = torch.device(device), len(skin)
    fine = size if size <= _LARGEST else (size + 1) // 2
    side = max(fine, _SMALLEST)
    kind = draws.choice(np.array([weight for _, weight, _ in SURROUNDINGS]))
    visited, blur = draws.uniform() < _PERSON, draws.uniform()
    view, light = draws.uniform(12), draws.uniform(9)
    clouds = sample_pattern(draws, CLOUD, side, device, (40.0, 200.0))
    canvas = torch.empty(n, 3, side, side, dtype=torch.float32, device=device)
    for number, (paint, _, _) in enumerate(SURROUNDINGS):
        rows = np.flatnonzero(kind == number)
        if len(rows):
            canvas[torch.as_tensor(rows, device=device)] = paint(pick(draws, rows), side, device)
    draws.used += SURROUNDINGS_DRAWS
    rows = np.flatnonzero(visited)
    if len(rows):
        where = torch.as_tensor(rows, device=device)
        some = canvas[where]
        add_person(pick(draws, rows), some, skin[rows])
        canvas[where] = some
    _illuminate(canvas, clouds, light)
    picture = grid_sample(canvas, _view(view, fine, device), padding_mode="reflection", align_corners=False)
    least = np.array([0.15 + blurred for _, _, blurred in SURROUNDINGS])[kind]
    out_of_focus = np.maximum((blur - _IN_FOCUS) / (1.0 - _IN_FOCUS), 0.0)
    level = least + out_of_focus**1.4 * np.log2(max(fine / 16.0, 2.0))
    defocus(picture, level if sharp is None else np.where(sharp, 0.0, level))
    return picture if fine == size else enlarge(picture)[..., :size, :size].contiguous()


def _illuminate(canvas: torch.Tensor, clouds: torch.Tensor, light: np.ndarray) -> None:
    """Multiply by light that falls off across the picture and from a lamp, and by slight unevenness."""
    place = axis(canvas.shape[-1])
    tilt = 0.6 * (light[:, :2] - 0.5)[:, :, None] * (place - 0.5)
    spread = 0.3 + 1.2 * light[:, 2:3]
    dx, dy = (place - 1.6 * light[:, 3:4] + 0.3) / spread, (place - 1.6 * light[:, 4:5] + 0.3) / spread
    depth = (0.75 * light[:, 5] ** 2)[:, None]
    # depth / (1 + distance^2) + (1 - depth), with the tilt and the unevenness on top
    lamp = lift(1.0 + dx * dx, canvas.device)[:, None, :] + lift(dy * dy, canvas.device)[:, :, None]
    lamp = lamp.reciprocal_().mul_(lift(depth, canvas.device)[:, :, None])
    lamp.add_(lift(1.0 - depth + tilt[:, 0], canvas.device)[:, None, :])
    lamp.add_(lift(tilt[:, 1], canvas.device)[:, :, None])
    clouds.mul_(lift(0.01 + 0.09 * light[:, 6] ** 2, canvas.device)[:, None, None])
    canvas.mul_(lamp.add_(clouds).clamp_(min=0.05)[:, None])


def _view(u: np.ndarray, fine: int, device: torch.device) -> torch.Tensor:
    """Return where the picture's pixels lie on the canvas, (n, fine, fine, 2), from -1 to 1."""
    roll = np.where(
        u[:, 0] < 0.7, 0.2 * (u[:, 1] - 0.5), np.where(u[:, 0] < 0.9, 1.0, 6.28) * (u[:, 1] - 0.5)
    )
    zoom = 0.6 + 0.35 * u[:, 2]
    flip = np.where(u[:, 3] < 0.5, -1.0, 1.0)
    room = 1.0 - zoom
    place = 2.0 * axis(fine) - 1.0
    keystone = 0.25 * (u[:, 4:6] - 0.5)
    grid = torch.empty(len(u), fine, fine, 2, dtype=torch.float32, device=device)
    turned = (
        (flip * zoom * np.cos(roll), -zoom * np.sin(roll), room * (2 * u[:, 6] - 1), keystone[:, 0]),
        (flip * zoom * np.sin(roll), zoom * np.cos(roll), room * (2 * u[:, 7] - 1), keystone[:, 1]),
    )
    for k, (along, down, start, product) in enumerate(turned):
        x = lift(along[:, None] * place + start[:, None], device)[:, None, :]
        y = lift(down[:, None] * place, device)[:, :, None]
        both = lift(product[:, None] * place, device)[:, None, :] * lift(place, device)[None, :, None]
        torch.add(both.add_(x), y, out=grid[..., k])
    return grid


def enlarge(picture: torch.Tensor) -> torch.Tensor:
    """Double height and width, straight lines between the pixels' centres.

    Parameters
    ----------
    picture : Tensor of shape (n, c, height, width)

    Returns
    -------
    larger : Tensor of shape (n, c, 2 height, 2 width)
    """
    for dimension in (2, 3):
        size = picture.shape[dimension]
        shape = list(picture.shape)
        shape[dimension] = 2 * size
        larger = torch.empty(shape, dtype=picture.dtype, device=picture.device)
        parts = larger.unflatten(dimension, (size, 2))
        first, second = parts.select(dimension + 1, 0), parts.select(dimension + 1, 1)
        most = picture * 0.75
        for target, kept, start in ((first, 0, 1), (second, size - 1, 0)):
            inner = target.narrow(dimension, start, size - 1)
            other = picture.narrow(dimension, 1 - start, size - 1)
            torch.add(most.narrow(dimension, start, size - 1), other, alpha=0.25, out=inner)
            target.narrow(dimension, kept, 1).copy_(picture.narrow(dimension, kept, 1))
        picture = larger
    return picture
