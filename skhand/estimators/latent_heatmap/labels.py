"""From X and y to what LatentHeatmapRegressor learns, and from 2.5D predictions to absolute poses."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skhand._validation import check_one_camera, some_rows
from skhand.exceptions import CameraError, InputError, SideInformationError
from skhand.geometry import backproject, bone_length, decode_25d, encode_25d, recover_scale
from skhand.geometry._two_and_a_half import find_root_depth
from skhand.skeleton import root_position


class Pose25DPrediction(NamedTuple):
    """The result of `LatentHeatmapRegressor.predict_25d`.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 21, 3)
        u, v (px of X's pictures) and depth relative to the root, in lengths of the bone.
    scale : ndarray of shape (n_samples,), mm
        Length of the bone: given, or recovered.
    root_depth : ndarray of shape (n_samples,), mm
        Depth of the root: given, or recovered.
    joints : ndarray of shape (n_samples, 21, 3), mm
        Joints in the frame of X's pictures' cameras.
    clamped : ndarray of shape (n_samples,), bool
        No root depth fits: the one that comes nearest stands in, or, where joints would not be before the
        camera, one from the training rows' median. Also where a given root leaves joints behind the camera.
    ambiguous : ndarray of shape (n_samples,), bool
        Two root depths fit: the larger one was taken. Where the root's depth is given, the recovered one
        serves the recovered scale only.
    """

    points: np.ndarray
    scale: np.ndarray
    root_depth: np.ndarray
    joints: np.ndarray
    clamped: np.ndarray
    ambiguous: np.ndarray


class Heatmaps(NamedTuple):
    """The result of `LatentHeatmapRegressor.predict_heatmaps`, in X's pictures' pixels.

    Parameters
    ----------
    joints : ndarray of shape (n_samples, 21, height, width), float32
        Where each joint is: probabilities of the latent head, likelihoods up to 1 of the direct one.
    depths : ndarray of shape (n_samples, 21, height, width), float32
        The joints' depth relative to the root, in bones, times ``joints``.
    """

    joints: np.ndarray
    depths: np.ndarray


def cameras_of(columns: dict[str, Any], camera: Any, n_samples: int) -> np.ndarray | None:
    """Return each row's intrinsics (n, 3, 3), px: X's column, or the parameter for all rows; None if none."""
    if "camera" in columns:
        return columns["camera"]
    if camera is None:
        return None
    return np.broadcast_to(check_one_camera(camera), (n_samples, 3, 3))


def require_camera(columns: dict[str, Any], rows: np.ndarray | None = None) -> np.ndarray:
    """Return the cameras of some rows (a mask), or of all.

    Raises
    ------
    CameraError
        If there are none, or one of these rows has none (NaN).
    """
    wanted = "camera: expected the intrinsics (px), as X's column or as the parameter camera"
    if columns["camera"] is None:
        raise CameraError(f"{wanted}, got none.")
    known = np.isfinite(columns["camera"]).all(axis=(1, 2))
    missing = np.flatnonzero(~known if rows is None else rows & ~known)
    if len(missing):
        raise CameraError(f"{wanted}, got NaN in the rows {some_rows(missing)} of X.")
    return columns["camera"] if rows is None else columns["camera"][rows]


def add_labels(columns: dict[str, Any], poses: np.ndarray, root: str | int, bone: tuple[str, str]) -> None:
    """Write the columns ``pose3d``, ``keypoints2d`` and ``relative_depth``, NaN where unknown.

    Keypoints are X's own, and projections of y where X has none. In a row without a pose, joints that X's
    column ``visible`` leaves out do not count. Joints behind the camera have no place in the picture.

    Parameters
    ----------
    columns : dict of str to array-like
        X's columns; those three are written.
    poses : ndarray of shape (n, 21, 3), mm
        y in the rows' own frames.
    root, bone : str or int, tuple of str
        As in `encode_25d`.
    """
    n, n_joints = poses.shape[:2]
    keypoints = columns.get("keypoints2d")
    places = np.full((n, n_joints, 2), np.nan) if keypoints is None else np.array(keypoints, np.float64)
    if places.shape[1] != n_joints:
        raise InputError(f"keypoints2d: expected {n_joints} joints a row as in y, got {places.shape[1]}.")
    known = np.isfinite(poses).all(axis=2)
    labelled = known.any(axis=1)
    if "visible" in columns:
        places[~labelled] = np.where(columns["visible"][~labelled, :, None], places[~labelled], np.nan)
    depth = np.full((n, n_joints), np.nan)
    if labelled.any():
        points = encode_25d(poses[labelled], require_camera(columns, labelled), root=root, bone=bone).points
        before = poses[labelled][..., 2] > 0
        projected = np.where(before[..., None], points[..., :2], np.nan)
        places[labelled] = np.where(np.isnan(places[labelled]), projected, places[labelled])
        depth[labelled] = points[..., 2]
    columns.update(pose3d=poses, keypoints2d=places, relative_depth=depth)


def scale_ratio(columns: dict[str, Any], bone: tuple[str, str]) -> float:
    """Return how long the bone is in units of X's column ``scale``: the median over labelled rows."""
    ratio = bone_length(columns["pose3d"], bone) / np.asarray(columns["scale"], dtype=np.float64)
    if not np.isfinite(ratio).any():
        raise SideInformationError("scale: X needs lengths (mm) in this column in rows with a pose.")
    return float(np.nanmedian(ratio))


def root_distance(columns: dict[str, Any], root: str | int) -> float:
    """Return how far X's column ``root`` is from that joint, mm: the median over labelled rows, 0 of none."""
    off = np.linalg.norm(root_position(columns["pose3d"], root) - columns["root"], axis=1)
    return float(np.nanmedian(off)) if np.isfinite(off).any() else 0.0


def root_depth_prior(columns: dict[str, Any], root: str | int, bone: tuple[str, str]) -> tuple[float, int]:
    """Median root depth of the labelled rows, in bones, and how many of them have two that fit.

    Both are of the true poses.
    """
    poses = columns["pose3d"]
    labelled = np.isfinite(columns["relative_depth"]).any(axis=1)
    points, _ = encode_25d(poses[labelled], columns["camera"][labelled], root=root, bone=bone)
    decoded = decode_25d(points, columns["camera"][labelled], root=root, bone=bone)
    return float(np.nanmedian(decoded.root_depth)), int(decoded.ambiguous.sum())


def recover_poses(
    points: np.ndarray,
    camera: np.ndarray,
    mean_bones: np.ndarray,
    prior: float,
    *,
    bone: tuple[str, str],
    scale: np.ndarray | None,
    root_depth: np.ndarray | None,
) -> Pose25DPrediction:
    """Recover absolute poses from 2.5D ones (Iqbal et al. 2018, Sec. 3.2 and 3.3).

    Parameters
    ----------
    points : ndarray of shape (n, 21, 3)
        u, v (px) and relative depth (bones).
    camera : ndarray of shape (n, 3, 3), px
        Intrinsics.
    mean_bones : ndarray of shape (20,), mm
        For the scale where it is not given.
    prior : float, bones
        Where no root depth fits before the camera: the depth of the root, or of the nearest joint before it.
    bone : tuple of str
        As in `decode_25d`.
    scale, root_depth : ndarray of shape (n,), mm, or None
        Where they are given.

    Returns
    -------
    placed : Pose25DPrediction
    """
    rays = backproject(points[..., :2], 1.0, camera)
    depth, clamped, ambiguous = find_root_depth(rays, points[..., 2], bone)
    with np.errstate(invalid="ignore"):
        behind = ~((depth[:, None] + points[..., 2]).min(axis=1) > 0)
    depth = np.where(behind, prior - np.minimum(points[..., 2].min(axis=1), 0.0), depth)
    if scale is None:
        scale = recover_scale(rays * (depth[:, None] + points[..., 2])[..., None], mean_bones)
    if root_depth is None:
        root_depth = depth * scale
    z = root_depth[:, None] + scale[:, None] * points[..., 2]
    with np.errstate(invalid="ignore"):
        clamped |= behind | ~(z.min(axis=1) > 0)
    return Pose25DPrediction(points, scale, root_depth, rays * z[..., None], clamped, ambiguous)


def propagated_std(placed: Pose25DPrediction, covariance: np.ndarray, columns: dict[str, Any]) -> np.ndarray:
    """Standard deviation of joints, mm, from that of their 2.5D coordinates, to first order.

    Root depth and scale count as known; ``rotation`` turns the result to the original frame.

    Parameters
    ----------
    placed : Pose25DPrediction
        The poses.
    covariance : ndarray of shape (n, 21, 3, 3)
        Of u, v (px) and relative depth (bones).
    columns : dict
        With ``camera``, and ``rotation`` where there is one.

    Returns
    -------
    std : ndarray of shape (n, 21, 3), mm
    """
    inverse = np.linalg.inv(columns["camera"])[:, None]
    z, scale = placed.joints[..., 2, None], placed.scale[:, None, None]
    ray = placed.joints / z
    jacobian = np.concatenate(
        [z[..., None] * np.broadcast_to(inverse[..., :2], (*z.shape[:2], 3, 2)), (scale * ray)[..., None]], -1
    )
    if "rotation" in columns:
        jacobian = np.swapaxes(columns["rotation"], -1, -2)[:, None] @ jacobian
    variance = np.einsum("njab,njbc,njac->nja", jacobian, covariance, jacobian)
    return np.sqrt(np.maximum(variance, 0.0))
