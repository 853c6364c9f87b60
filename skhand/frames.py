"""Hold hands in a table, which ``X`` is; image columns stay where they are until a batch asks."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._columns import PICTURES, ImageFiles, RowsOf, read_pictures
from skhand._maps import check_stamp, is_on_disk, pack, stamp_columns, unpack
from skhand._validation import (
    check_camera,
    check_mask,
    check_side,
    count,
    describe,
    read_array,
    read_numbers,
    some_rows,
)
from skhand.exceptions import InputError

__all__ = ["HandFrames", "ImageFiles"]

# column -> (shape of one row, what it is); a string in the shape stands for any size
_COLUMNS: dict[str, tuple[tuple[int | str, ...], str]] = {
    "rgb": (("height", "width", 3), "colour picture, uint8"),
    "depth": (("height", "width"), "depth picture, mm along z, 0 where nothing was measured"),
    "mask": (("height", "width"), "hand mask, bool"),
    "keypoints2d": (("n_joints", 2), "joints in the picture, px"),
    "visible": (("n_joints",), "which joints are seen, bool"),
    "pose3d": (("n_joints", 3), "joints in the camera frame, mm"),
    "table": (("n_features",), "any numbers"),
    "camera": ((3, 3), "intrinsics of this picture, px; NaN where unknown"),
    "side": ((), "'left' or 'right'"),
    "scale": ((), "length of the scale bone, mm"),
    "root": ((3,), "root joint in the camera frame, mm"),
    "box": ((4,), "hand box x, y, width, height, px"),
    "affine": ((3, 3), "original picture's pixels to this picture's pixels"),
    "rotation": ((3, 3), "original camera frame to this one's, orthogonal; determinant -1 where mirrored"),
    "domain": ((), "where the row comes from, for example 'synthetic' or 'real'"),
    "picture": ((), "number of the picture that the hand was found in, int"),
    "score": ((), "how sure it is that this is a hand, 0 to 1"),
}

# column -> least and greatest number
_RANGES = {"scale": (0.0, np.inf), "score": (0.0, 1.0)}


class HandFrames:
    """A table of hands: pictures, keypoints and side information, one row a hand.

    It has ``shape``, ``len`` and numpy indexing along the rows, so scikit-learn's splitters, searches
    and pipelines take it as it is. Indexing copies no picture: the rows are remembered, and a column
    is read when it is asked for.

    Parameters
    ----------
    rgb : array-like of shape (n_samples, height, width, 3), uint8, optional
        Colour pictures: an array, a memory map or a lazy sequence such as `ImageFiles`.
    depth : array-like of shape (n_samples, height, width), mm, optional
        Depth pictures, 0 where nothing was measured.
    mask : array-like of shape (n_samples, height, width), bool, optional
        Which pixels show the hand.
    keypoints2d : array-like of shape (n_samples, n_joints, 2), px, optional
        Joints in the picture; the centre of the top-left pixel is (0, 0). NaN where unknown.
    visible : array-like of shape (n_samples, n_joints), bool, optional
        Which of the joints of ``keypoints2d`` are seen.
    pose3d : array-like of shape (n_samples, n_joints, 3), mm, optional
        Joints in the camera frame, for models that take poses as input. NaN where unknown.
    table : array-like of shape (n_samples, n_features), optional
        Any other numbers, for example of a glove.
    camera : array-like of shape (n_samples, 3, 3) or (3, 3), px, optional
        Intrinsics that belong to the picture as it is here. A matrix of NaN is a row without a camera.
    side : array-like of shape (n_samples,) or str, optional
        ``"left"`` or ``"right"``.
    scale : array-like of shape (n_samples,), mm, optional
        Length of the scale bone.
    root : array-like of shape (n_samples, 3), mm, optional
        Position of the root joint in the camera frame.
    box : array-like of shape (n_samples, 4), px, optional
        Hand box in this picture: x, y, width, height.
    affine : array-like of shape (n_samples, 3, 3), optional
        Maps pixels of the original picture to pixels of this one.
    rotation : array-like of shape (n_samples, 3, 3) or (3, 3), optional
        Turns points of the original camera frame into this row's frame, in which ``pose3d`` and ``root`` are:
        ``x_here = rotation @ x_original``. Orthogonal; its determinant is -1 where the hand was mirrored.
        ``y`` and predictions stay in the original frame: estimators turn them there and back.
    domain : array-like of shape (n_samples,) or str, optional
        Where a row comes from.
    picture : array-like of shape (n_samples,), int, optional
        Which of the pictures that were searched a hand was found in, from 0.
    score : array-like of shape (n_samples,), optional
        How sure it is that there is a hand, 0 to 1. NaN where unknown.

    Raises
    ------
    InputError
        If no column is given, a column has the wrong shape or type, a number is infinite, or columns differ
        in length.

    Warns
    -----
    UserWarning
        When a picture column is asked for: if it maps a file, read-only, that was written to since the table
        was made. What is written through a map that is open for writing is not noticed.

    Notes
    -----
    Torch tensors are taken as arrays, and what is masked in a masked array of floats becomes NaN. Pictures of
    several sizes come as ``ImageFiles(paths, one_size=False)`` or by `concat_frames`, and are cropped to one
    size by `skhand.preprocessing.HandCropper`.

    See Also
    --------
    skhand.datasets.save_folder : Writes pictures in colour and a table of hands, to correct and train on.
    skhand.datasets.save_rhd : Writes colour, depth, masks and joints for code that reads RHD.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand import HandFrames
    >>> frames = HandFrames(rgb=np.zeros((4, 8, 8, 3), np.uint8), side="left")
    >>> frames[[0, 2]]
    HandFrames of 2 hands: rgb (8, 8, 3) uint8, side
    """

    def __init__(
        self,
        *,
        rgb: Any = None,
        depth: Any = None,
        mask: Any = None,
        keypoints2d: Any = None,
        visible: Any = None,
        pose3d: Any = None,
        table: Any = None,
        camera: Any = None,
        side: Any = None,
        scale: Any = None,
        root: Any = None,
        box: Any = None,
        affine: Any = None,
        rotation: Any = None,
        domain: Any = None,
        picture: Any = None,
        score: Any = None,
    ):
        given = {
            "rgb": rgb,
            "depth": depth,
            "mask": mask,
            "keypoints2d": keypoints2d,
            "visible": visible,
            "pose3d": pose3d,
            "table": table,
            "camera": camera,
            "side": side,
            "scale": scale,
            "root": root,
            "box": box,
            "affine": affine,
            "rotation": rotation,
            "domain": domain,
            "picture": picture,
            "score": score,
        }
        columns = {name: _check_column(name, value) for name, value in given.items() if value is not None}
        lengths = {name: len(c) for name, c in columns.items() if c.ndim > len(_COLUMNS[name][0])}
        if not lengths:
            raise InputError("HandFrames: expected at least one column with one row a hand, got none.")
        if len(set(lengths.values())) > 1:
            raise InputError(f"HandFrames: expected columns of one length, got {lengths}.")
        n_samples = next(iter(lengths.values()))
        self._columns = {
            name: column if name in lengths else np.broadcast_to(column, (n_samples, *column.shape))
            for name, column in columns.items()
        }
        self._rows: np.ndarray | None = None
        self._n = n_samples
        self._stamps = stamp_columns(self._columns)

    @property
    def columns(self) -> list[str]:
        """Names of the columns that are there."""
        return list(self._columns)

    @property
    def shape(self) -> tuple[int]:
        """``(n_samples,)``."""
        return (len(self),)

    def __len__(self) -> int:
        return self._n if self._rows is None else len(self._rows)

    def __getattr__(self, name: str) -> Any:
        if name not in _COLUMNS:
            raise AttributeError(
                f"HandFrames has no column or attribute {name!r}; columns: {', '.join(_COLUMNS)}."
            )
        column = self.__dict__.get("_columns", {}).get(name)
        if name in self.__dict__.get("_stamps", {}):
            check_stamp(name, column, self._stamps)
        if column is None or self._rows is None:
            return column
        return RowsOf(column, self._rows) if name in PICTURES else column[self._rows]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *_COLUMNS]

    def __getitem__(self, rows: Any) -> HandFrames:
        rows = _check_rows(rows)
        base = np.arange(self._n) if self._rows is None else self._rows
        subset = self._blank()
        subset._columns, subset._n, subset._stamps = self._columns, self._n, self._stamps
        subset._rows = np.atleast_1d(base[rows])
        return subset

    def replace(self, **columns: Any) -> HandFrames:
        """Return a table with some columns replaced; None takes a column away.

        Parameters
        ----------
        **columns : array-like or None
            New columns by name, each with as many rows as the table.

        Returns
        -------
        frames : HandFrames
        """
        current = {name: getattr(self, name) for name in self._columns}
        return HandFrames(**{**current, **columns})

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise InputError(
            "X: a HandFrames is a table of columns and not one array; "
            f"take a column, for example X.{next(iter(self._columns))}."
        )

    def __getstate__(self) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        for name, column in self._columns.items():
            if self._rows is None:
                columns[name] = pack(column)
            elif isinstance(column, np.ndarray) and not is_on_disk(column):
                columns[name] = column[self._rows]
            else:
                columns[name] = RowsOf(column, self._rows)
        return {"columns": columns, "n": len(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._columns = {name: unpack(column) for name, column in state["columns"].items()}
        self._rows, self._n, self._stamps = None, state["n"], stamp_columns(self._columns)

    def __repr__(self) -> str:
        parts = []
        for name, column in self._columns.items():
            size = f" {tuple(column.shape[1:])} {column.dtype}" if name in PICTURES else ""
            parts.append(name + size)
        return f"HandFrames of {count(len(self), 'hand')}: {', '.join(parts)}"

    @classmethod
    def _blank(cls) -> HandFrames:
        return cls.__new__(cls)


def _check_column(name: str, value: Any) -> Any:
    """Check one column's shape and type; pictures are left as they came."""
    row, meaning = _COLUMNS[name]
    if name == "side":
        column: Any = check_side(value)
    elif name == "camera":
        column = check_camera(value, unknown=True)
    elif name == "visible":
        column = check_mask(value, name, ("n_samples", *row))
    elif name == "domain":
        column = _check_domains(value)
    elif name == "picture":
        column = _check_numbers_of_pictures(value)
    elif name in PICTURES:
        column = read_pictures(value, name)
    else:
        column = _check_known_numbers(name, value)
    shape = tuple(column.shape)
    broadcastable = name in ("camera", "rotation", "side", "domain") and shape == row
    fits = len(shape) == len(row) + 1 and all(
        have == want or (isinstance(want, str) and (have != 0 or name == "table"))
        for have, want in zip(shape[1:], row, strict=True)
    )
    if not (fits or broadcastable):
        wanted = ", ".join(["n_samples", *map(str, row)])
        raise InputError(f"{name}: expected shape ({wanted}): {meaning}; got {describe(value)}.")
    if name in PICTURES:
        _check_kind_of_pictures(name, np.dtype(column.dtype))
    return column


def _check_domains(value: Any) -> np.ndarray:
    array = read_array(value, "domain", "one name a row")
    if array.dtype.kind == "O":
        unnamed = [each is None or (isinstance(each, float) and each != each) for each in array.ravel()]
        if not all(unnamed):  # a row without a name, as data frames have it
            array = np.where(np.reshape(unnamed, array.shape), "", array)
    if array.dtype.kind != "U" and not all(isinstance(each, str) for each in array.ravel()):
        raise InputError(f"domain: expected one name a row, got {describe(value)}.")
    return array


def _check_kind_of_pictures(name: str, dtype: np.dtype) -> None:
    if name == "rgb" and dtype != np.uint8 and dtype.kind != "f":
        raise InputError(f"rgb: expected uint8 (0 to 255) or float (0 to 1), got dtype {dtype}.")
    if name == "depth" and dtype.kind not in "uif":
        raise InputError(f"depth: expected numbers (mm), got dtype {dtype}.")
    if name == "mask" and dtype.kind not in "bui":
        raise InputError(
            f"mask: expected bool, or integers that are 0 outside of the hand, got dtype {dtype}."
        )


def _check_numbers_of_pictures(value: Any) -> np.ndarray:
    array = read_numbers(value, "picture", "integers from 0")
    if array.size and (array.dtype.kind not in "iu" or array.min() < 0):
        raise InputError(f"picture: expected integers from 0, got {describe(value)}.")
    return array.astype(np.int64)


def _check_known_numbers(name: str, value: Any) -> np.ndarray:
    """Return floats as they are, other numbers as float64, if what is not NaN is finite and in its range."""
    array = read_numbers(value, name)
    array = array if array.dtype.kind == "f" else array.astype(np.float64)
    if np.isinf(array).any():
        rows = np.flatnonzero(np.isinf(np.atleast_1d(array)).any(axis=tuple(range(1, array.ndim))))
        where = f" in the rows {some_rows(rows)}" if len(rows) else ""
        raise InputError(f"{name}: expected finite numbers, or NaN where unknown, got infinity{where}.")
    low, high = _RANGES.get(name, (-np.inf, np.inf))
    if ((array < low) | (array > high)).any():
        bound = f"from {low:g} to {high:g}" if np.isfinite(high) else f">= {low:g}"
        raise InputError(f"{name}: expected numbers {bound}, or NaN; got {describe(value)} with others.")
    return array


def _check_rows(rows: Any) -> Any:
    """Return what chooses rows: an integer, a slice or a 1-D array of integers or truth values."""
    expected = "rows (an index, a slice or an array)"
    if isinstance(rows, tuple) and len(rows) == 2 and rows[1] is Ellipsis:
        rows = rows[0]
    if rows is Ellipsis or isinstance(rows, slice):
        return rows
    if isinstance(rows, HandFrames):
        raise InputError(f"HandFrames: expected {expected}, got {rows!r}.")
    array = read_array(rows, "HandFrames", expected)
    if array.size == 0 and array.ndim == 1:
        array = array.astype(np.intp)
    if (
        isinstance(rows, str | tuple)
        or array.dtype.kind not in "iub"
        or (array.ndim == 0 and array.dtype == bool)
    ):
        raise InputError(f"HandFrames: expected {expected}, got {rows!r}.")
    if array.ndim > 1:
        raise InputError(f"HandFrames: expected rows along one axis, got {describe(rows)}.")
    return array
