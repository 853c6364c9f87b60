"""Pieces of the script that trains the weights that ship."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def script(define) -> dict[str, Any]:
    """Return the pieces of the script by name."""
    return define("train_weights.py")


def test_a_shard_that_is_read_stays_as_it_is_when_one_of_its_name_is_written(tmp_path, script):
    path = str(tmp_path / "0000000")
    script["write_shard"](path, np.full((2, 4, 4, 3), 7, np.uint8), {"camera": np.zeros(2)})
    pictures = np.load(path + ".rgb.npy", mmap_mode="r")
    script["write_shard"](path, np.full((2, 4, 4, 3), 9, np.uint8), {"camera": np.ones(2)})
    assert (pictures == 7).all() and (np.load(path + ".rgb.npy") == 9).all()
    with np.load(path + ".labels") as labels:
        assert (labels["camera"] == 1).all()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["0000000.labels", "0000000.rgb.npy"]


def test_a_pool_that_nobody_fills_is_named(tmp_path, run):
    lines = run("train_weights.py", "--minutes", 1, "--out", tmp_path, fails=True)
    assert "--workers: expected 1 or more" in lines[-1]


def test_other_hands_lie_behind_a_share_of_the_hands(script):
    """Each hand is a block of one value; what is put behind has the value of another picture's hand."""
    n, size = 2000, 16
    rgb = np.full((n, size, size, 3), 255, np.uint8)
    mask = np.zeros((n, size, size), bool)
    mask[:, 4:12, 4:10] = True
    rgb[mask] = np.repeat(np.arange(n) % 250, mask[0].sum()).astype(np.uint8)[:, None]
    laid = script["lay_over_others"](rgb, mask, np.random.default_rng(0))
    np.testing.assert_array_equal(laid[mask], rgb[mask])
    changed = (laid != rgb).any(axis=3)
    assert abs(changed.any(axis=(1, 2)).mean() - 0.15) < 0.032  # four standard deviations of a share
    assert (laid[changed] < 250).all()
    assert (rgb[~mask] == 255).all()  # the pictures that came stay as they are
