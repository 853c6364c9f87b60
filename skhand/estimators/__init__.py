"""scikit-learn-style estimators for 3D hand pose, one folder a paper."""

from skhand.estimators.aligned_latent import AlignedLatentRegressor
from skhand.estimators.cross_modal_vae import CrossModalVAERegressor
from skhand.estimators.latent_heatmap import LatentHeatmapRegressor
from skhand.estimators.sim_to_real import SimToRealRegressor

__all__ = [
    "AlignedLatentRegressor",
    "CrossModalVAERegressor",
    "LatentHeatmapRegressor",
    "SimToRealRegressor",
]
