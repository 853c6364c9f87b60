"""The measuring script of SimToRealRegressor runs end to end at small sizes, and resumes."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from PIL import Image

from skhand import concat_frames
from skhand.datasets import make_hands
from skhand.estimators import SimToRealRegressor
from skhand.estimators.sim_to_real.steps import PosteriorObjective

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """The measuring script as a module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("sim_to_real")


def start(*arguments: object, script: str = "sim_to_real.py") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS.parents[1])}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def run(*arguments: object, **options: str) -> list[str]:
    done = start(*arguments, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_rows_share_their_stages_and_a_second_call_goes_on(tmp_path, script):
    small = ("--n-samples", 40, "--n-subjects", 10, "--image-size", 16, "--width", 2, "--steps", 5, 3, 2)
    arguments = ("--out", tmp_path, *small, "--batch-sizes", 8, 1, 4, "--seeds", 0, "--labels", 0.5)
    table = ("synthetic only", "synthetic only, pretrained", "LSPS-synthetic", "real data, pretrained")
    printed = run(*arguments, "--rows", *table)
    first = json.loads((tmp_path / "results.json").read_text())["fits"]
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("seed*.joblib")}
    assert {path.name for path in kept} == {"seed0-pose.joblib", "seed0-depth.joblib"}
    epe = {name: first[f"seed 0, {name}"]["epe_mm"] for name in table}
    closed = (epe[table[1]] - epe[table[2]]) / (epe[table[1]] - epe[table[3]])
    assert f"share of the gap closed, LSPS-synthetic: {closed:.0%} +- 0%" in printed
    gap = epe[table[1]] - epe[table[3]]
    assert f"gap, mm, of each seed: {gap:.1f}" in printed
    assert any("too narrow" in line for line in printed) == (gap < 5.0)
    printed = run(*arguments)
    fits = json.loads((tmp_path / "results.json").read_text())["fits"]
    assert {name: fits[name] for name in first} == first
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    steps = {name: list(fits[f"seed 0, {name}"]["steps"].values()) for name in table}
    assert steps == dict(zip(table, [[5, 0, 2], [5, 3, 2], [5, 3, 2], [5, 3, 2]], strict=True))
    labels = [fit["real_labels"] for fit in fits.values()]
    n_train = fits["seed 0, real data, pretrained"]["real_labels"]
    assert labels == [0, 0, 0, n_train, 0, *[round(0.5 * n_train)] * 2]
    assert np.isfinite([fit["epe_mm"] for fit in fits.values()]).all()
    assert len({fit["mean_pose_mm"] for fit in fits.values()}) == 1
    assert fits["seed 0, synthetic only"]["relief_kept"] is None
    assert -1 <= fits["seed 0, LSPS-synthetic"]["relief_kept"] <= 1
    assert fits["seed 0, LSPS-synthetic"]["judged"] == pytest.approx(1.0, abs=0.02)  # a guess, after 3 steps
    ours, alone = (fits[f"seed 0, {name}"]["epe_mm"] for name in list(script.rows_of([0.5]))[-2:])
    assert fits["seed 0, LSPS-synthetic, posterior_start"]["steps"]["posterior"] == 2
    assert f": {(alone - ours) / alone:.0%} +- 0% (paper, Fig. 5" in printed[-1]
    printed = run(*arguments, "--oracle", "--rows", *table, "LSPS-synthetic, true pictures")
    after = json.loads((tmp_path / "results.json").read_text())["fits"][
        "seed 0, LSPS-synthetic, true pictures"
    ]
    assert after["epe_mm"] != epe[table[2]] and after["steps"]["posterior"] == 2
    closed = (epe[table[1]] - after["epe_mm"]) / (epe[table[1]] - epe[table[3]])
    assert f"share of the gap closed, LSPS-synthetic, true pictures: {closed:.0%} +- 0%" in printed


def test_posteriors_until_still_validate_on_people_who_train_nothing(tmp_path, script, monkeypatch):
    """Their pictures are in the depth stage, their poses in none; the copied front is not copied again."""
    calls, fit = [], SimToRealRegressor.fit

    def watched(self, X, y, **held_out):
        calls.append((self.get_params(), X, y, held_out))
        return fit(self, X, y, **held_out)

    monkeypatch.setattr(SimToRealRegressor, "fit", watched)
    small = (
        "--n-samples 60 --n-subjects 15 --image-size 16 --width 2 --steps 5 3 4 --batch-sizes 8 1 4 --seeds 0"
    )
    rows = ["LSPS-synthetic, posterior_start", "real data, pretrained"]
    still = ("--until-still", "--patience", "1", "--most", "20")
    monkeypatch.setattr(sys, "argv", ["x", "--out", str(tmp_path), *small.split(), *still, "--rows", *rows])
    script.main()
    fits = list(json.loads((tmp_path / "results.json").read_text())["fits"].values())
    hands = joblib.load(tmp_path / "hands.joblib")
    train, test = script.split(0, hands.people, False)
    kept, validation = script.split(0, hands.people, True)
    first, others = calls[:2], (calls[2:5], calls[5:])
    for _, X, y, held_out in first:  # stages pose and depth
        assert len(X) == len(y) == 60 + len(train) and not held_out
    for of_row, n_labels in zip(others, (60, 60 + len(kept)), strict=True):
        assert [params["lr"]["posterior"] for params, *_ in of_row] == pytest.approx([1e-3, 1e-3, 2e-4])
        assert [params["early_stopping"] for params, *_ in of_row] == [False, True, True]
        for _, X, y, held_out in of_row:
            np.testing.assert_array_equal(X.depth[60:], hands.real.depth[kept])
            assert np.isfinite(y).all(axis=(1, 2)).sum() == n_labels
            if held_out:
                np.testing.assert_array_equal(held_out["y_val"], hands.y_real[validation])
    assert [params["posterior_start"] for params, *_ in calls[2:5]] == ["synthetic", "own", "own"]
    assert [fit["test_rows"] for fit in fits] == [len(test)] * 2
    # the limit ends both: 20 steps are less than one epoch
    assert [fit["steps"]["posterior"] for fit in fits] == [4 + 20 + 20] * 2


@pytest.mark.parametrize("moved", [False, True])
def test_the_oracle_matches_features_on_the_scene_itself(script, monkeypatch, moved):
    """In place of what generators make, moved as the picture is."""
    module = importlib.import_module("true_pictures")
    hands = make_hands(12, image_size=16, images=("depth",), side="right", random_state=0)
    X = hands.data.replace(domain=np.repeat(["synthetic", "real"], 6))
    others = X.depth if moved else X.depth[:, :, ::-1]
    seen = []
    features = PosteriorObjective._features
    monkeypatch.setattr(
        PosteriorObjective,
        "_features",
        lambda self, net, pictures, to: seen.append(pictures) or features(self, net, pictures, to),
    )
    settings = {"width": 2, "max_iter": 2, "batch_size": 6, "given": ("root",), "random_state": 0}
    estimator = SimToRealRegressor(**settings, augment={"rotate": 90.0, "shift": 0.2} if moved else None)
    with module.true_pictures(X.depth, others):
        estimator.fit(X, hands.target)
    assert len(seen) == 4  # both discriminators in two steps
    for pictures in seen:
        for domain, other in (("synthetic", "real"), ("real", "synthetic")):
            shown, true = pictures[domain, domain], pictures[domain, other]
            # moved: the other domain shows the same; else mirrored
            torch.testing.assert_close(true, shown if moved else shown.flip(-1), rtol=0, atol=0)


def test_relief_is_kept_turned_over_or_not_there(script):
    near = np.where(np.eye(4) > 0, 0.0, np.arange(16.0).reshape(4, 4) + 500.0)[None]  # 0: nothing there
    assert script.relief_kept(near, np.where(near > 0, near + 30.0, 0.0)) == pytest.approx(1.0)
    assert script.relief_kept(near, np.where(near > 0, 1000.0 - near, 0.0)) == pytest.approx(-1.0)
    assert script.relief_kept(near, np.zeros_like(near)) == 0.0


def test_settings_are_on_file_before_anything_is_made_with_them(tmp_path):
    """What a call with other settings, or no settings, left behind is not used."""
    arguments = ("--out", tmp_path, "--seeds", 0)
    (tmp_path / "hands.joblib").write_bytes(b"of other settings")
    assert "results.json is missing" in start(*arguments).stderr
    (tmp_path / "hands.joblib").unlink()
    assert (
        start(*arguments, "--n-samples", 4, "--n-subjects", 0).returncode != 0
    )  # stops while hands are made
    assert json.loads((tmp_path / "results.json").read_text())["settings"]["n_samples"] == 4
    refused = start(*arguments, "--n-samples", 5, "--n-subjects", 0)
    assert refused.returncode == 1 and "was made with other settings" in refused.stderr


def test_shares_of_labels_are_rows_of_their_own(script):
    names = list(script.rows_of([0.004, 0.015, 0.02, 0.07]))[5:]
    assert [name.split(" ")[1] for name in names[::2]] == ["0.4%", "1.5%", "2%", "7%"]
    assert names[-1] == "these labels only, 7%" and len(set(names)) == 8


def test_validation_measures_on_people_who_train_nothing_and_are_not_held_out(script):
    people = np.repeat(np.arange(50), 3)
    for seed in range(3):
        train, test = script.split(seed, people, False)
        kept, chosen_on = script.split(seed, people, True)
        assert sorted([*kept, *chosen_on]) == sorted(train)
        groups = [set(people[rows]) for rows in (kept, chosen_on, test)]
        assert [len(group) for group in groups] == [32, 8, 10] and len(set.union(*groups)) == 50


@pytest.mark.parametrize("source", ["depth", "rgb"])
def test_pictures_of_a_fitted_estimator(tmp_path, monkeypatch, source):
    """Drawn from a file with only the first two stages; rows are what the estimator translates."""
    pytest.importorskip("matplotlib")
    parts = [
        make_hands(4, image_size=16, images=(source,), domain=domain, random_state=0)
        for domain in ("synthetic", "real")
    ]
    X = concat_frames([part.data for part in parts])
    options = {"width": 1, "max_iter": 1, "batch_size": 2, "given": ("root",), "random_state": 0}
    fitted = SimToRealRegressor(stages=("pose", "depth"), **options)
    fitted.fit(X, np.concatenate([part.target for part in parts]))
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    small = ("--n-hands", 3, "--steps", 4, "--sensor", "lossy", "--thickness", 0.75, 0.85, 0.8)
    run(tmp_path / "fitted.joblib", "--out", tmp_path, *small, script="../sim_to_real_pictures.py")
    for name in ("translations.png", "walk.png"):
        with Image.open(tmp_path / name) as drawn:
            assert min(drawn.size) > 300 and len(drawn.convert("L").getcolors()) > 16, name
    monkeypatch.syspath_prepend(BENCHMARKS.parent)
    drawing = importlib.import_module("sim_to_real_pictures")
    views = {"rotation": 60, "distance": [800, 900], "seed": 5}
    real, synthetic = (drawing.generated(fitted, 3, domain, **views) for domain in ("real", "synthetic"))
    rows = drawing.translations(fitted, real, synthetic)
    there = fitted.translate(real, to="synthetic")
    returned = fitted.translate(
        concat_frames([real.replace(domain="synthetic", **{source: there})]), to="real"
    )
    np.testing.assert_array_equal(rows["to synthetic"], there)
    np.testing.assert_array_equal(rows["and back"], returned)
    np.testing.assert_array_equal(rows["to real"], fitted.translate(synthetic, to="real"))
    assert rows["real"].shape == rows["synthetic"].shape == there.shape and len(there) == 3


def test_speed_records_every_stage_and_the_memory_of_each_setting(tmp_path):
    out = tmp_path / "speed.json"
    small = ("--steps", 2, "--settings", "small", "--batch-sizes", 4, 1, 2, "--device", "cpu", "--out", out)
    printed = run(*small, script="sim_to_real_speed.py")
    result = json.loads(out.read_text())
    (row,) = result["rows"]
    assert row["setting"] == "small" and row["image_size"] == 64 and row["width"] == 8
    assert row["batch_sizes"] == {"pose": 4, "depth": 1, "posterior": 2}
    assert list(row["steps_per_s"]) == ["pose", "depth", "posterior"]
    assert all(0 < speed < 1e5 for speed in row["steps_per_s"].values())
    # the interpreter and torch alone take more than 100 MiB; the small preset needs no 4 GiB
    assert 100 < row["peak_memory_mib"] < 4096
    assert row["n_parameters"] > 1e6 and "small" in printed[-1]
