"""Load ICVL Hand Posture (Tang et al. 2014), from the publisher's own folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from skhand._validation import check_option, warn_user
from skhand.datasets._depth import read_depth
from skhand.datasets._files import (
    check_choices,
    check_folder,
    count_names,
    find_first,
    find_missing,
    join_label,
    list_names,
    open_pictures,
    read_lines,
)
from skhand.datasets._finish import Annotations, finish
from skhand.datasets._numbers import check_end, read_numbers
from skhand.datasets._report import Inspector, Part
from skhand.exceptions import DataFileError, InputError
from skhand.geometry import backproject

__all__ = ["load_icvl"]

_TRAIN = ("Training/labels.txt", "Training/train.txt", "labels.txt", "train.txt")
_TEST = {number: (f"Testing/test_seq_{number}.txt", f"test_seq_{number}.txt") for number in (1, 2)}
_PUBLISHED = {"train": 331006, 1: 702, 2: 894}
_FOCALS = {241.42: 241.42, 240.99: 240.96}  # fx: fy
_LONGEST_ROTATION = 6  # letters of a rotated copy's folder, as in 122-5

_DESCR = """
ICVL Hand Posture
=================

Left hands before an Intel Creative depth camera, 320 x 240 px, one row a frame. D. Tang, H. J. Chang,
A. Tejani and T.-K. Kim, Latent Regression Forest: Structured Estimation of 3D Articulated Hand Posture,
CVPR 2014. Licence: not known to us; given for research.

Choices that differ between works. Training: the recorded frames (about 22 000), or all 331 006 lines, most
of which are copies that the publisher rotated in the picture's plane. Test: both sequences (1 596 frames) or
the first (702; DeepPrior). Focal length: 241.42 px (DeepPrior, V2V), or 240.99 and 240.96 (the published
evaluation): mm of joints and errors follow it. Crop (not done here): a cube of 250 or 200 mm.

The 16 points have no canonical counterparts: root to tip is about half as long as a finger, so they are not
MCP, PIP and tip, and there is no wrist.

Known faults: a label without a positive depth is a bad one.
"""


def load_icvl(
    data_dir: Any,
    split: str = "train",
    *,
    rotated: bool = False,
    sequences: Sequence[int] | None = None,
    focal: float = 241.42,
    layout: str = "native",
    bad_rows: str = "flag",
    crop: Any = None,
    cache: Any = None,
    return_X_y: bool = False,
) -> Any:
    """Load the ICVL hand posture data set.

    Nothing is downloaded: https://labicvl.github.io/hand.html offers it.

    Parameters
    ----------
    data_dir : str or path
        The folder with ``Training`` (``labels.txt`` and ``Depth``) and ``Testing`` (``test_seq_1.txt``,
        ``test_seq_2.txt`` and ``Depth``). Copies with the text files, ``train.txt`` for training, and
        ``Depth`` in the folder itself are read too.
    split : {"train", "test"}, default="train"
        ``"train"``: 331 006 lines with the rotated copies; ``"test"``: 1 596 in two sequences.
    rotated : bool, default=False
        Whether training has the publisher's copies that are rotated in the plane too. Without them
        (DeepPrior, LSPS) about 22 000 frames remain.
    sequences : sequence of {1, 2} or None, default=None
        The test sequences, both if None; ``(1,)`` for DeepPrior's 702 frames.
    focal : {241.42, 240.99}, default=241.42
        Horizontal focal length, px; the vertical one that goes with it is 241.42 or 240.96. The protocol
        "icvl16" is defined with 240.99.
    layout : {"native", "icvl16"}, default="native"
        Joints of ``target``, ``visible`` and ``data``: the data set's own 16 in both cases. They have no
        counterparts in the canonical hand, where they would all be NaN, so that other layouts are refused.
        Other data come to them: `load_nyu` with ``layout="icvl16"`` gives NYU's points that LSPS pairs with
        them.
    bad_rows : {"flag", "keep", "drop"}, default="flag"
        What happens to points without a positive depth. ``"flag"``: they become NaN, so that they train and
        score nothing; ``"keep"``: they come as they are published; ``"drop"``: their rows are left out.
        ``bad`` marks the rows in each case.
    crop : transformer or None, default=None
        Applied to the table of whole pictures, for example a ``DepthCropper``.
    cache : str, path or None, default=None
        Folder where the (cropped) pictures are kept as memory maps. Its entries are named by all options,
        the annotation files and the library's version.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    icvl : Bunch
        ``data`` : HandFrames with ``depth`` (mm), read when it is asked for, ``keypoints2d`` (px, as they are
        published), ``visible``, ``camera``, ``side`` "left", ``root`` (the palm point, joint 0, mm), ``box``
        (of the true joints, px: it is ground truth, as the root is) and ``domain`` "real".
        ``target`` : ndarray of shape (n_samples, 16, 3), mm, camera frame.
        ``visible`` : ndarray of shape (n_samples, 16), bool; ICVL does not say what is hidden: True where
        there is a label.
        ``bad`` : ndarray of shape (n_samples,), bool.
        ``groups`` : ndarray of str, the recording: rotated copies belong to that of their original.
        ``ids`` : ndarray of str, the picture as it is named in the label file.
        ``joint_names``, ``DESCR``.
    (data, target) : tuple
        If ``return_X_y`` is True.

    Raises
    ------
    InputError
        If a parameter is not one of those listed, or does not belong to the split.
    DataFileError
        If a file is missing, damaged or not in the published format.

    Examples
    --------
    >>> from skhand.datasets import load_icvl
    >>> hands = load_icvl("ICVL")  # doctest: +SKIP
    """
    folder = check_folder(data_dir)
    check_option(split, "split", ("train", "test"))
    check_option(rotated, "rotated", (False, True))
    wanted = check_choices(sequences, "sequences", tuple(_TEST))
    if split == "train" and sequences is not None:
        raise InputError(f"sequences: expected None for split='train', got {sequences!r}.")
    if split == "test" and rotated:
        raise InputError("rotated: expected False for split='test', which has no rotated copies, got True.")
    check_option(focal, "focal", tuple(_FOCALS))
    places = [_TRAIN] if split == "train" else [_TEST[number] for number in wanted]
    sources = [find_first(folder, *candidates) for candidates in places]
    return finish(
        "icvl",
        partial(_read, folder, sources, rotated, focal),
        native="icvl16",
        sources=sources,
        options={"split": split, "rotated": rotated, "sequences": wanted, "focal": focal},
        descr=_DESCR,
        layout=layout,
        bad_rows=bad_rows,
        crop=crop,
        cache=cache,
        return_X_y=return_X_y,
    )


def _find_pictures_folder(folder: Path, labels: Path) -> Path:
    part = "Testing" if labels.name.startswith("test") else "Training"
    return folder / part / "Depth" if os.path.isdir(folder / part / "Depth") else folder / "Depth"


def _read_labels(folder: Path, labels: Path, rotated: bool) -> tuple[list[str], list[Path], np.ndarray]:
    """Read a label file: the pictures' names and places, and u, v (px) and depth (mm), (n, 16, 3)."""
    names, files, points = [], [], []
    pictures = _find_pictures_folder(folder, labels)
    lines = read_lines(labels)
    for number, line in enumerate(lines, start=1):
        name, _, rest = line.strip().partition(" ")
        name = name.removeprefix("./")
        if name and "/" not in name:
            raise DataFileError(f"{labels}:{number}: expected a picture's path and 48 numbers, got {name!r}.")
        if not name:
            continue
        place = join_label(pictures, name, f"{labels}:{number}")
        if rotated or not _is_rotated(name):
            names.append(name)
            files.append(place)
            points.append(read_numbers(rest, 48, labels, number, what="numbers (u, v, d of 16 joints)"))
    check_end(lines, labels)
    if not names:
        raise DataFileError(f"{labels}: expected a line for each picture, got none.")
    return names, files, np.stack(points).reshape(-1, 16, 3)


def _check_whole(labels: Path, files: list[Path], rotated: bool) -> None:
    """Check that no picture beside those that are labelled is there, whose label was cut off with its line.

    A test sequence is refused. It is not known whether all pictures of the published training set have a
    label, so that a warning must do there.
    """
    folders = {path.parent for path in files}
    is_test = labels.name.startswith("test")
    if not is_test:
        top = {folder.parent for folder in folders if folder.parent.name == "Depth"}
        folders |= {place / name for place in top for name in list_names(place) if not _is_rotated(name)}
    n_pictures = sum(count_names(folder, r".*\.png") for folder in folders)
    if n_pictures <= len(files):
        return
    message = (
        f"{labels}:{len(files)}: expected a line for each of the {n_pictures} pictures in "
        f"{', '.join(sorted(map(str, folders))[:3])}{' and others' if len(folders) > 3 else ''}, "
        f"got {len(files)}: it may be cut off."
    )
    if is_test:
        raise DataFileError(message)
    warn_user(message)


def _is_rotated(name: str) -> bool:
    return len(name.split("/")[0]) <= _LONGEST_ROTATION


def _read(folder: Path, sources: list[Path], rotated: bool, focal: float) -> Annotations:
    names, points, files = [], [], []
    for labels in sources:
        some, places, values = _read_labels(folder, labels, rotated)
        _check_whole(labels, places, rotated)
        names += some
        points.append(values)
        files += places
    uvd = np.concatenate(points)
    camera = np.array([[focal, 0, 160], [0, _FOCALS[focal], 120], [0, 0, 1]])
    joints = backproject(uvd[..., :2], uvd[..., 2], camera)
    bad = ~(uvd[..., 2] > 0)
    return Annotations(
        joints=joints,
        visible=np.ones(bad.shape, bool),
        bad=bad,
        columns={
            "depth": open_pictures(files, (240, 320), read_depth),
            "keypoints2d": uvd[..., :2],
            "camera": camera,
            "side": "left",
            "domain": "real",
        },
        groups=np.array([path.parent.name for path in files]),
        ids=np.array(names),
        root="icvl_palm",
    )


def _inspect(data_dir: Path) -> list[Part]:
    parts = []
    for key, candidates in (("train", _TRAIN), *_TEST.items()):
        part = Part("Training" if key == "train" else f"Testing {key}", 0, _PUBLISHED[key])
        parts.append(part)
        labels = next((data_dir / place for place in candidates if os.path.isfile(data_dir / place)), None)
        if labels is None:
            part.missing.append(candidates[0])
            continue
        names, files, _ = _read_labels(data_dir, labels, rotated=True)
        missing = find_missing(files)
        part.missing = [str(Path(path).relative_to(data_dir)) for path in missing]
        part.n_found = len(names) - len(missing)
    return parts


INSPECTOR = Inspector(
    ("Training/labels.txt", "Training/train.txt", "Testing/test_seq_[12].txt", "test_seq_[12].txt"), _inspect
)
