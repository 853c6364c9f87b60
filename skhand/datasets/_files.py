"""Find and read the files of a data set, trusting nothing they hold."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skhand._decoding import check_is_file
from skhand._validation import check_option, describe
from skhand.exceptions import DataFileError, InputError
from skhand.frames import ImageFiles

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

_FOREIGN = ("thumbs.db", "desktop.ini")


def check_folder(value: Any, name: str = "data_dir", what: str = "the folder of the data set") -> Path:
    """Return the folder that the user named, as an absolute path.

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
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise InputError(f"{name}: expected {what}, got {describe(value)}.")
    path = Path(value).expanduser().absolute()
    if not os.path.isdir(path):
        raise InputError(f"{name}: expected {what}, got {str(value)!r}, which is no folder.")
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
    several = isinstance(value, list | tuple | range) or (isinstance(value, np.ndarray) and value.ndim == 1)
    chosen = [check_option(each, name, options) for each in value] if several else []
    if not chosen or len(set(chosen)) < len(chosen):
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
        if os.path.exists(data_dir / candidate):
            return data_dir / candidate
    raise DataFileError(
        f"data_dir: expected {' or '.join(candidates)} in {data_dir}, found neither file nor folder; see "
        "skhand.datasets.verify."
    )


def list_names(folder: Path) -> set[str]:
    """List the names in a folder; none where it does not exist. What file browsers leave behind is left out.

    Raises
    ------
    DataFileError
        If the folder cannot be listed.
    """
    if not os.path.isdir(folder):
        return set()
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise DataFileError(f"{folder}: expected a folder that can be listed, got {error}.") from error
    return {name for name in names if not name.startswith(".") and name.lower() not in _FOREIGN}


def count_names(folder: Path, pattern: str) -> int:
    """Count the names in a folder that a regular expression matches as a whole."""
    return sum(re.fullmatch(pattern, name) is not None for name in list_names(folder))


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
        check_is_file(path)
        with open(path, "rb") as file:
            return _RestrictedUnpickler(file, encoding="latin1").load()
    except OSError as error:
        raise DataFileError(f"{path}: expected a readable file, got {error}.") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DataFileError(
            f"{path}: expected a pickle of numpy arrays and plain containers only, got another: {error}."
        ) from error


def read_mat(path: Path, variables: Sequence[str]) -> dict[str, np.ndarray]:
    """Read named variables of a MATLAB file (before version 7.3), and no others; `check_numbers` takes them.

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
        check_is_file(path)
        return {name: shape for name, shape, _ in whosmat(path)}
    except Exception as error:  # a damaged file raises nearly anything
        raise DataFileError(f"{path}: expected a readable MATLAB file, got {error}.") from error


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file of ASCII characters, without the empty ones at its end.

    When the lines are parsed, `check_end` tells whether the last one is whole.

    Raises
    ------
    DataFileError
        If the file cannot be read as such text.
    """
    try:
        check_is_file(path)
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataFileError(f"{path}: expected a readable text file, got {error}.") from error
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.isascii() or "\0" in line:
            raise DataFileError(f"{path}:{number}: expected ASCII characters, got {line[:60]!r}.")
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def join_label(folder: Path, name: str, where: str) -> Path:
    """Return the file that a label names, which may not lie outside of its folder.

    Parameters
    ----------
    folder : Path
        Where the labels' names start.
    name : str
        What the label says, with slashes.
    where : str
        The label file and the place in it, for the error.

    Raises
    ------
    DataFileError
        If the name is empty, starts at the root, or leads up (``..``).
    """
    parts = name.split("/")
    if not name or ".." in parts or "" in parts or "\\" in name or ":" in parts[0]:
        raise DataFileError(f"{where}: expected the name of a file below {folder}, got {name!r}.")
    return folder.joinpath(*parts)


def open_pictures(
    paths: Sequence[Path], size: tuple[int, int], reader: Callable[[str], np.ndarray] | None = None
) -> ImageFiles:
    """Return pictures of a known size, which are decoded when they are asked for.

    Parameters
    ----------
    paths : sequence of Path
        One picture each; all must exist.
    size : (int, int)
        Height and width, px: what the published camera belongs to.
    reader : callable or None, default=None
        As of `ImageFiles`.

    Raises
    ------
    DataFileError
        If a file is missing, or the first has another size.
    """
    require_files(paths)
    pictures = ImageFiles(paths, reader=reader)
    if pictures.shape[1:3] != size:
        raise DataFileError(
            f"{paths[0]}: expected a picture of (height, width) {size}, as it is published, "
            f"got {pictures.shape[1:3]}."
        )
    return pictures
