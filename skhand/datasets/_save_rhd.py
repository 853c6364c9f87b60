"""Save hands as Rendered Hand Pose is published, for code that reads it."""

from __future__ import annotations

import os
import pickle
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from skhand._columns import read_columns
from skhand._progress import progress
from skhand._validation import check_option, describe
from skhand.datasets._hand_table import check_joints, check_new_folder
from skhand.datasets._rhd import DEPTH_RANGE, FIRST_LABEL, FOLDERS, PICTURES, SIDES
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.skeleton import JOINTS, convert

__all__ = ["save_rhd"]

_NEEDED = (*PICTURES.values(), "camera", "side", "keypoints2d")
_BATCH = 16


def save_rhd(data: HandFrames, target: Any, data_dir: Any, split: str = "train") -> None:
    """Save hands in the layout of Rendered Hand Pose, which `load_rhd` and others' code read.

    The split's folder appears when it is complete: what fails, or is stopped, leaves none.

    Each row becomes a picture. The hand of its other side, of which nothing is known, has no pixel in the
    mask and joints at 0, which are not visible and which `load_rhd` takes for bad: behind the camera.

    Parameters
    ----------
    data : HandFrames
        With ``rgb``, ``depth`` (mm), ``mask``, ``camera``, ``side`` and ``keypoints2d``, as of `make_hands`;
        all joints count as visible where there is no ``visible``.
    target : array-like of shape (n_samples, 21, 3), mm
        Joints in the camera frame.
    data_dir : str or path
        Folder for ``training`` and ``evaluation``.
    split : {"train", "test"}, default="train"
        Which of the two is written. It must not be there yet.

    Raises
    ------
    InputError
        If a column is missing, ``target`` has another shape, a joint is not known, or the split is there
        already.

    Notes
    -----
    Colour is exact. Depth is coded in 16 bits over 5 m, so that it is rounded by up to 0.04 mm and ends at
    5 m. Joints, cameras and keypoints become float32, joints in metres. Of the mask's 16 labels a hand, the
    first one stands for the whole hand.

    Examples
    --------
    >>> import tempfile
    >>> from skhand.datasets import load_rhd, make_hands, save_rhd
    >>> hands = make_hands(2, image_size=64, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_rhd(hands.data, hands.target, folder)
    ...     load_rhd(folder).target.shape
    (2, 21, 3)
    """
    check_option(split, "split", tuple(FOLDERS))
    missing = [name for name in _NEEDED if name not in getattr(data, "columns", ())]
    if missing:
        raise InputError(f"data: expected a HandFrames with {', '.join(_NEEDED)}, got {describe(data)}.")
    joints = check_joints(target, len(data))
    if not (np.isfinite(joints).all() and np.isfinite(data.keypoints2d).all()):
        raise InputError(
            "target: expected all joints, in mm and, in keypoints2d of data, in px; some are NaN, which RHD "
            "cannot say."
        )
    if np.isnan(data.camera).any():
        raise InputError("data: expected a camera for each hand, got NaN, which RHD cannot say.")
    folder = check_new_folder(data_dir) / FOLDERS[split]
    if folder.exists():
        raise InputError(f"data_dir: expected a folder without {FOLDERS[split]}, found {folder}.")
    partial = folder.with_name(f"{folder.name}.partial-{uuid.uuid4().hex}")
    try:
        _write(data, joints, partial, folder.name)
        os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(data: HandFrames, joints: np.ndarray, folder: Path, name_of_split: str) -> None:
    """Write pictures and labels into a folder that is renamed when it is complete."""
    for kind in PICTURES:
        (folder / kind).mkdir(parents=True)
    columns = {name: getattr(data, name) for name in PICTURES.values()}
    for row in progress(range(len(data)), "writing", unit="picture"):
        if row % _BATCH == 0:
            pictures = read_columns(columns, list(columns), np.arange(row, min(row + _BATCH, len(data))))
        for kind, name in PICTURES.items():
            coded = _encode(name, pictures[name][row % _BATCH], data.side[row])
            Image.fromarray(coded).save(folder / kind / f"{row:05d}.png")
    labels = {row: _describe_row(data, joints, row) for row in range(len(data))}
    with open(folder / f"anno_{name_of_split}.pickle", "wb") as file:
        pickle.dump(labels, file, protocol=2)


def _encode(name: str, picture: np.ndarray, side: str) -> np.ndarray:
    """Return a picture as the data set's PNGs hold it."""
    if name == "mask":
        return np.where(picture, FIRST_LABEL[side], 0).astype(np.uint8)
    if name == "depth":
        code = np.rint(np.clip(picture, 0, DEPTH_RANGE).astype(np.float64) / DEPTH_RANGE * 65535).astype(int)
        return np.stack([code // 256, code % 256, 0 * code], axis=-1).astype(np.uint8)
    return np.asarray(picture, dtype=np.uint8)


def _describe_row(data: HandFrames, joints: np.ndarray, row: int) -> dict[str, np.ndarray]:
    """Return the annotation of one picture: both hands in the data set's order, joints in metres."""
    xyz, uv_vis = np.zeros((42, 3)), np.zeros((42, 3))
    hand = slice(0, 21) if data.side[row] == SIDES[0] else slice(21, 42)
    seen = np.ones(len(JOINTS)) if data.visible is None else data.visible[row].astype(float)
    points = np.column_stack([data.keypoints2d[row], seen])
    xyz[hand] = convert(joints[row] / 1000, "canonical", "rhd")
    uv_vis[hand] = convert(points, "canonical", "rhd")
    single = np.float32
    return {
        "xyz": xyz.astype(single),
        "uv_vis": uv_vis.astype(single),
        "K": np.asarray(data.camera[row], dtype=single),
    }
