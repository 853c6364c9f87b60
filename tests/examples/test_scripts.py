"""The measuring scripts run end to end at small sizes of the same code, and write what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from skhand.datasets import make_hands


def test_fit_photographs_keeps_its_folds_and_draws_the_worst(tmp_path, photographs, run):
    pytest.importorskip("matplotlib")
    folder = photographs(48, 64)
    small = ("--image-size", 32, "--epochs", 1, "--blocks", 2, "--gap", 2, "--generated", 40)
    arguments = (folder, "--out", tmp_path / "out", *small, "--generated-epochs", 1, "--finetune-epochs", 1)
    first = run("fit_photographs.py", *arguments)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("fold*.npz")}
    assert len(kept) == 2
    assert run("fit_photographs.py", *arguments)[-1] == first[-1]
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    errors = json.loads((tmp_path / "out" / "result.json").read_text())["epe_mm"]
    assert set(errors) == {"mean pose", "photographs alone", "generated alone", "generated, then photographs"}
    assert (tmp_path / "out" / "worst.png").stat().st_size > 10_000


def test_lift_keypoints_beats_the_mean_pose_with_both_models(tmp_path, run):
    poses = tmp_path / "poses.npz"
    many = make_hands(400, image_size=32, rotation=30, images=("mask",), random_state=1)
    np.savez(
        poses,
        joints_mm=many.target,
        keypoints2d=many.data.keypoints2d,
        K=many.data.camera,
        left=many.data.side == "left",
    )
    run("benchmarks/lift_keypoints.py", poses, "--epochs", 25, "--seeds", 0, "--out", tmp_path / "lift.json")
    rows = json.loads((tmp_path / "lift.json").read_text())["rows"]
    mean_pose, vae, mlp = (row["mean_epe"] for row in rows)
    assert vae < 0.8 * mean_pose and mlp < 0.8 * mean_pose
    assert abs(rows[1]["n_weights"] / rows[2]["n_weights"] - 1) < 0.01


def test_semi_supervised_resumes_and_refuses_other_settings(tmp_path, run):
    out = tmp_path / "semi.json"
    arguments = ("--source", "keypoints2d", "--n-samples", 80, "--labels", 0.5, "--seeds", 0, "--out", out)
    assert "50%" in "\n".join(run("benchmarks/semi_supervised.py", *arguments, "--steps", 4))
    fits = json.loads(out.read_text())["fits"]
    assert [fit["labelled_rows"] / fit["train_rows"] for fit in fits.values()] == [
        pytest.approx(0.5, abs=0.01)
    ] * 4
    assert "variant 1 {" not in "\n".join(run("benchmarks/semi_supervised.py", *arguments, "--steps", 4))
    refused = run("benchmarks/semi_supervised.py", *arguments, "--steps", 5, fails=True)
    assert "other settings" in refused[-1]


def test_semi_supervised_on_one_person(tmp_path, run):
    out = tmp_path / "one.json"
    arguments = ("--n-samples", 60, "--labels", 0.5, "--seeds", 0, "--rates", 0.1, "--out", out)
    small = ("--source", "depth", "--image-size", 16, "--steps", 3, "--person")
    assert "50%" in "\n".join(run("benchmarks/semi_supervised.py", *small, *arguments))
    rows = [fit["labelled_rows"] for fit in json.loads(out.read_text())["fits"].values()]
    assert rows == [16, 16]


@pytest.mark.parametrize("people", [(), ("--person",)])
def test_semi_supervised_until_the_error_stands_still(tmp_path, run, people):
    out = tmp_path / "still.json"
    arguments = ("--n-samples", 600, "--labels", 0.5, "--seeds", 0, "--rates", 0.1, "--out", out, *people)
    still = ("--until-still", "--patience", 1, "--steps", 200)
    run("benchmarks/semi_supervised.py", "--source", "keypoints2d", *still, *arguments)
    one, three = json.loads(out.read_text())["fits"].values()
    # validation hands are neither trained nor tested on
    assert one["train_rows"] == three["train_rows"] <= 600 - one["test_rows"] - 60
    steps_an_epoch = -(-one["train_rows"] // 32)  # as many steps from one validation to the next in both
    for fit in (one, three):
        assert fit["labelled_rows"] == round(0.5 * fit["train_rows"])
        assert fit["steps"] % steps_an_epoch == 0 and 2 * steps_an_epoch <= fit["steps"] < 400


def test_turned_copies_are_measured_with_the_same_hands(tmp_path, run):
    out = tmp_path / "turned.json"
    run("benchmarks/turned_copies.py", "--n-samples", 6, "--turns", 1, 3, "--out", out)
    one, three = json.loads(out.read_text())["rows"]
    assert (one["n_turns"], three["n_turns"]) == (1, 3)
    assert one["hands"] == three["hands"] == "generated"
    assert 0 < one["procrustes_mm"] < 40 and 0 < three["procrustes_mm"] < 40  # the mean pose: some 25 mm
    assert one["keypoints_px"] != three["keypoints_px"]


def test_latent_mixing_reports_accuracies(tmp_path, run):
    small = ("--source", "keypoints2d", "--n-samples", 120, "--epochs", 2, "--seeds", 0)
    run("benchmarks/latent_mixing.py", *small, "--out", tmp_path / "mixing.json")
    (row,) = json.loads((tmp_path / "mixing.json").read_text())["rows"]
    assert 0.3 <= row["cross"] <= 1 and 0.3 <= row["separate"] <= 1
    assert 0 < row["pose_epe_mm"] < row["mean_pose_mm"] * 2


def test_throughput_compares_three_loops(tmp_path, run):
    small = ("--image-size", 32, "--backbone", "small", "--n-samples", 16, "--batch-size", 8, "--rounds", 1)
    run("benchmarks/throughput.py", *small, "--device", "cpu", "--out", tmp_path / "speed.json")
    result = json.loads((tmp_path / "speed.json").read_text())
    assert set(result["images_per_s"]) == {"fit", "bare", "plain"}
    assert all(value > 0 for values in result["images_per_s"].values() for value in values)


def test_augmentation_goes_on_row_by_row_and_refuses_other_settings(tmp_path, run):
    out = tmp_path / "augmentation.json"
    small = ("--n", 16, "--rows", 32, "--n-test", 8, "--epochs", 1, "--seeds", 0, "--out", out)
    run("benchmarks/augmentation.py", *small, "--sides", "both", "--augment", "none")
    first = json.loads(out.read_text())["rows"]
    estimators = ("--estimators", "vae", "aligned", "heatmap")
    lines = run(
        "benchmarks/augmentation.py", *small, *estimators, "--sides", "both", "--augment", "none", "auto"
    )
    rows = json.loads(out.read_text())["rows"]
    assert len(lines) == len(rows) == 6 and len(first) == 1
    assert all(rows[key] == row for key, row in first.items())
    none, auto = (rows[f"vae, both, 16 hands, {augment}, seed 0, 1 steps"] for augment in ("none", "auto"))
    assert none["mean_pose"] == auto["mean_pose"] > 20 and none["valid_epe"] != auto["valid_epe"]
    refused = run("benchmarks/augmentation.py", *small, "--rows", 64, fails=True)
    assert "other settings" in refused[-1]


@pytest.mark.slow
def test_default_times_counts_the_steps_of_the_defaults(tmp_path, run):
    """750 000 steps stand in the paper; 100 epochs of 1 000 rows in batches of 64 are 1 600, of 32 3 200."""
    lines = run("benchmarks/default_times.py", "--image-size", 16, "--out", tmp_path / "times.json")
    fits = json.loads((tmp_path / "times.json").read_text())["fits"]
    steps = {name: sum(stage["steps"] for stage in fit["stages"].values()) for name, fit in fits.items()}
    assert steps == {
        "CrossModalVAERegressor": 1600,
        "AlignedLatentRegressor": 4 * 1600,
        "LatentHeatmapRegressor": 3200,
        "SimToRealRegressor": 750_000,
    }
    for fit, line in zip(fits.values(), lines, strict=True):
        assert fit["cpu_h"] > 0 and "of one core" in line
