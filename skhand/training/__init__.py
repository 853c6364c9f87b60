"""Epochs, optimisers, callbacks and augmentation on the device: the one room that knows skorch."""

from skhand.training._augment import ABDI, PAPER, STERGIOULAS, augment_batch, check_augment
from skhand.training._batches import PairBatches, fetch
from skhand.training._codecs import DepthCodec, PoseCodec, RGBCodec, VectorCodec
from skhand.training._heatmap_task import IQBAL, HeatmapTask
from skhand.training._net import CosineRate, EpochEnd, KeepBest, TaskNet, check_callbacks
from skhand.training._pairs import PairTask, encoder_input, one_hot_side
from skhand.training._replay import ReplayedStep
from skhand.training._runtime import autocast, evaluating, resolve_device, resolve_precision, seeded
from skhand.training._sim_to_real import DepthTask, PoseTask, PosteriorTask
from skhand.training._sim_to_real_terms import SignedCodec, code_pose, other_domain
from skhand.training._staged import AlignTask, AutoencoderTask, RefineTask
from skhand.training._state import to_numpy, to_tensors

__all__ = [
    "ABDI",
    "IQBAL",
    "PAPER",
    "STERGIOULAS",
    "AlignTask",
    "AutoencoderTask",
    "CosineRate",
    "DepthCodec",
    "DepthTask",
    "EpochEnd",
    "HeatmapTask",
    "KeepBest",
    "PairBatches",
    "PairTask",
    "PoseCodec",
    "PoseTask",
    "PosteriorTask",
    "RGBCodec",
    "RefineTask",
    "ReplayedStep",
    "SignedCodec",
    "TaskNet",
    "VectorCodec",
    "augment_batch",
    "autocast",
    "check_augment",
    "check_callbacks",
    "code_pose",
    "encoder_input",
    "evaluating",
    "fetch",
    "one_hot_side",
    "other_domain",
    "resolve_device",
    "resolve_precision",
    "seeded",
    "to_numpy",
    "to_tensors",
]
