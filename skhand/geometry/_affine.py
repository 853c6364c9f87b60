"""Changes of a picture as 3 x 3 matrices from old pixels to new ones, and the warp that carries them out."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy import ndimage

from skhand._validation import check_number, check_option, check_shape, describe
from skhand.exceptions import InputError
from skhand.geometry._camera import per_row, rotation_z

__all__ = ["affine_crop", "affine_mirror", "affine_rotate", "apply_affine", "warp_images"]


def picture_size(size: Any) -> tuple[int, int]:
    """Return ``size`` (one number for a square picture, or height and width) as height and width, px."""
    pair = (size, size) if np.ndim(size) == 0 else tuple(size)
    if len(pair) != 2:
        raise InputError(f"size: expected one number or (height, width), got {describe(size)}.")
    height, width = (int(check_number(side, "size", integer=True, low=1)) for side in pair)
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
        Side of the new picture, or its (height, width).

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
        If the centre has not two coordinates.
    """
    centre = check_shape(centre, "centre", (2,), leading=True).astype(np.float64)
    turn = rotation_z(degrees)
    affine = np.array(np.broadcast_to(turn, np.broadcast_shapes(turn.shape, (*centre.shape[:-1], 3, 3))))
    affine[..., :2, 2] = centre - (affine[..., :2, :2] @ centre[..., None])[..., 0]
    return affine


def affine_mirror(width: int) -> np.ndarray:
    """Mirror the picture left to right: ``u' = width - 1 - u``.

    Parameters
    ----------
    width : int, px
        Width of the picture.

    Returns
    -------
    affine : ndarray of shape (3, 3)
    """
    check_number(width, "width", integer=True, low=1)
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def apply_affine(affine: Any, pixels: Any) -> np.ndarray:
    """Move pixels as the picture is moved.

    Parameters
    ----------
    affine : array-like of shape (3, 3) or (n_samples, 3, 3)
        Old pixels to new ones; one a row moves all pixels of that row. A homography is welcome too.
    pixels : array-like of shape (..., 2), px
        For example keypoints of shape (n_samples, n_joints, 2). NaN stays NaN.

    Returns
    -------
    moved : ndarray of shape (..., 2), px, float64

    Raises
    ------
    InputError
        If the shapes do not fit.
    """
    affine = check_shape(affine, "affine", (3, 3), leading=True).astype(np.float64)
    pixels = check_shape(pixels, "pixels", (2,), leading=True).astype(np.float64)
    matrix = per_row(affine, pixels, "affine", "pixels")
    moved = (matrix[..., :2] @ pixels[..., None])[..., 0] + matrix[..., 2]
    return moved[..., :2] / moved[..., 2:]


def warp_images(
    images: Any, affine: Any, size: int | tuple[int, int], *, order: Literal[0, 1] = 1
) -> np.ndarray:
    """Sample new pictures from old ones.

    Parameters
    ----------
    images : array-like of shape (n_samples, height, width) or (n_samples, height, width, n_channels)
        Pictures, or one picture without the first axis where ``affine`` is one matrix. A lazy sequence
        of pictures is read one by one.
    affine : array-like of shape (n_samples, 3, 3) or (3, 3)
        Old pixels to new ones, one a picture. Of a homography, new pixels whose third coordinate is not
        positive on the way back are not seen.
    size : int or tuple of int, px
        Side of the new pictures, or their (height, width).
    order : {0, 1}, default=1
        0 takes the nearest pixel, for depth and masks, where a mean of two values means nothing;
        1 interpolates between four. Neither averages over the pixels that a strong reduction skips.

    Returns
    -------
    warped : ndarray of shape (n_samples, new_height, new_width[, n_channels])
        Same dtype; integers are rounded. What lies outside the old picture is 0.

    Raises
    ------
    InputError
        If there is not one matrix a picture, or a matrix cannot be inverted.
    """
    check_option(order, "order", (0, 1))
    height, width = picture_size(size)
    affine = check_shape(affine, "affine", (3, 3), leading=True).astype(np.float64)
    if affine.ndim == 2:
        return warp_images(np.asarray(images)[None], affine[None], (height, width), order=order)[0]
    images = images if hasattr(images, "shape") and hasattr(images, "dtype") else np.asarray(images)
    if affine.ndim != 3 or len(images.shape) not in (3, 4) or len(images) != len(affine):
        raise InputError(
            f"affine: expected one matrix a picture of {describe(images)}, got {describe(affine)}."
        )
    if not (np.isfinite(affine).all() and (np.abs(np.linalg.det(affine)) > 1e-12).all()):
        raise InputError(
            "affine: expected finite matrices that can be inverted, got a singular one, NaN or infinity."
        )
    swap = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    to_old = swap @ np.linalg.inv(affine) @ swap  # rows and columns instead of u and v
    warped = np.empty((len(images), height, width, *images.shape[3:]), images.dtype)
    for i, matrix in enumerate(to_old):
        old, new = np.atleast_3d(images[i]), warped[i].reshape(height, width, -1)
        for channel in range(new.shape[-1]):
            new[..., channel] = _sample(old[..., channel], matrix, (height, width), order)
    return warped


def _sample(
    picture: np.ndarray, matrix: np.ndarray, size: tuple[int, int], order: Literal[0, 1]
) -> np.ndarray:
    """Sample one channel; ``matrix`` maps new (row, column) to old ones."""
    exact = order == 0 or picture.dtype.kind == "f"
    source = picture if exact else picture.astype(np.float32)
    # a pixel covers half a pixel around its centre: outside of the last centres it fades to 0
    if (matrix[2, :2] == 0).all():
        sampled = ndimage.affine_transform(
            source, matrix[:2] / matrix[2, 2], output_shape=size, order=order, mode="grid-constant"
        )
    else:
        row, column, third = np.einsum("ij,jhw->ihw", matrix, [*np.indices(size), np.ones(size)])
        seen = third > 0
        old = [np.where(seen, axis / np.where(seen, third, 1.0), -9.0) for axis in (row, column)]
        sampled = ndimage.map_coordinates(source, old, order=order, mode="grid-constant")
    return sampled if exact else np.rint(sampled)
