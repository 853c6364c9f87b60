"""Read depth pictures: 16 bits of one channel, or two bytes of a colour picture."""

from __future__ import annotations

import os

import numpy as np

from skhand._decoding import decode_file, to_gray
from skhand.exceptions import InputError

__all__ = ["read_coded_depth", "read_depth"]

_SIGNATURE, _BIT_DEPTH = (
    b"\x89PNG\r\n\x1a\n",
    24,
)  # of a PNG: its first bytes, and where the bits a channel are


def read_depth(path: str | os.PathLike[str]) -> np.ndarray:
    """Read the numbers of one picture of 16 bits and one channel.

    Returns
    -------
    depth : ndarray of shape (height, width), uint16

    Raises
    ------
    InputError
        If the file cannot be read, or has other bits or channels; it names the file.
    """
    picture = decode_file(path, "paths")
    if not picture.mode.startswith("I"):
        raise InputError(
            f"{path}: expected a 16-bit depth picture, one channel of 16 bits, got {picture.mode}."
        )
    values = to_gray(picture, f"paths: {path}")
    if values.min() < 0 or values.max() > 65535:
        raise InputError(
            f"{path}: expected a 16-bit depth picture, got numbers from {values.min()} to {values.max()}."
        )
    return values.astype(np.uint16)


def read_coded_depth(path: str | os.PathLike[str], *, low: int, high: int) -> np.ndarray:
    """Read the numbers that two channels of one 8-bit colour picture hold.

    Parameters
    ----------
    path : str or path
        A PNG file.
    low, high : int
        The channels with the low and the high byte.

    Returns
    -------
    depth : ndarray of shape (height, width), uint16

    Raises
    ------
    InputError
        If the file cannot be read, or is no PNG in colour of 8 bits a channel; it names the file.
    """
    picture = decode_file(path, "paths")
    with open(path, "rb") as file:
        head = file.read(_BIT_DEPTH + 1)
    if picture.mode not in ("RGB", "RGBA") or not head.startswith(_SIGNATURE) or head[_BIT_DEPTH] != 8:
        bits = f" of {head[_BIT_DEPTH]} bits" if head.startswith(_SIGNATURE) else " that is no PNG"
        raise InputError(
            f"{path}: expected depth in the bytes of a colour picture (PNG, 8 bits a channel), "
            f"got mode {picture.mode}{bits}."
        )
    code = np.asarray(picture)
    return code[..., low] + code[..., high] * np.uint16(256)
