"""Checks of the parameters that estimators have, one for each name.

A check is called with the value and the name, and raises an `InputError` that names it. An estimator lists
those of its parameters in ``_checks``, so that all are validated before any work;
`PoseEstimator._validate_parameters` adds what concerns several parameters together.
"""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from skhand._validation import (
    check_bool,
    check_number,
    check_one_camera,
    check_option,
    check_seed,
    check_shape,
    describe,
)
from skhand.estimators._inputs import check_given
from skhand.estimators._stages import Stages
from skhand.exceptions import InputError
from skhand.geometry import bone_length
from skhand.skeleton import BONES, JOINTS
from skhand.training import MODALITIES, check_augment, check_callbacks, resolve_device

__all__ = [
    "CAMERA",
    "COMMON",
    "Check",
    "by_stage",
    "check_bone",
    "check_bones",
    "check_file",
    "number",
    "one_of",
    "optional",
    "width",
]

Check = Callable[[Any, str], object]

_WIDEST = 2**16  # numbers of one layer


def number(**limits: Any) -> Check:
    """Return the check of a number; ``limits`` are those of `check_number`.

    Whole numbers beyond 64 bits are refused where fractions are taken: torch cannot multiply by them.
    """

    def check(value: Any, name: str) -> None:
        check_number(value, name, **limits)
        if not limits.get("integer") and isinstance(value, numbers.Integral) and abs(int(value)) >= 2**63:
            raise InputError(f"{name}: expected a float or a whole number of 64 bits, got a larger one.")

    return check


def width(high: int = _WIDEST) -> Check:
    """Return the check of a size of the network: a whole number that memory can hold."""
    return number(integer=True, low=1, high=high)


def one_of(*options: Any) -> Check:
    """Return the check of one of some values."""
    return lambda value, name: check_option(value, name, options)


def optional(check: Check) -> Check:
    """Return a check that also takes None."""
    return lambda value, name: None if value is None else check(value, name)


def by_stage(stages: Stages, **limits: Any) -> Check:
    """Return the check of a number, or of a dict with one for stages."""
    return lambda value, name: stages.spread(value, name, check=number(**limits))


def check_bone(value: Any, name: str) -> None:
    """Validate two different names of joints."""
    known = ("palm", *JOINTS)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise InputError(f"{name}: expected the names of two joints, got {describe(value)}.")
    for joint in value:
        check_option(joint, name, known)
    bone_length(np.zeros((1, len(JOINTS), 3)), (value[0], value[1]))


def check_bones(value: Any, name: str) -> None:
    """Validate one length above 0 (mm) for each bone."""
    try:
        bones = check_shape(value, name, (len(BONES),)).astype(np.float64)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: expected {len(BONES)} lengths (mm), got {describe(value)}.") from error
    if not ((bones > 0) & np.isfinite(bones)).all():
        raise InputError(f"{name}: expected lengths above 0 (mm), got {bones.tolist()}.")


def _check_root(value: Any, name: str) -> None:
    """Validate a joint's name or index; whether y has that joint is seen when y is read."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        check_number(value, name, integer=True, low=0)
        return
    check_option(value, name, ("palm", *JOINTS))


def _check_image_shape(value: Any, name: str) -> None:
    """Validate (height, width) or (height, width, channels), px."""
    if not isinstance(value, tuple | list) or len(value) not in (2, 3):
        raise InputError(f"{name}: expected (height, width) or (height, width, 3), px, got {value!r}.")
    for size in value:
        check_number(size, name, integer=True, low=1)


def check_file(value: Any, name: str) -> None:
    """Validate the path of a file."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise InputError(f"{name}: expected the path of a file, or None, got {describe(value)}.")


def _check_decay(value: Any, name: str) -> None:
    """Validate the decay of averaged weights."""
    check_number(value, name, low=0, high=1, include_low=False)
    if value == 1:
        raise InputError(f"{name}: expected a decay below 1, got 1, which would learn nothing.")


def _check_verbose(value: Any, name: str) -> None:
    """Validate True, False or a level, as scikit-learn has them."""
    if not isinstance(value, bool | np.bool_):
        check_number(value, name, integer=True, low=0)


def _check_augment(value: Any, name: str) -> None:
    """Validate augmentation settings."""
    if not (isinstance(value, str) and value in ("auto", "paper")):
        check_augment(value)


COMMON: dict[str, Check] = {
    "augment": _check_augment,
    "averaging": optional(_check_decay),
    "batch_size": number(integer=True, low=1),
    "callbacks": lambda value, name: check_callbacks(value),
    "checkpoint": optional(check_file),
    "device": lambda value, name: resolve_device(value),
    "early_stopping": check_bool,
    "flat_poses": check_bool,
    "given": lambda value, name: check_given(value),
    "image_shape": optional(_check_image_shape),
    "lr": number(low=0, include_low=False),
    "lr_schedule": one_of("constant", "cosine"),
    "max_epochs": number(integer=True, low=1),
    "n_iter_no_change": number(integer=True, low=1),
    "n_jobs": optional(number(integer=True, low=0, high=1024)),
    "precision": one_of("auto", "float32", "bfloat16"),
    "predict_precision": one_of("float32", "bfloat16"),
    "random_state": check_seed,
    "root": _check_root,
    "source": one_of("auto", *MODALITIES),
    "tol": number(low=0, high=1),
    "validation_fraction": number(low=0, high=0.9, include_low=False),
    "verbose": _check_verbose,
    "warm_start": check_bool,
}
"""The parameters that all estimators have."""

CAMERA: Check = optional(check_one_camera)
