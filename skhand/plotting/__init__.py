"""Draw hands, predictions, errors and the latent space; the Displays need the ``plot`` extra."""

from skhand._drawing import draw_hand
from skhand.plotting._pck import PckCurveDisplay
from skhand.plotting._prediction import PredictionDisplay
from skhand.plotting._skeleton import SkeletonDisplay
from skhand.plotting._walk import LatentWalkDisplay

__all__ = ["LatentWalkDisplay", "PckCurveDisplay", "PredictionDisplay", "SkeletonDisplay", "draw_hand"]
