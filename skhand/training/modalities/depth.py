"""Depth pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skhand._warp import warp_pictures
from skhand.exceptions import InputError
from skhand.training.modalities._record import (
    CodecSettings,
    Motion,
    Picture,
    check_float_pictures,
    scan,
)

__all__ = ["MODALITY", "DepthCodec"]

_MOST, _CHUNK = 1024, 64  # pictures that are read, in all and at once


class DepthCodec:
    """Depth pictures in mm as one channel in -0.5..0.5; what is far or unknown is 0.5.

    Depth is taken relative to ``centre`` and divided by twice ``reach``. With the root given, the centre is
    each picture's own median of measured pixels, so that the hand's distance does not matter. Only then does
    ``depth_shift``, which augmentation may add to a batch, move the centre: the target, relative to the root,
    stays true. Without the root, the target is as far from the camera as the picture says, and another
    centre would make it wrong.

    Parameters
    ----------
    centre, reach : float
        Mean depth of the training pictures and half the range that is kept, mm.
    relative : bool
        Whether each picture is centred on its own median.
    """

    columns: tuple[str, ...] = ("depth",)
    decodes: tuple[str, ...] = ()

    def __init__(self, centre: float, reach: float, relative: bool):
        self.centre, self.reach, self.relative = centre, reach, relative

    @classmethod
    def fit(cls, depth: Any, relative: bool, rows: np.ndarray | None = None) -> DepthCodec:
        """Read the centre and the reach off at most 1024 pictures (n, h, w), mm, of these rows."""
        rows = np.arange(len(depth)) if rows is None else rows
        some = rows[np.linspace(0, len(rows) - 1, min(len(rows), _MOST)).astype(int)]
        count, total, squares = 0, 0.0, 0.0
        for start in range(0, len(some), _CHUNK):
            pictures = np.asarray(depth[some[start : start + _CHUNK]], dtype=np.float64)
            seen = pictures[pictures > 0]
            count, total = count + seen.size, total + seen.sum()
            squares += np.square(seen).sum()
        if count == 0:
            return cls(0.0, 150.0, relative)
        deviation = np.sqrt(max(0.0, squares / count - (total / count) ** 2))
        return cls(total / count, 150.0 if relative else max(150.0, 3.0 * deviation), relative)

    def encode(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Pictures (n, h, w) and shifts of their centres (n,), mm, to network input (n, 1, h, w)."""
        depth = batch["depth"].float()
        seen = depth > 0
        centre: Tensor | float = self.centre
        if self.relative:
            centre = self.middle(depth)
            if "depth_shift" in batch:
                centre = centre + batch["depth_shift"]
            centre = centre[:, None, None]
        relative = ((depth - centre) / (2 * self.reach)).clamp(-0.5, 0.5)
        return torch.where(seen, relative, 0.5).unsqueeze(1)

    def middle(self, depth: Tensor) -> Tensor:
        """Median of each picture's measured pixels, of pictures (n, h, w), or ``centre`` without any."""
        flat = torch.where(depth > 0, depth, torch.nan).flatten(1)
        return flat.nanmedian(dim=1).values.nan_to_num(self.centre)

    def decode(self, output: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Network output to pictures (n, h, w), mm around the training pictures' mean depth, 0 where far."""
        relative = output.float().squeeze(1)
        depth = relative * (2 * self.reach) + self.centre
        return torch.where(relative < 0.45, depth.clamp_min(0), 0.0)


class Depth(Picture):
    """Depth pictures (n, height, width), mm, 0 where nothing was measured."""

    name = "depth"
    shape = ("height", "width")
    channels = 1
    order = 10

    def matches(self, shape: tuple[int, ...], dtype: Any) -> bool:
        """Three axes, the last of which is no point."""
        return len(shape) == 3 and shape[2] not in (2, 3) and np.dtype(dtype).kind != "b"

    def as_rows(self, X: Any) -> Any:
        """Check the shape of pictures; one channel at the end is taken off."""
        if X.ndim == 4 and X.shape[-1] == 1:
            X = X[..., 0]
        return super().as_rows(X)

    def check_values(self, column: Any) -> None:
        """Check that depths are 0 or more and no NaN; of lazy pictures the first few."""
        if np.dtype(column.dtype).kind in "ui":
            return
        check_float_pictures(column, self.name)
        for part in scan(column):
            if float(part.min()) < 0:
                raise InputError(f"X: expected depth in mm, 0 or more, got {float(part.min()):g}.")

    def fit_codec(self, columns: Mapping[str, Any], rows: np.ndarray, settings: CodecSettings) -> DepthCodec:
        """Return the codec, with the mean depth of the pictures."""
        return DepthCodec.fit(columns[self.name], "root" in settings.given, rows)

    def move(self, column: Tensor, motion: Motion) -> dict[str, Tensor]:
        """Warp pictures, and draw how far each row's cube moves along the optical axis, mm."""
        moved = warp_pictures(
            column.float().unsqueeze(1), motion.affine, motion.picture_size(column), "nearest"
        ).squeeze(1)
        reach = motion.settings["depth"]
        shift = {"depth_shift": reach * motion.uniform(len(column))} if reach > 0 else {}
        return {self.name: moved, **shift}


MODALITY = Depth()
