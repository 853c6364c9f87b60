"""Read the annotation files of CMU's hand data: one JSON a hand, or one for all views."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skhand.datasets._json import read_json_list
from skhand.exceptions import DataFileError


@dataclass
class Hand:
    """The labels of one hand in a file; px of its picture."""

    picture: Path
    points: np.ndarray  # (21, 3): u, v, 1 where annotated
    side: str
    group: str
    id: str
    head: float = np.nan  # length
    center: tuple[float, float] = (np.nan, np.nan)


def read_hand(path: Path, *, is_photograph: bool) -> Hand:
    """Read the file of one hand.

    Parameters
    ----------
    path : Path
        ``<stem>.json``, in the folder of ``<stem>.jpg``.
    is_photograph : bool
        Whether the stem is ``<photograph>_<person>_<l or r>``; else it is a number that counts in its folder.
    """
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path}: expected a readable JSON file, got {error}.") from error
    if not isinstance(entry, dict) or entry.get("is_left") not in (0, 1):
        raise DataFileError(f"{path}: expected a hand with is_left 0 or 1, got {str(entry)[:60]}.")
    corners = _read_numbers(entry.get("head_box", np.full((2, 2), np.nan)), (2, 2), path, "head_box")
    diagonal = np.linalg.norm(corners[1] - corners[0])
    head = float(_read_numbers(entry.get("head_size", 0.6 * diagonal), (), path, "head_size"))
    name = path.stem if is_photograph else f"{path.parent.name}/{path.stem}"
    return Hand(
        picture=path.with_suffix(".jpg"),
        points=_read_numbers(entry.get("hand_pts"), (21, 3), path, "hand_pts"),
        side="left" if entry["is_left"] else "right",
        group=re.sub(r"_\d+_[lr]$", "", name),
        id=name,
        head=head if head > 0 else np.nan,
        center=tuple(
            _read_numbers(entry.get("hand_box_center", (np.nan,) * 2), (2,), path, "hand_box_center")
        ),
    )


def read_views(path: Path) -> Iterator[Hand]:
    """Yield the hands of the multi-view part."""
    for number, entry in enumerate(read_json_list(path, key="root")):
        where = f"{path}: item {number}"
        if not isinstance(entry, dict):
            raise DataFileError(f"{where}: expected a hand, got {str(entry)[:60]}.")
        name = Path(str(entry.get("img_paths", f"{number:08d}.jpg"))).name
        points = _read_numbers(entry.get("joint_self"), (21, 3), where, "joint_self")
        stem = Path(name).stem
        yield Hand(path.parent / "imgs" / name, points, side="right", group=stem, id=stem)


def _read_numbers(value: Any, shape: tuple[int, ...], where: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != shape:
        raise DataFileError(f"{where}: expected {name} of shape {shape}, got {str(value)[:60]}.")
    return array
