"""The measuring scripts of LatentHeatmapRegressor run end to end at small sizes, and resume."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skhand.datasets import make_hands

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


def run(script: str, *arguments: object) -> list[str]:
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS.parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_table_of_heads_resumes_and_averages_over_seeds(tmp_path):
    small = ("--n-samples", 60, "--n-subjects", 10, "--image-size", 16, "--width", 4, "--epochs", 1)
    arguments = ("--out", tmp_path, *small, "--backbone", "small", "--seeds", 0, 1, "--rows")
    run("heatmap_heads.py", *arguments, "latent", "holistic")
    first = json.loads((tmp_path / "results.json").read_text())["fits"]
    printed = run("heatmap_heads.py", *arguments, "latent", "latent + 2D", "latent + 2D, two stages")
    fits = json.loads((tmp_path / "results.json").read_text())["fits"]
    assert {name: fits[name] for name in first} == first
    assert len(fits) == 8
    few, many = fits["seed 0, latent"], fits["seed 0, latent + 2D"]
    assert (
        few["train_rows"] == few["train_rows_with_pose"] == many["train_rows_with_pose"] < many["train_rows"]
    )
    assert fits["seed 0, latent + 2D, two stages"]["n_parameters"] > 1.5 * many["n_parameters"]
    mean = np.mean([fits[f"seed {seed}, latent"]["mean_px"] for seed in (0, 1)])
    row = next(line for line in printed if line.startswith("latent  "))
    assert float(row.split()[1]) == pytest.approx(mean, abs=0.006)


def test_the_photographs_compare_both_estimators_before_and_after_fine_tuning(tmp_path):
    hands = make_hands(24, image_size=32, side="left", rotation=30, images=("rgb",), random_state=0)
    (tmp_path / "images").mkdir()
    for i, picture in enumerate(hands.data.rgb):
        Image.fromarray(picture).save(tmp_path / "images" / f"{i:05d}.jpg")
    np.savez(tmp_path / "annotations.npz", joints_mm=hands.target, K_crop=hands.data.camera)
    small = ("--image-size", 16, "--width", 4, "--epochs", 1, "--blocks", 2, "--gap", 2, "--seeds", 0)
    more = ("--generated", 32, "--generated-epochs", 1, "--finetune-epochs", 1, "--out", tmp_path / "out")
    printed = run("heatmap_photographs.py", tmp_path, *small, *more)
    fits = json.loads((tmp_path / "out" / "results.json").read_text())["fits"]
    assert len(fits) == 2 * 2 * 3
    assert set(fits["seed 0, block 0, LatentHeatmapRegressor, photographs alone"]) == {
        "px", "absolute_mm", "rooted_mm", "given_root_mm"
    }  # fmt: skip
    assert len({fit["given_root_mm"] for fit in fits.values()}) == len(fits)
    again = run("heatmap_photographs.py", tmp_path, *small, *more)
    assert again == printed[-len(again) :]


def test_the_speed_of_both_networks_is_compared():
    printed = run(
        "heatmap_speed.py",
        "--width",
        8,
        "--image-size",
        16,
        "--batch-size",
        2,
        "--rounds",
        1,
        "--device",
        "cpu",
    )
    rates = [float(part.split()[1]) for part in printed[1].split(", ")]
    assert float(printed[2].split()[-1]) == pytest.approx(rates[1] / rates[0], rel=0.02)
