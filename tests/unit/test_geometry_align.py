"""Alignment and bone lengths, held against scipy's rotations and numpy's least squares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from skhand.exceptions import InputError
from skhand.geometry import align_root, align_scale, bone_length, bone_lengths, procrustes


@pytest.fixture
def poses(rng):
    """Predicted and true poses that have little to do with each other but shape."""
    true = rng.normal(size=(6, 21, 3)) * 40 + (0, 0, 500)
    turned = np.einsum("nij,nkj->nki", Rotation.random(6, rng=rng).as_matrix(), true)
    return turned * 0.7 + rng.normal(size=true.shape) * 10, true


def reference_procrustes(pred, true, scaling=True):
    """One pose: scipy's best rotation, then the scale by numpy's least squares."""
    p, t = pred - pred.mean(0), true - true.mean(0)
    turned = Rotation.align_vectors(t, p)[0].apply(p)
    factor = np.linalg.lstsq(turned.reshape(-1, 1), t.ravel(), rcond=None)[0] if scaling else 1.0
    return factor * turned + true.mean(0)


@pytest.mark.parametrize("scaling", [True, False])
def test_procrustes_equals_scipy(poses, scaling):
    pred, true = poses
    expected = [reference_procrustes(p, t, scaling) for p, t in zip(pred, true, strict=True)]
    np.testing.assert_allclose(procrustes(pred, true, scaling=scaling), expected, atol=1e-8)
    np.testing.assert_allclose(procrustes(pred[2], true[2], scaling=scaling), expected[2], atol=1e-8)


def test_procrustes_undoes_a_similarity(poses, rng):
    _, true = poses
    moved = 1.7 * true @ Rotation.random(rng=rng).as_matrix().T + (30, -20, 100)
    np.testing.assert_allclose(procrustes(moved, true), true, atol=1e-9)
    assert np.abs(procrustes(moved, true, scaling=False) - true).max() > 10


def test_procrustes_never_reflects(poses):
    _, true = poses
    mirrored = true * (-1, 1, 1)
    aligned = procrustes(mirrored, true)
    expected = [reference_procrustes(p, t) for p, t in zip(mirrored, true, strict=True)]
    np.testing.assert_allclose(aligned, expected, atol=1e-8)
    assert np.linalg.norm(aligned - true, axis=-1).mean() > 10
    orientation = np.linalg.det(mirrored[:, 1:4] - mirrored[:, :1])
    assert (np.sign(np.linalg.det(aligned[:, 1:4] - aligned[:, :1])) == np.sign(orientation)).all()


def test_procrustes_of_a_flat_hand_does_not_reflect(rng):
    flat = np.concatenate([rng.normal(size=(4, 21, 2)), np.zeros((4, 21, 1))], axis=-1)
    np.testing.assert_allclose(procrustes(flat * (-1, 1, 1), flat), flat, atol=1e-9)
    assert np.abs(procrustes(flat[..., :2] * (-1, 1), flat[..., :2]) - flat[..., :2]).max() > 0.1


@pytest.mark.parametrize(
    "align", [procrustes, lambda p, t, mask=None: align_scale(p, t, root=None, mask=mask)]
)
def test_masked_and_missing_joints_do_not_count(align, poses, rng):
    pred, true = poses
    mask = np.ones((6, 21), bool)
    mask[:, 15:] = False
    expected = align(pred[:, :15], true[:, :15])
    np.testing.assert_allclose(align(pred, true, mask=mask)[:, :15], expected, atol=1e-8)
    spoilt = true.copy()
    spoilt[:, 15:] = 1e4
    np.testing.assert_allclose(align(pred, spoilt, mask=mask), align(pred, true, mask=mask), atol=1e-8)
    spoilt[:, 15:] = np.nan
    aligned = align(pred, spoilt)
    np.testing.assert_allclose(aligned[:, :15], expected, atol=1e-8)
    assert np.isfinite(aligned).all()
    spoilt[0] = np.nan
    aligned = align(pred, spoilt)
    assert np.isnan(aligned[0]).all()
    np.testing.assert_allclose(aligned[1:, :15], expected[1:], atol=1e-8)


def test_a_collapsed_prediction_lands_on_the_mean(poses):
    _, true = poses
    aligned = procrustes(np.zeros_like(true), true)
    np.testing.assert_allclose(aligned, np.broadcast_to(true.mean(1, keepdims=True), true.shape), atol=1e-9)


def test_scale_is_the_least_squares_factor_about_the_root(poses):
    pred, true = poses
    pred = true * 1.3 + (pred - pred.mean(1, keepdims=True)) * 0.1
    aligned = align_scale(pred, true, root="middle_mcp")
    for p, t, a in zip(pred, true, aligned, strict=True):
        design = (p - p[9]).reshape(-1, 1)
        factor = np.linalg.lstsq(design, (t - t[9]).ravel(), rcond=None)[0]
        np.testing.assert_allclose(a, p[9] + factor * (p - p[9]), atol=1e-9)
    np.testing.assert_allclose(align_scale(-true, true, root=None), 0 * true, atol=1e-12)


def test_scale_by_a_bone_makes_the_bone_equal(poses):
    pred, true = poses
    aligned = align_scale(pred, true, bone=("middle_mcp", "middle_pip"))
    np.testing.assert_allclose(bone_length(aligned), bone_length(true), rtol=1e-12)
    root = (pred[:, 0] + pred[:, 9]) / 2
    np.testing.assert_allclose((aligned[:, 0] + aligned[:, 9]) / 2, root, atol=1e-9)
    ratio = bone_lengths(aligned) / bone_lengths(pred)
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape), rtol=1e-9)
    pred[0, 10] = pred[0, 9]
    assert np.isnan(align_scale(pred, true, bone=("middle_mcp", "middle_pip"))[0]).all()


def test_roots_go_to_the_origin(poses):
    _, true = poses
    np.testing.assert_array_equal(align_root(true, "wrist"), true - true[:, :1])
    np.testing.assert_allclose(align_root(true), true - (true[:, [0]] + true[:, [9]]) / 2, atol=1e-12)
    np.testing.assert_array_equal(align_root(true[:, :14], 13)[:, 13], np.zeros((6, 3)))
    assert align_root(true.astype(np.float32)).dtype == np.float32


def test_bones_of_a_hand_laid_out_by_hand():
    joints = np.zeros((1, 21, 3))
    for finger in range(5):  # finger bases 10 mm from the wrist, then bones of 3, 2, 1 mm
        joints[0, 1 + 4 * finger : 5 + 4 * finger, finger % 3] = (-1) ** finger * np.array([10, 13, 15, 16])
    np.testing.assert_allclose(bone_lengths(joints), [[10, 3, 2, 1] * 5])
    assert bone_length(joints).tolist() == [3.0]
    assert bone_length(joints, ("wrist", "little_tip")).tolist() == [16.0]
    assert bone_length(joints, ("palm", "wrist")).tolist() == [5.0]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_a_bone_is_as_long_in_a_pose_as_in_a_stack_of_poses(shape):
    hand = np.zeros((21, 3))
    hand[10] = [0.0, 3.0, 4.0]  # middle_pip; middle_mcp is at the origin
    np.testing.assert_array_equal(bone_length(np.broadcast_to(hand, (*shape, 21, 3))), np.full(shape, 5.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda y: procrustes(y[:, :20], y), r"y_pred: .*\(6, 21, 3\).*\(6, 20, 3\)"),
        (lambda y: procrustes(y, y, mask=np.ones((6, 20), bool)), r"mask: expected bool of shape \(6, 21\)"),
        (lambda y: align_scale(y, y, mask=np.ones((6, 21))), "mask: expected bool"),
        (lambda y: align_scale(y, y, root="elbow"), "root: .*got 'elbow'"),
        (lambda y: align_root(y[:, :16]), r"joints: .*\(6, 16, 3\)"),
        (lambda y: bone_length(y, "wrist"), "bone: .*two joints"),
        (lambda y: bone_length(y, ("wrist", "elbow")), "bone: .*got 'elbow'"),
        (lambda y: bone_lengths(y[:, :16]), r"joints: .*\(6, 16, 3\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call(np.ones((6, 21, 3)))
