"""SimToRealRegressor: all that this paper alone needs."""

from skhand.estimators.sim_to_real.regressor import SimToRealRegressor

__all__ = ["SimToRealRegressor"]
