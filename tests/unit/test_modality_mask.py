"""Masks as a modality: a source and a target that learn, and how little it takes to add another modality."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
import torch

from skhand.datasets import make_hands
from skhand.estimators import AlignedLatentRegressor, CrossModalVAERegressor
from skhand.exceptions import InputError
from skhand.metrics import mean_epe
from skhand.training import MODALITIES, augment_batch, check_augment
from skhand.training.modalities.mask import MaskCodec

SIZE = 16


@pytest.fixture(scope="module")
def hands():
    return make_hands(
        1500, image_size=SIZE, rotation=0.0, side="right", n_subjects=12, images=("mask",), random_state=0
    )


@pytest.fixture(scope="module")
def parts(hands):
    """Rows of nine people to train on, and of three others."""
    return hands.groups < 9, hands.groups >= 9


def iou(wanted, found):
    """Mean intersection over union of masks, row by row."""
    return np.mean((wanted & found).sum(axis=(1, 2)) / (wanted | found).sum(axis=(1, 2)))


def share_of_mean_pose(hands, parts, estimator):
    """Error on the other people, over that of the mean pose of the training rows."""
    train, test = parts
    relative = hands.target - hands.data.root[:, None]
    mean_pose = np.broadcast_to(relative[train].mean(axis=0), relative[test].shape)
    error = mean_epe(hands.target[test], estimator.predict(hands.data[test]), align="root")
    return error / mean_epe(relative[test], mean_pose, align="root")


# ---------------------------------------------------------------- learning


@pytest.fixture(scope="module")
def both_ways(hands, parts):
    """Masks to poses, keypoints to masks, and masks to themselves."""
    pairs = [("mask", "pose3d"), ("keypoints2d", "mask"), ("mask", "mask")]
    estimator = CrossModalVAERegressor(
        pairs=pairs, backbone="small", hidden_units=128, n_hidden_layers=2, given=("root",), augment=None,
        beta=2e-5, lr=3e-3, lr_schedule="cosine", batch_size=32, max_epochs=10, random_state=0,
        reconstruction_rate=1.0,
    )  # fmt: skip
    return estimator.fit(hands.data[parts[0]], hands.target[parts[0]])


def test_poses_are_read_off_masks_of_other_people(hands, parts, both_ways):
    """0.61 of the mean pose's error when measured."""
    assert both_ways.source_ == "mask"
    assert share_of_mean_pose(hands, parts, both_ways) < 0.75


@pytest.mark.parametrize("source", ["keypoints2d", "mask"])
def test_masks_of_other_people_are_decoded_better_than_the_mean_mask(hands, parts, both_ways, source):
    """0.69 and 0.66 when measured, and 0.54 of the mean mask."""
    train, test = parts
    masks = np.asarray(hands.data.mask)
    found = both_ways.predict(hands.data[test], source=source, target="mask")
    assert found.dtype == bool and found.shape == masks[test].shape
    mean_mask = np.broadcast_to(masks[train].mean(axis=0) > 0.5, found.shape)
    assert iou(masks[test], found) > iou(masks[test], mean_mask) + 0.08


def test_poses_are_aligned_with_masks(hands, parts):
    train = parts[0]
    estimator = AlignedLatentRegressor(
        backbone="small", hidden_units=128, n_hidden_layers=2, given=("root",), augment=None, lr=2e-3,
        source="mask", beta=1e-6, lr_schedule="cosine", random_state=0,
        max_epochs={"disentangle": 8, "align": 2, "finetune": 4, "refine": 1},
    ).fit(hands.data[train], hands.target[train])  # fmt: skip
    assert estimator.source_ == "mask"
    assert estimator.history_["stage"][-1] == "refine"
    assert share_of_mean_pose(hands, parts, estimator) < 0.75


# ---------------------------------------------------------------- the record


def test_a_plain_array_of_truth_values_is_masks(hands, parts):
    masks = np.asarray(hands.data.mask)[:40]
    settings = {"backbone": "small", "hidden_units": 16, "max_epochs": 1, "random_state": 0, "augment": None}
    estimator = CrossModalVAERegressor(**settings).fit(masks, hands.target[:40])
    assert estimator.source_ == "mask"
    flat = CrossModalVAERegressor(**settings, source="mask", image_shape=(SIZE, SIZE))
    flat.fit(masks.reshape(40, -1), hands.target[:40])
    np.testing.assert_array_equal(flat.predict(masks.reshape(40, -1)), estimator.predict(masks))
    with pytest.raises(InputError, match="^X: expected mask as bool, got dtype uint8"):
        CrossModalVAERegressor(**settings, source="mask").fit(masks.astype(np.uint8), hands.target[:40])


def test_a_mask_is_half_a_unit_to_either_side_and_comes_back(rng):
    masks = torch.from_numpy(rng.random((5, 6, 7)) < 0.4)
    codec = MaskCodec()
    coded = codec.encode({"mask": masks})
    assert coded.shape == (5, 1, 6, 7) and coded.dtype == torch.float32
    assert torch.equal(coded[:, 0], torch.where(masks, 0.5, -0.5))
    assert torch.equal(codec.decode(coded, {}), masks)


def test_augmentation_moves_masks_with_their_pictures():
    """What was white before is white after, and where nothing reaches there is no hand."""
    mask = torch.zeros(64, 21, 21, dtype=torch.bool)
    mask[:, 6:15, 4:12] = True
    picture = (255 * mask[..., None].expand(-1, -1, -1, 3)).to(torch.uint8)
    settings = check_augment({"rotate": 90, "shift": 0.4, "flip": "horizontal"})
    moved = augment_batch({"mask": mask, "rgb": picture}, settings, torch.Generator().manual_seed(0))
    assert moved["mask"].dtype == torch.bool
    assert (moved["mask"] != mask).flatten(1).any(dim=1).float().mean() > 0.9
    white, black = (moved["rgb"] > 0.9).all(dim=3), (moved["rgb"] < 0.1).all(dim=3)
    assert moved["mask"][white].all() and not moved["mask"][black].any()
    outside = (moved["rgb"] - 0.5).abs().amax(dim=3) < 1e-3  # mid-grey, beyond the picture
    assert outside.any() and moved["mask"][outside].float().mean() < 0.05


# ---------------------------------------------------------------- one file

INFRARED = """
import numpy as np

from skhand.training.modalities._record import Picture, as_batch


class InfraredCodec:
    columns, decodes = ("infrared",), ()

    def encode(self, batch):
        return as_batch(batch["infrared"].float().unsqueeze(1) / 255 - 0.5)

    def decode(self, output, batch):
        return (output.float().squeeze(1) + 0.5) * 255


class Infrared(Picture):
    name, shape, channels, order = "infrared", ("height", "width"), 1, 1  # looked for before depth

    def matches(self, shape, dtype):
        return len(shape) == 3 and np.dtype(dtype) == np.uint8

    def fit_codec(self, columns, rows, settings):
        return InfraredCodec()


MODALITY = Infrared()
"""


@pytest.fixture
def infrared(tmp_path, monkeypatch):
    """A folder beside the modalities' own, with one new module in it."""
    package = importlib.import_module("skhand.training.modalities")
    (tmp_path / "infrared.py").write_text(INFRARED)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    found = package._find()
    assert set(found) - set(MODALITIES) == {"infrared"}
    known = dict(MODALITIES)
    MODALITIES.clear()
    MODALITIES.update(found)
    yield
    MODALITIES.clear()
    MODALITIES.update(known)
    del sys.modules["skhand.training.modalities.infrared"], package.infrared


def test_one_module_adds_a_modality_to_every_estimator(infrared, rng):
    X = rng.integers(0, 256, (24, 16, 16), dtype=np.uint8)
    y = rng.normal(0, 40, (24, 21, 3))
    settings = {
        "backbone": "small",
        "hidden_units": 16,
        "n_hidden_layers": 1,
        "max_epochs": 1,
        "augment": None,
    }
    estimator = CrossModalVAERegressor(variant=4, **settings).fit(X, y)
    assert estimator.source_ == "infrared"
    assert estimator.predict(X).shape == y.shape
    assert estimator.predict(y, source="pose3d", target="pose3d").shape == y.shape
    shown = estimator.predict(X, target="infrared")
    assert shown.shape == X.shape and np.isfinite(shown).all()
    aligned = AlignedLatentRegressor(**settings).fit(X, y)
    assert aligned.source_ == "infrared" and np.isfinite(aligned.predict(X)).all()
