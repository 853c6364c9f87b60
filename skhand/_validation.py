"""Check input: every error names the argument, what came and what was expected."""

from __future__ import annotations

import numbers
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from skhand.exceptions import CameraError, InputError

SIDES = ("left", "right")
#: The largest number that a float holds; integers are larger without an end.
LARGEST_FLOAT = sys.float_info.max
_LAST_ROW = np.array([0.0, 0.0, 1.0])  # of a camera


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, pointing at the user's line, however deep below it in skhand or scikit-learn this is called."""
    frame, level = sys._getframe(1), 2
    inside = ("skhand.", "sklearn.", "skorch.")
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(inside):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def count(n: int, noun: str) -> str:
    """Return a number of things in words: "1 hand", "2 hands"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def describe(value: Any) -> str:
    """Describe ``value`` in a few words, for an error message."""
    if isinstance(value, str):
        return repr(str(value)) if len(value) <= 100 else f"str of length {len(value)}"
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{type(value).__name__} of shape {tuple(shape)}, dtype {getattr(value, 'dtype', '?')}"
    if isinstance(value, numbers.Number) or value is None:
        return repr(value)
    try:
        return f"{type(value).__name__} of length {len(value)}"
    except TypeError:
        return type(value).__name__


def read_array(value: Any, name: str, expected: str = "an array") -> np.ndarray:
    """Return ``value`` as an array; masked entries become NaN.

    Raises
    ------
    InputError
        If it is None, ragged, a mapping or a tensor that requires gradients or lies on another device, or
        entries are masked that no NaN can stand for.
    """
    if type(value) is np.ndarray and value.ndim:
        return value
    if value is None or isinstance(value, Mapping | set | frozenset):
        raise InputError(f"{name}: expected {expected}, got {describe(value)}.")
    if getattr(value, "requires_grad", False) is True:
        raise InputError(
            f"{name}: expected {expected}, got a tensor that requires gradients; give {name}.detach()."
        )
    if isinstance(value, np.ma.MaskedArray):
        return _fill_masked(value, name, expected)
    try:
        array = np.asarray(value)
    except InputError as error:  # a HandFrames says what to do instead
        raise InputError(name + str(error).removeprefix("X")) from error
    except (TypeError, ValueError, RuntimeError) as error:
        reason = "inhomogeneous" in str(error)
        hint = " (rows of different lengths)" if reason else ""
        if hasattr(value, "detach"):  # bfloat16, or on a GPU
            hint = f"; give {name}.float().cpu()"
        raise InputError(f"{name}: expected {expected}, got {describe(value)}{hint}.") from error
    if array.shape == () and array.dtype == object and not isinstance(value, numbers.Number):
        raise InputError(f"{name}: expected {expected}, got {describe(value)}.")
    return array


def _fill_masked(value: np.ma.MaskedArray, name: str, expected: str) -> np.ndarray:
    if not np.ma.getmaskarray(value).any():
        return np.asarray(value.data)
    if value.dtype.kind == "f":
        return np.asarray(value.filled(np.nan))
    raise InputError(
        f"{name}: expected {expected}, got a masked array of {value.dtype}, in which nothing can stand for "
        "what is masked; fill it first: array.filled(...)."
    )


def read_numbers(value: Any, name: str, expected: str = "numbers") -> np.ndarray:
    """Return ``value`` as an array of real numbers or truth values, in its own dtype.

    Raises
    ------
    InputError
        As from `read_array`, and if it holds anything else: strings and None are no numbers.
    """
    array = read_array(value, name, expected)
    if array.dtype.kind in "buif":
        return array
    if array.dtype.kind == "O" and all(_is_real(entry) for entry in array.ravel()):
        try:
            return array.astype(np.float64)
        except OverflowError as error:
            raise InputError(f"{name}: expected {expected}, got an integer beyond float64.") from error
    odd = ""
    if array.size and array.dtype.kind in "OU" and not isinstance(value, str):
        first = next(entry for entry in array.ravel() if array.dtype.kind == "U" or not _is_real(entry))
        odd = f" with {describe(first)} in it"
    raise InputError(f"{name}: expected {expected}, got {describe(value)}{odd}.")


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real)


def check_shape(value: Any, name: str, shape: tuple[int | str, ...], *, leading: bool = False) -> np.ndarray:
    """Check that ``value`` are numbers of this shape, and return them as an array.

    Parameters
    ----------
    value : array-like
        What the user gave. Torch tensors that require no gradients are array-likes.
    name : str
        The argument's name, for the error.
    shape : tuple of int or str
        Expected shape; a string stands for any size, "n_dims" for any but 0, and names it in the error.
    leading : bool, default=False
        Whether any number of further axes may stand in front of ``shape``.

    Returns
    -------
    array : ndarray

    Raises
    ------
    InputError
        If these are no numbers, or the number of axes or a fixed size differs.
    """
    if type(value) is np.ndarray and value.dtype.kind in "buif":
        array = value
    else:
        array = read_numbers(value, name, _name_shape(shape, leading))
    got = array.shape[array.ndim - len(shape) :] if leading and array.ndim >= len(shape) else array.shape
    ok = len(got) == len(shape) and all(
        have == want or (isinstance(want, str) and (have > 0 or want != "n_dims"))
        for have, want in zip(got, shape, strict=True)
    )
    if not ok:
        raise InputError(f"{name}: expected {_name_shape(shape, leading)}, got {describe(value)}.")
    return array


def _name_shape(shape: tuple[int | str, ...], leading: bool) -> str:
    sizes = ", ".join(map(str, shape))
    sizes = f"..., {sizes}" if leading else f"{sizes}{',' if len(shape) == 1 else ''}"
    return f"an array of shape ({sizes})"


def check_numbers(
    value: Any,
    name: str,
    shape: tuple[int | str, ...] | None = None,
    *,
    leading: bool = False,
    low: float = -np.inf,
    include_low: bool = True,
    allow_nan: bool = False,
    keep_single: bool = False,
    what: str | None = None,
) -> np.ndarray:
    """Check that ``value`` are finite numbers of this shape and return them as float64.

    Parameters
    ----------
    value, name, shape, leading
        As of `check_shape`; any shape by default.
    low : float, default=-inf
        Least number that is accepted.
    include_low : bool, default=True
        Whether ``low`` itself is accepted.
    allow_nan : bool, default=False
        Whether NaN, for what is not known, is accepted.
    keep_single : bool, default=False
        Whether float32 stays float32.
    what : str, optional
        What the numbers are, for the error; "finite numbers" by default.

    Returns
    -------
    array : ndarray

    Raises
    ------
    InputError
        As from `check_shape`, and if a number is infinite, NaN or too low.
    """
    array = read_numbers(value, name) if shape is None else check_shape(value, name, shape, leading=leading)
    if array.dtype == bool and array.size:
        raise InputError(f"{name}: expected {what or 'finite numbers'}, got truth values, {describe(value)}.")
    array = array if keep_single and array.dtype == np.float32 else array.astype(np.float64, copy=False)
    bad = np.isinf(array) if allow_nan else ~np.isfinite(array)
    if low > -np.inf:
        bad |= (array < low) if include_low else (array <= low)
    if bad.any():
        bound = f" {'>=' if include_low else '>'} {low:g}" if np.isfinite(low) else ""
        what = what or f"finite numbers{bound}"
        unknown = ", or NaN where unknown" if allow_nan else ""
        where = "" if array.ndim == 0 else f" (first at {tuple(map(int, np.argwhere(bad)[0]))})"
        raise InputError(f"{name}: expected {what}{unknown}, got {array[bad].flat[0]:g}{where}.")
    return array


def check_mask(value: Any, name: str, shape: tuple[int | str, ...]) -> np.ndarray:
    """Return ``value`` as bool if it is a mask of this shape, of True and False or 1 and 0.

    Raises
    ------
    InputError
        If it is not; NaN, fractions and strings are neither true nor false.
    """
    mask = check_shape(value, name, shape)
    odd = mask[:0] if mask.dtype == bool else mask[(mask != 0) & (mask != 1)]
    if odd.size:
        raise InputError(
            f"{name}: expected a mask of True and False, got {odd.flat[0]:g} in {describe(mask)}."
        )
    return mask.astype(bool, copy=False)


def check_bool(value: Any, name: str) -> bool:
    """Return ``value`` if it is True or False, else raise an `InputError`."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name}: expected one of True, False, got {describe(value)}.")
    return bool(value)


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
    expected = "camera matrices of shape (..., 3, 3)"
    try:
        array = read_numbers(camera, name, expected).astype(np.float64, copy=False)
    except InputError as error:
        raise CameraError(str(error)) from error
    if array.ndim < 2 or array.shape[-2:] != (3, 3):
        raise CameraError(f"{name}: expected {expected}, got {describe(camera)}.")
    matrices = array.reshape(-1, 3, 3)
    if not np.isfinite(matrices).all():
        known = ~np.isnan(matrices).all(axis=(1, 2)) if unknown else np.ones(len(matrices), dtype=bool)
        broken = np.flatnonzero(known & ~np.isfinite(matrices).all(axis=(1, 2)))
        if len(broken):
            where = "" if array.ndim == 2 else f" in the rows {some_rows(broken)}"
            raise CameraError(f"{name}: expected finite numbers, got NaN or infinity{where}.")
        matrices = matrices[known]
    other = (np.abs(matrices[:, 2] - _LAST_ROW) > 1e-5 * _LAST_ROW + 1e-6).any(axis=1)
    if other.any():
        raise CameraError(f"{name}: expected the last row (0, 0, 1), got {matrices[other][0, 2]}.")
    a, b, c, d = matrices[:, :2, :2].reshape(-1, 4).T
    with np.errstate(over="ignore", invalid="ignore"):
        singular = np.abs(a * d - b * c) < 1e-12
    if singular.any():
        raise CameraError(f"{name}: expected non-zero focal lengths, got a singular matrix.")
    return array


def some_rows(rows: Sequence[int] | np.ndarray) -> str:
    """List the first few row numbers, for an error message."""
    return f"[{', '.join(map(str, rows[:5]))}{', ...' if len(rows) > 5 else ''}]"


def check_side(side: Any, name: str = "side") -> np.ndarray:
    """Return the sides as an array of 'left' and 'right'."""
    array = read_array(side, name, "'left' or 'right'")
    if array.dtype.kind == "U":
        known = ((array == "left") | (array == "right")).ravel()
    else:
        known = np.array([isinstance(each, str) and each in SIDES for each in array.ravel()], dtype=bool)
    if not known.all():
        raise InputError(f"{name}: expected 'left' or 'right', got {array.ravel()[~known][:3].tolist()}.")
    return array.astype("U5")


def check_seed(value: Any, name: str = "random_state") -> np.random.RandomState:
    """Return the generator that a ``random_state`` means, else raise an `InputError`."""
    from sklearn.utils import check_random_state  # takes a second to import, which `import skhand` need not

    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError  # scikit-learn takes them for 1 and 0
        return check_random_state(value)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name}: expected an integer from 0 to 4294967295, a RandomState or None, got {describe(value)}."
        ) from error


def check_one_camera(camera: Any, name: str = "camera") -> np.ndarray:
    """Return one camera as float64 of shape (3, 3), px, else raise a `CameraError`."""
    array = check_camera(camera, name)
    if array.shape != (3, 3):
        raise CameraError(f"{name}: expected one matrix (3, 3) for all pictures, got {describe(camera)}.")
    return array
