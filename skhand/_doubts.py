"""Warn about labels that look wrong: another unit, another picture's camera, numbers that mean "unknown"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skhand._columns import PICTURES
from skhand._validation import some_rows, warn_user
from skhand.geometry import bone_lengths, project
from skhand.skeleton import JOINTS

__all__ = ["list_bone_doubts", "warn_of_doubts"]

_BONE_RANGE = (5.0, 200.0)  # mm; the median bone of real hands is 29 to 38
_MOST_ROWS = 2000  # whose bones and cameras are looked at
# what real sets stay far below, also in crops of 0.6 times the hand's box: joints outside of their picture,
# pictures without any joint, the distance of keypoints from projections in root mean squares of the hand
_OUTSIDE, _NOTHING_INSIDE, _OFF = 0.7, 0.2, 0.3


def warn_of_doubts(columns: Mapping[str, Any], poses: Any, name: str = "y") -> None:
    """Warn, in one warning, about what looks wrong in poses and in the table that they belong to.

    No picture is read, and bones and cameras are looked at in a few thousand rows at most.

    Parameters
    ----------
    columns : mapping of str to array-like
        Columns of a `HandFrames`; those that are not there are not looked at.
    poses : ndarray of shape (n_samples, n_joints, 3), mm, or None
        Poses in the rows' own frames; NaN where unknown.
    name : str, default="y"
        What the poses are called.
    """
    doubts = _list_marks(columns.get("keypoints2d"), "keypoints2d")
    if poses is not None:
        doubts += _list_marks(poses, name)
        doubts += list_bone_doubts(poses, name)
        doubts += _list_camera_doubts(columns, poses, name)
    if doubts:
        warn_user(" ".join(doubts))


def list_bone_doubts(hands: np.ndarray, name: str) -> list[str]:
    """List whether bones of hands (n, 21, 3) are too short or too long for mm; nothing of other joints."""
    if hands.shape[1] != len(JOINTS):
        return []
    lengths = bone_lengths(_take_some(hands))
    known = lengths[np.isfinite(lengths) & (lengths > 0)]
    typical = float(np.median(known)) if known.size else np.nan
    if np.isnan(typical) or _BONE_RANGE[0] <= typical <= _BONE_RANGE[1]:
        return []
    return [f"{name}: the bones are {typical:.3g} long in the median: are the poses in mm?"]


def _take_some(rows: np.ndarray) -> np.ndarray:
    """Return at most a few thousand rows, evenly spread."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), _MOST_ROWS)).astype(int)]


def _list_marks(points: Any, name: str) -> list[str]:
    """List rows that are 0 throughout and joints that are -1: how data sets write what is not labelled."""
    if points is None or points.shape[1] < 2:
        return []
    doubts = []
    zero = np.flatnonzero((points == 0).all(axis=(1, 2)))
    if len(zero):
        doubts.append(
            f"{name}: {len(zero)} of {len(points)} rows are 0 throughout, {some_rows(zero)}: if that says "
            f"unlabelled, set these rows NaN: {name}[rows] = np.nan."
        )
    n_marked = int((points == -1).all(axis=2).sum())
    if n_marked:
        doubts.append(
            f"{name}: {n_marked} joints are -1 in all coordinates: if that says unlabelled, set them NaN: "
            f"{name}[({name} == -1).all(axis=2)] = np.nan."
        )
    return doubts


def _list_camera_doubts(columns: Mapping[str, Any], poses: np.ndarray, name: str) -> list[str]:
    """List how the camera contradicts the pictures' size and the keypoints, where poses are absolute."""
    camera = columns.get("camera")
    if camera is None:
        return []
    known = np.isfinite(poses).all(axis=2)
    front = (np.where(known, poses[..., 2], 1.0) > 0).all(axis=1)
    labelled = known.any(axis=1) & np.isfinite(camera).all(axis=(1, 2))
    rows = np.flatnonzero(labelled & front)
    if len(rows) == 0 or len(rows) < labelled.sum() / 2:
        return []  # relative to a root: no camera sees them
    rows = _take_some(rows)
    pixels = project(poses[rows], camera[rows])
    doubts = []
    sizes = {tuple(columns[each].shape[1:3]) for each in PICTURES if each in columns}
    if len(sizes) == 1 and None not in (size := sizes.pop()):
        doubts += _list_outside(pixels, size, name)
    keypoints = columns.get("keypoints2d")
    if keypoints is not None and keypoints.shape[1] == poses.shape[1]:
        doubts += _list_contradictions(pixels, np.asarray(keypoints)[rows], name)
    return doubts


def _list_outside(pixels: np.ndarray, size: tuple[int, int], name: str) -> list[str]:
    known = np.isfinite(pixels).all(axis=2)
    inside = known & (pixels >= -0.5).all(axis=2) & (pixels < np.array([size[1], size[0]]) - 0.5).all(axis=2)
    outside = 1 - inside.sum() / known.sum()
    nothing = 1 - inside.any(axis=1).mean()
    if outside <= _OUTSIDE and nothing <= _NOTHING_INSIDE:
        return []
    return [
        f"camera: {outside:.0%} of the joints of {name} project outside of the pictures of {size[0]} x "
        f"{size[1]} px, in {nothing:.0%} of the rows all of them: is this the camera of the pictures as they "
        "are here, after crops and changes of size?"
    ]


def _list_contradictions(pixels: np.ndarray, keypoints: np.ndarray, name: str) -> list[str]:
    off = np.linalg.norm(pixels - keypoints, axis=2)
    known = np.isfinite(off)
    rows = known.sum(axis=1) > 1
    if not rows.any():
        return []
    off, seen = off[rows], np.where(known[rows][..., None], keypoints[rows], np.nan)
    size = np.sqrt(np.nanmean(((seen - np.nanmean(seen, axis=1, keepdims=True)) ** 2).sum(axis=2), axis=1))
    distance = np.nanmedian(off, axis=1)
    share = float(np.median(distance / np.maximum(size, 1.0)))
    if share <= _OFF:
        return []
    return [
        f"keypoints2d: they lie {np.median(distance):.3g} px (median) from where camera and {name} put them, "
        f"{share:.2g} times a hand's size: do the three belong to one picture, and have they one order of "
        "joints?"
    ]
