"""Put tables of hands together, their pictures still where they were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from skhand._columns import PICTURES, LazyColumn, stack_rows, widen_column
from skhand._validation import describe
from skhand.exceptions import InputError
from skhand.frames import HandFrames

__all__ = ["concat_frames"]

_UNKNOWN = ("keypoints2d", "pose3d", "table", "camera", "scale", "root", "box", "score")
_UNCHANGED = ("affine", "rotation")


class JoinedColumn(LazyColumn):
    """Picture columns one after the other.

    Parameters
    ----------
    columns : sequence of array-like
        With one dtype; where pictures differ in size, the shape's height and width are None.
    """

    def __init__(self, columns: Sequence[Any]):
        ends = np.cumsum([len(column) for column in columns])
        rows = [tuple(column.shape[1:]) for column in columns]
        row = rows[0] if len(set(rows)) == 1 else (None, None, *rows[0][2:])
        super().__init__((int(ends[-1]), *row), columns[0].dtype)
        self.columns, self.ends = list(columns), ends

    def parts(self, rows: np.ndarray) -> list[tuple[Any, np.ndarray]]:
        """Return the columns that have some of the rows, and which of theirs these are."""
        which = self._which(rows)
        starts = self.ends - [len(column) for column in self.columns]
        return [(self.columns[i], rows[which == i] - starts[i]) for i in np.unique(which)]

    def build(self, rows: np.ndarray, read: Sequence[np.ndarray]) -> np.ndarray:
        """Put the columns' rows in the order in which they were asked for."""
        row = self.shape[1:] if None not in self.shape else stack_rows([part[0] for part in read]).shape[1:]
        built = np.empty((len(rows), *row), self.dtype)
        which = self._which(rows)
        for i, some in zip(np.unique(which), read, strict=True):
            built[which == i] = some
        return built

    def widen(self, border: int) -> tuple[LazyColumn, np.ndarray] | None:
        """Return the pictures with a border, where all columns have one; see `LazyColumn.widen`."""
        wider = [widen_column(column, border) for column in self.columns]
        found = [each for each in wider if each is not None]
        if len(found) < len(wider):
            return None
        return JoinedColumn([column for column, _ in found]), np.concatenate([frames for _, frames in found])

    def _which(self, rows: np.ndarray) -> np.ndarray:
        """Return the number of the column that has each row."""
        return np.searchsorted(self.ends, rows, side="right")


def concat_frames(frames: Sequence[HandFrames]) -> HandFrames:
    """Put tables of hands one after the other, for example to fit on several data sets at once.

    Parameters
    ----------
    frames : sequence of HandFrames
        Tables whose pictures have one type; pictures stay lazy. Where they differ in size, they can be read
        one by one, and be cropped to one size. Where a table lacks a column that
        another has, numbers become NaN, ``camera`` among them, ``visible`` True, ``domain`` empty, and
        ``affine`` and ``rotation`` the identity. A picture, ``side`` or ``picture`` has no such value.

    Returns
    -------
    joined : HandFrames

    Raises
    ------
    InputError
        If there is no table, or one without end; if only some tables have a picture, ``side`` or ``picture``,
        or columns differ in shape.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand import HandFrames, concat_frames
    >>> one = HandFrames(rgb=np.zeros((4, 8, 8, 3), np.uint8), root=np.zeros((4, 3)))
    >>> other = HandFrames(rgb=np.zeros((2, 8, 8, 3), np.uint8))
    >>> len(concat_frames([one, other]))
    6
    """
    several = isinstance(frames, Iterable) and getattr(frames, "shape", None) != ()  # a 0-d array is not
    tables = list(frames) if several else []
    if not tables or not all(isinstance(table, HandFrames) for table in tables):
        raise InputError(f"frames: expected a list of HandFrames, got {describe(frames)}.")
    if any(hasattr(table, "at_epoch") for table in tables):
        raise InputError(
            "frames: expected tables whose rows stay the same, got hands without end; join the table of one "
            "epoch instead: at_epoch(k)."
        )
    names = list(dict.fromkeys(name for table in tables for name in table.columns))
    return HandFrames(**{name: _join_column(name, tables) for name in names})


def _join_column(name: str, tables: list[HandFrames]) -> Any:
    """Join one column of all tables."""
    columns = [getattr(table, name) for table in tables]
    shape = next(column.shape[1:] for column in columns if column is not None)
    for i, (column, table) in enumerate(zip(columns, tables, strict=True)):
        if column is None:
            columns[i] = _fill_column(name, len(table), shape)
        elif tuple(column.shape[1:]) != tuple(shape) and name not in PICTURES:
            raise InputError(
                f"frames: expected {name} of one shape a row, got {tuple(shape)} and {column.shape[1:]}."
            )
    if name not in PICTURES:
        return np.concatenate(columns)
    if len({np.dtype(column.dtype) for column in columns}) > 1:
        raise InputError(f"frames: expected {name} of one dtype, got {[str(c.dtype) for c in columns]}.")
    return JoinedColumn(columns)


def _fill_column(name: str, n: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return what stands for a column that a table lacks."""
    if name in _UNKNOWN:
        return np.full((n, *shape), np.nan)
    if name in _UNCHANGED:
        return np.broadcast_to(np.eye(3), (n, 3, 3))
    if name == "visible":
        return np.ones((n, *shape), dtype=bool)
    if name == "domain":
        return np.full(n, "")
    raise InputError(
        f"frames: expected {name} in all tables or in none; give it to those that lack it, or take it away "
        f"from the others: table.replace({name}=None)."
    )
