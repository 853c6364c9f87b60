"""Align poses in root, scale and orientation; measure bones."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_bool, check_numbers, check_option, describe, read_array
from skhand.exceptions import InputError
from skhand.skeleton import BONES, JOINTS, root_position

__all__ = ["align_root", "align_scale", "bone_length", "bone_lengths", "procrustes"]


def align_root(joints: Any, root: str | int = "palm") -> np.ndarray:
    """Express joints relative to their root.

    Parameters
    ----------
    joints : array-like of shape (..., 21, n_dims), mm or px
        Joints in canonical order; any number of joints where ``root`` is an index.
    root : str or int, default="palm"
        A joint's name, its index, or ``"palm"``: half way between the wrist and the middle MCP.

    Returns
    -------
    relative : ndarray of shape (..., 21, n_dims), same unit
        NaN throughout where the root is NaN.

    Raises
    ------
    InputError
        If the root is unknown or the number of joints does not fit it.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.geometry import align_root
    >>> hands = make_hands(2, images=(), random_state=0).target
    >>> align_root(hands, root="wrist")[:, 0]
    array([[0., 0., 0.],
           [0., 0., 0.]])
    """
    joints = check_numbers(
        joints, "joints", ("n_joints", "n_dims"), leading=True, allow_nan=True, keep_single=True
    )
    return joints - root_position(joints, root)[..., None, :]


def align_scale(
    y_pred: Any,
    y_true: Any,
    *,
    root: str | int | None = "palm",
    bone: tuple[str, str] | None = None,
    mask: Any = None,
) -> np.ndarray:
    """Scale predicted poses about their root to the size of the true ones.

    Without ``bone`` the factor is the least-squares one over all joints relative to the root,
    ``sum(p * t) / sum(p * p)``, and never negative. With ``bone`` it is the ratio of that bone's two lengths.

    Parameters
    ----------
    y_pred, y_true : array-like of shape (..., n_joints, n_dims), mm or px
        Predicted and true joints.
    root : str, int or None, default="palm"
        As in `align_root`; None where the poses are already relative to their root.
    bone : tuple of two str, optional
        Joint names, for example ``("middle_mcp", "middle_pip")``; 21 joints are needed.
    mask : array-like of shape (..., n_joints), bool, optional
        Joints that count. Joints that are NaN in either pose do not count. Not used with ``bone``.

    Returns
    -------
    aligned : ndarray of shape (..., n_joints, n_dims), same unit
        The prediction, its root where it was. NaN throughout where the root is NaN, or no joint counts,
        or the predicted bone has no length.

    Raises
    ------
    InputError
        If shapes differ, a number is infinite, or the root or bone is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.datasets import make_hands
    >>> from skhand.geometry import align_root, align_scale
    >>> hands = align_root(make_hands(2, images=(), random_state=0).target)
    >>> bool(np.allclose(align_scale(3 * hands, hands), hands))
    True
    """
    pred, true, counts = _pair(y_pred, y_true, mask)
    centre = np.zeros_like(pred[..., :1, :]) if root is None else root_position(pred, root)[..., None, :]
    p, t = pred - centre, true if root is None else align_root(true, root)
    if bone is not None:
        length = bone_length(pred, bone)
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.where(length > 0, bone_length(true, bone) / length, np.nan)
    else:
        rooted = np.isfinite(p).all(-1) & np.isfinite(t).all(-1) & counts
        p_in, t_in = np.where(rooted[..., None], p, 0.0), np.where(rooted[..., None], t, 0.0)
        size = (p_in**2).sum((-2, -1))
        factor = np.maximum((p_in * t_in).sum((-2, -1)), 0.0) / np.where(size == 0, 1.0, size)
        factor = np.where(rooted.any(-1), factor, np.nan)
    return centre + factor[..., None, None] * p


def procrustes(y_pred: Any, y_true: Any, *, scaling: bool = True, mask: Any = None) -> np.ndarray:
    """Align predicted poses to the true ones by the best shift, rotation and, if wanted, scale.

    The least-squares solution of Umeyama, 1991 (equations 40 to 42). The rotation is never a reflection: a
    mirrored hand stays a mirrored hand.

    Parameters
    ----------
    y_pred, y_true : array-like of shape (..., n_joints, n_dims), mm or px
        Predicted and true joints.
    scaling : bool, default=True
        Whether the prediction may be scaled.
    mask : array-like of shape (..., n_joints), bool, optional
        Joints that the alignment is found from. Joints that are NaN in either pose do not count.

    Returns
    -------
    aligned : ndarray of shape (..., n_joints, n_dims), same unit
        All predicted joints, also those that did not count. NaN throughout where no joint counts. With
        fewer than three joints, or joints on a line, the rotation is one of several best ones.

    Raises
    ------
    InputError
        If shapes differ, a number is infinite, or an argument is not what was expected.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.datasets import make_hands
    >>> from skhand.geometry import procrustes, rotate_points, rotation_z
    >>> hands = make_hands(2, images=(), random_state=0).target
    >>> turned = 1.5 * rotate_points(hands, rotation_z(30)) + 100
    >>> bool(np.allclose(procrustes(turned, hands), hands))
    True
    """
    check_bool(scaling, "scaling")
    pred, true, counts = _pair(y_pred, y_true, mask)
    weight = counts[..., None].astype(np.float64)
    number = np.where(counts.any(-1), counts.sum(-1), np.nan)[..., None, None]
    p_mean = np.where(counts[..., None], pred, 0.0).sum(-2, keepdims=True) / number
    t_mean = np.where(counts[..., None], true, 0.0).sum(-2, keepdims=True) / number
    p = np.where(weight > 0, pred - p_mean, 0.0)
    t = np.where(weight > 0, true - t_mean, 0.0)
    u, singular, vt = np.linalg.svd(t.swapaxes(-1, -2) @ p)
    sign = np.ones_like(singular)
    sign[..., -1] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = (u * sign[..., None, :]) @ vt
    size = (p**2).sum((-2, -1))
    factor = (singular * sign).sum(-1) / np.where(size == 0, 1.0, size) if scaling else np.ones_like(size)
    return t_mean + factor[..., None, None] * (pred - p_mean) @ rotation.swapaxes(-1, -2)


def bone_lengths(joints: Any) -> np.ndarray:
    """Measure the 20 bones.

    Parameters
    ----------
    joints : array-like of shape (..., 21, n_dims), mm or px
        Joints in canonical order.

    Returns
    -------
    lengths : ndarray of shape (..., 20), same unit
        In the order of `skhand.skeleton.BONES`: entry i is the bone that ends in joint i + 1.

    Raises
    ------
    InputError
        If there are not 21 joints.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.geometry import bone_lengths
    >>> hands = make_hands(2, images=(), random_state=0).target
    >>> bone_lengths(hands).shape
    (2, 20)
    """
    joints = check_numbers(
        joints, "joints", (len(JOINTS), "n_dims"), leading=True, allow_nan=True, keep_single=True
    )
    parents, children = np.array(BONES).T
    return np.linalg.norm(joints[..., children, :] - joints[..., parents, :], axis=-1)


def bone_length(joints: Any, bone: tuple[str, str] = ("middle_mcp", "middle_pip")) -> np.ndarray:
    """Measure the distance of two joints: by default the bone that Zimmermann and Brox, 2017, scale hands by.

    Parameters
    ----------
    joints : array-like of shape (..., 21, n_dims), mm or px
        Joints in canonical order.
    bone : tuple of two str, default=("middle_mcp", "middle_pip")
        Joint names, or ``"palm"``.

    Returns
    -------
    length : ndarray of shape (...), same unit

    Raises
    ------
    InputError
        If ``bone`` is not two known names or there are not 21 joints.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.geometry import bone_length
    >>> hands = make_hands(2, images=(), random_state=0)
    >>> bool((abs(bone_length(hands.target) - hands.data.scale) < 1e-6).all())
    True
    """
    check_bone(bone)
    joints = check_numbers(
        joints, "joints", (len(JOINTS), "n_dims"), leading=True, allow_nan=True, keep_single=True
    )
    return np.linalg.norm(root_position(joints, bone[0]) - root_position(joints, bone[1]), axis=-1)


def check_bone(bone: Any, name: str = "bone") -> tuple[str, str]:
    """Return ``bone`` if it is the names of two joints, ``"palm"`` among them, else raise an `InputError`."""
    if not isinstance(bone, tuple | list) or len(bone) != 2:
        raise InputError(f"{name}: expected the names of two joints, got {bone!r}.")
    first, second = (check_option(joint, name, ("palm", *JOINTS)) for joint in bone)
    return first, second


def _pair(y_pred: Any, y_true: Any, mask: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Validate a prediction and its truth; return both as float64, and which joints count."""
    true = check_numbers(y_true, "y_true", ("n_joints", "n_dims"), leading=True, allow_nan=True)
    pred = check_numbers(y_pred, "y_pred", ("n_joints", "n_dims"), leading=True, allow_nan=True)
    if pred.shape != true.shape:
        raise InputError(f"y_pred: expected shape {true.shape} as y_true has, got {describe(y_pred)}.")
    counts = np.isfinite(true).all(-1) & np.isfinite(pred).all(-1)
    if mask is not None:
        mask = read_array(mask, "mask", f"bool of shape {counts.shape}")
        if mask.shape != counts.shape or mask.dtype != bool:
            raise InputError(f"mask: expected bool of shape {counts.shape}, got {describe(mask)}.")
        counts = counts & mask
    return pred, true, np.asarray(counts)
