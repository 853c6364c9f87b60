"""Random numbers by row: row i of a stream depends on the seed, the stream and i, and on nothing else."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

__all__ = ["Draws", "raw_bytes", "to_choice", "to_normal"]

_STREAMS = {
    "pose": 1,
    "look": 2,
    "background": 3,
    "noise": 4,
    "subject": 5,
    "texture": 6,
    "occluder": 7,
    "sensor": 8,
    "habit": 9,
    "strange": 10,
    "scene": 11,
}
_STEP = np.uint64(0x9E3779B97F4A7C15)


class Draws:
    """Numbers drawn row by row, each row from its own counter-based generator.

    Number k of a row is a hash of the row's key plus k times an odd constant (SplitMix64, Steele et al.
    2014), so all rows are drawn at once. The key is a hash of seed, stream and row; rows of one stream
    never share a key.

    Parameters
    ----------
    seed : int
        Seed of the data set, below 2**32.
    stream : str
        One of the streams above.
        Streams of one seed are independent of each other.
    rows : ndarray of shape (n_rows,)
        Which rows.
    size : int
        How many numbers a row may use; more raise an IndexError.
    """

    def __init__(self, seed: int, stream: str, rows: np.ndarray, size: int):
        bits = _bits(seed, stream, rows, size)
        bits >>= np.uint64(11)
        self.block = bits * 2.0**-53
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
        return to_normal(self.uniform(*shape))

    def choice(self, weights: np.ndarray) -> np.ndarray:
        """Return an index drawn with the given weights for each row, shape (n_rows,)."""
        return to_choice(self.uniform(), weights)


def to_normal(uniform: np.ndarray) -> np.ndarray:
    """Turn uniform numbers into standard normal ones, within 6 standard deviations."""
    return ndtri(np.clip(uniform, 1e-9, 1 - 1e-9))


def to_choice(uniform: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Turn uniform numbers into indices drawn with the given weights, which are not all zero."""
    edges = np.cumsum(np.asarray(weights, dtype=np.float64))
    return np.searchsorted(edges[:-1] / edges[-1], uniform, side="right")


def raw_bytes(seed: int, stream: str, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return random uint8 of shape (n_rows, *shape)."""
    size = int(np.prod(shape))
    raw = _bits(seed, stream, rows, -(-size // 8)).astype("<u8", copy=False).view(np.uint8)
    return np.ascontiguousarray(raw[:, :size]).reshape(len(rows), *shape)


def _bits(seed: int, stream: str, rows: np.ndarray, count: int) -> np.ndarray:
    """Return random uint64 of shape (n_rows, count)."""
    key = _hash(np.array([seed | (_STREAMS[stream] << 32)], dtype=np.uint64))
    key = _hash(key + np.asarray(rows).astype(np.uint64) * _STEP)
    return _hash(key[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _STEP)


def _hash(bits: np.ndarray) -> np.ndarray:
    """Scramble 64-bit numbers in place, one to one (the finaliser of SplitMix64)."""
    scratch = np.empty_like(bits)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        np.right_shift(bits, np.uint64(shift), out=scratch)
        np.bitwise_xor(bits, scratch, out=bits)
        np.multiply(bits, np.uint64(factor), out=bits)
    np.right_shift(bits, np.uint64(31), out=scratch)
    return np.bitwise_xor(bits, scratch, out=bits)
