"""Augmentation of crops whose larger pictures are there: what moves in is what lies beside the crop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import skhand.training._objective as objective
from skhand import HandFrames, ImageFiles, concat_frames
from skhand._columns import CheckedColumn
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.geometry import apply_affine
from skhand.preprocessing import HandCropper
from skhand.training import augment_batch, check_augment, fetch, widen_pictures

SIZE, N = 200, 12
MOVES = {"rotate": 45.0, "shift": 0.2, "zoom": 0.2, "flip": "horizontal"}


def ramp(x, y):
    """A picture that is a plane: sampled between pixels, and averaged over them, it stays what it is."""
    return np.stack([x, y, (x + y) / 2], axis=-1)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Whole pictures in files, with boxes of many sizes well inside of them."""
    folder, rng = tmp_path_factory.mktemp("ramps"), np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE]
    paths = [folder / f"{i}.png" for i in range(N)]
    for path in paths:
        Image.fromarray(ramp(x, y).astype(np.uint8)).save(path)
    extent = rng.uniform(11, 40, (N, 1)) * [1, 1]
    corner = rng.uniform(75, 110, (N, 2)) - extent / 2
    return HandFrames(
        rgb=ImageFiles(paths), box=np.hstack([corner, extent]), side=["left", "right"] * (N // 2)
    )


@pytest.mark.parametrize("rows", [slice(None), np.arange(N)[::-2]])
@pytest.mark.parametrize("size", [16, (24, 20)])
def test_a_moved_picture_shows_what_lies_beside_the_crop(frames, size, rows):
    crops = HandCropper(size, margin=1.0).transform(frames)[rows]
    whole = np.asarray(crops.affine)  # the picture's pixels to the crop's
    columns, settings = widen_pictures({"rgb": crops.rgb}, check_augment(MOVES))
    n, (height, width) = len(crops), crops.rgb.shape[1:3]
    batch = fetch(columns, columns, np.arange(n), torch.device("cpu"))
    moved = augment_batch(batch, settings, torch.Generator().manual_seed(3))
    assert set(moved) == {"rgb"} and moved["rgb"].shape == (n, height, width, 3)
    v, u = np.mgrid[:height, :width]
    motion = _motions(batch, settings)
    for row in range(n):
        back = np.linalg.inv(motion[row] @ whole[row])
        places = apply_affine(back, np.stack([u, v], -1).reshape(-1, 2).astype(float))
        expected = ramp(*places.T).reshape(height, width, 3)
        got = 255 * moved["rgb"][row].numpy()
        assert np.abs(got - expected).max() < 1.0  # rounding to bytes twice: of the crop, and of its halves
    plain = augment_batch(
        fetch({"rgb": crops.rgb}, {"rgb"}, np.arange(n), torch.device("cpu")),
        check_augment(MOVES),
        torch.Generator().manual_seed(3),
    )
    grey = 255 * plain["rgb"].numpy() - 127.5
    assert (np.abs(grey) < 0.1).all(axis=-1).mean() > 0.1  # which a tenth and more of all pixels were


def _motions(batch, settings):
    """Affine map of each row for the same random numbers, from where three keypoints move."""
    corners = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = torch.from_numpy(np.broadcast_to(corners, (len(batch["rgb"]), 3, 2)).copy())
    moved = augment_batch({**batch, "keypoints2d": points}, settings, torch.Generator().manual_seed(3))[
        "keypoints2d"
    ].numpy()
    affine = np.tile(np.eye(3), (len(moved), 1, 1))
    affine[:, :2, 0] = (moved[:, 1] - moved[:, 0]) / 10
    affine[:, :2, 1] = (moved[:, 2] - moved[:, 0]) / 10
    affine[:, :2, 2] = moved[:, 0]
    return affine


def test_a_fit_reads_wider_pictures_and_predicts_the_crops(frames, monkeypatch):
    seen = []

    def spy(batch, settings, generator):
        seen.append(batch["rgb"].shape[1:3])
        return augment_batch(batch, settings, generator)

    monkeypatch.setattr(objective, "augment_batch", spy)
    crops, y = HandCropper(16).transform(frames), np.random.default_rng(0).normal(0, 40, (N, 21, 3))
    est = CrossModalVAERegressor(
        backbone="small", augment={"shift": 0.25}, max_epochs=2, batch_size=8, random_state=0
    )
    est.fit(crops, y)
    assert set(seen) == {(24, 24)} and est.shapes_["rgb"] == (16, 16, 3)
    in_memory = crops.replace(rgb=crops.rgb[:])
    assert np.array_equal(est.predict(crops), est.predict(in_memory))
    seen.clear()
    est.fit(in_memory, y)
    assert set(seen) == {(16, 16)}


def test_colour_alone_needs_no_more_of_the_picture(frames):
    crops = HandCropper(16).transform(frames)
    columns, settings = widen_pictures(
        {"rgb": crops.rgb}, check_augment({"colour": 0.3, "flip": "horizontal"})
    )
    assert settings["border"] == 0 and columns["rgb"] is crops.rgb


def test_joined_and_checked_crops_reach_further_too(frames):
    crops = HandCropper(16).transform(frames)
    border = check_augment({"shift": 0.25})
    plain, _ = widen_pictures({"rgb": crops.rgb}, border)
    halves = concat_frames([crops[:5], crops[5:]])
    joined, _ = widen_pictures({"rgb": halves.rgb}, border)
    checked, _ = widen_pictures({"rgb": CheckedColumn(crops.rgb, lambda rows: None)}, border)
    for columns in (joined, checked):
        for name in ("rgb", "rgb_frame"):
            assert np.array_equal(columns[name][:], plain[name][:])
    mixed = concat_frames([crops[:5], crops[5:].replace(rgb=crops.rgb[5:])])  # the second part is in memory
    assert widen_pictures({"rgb": mixed.rgb}, border)[0]["rgb"] is mixed.rgb


def test_endless_hands_stay_endless_when_they_are_moved(monkeypatch):
    seen = []

    def spy(batch, settings, generator):
        seen.append(batch["pose3d"].numpy())
        return augment_batch(batch, settings, generator)

    monkeypatch.setattr(objective, "augment_batch", spy)
    hands = make_hands(8, image_size=16, lazy=True, endless=True, random_state=0).data
    est = CrossModalVAERegressor(
        backbone="small", augment={"shift": 0.25}, max_epochs=3, batch_size=8, random_state=0
    )
    est.fit(hands)
    assert len(np.unique(np.concatenate(seen).reshape(-1, 63), axis=0)) == 3 * 8  # new ones in each pass
