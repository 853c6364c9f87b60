"""From what a user calls ``X`` and ``y`` to checked columns."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import _num_samples, check_array, validate_data

from skhand._columns import CheckedColumn, in_memory
from skhand._pictures import is_pictures, stack_pictures
from skhand._validation import check_option, check_shape, read_array, read_numbers, some_rows
from skhand.exceptions import InputError, SideInformationError
from skhand.frames import HandFrames
from skhand.geometry import rotate_points
from skhand.training import MODALITIES

GIVEN = ("root", "scale", "side")
_NO_NAME = ("", "None", "nan")  # of a domain, as text


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Let every error of bad input in this block name the argument: scikit-learn's and numpy's may not.

    Parameters
    ----------
    name : str
        The argument. "X_val" and "y_val" also take the place of "X" and "y" at the beginning of a message.
    """
    try:
        yield
    except (
        TypeError,
        ValueError,
        RuntimeError,
        OverflowError,
    ) as error:  # RuntimeError: tensors with gradients
        text, plain = str(error), name.removesuffix("_val")
        if text.startswith(f"{plain}: ") and plain != name:
            raise type(error)(name + text.removeprefix(plain)) from error
        if isinstance(error, InputError) or re.search(rf"\b{name}\b", text):
            raise
        kind = TypeError if isinstance(error, TypeError) else InputError  # scikit-learn asks for the first
        raise kind(f"{name}: {text}") from error


def find_source(
    X: Any, source: str, image_shape: tuple[int, ...] | None, allowed: Sequence[str] | None = None
) -> str:
    """Return the modality of ``X``, read off its columns or its shape where ``source`` is "auto".

    Of a HandFrames' columns the first in the order of ``allowed`` is taken, or else of `MODALITIES`, poses
    left out.

    Raises
    ------
    InputError
        If ``source`` is unknown, or X is a HandFrames without any input column.
    """
    check_option(source, "source", ("auto", *MODALITIES))
    if source != "auto":
        return source
    if is_pictures(X):
        return "rgb"
    if isinstance(X, HandFrames):
        order = allowed or [name for name in MODALITIES if name != "pose3d"]
        for name in order:
            if name in X.columns:
                return name
        raise InputError(f"X: expected a HandFrames with {' or '.join(order)}, got the columns {X.columns}.")
    shape, dtype = getattr(X, "shape", None), getattr(X, "dtype", None)
    if shape is None:
        try:
            array = np.asarray(X)
            shape, dtype = array.shape, array.dtype
        except (ValueError, RuntimeError):  # ragged rows; scikit-learn's own check says so below
            shape = ()
    if len(shape) == 2 and image_shape is not None:
        shape = (shape[0], *image_shape)
    kind = dtype if isinstance(dtype, np.dtype) else None
    for name, record in MODALITIES.items():
        if record.matches(tuple(shape), kind or np.float64):
            return name
    return "table"


def read_input(
    estimator: Any, X: Any, source: str, image_shape: tuple[int, ...] | None, reset: bool
) -> dict[str, Any]:
    """Return X's columns by name, checked; plain arrays become the one column ``source``.

    Parameters
    ----------
    estimator : estimator
        Receives ``n_features_in_`` (and ``feature_names_in_`` for data frames) when ``reset``.
    X : HandFrames, array-like, path, PIL picture or list of these
        What the user gave. Files and PIL pictures are colour pictures, all of one size.
    source : str
        Modality of the input.
    image_shape : tuple of int or None
        Shape of one picture where X may have flattened rows.
    reset : bool
        Whether this is ``fit``.

    Returns
    -------
    columns : dict of str to array-like
        ``side`` as 0 (left) and 1 (right), ``domain`` as 0 (synthetic), 1 (any other) and -1 (no name).

    Raises
    ------
    InputError
        If X has no rows, no such column, or a column is not what it should be.
    """
    with naming("X"):
        return _read_input(estimator, X, source, image_shape, reset)


def _read_input(
    estimator: Any, X: Any, source: str, image_shape: tuple[int, ...] | None, reset: bool
) -> dict[str, Any]:
    """Return X's columns by name, checked; see `read_input`."""
    record = MODALITIES[source]
    if isinstance(X, HandFrames):
        columns = {name: getattr(X, name) for name in X.columns}
        for name, each in MODALITIES.items():
            if name in columns and not each.is_image:
                each.check_values(columns[name])
        if "side" in columns:
            columns["side"] = (columns["side"] == "right").astype(np.int64)
        if "domain" in columns:
            names = columns["domain"].astype(str)
            columns["domain"] = (names != "synthetic").astype(np.int64)
            columns["domain"][np.isin(names, _NO_NAME)] = -1
        _check_maps(columns)
        if {"visible", "keypoints2d"} <= columns.keys():
            check_shape(columns["visible"], "visible", (len(X), columns["keypoints2d"].shape[1]))
        if source not in columns:
            raise InputError(f"source: X has no column {source!r}; its columns are {X.columns}.")
    else:
        columns = {source: _read_array(estimator, X, source, image_shape, reset)}
    if len(columns[source]) == 0:
        raise InputError(f"X: expected at least 1 sample, got 0 sample(s) (shape={np.shape(X)}).")
    if record.is_image:
        record.check_values(columns[source])
    elif not reset and not np.isfinite(columns[source]).all():
        raise InputError(f"X: expected finite {source}, got NaN or infinity.")
    return {name: _check_when_read(name, column) for name, column in columns.items()}


def _check_when_read(name: str, column: Any) -> Any:
    """Return pictures of floats that are not in memory so that each row is checked as it is read."""
    record = MODALITIES.get(name)
    if record is None or not record.is_image or in_memory(column) or np.dtype(column.dtype).kind != "f":
        return column
    return CheckedColumn(column, record.check_values)


def _check_maps(columns: dict[str, Any]) -> None:
    """Check that ``rotation`` and ``affine`` can be undone."""
    if "rotation" in columns:
        product = columns["rotation"] @ np.swapaxes(columns["rotation"], -1, -2)
        if not (np.abs(product - np.eye(3)) < 1e-4).all():
            raise InputError("rotation: expected orthogonal matrices, got others or NaN.")
    if "affine" in columns and not (np.abs(np.linalg.det(columns["affine"])) > 1e-12).all():
        raise InputError("affine: expected matrices that can be inverted, got a singular one or NaN.")


def _read_array(estimator: Any, X: Any, source: str, image_shape: Any, reset: bool) -> Any:
    """Return a plain array, or files and PIL pictures, as a checked column."""
    if is_pictures(X):
        if source != "rgb":
            raise InputError(
                f"X: files and PIL pictures are colour pictures, and the input is {source}; expected a "
                f"HandFrames, for example with {source}=ImageFiles(paths, gray=True), or an array."
            )
        return stack_pictures(X)
    if not hasattr(X, "shape") or hasattr(X, "detach"):
        X = read_array(X, "X", "an array or a HandFrames")
    if source == "table":
        return validate_data(estimator, X, dtype=np.float64, reset=reset)
    record = MODALITIES[source]
    if getattr(X, "ndim", 2) <= 2:
        own = reset or source == estimator.source_  # n_features_in_ counts the source that was fitted
        flat = validate_data(estimator, X, dtype=None, reset=reset) if own else check_array(X, dtype=None)
        if source == "pose3d" and not reset and not estimator.poses_:
            return np.asarray(flat, dtype=np.float64)  # numbers that are no poses
        X = record.unflatten(flat, image_shape, type(estimator).__name__)
    X = record.as_rows(X)
    if record.is_image:
        return X
    array = np.asarray(X, dtype=np.float64)
    record.check_values(array)
    return array


def read_target(y: Any, n_samples: int) -> np.ndarray:
    """Return y as float64 of shape (n,), (n, k) or (n, J, 3); NaN is unlabelled.

    Raises
    ------
    InputError or ValueError
        If y is infinite, beyond float32, all NaN, of another length than X or of another number of axes.
    """
    options = {"ensure_2d": False, "allow_nd": True, "ensure_all_finite": "allow-nan", "input_name": "y"}
    with naming("y"):
        y = check_array(read_numbers(y, "y"), dtype=np.float64, **options)
    too_large = np.abs(y) > np.finfo(np.float32).max  # networks compute in float32
    if too_large.any():
        raise InputError(f"y: expected numbers that float32 holds, got {y[too_large].flat[0]:g}.")
    if y.ndim > 3:
        raise InputError(f"y: expected shape (n,), (n, k) or (n, n_joints, 3), got {y.shape}.")
    if y.ndim == 3:
        check_shape(y, "y", ("n_samples", "n_joints", 3))
    if _num_samples(y) != n_samples:
        raise InputError(
            "y: Found input variables with inconsistent numbers of samples: "
            f"X has {n_samples}, y has {len(y)}."
        )
    if np.isnan(y).all():
        raise InputError("y: expected at least one labelled row, got only NaN.")
    return y


def to_row_frame(poses: np.ndarray, columns: dict[str, Any]) -> np.ndarray:
    """Turn poses (n, J, 3), mm, from the original camera frame into each row's own, by ``rotation``."""
    return rotate_points(poses, columns["rotation"]) if "rotation" in columns else poses


def to_original_frame(decoded: np.ndarray, target: str, columns: dict[str, Any]) -> np.ndarray:
    """Bring decoded poses, mm, to the original camera frame, and keypoints, px, to the original picture."""
    return MODALITIES[target].to_original(decoded, columns) if target in MODALITIES else decoded


def require_poses(columns: dict[str, Any], poses: bool) -> None:
    """Check that what ``rotation`` turns is a pose.

    Raises
    ------
    InputError
        If X has a ``rotation`` and y is not made of poses.
    """
    if "rotation" in columns and not poses:
        raise InputError(
            "rotation: X has this column, which turns poses; expected y of shape (n, n_joints, 3), or "
            "flat_poses=True. For other targets take it away: X.replace(rotation=None)."
        )


def check_given(given: Any) -> tuple[str, ...]:
    """Return the parameter ``given`` as a tuple of names.

    Raises
    ------
    InputError
        If it is no collection of "root", "scale" and "side".
    """
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, tuple | list | set | frozenset):
        raise InputError(f"given: expected a tuple of {', '.join(GIVEN)}, got {given!r}.")
    return tuple(check_option(name, "given", GIVEN) for name in names)


def require_given(
    columns: dict[str, Any], given: tuple[str, ...], labelled: np.ndarray | None = None
) -> None:
    """Check that the side information that ``given`` promises is in X and usable.

    ``labelled`` says which rows have a label; the scale of others need not be known (NaN, or 0). None: all
    need one.

    Raises
    ------
    SideInformationError
        If the column is missing, or a scale is not a positive number.
    """
    for name in ("scale", "side"):
        if name in given and name not in columns:
            raise SideInformationError(
                f"X: given={given} needs a HandFrames with the column {name!r}, "
                f"got the columns {sorted(columns)}."
            )
    if "scale" in given:
        scale = np.asarray(columns["scale"], dtype=np.float64)
        known = (scale > 0) & np.isfinite(scale)
        usable = known if labelled is None else known | (~labelled & (np.isnan(scale) | (scale == 0)))
        if not usable.all():
            rows = np.flatnonzero(~usable)
            raise SideInformationError(
                "X: given 'scale' needs positive lengths (mm) in the column scale, "
                f"got {scale[rows[0]]:g} in the rows {some_rows(rows)}."
            )


def require_roots(columns: dict[str, Any]) -> None:
    """Check that the column ``root``, where predictions are put, is known in all rows.

    Raises
    ------
    SideInformationError
        If it is not.
    """
    known = np.isfinite(columns["root"]).all(axis=1)
    if not known.all():
        raise SideInformationError(
            "X: given 'root' needs finite positions (mm) in the column root, got NaN or infinity in the rows "
            f"{some_rows(np.flatnonzero(~known))}. X.replace(root=None) is answered relative to the root."
        )


def find_usable_rows(
    columns: dict[str, Any],
    rows: np.ndarray,
    pair: tuple[str, str],
    rooted: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return which rows have both modalities of a pair: an input without NaN, a target that is partly known.

    ``rooted`` makes poses relative to their root; a pose without its root is not usable.
    """
    usable = np.ones(len(rows), dtype=bool)
    for modality, need in zip(pair, (np.all, np.any), strict=True):
        if MODALITIES[modality].has_unknown and modality in columns:
            values = np.asarray(columns[modality])[rows]
            if modality == "pose3d":
                values = rooted(values)
            usable &= need(np.isfinite(values.reshape(len(rows), -1)), axis=1)
    return usable


def set_aside(
    labelled: np.ndarray, rows: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and the labelled ones to validate on.

    The same rows with the same seed, as at a warm start, set the same ones aside.

    Raises
    ------
    InputError
        If no labelled row would be left to train on.
    """
    n_val = max(1, round(fraction * len(labelled)))
    if n_val >= len(labelled):
        raise InputError(
            f"validation_fraction: expected labelled rows left to train on, "
            f"got {fraction} of {len(labelled)} labelled rows."
        )
    held_out = np.random.default_rng(seed).permutation(labelled)[:n_val]
    return np.setdiff1d(rows, held_out), held_out
