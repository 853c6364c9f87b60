"""scikit-learn-style estimators for 3D hand pose."""

from skhand.estimators._cross_modal_vae import CrossModalVAERegressor

__all__ = ["CrossModalVAERegressor"]
