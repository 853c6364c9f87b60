"""Transformers that crop, turn, mirror and scale hands, and undo it; features of hands; and the warp."""

from skhand.preprocessing._align_view import ViewAligner
from skhand.preprocessing._cropper import HandCropper
from skhand.preprocessing._depth import DepthCropper
from skhand.preprocessing._features import BoneLengths, CanonicalPose, JointAngles
from skhand.preprocessing._image import ImageNormalizer
from skhand.preprocessing._mirror import HandMirror
from skhand.preprocessing._pose import PoseNormalizer
from skhand.preprocessing._pose25d import Pose25D
from skhand.preprocessing._warp import warp_images
from skhand.preprocessing._windows import head_box

__all__ = [
    "BoneLengths",
    "CanonicalPose",
    "DepthCropper",
    "HandCropper",
    "HandMirror",
    "ImageNormalizer",
    "JointAngles",
    "Pose25D",
    "PoseNormalizer",
    "ViewAligner",
    "head_box",
    "warp_images",
]
