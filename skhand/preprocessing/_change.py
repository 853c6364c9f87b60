"""Pictures that are changed when they are read: lazy columns stay lazy, arrays are changed at once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from skhand._columns import LazyColumn, in_memory, unroll

__all__ = ["ChangedColumn", "Pictures", "change_column", "iterate_pictures", "split_rows"]

Pictures = Sequence[np.ndarray] | np.ndarray
Change = Callable[[Pictures, np.ndarray, np.ndarray], None]
_CHUNK = 64


class ChangedColumn(LazyColumn):
    """A column whose pictures are changed as they are read.

    Parameters
    ----------
    column : array-like with ``shape``, ``dtype`` and indexing by rows
        The pictures as they were: an array, a memory map or a lazy column. A lazy column whose pictures
        differ in size has None for their height and width in its ``shape``, and is read row by row.
    change : callable
        ``change(pictures, rows, out)`` writes the pictures of the rows (k,), changed, into ``out`` (k, ...).
        They come as an array, or as a list of arrays of which no copy was made. Picklable.
    row_shape : tuple of int
        Shape of one changed picture.
    dtype : dtype
        Type of the changed pictures.
    """

    def __init__(self, column: Any, change: Change, row_shape: tuple[int, ...], dtype: Any):
        self.column, self.rows = unroll(column)
        self.change = change
        super().__init__((len(self.rows), *row_shape), dtype)

    def parts(self, rows: np.ndarray) -> list[tuple[Any, np.ndarray]] | None:
        """Return the column behind, and the rows of it, where it is lazy and its pictures have one size."""
        if not isinstance(self.column, LazyColumn) or None in self.column.shape:
            return None
        return [(self.column, self.rows[rows])]

    def build(self, rows: np.ndarray, read: Sequence[np.ndarray]) -> np.ndarray:
        """Change the pictures that were read."""
        return self._changed(rows, lambda part: read[0][part])

    def widen(self, border: int) -> tuple[LazyColumn, np.ndarray] | None:
        """Return the pictures with a border, where the change is a crop; see `LazyColumn.widen`."""
        if not hasattr(self.change, "widen"):
            return None
        change, frames = self.change.widen(border)
        wide = copy.copy(self)
        wide.change, wide.shape = change, (len(self), *change.size, *self.shape[3:])
        return wide, frames

    def _read(self, rows: np.ndarray) -> np.ndarray:
        return self._changed(rows, lambda part: _read_pictures(self.column, self.rows[rows[part]]))

    def _changed(self, rows: np.ndarray, pictures: Callable[[slice], Pictures]) -> np.ndarray:
        """Return the pictures of the rows, changed, few of them at a time."""
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for part in split_rows(len(rows)):
            self.change(pictures(part), rows[part], out[part])
        return out


def change_column(
    column: Any, change: Change, row_shape: tuple[int, ...], dtype: Any, lazy: bool | str = "auto"
) -> Any:
    """Change the pictures of a column, at once or when they are read.

    Parameters
    ----------
    column, change, row_shape, dtype
        As of `ChangedColumn`.
    lazy : {"auto", True, False}, default="auto"
        Whether when it is read; "auto" changes at once what is in memory.

    Returns
    -------
    column : ndarray or ChangedColumn
    """
    later = ChangedColumn(column, change, row_shape, dtype)
    return later if (not in_memory(column) if lazy == "auto" else lazy) else later[:]


def split_rows(n_rows: int) -> list[slice]:
    """Cut rows into slices of a few pictures each."""
    return [slice(start, start + _CHUNK) for start in range(0, n_rows, _CHUNK)]


def iterate_pictures(column: Any, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the pictures of some rows, few of them in memory at a time."""
    column, rows_of = unroll(column)
    for part in split_rows(len(rows)):
        yield from _read_pictures(column, rows_of[rows[part]])


def _read_pictures(column: Any, rows: np.ndarray) -> Pictures:
    if isinstance(column, np.ndarray):
        plain = np.asarray(column)
        return [plain[row] for row in rows]
    if None in column.shape:
        return [np.asarray(column[int(row)]) for row in rows]
    return np.asarray(column[rows])
