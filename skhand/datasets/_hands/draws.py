"""Random numbers by row: row i of a stream depends on the seed, the stream and i, and on nothing else."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

__all__ = ["Draws", "raw_bytes"]

_STREAMS = {"pose": 1, "look": 2, "background": 3, "noise": 4, "subject": 5, "texture": 6}


class Draws:
    """Numbers drawn row by row, each row from its own counter-based generator.

    Parameters
    ----------
    seed : int
        Seed of the data set, below 2**32.
    stream : {"pose", "look", "background", "noise", "subject", "texture"}
        Streams of one seed are independent of each other.
    rows : ndarray of shape (n_rows,)
        Which rows.
    size : int
        How many numbers a row may use; more raise an IndexError.
    """

    def __init__(self, seed: int, stream: str, rows: np.ndarray, size: int):
        self.block = np.empty((len(rows), size))
        for out, row in zip(self.block, rows, strict=True):
            out[:] = _generator(seed, stream, int(row)).random(size)
        self.used = 0

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Return numbers of shape (n_rows, *shape), uniform in [low, high)."""
        count = int(np.prod(shape))
        start, self.used = self.used, self.used + count
        if self.used > self.block.shape[1]:
            raise IndexError(f"a row may draw {self.block.shape[1]} numbers, {self.used} were asked for")
        return low + (high - low) * self.block[:, start : self.used].reshape(len(self.block), *shape)

    def normal(self, *shape: int) -> np.ndarray:
        """Return standard normal numbers of shape (n_rows, *shape)."""
        return ndtri(np.clip(self.uniform(*shape), 1e-9, 1 - 1e-9))

    def choice(self, weights: np.ndarray) -> np.ndarray:
        """Return an index drawn with the given weights for each row, shape (n_rows,)."""
        edges = np.cumsum(np.asarray(weights, dtype=np.float64))
        return np.minimum(np.searchsorted(edges / edges[-1], self.uniform(), side="right"), len(edges) - 1)


def raw_bytes(seed: int, stream: str, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return random uint8 of shape (n_rows, *shape)."""
    size = int(np.prod(shape))
    raw = [np.frombuffer(_generator(seed, stream, int(row)).bytes(size), dtype=np.uint8) for row in rows]
    return np.stack(raw).reshape(len(rows), *shape)


def _generator(seed: int, stream: str, row: int) -> np.random.Generator:
    """Return the generator whose key is (stream and seed, row)."""
    key = np.array([seed | (_STREAMS[stream] << 32), row], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
