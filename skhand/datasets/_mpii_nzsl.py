"""Load MPII+NZSL and its siblings (Simon et al. 2017), from the publisher's own folders."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from skhand._decoding import decode_file, to_rgb
from skhand._validation import LARGEST_FLOAT, check_number, check_option
from skhand.datasets._files import (
    check_choices,
    check_folder,
    find_first,
    find_missing,
    list_names,
    require_files,
    require_labels,
)
from skhand.datasets._finish import Annotations, finish
from skhand.datasets._mpii_nzsl_labels import read_hand, read_views
from skhand.datasets._report import Inspector, Part
from skhand.datasets._rows import MadePictures
from skhand.exceptions import DataFileError, InputError

__all__ = ["load_mpii_nzsl"]

_PARTS = ("manual", "synthetic", "multiview")
_SETS = {"synth1": 6546, "synth2": 3243, "synth3": 2348, "synth4": 2124}
_SPLITS = {"train": ("manual_train", 1912), "test": ("manual_test", 846)}
_MULTIVIEW = ("hands_v143_14817.json", 14817)
_FOLDERS = {"manual": "hand_labels", "synthetic": "hand_labels_synth", "multiview": "hand143_panopticdb"}
_TIPS = [4, 8, 12, 16, 20]
_HEADS = 0.7  # side of the paper's square, head lengths
_LARGEST = 10_000  # px, side of a square and distance from the picture's corner
_PATCH = 2.2  # side of Simon et al.'s patch, extents of the hand

_DESCR = """
MPII+NZSL
=========

Photographs of MPII and frames of New Zealand Sign Language films with 21 joints in the picture, marked by
people, one row a hand; no depth and no 3D. T. Simon, H. Joo, I. Matthews and Y. Sheikh, Hand Keypoint
Detection in Single Images using Multiview Bootstrapping, CVPR 2017; CMU hand_labels. Siblings: pictures of
rendered hands (hand_labels_synth) and views of the Panoptic Studio labelled by multiview bootstrapping
(hand143_panopticdb). Licence: see the publisher's page, and MPII and NZSL for the photographs.

Choices: pixels are taken as published, with the first pixel's centre at (0, 0); whether the publisher counts
from 0 or 1 is not known. Head length: head_size where a file has it, else 0.6 x the diagonal of head_box, as
MPII's own evaluation defines it. The multi-view hands are right hands, as in the publisher's training code.
No 3D is known to be in their json, so ``target`` is NaN there too.

Known faults: not all joints are annotated; those are the bad joints of this loader. The finger tips of synth1
are not annotated, as one of its users reports. The multi-view json does not say which views show one moment:
split it by contiguous blocks of rows.
"""


def cut_square(path: str, left: float, top: float, side: float, size: int) -> np.ndarray:
    """Cut the square out of a picture and scale it; black where it leaves the picture."""
    outer = (math.floor(left), math.floor(top), math.ceil(left + side), math.ceil(top + side))
    part = to_rgb(decode_file(path, "paths"), f"paths: {path}").crop(outer)
    start = (left - outer[0], top - outer[1])
    end = (min(start[0] + side, part.width), min(start[1] + side, part.height))
    return np.array(part.resize((size, size), Image.Resampling.BILINEAR, box=(*start, *end)))


def load_mpii_nzsl(
    data_dir: Any,
    split: str = "train",
    *,
    part: str = "manual",
    sets: Sequence[str] | None = None,
    square: str = "head",
    margin: float | None = None,
    crop_size: int = 256,
    layout: str = "canonical",
    bad_rows: str = "flag",
    crop: Any = None,
    cache: Any = None,
    return_X_y: bool = False,
) -> Any:
    """Load MPII+NZSL, or one of its siblings: joints in the picture only.

    Nothing is downloaded: the parts hand_labels, hand_labels_synth and hand143_panopticdb are offered at
    http://domedb.perception.cs.cmu.edu/handdb.html. All of ``target`` is NaN: the rows serve training with
    mixed supervision and 2D scores. The pictures differ in size, so each row is a square cut out of its
    picture when it is asked for.

    Parameters
    ----------
    data_dir : str or path
        The part's folder, or the folder that has the parts.
    split : {"train", "test"}, default="train"
        ``"train"``: 1 912 hands; ``"test"``: 846. The other parts have ``"train"`` only.
    part : {"manual", "synthetic", "multiview"}, default="manual"
        ``"manual"``: hand_labels; ``"synthetic"``: hand_labels_synth, 14 261 rendered hands; ``"multiview"``:
        hand143_panopticdb, 14 817 views.
    sets : sequence of str or None, default=None
        Which folders of the synthetic part, "synth1" to "synth4"; None for all.
    square : {"head", "keypoints"}, default="head"
        Side of the hand's square. ``"head"`` (Iqbal et al.): 0.7 head lengths; where a file has no head, as
        ``"keypoints"``. ``"keypoints"``: the larger extent of the annotated joints. Its centre is the file's
        ``hand_box_center``, else the middle of these joints.
    margin : float or None, default=None
        Side of the crop in sides of the square. None: 1 for the manual part (Iqbal et al.) and 2.2 for the
        others, the patch of Simon et al.
    crop_size : int, default=256
        Width and height of the pictures, px, up to 10 000.
    layout : str, default="canonical"
        Joints of ``target`` and ``visible``; the data set's own order is the canonical one, which
        ``keypoints2d`` and ``data`` have in any case.
    bad_rows : {"flag", "keep", "drop"}, default="flag"
        What happens to joints that are not annotated. ``"flag"``: they become NaN; ``"keep"``: they come as
        they are published; ``"drop"``: rows that have one are left out (all of synth1). ``bad`` marks these
        rows in each case.
    crop : transformer or None, default=None
        Applied to the table of squares.
    cache : str, path or None, default=None
        Folder where the pictures are kept as memory maps. Its entries are named by all options, the
        annotation files and the library's version.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    mpii_nzsl : Bunch
        ``data`` : HandFrames with ``rgb``, read when it is asked for, ``keypoints2d`` (px of the crop),
        ``visible``, ``affine`` (pixels of the photograph to the crop's), ``box`` (the square, px of the
        crop), ``side`` and ``domain`` ("synthetic" for that part, else "real").
        ``target`` : ndarray of shape (n_samples, 21, 3), NaN.
        ``visible`` : ndarray of shape (n_samples, 21), bool; the annotated joints.
        ``bad`` : ndarray of shape (n_samples,), bool.
        ``keypoints2d`` : ndarray of shape (n_samples, 21, 2), px of the photograph, in which
        ``predict(X, target="keypoints2d")`` answers.
        ``head_size`` : ndarray of shape (n_samples,), px of the photograph, for `skhand.metrics.pckh`; NaN
        where no head is known.
        ``groups`` : ndarray of str, the photograph or the film. ``ids`` : ndarray of str.
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
    >>> from skhand.datasets import load_mpii_nzsl
    >>> hands = load_mpii_nzsl("hand_labels")  # doctest: +SKIP
    """
    folder = check_folder(data_dir)
    check_option(split, "split", tuple(_SPLITS))
    check_option(part, "part", _PARTS)
    check_option(square, "square", ("head", "keypoints"))
    check_number(crop_size, "crop_size", integer=True, low=1, high=10_000)
    if margin is not None:
        check_number(margin, "margin", low=0, high=LARGEST_FLOAT, include_low=False)
    if split == "test" and part != "manual":
        raise InputError(f"split: expected 'train', for the {part} part has no published split, got 'test'.")
    usual = 1.0 if part == "manual" else _PATCH
    shape: Any = {"square": square, "margin": usual if margin is None else margin, "size": crop_size}
    chosen = check_choices(sets, "sets", tuple(_SETS))
    labels = _find_labels(folder, split, part, chosen)
    return finish(
        "mpii_nzsl",
        lambda: _read(labels, part, **shape),
        native="canonical",
        sources=labels,
        options={"part": part, "split": split, "sets": chosen, **shape},
        descr=_DESCR,
        layout=layout,
        bad_rows=bad_rows,
        crop=crop,
        cache=cache,
        return_X_y=return_X_y,
    )


def _find_labels(data_dir: Path, split: str, part: str, sets: Sequence[str]) -> list[Path]:
    """Find the annotation files in order; a picture without one is an error."""
    inside = _FOLDERS[part]
    if part == "multiview":
        return [find_first(data_dir, _MULTIVIEW[0], f"{inside}/{_MULTIVIEW[0]}")]
    labels = []
    for name in [_SPLITS[split][0]] if part == "manual" else sets:
        folder = find_first(data_dir, name, f"{inside}/{name}")
        some = [folder / f"{stem}.json" for stem in _list_stems(folder) or ["*"]]
        require_labels(some)
        labels += some
    return labels


def _list_stems(folder: Path) -> list[str]:
    names = [name for name in list_names(folder) if name.endswith((".json", ".jpg"))]
    return sorted({Path(name).stem for name in names if not name.startswith(".")})


def _read(labels: list[Path], part: str, square: str, margin: float, size: int) -> Annotations:
    if part == "multiview":
        hands = list(read_views(labels[0]))
    else:
        hands = [read_hand(path, is_photograph=part == "manual") for path in labels]
    if not hands:
        raise DataFileError(f"{labels[0]}: expected hands, got an empty list.")
    files = [hand.picture for hand in hands]
    require_files(files)
    points = np.stack([hand.points for hand in hands])
    marked = points[..., 2] == 1
    good = marked.copy()
    good[np.ix_([path.parent.name == "synth1" for path in files], _TIPS)] = False
    head = np.array([hand.head for hand in hands])
    given = np.array([hand.center for hand in hands])
    corner, side = _compute_squares(
        points[..., :2], good, head if square == "head" else head * np.nan, given, size
    )
    large = np.flatnonzero(~(margin * side <= _LARGEST) | ~(np.abs(corner) <= _LARGEST).all(axis=1))
    if len(large):
        where = f"{labels[0]}: item {large[0]}" if part == "multiview" else labels[large[0]]
        raise DataFileError(
            f"{where}: expected a square of up to {_LARGEST} px in the picture, got, with "
            f"margin={margin:g}, a side of {margin * side[large[0]]:.0f} px at {corner[large[0]].tolist()}."
        )
    corner, side = corner - (margin - 1) * side[:, None] / 2, margin * side
    scale = size / side
    affine = np.zeros((len(hands), 3, 3))
    affine[:, 0, 0] = affine[:, 1, 1] = scale
    affine[:, :2, 2] = (0.5 - corner) * scale[:, None] - 0.5
    affine[:, 2, 2] = 1
    within = size / margin
    first = (size - 1 - within) / 2
    jobs = [
        (str(path), float(left), float(top), float(length), size)
        for path, (left, top), length in zip(files, corner, side, strict=True)
    ]
    return Annotations(
        joints=np.full((len(hands), 21, 3), np.nan),
        visible=marked,
        bad=~good,
        columns={
            "rgb": MadePictures(jobs, cut_square, (size, size, 3)),
            "keypoints2d": points[..., :2],
            "affine": affine,
            "box": np.tile([first, first, within, within], (len(hands), 1)),
            "side": np.array([hand.side for hand in hands]),
            "domain": "synthetic" if part == "synthetic" else "real",
        },
        groups=np.array([hand.group for hand in hands]),
        ids=np.array([hand.id for hand in hands]),
        more={"head_size": head},
    )


def _compute_squares(
    points: np.ndarray, good: np.ndarray, head: np.ndarray, given: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Compute top-left corners, from the picture's corner and not a pixel's centre, and sides, px."""
    low = np.where(good[..., None], points, np.inf).min(axis=1)
    high = np.where(good[..., None], points, -np.inf).max(axis=1)
    known = good.any(axis=1, keepdims=True)
    middle = np.where(np.isfinite(given), given, np.where(known, low + high, 0) / 2)
    extent = np.where(known, high - low, 0).max(axis=1)
    side = np.where(np.isfinite(head), _HEADS * head, np.where(extent > 0, extent, size))
    return middle + 0.5 - side[:, None] / 2, side


def _inspect(data_dir: Path) -> list[Part]:
    parts = []
    manual = {name for name, _ in _SPLITS.values()}
    wanted = [("manual", *entry) for entry in _SPLITS.values()]
    wanted += [("synthetic", *entry) for entry in _SETS.items()]
    for part, name, published in wanted:
        parents = [parent for parent in (data_dir, data_dir / _FOLDERS[part]) if os.path.isdir(parent / name)]
        if parents:
            parts.append(_inspect_folder(data_dir, parents[0] / name, published))
        elif part == "manual" and (list_names(data_dir) | list_names(data_dir / "hand_labels")) & manual:
            parts.append(Part(name, 0, published, [name]))
    for label in (data_dir / _MULTIVIEW[0], data_dir / _FOLDERS["multiview"] / _MULTIVIEW[0]):
        if os.path.isfile(label):
            pictures = [hand.picture for hand in read_views(label)]
            missing = [str(Path(path).relative_to(data_dir)) for path in find_missing(pictures)]
            parts.append(Part("multiview", len(pictures) - len(missing), _MULTIVIEW[1], missing))
    return parts


def _inspect_folder(data_dir: Path, folder: Path, published: int) -> Part:
    stems = _list_stems(folder)
    missing = find_missing([folder / f"{stem}{end}" for stem in stems for end in (".json", ".jpg")])
    lost = {Path(path).stem for path in missing}
    return Part(
        folder.name,
        len(stems) - len(lost),
        published,
        [str(Path(path).relative_to(data_dir)) for path in missing],
    )


INSPECTOR = Inspector(
    (
        *("manual_train", "manual_test", "synth[1-4]", _MULTIVIEW[0]),
        *("hand_labels/manual_*", "hand_labels_synth/synth[1-4]", f"hand143_panopticdb/{_MULTIVIEW[0]}"),
    ),
    _inspect,
)
