"""Joints in the picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from skhand.geometry import apply_affine
from skhand.training.modalities._record import CodecSettings, Motion, Vector
from skhand.training.modalities._vector import VectorCodec

__all__ = ["MODALITY"]


class Keypoints(Vector):
    """Joints in the picture (n, n_joints, 2), px."""

    name = "keypoints2d"
    shape = ("n_joints", 2)
    order = 20

    def matches(self, shape: tuple[int, ...], dtype: Any) -> bool:
        """Three axes, two numbers a joint."""
        return len(shape) == 3 and shape[2] == 2

    def fit_codec(self, columns: Mapping[str, Any], rows: np.ndarray, settings: CodecSettings) -> VectorCodec:
        """Return the codec: one scale for all coordinates."""
        return VectorCodec.fit(self.name, np.asarray(columns[self.name])[rows], isotropic=True)

    def move(self, column: Tensor, motion: Motion) -> dict[str, Tensor]:
        """Move points with their picture."""
        affine = motion.affine.to(column.dtype)
        return {self.name: column @ affine[:, :2, :2].mT + affine[:, None, :2, 2]}

    def to_original(self, decoded: np.ndarray, columns: Mapping[str, Any]) -> np.ndarray:
        """Bring points back to the original picture, by ``affine``."""
        if "affine" not in columns:
            return decoded
        return apply_affine(np.linalg.inv(columns["affine"]), decoded)


MODALITY = Keypoints()
