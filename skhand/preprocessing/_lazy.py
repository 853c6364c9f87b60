"""Pictures that are changed when they are read: lazy columns stay lazy, arrays are changed at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skhand.frames import _packed, _Rows, _unpacked

__all__ = ["ChangedColumn", "changed", "chunks"]

Change = Callable[[np.ndarray, np.ndarray], np.ndarray]
_CHUNK = 64


class ChangedColumn:
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
        self.shape = (len(column), *row_shape)
        self.dtype = np.dtype(dtype)
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, tuple) and len(rows) == 2 and rows[1] is Ellipsis:
            rows = rows[0]
        wanted = np.arange(len(self))[rows]
        some = np.atleast_1d(wanted)
        out = np.empty((len(some), *self.shape[1:]), self.dtype)
        for part in chunks(len(some)):
            out[part] = self.change(np.asarray(self.column[some[part]]), some[part])
        return out if wanted.ndim else out[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self[:]
        return array if dtype is None else array.astype(dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "column": _packed(self.column)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, column=_unpacked(state["column"]))


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
    return lazy[:] if _in_memory(column) else lazy


def chunks(n_rows: int) -> list[slice]:
    """Cut rows into slices of a few pictures each."""
    return [slice(start, start + _CHUNK) for start in range(0, n_rows, _CHUNK)]


def _in_memory(column: Any) -> bool:
    if isinstance(column, _Rows):
        return _in_memory(column.column)
    return isinstance(column, np.ndarray) and not isinstance(column, np.memmap)
