"""Standardised vectors, which keypoints, poses and tables share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from skhand.training._runtime import constant

__all__ = ["VectorCodec", "like", "statistics"]


class VectorCodec:
    """A vector column, standardised: keypoints by one scale for all, tables column by column.

    Parameters
    ----------
    column : str
        Name of the column.
    mean, std : ndarray of shape (k,)
        Statistics of the flattened rows.
    shape : tuple of int
        Shape of one row.
    """

    def __init__(self, column: str, mean: np.ndarray, std: np.ndarray, shape: tuple[int, ...]):
        self.columns: tuple[str, ...] = (column,)
        self.decodes: tuple[str, ...] = ()
        self.mean, self.std, self.shape = mean, std, shape

    @classmethod
    def fit(cls, column: str, rows: np.ndarray, *, isotropic: bool) -> VectorCodec:
        """Read mean and standard deviation off the rows, NaN ignored."""
        mean, std = statistics(rows.reshape(len(rows), -1), isotropic)
        return cls(column, mean, std, rows.shape[1:])

    def encode(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Rows (n, *shape) to network input (n, k)."""
        rows = batch[self.columns[0]].flatten(1)
        return ((rows - like(self.mean, rows)) / like(self.std, rows)).float()

    def decode(self, output: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Network output (n, k) to rows (n, *shape), float64."""
        rows = output.double()
        rows = rows * like(self.std, rows) + like(self.mean, rows)
        return rows.reshape(len(rows), *self.shape)


def statistics(rows: np.ndarray, isotropic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of rows (n, k), NaN ignored; one common deviation if isotropic.

    The mean of a coordinate that no row knows is NaN, and so is what is decoded for it.
    """
    rows = np.asarray(rows, dtype=np.float64)
    known = ~np.isnan(rows)
    count = known.sum(axis=0)
    mean = np.where(count > 0, np.where(known, rows, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
    squares = np.where(known, rows - mean, 0.0) ** 2
    variance = squares.sum(axis=0) / np.maximum(count, 1)
    if isotropic:
        variance = np.full_like(variance, variance[count > 0].mean())
    std = np.sqrt(variance)
    tiny = std <= 1e-12 * np.maximum(1.0, np.abs(mean))
    return mean, np.where(tiny, 1.0, std)


def like(array: np.ndarray, rows: Tensor) -> Tensor:
    """Return an array's numbers as a tensor of the dtype and on the device of rows."""
    return constant(array, rows.dtype, rows.device)
