"""Draw hands, predictions, errors, trainings and latent spaces; the Displays need the ``plot`` extra."""

from skhand._drawing import draw_hand
from skhand.plotting._embedding import LatentEmbeddingDisplay
from skhand.plotting._heatmaps import HeatmapDisplay
from skhand.plotting._history import HistoryDisplay
from skhand.plotting._joint_errors import JointErrorDisplay
from skhand.plotting._pck import PckCurveDisplay
from skhand.plotting._prediction import PredictionDisplay
from skhand.plotting._skeleton import SkeletonDisplay
from skhand.plotting._walk import LatentWalkDisplay

__all__ = [
    "HeatmapDisplay",
    "HistoryDisplay",
    "JointErrorDisplay",
    "LatentEmbeddingDisplay",
    "LatentWalkDisplay",
    "PckCurveDisplay",
    "PredictionDisplay",
    "SkeletonDisplay",
    "draw_hand",
]
