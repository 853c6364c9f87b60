"""Skin, light and shadow at the pixels that show the hand. Linear light; only exactly rounded operations."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch.nn.functional import avg_pool2d, interpolate

from skhand.datasets._hands.cones import FRAME, PARTS
from skhand.datasets._hands.tracing import Hits, Scene, Triple, trace

__all__ = ["TEXTURE", "Look", "shade"]

# palm lines in the hand frame of a hand whose middle MCP is 89 mm from the wrist, mm: x, y, and width
_PALM_LINES = (
    ((-38.0, 57.0), (-20.0, 60.0), (0.0, 67.0), (11.0, 79.0)),
    ((26.0, 67.0), (10.0, 59.0), (-10.0, 48.0), (-27.0, 37.0)),
    ((26.0, 66.0), (10.0, 54.0), (1.0, 36.0), (5.0, 12.0)),
)
TEXTURE = 32


@dataclass
class Look:
    """What decides a picture's colours, one row an image.

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
    detail : Tensor of shape (n, 4)
        Strength of creases, mottling, gloss and redness.
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


def _ramp(value: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Return the smooth step from 0 at ``low`` to 1 at ``high``."""
    t = ((value - low) / (high - low)).clamp(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _bump(value: torch.Tensor, width: float) -> torch.Tensor:
    """Return a bell that is 1 at 0 and 0 from ``width`` on."""
    t = (1.0 - (value / width) * (value / width)).clamp_min(0.0)
    return t * t


def _lookup(texture: torch.Tensor, image: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Sample each image's texture bilinearly, repeating it; x and y in texels."""
    x0, y0 = x.floor(), y.floor()
    fx, fy = x - x0, y - y0
    x0, y0 = x0.to(torch.int64) % TEXTURE, y0.to(torch.int64) % TEXTURE
    x1, y1 = (x0 + 1) % TEXTURE, (y0 + 1) % TEXTURE
    flat = texture.reshape(-1)
    base = image * (TEXTURE * TEXTURE)
    top = flat[base + y0 * TEXTURE + x0] * (1 - fx) + flat[base + y0 * TEXTURE + x1] * fx
    low = flat[base + y1 * TEXTURE + x0] * (1 - fx) + flat[base + y1 * TEXTURE + x1] * fx
    return top * (1 - fy) + low * fy


def _local(look: Look, image: torch.Tensor, part: torch.Tensor, point: Triple) -> tuple[Triple, torch.Tensor]:
    """Return points in the axes of their bones, mm, and the bones' lengths."""
    index = image * look.frames.shape[1] + part
    frame = look.frames.reshape(-1, 9)[index]
    origin = look.origins.reshape(-1, 3)[index]
    p = [point[i] - origin[:, i] for i in range(3)]
    x, y, z = (frame[:, k] * p[0] + frame[:, 3 + k] * p[1] + frame[:, 6 + k] * p[2] for k in range(3))
    return (x, y, z), look.lengths.reshape(-1)[index]


def _albedo(
    look: Look, image: torch.Tensor, cone: torch.Tensor, point: Triple, nz: torch.Tensor
) -> tuple[Triple, torch.Tensor]:
    """Return the skin's or sleeve's colour and its gloss."""
    parts = torch.as_tensor(PARTS)[cone]
    digit, bone = parts[:, 0], parts[:, 1]
    (x, y, z), length = _local(look, image, torch.as_tensor(FRAME)[cone], point)
    size = look.lengths[image, 15] / 89.0
    finger, palm = digit < 5, digit == 5
    share = y / length
    # the palm's colour fades out on the forearm
    palmar = _ramp(nz, -0.25, 0.45) * torch.where(finger, 1.0, 0.3 + 0.7 * _ramp(y, -25.0, 18.0))
    crease = _creases(digit, bone, x / size, y / size, share, nz, finger, palm)
    mottle = _lookup(
        look.texture, image, (x + 1.7 * z) * 0.55 + 7.0 * bone, (y - 0.6 * z) * 0.55 + 11.0 * digit
    )
    mottle = mottle + 0.7 * _lookup(look.texture, image, (x - z) * 0.17 + 3.0, (y + z) * 0.17 + 5.0 * digit)
    tip = torch.where(finger & (bone == 2), _ramp(share, 0.1, 0.9), 0.0)
    knuckle = torch.where(finger & (bone < 2), _bump(share - 1.0, 0.3) * (1 - palmar), 0.0)
    mount = torch.where(palm, palmar * _ramp((y / size - 30.0).abs(), 12.0, 40.0), 0.0)
    red = (0.75 * tip + 0.55 * knuckle + 0.4 * mount + 0.25 * mottle) * look.detail[image, 3]
    nail = _nail(torch.where(digit == 0, 0.78, 1.0) * x / size, share, nz, finger & (bone == 2))
    nail_rim = (4.0 * nail * (1.0 - nail)) * 0.35
    dark = (
        (1.0 - look.detail[image, 0] * crease)
        * (1.0 + 0.07 * look.detail[image, 1] * mottle)
        * (1.0 - nail_rim)
    )
    colours = []
    cloth = digit * 10 + bone == 61
    wave = y * look.stripes[image] / 1000.0
    stripe = _ramp((wave - wave.floor() - 0.5).abs(), 0.2, 0.3)
    for channel in range(3):
        base = look.skin[image, channel]
        shift = look.palm_shift[image, channel]
        skin = base * (1.0 + palmar * (shift - 1.0)) * dark * (1.0 + (0.05, -0.13, -0.10)[channel] * red)
        skin = skin * (1.0 - nail) + nail * (0.55 * skin + (0.50, 0.47, 0.52)[channel] * (0.22 + 0.9 * base))
        fabric = look.sleeve[image, 0, channel] * stripe + look.sleeve[image, 1, channel] * (1.0 - stripe)
        fabric = fabric * (1.0 + 0.12 * mottle)
        colours.append(torch.where(cloth, fabric, skin).clamp(0.0, 1.0))
    gloss = torch.where(cloth, 0.0, look.detail[image, 2] * (1.0 + 2.5 * nail) * (1.0 - 0.5 * crease))
    return (colours[0], colours[1], colours[2]), gloss


def _nail(x: torch.Tensor, share: torch.Tensor, nz: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Return how much of a pixel is nail: a rounded field on the back of the last bone."""
    across, along = x / 5.6, (share - 0.74) / 0.27
    across, along = across * across, along * along
    field = _ramp(1.0 - across * across - along * along, -0.02, 0.22) * _ramp(-nz, 0.25, 0.5)
    return torch.where(where, field, 0.0)


def _creases(
    digit: torch.Tensor,
    bone: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    share: torch.Tensor,
    nz: torch.Tensor,
    finger: torch.Tensor,
    palm: torch.Tensor,
) -> torch.Tensor:
    """Return the depth of flexion creases, knuckle wrinkles and palm lines, 0 to 1."""
    inside = _ramp(nz, -0.15, 0.5)
    mm = share * 30.0
    ends = torch.maximum(_bump(mm - 30.0, 1.5), _bump(mm, 1.5))
    base = torch.where(bone == 0, _bump(mm - 13.0, 1.6), 0.0)
    ends = torch.where((bone == 2) & (share > 0.5), 0.0, ends)
    wrinkles = torch.maximum(_bump((mm - 27.0).abs() - 2.2, 0.9), _bump(mm - 30.0, 0.8))
    wrinkles = torch.maximum(wrinkles, _bump((mm + 1.5).abs() - 1.5, 0.9))
    back = torch.where(bone < 2, wrinkles * 0.45, 0.0) * _ramp(-nz, 0.2, 0.7)
    fingers = torch.maximum(torch.maximum(ends, base) * inside, back) * finger
    lines = torch.zeros_like(x)
    for line in _PALM_LINES:
        for (x0, y0), (x1, y1) in pairwise(line):
            dx, dy = x1 - x0, y1 - y0
            t = (((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0)
            ex, ey = x - x0 - t * dx, y - y0 - t * dy
            lines = torch.maximum(lines, (1.0 - (ex * ex + ey * ey) / 3.0).clamp_min(0.0))
    lines = lines * _ramp(nz, 0.2, 0.6) * palm
    wrist = torch.where(
        digit >= 5, torch.maximum(_bump(y + 2.0, 1.2), 0.7 * _bump(y + 8.0, 1.1)) * inside, 0.0
    )
    return torch.maximum(torch.maximum(fingers, lines), 0.5 * wrist)


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


def _shadow(scene: Scene, look: Look, image: torch.Tensor, point: Triple, size: int) -> torch.Tensor:
    """Return 0 where another part stands in the key light and 1 where it does not, with soft edges."""
    n = len(scene.a)
    centre = look.origins[:, 15] + 1.1 * (look.origins[:, 6] - look.origins[:, 15])
    w = -look.key
    helper = torch.where(w[:, 1:2].abs() < 0.8, torch.tensor([0.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 0.0]))
    u = torch.linalg.cross(helper, w)
    u = u / (u[:, :1] ** 2 + u[:, 1:2] ** 2 + u[:, 2:] ** 2).sqrt()
    v = torch.linalg.cross(w, u)
    axes = torch.stack([u, v, w], dim=1)
    away = 900.0

    def seen(points: torch.Tensor) -> torch.Tensor:
        moved = points - centre[:, None]
        x, y, z = moved.unbind(-1)
        rows = [axes[:, None, i, 0] * x + axes[:, None, i, 1] * y + axes[:, None, i, 2] * z for i in range(3)]
        rows[2] = rows[2] + away
        return torch.stack(rows, dim=-1)

    focal = torch.full((n,), size * away / 260.0)
    camera = torch.stack([focal, focal, torch.full((n,), 0.5 * size), torch.full((n,), 0.5 * size)], dim=1)
    light = Scene(seen(scene.a), seen(scene.b), scene.radii, camera, size)
    hits = trace(light)
    near = torch.full((n * size * size,), 1e9)
    near[hits.pixel] = hits.depth
    moved = [point[i] - centre[image, i] for i in range(3)]
    x, y, z = (
        axes[image, i, 0] * moved[0] + axes[image, i, 1] * moved[1] + axes[image, i, 2] * moved[2]
        for i in range(3)
    )
    z = z + away
    px, py = focal[0] * x / z + 0.5 * size, focal[0] * y / z + 0.5 * size
    x0, y0 = (px + 0.5).floor(), (py + 0.5).floor()
    lit = torch.zeros_like(z)
    for dy, wy in _spline(py - y0):
        row = image * size + (y0 + dy).clamp(0, size - 1).to(torch.int64)
        for dx, wx in _spline(px - x0):
            ahead = z - near[row * size + (x0 + dx).clamp(0, size - 1).to(torch.int64)]
            lit = lit + wx * wy * (1.0 - ((ahead - 5.0) / 7.0).clamp(0.0, 1.0))
    return lit


def _spline(t: torch.Tensor) -> list[tuple[int, torch.Tensor]]:
    """Return the offsets and weights of the quadratic B-spline for t in [-0.5, 0.5]."""
    return [(-1, 0.5 * (0.5 - t) * (0.5 - t)), (0, 0.75 - t * t), (1, 0.5 * (0.5 + t) * (0.5 + t))]


def shade(
    scene: Scene, hits: Hits, normal: Triple, inward: torch.Tensor, depth: torch.Tensor, look: Look
) -> torch.Tensor:
    """Return the colours of the pixels that show the hand, linear light, shape (n_hits, 3)."""
    n, size = len(scene.a), scene.size
    image = hits.pixel // (size * size)
    point = (hits.ray[0] * depth, hits.ray[1] * depth, depth)
    albedo, gloss = _albedo(look, image, hits.cone, point, inward)
    lit = _shadow(scene, look, image, point, 56)
    field = torch.zeros(n * size * size)
    field[hits.pixel] = depth
    distance = look.origins[:, 15, 2]
    sky = _occlusion(field.reshape(n, size, size), distance / scene.camera[:, 0]).reshape(-1)[hits.pixel]
    key = [look.key[image, i] for i in range(3)]
    facing = normal[0] * key[0] + normal[1] * key[1] + normal[2] * key[2]
    ray = (hits.ray[0] ** 2 + hits.ray[1] ** 2 + 1.0).sqrt()
    half = [key[0] - hits.ray[0] / ray, key[1] - hits.ray[1] / ray, key[2] - 1.0 / ray]
    norm = (half[0] ** 2 + half[1] ** 2 + half[2] ** 2).sqrt().clamp_min(1e-3)
    shine = ((normal[0] * half[0] + normal[1] * half[1] + normal[2] * half[2]) / norm).clamp_min(0.0)
    shine = shine * shine
    shine = shine * shine
    shine = shine * shine
    shine = shine * shine * gloss * lit
    up = 0.5 - 0.5 * normal[1]
    colours = []
    for channel in range(3):
        wrap = (0.42, 0.27, 0.22)[channel]
        direct = ((facing + wrap) / (1.0 + wrap)).clamp_min(0.0) * (lit * (1.0 - 0.25 * wrap) + 0.25 * wrap)
        ambient = look.ground[image, channel] * (1.0 - up) + look.sky[image, channel] * up
        # light between near skin surfaces turns red
        tinted = sky + (0.10, 0.02, 0.0)[channel] * (1.0 - sky)
        light = look.key_colour[image, channel] * direct * (0.4 + 0.6 * sky) + ambient * tinted
        colours.append(albedo[channel] * light + shine * look.key_colour[image, channel])
    return torch.stack(colours, dim=-1)
