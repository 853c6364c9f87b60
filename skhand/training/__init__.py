"""The loop, batches, augmentation, modalities and checkpoints, none of which knows a paper."""

from skhand.training._augment import augment_batch, check_augment
from skhand.training._averaging import Average
from skhand.training._batches import Batches, fetch, read_ahead
from skhand.training._best import BestWeights
from skhand.training._checkpoints import Checkpoint, fingerprint
from skhand.training._loop import Loop, Stage, check_callbacks
from skhand.training._objective import (
    Coded,
    Objective,
    StepContext,
    detached,
    encoder_input,
    gradient_ratio,
    one_hot_side,
    sum_terms,
    take_step,
)
from skhand.training._replay import ReplayedStep
from skhand.training._rows_apart import are_rows_together, rows_apart, rows_together
from skhand.training._runtime import (
    Interrupts,
    autocast,
    building,
    constant,
    count_operations,
    defer_interrupts,
    evaluating,
    one_thread,
    resolve_device,
    resolve_precision,
)
from skhand.training._state import to_numpy, to_tensors
from skhand.training.modalities import DECODERS, MODALITIES, CodecSettings, Layers, Modality, Motion

__all__ = [
    "DECODERS",
    "MODALITIES",
    "Average",
    "Batches",
    "BestWeights",
    "Checkpoint",
    "CodecSettings",
    "Coded",
    "Interrupts",
    "Layers",
    "Loop",
    "Modality",
    "Motion",
    "Objective",
    "ReplayedStep",
    "Stage",
    "StepContext",
    "are_rows_together",
    "augment_batch",
    "autocast",
    "building",
    "check_augment",
    "check_callbacks",
    "constant",
    "count_operations",
    "defer_interrupts",
    "detached",
    "encoder_input",
    "evaluating",
    "fetch",
    "fingerprint",
    "gradient_ratio",
    "one_hot_side",
    "one_thread",
    "read_ahead",
    "resolve_device",
    "resolve_precision",
    "rows_apart",
    "rows_together",
    "sum_terms",
    "take_step",
    "to_numpy",
    "to_tensors",
]
