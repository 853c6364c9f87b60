"""Plain tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skhand.training.modalities._record import CodecSettings, Vector
from skhand.training.modalities._vector import VectorCodec

__all__ = ["MODALITY"]


class Table(Vector):
    """Any numbers (n, n_features)."""

    name = "table"
    shape = ("n_features",)
    order = 30

    def fit_codec(self, columns: Mapping[str, Any], rows: np.ndarray, settings: CodecSettings) -> VectorCodec:
        """Return the codec: columns are standardised one by one."""
        return VectorCodec.fit(self.name, np.asarray(columns[self.name])[rows], isotropic=False)


MODALITY = Table()
