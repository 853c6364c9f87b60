"""Batches by slicing: columns stay in their own dtype until a whole batch is on the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skhand.exceptions import InputError

__all__ = ["PairBatches", "fetch"]


def fetch(
    columns: Mapping[str, Any], names: Any, rows: np.ndarray, device: torch.device
) -> dict[str, Tensor]:
    """Read some rows of some columns onto the device, one slice a column.

    Parameters
    ----------
    columns : mapping of str to array-like
        Columns that numpy's integer indexing reads, lazily or not.
    names : iterable of str
        Which columns; what is not there is left out.
    rows : ndarray of int
        Which rows.
    device : torch.device
        Where to.

    Returns
    -------
    batch : dict of str to Tensor

    Raises
    ------
    InputError
        If a picture, which may be read for the first time here, holds NaN or infinity.
    """
    batch = {}
    for name in names:
        if name in columns:
            array = np.ascontiguousarray(columns[name][rows])
            array = array.astype(array.dtype.newbyteorder("="), copy=False)
            if name in ("rgb", "depth") and array.dtype.kind == "f" and not np.isfinite(array).all():
                raise InputError(f"X: expected finite pictures, got NaN or infinity in {name}.")
            batch[name] = torch.from_numpy(array).to(device, non_blocking=True)
    return batch


class PairBatches:
    """Endless shuffled batches for every (source, target) pair, handed out one epoch at a time.

    Pairs that can use the same rows share one stream and one batch; pairs with fewer rows (a target that is
    unlabelled in some) go through theirs more often. Every batch is full: a stream runs on into its next
    permutation. An epoch is one pass through the longest stream, unless ``steps`` says otherwise.

    Parameters
    ----------
    columns : mapping of str to array-like
        The training columns.
    pair_rows : list of ndarray of int
        For each pair the rows that it can train on.
    pair_columns : list of set of str
        For each pair the columns that it reads.
    batch_size : int
        Rows a batch; at most the number of rows there are, and at least ``smallest``.
    rng : numpy.random.Generator
        Source of the shuffles.
    device : torch.device
        Where batches go.
    steps : sequence of int, default=()
        Number of batches of the first epochs, one after the other; later ones are as long as the last of
        these.
    smallest : int, default=2
        Fewest rows a batch; batch normalisation needs two.
    """

    def __init__(
        self,
        columns: Mapping[str, Any],
        pair_rows: list[np.ndarray],
        pair_columns: list[set[str]],
        batch_size: int,
        rng: np.random.Generator,
        device: torch.device,
        *,
        steps: Sequence[int] = (),
        smallest: int = 2,
    ):
        self.columns, self.device, self.steps = columns, device, list(steps)
        self.rows: list[np.ndarray] = []
        self.pairs: list[list[int]] = []
        self.names: list[set[str]] = []
        for pair, (rows, names) in enumerate(zip(pair_rows, pair_columns, strict=True)):
            for stream, known in enumerate(self.rows):
                if np.array_equal(known, rows):
                    self.pairs[stream].append(pair)
                    self.names[stream] |= names
                    break
            else:
                self.rows.append(rows)
                self.pairs.append([pair])
                self.names.append(set(names))
        self.sizes = [max(smallest, min(batch_size, len(rows))) for rows in self.rows]
        self.n_steps = max(-(-len(rows) // size) for rows, size in zip(self.rows, self.sizes, strict=True))
        self.streams = [_shuffled(rows, size, rng) for rows, size in zip(self.rows, self.sizes, strict=True)]

    def __len__(self) -> int:
        return self.n_steps

    def __iter__(self) -> Iterator[list[tuple[list[int], dict[str, Tensor]]]]:
        self.n_steps = self.steps.pop(0) if self.steps else self.n_steps
        for _ in range(self.n_steps):
            yield [
                (pairs, fetch(self.columns, sorted(names), next(stream), self.device))
                for pairs, names, stream in zip(self.pairs, self.names, self.streams, strict=True)
            ]


def _shuffled(rows: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    waiting = np.empty(0, dtype=np.intp)
    while True:
        while len(waiting) < size:
            waiting = np.concatenate([waiting, rng.permutation(rows)])
        yield waiting[:size]
        waiting = waiting[size:]
