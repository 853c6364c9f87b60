"""From what a user calls ``X`` and ``y`` to checked columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import _num_samples, check_array, validate_data

from skhand._columns import in_memory
from skhand._validation import check_option, check_shape, describe
from skhand.exceptions import InputError, SideInformationError
from skhand.frames import HandFrames
from skhand.geometry import apply_affine, rotate_points

MODALITIES = ("rgb", "depth", "keypoints2d", "pose3d", "table")
IMAGES = ("rgb", "depth")
GIVEN = ("root", "scale", "side")
_ROW_AXES = {"rgb": 3, "depth": 2, "keypoints2d": 2, "pose3d": 2, "table": 1}
_SCAN = 256
_NO_NAME = ("", "None", "nan")  # of a domain, as text


def find_source(
    X: Any,
    source: str,
    image_shape: tuple[int, ...] | None,
    order: Sequence[str] = ("rgb", "depth", "keypoints2d", "table"),
) -> str:
    """Return the modality of ``X``, read off its columns or its shape where ``source`` is "auto".

    Of a HandFrames' columns the first of ``order`` is taken.

    Raises
    ------
    InputError
        If ``source`` is unknown, or X is a HandFrames without any input column.
    """
    check_option(source, "source", ("auto", *MODALITIES))
    if source != "auto":
        return source
    if isinstance(X, HandFrames):
        for name in order:
            if name in X.columns:
                return name
        raise InputError(f"X: expected a HandFrames with {' or '.join(order)}, got the columns {X.columns}.")
    shape = getattr(X, "shape", None)
    if shape is None:
        try:
            shape = np.asarray(X).shape
        except ValueError:  # ragged rows; scikit-learn's own check says so below
            shape = ()
    if len(shape) == 2 and image_shape is not None:
        shape = (shape[0], *image_shape)
    if len(shape) == 4:
        return "rgb"
    if len(shape) == 3:
        return {2: "keypoints2d", 3: "pose3d"}.get(shape[2], "depth")
    return "table"


def read_columns(
    estimator: Any, X: Any, source: str, image_shape: tuple[int, ...] | None, reset: bool
) -> dict[str, Any]:
    """Return X's columns by name, checked; plain arrays become the one column ``source``.

    Parameters
    ----------
    estimator : estimator
        Receives ``n_features_in_`` (and ``feature_names_in_`` for data frames) when ``reset``.
    X : HandFrames or array-like
        What the user gave.
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
    if isinstance(X, HandFrames):
        columns = {name: getattr(X, name) for name in X.columns}
        for name in ("keypoints2d", "pose3d", "table"):
            if name in columns and np.isinf(columns[name]).any():
                raise InputError(f"X: expected finite {name}, got infinity.")
        if "side" in columns:
            columns["side"] = (columns["side"] == "right").astype(np.int64)
        if "domain" in columns:
            names = columns["domain"].astype(str)
            columns["domain"] = (names != "synthetic").astype(np.int64)
            columns["domain"][np.isin(names, _NO_NAME)] = -1
        _check_maps(columns)
        if source not in columns:
            raise InputError(f"source: X has no column {source!r}; its columns are {X.columns}.")
    else:
        columns = {source: _plain_column(estimator, X, source, image_shape, reset)}
    if len(columns[source]) == 0:
        raise InputError(f"X: expected at least 1 sample, got 0 sample(s) (shape={np.shape(X)}).")
    if source in IMAGES:
        check_pictures(columns[source], source)
    elif not reset and not np.isfinite(columns[source]).all():
        raise InputError(f"X: expected finite {source}, got NaN or infinity.")
    return columns


def _check_maps(columns: dict[str, Any]) -> None:
    """Refuse a ``rotation`` or ``affine`` that leads nowhere back."""
    if "rotation" in columns:
        product = columns["rotation"] @ np.swapaxes(columns["rotation"], -1, -2)
        if not (np.abs(product - np.eye(3)) < 1e-4).all():
            raise InputError("rotation: expected orthogonal matrices, got others or NaN.")
    if "affine" in columns and not (np.abs(np.linalg.det(columns["affine"])) > 1e-12).all():
        raise InputError("affine: expected matrices that can be inverted, got a singular one or NaN.")


def _plain_column(
    estimator: Any, X: Any, source: str, image_shape: tuple[int, ...] | None, reset: bool
) -> Any:
    if source == "table":
        return validate_data(estimator, X, dtype=np.float64, reset=reset)
    axes = _ROW_AXES[source]
    if isinstance(X, list | tuple) or hasattr(X, "detach"):  # a torch tensor
        X = check_array(X, dtype=None, ensure_2d=False, allow_nd=True, ensure_all_finite=False)
    if getattr(X, "ndim", 2) <= 2:
        own = reset or source == estimator.source_  # n_features_in_ counts the source that was fitted
        flat = validate_data(estimator, X, dtype=None, reset=reset) if own else check_array(X, dtype=None)
        if source == "pose3d" and not reset and not estimator.poses_:
            return np.asarray(flat, dtype=np.float64)  # numbers that are no poses
        X = _unflatten(flat, source, image_shape, type(estimator).__name__)
    if X.ndim == 4 and source == "depth" and X.shape[-1] == 1:
        X = X[..., 0]
    if X.ndim != axes + 1 or (source == "rgb" and X.shape[-1] != 3):
        wanted = {
            "rgb": "(n, height, width, 3)",
            "depth": "(n, height, width)",
            "keypoints2d": "(n, n_joints, 2)",
            "pose3d": "(n, n_joints, 3)",
        }[source]
        raise InputError(f"X: expected {source} of shape {wanted}, got {describe(X)}.")
    if source in IMAGES:
        return X
    array = np.asarray(X, dtype=np.float64)
    if np.isinf(array).any():
        raise InputError(f"X: expected finite {source}, got infinity.")
    return array


def _unflatten(flat: np.ndarray, source: str, image_shape: tuple[int, ...] | None, name: str) -> np.ndarray:
    if source in IMAGES:
        if image_shape is None:
            raise InputError(f"X: flattened pictures of shape {flat.shape} need image_shape=, got None.")
        size = int(np.prod(image_shape))
        if size != flat.shape[1]:
            raise InputError(
                f"X has {flat.shape[1]} features, but {name} is expecting {size} features as input "
                f"(image_shape={tuple(image_shape)})."
            )
        return flat.reshape(len(flat), *image_shape)
    n_dims = 2 if source == "keypoints2d" else 3
    if flat.shape[1] % n_dims:
        raise InputError(f"X: expected rows of flattened {source}, got {flat.shape[1]} columns.")
    return flat.reshape(len(flat), -1, n_dims)


def check_pictures(column: Any, name: str) -> None:
    """Refuse NaN, and colours outside 0..1; uint8 needs no look. Files are judged by the first few.

    Raises
    ------
    InputError
    """
    kind = np.dtype(column.dtype)
    if kind == np.uint8 or (name == "depth" and kind.kind in "ui"):
        return
    if kind.kind != "f":
        raise InputError(f"X: expected {name} as uint8 or float, got dtype {kind}.")
    n = len(column) if in_memory(column) else min(len(column), 16)
    for start in range(0, n, _SCAN):
        part = np.asarray(column[start : min(start + _SCAN, n)])
        if not np.isfinite(part).all():
            raise InputError(f"X: expected finite pictures, got NaN or infinity in {name}.")
        low, high = float(part.min()), float(part.max())
        if name == "rgb" and (low < -1e-6 or high > 1 + 1e-6):
            raise InputError(
                "X: expected float pictures in 0 to 1 (or uint8 in 0 to 255), "
                f"got values from {low:g} to {high:g}."
            )
        if name == "depth" and low < 0:
            raise InputError(f"X: expected depth in mm, 0 or more, got {low:g}.")


def read_target(y: Any, n_samples: int) -> np.ndarray:
    """Return y as float64 of shape (n,), (n, k) or (n, J, 3); NaN is unlabelled.

    Raises
    ------
    InputError or ValueError
        If y is infinite, all NaN, of another length than X or of another number of axes.
    """
    y = check_array(
        y, dtype=np.float64, ensure_2d=False, allow_nd=True, ensure_all_finite="allow-nan", input_name="y"
    )
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
    if target == "pose3d" and "rotation" in columns:
        return rotate_points(decoded, np.swapaxes(columns["rotation"], -1, -2))
    if target == "keypoints2d" and "affine" in columns:
        return apply_affine(np.linalg.inv(columns["affine"]), decoded)
    return decoded


def require_poses(columns: dict[str, Any], poses: bool) -> None:
    """Check that what ``rotation`` turns is a pose.

    Raises
    ------
    InputError
        If X has a ``rotation`` and y is not made of poses.
    """
    if "rotation" in columns and not poses:
        raise InputError(
            "rotation: X has this column, which turns poses; expected y of shape (n, n_joints, 3) or "
            "(n, 63). For other targets take it away: X.replace(rotation=None)."
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

    ``labelled`` says which rows have a label; the others need no scale. None: all need one.

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
    if "scale" in given and not (columns["scale"][slice(None) if labelled is None else labelled] > 0).all():
        raise SideInformationError("X: given 'scale' needs positive lengths (mm) in the column scale.")


def usable_rows(
    columns: dict[str, Any],
    rows: np.ndarray,
    pair: tuple[str, str],
    rooted: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Which rows have both modalities of a pair: an input without NaN, a target that is partly known.

    ``rooted`` makes poses relative to their root; a pose without its root is not usable.
    """
    usable = np.ones(len(rows), dtype=bool)
    for modality, need in zip(pair, (np.all, np.any), strict=True):
        if modality not in IMAGES and modality in columns:
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


def rows_of_pairs(
    columns: dict[str, Any],
    rows: np.ndarray,
    pairs: Sequence[tuple[str, str]],
    rooted: Callable[[np.ndarray], np.ndarray],
) -> list[np.ndarray]:
    """Return for each pair the rows that can train it.

    Raises
    ------
    InputError
        If a pair has none.
    """
    pair_rows = [rows[usable_rows(columns, rows, pair, rooted)] for pair in pairs]
    for (source, target), usable in zip(pairs, pair_rows, strict=True):
        if len(usable) == 0:
            raise InputError(f"y: expected at least one row with {source} and {target}, got none.")
    return pair_rows
