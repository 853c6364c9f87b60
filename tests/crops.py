"""Hands in pictures of noise, and the windows of their crops, for the tests of HandCropper."""

from __future__ import annotations

import numpy as np

from skhand import HandFrames
from skhand.geometry import project

HEIGHT, WIDTH = 96, 128
CAMERA = np.array([[300.0, 0.0, 70.0], [0.0, 280.0, 40.0], [0.0, 0.0, 1.0]])


def hands_in_noise(rng):
    """Six hands in pictures of noise, with everything that a table can hold."""
    pose = rng.uniform((-50, -12, 480), (50, 45, 540), size=(6, 21, 3))
    points = project(pose, CAMERA)
    corner = points.min(axis=1)
    depth = rng.uniform(300, 600, (6, HEIGHT, WIDTH)).astype(np.float32)
    return HandFrames(
        rgb=rng.integers(0, 256, (6, HEIGHT, WIDTH, 3), dtype=np.uint8),
        depth=depth,
        mask=depth > 450,
        keypoints2d=points,
        pose3d=pose,
        camera=CAMERA,
        side=np.array(["left", "right"] * 3),
        root=pose[:, 9],
        box=np.concatenate([corner, points.max(axis=1) - corner], axis=1),
    )


def window_of(crops, row):
    """First column, first row, width and height of a crop, px, read off its affine."""
    height, width = crops.rgb.shape[1:3]
    factor = np.array([crops.affine[row, 0, 0], crops.affine[row, 1, 1]])
    first = (-0.5 - crops.affine[row, :2, 2]) / factor + 0.5
    window = np.concatenate([first, np.array([width, height]) / factor])
    np.testing.assert_allclose(window, window.round(), atol=1e-9)
    return window.round().astype(int)
