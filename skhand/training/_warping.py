"""Warps of batches of pictures."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn import functional

from skhand.training._runtime import constant


def warp(images: Tensor, affine: Tensor, mode: str) -> Tensor:
    """Sample pictures (n, c, h, w) so that their content moves by ``affine``, maps that keep angles.

    Where nothing reaches, they are 0.
    """
    height, width = images.shape[2:]
    to_unit = np.array([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]])
    there, back = (constant(map_, affine.dtype, affine.device) for map_ in (to_unit, np.linalg.inv(to_unit)))
    plane, shift = affine[:, :2, :2], affine[:, :2, 2:]
    turned_back = plane.mT / plane[:, :, 0].square().sum(dim=1)[:, None, None]
    inverse = affine.clone()
    inverse[:, :2, :2], inverse[:, :2, 2:] = turned_back, -turned_back @ shift
    theta = there @ inverse @ back
    grid = functional.affine_grid(theta[:, :2], list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode=mode, padding_mode="zeros", align_corners=False)
