"""Put pictures of one's own behind hands that were rendered before a green screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from PIL import Image

from skhand._decoding import MAX_PIXELS, decode_file, list_pictures, to_colour, to_rgb
from skhand.datasets._files import check_folder
from skhand.exceptions import InputError

SCREEN = (14, 255, 14)


def find_backgrounds(backgrounds: Any) -> list[Path]:
    """List the pictures in a folder and below, in order."""
    folder = check_folder(backgrounds, "backgrounds", "a folder of pictures")
    try:
        found = list_pictures(folder, below=True)
    except OSError as error:
        raise InputError(f"backgrounds: expected folders that can be listed, got {error}.") from error
    files = [Path(path) for path in found if path.lower().endswith((".jpg", ".jpeg", ".png"))]
    if not files:
        raise InputError(f"backgrounds: expected JPEG or PNG pictures in {folder}, found none.")
    return files


def choose_background(
    path: Path, name: str, behind: list[Path], tolerance: int, seed: int
) -> tuple[Any, ...]:
    """Choose a row's arguments of `replace_screen` by its name, whatever the other rows are."""
    rng = np.random.default_rng([seed, crc32(name.encode())])
    return str(path), str(behind[rng.integers(len(behind))]), tuple(rng.random(2).tolist()), tolerance


def replace_screen(path: str, background: str, place: tuple[float, float], tolerance: int) -> np.ndarray:
    """Replace the green screen of a picture.

    Parameters
    ----------
    path : str
        The picture.
    background : str
        Another picture, scaled so that it covers the first.
    place : (float, float), 0 to 1
        Which part of the background is taken where it is wider or higher.
    tolerance : int
        Largest difference of a channel from the screen's colour.
    """
    pixels = to_colour(decode_file(path, "paths"), f"paths: {path}")
    near = [np.abs(pixels[..., i].astype(np.int16) - level) <= tolerance for i, level in enumerate(SCREEN)]
    screen = near[0] & near[1] & near[2]
    height, width = screen.shape
    picture = to_rgb(decode_file(background, "backgrounds"), f"backgrounds: {background}")
    ratio = max(width / picture.width, height / picture.height)
    scaled = (max(width, round(picture.width * ratio)), max(height, round(picture.height * ratio)))
    if scaled[0] * scaled[1] > MAX_PIXELS:
        raise InputError(
            f"backgrounds: expected a picture not so narrow, got {picture.width} x {picture.height} px in "
            f"{background}."
        )
    behind = picture.resize(scaled, Image.Resampling.BILINEAR)
    left, top = (
        round(p * (have - want)) for p, have, want in zip(place, scaled, (width, height), strict=True)
    )
    pixels[screen] = np.asarray(behind.crop((left, top, left + width, top + height)))[screen]
    return pixels
