"""Pictures in numpy arrays and lazy columns, warped by homographies."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch

from skhand._columns import read_pictures
from skhand._validation import check_option, check_shape, describe
from skhand._warp import warp_pictures
from skhand.exceptions import InputError
from skhand.geometry._affine import picture_size
from skhand.preprocessing._change import Pictures, change_column

__all__ = ["Warp", "warp_images"]


class Warp:
    """Sample the picture of each row by the row's matrix; a change for `change_column`.

    Parameters
    ----------
    matrix : ndarray of shape (n_samples, 3, 3)
        Old pixels to new ones; a homography is welcome.
    size : tuple of int, px
        Height and width of the new pictures.
    order : {0, 1}
        0 copies the nearest pixel, 1 interpolates between four.
    """

    def __init__(self, matrix: np.ndarray, size: tuple[int, int], order: Literal[0, 1]):
        self.matrix, self.size, self.order = matrix, size, order

    def __call__(self, pictures: Pictures, rows: np.ndarray, out: np.ndarray) -> None:
        """Warp the pictures (height, width[, n_channels]) of the rows (k,) into ``out``."""
        mode: Literal["bilinear", "nearest"] = "bilinear" if self.order else "nearest"
        # float32, but float64 where float32 does not hold the dtype's numbers
        dtype = np.result_type(out.dtype, np.float32)
        round_off = self.order == 1 and out.dtype.kind != "f"
        matrices = torch.from_numpy(self.matrix[rows]).split(1)
        with torch.inference_mode():
            for picture, matrix, new in zip(pictures, matrices, out, strict=True):
                old = torch.from_numpy(np.require(picture, dtype, ["C", "W"]))
                batch = old.view(1, *old.shape[:2], -1).permute(0, 3, 1, 2)
                warped = warp_pictures(batch, matrix, self.size, mode)
                values = warped[0].permute(1, 2, 0).numpy().reshape(new.shape)
                new[...] = np.rint(values) if round_off else values


def warp_images(
    images: Any, affine: Any, size: int | tuple[int, int], *, order: Literal[0, 1] = 1
) -> np.ndarray:
    """Sample new pictures from old ones.

    Parameters
    ----------
    images : array-like of shape (n_samples, height, width) or (n_samples, height, width, n_channels)
        Pictures; of a single one take ``picture[None]``. A lazy column is read a few pictures at a time. NaN
        and infinity spread to the new pixels that are sampled from them.
    affine : array-like of shape (n_samples, 3, 3) or (3, 3)
        Old pixels to new ones: one matrix a picture, or one for all. Of a homography, new pixels whose third
        coordinate is not positive on the way back are not seen.
    size : int or tuple of int, px
        Side of the new pictures, or their (height, width).
    order : {0, 1}, default=1
        0 copies the nearest pixel, for depth and masks, where a mean of two values means nothing;
        1 interpolates between four. Neither averages over the pixels that a strong reduction skips.

    Returns
    -------
    warped : ndarray of shape (n_samples, new_height, new_width[, n_channels])
        Same dtype; integers are rounded. What lies outside the old picture is 0. Pictures are sampled in
        float32, those of float64 and of integers above 16 bits in float64.

    Raises
    ------
    InputError
        If the images are no batch of pictures, there is not one matrix a picture, or a matrix cannot be
        inverted.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.geometry import affine_crop
    >>> from skhand.preprocessing import warp_images
    >>> pictures = np.zeros((4, 240, 320, 3), np.uint8)
    >>> warp_images(pictures, affine_crop((100, 50, 80, 80), 64), 64).shape
    (4, 64, 64, 3)
    """
    check_option(order, "order", (0, 1))
    new_size = picture_size(size)
    matrices = check_shape(affine, "affine", (3, 3), leading=True).astype(np.float64)
    images = read_pictures(images, "images")
    shape = images.shape
    if len(shape) not in (3, 4):
        raise InputError(
            f"images: expected pictures (n_samples, height, width[, n_channels]), got {describe(images)}; "
            "a single picture is picture[None]."
        )
    if np.dtype(images.dtype).kind not in "buif" or 0 in shape[1:]:
        raise InputError(f"images: expected pictures of numbers, got {describe(images)}.")
    if matrices.ndim == 2 and len(shape) == 3 and shape[2] in (1, 3, 4):
        raise InputError(
            f"images: expected a batch of pictures, got {describe(images)} with one matrix: it could be one "
            f"picture of {shape[2]} channels. Give picture[None], or one matrix a picture."
        )
    if matrices.shape not in ((3, 3), (len(images), 3, 3)):
        raise InputError(
            f"affine: expected one matrix a picture of images {tuple(shape)}, or one, got {describe(affine)}."
        )
    if not (np.isfinite(matrices).all() and (np.abs(np.linalg.det(matrices)) > 1e-12).all()):
        raise InputError("affine: expected finite matrices that can be inverted, got others.")
    each = np.array(np.broadcast_to(matrices, (len(images), 3, 3)))
    warp = Warp(each, new_size, order)
    return change_column(images, warp, (*new_size, *shape[3:]), images.dtype, lazy=False)
