"""Load Stereo Tracking Benchmark (Zhang et al. 2016), from the publisher's own folder."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from skhand._validation import check_option
from skhand.datasets._depth import read_coded_depth
from skhand.datasets._files import (
    check_folder,
    find_missing,
    open_pictures,
    read_mat,
    require_files,
    require_labels,
)
from skhand.datasets._finish import Annotations, finish
from skhand.datasets._numbers import check_numbers
from skhand.datasets._report import Inspector, Part
from skhand.exceptions import DataFileError
from skhand.geometry import backproject, project

__all__ = ["load_stb"]

_ACTIONS = ("Counting", "Random")
_SEQUENCES = {
    "train": [f"B{number}{action}" for number in range(2, 7) for action in _ACTIONS],
    "test": [f"B1{action}" for action in _ACTIONS],
}
_FRAMES = 1500  # of each sequence
_SIZE = (480, 640)
_VIEWS = {"bb": ("left", "right"), "sk": ("colour", "depth")}
_BASELINE = 120.054
_TO_DEPTH = Rotation.from_rotvec([0.00531, -0.01196, 0.00301]).as_matrix()
_TO_DEPTH_SHIFT = np.array([-24.0381, -0.4563, -1.2326])


def _make_camera(fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


_BB = _make_camera(822.79041, 822.79041, 318.47345, 250.31296)
_CAMERAS = {
    "left": _BB,
    "right": _BB,
    "colour": _make_camera(607.92271, 607.88192, 314.78337, 236.42484),
    "depth": _make_camera(475.62768, 474.77709, 336.41179, 238.77962),
}

_DESCR = """
Stereo Tracking Benchmark
=========================

One person's left hand before six backgrounds, each with a counting and a random motion of 1 500 frames of
640 x 480 px: a Point Grey Bumblebee2 stereo pair (BB) and an Intel F200 with colour and depth (SK).
J. Zhang, J. Jiao, M. Chen, L. Qu, X. Xu and Q. Yang, 3D Hand Pose Tracking and Estimation Using Stereo
Matching, 2016; A Hand Pose Tracking Benchmark from Stereo Matching, ICIP 2017. Licence: not known to us.

Choices that differ between works. Camera: BB left and right, 6 000 test pictures (Zimmermann & Brox, Spurr
et al.), or SK, 3 000. Wrist: the data set marks a palm centre and no wrist; the wrist of other layouts is
ring_mcp + 2.0 (palm - ring_mcp), or middle_mcp + 2.2 (palm - middle_mcp); layout="native" keeps the palm.
The SK labels are published in the frame of the depth camera; here they are in the frame of the picture that
the row shows. Neighbouring frames are nearly the same: split by groups (the sequence).

Known faults: none are listed by the publisher. A joint at or behind the camera would be a bad row.
"""


def read_depth(path: str) -> np.ndarray:
    """Read the depth of one picture, mm: the red byte and 256 times the green one."""
    return read_coded_depth(path, low=0, high=1)


def read_registered_depth(path: str) -> np.ndarray:
    """Read the depth of one picture as the colour camera of SK would see it, mm; 0 where nothing falls."""
    measured = read_depth(path)
    rows, columns = np.nonzero(measured)
    in_depth = backproject(np.stack([columns, rows], axis=1), measured[rows, columns], _CAMERAS["depth"])
    points = _move_to_color(in_depth)
    points = points[points[:, 2] > 0]
    points = points[np.argsort(-points[:, 2], kind="stable")]  # the nearest is written last
    corner = np.floor(project(points, _CAMERAS["colour"])).astype(np.intp)
    height, width = measured.shape
    out = np.zeros_like(measured)
    for shift in ((0, 0), (1, 0), (0, 1), (1, 1)):  # the colour picture is finer: leave no gaps
        u, v = (corner + shift).T
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        seen = np.zeros_like(measured)
        seen[v[inside], u[inside]] = np.rint(points[inside, 2])
        out = np.where((seen > 0) & ((out == 0) | (seen < out)), seen, out)
    return out


def _move_to_color(points: np.ndarray) -> np.ndarray:
    """Move points from the frame of SK's depth camera into that of its colour camera, mm."""
    return (points - _TO_DEPTH_SHIFT) @ _TO_DEPTH


def load_stb(
    data_dir: Any,
    split: str = "train",
    *,
    camera: str = "bb",
    view: str = "both",
    palm_to_wrist: str = "ring",
    layout: str = "canonical",
    bad_rows: str = "flag",
    crop: Any = None,
    cache: Any = None,
    return_X_y: bool = False,
) -> Any:
    """Load the Stereo Tracking Benchmark (STB).

    Nothing is downloaded: https://github.com/zhjwustc/icip17_stereo_hand_pose_dataset says where it is.

    Parameters
    ----------
    data_dir : str or path
        The folder with ``labels`` and ``images``; the folders of the sequences may also lie directly in it.
    split : {"train", "test"}, default="train"
        ``"train"``: the ten sequences B2 to B6; ``"test"``: the two of B1.
    camera : {"bb", "sk"}, default="bb"
        ``"bb"``: the stereo pair (Zimmermann & Brox; Spurr et al.); ``"sk"``: the colour and depth camera.
    view : {"both", "left", "right", "colour", "depth"}, default="both"
        Of ``"bb"``: ``"left"``, ``"right"`` or both, as rows: 6 000 test rows, each sequence first left and
        then right. Of ``"sk"``: ``"colour"`` (``rgb``, joints in the colour camera's frame), ``"depth"``
        (``depth``, joints in the depth camera's frame) or both, as columns: ``rgb``, and ``depth`` moved
        into the colour camera's view, so that one camera belongs to both; 3 000 test rows each.
    palm_to_wrist : {"ring", "middle"}, default="ring"
        How the wrist, which STB does not mark, is extrapolated, as in `skhand.skeleton.convert`.
    layout : str, default="canonical"
        Joints of ``target`` and ``visible``: ``"canonical"``, ``"native"`` for the data set's own (palm and
        no wrist), or another name of `skhand.skeleton.LAYOUTS`. ``data`` has the canonical joints in any
        case; its ``root`` is the published palm where the target has it.
    bad_rows : {"flag", "keep", "drop"}, default="flag"
        What happens to rows with a joint at or behind the camera; none are known. ``"flag"``: the joints
        become NaN; ``"keep"``: they come as they are; ``"drop"``: the rows are left out. ``bad`` marks them.
    crop : transformer or None, default=None
        Applied to the table of whole pictures, for example a ``HandCropper``.
    cache : str, path or None, default=None
        Folder where the (cropped) pictures are kept as memory maps. Its entries are named by all options,
        the annotation files and the library's version.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    stb : Bunch
        ``data`` : HandFrames with ``rgb`` and ``depth`` (mm) as ``view`` says, read when they are asked for,
        ``keypoints2d`` (px), ``visible``, ``camera``, ``side`` "left", ``scale`` (middle MCP to PIP, mm),
        ``root`` (palm, mm), ``box`` (of the true joints, px: it is ground truth, as scale and root are) and
        ``domain`` "real".
        ``target`` : ndarray of shape (n_samples, 21, 3), mm, frame of the row's camera.
        ``visible`` : ndarray of shape (n_samples, 21), bool; STB does not say what is hidden: all True.
        ``bad`` : ndarray of shape (n_samples,), bool.
        ``groups`` : ndarray of str, the sequence. ``ids`` : ndarray of str, sequence and picture.
        ``joint_names``, ``DESCR``.
    (data, target) : tuple
        If ``return_X_y`` is True.

    Raises
    ------
    InputError
        If a parameter is not one of those listed, or the camera has no such view.
    DataFileError
        If a file is missing, damaged or not in the published format.

    Examples
    --------
    >>> from skhand.datasets import load_stb
    >>> hands = load_stb("STB")  # doctest: +SKIP
    """
    folder = check_folder(data_dir)
    check_option(split, "split", tuple(_SEQUENCES))
    check_option(camera, "camera", tuple(_VIEWS))
    check_option(view, "view", ("both", *_VIEWS[camera]))
    check_option(palm_to_wrist, "palm_to_wrist", ("ring", "middle"))
    sources = [_label_path(folder, name, camera) for name in _SEQUENCES[split]]
    require_labels(sources)
    return finish(
        "stb",
        partial(_read, folder, split, camera, view, palm_to_wrist),
        native="stb",
        sources=sources,
        options={"split": split, "camera": camera, "view": view, "palm_to_wrist": palm_to_wrist},
        descr=_DESCR,
        layout=layout,
        bad_rows=bad_rows,
        crop=crop,
        cache=cache,
        return_X_y=return_X_y,
    )


def _label_path(folder: Path, sequence: str, camera: str) -> Path:
    return folder / "labels" / f"{sequence}_{camera.upper()}.mat"


def _read_labels(path: Path) -> np.ndarray:
    """Read a sequence's joints, (n_frames, 21, 3), mm, in the frame of BB's left or SK's depth camera."""
    labels = read_mat(path, ["handPara"])["handPara"]
    if labels.ndim != 3 or labels.shape[:2] != (3, 21) or labels.dtype.kind not in "fi":
        raise DataFileError(
            f"{path}: expected handPara of shape (3, 21, n_frames), got {labels.shape}, {labels.dtype}."
        )
    return check_numbers(labels, labels.shape, path, "handPara").transpose(2, 1, 0)


def _picture_paths(folder: Path, sequence: str, kind: str, n_frames: int) -> list[Path]:
    inner = folder / "images" if os.path.isdir(folder / "images") else folder
    return [inner / sequence / f"{kind}_{number}.png" for number in range(n_frames)]


def _name_pictures(camera: str, view: str) -> str:
    """Return what the publisher's pictures of a view are called."""
    return f"{camera.upper()}_{view.replace('colour', 'color')}"


def _read(folder: Path, split: str, camera: str, view: str, palm_to_wrist: str) -> Annotations:
    views = (view,) if view != "both" else _VIEWS["bb"] if camera == "bb" else ("colour",)
    joints, files, depth_files, groups = [], [], [], []
    for sequence in _SEQUENCES[split]:
        labels = _read_labels(_label_path(folder, sequence, camera))
        for one in views:
            joints.append(_move_to_view(labels, one))
            files += _picture_paths(folder, sequence, _name_pictures(camera, one), len(labels))
            groups += [sequence] * len(labels)
        if (camera, view) == ("sk", "both"):
            depth_files += _picture_paths(folder, sequence, "SK_depth", len(labels))
    require_files([*files, *depth_files])
    if view == "depth":
        pictures = {"depth": open_pictures(files, _SIZE, read_depth)}
    else:
        pictures = {"rgb": open_pictures(files, _SIZE)}
    if depth_files:
        pictures["depth"] = open_pictures(depth_files, _SIZE, read_registered_depth)
    stacked = np.concatenate(joints)
    return Annotations(
        joints=stacked,
        visible=np.ones(stacked.shape[:2], bool),
        bad=np.repeat(~(stacked[..., 2] > 0).all(axis=1, keepdims=True), 21, axis=1),
        columns={**pictures, "camera": _CAMERAS[views[0]], "side": "left", "domain": "real"},
        groups=np.array(groups),
        ids=np.array([f"{path.parent.name}/{path.stem}" for path in files]),
        palm_to_wrist=palm_to_wrist,
    )


def _move_to_view(labels: np.ndarray, view: str) -> np.ndarray:
    """Move published joints into the frame of the camera that took the picture, mm."""
    if view == "colour":
        return _move_to_color(labels)
    return labels - [_BASELINE, 0, 0] if view == "right" else labels


def _inspect(data_dir: Path) -> list[Part]:
    parts = []
    for split, sequences in _SEQUENCES.items():
        for kind in (_name_pictures(camera, view) for camera, views in _VIEWS.items() for view in views):
            part = Part(f"{split} {kind}", 0, _FRAMES * len(sequences))
            for sequence in sequences:
                labels = _label_path(data_dir, sequence, kind[:2])
                if not os.path.isfile(labels):
                    part.missing.append(str(labels.relative_to(data_dir)))
                    continue
                n_frames = len(_read_labels(labels))
                missing = find_missing(_picture_paths(data_dir, sequence, kind, n_frames))
                part.missing += [str(Path(path).relative_to(data_dir)) for path in missing]
                part.n_found += n_frames - len(missing)
            parts.append(part)
    return parts


INSPECTOR = Inspector(("labels/B[1-6]*_BB.mat", "labels/B[1-6]*_SK.mat"), _inspect)
