"""Hands that are saved in the layout of RHD: what load_rhd reads back."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from smallest import Pictures

from skhand import HandFrames
from skhand.datasets import load_rhd, make_hands, save_rhd
from skhand.exceptions import InputError


def test_load_rhd_reads_back_what_was_saved(tmp_path):
    hands = make_hands(6, image_size=48, random_state=3)
    assert set(hands.data.side) == {"left", "right"}
    save_rhd(hands.data, hands.target, tmp_path)
    save_rhd(hands.data[:2], hands.target[:2], tmp_path, split="test")
    back = load_rhd(tmp_path)
    np.testing.assert_allclose(back.target, hands.target, rtol=1e-6, atol=1e-4)
    for name in ("keypoints2d", "camera", "root", "scale"):
        np.testing.assert_allclose(getattr(back.data, name), getattr(hands.data, name), rtol=1e-5, atol=1e-4)
    assert back.data.side.tolist() == hands.data.side.tolist()
    np.testing.assert_array_equal(back.data.rgb[:], hands.data.rgb[:])
    np.testing.assert_array_equal(back.data.mask[:], hands.data.mask[:])
    np.testing.assert_array_equal(back.visible, hands.visible)
    depth = hands.data.depth[:]
    far = depth > 5000
    np.testing.assert_allclose(back.data.depth[:][~far], depth[~far], atol=0.04)
    assert (back.data.depth[:][far] == 5000).all()
    assert len(load_rhd(tmp_path, "test").target) == 2


def test_the_files_are_those_of_the_published_format(tmp_path):
    hands = make_hands(1, image_size=32, side="right", random_state=0)
    save_rhd(hands.data, hands.target, tmp_path)
    with Image.open(tmp_path / "training" / "mask" / "00000.png") as mask:
        assert set(np.unique(mask)) == {0, 18}
    with Image.open(tmp_path / "training" / "depth" / "00000.png") as depth:
        red, green, _ = (np.asarray(depth, dtype=float)[16, 16]).tolist()
    assert (red * 256 + green) * 5000 / 65535 == pytest.approx(hands.data.depth[0][16, 16], abs=0.04)
    both = load_rhd(tmp_path, hand="both")
    assert np.isnan(both.target[0]).all() and np.isfinite(both.target[1]).all()
    assert not both.visible[0].any() and both.bad.tolist() == [True, False]
    assert len(load_rhd(tmp_path, hand="both", bad_rows="drop").target) == 1


@pytest.mark.parametrize("data", [None, 3, np.array("a"), "folder"])
def test_what_is_no_table_is_refused_by_name(data, tmp_path):
    with pytest.raises(InputError, match="^data: expected a HandFrames"):
        save_rhd(data, np.zeros((2, 21, 3)), tmp_path / "new")


def test_refused(tmp_path):
    hands = make_hands(2, image_size=32, random_state=0)
    with pytest.raises(InputError, match="data: expected a HandFrames with rgb, depth, mask"):
        save_rhd(HandFrames(rgb=hands.data.rgb), hands.target, tmp_path)
    with pytest.raises(InputError, match="target: expected an array of shape"):
        save_rhd(hands.data, hands.target[:1], tmp_path)
    with pytest.raises(InputError, match="target: expected all joints"):
        save_rhd(hands.data, np.where(np.arange(21)[:, None] == 4, np.nan, hands.target), tmp_path)
    with pytest.raises(InputError, match="split: expected one of"):
        save_rhd(hands.data, hands.target, tmp_path, split="val")
    save_rhd(hands.data, hands.target, tmp_path)
    with pytest.raises(InputError, match="data_dir: expected a folder without training"):
        save_rhd(hands.data, hands.target, tmp_path)


def test_what_fails_on_the_way_leaves_nothing_and_can_be_tried_again(tmp_path):
    hands = make_hands(3, image_size=32, random_state=0)
    good = np.asarray(hands.data.rgb)
    broken = Pictures(good, OSError("the disk is gone"))
    with pytest.raises(OSError, match="the disk is gone"):
        save_rhd(hands.data.replace(rgb=broken), hands.target, tmp_path)
    assert list(tmp_path.iterdir()) == []
    save_rhd(hands.data, hands.target, tmp_path)
    np.testing.assert_array_equal(np.asarray(load_rhd(tmp_path).data.rgb), good)
    assert [path.name for path in tmp_path.iterdir()] == ["training"]
