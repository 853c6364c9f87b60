"""From hand boxes in one picture to poses: crops made directly, and all hands in one call of the network."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.geometry import affine_crop, project, transform_camera
from skhand.preprocessing._crop import Crop
from skhand.preprocessing._windows import place_windows
from skhand.skeleton import JOINTS
from skhand.training import rows_together

__all__ = ["MARGIN", "Poses", "check_pose", "crop_hands", "predict_poses"]

#: Side of a crop in sides of the hand's box: `HandCropper`'s default, by which pose networks are trained.
MARGIN = 1.2
_PALM = (0, JOINTS.index("middle_mcp"))


class Poses(NamedTuple):
    """Hands as a pose network sees them.

    Parameters
    ----------
    joints : ndarray of shape (n, 21, 3), mm
        In the camera frame of the whole picture.
    keypoints : ndarray of shape (n, 21, 2), px
        In the whole picture.
    score : ndarray of shape (n,)
        How sure the network is of the joints, 0 to 1: ``exp(-spread)``, where the spread is the standard
        deviation of a joint across the picture by the heatmaps, in lengths of the palm (wrist to middle MCP),
        the median over the joints. 1 from a network without heatmaps.
    """

    joints: np.ndarray
    keypoints: np.ndarray
    score: np.ndarray


def crop_hands(
    pixels: np.ndarray, boxes: np.ndarray, sides: np.ndarray, camera: np.ndarray, size: tuple[int, int]
) -> HandFrames:
    """Cut the hands out of one picture, as ``HandCropper(size)`` does, in half its time.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
        The picture.
    boxes : ndarray of shape (n, 4), px
        x, y, width, height of each hand.
    sides : ndarray of shape (n,), str
        Left or right.
    camera : ndarray of shape (3, 3), px
        Of the picture.
    size : tuple of int, px
        Height and width of a crop.

    Returns
    -------
    crops : HandFrames
        With ``rgb``, ``camera``, ``affine`` and ``side``.
    """
    windows = place_windows(boxes[:, :2], boxes[:, :2] + boxes[:, 2:], MARGIN, (0, np.inf), size)
    rgb = np.empty((len(boxes), *size, 3), np.uint8)
    Crop(windows, size, "antialiased")([pixels] * len(boxes), np.arange(len(boxes)), rgb)
    affine = affine_crop(windows - (0.5, 0.5, 0, 0), size)
    return HandFrames(rgb=rgb, camera=transform_camera(camera, affine), affine=affine, side=sides)


def check_pose(pose: Any) -> None:
    """Validate that a pose estimator answers with absolute poses from colour crops alone."""
    shape = getattr(pose, "input_shape_", None)
    given = set(getattr(pose, "given_", ())) - {"side"}
    if shape is None or len(shape) != 3 or shape[2] != 3 or given:
        got = f"one that is given {sorted(given)}" if given else f"{type(pose).__name__} of input {shape}"
        raise InputError(
            "pose: expected a fitted estimator of absolute poses from colour pictures that needs no root or "
            f"scale, such as LatentHeatmapRegressor; got {got}."
        )


def predict_poses(
    pose: Any, pixels: np.ndarray, boxes: np.ndarray, sides: np.ndarray, camera: np.ndarray
) -> Poses:
    """Answer the hands in the boxes of one picture."""
    if len(boxes) == 0:
        return Poses(np.empty((0, len(JOINTS), 3)), np.empty((0, len(JOINTS), 2)), np.empty(0))
    crops = crop_hands(pixels, boxes, sides, camera, pose.input_shape_[:2])
    has_maps = getattr(pose, "heatmap", "holistic") != "holistic"
    with rows_together():
        answer = pose.predict(crops, return_std=True) if has_maps else (pose.predict(crops),)
    joints, *more = (np.asarray(part).reshape(-1, len(JOINTS), 3) for part in answer)
    score = np.ones(len(boxes))
    if more:
        std = more[0]
        palm = np.linalg.norm(joints[:, _PALM[1]] - joints[:, _PALM[0]], axis=1)
        spread = np.median(np.hypot(std[..., 0], std[..., 1]), axis=1)
        score = np.exp(-spread / np.maximum(palm, 1e-6))
    return Poses(joints, project(joints, camera), score)
