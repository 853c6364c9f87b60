"""Bring truth and prediction to the joints that a protocol compares."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_shape, describe
from skhand.exceptions import InputError
from skhand.geometry import bone_length, bone_lengths
from skhand.metrics._protocols import Protocol
from skhand.skeleton import JOINTS, PARENTS, Layout, convert


def _unflatten(y: Any, protocol: Protocol, name: str) -> np.ndarray:
    try:
        array = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected numbers, got {describe(y)}.") from error
    dims = protocol.n_dims
    if array.ndim == 2 and array.shape[1] % dims == 0:
        array = array.reshape(len(array), -1, dims)
    if array.ndim != 3 or array.shape[2] != dims or array.size == 0:
        raise InputError(
            f"{name}: {protocol.name} expects shape (n_samples, n_joints, {dims}) or flattened, "
            f"got {describe(y)}."
        )
    return array


def poses_in_layout(
    y: Any, protocol: Protocol, layouts: tuple[Layout, ...], name: str
) -> tuple[np.ndarray, Layout]:
    """Return poses (n, J, n_dims), and the first layout with J joints; it must have those compared."""
    poses = _unflatten(y, protocol, name)
    layout = next((layout for layout in layouts if len(layout) == poses.shape[1]), None)
    if layout is None:
        wanted = " or ".join(f"{len(layout)} ({layout.name})" for layout in layouts)
        raise InputError(f"{name}: {protocol.name} expects {wanted} joints, got {poses.shape[1]}.")
    probe = convert(np.zeros((len(layout), 1)), layout, Layout(protocol.name, protocol.joints))
    missing = [joint for joint, at in zip(protocol.joints, probe, strict=True) if np.isnan(at).any()]
    if missing:
        raise InputError(f"layout: {layout.name!r} lacks what {protocol.name} compares: {missing}.")
    return poses, layout


def labelled_joints(
    y: Any, protocol: Protocol, layouts: tuple[Layout, ...], name: str
) -> tuple[np.ndarray, Layout]:
    """Return true poses as `poses_in_layout` does; at least one joint must be labelled."""
    poses, layout = poses_in_layout(y, protocol, layouts, name)
    if not np.isfinite(poses).all(axis=2).any():
        raise InputError(f"{name}: expected at least one labelled joint, got none.")
    return poses, layout


def compared_joints(
    true: np.ndarray,
    true_layout: Layout,
    pred: np.ndarray,
    pred_layout: Layout,
    protocol: Protocol,
    mean_bones: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Take the compared joints out of both; correct predicted tips and sizes as the protocol says.

    A frame whose true bone is not labelled cannot be rescaled by it: its truth becomes NaN.
    """
    wanted = Layout(protocol.name, protocol.joints)
    joints, pred_joints = convert(true, true_layout, wanted), convert(pred, pred_layout, wanted)
    rescaled = protocol.scale == "true_bone" or (protocol.scale == "mean_bones" and mean_bones is not None)
    if not rescaled and protocol.tip_length == 1:
        return joints, pred_joints
    if np.isnan(convert(np.zeros((len(pred_layout), 1)), pred_layout, "canonical")).any():
        raise InputError(
            f"y_pred: {protocol.name} corrects the tips or the size of predictions, which needs all "
            f"{len(JOINTS)} joints, got {len(pred_layout)}; dataclasses.replace(protocol, tip_length=1.0, "
            "scale='predicted') does without."
        )
    hands = convert(pred, pred_layout, "canonical")
    for i, name in enumerate(protocol.joints):
        if name.endswith("_tip"):
            base = hands[:, PARENTS[JOINTS.index(name)]]
            pred_joints[:, i] = base + protocol.tip_length * (pred_joints[:, i] - base)
    if not rescaled:
        return joints, pred_joints
    root = 0.0 if protocol.root is None else pred_joints[:, [protocol.joints.index(protocol.root)]]
    with np.errstate(divide="ignore", invalid="ignore"):
        if mean_bones is not None and protocol.scale == "mean_bones":
            lengths = bone_lengths(hands)
            factor = (lengths @ mean_bones) / (lengths**2).sum(axis=1)
        else:
            true_length = bone_length(convert(true, true_layout, "canonical"))
            joints[np.isnan(true_length)] = np.nan
            factor = true_length / bone_length(hands)
        return joints, root + factor[:, None, None] * (pred_joints - root)


def visible_joints(visible: Any, true: np.ndarray, layout: Layout, protocol: Protocol) -> np.ndarray:
    """Bring the mask to the compared joints; a palm is seen where the wrist or the middle MCP is."""
    mask = check_shape(visible, "visible", true.shape[:2])
    if not np.isin(mask, (0, 1)).all():
        raise InputError(f"visible: expected a mask of True and False, got {describe(mask)}.")
    known = dict(zip(layout.joints, mask.astype(bool).T, strict=True))
    if "palm" not in known and "palm" in protocol.joints:
        known["palm"] = known["wrist"] | known["middle_mcp"]
    if "wrist" not in known and "wrist" in protocol.joints:
        known["wrist"] = known["palm"]
    return np.stack([known[name] for name in protocol.joints], axis=1)
