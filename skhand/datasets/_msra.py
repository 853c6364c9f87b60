"""Load MSRA15 (Sun et al. 2015), from the publisher's own folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skhand._decoding import check_is_file
from skhand._validation import check_number, check_option
from skhand.datasets._files import (
    check_choices,
    check_folder,
    count_names,
    find_missing,
    open_pictures,
    read_lines,
    require_labels,
)
from skhand.datasets._finish import Annotations, finish
from skhand.datasets._numbers import check_end, parse_count, read_numbers
from skhand.datasets._report import Inspector, Part
from skhand.exceptions import DataFileError

__all__ = ["load_msra"]

_GESTURES = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "I", "IP", "L", "MP", "RP", "T", "TIP", "Y")
_RELEASES = (  # frames of each subject in the two releases, of 76 375 and of 76 391 frames
    (8499, 8492, 8412, 8488, 8500, 8497, 8497, 8498, 8492),
    (8499, 8499, 8406, 8498, 8500, 8497, 8498, 8498, 8496),
)
_SIZE = (240, 320)
_CAMERA = np.array([[241.42, 0, 160], [0, 241.42, 120], [0, 0, 1]])
_FAULTY = {
    ("P2", "TIP"): {172, 173, 174},
    ("P2", "MP"): {173, 174, 175, *range(345, 355), 356, 359, 360},
    ("P3", "T"): {120, 489},
    ("P8", "4"): {168},
}

_DESCR = """
MSRA15
======

Depth pictures of nine people's right hands, 17 gestures each, 320 x 240 px, Creative Gesture Camera. X. Sun,
Y. Wei, S. Liang, X. Tang and J. Sun, Cascaded Hand Pose Regression, CVPR 2015. Published by Microsoft
Research; no licence beyond the request to cite the paper is known to us.

Camera: focal length 241.42 px, centre (160, 120). The files have y up and z negative; here y points down and
z forward. The thumb's four joints are named by their place, cmc to tip.

Evaluation: leave one subject out, nine folds (``test_subject``), errors pooled over the frames of all folds.
Public loaders count 76 375 or 76 391 frames; rows here are the lines of the label files.

Known faults: P2/TIP 172-174, P2/MP 173-175, 345-354, 356, 359 and 360, P3/T 120 and 489, P8/4 168 (numbers of
the files, from 0). They are the bad rows of this loader. Where a copy lacks the picture of one of them, there
is no row for it.
"""


def read_depth(path: str) -> np.ndarray:
    """Read the whole picture of a .bin file, mm: six whole numbers give its size and the box it stores."""
    check_is_file(path)
    content = np.fromfile(path, dtype=np.uint8)
    if len(content) < 24:
        raise OSError(f"expected a header of 24 bytes, got {len(content)} bytes")
    width, height, left, top, right, bottom = (int(number) for number in content[:24].view("<i4"))
    if (height, width) != _SIZE:
        raise OSError(f"expected a header of a picture of 320 x 240, got {width} x {height}")
    if not (0 <= left <= right <= width and 0 <= top <= bottom <= height):
        raise OSError(f"expected a box inside the picture, got {left}, {top} to {right}, {bottom}")
    size = 24 + 4 * (bottom - top) * (right - left)
    if len(content) != size:
        raise OSError(f"expected {size} bytes, got {len(content)}")
    picture = np.zeros((height, width), dtype=np.float32)
    depth = content[24:].view("<f4").reshape(bottom - top, right - left)
    if not (np.isfinite(depth).all() and depth.min(initial=0) >= 0 and depth.max(initial=0) < 1e5):
        raise OSError("expected depths from 0 to 100 000 mm, got others")
    picture[top:bottom, left:right] = depth
    return picture


def load_msra(
    data_dir: Any,
    split: str = "train",
    *,
    test_subject: int = 0,
    gestures: Sequence[str] | None = None,
    layout: str = "canonical",
    bad_rows: str = "flag",
    crop: Any = None,
    cache: Any = None,
    return_X_y: bool = False,
) -> Any:
    """Load MSRA15, the hand gesture database of Sun et al.

    Nothing is downloaded: the data come from the authors (Cascaded Hand Pose Regression, CVPR 2015), as a
    folder with one folder a subject, ``P0`` to ``P8``.

    Parameters
    ----------
    data_dir : str or path
        The folder with ``P0`` to ``P8``.
    split : {"train", "test", "all"}, default="train"
        ``"test"``: the frames of ``test_subject``; ``"train"``: those of the eight others; ``"all"``: both,
        for `sklearn.model_selection.LeaveOneGroupOut` over ``groups``.
    test_subject : int, default=0
        Which subject is left out, 0 to 8. The paper leaves out each in turn.
    gestures : sequence of str or None, default=None
        Which of the gestures 1 to 9, I, IP, L, MP, RP, T, TIP, Y; None for all 17.
    layout : str, default="canonical"
        Joints of ``target`` and ``visible``: ``"canonical"``, ``"native"`` for the data set's own, or another
        name of `skhand.skeleton.LAYOUTS`. ``data`` has the canonical ones in any case.
    bad_rows : {"flag", "keep", "drop"}, default="flag"
        What happens to the frames that are known to be faulty. ``"flag"``: their joints become NaN, so that
        they train and score nothing; ``"keep"``: they come as they are published; ``"drop"``: their rows are
        left out. ``bad`` marks them in each case.
    crop : transformer or None, default=None
        Applied to the table of whole pictures, for example ``DepthCropper()``.
    cache : str, path or None, default=None
        Folder where the (cropped) pictures are kept as memory maps. Its entries are named by all options,
        the annotation files and the library's version.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    msra : Bunch
        ``data`` : HandFrames with ``depth`` (mm, 0 where the published box ends), read when it is asked for,
        ``keypoints2d`` (px), ``visible``, ``camera``, ``side`` "right", ``scale`` (middle MCP to PIP, mm),
        ``root`` (palm, mm), ``box`` (of the true joints, px: it is ground truth, as scale and root are) and
        ``domain`` "real".
        ``target`` : ndarray of shape (n_samples, 21, 3), mm, camera frame.
        ``visible`` : ndarray of shape (n_samples, 21), bool; all labelled joints, for nothing else is known.
        ``bad`` : ndarray of shape (n_samples,), bool.
        ``groups`` : ndarray of shape (n_samples,), the subject. ``ids`` : ndarray of str, for example
        "P2/TIP/000172". ``joint_names``, ``DESCR``.
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
    >>> from skhand.datasets import load_msra
    >>> hands = load_msra("cvpr15_MSRAHandGestureDB")  # doctest: +SKIP
    """
    folder = check_folder(data_dir)
    check_option(split, "split", ("train", "test", "all"))
    left_out = int(check_number(test_subject, "test_subject", integer=True, low=0, high=8))
    wanted = check_choices(gestures, "gestures", _GESTURES)
    kept = {"all": range(9), "test": (left_out,)}.get(split, [i for i in range(9) if i != left_out])
    subjects = [f"P{number}" for number in kept]
    labels = [folder / subject / gesture / "joint.txt" for subject in subjects for gesture in wanted]
    require_labels(labels)
    return finish(
        "msra",
        lambda: _read(labels),
        native="msra21",
        sources=labels,
        options={"subjects": subjects, "gestures": wanted},
        descr=_DESCR,
        layout=layout,
        bad_rows=bad_rows,
        crop=crop,
        cache=cache,
        return_X_y=return_X_y,
    )


def _picture_path(labels: Path, number: int) -> Path:
    return labels.parent / f"{number:06d}_depth.bin"


def _find_faulty(labels: Path) -> set[int]:
    return _FAULTY.get((labels.parent.parent.name, labels.parent.name), set())


def _list_rows(labels: Path, n_frames: int) -> list[int]:
    """List the frames of a gesture, less the faulty ones whose picture is not in this copy."""
    missing = find_missing([_picture_path(labels, number) for number in sorted(_find_faulty(labels))])
    return [number for number in range(n_frames) if str(_picture_path(labels, number)) not in missing]


def _read(labels: list[Path]) -> Annotations:
    joints: list[np.ndarray] = []
    pictures, bad = [], []
    for path in labels:
        lines, n_before = _read_label_lines(path), len(joints)
        for number in _list_rows(path, len(lines)):
            numbers = read_numbers(lines[number], 63, path, number + 2, what="coordinates of 21 joints")
            joints.append(numbers.reshape(21, 3))
            pictures.append(_picture_path(path, number))
            bad.append(number in _find_faulty(path))
        check_end(lines, path)
        if joints[n_before:] and (depth := np.median([hand[:, 2] for hand in joints[n_before:]])) >= 0:
            raise DataFileError(
                f"{path}: expected joints with negative z, as they are published, got a median of "
                f"{depth:.1f} mm: labels of another version."
            )
    names = [picture.parts[-3:] for picture in pictures]
    return Annotations(
        joints=np.array(joints) * (1, -1, -1),
        visible=np.ones((len(joints), 21), dtype=bool),
        bad=np.repeat(np.array(bad)[:, None], 21, axis=1),
        columns={
            "depth": open_pictures(pictures, _SIZE, read_depth),
            "camera": _CAMERA,
            "side": "right",
            "domain": "real",
        },
        groups=np.array([subject for subject, _, _ in names]),
        ids=np.array([f"{subject}/{gesture}/{name[:6]}" for subject, gesture, name in names]),
    )


def _read_label_lines(path: Path) -> list[str]:
    """Return one line a frame; the file's first line says how many there are."""
    lines = read_lines(path)
    first = lines[0].strip() if lines else ""
    count = parse_count(first)
    if count is None:
        raise DataFileError(f"{path}:1: expected the number of frames, got {first[:20]!r}.")
    if count != len(lines) - 1:
        raise DataFileError(
            f"{path}:{len(lines)}: expected {count} lines of joints after the first, got {len(lines) - 1}."
        )
    return lines[1:]


def _inspect(data_dir: Path) -> list[Part]:
    parts = []
    for number, published in enumerate(zip(*_RELEASES, strict=True)):
        found, missing = 0, []
        for gesture in _GESTURES:
            labels = data_dir / f"P{number}" / gesture / "joint.txt"
            if not os.path.isfile(labels):
                missing.append(labels)
                found += count_names(labels.parent, r"[0-9]{6}_depth\.bin")
                continue
            pictures = [_picture_path(labels, i) for i in _list_rows(labels, len(_read_label_lines(labels)))]
            absent = find_missing(pictures)
            missing += [Path(path) for path in absent]
            found += len(pictures) - len(absent)
        names = [str(path.relative_to(data_dir)) for path in missing]
        parts.append(Part(f"P{number}", found, tuple(dict.fromkeys(published)), names))
    return parts


INSPECTOR = Inspector(tuple(f"P{number}/*/joint.txt" for number in range(9)), _inspect)
