"""Decode picture files: their headers are checked first, and they are turned upright."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from skhand._validation import describe
from skhand.exceptions import InputError

__all__ = [
    "MAX_PIXELS",
    "check_is_file",
    "check_paths",
    "decode_file",
    "find_focal",
    "list_pictures",
    "open_picture",
    "to_colour",
    "to_gray",
    "to_rgb",
    "turn_upright",
]

#: Pictures with more pixels are refused by their header, before they are decoded.
MAX_PIXELS = 100_000_000

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".heic", ".heif")
_HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_HEIC_HINT = "; for HEIC pictures: pip install pillow-heif"
_ORIENTATION, _EXIF, _FOCAL, _FOCAL_35 = 0x0112, 0x8769, 0x920A, 0xA405
_WIDTH, _HEIGHT, _PLANE_X, _PLANE_UNIT = 0xA002, 0xA003, 0xA20E, 0xA210
_UNITS = {2: 25.4, 3: 10.0, 4: 1.0, 5: 1e-3}  # unit of the focal plane's resolution -> mm
_DIAGONAL_35 = float(np.hypot(36.0, 24.0))  # mm


def check_is_file(path: str | os.PathLike[str]) -> None:
    """Validate that a path leads to a file; to open a pipe would wait for ever, a folder has no content.

    Raises
    ------
    OSError
        If nothing is there, it may not be looked at, or it is something else.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise OSError("it is a folder" if stat.S_ISDIR(mode) else "it is a pipe or a device and no file")


def list_pictures(folder: str | os.PathLike[str], *, below: bool = False) -> list[str]:
    """List the pictures in a folder by their names' endings, sorted; hidden files are none.

    Parameters
    ----------
    folder : str or path
        The folder.
    below : bool, default=False
        Whether pictures in the folders below are listed too.

    Raises
    ------
    OSError
        If the folder cannot be listed.
    """
    found = []
    for place, folders, names in os.walk(folder, onerror=_raise):
        found += [os.path.join(place, name) for name in names if not name.startswith(".")]
        folders[:] = [name for name in folders if below and not name.startswith(".")]
    return sorted(path for path in found if path.lower().endswith(_ENDINGS))


def check_paths(paths: Any) -> np.ndarray:
    """Return absolute paths of pictures, (n,) of str: those of a list, or of the pictures in a folder.

    Raises
    ------
    InputError
        If there is none, an item is no path, or the folder cannot be listed.
    """
    if isinstance(paths, str | os.PathLike):
        if not os.path.isdir(paths):
            raise InputError(
                f"paths: expected a list of files, or a folder of pictures, got the one string "
                f"{os.fspath(paths)!r}, which is no folder."
            )
        try:
            found = list_pictures(paths)
        except OSError as error:
            raise InputError(f"paths: expected a folder that can be listed, got {error}.") from error
        if not found:
            raise InputError(f"paths: expected pictures in the folder {os.fspath(paths)}, found none.")
        paths = found
    if (
        not isinstance(paths, Iterable)
        or isinstance(paths, bytes | dict)
        or getattr(paths, "shape", None) == ()
    ):
        raise InputError(f"paths: expected a list of files, got {describe(paths)}.")
    listed = list(paths)
    for i, path in enumerate(listed):
        if not isinstance(path, str | os.PathLike):
            raise InputError(f"paths: expected a list of files, got {describe(path)} as item {i}.")
    if not listed:
        raise InputError("paths: expected at least one file, got none.")
    return np.asarray([os.path.abspath(os.fspath(path)) for path in listed], dtype=object)


@contextmanager
def open_picture(path: str | os.PathLike[str], name: str, *, max_pixels: int = MAX_PIXELS) -> Iterator[Any]:
    """Open one file whose header was checked; what is wrong with it while it is read names it.

    Parameters
    ----------
    path : str or path
        The file.
    name : str
        The argument's name, for errors.
    max_pixels : int, default=100_000_000
        What the header may say of the number of pixels.

    Yields
    ------
    picture : PIL.Image.Image
        Not decoded yet. A PNG's checksums were compared with its content.

    Raises
    ------
    InputError
        If the file is missing, is no picture, is damaged or has too many pixels; it names the file.
    """
    from PIL import Image

    needs_heic = _is_heic(path) and not _register_heic()
    try:
        check_is_file(path)
        with Image.open(path) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise InputError(
                    f"{name}: expected at most {max_pixels} pixels (max_pixels=), got {width} x {height} "
                    f"in {path}."
                )
            if picture.format == "PNG":
                picture.verify()  # decoding compares no checksum
        with Image.open(path) as picture:
            yield picture
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name}: {path} has more pixels than Pillow opens; PIL.Image.MAX_IMAGE_PIXELS raises its limit "
            f"and max_pixels= ours ({error})."
        ) from error
    except Exception as error:  # a damaged picture raises nearly anything
        hint = _HEIC_HINT if needs_heic else ""
        raise InputError(
            f"{name}: {path} is missing or is not a readable picture ({error}){hint}."
        ) from error


def decode_file(
    path: str | os.PathLike[str], name: str, *, max_pixels: int = MAX_PIXELS, orient: bool = True
) -> Any:
    """Decode one file.

    Parameters
    ----------
    path, name, max_pixels
        As of `open_picture`.
    orient : bool, default=True
        Whether the picture is turned upright, as its EXIF orientation says.

    Returns
    -------
    picture : PIL.Image.Image
        Loaded, of the mode that the file has.

    Raises
    ------
    InputError
        As of `open_picture`.
    """
    with open_picture(path, name, max_pixels=max_pixels) as picture:
        picture.load()
        return turn_upright(picture) if orient else picture.copy()


def turn_upright(picture: Any) -> Any:
    """Return a PIL picture as its EXIF orientation says it is to be seen."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(picture)


def to_rgb(picture: Any, what: str) -> Any:
    """Return a PIL picture of any mode as one of mode RGB; 16 bits are scaled to 8.

    Raises
    ------
    InputError
        If its numbers are not those of a picture, or its colours cannot be converted.
    """
    from PIL import Image

    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture)
        largest = 1.0 if picture.mode == "F" else 65535.0
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= largest):
            raise InputError(
                f"{what}: expected grey values from 0 to {largest:g}, "
                f"got {values.min():g} to {values.max():g}."
            )
        scaled = Image.fromarray(np.rint(values * (255.0 / largest)).astype(np.uint8))
        scaled.info = picture.info
        picture = scaled
    return _convert(picture, "RGB", what)


def to_colour(picture: Any, what: str) -> np.ndarray:
    """Return a PIL picture as RGB, uint8 (height, width, 3); see `to_rgb`."""
    return np.array(to_rgb(picture, what))


def to_gray(picture: Any, what: str) -> np.ndarray:
    """Return a PIL picture's one channel as it is; colour, also of a palette, is made grey."""
    as_it_is = len(picture.getbands()) == 1 and picture.mode != "P"
    values = np.array(picture if as_it_is else _convert(picture, "L", what))
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _convert(picture: Any, mode: str, what: str) -> Any:
    try:
        return picture if picture.mode == mode else picture.convert(mode)
    except ValueError as error:
        raise InputError(f"{what}: expected a picture in grey or colour, got mode {picture.mode}.") from error


def _raise(error: OSError) -> None:
    raise error


def _is_heic(path: str | os.PathLike[str]) -> bool:
    """Tell by its first bytes, or by its name, whether a file is HEIC."""
    if str(path).lower().endswith((".heic", ".heif")):
        return True
    try:
        check_is_file(path)
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC


def _register_heic() -> bool:
    """Let Pillow read HEIC, and tell whether it can: where the package pillow-heif is installed."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


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
