"""A row's answer does not depend on the rows that are computed with it."""

import contextlib

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor, LatentHeatmapRegressor, SimToRealRegressor
from skhand.training import _rows_apart, rows_apart, rows_together

N = 21  # more than a chunk, and no multiple of one


@pytest.fixture(scope="module", params=[32, 64])
def hands(request):
    return make_hands(N, image_size=request.param, images=("rgb", "depth"), random_state=0)


ESTIMATORS = {
    "resnet18": CrossModalVAERegressor(given=("root",), max_epochs=1, variant=3, random_state=0),
    "small": CrossModalVAERegressor(given=("root",), backbone="small", max_epochs=1, random_state=0),
    "keypoints": CrossModalVAERegressor(given=("root",), source="keypoints2d", max_epochs=1, random_state=0),
    "latent": LatentHeatmapRegressor(width=16, max_epochs=1, random_state=0),
    "direct": LatentHeatmapRegressor(heatmap="direct", width=16, max_epochs=1, random_state=0),
    "paper": LatentHeatmapRegressor(network="paper", width=16, max_epochs=1, random_state=0),
    "sim-to-real": SimToRealRegressor(
        width=8, max_iter=2, source="depth", given=("root",), stages=("pose", "posterior"), random_state=0
    ),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_rows_predicted_alone_in_fives_or_together_are_the_same(name, hands):
    estimator = ESTIMATORS[name].fit(hands.data, hands.target)
    maps = hasattr(estimator, "predict_keypoints")  # absolute poses would magnify the last bits
    predict = estimator.predict_keypoints if maps else estimator.predict
    together = predict(hands.data)
    for size in (1, 5):
        apart = [predict(hands.data[start : start + size]) for start in range(0, N, size)]
        # a tenth of what scikit-learn's check of subset invariance allows
        np.testing.assert_allclose(
            np.concatenate(apart), together, rtol=1e-8, atol=1e-8 * np.abs(together).max()
        )


def test_convolutions_of_one_row_follow_weights_that_change():
    torch.manual_seed(0)
    layer = nn.Conv2d(256, 256, 3, padding=1, bias=False).to(memory_format=torch.channels_last)
    x = torch.randn(1, 256, 4, 4).contiguous(memory_format=torch.channels_last)
    for change in (lambda w: None, lambda w: w.mul_(2), lambda w: w.data.add_(1)):
        with torch.no_grad():
            change(layer.weight)
            wanted = functional.conv2d(x.double(), layer.weight.double(), padding=1)
        with torch.inference_mode(), rows_apart():
            for _ in range(2):
                torch.testing.assert_close(layer(x).double(), wanted, rtol=1e-4, atol=1e-3)


def test_weights_of_one_row_are_ordered_anew_for_another_number_of_threads(monkeypatch):
    """In the order of another one, a convolution may take a hundred times as long."""
    seen, pack = [], _rows_apart.pack_weight

    def spy(*arguments):
        seen.append(torch.get_num_threads())
        return pack(*arguments)

    monkeypatch.setattr(_rows_apart, "pack_weight", spy)
    layer = nn.Conv2d(256, 256, 3, padding=1).to(memory_format=torch.channels_last)
    x = torch.randn(1, 256, 4, 4).contiguous(memory_format=torch.channels_last)
    before = torch.get_num_threads()
    try:
        with torch.inference_mode(), rows_apart():
            for n_threads in (1, 1, 2):
                torch.set_num_threads(n_threads)
                layer(x)
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 2]


@pytest.mark.parametrize("padding", ["same", "valid", 2, (1, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_of_one_row_is_that_of_torch(padding, bias):
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 9, (3, 5), padding=padding, dilation=(2, 1), groups=3, bias=bias)
    x = torch.randn(1, 6, 12, 13)
    with torch.inference_mode():
        wanted = layer(x)
        with rows_apart():
            torch.testing.assert_close(layer(x), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [(8, 4, 3, 2, 1, 1), (4, 1, 1), (32, 16, 4, 2, 1)])
def test_a_transposed_convolution_of_any_number_of_rows_is_that_of_torch(options):
    torch.manual_seed(0)
    layer, x = nn.ConvTranspose2d(*options), torch.randn(9, options[0], 8, 8)
    with torch.inference_mode(), rows_apart():
        whole = layer(x)
        parts = torch.cat([layer(x[:0]), layer(x[:1]), layer(x[1:3]), layer(x[3:])])
    assert torch.equal(whole, parts)
    torch.testing.assert_close(whole, layer(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_columns", [7, 30, 64, 500])
@pytest.mark.parametrize("n_outputs", [1, 7, 63])
def test_matrix_products_of_any_number_of_rows_are_those_of_torch(n_columns, n_outputs):
    torch.manual_seed(0)
    layer, x = nn.Linear(n_columns, n_outputs), torch.randn(19, n_columns)
    with torch.inference_mode(), rows_apart():
        whole = layer(x)
        parts = torch.cat([layer(x[:1]), layer(x[1:9]), layer(x[9:])])
        assert layer(x[:0]).shape == (0, n_outputs)
    assert torch.equal(whole, parts)
    torch.testing.assert_close(whole, layer(x), rtol=1e-5, atol=1e-5)


def test_rows_together_leaves_the_operators_alone_and_only_in_its_block():
    seen = []

    class Spy(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, arguments=(), keywords=None):
            seen.append(function)
            return function(*arguments, **(keywords or {}))

    layer, x = nn.Conv2d(3, 4, 3), torch.randn(1, 3, 8, 8)
    plain = layer(x)
    for together, block in ((False, contextlib.nullcontext()), (True, rows_together())):
        seen.clear()
        with Spy(), block, rows_apart():
            np.testing.assert_allclose(layer(x).detach(), plain.detach(), atol=1e-5)
        assert (torch.conv2d in seen or functional.conv2d in seen) == together
