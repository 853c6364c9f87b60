"""Read columns row by row when they are asked for, and pickle those on disk by their address."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from mmap import mmap as _mmap
from typing import Any, Literal

import numpy as np

from skhand.exceptions import InputError

__all__ = [
    "PICTURES",
    "ImageFiles",
    "LazyColumn",
    "RowsOf",
    "in_memory",
    "is_on_disk",
    "pack",
    "unpack",
    "unrolled",
]


#: The picture columns, each with the order of interpolation that it bears: 0 nearest pixel, 1 bilinear.
PICTURES: dict[str, Literal[0, 1]] = {"rgb": 1, "depth": 0, "mask": 0}


class LazyColumn:
    """Base of the columns whose rows are read when they are asked for.

    A subclass has ``_read(rows)``, which returns the rows (k,) of int as an array (k, ...).

    Parameters
    ----------
    shape : tuple of int
        Of the whole column. None where rows differ: they are then read one by one.
    dtype : dtype
        Of what is read.

    Attributes
    ----------
    shape, dtype, ndim
        As of an array.
    """

    def __init__(self, shape: tuple[Any, ...], dtype: Any):
        self.shape, self.dtype, self.ndim = shape, np.dtype(dtype), len(shape)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, tuple) and len(rows) == 2 and rows[1] is Ellipsis:
            rows = rows[0]
        wanted = np.arange(len(self))[rows]
        if wanted.ndim > 1:
            raise InputError(f"rows: expected an index, a slice or a 1-D array, got {wanted.ndim} axes.")
        read = self._read(np.atleast_1d(wanted))
        return read if wanted.ndim else read[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self[:]
        return array if dtype is None else array.astype(dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, dtype={self.dtype})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: pack(value) for name, value in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: unpack(value) for name, value in state.items()})


class RowsOf(LazyColumn):
    """Some rows of a column.

    Parameters
    ----------
    column : array-like
        With ``shape``, ``dtype`` and indexing by rows.
    rows : ndarray of int
        Which.
    """

    def __init__(self, column: Any, rows: np.ndarray):
        super().__init__((len(rows), *column.shape[1:]), column.dtype)
        self.column, self.rows = column, rows

    def _read(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) == 1:  # rows of other sizes than their neighbours' can be read alone
            return np.asarray(self.column[int(self.rows[rows[0]])])[None]
        return np.asarray(self.column[self.rows[rows]])


def unrolled(column: Any) -> tuple[Any, np.ndarray]:
    """Return the column behind selections of rows, and the rows of it that are meant."""
    rows = np.arange(len(column))
    while isinstance(column, RowsOf):
        column, rows = column.column, column.rows[rows]
    return column, rows


def in_memory(column: Any) -> bool:
    """Tell whether a column, or the one that it is some rows of, is a plain array."""
    behind = unrolled(column)[0]
    return isinstance(behind, np.ndarray) and not isinstance(behind, np.memmap)


class ImageFiles(LazyColumn):
    """Pictures in files, decoded when they are asked for.

    Parameters
    ----------
    paths : sequence of str or path
        One picture each, all of one size. JPEG and PNG are read.
    gray : bool, default=False
        Whether to keep one channel, as it is in the file (16-bit PNGs stay uint16); colour is made gray.
    reader : callable, optional
        Reads one file in place of the decoders above: ``reader(path) -> ndarray``, of one shape and dtype. A
        function that a module defines, so that the pictures can be pickled.

    Attributes
    ----------
    shape : tuple
        ``(n_files, height, width, 3)``, or without the last axis for ``gray=True``.
    dtype : dtype
        uint8, or uint16 for 16-bit gray files.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        *,
        gray: bool = False,
        reader: Callable[[str], np.ndarray] | None = None,
    ):
        self.paths = np.asarray([os.fspath(path) for path in paths], dtype=object)
        self.gray, self.reader = gray, reader
        if len(self.paths) == 0:
            raise InputError("paths: expected at least one file, got none.")
        first = self._decode(self.paths[0])
        super().__init__((len(self.paths), *first.shape), first.dtype)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for i, path in enumerate(self.paths[rows]):
            out[i] = self._check(path)
        return out

    def _check(self, path: str) -> np.ndarray:
        picture = self._decode(path)
        if picture.shape != self.shape[1:]:
            raise InputError(
                f"paths: expected pictures of shape {self.shape[1:]} as in {self.paths[0]}, "
                f"got {picture.shape} in {path}."
            )
        return picture

    def _decode(self, path: str) -> np.ndarray:
        from PIL import Image

        try:
            if self.reader is not None:
                return self.reader(path)
            with Image.open(path) as picture:
                if not self.gray:
                    return np.array(picture.convert("RGB"))
                return np.array(picture if len(picture.getbands()) == 1 else picture.convert("L"))
        except (OSError, SyntaxError) as error:  # Pillow raises either for a damaged PNG
            raise InputError(f"paths: {path} is missing or is not a readable picture ({error}).") from error


class _MemmapOnDisk:
    """Where a memory-mapped column lies, so that a pickle carries its address and not its content."""

    def __init__(self, column: np.memmap):
        self.filename = os.path.abspath(str(column.filename))
        self.dtype, self.offset, self.shape = column.dtype, column.offset, column.shape
        self.order = "F" if column.flags.f_contiguous and not column.flags.c_contiguous else "C"

    def open(self) -> np.memmap:
        """Map the file again, read-only."""
        return np.memmap(self.filename, self.dtype, "r", self.offset, self.shape, self.order)  # type: ignore[call-overload]


def is_on_disk(column: Any) -> bool:
    """Tell whether ``column`` maps a whole file, and is not a slice of such a map."""
    return isinstance(column, np.memmap) and column.filename is not None and isinstance(column.base, _mmap)


def pack(column: Any) -> Any:
    """Return what a pickle carries of a column: its address where it lies on disk."""
    return _MemmapOnDisk(column) if is_on_disk(column) else column


def unpack(column: Any) -> Any:
    """Return the column that `pack` made portable."""
    return column.open() if isinstance(column, _MemmapOnDisk) else column
