"""scikit-learn-style estimators for 3D hand pose."""

from skhand.estimators._aligned_latent import AlignedLatentRegressor
from skhand.estimators._cross_modal_vae import CrossModalVAERegressor
from skhand.estimators._latent_heatmap import LatentHeatmapRegressor
from skhand.estimators._sim_to_real import SimToRealRegressor

__all__ = [
    "AlignedLatentRegressor",
    "CrossModalVAERegressor",
    "LatentHeatmapRegressor",
    "SimToRealRegressor",
]
