"""PyTorch modules with weights, and losses as plain functions."""

from skhand.nn._aligned import AlignedVAE, LatentDiscriminator, LatentMapper
from skhand.nn._backbones import BACKBONES, ImageTrunk
from skhand.nn._coders import ImageDecoder, ImageEncoder, VectorDecoder, VectorEncoder
from skhand.nn._cross_modal import CrossModalVAE
from skhand.nn._heatmap_heads import (
    HEATMAPS,
    Maps25D,
    Pose25DNet,
    direct_pose,
    gaussian_maps,
    latent_pose,
    map_spread,
    soft_argmax,
)
from skhand.nn._heatmap_net import HeatmapNet
from skhand.nn._injection import InjectionDecoder
from skhand.nn._kinematic import geo_loss, joint_line_distances, kcs_loss, kinematic_chain
from skhand.nn._losses import draw_latent, kl_standard_normal, masked_l1, masked_mse
from skhand.nn._sim_to_real import DOMAINS, SimToRealNet

__all__ = [
    "BACKBONES",
    "DOMAINS",
    "HEATMAPS",
    "AlignedVAE",
    "CrossModalVAE",
    "HeatmapNet",
    "ImageDecoder",
    "ImageEncoder",
    "ImageTrunk",
    "InjectionDecoder",
    "LatentDiscriminator",
    "LatentMapper",
    "Maps25D",
    "Pose25DNet",
    "SimToRealNet",
    "VectorDecoder",
    "VectorEncoder",
    "direct_pose",
    "draw_latent",
    "gaussian_maps",
    "geo_loss",
    "joint_line_distances",
    "kcs_loss",
    "kinematic_chain",
    "kl_standard_normal",
    "latent_pose",
    "map_spread",
    "masked_l1",
    "masked_mse",
    "soft_argmax",
]
