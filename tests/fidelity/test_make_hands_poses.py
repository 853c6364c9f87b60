"""Generated poses against real ones: each real pose has a generated one near it."""

from __future__ import annotations

import numpy as np
import pytest

from skhand.datasets import make_hands

MIRROR = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def generated():
    """Joints of 8 000 right hands, mm."""
    return make_hands(8000, images=(), n_subjects=40, side="right", random_state=0).target


def nearest_error(real: np.ndarray, generated: np.ndarray, finalists: int = 10) -> np.ndarray:
    """Mean joint distance of each real pose to its nearest generated one after a similarity alignment, mm."""
    shapes = generated - generated.mean(axis=1, keepdims=True)
    norms = (shapes**2).sum(axis=(1, 2))
    errors = []
    for pose in real - real.mean(axis=1, keepdims=True):
        u, s, vt = np.linalg.svd(np.einsum("nji,jk->nik", shapes, pose))
        s[:, 2] *= np.sign(np.linalg.det(u) * np.linalg.det(vt))
        rank = np.argsort(-(s.sum(axis=1) ** 2) / norms)[:finalists]
        flip = np.ones((finalists, 3))
        flip[:, 2] = np.sign(np.linalg.det(u[rank]) * np.linalg.det(vt[rank]))
        turn = u[rank] * flip[:, None] @ vt[rank]
        scale = s[rank].sum(axis=1) / norms[rank]
        moved = scale[:, None, None] * (shapes[rank] @ turn)
        errors.append(np.linalg.norm(moved - pose, axis=-1).mean(axis=1).min())
    return np.array(errors)


def real_poses(folder, name):
    """Some real poses as right hands, mm."""
    if name == "real-rgb":
        return np.load(folder / "real-rgb" / "annotations.npz")["joints_mm"][::16] * MIRROR
    if name == "stb":
        return np.load(folder / "poses" / "stb_poses.npz")["joints_mm"][::60] * MIRROR
    with np.load(folder / "poses" / "rhd_poses.npz") as rhd:
        joints = np.where(
            rhd["left"].astype(bool)[:, None, None], rhd["joints_mm"] * MIRROR, rhd["joints_mm"]
        )
    return joints[::68]


@pytest.mark.parametrize("name", ["real-rgb", "stb", "rhd"])
def test_real_poses_are_covered(real_data, generated, name):
    real = real_poses(real_data, name)
    errors = nearest_error(real, generated)
    assert errors.mean() < 9.0
    # the mirrored hands are another matter: sides and axes are right
    assert nearest_error(real[:8] * MIRROR, generated).mean() > errors[:8].mean() + 1.0


def test_bone_proportions_are_those_of_adults(real_data, generated):
    parents = [0, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19]
    ours = np.linalg.norm(generated - generated[:, parents], axis=-1)[:, 1:].mean(axis=0)
    ratios = []
    for name in ("real-rgb", "stb", "rhd"):
        real = real_poses(real_data, name)
        theirs = np.median(np.linalg.norm(real - real[:, parents], axis=-1)[:, 1:], axis=0)
        ratios.append(theirs / theirs.sum() / (ours / ours.sum()))
    assert np.abs(np.mean(ratios, axis=0) - 1).max() < 0.25
