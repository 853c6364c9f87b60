"""The published methods' scores on NYU and ICVL, from their predictions, by the named protocols."""

from __future__ import annotations

import json

import numpy as np
import pytest

from skhand.geometry import backproject
from skhand.metrics import evaluate_predictions, mean_epe, pcf


def read(folder, name, focal=None):
    """Truth (n, J, 3) in mm, the methods' predictions by name, and what was published of them."""
    about = json.loads((folder / f"{name}.json").read_text())
    fx, fy, cx, cy = about["camera"]
    camera = np.array([[focal or fx, 0, cx], [0, focal or fy, cy], [0, 0, 1]])
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        poses = {method: backproject(uvd[..., :2], uvd[..., 2], camera) for method, uvd in file.items()}
    return poses.pop("ground_truth_uvd"), poses, about["published"]


@pytest.fixture(params=["nyu14", "icvl16"])
def benchmark(request, real_data):
    return request.param, *read(real_data / "depth-benchmarks", request.param[:-2])


def test_published_mean_errors_and_frames(benchmark):
    protocol, truth, predictions, published = benchmark
    assert predictions.keys() == published.keys()
    for name, prediction in predictions.items():
        result = evaluate_predictions(truth, prediction, protocol=protocol, given=())
        assert result.mean_epe == pytest.approx(published[name]["mean_mm"], abs=1e-3), name
        frames = result.scores[None]
        assert frames["pcf_40"] == pytest.approx(published[name]["frames_max_below_40mm"], abs=1e-4), name
        assert frames["pcf_40"] < frames["pcf_80"] <= 1
        assert result.differs == ()
        assert result.n_joints == truth.shape[0] * truth.shape[1]


def test_the_plain_functions_and_flattened_poses_give_the_same(benchmark):
    protocol, truth, predictions, published = benchmark
    name, prediction = next(iter(predictions.items()))
    assert mean_epe(truth, prediction) == pytest.approx(published[name]["mean_mm"], abs=1e-3)
    flat = [pose.reshape(len(truth), -1) for pose in (truth, prediction)]
    result = evaluate_predictions(*flat, protocol=protocol)
    assert result.mean_epe == pytest.approx(published[name]["mean_mm"], abs=1e-3)
    limits, fractions = result.pcf_curve()
    np.testing.assert_array_equal(fractions, pcf(truth, prediction, limits))


def test_the_other_focal_length_of_icvl_gives_other_numbers(real_data):
    truth, predictions, published = read(real_data / "depth-benchmarks", "icvl", focal=241.42)
    for name, prediction in predictions.items():
        error = evaluate_predictions(truth, prediction, protocol="icvl16").mean_epe
        assert 1e-3 < abs(error - published[name]["mean_mm"]) < 0.05, name


def test_36_true_joints_score_as_the_benchmarks_14(real_data):
    """The benchmark's true joints are 14 of the 36 that the data set has; subject 1 comes first."""
    truth, predictions, _ = read(real_data / "depth-benchmarks", "nyu")
    with np.load(real_data / "poses" / "nyu36_poses.npz", allow_pickle=False) as file:
        uvd = file["uvd"]
    camera = np.array([[588.03, 0, 320], [0, -587.07, 240], [0, 0, 1]])
    all_joints = backproject(uvd[..., :2], uvd[..., 2], camera)
    for prediction in predictions.values():
        rows = prediction[: len(all_joints)]
        from_36 = evaluate_predictions(all_joints, rows, protocol="nyu14").mean_epe
        from_14 = evaluate_predictions(truth[: len(all_joints)], rows, protocol="nyu14").mean_epe
        assert from_36 == pytest.approx(from_14, abs=0.01)
