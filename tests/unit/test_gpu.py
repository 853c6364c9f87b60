"""What only a CUDA device can show; run with ``pytest -m gpu``."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.metrics import mean_epe

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(scope="module")
def hands():
    return make_hands(2000, image_size=32, rotation=30, side="right", images=("rgb",), random_state=0)


@pytest.fixture(scope="module")
def fitted(hands):
    def fit(**options):
        est = CrossModalVAERegressor(
            backbone="small",
            n_hidden_layers=2,
            given=("root",),
            lr=1e-3,
            max_epochs=10,
            random_state=0,
            **options,
        )
        return est.fit(hands.data[:1600], hands.target[:1600])

    return {precision: fit(precision=precision) for precision in ("float32", "auto")}


def test_auto_takes_the_gpu_and_loads_on_a_cpu(fitted, hands, monkeypatch):
    est = fitted["auto"]
    assert est.device_.type == "cuda"
    expected = est.predict(hands.data[1600:1610])
    packed = pickle.dumps(est)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    loaded = pickle.loads(packed)
    assert loaded.device_.type == "cpu"
    # float32 sums in another order: thousandths of a millimetre
    np.testing.assert_allclose(loaded.predict(hands.data[1600:1610]), expected, atol=0.05)


def test_bfloat16_learns_as_well_as_float32(fitted, hands):
    rows = slice(1600, None)
    truth = hands.target[rows]
    errors = {
        name: mean_epe(truth, est.predict(hands.data[rows]), align="root") for name, est in fitted.items()
    }
    baseline = mean_epe(truth, np.broadcast_to(hands.target[:1600].mean(axis=0), truth.shape), align="root")
    assert errors["float32"] < 0.75 * baseline
    assert errors["auto"] < 1.1 * errors["float32"]


@pytest.mark.parametrize("options", [{}, {"occluders": 1.0, "motion": 0.5}, {"domain": "sensor"}])
def test_hands_rendered_on_the_gpu_are_those_of_the_processor(options):
    here = make_hands(24, image_size=64, random_state=0, **options).data
    there = make_hands(24, image_size=64, random_state=0, device="cuda", lazy=True, **options).data
    for name in ("rgb", "depth", "mask"):
        together = getattr(there, name)[:]
        assert np.array_equal(getattr(there, name)[[5, 2]], together[[5, 2]])
        # single pixels at edges may fall to the other side; nothing else may differ
        apart = np.abs(together.astype(float) - getattr(here, name)) > (2.0 if name == "rgb" else 0.05)
        assert apart.mean() < 0.005
