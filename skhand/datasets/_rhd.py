"""Load Rendered Hand Pose (Zimmermann & Brox 2017), from the publisher's own folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from skhand._decoding import decode_file
from skhand._progress import progress
from skhand._validation import check_option
from skhand.datasets._depth import read_coded_depth
from skhand.datasets._files import (
    check_folder,
    count_names,
    find_missing,
    read_pickle,
    require_files,
    require_labels,
)
from skhand.datasets._finish import Annotations, finish
from skhand.datasets._numbers import check_intrinsics, check_numbers, show
from skhand.datasets._report import Inspector, Part
from skhand.datasets._rows import MadePictures
from skhand.exceptions import DataFileError, InputError
from skhand.frames import ImageFiles

__all__ = ["load_rhd"]

FOLDERS = {"train": "training", "test": "evaluation"}
_PUBLISHED = {"train": 41258, "test": 2728}
#: Folder of each kind of picture -> the column that holds it.
PICTURES = {"color": "rgb", "depth": "depth", "mask": "mask"}
SIDES = ("left", "right")
DEPTH_RANGE = 5000.0  # mm, over 65 535
FIRST_LABEL = {"left": 2, "right": 18}  # of the mask: 2 to 17 left hand, 18 to 33 right hand
_LAST_LABEL = 33

_DESCR = """
Rendered Hand Pose
==================

Rendered people, 320 x 320 px, one row a hand. C. Zimmermann and T. Brox, Learning to Estimate 3D Hand Pose
from Single RGB Images, ICCV 2017; RHD_published_v2 from the Computer Vision Group in Freiburg. Licence: for
research only.

Known faults: some hands lie behind the camera (negative depth); about 1% of the keypoints lie outside the
picture. The first are the bad rows of this loader.
"""


def read_depth(path: str) -> np.ndarray:
    """Read the depth of one picture, mm: the red and the green byte over 65 535 times 5 m."""
    return read_coded_depth(path, low=1, high=0).astype(np.float32) * np.float32(DEPTH_RANGE / 65535)


def read_labels(path: str) -> np.ndarray:
    """Read the mask as it is: 0 background, 1 person, 2 to 17 left hand, 18 to 33 right hand."""
    picture = decode_file(path, "paths")
    if picture.mode != "L":
        raise InputError(f"{path}: expected labels in an 8-bit grey picture, got mode {picture.mode}.")
    labels = np.asarray(picture)
    if labels.max() > _LAST_LABEL:
        raise InputError(f"{path}: expected labels from 0 to {_LAST_LABEL}, got {labels.max()}.")
    return labels


def read_hand_mask(path: str, side: str) -> np.ndarray:
    """Read which pixels show the hand of a side."""
    return _is_hand(read_labels(path), side)


def _is_hand(labels: np.ndarray, side: str) -> np.ndarray:
    first = FIRST_LABEL[side]
    return (labels >= first) & (labels < first + 16)


def load_rhd(
    data_dir: Any,
    split: str = "train",
    *,
    hand: str = "larger",
    layout: str = "canonical",
    bad_rows: str = "flag",
    crop: Any = None,
    cache: Any = None,
    return_X_y: bool = False,
) -> Any:
    """Load the Rendered Hand Pose data set (RHD).

    Nothing is downloaded: RHD_published_v2 is offered at
    https://lmb.informatik.uni-freiburg.de/resources/datasets/RenderedHandposeDataset.en.html.

    Parameters
    ----------
    data_dir : str or path
        The folder RHD_published_v2, with ``training`` and ``evaluation``.
    split : {"train", "test"}, default="train"
        ``"train"``: 41 258 pictures; ``"test"``: 2 728.
    hand : {"larger", "left", "right", "both"}, default="larger"
        Which hand of each picture is a row. ``"larger"`` (Zimmermann & Brox): the one with more pixels in the
        mask, the right one where they are equal; it reads all masks. ``"both"``: two rows a picture, left
        first.
    layout : str, default="canonical"
        Joints of ``target`` and ``visible``: ``"canonical"``, ``"native"`` for the data set's own, or another
        name of `skhand.skeleton.LAYOUTS`. ``data`` has the canonical ones in any case.
    bad_rows : {"flag", "keep", "drop"}, default="flag"
        What happens to hands behind the camera. ``"flag"``: their joints become NaN, so that they train and
        score nothing; ``"keep"``: they come as they are published; ``"drop"``: their rows are left out.
        ``bad`` marks them in each case.
    crop : transformer or None, default=None
        Applied to the table of whole pictures, for example ``HandCropper(preset="hand3d")``. Of hands behind
        the camera it sees the joints before the camera that lie in the picture.
    cache : str, path or None, default=None
        Folder where the (cropped) pictures are kept as memory maps. Its entries are named by all options,
        the annotation files and the library's version.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    rhd : Bunch
        ``data`` : HandFrames with ``rgb``, ``depth`` (mm) and ``mask`` (of the row's hand), read when they
        are asked for, ``keypoints2d`` (px), ``visible``, ``camera``, ``side``, ``scale`` (middle MCP to PIP,
        mm), ``root`` (palm, mm), ``box`` (of the true joints, px, and the whole picture where none shows the
        hand: it is ground truth, as scale and root are) and ``domain`` "synthetic".
        ``target`` : ndarray of shape (n_samples, 21, 3), mm, camera frame.
        ``visible`` : ndarray of shape (n_samples, 21), bool; what the data set says of each joint.
        ``bad`` : ndarray of shape (n_samples,), bool.
        ``groups`` : ndarray of shape (n_samples,), the picture. ``ids`` : ndarray of str.
        ``joint_names``, ``DESCR``.
    (data, target) : tuple
        If ``return_X_y`` is True.

    Raises
    ------
    InputError
        If a parameter is not one of those listed.
    DataFileError
        If a file is missing, damaged or not in the published format.

    Examples
    --------
    >>> import tempfile
    >>> from skhand.datasets import load_rhd, make_hands, save_rhd
    >>> folder = tempfile.mkdtemp()
    >>> hands = make_hands(2, image_size=64, random_state=0)
    >>> save_rhd(hands.data, hands.target, folder)
    >>> load_rhd(folder).target.shape
    (2, 21, 3)
    """
    folder = check_folder(data_dir)
    check_option(split, "split", tuple(FOLDERS))
    check_option(hand, "hand", ("larger", *SIDES, "both"))
    labels = _label_path(folder, split)
    return finish(
        "rhd",
        lambda: _read(folder, split, hand),
        native="rhd",
        sources=[labels],
        options={"split": split, "hand": hand},
        descr=_DESCR,
        layout=layout,
        bad_rows=bad_rows,
        crop=crop,
        cache=cache,
        return_X_y=return_X_y,
    )


def _label_path(folder: Path, split: str) -> Path:
    path = folder / FOLDERS[split] / f"anno_{FOLDERS[split]}.pickle"
    require_labels([path])
    return path


def _picture_path(folder: Path, split: str, kind: str, number: int) -> Path:
    return folder / FOLDERS[split] / kind / f"{number:05d}.png"


def _read(folder: Path, split: str, hand: str) -> Annotations:
    path = _label_path(folder, split)
    labels = _check_entries(read_pickle(path), path)
    numbers = sorted(labels)
    files = {kind: [_picture_path(folder, split, kind, number) for number in numbers] for kind in PICTURES}
    for paths in files.values():
        require_files(paths)
    sides = _find_sides(files["mask"], hand)
    rows = np.repeat(np.arange(len(numbers)), sides.shape[1])
    side = sides.ravel()
    hands = np.where(side == "left", 0, 21)[:, None] + np.arange(21)
    stacked = {
        key: np.stack([labels[number][key] for number in numbers])[rows] for key in ("xyz", "uv_vis", "K")
    }
    joints, uv = (np.take_along_axis(stacked[key], hands[..., None], axis=1) for key in ("xyz", "uv_vis"))
    files = {kind: [paths[row] for row in rows] for kind, paths in files.items()}
    ids = np.array([f"{number:05d}" for number in numbers])[rows]
    rgb = ImageFiles(files["color"])
    return Annotations(
        joints=joints * 1000,
        visible=uv[..., 2] > 0.5,
        bad=np.repeat((joints[..., 2] <= 0).any(axis=1, keepdims=True), 21, axis=1),
        columns={
            "rgb": rgb,
            "depth": ImageFiles(files["depth"], reader=read_depth),
            "mask": MadePictures(
                list(zip(map(str, files["mask"]), side.tolist(), strict=True)),
                read_hand_mask,
                rgb.shape[1:3],
                bool,
            ),
            "keypoints2d": uv[..., :2],
            "camera": stacked["K"],
            "side": side,
            "domain": "synthetic",
        },
        groups=np.asarray(numbers)[rows],
        ids=np.char.add(ids, np.char.add("-", side)) if hand == "both" else ids,
    )


def _check_entries(entries: Any, path: Path) -> dict[int, dict[str, np.ndarray]]:
    """Return the annotations of each picture's number, all checked."""
    if not isinstance(entries, dict) or not entries:
        raise DataFileError(f"{path}: expected a dictionary of pictures, got {type(entries).__name__}.")
    labels = {}
    for number, entry in entries.items():
        where = f"{path}: picture {show(number)}"
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 0 <= number < 10**9:
            raise DataFileError(f"{where}: expected a whole number of up to nine digits.")
        lacks = [key for key in ("xyz", "uv_vis", "K") if not isinstance(entry, dict) or key not in entry]
        if lacks:
            raise DataFileError(f"{where}: expected xyz, uv_vis and K, lacks {', '.join(lacks)}.")
        found = {key: check_numbers(entry[key], (42, 3), where, key) for key in ("xyz", "uv_vis")}
        labels[int(number)] = {**found, "K": check_intrinsics(entry["K"], where)}
    return labels


def _find_sides(masks: list[Path], hand: str) -> np.ndarray:
    """Find which hands of each picture are rows: (n_pictures, 1 or 2) of "left" and "right"."""
    if hand == "both":
        return np.tile(SIDES, (len(masks), 1))
    if hand != "larger":
        return np.full((len(masks), 1), hand)
    areas = [
        [_is_hand(labels, side).sum() for side in SIDES]
        for labels in map(
            ImageFiles(masks, reader=read_labels).__getitem__, progress(range(len(masks)), "masks")
        )
    ]
    return np.array([["left" if left > right else "right"] for left, right in areas])


def _inspect(data_dir: Path) -> list[Part]:
    parts = []
    for split, name in FOLDERS.items():
        labels = data_dir / name / f"anno_{name}.pickle"
        if not os.path.isfile(labels):
            missing = [str(labels.relative_to(data_dir))]
            n_found = count_names(data_dir / name / "color", r"[0-9]{5}\.png")
            parts.append(Part(name, n_found, _PUBLISHED[split], missing))
            continue
        numbers = sorted(_check_entries(read_pickle(labels), labels))
        missing_by_kind = [
            find_missing([_picture_path(data_dir, split, kind, number) for number in numbers])
            for kind in PICTURES
        ]
        missing = [str(Path(path).relative_to(data_dir)) for paths in missing_by_kind for path in paths]
        incomplete = {Path(path).name for path in missing}
        parts.append(Part(name, len(numbers) - len(incomplete), _PUBLISHED[split], missing))
    return parts


INSPECTOR = Inspector(("training/anno_training.pickle", "evaluation/anno_evaluation.pickle"), _inspect)
