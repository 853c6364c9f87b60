"""The README's main job, end to end at a tiny size."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import GroupShuffleSplit

from skhand.datasets import make_hands

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """Run the example once; return what it printed and where it drew."""
    out = tmp_path_factory.mktemp("quickstart")
    options = {"n-train": 80, "n-subjects": 5, "image-size": 16, "epochs": 1, "rotation": 30, "seed": 3}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "quickstart.py"), "--out", str(out), *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, out


def test_the_scores_stand_beside_what_was_given(quickstart):
    printed, _ = quickstart
    for words in ("at 16 x 16 px", "up to 30 degrees", "seed 3", "given: root (T) and scale (S)"):
        assert words in printed
    rows = re.findall(r"^(mean pose|nearest neighbour|CrossModalVAERegressor) +([\d.]+) mm", printed, re.M)
    assert [name for name, _ in rows] == ["mean pose", "nearest neighbour", "CrossModalVAERegressor"]
    assert all(5 < float(error) < 200 for _, error in rows)


def test_the_mean_pose_is_that_of_the_training_subjects(quickstart):
    printed, _ = quickstart
    hands = make_hands(89, image_size=32, n_subjects=5, side="right", rotation=30, images=(), random_state=3)
    split = GroupShuffleSplit(n_splits=1, test_size=0.1, random_state=3)
    train, test = next(split.split(hands.target, groups=hands.groups))
    assert f"trained on {len(train)} rows" in printed and f"tested on {len(test)} of 1 others" in printed
    relative = hands.target - (hands.target[:, :1] + hands.target[:, 9:10]) / 2
    scale = hands.data.scale[:, None, None]
    mean_pose = (relative / scale)[train].mean(axis=0) * scale[test]
    errors = np.linalg.norm(relative[test] - mean_pose, axis=2)
    printed_error = float(re.search(r"^mean pose +([\d.]+) mm", printed, re.M)[1])
    assert printed_error == pytest.approx(errors.mean(), abs=0.051)


@pytest.mark.parametrize("name", ["predictions.png", "latent_walk.png", "pck.png"])
def test_the_pictures_are_drawn(quickstart, name):
    from matplotlib.image import imread

    picture = imread(quickstart[1] / name)
    assert min(picture.shape[:2]) > 200
    assert picture[..., :3].std() > 0.05


@pytest.mark.slow
def test_the_main_job_at_its_own_size_halves_the_mean_poses_error(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "quickstart.py"), "--out", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=True,
    )
    errors = dict(re.findall(r"^(mean pose|CrossModalVAERegressor) +([\d.]+) mm", done.stdout, re.M))
    assert float(errors["CrossModalVAERegressor"]) <= 0.5 * float(errors["mean pose"])
