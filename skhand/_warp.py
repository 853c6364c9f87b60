"""The warp of pictures by homographies that preprocessing and training share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["warp_pictures"]


def warp_pictures(
    pictures: Tensor,
    matrices: Tensor,
    size: Sequence[int],
    mode: Literal["bilinear", "nearest"] = "bilinear",
    outside: Literal["zeros", "reflection"] = "zeros",
) -> Tensor:
    """Sample new pictures so that their content moves by homographies.

    All is done on the device, with no look at values and no tensor made of Python's numbers: a CUDA graph can
    record it.

    Parameters
    ----------
    pictures : Tensor of shape (n_samples, n_channels, height, width), float
        Old pictures, in any memory format. Halves are sampled in float32.
    matrices : Tensor of shape (n_samples, 3, 3), float32 or float64
        Old pixels to new ones; must have an inverse. New pixels whose third coordinate is not positive on the
        way back are not seen.
    size : sequence of int, px
        Height and width of the new pictures.
    mode : {"bilinear", "nearest"}, default="bilinear"
        "bilinear" interpolates between the four nearest pixels, "nearest" copies the nearest one.
    outside : {"zeros", "reflection"}, default="zeros"
        What lies outside of the old picture: 0, or its mirror images.

    Returns
    -------
    warped : Tensor of shape (n_samples, n_channels, new_height, new_width)
        Of the same dtype.
    """
    dtype = torch.promote_types(pictures.dtype, torch.float32)
    grid = _find_old_places(matrices, size, pictures.shape[2:]).to(dtype)
    warped = functional.grid_sample(pictures.to(dtype), grid, mode, outside, align_corners=False)
    return warped.to(pictures.dtype)


def _find_old_places(matrices: Tensor, size: Sequence[int], old_size: Sequence[int]) -> Tensor:
    """Find where new pixels lie in the old picture, whose edges are at -1 and 1: (n, new_h, new_w, 2)."""
    rows = torch.arange(size[0], dtype=matrices.dtype, device=matrices.device)[:, None]
    columns = torch.arange(size[1], dtype=matrices.dtype, device=matrices.device)
    x, y, third = _invert(matrices).unbind(1)
    x = (2 * x + third) / old_size[1] - third
    y = (2 * y + third) / old_size[0] - third
    x, y, third = (
        row[:, 0, None, None] * columns + (row[:, 1, None, None] * rows + row[:, 2, None, None])
        for row in (x, y, third)
    )
    seen = third > 0
    third = torch.where(seen, third, 1.0)
    return torch.stack([torch.where(seen, x / third, -9.0), y / third], dim=3)  # -9: far to the left


def _invert(matrices: Tensor) -> Tensor:
    """Compute inverses (n, 3, 3) by cross products, which a CUDA graph can record."""
    first, second, third = matrices.unbind(1)
    pairs = ((second, third), (third, first), (first, second))
    adjugate = torch.stack([torch.linalg.cross(one, other) for one, other in pairs], dim=2)
    return adjugate / (first * adjugate[:, :, 0]).sum(dim=1)[:, None, None]
