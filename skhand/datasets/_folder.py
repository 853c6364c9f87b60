"""Load and save a folder of pictures with a table of hands: one's own data set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.utils import Bunch

from skhand._pictures import read_pictures
from skhand._progress import progress
from skhand._validation import check_bool, describe, read_array, warn_user
from skhand.datasets._files import check_folder
from skhand.datasets._hand_table import (
    COLUMNS,
    TABLE,
    HandTable,
    check_joints,
    check_new_folder,
    read_table,
    take_lengths,
    write_table,
)
from skhand.exceptions import InputError
from skhand.frames import HandFrames, ImageFiles
from skhand.skeleton import JOINTS

__all__ = ["load_folder", "save_folder"]

_ORIENTATION, _LYING = 0x0112, (5, 6, 7, 8)  # EXIF; the sides of a picture that lies change places
_SAVED = ("rgb", "keypoints2d", "camera", "side", "box", "score", "picture")
_FOLLOW = ("scale", "root", "affine", "visible", "domain")  # from what is saved, or no fact of the pictures

_DESCR = """
Pictures of a folder
====================

{n} hands in {n_pictures} pictures, as {table} tells.
"""


def load_folder(data_dir: Any, table: Any = TABLE, *, return_X_y: bool = False) -> Any:
    """Load pictures and a table of hands: labelled by you, or as ``skhand predict`` writes it.

    The table is a CSV file with a header and one row a hand. Its columns, in any order, are ``picture`` (the
    file's name in the folder) and any of:

    - ``side``: left or right. ``group``: what must not be split over training and test, such as a person.
    - ``box_x``, ``box_y``, ``box_width``, ``box_height``: px. ``score``: 0 to 1.
    - ``fx``, ``fy``, ``cx``, ``cy``: the camera of the upright picture, px.
    - ``wrist_x_mm``, ``wrist_y_mm``, ``wrist_z_mm``, ``thumb_cmc_x_mm`` and so on: the 21 joints of
      `skhand.skeleton.JOINTS` in the camera's frame (x right, y down, z forward), mm.
    - ``wrist_x_px``, ``wrist_y_px`` and so on: the same in the upright picture, px.
    - ``frame``, ``id``, ``camera_source``: are not used.

    An empty cell is unknown; an unknown joint has all of its cells empty.

    Parameters
    ----------
    data_dir : str or path
        The folder that the names of the pictures are relative to.
    table : str or path, default="hands.csv"
        The table, relative to the folder.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    hands : Bunch
        ``data`` : HandFrames with ``rgb`` (whole pictures, upright, read when they are asked for; of several
        sizes if they are), ``picture``, and what the table has of ``keypoints2d`` (px), ``camera`` (px),
        ``side``, ``box`` (px) and ``score``.
        ``target`` : ndarray of shape (n_hands, 21, 3), mm; NaN where unknown.
        ``groups`` : ndarray of shape (n_hands,), the column ``group``; without it the picture's number.
        ``ids`` : ndarray of str, the picture's name, and "#2" and so on for its further hands.
        ``joint_names``, ``DESCR``.
    (data, target) : tuple
        If ``return_X_y`` is True.

    Raises
    ------
    DataFileError
        If the table or a picture is missing or not as it should be; the message names line and column.
    InputError
        If ``data_dir`` is no folder.

    See Also
    --------
    save_folder : Writes such a folder.

    Examples
    --------
    >>> import tempfile
    >>> from skhand.datasets import load_folder, make_hands, save_folder
    >>> hands = make_hands(4, image_size=32, images=("rgb",), random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_folder(hands.data, hands.target, folder)
    ...     load_folder(folder).target.shape
    (4, 21, 3)
    """
    folder = check_folder(data_dir, what="the folder of the pictures")
    check_bool(return_X_y, "return_X_y")
    if not isinstance(table, str | os.PathLike) or not os.fspath(table):
        raise InputError(f"table: expected a file's name, got {describe(table)}.")
    read = read_table(folder / table)
    names = read.values["picture"]
    first_rows = {name: row for row, name in reversed(list(enumerate(names)))}
    numbers = {name: number for number, name in enumerate(sorted(first_rows, key=first_rows.__getitem__))}
    sizes = {_read_size(read, row, folder) for row in first_rows.values()}
    columns: dict[str, Any] = {
        "rgb": ImageFiles([folder / name for name in names], one_size=len(sizes) == 1),
        "picture": np.array([numbers[name] for name in names]),
        **_read_columns(read),
    }
    picture = columns["picture"]
    target = read.values.get("joints", np.full((len(read), 3 * len(JOINTS)), np.nan))
    target = target.reshape(len(read), len(JOINTS), 3)
    data = HandFrames(**columns)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        groups=np.array(read.values["group"]) if "group" in read.values else picture,
        ids=_name_rows(names),
        joint_names=JOINTS,
        DESCR=_DESCR.format(n=len(read), n_pictures=len(numbers), table=read.path).strip() + "\n",
    )


def _read_size(table: HandTable, row: int, folder: Path) -> tuple[int, int]:
    """Return height and width of a row's picture, by its header."""
    name = table.values["picture"][row]
    if not name:
        raise table.fail(row, "picture", "expected a file's name, got nothing.")
    try:
        with Image.open(folder / name) as picture:
            width, height = picture.size
            lies = picture.getexif().get(_ORIENTATION) in _LYING
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise table.fail(
            row, "picture", f"{folder / name} is missing or is not a readable picture ({error})."
        ) from error
    return (width, height) if lies else (height, width)


def _read_columns(table: HandTable) -> dict[str, Any]:
    """Return the columns of a HandFrames that a table has, but for the pictures."""
    columns: dict[str, Any] = {}
    values = table.values
    if "side" in values and any(values["side"]):
        for row, side in enumerate(values["side"]):
            if side not in ("left", "right"):
                raise table.fail(row, "side", f"expected left or right, got {side[:30]!r}.")
        columns["side"] = np.array(values["side"])
    if "group" in values and not all(values["group"]):
        raise table.fail(values["group"].index(""), "group", "expected a name or a number, got nothing.")
    if "box" in values:
        _check_above_0(table, "box", ("box_width", "box_height"))
    if "score" in values:
        wrong = (values["score"][:, 0] < 0) | (values["score"][:, 0] > 1)
        for row in np.flatnonzero(wrong)[:1]:
            raise table.fail(int(row), "score", f"expected 0 to 1, got {values['score'][row, 0]:g}.")
    if "camera" in values:
        columns["camera"] = _make_cameras(table)
    plain = {"box": values.get("box"), "score": values.get("score"), "keypoints2d": values.get("keypoints")}
    for name, numbers in plain.items():
        if numbers is not None and np.isfinite(numbers).any():
            columns[name] = numbers
    if "score" in columns:
        columns["score"] = columns["score"][:, 0]
    if "keypoints2d" in columns:
        columns["keypoints2d"] = columns["keypoints2d"].reshape(len(table), len(JOINTS), 2)
    return columns


def _check_above_0(table: HandTable, name: str, columns: tuple[str, ...]) -> None:
    for column in columns:
        numbers = table.values[name][:, COLUMNS[name].index(column)]
        for row in np.flatnonzero(numbers <= 0)[:1]:
            raise table.fail(int(row), column, f"expected more than 0, got {numbers[row]:g}.")


def _make_cameras(table: HandTable) -> np.ndarray:
    """Return the cameras (n, 3, 3) of a table's fx, fy, cx, cy."""
    _check_above_0(table, "camera", ("fx", "fy"))
    lengths = table.values["camera"]
    cameras = np.full((len(table), 3, 3), np.nan)
    known = np.isfinite(lengths[:, 0])
    cameras[known] = np.eye(3)
    cameras[:, [0, 1, 0, 1], [0, 1, 2, 2]] = lengths
    return cameras


def _name_rows(names: list[str]) -> np.ndarray:
    counts: dict[str, int] = {}
    ids = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        ids.append(name if counts[name] == 1 else f"{name}#{counts[name]}")
    return np.array(ids)


def save_folder(data: HandFrames, target: Any, data_dir: Any, *, groups: Any = None) -> None:
    """Save a table of hands as pictures and ``hands.csv``, which `load_folder` reads back.

    Pictures are written as PNG, numbers with nine digits. ``depth``, ``mask``, ``pose3d`` and ``table`` are
    not written, which warns; nor are ``scale`` and ``root``, which follow from the joints, and what tells the
    way back to original pictures.

    Parameters
    ----------
    data : HandFrames
        With ``rgb``; hands of one number in ``picture`` share a picture.
    target : array-like of shape (n_hands, 21, 3) or None, mm
        The joints, NaN where unknown; None where they are not known.
    data_dir : str or path
        The folder, which is made if it is missing. Nothing in it is replaced.
    groups : array-like of shape (n_hands,) or None, default=None
        What must not be split over training and test, such as the person.

    Raises
    ------
    InputError
        If there are no pictures, a length differs, pictures were turned, a camera has skew, or there is a
        table or a picture of such a name already. Nothing is written then.

    Examples
    --------
    >>> import tempfile
    >>> from skhand.datasets import load_folder, make_hands, save_folder
    >>> hands = make_hands(2, image_size=32, images=("rgb",), random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_folder(hands.data, hands.target, folder, groups=hands.groups)
    ...     load_folder(folder).ids.tolist()
    ['00000.png', '00001.png']
    """
    if not isinstance(data, HandFrames) or "rgb" not in data.columns:
        raise InputError(f"data: expected a HandFrames with rgb, got {describe(data)}.")
    folder = check_new_folder(data_dir)
    joints = None if target is None else check_joints(target, len(data))
    groups = None if groups is None else _check_groups(groups, len(data))
    if data.box is not None and (data.box[:, 2:] <= 0).any():
        raise InputError("data: expected boxes with a width and a height above 0, or NaN, got others.")
    if data.rotation is not None and not np.allclose(data.rotation, np.eye(3)):
        raise InputError("data: expected pictures that were not turned, got some with a rotation.")
    left_out = [name for name in data.columns if name not in (*_SAVED, *_FOLLOW, "rotation")]
    take_lengths(data.camera)
    n_joints = None if data.keypoints2d is None else data.keypoints2d.shape[1]
    if n_joints not in (None, len(JOINTS)):
        raise InputError(f"data: expected keypoints2d of {len(JOINTS)} joints, got {n_joints}.")
    if (folder / TABLE).exists():
        raise InputError(f"data_dir: expected a folder without a table, found {folder / TABLE}.")
    numbers = np.arange(len(data)) if data.picture is None else data.picture
    names = [f"{number:05d}.png" for number in numbers]
    for name in names:
        if (folder / name).exists():
            raise InputError(f"data_dir: expected a folder without {name}, found {folder / name}.")
    if left_out:
        warn_user(f"data: {', '.join(left_out)} are not written, only pictures in colour and the table.")
    rows = np.unique(numbers, return_index=True)[1].tolist()
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "picture": names,
        "group": groups,
        "side": data.side,
        "score": data.score,
        "box": data.box,
        "camera": data.camera,
        "joints": _leave_out_halves(joints),
        "keypoints": _leave_out_halves(data.keypoints2d),
    }
    begun = []
    try:
        for row in progress(rows, "writing", unit="picture"):
            pixels = read_pictures(data.rgb[row], "rgb")[0].pixels
            begun.append(folder / names[row])
            Image.fromarray(pixels).save(begun[-1])
        begun.append(folder / TABLE)
        write_table(values, begun[-1])
    except BaseException:  # what cannot be read or written, and Ctrl-C
        for path in begun:
            path.unlink(missing_ok=True)
        raise


def _check_groups(groups: Any, n_hands: int) -> np.ndarray:
    """Return groups, one a hand, if each can be told from no group."""
    array = read_array(groups, "groups", f"one for each of {n_hands} hands")
    if array.shape != (n_hands,):
        raise InputError(f"groups: expected one for each of {n_hands} hands, got {describe(groups)}.")
    for group in array.tolist():
        if group is None or group == "" or group != group:
            raise InputError(f"groups: expected a name or a number for each hand, got {group!r}.")
    return array


def _leave_out_halves(points: np.ndarray | None) -> np.ndarray | None:
    """Return points, NaN throughout where a coordinate is: a table has all of a point or none."""
    if points is None:
        return None
    return np.where(np.isnan(points).any(axis=-1, keepdims=True), np.nan, points)
