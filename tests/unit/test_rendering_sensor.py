"""Simulated depth cameras, held against the published formulas and against plain geometry."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import norm

from skhand.datasets import make_hands
from skhand.rendering.draws import Draws
from skhand.rendering.sensor import (
    LOSSY,
    SENSOR_DRAWS,
    STRUCTURED_LIGHT,
    TIME_OF_FLIGHT,
    draw_sensor,
    sense,
)

SIZE = 128
QUIET = {"noise": 0.0, "bias": 0.0, "graze": 1e-6, "edge": 0.0, "speckle": 0.0, "wall": 1000.0}
SENSORS = pytest.mark.parametrize("sensor", [STRUCTURED_LIGHT, TIME_OF_FLIGHT], ids=["light", "flight"])
HOLES = dataclasses.replace(STRUCTURED_LIGHT, baseline=0.0, steps=0.0)
"""Structured light without steps, shadow or displaced edges: only holes and noise."""


def measure(depth, sensor, focal, centre=None, seed=0, **values):
    """What the sensor measures of pictures (n, height, width) with the axis in the middle, float64."""
    depth = torch.as_tensor(np.asarray(depth, dtype=np.float32))
    n = len(depth)
    camera = torch.tensor([focal, focal, (depth.shape[2] - 1) / 2, (depth.shape[1] - 1) / 2]).repeat(n, 1)
    middle = depth.reshape(n, -1).amax(dim=1) if centre is None else torch.full((n,), float(centre))
    drawn = {name: torch.full((n,), float(value)) for name, value in {**QUIET, **values}.items()}
    return sense(depth, camera, middle, drawn, sensor, seed, np.arange(n)).double().numpy()


def plane(distance, angle, focal, size=SIZE):
    """Exact depth of a plane turned by an angle, degrees, about the vertical through (0, 0, distance)."""
    ray = (np.arange(size) - (size - 1) / 2) / focal
    depth = distance / (1.0 - np.tan(np.deg2rad(angle)) * ray)
    return np.broadcast_to(depth, (1, size, size))


def published_sigma(sensor, z, angle):
    """Standard deviation along z in mm, z in m, of Nguyen et al. 2012 and of Fankhauser et al. 2015."""
    theta = np.deg2rad(angle)
    q2 = (theta / (np.pi / 2 - theta)) ** 2
    if sensor is STRUCTURED_LIGHT:
        return 1000 * (0.0012 + 0.0019 * (z - 0.4) ** 2 + 0.0001 / np.sqrt(z) * q2)
    return 1.5 - 0.5 * z + 0.3 * z**2 + 0.1 * z**1.5 * q2


def hands(n):
    """Exact depth, camera, centre and rows of generated hands."""
    made = make_hands(n, image_size=96, rotation=60, images=("depth",), random_state=4)
    camera = np.asarray(made.data.camera)[:, [0, 1, 0, 1], [0, 1, 2, 2]]
    centre = 0.5 * (made.target[..., 2].min(axis=1) + made.target[..., 2].max(axis=1))
    tensors = (np.asarray(made.data.depth), camera.astype(np.float32), centre.astype(np.float32))
    return (*(torch.as_tensor(v) for v in tensors), np.arange(n))


@SENSORS
@pytest.mark.parametrize("distance", [450.0, 600.0, 900.0, 1500.0, 2500.0])
def test_noise_grows_with_distance_as_published(sensor, distance):
    # sixteen planes within 20 mm: the levels of disparity, rounded to whole mm, are unevenly spaced
    exact = np.concatenate([plane(distance + offset, 0.0, 400.0) for offset in np.linspace(-10, 10, 16)])
    error = measure(exact, sensor, 400.0, centre=distance, noise=1.0) - exact
    assert error.std() == pytest.approx(published_sigma(sensor, distance / 1000, 0.0), rel=0.05)


@SENSORS
@pytest.mark.parametrize("angle", [30.0, 55.0, 70.0, 78.0])
def test_noise_grows_with_the_angle_as_published(sensor, angle):
    # a narrow strip: depth and angle hardly change along it, and many rows make up for the few pixels
    focal = 6000.0
    exact = plane(700.0, angle, focal, SIZE)
    sensor_here = dataclasses.replace(sensor, focal=focal, baseline=75.0 * 588.0 / focal)
    sensor_here = sensor_here if sensor.steps else dataclasses.replace(sensor_here, baseline=0.0)
    error = (measure(exact, sensor_here, focal, noise=1.0, centre=700.0) - exact)[0]
    assert error.std() == pytest.approx(published_sigma(sensor, 0.7, angle), rel=0.06)


@pytest.mark.parametrize("distance", [1000.0, 2000.0, 4000.0])
def test_steps_of_depth_grow_with_the_square_of_the_distance(distance):
    depth = np.linspace(0.95 * distance, 1.05 * distance, 128 * 128).reshape(1, 128, 128)
    values = np.unique(measure(depth, STRUCTURED_LIGHT, 588.0, centre=2 * distance))
    near = values[np.abs(values - distance) < 0.04 * distance]
    # Khoshelham and Oude Elberink 2012: 2.85e-5 z^2, in cm; the mean of some 20 or more steps in whole mm
    assert np.diff(near).mean() == pytest.approx(10 * 2.85e-5 * (distance / 10) ** 2, rel=0.05)


@SENSORS
def test_a_frontal_plane_is_off_by_the_pictures_bias_only(sensor):
    exact = np.concatenate([plane(distance, 0.0, 300.0) for distance in np.linspace(400, 900, 20)])
    for bias in sensor.bias:
        error = measure(exact, sensor, 300.0, noise=1.0, bias=bias) - exact
        # levels of disparity are rounded to whole mm, which moves one picture's mean by less than 0.5 mm
        assert error.mean() == pytest.approx(bias, abs=0.1)
        assert np.abs(error.mean(axis=(1, 2)) - bias).max() < 0.5


def test_drawn_values_stay_in_their_ranges():
    draws = Draws(3, "sensor", np.arange(500), SENSOR_DRAWS)
    for name, values in draw_sensor(draws, TIME_OF_FLIGHT).items():
        low, high = getattr(TIME_OF_FLIGHT, name)
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high


def test_holes_grow_towards_grazing_angles():
    focal, lost = 6000.0, []
    for angle in (0.0, 40.0, 65.0, 70.0, 75.0, 80.0, 84.0):
        exact = plane(700.0, angle, focal, SIZE)
        sensor = dataclasses.replace(HOLES, focal=focal)
        lost.append((measure(exact, sensor, focal, centre=700.0, graze=0.36)[0] == 0).mean())
        expected = np.clip(2 - 2 * np.cos(np.deg2rad(angle)) / 0.36, 0, 1)
        # 16 384 pixels: a standard error of at most 0.004; the angle changes by 0.4 degrees across the strip
        assert lost[-1] == pytest.approx(expected, abs=0.02)
    assert lost == sorted(lost) and lost[1] == 0 and lost[-1] == 1.0


@pytest.mark.parametrize("angle", [-35.0, 0.0, 20.0])
def test_the_angle_is_that_to_the_ray(angle):
    focal, graze = 70.0, 0.95
    exact = plane(600.0, angle, focal).repeat(40, axis=0)
    measured = measure(
        exact, dataclasses.replace(HOLES, lateral=(0.0, 0.0)), focal, graze=graze, centre=3000.0
    )
    x = (np.arange(SIZE) - (SIZE - 1) / 2) / focal
    normal = np.array([-np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))])
    # the middle rows only, whose rays have next to no y
    cosine = (normal[0] * x + normal[1]) / np.hypot(x, 1)
    expected = np.clip(2 - 2 * cosine / graze, 0, 1)[1:-1]
    lost = (measured[:, 60:68] == 0).mean(axis=(0, 1))[1:-1]
    assert expected.max() > 0.4
    # 320 pixels a column: a standard error of at most 0.028
    assert np.abs(lost - expected).max() < 0.15 and np.abs(lost - expected).mean() < 0.03


def test_the_lossy_sensor_loses_the_shares_that_it_draws():
    n, quiet = 200, dataclasses.replace(LOSSY, baseline=0.0, steps=0.0, lateral=(0.0, 0.0))
    drawn = draw_sensor(Draws(3, "sensor", np.arange(n), SENSOR_DRAWS), quiet)
    for name, low, high in (
        ("speckle", 0.05, 0.2),
        ("edge", 0.4, 0.8),
        ("graze", 0.5, 0.8),
        ("bias", -10, 10),
    ):
        values = drawn[name].numpy()  # uniform: the mean within four standard errors
        assert values.min() >= low and values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=4 * (high - low) / np.sqrt(12 * n))
    step = np.full((n, 32, 32), 600.0)
    step[:, :, 16:] = 560.0
    camera = torch.tensor([600.0, 600.0, 15.5, 15.5]).repeat(n, 1)
    found = sense(
        torch.as_tensor(step.astype(np.float32)),
        camera,
        torch.full((n,), 600.0),
        drawn,
        quiet,
        3,
        np.arange(n),
    ).numpy()
    lost = (found == 0).mean(axis=1)
    inside, edge = lost[:, [*range(14), *range(18, 32)]].mean(), lost[:, 15:17].mean()
    assert inside == pytest.approx(0.125, abs=0.02)  # seen from the front: speckle alone
    assert edge == pytest.approx(0.125 + 0.6, abs=0.04)
    off = [np.median(row[row > 580] - 600.0) for row in found]
    np.testing.assert_allclose(off, drawn["bias"].numpy(), atol=1.0)


def test_an_edge_is_no_slope():
    depth = np.full((4, SIZE, SIZE), 600.0)
    depth[:, 40:80, 40:80] = 500.0
    assert (measure(depth, HOLES, 300.0, graze=0.4) > 0).all()


def test_holes_of_a_rendered_hand_lie_at_its_edges():
    depth, camera, centre, rows = hands(6)
    values = draw_sensor(Draws(1, "sensor", rows, SENSOR_DRAWS), STRUCTURED_LIGHT)
    measured = sense(depth, camera, centre, values, STRUCTURED_LIGHT, 1, rows).numpy()
    exact = depth.numpy()
    padded = np.pad(exact, ((0, 0), (3, 3), (3, 3)), mode="edge")
    window = np.lib.stride_tricks.sliding_window_view(padded, (7, 7), axis=(1, 2))
    rim = (window.max(axis=(3, 4)) - window.min(axis=(3, 4))) > 30
    hand = exact > 0
    lost = measured == 0
    inside, outside = lost[hand & ~rim].mean(), lost[hand & rim].mean()
    assert inside < 0.02 and 0.08 < outside < 0.5
    kept = hand & ~rim & ~lost
    assert np.abs(np.median((measured - exact)[kept])) < 2.0


def test_pixels_across_an_edge_fly_between_both_surfaces():
    depth = np.full((1, SIZE, SIZE), 600.0)
    depth[:, :, 64:] = 500.0
    still = {"lateral": (0.0, 0.0)}
    flight = measure(depth, dataclasses.replace(TIME_OF_FLIGHT, **still), 241.0)[0]
    light = measure(depth, dataclasses.replace(HOLES, **still), 588.0)[0]
    assert set(np.unique(light)) == {500.0, 600.0}
    assert flight.min() == 500.0 and flight.max() == 600.0
    flying = (flight > 500) & (flight < 600)
    assert not flying[:, :63].any() and not flying[:, 65:].any()
    # four fifths of the pixels at the edge gather both sides (128 pixels: standard error 0.035)
    assert flying[:, 63:65].mean() == pytest.approx(0.8, abs=0.1)
    # 0 to 1 times as much is seen of the other side, and light falls off with the square of the distance:
    # the far side's part is at most 25 / (25 + 36), the near side's at most 36 / (25 + 36)
    assert 535 < flight[:, 64].max() <= 541 and 541 <= flight[:, 63].min() < 547


def test_what_flies_behind_the_cube_is_removed():
    depth = np.zeros((1, SIZE, SIZE))
    depth[:, 30:90, 30:90] = 500.0
    measured = measure(depth, TIME_OF_FLIGHT, 241.0, centre=500.0, wall=600.0)[0]
    assert measured.max() <= 650 and (measured[:20] == 0).all() and (measured[:, 100:] == 0).all()
    assert ((measured > 520) & (measured <= 650)).sum() > 20


@SENSORS
def test_edges_are_displaced_as_published(sensor):
    depth = np.full((64, SIZE, SIZE), 700.0)
    depth[:, :, 64:] = 500.0
    measured = measure(depth, dataclasses.replace(sensor, baseline=0.0, steps=0.0, mixed=0.0), sensor.focal)
    # Nguyen et al.: 0.8 px; Fankhauser et al.: 1.6 mm, at 1 m, where a pixel is 1000 / 365 mm wide
    sigma = 0.8 if sensor is STRUCTURED_LIGHT else 1.6 * 365 / 1000
    for k in range(3):
        expected = norm.sf((k + 0.5) / sigma)
        # 8192 pixels: a standard error of 0.005; shifts have 256 values only: 0.002
        assert (measured[:, :, 64 + k] == 700).mean() == pytest.approx(expected, abs=0.02)
        assert (measured[:, :, 63 - k] == 500).mean() == pytest.approx(expected, abs=0.02)


@SENSORS
def test_blur_stays_on_one_surface(sensor):
    depth = np.full((1, 40, 40), 500.0)
    depth[:, 10, 10] = 490.0
    depth[:, 20:, :] = 560.0
    still = dataclasses.replace(sensor, baseline=0.0, steps=0.0, mixed=0.0, lateral=(0.0, 0.0))
    measured = measure(depth, still, 0.5 * sensor.focal)[0]
    weight = 0.5 * sensor.blur
    assert measured[10, 10] == round(500 - 10 / (1 + 4 * weight))
    assert measured[9, 10] == measured[10, 11] == round(500 - 10 * weight / (1 + 4 * weight))
    assert measured[9, 9] == 500
    assert (measured[15:20] == 500).all() and (measured[20:] == 560).all()


@pytest.mark.parametrize("focal", [250.0, 588.0])
def test_the_projector_throws_a_shadow_to_the_left_only(focal):
    near, far = 560.0, 620.0
    depth = np.full((1, 8, 160), far)
    depth[:, :, 90:130] = near
    sensor = dataclasses.replace(STRUCTURED_LIGHT, lateral=(0.0, 0.0))
    measured = measure(depth, sensor, focal)[0]
    # every point of the wall, seen from 75 mm to the right of the camera: does the bar stand before it?
    ray = (np.arange(160) - 79.5) / focal
    crossing = 75.0 + (ray * far - 75.0) * near / far
    bar = np.array([ray[90], ray[129]]) * near
    hidden = (crossing >= bar[0]) & (crossing <= bar[1]) & (depth[0, 0] == far)
    assert hidden.sum() >= 3
    np.testing.assert_array_equal(measured == 0, np.broadcast_to(hidden, (8, 160)))


def test_an_enlarged_crop_shows_the_sensors_pixels_as_blocks():
    focal = 3 * TIME_OF_FLIGHT.focal
    measured = measure(plane(500.0, 20.0, focal), TIME_OF_FLIGHT, focal, noise=2.0)[0]
    index = np.floor((np.arange(SIZE) - (SIZE - 1) / 2) / 3 + 0.5).astype(int)
    starts = np.flatnonzero(np.diff(index, prepend=index[0] - 1))
    assert (np.diff(starts)[1:] == 3).all()
    np.testing.assert_array_equal(measured, measured[starts][index - index[0]])
    np.testing.assert_array_equal(measured, measured[:, starts][:, index - index[0]])
    assert len(np.unique(measured)) > 30


@SENSORS
def test_a_row_does_not_depend_on_its_batch(sensor):
    depth, camera, centre, rows = hands(6)
    values = draw_sensor(Draws(9, "sensor", rows, SENSOR_DRAWS), sensor)
    together = sense(depth, camera, centre, values, sensor, 9, rows)
    assert together.dtype == torch.float32 and torch.equal(together, together.round())
    for some in ([4], [5, 0], [3, 1, 2]):
        part = {name: value[some] for name, value in values.items()}
        alone = sense(depth[some], camera[some], centre[some], part, sensor, 9, rows[some])
        assert torch.equal(alone, together[some])
    other = sense(depth, camera, centre, values, sensor, 10, rows)
    assert not torch.equal(other, together)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@SENSORS
def test_gpu_measures_nearly_the_same(sensor):
    depth, camera, centre, rows = hands(6)
    values = draw_sensor(Draws(9, "sensor", rows, SENSOR_DRAWS), sensor)
    here = sense(depth, camera, centre, values, sensor, 9, rows)
    there = sense(depth.cuda(), camera, centre, values, sensor, 9, rows)
    assert there.is_cuda
    assert ((here - there.cpu()).abs() > 1).float().mean() < 1e-3
