"""Answers averaged over turned copies of a picture (test-time augmentation)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from skhand._warp import warp_pictures
from skhand.geometry import affine_rotate
from skhand.training import constant

__all__ = ["TURN", "average_answers", "turn_pictures"]

TURN = 15.0
"""Degrees between two copies: chosen, with three copies, on generated hands of other people. Copies of other
sizes gain less."""


def turn_pictures(pictures: Tensor, n_turns: int) -> tuple[Tensor, Tensor]:
    """Return copies of pictures, turned about the middle, mid-grey where the picture does not reach.

    Parameters
    ----------
    pictures : Tensor of shape (n, n_channels, height, width)
        In -0.5..0.5.
    n_turns : int
        Copies a picture, `TURN` degrees apart, as many to the left as to the right of upright.

    Returns
    -------
    copies : Tensor of shape (n * n_turns, n_channels, height, width)
        Those of one picture follow each other.
    back : Tensor of shape (n_turns, 3, 3), float32
        A copy's pixels to those of the picture.
    """
    height, width = pictures.shape[2:]
    angles = TURN * (np.arange(n_turns) - 0.5 * (n_turns - 1))
    there = affine_rotate(angles, np.tile([0.5 * (width - 1), 0.5 * (height - 1)], (n_turns, 1)))
    matrices, back = constant(np.stack([there, np.linalg.inv(there)]), torch.float32, pictures.device)
    copies = pictures.repeat_interleave(n_turns, dim=0)
    copies = warp_pictures(copies, matrices.repeat(len(pictures), 1, 1), (height, width))
    return copies.contiguous(memory_format=torch.channels_last), back


def average_answers(answers: Sequence[Tensor], back: Tensor) -> list[Tensor]:
    """Return the mean of the copies' answers in the picture itself, and its covariance.

    Parameters
    ----------
    answers : sequence of Tensor
        Points of the copies (n * n_turns, 21, 3): u, v (px) and depth; and, or not, the covariance
        (n * n_turns, 21, 3, 3) of their heatmaps.
    back : Tensor of shape (n_turns, 3, 3)
        From `turn_pictures`.

    Returns
    -------
    answers : list of Tensor
        Points (n, 21, 3), and with a covariance the mean of the copies' own plus that of their answers.
    """
    points, *covariances = (each.unflatten(0, (-1, len(back))) for each in answers)
    turn = torch.eye(3, dtype=points.dtype, device=points.device).repeat(len(back), 1, 1)[:, None]
    turn[..., :2, :2] = back[:, None, :2, :2]
    turned = _multiply(turn, points[..., None])[..., 0]
    turned[..., :2] += back[:, None, :2, 2]
    mean = turned.mean(dim=1)
    off = turned - mean[:, None]
    between = off[..., None] * off[..., None, :]
    own = [_multiply(_multiply(turn, each), turn.mT) for each in covariances]
    return [mean, *((each + between).mean(dim=1) for each in own)]


def _multiply(first: Tensor, second: Tensor) -> Tensor:
    """Multiply small matrices; unlike ``@``, with the same rounding whatever the number of rows."""
    return (first[..., None] * second[..., None, :, :]).sum(dim=-2)
