"""Damage the files of a data set, and tell what a load makes of them."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hostile.data_copies import DataSet
from PIL import Image
from scipy.io import loadmat, savemat

from skhand.exceptions import InputError

LIMIT = 20.0  # seconds; nothing that is refused may take as long
NOBODY = 65534

# what stands where a number is expected: no finite number, or not one in ASCII digits
WRONG_WORDS = [
    *("inf", "-inf", "nan", "1e400", "-1e400", "1_000", "\u0661\u0662", "\u00b2", "\uff11", "0x10", "1,5"),
    *("1e", "1e999", "1e12", "9" * 5000, "True", '"1.0"'),
]
WRONG_JSON = [
    *(
        "Infinity",
        "-Infinity",
        "NaN",
        "1e400",
        '"1.0"',
        "true",
        "null",
        "[]",
        "{}",
        "1e12",
        "1_000",
        "\u00b2",
    ),
    *("9" * 400, "9" * 5000, "[" * 100000, '{"a":' * 50000),
]


@dataclass(frozen=True)
class Variant:
    """One thing that is wrong with one file.

    Parameters
    ----------
    what : str
        What was done.
    path : str
        The file, relative to the copy.
    content : bytes or callable
        What it holds instead; or what is done to the file, ``content(path)``.
    place : str, default=""
        What an error must say beside the file's name, a regular expression.
    may_differ : bool, default=False
        Whether another table is allowed, for what no format tells: one byte of a number changed into another.
    always : bool, default=False
        Whether it is in every sample.
    """

    what: str
    path: str
    content: bytes | Callable[[Path], Any]
    place: str = ""
    may_differ: bool = False
    always: bool = False


def list_variants(data: DataSet, folder: Path) -> list[Variant]:
    """List all that is tried with the files of a copy, in order."""
    variants = []
    for path in (*data.labels, *data.pictures):
        content = (folder / path).read_bytes()
        variants += _list_any(path, content)
        variants += {
            ".txt": _list_text,
            ".json": _list_json,
            ".pickle": _list_pickle,
            ".mat": _list_mat,
            ".png": _list_picture,
            ".jpg": _list_picture,
            ".bin": _list_bin,
        }[Path(path).suffix](path, content)
    return variants


def _list_any(path: str, content: bytes) -> Iterator[Variant]:
    """Yield what can go wrong with any file."""
    yield Variant("missing", path, lambda place: place.unlink(), always=True)
    yield Variant("empty", path, b"", always=True)
    yield Variant("a folder", path, lambda place: (place.unlink(), place.mkdir()), always=True)
    yield Variant("a pipe", path, lambda place: (place.unlink(), os.mkfifo(place)), always=True)
    yield Variant("unreadable", path, lambda place: place.chmod(0), always=True)
    yield Variant("a link to itself", path, lambda place: (place.unlink(), place.symlink_to(place)))
    yield Variant("a device", path, lambda place: (place.unlink(), place.symlink_to("/dev/zero")))
    foreign = {"html": b"<html>404 Not Found</html>\n", "zip": b"PK\x03\x04" + b"\0" * 60, "words": b"a b\n"}
    for what, other in foreign.items():
        yield Variant(f"foreign: {what}", path, other)
    yield Variant("zeros", path, bytes(len(content)))
    is_text = path.endswith((".txt", ".json"))
    last = range(max(1, len(content) - (400 if is_text else 60)), len(content))
    for length in sorted({1, 2, 8, 24, *(len(content) * i // 29 for i in range(1, 29)), *last}):
        if length < len(content):
            yield Variant(f"cut to {length} of {len(content)} bytes", path, content[:length])
    for at in {len(content) * i // 61 for i in range(61)} | set(range(0, min(len(content), 300), 7)):
        flipped = bytearray(content)
        flipped[at] ^= 0x80
        checked = (
            is_text or path.endswith(".png") or path.endswith("joint_data.mat")
        )  # the last is compressed
        yield Variant(f"byte {at} flipped", path, bytes(flipped), may_differ=not checked)


def _list_text(path: str, content: bytes) -> Iterator[Variant]:
    text = content.decode()
    numbers = list(re.finditer(r"(?<![\w./])-?\d+(\.\d+)?(?![\w./])", text))
    picked = {0: numbers[0], len(numbers) // 2: numbers[len(numbers) // 2], len(numbers) - 1: numbers[-1]}
    for match in picked.values():
        line = text[: match.start()].count("\n") + 1
        for word in WRONG_WORDS:
            changed = text[: match.start()] + word + text[match.end() :]
            place = f":{line}:|:{line} |:\\d+: expected \\d+ lines" if word != "1,5" else ""
            yield Variant(f"{word[:9]} in line {line}", path, changed.encode(), place)
    lines = text.splitlines(keepends=True)
    for i in range(1, len(lines)):
        cut = "".join(lines[:i])
        yield Variant(f"cut after line {i}", path, cut.encode(), always=True)
        yield Variant(f"cut after line {i}, without its end", path, cut.rstrip("\r\n").encode(), always=True)
    if path.endswith("labels.txt") or "test_seq" in path:
        name, _, rest = lines[0].partition(" ")
        for other in (
            f"{name}/../../../../../secret.png",
            "/etc/passwd",
            "../x.png",
            "a//b.png",
            "a\\..\\b.png/c",
        ):
            changed = other + " " + rest + "".join(lines[1:])
            yield Variant(f"traversal: {other}", path, changed.encode(), ":1", always=True)


def _list_json(path: str, content: bytes) -> Iterator[Variant]:
    text = content.decode()
    numbers = list(re.finditer(r"(?<![\w.\"/])-?\d+(\.\d+)?(?![\w.\"])", text))
    for match in (numbers[0], numbers[len(numbers) // 2], numbers[-1]):
        for word in WRONG_JSON:
            changed = text[: match.start()] + word + text[match.end() :]
            yield Variant(f"{word[:9]} at {match.start()}", path, changed.encode())
    if path.endswith("_K.json"):
        matrices = json.loads(text)
        for row, column, value in ((0, 0, 0), (1, 1, -5), (2, 2, 0), (2, 0, 3)):
            changed = json.loads(text)
            changed[1][row][column] = value
            yield Variant(f"K[{row}][{column}] = {value}", path, json.dumps(changed).encode(), "item 1")
        yield Variant("one camera less", path, json.dumps(matrices[:-1]).encode())
    if "img_paths" in text:
        for other in ("..", "imgs/..", "", ".", "a\\\\..\\\\b:", 3, ["x"]):
            changed = json.loads(text)
            changed["root"][1]["img_paths"] = other
            yield Variant(f"traversal: {other}", path, json.dumps(changed).encode(), "item 1|missing")


def _list_pickle(path: str, content: bytes) -> Iterator[Variant]:
    entries = pickle.loads(content)  # our own

    def changed(key: str, value: Any) -> bytes:
        return pickle.dumps({**entries, 1: {**entries[1], key: value}}, protocol=2)

    for key in ("xyz", "uv_vis", "K"):
        good = np.asarray(entries[1][key], dtype=np.float64)
        for value in (np.inf, -np.inf, np.nan, 1e38):
            other = good.copy()
            other[0, 0] = value
            yield Variant(f"{key} = {value}", path, changed(key, other), "picture 1", always=True)
        texts = good.astype(str)
        for what, other in {
            "strings": texts,
            "lists of strings": texts.tolist(),
            "objects": good.astype(object),
            "complex": good.astype(complex),
            "bools": good > 0,
            "None": None,
            "a huge integer": 10**5000,
            "lists of huge integers": [[10**5000] * good.shape[1]] * len(good),
            "other shape": good[:-1],
        }.items():
            yield Variant(f"{key}: {what}", path, changed(key, other), "picture 1")
    yield Variant("K without focal length", path, changed("K", np.diag([0.0, 280, 1])), "picture 1")
    for number in (-1, "1", 1.5, True, 10**5000, None):
        yield Variant(
            f"number {type(number).__name__}", path, pickle.dumps({0: entries[0], number: entries[1]})
        )
    deep: Any = []
    for _ in range(150):
        deep = [deep]
    yield Variant("deep lists", path, pickle.dumps({0: deep}))


def _list_mat(path: str, content: bytes) -> Iterator[Variant]:
    arrays = {name: value for name, value in loadmat(io.BytesIO(content)).items() if name[0] != "_"}

    def changed(**others: Any) -> bytes:
        file = io.BytesIO()
        savemat(file, {**arrays, **others})
        return file.getvalue()

    for name in [name for name in arrays if name != "joint_names"]:
        good = arrays[name]
        for value in (np.inf, -np.inf, np.nan, 1e300):
            other = good.copy()
            other[(0,) * good.ndim] = value
            yield Variant(f"{name} = {value}", path, changed(**{name: other}), always=True)
        cells = np.empty(good.shape, dtype=object)
        cells[...] = "1.0"
        for what, other in {
            "cells": cells,
            "a string": "handPara",
            "complex": good * 1j,
            "a struct": {"a": 1.0},
            "other shape": good[:-1],
            "fewer axes": good[0],
            "one number": 3.0,
            "bools": good > 0,
        }.items():
            yield Variant(f"{name}: {what}", path, changed(**{name: other}))
        file = io.BytesIO()
        savemat(file, {**{key: value for key, value in arrays.items() if key != name}, "other": 1.0})
        yield Variant(f"{name} is not there", path, file.getvalue())


def _list_picture(path: str, content: bytes) -> Iterator[Variant]:
    whole = Image.open(io.BytesIO(content))
    whole.load()
    gray = np.asarray(whole if whole.mode.startswith("I") else whole.convert("L"))
    is_colour = whole.mode in ("RGB", "RGBA") and not re.search(
        "depth_|/depth|_depth", path.replace("color_on_depth", "")
    )
    others = {
        "smaller": whole.resize((whole.width // 2, whole.height // 2)),
        "one pixel": whole.resize((1, 1)),
    }
    if not is_colour:  # colours are read from pictures of any mode, with tests of their own
        others |= {
            "one bit": Image.fromarray(gray > 0),
            "palette": Image.fromarray(gray.astype(np.uint8)).convert("P"),
            "floats": Image.fromarray(gray.astype(np.float32)),
        }
        others["eight bits" if whole.mode.startswith("I") else "16 bits"] = Image.fromarray(
            (gray // 2).astype(np.uint8 if whole.mode.startswith("I") else np.uint16)
        )
        if whole.mode.startswith("I") and "mask" not in path:
            others["colour"] = Image.fromarray(np.repeat(gray.astype(np.uint8)[..., None], 3, axis=2))
    for what, other in others.items():
        file = io.BytesIO()
        other.save(file, "TIFF" if other.mode == "F" else "PNG")
        may_differ = "manual" in path or "multi" in path or "imgs" in path  # squares cut out of any size
        yield Variant(what, path, file.getvalue(), may_differ=may_differ, always=True)


def _list_bin(path: str, content: bytes) -> Iterator[Variant]:
    head = np.frombuffer(content[:24], dtype="<i4")
    for i in range(6):
        for value in (-1, 0, 1 << 14, 1 << 30, int(head[i]) + 1):
            other = head.copy()
            other[i] = value
            yield Variant(f"head {i} = {value}", path, other.tobytes() + content[24:], may_differ=value == 0)
    for value in (np.inf, np.nan, -5.0, 1e30):
        yield Variant(f"depth {value}", path, content[:24] + np.float32(value).tobytes() + content[28:])


class TooSlow(Exception):
    pass


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def as_nobody(really: bool) -> Iterator[None]:
    """Read files as a user whom permissions hold for, where the tests run as root."""
    if not really or os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def read_all(bunch: Any) -> dict[str, np.ndarray]:
    """Read a load's whole table, its pictures too."""
    arrays = {name: value for name, value in bunch.items() if isinstance(value, np.ndarray)}
    for name in bunch.data.columns:
        column = getattr(bunch.data, name)
        arrays[f"data.{name}"] = np.stack([np.asarray(column[row]) for row in range(len(column))])
    return arrays


def is_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    if set(one) != set(other):
        return False
    for name, array in one.items():
        numbers = array.dtype.kind in "fc"
        if array.dtype != other[name].dtype or not np.array_equal(array, other[name], equal_nan=numbers):
            return False
    return True


def try_variant(data: DataSet, folder: Path, variant: Variant, whole: dict[str, np.ndarray]) -> str:
    """Load a copy with one file changed; the file is as before afterwards.

    Returns
    -------
    outcome : str
        "" where the load is as it must be: refused with an error that names the file (and the place), told
        by a warning that names it, or equal to the whole copy's; else what happened.
    """
    path = folder / variant.path
    content, began = path.read_bytes(), time.monotonic()
    named = re.escape(path.name)
    try:
        if callable(variant.content):
            variant.content(path)
        else:
            path.write_bytes(variant.content)
        with warnings.catch_warnings(record=True) as told, time_limit(LIMIT):
            warnings.simplefilter("always")
            with as_nobody(variant.what == "unreadable"):
                found = read_all(data.load(folder))
        if is_same(found, whole) or variant.may_differ:
            return ""
        if any(re.search(named, str(warning.message)) for warning in told):
            return ""
        return "another table, in silence"
    except TooSlow:
        return f"still at it after {time.monotonic() - began:.0f} s"
    except InputError as error:
        if not re.search(re.escape(str(folder)) if variant.may_differ else named, str(error)):
            return f"does not name the file: {error}"
        if variant.place and not re.search(variant.place, str(error)):
            return f"does not name the place: {error}"
        return ""
    except Exception as error:
        return f"raw {type(error).__name__}: {str(error)[:200]}"
    finally:
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(content)
