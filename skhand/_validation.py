"""Check input: every error names the argument, what came and what was expected."""

from __future__ import annotations

import numbers
import sys
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from skhand.exceptions import CameraError, InputError

SIDES = ("left", "right")


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, pointing at the user's line, however deep below it in skhand or scikit-learn this is called."""
    frame, level = sys._getframe(1), 2
    inside = ("skhand.", "sklearn.", "skorch.")
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(inside):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def describe(value: Any) -> str:
    """Describe ``value`` in a few words, for an error message."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{type(value).__name__} of shape {tuple(shape)}, dtype {getattr(value, 'dtype', '?')}"
    if isinstance(value, str | numbers.Number) or value is None:
        return repr(value)
    try:
        return f"{type(value).__name__} of length {len(value)}"
    except TypeError:
        return type(value).__name__


def check_shape(value: Any, name: str, shape: tuple[int | str, ...], *, leading: bool = False) -> np.ndarray:
    """Check that ``value`` has the shape, and return it as an array.

    Parameters
    ----------
    value : array-like
        What the user gave.
    name : str
        The argument's name, for the error.
    shape : tuple of int or str
        Expected shape; a string stands for any size and names it in the error.
    leading : bool, default=False
        Whether any number of further axes may stand in front of ``shape``.

    Returns
    -------
    array : ndarray

    Raises
    ------
    InputError
        If the number of axes or a fixed size differs.
    """
    array = np.asarray(value)
    got = array.shape[array.ndim - len(shape) :] if leading and array.ndim >= len(shape) else array.shape
    ok = len(got) == len(shape) and all(
        isinstance(want, str) or have == want for have, want in zip(got, shape, strict=True)
    )
    if not ok:
        wanted = ", ".join(str(size) for size in shape)
        wanted = f"(..., {wanted})" if leading else f"({wanted}{',' if len(shape) == 1 else ''})"
        raise InputError(f"{name}: expected an array of shape {wanted}, got {describe(value)}.")
    return array


def check_option(value: Any, name: str, options: Iterable[Any]) -> Any:
    """Return ``value`` if it is one of ``options``, else raise an `InputError` that lists them."""
    options = list(options)
    value = value.item() if isinstance(value, np.generic) else value  # a search over an array hands these out
    if not any(value is option or (type(value) is type(option) and value == option) for option in options):
        listed = ", ".join(repr(option) for option in options)
        raise InputError(f"{name}: expected one of {listed}, got {value!r}.")
    return value


def check_number(
    value: Any,
    name: str,
    *,
    integer: bool = False,
    low: float = -np.inf,
    high: float = np.inf,
    include_low: bool = True,
    allow_infinity: bool = False,
) -> Any:
    """Return ``value`` if it is a number in the interval, else raise an `InputError`.

    Parameters
    ----------
    value : object
        What the user gave.
    name : str
        The argument's name, for the error.
    integer : bool, default=False
        Whether only whole numbers are accepted.
    low, high : float
        The interval; ``high`` is included.
    include_low : bool, default=True
        Whether ``low`` itself is accepted.
    allow_infinity : bool, default=False
        Whether infinity is accepted where the interval includes it.

    Returns
    -------
    value : int or float

    Raises
    ------
    InputError
        If it is no number (True, False and NaN are none), outside the interval, or infinite.
    """
    kind: Any = numbers.Integral if integer else numbers.Real
    if isinstance(value, kind) and not isinstance(value, bool | np.bool_):
        above = value >= low if include_low else value > low
        if above and value <= high and (allow_infinity or abs(value) != np.inf):
            return value
    bound = f"{'>=' if include_low else '>'} {low:g}" if np.isfinite(low) else ""
    bound += f"{' and ' if bound else ''}<= {high:g}" if np.isfinite(high) else ""
    infinite = isinstance(value, numbers.Real) and abs(value) == np.inf
    what = "an integer" if integer else "a finite number" if infinite else "a number"
    raise InputError(f"{name}: expected {what}{' ' + bound if bound else ''}, got {value!r}.")


def check_camera(camera: Any, name: str = "camera", *, unknown: bool = False) -> np.ndarray:
    """Return cameras as float64 of shape (..., 3, 3), pixels.

    ``unknown`` says whether a matrix may be NaN as a whole: a row without a camera.

    Raises
    ------
    CameraError
        If the last two axes are not 3 x 3, a value is not finite (it names the rows), a focal length is zero
        or the last row is not ``(0, 0, 1)``.
    """
    if camera is None:
        raise CameraError(f"{name}: expected camera matrices of shape (..., 3, 3), got None.")
    array = np.asarray(camera, dtype=np.float64)
    if array.ndim < 2 or array.shape[-2:] != (3, 3):
        raise CameraError(f"{name}: expected camera matrices of shape (..., 3, 3), got {describe(camera)}.")
    matrices = array.reshape(-1, 3, 3)
    known = ~np.isnan(matrices).all(axis=(1, 2)) if unknown else np.ones(len(matrices), dtype=bool)
    broken = np.flatnonzero(known & ~np.isfinite(matrices).all(axis=(1, 2)))
    if len(broken):
        where = "" if array.ndim == 2 else f" in the rows {some_rows(broken)}"
        raise CameraError(f"{name}: expected finite numbers, got NaN or infinity{where}.")
    matrices = matrices[known]
    if not np.allclose(matrices[:, 2], (0.0, 0.0, 1.0), atol=1e-6):
        raise CameraError(f"{name}: expected the last row (0, 0, 1), got {matrices[0, 2]}.")
    if (np.abs(np.linalg.det(matrices[:, :2, :2])) < 1e-12).any():
        raise CameraError(f"{name}: expected non-zero focal lengths, got a singular matrix.")
    return array


def some_rows(rows: np.ndarray) -> str:
    """List the first few row numbers, for an error message."""
    return f"[{', '.join(map(str, rows[:5]))}{', ...' if len(rows) > 5 else ''}]"


def check_side(side: Any, name: str = "side") -> np.ndarray:
    """Return the sides as an array of 'left' and 'right'."""
    array = np.asarray(side)
    if array.dtype.kind not in "UO" or not np.isin(array, SIDES).all():
        odd = array[~np.isin(array, SIDES)] if array.dtype.kind in "UO" else array
        raise InputError(f"{name}: expected 'left' or 'right', got {odd.ravel()[:3].tolist()}.")
    return array.astype("U5")


def check_flag(value: Any, name: str) -> bool:
    """Return ``value`` if it is True or False, else raise an `InputError`."""
    return check_option(value, name, (True, False))


def check_seed(value: Any, name: str = "random_state") -> np.random.RandomState:
    """Return the generator that a ``random_state`` means, else raise an `InputError`."""
    try:
        return check_random_state(value)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name}: expected an integer from 0 to 4294967295, a RandomState or None, got {describe(value)}."
        ) from error


def check_one_camera(camera: Any, name: str = "camera") -> np.ndarray:
    """Return one camera as float64 of shape (3, 3), px, else raise a `CameraError`."""
    try:
        array = check_camera(camera, name)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise CameraError(f"{name}: expected a matrix of numbers, got {describe(camera)}.") from error
    if array.shape != (3, 3):
        raise CameraError(f"{name}: expected one matrix (3, 3) for all pictures, got {describe(camera)}.")
    return array
