"""Read JSON files that hold one long list, item by item."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from skhand._decoding import check_is_file
from skhand.exceptions import DataFileError

_PART = 1 << 16  # characters read at once
_LARGEST_ITEM = 1 << 22  # characters


def read_json_list(path: Path, key: str | None = None) -> Iterator[Any]:
    """Yield the items of a JSON file that holds one list, in bounded memory.

    Parameters
    ----------
    path : Path
        The file.
    key : str or None, default=None
        Where the list is the first member of an object: the member's name.

    Raises
    ------
    DataFileError
        If the file is missing, is truncated or holds no list, or more than it; the message gives the item's
        number.
    """
    try:
        check_is_file(path)
        with open(path, encoding="utf-8") as file:
            yield from _read_items(file, path, key)
    except (OSError, UnicodeDecodeError) as error:
        raise DataFileError(f"{path}: expected a readable JSON file, got {error}.") from error


def read_json(path: Path) -> Any:
    """Read a JSON file; infinity and NaN, which JSON does not know, are refused.

    Raises
    ------
    DataFileError
        If the file is missing, truncated, nested too deeply, or no JSON.
    """
    try:
        check_is_file(path)
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise DataFileError(f"{path}: expected a readable JSON file, got {error}.") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant}, which is no number")


def _read_items(file: TextIO, path: Path, key: str | None) -> Iterator[Any]:
    decoder, count = json.JSONDecoder(parse_constant=_refuse), 0
    buffer = file.read(_PART).lstrip()
    if key is not None:
        buffer = re.sub(rf'^\{{\s*"{re.escape(key)}"\s*:\s*', "", buffer)
    if not buffer.startswith("["):
        raise DataFileError(f"{path}: expected a list, got {buffer[:20]!r}.")
    at, after_comma = 1, False
    while True:
        at = _skip_space(buffer, at)
        if buffer.startswith("]", at) and not after_comma:
            return _check_rest(buffer[at + 1 :], file, path, key)
        try:
            item, end = decoder.raw_decode(buffer, at)
            end = _skip_space(buffer, end)
        except json.JSONDecodeError:
            end = len(buffer)  # cut off by the buffer's end, or broken
        except (ValueError, RecursionError) as error:
            raise DataFileError(
                f"{path}: expected lists and numbers, got {error} in or after item {count}."
            ) from error
        if buffer.startswith((",", "]"), end):  # else a number may go on in the next part
            yield item
            after_comma = buffer.startswith(",", end)
            count, at = count + 1, end + after_comma
            continue
        buffer, at = buffer[at:], 0
        more = file.read(max(_PART, len(buffer)))
        if not more or len(buffer) > _LARGEST_ITEM:
            raise DataFileError(
                f"{path}: expected a list, got one that is damaged or ends inside or after item {count}."
            )
        buffer += more


def _check_rest(rest: str, file: TextIO, path: Path, key: str | None) -> None:
    """Check that nothing follows the list but the object's end, or its other members, which are not read."""
    rest = (rest + file.read(_PART)).lstrip()
    if key is not None and rest.startswith(","):
        return
    ended = key is None or rest.startswith("}")
    rest = rest if key is None else rest[1:]
    while ended and not rest.strip():
        rest = file.read(_PART)
        if not rest:
            return
    raise DataFileError(f"{path}: expected nothing after the list, got {rest.strip()[:20]!r}.")


def _skip_space(text: str, start: int) -> int:
    while text[start : start + 1].isspace():
        start += 1
    return start
