"""Data sets: the synthetic generator, and loaders of the real ones from their publishers' files."""

from skhand.datasets._make_hands import make_hands
from skhand.datasets._report import DatasetReport
from skhand.datasets._rhd import load_rhd
from skhand.datasets._verify import verify

__all__ = ["DatasetReport", "load_rhd", "make_hands", "verify"]
