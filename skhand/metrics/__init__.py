"""Metrics of pose estimation on arrays, and scorers made from them.

Nothing here assumes a unit: errors come in the unit of ``y_true``, thresholds are given in it.
"""

from skhand.metrics import scorers
from skhand.metrics._epe import mean_epe, median_epe
from skhand.metrics._errors import joint_errors
from skhand.metrics._pcf import pcf
from skhand.metrics._pck import pck, pck_auc, pck_curve
from skhand.metrics._pckh import pckh
from skhand.metrics._thresholds import GRIDS
from skhand.metrics.scorers import (
    get_scorer,
    get_scorer_names,
    make_pose_scorer,
    neg_epe,
    neg_mean_epe,
    neg_median_epe,
)

__all__ = [
    "GRIDS",
    "get_scorer",
    "get_scorer_names",
    "joint_errors",
    "make_pose_scorer",
    "mean_epe",
    "median_epe",
    "neg_epe",
    "neg_mean_epe",
    "neg_median_epe",
    "pcf",
    "pck",
    "pck_auc",
    "pck_curve",
    "pckh",
    "scorers",
]
