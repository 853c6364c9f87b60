"""AlignedLatentRegressor: all that this paper alone needs."""

from skhand.estimators.aligned_latent.regressor import AlignedLatentRegressor

__all__ = ["AlignedLatentRegressor"]
