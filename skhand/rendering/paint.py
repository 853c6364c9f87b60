"""Brushes for backgrounds: colours, rectangles and rounded things, drawn into all rows' pictures at once."""

from __future__ import annotations

from copy import copy

import numpy as np
import torch

from skhand.rendering.draws import Draws

__all__ = ["axis", "colours", "edge", "lift", "outline", "pick", "rectangle", "tables", "thing"]

# hue in degrees, half its spread, the saturation's upper end; how often each of them
_HUES = np.array([(28.0, 12.0, 0.62), (210.0, 16.0, 0.55), (90.0, 25.0, 0.5), (0.0, 180.0, 0.6)])
_SHARES = np.array([0.45, 0.71, 0.83, 1.0])


def pick(draws: Draws, chosen: np.ndarray) -> Draws:
    """Return the numbers of some of the rows, read on from where ``draws`` is."""
    part = copy(draws)
    part.block = draws.block[chosen]
    return part


def lift(values: np.ndarray, device: torch.device) -> torch.Tensor:
    """Return float32 numbers on the device."""
    return torch.as_tensor(np.ascontiguousarray(values), dtype=torch.float32, device=device)


def axis(side: int) -> np.ndarray:
    """Return the pixels' places along one side, 0 to 1."""
    return (np.arange(side) + 0.5) / side


def colours(draws: Draws, *kinds: tuple[float, float, float, float]) -> np.ndarray:
    """Draw colours as rooms have them: mostly greys, browns and blues, few of them strong.

    Parameters
    ----------
    draws : Draws
        Five numbers a colour are taken.
    *kinds : tuple of (float, float, float, float)
        For each colour the least and largest brightness as it is displayed (the square root of the light),
        the share of strong colours, and a factor on the saturation.

    Returns
    -------
    colours : ndarray of shape (n, n_kinds, 3)
        Linear light, 0 to 1.
    """
    which, spread, strength, bright, strong = np.moveaxis(draws.uniform(len(kinds), 5), -1, 0)
    low, high, vivid, muted = np.array(kinds).T
    group = np.minimum(np.searchsorted(_SHARES, which), len(_HUES) - 1)
    hue, width, most = _HUES[group].transpose(2, 0, 1)
    saturation = muted * np.where(strong < vivid, 0.55 + 0.4 * strength, most * strength**2)
    turn = ((hue + width * 2.0 * (spread - 0.5)) / 60.0)[..., None] + np.array([0.0, 4.0, 2.0])
    pure = np.minimum(np.maximum(np.abs(turn % 6.0 - 3.0) - 1.0, 0.0), 1.0)
    return ((low + (high - low) * bright)[..., None] * (1.0 - saturation[..., None] * (1.0 - pure))) ** 2


def edge(distance: np.ndarray, sharpness: float | np.ndarray) -> np.ndarray:
    """Return the cover of an edge from distances to it: 0 outside, 1 inside, one half on it."""
    return np.minimum(np.maximum(distance * sharpness + 0.5, 0.0), 1.0)


def tables(*columns: np.ndarray, device: torch.device) -> list[torch.Tensor]:
    """Return tables of one shape (n, k) as tensors of shape (n, k), brought to the device in one go."""
    return list(lift(np.stack(columns), device).unbind(0))


def rectangle(
    canvas: torch.Tensor, box: tuple[np.ndarray, ...], colour: torch.Tensor, there: np.ndarray | float = 1.0
) -> None:
    """Paint an upright rectangle into each picture, in place.

    Parameters
    ----------
    canvas : Tensor of shape (n, 3, side, side)
    box : tuple of four ndarray of shape (n,)
        Left, top, right, bottom, 0 to 1.
    colour : Tensor
        Anything that broadcasts with the canvas.
    there : ndarray of shape (n,) or float, default=1.0
        How much of the rectangle is there, 0 to 1.
    """
    side = canvas.shape[-1]
    start, stop = np.stack(box[:2])[:, :, None], np.stack(box[2:])[:, :, None]
    place = axis(side)
    cover = edge(np.minimum(place - start, stop - place), side)
    cover[0] *= np.reshape(there, (-1, 1))
    wide, high = lift(cover, canvas.device).unbind(0)
    canvas.lerp_(colour, (high[:, :, None] * wide[:, None, :])[:, None])


def thing(
    canvas: torch.Tensor,
    centre: tuple[np.ndarray, np.ndarray],
    half: tuple[np.ndarray, np.ndarray],
    angle: np.ndarray | float,
    square: np.ndarray | float,
    colour: torch.Tensor,
    there: np.ndarray | float = 1.0,
    *,
    shadow: float = 0.0,
    change: float = 0.5,
    inner: torch.Tensor | None = None,
) -> None:
    """Paint a turned ellipse, rectangle or something between into each picture, in place.

    The outline is A B = (1 - A) (1 - B) k with A = 1 - u^2, B = 1 - v^2, each cut off at 0, where u and v
    run from -1 to 1 over the thing: an ellipse at k = 1, a rectangle at k = 0.

    Parameters
    ----------
    canvas : Tensor of shape (n, 3, side, side)
    centre, half : tuple of two ndarray of shape (n,)
        Middle and half the size, 0 to 1.
    angle : ndarray of shape (n,) or float, radians
    square : ndarray of shape (n,) or float
        From 0, an ellipse, to 1, a rectangle.
    colour : Tensor of shape (n, 2, 3, 1, 1)
        Colours of the two ends.
    there : ndarray of shape (n,) or float, default=1.0
        0 or 1.
    shadow : float, default=0.0
        How dark the shadow around it is, 0 to 1.
    change : float, default=0.5
        How fast the colour changes from one end to the other.
    inner : Tensor, optional
        Colour of a field within, for instance of shape (n, 3, 1, 1).
    """
    device, one = canvas.device, np.ones(len(canvas))
    a, b, v = outline(canvas.shape[-1], centre, half, angle, device)
    sharpness = np.minimum(half[0], half[1]) * (canvas.shape[-1] * 0.5)
    k, on, sharp = tables(one - square, one * there, sharpness * there, device=device)
    k, on, sharp = k[:, None, None], on[:, None, None], sharp[:, None, None]
    share = v.mul_(change).add_(0.5).clamp_(0.0, 1.0)[:, None]
    if shadow:
        wider = (a * 0.6).add_(0.4).clamp_(min=0.0).mul_((b * 0.6).add_(0.4).clamp_(min=0.0))
        canvas.mul_(wider.mul_(3.0).clamp_(max=1.0).mul_(on * -shadow).add_(1.0)[:, None])
    a, b = a.clamp_(min=0.0), b.clamp_(min=0.0)
    cover = (a + b).sub_(1.0).mul_(k).addcmul_(a.mul_(b), 1.0 - k)
    canvas.lerp_(torch.lerp(colour[:, 0], colour[:, 1], share), (cover * sharp).clamp_(0.0, 1.0)[:, None])
    if inner is not None:
        canvas.lerp_(inner, cover.sub_(0.35).mul_(sharp).clamp_(0.0, 1.0)[:, None])


def outline(
    side: int,
    centre: tuple[np.ndarray, np.ndarray],
    half: tuple[np.ndarray, np.ndarray],
    angle: np.ndarray | float,
    device: torch.device,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return 1 - u^2, 1 - v^2 and v over the canvas, where u and v run from -1 to 1 over a turned thing.

    Parameters
    ----------
    side : int, px
    centre, half : tuple of two ndarray of shape (n,)
        Middle and half the size, parts of the canvas.
    angle : ndarray of shape (n,) or float, radians
    device : torch.device

    Returns
    -------
    a, b, v : Tensor of shape (n, side, side)
    """
    place, one = axis(side), np.ones(len(half[0]))
    dx, dy = place - centre[0][:, None], place - centre[1][:, None]
    u_cos, u_sin = (one * turn / half[0] for turn in (np.cos(angle), np.sin(angle)))
    v_cos, v_sin = (one * turn / half[1] for turn in (np.cos(angle), np.sin(angle)))
    ux, uy, vx, vy = tables(
        u_cos[:, None] * dx, u_sin[:, None] * dy, -v_sin[:, None] * dx, v_cos[:, None] * dy, device=device
    )
    u, v = ux[:, None, :] + uy[:, :, None], vx[:, None, :] + vy[:, :, None]
    return u.mul_(u).neg_().add_(1.0), (v * v).neg_().add_(1.0), v
