"""Windows of a user's own pictures, as backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from skhand._decoding import open_picture, to_rgb, turn_upright
from skhand.rendering.draws import Draws

__all__ = ["PICTURE_DRAWS", "read_backgrounds"]

PICTURE_DRAWS = 5


def read_backgrounds(
    files: Sequence[str | Path], draws: Draws, size: int, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Take a window at a random place of a random picture for each row.

    The window is a square of 40% to 100% of the picture's shorter side, never less than ``size`` where the
    picture has as much, and half of the rows are mirrored. JPEG files are decoded at a fraction of their size
    where that is enough.

    Parameters
    ----------
    files : sequence of str or Path
    draws : Draws
        `PICTURE_DRAWS` numbers a row are taken.
    size : int, px
    device : torch.device, default="cpu"

    Returns
    -------
    pictures : Tensor of shape (n, 3, size, size)
        Linear light, 0 to 1: the square of what the files display, of which `take_photograph` takes the root.

    Raises
    ------
    InputError
        If a file is not a readable picture; it names the file.
    """
    numbers = draws.uniform(PICTURE_DRAWS)
    windows = [_window(files[int(row[0] * len(files))], row[1:], size) for row in numbers]
    pixels = torch.as_tensor(np.stack(windows), device=device).permute(0, 3, 1, 2).to(torch.float32)
    light = pixels.contiguous().div_(255.0)
    return light.mul_(light)


def _window(path: str | Path, place: np.ndarray, size: int) -> np.ndarray:
    """Return a window of a picture, (size, size, 3) uint8."""
    with open_picture(path, "backgrounds") as picture:
        shorter = min(picture.size)
        side = max(shorter * (0.4 + 0.6 * float(place[0])), min(size, shorter))
        left, top = (float(p) * (whole - side) for p, whole in zip(place[1:3], picture.size, strict=True))
        whole = picture.size
        # a JPEG may be decoded at 1/2, 1/4 or 1/8: not below the size at which the window is shown
        wanted = [int(np.ceil(length * size / side)) for length in whole]
        picture.draft("RGB", (wanted[0], wanted[1]))
        scale = picture.width / whole[0], picture.height / whole[1]
        box = (left * scale[0], top * scale[1], (left + side) * scale[0], (top + side) * scale[1])
        box = (box[0], box[1], min(box[2], picture.width), min(box[3], picture.height))
        rgb = to_rgb(picture, f"backgrounds: {path}")
        small = turn_upright(rgb.resize((size, size), Image.Resampling.BILINEAR, box, 2.0))
    pixels = np.asarray(small)
    return pixels[:, ::-1] if place[3] < 0.5 else pixels
