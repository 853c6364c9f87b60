"""Measure poses: metrics on arrays, scorers made from them, and the protocols that papers score by.

No metric assumes a unit: errors come in the unit of ``y_true``, thresholds are given in it. Protocols do.

What ``scoring=`` takes is a scorer: ``neg_epe``, ``neg_mean_epe``, ``neg_median_epe``, ``pck_scorer``,
``pck_auc_scorer``, ``pcf_scorer``, ``pckh_scorer``. ``pck``, ``pck_auc``, ``pcf`` and ``pckh`` are metrics,
and a search with one finds only NaN.
"""

from skhand.metrics import scorers
from skhand.metrics._epe import mean_epe, median_epe
from skhand.metrics._errors import joint_errors
from skhand.metrics._evaluate import evaluate, evaluate_predictions
from skhand.metrics._evaluation import Evaluation
from skhand.metrics._pck import pcf, pck, pck_auc, pck_curve, pckh
from skhand.metrics._plausibility import angle_violations, bone_length_error, joint_angles
from skhand.metrics._protocols import Protocol
from skhand.metrics._published import PROTOCOLS
from skhand.metrics._statistics import GRIDS
from skhand.metrics.scorers import (
    get_scorer,
    get_scorer_names,
    make_pose_scorer,
    neg_epe,
    neg_mean_epe,
    neg_median_epe,
    pcf_scorer,
    pck_auc_scorer,
    pck_scorer,
    pckh_scorer,
)

__all__ = [
    "GRIDS",
    "PROTOCOLS",
    "Evaluation",
    "Protocol",
    "angle_violations",
    "bone_length_error",
    "evaluate",
    "evaluate_predictions",
    "get_scorer",
    "get_scorer_names",
    "joint_angles",
    "joint_errors",
    "make_pose_scorer",
    "mean_epe",
    "median_epe",
    "neg_epe",
    "neg_mean_epe",
    "neg_median_epe",
    "pcf",
    "pcf_scorer",
    "pck",
    "pck_auc",
    "pck_auc_scorer",
    "pck_curve",
    "pck_scorer",
    "pckh",
    "pckh_scorer",
    "scorers",
]
