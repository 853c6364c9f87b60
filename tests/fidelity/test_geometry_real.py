"""Geometry and layouts against real data: published projections, crops and hands."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from skhand.geometry import (
    affine_crop,
    align_root,
    backproject,
    bone_lengths,
    procrustes,
    project,
    transform_camera,
)
from skhand.skeleton import FINGERS, LAYOUTS, convert


def load(path):
    with np.load(path) as arrays:
        return dict(arrays)


def test_stb_keypoints_are_the_projection(real_data):
    stb = load(real_data / "poses" / "stb_poses.npz")
    np.testing.assert_allclose(project(stb["joints_mm"], stb["K"]), stb["keypoints2d"], atol=1e-3)
    depth = stb["joints_mm"][..., 2]
    np.testing.assert_allclose(backproject(stb["keypoints2d"], depth, stb["K"]), stb["joints_mm"], atol=1e-3)


def test_rhd_keypoints_are_the_projection_of_what_is_in_front(real_data):
    rhd = load(real_data / "poses" / "rhd_poses.npz")
    error = np.linalg.norm(project(rhd["joints_mm"], rhd["K"]) - rhd["keypoints2d"], axis=-1)
    in_front = (rhd["joints_mm"][..., 2] > 0).all(1)
    assert (~in_front).sum() == 2
    assert error[in_front].max() < 0.3
    assert np.median(error[in_front]) < 0.05


def test_cameras_of_the_photographs_are_those_of_their_boxes(real_data):
    """The publisher's crop takes integers for pixel edges: it differs by half a pixel before and after."""
    photos = load(real_data / "real-rgb" / "annotations.npz")
    full = np.zeros((len(photos["K_full"]), 3, 3))
    full[:, 0, 0], full[:, 1, 1], full[:, 0, 2], full[:, 1, 2] = photos["K_full"].T
    full[:, 2, 2] = 1
    exact = transform_camera(full, affine_crop(photos["bbox"] - (0.5, 0.5, 0, 0), 256))
    shift = photos["K_crop"] - exact
    factor = 256 / photos["bbox"][:, 2]
    np.testing.assert_allclose(shift[:, 0, 2], (1 - factor) / 2, atol=1e-9)
    np.testing.assert_allclose(shift[:, 1, 2], (1 - factor) / 2, atol=1e-9)
    np.testing.assert_allclose(shift[:, :2, :2], 0, atol=1e-9)
    apart = project(photos["joints_mm"], photos["K_crop"]) - project(photos["joints_mm"], exact)
    assert 0.09 < np.abs(apart).max() < 0.27


@pytest.mark.parametrize("name", ["rhd", "stb"])
def test_procrustes_equals_scipy_on_real_hands(name, real_data, rng):
    hands = load(real_data / "poses" / f"{name}_poses.npz")["joints_mm"].astype(np.float64)
    true, pred = hands[rng.permutation(len(hands))[:200]].reshape(2, 100, 21, 3)
    aligned = procrustes(pred, true)
    for p, t, a in zip(pred, true, aligned, strict=True):
        p, t = p - p.mean(0), t - t.mean(0)
        turned = Rotation.align_vectors(t, p)[0].apply(p)
        factor = (turned * t).sum() / (turned**2).sum()
        np.testing.assert_allclose(a - a.mean(0), factor * turned, atol=1e-6)


def test_a_left_hand_does_not_become_a_right_one(real_data):
    """Mirrored STB poses stay well apart from themselves after alignment, turned ones do not."""
    hands = load(real_data / "poses" / "stb_poses.npz")["joints_mm"][::50].astype(np.float64)
    mirrored = procrustes(hands * (-1, 1, 1), hands)
    assert np.linalg.norm(mirrored - hands, axis=-1).mean() > 5
    turned = hands @ Rotation.from_euler("xyz", (50, 100, -70), degrees=True).as_matrix().T
    np.testing.assert_allclose(procrustes(turned, hands), hands, atol=1e-6)


def test_one_real_hand_has_one_length_a_bone(real_data):
    lengths = bone_lengths(load(real_data / "poses" / "stb_poses.npz")["joints_mm"])
    assert lengths.std(0).max() < 1e-3
    phalanges = lengths.mean(0).reshape(5, 4)[:, 1:]
    known = [[30, 28, 26], [34, 22, 20], [40, 25, 21], [37, 23, 20], [32, 15, 19]]
    np.testing.assert_allclose(phalanges, known, atol=0.01)


def nyu_hands(real_data):
    """NYU's 36 points in mm, y down."""
    uvd = load(real_data / "poses" / "nyu36_poses.npz")["uvd"].astype(np.float64)
    camera = np.array([[588.03, 0, 320], [0, 587.07, 240], [0, 0, 1]])
    return backproject(uvd[..., :2], uvd[..., 2], camera)


def test_nyu_converts_to_a_plausible_hand(real_data):
    hands = convert(nyu_hands(real_data), "nyu36", "canonical")
    lengths = bone_lengths(hands).reshape(-1, 5, 4)
    assert lengths[..., 1:].std(0).max() < 1.5  # the phalanges: rigid up to the play of the fitted model
    assert lengths[..., 0].std(0).max() < 5.0  # wrist to finger base: the fitted palm bends a little
    mean = lengths.mean(0)
    assert (np.diff(mean, axis=1) < 0)[1:].all()  # each phalanx of a finger is shorter than the one before
    reach = np.linalg.norm(align_root(hands, "wrist"), axis=-1)
    tips = [finger[-1] for finger in FINGERS.values()]
    straightest = reach[np.argsort(reach[:, tips].sum(1))[-200:]]
    for base, *_, tip in FINGERS.values():
        assert (np.diff(straightest[:, base : tip + 1], axis=1) > 0).all()
    assert (straightest[:, [8, 12, 16]].max(1) == straightest.max(1)).all()


def test_nyu_wrist_lies_between_the_two_wrist_points(real_data):
    hands = nyu_hands(real_data)
    names = LAYOUTS["nyu36"].joints
    ulnar, radial, wrist = (hands[:, names.index(name)] for name in ("PALM_1", "PALM_2", "wrist"))
    apart = np.linalg.norm(ulnar - radial, axis=-1).mean()
    for side in (ulnar, radial):
        assert np.linalg.norm(wrist - side, axis=-1).mean() < 0.6 * apart
    thumb = hands[:, names.index("thumb_cmc")]
    assert (np.linalg.norm(thumb - radial, axis=-1) < np.linalg.norm(thumb - ulnar, axis=-1)).all()


def test_icvl_points_do_not_span_a_finger(real_data):
    """Why ICVL keeps its own names: from root to tip is about half of what MCP to tip is in a real hand."""
    uvd = load(real_data / "depth-benchmarks" / "icvl.npz")["ground_truth_uvd"].astype(np.float64)
    camera = np.array([[240.99, 0, 160], [0, 240.96, 120], [0, 0, 1]])
    points = backproject(uvd[..., :2], uvd[..., 2], camera)
    names = LAYOUTS["icvl16"].joints
    root, mid, tip = (points[:, names.index(f"icvl_middle_{part}")] for part in ("root", "mid", "tip"))
    span = np.linalg.norm(mid - root, axis=-1) + np.linalg.norm(tip - mid, axis=-1)
    stb = load(real_data / "poses" / "stb_poses.npz")["joints_mm"]
    finger = bone_lengths(stb)[:, 9:12].sum(1)
    assert 0.55 < np.median(span) / np.median(finger) < 0.65
