"""Compute the distance of each predicted joint from the true one, which every metric starts from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar

import numpy as np

from skhand._validation import (
    check_mask,
    check_number,
    check_option,
    describe,
    read_numbers,
    warn_user,
)
from skhand.exceptions import InputError
from skhand.geometry import align_root, align_scale, procrustes
from skhand.skeleton import JOINTS, joint_index

__all__ = ["joint_errors"]

ALIGNMENTS = (None, "root", "root+scale", "procrustes")
ROOT_JOINTS = ("keep", "zero", "drop")

# how far from the origin the mean of a hand's joints lies, in root mean squares about it: at most 2.2 where
# the hand is relative to one of its joints, at least 5 in front of a camera
_NEAR, _FAR = 2.5, 4.0

Metric = TypeVar("Metric", bound=Callable[..., Any])


class ErrorOptions(TypedDict, total=False):
    """The keywords of `joint_errors`, which every metric takes and hands on to it."""

    visible: Any
    align: str | None
    root: str | int
    root_joint: str
    n_dims: int


def joint_errors(
    y_true: Any,
    y_pred: Any,
    *,
    visible: Any = None,
    align: str | None = None,
    root: str | int = "palm",
    root_joint: str = "keep",
    n_dims: int = 3,
) -> np.ndarray:
    """Compute the Euclidean distance of each predicted joint from the true one.

    It is taken after the alignment that ``align`` names.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_joints, n_dims) or (n_samples, n_joints * n_dims), mm or px
        True joints. A joint with a NaN coordinate is not counted.
    y_pred : array-like of the same number of joints, in either shape, same unit as ``y_true``
        Predicted joints.
    visible : array-like of shape (n_samples, n_joints), bool, optional
        Joints that count; all labelled joints by default.
    align : {None, "root", "root+scale", "procrustes"}, default=None
        What is taken out before the distance. ``None``: nothing. ``"root"``: the position of the root, on
        both sides. ``"root+scale"``: then also the size, by the factor on the prediction that fits the
        counted joints best; for the ratio of a bone's lengths apply `skhand.geometry.align_scale` first.
        ``"procrustes"``: the shift, size and rotation (no reflection) that fit the counted joints best.
    root : str or int, default="palm"
        The root of ``align`` and of ``root_joint``: a joint's name, its index, or ``"palm"``, half way
        between wrist and middle MCP. Names need the 21 canonical joints; other layouts give an index.
        A root that is not ``visible`` is still used for the alignment; frames whose root is NaN in
        ``y_true`` cannot be aligned and are not counted.
    root_joint : {"keep", "zero", "drop"}, default="keep"
        How the root itself enters. ``"keep"``: as any joint, so with an error of 0 where ``align`` moves it
        onto the true one. ``"zero"``: with an error of 0. ``"drop"``: not at all. The palm is none of the 21
        joints; as in Zimmermann & Brox (2017), whose 21 joints have it in the wrist's place,
        ``"zero"`` and ``"drop"`` then speak of the wrist.
    n_dims : int, default=3
        Coordinates a joint in flattened arrays; 3-D arrays say it themselves.

    Returns
    -------
    errors : ndarray of shape (n_samples, n_joints), float64, same unit
        NaN where a joint is not counted.

    Warns
    -----
    UserWarning
        If nothing is aligned, and one side looks relative to a root and the other does not.

    Raises
    ------
    InputError
        If shapes differ, nothing is labelled and visible, or a prediction that counts is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.metrics import joint_errors
    >>> joint_errors([[[0.0, 0.0, 400.0]]], [[[3.0, 4.0, 400.0]]])
    array([[5.]])
    """
    true, pred = _check_both(y_true, y_pred, n_dims)
    check_option(align, "align", ALIGNMENTS)
    check_option(root_joint, "root_joint", ROOT_JOINTS)
    _check_root(root, true.shape[1], is_used=align in ("root", "root+scale") or root_joint != "keep")
    counted = np.isfinite(true).all(axis=2)
    if visible is not None:
        counted &= check_mask(visible, "visible", counted.shape)
    if not counted.any():
        raise InputError("y_true: expected at least one labelled and visible joint, got none.")
    _check_predictions(pred, counted)
    check_no_infinity(pred, "y_pred")
    true, pred = _align(true, pred, counted, align, root)
    errors = np.linalg.norm(pred - true, axis=2)
    errors[~counted] = np.nan
    if root_joint != "keep":
        place = 0 if root == "palm" else joint_index(root) if isinstance(root, str) else root
        errors[:, place] = np.where(counted[:, place], 0.0, np.nan) if root_joint == "zero" else np.nan
    if np.isnan(errors).all():
        raise InputError(
            f"y_true: expected at least one joint to count with align={align!r}, root={root!r} "
            f"and root_joint={root_joint!r}, got none (is the root labelled?)."
        )
    return errors


def list_options(**defaults: Any) -> Callable[[Metric], Metric]:
    """List the keywords of `joint_errors` in a metric's signature, where it says ``**options``.

    ``help``, editors and `make_pose_scorer` then see them by name. ``defaults`` are those in which the metric
    differs.
    """

    def list_in(metric: Metric) -> Metric:
        keyword, anything = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD
        own = [each for each in inspect.signature(metric).parameters.values() if each.kind is not anything]
        shared = [
            each.replace(default=defaults.get(name, each.default))
            for name, each in inspect.signature(joint_errors).parameters.items()
            if each.kind is keyword
        ]
        signature = inspect.signature(metric).replace(parameters=[*own, *shared])
        metric.__signature__ = signature  # type: ignore[attr-defined]
        return metric

    return list_in


def _align(
    true: np.ndarray, pred: np.ndarray, counted: np.ndarray, align: str | None, root: str | int
) -> tuple[np.ndarray, np.ndarray]:
    """Take out of the poses what ``align`` names."""
    if align is None:
        _warn_of_other_frame(true, pred, counted)
        return true, pred
    if align == "procrustes":
        return true, procrustes(pred, true, mask=counted)
    true, pred = align_root(true, root), align_root(pred, root)
    counted = counted & np.isfinite(true).all(axis=2)
    if not np.isfinite(pred[counted]).all():
        raise InputError("y_pred: expected a finite root in each frame that counts, got NaN or infinity.")
    if align == "root+scale":
        pred = align_scale(pred, true, root=None, mask=counted)
    return true, pred


def _warn_of_other_frame(true: np.ndarray, pred: np.ndarray, counted: np.ndarray) -> None:
    """Warn where one side looks relative to a root and the other does not."""
    if true.shape[2] != 3:
        return
    far = [_measure_distance(poses, counted) for poses in (true, pred)]
    if not (min(far) < _NEAR and max(far) > _FAR):
        return
    names = ("y_true", "y_pred") if far[0] < far[1] else ("y_pred", "y_true")
    warn_user(
        f"{names[0]}: these poses lie around the origin, as relative to their root, and those of {names[1]} "
        f"lie {max(far):.0f} times a hand's size away: the error is the distance of the two. Give both in "
        "one frame (predictions are absolute where X has the column root), or align='root'."
    )


def _measure_distance(poses: np.ndarray, counted: np.ndarray) -> float:
    """Measure how far from the origin poses lie, in sizes of the pose; NaN where none has a size."""
    weight = np.where(counted, 1.0, np.nan)[..., None]
    poses = (poses * weight)[counted.sum(axis=1) > 1]
    middle = np.nanmean(poses, axis=1, keepdims=True)
    size = np.sqrt(np.nanmean(((poses - middle) ** 2).sum(axis=2), axis=1))
    seen = size > 0
    return float(np.median(np.linalg.norm(middle[seen, 0], axis=1) / size[seen])) if seen.any() else np.nan


def _check_both(y_true: Any, y_pred: Any, n_dims: int) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and prediction as (n_samples, n_joints, n_dims); their shapes must be the same."""
    check_number(n_dims, "n_dims", integer=True, low=2, high=3)
    true, pred = check_poses(y_true, "y_true", n_dims), check_poses(y_pred, "y_pred", n_dims)
    if true.shape != pred.shape:
        raise InputError(
            f"y_pred: expected {true.shape} (n_samples, n_joints, n_dims) as in y_true, got {pred.shape}."
        )
    check_no_infinity(true, "y_true")
    return true, pred


def check_poses(y: Any, name: str, n_dims: int, protocol: str | None = None) -> np.ndarray:
    """Return poses as (n_samples, n_joints, n_dims), float64; a protocol's name fixes its n_dims."""
    array = np.empty(()) if y is None else read_numbers(y, name).astype(np.float64)
    if array.ndim == 2 and array.shape[1] % n_dims == 0:
        array = array.reshape(len(array), array.shape[1] // n_dims, n_dims)
    allowed = (2, 3) if protocol is None else (n_dims,)
    if array.ndim != 3 or array.shape[2] not in allowed or array.size == 0:
        wanted = (
            f"expected shape (n_samples, n_joints, 2 or 3), or flattened with n_dims={n_dims}"
            if protocol is None
            else f"{protocol} expects shape (n_samples, n_joints, {n_dims}) or flattened"
        )
        raise InputError(f"{name}: {wanted}; got {describe(array if array.ndim else y)}.")
    return array


def check_no_infinity(poses: np.ndarray, name: str) -> None:
    """Check that no joint is infinite: one that is not known is NaN."""
    if np.isinf(poses).any():
        raise InputError(f"{name}: expected finite numbers, or NaN where unlabelled; got infinity.")


def _check_root(root: str | int, n_joints: int, is_used: bool) -> None:
    """Check that the root is one, and that poses of this many joints have it where it is used."""
    if isinstance(root, str):
        check_option(root, "root", ("palm", *JOINTS))
        if is_used and n_joints != len(JOINTS):
            raise InputError(
                f"root: expected a joint's index for poses of {n_joints} joints, got {root!r}; "
                f"names are those of the {len(JOINTS)} canonical joints."
            )
    else:
        check_number(root, "root", integer=True, low=0, high=n_joints - 1)


def _check_predictions(pred: np.ndarray, counted: np.ndarray) -> None:
    """Check that the predictions of joints that count are finite."""
    broken = counted & ~np.isfinite(pred).all(axis=2)
    if broken.any():
        frame, joint = np.argwhere(broken)[0]
        raise InputError(
            f"y_pred: expected finite numbers, got NaN or infinity in {broken.sum()} of {counted.sum()} "
            f"joints that count, first in sample {frame}, joint {joint}."
        )
