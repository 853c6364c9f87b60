"""Labelled pictures for fit and evaluate: a folder with a table, cameras, and crops in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skhand._pictures import guess_camera, read_pictures
from skhand.cli._shared import batches, progress
from skhand.datasets import load_folder
from skhand.exceptions import DataFileError, InputError
from skhand.frames import HandFrames
from skhand.geometry import bone_length, project
from skhand.preprocessing import HandCropper
from skhand.skeleton import root_position

__all__ = ["crop_hands", "give_side_information", "load_labelled"]

_BATCH = 32


def load_labelled(folder: Path, table: str, fov: float | None) -> Bunch:
    """Load a folder's labelled rows, each with a camera and a place in its picture.

    Parameters
    ----------
    folder : Path
        The folder of the pictures.
    table : str
        The table's name.
    fov : float or None, degrees
        Angle of view of pictures without a camera in the table and without EXIF data; None asks for cameras.

    Returns
    -------
    hands : Bunch
        As of `load_folder`; ``guessed`` is the number of rows whose camera was guessed.

    Raises
    ------
    InputError
        If no row has joints in mm, or cameras are missing.
    """
    hands = load_folder(folder, table)
    rows = np.flatnonzero(np.isfinite(hands.target).any(axis=(1, 2)))
    if len(rows) == 0:
        raise DataFileError(f"{folder / table}: expected joints in mm (wrist_x_mm and so on), found none.")
    data, target = hands.data[rows], hands.target[rows]
    camera = np.full((len(rows), 3, 3), np.nan) if data.camera is None else np.array(data.camera)
    unknown = np.flatnonzero(~np.isfinite(camera).all(axis=(1, 2)))
    if len(unknown) and fov is None:
        raise InputError(
            f"{folder / table}: expected a camera (fx, fy, cx, cy) in each row with joints, {len(unknown)} "
            "have none; --fov guesses them by an angle of view."
        )
    guessed: dict[int, np.ndarray] = {}
    for row in progress(unknown.tolist(), "cameras") if len(unknown) else ():
        number = int(data.picture[row])
        if number not in guessed:
            (picture,) = read_pictures(hands.data.rgb.paths[rows[row]], "picture")
            guessed[number] = guess_camera(picture, float(fov or 0))
        camera[row] = guessed[number]
    data = data.replace(camera=camera)
    if data.box is None and data.keypoints2d is None:
        data = data.replace(keypoints2d=project(np.where(target[..., 2:] > 0, target, np.nan), camera))
    return Bunch(
        data=data,
        target=target,
        groups=np.asarray(hands.groups)[rows],
        ids=hands.ids[rows],
        guessed=len(unknown),
    )


def crop_hands(data: HandFrames, size: tuple[int, int]) -> HandFrames:
    """Cut the hands out of their pictures, and read all crops into memory."""
    crops = HandCropper(size, lazy=True).fit_transform(data)
    pictures = [
        np.asarray(crops.rgb[rows]) for rows in progress(batches(len(data), _BATCH), "crops", unit="batch")
    ]
    return crops.replace(rgb=np.concatenate(pictures))


def give_side_information(data: HandFrames, target: np.ndarray, given: tuple[str, ...]) -> HandFrames:
    """Return the table with what a model is given and the table lacks, taken from the labels."""
    new: dict[str, Any] = {}
    if "root" in given and data.root is None:
        new["root"] = root_position(target, "palm")
    if "scale" in given and data.scale is None:
        new["scale"] = bone_length(target)
    return data.replace(**new) if new else data
