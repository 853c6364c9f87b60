"""Load NYU Hand Pose (Tompson et al. 2014), from the publisher's own folder."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from skhand._validation import check_option
from skhand.datasets._depth import read_coded_depth
from skhand.datasets._files import (
    check_folder,
    find_missing,
    open_pictures,
    read_mat,
    read_mat_shapes,
    require_files,
    require_labels,
)
from skhand.datasets._finish import Annotations, finish
from skhand.datasets._numbers import check_numbers
from skhand.datasets._report import Inspector, Part
from skhand.exceptions import DataFileError
from skhand.geometry import project

__all__ = ["load_nyu"]

_PUBLISHED = {"train": 72757, "test": 8252}
_FIRST_SUBJECT = 2440  # test frames of subject 1
_VIEWS = (1, 2, 3)
_SIZE = (480, 640)
_FOCALS = {588.03: 587.07, 588.036865: 587.075073}  # fx: fy
_TOLERANCE = 2.0  # px between the projected and the published keypoint

_DESCR = """
NYU Hand Pose
=============

Right hands seen by three PrimeSense cameras, 640 x 480 px, one row a frame. J. Tompson, M. Stein, Y. LeCun
and K. Perlin, Real-Time Continuous Pose Recovery of Human Hands Using Convolutional Networks, ACM ToG 2014.
Licence: not known to us.

Choices that differ between works. View: 1 in nearly all. Joints: 36 are labelled (layout="native"), 14 of
them are evaluated (layout="nyu14"), 21 have canonical counterparts. Focal lengths: 588.03 and 587.07 px, or
588.036865 and 587.075073. Published y points up; here y points down. Crop (not done here): a cube of 300 mm,
which DeepPrior++ makes 250 mm for the test's second subject; LSPS puts its centre on the true joint 32
(root_joint="PALM_3").

Known faults: colour is known only where depth was measured. A keypoint whose published pixel is more than
2 px away from the projection of its published position is a bad one, as is one at or behind the camera.
"""


def read_depth(path: str) -> np.ndarray:
    """Read the depth of one picture, mm: the blue byte and 256 times the green one."""
    return read_coded_depth(path, low=2, high=1)


def load_nyu(
    data_dir: Any,
    split: str = "train",
    *,
    view: int = 1,
    synthetic: bool = False,
    focal: float = 588.03,
    root_joint: str = "palm",
    layout: str = "canonical",
    bad_rows: str = "flag",
    crop: Any = None,
    cache: Any = None,
    return_X_y: bool = False,
) -> Any:
    """Load the NYU hand pose data set.

    Nothing is downloaded: https://jonathantompson.github.io/NYU_Hand_Pose_Dataset.htm offers it. Labels of
    one view are kept; while they are read, all three views of one variable are in memory (190 MB for
    training).

    Parameters
    ----------
    data_dir : str or path
        The folder with ``train`` and ``test``, each with ``joint_data.mat`` and the pictures.
    split : {"train", "test"}, default="train"
        ``"train"``: 72 757 frames; ``"test"``: 8 252.
    view : {1, 2, 3}, default=1
        The camera.
    synthetic : bool, default=False
        Whether ``depth`` is the published rendering of the same poses (``synthdepth``; the synthetic domain
        of LSPS) in place of the measured picture. There is no ``rgb`` then.
    focal : {588.03, 588.036865}, default=588.03
        Horizontal focal length, px; the vertical one that goes with it is 587.07 or 587.075073.
    root_joint : {"palm", "PALM_3", "PALM_5"}, default="palm"
        What ``data.root`` holds: half way between wrist and middle MCP, or the data set's joint 32 or 34,
        about which LSPS puts its cube (``DepthCropper(centre="root")``) for NYU and where it meets ICVL. An
        estimator that is given the root takes y relative to its own ``root``, which must then be the same
        joint: with ``"PALM_3"``, ``root=32`` for ``layout="native"`` and ``root=13`` for ``layout="nyu14"``;
        with ``"PALM_5"``, ``root=34`` and, for ``layout="icvl16"``, ``root=0``.
    layout : str, default="canonical"
        Joints of ``target`` and ``visible``: ``"canonical"``, ``"native"`` for all 36 points, ``"nyu14"`` for
        the 14 that are evaluated, or another name of `skhand.skeleton.LAYOUTS`. ``data`` has the canonical
        ones in any case.
    bad_rows : {"flag", "keep", "drop"}, default="flag"
        What happens to joints at or behind the camera, and to those whose published pixel and position
        disagree by more than 2 px. ``"flag"``: they become NaN, so that they train and score nothing;
        ``"keep"``: they come as they are published; ``"drop"``: their rows are left out. ``bad`` marks the
        rows in each case.
    crop : transformer or None, default=None
        Applied to the table of whole pictures, for example a ``DepthCropper``.
    cache : str, path or None, default=None
        Folder where the (cropped) pictures are kept as memory maps. Its entries are named by all options,
        the annotation files and the library's version.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    nyu : Bunch
        ``data`` : HandFrames with ``depth`` (mm) and ``rgb`` (registered to it), read when they are asked
        for, ``keypoints2d`` (px), ``visible``, ``camera``, ``side`` "right", ``scale`` (middle MCP to PIP,
        mm), ``root`` (mm), ``box`` (of the true joints, px: it is ground truth, as root and scale are) and
        ``domain`` "real" or "synthetic".
        ``target`` : ndarray of shape (n_samples, n_joints, 3), mm, frame of the view's camera.
        ``visible`` : ndarray of shape (n_samples, n_joints), bool; NYU does not say what is hidden:
        True where there is a label.
        ``bad`` : ndarray of shape (n_samples,), bool.
        ``groups`` : ndarray of int, the subject: 1 for training and for the test's first 2 440 frames, 2 for
        the rest. ``ids`` : ndarray of str, view and frame.
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
    >>> from skhand.datasets import load_nyu
    >>> hands = load_nyu("nyu_hand_dataset_v2")  # doctest: +SKIP
    """
    folder = check_folder(data_dir)
    check_option(split, "split", tuple(_PUBLISHED))
    check_option(view, "view", _VIEWS)
    check_option(synthetic, "synthetic", (False, True))
    check_option(focal, "focal", tuple(_FOCALS))
    check_option(root_joint, "root_joint", ("palm", "PALM_3", "PALM_5"))
    labels = folder / split / "joint_data.mat"
    require_labels([labels])
    return finish(
        "nyu",
        partial(_read, folder, split, view, synthetic, focal, root_joint),
        native="nyu36",
        sources=[labels],
        options={"split": split, "view": view, "synthetic": synthetic, "focal": focal, "root": root_joint},
        descr=_DESCR,
        layout=layout,
        bad_rows=bad_rows,
        crop=crop,
        cache=cache,
        return_X_y=return_X_y,
    )


def _count_frames(path: Path) -> int:
    shapes = read_mat_shapes(path)
    for name in ("joint_xyz", "joint_uvd"):
        shape = shapes.get(name, ())
        if len(shape) != 4 or (shape[0], *shape[2:]) != (3, 36, 3) or shape != shapes["joint_xyz"]:
            raise DataFileError(
                f"{path}: expected {name} of shape (3, n_frames, 36, 3), got {shape or None}."
            )
    return shapes["joint_xyz"][1]


def _read_points(path: Path, name: str, view: int) -> np.ndarray:
    """Read one view of a variable; the other views are let go."""
    values = read_mat(path, [name])[name]
    if values.ndim != 4:
        raise DataFileError(f"{path}: expected {name} of four axes, got shape {values.shape}.")
    return np.ascontiguousarray(check_numbers(values[view - 1], (values.shape[1], 36, 3), path, name))


def _picture_paths(folder: Path, split: str, kind: str, view: int, n_frames: int) -> list[Path]:
    return [folder / split / f"{kind}_{view}_{number:07d}.png" for number in range(1, n_frames + 1)]


def _read(folder: Path, split: str, view: int, synthetic: bool, focal: float, root_joint: str) -> Annotations:
    labels = folder / split / "joint_data.mat"
    n_frames = _count_frames(labels)
    depth = _picture_paths(folder, split, "synthdepth" if synthetic else "depth", view, n_frames)
    rgb = [] if synthetic else _picture_paths(folder, split, "rgb", view, n_frames)
    require_files([*depth, *rgb])
    camera = np.array([[focal, 0, 320], [0, _FOCALS[focal], 240], [0, 0, 1]])
    joints = _read_points(labels, "joint_xyz", view) * (1, -1, 1)
    away = np.abs(project(joints, camera) - _read_points(labels, "joint_uvd", view)[..., :2]).max(axis=2)
    if not np.nanmedian(away) <= _TOLERANCE:
        raise DataFileError(
            f"{labels}: expected joint_xyz that project onto joint_uvd (y up, mm), got a median distance of "
            f"{np.nanmedian(away):.1f} px in view {view}."
        )
    numbers = np.arange(1, n_frames + 1)
    second = (split == "test") & (numbers > _FIRST_SUBJECT)
    return Annotations(
        joints=joints,
        visible=np.ones(joints.shape[:2], bool),
        bad=~((joints[..., 2] > 0) & (away <= _TOLERANCE)),
        columns={
            "depth": open_pictures(depth, _SIZE, read_depth),
            **({"rgb": open_pictures(rgb, _SIZE)} if rgb else {}),
            "camera": camera,
            "side": "right",
            "domain": "synthetic" if synthetic else "real",
        },
        groups=np.where(second, 2, 1),
        ids=np.array([f"{view}_{number:07d}" for number in numbers]),
        root=root_joint,
    )


def _inspect(data_dir: Path) -> list[Part]:
    parts = []
    for split, published in _PUBLISHED.items():
        labels = data_dir / split / "joint_data.mat"
        n_frames = _count_frames(labels) if os.path.isfile(labels) else 0
        for view in _VIEWS:
            part = Part(f"{split} view {view}", n_frames, published)
            if not os.path.isfile(labels):
                part.missing.append(str(labels.relative_to(data_dir)))
            files = [
                _picture_paths(data_dir, split, kind, view, n_frames)
                for kind in ("depth", "rgb", "synthdepth")
            ]
            missing = [Path(path) for paths in files for path in find_missing(paths)]
            part.missing += [str(path.relative_to(data_dir)) for path in missing]
            part.n_found -= len({path.stem.rsplit("_", 1)[1] for path in missing})
            parts.append(part)
    return parts


INSPECTOR = Inspector(("train/joint_data.mat", "test/joint_data.mat"), _inspect)
