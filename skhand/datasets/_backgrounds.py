"""Put pictures of one's own behind hands that were rendered before a green screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from PIL import Image

from skhand.datasets._files import check_folder
from skhand.exceptions import InputError

SCREEN = (14, 255, 14)


def find_backgrounds(backgrounds: Any) -> list[Path]:
    """List the pictures in a folder and below, in order."""
    folder = check_folder(backgrounds, "backgrounds", "a folder of pictures")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
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
    with Image.open(path) as picture:
        pixels = np.array(picture.convert("RGB"))
    near = [np.abs(pixels[..., i].astype(np.int16) - level) <= tolerance for i, level in enumerate(SCREEN)]
    screen = near[0] & near[1] & near[2]
    height, width = screen.shape
    try:
        with Image.open(background) as picture:
            ratio = max(width / picture.width, height / picture.height)
            scaled = (max(width, round(picture.width * ratio)), max(height, round(picture.height * ratio)))
            behind = picture.convert("RGB").resize(scaled, Image.Resampling.BILINEAR)
    except OSError as error:
        raise InputError(f"backgrounds: {background} is not a readable picture ({error}).") from error
    left, top = (
        round(p * (have - want)) for p, have, want in zip(place, scaled, (width, height), strict=True)
    )
    pixels[screen] = np.asarray(behind.crop((left, top, left + width, top + height)))[screen]
    return pixels
