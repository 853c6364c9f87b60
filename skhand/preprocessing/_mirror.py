"""HandMirror: every hand becomes a right one, or every one a left one."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._columns import PICTURES
from skhand._validation import check_number, check_option
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.geometry import affine_mirror
from skhand.preprocessing._base import (
    FramesTransformer,
    check_frames,
    check_one_size,
    move_frames,
    swap_side,
)
from skhand.preprocessing._change import Pictures, change_column

__all__ = ["HandMirror"]

_PIXEL_COLUMNS = ("keypoints2d", "box", "camera", "affine")


class HandMirror(FramesTransformer):
    """Mirror the hands of one side left to right, so that all are of the other.

    Pictures are flipped, ``u`` becomes ``width - 1 - u``, ``x`` becomes ``-x``, and the camera follows with
    its centre, so that it sees the mirrored joints exactly where the flipped picture shows them. The columns
    ``affine`` and ``rotation`` keep what was done: an estimator behind it takes y, and answers, in the
    original camera frame.

    Parameters
    ----------
    to : {"right", "left"}, default="right"
        The side that all hands get.
    width : int or None, default=None
        Width of the pictures, px, up to 100 000, for rows without any picture; None reads it off the
        pictures.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.preprocessing import HandMirror
    >>> hands = make_hands(6, image_size=32, random_state=0)
    >>> mirrored = HandMirror().fit_transform(hands.data)
    >>> set(mirrored.side.tolist())
    {'right'}
    """

    def __init__(self, *, to: str = "right", width: int | None = None):
        self.to = to
        self.width = width

    def transform(self, X: HandFrames) -> HandFrames:
        """Mirror the rows of the other side.

        Parameters
        ----------
        X : HandFrames
            With the column ``side``.

        Returns
        -------
        mirrored : HandFrames
            All columns follow; ``side`` is ``to`` throughout. Lazily read pictures stay lazy.

        Raises
        ------
        InputError
            If X has no column ``side``, or its width is not known.
        """
        self._check(X)
        return self._mirror_rows(X, X.side != self.to)

    def inverse_transform(self, X: HandFrames) -> HandFrames:
        """Mirror back the rows that ``transform`` mirrored: those whose ``rotation`` has determinant -1.

        Parameters
        ----------
        X : HandFrames
            Rows as ``transform`` returned them.

        Returns
        -------
        frames : HandFrames
            With their pictures.

        Raises
        ------
        InputError
            If X is no HandFrames, or its width is not known.
        """
        check_frames(X)
        if "rotation" not in X.columns:
            return X
        return self._mirror_rows(X, np.linalg.det(X.rotation) < 0)

    def _check(self, X: HandFrames) -> None:
        check_option(self.to, "to", ("right", "left"))
        if self.width is not None:
            check_number(self.width, "width", integer=True, low=1, high=100_000)
        check_frames(X, "side", why=" to tell which rows to mirror")

    def _mirror_rows(self, X: HandFrames, rows: np.ndarray) -> HandFrames:
        width = self._find_width(X)
        affine = np.broadcast_to(np.eye(3), (len(X), 3, 3)).copy()
        if width is not None:
            affine[rows] = affine_mirror(width)
        turn = np.broadcast_to(np.eye(3), (len(X), 3, 3)).copy()
        turn[rows, 0, 0] = -1.0
        pictures = {}
        for name in PICTURES:
            if name in X.columns:
                column = getattr(X, name)
                pictures[name] = change_column(column, _Flip(rows), column.shape[1:], column.dtype)
        mirrored = move_frames(X, affine, turn, **pictures)
        changes: dict[str, Any] = {} if width is not None else {"affine": None}
        if "side" in X.columns:
            changes["side"] = swap_side(X.side, rows)
        return mirrored.replace(**changes)

    def _find_width(self, X: HandFrames) -> int | None:
        """Find the width of the pictures, px; None where no column is about pixels."""
        shape = check_one_size(X)
        if shape is not None:
            return shape[1]
        pixels = [name for name in _PIXEL_COLUMNS if name in X.columns]
        if self.width is None and pixels:
            raise InputError(
                f"width: expected the width of the pictures (px) that {', '.join(pixels)} belong to, "
                "as X has no pictures; got None."
            )
        return self.width


class _Flip:
    """Flip the pictures of some rows, a mask."""

    def __init__(self, flipped: np.ndarray):
        self.flipped = flipped

    def __call__(self, pictures: Pictures, rows: np.ndarray, out: np.ndarray) -> None:
        for new, old, flip in zip(out, pictures, self.flipped[rows], strict=True):
            new[...] = old[:, ::-1] if flip else old
