"""Values that suit no argument, and good arrays and tables with one thing wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skhand import HandFrames

# name -> function that makes it, for no call may change another one's
HOSTILE: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "False": lambda: False,
    "0": lambda: 0,
    "-1": lambda: -1,
    "3.5": lambda: 3.5,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "-inf": lambda: -math.inf,
    "10**30": lambda: 10**30,
    "10**400": lambda: 10**400,
    "1j": lambda: 1j,
    "'abc'": lambda: "abc",
    "''": lambda: "",
    "'3'": lambda: "3",
    "'1e400'": lambda: "1e400",
    "b'abc'": lambda: b"abc",
    "[]": list,
    "()": tuple,
    "{}": dict,
    "set": lambda: {1, 2},
    "dict": lambda: {"a": 1},
    "list of texts": lambda: ["a", "b"],
    "pair of texts": lambda: ("a", "b"),
    "list of None": lambda: [None, None],
    "list of bools": lambda: [True, False],
    "ragged list": lambda: [[1.0, 2.0], [3.0]],
    "object": object,
    "class": lambda: int,
    "function": lambda: len,
    "generator": lambda: (number for number in (1.0, 2.0)),
    "missing path": lambda: Path("no") / "such" / "place",
    "0-d array": lambda: np.array(3.5),
    "0-d text array": lambda: np.array("abc"),
    "empty array": lambda: np.zeros(0),
    "array (0, 3)": lambda: np.zeros((0, 3)),
    "array (2, 2, 2, 2, 2)": lambda: np.ones((2, 2, 2, 2, 2)),
    "array of objects": lambda: np.array([None, "a", 3.5], dtype=object),
    "complex array": lambda: np.ones((2, 3), dtype=complex),
    "array of NaN": lambda: np.full((2, 3), np.nan),
    "array of times": lambda: np.zeros((2, 3), dtype="datetime64[s]"),
    "masked array": lambda: np.ma.masked_all((2, 3)),
    "tensor": lambda: torch.ones(2, 3),
    "tensor with gradient": lambda: torch.ones(2, 3, requires_grad=True),
    "table without pictures": lambda: HandFrames(table=np.ones((2, 3))),
    "table of one row": lambda: HandFrames(table=np.ones((1, 3)), side="left"),
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """A good argument with something changed.

    Parameters
    ----------
    value : object
        The hostile argument.
    means : object
        The argument that it has to be taken for, if it is taken: None is the good one itself.
    rows : callable or None
        What comes of a function that works row by row: a function of each array of the good result.
    wrong : bool
        Whether no call may take it.
    unknown : bool
        Whether it holds what is not known (NaN), or lacks a column.
    """

    value: Any
    means: Any = None
    rows: Callable[[np.ndarray], np.ndarray] | None = None
    wrong: bool = False
    unknown: bool = False


def variants_of(good: Any) -> dict[str, Callable[[], Variant]]:
    """The hostile relatives of an array or a table; none for other arguments."""
    if type(good) is HandFrames:
        out = _tables(good)
    elif isinstance(good, np.ndarray) and good.ndim and good.size:
        out = _arrays(good)
    else:
        return {}
    if len(good) == 1:
        del out["one row"]
    return out


def _arrays(good: np.ndarray) -> dict[str, Callable[[], Variant]]:
    out: dict[str, Callable[[], Variant]] = {
        "as a list": lambda: Variant(good.tolist()),
        "read-only": lambda: Variant(_read_only(good)),
        "with strides": lambda: Variant(np.repeat(good, 2, axis=0)[::2]),
        "of objects": lambda: Variant(good.astype(object)),
        "nothing masked": lambda: Variant(np.ma.masked_array(good, np.zeros(good.shape, bool))),
        "one row": lambda: Variant(good[:1], rows=lambda result: result[:1]),
        "no row": lambda: Variant(good[:0], rows=lambda result: result[:0]),
        "one row more": lambda: Variant(
            np.concatenate([good, good[:1]]), rows=lambda result: np.concatenate([result, result[:1]])
        ),
        "one axis more": lambda: Variant(good[None], rows=lambda result: result[None]),
        "one axis less": lambda: Variant(good[0], rows=lambda result: result[0]),
    }
    if good.ndim > 1:
        out |= {
            "last axis shorter": lambda: Variant(good[..., :-1], wrong=True),
            "last axis longer": lambda: Variant(np.concatenate([good, good[..., :1]], axis=-1), wrong=True),
            "last axis empty": lambda: Variant(good[..., :0], wrong=True),
        }
    if good.dtype.kind in "fiub":
        plain = np.int64 if good.dtype.kind in "iu" else np.float64
        out |= {
            "as float16": lambda: Variant(
                _cast(good, np.float16), _cast(good, np.float16).astype(np.float64)
            ),
            "as int8": lambda: Variant(_cast(good, np.int8), _cast(good, np.int8).astype(plain)),
            "as int64": lambda: Variant(good.astype(np.int64), good.astype(np.int64).astype(plain)),
            "as float64": lambda: Variant(good.astype(np.float64)),
            "big-endian": lambda: Variant(good.astype(good.dtype.newbyteorder(">"))),
            "complex": lambda: Variant(good + 0.5j, wrong=True),
            "as texts": lambda: Variant(good.astype(str), wrong=True),
            "texts 'False'": lambda: Variant(np.full(good.shape, "False"), wrong=True),
            "tensor": lambda: Variant(torch.tensor(good)),
            "tensor with gradient": lambda: Variant(torch.tensor(good, dtype=torch.float64).requires_grad_()),
            "ragged": lambda: Variant([*good.tolist()[:-1], [1.0]], wrong=True),
            "one None": lambda: Variant(_put(good.astype(object), None), unknown=True),
            "one masked": lambda: Variant(_hide_one(good), _put(good.astype(float), np.nan), unknown=True),
            "one NaN": lambda: Variant(_put(good.astype(float), np.nan), unknown=True),
            "all NaN": lambda: Variant(np.full(good.shape, np.nan), unknown=True),
            "one inf": lambda: Variant(_put(good.astype(float), np.inf), wrong=True),
            "one -inf": lambda: Variant(_put(good.astype(float), -np.inf), wrong=True),
            "one 1e300": lambda: Variant(_put(good.astype(float), 1e300)),
        }
    if good.dtype.kind == "b":
        out |= {
            "mask of 0.3": lambda: Variant(_put(good.astype(float), 0.3), wrong=True),
            "mask of -1": lambda: Variant(_put(good.astype(int), -1), wrong=True),
            "mask of 2": lambda: Variant(_put(good.astype(int), 2), wrong=True),
        }
    return out


def _tables(good: HandFrames) -> dict[str, Callable[[], Variant]]:
    out: dict[str, Callable[[], Variant]] = {
        "one row": lambda: Variant(good[:1], rows=lambda result: result[:1]),
        "no row": lambda: Variant(good[:0], rows=lambda result: result[:0]),
        "as a list": lambda: Variant([good], wrong=True),
    }

    def without(name: str) -> Callable[[], Variant]:
        return lambda: Variant(good.replace(**{name: None}), unknown=True)

    def with_column(name: str, change: Callable[[np.ndarray], Any]) -> Callable[[], Variant]:
        return lambda: Variant(good.replace(**{name: change(np.array(getattr(good, name)))}), unknown=True)

    for name in good.columns:
        if len(good.columns) > 1:
            out[f"without {name}"] = without(name)
        if np.asarray(getattr(good, name)).dtype.kind != "f":
            continue
        out[f"{name} all NaN"] = with_column(name, lambda column: np.full(column.shape, np.nan))
        out[f"{name} with inf"] = with_column(name, lambda column: _put(column, np.inf))
        out[f"{name} all 0"] = with_column(name, np.zeros_like)
        out[f"{name} all -1"] = with_column(name, lambda column: np.full(column.shape, -1.0))
    return out


def _cast(array: np.ndarray, dtype: Any) -> np.ndarray:
    limits = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)
    return np.clip(array.astype(float), float(limits.min), float(limits.max)).astype(dtype)


def _read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


def _put(array: np.ndarray, value: Any) -> np.ndarray:
    array = array.copy()
    array[(0,) * array.ndim] = value
    return array


def _hide_one(array: np.ndarray) -> np.ma.MaskedArray:
    hidden = np.zeros(array.shape, bool)
    hidden[(0,) * array.ndim] = True
    return np.ma.masked_array(array, hidden)
