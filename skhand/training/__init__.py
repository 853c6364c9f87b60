"""Epochs, optimisers, callbacks and augmentation on the device: the one room that knows skorch."""

from skhand.training._augment import PAPER, augment_batch, check_augment
from skhand.training._batches import PairBatches, fetch
from skhand.training._codecs import DepthCodec, PoseCodec, RGBCodec, VectorCodec
from skhand.training._net import CosineRate, EpochEnd, KeepBest, TaskNet, check_callbacks
from skhand.training._pairs import PairTask, masked_mse, one_hot_side
from skhand.training._runtime import autocast, resolve_device, resolve_precision, seeded
from skhand.training._state import to_numpy, to_tensors

__all__ = [
    "PAPER",
    "CosineRate",
    "DepthCodec",
    "EpochEnd",
    "KeepBest",
    "PairBatches",
    "PairTask",
    "PoseCodec",
    "RGBCodec",
    "TaskNet",
    "VectorCodec",
    "augment_batch",
    "autocast",
    "check_augment",
    "check_callbacks",
    "fetch",
    "masked_mse",
    "one_hot_side",
    "resolve_device",
    "resolve_precision",
    "seeded",
    "to_numpy",
    "to_tensors",
]
