"""PyTorch modules and losses that two systems share; what one paper alone needs lies in its own folder."""

from skhand.nn._backbones import BACKBONES, TRUNKS, ImageTrunk, StridedConv2d, trunk_levels
from skhand.nn._coders import (
    ImageDecoder,
    ImageEncoder,
    LatentHead,
    VectorDecoder,
    VectorEncoder,
    hidden_layers,
)
from skhand.nn._folding import fold_batch_norm, fold_once
from skhand.nn._injection import InjectionDecoder
from skhand.nn._losses import (
    draw_latent,
    draw_noise,
    kl_standard_normal,
    known_difference,
    masked_l1,
    masked_mse,
)
from skhand.nn._packing import pack_convolutions, pack_weight, read_padding

__all__ = [
    "BACKBONES",
    "TRUNKS",
    "ImageDecoder",
    "ImageEncoder",
    "ImageTrunk",
    "InjectionDecoder",
    "LatentHead",
    "StridedConv2d",
    "VectorDecoder",
    "VectorEncoder",
    "draw_latent",
    "draw_noise",
    "fold_batch_norm",
    "fold_once",
    "hidden_layers",
    "kl_standard_normal",
    "known_difference",
    "masked_l1",
    "masked_mse",
    "pack_convolutions",
    "pack_weight",
    "read_padding",
    "trunk_levels",
]
