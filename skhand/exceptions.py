"""The errors and warnings of skhand: each is also one of Python's own."""

from __future__ import annotations

__all__ = [
    "CameraError",
    "DataFileError",
    "DivergenceError",
    "InputError",
    "SideInformationError",
    "TrainingWarning",
]


class InputError(ValueError):
    """An argument is not what was expected; the message names it, what came and what was expected."""


class SideInformationError(InputError):
    """Side information that ``given=`` promises is missing from ``X``."""


class CameraError(InputError):
    """A camera matrix is missing or is not a camera matrix."""


class DataFileError(InputError):
    """A file of a data set is missing or not as its publisher describes; the message names file and line."""


class DivergenceError(FloatingPointError):
    """A loss is no longer a number or grows without bound; the message names epoch, batch and term."""


class TrainingWarning(UserWarning):
    """A training is not what it seems: a setting does nothing, it will take hours, or data do not fit."""
