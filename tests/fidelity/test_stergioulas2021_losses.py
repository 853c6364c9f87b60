"""Stergioulas et al. 2021: the kinematic losses against numpy, their gradients, and where they degenerate."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from skhand.estimators.aligned_latent.kinematic import (
    geo_loss,
    joint_line_distances,
    kcs_loss,
    kinematic_chain,
)
from skhand.skeleton import BONES

DRAWS = {"generator": torch.Generator().manual_seed(0), "dtype": torch.float64}


def hands(n=3, seed=0):
    return 0.05 * torch.randn(n, 21, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def numpy_kcs(joints):
    """Eq. 8-12 for one hand: B = J^T C with a 1 and a -1 in each column of C, and B^T B."""
    C = np.zeros((21, 20))
    for column, (parent, child) in enumerate(BONES):
        C[child, column], C[parent, column] = 1, -1
    B = joints.T @ C
    return B.T @ B


def numpy_distances(joints):
    """Distances of a joint from the lines through every two others, by the cross product."""
    rows = []
    for i in range(len(joints)):
        others = [m for m in range(len(joints)) if m != i]
        for j, k in combinations(others, 2):
            line = joints[k] - joints[j]
            rows.append(np.linalg.norm(np.cross(joints[i] - joints[j], line)) / np.linalg.norm(line))
    return np.array(rows).reshape(len(joints), -1)


def test_kcs_is_the_gram_matrix_of_the_bones():
    output, target = hands(seed=0), hands(seed=1)
    expected = [numpy_kcs(hand) for hand in output.numpy()]
    np.testing.assert_allclose(kinematic_chain(output), expected, atol=1e-15)
    lengths = np.linalg.norm([output[0, c] - output[0, p] for p, c in BONES], axis=1)
    np.testing.assert_allclose(np.diag(kinematic_chain(output)[0]), lengths**2)
    wanted = np.abs(np.array(expected) - [numpy_kcs(hand) for hand in target.numpy()]).mean()
    assert kcs_loss(output, target).item() == pytest.approx(wanted)


def test_geo_is_the_distance_to_190_lines_a_joint():
    output, target = hands(seed=0), hands(seed=1)
    expected = np.array([numpy_distances(hand) for hand in output.numpy()])
    assert expected.shape[1:] == (21, 190)
    np.testing.assert_allclose(joint_line_distances(output), expected, atol=1e-12)
    wanted = np.abs(expected - [numpy_distances(hand) for hand in target.numpy()]).sum(axis=(1, 2)).mean()
    assert geo_loss(output, target).item() == pytest.approx(wanted)


@pytest.mark.parametrize("loss", [kcs_loss, geo_loss])
def test_kinematic_losses_have_the_gradient_of_their_value(loss):
    target = hands(1, seed=1)
    assert torch.autograd.gradcheck(lambda output: loss(output, target), hands(1).requires_grad_())


DEGENERATE = {
    "all in one point": torch.zeros(1, 21, 3),
    "in a line": torch.arange(21.0).view(1, 21, 1) * torch.tensor([0.01, 0.02, -0.005]),
    "two joints in one": hands(1).float().index_copy(1, torch.tensor([7]), hands(1).float()[:, [3]]),
    "three in a line": hands(1)
    .float()
    .index_copy(1, torch.tensor([7]), hands(1).float()[:, 2:4].mean(1)[:, None]),
}


@pytest.mark.parametrize("pose", DEGENERATE)
@pytest.mark.parametrize("loss", [kcs_loss, geo_loss])
def test_kinematic_losses_are_finite_at_degenerate_poses(loss, pose):
    output = DEGENERATE[pose].clone().requires_grad_()
    value = loss(output, hands(1, seed=1).float())
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(output.grad).all()
    assert output.grad.abs().max() < 1e5


def test_joints_in_a_line_are_at_no_distance_from_it():
    assert joint_line_distances(DEGENERATE["in a line"]).max() < 1e-6
    assert joint_line_distances(DEGENERATE["all in one point"]).max() == 0


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3, 1e6])
def test_distances_are_in_the_unit_of_the_joints_and_a_line_is_one_in_any(unit):
    np.testing.assert_allclose(joint_line_distances(unit * hands()), unit * joint_line_distances(hands()))
    for pose in ("in a line", "all in one point"):
        assert joint_line_distances(unit * DEGENERATE[pose]).max() < 1e-6 * unit


@pytest.mark.parametrize("loss", [kcs_loss, geo_loss])
def test_unknown_joints_take_no_part(loss):
    output, target = hands(2).requires_grad_(), hands(2, seed=1)
    target[0, 8] = torch.nan  # a finger's tip: no other bone hangs on it
    loss(output, target).backward()
    assert (output.grad[0, 8] == 0).all()
    assert torch.isfinite(output.grad).all()
    assert (output.grad[1] != 0).any(dim=1).all()
    if loss is geo_loss:
        keep = [i for i in range(21) if i != 8]
        per_hand = [geo_loss(o[None], t[None]).item() for o, t in zip(output.detach(), target, strict=True)]
        assert per_hand[0] == pytest.approx(geo_loss(output[:1, keep], target[:1, keep]).item())


def test_the_papers_weights_make_every_term_act_in_metres(real_data):
    """PAPERS: STB poses with 9 mm of noise; MSE 8.1e-5, 1e-2 KCS 6e-6, 1e-6 GEO 4.3e-5."""
    poses = torch.from_numpy(np.load(real_data / "poses" / "stb_poses.npz")["joints_mm"][::10] / 1000)
    noisy = poses + 0.009 * torch.randn(poses.shape, **DRAWS)
    assert (noisy - poses).square().mean().item() == pytest.approx(8.1e-5, rel=0.05)
    assert 1e-2 * kcs_loss(noisy, poses).item() == pytest.approx(6e-6, rel=0.15)
    assert 1e-6 * geo_loss(noisy, poses).item() == pytest.approx(4.3e-5, rel=0.15)
