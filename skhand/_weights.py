"""Write and read weights: 16-bit safetensors, and a JSON file with the same name that says what they are."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skhand.exceptions import DataFileError

__all__ = ["HANDS", "load_weights", "save_weights"]

HANDS = Path(__file__).parent / "weights" / "hands.safetensors"
"""The weights of `LatentHeatmapRegressor` that ship."""

_TYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64, "I64": np.int64, "I32": np.int32}


def save_weights(path: str | Path, state_dict: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write weights as 16-bit safetensors, and ``meta`` as JSON with the same name.

    Parameters
    ----------
    path : str or Path
        Ends in ``.safetensors``; the JSON file ends in ``.json``.
    state_dict : mapping of str to Tensor
        Weights by name. Floating-point numbers are stored as float16, integers as they are.
    meta : mapping
        What JSON can hold: architecture, preprocessing, recipe, scores, licence, date.
    """
    path = Path(path)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    chunks, offset = [], 0
    for name, tensor in state_dict.items():
        array = tensor.detach().cpu()
        values = array.to(torch.float16 if array.is_floating_point() else torch.int64).contiguous().numpy()
        raw = values.tobytes()
        kind = "F16" if values.dtype == np.float16 else "I64"
        header[name] = {
            "dtype": kind,
            "shape": list(values.shape),
            "data_offsets": [offset, offset + len(raw)],
        }
        chunks.append(raw)
        offset += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(chunks))
    path.with_suffix(".json").write_text(json.dumps(dict(meta), indent=2) + "\n", encoding="utf-8")


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
    path = Path(path)
    try:
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header, body = json.loads(data[8 : 8 + length]), memoryview(data)[8 + length :]
        weights = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            start, stop = entry["data_offsets"]
            array = np.frombuffer(body[start:stop], _TYPES[entry["dtype"]]).reshape(entry["shape"])
            weights[name] = torch.from_numpy(
                array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
            )
        meta = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, AttributeError, KeyError, TypeError, ValueError, struct.error) as error:
        raise DataFileError(f"{path}: missing, or no weights as skhand writes them ({error}).") from error
    return weights, meta
