"""The score of pose estimators, which knows of unknown coordinates."""

from __future__ import annotations

import numpy as np


def variance_weighted_r2(y: np.ndarray, predicted: np.ndarray) -> float:
    """R2 of (n, k) numbers over the known coordinates of y, each coordinate weighing by its variance."""
    known = np.isfinite(y)
    mean = np.where(known, y, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    total = np.square(np.where(known, y - mean, 0.0)).sum()
    residual = np.square(np.where(known, y - predicted, 0.0)).sum()
    if total == 0:
        return 1.0 if residual == 0 else 0.0
    return float(1.0 - residual / total)
