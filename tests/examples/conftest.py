"""How the examples' tests run a script."""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from skhand.datasets import make_hands

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def define() -> Callable[[str], dict[str, Any]]:
    """Return what a script of ``examples`` defines, by name, without running it as the main module."""
    return lambda name: runpy.run_path(str(EXAMPLES / name), run_name=Path(name).stem)


@pytest.fixture
def photographs(tmp_path: Path) -> Callable[..., Path]:
    """Write generated left hands as a folder of photographs with joints and cameras, and return it."""

    def write(n_samples: int, image_size: int = 32) -> Path:
        hands = make_hands(
            n_samples, image_size=image_size, side="left", rotation=30, images=("rgb",), random_state=0
        )
        (tmp_path / "images").mkdir()
        for i, picture in enumerate(hands.data.rgb):
            Image.fromarray(picture).save(tmp_path / "images" / f"{i:05d}.jpg")
        np.savez(tmp_path / "annotations.npz", joints_mm=hands.target, K_crop=hands.data.camera)
        return tmp_path

    return write


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Run a script of ``examples`` as the main module, in this process, which has imported torch already.

    Gives the lines that it prints; with ``fails=True`` it must raise, and gives those of its traceback.
    """

    def run_script(script: str, *arguments: object, fails: bool = False) -> list[str]:
        path = EXAMPLES / script
        n_threads = torch.get_num_threads()
        printed, error = io.StringIO(), None
        with monkeypatch.context() as patch, contextlib.redirect_stdout(printed):
            patch.setattr(sys, "argv", [str(path), *map(str, arguments)])
            patch.syspath_prepend(path.parent)
            try:
                runpy.run_path(str(path), run_name="__main__")
            except (Exception, SystemExit):
                error = traceback.format_exc()
            finally:
                torch.set_num_threads(n_threads)
        assert (error is not None) == fails, error
        return (error if fails else printed.getvalue()).splitlines()

    return run_script
