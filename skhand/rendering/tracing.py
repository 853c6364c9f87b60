"""Rays against round cones, by tiles: what is hit first, how deep, and the smoothed surface there.

Only operations whose result is exact or correctly rounded are used on pixels (no exp, no matrix
products, no fused multiplication and addition), so a picture does not depend on what is rendered
beside it. Misses are kept out by adding a large number rather than by a choice, which is slower.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from skhand.rendering.cones import BLEND, NEIGHBOURS

__all__ = ["FAR", "Hits", "Scene", "first_hit", "smooth", "trace"]

FAR = 1.0e9
_TILE = 4
_COARSE = 4
_MISS = 1.0e20
Triple = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass
class Scene:
    """Round cones in front of a camera, in its frame.

    Attributes
    ----------
    a, b : Tensor of shape (n, n_cones, 3), mm
        Centres of the two balls; both lie wholly before the camera.
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
    image : Tensor of shape (n_hits,), int64
    cone : Tensor of shape (n_hits,), int64
    depth : Tensor of shape (n_hits,), mm along z
    ray : tuple of two Tensors of shape (n_hits,)
        x/z and y/z of the pixel's ray.
    """

    pixel: torch.Tensor
    image: torch.Tensor
    cone: torch.Tensor
    depth: torch.Tensor
    ray: tuple[torch.Tensor, torch.Tensor]


def _constants(scene: Scene) -> torch.Tensor:
    """Return what rays from the origin need of each cone, shape (n, n_cones, 15)."""
    a, b, radii = scene.a.double(), scene.b.double(), scene.radii.double()
    u, ra, rb = b - a, radii[..., 0], radii[..., 1]
    taper = ra - rb
    length2, along = (u * u).sum(-1), -(u * a).sum(-1)
    slant2 = length2 - taper * taper
    edge = ra * taper
    dist_a, dist_b = (a * a).sum(-1) - ra * ra, (b * b).sum(-1) - rb * rb
    k0 = slant2 * (dist_a + ra * ra) - along * along + 2.0 * along * edge - length2 * ra * ra
    rows = [
        u[..., 0],
        u[..., 1],
        u[..., 2],
        a[..., 0],
        a[..., 1],
        a[..., 2],
        slant2,
        edge - along,
        k0,
        dist_a,
        dist_b,
    ]
    return torch.stack(rows, dim=-1).float()


def _first(table: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return z where rays (x, y, 1) first meet the cones of a table of `_constants`, FAR and more if never.

    Parameters
    ----------
    table : Tensor of shape (..., 11)
    x, y : Tensor of shape (..., k)

    Returns
    -------
    z : Tensor of shape (..., k), mm
    """
    ux, uy, uz, ax, ay, az, slant2, shift, k0, dist_a, dist_b = table.unsqueeze(-1).unbind(-2)
    ray2 = (x * x).add_(y * y).add_(1.0)
    along = (x * ux).add_(y * uy).add_(uz)
    to_a = (x * ax).add_(y * ay).add_(az)
    # the flank: k2 z^2 + 2 k1 z + k0 = 0
    k2 = (ray2 * slant2).sub_(along * along)
    k1 = (along * shift).sub_(to_a * slant2)
    flank = (k1 * k1).sub_(k2 * k0)
    z = flank.clamp_min(0.0).sqrt_().add_(k1).div_(k2).neg_()
    place = (z * along).sub_(shift)
    outside = torch.minimum(torch.minimum(slant2 - place, place), flank)
    z.add_(outside.mul_(-_MISS).clamp_(0.0, FAR))
    # the two balls: ray2 z^2 - 2 to z + dist = 0
    for to, dist in ((to_a, dist_a), (to_a + along, dist_b)):
        ball = (to * to).sub_(ray2 * dist)
        near = to.sub(ball.clamp_min(0.0).sqrt_()).div_(ray2)
        z = torch.minimum(z, near.add_(ball.mul_(-_MISS).clamp_(0.0, FAR)))
    return z


def first_hit(scene: Scene, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return z (mm) of what rays (x, y, 1) meet first, at least FAR for nothing; x and y of shape (n, k)."""
    return _first(_constants(scene), x[:, None], y[:, None]).amin(dim=1)


def _circles(scene: Scene) -> list[torch.Tensor]:
    """Return the tapered strips that cover the cones in the picture, fields of shape (n * n_cones,).

    Fields: u and v of the one end, the vector to the other, one over its squared length, the radius at
    the one end and how much more it is at the other, px.
    """
    fx, fy, cx, cy = (v[:, None] for v in scene.camera.unbind(-1))
    focal = torch.maximum(fx, fy)

    def circle(centre: torch.Tensor, radius: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x, y, z = centre.unbind(-1)
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
    return [v.reshape(-1) for v in (ua, va, du, dv, 1.0 / length2, ra, rb - ra)]


def _meets(circles: list[torch.Tensor], u: torch.Tensor, v: torch.Tensor, side: int) -> torch.Tensor:
    """Return whether strips, given as fields that broadcast, may meet tiles whose middles are (u, v), px."""
    ua, va, du, dv, inverse, ra, grow = circles
    gu, gv = u - ua, v - va
    t = (gu * du).add_(gv * dv).mul_(inverse).clamp_(0.0, 1.0)
    gu.sub_(t * du)
    gv.sub_(t * dv)
    reach = (t * grow).add_(ra).add_(0.7072 * (side - 1))
    return gu.mul_(gu).add_(gv.mul_(gv)) < reach.mul_(reach)


def _pairs(scene: Scene, tiles: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (cone of the batch, row and column of the tile) that may meet, by 2D distance, in two steps."""
    device = scene.a.device
    circles = _circles(scene)
    coarse, side = tiles // _COARSE, _TILE * _COARSE
    middle = torch.arange(coarse, dtype=torch.float32, device=device) * side + 0.5 * (side - 1)
    met = _meets([v[:, None] for v in circles], middle.repeat(coarse), middle.repeat_interleave(coarse), side)
    cone, block = met.nonzero().unbind(-1)
    lane = torch.arange(_COARSE, device=device)
    row = (block // coarse * _COARSE)[:, None] + lane.repeat_interleave(_COARSE)
    column = (block % coarse * _COARSE)[:, None] + lane.repeat(_COARSE)
    centre = 0.5 * (_TILE - 1)
    met = _meets([v[cone][:, None] for v in circles], column * _TILE + centre, row * _TILE + centre, _TILE)
    pair, sub = met.nonzero().unbind(-1)
    return cone[pair], row[pair, sub], column[pair, sub]


def trace(scene: Scene) -> Hits:
    """Find what each pixel shows.

    Depths are compared in steps of 2**8 units of the last place (0.01 mm at half a metre), and equal
    ones go to the cone with the larger number, so that the ball which two cones share has one owner.
    """
    n, n_cones = scene.a.shape[:2]
    size, device = scene.size, scene.a.device
    tiles = _COARSE * -(-size // (_TILE * _COARSE))
    cone, row, column = _pairs(scene, tiles)
    image = cone // n_cones
    lane = torch.arange(_TILE, device=device)
    fx, fy, cx, cy = (v[:, None] for v in scene.camera[image].unbind(-1))
    x = ((column * _TILE)[:, None] + lane.repeat(_TILE)).sub(cx).div_(fx)
    y = ((row * _TILE)[:, None] + lane.repeat_interleave(_TILE)).sub(cy).div_(fy)
    z = _first(_constants(scene).reshape(n * n_cones, -1).index_select(0, cone), x, y)
    # the cone's number takes the place of the depth's last bits, and the smallest number wins
    last = (255 - cone % n_cones).to(torch.int32)[:, None]
    key = z.view(torch.int32).bitwise_and_(~255).bitwise_or_(last).view(torch.float32)
    nearest = torch.full((n * tiles * tiles, _TILE * _TILE), FAR, dtype=torch.float32, device=device)
    tile = (image * tiles + row) * tiles + column
    nearest.scatter_reduce_(0, tile[:, None].expand_as(key), key, "amin")
    grid = nearest.reshape(n, tiles, tiles, _TILE, _TILE).permute(0, 1, 3, 2, 4)
    seen = grid.reshape(n, tiles * _TILE, tiles * _TILE)[:, :size, :size].reshape(-1)
    pixel = (seen < 0.5 * FAR).nonzero()[:, 0]
    key = seen[pixel].view(torch.int32)
    image = pixel // (size * size)
    place = pixel - image * (size * size)
    row = place // size
    fx, fy, cx, cy = scene.camera.t().contiguous().index_select(1, image).unbind(0)
    ray = ((place - row * size - cx) / fx, (row - cy) / fy)
    return Hits(pixel, image, 255 - (key & 255).long(), ((key & ~255) | 128).view(torch.float32), ray)


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
    n_cones, device = scene.a.shape[1], scene.a.device
    table = _surfaces(scene, palmar)
    base = hits.image * (n_cones + 1)
    (x, y), z = hits.ray, hits.depth
    point = (x * z, y * z, z)
    blend = torch.as_tensor(BLEND, dtype=torch.float32, device=device)[hits.cone]
    row = table.index_select(1, base + hits.cone)
    _, gradient = _distance(row, point)
    total = [*gradient, *row[10:].unbind(0)]
    raised = torch.zeros_like(z)
    for others in torch.as_tensor(NEIGHBOURS, device=device).t().contiguous():
        row = table.index_select(1, base + others[hits.cone])
        distance, gradient = _distance(row, point)
        weight = distance.abs_().div_(blend).neg_().add_(1.0).clamp_min_(0.0)
        weight.mul_(weight)
        for sums, values in zip(total, (*gradient, *row[10:].unbind(0)), strict=True):
            sums.add_(values.mul_(weight))
        raised.add_(weight)
    nx, ny, nz, px, py, pz = total
    norm = (nx * nx + ny * ny + nz * nz).sqrt_().clamp_min_(1e-6)
    normal = (nx.div_(norm), ny.div_(norm), nz.div_(norm))
    fillet = blend.mul_(0.25).mul_(raised.clamp_max_(1.0))
    toward = -(normal[0] * x + normal[1] * y + normal[2])
    side = (px * px + py * py + pz * pz).sqrt_().clamp_min_(1e-6)
    inward = (normal[0] * px + normal[1] * py + normal[2] * pz).div_(side)
    return normal, z - fillet / toward.clamp_min(0.35), inward


def _surfaces(scene: Scene, palmar: torch.Tensor) -> torch.Tensor:
    """Return what distances to the cones need, then their palmar sides, shape (13, n * (n_cones + 1)).

    Each image's last cone stands for none and is far from everything.
    """
    n = len(scene.a)
    u = scene.b - scene.a
    length = (u[..., 0] ** 2 + u[..., 1] ** 2 + u[..., 2] ** 2).sqrt().clamp_min(1e-3)
    taper = scene.radii[..., 0] - scene.radii[..., 1]
    slope = taper / (length * length - taper * taper).clamp_min(1e-3).sqrt()
    shape = torch.stack([scene.radii[..., 0], length, taper / length, slope], dim=-1)
    rows = torch.cat([scene.a, u / length[..., None], shape, palmar], dim=-1)
    none = torch.zeros(n, 1, rows.shape[-1], dtype=rows.dtype, device=rows.device)
    none[..., 2], none[..., 4], none[..., 7] = -1e5, 1.0, 1.0
    return torch.cat([rows, none], dim=1).reshape(-1, rows.shape[-1]).t().contiguous()


def _distance(row: torch.Tensor, point: Triple) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the signed distance of points to round cones, mm, and its gradient."""
    ax, ay, az, ux, uy, uz, radius, length, thins, slope = row[:10].unbind(0)
    px, py, pz = point[0] - ax, point[1] - ay, point[2] - az
    along = (px * ux).add_(py * uy).add_(pz * uz)
    across = (px * px).add_(py * py).add_(pz * pz).sub_(along * along).clamp_min_(0.0).sqrt_()
    foot = torch.minimum(along.sub_(across.mul_(slope)).clamp_min_(0.0), length)
    gradient = [px.sub_(foot * ux), py.sub_(foot * uy), pz.sub_(foot * uz)]
    far = (px * px).add_(py * py).add_(pz * pz).sqrt_().clamp_min_(1e-6)
    for part in gradient:
        part.div_(far)
    return far.sub_(radius).add_(foot.mul_(thins)), gradient
