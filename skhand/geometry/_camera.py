"""The pinhole camera: points to pixels and back, and what a change of the picture does to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_camera, check_numbers, describe, read_numbers, warn_user
from skhand.exceptions import InputError

__all__ = ["backproject", "project", "rotate_points", "rotation_to_axis", "rotation_z", "transform_camera"]


def per_row(matrix: np.ndarray, points: np.ndarray, name: str, of: str) -> np.ndarray:
    """Reshape ``matrix``, or one matrix a row of ``points``, so that it broadcasts over a row's points."""
    rows = matrix.shape[:-2]
    lead = points.shape[: len(rows)]
    fits = len(rows) < points.ndim and all(have in (1, want) for have, want in zip(rows, lead, strict=True))
    if not fits:
        raise InputError(
            f"{name}: expected one matrix, or one a row of {of} {points.shape}, got {describe(matrix)}."
        )
    return matrix.reshape(*rows, *(1,) * (points.ndim - 1 - len(rows)), 3, 3)


def project(points: Any, camera: Any) -> np.ndarray:
    """Project points into the picture.

    Parameters
    ----------
    points : array-like of shape (..., 3), mm, camera frame
        For example joints of shape (n_samples, n_joints, 3).
    camera : array-like of shape (3, 3) or (n_samples, 3, 3), px
        Intrinsics; one a row is used for all points of that row. Skew is honoured.

    Returns
    -------
    pixels : ndarray of shape (..., 2), px, float64
        The centre of the top-left pixel is (0, 0). NaN where the depth is 0. A point behind the camera
        gets the pixel that the formula gives; tell it by its negative depth.

    Warns
    -----
    UserWarning
        If a quarter of the points or more do not lie in front of the camera, as those of root-relative poses.

    Raises
    ------
    InputError
        If the points have not three coordinates, one is infinite, or the cameras do not fit the rows.

    Examples
    --------
    >>> from skhand.geometry import project
    >>> project([[10.0, 0.0, 500.0]], [[600, 0, 320], [0, 600, 240], [0, 0, 1]])
    array([[332., 240.]])
    """
    points = check_numbers(points, "points", (3,), leading=True, allow_nan=True)
    matrix = per_row(check_camera(camera), points, "camera", "points")
    _warn_of_points_behind(points)
    depth = np.where(points[..., 2:] == 0, np.nan, points[..., 2:])
    homogeneous = (matrix @ (points / depth)[..., None])[..., 0]
    return homogeneous[..., :2]


def _warn_of_points_behind(points: np.ndarray) -> None:
    """Warn where many points do not lie in front of the camera: a picture cannot show them."""
    depth = points[..., 2][~np.isnan(points[..., 2])]
    behind = int((depth <= 0).sum())
    if behind >= max(1, len(depth) / 4):
        warn_user(
            f"points: {behind} of {len(depth)} do not lie in front of the camera (z <= 0). Poses relative to "
            "their root need it added before they are projected."
        )


def backproject(pixels: Any, depth: Any, camera: Any) -> np.ndarray:
    """Find the points that lie behind pixels at given depths.

    Parameters
    ----------
    pixels : array-like of shape (..., 2), px
        The centre of the top-left pixel is (0, 0).
    depth : array-like of shape (...) or broadcastable to it, mm
        Distance along z, not along the ray.
    camera : array-like of shape (3, 3) or (n_samples, 3, 3), px
        Intrinsics; one a row is used for all pixels of that row.

    Returns
    -------
    points : ndarray of shape (..., 3), mm, camera frame, float64

    Raises
    ------
    InputError
        If the pixels have not two coordinates, a number is infinite, or depths or cameras do not fit them.

    Examples
    --------
    >>> from skhand.geometry import backproject
    >>> camera = [[200.0, 0.0, 64.0], [0.0, 200.0, 64.0], [0.0, 0.0, 1.0]]
    >>> backproject([[64.0, 84.0]], [500.0], camera)
    array([[  0.,  50., 500.]])
    """
    pixels = check_numbers(pixels, "pixels", (2,), leading=True, allow_nan=True)
    depths = read_numbers(depth, "depth")
    depths = check_numbers(depths, "depth", depths.shape, allow_nan=True)
    try:
        z = np.broadcast_to(depths, pixels.shape[:-1])[..., None]
    except ValueError as error:
        raise InputError(
            f"depth: expected shape {pixels.shape[:-1]} as pixels has, got {describe(depth)}."
        ) from error
    inverse = per_row(np.linalg.inv(check_camera(camera)), pixels, "camera", "pixels")
    rays = inverse @ np.concatenate([pixels, np.ones_like(z)], axis=-1)[..., None]
    return rays[..., 0] * z


def rotation_z(degrees: Any) -> np.ndarray:
    """Rotate about the optical axis.

    Parameters
    ----------
    degrees : float or array-like of shape (n_samples,), degrees
        Positive turns x towards y: clockwise as one sees the picture, for y points down.

    Returns
    -------
    rotation : ndarray of shape (3, 3) or (n_samples, 3, 3)
        Applies to column vectors: ``rotated = points @ rotation.T``.

    Raises
    ------
    InputError
        If an angle is not a finite number.

    Examples
    --------
    >>> from skhand.geometry import rotate_points, rotation_z
    >>> rotate_points([[1.0, 0.0, 5.0]], rotation_z(90)).round(6)
    array([[0., 1., 5.]])
    """
    angle = read_numbers(degrees, "degrees")
    if angle.ndim > 1:
        raise InputError(f"degrees: expected one angle or shape (n_samples,), got {describe(degrees)}.")
    angle = np.radians(check_numbers(angle, "degrees", angle.shape))
    rotation = np.zeros((*angle.shape, 3, 3))
    rotation[..., 0, 0] = rotation[..., 1, 1] = np.cos(angle)
    rotation[..., 1, 0] = np.sin(angle)
    rotation[..., 0, 1] = -rotation[..., 1, 0]
    rotation[..., 2, 2] = 1
    return rotation


def rotation_to_axis(points: Any) -> np.ndarray:
    """Turn the camera to look at a point: the smallest rotation that brings the point onto the optical axis.

    Parameters
    ----------
    points : array-like of shape (3,) or (n_samples, 3), mm, camera frame
        Finite points in front of the camera; any positive multiple gives the same rotation.

    Returns
    -------
    rotation : ndarray of shape (3, 3) or (n_samples, 3, 3)
        ``rotation @ point`` is ``(0, 0, norm(point))``. There is no turn about the optical axis in it.

    Raises
    ------
    InputError
        If a point is not finite or not in front of the camera.

    Examples
    --------
    >>> from skhand.geometry import rotation_to_axis
    >>> (rotation_to_axis([30.0, 0.0, 40.0]) @ [30.0, 0.0, 40.0]).round(9)
    array([ 0.,  0., 50.])
    """
    points = check_numbers(points, "points", (3,), leading=True, allow_nan=True)
    if not (np.isfinite(points).all() and (points[..., 2] > 0).all()):
        raise InputError("points: expected finite points in front of the camera (z > 0), got others.")
    x, y, z = np.moveaxis(points / np.linalg.norm(points, axis=-1, keepdims=True), -1, 0)
    return np.stack(
        [
            np.stack([1 - x * x / (1 + z), -x * y / (1 + z), -x], axis=-1),
            np.stack([-x * y / (1 + z), 1 - y * y / (1 + z), -y], axis=-1),
            np.stack([x, y, z], axis=-1),
        ],
        axis=-2,
    )


def rotate_points(points: Any, rotation: Any) -> np.ndarray:
    """Turn points: ``rotated = rotation @ point``.

    Parameters
    ----------
    points : array-like of shape (..., 3), mm, camera frame
        For example joints of shape (n_samples, n_joints, 3).
    rotation : array-like of shape (3, 3) or (n_samples, 3, 3)
        One a row turns all points of that row.

    Returns
    -------
    rotated : ndarray of shape (..., 3), mm, float64
        A coordinate is NaN where an unknown one (NaN) contributes to it, and only there.

    Raises
    ------
    InputError
        If the shapes do not fit, a number is infinite or a rotation has NaN.

    Examples
    --------
    >>> from skhand.geometry import rotate_points
    >>> about_y = [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]]
    >>> rotate_points([[1.0, 2.0, 3.0]], about_y)
    array([[-1.,  2., -3.]])
    """
    points = check_numbers(points, "points", (3,), leading=True, allow_nan=True)
    turn = check_numbers(rotation, "rotation", (3, 3), leading=True)
    turn = per_row(turn, points, "rotation", "points")
    unknown = np.isnan(points)
    rotated = (turn @ np.where(unknown, 0.0, points)[..., None])[..., 0]
    lost = ((turn != 0) & unknown[..., None, :]).any(axis=-1)
    return np.where(lost, np.nan, rotated)


def transform_camera(camera: Any, affine: Any, rotation: Any = None) -> np.ndarray:
    """Find the camera that belongs to a picture that was warped, and to a frame that was turned with it.

    ``K' = A K R^-1``: a point that was seen at pixel ``p`` is, after ``X' = R X``, seen at ``A p``.
    Without ``rotation`` the points stay where they are and only the picture changes, as in a crop. Where
    the picture is turned in its plane, give ``rotation_z`` of the same angle: the camera stays upright,
    and gets a skew only where its two focal lengths differ.

    Parameters
    ----------
    camera : array-like of shape (3, 3) or (n_samples, 3, 3), px
        Intrinsics of the picture before the warp. A matrix of NaN, no camera, stays NaN.
    affine : array-like of shape (3, 3) or (n_samples, 3, 3)
        Pixels before to pixels after.
    rotation : array-like of shape (3, 3) or (n_samples, 3, 3), optional
        What is done to the points: a rotation about z, a reflection in x for a mirrored picture, or the
        rotation that a homography ``affine`` goes with.

    Returns
    -------
    camera : ndarray of shape (3, 3) or (n_samples, 3, 3), px, float64

    Raises
    ------
    InputError
        If an argument is not made of finite 3 x 3 matrices, a rotation has no inverse, or the numbers of rows
        differ.
    CameraError
        If the result is no camera, for example after a rotation that the warp does not follow.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.geometry import affine_crop, transform_camera
    >>> camera = np.array([[200.0, 0.0, 64.0], [0.0, 200.0, 64.0], [0.0, 0.0, 1.0]])
    >>> transform_camera(camera, affine_crop((-0.5, -0.5, 128, 128), 64))
    array([[100.  ,   0.  ,  31.75],
           [  0.  , 100.  ,  31.75],
           [  0.  ,   0.  ,   1.  ]])
    """
    matrix = check_camera(camera, unknown=True)
    warp = check_numbers(affine, "affine", (3, 3), leading=True, allow_nan=True)
    back = np.eye(3)
    if rotation is not None:
        turn = check_numbers(rotation, "rotation", (3, 3), leading=True)
        if (np.abs(np.linalg.det(turn)) < 1e-12).any():
            raise InputError("rotation: expected matrices that can be inverted, got a singular one.")
        back = np.linalg.inv(turn)
    try:
        changed = warp @ matrix @ back
    except ValueError as error:
        raise InputError(
            f"affine: expected one matrix a camera {matrix.shape}, got {describe(warp)} "
            f"and a rotation of shape {back.shape}."
        ) from error
    unknown = np.isnan(matrix).all(axis=(-2, -1), keepdims=True)
    check_camera(np.where(unknown, np.eye(3), changed), "camera after the change by affine and rotation")
    return changed
