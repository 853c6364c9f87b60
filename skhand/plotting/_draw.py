"""Draw what the Displays share: colours, one skeleton on one axis, equal axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skhand._drawing import joint_colours
from skhand._validation import check_option
from skhand.exceptions import InputError
from skhand.geometry import align_root
from skhand.plotting._checks import find_root
from skhand.skeleton import LAYOUTS, Layout, layout_bones, root_position

TRUTH_COLOUR = "#8C8C8C"
_LEGEND_GAP = 38  # points between an axis and the legend below it: room for the axis' label


def import_pyplot(who: str) -> Any:
    """Import ``matplotlib.pyplot``, which opens no window by itself, or say how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(f"{who} needs matplotlib; install it with: pip install 'skhand[plot]'") from error
    return plt


def move_onto(
    y_true: np.ndarray | None, y_pred: np.ndarray, align: str | None, root: str | int, layout: Layout
) -> np.ndarray:
    """Move predictions (n, n_joints, 3) by their root onto the truth's, or leave them where they are."""
    check_option(align, "align", (None, "root"))
    place = find_root(root, layout, align)
    if align is None:
        return y_pred
    if y_true is None:
        raise InputError("align: expected None where no truth is given to move predictions onto, got 'root'.")
    return align_root(y_pred, place) + root_position(y_true, place)[:, None]


def draw_skeleton(
    ax: Any,
    joints: np.ndarray,
    *,
    layout: Layout = LAYOUTS["canonical"],
    colour: str | None = None,
    size: float = 1.0,
    outlined: bool = False,
    alpha: float | None = None,
) -> None:
    """Draw one hand; the colour of each finger's own where ``colour`` is None.

    Parameters
    ----------
    ax : matplotlib axes
        A 3D axis for 3D joints, else a plain one.
    joints : ndarray of shape (n_joints, 3) or (n_joints, 2), mm or px
        Bones with a NaN end are left out; joints that no bone joins are dots.
    layout : Layout
        Which joints they are.
    colour : str, optional
        One colour for the whole hand.
    size : float, default=1.0
        Factor on the width of the lines.
    outlined : bool, default=False
        Whether each line has a dark rim, so that it stands out from a picture.
    alpha : float, optional
        Opacity, 0 to 1.
    """
    from matplotlib.patheffects import Normal, Stroke

    rim = [Stroke(linewidth=3.2 * size, foreground="black", alpha=0.6), Normal()] if outlined else []
    points = _turn_upright(joints) if joints.shape[1] == 3 else joints
    bones, colours = layout_bones(layout), joint_colours(layout)
    lone = sorted(set(range(len(points))).difference(*bones))
    for ends in (*bones, *((joint,) for joint in lone)):
        ax.plot(
            *points[list(ends)].T,
            color=colour or colours[ends[-1]],
            linewidth=1.8 * size,
            marker="o",
            markersize=(2.4 if len(ends) == 2 else 4.0) * size,
            solid_capstyle="round",
            path_effects=rim,
            alpha=alpha,
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


def put_legend_below(ax: Any, *, n_columns: int = 1) -> None:
    """Put the legend under the axis, where it covers no curve, and make room for it in the figure."""
    from matplotlib.transforms import ScaledTranslation

    if ax.figure.figure.get_layout_engine() is None:
        ax.figure.figure.set_layout_engine("constrained")
    below = ax.transAxes + ScaledTranslation(0, -_LEGEND_GAP / 72, ax.figure.dpi_scale_trans)
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=below,
        ncols=n_columns,
        frameon=False,
        borderaxespad=0,
        fontsize="small",
    )


def _turn_upright(joints: np.ndarray) -> np.ndarray:
    """Turn the camera frame into plot axes: depth into the page, y on the vertical axis, drawn inverted."""
    return joints[..., [0, 2, 1]]
