"""Find and read the files of a data set, trusting nothing they hold."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skhand._validation import describe
from skhand.exceptions import DataFileError, InputError

# what a pickle of arrays and plain containers needs; nothing here runs code of the file's choosing
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
}


def check_folder(value: Any, name: str = "data_dir", what: str = "the folder of the data set") -> Path:
    """Return the folder that the user named.

    Parameters
    ----------
    value : object
        What the user gave.
    name : str, default="data_dir"
        The argument's name, for the error.
    what : str, default="the folder of the data set"
        What the folder holds, for the error.

    Raises
    ------
    InputError
        If it is not a folder.
    """
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{name}: expected {what}, got {describe(value)}.")
    path = Path(value).expanduser()
    if not path.is_dir():
        raise InputError(f"{name}: expected {what}, got {str(path)!r}, which is no folder.")
    return path


def check_choices(value: Any, name: str, options: Sequence[Any]) -> tuple[Any, ...]:
    """Return the wanted ones of ``options`` in the order of ``options``; all of them where ``value`` is None.

    Raises
    ------
    InputError
        If one is unknown or named twice, or none is wanted.
    """
    if value is None:
        return tuple(options)
    chosen = list(value) if isinstance(value, list | tuple | range | np.ndarray) else None
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(options):
        raise InputError(f"{name}: expected some of {list(options)}, each once, got {value!r}.")
    return tuple(option for option in options if option in chosen)


def find_first(data_dir: Path, *candidates: str) -> Path:
    """Find the first of several places, relative to ``data_dir``, where copies of a data set keep a file.

    Raises
    ------
    DataFileError
        If none exists; the message names them all.
    """
    for candidate in candidates:
        if (data_dir / candidate).exists():
            return data_dir / candidate
    raise DataFileError(
        f"data_dir: expected {' or '.join(candidates)} in {data_dir}, found neither file nor folder; see "
        "skhand.datasets.verify."
    )


def list_names(folder: Path) -> set[str]:
    """List the names in a folder; none where it does not exist."""
    return set(os.listdir(folder)) if folder.is_dir() else set()


def find_missing(paths: Sequence[Path | str]) -> list[str]:
    """List those of the files that do not exist; each folder is listed once and no file is touched."""
    listed: dict[str, set[str]] = {}
    missing = []
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in listed:
            listed[folder] = list_names(Path(folder))
        if name not in listed[folder]:
            missing.append(os.fspath(path))
    return missing


def require_labels(paths: Sequence[Path | str]) -> None:
    """Check that all annotation files exist.

    Raises
    ------
    DataFileError
        If one is missing; the message names the first.
    """
    for path in find_missing(paths):
        raise DataFileError(f"data_dir: expected {path}, which is not there; see skhand.datasets.verify.")


def require_files(paths: Sequence[Path | str]) -> None:
    """Check that all files exist.

    Raises
    ------
    DataFileError
        If some are missing: the message names the first and says how many.
    """
    missing = find_missing(paths)
    if missing:
        raise DataFileError(
            f"data_dir: expected {len(paths)} pictures, {len(missing)} of them are missing, "
            f"first {missing[0]}; skhand.datasets.verify lists them all."
        )


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def read_pickle(path: Path) -> Any:
    """Read a pickle of numpy arrays, numbers, strings and plain containers, and nothing else.

    Raises
    ------
    DataFileError
        If the file is missing, truncated or holds anything else; nothing of it is executed.
    """
    try:
        with open(path, "rb") as file:
            return _RestrictedUnpickler(file, encoding="latin1").load()
    except OSError as error:
        raise DataFileError(f"{path}: expected a readable file, got {error}.") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DataFileError(
            f"{path}: expected a pickle of numpy arrays and plain containers only, got another: {error}."
        ) from error


def read_mat(path: Path, variables: Sequence[str]) -> dict[str, np.ndarray]:
    """Read named variables of a MATLAB file (before version 7.3), and no others.

    Raises
    ------
    DataFileError
        If the file cannot be read or lacks a variable.
    """
    from scipy.io import loadmat

    known = list(read_mat_shapes(path))
    if not set(variables) <= set(known):
        raise DataFileError(f"{path}: expected the variables {list(variables)}, got {known}.")
    try:
        return {name: loadmat(path, variable_names=[name])[name] for name in variables}
    except Exception as error:  # a damaged file raises nearly anything
        raise DataFileError(f"{path}: expected a readable MATLAB file, got {error}.") from error


def read_mat_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read names and shapes of a MATLAB file's variables (before version 7.3), and no value.

    Raises
    ------
    DataFileError
        If the file cannot be read.
    """
    from scipy.io import whosmat

    try:
        return {name: shape for name, shape, _ in whosmat(path)}
    except Exception as error:  # a damaged file raises nearly anything
        raise DataFileError(f"{path}: expected a readable MATLAB file, got {error}.") from error


def read_numbers(
    line: str, count: int, path: Path, number: int, *, separators: str = " ", what: str = "numbers"
) -> np.ndarray:
    """Read the ``count`` numbers of a line of text.

    Parameters
    ----------
    line : str
        The line, or what of it holds the numbers.
    count : int
        How many there must be.
    path : Path
        The file, for the error.
    number : int
        The line's number from 1, for the error.
    separators : str, default=" "
        Characters that stand between numbers, as white space does.
    what : str, default="numbers"
        What they are, for the error.

    Returns
    -------
    numbers : ndarray of shape (count,), float64

    Raises
    ------
    DataFileError
        If the line is shorter or longer, or holds something else.
    """
    for separator in separators:
        line = line.replace(separator, " ")
    words = line.split()
    try:
        if len(words) == count:
            return np.array([float(word) for word in words])
    except ValueError as error:
        raise DataFileError(f"{path}:{number}: expected {count} {what}, got {error}.") from error
    raise DataFileError(f"{path}:{number}: expected {count} {what}, got {len(words)}.")


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file, without the empty ones at its end.

    Raises
    ------
    DataFileError
        If the file cannot be read as text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataFileError(f"{path}: expected a readable text file, got {error}.") from error
    while lines and not lines[-1].strip():
        lines.pop()
    return lines
