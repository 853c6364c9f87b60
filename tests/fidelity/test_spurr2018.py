"""Spurr et al. 2018, Cross-modal Deep Variational Hand Pose Estimation: what the paper states, held."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from trainings import RecordingSGD

from skhand import HandFrames
from skhand.estimators import CrossModalVAERegressor
from skhand.estimators.cross_modal_vae.network import CrossModalVAE
from skhand.estimators.cross_modal_vae.steps import PairObjective
from skhand.nn import (
    ImageDecoder,
    ImageEncoder,
    VectorDecoder,
    VectorEncoder,
    kl_standard_normal,
    masked_mse,
)
from skhand.training import StepContext
from skhand.training.modalities._vector import VectorCodec
from skhand.training.modalities.rgb import RGBCodec

PAIRS = [("rgb", "pose3d"), ("rgb", "rgb"), ("pose3d", "pose3d")]
BETA = 0.5


# Sec. 7.3 prints the smallest and the largest; 2 and 3 follow from Tables 3 and 4
@pytest.mark.parametrize(
    ("variant", "n_parameters"), [(1, 12_398_387), (2, 13_512_679), (3, 13_233_054), (4, 14_347_346)]
)
def test_parameter_counts_of_the_four_variants(variant, n_parameters, rng):
    frames = HandFrames(rgb=np.zeros((2, 256, 256, 3), np.uint8), side=["left", "right"])
    estimator = CrossModalVAERegressor(
        variant=variant, given=("side",), max_epochs=1, augment=None, random_state=0
    )
    estimator.fit(frames, rng.normal(0, 50, (2, 21, 3)))
    assert estimator.n_parameters_ == n_parameters
    assert sum(weight.numel() for weight in estimator.module_.parameters()) == n_parameters


def test_kl_closed_form_is_the_mean_log_ratio_of_the_densities():
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    log_var = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    posterior = torch.distributions.Normal(mean, torch.exp(0.5 * log_var))
    noise = torch.randn(400_000, 3, 4, generator=generator, dtype=torch.float64)
    z = posterior.mean + posterior.stddev * noise
    prior = torch.distributions.Normal(torch.zeros(()).double(), torch.ones(()).double())
    ratios = (posterior.log_prob(z) - prior.log_prob(z)).sum(dim=2).mean(dim=1)  # nats a draw
    error = ratios.std() / len(z) ** 0.5
    assert abs(kl_standard_normal(mean, log_var) - ratios.mean()) < 4 * error


def test_kl_of_the_prior_is_zero():
    assert kl_standard_normal(torch.zeros(5, 3), torch.zeros(5, 3)) == 0


def test_reconstruction_is_the_mean_squared_error_over_batch_and_coordinates():
    output, target = torch.randn(7, 63), torch.randn(7, 63)
    expected = ((output.numpy().astype(float) - target.numpy()) ** 2).sum() / (7 * 63)
    assert masked_mse(output, target).item() == pytest.approx(expected, rel=1e-6)


def networks():
    torch.manual_seed(0)
    size = {"hidden_units": 16, "n_layers": 2}
    module = CrossModalVAE(
        {"rgb": ImageEncoder("small", 3, (16, 16), 5), "pose3d": VectorEncoder(63, 5, **size)},
        {"rgb": ImageDecoder(5, 3, (16, 16)), "pose3d": VectorDecoder(5, 63, **size)},
    )
    return module.train()


def step(module, optimizer, pairs=PAIRS, rows=None, weights=(1.0, 1.0, 1.0), beta=BETA, measure=False):
    """Train once on the same batch for every stream; pairs with the same ``rows`` share one."""
    codecs = {"rgb": RGBCodec(), "pose3d": VectorCodec("pose3d", np.zeros(63), np.ones(63), (21, 3))}
    rows = [np.arange(8)] * len(pairs) if rows is None else rows
    objective = PairObjective(pairs, rows, weights[: len(pairs)], beta, codecs=codecs)
    batches = {stream: batch() for stream in objective.streams}
    return objective.step(module, batches, StepContext(optimizer, measure=measure))


def batch(n=8):
    generator = torch.Generator().manual_seed(1)
    rgb = torch.rand(n, 16, 16, 3, generator=generator)
    return {"rgb": rgb, "pose3d": torch.randn(n, 21, 3, generator=generator)}


def own_loss(module, pair, data):
    """The loss of one pair as Algorithm 1 prints it, written out."""
    inputs = {"rgb": data["rgb"].permute(0, 3, 1, 2) - 0.5, "pose3d": data["pose3d"].flatten(1)}
    mean, log_var = module.encoders[pair[0]](inputs[pair[0]], None)
    z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
    wanted = inputs[pair[1]]
    mse = torch.mean((module.decoders[pair[1]](z) - wanted) ** 2)
    kl = -0.5 * torch.sum(1 + log_var - mean**2 - torch.exp(log_var), dim=1).mean()
    return mse, BETA * kl


def of_pair(name, pair):
    return name.startswith((f"encoders.{pair[0]}.", f"decoders.{pair[1]}."))


@pytest.mark.parametrize("index", range(3), ids=["_to_".join(pair) for pair in PAIRS])
def test_a_pair_changes_its_own_encoder_and_decoder_only(index):
    module, pair = networks(), PAIRS[index]
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    for other in range(3):  # the optimiser's moments of all networks are there, and must not move them
        step(module, optimizer, PAIRS[other : other + 1])
    before = {name: value.clone() for name, value in module.state_dict().items()}
    step(module, optimizer, [pair], measure=True)
    for name, value in module.state_dict().items():
        if not of_pair(name, pair):
            assert torch.equal(value, before[name]), name
    changed = {name for name, weight in module.named_parameters() if not torch.equal(weight, before[name])}
    assert changed == {name for name, _ in module.named_parameters() if of_pair(name, pair)}


def test_gradients_are_those_of_each_pairs_own_loss_in_the_pairs_order():
    module, reference = networks(), networks()
    optimizer = RecordingSGD(module.parameters(), lr=0.1)
    torch.manual_seed(2)
    step(module, optimizer, rows=[np.arange(8), np.arange(4), np.arange(8)])
    torch.manual_seed(2)
    assert len(optimizer.seen) == 3
    for pair, gradients in zip(PAIRS, optimizer.seen, strict=True):
        names, weights = zip(*reference.named_parameters(), strict=True)
        expected = torch.autograd.grad(sum(own_loss(reference, pair, batch())), weights, allow_unused=True)
        for name, wanted, gradient, weight in zip(names, expected, gradients, weights, strict=True):
            assert (gradient is None) == (wanted is None) == (not of_pair(name, pair)), name
            if wanted is not None:
                torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)
                weight.data -= 0.1 * gradient


@pytest.mark.parametrize("term", ["mse", "kl"])
def test_a_step_on_each_term_lowers_that_term(term):
    module, pair = networks(), PAIRS[:1]
    weight, beta = (1.0, 0.0) if term == "mse" else (0.0, 1.0)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4)

    def value():
        torch.manual_seed(3)  # the same noise before and after
        terms = step(module, optimizer, pair, weights=(weight,), beta=beta)
        return terms[f"{term}_rgb_to_pose3d"].item()

    assert value() > value()


def test_pictures_are_normalised_to_minus_half_to_half():
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 4, 4, 3)
    encoded = RGBCodec().encode({"rgb": black_and_white})
    assert encoded.shape == (2, 3, 4, 4)
    assert encoded[0].unique().item() == -0.5
    assert encoded[1].unique().item() == 0.5


def test_training_defaults_are_the_papers():
    parameters = CrossModalVAERegressor().get_params()
    assert (parameters["lr"], parameters["batch_size"], parameters["latent_dim"]) == (1e-4, 64, 30)
    assert (parameters["backbone"], parameters["hidden_units"], parameters["n_hidden_layers"]) == (
        "resnet18",
        512,
        5,
    )


def test_augmentation_is_the_papers_with_the_documented_shift():
    paper = {"rotate": 45.0, "shift": 0.1, "flip": "horizontal"}
    assert CrossModalVAERegressor._paper_augment == paper
