"""Load SynthHands (Mueller et al. 2017), from the publisher's own folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skhand._validation import check_number, check_option
from skhand.datasets._backgrounds import choose_background, find_backgrounds, replace_screen
from skhand.datasets._depth import read_depth
from skhand.datasets._files import (
    check_choices,
    check_folder,
    find_missing,
    list_names,
    open_pictures,
    read_lines,
    require_files,
    require_labels,
)
from skhand.datasets._finish import Annotations, finish
from skhand.datasets._numbers import check_end, read_numbers
from skhand.datasets._report import Inspector, Part
from skhand.datasets._rows import MadePictures
from skhand.geometry import project

__all__ = ["load_synth_hands"]

_SUBJECTS = ("female", "male")
_OBJECTS = ("noobject", "object")
_SEQUENCES = tuple(range(1, 8))
_VIEWS = tuple(range(1, 6))
_PICTURES = ("color", "color_on_depth", "depth")
_SIZE = (640, 480)
_NO_DEPTH = 32001
_DEPTH_CAMERA = np.array([[475.62, 0, 311.125], [0, 475.62, 245.965], [0, 0, 1]])
_COLOR_CAMERA = np.array([[617.173, 0, 315.453], [0, 617.173, 242.259], [0, 0, 1]])
_TO_COLOR = np.array([24.7, -0.0471401, 3.72045])  # mm, without rotation
_JOINTS = "_joint_pos.txt"
_FRAME = re.compile(rf"[0-9]+_(({'|'.join(_PICTURES)})\.png|joint_pos\.txt)")

_DESCR = """
SynthHands
==========

Rendered left hands seen from the wearer's head, with and without an object, before a green screen; 640 x 480
colour and depth, 21 joints, one row a frame. F. Mueller, D. Mehta, O. Sotnychenko, S. Sridhar, D. Casas and
C. Theobalt, Real-time Hand Tracking under Occlusion from an Egocentric RGB-D Sensor, ICCV 2017. Licence: for
scientific, non-commercial use, as a list of data sets says; see the publisher's page.

The publisher's README was not at hand; the format is that of several public loaders, which agree: folders
<subject>_<object>/seq<n>/cam<n>/<part>, for each frame a line of 63 numbers, mm, in the frame of the depth
camera, y down; order wrist, thumb to little finger, each base to tip; left hands; colour camera f
617.173, centre (315.453, 242.259), moved by (24.7, -0.0471401, 3.72045) mm; depth camera f 475.62, centre
(311.125, 245.965); screen colour (14, 255, 14).

Choices: depth 32 001, the invalid value of the publisher's other data, becomes 0. Only pixels of the screen's
colour are replaced; one public loader replaces black ones too. No frame says which joints are hidden:
``visible`` tells those that lie in the picture. Lists of data sets print 63 530 frames, others
220 000; one public project counted 185 634 in the four folders, so `verify` knows no published number.
"""


def read_rendered_depth(path: str) -> np.ndarray:
    """Read the depth of one picture, mm; 0 where there is none."""
    depth = read_depth(path)
    return np.where(depth == _NO_DEPTH, np.uint16(0), depth)


def load_synth_hands(
    data_dir: Any,
    *,
    camera: str = "depth",
    subjects: Sequence[str] | None = None,
    objects: Sequence[str] | None = None,
    sequences: Sequence[int] | None = None,
    views: Sequence[int] | None = None,
    backgrounds: Any = None,
    tolerance: int = 0,
    random_state: int = 0,
    layout: str = "canonical",
    bad_rows: str = "flag",
    crop: Any = None,
    cache: Any = None,
    return_X_y: bool = False,
) -> Any:
    """Load SynthHands.

    Nothing is downloaded: SynthHands_Release is offered at
    https://handtracker.mpi-inf.mpg.de/projects/OccludedHands/SynthHands.htm. There is no published split; the
    paper trains on all of it.

    Parameters
    ----------
    data_dir : str or path
        The folder SynthHands_Release, with ``female_noobject`` and so on.
    camera : {"depth", "colour"}, default="depth"
        Whose pictures are the data, and in whose frame and picture the joints are. ``"depth"`` (the paper's
        input): ``depth``, and the colours that the publisher has moved onto it; ``"colour"``: ``rgb``.
    subjects : sequence of str or None, default=None
        Whose hands: some of "female" and "male"; None for both.
    objects : sequence of str or None, default=None
        Some of "noobject" and "object"; None for both.
    sequences : sequence of int or None, default=None
        Some of the recordings 1 to 7; None for all.
    views : sequence of int or None, default=None
        Some of the folders cam01 to cam05, as numbers; None for all.
    backgrounds : str, path or None, default=None
        Folder of your own pictures (JPEG or PNG, also in folders below) that replace the green screen. None
        keeps it.
    tolerance : int, default=0
        How far each channel of a pixel may lie from the screen's colour (14, 255, 14). 0, as in public
        loaders, leaves mixed pixels at the border; black pixels of ``camera="depth"``, where the colour
        camera saw nothing, stay black.
    random_state : int, default=0
        Decides, with a row's name alone, which background it gets and where that is cut.
    layout : str, default="canonical"
        Joints of ``target`` and ``visible``; the data set's own order is the canonical one, which ``data``
        has in any case.
    bad_rows : {"flag", "keep", "drop"}, default="flag"
        What happens to hands behind the camera, as in `load_rhd`.
    crop : transformer or None, default=None
        Applied to the table of whole pictures.
    cache : str, path or None, default=None
        Folder where the (cropped) pictures are kept as memory maps. Its entries are named by all options, the
        annotation files, the backgrounds and the library's version.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    synth_hands : Bunch
        ``data`` : HandFrames with ``rgb`` and, for ``camera="depth"``, ``depth`` (mm), read when they are
        asked for, ``keypoints2d`` (px), ``visible``, ``camera``, ``side`` "left", ``scale`` (middle MCP to
        PIP, mm), ``root`` (palm, mm), ``box`` (of the true joints, px: it is ground truth, as scale and root
        are) and ``domain`` "synthetic".
        ``target`` : ndarray of shape (n_samples, 21, 3), mm, frame of the picture's camera.
        ``visible`` : ndarray of shape (n_samples, 21), bool; the joints that lie in the picture.
        ``bad`` : ndarray of shape (n_samples,), bool.
        ``groups`` : ndarray of str, subject, object and recording; its views are one group.
        ``ids`` : ndarray of str. ``joint_names``, ``DESCR``.
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
    >>> from skhand.datasets import load_synth_hands
    >>> hands = load_synth_hands("SynthHands_Release")  # doctest: +SKIP
    """
    folder = check_folder(data_dir)
    check_option(camera, "camera", ("depth", "colour"))
    check_number(tolerance, "tolerance", integer=True, low=0, high=255)
    check_number(random_state, "random_state", integer=True, low=0)
    wanted = {
        "subjects": check_choices(subjects, "subjects", _SUBJECTS),
        "objects": check_choices(objects, "objects", _OBJECTS),
        "sequences": check_choices(sequences, "sequences", _SEQUENCES),
        "views": check_choices(views, "views", _VIEWS),
    }
    behind = [] if backgrounds is None else find_backgrounds(backgrounds)
    labels = [path for view in _list_views(folder, **wanted) for path in _find_labels(view)]
    require_labels(labels or [folder / f"female_noobject/seq01/cam01/01/00000000{_JOINTS}"])
    return finish(
        "synth_hands",
        lambda: _read(folder, labels, camera, behind, tolerance, random_state),
        native="canonical",
        sources=[*labels, *behind],
        options={"camera": camera, "tolerance": tolerance, "random_state": random_state, **wanted},
        descr=_DESCR,
        layout=layout,
        bad_rows=bad_rows,
        crop=crop,
        cache=cache,
        return_X_y=return_X_y,
    )


def _list_views(
    data_dir: Path,
    subjects: Iterable[Any] = _SUBJECTS,
    objects: Iterable[Any] = _OBJECTS,
    sequences: Iterable[Any] = _SEQUENCES,
    views: Iterable[Any] = _VIEWS,
) -> Iterator[Path]:
    """Yield the views' folders."""
    for subject in subjects:
        for kind in objects:
            for sequence in sequences:
                for view in views:
                    yield data_dir / f"{subject}_{kind}" / f"seq{sequence:02d}" / f"cam{view:02d}"


def _find_labels(view: Path) -> list[Path]:
    """Find a view's annotation files in order; a colour picture's file even where it is not there."""
    labels = []
    for part in sorted(list_names(view)):
        names = [name for name in list_names(view / part) if _FRAME.fullmatch(name)]
        numbers = sorted({name.split("_")[0] for name in names})
        labels += [view / part / f"{number}{_JOINTS}" for number in numbers]
    return labels


def _picture_path(label: Path, kind: str) -> Path:
    return label.with_name(label.name.replace(_JOINTS, f"_{kind}.png"))


def _read(
    data_dir: Path, labels: list[Path], camera: str, behind: list[Path], tolerance: int, random_state: int
) -> Annotations:
    picture, *others = ["color"] if camera == "colour" else ["color_on_depth", "depth"]
    files = {kind: [_picture_path(path, kind) for path in labels] for kind in (picture, *others)}
    for paths in files.values():
        require_files(paths)
    joints = np.stack([_read_joints(path) for path in labels])
    if camera == "colour":
        joints = joints + _TO_COLOR
    matrix = _COLOR_CAMERA if camera == "colour" else _DEPTH_CAMERA
    names = [str(path.relative_to(data_dir)).removesuffix(_JOINTS) for path in labels]
    with np.errstate(invalid="ignore"):
        pixels = project(joints, matrix)
        inside = ((pixels >= -0.5) & (pixels < np.array(_SIZE) - 0.5)).all(axis=2) & (joints[..., 2] > 0)
    columns: dict[str, Any] = {"camera": matrix, "side": "left", "domain": "synthetic"}
    if behind:
        jobs = [
            choose_background(*row, behind, tolerance, random_state)
            for row in zip(files[picture], names, strict=True)
        ]
        columns["rgb"] = MadePictures(jobs, replace_screen, (*_SIZE[::-1], 3))
    else:
        columns["rgb"] = open_pictures(files[picture], _SIZE[::-1])
    if "depth" in files:
        columns["depth"] = open_pictures(files["depth"], _SIZE[::-1], read_rendered_depth)
    return Annotations(
        joints=joints,
        visible=inside,
        bad=np.repeat((joints[..., 2] <= 0).any(axis=1, keepdims=True), 21, axis=1),
        columns=columns,
        groups=np.array(["/".join(name.split("/")[:2]) for name in names]),
        ids=np.array(names),
    )


def _read_joints(path: Path) -> np.ndarray:
    lines = read_lines(path)
    numbers = read_numbers(" ".join(lines), 63, path, 1, separators=",")
    check_end(lines, path)
    return numbers.reshape(21, 3)


def _inspect(data_dir: Path) -> list[Part]:
    parts = []
    for subject in _SUBJECTS:
        for kind in _OBJECTS:
            missing, n_found = [], 0
            for view in _list_views(data_dir, [subject], [kind]):
                labels = _find_labels(view)
                rows = [(path, *(_picture_path(path, name) for name in _PICTURES)) for path in labels]
                lost = find_missing([path for row in rows for path in row])
                gone = set(lost)
                n_found += sum(gone.isdisjoint(map(str, row)) for row in rows)
                missing += lost if labels else [str(view)]
            names = [str(Path(path).relative_to(data_dir)) for path in missing]
            parts.append(Part(f"{subject}_{kind}", n_found, (), names))
    return parts


INSPECTOR = Inspector(("*male_object/seq*/cam*", "*male_noobject/seq*/cam*"), _inspect)
