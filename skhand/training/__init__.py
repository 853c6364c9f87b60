"""Epochs, optimisers, callbacks and augmentation on the device: the one room that knows skorch."""

from skhand.training._augment import PAPER, STERGIOULAS, augment_batch, check_augment
from skhand.training._batches import PairBatches, fetch
from skhand.training._codecs import DepthCodec, PoseCodec, RGBCodec, VectorCodec
from skhand.training._heatmap_task import IQBAL, HeatmapTask, masked_l1
from skhand.training._net import CosineRate, EpochEnd, KeepBest, TaskNet, check_callbacks
from skhand.training._pairs import PairTask, masked_mse, one_hot_side
from skhand.training._runtime import autocast, evaluating, resolve_device, resolve_precision, seeded
from skhand.training._staged import AlignTask, AutoencoderTask, RefineTask
from skhand.training._state import to_numpy, to_tensors

__all__ = [
    "IQBAL",
    "PAPER",
    "STERGIOULAS",
    "AlignTask",
    "AutoencoderTask",
    "CosineRate",
    "DepthCodec",
    "EpochEnd",
    "HeatmapTask",
    "KeepBest",
    "PairBatches",
    "PairTask",
    "PoseCodec",
    "RGBCodec",
    "RefineTask",
    "TaskNet",
    "VectorCodec",
    "augment_batch",
    "autocast",
    "check_augment",
    "check_callbacks",
    "evaluating",
    "fetch",
    "masked_l1",
    "masked_mse",
    "one_hot_side",
    "resolve_device",
    "resolve_precision",
    "seeded",
    "to_numpy",
    "to_tensors",
]
