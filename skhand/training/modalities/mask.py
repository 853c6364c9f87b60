"""Hand masks: which pixels show the hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skhand._warp import warp_pictures
from skhand.exceptions import InputError
from skhand.training.modalities._record import CodecSettings, Motion, Picture, as_batch

__all__ = ["MODALITY", "MaskCodec"]


class MaskCodec:
    """Masks as one channel: 0.5 where the hand is, and -0.5 elsewhere."""

    columns: tuple[str, ...] = ("mask",)
    decodes: tuple[str, ...] = ()

    def encode(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Masks (n, h, w) to network input (n, 1, h, w)."""
        return as_batch(batch["mask"].to(torch.float32).unsqueeze(1) - 0.5)

    def decode(self, output: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Network output to masks (n, h, w), bool."""
        return output.float().squeeze(1) > 0


class Mask(Picture):
    """Hand masks (n, height, width), bool."""

    name = "mask"
    shape = ("height", "width")
    channels = 1
    order = 25

    def matches(self, shape: tuple[int, ...], dtype: Any) -> bool:
        """Three axes of truth values."""
        return len(shape) == 3 and np.dtype(dtype).kind == "b"

    def check_values(self, column: Any) -> None:
        """Check that these are truth values."""
        if np.dtype(column.dtype).kind != "b":
            raise InputError(f"X: expected mask as bool, got dtype {np.dtype(column.dtype)}.")

    def fit_codec(self, columns: Mapping[str, Any], rows: np.ndarray, settings: CodecSettings) -> MaskCodec:
        """Return the codec; it has no statistics."""
        return MaskCodec()

    def move(self, column: Tensor, motion: Motion) -> dict[str, Tensor]:
        """Warp masks; where nothing reaches there is no hand."""
        moved = warp_pictures(
            column.to(torch.float32).unsqueeze(1), motion.affine, motion.picture_size(column), "nearest"
        )
        return {self.name: moved.squeeze(1) > 0.5}


MODALITY = Mask()
