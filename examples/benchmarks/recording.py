"""Shared by the measuring scripts: files written whole, rates, and the machine's description."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import joblib
import torch


def save(what: object, path: Path) -> None:
    """Write a file of joblib's whole or not at all."""
    joblib.dump(what, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").rename(path)


def save_results(results: dict[str, object], path: Path) -> None:
    """Write results as JSON, whole or not at all."""
    path.with_suffix(".tmp").write_text(json.dumps(results, indent=1))
    path.with_suffix(".tmp").rename(path)


def begin_or_go_on(results: dict[str, object], path: Path) -> dict[str, object]:
    """Return the results that are there, made with the same settings, or write these down for a start.

    Settings are on file before anything is made with them, so that what is kept beside the file is theirs.
    """
    if not path.exists():
        save_results(results, path)
        return results
    kept = json.loads(path.read_text())
    if kept["settings"] != results["settings"]:
        raise SystemExit(
            f"{path} was made with other settings: {kept['settings']}, and not {results['settings']}."
        )
    return kept


def rates(lr: float, until_still: bool) -> tuple[float, ...]:
    """Return the rates to fit at, one after the other: where a fit ends by itself, it goes on at a fifth."""
    return (lr, 0.2 * lr) if until_still else (lr,)


def machine() -> dict[str, object]:
    """Return the machine that numbers are measured on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
