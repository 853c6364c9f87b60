"""The kinematic losses of Stergioulas et al. 2021 (Sec. 3.2), differentiable at every pose."""

from __future__ import annotations

import functools
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from skhand.nn import known_difference, masked_l1
from skhand.skeleton import BONES
from skhand.training import constant

__all__ = ["geo_loss", "joint_line_distances", "kcs_loss", "kinematic_chain"]


def kinematic_chain(joints: Tensor) -> Tensor:
    """Inner products of all pairs of bones: the kinematic chain space (Eq. 8-12).

    Parameters
    ----------
    joints : Tensor of shape (n, 21, 3), any unit
        Poses in canonical order.

    Returns
    -------
    kcs : Tensor of shape (n, 20, 20), that unit squared
        Squared lengths of the bones on the diagonal. NaN where a joint of one of the two bones is NaN.
    """
    parents, children = zip(*BONES, strict=True)
    bones = joints[:, list(children)] - joints[:, list(parents)]
    return bones @ bones.mT


def kcs_loss(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the entries of two kinematic chain spaces (Eq. 13).

    Parameters
    ----------
    output, target : Tensor of shape (n, 21, 3), m
        Predicted and true poses. Entries that the target does not know (NaN) are left out.

    Returns
    -------
    loss : Tensor of shape (), square metres
        Mean over the batch and its 20 x 20 entries.
    """
    return masked_l1(kinematic_chain(output), kinematic_chain(target))


def joint_line_distances(joints: Tensor) -> Tensor:
    """Distance of every joint from the line through every pair of the other joints (Eq. 14-15).

    With the triangle's sides a, b, c, Heron's formula reads 16 A^2 = 4 a^2 b^2 - (a^2 + b^2 - c^2)^2: no root
    of a side is taken, so that coinciding joints have a gradient. It is evaluated in float64, because it
    cancels for joints almost in a line. For joints in a line, and where the pair coincides and there is no
    line, distance and gradient are 0.

    Parameters
    ----------
    joints : Tensor of shape (n, n_joints, 3), any unit
        Poses.

    Returns
    -------
    distances : Tensor of shape (n, n_joints, n_pairs), float64, same unit
        For 21 joints 190 lines each, in the order of ``itertools.combinations`` of the other joints.
    """
    n, n_joints = joints.shape[:2]
    points = joints.double().permute(1, 2, 0)
    squares = (points[:, None] - points[None]).square().sum(dim=2).flatten(0, 1)  # one row a pair of joints
    base, left, right = (
        squares.index_select(0, constant(side, torch.long, joints.device)) for side in _sides(n_joints)
    )
    heron = 4 * base * left - (base + left - right).square()
    size = base + left + right
    # rounding leaves about 1e-15 of the size squared; below it there is no triangle
    flat = (heron <= 1e-14 * size.square()) | (base <= 1e-12 * size)
    height = torch.where(flat, 1.0, heron) / torch.where(flat, 1.0, 4 * base)
    return torch.where(flat, 0.0, height.sqrt()).T.reshape(n, n_joints, -1)


def geo_loss(output: Tensor, target: Tensor) -> Tensor:
    """Summed absolute difference of the joint-line distances of two poses (Eq. 16).

    Parameters
    ----------
    output, target : Tensor of shape (n, n_joints, 3), m
        Predicted and true poses. Distances that the target does not know (NaN) are left out.

    Returns
    -------
    loss : Tensor of shape (), metres
        Sum over the distances of a hand (3 990 for 21 joints), averaged over the batch.
    """
    difference, _ = known_difference(joint_line_distances(output), joint_line_distances(target))
    return (difference.abs().sum() / len(output)).to(output.dtype)


@functools.lru_cache
def _sides(n_joints: int) -> np.ndarray:
    """Number the pair of joints of each side, (3, n_joints * n_pairs): the line's, and those to its ends."""
    joints = range(n_joints)
    triples = [(i, j, k) for i in joints for j, k in combinations([m for m in joints if m != i], 2)]
    i, j, k = np.array(triples, dtype=np.int64).T
    return np.stack([j, i, i]) * n_joints + np.stack([k, j, k])
