"""Draw what the Displays share: colours, one skeleton on one axis, equal axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skhand._drawing import BONE_COLOURS
from skhand._validation import check_option, describe
from skhand.exceptions import InputError
from skhand.geometry import align_root
from skhand.skeleton import BONES, root_position

TRUTH_COLOUR = "#8C8C8C"


def import_pyplot(who: str) -> Any:
    """Import ``matplotlib.pyplot``, which opens no window by itself, or say how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(f"{who} needs matplotlib; install it with: pip install 'skhand[plot]'") from error
    return plt


def check_poses(poses: Any, name: str, *, n_joints: int | None = None) -> np.ndarray:
    """Return poses as float64 of shape (n_samples, n_joints, 3), from that or from flattened rows."""
    array = np.asarray(poses, dtype=np.float64)
    if array.ndim == 2 and array.shape[1] and array.shape[1] % 3 == 0:
        array = array.reshape(len(array), -1, 3)
    fits = array.ndim == 3 and array.shape[2] == 3 and (n_joints is None or array.shape[1] == n_joints)
    if not fits or len(array) == 0:
        joints = "n_joints" if n_joints is None else n_joints
        raise InputError(
            f"{name}: expected at least one pose, shape (n_samples, {joints}, 3) or flattened, "
            f"got {describe(array)}."
        )
    return array


def move_onto(y_true: np.ndarray, y_pred: np.ndarray, align: str | None, root: str | int) -> np.ndarray:
    """Move predictions (n, 21, 3) by their root onto the truth's, or leave them where they are."""
    check_option(align, "align", (None, "root"))
    if align is None:
        return y_pred
    return align_root(y_pred, root) + root_position(y_true, root)[:, None]


def draw_skeleton(
    ax: Any, joints: np.ndarray, *, colour: str | None = None, size: float = 1.0, outlined: bool = False
) -> None:
    """Draw one hand; the colour of each finger's own where ``colour`` is None.

    Parameters
    ----------
    ax : matplotlib axes
        A 3D axis for 3D joints, else a plain one.
    joints : ndarray of shape (21, 3) or (21, 2), mm or px
        Joints in the canonical layout; bones with a NaN end are left out.
    colour : str, optional
        One colour for the whole hand.
    size : float, default=1.0
        Factor on the width of the lines.
    outlined : bool, default=False
        Whether each line has a dark rim, so that it stands out from a picture.
    """
    from matplotlib.patheffects import Normal, Stroke

    rim = [Stroke(linewidth=3.2 * size, foreground="black", alpha=0.6), Normal()] if outlined else []
    points = _turn_upright(joints) if joints.shape[1] == 3 else joints
    for (parent, child), bone_colour in zip(BONES, BONE_COLOURS, strict=True):
        ends = points[[parent, child]].T
        ax.plot(
            *ends,
            color=colour or bone_colour,
            linewidth=1.8 * size,
            marker="o",
            markersize=2.4 * size,
            solid_capstyle="round",
            path_effects=rim,
        )


def frame_skeletons(
    ax: Any, poses: Sequence[np.ndarray], *, elev: float, azim: float, unit: str = "mm"
) -> None:
    """Give a 3D axis the same scale along x, y and z around ``poses``, with the camera's y downwards."""
    points = _turn_upright(np.concatenate([pose.reshape(-1, 3) for pose in poses]))
    points = points[np.isfinite(points).all(axis=1)]
    if len(points):
        low, high = points.min(axis=0), points.max(axis=0)
        centre, half = (low + high) / 2, 0.52 * max((high - low).max(), 1e-6)
        ax.set_xlim(centre[0] - half, centre[0] + half)
        ax.set_ylim(centre[1] - half, centre[1] + half)
        ax.set_zlim(centre[2] + half, centre[2] - half)
    ax.locator_params(nbins=5)
    ax.set_box_aspect((1, 1, 1))
    ax.view_init(elev=elev, azim=azim)
    ax.set_xlabel(f"x [{unit}]")
    ax.set_ylabel(f"z [{unit}]")
    ax.set_zlabel(f"y [{unit}]")


def _turn_upright(joints: np.ndarray) -> np.ndarray:
    """Turn the camera frame into plot axes: depth into the page, y on the vertical axis, drawn inverted."""
    return joints[..., [0, 2, 1]]
