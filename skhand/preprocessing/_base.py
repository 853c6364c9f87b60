"""Base of the transformers of tables of hands: the columns that a new view moves, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from skhand._columns import PICTURES
from skhand._validation import describe
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.geometry import apply_affine, rotate_points, transform_camera
from skhand.preprocessing._change import change_column
from skhand.preprocessing._warp import Warp

__all__ = [
    "FramesTransformer",
    "StatelessTransformer",
    "check_frames",
    "check_one_size",
    "move_back",
    "move_frames",
    "picture_shape",
    "warp_columns",
]


class StatelessTransformer(TransformerMixin, BaseEstimator):
    """Base of the transformers that can be used without ``fit``."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return True


class FramesTransformer(StatelessTransformer):
    """Base of the transformers that learn nothing: ``fit`` only validates the parameters and X."""

    def fit(self, X: HandFrames, y: Any = None) -> Any:
        """Validate the parameters and X; nothing is learned.

        Parameters
        ----------
        X : HandFrames
            Rows as for ``transform``.
        y : object, default=None
            Not used.

        Returns
        -------
        self : object
        """
        self._check(X)
        return self

    def inverse_transform(self, X: HandFrames) -> HandFrames:
        """Return to the original picture and camera frame: undo all that ``affine`` and ``rotation`` hold.

        Parameters
        ----------
        X : HandFrames
            Rows as ``transform`` returned them.

        Returns
        -------
        frames : HandFrames
            ``camera``, ``keypoints2d``, ``box``, ``pose3d``, ``root`` and ``side`` of the original; a box is
            the upright one around the box that is moved back. The pictures are left out: what a crop cut off
            is not there. X itself where it has neither ``affine`` nor ``rotation``.

        Raises
        ------
        InputError
            If X is no HandFrames, or nothing but pictures is in it.
        """
        return move_back(check_frames(X))

    def _check(self, X: HandFrames) -> None:
        raise NotImplementedError


def check_frames(X: Any, *needed: str, why: str = "") -> HandFrames:
    """Validate that X is a HandFrames with rows and these columns, and return it.

    A table of hands that were found, which has the column ``picture``, may be empty: there was no hand.

    Raises
    ------
    InputError
        If it is not; the message names the column.
    """
    if not isinstance(X, HandFrames):
        raise InputError(
            f"X: expected a HandFrames, got {describe(X)}. Pictures become one by HandFrames(rgb=...); in "
            "whole ones skhand.detection.HandDetector, as the step before, finds the hands."
        )
    if len(X) == 0 and "picture" not in X.columns:
        raise InputError("X: expected at least 1 sample, got 0 sample(s).")
    for name in needed:
        if name not in X.columns:
            raise InputError(f"{name}: X needs this column{why}; its columns are {X.columns}.")
    return X


def picture_shape(X: HandFrames) -> tuple[int, int] | None:
    """Return height and width of the pictures, px; None where there are none.

    Raises
    ------
    InputError
        If they differ between columns: one camera cannot belong to both.
    """
    shapes = {name: tuple(getattr(X, name).shape[1:3]) for name in PICTURES if name in X.columns}
    if len(set(shapes.values())) > 1:
        raise InputError(f"X: expected rgb, depth and mask of one size, got {shapes}.")
    return next(iter(shapes.values())) if shapes else None


def check_one_size(X: HandFrames) -> tuple[int, int] | None:
    """Validate that all pictures have one size and return it, as `picture_shape` does."""
    size = picture_shape(X)
    if size is not None and None in size:
        raise InputError("X: expected pictures of one size, got some that differ: crop them first.")
    return size


def warp_columns(X: HandFrames, affine: np.ndarray, size: tuple[int, int], *names: str) -> dict[str, Any]:
    """Warp these picture columns: at once where they are in memory, else when they are read."""
    columns = {}
    for name, order in PICTURES.items():
        if name in names and name in X.columns:
            column = getattr(X, name)
            shape = (*size, *column.shape[3:])
            columns[name] = change_column(column, Warp(affine, size, order), shape, column.dtype)
    return columns


def move_frames(
    X: HandFrames, affine: np.ndarray, turn: np.ndarray | None = None, **pictures: Any
) -> HandFrames:
    """Change the view of all rows: camera, keypoints, boxes and poses follow their pictures.

    Parameters
    ----------
    X : HandFrames
        The rows before.
    affine : ndarray of shape (n_samples, 3, 3)
        Pixels before to pixels after; a homography is welcome.
    turn : ndarray of shape (n_samples, 3, 3), optional
        What is done to points in the camera frame.
    **pictures : array-like
        The picture columns after the change.

    Returns
    -------
    frames : HandFrames
        ``affine`` and ``rotation`` lead from the original picture and frame to the new ones.
    """
    new: dict[str, Any] = dict(pictures)
    if "camera" in X.columns:
        new["camera"] = transform_camera(X.camera, affine, turn)
    if "keypoints2d" in X.columns:
        new["keypoints2d"] = apply_affine(affine, X.keypoints2d)
    if "box" in X.columns:
        new["box"] = _move_box(X.box, affine)
    new["affine"] = affine if "affine" not in X.columns else affine @ X.affine
    if turn is not None:
        for name in ("pose3d", "root"):
            if name in X.columns:
                new[name] = rotate_points(getattr(X, name), turn)
        new["rotation"] = turn if "rotation" not in X.columns else turn @ X.rotation
    return X.replace(**new)


def move_back(X: HandFrames) -> HandFrames:
    """Move rows back to the original picture and camera frame; see `FramesTransformer.inverse_transform`."""
    if "affine" not in X.columns and "rotation" not in X.columns:
        return X
    if "affine" in X.columns and (np.abs(np.linalg.det(X.affine)) < 1e-12).any():
        raise InputError("affine: X has matrices that cannot be inverted, so there is no way back.")
    affine = np.linalg.inv(X.affine) if "affine" in X.columns else np.broadcast_to(np.eye(3), (len(X), 3, 3))
    turn = np.swapaxes(X.rotation, -1, -2) if "rotation" in X.columns else None
    gone = dict.fromkeys([name for name in PICTURES if name in X.columns])
    back = move_frames(X, affine, turn, **gone)
    if turn is not None and "side" in X.columns:
        back = back.replace(side=swap_side(X.side, np.linalg.det(turn) < 0))
    return back.replace(affine=None, rotation=None)


def swap_side(side: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the sides, with left and right exchanged in some rows (a mask)."""
    return np.where(rows, np.where(side == "left", "right", "left"), side)


def _move_box(box: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Compute the upright box around the moved corners; NaN where a corner is not seen."""
    x, y, width, height = np.moveaxis(np.asarray(box, dtype=np.float64), -1, 0)
    u = np.stack([x, x + width, x, x + width], axis=-1)
    v = np.stack([y, y, y + height, y + height], axis=-1)
    corners = np.stack([u, v], axis=-1)
    third = (corners @ affine[:, 2, :2, None])[..., 0] + affine[:, None, 2, 2]
    corners = np.where((third > 0)[..., None], apply_affine(affine, corners), np.nan)
    low, high = corners.min(axis=1), corners.max(axis=1)
    return np.concatenate([low, high - low], axis=-1)
