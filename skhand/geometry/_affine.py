"""Changes of a picture as 3 x 3 matrices from old pixels to new ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_number, check_numbers, check_shape, describe, read_array
from skhand.exceptions import InputError
from skhand.geometry._camera import per_row, rotation_z

__all__ = ["affine_crop", "affine_mirror", "affine_rotate", "apply_affine"]


_LARGEST = 100_000  # px


def picture_size(size: Any) -> tuple[int, int]:
    """Return ``size`` (one number for a square picture, or height and width) as height and width, px."""
    expected = "one number or (height, width)"
    array = read_array(size, "size", expected)
    if array.shape not in ((), (2,)) or isinstance(size, str):
        raise InputError(f"size: expected {expected}, got {describe(size)}.")
    pair = [size, size] if array.ndim == 0 else array.tolist()
    height, width = (int(check_number(side, "size", integer=True, low=1, high=_LARGEST)) for side in pair)
    return height, width


def affine_crop(box: Any, size: int | tuple[int, int]) -> np.ndarray:
    """Map a box of the picture to a whole new picture.

    The box is measured at pixel edges: the pixel with centre c covers c - 0.5 to c + 0.5, so a whole
    picture is the box ``(-0.5, -0.5, width, height)``, and the slice ``picture[y : y + h, x : x + w]``
    is the box ``(x - 0.5, y - 0.5, w, h)``.

    Parameters
    ----------
    box : array-like of shape (4,) or (n_samples, 4), px
        Left edge, top edge, width, height.
    size : int or tuple of int, px
        Side of the new picture, or its (height, width), each up to 100 000.

    Returns
    -------
    affine : ndarray of shape (3, 3) or (n_samples, 3, 3)
        Old pixels to pixels of the crop.

    Raises
    ------
    InputError
        If the box is not four finite numbers with a positive width and height, or the size is no size.

    Examples
    --------
    >>> from skhand.geometry import affine_crop
    >>> affine_crop((-0.5, -0.5, 100, 50), (25, 50)) @ [99, 49, 1]
    array([49.25, 24.25,  1.  ])
    """
    box = check_shape(box, "box", (4,), leading=True).astype(np.float64)
    if not np.isfinite(box).all() or (box[..., 2:] <= 0).any():
        raise InputError("box: expected finite x, y, width, height with width and height > 0, got others.")
    height, width = picture_size(size)
    factor = np.array([width, height]) / box[..., 2:]
    affine = np.zeros((*box.shape[:-1], 3, 3))
    affine[..., 0, 0], affine[..., 1, 1], affine[..., 2, 2] = factor[..., 0], factor[..., 1], 1
    affine[..., :2, 2] = -box[..., :2] * factor - 0.5
    return affine


def affine_rotate(degrees: Any, centre: Any) -> np.ndarray:
    """Turn the picture about a point.

    Parameters
    ----------
    degrees : float or array-like of shape (n_samples,), degrees
        Positive turns x towards y: clockwise as one sees the picture.
    centre : array-like of shape (2,) or (n_samples, 2), px
        The point that stays where it is.

    Returns
    -------
    affine : ndarray of shape (3, 3) or (n_samples, 3, 3)

    Raises
    ------
    InputError
        If an angle or a centre is not finite, the centre has not two coordinates, or there is not one angle a
        centre.

    Examples
    --------
    >>> from skhand.geometry import affine_rotate, apply_affine
    >>> apply_affine(affine_rotate(90, (10, 10)), [[12.0, 10.0]]).round(6)
    array([[10., 12.]])
    """
    centre = check_numbers(centre, "centre", (2,), leading=True)
    turn = rotation_z(degrees)
    try:
        shape = np.broadcast_shapes(turn.shape, (*centre.shape[:-1], 3, 3))
    except ValueError as error:
        raise InputError(
            f"degrees: expected one angle, or one a centre {centre.shape}, got {describe(degrees)}."
        ) from error
    affine = np.array(np.broadcast_to(turn, shape))
    affine[..., :2, 2] = centre - (affine[..., :2, :2] @ centre[..., None])[..., 0]
    return affine


def affine_mirror(width: int) -> np.ndarray:
    """Mirror the picture left to right: ``u' = width - 1 - u``.

    Parameters
    ----------
    width : int, px
        Width of the picture, up to 100 000.

    Returns
    -------
    affine : ndarray of shape (3, 3)

    Examples
    --------
    >>> from skhand.geometry import affine_mirror, apply_affine
    >>> apply_affine(affine_mirror(100), [[0.0, 5.0], [99.0, 5.0]])
    array([[99.,  5.],
           [ 0.,  5.]])
    """
    check_number(width, "width", integer=True, low=1, high=_LARGEST)
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def apply_affine(affine: Any, pixels: Any) -> np.ndarray:
    """Move pixels as the picture is moved.

    Parameters
    ----------
    affine : array-like of shape (3, 3) or (n_samples, 3, 3)
        Old pixels to new ones; one a row moves all pixels of that row. A homography is welcome too. What a
        matrix with NaN, one that is not known, moves is NaN.
    pixels : array-like of shape (..., 2), px
        For example keypoints of shape (n_samples, n_joints, 2). NaN stays NaN, and a pixel that a homography
        moves out of sight, to infinity, becomes NaN.

    Returns
    -------
    moved : ndarray of shape (..., 2), px, float64

    Raises
    ------
    InputError
        If the shapes do not fit, or a number is infinite.

    Examples
    --------
    >>> from skhand.geometry import affine_crop, apply_affine
    >>> apply_affine(affine_crop((20, 20, 40, 40), 80), [[20.0, 20.0], [40.0, 40.0]])
    array([[-0.5, -0.5],
           [39.5, 39.5]])
    """
    affine = check_numbers(affine, "affine", (3, 3), leading=True, allow_nan=True)
    pixels = check_numbers(pixels, "pixels", (2,), leading=True, allow_nan=True)
    matrix = per_row(affine, pixels, "affine", "pixels")
    moved = (matrix[..., :2] @ pixels[..., None])[..., 0] + matrix[..., 2]
    third = moved[..., 2:]
    return moved[..., :2] / np.where(third == 0, np.nan, third)
