"""Hands in whole pictures and videos: found, cropped, and answered in 3D."""

from skhand.tracking._hands import Hands
from skhand.tracking._tracker import HandTracker

__all__ = ["HandTracker", "Hands"]
