"""From whatever a user calls a picture to upright RGB arrays, and a guess of the camera behind each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from skhand._columns import ImageFiles
from skhand._decoding import MAX_PIXELS, decode_file, find_focal, to_colour, turn_upright
from skhand._validation import check_number, describe, read_array
from skhand.exceptions import InputError
from skhand.frames import HandFrames

__all__ = ["Picture", "guess_camera", "is_pictures", "iterate_pictures", "read_pictures", "stack_pictures"]

_EXPECTED = (
    "a path, a PIL picture, an array (height, width, 3) of uint8 or of floats in 0 to 1, a list of these, "
    "an array (n, height, width, 3), ImageFiles or a HandFrames with rgb"
)


class Picture(NamedTuple):
    """One picture, upright.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
        RGB.
    focal : float or None, px
        Focal length in pixels of this picture, where its EXIF data say it.
    path : str or None
        The file that it was read from.
    """

    pixels: np.ndarray
    focal: float | None = None
    path: str | None = None


def read_pictures(X: Any, argument: str = "X", *, max_pixels: int = MAX_PIXELS) -> list[Picture]:
    """Read all pictures; see `iterate_pictures`."""
    return list(iterate_pictures(X, argument, max_pixels=max_pixels))


def iterate_pictures(X: Any, argument: str = "X", *, max_pixels: int = MAX_PIXELS) -> Iterator[Picture]:
    """Yield the pictures one after the other, each read when its turn has come.

    Parameters
    ----------
    X : str, path, PIL picture, ndarray, list of these, ImageFiles or HandFrames
        Arrays are (height, width, 3), also with an alpha channel, which is left out, or (height, width) grey,
        of uint8 or of floats in 0 to 1; all pictures of one size may come as (n, height, width, 3). Of a
        HandFrames the column ``rgb`` is taken. Files and PIL pictures are turned upright by their EXIF
        orientation.
    argument : str, default="X"
        The argument's name, for errors.
    max_pixels : int, default=100_000_000
        Limit of a picture's pixels; files are checked by their header, before they are decoded.

    Yields
    ------
    picture : Picture

    Raises
    ------
    InputError
        If X is none of these, has no picture, or a file cannot be read; it names argument and file.
    """
    check_number(max_pixels, "max_pixels", integer=True, low=1)
    for item, name in _iterate_items(X, argument):
        yield _read_one(item, name, argument, max_pixels)


def is_pictures(X: Any) -> bool:
    """Tell whether X is a path, a PIL picture or a list of these, which scikit-learn cannot read."""
    if isinstance(X, list | tuple):
        return len(X) > 0 and all(_is_file_or_pil(item) for item in X)
    return _is_file_or_pil(X)


def stack_pictures(X: Any, argument: str = "X") -> np.ndarray | ImageFiles:
    """Return pictures of one size as a column (n, height, width, 3), uint8; files are read when used.

    Parameters
    ----------
    X : str, path, PIL picture or list of these
        As `is_pictures` tells.
    argument : str, default="X"
        The argument's name, for errors.

    Returns
    -------
    rgb : ndarray or ImageFiles

    Raises
    ------
    InputError
        If the pictures differ in size, or one cannot be read.
    """
    items = list(X) if isinstance(X, list | tuple) else [X]
    if all(isinstance(item, str | os.PathLike) for item in items):
        for item in items:
            _check_file(item, argument)
        try:
            return ImageFiles(items)
        except InputError as error:
            raise InputError(f"{argument}: {error}") from error
    pictures = read_pictures(items, argument)
    sizes = {picture.pixels.shape[:2] for picture in pictures}
    if len(sizes) > 1:
        raise InputError(
            f"{argument}: expected pictures of one size, got (height, width) of {sorted(sizes)[:3]}. Crop "
            "the hands out first; skhand.tracking.HandTracker takes whole pictures of any size."
        )
    return np.stack([picture.pixels for picture in pictures])


def guess_camera(picture: Picture, fov: float = 60.0) -> np.ndarray:
    """Guess a picture's camera: by its EXIF focal length where it has one, else by a field of view.

    The optical axis is taken to pass through the middle of the picture, and pixels to be square.
    ``picture.focal`` tells which was taken: None is the field of view.

    Parameters
    ----------
    picture : Picture
        As `read_pictures` returns it.
    fov : float, degrees, default=60.0
        Angle of view along the diagonal where there is no focal length.

    Returns
    -------
    camera : ndarray of shape (3, 3), px

    Raises
    ------
    InputError
        If ``fov`` is not between 0 and 179.
    """
    check_number(fov, "fov", low=0, high=179, include_low=False)
    height, width = picture.pixels.shape[:2]
    focal = picture.focal
    if focal is None:
        focal = float(np.hypot(height, width) / 2 / np.tan(np.radians(fov) / 2))
    return np.array([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])


def _is_pil(item: Any) -> bool:
    return hasattr(item, "getbands") and hasattr(item, "convert")


def _is_file_or_pil(item: Any) -> bool:
    return isinstance(item, str | os.PathLike) or _is_pil(item)


def _check_file(path: Any, argument: str) -> None:
    """Check that a path is no folder, which has no pixels."""
    if os.path.isdir(path):
        raise InputError(f"{argument}: expected picture files, got the folder {path}; list its files.")


def _iterate_items(X: Any, argument: str) -> Iterator[tuple[Any, str]]:
    """Yield each picture as it came, with what to call it in an error."""
    if isinstance(X, HandFrames):
        if "rgb" not in X.columns:
            raise InputError(f"{argument}: expected a HandFrames with rgb, got the columns {X.columns}.")
        X = X.rgb
    if _is_file_or_pil(X):
        yield X, argument
        return
    if isinstance(X, ImageFiles) and X.reader is None and not X.gray:
        X = X.paths.tolist()  # the files themselves tell their focal length
    if hasattr(X, "detach"):
        X = X.detach().cpu().numpy()
    if isinstance(X, np.ma.MaskedArray):
        X = read_array(X, argument, "pictures")
    if isinstance(X, np.ndarray) and X.dtype != object:
        one = X.ndim == 2 or (X.ndim == 3 and X.shape[2] in (1, 3, 4))
        if not (one or X.ndim == 4):
            raise InputError(f"{argument}: expected {_EXPECTED}; got {describe(X)}.")
        X = [X] if one else X
    if not hasattr(X, "__len__") or not hasattr(X, "__getitem__") or isinstance(X, bytes | dict):
        raise InputError(f"{argument}: expected {_EXPECTED}; got {describe(X)}.")
    if len(X) == 0:
        raise InputError(f"{argument}: expected at least one picture, got none.")
    for i in range(len(X)):
        yield X[i], f"{argument}[{i}]" if len(X) > 1 else argument


def _read_one(item: Any, name: str, argument: str, max_pixels: int) -> Picture:
    """Read one picture."""
    if isinstance(item, str | os.PathLike):
        _check_file(item, argument)
        picture = decode_file(item, argument, max_pixels=max_pixels)
        return Picture(to_colour(picture, f"{argument}: {item}"), find_focal(picture), os.path.abspath(item))
    if _is_pil(item):
        _check_size(item.height, item.width, name, max_pixels)
        try:
            picture = turn_upright(item)  # decodes it
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(f"{name}: expected a picture that can be decoded, got {error}.") from error
        return Picture(to_colour(picture, name), find_focal(picture))
    if hasattr(item, "detach"):
        item = item.detach().cpu().numpy()
    if isinstance(item, np.ma.MaskedArray):
        item = read_array(item, name, "a picture")
    if isinstance(item, Sequence):
        try:
            item = np.asarray(item)
        except ValueError:
            item = None
    fits = isinstance(item, np.ndarray) and (
        item.ndim == 2 or (item.ndim == 3 and item.shape[2] in (1, 3, 4))
    )
    if not fits or item.size == 0:
        raise InputError(
            f"{name}: expected a picture (height, width, 3) or (height, width), got {describe(item)}."
        )
    _check_size(item.shape[0], item.shape[1], name, max_pixels)
    return Picture(_to_bytes(_to_three_channels(item), name))


def _check_size(height: int, width: int, name: str, max_pixels: int) -> None:
    if height * width > max_pixels:
        raise InputError(
            f"{name}: expected at most {max_pixels} pixels (max_pixels=), got {width} x {height}."
        )


def _to_three_channels(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[..., :3]


def _to_bytes(pixels: np.ndarray, name: str) -> np.ndarray:
    """Return uint8 values; floats in 0..1 become 0..255."""
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if pixels.dtype.kind != "f":
        raise InputError(f"{name}: expected uint8 (0 to 255) or floats (0 to 1), got dtype {pixels.dtype}.")
    if not (np.isfinite(pixels).all() and pixels.min() >= -1e-6 and pixels.max() <= 1 + 1e-6):
        raise InputError(
            f"{name}: expected floats in 0 to 1 (or uint8 in 0 to 255), "
            f"got {pixels.min():g} to {pixels.max():g}."
        )
    return np.rint(np.clip(pixels, 0, 1) * 255.0).astype(np.uint8)
