"""PyTorch modules with weights, and losses as plain functions."""

from skhand.nn._backbones import BACKBONES, ImageTrunk
from skhand.nn._coders import ImageDecoder, ImageEncoder, VectorDecoder, VectorEncoder
from skhand.nn._cross_modal import CrossModalVAE
from skhand.nn._losses import kl_standard_normal

__all__ = [
    "BACKBONES",
    "CrossModalVAE",
    "ImageDecoder",
    "ImageEncoder",
    "ImageTrunk",
    "VectorDecoder",
    "VectorEncoder",
    "kl_standard_normal",
]
