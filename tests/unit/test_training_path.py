"""The way from ``fit`` to the optimiser's step stays short: few frames, few files to read."""

import os
import sys

import numpy as np
import pytest

import skhand
from skhand import concat_frames
from skhand.datasets import make_hands
from skhand.estimators import (
    AlignedLatentRegressor,
    CrossModalVAERegressor,
    LatentHeatmapRegressor,
    SimToRealRegressor,
)
from skhand.training._optimizer import AdamInTurn

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
    """Return our frames below the first `AdamInTurn.step`, outermost last, and our files entered before.

    A frame is (file, function); files are relative to the package.
    """
    entered, frames = [], []

    def watch(frame, event, argument):
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(ROOT):
            entered.append(os.path.relpath(name, ROOT))

    step = AdamInTurn.step

    def first_step(self, *arguments, **keywords):
        if not frames:
            sys.setprofile(None)
            frame = sys._getframe(1)
            while frame is not None:
                if frame.f_code.co_filename.startswith(ROOT):
                    frames.append((os.path.relpath(frame.f_code.co_filename, ROOT), frame.f_code.co_name))
                frame = frame.f_back
        return step(self, *arguments, **keywords)

    AdamInTurn.step = first_step
    sys.setprofile(watch)
    try:
        fit()
    finally:
        sys.setprofile(None)
        AdamInTurn.step = step
    return frames, list(dict.fromkeys(entered))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_fit_reaches_the_optimiser_in_few_frames_and_files(name, hands):
    estimator = ESTIMATORS[name]().set_params(precision="float32", random_state=0)
    frames, entered = trace_first_step(lambda: estimator.fit(*hands))
    assert frames[-1] == ("estimators/_base.py", "fit")
    assert len(frames) <= 6
    files = list(dict.fromkeys(file for file, _ in frames))
    assert files == [
        "training/_objective.py", f"estimators/{name}/steps.py", "training/_loop.py", "estimators/_base.py"
    ]  # fmt: skip
    # what else is called on the way; a modality is one room, whichever of its files
    rooms = {"modalities" if "modalities" in file else file for file in entered}
    mine = [room for room in rooms if room.startswith(("estimators", "training", "modalities"))]
    assert len(mine) <= 23, sorted(mine)
