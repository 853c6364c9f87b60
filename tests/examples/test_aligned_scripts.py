"""The measuring scripts of AlignedLatentRegressor run end to end at small sizes, and resume."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


SMALL = ("--n-samples", 60, "--n-subjects", 8, "--image-size", 16, "--epochs", 1, 1, 1, 2, "--seeds", 0)


def test_the_ablation_shares_its_stages_and_resumes(tmp_path, run):
    arguments = ("--out", tmp_path, *SMALL, "--rows")
    run("benchmarks/aligned_ablation.py", *arguments, "A", "D0")
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("seed*.joblib")}
    chain = ["vae1", "vae1-vae2", "disentangle1", "disentangle1-align1", "disentangle1-align1-finetune1"]
    assert set(kept) == {f"seed0-injection-pose-{steps}.joblib" for steps in chain}
    table = run("benchmarks/aligned_ablation.py", *arguments, "A", "D0", "D1", "D3")[-4:]
    assert [line.split()[0] for line in table] == ["A", "D0", "D1", "D3"]
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("seed*.joblib")} == kept
    fits = json.loads((tmp_path / "results.json").read_text())["fits"]
    assert {fit["epochs"] for fit in fits.values()} == {5}
    assert len({fit["epe_mm"] for fit in fits.values()}) == 4
    assert {"kcs_gradient", "geo_gradient"} <= set(fits["seed 0, D3"]["gradient_ratios"])
    keypoints = ("--out", tmp_path / "keypoints", *SMALL, "--source", "keypoints2d", "--rows", "A")
    assert run("benchmarks/aligned_ablation.py", *keypoints)[-1].startswith("A ")


def test_a_rows_weights_are_its_own_whichever_row_made_the_shared_stages(tmp_path, run):
    """D1 comes first in an empty folder; D3 goes on from its stages with both losses."""
    rows = ("D1", "D3", "refine, no losses")
    arguments = ("--out", tmp_path, *SMALL, "--source", "keypoints2d", "--rows", *rows)
    printed = run("benchmarks/aligned_ablation.py", *arguments)
    results = json.loads((tmp_path / "results.json").read_text())
    fits = {row: results["fits"][f"seed 0, {row}"] for row in rows}
    measured = {
        row: {name.removesuffix("_gradient") for name in fit["gradient_ratios"]} & {"kcs", "geo"}
        for row, fit in fits.items()
    }
    assert measured == {"D1": {"kcs"}, "D3": {"kcs", "geo"}, "refine, no losses": set()}
    assert results["paper_mepe_mm"]["D3"] == 13.88
    assert printed[-5].split()[:3] == ["D3", f"{fits['D3']['epe_mm']:.2f}", "13.88"]
    # the losses beside the same refinement without them: error, bones and angles
    last = printed[-1].replace("+-", " ").split()
    assert last[0] == "D3"
    shown = {"epe_mm": (last[1], 1), "bone_length_error_mm": (last[3], 1), "angle_violations": (last[5], 100)}
    for name, (text, unit) in shown.items():
        change = unit * (fits["D3"][name] - fits["refine, no losses"][name])
        assert float(text.rstrip("%")) == pytest.approx(change, abs=0.006)


def test_rows_that_are_refined_until_still_share_no_refinement(tmp_path, run):
    """Each of two refinements has the row's own losses, also where another row was refined before it."""
    small = ("--source", "keypoints2d", "--n-train", 30, "--hidden-units", 8, "--latent-dim", 4)
    arguments = ("--out", tmp_path, *SMALL, *small, "--augment", "none", "--until-still", "--rows")
    run("benchmarks/aligned_ablation.py", *arguments, "refine, no losses", "D1", "D3")
    refined = {path.name.split("refine2")[1] for path in tmp_path.glob("seed*-refine2*.joblib")}
    assert refined == {"-kcs0-geo0.joblib", "-kcs0.01-geo0.joblib", "-kcs0.01-geo1e-06.joblib"}


def test_rows_without_a_component_say_what_it_does_to_the_latent_spaces(tmp_path, run):
    small = ("--source", "keypoints2d", "--n-train", 30, "--hidden-units", 8, "--latent-dim", 4)
    rows = ("B, weight 0", "D0, w = 0")
    arguments = ("--out", tmp_path, *SMALL, *small, "--augment", "none", "--until-still", "--rows", *rows)
    run("benchmarks/aligned_ablation.py", *arguments)
    fits = json.loads((tmp_path / "results.json").read_text())["fits"]
    alone, aligned = (fits[f"seed 0, {row}"] for row in rows)
    assert 0 <= alone["discriminator_accuracy"] <= 1 and "discriminator_accuracy" not in aligned
    assert aligned["paired_over_random_distance"] > 0 and alone["train_rows"] == 30
    chain = [
        "disentangle1-alone",
        "disentangle1",
        "disentangle1-align1-w0",
        "disentangle1-align1-w0-finetune1",
    ]
    kept = {path.name for path in tmp_path.glob("seed*.joblib")}
    assert kept == {f"seed0-injection-pose-{steps}.joblib" for steps in chain}


@pytest.mark.parametrize("script", ["aligned_ablation.py", "aligned_photographs.py"])
def test_settings_are_written_first_and_others_are_refused(tmp_path, monkeypatch, script):
    """What is kept under one setting is never used under another, even if nothing was measured yet."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    if script == "aligned_ablation.py":
        arguments, results = ["--out", tmp_path], tmp_path / "results.json"
        data = tmp_path / "hands.joblib"
    else:
        arguments, results = [tmp_path, "--out", tmp_path / "r.json"], tmp_path / "r.json"
        data = tmp_path / "annotations.npz"
    data.write_bytes(b"no such data")

    def start(lr):
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments), "--lr", lr])
        runpy.run_path(str(BENCHMARKS / script), run_name="__main__")

    with pytest.raises(Exception):  # noqa: B017 - whatever joblib and numpy make of these bytes
        start("0.5")
    kept = results.read_bytes()
    assert json.loads(kept)["settings"]["lr"] == 0.5
    with pytest.raises(SystemExit, match="was made with other settings"):
        start("0.25")
    assert results.read_bytes() == kept


def test_the_photographs_compare_both_estimators(tmp_path, photographs, run):
    photographs(24)
    out = tmp_path / "result.json"
    small = ["--image-size", 16, "--epochs", 1, 1, 1, 1, "--blocks", 2, "--gap", 2, "--seeds", 0]
    printed = run("benchmarks/aligned_photographs.py", tmp_path, "--out", out, *small)
    assert "threads" in json.loads(out.read_text())["machine"]
    fits = json.loads(out.read_text())["fits"]
    assert len(fits) == 6
    assert len({fit["steps"] for fit in fits.values()}) == 1
    again = run("benchmarks/aligned_photographs.py", tmp_path, "--out", out, *small)
    assert again == printed[-4:]
    mean = np.mean([fits[f"seed 0, block {fold}, CrossModalVAERegressor"]["epe_mm"] for fold in (0, 1)])
    assert float(again[1].split()[1]) == pytest.approx(mean, abs=0.006)
