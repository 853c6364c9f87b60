"""Convert truth and prediction to the joints that a protocol compares."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_mask, describe
from skhand.exceptions import InputError
from skhand.geometry import bone_length, bone_lengths
from skhand.metrics._errors import check_no_infinity, check_poses
from skhand.metrics._protocols import Protocol
from skhand.skeleton import JOINTS, LAYOUTS, PARENTS, Layout, convert

# what the data set's loader calls the joints that are not among the 21
_LOADERS = {"nyu14": "load_nyu(..., layout='nyu14')", "icvl16": "load_icvl(...)"}


def convert_poses(poses: np.ndarray, layout: Layout, target: Layout, rule: str | None = None) -> np.ndarray:
    """Convert as `convert` does; where ``rule`` made the wrist of a palm, that palm is found again."""
    out = convert(poses, layout, target, palm_to_wrist=rule or "ring")
    if rule is not None and "palm" in target.joints and "palm" not in layout.joints:
        base, palm, wrist = (Layout(name, (name,)) for name in (f"{rule}_mcp", "palm", "wrist"))
        both = Layout("both", base.joints + palm.joints)
        factor = convert(np.array([[0.0], [1.0]]), both, wrist, palm_to_wrist=rule).item()
        start = convert(poses, layout, base)
        along = (convert(poses, layout, wrist) - start) / factor
        out[..., target.joints.index("palm"), :] = (start + along)[..., 0, :]
    return out


def read_poses(
    y: Any, protocol: Protocol, layouts: tuple[Layout, ...], name: str
) -> tuple[np.ndarray, Layout]:
    """Return poses (n, J, n_dims), and the first layout with J joints; it must have those compared."""
    poses = check_poses(y, name, protocol.n_dims, protocol.name)
    layout = next((layout for layout in layouts if len(layout) == poses.shape[1]), None)
    if layout is None:
        wanted = " or ".join(f"{len(layout)} ({layout.name})" for layout in layouts)
        raise InputError(
            f"{name}: {protocol.name} expects {wanted} joints, got {poses.shape[1]}."
            + _describe_loader(protocol)
        )
    probe = convert(np.zeros((len(layout), 1)), layout, Layout(protocol.name, protocol.joints))
    missing = [joint for joint, at in zip(protocol.joints, probe, strict=True) if np.isnan(at).any()]
    if missing:
        raise InputError(
            f"layout: {layout.name!r} lacks what {protocol.name} compares: {missing}."
            + _describe_loader(protocol)
        )
    return poses, layout


def _describe_loader(protocol: Protocol) -> str:
    """Say which loader has joints that are not among the canonical ones; nothing for other protocols."""
    loader = _LOADERS.get(protocol.layouts[0].name)
    return "" if loader is None else f" The 21 canonical joints lack some of them: {loader} has them all."


def read_labelled_poses(
    y: Any, protocol: Protocol, layouts: tuple[Layout, ...], name: str
) -> tuple[np.ndarray, Layout]:
    """Return true poses as `read_poses` does; at least one joint must be labelled, none infinite."""
    poses, layout = read_poses(y, protocol, layouts, name)
    check_no_infinity(poses, name)
    if not np.isfinite(poses).all(axis=2).any():
        raise InputError(f"{name}: expected at least one labelled joint, got none.")
    return poses, layout


def take_compared_joints(
    true: np.ndarray,
    true_layout: Layout,
    pred: np.ndarray,
    pred_layout: Layout,
    protocol: Protocol,
    mean_bones: np.ndarray | None,
    rule: str | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Take the compared joints out of both; correct predicted tips and sizes as the protocol says.

    A frame whose true bone is not labelled cannot be rescaled by it: its truth becomes NaN.
    """
    wanted = Layout(protocol.name, protocol.joints)
    joints = convert_poses(true, true_layout, wanted, rule)
    pred_joints = convert_poses(pred, pred_layout, wanted, rule)
    rescaled = protocol.scale == "true_bone" or (protocol.scale == "mean_bones" and mean_bones is not None)
    if not rescaled and protocol.tip_length == 1:
        return joints, pred_joints
    if np.isnan(convert(np.zeros((len(pred_layout), 1)), pred_layout, "canonical")).any():
        raise InputError(
            f"y_pred: {protocol.name} corrects the tips or the size of predictions, which needs all "
            f"{len(JOINTS)} joints, got {len(pred_layout)}; dataclasses.replace(protocol, tip_length=1.0, "
            "scale='predicted') does without."
        )
    hands = convert_poses(pred, pred_layout, LAYOUTS["canonical"], rule)
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


def convert_mask(
    visible: Any, true: np.ndarray, layout: Layout, protocol: Protocol, rule: str | None
) -> np.ndarray:
    """Convert the mask to the compared joints; a palm is seen where a joint is that defines it."""
    mask = check_mask(visible, "visible", ("n_samples", "n_joints"))
    if mask.shape != true.shape[:2]:
        raise InputError(
            f"visible: expected an array of shape {true.shape[:2]} as y has, got {describe(visible)}."
        )
    known = dict(zip(layout.joints, mask.T, strict=True))
    if "palm" not in known and "palm" in protocol.joints:
        known["palm"] = known["wrist"] | known[f"{rule or 'middle'}_mcp"]
    if "wrist" not in known and "wrist" in protocol.joints:
        known["wrist"] = known["palm"]
    return np.stack([known[name] for name in protocol.joints], axis=1)
