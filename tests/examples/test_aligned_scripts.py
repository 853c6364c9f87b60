"""The measuring scripts of AlignedLatentRegressor run end to end at small sizes, and resume."""

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


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS.parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_ablation_shares_its_stages_and_resumes(tmp_path):
    small = ("--n-samples", 60, "--n-subjects", 8, "--image-size", 16, "--epochs", 1, 1, 1, 2, "--seeds", 0)
    arguments = ("--out", tmp_path, *small, "--rows")
    run("aligned_ablation.py", *arguments, "A", "D0")
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("seed*.joblib")}
    chain = ["vae1", "vae1-vae2", "disentangle1", "disentangle1-align1", "disentangle1-align1-finetune1"]
    assert set(kept) == {f"seed0-injection-pose-{steps}.joblib" for steps in chain}
    table = run("aligned_ablation.py", *arguments, "A", "D0", "D1", "D3").splitlines()[-4:]
    assert [line.split()[0] for line in table] == ["A", "D0", "D1", "D3"]
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("seed*.joblib")} == kept
    fits = json.loads((tmp_path / "results.json").read_text())["fits"]
    assert {fit["epochs"] for fit in fits.values()} == {5}
    assert len({fit["epe_mm"] for fit in fits.values()}) == 4
    assert {"kcs_gradient", "geo_gradient"} <= set(fits["seed 0, D3"]["gradient_ratios"])
    keypoints = ("--out", tmp_path / "keypoints", *small, "--source", "keypoints2d", "--rows", "A")
    assert run("aligned_ablation.py", *keypoints).splitlines()[-1].startswith("A ")


def test_the_photographs_compare_both_estimators(tmp_path):
    hands = make_hands(24, image_size=32, side="left", rotation=30, images=("rgb",), random_state=0)
    (tmp_path / "images").mkdir()
    for i, picture in enumerate(hands.data.rgb):
        Image.fromarray(picture).save(tmp_path / "images" / f"{i:05d}.jpg")
    np.savez(tmp_path / "annotations.npz", joints_mm=hands.target, K_crop=hands.data.camera)
    out = tmp_path / "result.json"
    small = ["--image-size", 16, "--epochs", 1, 1, 1, 1, "--blocks", 2, "--gap", 2, "--seeds", 0]
    printed = run("aligned_photographs.py", tmp_path, "--out", out, *small)
    fits = json.loads(out.read_text())["fits"]
    assert len(fits) == 6
    assert len({fit["steps"] for fit in fits.values()}) == 1
    again = run("aligned_photographs.py", tmp_path, "--out", out, *small)
    assert again.splitlines() == printed.splitlines()[-4:]
    mean = np.mean([fits[f"seed 0, block {fold}, CrossModalVAERegressor"]["epe_mm"] for fold in (0, 1)])
    assert float(again.splitlines()[1].split()[1]) == pytest.approx(mean, abs=0.006)
