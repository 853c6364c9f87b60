"""Windows cut out of pictures and scaled to one size.

This is no warp (`skhand._warp`): colour is resampled with another filter, which averages where it shrinks.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from skhand.preprocessing._change import Pictures

__all__ = ["Crop", "resize_antialiased"]

# What ``interpolate(mode="bilinear")`` does, into memory that is there: a tenth to a quarter faster
resize_antialiased = torch.ops.aten._upsample_bilinear2d_aa.out
_BILINEAR = torch.ops.aten.upsample_bilinear2d.out


class Crop:
    """Cut each row's window out and scale it to one size; a change for `change_column`.

    Nothing is kept between calls, so several threads may read rows at once. No threads are started: to share
    ten or sixty pictures out among two was slower than one thread.

    Parameters
    ----------
    windows : ndarray of shape (n_samples, 4), int, px
        First column, first row, width and height of each crop; what lies outside the picture is 0.
    size : tuple of int, px
        Height and width of a crop.
    order : {"antialiased", "bilinear", "nearest"}
        "antialiased" averages over the pixels that one new pixel covers, "bilinear" interpolates between the
        four next to its centre, "nearest" takes the one that holds it.
    """

    def __init__(
        self,
        windows: np.ndarray,
        size: tuple[int, int],
        order: Literal["antialiased", "bilinear", "nearest"],
    ):
        self.windows, self.size, self.order = windows, size, order

    def widen(self, border: int) -> tuple[Crop, np.ndarray]:
        """Return crops that reach further on each side, and how their pixels become those of these crops.

        Parameters
        ----------
        border : int, px
            How many more pixels a crop gets on each side.

        Returns
        -------
        wide : Crop
        frames : ndarray of shape (n_samples, 3, 3), float32, px
            Not all alike: windows begin at whole pixels of the picture behind.
        """
        height, width = self.size
        size = (height + 2 * border, width + 2 * border)
        corners, extents = self.windows[:, :2], self.windows[:, 2:]
        more = -(-border * extents // (width, height))  # rounded up: as much as is wanted, or a little more
        windows = np.hstack([corners - more, extents + 2 * more])
        scale = (extents + 2 * more) / size[::-1] * ((width, height) / extents)
        frames = np.tile(np.eye(3, dtype=np.float32), (len(windows), 1, 1))
        frames[:, [0, 1], [0, 1]] = scale
        # edges, half a pixel before the centres, become edges
        frames[:, :2, 2] = 0.5 * scale - 0.5 - more * ((width, height) / extents)
        return Crop(windows, size, self.order), frames

    def __call__(self, pictures: Pictures, rows: np.ndarray, out: np.ndarray) -> None:
        """Crop the pictures of the rows (k,) into ``out``."""
        windows = self.windows[rows]
        if self.order == "nearest":
            return _crop_nearest(pictures, windows, out)
        if out.dtype != np.float16:
            return _crop_smoothly(pictures, windows, out, self.order)
        single = np.empty(out.shape, np.float32)  # torch has no kernel for halves
        _crop_smoothly(pictures, windows, single, self.order)
        out[...] = single
        return None


def _crop_smoothly(pictures: Pictures, windows: np.ndarray, out: np.ndarray, order: str) -> None:
    """Cut windows out and resize them by averaging or, for "bilinear", between four pixels."""
    height, width, n_channels = out.shape[1:]
    largest = int((np.maximum(windows[:, 3], height) * windows[:, 2]).max())
    cut_out = np.empty(largest * n_channels, out.dtype)
    window, shorter = torch.from_numpy(cut_out), torch.from_numpy(np.empty_like(cut_out))
    with torch.inference_mode():
        crops = torch.from_numpy(out).permute(0, 3, 1, 2).split(1)
        for picture, (x, y, w, h), crop, target in zip(pictures, windows.tolist(), out, crops, strict=True):
            if (h, w) == (height, width):
                _copy_window(picture, x, y, crop)
                continue
            _copy_window(picture, x, y, cut_out[: h * w * n_channels].reshape(h, w, n_channels))
            source = _view_as_batch(window, h, w, n_channels)
            shrinks = h > height or w > width  # if not, both are the same, and the antialiased one is faster
            resize = _BILINEAR if shrinks and order == "bilinear" else resize_antialiased
            # rows first: the pass over columns is the slow one, and then has less to do
            if 4 * h > 5 * height:
                middle = _view_as_batch(shorter, height, w, n_channels)
                resize(source, [height, w], False, None, None, out=middle)
                source = middle
            resize(source, [height, width], False, None, None, out=target)


def _view_as_batch(buffer: torch.Tensor, height: int, width: int, n_channels: int) -> torch.Tensor:
    """View a picture in a buffer as a batch of one whose channels come last in memory."""
    row = width * n_channels
    return buffer.as_strided((1, n_channels, height, width), (height * row, 1, row, n_channels))


def _copy_window(picture: np.ndarray, x: int, y: int, piece: np.ndarray) -> None:
    """Copy the window that begins at column x, row y; outside of the picture it is 0."""
    (height, width), (h, w) = picture.shape[:2], piece.shape[:2]
    top, left, bottom, right = max(y, 0), max(x, 0), min(y + h, height), min(x + w, width)
    if bottom - top == h and right - left == w:
        piece[...] = picture[top:bottom, left:right]
        return
    piece[...] = 0
    if top < bottom and left < right:
        piece[top - y : bottom - y, left - x : right - x] = picture[top:bottom, left:right]


def _crop_nearest(pictures: Pictures, windows: np.ndarray, out: np.ndarray) -> None:
    """Cut windows out and take for each new pixel the old one in whose area its centre lies."""
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
