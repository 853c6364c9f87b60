"""The detector's training script runs, goes on and writes weights that HandDetector reads."""

from __future__ import annotations

import json

import numpy as np
import pytest

from skhand.detection import HandDetector


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("--minutes", 0),
        ("--uses", 9),
        ("--uses", 0),
        ("--scenes", 30),
        ("--pool", 0),
        ("--start", "nothing.pt"),
    ],
)
def test_a_bad_argument_is_named_before_anything_is_rendered(tmp_path, run, argument, value):
    lines = run("train_detector.py", "--out", tmp_path / "out", argument, value, fails=True)
    assert f"{argument}: expected" in lines[-1] and not (tmp_path / "out").exists()


def test_hands_of_another_seed_are_other_files(tmp_path, define):
    script = define("train_detector.py")
    one, other = (set(script["Parts"](tmp_path, seed, 250, 4).paths()) for seed in (0, 1))
    assert len(one) == 3 and not one & other


def test_train_detector_goes_on_and_writes_what_the_detector_reads(tmp_path, run):
    small = ("--pool", 8, "--held-out", 4, "--scenes", 50, "--batch-size", 2, "--device", "cpu")
    arguments = ("--out", tmp_path, *small, "--real", tmp_path)
    run("train_detector.py", "--minutes", 0.22, *arguments)
    rendered = {path: path.stat().st_mtime_ns for path in (tmp_path / "pool").iterdir()}
    run("train_detector.py", "--minutes", 0.24, *arguments)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "pool").iterdir()} == rendered
    meta = json.loads((tmp_path / "hand_detector.json").read_text())
    assert len(meta["log"]) == 2 and meta["log"][1]["pictures"] > meta["log"][0]["pictures"]
    start = ("--start", tmp_path / "checkpoint.pt", "--pool-dir", tmp_path)
    run("train_detector.py", "--minutes", 0.21, "--out", tmp_path / "next", *small, *start, "--workers", 2)
    recipe = json.loads((tmp_path / "next" / "hand_detector.json").read_text())["recipe"]
    assert recipe["pictures_before"] == meta["recipe"]["pictures"] < recipe["pictures"]
    third = ("--start", tmp_path / "next" / "checkpoint.pt", "--pool-dir", tmp_path)
    run("train_detector.py", "--minutes", 0.21, "--out", tmp_path / "third", *small, *third)
    again = json.loads((tmp_path / "third" / "hand_detector.json").read_text())["recipe"]
    assert again["pictures_before"] == recipe["pictures"]
    detector = HandDetector(0.0, weights=tmp_path / "hand_detector.safetensors")
    assert len(detector.predict(np.zeros((48, 64, 3), np.uint8))) == 1
