"""The published methods' mean errors on NYU and ICVL, from their predictions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from skhand.geometry import backproject
from skhand.metrics import mean_epe, pcf


@pytest.fixture(params=["nyu", "icvl"])
def benchmark(request, real_data):
    """Truth (n, J, 3) in mm, the methods' predictions by name, and what was published of them."""
    folder = real_data / "depth-benchmarks"
    about = json.loads((folder / f"{request.param}.json").read_text())
    fx, fy, cx, cy = about["camera"]
    camera = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    with np.load(folder / f"{request.param}.npz", allow_pickle=False) as file:
        poses = {name: backproject(uvd[..., :2], uvd[..., 2], camera) for name, uvd in file.items()}
    return poses.pop("ground_truth_uvd"), poses, about["published"]


def test_published_mean_errors_and_frames(benchmark):
    truth, predictions, published = benchmark
    assert predictions.keys() == published.keys()
    for name, prediction in predictions.items():
        for average in ("frames", "joints"):
            error = mean_epe(truth, prediction, average=average)
            assert error == pytest.approx(published[name]["mean_mm"], abs=1e-3), name
        frames = pcf(truth, prediction, [40.0, 80.0])
        assert frames[0] == pytest.approx(published[name]["frames_max_below_40mm"], abs=1e-4), name
        assert frames[0] < frames[1] <= 1


def test_flattened_poses_give_the_same(benchmark):
    truth, predictions, published = benchmark
    name, prediction = next(iter(predictions.items()))
    flat = mean_epe(truth.reshape(len(truth), -1), prediction.reshape(len(truth), -1))
    assert flat == pytest.approx(published[name]["mean_mm"], abs=1e-3)
