"""Shared by the commands: lines on stderr, numbers on the command line, models, output folders."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skhand._progress import progress
from skhand.exceptions import InputError

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "batches",
    "make_folder",
    "number",
    "open_model",
    "print_error",
    "print_line",
    "progress",
    "use_matplotlib",
]


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


def make_folder(path: Path) -> Path:
    """Make a folder for output, and check that files can be written there, before the work for them."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(f"--out: expected a folder that can be written, got {path} ({error}).") from error
    return path


def open_model(name: str, argument: str) -> Any:
    """Return the shipped weights, for "hands", or what `skhand.persistence.save` wrote."""
    if name == "hands":
        from skhand.estimators import LatentHeatmapRegressor

        return LatentHeatmapRegressor.from_pretrained()
    from skhand.persistence import load

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
