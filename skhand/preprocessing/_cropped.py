"""Windows cut out of pictures and scaled to one size: all at once, or row by row when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from skhand._columns import LazyColumn, unrolled

__all__ = ["CroppedColumn", "iterate_pictures"]

_READ = 16  # pictures that a lazy column is asked for together
_PER_THREAD = 4  # pictures that are worth a thread


class CroppedColumn(LazyColumn):
    """Crops of a picture column, made when rows are asked for.

    Parameters
    ----------
    column : array-like of shape (n_samples, height, width[, n_channels])
        Pictures: an array, a memory map or a lazy column. A lazy column whose pictures differ in size has
        None for their height and width in its ``shape``, and is read row by row.
    windows : ndarray of shape (n_samples, 4), int, px
        First column, first row, width and height of each crop; what lies outside the picture is 0.
    size : tuple of int, px
        Height and width of a crop.
    smooth : bool
        Whether to average over the pixels that one new pixel covers; else the nearest one is taken.
    """

    def __init__(self, column: Any, windows: np.ndarray, size: tuple[int, int], smooth: bool):
        self.column, self.rows = unrolled(column)
        self.windows, self.size, self.smooth = windows, size, smooth
        super().__init__((len(windows), *size, *column.shape[3:]), column.dtype)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        crop = _crop_smoothly if self.smooth else _crop_nearest
        step = max(1, len(rows)) if isinstance(self.column, np.ndarray) else _READ
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            pictures = list(_pictures(self.column, self.rows[part]))
            _in_threads(crop, pictures, self.windows[part], out[start : start + step])
        return out


def iterate_pictures(column: Any, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the pictures of some rows, few of them in memory at a time."""
    column, rows_of = unrolled(column)
    for start in range(0, len(rows), _READ):
        yield from _pictures(column, rows_of[rows[start : start + _READ]])


def _pictures(column: Any, rows: np.ndarray) -> Iterator[np.ndarray]:
    if isinstance(column, np.ndarray):
        plain = np.asarray(column)
        return (plain[row] for row in rows)
    if None in column.shape:
        return (np.asarray(column[int(row)]) for row in rows)
    return iter(np.asarray(column[rows]))


def _in_threads(
    crop: Callable[..., None], pictures: Sequence[np.ndarray], windows: np.ndarray, out: np.ndarray
) -> None:
    """Share the pictures out among as many threads as torch has."""
    n_threads = min(torch.get_num_threads(), len(pictures) // _PER_THREAD)
    if n_threads < 2 or out.dtype != np.uint8:  # torch shares out floats by itself
        return crop(pictures, windows, out)
    ends = np.linspace(0, len(pictures), n_threads + 1).astype(int)
    parts = [slice(*pair) for pair in pairwise(ends)]
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(lambda part: crop(pictures[part], windows[part], out[part]), parts))
    return None


def _crop_smoothly(pictures: Sequence[np.ndarray], windows: np.ndarray, out: np.ndarray) -> None:
    """Bilinear, with antialiasing where the crop is smaller than its window."""
    if out.dtype == np.float16:  # torch has no such kernel
        single = np.empty(out.shape, np.float32)
        _crop_smoothly(pictures, windows, single)
        out[...] = single
        return
    height, width, n_channels = out.shape[1:]
    largest = int((np.maximum(windows[:, 3], height) * windows[:, 2]).max())
    buffers = np.empty((2, largest * n_channels), out.dtype)
    cut_out, shorter = torch.from_numpy(buffers)
    with torch.inference_mode():
        crops = torch.from_numpy(out).permute(0, 3, 1, 2).split(1)
        for picture, (x, y, w, h), crop, target in zip(pictures, windows.tolist(), out, crops, strict=True):
            if (h, w) == (height, width):
                _cut(picture, x, y, crop)
                continue
            _cut(picture, x, y, buffers[0, : h * w * n_channels].reshape(h, w, n_channels))
            source = _as_batch(cut_out, h, w, n_channels)
            if (
                4 * h > 5 * height
            ):  # rows first: the pass over columns is the slow one, and now has less to do
                middle = _as_batch(shorter, height, w, n_channels)
                _resize(source, [height, w], out=middle)
                source = middle
            _resize(source, [height, width], out=target)


def _as_batch(buffer: torch.Tensor, height: int, width: int, n_channels: int) -> torch.Tensor:
    """Return a picture in a buffer as a batch of one whose channels come last in memory."""
    row = width * n_channels
    return buffer.as_strided((1, n_channels, height, width), (height * row, 1, row, n_channels))


def _resize(source: torch.Tensor, size: list[int], out: torch.Tensor) -> None:
    """Do what ``interpolate(mode="bilinear", antialias=True)`` does, into memory that is there."""
    torch.ops.aten._upsample_bilinear2d_aa.out(source, size, False, None, None, out=out)


def _cut(picture: np.ndarray, x: int, y: int, piece: np.ndarray) -> None:
    """Copy the window that begins at column x, row y; outside of the picture it is 0."""
    (height, width), (h, w) = picture.shape[:2], piece.shape[:2]
    top, left, bottom, right = max(y, 0), max(x, 0), min(y + h, height), min(x + w, width)
    if bottom - top == h and right - left == w:
        piece[...] = picture[top:bottom, left:right]
        return
    piece[...] = 0
    if top < bottom and left < right:
        piece[top - y : bottom - y, left - x : right - x] = picture[top:bottom, left:right]


def _crop_nearest(pictures: Sequence[np.ndarray], windows: np.ndarray, out: np.ndarray) -> None:
    """Take the pixel in whose area the centre of the new one lies."""
    out[...] = 0
    height, width = out.shape[1:3]
    for picture, (x, y, w, h), crop in zip(pictures, windows.tolist(), out, strict=True):
        rows = y + (2 * np.arange(height) + 1) * h // (2 * height)
        columns = x + (2 * np.arange(width) + 1) * w // (2 * width)
        in_height, in_width = (
            slice(*np.searchsorted(places, (0, end)))
            for places, end in ((rows, picture.shape[0]), (columns, picture.shape[1]))
        )
        rows, columns = rows[in_height], columns[in_width]
        if len(rows) and len(columns):  # a narrow strip first: twice as fast as both at once
            strip = picture[:, columns[0] : columns[-1] + 1][rows]
            crop[in_height, in_width] = strip.take(columns - columns[0], axis=1)
