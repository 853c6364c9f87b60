"""The measuring scripts of LatentHeatmapRegressor run end to end at small sizes, and resume."""

from __future__ import annotations

import json

import joblib
import numpy as np
import pytest

from skhand.estimators import LatentHeatmapRegressor


def test_the_table_of_heads_resumes_and_averages_over_seeds(tmp_path, run):
    small = ("--n-samples", 60, "--n-subjects", 10, "--image-size", 16, "--width", 4, "--epochs", 1)
    arguments = ("--out", tmp_path, *small, "--backbone", "small", "--seeds", 0, 1, "--rows")
    run("benchmarks/heatmap_heads.py", *arguments, "latent", "holistic")
    first = json.loads((tmp_path / "results.json").read_text())["fits"]
    rows = ("latent", "latent + 2D", "latent + 2D, two stages", "latent, as many steps")
    printed = run("benchmarks/heatmap_heads.py", *arguments, *rows)
    fits = json.loads((tmp_path / "results.json").read_text())["fits"]
    assert {name: fits[name] for name in first} == first
    assert len(fits) == 10
    few, many = fits["seed 0, latent"], fits["seed 0, latent + 2D"]
    control = fits["seed 0, latent, as many steps"]
    assert few["steps"] < many["steps"] == control["steps"]
    assert control["train_rows"] == few["train_rows"]
    assert (
        few["train_rows"] == few["train_rows_with_pose"] == many["train_rows_with_pose"] < many["train_rows"]
    )
    assert fits["seed 0, latent + 2D, two stages"]["n_parameters"] > 1.5 * many["n_parameters"]
    mean = np.mean([fits[f"seed {seed}, latent"]["mean_px"] for seed in (0, 1)])
    row = next(line for line in printed if line.startswith("latent  ")).split()
    assert float(row[1]) == pytest.approx(mean, abs=0.006)
    rooted = np.mean([fits[f"seed {seed}, latent"]["given_rooted_mm"] for seed in (0, 1)])
    assert float(row[10]) == pytest.approx(rooted, abs=0.06)


def test_heads_train_until_the_error_on_people_who_train_nothing_stands_still(tmp_path, run, monkeypatch):
    calls, fit = [], LatentHeatmapRegressor.fit

    def watched(self, X, y, **held_out):
        fitted = fit(self, X, y, **held_out)
        rows = [np.asarray(each.rgb).tobytes() for each in (X, held_out["X_val"])]
        calls.append(
            (self.lr, self.n_iter_, len(X), len(held_out["X_val"]), self.history_["valid_epe"], rows)
        )
        return fitted

    monkeypatch.setattr(LatentHeatmapRegressor, "fit", watched)
    small = ("--n-samples", 60, "--n-subjects", 15, "--image-size", 16, "--width", 4, "--backbone", "small")
    still = ("--epochs", 30, "--until-still", "--patience", 1, "--labelled", 1, "--seeds", 0)
    run("benchmarks/heatmap_heads.py", "--out", tmp_path, *small, *still, "--rows", "holistic")
    (found,) = json.loads((tmp_path / "results.json").read_text())["fits"].values()
    (whole, fifth), n_trained = calls, found["train_rows"]
    assert [whole[0], fifth[0]] == pytest.approx([1e-3, 2e-4])
    assert whole[1] < 30 and found["steps"] == fifth[1] * -(-n_trained // 32)  # ended by itself
    assert n_trained + whole[3] + found["test_rows"] == 60
    assert fifth[2] == n_trained and min(whole[3], found["test_rows"]) > 0
    assert len(fifth[4]) > len(whole[4])
    X, _, people = joblib.load(next(tmp_path.glob("hands-*.joblib")))
    person = {X.rgb[i].tobytes(): people[i] for i in range(60)}
    n_bytes = X.rgb[0].nbytes
    trained, validated = (
        {person[each[i : i + n_bytes]] for i in range(0, len(each), n_bytes)} for each in whole[5]
    )
    assert not trained & validated


def test_settings_are_kept_from_the_start_and_those_of_others_not_taken(tmp_path, run):
    small = ("--n-samples", 40, "--n-subjects", 10, "--width", 4, "--backbone", "small")
    arguments = ("--out", tmp_path, *small, "--rows", "latent", "--seeds", 0)
    results = tmp_path / "results.json"
    run(
        "benchmarks/heatmap_heads.py", *arguments, "--image-size", 16, "--epochs", 0, fails=True
    )  # refused by the fit
    assert json.loads(results.read_text())["settings"]["epochs"] == 0
    refused = run("benchmarks/heatmap_heads.py", *arguments, "--image-size", 24, "--epochs", 1, fails=True)
    assert "other settings" in refused[-1]
    results.unlink()
    run("benchmarks/heatmap_heads.py", *arguments, "--image-size", 24, "--epochs", 1)
    sizes = {joblib.load(path)[0].rgb.shape[1] for path in tmp_path.glob("hands-*.joblib")}
    assert sizes == {16, 24}


def test_heads_are_scored_on_shifted_hands_and_on_photographs(tmp_path, photographs, run):
    photographs(6)
    small = "--n-samples 40 --n-subjects 10 --network pyramid --width 8 --image-size 32 --backbone resnet10"
    rows = "--epochs 1 --shifted 8 --seeds 0 --rows holistic latent"
    arguments = ("benchmarks/heatmap_heads.py", *small.split(), *rows.split(), "--out", tmp_path)
    printed = run(*arguments, "--photographs", tmp_path)
    fits = json.loads((tmp_path / "results.json").read_text())["fits"]
    names = ["occluded", "degraded", "views to 120 degrees", "photographs"]
    assert [list(fit["shifted"]) for fit in fits.values()] == [names] * 2
    for name, errors in fits["seed 0, latent"]["shifted"].items():
        assert errors["mean_px"] > 0 and any(line.startswith(name) for line in printed)
    refused = run(*arguments, fails=True)
    assert "other settings" in refused[-1]


def test_the_photographs_compare_both_estimators_before_and_after_fine_tuning(tmp_path, photographs, run):
    photographs(24)
    small = ("--image-size", 16, "--width", 4, "--epochs", 1, "--blocks", 2, "--gap", 2, "--seeds", 0)
    more = ("--generated", 32, "--generated-epochs", 1, "--finetune-epochs", 1, "--out", tmp_path / "out")
    printed = run("benchmarks/heatmap_photographs.py", tmp_path, *small, *more)
    fits = json.loads((tmp_path / "out" / "results.json").read_text())["fits"]
    assert len(fits) == 2 * 2 * 3
    assert set(fits["seed 0, block 0, LatentHeatmapRegressor, photographs alone"]) == {
        "px", "absolute_mm", "rooted_mm", "given_root_mm", "given_procrustes_mm"
    }  # fmt: skip
    assert len({fit["given_root_mm"] for fit in fits.values()}) == len(fits)
    assert all(fit["given_procrustes_mm"] < fit["given_root_mm"] for fit in fits.values())
    again = run("benchmarks/heatmap_photographs.py", tmp_path, *small, *more)
    assert again == printed[-len(again) :]
    kept = list((tmp_path / "out").glob("*.joblib"))
    assert len(kept) == 2
    (tmp_path / "out" / "results.json").unlink()
    alone = ("--models", "LatentHeatmapRegressor")
    run("benchmarks/heatmap_photographs.py", tmp_path, *small, *more, "--generated", 40, *alone)
    assert len(list((tmp_path / "out").glob("*.joblib"))) == 3


def test_the_speed_of_both_networks_is_compared(tmp_path, run):
    small = ("--width", 8, "--image-size", 16, "--batch-size", 2, "--rounds", 1, "--device", "cpu")
    printed = run("benchmarks/heatmap_speed.py", *small, "--out", tmp_path / "speed.json")
    rates = [float(part.split()[1]) for part in printed[1].split(", ")]
    assert float(printed[2].split()[-1]) == pytest.approx(rates[1] / rates[0], rel=0.02)
    kept = json.loads((tmp_path / "speed.json").read_text())
    assert list(kept["images_per_second"].values()) == pytest.approx(rates, abs=0.006)
    assert kept["fast_over_full"] == pytest.approx(rates[1] / rates[0], rel=0.02)
    assert kept["settings"]["width"] == 8 and kept["machine"]["threads"] >= 1
