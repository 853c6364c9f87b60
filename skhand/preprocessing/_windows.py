"""Where to crop: the hand's extent from a box, keypoints or a mask, and the window around it."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import LARGEST_FLOAT, check_number, check_numbers, describe, some_rows, warn_user
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.preprocessing._change import iterate_pictures
from skhand.skeleton import joint_index

__all__ = ["LARGEST", "SOURCES", "find_extents", "head_box", "place_windows"]

#: What an extent can be found from, in the order of preference, and the column that holds it.
SOURCES = {"box": "box", "keypoints": "keypoints2d", "mask": "mask"}
#: Longest side of a window, px.
LARGEST = 10_000


def head_box(centre: Any, head_length: Any, factor: float = 0.7) -> np.ndarray:
    """Make square hand boxes whose side is a share of the person's head length.

    It is how crops of MPII+NZSL are made (Iqbal et al. 2018); the boxes go into the column ``box``.

    Parameters
    ----------
    centre : array-like of shape (n_samples, 2), px
        Centre of each hand; where it is NaN, not known, so is the box.
    head_length : array-like of shape (n_samples,), px
        Length of the head in the same picture.
    factor : float, default=0.7
        Side of the square in head lengths.

    Returns
    -------
    box : ndarray of shape (n_samples, 4), px
        x, y, width, height.

    Raises
    ------
    InputError
        If the shapes do not fit, a number is infinite, or a length is not above 0.

    Examples
    --------
    >>> from skhand.preprocessing import head_box
    >>> head_box([[100.0, 80.0]], [60.0])
    array([[79., 59., 42., 42.]])
    """
    check_number(factor, "factor", low=0, high=LARGEST_FLOAT, include_low=False)
    centre = check_numbers(centre, "centre", ("n_samples", 2), allow_nan=True)
    length = check_numbers(
        head_length, "head_length", ("n_samples",), low=0, include_low=False, what="lengths above 0"
    )
    if len(length) != len(centre):
        raise InputError(f"head_length: expected one a row of centre {centre.shape}, got {describe(length)}.")
    side = np.repeat(factor * length[:, None], 2, axis=1)
    return np.concatenate([centre - side / 2, side], axis=1)


def find_extents(
    frames: HandFrames, source: str, centre: str | None = None, *, seen_only: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the greatest corner of each row's hand, (n_samples, 2) px each.

    Parameters
    ----------
    frames : HandFrames
        The hands.
    source : {"auto", "box", "keypoints", "mask"}
        "auto" takes for each row the first of them that it has, "keypoints" the box of rows without any.
    centre : str or None, default=None
        The joint that the extent of keypoints shall be even around; rows that lack it fall back to their box.
    seen_only : bool, default=False
        Whether keypoints that are not ``visible`` are left out, where a row has others.

    Returns
    -------
    low, high : ndarray of shape (n_samples, 2), px

    Raises
    ------
    InputError
        If a row has nothing to crop to.
    """
    wanted = {"auto": list(SOURCES), "keypoints": ["keypoints", "box"]}.get(source, [source])
    there = [name for name in wanted if SOURCES[name] in frames.columns]
    columns = " or ".join(SOURCES[name] for name in wanted)
    if not there:
        raise InputError(
            f"source: {source!r} needs a HandFrames with {columns}, got the columns {frames.columns}. "
            "skhand.detection.HandDetector, as the step before, finds boxes."
        )
    low, high = np.full((2, len(frames), 2), np.nan)
    for name in there:
        rows = np.flatnonzero(np.isnan(low[:, 0]))
        if not len(rows):
            break
        if name == "keypoints":
            low[rows], high[rows] = _find_by_keypoints(frames[rows], centre, seen_only)
        else:
            low[rows], high[rows] = (_find_by_box if name == "box" else _find_by_mask)(frames, rows)
    joint = "" if centre is None else f" with the joint {centre!r}"
    check_rows(np.isnan(low[:, 0]), f"a hand{joint} to crop to in {columns}", "none")
    return low, high


def place_windows(
    low: np.ndarray,
    high: np.ndarray,
    margin: float,
    limits: tuple[float, float],
    shape: tuple[int, int] | None,
) -> np.ndarray:
    """Put a window of whole pixels around each extent.

    Parameters
    ----------
    low, high : ndarray of shape (n_samples, 2), px
        Corners of the extents.
    margin : float
        Factor on the sides.
    limits : tuple of float, px
        Least and greatest length of the longer side.
    shape : tuple of int or None
        Height and width that the window's sides shall be in proportion to; None leaves them as they are.

    Returns
    -------
    windows : ndarray of shape (n_samples, 4), int, px
        First column, first row, width, height.

    Raises
    ------
    InputError
        If a window has no extent, or is unreasonably large.
    """
    extent = (high - low) * margin
    if shape is not None:
        aspect = np.array([shape[1] / shape[0], 1.0])
        extent = (extent / aspect).max(axis=1, keepdims=True) * aspect
    longest = extent.max(axis=1, keepdims=True)
    is_point = longest[:, 0] == 0
    if limits[0] == 0:
        check_rows(is_point, "a hand with an extent (or min_size=)", "a single point")
    extent[is_point], longest[is_point] = 1.0, 1.0
    extent *= np.clip(longest, *limits) / longest
    check_rows(
        extent.max(axis=1) > LARGEST, f"crops of up to {LARGEST} px (see margin and max_size)", "larger ones"
    )
    sides = np.maximum(np.rint(extent), 1)
    first = np.rint((low + high - sides + 1) / 2)
    check_rows(np.abs(first).max(axis=1) > 2**31, "hands near the picture", "hands far from it")
    return np.concatenate([first, sides], axis=1).astype(np.int64)


def warn_of_empty(boxes: np.ndarray, size: tuple[Any, Any] | None) -> None:
    """Warn where boxes (n, 4), px, lie wholly outside of pictures of this (height, width): crops are empty.

    Nothing is known where there are no pictures (None), or where they differ in size.
    """
    if size is None or None in size:
        return
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    rows = np.flatnonzero(((high <= -0.5) | (low >= np.array([size[1], size[0]]) - 0.5)).any(axis=1))
    if len(rows):
        warn_user(
            f"X: the crops of {len(rows)} of {len(boxes)} rows show nothing of their pictures of {size[0]} x "
            f"{size[1]} px, as the hand lies outside: rows {some_rows(rows)}. Do its box, keypoints or "
            "camera belong to this picture?"
        )


def check_rows(bad: np.ndarray, expected: str, got: str) -> None:
    """Validate that no row is bad; the `InputError` names those that are."""
    rows = np.flatnonzero(bad)
    if len(rows):
        raise InputError(
            f"X: expected {expected}, got {got} in {len(rows)} of {len(bad)} rows: {some_rows(rows)[1:-1]}."
        )


def _find_by_box(frames: HandFrames, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    box = np.array(frames.box[rows], dtype=np.float64)
    box[~np.isfinite(box).all(axis=1) | (box[:, 2:] <= 0).any(axis=1)] = np.nan
    return box[:, :2], box[:, :2] + box[:, 2:]


def _find_by_keypoints(
    frames: HandFrames, centre: str | None, seen_only: bool
) -> tuple[np.ndarray, np.ndarray]:
    points = np.array(frames.keypoints2d, dtype=np.float64)
    points[~np.isfinite(points).all(axis=2)] = np.nan
    counts = ~np.isnan(points[..., :1])
    if seen_only and "visible" in frames.columns:
        seen = counts & frames.visible[..., None]
        counts = np.where(seen.any(axis=1, keepdims=True), seen, counts)
    low = np.where(counts, points, np.inf).min(axis=1, initial=np.inf)
    high = np.where(counts, points, -np.inf).max(axis=1, initial=-np.inf)
    low[np.isinf(low)], high[np.isinf(high)] = np.nan, np.nan
    if centre is not None:
        middle = points[:, joint_index(centre)]
        reach = np.maximum(middle - low, high - middle)
        low, high = middle - reach, middle + reach
    return low, high


def _find_by_mask(frames: HandFrames, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the outer edges of the mask's pixels, half a pixel beyond their centres."""
    low, high = np.full((2, len(rows), 2), np.nan)
    for i, picture in enumerate(iterate_pictures(frames.mask, rows)):
        for axis in (0, 1):
            inside = np.flatnonzero((picture != 0).any(axis=axis))
            if len(inside):
                low[i, axis], high[i, axis] = inside[0] - 0.5, inside[-1] + 0.5
    return low, high
