"""CrossModalVAERegressor: all that this paper alone needs."""

from skhand.estimators.cross_modal_vae.regressor import CrossModalVAERegressor

__all__ = ["CrossModalVAERegressor"]
