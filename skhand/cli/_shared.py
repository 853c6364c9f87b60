"""Shared by the commands: lines on stderr, numbers on the command line, models, output folders."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skhand._progress import progress
from skhand.exceptions import InputError

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "MODEL_HELP",
    "EpochBar",
    "batches",
    "check_place",
    "make_folder",
    "number",
    "open_model",
    "print_error",
    "print_line",
    "progress",
    "use_matplotlib",
]


MODEL_HELP = "a saved model (.safetensors), or hands: the weights that ship"


def print_line(line: str) -> None:
    """Print a line to stderr, beside any bar."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)


def print_error(error: Any) -> None:
    """Print an error in one line."""
    print_line(f"skhand: error: {' '.join(str(error).split())}")


def number(
    convert: Callable[[str], Any], low: float, high: float = float("inf"), *, open_ended: bool = False
) -> Callable[[str], Any]:
    """Return what reads a number of the command line, from ``low`` (or above it) to ``high``."""
    name = "a whole number" if convert is int else "a number"

    def read(text: str) -> Any:
        try:
            value = convert(text)
        except ValueError:
            value = float("nan")
        if not (low < value <= high if open_ended else low <= value <= high) or value == float("inf"):
            to = "" if high == float("inf") else f" to {high:g}"
            raise argparse.ArgumentTypeError(
                f"expected {name} {'above' if open_ended else 'from'} {low:g}{to}, got {text!r}"
            )
        return value

    return read


def check_place(folder: Path) -> None:
    """Check that output can be written to a folder, there or to be made, before the work for it.

    Nothing is left there: what is wrong with the input may only come out later.
    """
    with _writing_to(folder):
        there = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
        with tempfile.TemporaryFile(dir=there):
            pass


def make_folder(folder: Path) -> None:
    """Make a folder for output, where it is missing."""
    with _writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def _writing_to(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"--out: expected a folder that can be written, got {folder} ({error}).") from error


class EpochBar:
    """A callback of scikit-learn's: a bar of the epochs of a fit, where `progress` shows bars.

    Parameters
    ----------
    n_epochs : int
        How many there will be.
    """

    def __init__(self, n_epochs: int):
        self._epochs = iter(progress(range(n_epochs), "fitting", unit="epoch"))

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Move the bar on: what came before an epoch is done."""
        if context.task_name == "epoch":
            next(self._epochs, None)

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Wipe the bar out."""
        if hasattr(self._epochs, "close"):
            self._epochs.close()


def open_model(name: str, argument: str) -> Any:
    """Return the shipped weights, for "hands", or what `skhand.persistence.save` wrote."""
    if name == "hands":
        from skhand.estimators import LatentHeatmapRegressor

        return LatentHeatmapRegressor.from_pretrained()
    from skhand.persistence import load

    if not Path(name).exists() and Path(f"{name}.safetensors").is_file():
        name = f"{name}.safetensors"  # as fit's --out has it
    try:
        return load(name)
    except InputError as error:
        text = str(error).removeprefix("path: ").removesuffix(".")
        raise InputError(f"{argument}: {text}; 'hands' names the weights that ship.") from error


def batches(n_rows: int, size: int) -> list[np.ndarray]:
    """Return row numbers in batches."""
    import numpy as np

    return [np.arange(first, min(first + size, n_rows)) for first in range(0, n_rows, size)]


def use_matplotlib(command: str) -> None:
    """Prepare matplotlib for drawing into files, or say how to install it."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            f"skhand {command} needs matplotlib; install it with: pip install 'skhand[plot]'"
        ) from error
    matplotlib.use("Agg")
