"""LatentHeatmapRegressor: all that this paper alone needs."""

from skhand.estimators.latent_heatmap.regressor import LatentHeatmapRegressor

__all__ = ["LatentHeatmapRegressor"]
