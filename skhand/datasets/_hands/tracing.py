"""Rays against round cones, by tiles: what is hit first, how deep, and the smoothed surface there.

Only operations whose result is exact or correctly rounded are used on pixels (no exp, no matrix
products), so a picture does not depend on what is rendered beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from skhand.datasets._hands.cones import BLEND, NEIGHBOURS

__all__ = ["FAR", "Hits", "Scene", "smooth", "trace"]

FAR = 1.0e9
_NEAR = 60.0
Triple = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass
class Scene:
    """Round cones in a camera's frame.

    Attributes
    ----------
    a, b : Tensor of shape (n, n_cones, 3), mm
    radii : Tensor of shape (n, n_cones, 2), mm
    camera : Tensor of shape (n, 4), px
        fx, fy, cx, cy.
    size : int, px
        Height and width of the picture.
    """

    a: torch.Tensor
    b: torch.Tensor
    radii: torch.Tensor
    camera: torch.Tensor
    size: int


@dataclass
class Hits:
    """The pixels that show a cone, as flat lists.

    Attributes
    ----------
    pixel : Tensor of shape (n_hits,), int64
        (image * size + row) * size + column.
    cone : Tensor of shape (n_hits,), int64
    depth : Tensor of shape (n_hits,), mm along z
    ray : tuple of two Tensors of shape (n_hits,)
        x/z and y/z of the pixel's ray.
    """

    pixel: torch.Tensor
    cone: torch.Tensor
    depth: torch.Tensor
    ray: tuple[torch.Tensor, torch.Tensor]


def intersect(
    a: torch.Tensor, b: torch.Tensor, radii: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """Return z of the first intersection of rays (x, y, 1) from the origin with round cones, FAR if none.

    Parameters
    ----------
    a, b : Tensor of shape (..., 3), mm
    radii : Tensor of shape (..., 2), mm
    x, y : Tensor of shape (..., k)
        k rays for each cone.

    Returns
    -------
    z : Tensor of shape (..., k), mm
    """
    ax, ay, az = (v.unsqueeze(-1) for v in a.unbind(-1))
    bx, by, bz = (v.unsqueeze(-1) for v in b.unbind(-1))
    ra, rb = (v.unsqueeze(-1) for v in radii.unbind(-1))
    ux, uy, uz = bx - ax, by - ay, bz - az
    taper = ra - rb
    length2 = ux * ux + uy * uy + uz * uz
    along_a = -(ux * ax + uy * ay + uz * az)
    slant2 = length2 - taper * taper
    dist_a = ax * ax + ay * ay + az * az - ra * ra
    dist_b = bx * bx + by * by + bz * bz - rb * rb
    ray2 = x * x + y * y + 1.0
    m2 = ux * x + uy * y + uz
    m3 = -(ax * x + ay * y + az)
    edge = ra * taper
    k2 = slant2 * ray2 - m2 * m2
    k1 = slant2 * m3 + m2 * (edge - along_a)
    k0 = slant2 * (dist_a + ra * ra) - along_a * along_a + 2.0 * along_a * edge - length2 * ra * ra
    flank = k1 * k1 - k0 * k2
    z = -(flank.clamp_min(0.0).sqrt() + k1) / k2
    place = along_a - edge + z * m2
    z = torch.where((flank >= 0) & (place > 0) & (place < slant2) & (z > _NEAR), z, FAR)
    m6 = m3 - m2
    ball_a = m3 * m3 - ray2 * dist_a
    ball_b = m6 * m6 - ray2 * dist_b
    z_a = -(m3 + ball_a.clamp_min(0.0).sqrt()) / ray2
    z_b = -(m6 + ball_b.clamp_min(0.0).sqrt()) / ray2
    z_a = torch.where((ball_a >= 0) & (z_a > _NEAR), z_a, FAR)
    z_b = torch.where((ball_b >= 0) & (z_b > _NEAR), z_b, FAR)
    return torch.minimum(z, torch.minimum(z_a, z_b))


def _tile(size: int) -> int:
    """Return the side of the square tiles that are culled together, px."""
    return 4 if size <= 128 else 8


def _pairs(scene: Scene) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (image, tile, cone) of the pairs that may meet, by 2D distance."""
    fx, fy, cx, cy = (v[:, None] for v in scene.camera.unbind(-1))
    focal = torch.maximum(fx, fy)

    def circle(centre: torch.Tensor, radius: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x, y, z = centre.unbind(-1)
        z = z.clamp_min(_NEAR)
        depth = (z * z - radius * radius).clamp_min(1.0).sqrt()
        wide = 1.0 + 0.5 * ((x / z) * (x / z) + (y / z) * (y / z))
        return fx * x / z + cx, fy * y / z + cy, 1.05 * focal * radius / depth * wide + 0.5

    ua, va, ra = circle(scene.a, scene.radii[..., 0])
    ub, vb, rb = circle(scene.b, scene.radii[..., 1])
    du, dv = ub - ua, vb - va
    length2 = du * du + dv * dv + 1e-6
    steep = (ra - rb) * (ra - rb) > 0.1 * length2
    widest = torch.maximum(ra, rb)
    ra, rb = torch.where(steep, widest, ra), torch.where(steep, widest, rb)
    side = _tile(scene.size)
    tiles = -(-scene.size // side)
    middle = torch.arange(tiles) * side + 0.5 * (side - 1)
    pu, pv = middle.repeat(tiles)[None, :, None], middle.repeat_interleave(tiles)[None, :, None]
    gu, gv = pu - ua[:, None], pv - va[:, None]
    t = ((gu * du[:, None] + gv * dv[:, None]) / length2[:, None]).clamp(0.0, 1.0)
    eu, ev = gu - t * du[:, None], gv - t * dv[:, None]
    reach = ra[:, None] + t * (rb - ra)[:, None] + 0.7072 * (side - 1)
    image, tile, cone = (eu * eu + ev * ev < reach * reach).nonzero().unbind(-1)
    return image, tile, cone


def trace(scene: Scene) -> Hits:
    """Find what each pixel shows.

    Depths are compared in steps of 2**8 units of the last place (0.01 mm at half a metre), and equal
    ones go to the cone with the larger number, so that the ball which two cones share has one owner.
    """
    n, n_cones = scene.a.shape[:2]
    size, side = scene.size, _tile(scene.size)
    tiles = -(-size // side)
    image, tile, cone = _pairs(scene)
    table = torch.cat([scene.a, scene.b, scene.radii], dim=-1).reshape(n * n_cones, 8)[image * n_cones + cone]
    lane = torch.arange(side)
    column = (tile % tiles * side)[:, None] + lane.repeat(side)
    row = (tile // tiles * side)[:, None] + lane.repeat_interleave(side)
    fx, fy, cx, cy = (v[:, None] for v in scene.camera[image].unbind(-1))
    z = intersect(table[:, :3], table[:, 3:6], table[:, 6:], (column - cx) / fx, (row - cy) / fy)
    # the cone's number takes the place of the depth's last bits, and the smallest number wins
    key = ((z.view(torch.int32) & ~255) | (255 - cone[:, None]).to(torch.int32)).view(torch.float32)
    nearest = torch.full((n * tiles * tiles, side * side), FAR)
    nearest.scatter_reduce_(0, (image * tiles * tiles + tile)[:, None].expand_as(key), key, "amin")
    grid = nearest.reshape(n, tiles, tiles, side, side).permute(0, 1, 3, 2, 4)
    seen = grid.reshape(n, tiles * side, tiles * side)[:, :size, :size].reshape(-1)
    pixel = (seen < 0.5 * FAR).nonzero()[:, 0]
    key = seen[pixel].view(torch.int32)
    where = scene.camera[pixel // (size * size)]
    x = (pixel % size - where[:, 2]) / where[:, 0]
    y = (pixel // size % size - where[:, 3]) / where[:, 1]
    return Hits(pixel, 255 - (key & 255).long(), ((key & ~255) | 128).view(torch.float32), (x, y))


def smooth(scene: Scene, hits: Hits, palmar: torch.Tensor) -> tuple[Triple, torch.Tensor, torch.Tensor]:
    """Smooth the seams between adjacent cones.

    Parameters
    ----------
    scene : Scene
    hits : Hits
    palmar : Tensor of shape (n, n_cones, 3)
        Unit vector to the palmar side of each cone, camera frame.

    Returns
    -------
    normal : tuple of three Tensors of shape (n_hits,)
        Unit normals, camera frame.
    depth : Tensor of shape (n_hits,), mm
        After one step to the smoothed surface.
    inward : Tensor of shape (n_hits,)
        Cosine between the normal and the palmar side, smoothed in the same way.
    """
    n, n_cones = scene.a.shape[:2]
    u = scene.b - scene.a
    length = (u[..., 0] ** 2 + u[..., 1] ** 2 + u[..., 2] ** 2).sqrt().clamp_min(1e-3)
    taper = scene.radii[..., 0] - scene.radii[..., 1]
    slope = taper / (length * length - taper * taper).clamp_min(1e-3).sqrt()
    rows = torch.cat(
        [
            scene.a,
            u / length[..., None],
            scene.radii[..., :1],
            torch.stack([length, taper, slope], -1),
            palmar,
        ],
        -1,
    )
    none = torch.zeros(n, 1, rows.shape[-1])
    none[..., 2], none[..., 4] = -1e5, 1.0
    none[..., 7] = 1.0
    table = torch.cat([rows, none], dim=1).reshape(n * (n_cones + 1), -1)
    image = hits.pixel // (scene.size * scene.size)
    x, y = hits.ray
    z = hits.depth
    point = (x * z, y * z, z)
    blend = torch.as_tensor(BLEND, dtype=torch.float32)[hits.cone]
    row = table[image * (n_cones + 1) + hits.cone]
    _, (nx, ny, nz) = _distance(row, point)
    px, py, pz = row[:, 10], row[:, 11], row[:, 12]
    raised = torch.zeros_like(z)
    neighbours = torch.as_tensor(NEIGHBOURS)
    for k in range(neighbours.shape[1]):
        other = neighbours[hits.cone, k]
        row = table[image * (n_cones + 1) + other]
        distance, (gx, gy, gz) = _distance(row, point)
        share = (1.0 - distance.abs() / blend).clamp_min(0.0)
        weight = share * share
        nx, ny, nz = nx + weight * gx, ny + weight * gy, nz + weight * gz
        px, py, pz = px + weight * row[:, 10], py + weight * row[:, 11], pz + weight * row[:, 12]
        raised = raised + weight
    norm = (nx * nx + ny * ny + nz * nz).sqrt().clamp_min(1e-6)
    normal = (nx / norm, ny / norm, nz / norm)
    fillet = 0.25 * blend * raised.clamp_max(1.0)
    toward = -(normal[0] * x + normal[1] * y + normal[2])
    side = (px * px + py * py + pz * pz).sqrt().clamp_min(1e-6)
    inward = (normal[0] * px + normal[1] * py + normal[2] * pz) / side
    return normal, z - fillet / toward.clamp_min(0.35), inward


def _distance(row: torch.Tensor, point: Triple) -> tuple[torch.Tensor, Triple]:
    """Return the signed distance of points to round cones, mm, and its gradient."""
    ax, ay, az, ux, uy, uz, radius, length, taper, slope = row[:, :10].unbind(-1)
    px, py, pz = point[0] - ax, point[1] - ay, point[2] - az
    along = px * ux + py * uy + pz * uz
    across = (px * px + py * py + pz * pz - along * along).clamp_min(0.0).sqrt()
    foot = torch.minimum((along - across * slope).clamp_min(0.0), length)
    gx, gy, gz = px - foot * ux, py - foot * uy, pz - foot * uz
    far = (gx * gx + gy * gy + gz * gz).sqrt().clamp_min(1e-6)
    return far - radius + taper * (foot / length), (gx / far, gy / far, gz / far)
