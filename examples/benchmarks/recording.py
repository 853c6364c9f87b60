"""What the measuring scripts share: files that are whole or not there, and the machine's description."""

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


def machine() -> dict[str, object]:
    """What the numbers were measured on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
