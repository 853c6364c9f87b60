"""The hand's own frame, in which every hand is a right one."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_numbers, check_side
from skhand.exceptions import InputError
from skhand.skeleton import JOINTS

__all__ = ["hand_axes"]

_FLAT = 1e-6  # of the palm's length: a palm narrower than this has no plane


def check_sides(side: Any, hands: np.ndarray, of: str) -> np.ndarray:
    """Return the sides of hands, one for all or one a row, as an array; ``of`` is the hands' argument."""
    sides = check_side(side)
    if sides.shape not in ((), (len(hands),)):
        raise InputError(
            f"side: expected one side, or one a row of {of} {hands.shape}, got shape {sides.shape}."
        )
    return sides


def hand_axes(joints: Any, side: Any) -> np.ndarray:
    """Find the axes of hands: to the thumb's side, from the wrist to the middle MCP, and out of the palm.

    The first lies in the plane of the wrist, the middle MCP and the line from the little to the index MCP.

    Parameters
    ----------
    joints : array-like of shape (n_samples, 21, 3), mm
        Joints in canonical order, camera frame.
    side : {"left", "right"} or array-like of them of shape (n_samples,)
        Which hand it is.

    Returns
    -------
    axes : ndarray of shape (n_samples, 3, 3)
        One unit vector a row, so that ``joints @ axes.swapaxes(1, 2)`` are joints in the hand's own frame.
        Of a right hand a rotation; of a left one with determinant -1: in its frame it is its mirror image, a
        right hand. NaN throughout where one of the four joints is NaN, or the palm has no extent.

    Raises
    ------
    InputError
        If joints are not 21 or infinite, or the sides are not one or one a row.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.datasets import make_hands
    >>> from skhand.geometry import hand_axes
    >>> hands = make_hands(4, images=(), random_state=0)
    >>> axes = hand_axes(hands.target, hands.data.side)
    >>> bool((np.linalg.det(axes).round() == np.where(hands.data.side == "left", -1, 1)).all())
    True
    """
    joints = check_numbers(joints, "joints", ("n_samples", len(JOINTS), 3), allow_nan=True)
    sides = check_sides(side, joints, "joints")
    wrist, middle, index, little = (
        joints[:, JOINTS.index(name)] for name in ("wrist", "middle_mcp", "index_mcp", "little_mcp")
    )
    length = np.linalg.norm(middle - wrist, axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        along = (middle - wrist) / length
        across = index - little
        across = across - (across * along).sum(axis=1, keepdims=True) * along
        width = np.linalg.norm(across, axis=1, keepdims=True)
        across = across / np.where(width > _FLAT * length, width, np.nan)
    mirrored = np.where(sides == "left", -1.0, 1.0)[..., None]
    axes = np.stack([across, along, mirrored * np.cross(across, along)], axis=1)
    axes[np.isnan(axes).any(axis=(1, 2))] = np.nan
    return axes
