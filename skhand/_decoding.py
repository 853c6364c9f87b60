"""Decode picture files: their headers are checked first, and they are turned upright."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from skhand.exceptions import InputError

__all__ = ["MAX_PIXELS", "decode_file", "find_focal", "to_colour", "to_gray", "turn_upright"]

#: Pictures with more pixels are refused by their header, before they are decoded.
MAX_PIXELS = 100_000_000

_ORIENTATION, _EXIF, _FOCAL, _FOCAL_35 = 0x0112, 0x8769, 0x920A, 0xA405
_WIDTH, _HEIGHT, _PLANE_X, _PLANE_UNIT = 0xA002, 0xA003, 0xA20E, 0xA210
_UNITS = {2: 25.4, 3: 10.0, 4: 1.0, 5: 1e-3}  # unit of the focal plane's resolution -> mm
_DIAGONAL_35 = float(np.hypot(36.0, 24.0))  # mm


def decode_file(
    path: str | os.PathLike[str], name: str, *, max_pixels: int = MAX_PIXELS, orient: bool = True
) -> Any:
    """Decode one file.

    Parameters
    ----------
    path : str or path
        The file.
    name : str
        The argument's name, for errors.
    max_pixels : int, default=100_000_000
        What the header may say of the number of pixels.
    orient : bool, default=True
        Whether the picture is turned upright, as its EXIF orientation says.

    Returns
    -------
    picture : PIL.Image.Image
        Loaded, of the mode that the file has.

    Raises
    ------
    InputError
        If the file is missing, is no picture, is damaged or has too many pixels; it names the file.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise InputError(
                    f"{name}: expected at most {max_pixels} pixels (max_pixels=), got {width} x {height} "
                    f"in {path}."
                )
            picture.load()
            return turn_upright(picture) if orient else picture.copy()
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name}: {path} has more pixels than Pillow opens; PIL.Image.MAX_IMAGE_PIXELS raises its limit "
            f"and max_pixels= ours ({error})."
        ) from error
    except (OSError, SyntaxError) as error:  # Pillow raises either for a damaged PNG
        heic = str(path).lower().endswith((".heic", ".heif"))
        hint = "; for HEIC install pillow-heif and call pillow_heif.register_heif_opener()" if heic else ""
        raise InputError(
            f"{name}: {path} is missing or is not a readable picture ({error}){hint}."
        ) from error


def turn_upright(picture: Any) -> Any:
    """Return a PIL picture as its EXIF orientation says it is to be seen."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(picture)


def to_colour(picture: Any, what: str) -> np.ndarray:
    """Return a PIL picture of any mode as RGB, uint8 (height, width, 3); 16 bits are scaled to 8.

    Raises
    ------
    InputError
        If its numbers are not those of a picture.
    """
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture)
        largest = 1.0 if picture.mode == "F" else 65535.0
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= largest):
            raise InputError(
                f"{what}: expected grey values from 0 to {largest:g}, "
                f"got {values.min():g} to {values.max():g}."
            )
        gray = np.rint(values * (255.0 / largest)).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def to_gray(picture: Any) -> np.ndarray:
    """Return a PIL picture's one channel as it is; colour, also of a palette, is made grey."""
    as_it_is = len(picture.getbands()) == 1 and picture.mode != "P"
    return np.array(picture if as_it_is else picture.convert("L"))


def find_focal(picture: Any) -> float | None:
    """Find a PIL picture's focal length in its own pixels from its EXIF data; None where these do not say.

    A picture that was only made smaller or larger keeps its angle of view, so lengths are taken as shares of
    its sides. One whose sides are in other proportions than the recorded ones was cut, and says nothing.
    """
    try:
        exif = picture.getexif()
        tags = {**exif, **exif.get_ifd(_EXIF)}
        numbers = {key: float(tags[key]) for key in tags if isinstance(key, int) and _is_number(tags[key])}
    except (ValueError, TypeError, ZeroDivisionError, OSError, SyntaxError, KeyError):
        return None  # damaged EXIF data say nothing
    long, short = max(picture.size), min(picture.size)
    diagonal = float(np.hypot(long, short))
    recorded = sorted(numbers.get(key, 0.0) for key in (_WIDTH, _HEIGHT))
    known = recorded[0] > 0
    if known and abs(recorded[1] / recorded[0] / (long / short) - 1) > 0.02:
        return None
    focal = 0.0
    if numbers.get(_FOCAL_35, 0.0) > 0:
        focal = numbers[_FOCAL_35] / _DIAGONAL_35 * diagonal
    elif numbers.get(_FOCAL, 0.0) > 0 and numbers.get(_PLANE_X, 0.0) > 0:
        unit = _UNITS.get(int(numbers.get(_PLANE_UNIT, 2)), 0.0)
        resized = long / recorded[1] if known else 1.0
        focal = numbers[_FOCAL] * numbers[_PLANE_X] / unit * resized if unit else 0.0
    return focal if 0.2 * diagonal < focal < 50 * diagonal else None


def _is_number(value: Any) -> bool:
    try:
        return bool(np.isfinite(float(value)))
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        return False
