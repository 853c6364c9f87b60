"""The measuring script of SimToRealRegressor runs end to end at small sizes, and resumes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


def run(*arguments: object) -> list[str]:
    command = [sys.executable, str(BENCHMARKS / "sim_to_real.py"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS.parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_rows_share_their_stages_and_a_second_call_goes_on(tmp_path):
    small = ("--n-samples", 40, "--n-subjects", 10, "--image-size", 16, "--width", 2, "--steps", 5, 3, 2)
    arguments = ("--out", tmp_path, *small, "--batch-sizes", 8, 1, 4, "--seeds", 0, "--labels", 0.5)
    table = ("synthetic only", "synthetic only, pretrained", "LSPS-synthetic", "real data, pretrained")
    printed = run(*arguments, "--rows", *table)
    first = json.loads((tmp_path / "results.json").read_text())["fits"]
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("seed*.joblib")}
    assert {path.name for path in kept} == {"seed0-pose.joblib", "seed0-depth.joblib"}
    epe = {name: first[f"seed 0, {name}"]["epe_mm"] for name in table}
    closed = (epe[table[1]] - epe[table[2]]) / (epe[table[1]] - epe[table[3]])
    assert f"{closed:.0%}" in printed[-1]
    run(*arguments)
    fits = json.loads((tmp_path / "results.json").read_text())["fits"]
    assert {name: fits[name] for name in first} == first
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    steps = {name: list(fits[f"seed 0, {name}"]["steps"].values()) for name in table}
    assert steps == dict(zip(table, [[5, 0, 2], [5, 3, 2], [5, 3, 2], [5, 3, 2]], strict=True))
    labels = [fit["real_labels"] for fit in fits.values()]
    n_train = fits["seed 0, real data, pretrained"]["real_labels"]
    assert labels == [0, 0, 0, n_train, *[round(0.5 * n_train)] * 2]
    assert np.isfinite([fit["epe_mm"] for fit in fits.values()]).all()
    assert len({fit["mean_pose_mm"] for fit in fits.values()}) == 1
