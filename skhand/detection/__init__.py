"""Find hands in whole pictures."""

from skhand.detection._detector import HandDetector

__all__ = ["HandDetector"]
