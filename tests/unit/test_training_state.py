"""Weights as numpy arrays."""

from __future__ import annotations

import numpy as np
import torch

from skhand.training import to_numpy, to_tensors


def test_weights_travel_as_numpy_and_come_back():
    tree = {"a": torch.arange(3.0), "b": [{"step": torch.tensor(4.0)}], "c": (0.9, 0.999), "d": None}
    packed = to_numpy(tree)
    assert isinstance(packed["a"], np.ndarray)
    tree["a"].zero_()
    back = to_tensors(packed)
    assert torch.equal(back["a"], torch.arange(3.0))
    assert back["b"][0]["step"] == 4
    assert list(back["c"]) == [0.9, 0.999]
