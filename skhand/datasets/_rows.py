"""Make the rows of a picture column one by one, when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skhand._columns import LazyColumn
from skhand.exceptions import InputError


class MadePictures(LazyColumn):
    """Pictures that are made from a file and something more, for example a square to cut out.

    Parameters
    ----------
    jobs : sequence of tuple
        One a row; the first item is the file's path.
    make : callable
        ``make(*job) -> ndarray`` of one shape and dtype; a function that a module defines, so that the column
        can be pickled. Its OSError becomes an error that names the file.
    shape : tuple of int
        Of one picture.
    dtype : dtype, default=uint8
        Of the pictures.
    """

    def __init__(
        self,
        jobs: Sequence[tuple[Any, ...]],
        make: Callable[..., np.ndarray],
        shape: tuple[int, ...],
        dtype: Any = np.uint8,
    ):
        self.jobs, self.make = list(jobs), make
        super().__init__((len(self.jobs), *shape), dtype)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for i, row in enumerate(rows):
            out[i] = self._make(self.jobs[row])
        return out

    def _make(self, job: tuple[Any, ...]) -> np.ndarray:
        try:
            picture = self.make(*job)
        except OSError as error:
            raise InputError(f"paths: {job[0]} is missing or is not a readable picture ({error}).") from error
        if picture.shape != self.shape[1:]:
            raise InputError(
                f"paths: expected pictures of shape {self.shape[1:]}, got {picture.shape} in {job[0]}."
            )
        return picture
