"""What only a CUDA device can show; run with ``pytest -m gpu``."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skhand import concat_frames
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor, LatentHeatmapRegressor, SimToRealRegressor
from skhand.metrics import mean_epe
from skhand.training import ReplayedStep, StepContext

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(scope="module")
def hands():
    return make_hands(2000, image_size=32, rotation=30, side="right", images=("depth",), random_state=0)


@pytest.fixture(scope="module")
def fitted(hands):
    def fit(**options):
        est = CrossModalVAERegressor(
            backbone="small",
            n_hidden_layers=2,
            given=("root",),
            lr=1e-3,
            max_epochs=30,
            random_state=0,
            **options,
        )
        return est.fit(hands.data[:1600], hands.target[:1600])

    return {precision: fit(precision=precision) for precision in ("float32", "auto")}


def test_auto_takes_the_gpu_and_loads_on_a_cpu(fitted, hands, monkeypatch):
    est = fitted["auto"]
    assert est.device_.type == "cuda"
    # TensorFloat-32 would be 0.13 mm off, emulated on a processor
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
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


@pytest.mark.parametrize("options", [{}, {"occluders": 1.0, "motion": 0.5}, {"domain": "real"}])
def test_hands_rendered_on_the_gpu_are_those_of_the_processor(options):
    here = make_hands(24, image_size=64, random_state=0, **options).data
    there = make_hands(24, image_size=64, random_state=0, device="cuda", lazy=True, **options).data
    for name in ("rgb", "depth", "mask"):
        together = getattr(there, name)[:]
        assert np.array_equal(getattr(there, name)[[5, 2]], together[[5, 2]])
        # single pixels at edges may fall to the other side; nothing else may differ
        apart = np.abs(together.astype(float) - getattr(here, name)) > (2.0 if name == "rgb" else 0.05)
        assert apart.mean() < 0.005


# ---------------------------------------------------------------- training steps as CUDA graphs


@pytest.mark.parametrize("heatmap", ["latent", "direct", "holistic"])
def test_each_head_trains_in_replayed_steps(heatmap):
    hands = make_hands(64, image_size=32, images=("rgb",), side="right", random_state=0)
    est = LatentHeatmapRegressor(heatmap=heatmap, backbone="resnet10", width=16, max_epochs=3, batch_size=8)
    assert np.isfinite(est.fit(hands.data, hands.target).history_["train_loss"]).all()


class NoisyObjective:
    """A weight that falls by the learning rate in each step, and a random number."""

    replayable = True

    def __init__(self):
        self.n_calls = 0

    def step(self, module, batches, context):
        self.n_calls += 1
        noise = torch.randn((), generator=context.generator, device="cuda")
        context.optimizer.zero_grad(set_to_none=True)
        (module.weight * batches["rows"]["x"]).sum().backward()
        context.optimizer.step()
        return {"noise": noise, "seen": batches["rows"]["x"].sum()}


def test_a_replay_takes_the_new_batch_new_noise_and_the_present_rate():
    module = torch.nn.Linear(1, 1, bias=False, device="cuda")
    optimizer = torch.optim.Adam(module.parameters(), lr=0.0, fused=True)
    objective, generator = NoisyObjective(), torch.Generator("cuda")
    step = ReplayedStep(objective, module)
    noise, seen, weights, rates = [], [], [], [0.5, 0.25, 0.125, 0.0625, 0.5, 0.0, 0.25]
    for i, rate in enumerate(rates):
        optimizer.param_groups[0]["lr"] = rate
        generator.manual_seed(i)
        batches = {"rows": {"x": torch.full((2, 1), i + 1.0, device="cuda")}}
        terms = step(module, batches, StepContext(optimizer, generator, measure=i == 0, number=i))
        noise.append(float(terms["noise"]))
        seen.append(float(terms["seen"]))
        weights.append(float(module.weight.detach()))
        assert optimizer.param_groups[0]["lr"] == rate  # a number, as callbacks expect
    assert objective.n_calls == 4  # three before the recording, and that one
    assert len(set(noise)) == len(noise)
    # the step's seed says what is drawn, replayed or not
    drawn = [torch.randn((), generator=generator.manual_seed(i), device="cuda") for i in range(len(rates))]
    assert noise == [float(number) for number in drawn]
    assert seen == [2.0 * (i + 1) for i in range(len(rates))]
    # Adam's step is about the rate: gradients rise by one from batch to batch, so it is a little more
    np.testing.assert_allclose(-np.diff(weights), rates[1:], rtol=0.25, atol=1e-7)
    other = {"rows": {"x": torch.ones(3, 1, device="cuda")}}  # another shape: recorded again
    step(module, other, StepContext(optimizer, generator))
    assert objective.n_calls == 5


class CountSteps(Callback):
    """Count how often Python calls the optimiser in each stage; a replay does not call it."""

    def __init__(self):
        self.counts = []

    def on_train_begin(self, net, **kwargs):
        self.counts.append(0)
        net.optimizer_.register_step_post_hook(self._count)

    def _count(self, *arguments):
        self.counts[-1] += 1


class WatchGradients(Callback):
    """Wait for the gradients of each step, which a replay would not show."""

    def on_grad_computed(self, net, named_parameters, **kwargs):
        pass


def sim_to_real(replayed, **options):
    """A short training of all stages without augmentation, and how often the optimiser was called."""
    count = CountSteps()
    settings = {"image_size": 32, "side": "right", "rotation": 30, "images": ("depth",)}
    synthetic, real = (
        make_hands(64, domain=name, random_state=0, **settings) for name in ("synthetic", "real")
    )
    X = concat_frames([synthetic.data, real.data])
    y = np.concatenate([synthetic.target, np.full_like(real.target, np.nan)])
    common = {"width": 4, "given": ("root",), "max_iter": 40, "batch_size": 8, "lr": 1e-3, "augment": None}
    est = SimToRealRegressor(
        precision="float32",
        random_state=0,
        callbacks=[count] if replayed else [count, WatchGradients()],
        **{**common, **options},
    ).fit(X, y)
    return est.set_params(callbacks=None), count.counts


def weights_of(est):
    return torch.cat([weight.flatten() for weight in est.module_.parameters()]).detach().cpu().numpy()


def test_replayed_stages_train_as_called_ones():
    called, n_called = sim_to_real(False, lr_schedule="cosine")
    replayed, n_replayed = sim_to_real(True, lr_schedule="cosine")
    again, _ = sim_to_real(False, lr_schedule="cosine")  # kernels add in another order each time
    constant, _ = sim_to_real(False)
    assert n_called == [40, 80, 40]  # in the second stage discriminators take a step of their own
    assert n_replayed == [4, 8, 4]  # three before the recording, and that one
    for name in ("pose", "reconstruction", "discriminator", "map_picture", "posterior"):
        # kernels may add in another order: gradients that differ by 1e-6 change these by up to 1.2%
        np.testing.assert_allclose(replayed.history_[name], called.history_[name], rtol=0.05)
    # the smallest one is changed by up to 13% then (11% seen here), and ten times as large at a constant rate
    name = "posterior_feature"
    np.testing.assert_allclose(replayed.history_[name], called.history_[name], rtol=0.5)
    apart, anyway, far = (
        np.abs(weights_of(est) - weights_of(called)).mean() for est in (replayed, again, constant)
    )
    assert apart < max(0.1 * far, 2 * anyway)
    assert apart < 0.3 * far
    loaded = pickle.loads(pickle.dumps(replayed))
    assert np.isfinite(loaded.partial_fit(*_some_rows()).history_["train_loss"][-1])


def _some_rows():
    real = make_hands(16, image_size=32, side="right", images=("depth",), domain="real", random_state=1)
    return real.data, real.target
