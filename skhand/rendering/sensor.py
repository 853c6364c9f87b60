"""Measurements of a depth camera: noise, steps, shadows, holes and flying pixels.

As in tracing.py, only exactly rounded operations touch pixels, so a picture does not depend on what is
measured beside it. Labels do not change: a joint stays where it is, whatever the camera saw of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import ndtri

from skhand.rendering.draws import Draws, raw_bytes

__all__ = ["LOSSY", "SENSOR_DRAWS", "STRUCTURED_LIGHT", "TIME_OF_FLIGHT", "Sensor", "draw_sensor", "sense"]

SENSOR_DRAWS = 6
GAP = 20.0
"""Neighbouring pixels that differ by more, in mm, lie on two surfaces: the two sides of an edge."""
REACH = 150.0
"""What lies farther behind the hand's centre, in mm, is removed, as by the usual cube of 300 mm."""
_PLANES = 6
_ANGLES = 1024
_OBLIQUE = 85.0
_NORMAL = ndtri((np.arange(256) + 0.5) / 256.0)
_NORMAL = (_NORMAL / _NORMAL.std()).astype(np.float32)


@dataclass(frozen=True)
class Sensor:
    """A depth camera in constants, and the ranges of what differs from picture to picture.

    With z in metres, theta the angle between the surface's normal and the ray, and
    q = theta / (pi / 2 - theta), the noise along z has the standard deviation, in mm,

        noise * (axial[0] + axial[1] z + axial[2] z^2 + oblique[0] z^oblique[1] / sqrt(z) q^2),

    and an edge is displaced in each picture direction by lateral[0] + lateral[1] q pixels of the sensor.

    Attributes
    ----------
    focal : float, px
        Of the sensor's own grid. A crop of another focal length shows that grid enlarged or thinned out.
    axial : tuple of three float
    oblique : tuple of (float, int)
    lateral : tuple of two float, px of the sensor
    grain : float, px of the sensor
        Neighbours share their noise over about this distance.
    baseline : float, mm
        The projector stands so far to the right of the camera; what it cannot see has no depth.
    steps : float
        Disparity is measured in ``1 / steps`` px of the sensor; 0 where there is no disparity. Depth is
        handed out in whole mm by all sensors.
    blur : float
        Weight of each of the four neighbours on the same surface, against 1 of the pixel itself.
    mixed : float
        Share of the sensor's pixels along an edge that gather light from both sides.
    noise, bias, graze, edge, speckle, wall : tuple of two float
        Bounds of uniform draws: factor on the noise; offset of the whole picture, mm; cosine of theta below
        which pixels begin to be lost (at half of it all are); share of lost pixels along edges; share of lost
        pixels anywhere; distance from the hand's centre back to the wall behind it, mm.
    """

    focal: float
    axial: tuple[float, float, float]
    oblique: tuple[float, int]
    lateral: tuple[float, float]
    grain: float
    baseline: float
    steps: float
    blur: float
    mixed: float
    noise: tuple[float, float]
    bias: tuple[float, float]
    graze: tuple[float, float]
    edge: tuple[float, float]
    speckle: tuple[float, float]
    wall: tuple[float, float] = (200.0, 1200.0)


STRUCTURED_LIGHT = Sensor(
    focal=588.0,
    axial=(1.504, -1.52, 1.9),
    oblique=(0.1, 0),
    lateral=(0.8, 0.035),
    grain=3.0,
    baseline=75.0,
    steps=8.0,
    blur=1.0,
    mixed=0.0,
    noise=(0.8, 1.25),
    bias=(-2.0, 2.0),
    graze=(0.2, 0.4),
    edge=(0.05, 0.35),
    speckle=(0.0, 0.004),
)
"""The first Kinect and its PrimeSense relatives, as behind NYU's pictures.

axial, oblique, lateral: Nguyen, Izadi, Lovell, "Modeling Kinect Sensor Noise for Improved 3D Reconstruction
and Tracking", 3DIMPVT 2012: sigma_z = 0.0012 + 0.0019 (z - 0.4)^2 + 0.0001 / sqrt(z) q^2 in m (here in mm and
multiplied out) and sigma_L = 0.8 + 0.035 q in px. baseline and steps: Khoshelham and Oude Elberink, "Accuracy
and Resolution of Kinect Depth Data for Indoor Mapping Applications", Sensors 12, 2012; z^2 / (8 * 588 * 75)
is their point spacing of 2.85e-5 z^2 (cm). focal: NYU's camera. All ranges, grain and blur are our choice.
"""

TIME_OF_FLIGHT = Sensor(
    focal=241.0,
    axial=(1.5, -0.5, 0.3),
    oblique=(0.1, 2),
    lateral=(0.58, 0.0),
    grain=0.5,
    baseline=0.0,
    steps=0.0,
    blur=0.3,
    mixed=0.8,
    noise=(1.0, 2.0),
    bias=(-4.0, 4.0),
    graze=(0.1, 0.25),
    edge=(0.0, 0.25),
    speckle=(0.0, 0.004),
)
"""Time of flight, as in the Creative camera behind ICVL's pictures and the second Kinect.

axial, oblique, lateral: Fankhauser et al., "Kinect v2 for Mobile Robot Navigation: Evaluation and Modeling",
ICAR 2015, indoors: sigma_z = 1.5 - 0.5 z + 0.3 z^2 + 0.1 z^1.5 q^2 in mm (z in m), and 1.6 mm across, which
is 0.58 px of that camera (365 px) at 1 m. focal: ICVL's camera. It is older and smaller than the second
Kinect, hence the factor of 1 to 2 on the noise; that, the other ranges, grain, blur and mixed are our choice.
"""

LOSSY = replace(STRUCTURED_LIGHT, bias=(-10.0, 10.0), graze=(0.5, 0.8), edge=(0.4, 0.8), speckle=(0.05, 0.2))
"""Structured light in bad shape: far more holes, and a depth that is off. Made up, for a wide gap."""


def draw_sensor(draws: Draws, sensor: Sensor) -> dict[str, torch.Tensor]:
    """Draw what differs from picture to picture, each tensor of shape (n,).

    ``draws`` is the stream "sensor", of which `SENSOR_DRAWS` numbers are used.
    """
    names = ("noise", "bias", "graze", "edge", "speckle", "wall")
    drawn = {
        name: draws.uniform(low=low, high=high) for name in names for low, high in [getattr(sensor, name)]
    }
    return {name: torch.from_numpy(value.astype(np.float32)) for name, value in drawn.items()}


def sense(
    depth: torch.Tensor,
    camera: torch.Tensor,
    centre: torch.Tensor,
    values: dict[str, torch.Tensor],
    sensor: Sensor,
    seed: int,
    rows: np.ndarray,
) -> torch.Tensor:
    """Return the depth that a camera would measure.

    In this order: a wall stands behind the hand; surfaces are blurred; pixels across an edge gather both
    sides (in proportion to 1 / z^2, the light that returns); edges are displaced; noise and the picture's
    bias are added; disparity and depth are rounded; what the projector does not reach, surfaces seen at a
    grazing angle, a share of the pixels along edges and single pixels anywhere are lost; what lies behind the
    cube is removed; where the crop is finer than the sensor, pixels that fall on the same one of the sensor's
    show the same.

    Parameters
    ----------
    depth : Tensor of shape (n, height, width), float32, mm
        Exact depth, 0 for nothing.
    camera : Tensor of shape (n, 4), px
        fx, fy, cx, cy of the crop.
    centre : Tensor of shape (n,), mm
        Depth of the hand's centre.
    values : dict of Tensor of shape (n,)
        From `draw_sensor`.
    sensor : Sensor
    seed : int
    rows : ndarray of shape (n,)
        Row i's random numbers depend on ``(seed, i)`` alone.

    Returns
    -------
    measured : Tensor of shape (n, height, width), float32, mm
        Whole numbers, 0 where nothing was measured. On the device of ``depth``.
    """
    camera, centre = (v.to(depth.device)[:, :, None] for v in (camera, centre[:, None]))
    drawn = {name: value.to(depth.device)[:, None, None] for name, value in values.items()}
    pitch = camera[:, :2] / sensor.focal
    shifts, chances = _random(seed, rows, depth)
    field = torch.where(depth > 0, depth, centre + drawn["wall"])
    gaps = _gaps(field, pitch)
    sizes = [gap.abs() for gap in gaps]
    cosine, oblique = _incidence(field, gaps, sizes, camera, pitch)
    edge = torch.maximum(torch.maximum(sizes[0], sizes[1]), torch.maximum(sizes[2], sizes[3])) > GAP
    fine = pitch[:, :1].clamp_max(1.0)
    measured = _blur(field, gaps, sizes, sensor.blur * fine)
    if sensor.mixed > 0:
        far = _mix(field, gaps, sizes, chances[:, 1], sensor.mixed * fine)
        measured = torch.where(edge, far, measured)
    measured = _displace(measured, shifts[:, 1:], pitch, sensor.lateral[0] + sensor.lateral[1] * oblique)
    grain = _spread(shifts[:, 0], sensor.grain * pitch[:, :1])
    measured = measured + drawn["bias"] + drawn["noise"] * _axial(measured, oblique, sensor) * grain
    measured = _steps(measured, sensor)
    lost = drawn["speckle"] + edge * drawn["edge"] + (2.0 - 2.0 * cosine / drawn["graze"]).clamp(0.0, 1.0)
    keep = (chances[:, 0] >= lost) & (measured > 0) & (measured <= centre + REACH)
    if sensor.baseline > 0:
        keep = keep & _lit(field, camera, sensor.baseline)
    return _blocks(torch.where(keep, measured, 0.0), camera, pitch)


def _random(seed: int, rows: np.ndarray, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return three standard normal numbers a pixel, and two uniform ones (steps of 2**-16 and 2**-8)."""
    # the stream's first numbers, of 8 bytes each, are those of draw_sensor
    used, size = 8 * SENSOR_DRAWS, _PLANES * like[0].numel()
    raw = raw_bytes(seed, "sensor", rows, (used + size,))[:, used:].reshape(-1, _PLANES, *like.shape[1:])
    normal = torch.as_tensor(_NORMAL[raw[:, :3]], device=like.device)
    fine, coarse, chance = torch.as_tensor(raw[:, 3:].astype(np.float32), device=like.device).unbind(1)
    return normal, torch.stack([(coarse * 256.0 + fine) / 65536.0, chance / 256.0], dim=1)


def _gaps(field: torch.Tensor, pitch: torch.Tensor) -> list[torch.Tensor]:
    """Return how much deeper the next pixels left, right, above and below are, on the coarser grid."""
    gaps = []
    for dim, spacing in ((2, pitch[:, 0]), (1, pitch[:, 1])):
        last = field.shape[dim] - 1
        place = torch.arange(last + 1, device=field.device)[None]
        step = spacing.round().clamp_min(1.0).long()
        for index in (place - step, place + step):
            # the border is a mirror
            index = (last - (last - index.abs()).abs()).clamp(0, last)
            gaps.append(_pick(field, index, dim) - field)
    return gaps


def _pick(picture: torch.Tensor, index: torch.Tensor, dim: int) -> torch.Tensor:
    """Return the rows (``dim`` 1) or columns (2) of each picture that ``index`` (n, count) names."""
    if dim == 1:
        return picture[torch.arange(len(picture), device=picture.device)[:, None], index]
    return picture.gather(2, index[:, None, :].expand(-1, picture.shape[1], -1))


def _incidence(
    field: torch.Tensor,
    gaps: list[torch.Tensor],
    sizes: list[torch.Tensor],
    camera: torch.Tensor,
    pitch: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cosine between normal and ray, and q of `Sensor`.

    The slope is the smaller of the two one-sided differences, so that an edge is no slope.
    """
    step = pitch.round().clamp_min(1.0)
    x, y = _rays(field, camera)
    slopes = []
    for axis in (0, 1):
        before, after = 2 * axis, 2 * axis + 1
        smaller = torch.where(sizes[before] < sizes[after], -gaps[before], gaps[after])
        slopes.append(smaller / field * (camera[:, axis : axis + 1] / step[:, axis : axis + 1]))
    a, b = slopes
    inward = 1.0 + a * x + b * y
    cosine = 1.0 / ((a * a + b * b + inward * inward) * (x * x + y * y + 1.0)).sqrt()
    theta = np.arccos((np.arange(_ANGLES) + 0.5) / _ANGLES).clip(0.0, np.deg2rad(_OBLIQUE))
    table = torch.as_tensor(theta / (np.pi / 2 - theta), dtype=torch.float32, device=field.device)
    return cosine, table[(cosine * _ANGLES).long().clamp(0, _ANGLES - 1)]


def _rays(field: torch.Tensor, camera: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return x/z of the columns, (n, 1, width), and y/z of the rows, (n, height, 1)."""
    fx, fy, cx, cy = camera[:, :, None].unbind(1)
    column = torch.arange(field.shape[2], device=field.device, dtype=torch.float32)[None, None, :]
    row = torch.arange(field.shape[1], device=field.device, dtype=torch.float32)[None, :, None]
    return (column - cx) / fx, (row - cy) / fy


def _blur(
    field: torch.Tensor, gaps: list[torch.Tensor], sizes: list[torch.Tensor], weight: torch.Tensor
) -> torch.Tensor:
    """Return the weighted mean of pixels and their neighbours, without those across an edge."""
    total = torch.zeros_like(field)
    for gap, size in zip(gaps, sizes, strict=True):
        total = total + torch.where(size <= GAP, gap, 0.0)
    return field + total * (weight / (1.0 + 4.0 * weight))


def _mix(
    field: torch.Tensor,
    gaps: list[torch.Tensor],
    sizes: list[torch.Tensor],
    chance: torch.Tensor,
    share: torch.Tensor,
) -> torch.Tensor:
    """Return the depth of pixels along an edge, some of which gather light from its other side too.

    A ``share`` of them do, and see 0 to 1 times as much of the other side as of their own. A crop that is
    coarser than the sensor shows fewer of them.
    """
    gap, size = gaps[0], sizes[0]
    for other, other_size in zip(gaps[1:], sizes[1:], strict=True):
        gap = torch.where(other_size > size, other, gap)
        size = torch.maximum(other_size, size)
    ratio = field / (field + gap)
    light = (1.0 - chance / share).clamp_min(0.0) * (ratio * ratio)
    return field + gap * (light / (1.0 + light))


def _displace(
    field: torch.Tensor, shifts: torch.Tensor, pitch: torch.Tensor, lateral: torch.Tensor
) -> torch.Tensor:
    """Return what a displaced pixel sees where that is another surface, and what it saw elsewhere."""
    n, height, width = field.shape
    still = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float32, device=field.device)
    x, y = _rays(field, still[None, :, None])
    column = (x + shifts[:, 0] * lateral * pitch[:, :1]).round().clamp(0, width - 1)
    row = (y + shifts[:, 1] * lateral * pitch[:, 1:]).round().clamp(0, height - 1)
    index = (row * width + column).long().reshape(n, -1)
    moved = field.reshape(n, -1).gather(1, index).reshape(field.shape)
    return torch.where((moved - field).abs() > GAP, moved, field)


def _spread(noise: torch.Tensor, reach: torch.Tensor) -> torch.Tensor:
    """Blur standard normal numbers with a 3 x 3 kernel as wide as ``reach`` (px), keeping their variance."""
    side = 0.25 * reach.clamp_max(1.0)
    size = (1.0 - 4.0 * side + 6.0 * side * side).sqrt()
    for axis in (1, 2):
        last = noise.shape[axis] - 1
        before = torch.cat([noise.narrow(axis, last, 1), noise.narrow(axis, 0, last)], dim=axis)
        after = torch.cat([noise.narrow(axis, 1, last), noise.narrow(axis, 0, 1)], dim=axis)
        noise = (noise * (1.0 - 2.0 * side) + (before + after) * side) / size
    return noise


def _axial(depth: torch.Tensor, oblique: torch.Tensor, sensor: Sensor) -> torch.Tensor:
    """Return the standard deviation that is to be added, mm: the rounding's own is taken off."""
    z = depth * 0.001
    (a, b, c), (d, power) = sensor.axial, sensor.oblique
    sigma = a + b * z + c * z * z + d * (z**power / z.sqrt()) * (oblique * oblique)
    step = depth * depth / (sensor.steps * sensor.focal * sensor.baseline) if sensor.steps else 0.0 * depth
    return (sigma * sigma - (step * step + 1.0) / 12.0).clamp_min(0.0).sqrt()


def _steps(depth: torch.Tensor, sensor: Sensor) -> torch.Tensor:
    """Round to the sensor's steps of disparity, if it has any, and to whole mm."""
    if sensor.steps:
        scale = sensor.steps * sensor.focal * sensor.baseline
        depth = scale / (scale / depth).round()
    return depth.round()


def _lit(field: torch.Tensor, camera: torch.Tensor, baseline: float) -> torch.Tensor:
    """Return which pixels the projector reaches.

    Seen from the projector a pixel lies ``fx * baseline / z`` farther left. It is in the shadow if any pixel
    to its right comes to lie left of it there: that one is nearer and hides it.
    """
    column = torch.arange(field.shape[2], device=field.device, dtype=torch.float32)
    place = column - camera[:, :1] * baseline / field
    return place <= place.flip(2).cummin(dim=2).values.flip(2)


def _blocks(picture: torch.Tensor, camera: torch.Tensor, pitch: torch.Tensor) -> torch.Tensor:
    """Show one value in all of the crop's pixels that fall on the same pixel of the sensor."""
    for axis, dim in ((0, 2), (1, 1)):
        spacing, middle = pitch[:, axis], camera[:, 2 + axis]
        if not (spacing > 1.0).any():
            continue
        last = picture.shape[dim] - 1
        place = torch.arange(last + 1, device=picture.device, dtype=torch.float32)[None]
        home = ((place - middle) / spacing + 0.5).floor() * spacing + middle
        home = torch.where(spacing > 1.0, (home + 0.5).floor(), place).clamp(0, last)
        picture = _pick(picture, home.long(), dim)
    return picture
