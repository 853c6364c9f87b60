"""Trunks that start from the weights that ship."""

import numpy as np
import pytest
import torch

from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor, LatentHeatmapRegressor
from skhand.exceptions import InputError
from skhand.nn import ImageTrunk


def test_the_trunk_is_that_of_the_weights():
    pictures = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0)) - 0.5
    trunk = ImageTrunk("resnet10", 3, (128, 128), "hands").eval()
    module = LatentHeatmapRegressor.from_pretrained(device="cpu").module_
    with torch.inference_mode():
        maps, _ = trunk.layers(pictures), None
        for level in module.body.levels:
            pictures = level(pictures)
    torch.testing.assert_close(maps, pictures)


def test_a_one_channel_trunk_sees_grey_pictures_as_the_colour_one():
    grey = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)) - 0.5
    one, three = (ImageTrunk("resnet10", channels, (64, 64), "hands").eval() for channels in (1, 3))
    with torch.inference_mode():
        torch.testing.assert_close(one(grey), three(grey.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


def test_another_backbone_is_refused():
    with pytest.raises(InputError, match="pretrained: 'hands' is a 'resnet10'"):
        ImageTrunk("resnet18", 3, (64, 64), "hands")


@pytest.mark.slow
def test_hands_are_learned_faster_from_it():
    hands = make_hands(300, side="right", rotation=60, images=("rgb",), random_state=0)
    train, test = slice(0, 200), slice(200, 300)
    errors = []
    for start in (False, "hands"):
        est = CrossModalVAERegressor(
            backbone="resnet10", pretrained=start, given=("root",), max_epochs=10, random_state=0
        ).fit(hands.data[train], hands.target[train])
        errors.append(np.linalg.norm(est.predict(hands.data[test]) - hands.target[test], axis=2).mean())
    assert errors[1] < 0.9 * errors[0]
