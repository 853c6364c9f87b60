"""The four estimators at their smallest, and hands that each of them can be fitted on."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand import HandFrames, concat_frames
from skhand._columns import LazyColumn
from skhand.datasets import make_hands
from skhand.estimators import (
    AlignedLatentRegressor,
    CrossModalVAERegressor,
    LatentHeatmapRegressor,
    SimToRealRegressor,
)

_PAIRED = {"backbone": "small", "hidden_units": 8, "n_hidden_layers": 1, "latent_dim": 3, "given": ("root",)}
_EPOCHS = {"disentangle": 1, "align": 1, "finetune": 1, "refine": 2}
_SETTINGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "cross-modal": (CrossModalVAERegressor, {**_PAIRED, "variant": 2, "max_epochs": 2}),
    "aligned": (AlignedLatentRegressor, {**_PAIRED, "context_dim": 2, "max_epochs": _EPOCHS}),
    "heatmap": (LatentHeatmapRegressor, {"network": "paper", "width": 4, "max_epochs": 2, "fast": True}),
    "sim-to-real": (
        SimToRealRegressor,
        {"width": 2, "latent_dim": 3, "max_iter": 4, "epoch_steps": 2, "given": ("root",)},
    ),
}  # fmt: skip
KINDS = tuple(_SETTINGS)

_HANDS = [
    make_hands(12, image_size=16, images=("rgb", "depth"), domain=domain, random_state=0)
    for domain in ("synthetic", "real")
]
X = concat_frames([hands.data for hands in _HANDS])
Y = np.concatenate([hands.target for hands in _HANDS])


def smallest(kind: str, **options: Any) -> Any:
    """An estimator that trains 2 epochs or more, of 3 steps or less each."""
    cls, settings = _SETTINGS[kind]
    return cls(**{**settings, "batch_size": 8, "precision": "float32", "random_state": 0, **options})


def image_of(kind: str) -> str:
    """Name of the column of pictures that is read."""
    return "depth" if kind == "sim-to-real" else "rgb"


def rows_of(kind: str, pictures: Any = None) -> HandFrames:
    """The 24 rows with one column of pictures: the hands' own, or other ones."""
    name, other = image_of(kind), {"rgb": "depth", "depth": "rgb"}[image_of(kind)]
    return X.replace(**{other: None}, **({} if pictures is None else {name: pictures}))


class Pictures(LazyColumn):
    """Pictures that are read when they are asked for, until reading them raises ``error``."""

    def __init__(self, array, error=None):
        super().__init__(array.shape, array.dtype)
        self.array, self.error, self.n_read = array, error, 0

    def _read(self, rows):
        if self.error is not None:
            raise self.error
        self.n_read += len(rows)
        return self.array[rows]
