"""A table of hands on disk, one row a hand: its columns, and how it is written and read."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from skhand._validation import check_numbers, describe
from skhand.datasets._numbers import parse_number
from skhand.exceptions import DataFileError, InputError
from skhand.skeleton import JOINTS

__all__ = [
    "COLUMNS",
    "TABLE",
    "HandTable",
    "TableWriter",
    "check_joints",
    "check_new_folder",
    "read_table",
    "take_lengths",
    "write_table",
]

#: What a table of hands is called unless it is said otherwise.
TABLE = "hands.csv"

#: What a table may tell of a hand -> the columns of the CSV that hold it, in their order.
COLUMNS: dict[str, tuple[str, ...]] = {
    "picture": ("picture",),
    "frame": ("frame",),
    "id": ("id",),
    "group": ("group",),
    "side": ("side",),
    "score": ("score",),
    "box": ("box_x", "box_y", "box_width", "box_height"),
    "camera_source": ("camera_source",),
    "camera": ("fx", "fy", "cx", "cy"),
    "joints": tuple(f"{joint}_{axis}_mm" for joint in JOINTS for axis in "xyz"),
    "keypoints": tuple(f"{joint}_{axis}_px" for joint in JOINTS for axis in "xy"),
}
_TEXTS = ("picture", "group", "side", "camera_source")
_POINTS = {"joints": "joints_mm", "keypoints": "keypoints_px"}  # what JSON calls them


def check_new_folder(value: Any) -> Path:
    """Return the folder that the user wants written, which need not exist."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise InputError(f"data_dir: expected a folder, got {describe(value)}.")
    return Path(value).expanduser()


def check_joints(target: Any, n_hands: int) -> np.ndarray:
    """Return the joints of hands (n_hands, 21, 3), mm, float64, if single precision holds them too."""
    joints = check_numbers(target, "target", ("n_hands", len(JOINTS), 3), allow_nan=True)
    if len(joints) != n_hands:
        raise InputError(
            f"target: expected an array of shape ({n_hands}, {len(JOINTS)}, 3), one for each hand of data, "
            f"got {describe(target)}."
        )
    if (np.abs(joints) > np.finfo(np.float32).max).any():
        raise InputError("target: expected numbers (mm) that float32 holds, got larger ones.")
    return joints


class TableWriter:
    """Write hands to a CSV file, a JSON file or both, as they come.

    The files are opened by the first call of `write`: before it, nothing is replaced.

    Parameters
    ----------
    names : sequence of str
        Which of `COLUMNS` the table has.
    csv_path, json_path : path or None, default=None
        The files, which are replaced.

    Attributes
    ----------
    begun : bool
        Whether the files are there.
    """

    def __init__(self, names: Sequence[str], csv_path: Any = None, json_path: Any = None):
        self.names = [name for name in COLUMNS if name in names]
        self._paths = csv_path, json_path
        self._csv = self._json = None
        self.begun, self._n_written = False, 0

    def _begin(self) -> None:
        self.begun = True
        self._csv, self._json = (None if path is None else _open(path) for path in self._paths)
        if self._csv is not None:
            self._rows = csv.writer(self._csv, lineterminator="\n")
            self._rows.writerow([column for name in self.names for column in COLUMNS[name]])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._json is not None:
            self._json.write("\n]\n" if self._n_written else "[]\n")
            self._json.close()
        if self._csv is not None:
            self._csv.close()

    def write(self, **values: Any) -> None:
        """Write some hands.

        Parameters
        ----------
        **values : array-like of shape (n, ...)
            By the names of `COLUMNS`: ``camera`` (n, 3, 3), ``box`` (n, 4), ``joints`` (n, 21, 3),
            ``keypoints`` (n, 21, 2), the others (n,). One that is left out, NaN or None is unknown.

        Raises
        ------
        InputError
            If a camera has skew, or a text is none that a file can have. Nothing is written then.
        """
        for name in _TEXTS:
            for value in [] if values.get(name) is None else values[name]:
                _check_text(value, name)
        rows: dict[str, Any] = {
            name: take_lengths(value) if name == "camera" else value for name, value in values.items()
        }
        if not self.begun:
            self._begin()
        for i in range(len(values["picture"])):
            hand = {name: rows[name][i] if rows.get(name) is not None else None for name in self.names}
            if self._csv is not None:
                self._rows.writerow([cell for name in self.names for cell in _list_cells(name, hand[name])])
            if self._json is not None:
                text = json.dumps(_nest(hand), ensure_ascii=False, allow_nan=False)
                self._json.write(("[\n" if self._n_written == 0 else ",\n") + text)
            self._n_written += 1


def write_table(values: dict[str, Any], csv_path: Any = None, json_path: Any = None) -> None:
    """Write all hands at once, by the columns that are there; no file is touched if one of them is wrong.

    Parameters
    ----------
    values : dict
        As of `TableWriter.write`.
    csv_path, json_path : path or None, default=None
        The files, which are replaced.
    """
    there = [name for name, value in values.items() if value is not None]
    with TableWriter(there, csv_path, json_path) as writer:
        writer.write(**values)


def _check_text(value: Any, name: str) -> None:
    try:
        str(value).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{name}: expected text that UTF-8 can hold, got {value!r}.") from error


def _open(path: Any) -> Any:
    if not isinstance(path, str | os.PathLike):  # numbers are files that are open already
        raise InputError(f"path: expected a file's name, got {describe(path)}.")
    try:
        return open(path, "w", encoding="utf-8", newline="")
    except (OSError, TypeError) as error:
        raise InputError(f"path: expected a file that can be written, got {path!r} ({error}).") from error


def take_lengths(camera: Any) -> np.ndarray | None:
    """Return fx, fy, cx, cy of cameras (n, 3, 3), if they have no skew."""
    if camera is None:
        return None
    camera = np.asarray(camera, dtype=np.float64)
    if (np.nan_to_num(camera[:, 0, 1]) != 0).any():
        raise InputError("camera: expected cameras without skew, for a table has fx, fy, cx and cy only.")
    return camera[:, [0, 1, 0, 1], [0, 1, 2, 2]]


def _list_cells(name: str, value: Any) -> list[str]:
    if value is None:
        return [""] * len(COLUMNS[name])
    if name in _TEXTS:
        return [str(value)]
    return [_format(number) for number in np.ravel(value).tolist()]


def _format(number: float) -> str:
    """Return nine digits, which tell every number of 32 bits from all others; nothing for NaN."""
    return f"{number:.9g}" if math.isfinite(number) else ""


def _nest(hand: dict[str, Any]) -> dict[str, Any]:
    """Return one hand as JSON has it: points by their joint's name, the camera by its columns' names."""
    nested: dict[str, Any] = {}
    for name, value in hand.items():
        if value is None or name in _TEXTS:
            nested[name] = None if value is None else str(value)
            continue
        numbers = [float(_format(number) or "nan") for number in np.ravel(value).tolist()]
        known = [None if math.isnan(number) else number for number in numbers]
        if name in _POINTS:
            size = len(known) // len(JOINTS)
            points = [known[i : i + size] for i in range(0, len(known), size)]
            nested[_POINTS[name]] = dict(zip(JOINTS, points, strict=True))
        elif name == "camera":
            nested[name] = dict(zip(COLUMNS[name], known, strict=True))
        elif name in ("frame", "id"):
            nested[name] = int(value)
        else:
            nested[name] = known if name == "box" else known[0]
    return nested


class HandTable:
    """The content of a table of hands.

    Parameters
    ----------
    path : Path
        The file.
    lines : list of int
        The number of each row's line, from 1.
    values : dict of str to list of str or ndarray of shape (n, k)
        By the names of `COLUMNS`, those that the table has; NaN or ``""`` is unknown.
    """

    def __init__(self, path: Path, lines: list[int], values: dict[str, Any]):
        self.path, self.lines, self.values = path, lines, values

    def __len__(self) -> int:
        return len(self.lines)

    def fail(self, row: int, column: str, message: str) -> DataFileError:
        """Return an error that names file, line and column."""
        return DataFileError(f"{self.path}:{self.lines[row]}: column {column!r}: {message}")


def read_table(path: str | os.PathLike[str]) -> HandTable:
    """Read a table of hands.

    Parameters
    ----------
    path : str or path
        A CSV file with a header, of columns out of `COLUMNS`, in any order; ``picture`` must be among them.
        An empty cell is unknown.

    Returns
    -------
    table : HandTable

    Raises
    ------
    DataFileError
        If the file is missing or is no such table; the message names line and column.
    """
    path = Path(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            groups = _check_header(header, path)
            rows = [(reader.line_num, row) for row in reader if row]
    except FileNotFoundError as error:
        raise DataFileError(
            f"{path}: expected a readable CSV file, a table of hands, found none; skhand predict writes one, "
            "and so does to_csv of the hands that HandTracker found."
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataFileError(f"{path}: expected a readable CSV file, got {error}.") from error
    if not rows:
        raise DataFileError(f"{path}: expected at least one hand, got a header without rows.")
    for line, row in rows:
        if len(row) != len(header):
            raise DataFileError(f"{path}:{line}: expected {len(header)} cells, got {len(row)}.")
    table = HandTable(path, [line for line, _ in rows], {})
    for name in groups:
        cells = [[row[header.index(column)].strip() for column in COLUMNS[name]] for _, row in rows]
        if name in _TEXTS:
            table.values[name] = [cell for (cell,) in cells]
        else:
            table.values[name] = np.array([list(_parse(table, i, name, row)) for i, row in enumerate(cells)])
    return table


def _check_header(header: list[str], path: Path) -> list[str]:
    """Return which of `COLUMNS` a header has."""
    known = {column for columns in COLUMNS.values() for column in columns}
    if "picture" not in header:
        raise DataFileError(
            f"{path}:1: expected a header with the column 'picture', separated by commas, "
            f"got {','.join(header)[:60]!r}."
        )
    for i, column in enumerate(header):
        if column not in known:
            raise DataFileError(
                f"{path}:1: column {column!r} is none of a table of hands, which has "
                f"{', '.join([columns[0] for columns in COLUMNS.values()])} and so on."
            )
        if column in header[:i]:
            raise DataFileError(f"{path}:1: expected each column once, got {column!r} twice.")
    for columns in COLUMNS.values():
        there = [column in header for column in columns]
        if any(there) and not all(there):
            raise DataFileError(
                f"{path}:1: expected the column {columns[there.index(False)]!r} "
                f"beside {columns[there.index(True)]!r}."
            )
    return [name for name, columns in COLUMNS.items() if columns[0] in header]


def _parse(table: HandTable, row: int, name: str, cells: list[str]) -> Iterator[float]:
    """Yield the numbers of some cells; what belongs together is known or unknown together."""
    size = {"joints": 3, "keypoints": 2}.get(name, len(cells))
    for i, (column, cell) in enumerate(zip(COLUMNS[name], cells, strict=True)):
        first = i - i % size
        if (cell == "") != (cells[first] == ""):
            raise table.fail(row, column, f"expected a number in each of its {size} cells, or in none.")
        number = parse_number(cell) if cell else math.nan
        if number is None:
            raise table.fail(row, column, f"expected a finite number, got {cell[:30]!r}.")
        yield number
