"""Things before the hand: a pen, a card, a ball, a cup, or another arm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from skhand.rendering.draws import Draws
from skhand.rendering.paint import colours, lift, outline, tables

__all__ = ["OCCLUDERS", "OCCLUDER_DRAWS", "Occluders", "cover_with", "plan_occluders"]

OCCLUDERS = ("pen", "card", "ball", "cup", "arm")
OCCLUDER_DRAWS = 40
_CARD, _BALL, _ARM = (OCCLUDERS.index(name) for name in ("card", "ball", "arm"))
# For each: least and largest half length and half width. Pen and arm count in sides of the hand's box, the
# longer one and the shorter one; the others in the square root of the box's area.
_SIZES = np.array(
    [
        (0.3, 0.9, 0.02, 0.05),
        (0.15, 0.33, 0.1, 0.33),
        (0.1, 0.28, 0.1, 0.28),
        (0.15, 0.33, 0.1, 0.2),
        (1.0, 1.8, 0.1, 0.18),
    ]
)
_LONG = np.array([True, False, False, False, True])
_LEAST_DEPTH, _USUAL_DEPTH = 40.0, 500.0


@dataclass(frozen=True)
class Occluders:
    """Where things lie before the hand; one a row, also where none is shown.

    Attributes
    ----------
    on : ndarray of shape (n,), bool
        Whether the row shows its thing.
    kind : ndarray of shape (n,), int
        Index into `OCCLUDERS`.
    centre, half : ndarray of shape (n, 2), px
        Middle, and half of length and width.
    angle : ndarray of shape (n,), radians
        From the picture's x axis to the length.
    gap : ndarray of shape (n,), mm
        Between the thing and what of the hand lies nearest behind it.
    colour : ndarray of shape (n, 3)
        Linear light.
    light : ndarray of shape (n, 2)
        How much brighter it is on one side, in length and in width.
    """

    on: np.ndarray
    kind: np.ndarray
    centre: np.ndarray
    half: np.ndarray
    angle: np.ndarray
    gap: np.ndarray
    colour: np.ndarray
    light: np.ndarray

    def hides(self, points: np.ndarray) -> np.ndarray:
        """Return which points of the hand are behind the things.

        Parameters
        ----------
        points : ndarray of shape (n, k, 2), px

        Returns
        -------
        hidden : ndarray of shape (n, k), bool
        """
        dx, dy = np.moveaxis(points - self.centre[:, None], -1, 0)
        cosine, sine = np.cos(self.angle)[:, None], np.sin(self.angle)[:, None]
        u = (cosine * dx + sine * dy) / self.half[:, :1]
        v = (cosine * dy - sine * dx) / self.half[:, 1:]
        a, b, ball, long = (torch.from_numpy(field) for field in (1 - u * u, 1 - v * v, *self.shape()))
        return (_inside(a, b, ball[:, None], long[:, None]) > 0).numpy() & self.on[:, None]

    def shape(self) -> tuple[np.ndarray, np.ndarray]:
        """Return which things are balls and which have round ends, 0 or 1 each."""
        return (self.kind == _BALL).astype(float), _LONG[self.kind].astype(float)


def _inside(a: torch.Tensor, b: torch.Tensor, ball: torch.Tensor, long: torch.Tensor) -> torch.Tensor:
    """Return a field above 0 inside of the outline, from 1 - u^2 and 1 - v^2.

    A ball ends at u^2 + v^2 = 1, a card and a cup at |u| = 1 and |v| = 1; the last twentieth of a pen or an
    arm is rounded off.
    """
    round_end = b - (1.0 - 10.0 * a).clamp_(min=0.0) * long
    return torch.minimum(a, round_end) * (1.0 - ball) + (a + b - 1.0) * ball


def plan_occluders(draws: Draws, points: np.ndarray, skin: np.ndarray, probability: float) -> Occluders:
    """Draw a thing for each row, over one of the hand's joints.

    Parameters
    ----------
    draws : Draws
        With at least `OCCLUDER_DRAWS` numbers; all rows take the same, whatever the probability.
    points : ndarray of shape (n, k, 2), px
        Joints of the hand. A thing covers at most half of their bounding box.
    skin : ndarray of shape (n, 3)
        Linear light; half of the arms are bare.
    probability : float, 0 to 1
        Share of the rows with something before the hand.

    Returns
    -------
    occluders : Occluders
    """
    n = len(points)
    there, which, turn, bare = draws.uniform(4).T
    kind, joint = draws.choice(np.ones(len(OCCLUDERS))), (which * points.shape[1]).astype(int)
    sides = np.ptp(points, axis=1)
    shorter, longer = np.maximum(sides.min(axis=1), 1.0), np.maximum(sides.max(axis=1), 1.0)
    unit = np.where(
        _LONG[kind, None], np.stack([longer, shorter], axis=1), np.sqrt(shorter * longer)[:, None]
    )
    low, high = _SIZES[kind][:, 0::2], _SIZES[kind][:, 1::2]
    share = draws.uniform(2)
    share[:, 1] = np.where(kind == _BALL, share[:, 0], share[:, 1])
    half = unit * (low + (high - low) * share)
    tint = colours(draws, (0.1, 0.95, 0.25, 1.0))[:, 0]
    tint = np.where(((kind == _ARM) & (bare < 0.5))[:, None], skin, tint)
    # an arm comes from outside of the picture: its end, and not its middle, lies at the joint
    angle, away = 2.0 * np.pi * turn, np.where(kind == _ARM, 0.9, 0.3 * (share[:, 1] - 0.5))
    shift = (away * half[:, 0])[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    centre = points[np.arange(n), joint] + shift
    gap, light = draws.uniform(low=3.0, high=40.0), 0.6 * (draws.uniform(2) - 0.5)
    return Occluders(there < probability, kind, centre, half, angle, gap, tint, light)


def cover_with(
    occluders: Occluders,
    depth: torch.Tensor,
    focal: np.ndarray,
    layer: torch.Tensor | None = None,
) -> torch.Tensor:
    """Put the things before the hands: into depth, and into the coloured layer, in place.

    Parameters
    ----------
    occluders : Occluders
    depth : Tensor of shape (n, size, size), mm
        0 where there is no hand. Where there is a thing it gets the thing's.
    focal : ndarray of shape (n,), px
        Focal length: things as wide as they look have a bulge to match.
    layer : Tensor of shape (n, 3, size, size), optional
        Linear light.

    Returns
    -------
    cover : Tensor of shape (n, size, size), bool
        Where the things are.
    """
    device = depth.device
    cover = torch.zeros(depth.shape, dtype=torch.bool, device=device)
    rows = np.flatnonzero(occluders.on)
    if not len(rows):
        return cover
    where = torch.as_tensor(rows, device=device)
    some = Occluders(*(getattr(occluders, name)[rows] for name in Occluders.__dataclass_fields__))
    inside, swell, shade = _surface(some, depth.shape[-1], device)
    hand = depth[where]
    nowhere = torch.full_like(hand, torch.inf)
    seen = torch.where(hand > 0, hand, nowhere)
    behind = torch.where(inside, seen, nowhere).amin(dim=(1, 2))
    front = torch.where(behind.isfinite(), behind, seen.amin(dim=(1, 2)))
    front = torch.where(front.isfinite(), front, torch.full_like(front, _USUAL_DEPTH))
    gap, bulge = tables(some.gap, some.half[:, 1] / focal[rows], device=device)
    thing = swell.mul_(-bulge[:, None, None]).add_(1.0).mul_((front - gap)[:, None, None])
    depth[where] = torch.where(inside, thing.clamp_(min=_LEAST_DEPTH), hand)
    cover[where] = inside
    if layer is not None:
        colour = lift(some.colour, device)[:, :, None, None] * shade[:, None]
        layer[where] = layer[where].lerp_(colour, inside.to(torch.float32)[:, None])
    return cover


def _surface(
    things: Occluders, size: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return outline (bool), height above the rim (parts of half the width) and brightness, (n, size, size).

    A ball swells as sqrt(1 - u^2 - v^2), pen, cup and arm as sqrt(1 - v^2), a card does not.
    """
    centre, half = (things.centre.T + 0.5) / size, things.half.T / size
    a, b, v = outline(size, (centre[0], centre[1]), (half[0], half[1]), things.angle, device)
    is_card = (things.kind == _CARD).astype(float)
    columns = tables(*things.shape(), is_card, *things.light.T, device=device)
    ball, long, flat, in_length, in_width = (column[:, None, None] for column in columns)
    inside = _inside(a, b, ball, long) > 0
    swell = (b - (1.0 - a) * ball).clamp_(min=0.0).sqrt_()
    shade = (swell * (1.0 - flat) + flat).mul_(0.6).add_(0.3)
    shade.addcmul_(v.clamp_(-1.0, 1.0), in_width).addcmul_(a.clamp_(min=0.0), in_length)
    return inside, swell.mul_(1.0 - flat), shade.clamp_(min=0.05)
