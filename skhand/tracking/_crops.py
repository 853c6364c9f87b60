"""From hand boxes in one picture to poses: crops made directly, and all hands in one call of the network."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.geometry import affine_crop, project, transform_camera
from skhand.preprocessing._crop import Crop
from skhand.preprocessing._windows import place_windows
from skhand.skeleton import BONES, JOINTS
from skhand.training import rows_together

__all__ = ["MARGIN", "Poses", "can_judge", "check_pose", "crop_hands", "judge_poses", "predict_poses"]

#: Side of a crop in sides of the hand's box: `HandCropper`'s default, by which pose networks are trained.
MARGIN = 1.2
_PALM = (0, JOINTS.index("middle_mcp"))
_PARENTS, _CHILDREN = np.array(BONES).T
#: How much implausible bones count beside the heatmaps' spread. Chosen on generated hands.
_BONES_WEIGHT = 0.3


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
    pixels: np.ndarray,
    boxes: np.ndarray,
    sides: np.ndarray,
    camera: np.ndarray,
    size: tuple[int, int],
    rows: np.ndarray | None = None,
) -> HandFrames:
    """Cut the hands out of one picture, as ``HandCropper(size)`` does, in half its time.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
        The picture.
    boxes : ndarray of shape (n, 4), px
        x, y, width, height of each hand.
    sides : ndarray of shape (n_crops,), str
        Left or right, of each crop.
    camera : ndarray of shape (3, 3), px
        Of the picture.
    size : tuple of int, px
        Height and width of a crop.
    rows : ndarray of shape (n_crops,), int, or None, default=None
        Which of the boxes the crops are of; None is each once.

    Returns
    -------
    crops : HandFrames
        With ``rgb``, ``camera``, ``affine`` and ``side``.
    """
    windows = place_windows(boxes[:, :2], boxes[:, :2] + boxes[:, 2:], MARGIN, (0, np.inf), size)
    rgb = np.empty((len(boxes), *size, 3), np.uint8)
    Crop(windows, size, "antialiased")([pixels] * len(boxes), np.arange(len(boxes)), rgb)
    affine = affine_crop(windows - (0.5, 0.5, 0, 0), size)
    if rows is not None:
        rgb, affine = rgb[rows], affine[rows]
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
    return _predict(pose, pixels, boxes, sides, camera)[0]


def can_judge(pose: Any) -> bool:
    """Tell whether a pose network can say which side a hand has: it needs heatmaps."""
    return bool(getattr(pose, "heatmap", "holistic") != "holistic")


def judge_poses(
    pose: Any,
    pixels: np.ndarray,
    boxes: np.ndarray,
    votes: np.ndarray,
    fresh: np.ndarray,
    camera: np.ndarray,
) -> tuple[Poses, np.ndarray]:
    """Answer hands of which some have an unknown side: those as left and as right, in one batch.

    Seen as the hand that it is not, a hand has blurred heatmaps and implausible bones. A side's doubt is the
    logarithm of the joints' spread, on average, and 0.3 times that of the bones' mean deviation from the
    network's mean lengths, as logarithms and without the size; the difference of the doubts is the vote.

    Parameters
    ----------
    pose, pixels, boxes, camera
        As of `predict_poses`.
    votes : ndarray of shape (n,)
        What is known of the side so far: above 0, or 0, right; below, left.
    fresh : ndarray of shape (n,), bool
        Whose side shall be judged.

    Returns
    -------
    poses : Poses
        As of the sides that ``votes`` tell.
    votes : ndarray of shape (n,)
        With the judgement added.
    """
    fresh = np.asarray(fresh, dtype=bool)
    if not fresh.any():
        return predict_poses(pose, pixels, boxes, _sides(votes), camera), votes
    n, rows = len(boxes), np.flatnonzero(fresh)
    both = np.concatenate([np.where(fresh, 1.0, votes), np.full(len(rows), -1.0)])
    poses, doubt = _predict(pose, pixels, boxes, _sides(both), camera, rows)
    votes = np.array(votes, dtype=np.float64)
    votes[rows] += doubt[n:] - doubt[rows]
    taken = np.arange(n)
    taken[rows] = np.where(votes[rows] >= 0, rows, n + np.arange(len(rows)))
    return Poses(*(part[taken] for part in poses)), votes


def _sides(votes: np.ndarray) -> np.ndarray:
    """Return which side votes tell."""
    return np.where(np.asarray(votes) >= 0, "right", "left")


def _predict(
    pose: Any,
    pixels: np.ndarray,
    boxes: np.ndarray,
    sides: np.ndarray,
    camera: np.ndarray,
    again: np.ndarray | None = None,
) -> tuple[Poses, np.ndarray]:
    """Answer hands, those in the rows ``again`` twice, and say how doubtful they are; see `judge_poses`.

    ``sides`` are those of all hands, and then of the second time.
    """
    if len(boxes) == 0:
        return Poses(np.empty((0, len(JOINTS), 3)), np.empty((0, len(JOINTS), 2)), np.empty(0)), np.empty(0)
    rows = np.arange(len(boxes))
    if again is not None:
        rows = np.concatenate([rows, again])
    crops = crop_hands(pixels, boxes, sides, camera, pose.input_shape_[:2], rows)
    with rows_together():
        answer = pose.predict(crops, return_std=True) if can_judge(pose) else (pose.predict(crops),)
    joints, *more = (np.asarray(part).reshape(-1, len(JOINTS), 3) for part in answer)
    score, doubt = np.ones(len(rows)), np.zeros(len(rows))
    if more:
        std = more[0]
        palm = np.linalg.norm(joints[:, _PALM[1]] - joints[:, _PALM[0]], axis=1)
        spread = np.median(np.hypot(std[..., 0], std[..., 1]), axis=1)
        score = np.exp(-spread / np.maximum(palm, 1e-6))
        doubt = np.log(np.linalg.norm(std, axis=2) + 1e-6).mean(axis=1)
        doubt += _BONES_WEIGHT * _bone_doubt(joints, getattr(pose, "mean_bones_", None))
    return Poses(joints, project(joints, camera), score), doubt


def _bone_doubt(joints: np.ndarray, mean_bones: np.ndarray | None) -> np.ndarray:
    """Return the logarithm of how far bones are from their mean lengths (20,) but for size; 0 without."""
    if mean_bones is None:
        return np.zeros(len(joints))
    lengths = np.linalg.norm(joints[:, _CHILDREN] - joints[:, _PARENTS], axis=2)
    off = np.log(lengths + 1.0) - np.log(mean_bones)
    off -= off.mean(axis=1, keepdims=True)
    return np.asarray(np.log(np.abs(off).mean(axis=1) + 1e-3))
