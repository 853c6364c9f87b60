"""Crops of real photographs: joints, pictures and cameras agree, and lead back."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from skhand import HandFrames
from skhand.frames import ImageFiles
from skhand.geometry import project
from skhand.preprocessing import HandCropper


@pytest.fixture(scope="module")
def photographs(real_data):
    """Every eighth photograph with its joints, as a table of files."""
    folder = real_data / "real-rgb"
    with np.load(folder / "annotations.npz") as arrays:
        joints, camera = arrays["joints_mm"][::8].astype(np.float64), arrays["K_crop"][::8]
    files = sorted((folder / "images").glob("*.jpg"))[::8]
    frames = HandFrames(
        rgb=ImageFiles(files), camera=camera, keypoints2d=project(joints, camera), side="left"
    )
    return frames, joints


RULES = {
    "keypoints": HandCropper(128, source="keypoints"),
    "small": HandCropper(48, margin=1.5),
    "tall": HandCropper((160, 96), margin=0.8),
    "hand3d": HandCropper(preset="hand3d"),
}


@pytest.mark.parametrize("rule", RULES)
def test_joints_lie_on_the_crop_and_the_way_back_is_exact(rule, photographs):
    frames, joints = photographs
    crops = RULES[rule].fit_transform(frames)
    projected = project(joints, crops.camera)
    ones = np.ones((*projected.shape[:2], 1))
    moved = np.concatenate([frames.keypoints2d, ones], axis=2) @ np.swapaxes(crops.affine, 1, 2)
    np.testing.assert_allclose(moved[..., :2], projected, atol=1e-6)
    np.testing.assert_allclose(crops.keypoints2d, projected, atol=1e-6)
    back = RULES[rule].inverse_transform(crops)
    np.testing.assert_allclose(back.camera, frames.camera, atol=1e-6)
    np.testing.assert_allclose(back.keypoints2d, frames.keypoints2d, atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_content_is_where_the_affine_says(rule, photographs):
    """Held against Pillow, which resizes the box that the affine names; shifted by a pixel it is far off."""
    frames, _ = photographs
    crops = RULES[rule].fit_transform(frames)
    assert not isinstance(crops.rgb, np.ndarray)
    _, height, width, _ = crops.rgb.shape
    pad = 256
    apart, apart_shifted = [], []
    for row in range(0, len(frames), 5):
        padded = Image.fromarray(np.pad(frames.rgb[row], ((pad, pad), (pad, pad), (0, 0))))
        corners = np.array([[-0.5, -0.5, 1], [width - 0.5, height - 0.5, 1]])
        left, top, right, bottom = (corners @ np.linalg.inv(crops.affine[row]).T)[:, :2].ravel() + pad + 0.5
        for shift, errors in ((0, apart), (1, apart_shifted)):
            box = (left + shift, top, right + shift, bottom)
            reference = padded.resize((width, height), Image.Resampling.BILINEAR, box=box)
            errors.append(np.abs(crops.rgb[row].astype(int) - np.asarray(reference)).mean())
    assert max(apart) < 0.6  # of 255
    assert min(apart_shifted) > 2 * max(apart)


def test_skin_lies_under_the_joints(photographs):
    """The colour at a joint of the crop is that at the joint of the photograph."""
    frames, _ = photographs
    crops = HandCropper(256, margin=1.4).fit_transform(frames)

    def colours(table, row):
        u, v = np.rint(table.keypoints2d[row]).astype(int).T
        return table.rgb[row][v, u].astype(float)

    differences = [np.abs(colours(crops, row) - colours(frames, row)).mean() for row in range(len(frames))]
    assert np.median(differences) < 6
