"""Columns that map a file: pickled by their address, and watched for changes of the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from mmap import mmap as _mmap
from typing import Any, NamedTuple

import numpy as np

from skhand._validation import warn_user
from skhand.exceptions import InputError

__all__ = ["check_stamp", "is_on_disk", "pack", "stamp_columns", "unpack"]


class _Stamp(NamedTuple):
    """Size and time of a file at the moment it was mapped."""

    inode: int
    size: int
    changed: int

    @classmethod
    def of(cls, filename: Any) -> _Stamp:
        found = os.stat(filename)
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


def stamp_columns(columns: Mapping[str, Any]) -> dict[str, _Stamp]:
    """Remember how the files are that columns map and that this process does not write to."""
    return {
        name: _Stamp.of(column.filename)
        for name, column in columns.items()
        if isinstance(column, np.memmap)
        and column.mode in ("r", "c")
        and os.path.exists(str(column.filename))
    }


def check_stamp(name: str, column: np.memmap, stamps: dict[str, _Stamp]) -> None:
    """Check that the file that a column maps is as it was; warn once if it is not.

    Raises
    ------
    InputError
        If the file was cut, so that there is nothing to read.
    """
    old = stamps[name]
    try:
        new = _Stamp.of(column.filename)
    except OSError:
        return  # deleted: what is mapped stays
    if new != old and new.inode == old.inode:
        _report_change(name, column.filename, new.size < old.size, "this table was made")
        stamps[name] = new


def _report_change(name: str, filename: Any, is_cut: bool, since: str) -> None:
    if is_cut:
        raise InputError(f"{name}: expected {filename} as it was when {since}, got a shorter file.")
    warn_user(
        f"{name}: {filename} was written to after {since}; its rows are read as they are now. "
        "Load it again, or write to another file."
    )


class _MemmapOnDisk:
    """Where a memory-mapped column lies, so that a pickle carries its address and not its content."""

    def __init__(self, column: np.memmap):
        self.filename = os.path.abspath(str(column.filename))
        self.stamp = _Stamp.of(self.filename)
        self.dtype, self.offset, self.shape = column.dtype, column.offset, column.shape
        self.order = "F" if column.flags.f_contiguous and not column.flags.c_contiguous else "C"

    def open(self) -> np.memmap:
        """Map the file again, read-only."""
        new = _Stamp.of(self.filename)
        if new[1:] != self.stamp[1:]:
            name = os.path.basename(self.filename)
            _report_change(name, self.filename, new.size < self.stamp.size, "the table was pickled")
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
