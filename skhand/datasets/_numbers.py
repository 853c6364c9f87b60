"""Read the numbers of label files: nothing but finite ones in ASCII digits passes."""

from __future__ import annotations

import math
import os
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skhand.exceptions import DataFileError

__all__ = [
    "check_end",
    "check_intrinsics",
    "check_numbers",
    "parse_count",
    "parse_number",
    "read_numbers",
    "show",
]

_LARGEST = 1e9  # of any label, whatever its unit: beyond it are infinity and damaged exponents
_ONE = r"[+-]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?"
_NUMBER, _LINE = re.compile(_ONE), re.compile(f"{_ONE}(?: {_ONE})*")
_COUNT = re.compile("[0-9]{1,9}")
_WORD = re.compile(r"[0-9+\-.eE]+")


def parse_count(text: str) -> int | None:
    """Return the whole number that a text is, of up to nine ASCII digits; None where it is none."""
    return int(text) if _COUNT.fullmatch(text) else None


def parse_number(text: str) -> float | None:
    """Return the number that a text is, of ASCII digits and at most 1e9; None where it is none."""
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    return value if abs(value) <= _LARGEST else None


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
        If the line is shorter or longer, or holds something else: also infinity, NaN, digits that are not
        ASCII, underscores, and numbers beyond a thousand million.
    """
    for separator in separators:
        line = line.replace(separator, " ")
    words = line.split()
    if not _LINE.fullmatch(" ".join(words)) and words:
        odd = next((word for word in words if not _NUMBER.fullmatch(word)), "")
        raise DataFileError(f"{path}:{number}: expected {count} {what}, got {odd[:30]!r}.")
    if len(words) != count:
        raise DataFileError(f"{path}:{number}: expected {count} {what}, got {len(words)}.")
    values = np.array([float(word) for word in words])
    large = np.flatnonzero(np.abs(values) > _LARGEST)
    if len(large):
        raise DataFileError(
            f"{path}:{number}: expected {count} {what}, finite and below {_LARGEST:g}, "
            f"got {words[large[0]][:30]!r}."
        )
    return values


def check_end(lines: Sequence[str], path: Path) -> None:
    """Validate that a text file that ends without a line's end was not cut off inside its last line.

    What follows the last digit of other lines, such as a semicolon, must follow here too, and the last
    number must not have fewer decimals than all others of this line and the one before. Where neither tells
    (whole numbers, or numbers with as many decimals as they need), a number that was cut passes for another.

    Parameters
    ----------
    lines : sequence of str
        The file's lines, as `read_lines` returns them.
    path : Path
        The file, for the error.

    Raises
    ------
    DataFileError
        If the last line was cut off.
    """
    if not lines:
        return
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        if file.read() == b"\n":
            return
    words = [_WORD.findall(line) for line in lines[-2:]]
    tails = {re.sub(".*[0-9]", "", line) for line in lines[:-1] if re.search("[0-9]", line)}
    tail = re.sub(".*[0-9]", "", lines[-1])
    decimals = [len(word.partition(".")[2]) for some in words for word in some]
    cut = len(decimals) > 1 and decimals[-1] < min(decimals[:-1])
    if cut or (tails and tail not in tails):
        raise DataFileError(
            f"{path}:{len(lines)}: expected a whole line, got one that was cut off at {lines[-1][-20:]!r}."
        )


def check_numbers(value: Any, shape: tuple[int, ...], where: Any, what: str, place: str = "") -> np.ndarray:
    """Return numbers out of a JSON, a pickle or a MATLAB file as float64.

    Parameters
    ----------
    value : object
        What stands in the file: lists of lists of numbers, or an array.
    shape : tuple of int
        What it must have.
    where : object
        The file, and the place in it where there is one, for the error.
    what : str
        What the numbers are, for the error.
    place : str, default=""
        The place in the file, as the end of the error.

    Raises
    ------
    DataFileError
        If the shape differs, or a value is not a finite number below a thousand million; strings and
        true or false are none.
    """
    array = value if isinstance(value, np.ndarray | np.generic) else _stack_lists(value, len(shape))
    if array is None or array.dtype.kind not in "fiu" or array.shape != shape:
        got = show(value) if array is None else f"{array.dtype} of shape {array.shape}"
        raise DataFileError(f"{where}: expected {what} of shape {shape}, numbers only, got {got}{place}.")
    numbers = np.asarray(array, dtype=np.float64)
    odd = ~(np.abs(numbers) <= _LARGEST)
    if odd.any():
        raise DataFileError(
            f"{where}: expected {what}: finite numbers below {_LARGEST:g}, got {numbers[odd][0]:g}{place}."
        )
    return numbers


def check_intrinsics(value: Any, where: Any, place: str = "") -> np.ndarray:
    """Return a camera matrix out of a file as float64 (3, 3), px.

    Raises
    ------
    DataFileError
        If it is none: a focal length is not above 0, or the last row is not ``(0, 0, 1)``.
    """
    matrix = check_numbers(value, (3, 3), where, "K", place)
    if not (min(matrix[0, 0], matrix[1, 1]) > 1e-6 and np.allclose(matrix[2], (0, 0, 1), atol=1e-6)):
        raise DataFileError(
            f"{where}: expected K: a camera matrix with focal lengths above 0 and the last row 0, 0, 1, "
            f"got {matrix.tolist()}{place}."
        )
    return matrix


def show(value: Any) -> str:
    """Show what stands in a file in a few words, however long or deep it is."""
    try:
        return reprlib.repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits
        return f"a {type(value).__name__}"


def _stack_lists(value: Any, depth: int) -> np.ndarray | None:
    """Stack lists of lists of Python numbers; None where something else is among them."""
    items = [value]
    for _ in range(depth):
        if not all(isinstance(item, list | tuple) for item in items):
            return None
        items = [inner for item in items for inner in item]
    if not all(type(item) in (int, float) or isinstance(item, np.floating | np.integer) for item in items):
        return None
    try:
        return np.array(value, dtype=np.float64)
    except (ValueError, OverflowError):  # ragged, or too many digits
        return None
