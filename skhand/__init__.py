"""scikit-learn-style estimators for 3D hand pose."""

import importlib
from typing import Any

from skhand._concat import concat_frames
from skhand.frames import HandFrames, ImageFiles

__version__ = "0.1.0"
__all__ = ["HandFrames", "ImageFiles", "__version__", "concat_frames"]

# imported when they are first asked for, as scikit-learn does: ``skhand.metrics`` needs no import of its own
_MODULES = (
    *("datasets", "detection", "estimators", "exceptions", "geometry", "metrics", "model_selection"),
    *("persistence", "plotting", "preprocessing", "skeleton", "tracking", "training"),
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"skhand.{name}")
    raise AttributeError(f"module 'skhand' has no attribute {name!r}.")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
