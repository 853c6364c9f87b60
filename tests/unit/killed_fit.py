"""A fit with a checkpoint, for a process that is killed: ``python killed_fit.py NAME CHECKPOINT RESULT``.

It prints "training" after each of the first steps, and writes what was fitted into RESULT.
"""

import sys

import numpy as np
from skorch.callbacks import Callback

from skhand import concat_frames
from skhand.datasets import make_hands
from skhand.estimators import (
    AlignedLatentRegressor,
    CrossModalVAERegressor,
    LatentHeatmapRegressor,
    SimToRealRegressor,
)
from skhand.estimators._base import PoseEstimator

SHARED = {"given": ("root",), "precision": "float32", "random_state": 3}
ESTIMATORS = {
    "cross_modal_vae": lambda: CrossModalVAERegressor(
        backbone="small",
        variant=4,
        max_epochs=8,
        batch_size=8,
        averaging=0.99,
        early_stopping=True,
        **SHARED,
    ),
    "aligned_latent": lambda: AlignedLatentRegressor(
        backbone="small", max_epochs=4, batch_size=8, hidden_units=64, lr_schedule="cosine", **SHARED
    ),
    "latent_heatmap": lambda: LatentHeatmapRegressor(width=8, max_epochs=12, batch_size=8, **SHARED),
    "sim_to_real": lambda: SimToRealRegressor(
        width=4, max_iter={"pose": 60, "depth": 60, "posterior": 60}, epoch_steps=25, batch_size=4, **SHARED
    ),
}


class Announce(Callback):
    """Print a line after every batch."""

    def on_batch_end(self, net, **_):
        print("training", flush=True)


def make_data(name):
    """Return X and y of an estimator; some real rows are unlabelled."""
    images = ("depth",) if name == "sim_to_real" else ("rgb",)
    settings = {"image_size": 32, "images": images, "random_state": 0}
    synthetic, real = make_hands(64, **settings), make_hands(32, domain="real", **settings)
    y = np.concatenate([synthetic.target, real.target])
    y[80:] = np.nan
    return concat_frames([synthetic.data, real.data]), y


def main(name, checkpoint, result):
    PoseEstimator._save_every = 0.2  # so that most kills come between two epochs
    X, y = make_data(name)
    estimator = ESTIMATORS[name]().set_params(
        checkpoint=None if checkpoint == "none" else checkpoint, callbacks=[Announce()]
    )
    estimator.fit(X, y)
    weights = {f"weight {k}": v.numpy() for k, v in estimator.module_.state_dict().items()}
    history = {
        f"history {k}": np.array(v, dtype=str if k == "stage" else float)
        for k, v in estimator.history_.items()
        if k != "seconds"
    }
    np.savez(result, prediction=estimator.predict(X[:20]), **weights, **history)


if __name__ == "__main__":
    main(*sys.argv[1:])
