"""SimToRealRegressor's presets, its stages and the names of its weights."""

from __future__ import annotations

import math
from typing import Any

from skhand.estimators._stages import Stages

SOURCES = ("depth", "rgb")
STAGES = Stages(("pose",), ("depth", "posterior"))
STARTS = ("own", "synthetic")
SUPERVISION = ("all", "synthetic", "real")
BLIND_STEPS, BLIND_SHARE = 1000, 0.9  # steps after which discriminators near a guess's loss are warned of
HALF_CUBE = 150.0  # mm: a unit of poses in the network, half of the hand's cube

#: the weights lambda_0 to lambda_8, of which the last has a value a stage
WEIGHTS = (
    "pose_kl_weight",
    "pose_weight",
    "kl_weight",
    "reconstruction_weight",
    "adversarial_weight",
    "map_weight",
    "map_picture_weight",
    "posterior_weight",
    "feature_weight",
    "posterior_feature_weight",
)

#: terms whose gradient is measured, and the weight of each
TERMS = {
    "pose_kl": "pose_kl",
    "kl": "kl",
    "cycle_kl": "kl",
    "cycle": "reconstruction",
    "adversarial": "adversarial",
    "map": "map",
    "map_picture": "map_picture",
    "feature": "feature",
    "posterior_feature": "posterior_feature",
}

PAPER: dict[str, Any] = {
    "pose_hidden_units": 30,
    "pose_kl_weight": 0.1,
    "pose_weight": 100.0,
    "kl_weight": 0.1,
    "reconstruction_weight": 100.0,
    "adversarial_weight": 10.0,
    "map_weight": 100.0,
    "map_picture_weight": 10_000.0,
    "posterior_weight": 10.0,
    "feature_weight": 1e-4,
    "posterior_feature_weight": 1.0,
    "max_iter": {"pose": 200_000, "depth": 500_000, "posterior": 50_000},
    "lr": {"pose": 1e-4, "depth": 1e-4, "posterior": 1e-4},
    "batch_size": {"pose": 128, "depth": 1, "posterior": 32},
    "weight_decay": {"pose": 1e-4, "depth": 1e-4, "posterior": 1e-4},
    "falls": None,
}

_HALVED = ((0.4, 0.5), (0.6, 0.5), (0.8, 0.5), (0.9, 0.5))

PRESETS: dict[str, dict[str, Any]] = {
    "paper": PAPER,
    "code": {
        **PAPER,
        "pose_hidden_units": 50,
        "map_weight": 0.0,  # the code's configurations have 1 000, and switch the mapping off
        "map_picture_weight": 0.0,
        "feature_weight": 1e-3,
        "posterior_feature_weight": 10.0,
        "lr": {"pose": 1e-3, "depth": 1e-4, "posterior": 1e-4},
        "batch_size": {"pose": 64, "depth": 1, "posterior": 32},
        "weight_decay": {"pose": 1e-3, "depth": 1e-4, "posterior": 1e-4},
        # by stage: the share of its steps after which the rate is multiplied, and by what
        "falls": {"pose": ((0.625, 0.1), (0.875, 0.1)), "depth": _HALVED, "posterior": _HALVED},
    },
}


def fall_in_steps(falls: tuple[tuple[float, float], ...], share: float) -> float:
    """Factor on a learning rate after this share of a stage: the product of those of the falls until then."""
    return math.prod(factor for after, factor in falls if share >= after)
