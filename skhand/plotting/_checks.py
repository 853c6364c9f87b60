"""Validate what the Displays are given, before anything is predicted or drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand import _validation
from skhand._columns import ImageFiles
from skhand._pictures import is_pictures, stack_pictures
from skhand._validation import check_number, check_option, check_shape, describe, read_numbers, warn_user
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.metrics import joint_errors
from skhand.metrics._errors import check_poses as metrics_poses
from skhand.skeleton import JOINTS, Layout, joint_index

_AT_ORIGIN = 120.0  # mm: joints of a hand are less far from its palm, and hands farther from a camera


def check_numbers(value: Any, name: str, shape: tuple[int | str, ...] | None = None) -> np.ndarray:
    """Return numbers as float64, of this shape where one is given; see `skhand._validation.check_shape`."""
    array = _validation.check_numbers(value, name, allow_nan=True)
    return array if shape is None else check_shape(array, name, shape)


def check_poses(poses: Any, name: str, layout: Layout | None = None) -> np.ndarray:
    """Return poses as float64 of shape (n_samples, n_joints, 3), from that or from flattened rows."""
    array = check_numbers(poses, name)
    if array.ndim == 2 and array.size and array.shape[1] % 3 == 0:
        array = array.reshape(len(array), -1, 3)
    fits = array.ndim == 3 and array.shape[2] == 3 and (layout is None or array.shape[1] == len(layout))
    if not fits or array.size == 0:
        joints = "n_joints" if layout is None else len(layout)
        raise InputError(
            f"{name}: expected at least one pose, shape (n_samples, {joints}, 3) or flattened, "
            f"got {describe(array)}."
        )
    return array


def check_pair(y_true: Any, y_pred: Any, layout: Layout) -> tuple[np.ndarray | None, np.ndarray]:
    """Return true poses, or None where none are known, and predicted ones of the same shape."""
    predicted = check_poses(y_pred, "y_pred", layout)
    if y_true is None:
        return None, predicted
    truth = check_poses(y_true, "y_true", layout)
    check_alike(truth, predicted)
    return truth, predicted


def warn_if_relative(predicted: np.ndarray, truth: np.ndarray | None = None) -> None:
    """Warn where predicted hands (n, n_joints, 3), mm, lie at the origin, and the true ones do not.

    Without truth, the hands are those that a camera is to see. `joint_errors` warns by itself.
    """
    if _typical_distance(predicted) < _AT_ORIGIN:
        far = None if truth is None else _typical_distance(truth) > 2 * _AT_ORIGIN
        if far is not False:
            hint = "align='root' compares them" if far else "they cannot be drawn in a picture"
            warn_user(f"y_pred: the hands lie around the origin, as if relative to their root; {hint}.")


def _typical_distance(poses: np.ndarray) -> float:
    """Return the median distance of joints from the origin, mm."""
    known = poses[np.isfinite(poses).all(axis=2)]
    return float(np.median(np.linalg.norm(known, axis=1))) if len(known) else np.nan


def check_alike(truth: np.ndarray, predicted: np.ndarray, name: str = "y_pred") -> None:
    """Validate that predictions have the shape of the truth."""
    if truth.shape != predicted.shape:
        raise InputError(f"{name}: expected {truth.shape} as y_true has, got {predicted.shape}.")


def check_joints(joints: Any, name: str, layout: Layout | None = None) -> np.ndarray:
    """Return joints (n_samples, n_joints, 2 or 3), or flattened rows of 3D ones, as float64."""
    array = check_numbers(joints, name)
    if array.size == 0:
        raise InputError(f"{name}: expected at least one row of joints, got {describe(array)}.")
    array = metrics_poses(array, name, 3)
    if layout is not None and array.shape[1] != len(layout):
        raise InputError(f"{name}: expected {len(layout)} joints as in the layout, got {array.shape[1]}.")
    return array


def check_y(y: Any, n_rows: int, layout: Layout | None = None, *, flat: bool = False) -> np.ndarray | None:
    """Return the true joints that belong to the rows of X, or None where none are known.

    ``flat`` says whether they may be keypoints in a picture.
    """
    if y is None:
        return None
    truth = check_joints(y, "y", layout) if flat else check_poses(y, "y", layout)
    if len(truth) != n_rows:
        raise InputError(f"y: expected as many rows as X ({n_rows}), got {len(truth)}.")
    if np.isinf(truth).any() or not np.isfinite(truth).all(axis=2).any():
        raise InputError("y: expected at least one known joint, NaN where unknown and no infinity.")
    return truth


def require_truth(y: Any, n_rows: int, options: dict[str, Any], layout: Layout | None = None) -> np.ndarray:
    """Return the truth that predictions will be compared with; errors come before anything is predicted."""
    truth = check_y(y, n_rows, layout, flat=True)
    if truth is None:
        raise InputError("y: expected true joints to compare with, got None.")
    joint_errors(truth, np.nan_to_num(truth), **options)
    return truth


def predict_joints(estimator: Any, X: Any, truth: np.ndarray) -> np.ndarray:
    """Predict the joints that are to be compared with the truth ``y``."""
    predicted = check_joints(estimator.predict(X), "y_pred")
    if predicted.shape != truth.shape:
        raise InputError(f"y: expected {predicted.shape} as the estimator predicts, got {truth.shape}.")
    return predicted


def check_root(root: Any, n_joints: int) -> None:
    """Validate a root of so many joints, also where nothing is aligned by it."""
    if isinstance(root, str):
        check_option(root, "root", ("palm", *JOINTS))
    else:
        check_number(root, "root", integer=True, low=0, high=n_joints - 1)


def find_root(root: Any, layout: Layout, align: Any) -> str | int:
    """Return the root as `skhand.skeleton.root_position` takes it: an index, where the layout is not ours.

    A layout that lacks the palm, the default, may do so where nothing is aligned by its root.
    """
    if isinstance(root, str) and layout.joints == JOINTS:
        return check_option(root, "root", ("palm", *JOINTS))
    aligned = isinstance(align, str) and align in ("root", "root+scale")
    if isinstance(root, str) and root == "palm" and not aligned:
        return root
    if isinstance(root, str):
        return joint_index(check_option(root, "root", layout.joints), layout)
    return int(check_number(root, "root", integer=True, low=0, high=len(layout) - 1))


def check_axes(ax: Any, *, in_3d: bool = False) -> None:
    """Validate that ``ax`` is None or matplotlib axes, with three dimensions where they are needed."""
    if ax is None:
        return
    wanted = "matplotlib 3D axes" if in_3d else "matplotlib axes of two dimensions"
    is_axes = all(hasattr(ax, name) for name in ("plot", "figure", "transAxes"))
    if not is_axes or hasattr(ax, "get_zlim") != in_3d:
        raise InputError(f"ax: expected None or {wanted}, got {describe(ax)}.")


def check_view(elev: Any, azim: Any) -> None:
    """Validate the two angles of a view, degrees."""
    check_number(elev, "elev", low=-360, high=360)
    check_number(azim, "azim", low=-360, high=360)


def check_name(name: Any, argument: str = "name") -> None:
    """Validate the text for a legend or an axis, or None."""
    if not (name is None or isinstance(name, str)):
        raise InputError(f"{argument}: expected a str or None, got {describe(name)}.")


def check_unit(unit: Any) -> str:
    """Return the name of a unit."""
    if not isinstance(unit, str):
        raise InputError(f"unit: expected a str, got {describe(unit)}.")
    return unit


def check_method(estimator: Any, method: str, argument: str = "estimator") -> None:
    """Validate that an estimator can do what a Display asks of it."""
    if isinstance(estimator, type) or not callable(getattr(estimator, method, None)):
        raise InputError(
            f"{argument}: expected a fitted estimator with `{method}`, got {describe(estimator)}."
        )


def check_rows(X: Any, name: str = "X") -> Any:
    """Return X with at least one row; paths and PIL pictures become pictures."""
    if is_pictures(X):
        return stack_pictures(X, name)
    if not (isinstance(X, HandFrames | ImageFiles) or hasattr(X, "iloc")):
        X = read_numbers(X, name, "rows of numbers, pictures or a HandFrames")
        if X.ndim < 2:
            raise InputError(
                f"{name}: expected rows of numbers, pictures or a HandFrames, got {describe(X)}."
            )
    if len(X) == 0:
        raise InputError(f"{name}: expected at least one row, got {describe(X)}.")
    return X


def check_row(row: Any, n_rows: int) -> int:
    """Return the number of one of so many rows; negative ones count from the end."""
    return int(check_number(row, "row", integer=True, low=-n_rows, high=n_rows - 1)) % n_rows


def take_rows(X: Any, rows: np.ndarray) -> Any:
    """Return some rows of X."""
    if isinstance(X, HandFrames | ImageFiles):
        return X[rows]
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    return X[rows]


def find_pictures(X: Any, rows: np.ndarray) -> np.ndarray | None:
    """Read the colour or depth pictures of some rows; None where X has none."""
    chosen = take_rows(X, rows)
    if isinstance(chosen, HandFrames):
        column = chosen.rgb if chosen.rgb is not None else chosen.depth
        return None if column is None else np.asarray(column)
    pictures = np.asarray(chosen)
    is_colour = pictures.ndim == 4 and pictures.shape[3] == 3
    is_depth = pictures.ndim == 3 and min(pictures.shape[1:]) > 3  # else joints
    return pictures if (is_colour or is_depth) and pictures.dtype.kind in "uifb" else None


def check_pictures(pictures: Any, name: str, n_rows: int | None = None) -> np.ndarray:
    """Return pictures (n, height, width, 3) or (n, height, width), of numbers that can be drawn."""
    array = read_numbers(pictures, name)
    is_colour = array.ndim == 4 and array.shape[3] == 3
    if not (is_colour or array.ndim == 3) or array.size == 0 or n_rows not in (None, len(array)):
        count = "" if n_rows is None else f"{n_rows} "
        raise InputError(
            f"{name}: expected {count}pictures, colour (n, height, width, 3) or depth (n, height, width), "
            f"got {describe(array)}."
        )
    if not np.isfinite(array).all():
        raise InputError(f"{name}: expected finite numbers, got NaN or infinity.")
    if is_colour and array.dtype != np.uint8:
        high = 1 if array.dtype.kind in "fb" else 255
        if not ((array >= 0) & (array <= high)).all():
            raise InputError(
                f"{name}: expected colours of uint8, or floats from 0 to 1, got {array.dtype} from "
                f"{array.min():g} to {array.max():g}."
            )
    return array
