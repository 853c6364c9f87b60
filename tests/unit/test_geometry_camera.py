"""Projection, back-projection and cameras of changed pictures, held against the formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from skhand.exceptions import CameraError, InputError
from skhand.geometry import (
    affine_rotate,
    apply_affine,
    backproject,
    project,
    rotate_points,
    rotation_to_axis,
    rotation_z,
    transform_camera,
)

CAMERA = np.array([[610.0, 3.0, 321.0], [0.0, 590.0, 243.0], [0.0, 0.0, 1.0]])


@pytest.fixture
def points(rng):
    return rng.normal(size=(5, 21, 3)) * 60 + (20, -30, 500)


@pytest.fixture
def cameras(rng):
    scale = rng.uniform(0.5, 2, size=(5, 1, 1))
    return np.concatenate([CAMERA[None, :2] * scale, np.tile([[[0.0, 0.0, 1.0]]], (5, 1, 1))], axis=1)


def test_projection_is_the_pinhole_formula(points, cameras):
    pixels = project(points, cameras)
    for i, joint in [(0, 0), (2, 7), (4, 20)]:
        (fx, skew, cx), (_, fy, cy), _ = cameras[i]
        x, y, z = points[i, joint]
        np.testing.assert_allclose(
            pixels[i, joint], [(fx * x + skew * y) / z + cx, fy * y / z + cy], rtol=1e-12
        )


def test_round_trip_through_the_picture(points, cameras):
    np.testing.assert_allclose(
        backproject(project(points, cameras), points[..., 2], cameras), points, atol=1e-9
    )
    np.testing.assert_allclose(
        backproject(project(points, CAMERA), points[..., 2], CAMERA), points, atol=1e-9
    )


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 21, 3), (2, 4, 21, 3)])
def test_one_camera_serves_any_shape(shape, rng):
    points = rng.uniform(1, 2, size=shape)
    expected = [project(point, CAMERA) for point in points.reshape(-1, 3)]
    np.testing.assert_allclose(project(points, CAMERA), np.reshape(expected, (*shape[:-1], 2)), rtol=1e-12)


def test_one_camera_a_row_serves_all_points_of_the_row(rng, cameras):
    points = rng.uniform(1, 2, size=(5, 3, 7, 3))
    for i, camera in enumerate(cameras):
        np.testing.assert_allclose(project(points, cameras)[i], project(points[i], camera), rtol=1e-12)
        np.testing.assert_allclose(project(points[:, 0, 0], cameras)[i], project(points[i, 0, 0], camera))


def test_a_whole_depth_picture_is_backprojected(rng):
    depth = rng.uniform(300, 900, size=(4, 6))
    v, u = np.mgrid[:4, :6]
    cloud = backproject(np.stack([u, v], axis=-1), depth, CAMERA)
    np.testing.assert_allclose(cloud[..., 2], depth, rtol=1e-12)
    np.testing.assert_allclose(project(cloud, CAMERA), np.stack([u, v], axis=-1), atol=1e-9)


def test_no_pixel_in_the_camera_plane():
    pixels = project([[1.0, 2.0, 0.0], [0.0, 0.0, -5.0], [np.nan, 0.0, 4.0]], CAMERA)
    assert np.isnan(pixels[0]).all()
    np.testing.assert_array_equal(pixels[1], [321, 243])
    assert np.isnan(pixels[2]).any()


def test_rotation_about_z_turns_x_towards_y():
    np.testing.assert_allclose(rotation_z(90) @ [1, 0, 0], [0, 1, 0], atol=1e-15)
    np.testing.assert_allclose(rotation_z([0, 30])[1], np.array(rotation_z(15) @ rotation_z(15)), atol=1e-15)


def test_the_camera_turns_to_a_point_the_shortest_way():
    """Against scipy: a turn by the angle between point and axis, about what is orthogonal to both."""
    points = np.array([[30.0, 0.0, 40.0], [-5.0, -70.0, 20.0], [0.0, 0.0, 9.0], [8.0, -6.0, 300.0]])
    angle = np.arctan2(np.hypot(points[:, 0], points[:, 1]), points[:, 2])
    about = np.cross(points, [0.0, 0.0, 1.0])
    about /= np.maximum(np.linalg.norm(about, axis=1, keepdims=True), 1e-300)
    expected = Rotation.from_rotvec(angle[:, None] * about).as_matrix()
    np.testing.assert_allclose(rotation_to_axis(points), expected, atol=1e-12)
    np.testing.assert_allclose(rotation_to_axis(points[3]), expected[3], atol=1e-12)
    np.testing.assert_allclose(
        rotation_to_axis(points.reshape(2, 2, 3)).reshape(4, 3, 3), expected, atol=1e-12
    )


@pytest.mark.parametrize("behind", [[0.0, 5.0, 0.0], [0.0, 5.0, -1.0], [0.0, np.nan, 1.0]])
def test_the_camera_turns_to_no_point_beside_or_behind_it(behind):
    with pytest.raises(InputError, match="points: expected finite points in front"):
        rotation_to_axis([[0.0, -3.0, 2.0], behind])


def test_an_unknown_coordinate_is_lost_only_where_it_goes_to():
    point = [1.0, np.nan, 3.0]
    np.testing.assert_array_equal(rotate_points(point, np.eye(3)), point)
    np.testing.assert_array_equal(rotate_points(point, [[0, 0, 1], [1, 0, 0], [0, 1, 0]]), [3.0, 1.0, np.nan])
    np.testing.assert_array_equal(
        rotate_points(point, [[0, 0, 1], [1, 0, 0], [0, -1, 0]]), [3.0, 1.0, np.nan]
    )
    turned = rotate_points([[point, [1.0, 2.0, 3.0]]], rotation_z(30.0)[None])
    np.testing.assert_array_equal(np.isnan(turned), [[[True, True, False], [False] * 3]])


def test_one_matrix_with_an_axis_of_its_own_serves_all_rows(rng):
    points, turn = rng.normal(size=(4, 21, 3)), rotation_z(33.0)
    np.testing.assert_array_equal(rotate_points(points, turn[None]), rotate_points(points, turn))
    for shape in [(2, 3, 3), (4, 21, 1, 3, 3), (4, 21, 1, 1, 3, 3)]:
        with pytest.raises(InputError, match="rotation: expected one matrix"):
            rotate_points(points, np.ones(shape))


@pytest.mark.parametrize("turn", [rotation_z(33.0), np.diag([-1.0, 1.0, 1.0]), np.eye(3)])
def test_changed_points_in_changed_camera_lie_on_changed_pixels(turn, points, cameras, rng):
    affine = np.tile(np.eye(3), (5, 1, 1))
    affine[:, :2] += rng.normal(size=(5, 2, 3)) * (0.3, 0.3, 50)
    pixels = project(points @ turn.T, transform_camera(cameras, affine, turn))
    np.testing.assert_allclose(pixels, apply_affine(affine, project(points, cameras)), atol=1e-9)


def test_turning_the_picture_skews_the_camera_only_where_focal_lengths_differ():
    affine = affine_rotate(30, (100, 80))
    square = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])
    turned = transform_camera(square, affine, rotation_z(30))
    np.testing.assert_allclose(turned[:2, :2], square[:2, :2], atol=1e-10)
    np.testing.assert_allclose(turned[:2, 2], apply_affine(affine, [320, 240]), atol=1e-10)
    oblong = transform_camera(np.diag([620.0, 600.0, 1.0]), affine, rotation_z(30))
    np.testing.assert_allclose(oblong[0, 1], 20 * np.sin(np.pi / 6) * np.cos(np.pi / 6), rtol=1e-10)


def test_a_turn_out_of_the_picture_plane_has_no_affine():
    about_x = np.array([[1.0, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])
    with pytest.raises(CameraError, match="camera after the change"):
        transform_camera(CAMERA, np.eye(3), about_x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: project(np.ones((4, 2)), CAMERA), r"points: .*\(\.\.\., 3\).*\(4, 2\)"),
        (lambda: project(np.ones((4, 3)), None), "camera: .*got None"),
        (lambda: project(np.ones((4, 3)), np.ones((3, 4))), r"camera: .*\(3, 4\)"),
        (
            lambda: project(np.ones((4, 21, 3)), np.tile(CAMERA, (5, 1, 1))),
            r"camera: .*\(4, 21, 3\).*\(5, 3, 3\)",
        ),
        (lambda: project(np.ones(3), np.tile(CAMERA, (3, 1, 1))), r"camera: .*\(3, 3, 3\)"),
        (lambda: backproject(np.ones((4, 2)), np.ones(5), CAMERA), r"depth: .*\(4,\).*\(5,\)"),
        (
            lambda: transform_camera(np.tile(CAMERA, (3, 1, 1)), np.tile(np.eye(3), (2, 1, 1))),
            "affine: .*one matrix",
        ),
        (lambda: transform_camera(CAMERA, np.eye(2)), r"affine: .*\(2, 2\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_the_camera_that_is_none_is_the_one_that_is_told(points):
    cameras = np.tile(CAMERA, (5, 1, 1))
    cameras[3, 2] = [0.0, 0.5, 1.0]
    with pytest.raises(CameraError, match=r"last row \(0, 0, 1\), got \[0\.  0\.5 1\. \]"):
        project(points, cameras)
