"""Scenes with no, one or two hands: generated hands cut out and pasted before generated backgrounds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from skhand._warp import warp_pictures

__all__ = ["GROUNDS", "SCENE_NUMBERS", "SLOTS", "HandPool", "Scenes", "compose_scenes", "find_arms"]

SLOTS = 2
"""Most hands in a scene."""
GROUNDS = 2
"""Backgrounds that a scene draws from: what is behind all, and the pattern of things."""
SCENE_NUMBERS = 256
_CANDIDATES = 6
_SIZES = (0.08, 0.9)
_NO_HAND, _ONE_HAND = 0.2, 0.65
_WHOLE, _HIDDEN = 0.3, 0.08
_SHOWN, _GONE = 0.4, 0.05
_GREY = (0.3, 0.59, 0.11)


@dataclass
class HandPool:
    """Generated hands and backgrounds that lie in memory, all on one device.

    Attributes
    ----------
    rgba : Tensor of shape (n_hands, 4, side, side), uint8
        Whole pictures, and the mask of hand and arm, 0 or 255, as fourth channel.
    points : Tensor of shape (n_hands, 21, 2), px
        The joints.
    pad : Tensor of shape (n_hands,), px
        How far the box reaches beyond the joints.
    is_left : Tensor of shape (n_hands,), bool
    arm : Tensor of shape (n_hands, 3), px
        Where the arm leaves the picture, and half of its width there; 0 where it does not. See `find_arms`.
    backgrounds : Tensor of shape (n_backgrounds, 3, size, size), uint8
    """

    rgba: Tensor
    points: Tensor
    pad: Tensor
    is_left: Tensor
    arm: Tensor
    backgrounds: Tensor


@dataclass
class Scenes:
    """Composed scenes.

    Attributes
    ----------
    pictures : Tensor of shape (n, 3, size, size), uint8
    points : Tensor of shape (n, SLOTS, 21, 2), px
    boxes : Tensor of shape (n, SLOTS, 4), px
        x, y, width, height; parts may lie outside of the picture.
    is_left : Tensor of shape (n, SLOTS), bool
    shown : Tensor of shape (n, SLOTS), bool
        Whether there is such a hand.
    unclear : Tensor of shape (n, SLOTS), bool
        Whether so little is seen of it that it counts neither as a hand nor as none.
    window : Tensor of shape (n, 4), px
        x, y, width, height of the part that is the picture, from the edge of its first pixel at -0.5; what is
        beside it is grey.
    """

    pictures: Tensor
    points: Tensor
    boxes: Tensor
    is_left: Tensor
    shown: Tensor
    unclear: Tensor
    window: Tensor


class _Numbers:
    """Uniform random numbers of each row, handed out in order."""

    def __init__(self, block: Tensor):
        self.block, self.used = block, 0

    def one(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return the next number of each row, (n,)."""
        return self.some(1, low, high)[:, 0]

    def some(self, count: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return the next numbers of each row, (n, count)."""
        start, self.used = self.used, self.used + count
        if self.used > self.block.shape[1]:
            raise IndexError(f"a row has {self.block.shape[1]} numbers, {self.used} were asked for")
        return low + (high - low) * self.block[:, start : self.used]

    def normal(self, count: int) -> Tensor:
        """Return the next numbers as about normal ones, (n, count): the sum of three uniform ones."""
        return 2.0 * (self.some(3 * count).unflatten(1, (count, 3)).sum(dim=2) - 1.5)


def find_arms(mask: Tensor) -> Tensor:
    """Find where arms leave their pictures.

    Parameters
    ----------
    mask : Tensor of shape (n, side, side), bool

    Returns
    -------
    arm : Tensor of shape (n, 3), px
        x and y of the middle, and half of the width; 0 where no arm leaves.
    """
    side = mask.shape[-1]
    place = torch.arange(side, device=mask.device, dtype=torch.float32)
    first, last = torch.zeros_like(place), torch.full_like(place, side - 1.0)
    rim = torch.cat([mask[:, 0], mask[:, -1], mask[:, :, 0], mask[:, :, -1]], dim=1).float()
    x, y = torch.cat([place, place, first, last]), torch.cat([first, last, place, place])
    count = rim.sum(dim=1)
    total = count.clamp_min(1.0)
    return torch.stack([(rim * x).sum(dim=1) / total, (rim * y).sum(dim=1) / total, 0.5 * count], dim=1)


def compose_scenes(
    pool: HandPool,
    hands: Tensor,
    grounds: Tensor,
    numbers: Tensor,
    grain: Tensor,
    window: Tensor | None = None,
) -> Scenes:
    """Compose square scenes.

    A scene is a background with things before it, or the whole picture of a generated hand, with hands cut
    out of other pictures pasted onto it. Where a pasted arm ends, something is mostly before its end. A hand
    may be mirrored, and then has the other side.

    Parameters
    ----------
    pool : HandPool
    hands : Tensor of shape (n, SLOTS), int64
        Hands of the pool that a scene may show.
    grounds : Tensor of shape (n, GROUNDS), int64
        Backgrounds of the pool.
    numbers : Tensor of shape (n, SCENE_NUMBERS)
        Uniform in [0, 1). With equal numbers a scene is the same.
    grain : Tensor of shape (n, 3, size, size)
        Noise of about standard deviation 1; its size is the scenes'.
    window : Tensor of shape (n, 2), px, optional
        Width and height of the part at the upper left that is the picture; all by default.

    Returns
    -------
    scenes : Scenes
    """
    n, size, draw = len(hands), grain.shape[-1], _Numbers(numbers)
    if window is None:
        window = grain.new_full((n, 2), float(size))
    count = draw.one()
    wanted = (count > _NO_HAND).long() + (count > _ONE_HAND).long()
    there = torch.arange(SLOTS, device=hands.device) < wanted[:, None]
    whole = (draw.one() < _WHOLE) & there[:, 0]
    hidden = draw.some(SLOTS) < _HIDDEN
    placed = _place(pool, hands, draw, window, whole)
    canvas = _ground(pool.backgrounds, grounds[:, 0], draw, size)
    cloth = _ground(pool.backgrounds, grounds[:, 1], draw, size)
    _roughen(canvas, draw, grain)
    skin = _skin(pool, hands[:, 0])
    for _ in range(2):
        _lay_thing(canvas, cloth, draw, window, skin)
    cover = canvas.new_zeros(n, SLOTS, size, size)
    for slot in range(SLOTS):
        shown = there[:, slot]
        if slot == 0:
            _show_whole(canvas, pool, hands[:, 0], placed.matrix[:, 0], whole)
            shown = shown & ~whole
        tint = (0.12 * draw.normal(3)).exp()
        alpha = _paste(canvas, pool, hands[:, slot], placed.matrix[:, slot], shown, tint)
        _hide(cover[:, :slot], alpha)
        over = _end_arm(canvas, cloth, draw, placed, slot, shown, window)
        _hide(cover[:, : slot + 1], over)
        over = _hide_hand(canvas, cloth, draw, placed, slot, there[:, slot] & hidden[:, slot])
        _hide(cover[:, : slot + 1], over)
    over = _lay_thing(canvas, cloth, draw, window, skin, share=0.25, small=True)
    _hide(cover, over)
    seen = _share_seen(placed.points, cover, window)
    pictures = _photograph(canvas, draw, grain, window)
    shown = there & (seen >= _SHOWN)
    unclear = there & (seen >= _GONE) & ~shown
    window = torch.cat([torch.full_like(window, -0.5), window], dim=1)
    return Scenes(pictures, placed.points, placed.boxes, placed.is_left, shown, unclear, window)


@dataclass
class _Placed:
    """Where the hands of each slot go: pool pixels to scene pixels, and what follows from it."""

    matrix: Tensor
    points: Tensor
    boxes: Tensor
    is_left: Tensor
    arm: Tensor


def _place(pool: HandPool, hands: Tensor, draw: _Numbers, window: Tensor, whole: Tensor) -> _Placed:
    """Draw size, turn, mirror and place of the hands."""
    parts: list[tuple[Tensor, ...]] = []
    side, size = pool.rgba.shape[-1], window.amax(dim=1)
    low, high = (math.log(each) for each in _SIZES)
    common = draw.one(low, high)
    for slot in range(SLOTS):
        rows = hands[:, slot]
        points, pad, arm = pool.points[rows], pool.pad[rows], pool.arm[rows]
        first = slot == 0
        flip = torch.where(draw.one() < 0.5, -1.0, 1.0)
        angle = torch.where(draw.one() < 0.5, 0.3 * draw.normal(1)[:, 0], draw.one(-math.pi, math.pi))
        angle = torch.where(whole & first, 0.0, angle)
        own, alike = draw.one(low, high), draw.one() < 0.6
        near = (common + 0.3 * draw.normal(1)[:, 0]).clamp(low, high)
        length = torch.where(alike & (not first), near, common if first else own).exp()
        length = length * torch.minimum(size, 1.3 * window.amin(dim=1))
        cosine, sine = angle.cos(), angle.sin()
        turn = torch.stack([torch.stack([cosine * flip, -sine], 1), torch.stack([sine * flip, cosine], 1)], 1)
        turned = points @ turn.transpose(1, 2)
        least, most = turned.amin(dim=1) - pad[:, None], turned.amax(dim=1) + pad[:, None]
        middle, extent = 0.5 * (least + most), most - least
        scale = length / extent.amax(dim=1)
        zoom = draw.one(0.0, math.log(2.5)).exp() * size / side
        scale = torch.where(whole & first, zoom, scale)[:, None]
        spots = draw.some(2 * _CANDIDATES).unflatten(1, (_CANDIDATES, 2))
        margin = torch.minimum(0.25 * extent * scale, 0.5 * window)[:, None]
        centres = margin + spots * (window[:, None] - 2 * margin)
        end = scale * ((arm[:, None, :2] @ turn.transpose(1, 2))[:, 0] - middle)
        seen = ((centres + end[:, None] > 0) & (centres + end[:, None] < window[:, None])).all(dim=2)
        cost = (seen & (arm[:, 2:] > 0) & (draw.one() < 0.5)[:, None]).float()
        if not first:
            cost = cost + 4.0 * _overlap(centres, scale * extent, parts[0][2])
        best = cost.argmin(dim=1)
        centre = centres.gather(1, best[:, None, None].expand(-1, 1, 2))[:, 0]
        shift = centre - scale * middle
        # a whole picture covers the window; mirrored, it lies to the left of its origin
        origin = torch.stack([torch.where(flip < 0, side - 1.0, 0.0), torch.zeros_like(flip)], 1) * scale
        covering = torch.minimum(torch.maximum(shift - origin, window - side * scale), 0.0 * window) + origin
        shift = torch.where((whole & first)[:, None], covering, shift)
        matrix = torch.cat([scale[:, :, None] * turn, shift[:, :, None]], dim=2)
        last = matrix.new_tensor([0.0, 0.0, 1.0]).expand(len(matrix), 1, 3)
        box = torch.cat([scale * least + shift, scale * extent], dim=1)
        moved = torch.cat([end + scale * middle + shift, scale * arm[:, 2:]], dim=1)
        parts.append(
            (
                torch.cat([matrix, last], dim=1),
                scale[:, None] * turned + shift[:, None],
                box,
                pool.is_left[rows] ^ (flip < 0),
                moved,
            )
        )
    return _Placed(*(torch.stack(each, dim=1) for each in zip(*parts, strict=True)))


def _overlap(centres: Tensor, extent: Tensor, box: Tensor) -> Tensor:
    """Return how much of the smaller of two boxes lies in the other, for each candidate, (n, k)."""
    low = torch.maximum(centres - 0.5 * extent[:, None], box[:, None, :2])
    high = torch.minimum(centres + 0.5 * extent[:, None], (box[:, :2] + box[:, 2:])[:, None])
    shared = (high - low).clamp_min(0.0).prod(dim=2)
    smaller = torch.minimum(extent.prod(dim=1), box[:, 2:].prod(dim=1))
    return shared / smaller[:, None]


def _ground(backgrounds: Tensor, rows: Tensor, draw: _Numbers, size: int) -> Tensor:
    """Return some of the backgrounds, turned, zoomed and mirrored, 0 to 1."""
    angle, zoom = 0.3 * draw.normal(1)[:, 0], draw.one(math.log(0.5), math.log(2.0)).exp()
    flip, place = torch.where(draw.one() < 0.5, -1.0, 1.0), draw.some(2)
    scale, side = zoom * size / backgrounds.shape[-1], backgrounds.shape[-1]
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    x, y = (side * place).unbind(1)
    left = 0.5 * size - (cosine * flip * x - sine * y)
    top = 0.5 * size - (sine * flip * x + cosine * y)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    matrix = torch.stack([cosine * flip, -sine, left, sine * flip, cosine, top, zero, zero, one], dim=1)
    pictures = backgrounds[rows].float().div_(255.0)
    return warp_pictures(pictures, matrix.view(-1, 3, 3), (size, size), outside="reflection")


def _roughen(canvas: Tensor, draw: _Numbers, grain: Tensor) -> None:
    """Add sharp textures of three scales to half of the backgrounds, as of leaves and cloth, in place."""
    where = (draw.one() < 0.5).nonzero()[:, 0]
    grey, strength = draw.one()[:, None, None, None], 0.1 * draw.some(3) ** 2
    if not len(where):
        return
    plain = grain[where].mean(dim=1, keepdim=True).mul_(math.sqrt(3.0)).expand(-1, 3, -1, -1)
    noise, size = torch.lerp(grain[where], plain, grey[where]), canvas.shape[-2:]
    total = torch.zeros_like(noise)
    for k, step in enumerate((2, 4, 8)):
        coarse = functional.avg_pool2d(noise, step) * (step * strength[where, k, None, None, None])
        total += functional.interpolate(coarse, size=size, mode="bilinear")
    canvas[where] = (canvas[where] * (1.0 + 2.0 * total) + 0.5 * total).clamp_(0.0, 1.0)


def _skin(pool: HandPool, rows: Tensor) -> Tensor:
    """Return about the colour of hands, (n, 3): the mean at some of the joints."""
    side = pool.rgba.shape[-1]
    places = pool.points[rows][:, 5::4].round().long().clamp(0, side - 1)
    x, y = places.unbind(2)
    return pool.rgba[rows[:, None], :3, y, x].float().mean(dim=1) / 255.0


def _show_whole(canvas: Tensor, pool: HandPool, rows: Tensor, matrix: Tensor, on: Tensor) -> None:
    """Put whole pictures of hands in the place of some of the backgrounds."""
    where = on.nonzero()[:, 0]
    if len(where):
        pictures = pool.rgba[rows[where], :3].float().div_(255.0)
        canvas[where] = _shrink(pictures, matrix[where], canvas.shape[-1])


def _paste(canvas: Tensor, pool: HandPool, rows: Tensor, matrix: Tensor, on: Tensor, tint: Tensor) -> Tensor:
    """Cut hands out and paste them; return how much of each pixel they cover, (n, size, size)."""
    alpha = canvas.new_zeros(canvas.shape[0], *canvas.shape[2:])
    where = on.nonzero()[:, 0]
    if not len(where):
        return alpha
    cut = pool.rgba[rows[where]].float().div_(255.0)
    cut[:, 3:] = -functional.max_pool2d(-cut[:, 3:], 3, 1, 1)
    cut[:, :3] *= cut[:, 3:] * tint[where, :, None, None]
    moved = _shrink(cut, matrix[where], canvas.shape[-1])
    canvas[where] = (canvas[where] * (1.0 - moved[:, 3:]) + moved[:, :3]).clamp_(0.0, 1.0)
    alpha[where] = moved[:, 3]
    return alpha


def _shrink(pictures: Tensor, matrix: Tensor, size: int) -> Tensor:
    """Warp pictures by similarities; those that shrink are averaged over blocks of pixels before."""
    scale = matrix[:, :2, 1].norm(dim=1)
    level = (-torch.log2(scale)).floor().clamp(0, 4).long()
    out = pictures.new_empty(len(pictures), pictures.shape[1], size, size)
    for number in level.unique().tolist():
        rows, step = (level == number).nonzero()[:, 0], 2**number
        some, move = pictures[rows], matrix[rows].clone()
        if step > 1:
            some = functional.avg_pool2d(some, step)
            # pixel k of the small picture lies at step * k + (step - 1) / 2 of the large one
            move[:, :2, 2] += move[:, :2, :2].sum(dim=2) * 0.5 * (step - 1)
            move[:, :2, :2] *= step
        out[rows] = warp_pictures(some, move, (size, size))
    return out


def _hide(cover: Tensor, alpha: Tensor | None) -> None:
    """Note in ``cover`` (n, k, size, size) that something lies over what was there."""
    if alpha is not None and cover.shape[1]:
        cover += (1.0 - cover) * alpha[:, None]


def _patch(
    canvas: Tensor,
    colour: Tensor,
    cloth: Tensor,
    centre: Tensor,
    half: Tensor,
    angle: Tensor,
    power: Tensor,
    on: Tensor,
) -> Tensor | None:
    """Paint a thing between an ellipse and a rectangle; return what it covers, (n, size, size).

    Its colour is mixed with the pattern of a cloth by the fourth number of ``colour`` (n, 4).
    """
    where = on.nonzero()[:, 0]
    if not len(where):
        return None
    place = torch.arange(canvas.shape[-1], device=canvas.device, dtype=torch.float32)
    centre, half, power = centre[where], half[where].clamp_min(1.0), power[where, None, None]
    dx, dy = place - centre[:, :1], place - centre[:, 1:]
    cosine, sine = angle[where].cos()[:, None], angle[where].sin()[:, None]
    u = ((cosine * dx)[:, None, :] + (sine * dy)[:, :, None]) / half[:, :1, None]
    v = ((cosine * dy)[:, :, None] - (sine * dx)[:, None, :]) / half[:, 1:, None]
    field = 1.0 - (u.abs().clamp(max=2.0) ** power + v.abs().clamp(max=2.0) ** power)
    alpha = (field * (half.amin(dim=1)[:, None, None] / power) + 0.5).clamp_(0.0, 1.0)
    shade = (1.0 + 0.25 * v.clamp(-1.0, 1.0))[:, None]
    ink = torch.lerp(colour[where, :3, None, None] * shade, cloth[where], colour[where, 3:, None, None])
    canvas[where] = torch.lerp(canvas[where], ink.clamp_(0.0, 1.0), alpha[:, None])
    out = canvas.new_zeros(canvas.shape[0], *canvas.shape[2:])
    out[where] = alpha
    return out


def _draw_colour(draw: _Numbers) -> Tensor:
    """Draw colours with a share of the cloth's pattern, (n, 4)."""
    value, tint, pattern = draw.one() ** 0.7, draw.some(3), draw.one()
    grey = draw.one()[:, None]
    colour = value[:, None] * torch.lerp(tint, tint.mean(dim=1, keepdim=True).expand_as(tint), grey)
    pattern = (1.6 * pattern - 0.4).clamp(0.0, 1.0)
    return torch.cat([colour, pattern[:, None]], dim=1)


def _lay_thing(
    canvas: Tensor,
    cloth: Tensor,
    draw: _Numbers,
    window: Tensor,
    skin: Tensor,
    share: float = 0.5,
    small: bool = False,
) -> Tensor | None:
    """Lay a thing anywhere: an ellipse as of a face, a bar as of an arm, a card, maybe of skin."""
    on, bare = draw.one() < share, draw.one() < 0.35
    colour = _draw_colour(draw)
    tinted = torch.cat([skin * (0.25 * draw.normal(1)).exp(), 0.15 * colour[:, 3:]], dim=1)
    colour = torch.where(bare[:, None], tinted, colour)
    centre, side = draw.some(2) * window, window.amax(dim=1)
    most = math.log(0.12 if small else 0.4)
    long = draw.one(math.log(0.03), most).exp() * side
    slim = draw.one(math.log(0.15), 0.0).exp() * long
    angle, power = draw.one(0.0, math.pi), torch.where(draw.one() < 0.5, 2.0, 6.0)
    return _patch(canvas, colour, cloth, centre, torch.stack([long, slim], dim=1), angle, power, on)


def _end_arm(
    canvas: Tensor,
    cloth: Tensor,
    draw: _Numbers,
    placed: _Placed,
    slot: int,
    on: Tensor,
    window: Tensor,
) -> Tensor | None:
    """Put something before the end of a pasted arm, for most of those that end inside of the picture."""
    end, wide = placed.arm[:, slot, :2], placed.arm[:, slot, 2:]
    box = placed.boxes[:, slot]
    middle = box[:, :2] + 0.5 * box[:, 2:]
    seen = ((end > -2.0) & (end < window + 2.0)).all(dim=1) & (wide[:, 0] > 0)
    away = end - middle
    away = away / away.norm(dim=1, keepdim=True).clamp_min(1e-3)
    along, across = draw.one(1.1, 4.0)[:, None] * wide, draw.one(1.2, 3.5)[:, None] * wide
    centre = end + away * (along - 0.35 * wide)
    angle = torch.atan2(away[:, 1], away[:, 0]) + 0.2 * draw.normal(1)[:, 0]
    power = torch.where(draw.one() < 0.5, 3.0, 8.0)
    colour, most = _draw_colour(draw), draw.one() < 0.85
    half = torch.cat([along, across], dim=1)
    return _patch(canvas, colour, cloth, centre, half, angle, power, on & seen & most)


def _hide_hand(
    canvas: Tensor, cloth: Tensor, draw: _Numbers, placed: _Placed, slot: int, on: Tensor
) -> Tensor | None:
    """Cover a hand, so that an arm without a hand is seen."""
    box, colour = placed.boxes[:, slot], _draw_colour(draw)
    half = 0.5 * box[:, 2:] * draw.some(2, 1.05, 1.4)
    power, zero = torch.full_like(box[:, 0], 6.0), torch.zeros_like(box[:, 0])
    return _patch(canvas, colour, cloth, box[:, :2] + 0.5 * box[:, 2:], half, zero, power, on)


def _share_seen(points: Tensor, cover: Tensor, window: Tensor) -> Tensor:
    """Return which share of the joints lies in the window and uncovered, (n, SLOTS)."""
    n, slots, size = cover.shape[0], cover.shape[1], cover.shape[-1]
    inside = ((points > -0.5) & (points < window[:, None, None] - 0.5)).all(dim=3)
    x, y = points.round().long().clamp(0, size - 1).unbind(3)
    over = cover.view(n, slots, -1).gather(2, y * size + x)
    return (inside * (1.0 - over)).mean(dim=2)


def _photograph(canvas: Tensor, draw: _Numbers, grain: Tensor, window: Tensor) -> Tensor:
    """Change colours, blur, add grain and the traces of JPEG; grey outside of the window. uint8."""
    gain = (0.12 * draw.normal(3) + 0.25 * draw.normal(1)).exp()
    gamma = (0.25 * draw.normal(1)).exp()[:, :, None, None]
    picture = (canvas.clamp(1e-4, 1.0) ** gamma) * gain[:, :, None, None]
    grey = (picture * picture.new_tensor(_GREY)[:, None, None]).sum(dim=1, keepdim=True)
    colourful = torch.where(draw.one() < 0.06, 0.0, (0.3 * draw.normal(1)[:, 0]).exp())[:, None, None, None]
    picture = torch.lerp(grey.expand_as(picture), picture, colourful)
    contrast = (0.2 * draw.normal(1)).exp()[:, :, None, None]
    picture = (picture - 0.45) * contrast + 0.45
    _blur(picture, draw)
    strength = 0.08 * draw.one()[:, None] ** 3 * draw.some(1, 0.3, 1.0)
    picture = (picture + strength[:, :, None, None] * grain).clamp_(0.0, 1.0)
    where = (draw.one() < 0.25).nonzero()[:, 0]
    coarse = draw.one(0.02, 0.2)
    if len(where):
        picture[where] = _compress(picture[where], coarse[where])
    place = torch.arange(canvas.shape[-1], device=canvas.device)
    inside = (place < window[:, :1])[:, None, :] & (place < window[:, 1:])[:, :, None]
    picture = torch.where(inside[:, None], picture * 255.0, 127.5)
    return picture.round_().clamp_(0, 255).to(torch.uint8)


def _blur(picture: Tensor, draw: _Numbers) -> None:
    """Blur some pictures, in place: by a box that moves along a line, or by shrinking and enlarging."""
    chance, which = draw.one(), draw.one()
    size = picture.shape[-1]
    for step in (2, 3):
        where = ((chance < 0.2) & ((which < 0.7) == (step == 2))).nonzero()[:, 0]
        if len(where):
            small = functional.interpolate(picture[where], size=(size // step, size // step), mode="area")
            picture[where] = functional.interpolate(small, size=(size, size), mode="bilinear")
    for axis, low in ((2, 0.2), (3, 0.28)):
        where = ((chance >= low) & (chance < low + 0.08)).nonzero()[:, 0]
        if len(where):
            width = (5, 1) if axis == 2 else (1, 5)
            pad = (2, 0) if axis == 2 else (0, 2)
            picture[where] = functional.avg_pool2d(picture[where], width, 1, pad, count_include_pad=False)


def _compress(pictures: Tensor, coarse: Tensor) -> Tensor:
    """Round the cosine transforms of blocks of 8 x 8 pixels, as JPEG does; the higher ones more."""
    size = pictures.shape[-1] // 8 * 8
    place = torch.arange(8, device=pictures.device, dtype=torch.float32)
    cosine = torch.cos(math.pi / 8 * (place + 0.5) * place[:, None]) * 0.5
    cosine[0] *= math.sqrt(0.5)
    blocks = pictures[..., :size, :size].unflatten(3, (-1, 8)).unflatten(2, (-1, 8))
    waves = torch.einsum("ncyixj,ki,lj->ncykxl", blocks, cosine, cosine)
    step = coarse[:, None, None] * (1.0 + place[:, None] + place)
    step = step[:, None, None, :, None, :]
    waves = (waves / step).round_() * step
    out = pictures.clone()
    out[..., :size, :size] = (
        torch.einsum("ncykxl,ki,lj->ncyixj", waves, cosine, cosine).flatten(4, 5).flatten(2, 3)
    )
    return out.clamp_(0.0, 1.0)
