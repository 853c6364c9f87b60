"""Load FreiHAND (Zimmermann et al. 2019), from the publisher's own folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skhand._decoding import decode_file, to_gray
from skhand._validation import check_option, warn_user
from skhand.datasets._files import (
    check_choices,
    check_folder,
    count_names,
    find_missing,
    open_pictures,
    require_labels,
)
from skhand.datasets._finish import Annotations, finish
from skhand.datasets._json import read_json_list
from skhand.datasets._numbers import check_intrinsics, check_numbers
from skhand.datasets._report import Inspector, Part
from skhand.exceptions import DataFileError, InputError

__all__ = ["load_freihand"]

_FOLDERS = {"train": "training", "test": "evaluation"}
_VERSIONS = (0, 1, 2, 3)
_SIZE = (224, 224)
_PUBLISHED = {"train": 130240, "test": 3960}
_SHAPES = {"K": (3, 3), "xyz": (21, 3), "scale": ()}

_DESCR = """
FreiHAND
========

Photographs of right hands with a fitted hand model, 224 x 224 px. C. Zimmermann, D. Ceylan, J. Yang, B.
Russell, M. Argus and T. Brox, FreiHAND: A Dataset for Markerless Capture of Hand Pose and Shape from Single
RGB Images, ICCV 2019; FreiHAND_pub_v2 from the Computer Vision Group in Freiburg. Licence: for research only.

Each of the 32 560 training photographs comes four times, with four backgrounds: 0 as it was taken (green
screen), 1 harmonised, 2 and 3 recoloured in two ways. Picture ``i`` has label ``i % 32560``, and its mask is
that of the photograph, which is published with version 0 only. ``groups`` holds the photograph: a split that
ignores it puts copies of one hand on both sides.

The scale bone of ``scale.json`` is middle MCP to PIP. The first release has no 3D joints of the evaluation
pictures; then the target is NaN and ``scale`` comes from ``scale.json``. The evaluation pictures have no
masks. No frames are known to be faulty.
"""


def read_mask(path: str) -> np.ndarray:
    """Read which pixels show the hand; the masks are JPEG files, so they are cut at half of full white."""
    picture = decode_file(path, "paths")
    if picture.mode not in ("L", "RGB"):
        raise InputError(f"{path}: expected a mask in 8-bit grey or colour, got mode {picture.mode}.")
    return to_gray(picture, path) > 127


def load_freihand(
    data_dir: Any,
    split: str = "train",
    *,
    versions: Sequence[int] | None = None,
    layout: str = "canonical",
    bad_rows: str = "flag",
    crop: Any = None,
    cache: Any = None,
    return_X_y: bool = False,
) -> Any:
    """Load FreiHAND, version 2.

    Nothing is downloaded: FreiHAND_pub_v2 and, for the 3D joints of the evaluation pictures,
    FreiHAND_pub_v2_eval are offered at
    https://lmb.informatik.uni-freiburg.de/resources/datasets/FreihandDataset.en.html.

    Parameters
    ----------
    data_dir : str or path
        The folder with ``training`` and ``evaluation``.
    split : {"train", "test"}, default="train"
        ``"train"``: 32 560 photographs with four backgrounds; ``"test"``: 3 960 evaluation pictures.
    versions : sequence of int or None, default=None
        Which backgrounds of the training pictures: some of 0 (as photographed), 1 (harmonised), 2 and 3
        (recoloured). None: all four, as in the paper. Rows come version by version.
    layout : str, default="canonical"
        Joints of ``target`` and ``visible``: ``"canonical"``, ``"native"`` for the data set's own (the same
        order), or another name of `skhand.skeleton.LAYOUTS`. ``data`` has the canonical ones in any case.
    bad_rows : {"flag", "keep", "drop"}, default="flag"
        As in the other loaders; no row of FreiHAND is known to be bad.
    crop : transformer or None, default=None
        Applied to the table of whole pictures.
    cache : str, path or None, default=None
        Folder where the (cropped) pictures are kept as memory maps. Its entries are named by all options,
        the annotation files and the library's version.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    freihand : Bunch
        ``data`` : HandFrames with ``rgb`` and, in training, ``mask``, read when they are asked for,
        ``keypoints2d`` (px), ``visible``, ``camera``, ``side`` "right", ``scale`` (middle MCP to PIP, mm),
        ``root`` (palm, mm), ``box`` (of the true joints, px; the whole picture where there are none) and
        ``domain`` "real".
        ``target`` : ndarray of shape (n_samples, 21, 3), mm, camera frame; NaN where a release has none.
        ``visible`` : ndarray of shape (n_samples, 21), bool; all labelled joints, for nothing else is known.
        ``bad`` : ndarray of shape (n_samples,), bool.
        ``groups`` : ndarray of shape (n_samples,), the photograph. ``ids`` : ndarray of str, the pictures'
        names. ``joint_names``, ``DESCR``.
    (data, target) : tuple
        If ``return_X_y`` is True.

    Raises
    ------
    InputError
        If a parameter is not one of those listed.
    DataFileError
        If a file is missing, damaged or not in the published format.

    Warns
    -----
    UserWarning
        If the 3D joints of the evaluation pictures are not there.

    Examples
    --------
    >>> from skhand.datasets import load_freihand
    >>> hands = load_freihand("FreiHAND_pub_v2")  # doctest: +SKIP
    """
    folder = check_folder(data_dir)
    check_option(split, "split", tuple(_FOLDERS))
    wanted = check_choices(versions, "versions", _VERSIONS)
    labels = _label_files(folder, split)
    if "xyz" not in labels:
        warn_user(f"{_label_path(folder, split, 'xyz')} is not there: the target is NaN throughout.")
    return finish(
        "freihand",
        lambda: _read(folder, split, wanted),
        native="freihand",
        sources=list(labels.values()),
        options={"split": split, "versions": wanted},
        descr=_DESCR,
        layout=layout,
        bad_rows=bad_rows,
        crop=crop,
        cache=cache,
        return_X_y=return_X_y,
    )


def _label_path(folder: Path, split: str, key: str) -> Path:
    return folder / f"{_FOLDERS[split]}_{key}.json"


def _label_files(folder: Path, split: str) -> dict[str, Path]:
    """Return the label files by what they hold: K and xyz, or K and scale where joints are held back."""
    paths = {key: _label_path(folder, split, key) for key in ("K", "xyz")}
    if split == "test" and find_missing([paths["xyz"]]):
        paths = {key: _label_path(folder, split, key) for key in ("K", "scale")}
    require_labels(list(paths.values()))
    return paths


def _read_labels(path: Path, key: str) -> np.ndarray:
    """Return a label file as one array, its items checked one by one."""
    rows = []
    for number, item in enumerate(read_json_list(path)):
        place = f" in item {number}"
        if key == "K":
            rows.append(check_intrinsics(item, path, place))
            continue
        if key == "scale" and isinstance(item, list) and len(item) == 1:
            item = item[0]
        rows.append(check_numbers(item, _SHAPES[key], path, key, place))
        if key == "scale" and not rows[-1] > 0:
            raise DataFileError(f"{path}: expected a scale above 0, got {rows[-1]}{place}.")
    return np.array(rows).reshape(-1, *_SHAPES[key])


def _picture_path(folder: Path, split: str, kind: str, number: int) -> Path:
    return folder / _FOLDERS[split] / kind / f"{number:08d}.jpg"


def _read(folder: Path, split: str, versions: Sequence[int]) -> Annotations:
    paths = _label_files(folder, split)
    labels = {key: _read_labels(path, key) for key, path in paths.items()}
    lengths = {paths[key].name: len(values) for key, values in labels.items()}
    if len(set(lengths.values())) > 1 or not len(labels["K"]):
        raise DataFileError(f"data_dir: expected label files of one length in {folder}, got {lengths}.")
    n_labels = len(labels["K"])
    photographs = np.arange(n_labels)
    numbers = photographs
    if split == "train":
        numbers = np.concatenate([photographs + version * n_labels for version in versions])
    rows = numbers % n_labels
    pictures = [_picture_path(folder, split, "rgb", int(number)) for number in numbers]
    columns: dict[str, Any] = {
        "rgb": open_pictures(pictures, _SIZE),
        "camera": labels["K"][rows],
        "side": "right",
        "domain": "real",
    }
    if split == "train":
        masks = [_picture_path(folder, split, "mask", int(row)) for row in rows]
        columns["mask"] = open_pictures(masks, _SIZE, read_mask)
    joints = np.full((len(rows), 21, 3), np.nan)
    if "xyz" in labels:
        joints = labels["xyz"][rows] * 1000
    else:
        columns["scale"] = labels["scale"][rows] * 1000
    return Annotations(
        joints=joints,
        visible=np.ones((len(rows), 21), dtype=bool),
        bad=np.zeros((len(rows), 21), dtype=bool),
        columns=columns,
        groups=rows,
        ids=np.array([f"{number:08d}" for number in numbers]),
    )


def _inspect(data_dir: Path) -> list[Part]:
    parts = []
    for split, name in _FOLDERS.items():
        labels = [_label_path(data_dir, split, key) for key in ("K", "xyz")]
        missing = [Path(path) for path in find_missing(labels)]
        if missing:
            n_found = count_names(data_dir / name / "rgb", r"[0-9]{8}\.jpg")
        else:
            n_labels = min(sum(1 for _ in read_json_list(path)) for path in labels)
            n_pictures = n_labels * (len(_VERSIONS) if split == "train" else 1)
            pictures = [_picture_path(data_dir, split, "rgb", number) for number in range(n_pictures)]
            absent = find_missing(pictures)
            n_found = n_pictures - len(absent)
            if split == "train":
                masks = [_picture_path(data_dir, split, "mask", number) for number in range(n_labels)]
                absent += find_missing(masks)
            missing = [Path(path) for path in absent]
        parts.append(
            Part(name, n_found, _PUBLISHED[split], [str(path.relative_to(data_dir)) for path in missing])
        )
    return parts


INSPECTOR = Inspector(("training_xyz.json", "training_K.json", "evaluation_K.json"), _inspect)
