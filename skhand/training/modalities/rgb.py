"""Colour pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, uint8

from skhand._warp import warp_pictures
from skhand.exceptions import InputError
from skhand.training.modalities._record import (
    CodecSettings,
    Motion,
    Picture,
    as_batch,
    check_float_pictures,
    scan,
)

__all__ = ["MODALITY", "RGBCodec"]


class RGBCodec:
    """Colour pictures, uint8 or float in 0..1, as channels in -0.5..0.5 (Spurr et al. 2018, Sec. 7.1)."""

    columns: tuple[str, ...] = ("rgb",)
    decodes: tuple[str, ...] = ()

    def encode(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Pictures (n, h, w, 3) to network input (n, 3, h, w)."""
        return as_batch(_channels_first(batch["rgb"]) - 0.5)

    def decode(self, output: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Network output to pictures (n, h, w, 3), uint8."""
        rgb = (output.float() + 0.5).clamp(0, 1) * 255.0
        return rgb.round().to(uint8).permute(0, 2, 3, 1)


class RGB(Picture):
    """Colour pictures (n, height, width, 3), uint8 or float in 0..1."""

    name = "rgb"
    shape = ("height", "width", 3)
    channels = 3
    order = 0

    def matches(self, shape: tuple[int, ...], dtype: Any) -> bool:
        """Four axes."""
        return len(shape) == 4

    def check_values(self, column: Any) -> None:
        """Check that floats are in 0..1; uint8 needs no look. Of lazy pictures the first few."""
        if np.dtype(column.dtype) == np.uint8:
            return
        check_float_pictures(column, self.name)
        for part in scan(column):
            low, high = float(part.min()), float(part.max())
            if low < -1e-6 or high > 1 + 1e-6:
                raise InputError(
                    "X: expected float pictures in 0 to 1 (or uint8 in 0 to 255), "
                    f"got values from {low:g} to {high:g}."
                )

    def fit_codec(self, columns: Mapping[str, Any], rows: np.ndarray, settings: CodecSettings) -> RGBCodec:
        """Return the codec; it has no statistics."""
        return RGBCodec()

    def move(self, column: Tensor, motion: Motion) -> dict[str, Tensor]:
        """Warp and recolour pictures; they become float in 0..1, mid-grey where nothing reaches."""
        rgb = warp_pictures(
            _channels_first(column) - 0.5, motion.affine, motion.picture_size(column), "bilinear"
        )
        return {self.name: (_recolour(rgb, motion) + 0.5).permute(0, 2, 3, 1)}


def _channels_first(rgb: Tensor) -> Tensor:
    """Pictures (n, h, w, 3) as floats in 0..1, (n, 3, h, w)."""
    rgb = rgb.permute(0, 3, 1, 2)
    return rgb.float() / 255.0 if rgb.dtype == uint8 else rgb.float()


def _recolour(rgb: Tensor, motion: Motion) -> Tensor:
    """Random brightness, contrast and colour balance of pictures (n, 3, h, w) in -0.5..0.5; some get grey."""
    strength, grey = motion.settings["colour"], motion.settings["grey"]
    n = len(rgb)
    if strength > 0:
        gain = 1 + strength * motion.uniform(n, 1, 1, 1)
        balance = 1 + 0.5 * strength * motion.uniform(n, 3, 1, 1)
        brightness = 0.5 * strength * motion.uniform(n, 1, 1, 1)
        rgb = (rgb * gain * balance + brightness).clamp(-0.5, 0.5)
    if grey > 0:
        red, green, blue = rgb.split(1, dim=1)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-R BT.601
        chosen = motion.uniform(n, 1, 1, 1) < 2 * grey - 1
        rgb = torch.where(chosen, luma, rgb)
    return rgb


MODALITY = RGB()
