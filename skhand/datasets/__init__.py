"""Data sets: the synthetic generator."""

from skhand.datasets._make_hands import make_hands

__all__ = ["make_hands"]
