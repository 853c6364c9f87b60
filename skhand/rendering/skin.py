"""The colour of skin, nails and cloth at the pixels that show the hand.

Linear light; only exactly rounded operations, as in `tracing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch

from skhand.rendering.cones import FRAME, PARTS
from skhand.rendering.tracing import Hits, Triple

__all__ = ["TEXTURE", "Look", "per_hit", "surface_colour"]

# palm lines in the hand frame of a hand whose middle MCP is so far (mm) from the wrist: x, y
_PALM_LENGTH = 89.0
_PALM_LINES = (
    ((-38.0, 57.0), (-20.0, 60.0), (0.0, 67.0), (11.0, 79.0)),
    ((26.0, 67.0), (10.0, 59.0), (-10.0, 48.0), (-27.0, 37.0)),
    ((26.0, 66.0), (10.0, 54.0), (1.0, 36.0), (5.0, 12.0)),
)
TEXTURE = 32
_CLOTH = 61


@dataclass
class Look:
    """Light and skin, which decide a picture's colours, one row an image.

    Attributes
    ----------
    sleeve : Tensor of shape (n, 2, 3)
        The sleeve's two colours, linear light.
    stripes : Tensor of shape (n,)
        Stripes a metre on the sleeve.
    key, key_colour : Tensor of shape (n, 3)
        Unit direction to the light, camera frame, and its colour.
    sky, ground : Tensor of shape (n, 3)
        Light from above and from below.
    detail : Tensor of shape (n, 6)
        Strength of creases, mottling, gloss, redness, veins and hair.
    texture : Tensor of shape (n, 32, 32)
        Mottling, about -1 to 1.
    skin, palm_shift : Tensor of shape (n, 3)
        As in `Subjects`.
    frames : Tensor of shape (n, 17, 3, 3)
        Bones' axes in the camera frame (columns); 15 bones, the palm and the arm.
    origins : Tensor of shape (n, 17, 3), mm
        Their origins in the camera frame.
    lengths : Tensor of shape (n, 17), mm
        Their lengths (the palm's: wrist to middle MCP).
    """

    sleeve: torch.Tensor
    stripes: torch.Tensor
    key: torch.Tensor
    key_colour: torch.Tensor
    sky: torch.Tensor
    ground: torch.Tensor
    detail: torch.Tensor
    texture: torch.Tensor
    skin: torch.Tensor
    palm_shift: torch.Tensor
    frames: torch.Tensor
    origins: torch.Tensor
    lengths: torch.Tensor


def per_hit(row: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the columns of values (rows, k) at the given rows, k tensors of shape (n_hits,)."""
    return values.t().contiguous().index_select(1, row).unbind(0)


def ramp(value: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Return the smooth step from 0 at ``low`` to 1 at ``high``."""
    t = ((value - low) * (1.0 / (high - low))).clamp_(0.0, 1.0)
    return (t * t).mul_(3.0 - 2.0 * t)


def bump(value: torch.Tensor, width: float) -> torch.Tensor:
    """Return a bell that is 1 at 0 and 0 from ``width`` on."""
    t = (value * value).mul_(-1.0 / (width * width)).add_(1.0).clamp_min_(0.0)
    return t.mul_(t)


class _Texture:
    """Each image's noise, repeated over the plane."""

    def __init__(self, texture: torch.Tensor, image: torch.Tensor):
        self.flat, self.base = texture.reshape(-1), image * (TEXTURE * TEXTURE)

    def coarse(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the value of the nearest texel; x and y in texels."""
        column, row = x.floor().long().bitwise_and_(TEXTURE - 1), y.floor().long().bitwise_and_(TEXTURE - 1)
        return self.flat.index_select(0, row.mul_(TEXTURE).add_(column).add_(self.base))

    def smooth(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the bilinear mixture of the four nearest texels; x and y in texels."""
        x0, y0 = x.floor(), y.floor()
        fx, fy = x - x0, y - y0
        left, top = x0.long().bitwise_and_(TEXTURE - 1), y0.long().bitwise_and_(TEXTURE - 1)
        right, low = (left + 1).bitwise_and_(TEXTURE - 1), (top + 1).bitwise_and_(TEXTURE - 1)
        rows = []
        for line in (top, low):
            line = line.mul_(TEXTURE).add_(self.base)
            one, two = (self.flat.index_select(0, line + column) for column in (left, right))
            rows.append(one.add_(two.sub_(one).mul_(fx)))
        return rows[0].add_(rows[1].sub_(rows[0]).mul_(fy))


@dataclass
class _Place:
    """Where on the body the hits lie.

    Attributes
    ----------
    digit, bone : Tensor of shape (n_hits,), int64
        As in `PARTS`.
    x, y, z : Tensor of shape (n_hits,), mm
        In the axes of the bone.
    share : Tensor of shape (n_hits,)
        How far along the bone, 0 to 1.
    size : Tensor of shape (n_hits,)
        The palm's length over that of the hand which the creases are drawn on.
    inward : Tensor of shape (n_hits,)
        Cosine between the normal and the palmar side.
    """

    digit: torch.Tensor
    bone: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    z: torch.Tensor
    share: torch.Tensor
    size: torch.Tensor
    inward: torch.Tensor


def _place(look: Look, hits: Hits, point: Triple, inward: torch.Tensor) -> _Place:
    device, bodies = point[0].device, look.frames.shape[1]
    digit, bone = (torch.as_tensor(column, device=device)[hits.cone] for column in PARTS.T)
    frame = torch.as_tensor(FRAME, device=device)[hits.cone]
    table = torch.cat([look.frames.flatten(2), look.origins, look.lengths[..., None]], dim=2)
    row = per_hit(hits.image * bodies + frame, table.reshape(-1, 13))
    p = [point[i] - row[9 + i] for i in range(3)]
    x, y, z = ((row[k] * p[0]).add_(row[3 + k] * p[1]).add_(row[6 + k] * p[2]) for k in range(3))
    (size,) = per_hit(hits.image, look.lengths[:, 15:16] / _PALM_LENGTH)
    return _Place(digit, bone, x, y, z, y / row[12], size, inward)


def surface_colour(
    look: Look, hits: Hits, point: Triple, inward: torch.Tensor
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the albedo of skin, nails and cloth, three channels, and how much they shine.

    Parameters
    ----------
    look : Look
    hits : Hits
    point : tuple of three Tensors of shape (n_hits,), mm
        Where the surface is, camera frame.
    inward : Tensor of shape (n_hits,)
        From `tracing.smooth`.

    Returns
    -------
    albedo : list of three Tensors of shape (n_hits,)
    gloss : Tensor of shape (n_hits,)
    """
    place = _place(look, hits, point, inward)
    digit, bone, x, y, z, share = place.digit, place.bone, place.x, place.y, place.z, place.share
    finger = (digit < 5).float()
    palm = (digit == 5).float()
    cloth = (digit * 10 + bone == _CLOTH).float()
    last = finger * (bone == 2).float()
    crease_depth, mottling, shine, redness, veins, hair = per_hit(hits.image, look.detail)
    # the palm's colour fades out on the forearm
    palmar = ramp(inward, -0.25, 0.45).mul_(finger + (1.0 - finger) * (0.3 + 0.7 * ramp(y, -25.0, 18.0)))
    texture = _Texture(look.texture, hits.image)
    mottle = texture.smooth((x + 1.7 * z) * 0.55 + 7.0 * bone, (y - 0.6 * z) * 0.55 + 11.0 * digit)
    broad = texture.smooth((x - z) * 0.17 + 3.0, (y + z) * 0.17 + 5.0 * digit)
    mottle.add_(0.7 * broad)
    grain = texture.coarse((x + z) * 2.3, (y - z) * 1.9)
    tip = last * ramp(share, 0.1, 0.9)
    knuckle = (finger - last).mul_(bump(share - 1.0, 0.3)).mul_(1.0 - palmar)
    mount = palm * palmar * ramp((y / place.size - 30.0).abs(), 12.0, 40.0)
    red = (0.75 * tip + 0.55 * knuckle + 0.4 * mount + 0.25 * mottle).mul_(redness)
    nail = _nail(place, last)
    crease = _creases(place, finger, palm).mul_(1.0 - nail)
    dark = (1.0 - crease_depth * crease).mul_(1.0 + mottling * (0.07 * mottle + 0.03 * grain))
    dark.mul_(1.0 - 1.4 * nail * (1.0 - nail))
    behind = (1.0 - finger) * ramp(-inward, 0.0, 0.6)
    vein = behind * bump(broad + 0.35 * mottle - 0.1, 0.16) * veins
    strand = texture.coarse((x - 0.4 * y) * 1.3, (y + 0.3 * x) * 0.22 + 9.0)
    dark.mul_(1.0 - behind * hair * ramp(strand, 0.35, 0.9))
    wave = y * per_hit(hits.image, look.stripes[:, None] / 1000.0)[0]
    stripe = ramp((wave - wave.floor()).sub_(0.5).abs_(), 0.2, 0.3)
    colours = []
    skins = per_hit(hits.image, torch.cat([look.skin, look.palm_shift, look.sleeve.flatten(1)], dim=1))
    for channel in range(3):
        base, shift = skins[channel], skins[3 + channel]
        skin = (palmar * (shift - 1.0)).add_(1.0).mul_(base).mul_(dark)
        skin.mul_(1.0 + (0.05, -0.13, -0.10)[channel] * red).mul_(1.0 - (0.30, 0.17, 0.12)[channel] * vein)
        bed = 0.55 * skin + (0.50, 0.47, 0.52)[channel] * (0.22 + 0.9 * base)
        skin.add_(nail * bed.sub_(skin))
        one, two = skins[6 + channel], skins[9 + channel]
        fabric = (two + stripe * (one - two)).mul_(1.0 + 0.10 * mottle + 0.08 * grain)
        colours.append(skin.add_(cloth * fabric.sub_(skin)).clamp_(0.0, 1.0))
    gloss = shine * (1.0 + 2.5 * nail) * (1.0 - 0.5 * crease) * (1.0 + 0.5 * grain) * (1.0 - cloth)
    return colours, gloss


def _nail(place: _Place, last: torch.Tensor) -> torch.Tensor:
    """Return how much of a pixel is nail: a rounded field on the back of the last bone."""
    narrow = 1.0 - 0.22 * (place.digit == 0).float()
    across = narrow * place.x / (5.3 * place.size)
    along = (place.share - 0.74) * (1.0 / 0.25)
    field = ramp(1.0 - across * across - along * along, -0.02, 0.22)
    return field.mul_(ramp(-place.inward, 0.25, 0.5)).mul_(last)


def _creases(place: _Place, finger: torch.Tensor, palm: torch.Tensor) -> torch.Tensor:
    """Return the depth of flexion creases, knuckle wrinkles and palm lines, 0 to 1."""
    inside = ramp(place.inward, -0.15, 0.5)
    mm = place.share * 30.0
    bone = place.bone
    ends = torch.maximum(bump(mm - 30.0, 1.5), bump(mm, 1.5))
    ends.mul_(1.0 - ((bone == 2) & (place.share > 0.5)).float())
    ends = torch.maximum(ends, bump(mm - 13.0, 1.6).mul_((bone == 0).float()))
    wrinkles = torch.maximum(bump((mm - 27.0).abs_().sub_(2.2), 0.9), bump(mm - 30.0, 0.8))
    wrinkles = torch.maximum(wrinkles, bump((mm + 1.5).abs_().sub_(1.5), 0.9))
    wrinkles.mul_((bone < 2).float()).mul_(ramp(-place.inward, 0.2, 0.7)).mul_(0.45)
    fingers = torch.maximum(ends.mul_(inside), wrinkles).mul_(finger)
    y = place.y
    wrist = torch.maximum(bump(y + 2.0, 1.2), 0.7 * bump(y + 8.0, 1.1)).mul_(inside).mul_(1.0 - finger)
    fingers = torch.maximum(fingers, 0.5 * wrist)
    where = palm.nonzero()[:, 0]
    lines = _palm_lines(place.x[where] / place.size[where], y[where] / place.size[where])
    fingers[where] = torch.maximum(fingers[where], lines.mul_(ramp(place.inward[where], 0.2, 0.6)))
    return fingers


def _palm_lines(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return how much of a palm line runs through points of a mean hand, mm, 0 to 1."""
    nearest = torch.full_like(x, 9.0)
    for line in _PALM_LINES:
        for (x0, y0), (x1, y1) in pairwise(line):
            dx, dy = x1 - x0, y1 - y0
            inverse = 1.0 / (dx * dx + dy * dy)
            px, py = x - x0, y - y0
            t = (px * (dx * inverse)).add_(py * (dy * inverse)).clamp_(0.0, 1.0)
            px.sub_(t * dx)
            py.sub_(t * dy)
            nearest = torch.minimum(nearest, px.mul_(px).add_(py.mul_(py)))
    return nearest.mul_(-1.0 / 3.0).add_(1.0).clamp_min_(0.0)
