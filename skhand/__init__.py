"""scikit-learn-style estimators for 3D hand pose."""

from skhand._concat import concat_frames
from skhand.frames import HandFrames, ImageFiles

__version__ = "0.1.0"
__all__ = ["HandFrames", "ImageFiles", "__version__", "concat_frames"]
