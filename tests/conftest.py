"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# scikit-learn's estimator checks want it, and scipy reads it once, when it is first imported
os.environ.setdefault("SCIPY_ARRAY_API", "1")
if "PYTEST_XDIST_WORKER" in os.environ:  # processes that share the cores; torch reads it when it is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background; tests press Ctrl-C all the same
    signal.signal(signal.SIGINT, signal.default_int_handler)

# the same few numbers each time, on machines of any speed
settings.register_profile("skhand", max_examples=25, deadline=None, derandomize=True, database=None)
settings.load_profile("skhand")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real data; a test that asks for it is skipped where the folder is missing."""
    default = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("SKHAND_REAL_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; SKHAND_REAL_DATA names another place")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """Seeded random numbers, the same in every test."""
    return np.random.default_rng(0)
