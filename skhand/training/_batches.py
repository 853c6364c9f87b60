"""Batches of named streams of rows: read ahead, in an order that depends on seed and step only."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skhand._columns import in_memory, read_columns
from skhand.exceptions import InputError
from skhand.training._runtime import one_thread
from skhand.training.modalities import MODALITIES

__all__ = ["Batches", "fetch", "read_ahead"]

_WORTH_A_THREAD = 2e-3  # s that reading takes

Columns = Mapping[str, Any]


def fetch(columns: Columns, names: Any, rows: np.ndarray, device: torch.device) -> dict[str, Tensor]:
    """Read some rows of some columns onto the device, one slice a column, one making a row.

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
        If a picture, which may be read for the first time here, holds values that it must not.
    """
    read = read_columns(columns, names, rows)
    return {name: _as_tensor(name, values, device) for name, values in read.items()}


def _as_tensor(name: str, values: Any, device: torch.device) -> Tensor:
    array = np.ascontiguousarray(values)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if name in MODALITIES and MODALITIES[name].is_image:
        MODALITIES[name].check_values(array)
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


class Batches:
    """The batches of every step of a stage, a dict of columns for each named stream.

    A stream runs through its rows again and again, in a new random order each time. Every batch is full: it
    runs on into the next pass. Which rows a step reads depends on the seed and on the number of the step
    only, so that reading can begin anywhere, and ahead of the training.

    Parameters
    ----------
    columns_of : callable
        Columns of a pass: ``columns_of(k)`` for the k-th. The same every time, but for endless data.
    streams : mapping of str to ndarray of int
        Rows of each stream.
    names : mapping of str to set of str
        Columns that are read of each stream.
    batch_size : int
        Rows a batch; at most the number of rows there are, and at least ``smallest``.
    seed : sequence of int
        What the order depends on.
    device : torch.device
        Where batches go.
    smallest : int, default=2
        Fewest rows a batch; batch normalisation needs two.
    n_workers : int or None, default=None
        Threads that read ahead. None is one where pictures are not in memory or go to a GPU, else none: to
        slice an array takes less time than to hand it over.
    """

    def __init__(
        self,
        columns_of: Callable[[int], Columns],
        streams: Mapping[str, np.ndarray],
        names: Mapping[str, set[str]],
        batch_size: int,
        seed: Sequence[int],
        device: torch.device,
        *,
        smallest: int = 2,
        n_workers: int | None = None,
    ):
        self.columns_of, self.streams, self.device, self.seed = columns_of, dict(streams), device, list(seed)
        for name, rows in self.streams.items():
            if len(rows) == 0:
                raise InputError(f"X: expected rows for the stream {name!r} of this training, got none.")
        self.names = {stream: sorted(names[stream]) for stream in self.streams}
        self.sizes = {name: max(smallest, min(batch_size, len(rows))) for name, rows in self.streams.items()}
        if n_workers is None:
            columns = columns_of(0)
            lazy = any(
                not in_memory(columns[name])
                for some in self.names.values()
                for name in some
                if name in columns and name in MODALITIES and MODALITIES[name].is_image
            )
            n_workers = 1 if lazy or device.type == "cuda" else 0
        self.n_workers = n_workers
        self._orders: dict[tuple[str, int], np.ndarray] = {}

    def __len__(self) -> int:
        """Steps of one pass through the longest stream."""
        return max(-(-len(rows) // self.sizes[name]) for name, rows in self.streams.items())

    def count_passes(self, n_steps: int) -> int:
        """Return how many passes so many steps begin, of the stream that begins most."""
        return max(-(-n_steps * self.sizes[name] // len(rows)) for name, rows in self.streams.items())

    def rows(self, step: int) -> dict[str, list[tuple[int, np.ndarray]]]:
        """Return for each stream the rows that a step reads, by the pass that they belong to."""
        return {name: self._rows_of(name, step) for name in self.streams}

    def _rows_of(self, name: str, step: int) -> list[tuple[int, np.ndarray]]:
        rows, size = self.streams[name], self.sizes[name]
        place, stop = step * size, (step + 1) * size
        parts = []
        while place < stop:
            number, first = divmod(place, len(rows))
            last = min(len(rows), first + stop - place)
            parts.append((number, self._order(name, number)[first:last]))
            place += last - first
        return parts

    def _order(self, name: str, number: int) -> np.ndarray:
        """Rows of a stream in the order of one pass; the last few are kept."""
        key = (name, number)
        order = self._orders.get(key)
        if order is None:
            index = list(self.streams).index(name)
            order = np.random.default_rng([*self.seed, index, number]).permutation(self.streams[name])
            self._orders = {
                (stream, n): kept
                for (stream, n), kept in self._orders.items()
                if stream != name or n >= number - 2
            }
            self._orders[key] = order
        return order

    def read(self, parts: Mapping[str, list[tuple[int, np.ndarray]]]) -> dict[str, dict[str, Tensor]]:
        """Read the batches that these rows make."""
        batches = {}
        for name, passes in parts.items():
            columns, rows = self.columns_of(passes[0][0]), [some for _, some in passes]
            if all(self.columns_of(number) is columns for number, _ in passes):
                batches[name] = fetch(columns, self.names[name], np.concatenate(rows), self.device)
                continue
            read = [fetch(self.columns_of(k), self.names[name], some, self.device) for k, some in passes]
            batches[name] = {column: torch.cat([part[column] for part in read]) for column in read[0]}
        return batches

    def iterate(self, start: int, stop: int) -> Generator[dict[str, dict[str, Tensor]], None, None]:
        """Yield the batches of the steps from ``start`` to before ``stop``, read ahead by the workers."""
        if self.n_workers == 0:
            for step in range(start, stop):
                yield self.read(self.rows(step))
            return
        waiting: deque[Future[dict[str, dict[str, Tensor]]]] = deque()
        with ThreadPoolExecutor(self.n_workers, "skhand-read", initializer=_use_one_core) as pool:
            try:
                for step in range(start, stop):
                    while len(waiting) < 2 * self.n_workers and step + len(waiting) < stop:
                        waiting.append(pool.submit(self.read, self.rows(step + len(waiting))))
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()


def read_ahead(read: Callable[[np.ndarray], Any], parts: Sequence[np.ndarray]) -> Iterator[Any]:
    """Yield what is read of each part; where that takes time, the next one is read while one is used."""
    start = time.perf_counter()
    first = read(parts[0])
    quick = time.perf_counter() - start < _WORTH_A_THREAD
    yield first
    if quick or len(parts) < 3:
        yield from map(read, parts[1:])
        return
    with ThreadPoolExecutor(1, "skhand-read", initializer=_use_one_core) as pool:
        waiting = pool.submit(read, parts[1])
        for part in parts[2:]:
            ready, waiting = waiting, pool.submit(read, part)
            yield ready.result()
        yield waiting.result()


def _use_one_core() -> None:
    """Let the operators that a worker calls run in that worker, for as long as it lives."""
    one_thread().__enter__()
