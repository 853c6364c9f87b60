"""Arguments of HandTracker, HandDetector and the splitters: what they may not be is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from odd_values import ODD

from skhand.detection import HandDetector
from skhand.estimators import LatentHeatmapRegressor
from skhand.exceptions import InputError
from skhand.model_selection import BlockKFold, LabelledKFold
from skhand.tracking import HandTracker

PICTURE = np.zeros((48, 64, 3), np.uint8)
Y = np.random.default_rng(0).normal(size=(8, 21, 3))


class NoHand:
    """A detector that finds nothing."""

    def transform(self, pictures):
        return None


POSE = LatentHeatmapRegressor.from_pretrained()


def track(**options):
    return HandTracker(NoHand(), POSE).track(**{"frame": PICTURE, **options})


def label(X=Y, y=Y, groups=None, **options):
    return list(LabelledKFold(**{"n_splits": 2, "shuffle": True, **options}).split(X, y, groups))


def block(X=Y, y=Y, groups=None, **options):
    return list(BlockKFold(**{"n_splits": 2, **options}).split(X, y, groups))


CALLS = {
    "tracker": (
        lambda **options: HandTracker(**{"detector": NoHand(), "pose": POSE, **options}).predict(PICTURE),
        list(HandTracker().get_params(deep=False)),
    ),
    "track": (track, ["frame", "time"]),
    "video": (lambda fps: list(HandTracker(NoHand(), POSE).predict_video([PICTURE], fps)), ["fps"]),
    "detector": (
        lambda **options: HandDetector(**options).transform(PICTURE),
        list(HandDetector().get_params()),
    ),
    "labelled": (label, ["n_splits", "shuffle", "random_state", "X", "y", "groups"]),
    "blocks": (block, ["n_splits", "gap", "X", "y", "groups"]),
}


@pytest.mark.parametrize(("call", "name"), [(call, name) for call in CALLS for name in CALLS[call][1]])
def test_what_an_argument_may_not_be_is_refused_by_its_name(call, name):
    for value in ODD:
        try:
            CALLS[call][0](**{name: value})
        except (ValueError, TypeError, OverflowError) as error:
            assert isinstance(error, InputError), f"{value!r}: {error!r}"
            assert name in str(error), f"{value!r}: {error}"
