"""Write and read arrays: safetensors, and a JSON file with the same name that says what they are."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skhand.exceptions import DataFileError

__all__ = ["HANDS", "load_weights", "read_arrays", "save_weights", "write_arrays"]

HANDS = Path(__file__).parent / "weights" / "hands.safetensors"
"""The weights of `LatentHeatmapRegressor` that ship."""

_TYPES = {
    "BOOL": np.dtype(bool),
    "U8": np.dtype("<u1"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write arrays as safetensors, and ``meta`` as JSON with the same name; each file is replaced as a whole.

    Parameters
    ----------
    path : str or Path
        Ends in ``.safetensors``; the JSON file ends in ``.json``.
    arrays : mapping of str to ndarray
        By name; of bool, uint8, int32, int64, float16, float32 or float64.
    meta : mapping
        What JSON can hold.

    Raises
    ------
    TypeError
        If an array is of another type.
    """
    path = Path(path)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    chunks, offset = [], 0
    for name, array in arrays.items():
        kind = _NAMES.get(array.dtype.newbyteorder("<"))
        if kind is None:
            raise TypeError(f"{name}: expected an array of {', '.join(_TYPES)}, got dtype {array.dtype}.")
        raw = array.astype(_TYPES[kind], copy=False).tobytes()
        header[name] = {
            "dtype": kind,
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(raw)],
        }
        chunks.append(raw)
        offset += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    card = json.dumps(dict(meta), indent=2, allow_nan=False) + "\n"
    _replace(path, struct.pack("<Q", len(text)) + text + b"".join(chunks))
    _replace(path.with_suffix(".json"), card.encode())


def _replace(path: Path, content: bytes) -> None:
    """Write a file beside its place, and put it there when it is whole."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_arrays` wrote. Nothing but numbers and JSON is read, and no code is run.

    Parameters
    ----------
    path : str or Path
        Ends in ``.safetensors``, with its JSON file beside it.

    Returns
    -------
    arrays : dict of str to ndarray
        Of the types that were written.
    meta : dict

    Raises
    ------
    DataFileError
        If a file is missing or damaged.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        if length > len(data) - 8:
            raise ValueError("its header is longer than the file")
        header, body = json.loads(data[8 : 8 + length]), memoryview(data)[8 + length :]
        arrays = {name: _read_one(entry, body) for name, entry in header.items() if name != "__metadata__"}
        meta = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if not isinstance(meta, dict):
            raise TypeError("its JSON file holds no object")
    except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError, struct.error) as error:
        raise DataFileError(f"{path}: missing, or no weights as skhand writes them ({error}).") from error
    return arrays, meta


def _read_one(entry: Mapping[str, Any], body: memoryview) -> np.ndarray:
    """Return the array that an entry of the header tells the place of; a view of the file's content."""
    start, stop = entry["data_offsets"]
    dtype, shape = _TYPES[entry["dtype"]], tuple(entry["shape"])
    if not all(isinstance(size, int) and size >= 0 for size in (*shape, start, stop)):
        raise ValueError("a size is no number")
    if not start <= stop <= len(body) or stop - start != dtype.itemsize * math.prod(shape):
        raise ValueError("an array's size is not that of its place in the file")
    return np.frombuffer(body[start:stop], dtype).reshape(shape)


def save_weights(path: str | Path, state_dict: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write weights in 16 bits, and ``meta`` as JSON with the same name.

    Parameters
    ----------
    path : str or Path
        Ends in ``.safetensors``; the JSON file ends in ``.json``.
    state_dict : mapping of str to Tensor
        Weights by name. Floating-point numbers are stored as float16, integers as they are.
    meta : mapping
        What JSON can hold: architecture, preprocessing, recipe, scores, licence, date.
    """
    kinds = {
        name: tensor.detach().cpu().to(torch.float16 if tensor.is_floating_point() else torch.int64)
        for name, tensor in state_dict.items()
    }
    write_arrays(path, {name: tensor.numpy() for name, tensor in kinds.items()}, meta)


def load_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read weights and what is known about them.

    Parameters
    ----------
    path : str or Path
        A file that `save_weights` wrote, with its JSON file.

    Returns
    -------
    state_dict : dict of str to Tensor
        float32; integers are int64.
    meta : dict

    Raises
    ------
    DataFileError
        If a file is missing or damaged.
    """
    arrays, meta = read_arrays(path)
    weights = {
        name: torch.from_numpy(array.astype(np.float32 if array.dtype.kind == "f" else np.int64))
        for name, array in arrays.items()
    }
    return weights, meta
