"""The warp of pictures by homographies that preprocessing and training share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["warp_pictures"]

_FAR = 9.0  # outside of the picture, whose edges are at -1 and 1


def warp_pictures(
    pictures: Tensor,
    matrices: Tensor,
    size: Sequence[int],
    mode: Literal["bilinear", "nearest"] = "bilinear",
) -> Tensor:
    """Sample new pictures so that their content moves by homographies.

    All is done on the device, with no look at values and no tensor made of Python's numbers: a CUDA graph can
    record it.

    Parameters
    ----------
    pictures : Tensor of shape (n_samples, n_channels, height, width)
        Old pictures, in any memory format. "bilinear" needs floats; halves are interpolated in float32.
    matrices : Tensor of shape (n_samples, 3, 3), float32 or float64
        Old pixels to new ones; must have an inverse. Positions are computed in their dtype. New pixels whose
        third coordinate is not positive on the way back are not seen.
    size : sequence of int, px
        Height and width of the new pictures.
    mode : {"bilinear", "nearest"}, default="bilinear"
        "bilinear" interpolates between the four nearest pixels, "nearest" copies the nearest one.

    Returns
    -------
    warped : Tensor of shape (n_samples, n_channels, new_height, new_width)
        Of the same dtype; 0 outside of the old picture.
    """
    u, v, seen = _find_old_pixels(matrices, size)
    if mode == "nearest":
        return _copy_nearest(pictures, u, v, seen)
    return _interpolate(pictures, u, v, seen)


def _find_old_pixels(matrices: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Find where new pixels lie in the old picture: u, v (px), and whether in front of it, (n, h, w) each."""
    rows = torch.arange(size[0], dtype=matrices.dtype, device=matrices.device)[:, None]
    columns = torch.arange(size[1], dtype=matrices.dtype, device=matrices.device)
    back = _invert(matrices)[..., None, None]
    u, v, third = (back[:, i, 0] * columns + (back[:, i, 1] * rows + back[:, i, 2]) for i in range(3))
    return u / third, v / third, third > 0


def _invert(matrices: Tensor) -> Tensor:
    """Compute inverses (n, 3, 3) by cross products, which a CUDA graph can record."""
    first, second, third = matrices.unbind(1)
    pairs = ((second, third), (third, first), (first, second))
    adjugate = torch.stack([torch.linalg.cross(one, other) for one, other in pairs], dim=2)
    return adjugate / (first * adjugate[:, :, 0]).sum(dim=1)[:, None, None]


def _copy_nearest(pictures: Tensor, u: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Copy the old pixel that is nearest to (u, v), of equally near ones the even one."""
    height, width = pictures.shape[2:]
    u, v = u.round(), v.round()
    inside = seen & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    columns, rows = (torch.where(inside, axis, 0).long() for axis in (u, v))
    if pictures.is_contiguous():
        index = (rows * width + columns).flatten(1)[:, None].expand(-1, pictures.shape[1], -1)
        copied = pictures.flatten(2).gather(2, index).unflatten(2, u.shape[1:])
    else:
        samples = torch.arange(len(pictures), device=pictures.device)[:, None, None]
        copied = pictures.permute(0, 2, 3, 1)[samples, rows, columns].permute(0, 3, 1, 2)
    return copied.masked_fill(~inside[:, None], 0)


def _interpolate(pictures: Tensor, u: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Interpolate between the four old pixels around (u, v); beyond the border they are 0."""
    height, width = pictures.shape[2:]
    dtype = torch.promote_types(pictures.dtype, torch.float32)
    grid = torch.stack([(2 * u + 1) / width - 1, (2 * v + 1) / height - 1], dim=3)
    grid = torch.where(seen[..., None], grid, -_FAR).clamp(-_FAR, _FAR).to(dtype)
    sampled = functional.grid_sample(pictures.to(dtype), grid, "bilinear", "zeros", align_corners=False)
    return sampled.to(pictures.dtype)
