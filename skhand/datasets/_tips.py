"""Read the two data sets of finger tips: label lines, numbered frames, depth pictures, two cameras."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skhand.datasets._depth import read_depth
from skhand.datasets._files import (
    find_missing,
    list_names,
    open_pictures,
    read_lines,
    require_labels,
)
from skhand.datasets._finish import Annotations
from skhand.datasets._numbers import check_end, parse_count, read_numbers
from skhand.datasets._report import Part
from skhand.exceptions import DataFileError
from skhand.geometry import project

CAMERAS = ("colour", "depth")
_NOTHING = 32001  # what both sets write for a depth that was not measured
_REACH = 100.0  # mm
_TOLERANCE = 5.0  # px between the projected 3D labels and the 2D labels


@dataclass(frozen=True)
class TipSet:
    """A data set of finger tips in sequences, seen by a colour and a depth camera.

    Parameters
    ----------
    sequences : tuple of str
        Folders in ``data``.
    labels : tuple of str
        Files of the 2D and of the 3D labels in a sequence's folder; ``{}`` stands for the sequence.
    pictures : dict
        Camera to column of HandFrames to folder.
    sizes : dict
        Camera to height and width of its pictures, px.
    colour, depth : ndarray of shape (3, 3), px
        Intrinsics.
    extrinsic : ndarray of shape (3, 4), mm
        Depth frame to colour frame.
    missing : callable
        3D labels to which of them stand for no label.
    more_points : bool
        Whether a line goes on after the five tips.
    """

    sequences: tuple[str, ...]
    labels: tuple[str, str]
    pictures: dict[str, dict[str, str]]
    sizes: dict[str, tuple[int, int]]
    colour: np.ndarray
    depth: np.ndarray
    extrinsic: np.ndarray
    missing: Callable[[np.ndarray], np.ndarray]
    more_points: bool

    def find_labels(self, data_dir: Path, sequence: str) -> list[Path]:
        """Find where a sequence's 2D and 3D labels are."""
        return [data_dir / "data" / sequence / name.format(sequence) for name in self.labels]


def find_labels(files: TipSet, data_dir: Path, sequences: Sequence[str]) -> list[Path]:
    """Find the label files of these sequences, all of which must be there."""
    labels = [path for sequence in sequences for path in files.find_labels(data_dir, sequence)]
    require_labels(labels)
    return labels


def read_measured_depth(path: str) -> np.ndarray:
    """Read the depth of one 16-bit picture, mm; 0 where nothing was measured."""
    values = read_depth(path)
    return np.where(values >= _NOTHING, 0, values).astype(np.float32)


def read_tips(files: TipSet, data_dir: Path, sequences: Sequence[str], camera: str, axes: str) -> Annotations:
    """Read the labels and find the pictures of some sequences.

    Parameters
    ----------
    files : TipSet
        The data set.
    data_dir : Path
        Its folder.
    sequences : sequence of str
        Which ones.
    camera : {"colour", "depth"}
        Whose pictures and frame.
    axes : {"auto", "right-down", "left-up"}
        Where x and y of the 3D labels point; ``"auto"`` decides sequence by sequence.
    """
    uv, joints, absent, groups, ids = [], [], [], [], []
    pictures: dict[str, list[Path]] = {column: [] for column in files.pictures[camera]}
    for sequence in sequences:
        points = _read_labels(files, data_dir, sequence)
        points[0][(points[0] < 0).any(axis=2) | (points[0] == 0).all(axis=2)] = np.nan
        absent.append(files.missing(points[1]))
        points[1][absent[-1]] = np.nan
        path = files.find_labels(data_dir, sequence)[1]
        if axes == "left-up" or (axes == "auto" and _points_left_up(points[1], points[0], files.depth, path)):
            points[1] = points[1] * (-1, -1, 1)
        found = _find_frames(files, data_dir, sequence, camera, len(points[0]))
        for column, paths in found.items():
            pictures[column] += paths
        uv.append(points[0])
        joints.append(points[1])
        groups += [sequence] * len(points[0])
        ids += [f"{sequence}/{number:05d}" for number in range(len(points[0]))]
    seen, tips, missing = np.concatenate(uv), np.concatenate(joints), np.concatenate(absent)
    columns: dict[str, Any] = {
        column: open_pictures(paths, files.sizes[camera], read_measured_depth if column == "depth" else None)
        for column, paths in pictures.items()
    }
    if camera == "colour":
        tips = tips @ files.extrinsic[:, :3].T + files.extrinsic[:, 3]
    else:
        columns["keypoints2d"] = seen
    intrinsics = files.colour if camera == "colour" else files.depth
    shape = next(iter(columns.values())).shape[1:3]
    columns |= {
        "camera": intrinsics,
        "box": _compute_boxes(tips, intrinsics, shape),
        "side": "left",
        "domain": "real",
    }
    return Annotations(
        joints=tips,
        visible=~missing,
        bad=missing,
        columns=columns,
        groups=np.array(groups),
        ids=np.array(ids),
    )


def inspect_tips(files: TipSet, data_dir: Path, published: int | tuple[int, ...]) -> list[Part]:
    """Count the frames that have labels and all pictures."""
    n_found, missing = 0, []
    for sequence in files.sequences:
        absent = find_missing(files.find_labels(data_dir, sequence))
        if absent:
            missing += absent
            continue
        count = len(_read_labels(files, data_dir, sequence)[0])
        for camera in CAMERAS:
            found = _find_frames(files, data_dir, sequence, camera, count)
            absent += [path for paths in found.values() for path in find_missing(paths)]
        n_found += count - len({_read_number(Path(path).name) for path in absent})
        missing += absent
    names = [str(Path(path).relative_to(data_dir)) for path in dict.fromkeys(missing)]
    return [Part("test", n_found, published, names)]


def _read_labels(files: TipSet, data_dir: Path, sequence: str) -> list[np.ndarray]:
    """Read a sequence's 2D labels (px, depth picture) and 3D labels (mm) of the tips."""
    paths = files.find_labels(data_dir, sequence)
    points = [
        _read_points(path, n_dims, files.more_points) for path, n_dims in zip(paths, (2, 3), strict=True)
    ]
    if len(points[0]) != len(points[1]):
        raise DataFileError(
            f"{paths[1]}:{len(points[1])}: expected {len(points[0])} lines as in {paths[0].name}, "
            f"got {len(points[1])}."
        )
    return points


def _read_points(path: Path, n_dims: int, more_points: bool) -> np.ndarray:
    """Read the first five points of each line; all are read, so that a line that breaks off is found."""
    rows = []
    lines = read_lines(path)
    for number, line in enumerate(lines, start=1):
        points = [point for point in line.split(";") if point.strip()]
        if len(points) < 5 or (len(points) > 5 and not more_points):
            wanted = "5 or more" if more_points else "5"
            raise DataFileError(f"{path}:{number}: expected {wanted} points, got {len(points)}.")
        numbers = [
            read_numbers(point, n_dims, path, number, separators=",", what="coordinates of a point")
            for point in points
        ]
        rows.append(numbers[:5])
    if not rows:
        raise DataFileError(f"{path}:1: expected a line a frame, got an empty file.")
    check_end(lines, path)
    return np.array(rows)


def _read_number(name: str) -> int | None:
    """Read the frame's number, the last one in a picture's name; None where the file is no picture."""
    stem, _, suffix = name.rpartition(".")
    digits = re.findall("[0-9]+", stem)
    return parse_count(digits[-1]) if digits and suffix.lower() in ("png", "bmp", "jpg") else None


def _find_frames(
    files: TipSet, data_dir: Path, sequence: str, camera: str, count: int
) -> dict[str, list[Path]]:
    """Find each column's pictures in the order of the label lines, those that are missing among them."""
    folder = data_dir / "data" / sequence
    every: dict[str, dict[int, Path]] = {}
    for name in {name for columns in files.pictures.values() for name in columns.values()}:
        every[name] = {}
        for file in sorted(list_names(folder / name)):
            number = _read_number(file)
            if number in every[name]:
                raise DataFileError(
                    f"{folder / name / file}: expected one picture of number {number}, got "
                    f"{every[name][number].name} too."
                )
            if number is not None:
                every[name][number] = folder / name / file
        if len(every[name]) > count:
            raise DataFileError(
                f"{files.find_labels(data_dir, sequence)[0]}:{count}: expected a line for each of the "
                f"{len(every[name])} pictures in {folder / name}, got {count}."
            )
    first = min((min(found) for found in every.values() if found), default=0)
    ordered = {}
    for column, name in files.pictures[camera].items():
        found = every[name]
        if len(found) == count:
            ordered[column] = [found[number] for number in sorted(found)]
        else:
            example = next(iter(found.values())).name if found else f"image_00000_{name}.png"
            ordered[column] = [
                found.get(first + i, folder / name / _renumber(example, first + i)) for i in range(count)
            ]
    return ordered


def _renumber(name: str, number: int) -> str:
    """Return a picture's name with another number in the place of its last one."""
    *_, last = re.finditer("[0-9]+", name.rpartition(".")[0])
    return f"{name[: last.start()]}{number:0{len(last.group())}d}{name[last.end() :]}"


def _points_left_up(tips: np.ndarray, seen: np.ndarray, camera: np.ndarray, path: Path) -> bool:
    """Tell whether the 3D labels land on the 2D labels with x and y negated; one of both they must."""
    known = np.isfinite(tips).all(axis=2) & np.isfinite(seen).all(axis=2)
    if not known.any():
        raise DataFileError(
            f"{path}: expected tips with 2D and 3D labels, to tell where x and y point, got none; name it by "
            "axes=."
        )
    off = [
        np.median(np.linalg.norm(project(tips[known] * (sign, sign, 1), camera) - seen[known], axis=1))
        for sign in (1, -1)
    ]
    if not min(off) <= _TOLERANCE:
        raise DataFileError(
            f"{path}: expected 3D labels that project onto the 2D labels, got median distances of "
            f"{off[0]:.1f} px, and {off[1]:.1f} px with x and y negated: labels of another version."
        )
    return bool(off[1] < off[0])


def _compute_boxes(tips: np.ndarray, camera: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Compute boxes around the tips and 100 mm on each side; the whole picture where no tip is known."""
    known = np.isfinite(tips).all(axis=2, keepdims=True)
    pixels = project(tips, camera)
    reach = _REACH * camera[[0, 1], [0, 1]] / tips[..., 2:]
    low = np.where(known, pixels - reach, np.inf).min(axis=1)
    high = np.where(known, pixels + reach, -np.inf).max(axis=1)
    some = known.any(axis=1)
    return np.where(some, np.hstack([low, high - low]), (-0.5, -0.5, shape[1], shape[0]))
