"""skhand demo: every part at a small size in the default suite, and as it is in the slow one."""

from __future__ import annotations

import contextlib
import csv
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from skhand.cli import main
from skhand.datasets import make_hands

pytest.importorskip("matplotlib")
FILES = {"hands.csv", "model.json", "model.safetensors", "overlay.png", "pck.png", "photo.jpg"}
FILES |= {"latent_walk.png", "predictions.png", "skeleton.png"}
SMALL = {"--hands": "16", "--train": "100", "--epochs": "1", "--seed": "3"}


def scores_in(text, name):
    """The numbers of the last line of a table that starts with a name."""
    line = [line for line in text.splitlines() if line.startswith(name)][-1]
    return [float(word) for word in line[len(name) :].split()]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Run a small demo once; return its folder, and what it printed to stdout and to stderr."""
    out, n_threads = tmp_path_factory.mktemp("demo"), torch.get_num_threads()
    words = [word for option in SMALL.items() for word in option]
    told, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(errors):
        assert main(["demo", "--out", str(out), *words]) == 0
    assert torch.get_num_threads() == n_threads
    return out, told.getvalue(), errors.getvalue()


def test_the_demo_at_a_small_size(demo):
    out, told, errors = demo
    assert {path.name for path in out.iterdir()} == FILES and errors == ""
    assert scores_in(told, "root, shipped model")[0] < scores_in(told, "root, mean pose")[0]
    assert "its predictions are equal" in told and "epoch" not in told


def test_the_scores_stand_beside_the_baselines_and_what_was_given(demo):
    _, told, _ = demo
    assert "within 30 degrees" in told and "given: the palm's place (T)" in told
    names = re.findall(r"^root, (.+?) {2,}[\d.]+ ", told, re.M)
    baselines = ["mean pose", "nearest neighbour"]
    assert names == [*baselines, "shipped model", *baselines, "small model, just fitted"]
    assert all(5 < scores_in(told, f"root, {name}")[0] < 200 for name in names)
    assert re.search(r"EPE mean +EPE median +AUC 0-50 +PCK 20 +PCK 30 +PCK 50\n", told)


def test_the_mean_pose_is_that_of_the_people_trained_on(demo):
    _, told, _ = demo
    hands = make_hands(
        round(100 / 0.9), image_size=64, n_subjects=200, side="right", rotation=30, images=(), random_state=3
    )
    train, test = hands.groups < 180, hands.groups >= 180
    test &= np.cumsum(test) <= 16
    assert f"{train.sum()} pictures of 32 px" in told and f"\n{test.sum()} right hands" in told
    relative = hands.target - (hands.target[:, :1] + hands.target[:, 9:10]) / 2
    errors = np.linalg.norm(relative[test] - relative[train].mean(axis=0), axis=2)
    assert scores_in(told, "root, mean pose")[0] == pytest.approx(errors.mean(), abs=0.051)


@pytest.mark.parametrize("name", sorted(name for name in FILES if name.endswith(".png")))
def test_the_pictures_are_drawn(demo, name):
    with Image.open(demo[0] / name) as picture:
        pixels = np.asarray(picture.convert("RGB")) / 255
    assert min(pixels.shape[:2]) > 200
    assert pixels.std() > 0.05


@pytest.mark.slow
def test_the_demo_as_it_is(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    told = capsys.readouterr().out
    assert {path.name for path in (tmp_path / "demo").iterdir()} == FILES
    mean, shipped, small = (
        scores_in(told, f"root, {name}")[0]
        for name in ("mean pose", "shipped model", "small model, just fitted")
    )
    assert shipped <= 0.5 * mean and small < 0.65 * mean
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
