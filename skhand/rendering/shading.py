"""Light and shadow at the pixels that show the hand. Linear light; only exactly rounded operations."""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d, interpolate

from skhand.rendering.skin import Look, per_hit, surface_colour
from skhand.rendering.tracing import Hits, Scene, Triple, trace

__all__ = ["shade"]

_SHADOW_SIZE = 56


def _occlusion(depth: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return how much of the sky a pixel sees: less where it lies behind the mean depth around it.

    Parameters
    ----------
    depth : Tensor of shape (n, size, size), mm, 0 for the background
    scale : Tensor of shape (n,), mm
        Width of a pixel at the hand.
    """
    size = depth.shape[-1]
    here = (depth > 0).to(depth.dtype)
    both = avg_pool2d(torch.stack([depth, here], dim=1), 4, 4, ceil_mode=True, count_include_pad=False)
    sees = torch.ones_like(depth)
    for reach in (max(1, size // 96), max(2, size // 40)):
        blurred = both
        for window in ((1, 2 * reach + 1), (2 * reach + 1, 1)):
            blurred = avg_pool2d(blurred, window, 1, padding=(window[0] // 2, window[1] // 2))
        total, count = interpolate(blurred, scale_factor=4, mode="bilinear")[:, :, :size, :size].unbind(1)
        behind = (depth - total / count.clamp_min(1e-3)) / (4.0 * scale[:, None, None] * reach)
        sees = sees * (1.0 - 0.28 * behind.clamp(0.0, 1.4))
    return sees


def _shadow(scene: Scene, look: Look, image: torch.Tensor, point: Triple) -> torch.Tensor:
    """Return 0 where another part stands in the key light and 1 where it does not, with soft edges."""
    n, size, device = len(scene.a), _SHADOW_SIZE, scene.a.device
    centre = look.origins[:, 15] + 1.1 * (look.origins[:, 6] - look.origins[:, 15])
    w = -look.key
    upright = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float32, device=device)
    u = torch.linalg.cross(upright[(w[:, 1].abs() >= 0.8).long()], w)
    u = u / (u[:, :1] ** 2 + u[:, 1:2] ** 2 + u[:, 2:] ** 2).sqrt()
    axes = torch.stack([u, torch.linalg.cross(w, u), w], dim=1)
    away = 900.0

    def seen(points: torch.Tensor) -> torch.Tensor:
        x, y, z = (points - centre[:, None]).unbind(-1)
        rows = [axes[:, None, i, 0] * x + axes[:, None, i, 1] * y + axes[:, None, i, 2] * z for i in range(3)]
        return torch.stack([rows[0], rows[1], rows[2] + away], dim=-1)

    focal = size * away / 260.0
    middle = 0.5 * size
    camera = torch.tensor([focal, focal, middle, middle], dtype=torch.float32, device=device).expand(n, 4)
    hits = trace(Scene(seen(scene.a), seen(scene.b), scene.radii, camera, size))
    near = torch.full((n * size * size,), 1e9, dtype=torch.float32, device=device)
    near[hits.pixel] = hits.depth
    row = per_hit(image, torch.cat([centre, axes.flatten(1)], dim=1))
    moved = [point[i] - row[i] for i in range(3)]
    x, y, z = (
        (row[3 + 3 * i] * moved[0]).add_(row[4 + 3 * i] * moved[1]).add_(row[5 + 3 * i] * moved[2])
        for i in range(3)
    )
    z.add_(away)
    px, py = (x * focal).div_(z).add_(0.5 * size), (y * focal).div_(z).add_(0.5 * size)
    x0, y0 = (px + 0.5).floor_(), (py + 0.5).floor_()
    columns = [(x0 + dx).clamp_(0, size - 1).long() for dx in (-1, 0, 1)]
    wide, high = _spline(px.sub_(x0)), _spline(py.sub_(y0))
    lit, base = torch.zeros_like(z), image * (size * size)
    for dy in range(3):
        line = (y0 + (dy - 1)).clamp_(0, size - 1).long().mul_(size).add_(base)
        for dx in range(3):
            ahead = z - near.index_select(0, line + columns[dx])
            lit.add_(
                ahead.sub_(5.0).mul_(-1.0 / 7.0).add_(1.0).clamp_(0.0, 1.0).mul_(wide[dx]).mul_(high[dy])
            )
    return lit


def _spline(t: torch.Tensor) -> list[torch.Tensor]:
    """Return the quadratic B-spline's weights of the pixels before, at and after, for t in [-0.5, 0.5]."""
    before, after = 0.5 - t, 0.5 + t
    return [(0.5 * before).mul_(before), 0.75 - t * t, (0.5 * after).mul_(after)]


def shade(
    scene: Scene, hits: Hits, normal: Triple, inward: torch.Tensor, depth: torch.Tensor, look: Look
) -> torch.Tensor:
    """Return the colours of the pixels that show the hand, linear light, shape (3, n_hits)."""
    n, size = len(scene.a), scene.size
    point = (hits.ray[0] * depth, hits.ray[1] * depth, depth)
    albedo, gloss = surface_colour(look, hits, point, inward)
    lit = _shadow(scene, look, hits.image, point)
    field = torch.zeros(n * size * size, dtype=depth.dtype, device=depth.device)
    field[hits.pixel] = depth
    distance = look.origins[:, 15, 2]
    sky = _occlusion(field.reshape(n, size, size), distance / scene.camera[:, 0]).reshape(-1)
    sky = sky.index_select(0, hits.pixel)
    light = per_hit(hits.image, torch.cat([look.key, look.key_colour, look.sky, look.ground], dim=1))
    key = light[:3]
    facing = (normal[0] * key[0]).add_(normal[1] * key[1]).add_(normal[2] * key[2])
    shine = _shine(hits, normal, key).mul_(gloss).mul_(lit)
    up = 0.5 - 0.5 * normal[1]
    colours = []
    for channel in range(3):
        bright, above, below = light[3 + channel], light[6 + channel], light[9 + channel]
        wrap = (0.42, 0.27, 0.22)[channel]
        direct = ((facing + wrap) * (1.0 / (1.0 + wrap))).clamp_min_(0.0)
        direct.mul_(lit * (1.0 - 0.25 * wrap) + 0.25 * wrap).mul_(0.4 + 0.6 * sky)
        # light between near skin surfaces turns red
        tint = (0.10, 0.02, 0.0)[channel]
        ambient = (below + up * (above - below)).mul_(sky * (1.0 - tint) + tint)
        colours.append(direct.mul_(bright).add_(ambient).mul_(albedo[channel]).add_(shine * bright))
    return torch.stack(colours)


def _shine(hits: Hits, normal: Triple, key: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the highlight: the 16th power of the cosine between normal and half vector."""
    x, y = hits.ray
    inverse = 1.0 / (x * x).add_(y * y).add_(1.0).sqrt_()
    half = [key[0] - x * inverse, key[1] - y * inverse, key[2] - inverse]
    norm = (half[0] * half[0]).add_(half[1] * half[1]).add_(half[2] * half[2]).sqrt_().clamp_min_(1e-3)
    shine = (normal[0] * half[0]).add_(normal[1] * half[1]).add_(normal[2] * half[2])
    shine.div_(norm).clamp_min_(0.0)
    for _ in range(4):
        shine.mul_(shine)
    return shine
