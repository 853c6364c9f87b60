"""The way from ``fit`` to the optimiser's step stays short: few frames, few files to read."""

import os
import sys

import numpy as np
import pytest
import torch

import skhand
from skhand import concat_frames
from skhand.datasets import make_hands
from skhand.estimators import (
    AlignedLatentRegressor,
    CrossModalVAERegressor,
    LatentHeatmapRegressor,
    SimToRealRegressor,
)

ROOT = os.path.dirname(skhand.__file__)
ESTIMATORS = {
    "cross_modal_vae": lambda: CrossModalVAERegressor(backbone="small", max_epochs=1),
    "aligned_latent": lambda: AlignedLatentRegressor(backbone="small", max_epochs=1),
    "latent_heatmap": lambda: LatentHeatmapRegressor(width=4, max_epochs=1),
    "sim_to_real": lambda: SimToRealRegressor(width=2, max_iter=1),
}


@pytest.fixture(scope="module")
def hands():
    settings = {"image_size": 16, "images": ("rgb", "depth"), "random_state": 0}
    synthetic, real = make_hands(8, **settings), make_hands(8, domain="real", **settings)
    return concat_frames([synthetic.data, real.data]), np.concatenate([synthetic.target, real.target])


def trace_first_step(fit):
    """Return our frames below the first `Adam.step`, outermost last, and the files of ours entered before."""
    entered, frames = [], []

    def watch(frame, event, argument):
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(ROOT):
            entered.append(os.path.relpath(name, ROOT))

    step = torch.optim.Adam.step

    def first_step(self, *arguments, **keywords):
        if not frames:
            sys.setprofile(None)
            frame = sys._getframe(1)
            while frame is not None:
                if frame.f_code.co_filename.startswith(ROOT):
                    frames.append(frame.f_code.co_name)
                frame = frame.f_back
        return step(self, *arguments, **keywords)

    torch.optim.Adam.step = first_step
    sys.setprofile(watch)
    try:
        fit()
    finally:
        sys.setprofile(None)
        torch.optim.Adam.step = step
    return frames, list(dict.fromkeys(entered))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_fit_reaches_the_optimiser_in_at_most_six_of_our_frames(name, hands):
    estimator = ESTIMATORS[name]().set_params(precision="float32", random_state=0)
    frames, files = trace_first_step(lambda: estimator.fit(*hands))
    print(len(frames), frames, len(files), files)
    assert frames[-1] == "fit" and len(frames) <= 6
