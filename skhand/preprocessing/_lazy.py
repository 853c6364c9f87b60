"""Pictures that are changed when they are read: lazy columns stay lazy, arrays are changed at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skhand._columns import LazyColumn, in_memory

__all__ = ["ChangedColumn", "changed", "chunks"]

Change = Callable[[np.ndarray, np.ndarray], np.ndarray]
_CHUNK = 64


class ChangedColumn(LazyColumn):
    """A column whose pictures are changed as they are read.

    Parameters
    ----------
    column : array-like with ``shape``, ``dtype`` and indexing by rows
        The pictures as they were.
    change : callable
        ``change(pictures, rows) -> pictures``: the pictures (k, ...) of the rows (k,), changed. Picklable.
    row_shape : tuple of int
        Shape of one changed picture.
    dtype : dtype
        Type of the changed pictures.
    """

    def __init__(self, column: Any, change: Change, row_shape: tuple[int, ...], dtype: Any):
        self.column, self.change = column, change
        super().__init__((len(column), *row_shape), dtype)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for part in chunks(len(rows)):
            out[part] = self.change(np.asarray(self.column[rows[part]]), rows[part])
        return out


def changed(column: Any, change: Change, row_shape: tuple[int, ...], dtype: Any) -> Any:
    """Change a column of pictures: at once where it is in memory, else when it is read.

    Parameters
    ----------
    column, change, row_shape, dtype
        As of `ChangedColumn`.

    Returns
    -------
    column : ndarray or ChangedColumn
    """
    lazy = ChangedColumn(column, change, row_shape, dtype)
    return lazy[:] if in_memory(column) else lazy


def chunks(n_rows: int) -> list[slice]:
    """Cut rows into slices of a few pictures each."""
    return [slice(start, start + _CHUNK) for start in range(0, n_rows, _CHUNK)]
