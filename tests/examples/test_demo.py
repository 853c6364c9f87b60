"""skhand demo: every part at a small size in the default suite, and as it is in the slow one."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from skhand.cli import main

pytest.importorskip("matplotlib")
FILES = {"hands.csv", "model.json", "model.safetensors", "overlay.png", "pck.png", "photo.jpg"}
FILES |= {"predictions.png", "skeleton.png"}


def scores_in(text, name):
    """The numbers of the last line of a table that starts with a name."""
    line = [line for line in text.splitlines() if line.startswith(name)][-1]
    return [float(word) for word in line[len(name) :].split()]


def test_the_demo_at_a_small_size(tmp_path, capsys):
    n_threads = torch.get_num_threads()
    words = ["demo", "--out", str(tmp_path), "--hands", "16", "--train", "100", "--epochs", "1"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert {path.name for path in tmp_path.iterdir()} == FILES and told.err == ""
    assert scores_in(told.out, "root, shipped model")[0] < scores_in(told.out, "root, mean pose")[0]
    assert "its predictions are equal" in told.out and torch.get_num_threads() == n_threads


@pytest.mark.slow
def test_the_demo_as_it_is(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    told = capsys.readouterr().out
    assert {path.name for path in (tmp_path / "demo").iterdir()} == FILES
    mean, shipped, small = (
        scores_in(told, f"root, {name}")[0]
        for name in ("mean pose", "shipped model", "small model, just fitted")
    )
    assert shipped < 0.65 * mean and small < 0.75 * mean
    procrustes = [scores_in(told, f"procrustes, {name}")[0] for name in ("mean pose", "shipped model")]
    assert procrustes[1] < 0.75 * procrustes[0]
    assert "its predictions are equal" in told
    with open(tmp_path / "demo" / "hands.csv") as file:
        assert len(list(csv.DictReader(file))) >= 1
    with (
        Image.open(tmp_path / "demo" / "photo.jpg") as photo,
        Image.open(tmp_path / "demo" / "overlay.png") as over,
    ):
        changed = np.abs(np.asarray(photo).astype(int) - np.asarray(over)).max(axis=2) > 30
    assert 0.002 < changed.mean() < 0.3
