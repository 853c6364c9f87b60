"""Read the annotation files of CMU's hand data: one JSON a hand, or one for all views."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skhand.datasets._files import join_label
from skhand.datasets._json import read_json, read_json_list
from skhand.datasets._numbers import check_numbers, show
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
    entry = read_json(path)
    if not isinstance(entry, dict) or entry.get("is_left") not in (0, 1):
        raise DataFileError(f"{path}: expected a hand with is_left 0 or 1, got {show(entry)}.")
    head = np.nan
    if "head_box" in entry:
        corners = check_numbers(entry["head_box"], (2, 2), path, "head_box")
        head = 0.6 * float(np.linalg.norm(corners[1] - corners[0]))
    if "head_size" in entry:
        head = float(check_numbers(entry["head_size"], (), path, "head_size"))
    center = np.full(2, np.nan)
    if "hand_box_center" in entry:
        center = check_numbers(entry["hand_box_center"], (2,), path, "hand_box_center")
    name = path.stem if is_photograph else f"{path.parent.name}/{path.stem}"
    return Hand(
        picture=path.with_suffix(".jpg"),
        points=check_numbers(entry.get("hand_pts"), (21, 3), path, "hand_pts"),
        side="left" if entry["is_left"] else "right",
        group=re.sub(r"_\d+_[lr]$", "", name),
        id=name,
        head=head if head > 0 else np.nan,
        center=(float(center[0]), float(center[1])),
    )


def read_views(path: Path) -> Iterator[Hand]:
    """Yield the hands of the multi-view part."""
    for number, entry in enumerate(read_json_list(path, key="root")):
        where = f"{path}: item {number}"
        if not isinstance(entry, dict):
            raise DataFileError(f"{where}: expected a hand, got {show(entry)}.")
        name = entry.get("img_paths", f"{number:08d}.jpg")
        if not isinstance(name, str):
            raise DataFileError(f"{where}: expected img_paths: a picture's name, got {show(name)}.")
        name = Path(name).name
        points = check_numbers(entry.get("joint_self"), (21, 3), where, "joint_self")
        stem = Path(name).stem
        yield Hand(join_label(path.parent / "imgs", name, where), points, side="right", group=stem, id=stem)
