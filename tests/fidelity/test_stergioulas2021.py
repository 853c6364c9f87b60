"""Stergioulas et al. 2021, aligned latent spaces and kinematic losses: what the paper states, held."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy, relu
from trainings import RecordingSGD

from skhand.estimators import AlignedLatentRegressor
from skhand.estimators.aligned_latent.kinematic import geo_loss, kcs_loss
from skhand.estimators.aligned_latent.network import AlignedVAE, LatentDiscriminator, LatentMapper
from skhand.estimators.aligned_latent.steps import AlignObjective, AutoencoderObjective, RefineObjective
from skhand.nn import ImageEncoder, InjectionDecoder, VectorEncoder, kl_standard_normal
from skhand.training import StepContext, check_augment
from skhand.training.modalities.pose3d import PoseCodec
from skhand.training.modalities.rgb import RGBCodec

BETA, ADVERSARIAL, W = 0.3, 0.7, 0.2
DRAWS = {"generator": torch.Generator().manual_seed(0), "dtype": torch.float64}


# ---------------------------------------------------------------- networks


def test_the_injection_decoder_is_equations_18_and_19_with_a_linear_end():
    torch.manual_seed(0)
    decoder = InjectionDecoder(6, 9, hidden_units=8, n_layers=3).double()
    z = torch.randn(5, 6, **DRAWS)

    def f(linear, x):
        x = x if linear is None else x @ linear.weight.T
        return relu((x - x.mean(dim=0)) / torch.sqrt(x.var(dim=0, unbiased=False) + 1e-5))

    y = f(None, z) + f(decoder.injections[0][0], z)
    for layer, injection in zip(decoder.layers, list(decoder.injections)[1:], strict=True):
        y = f(layer[0], y) + f(injection[0], z)
    expected = y @ decoder.end.weight.T + decoder.end.bias
    torch.testing.assert_close(decoder.train()(z), expected)
    assert (expected < 0).any()
    moved = decoder(100 * z + torch.arange(6))  # an error of poses sees neither z's place nor its width
    torch.testing.assert_close(moved, decoder(100 * z))
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-3)  # but for the 1e-5 beside the variance


@pytest.mark.parametrize(("n_inputs", "latent_dim"), [(4, 4), (4, 7)])
def test_a_mapper_gives_a_proper_distribution(n_inputs, latent_dim):
    torch.manual_seed(0)
    mapper = LatentMapper(n_inputs, latent_dim, hidden_units=16)
    for size in (0.0, 1.0, 1e3):
        log_var = (size * torch.randn(8, n_inputs)).clamp(-20, 10)  # what an encoder's head can give
        mean, log_var = mapper(size * torch.randn(8, n_inputs), log_var)
        assert mean.shape == log_var.shape == (8, latent_dim)
        std = torch.exp(0.5 * log_var)
        assert torch.isfinite(mean).all() and torch.isfinite(std).all() and (std > 0).all()
    # the closed form of the KL term is the mean log ratio of the densities, in nats; checked where mean and
    # variance weigh alike, at a few nats
    with torch.no_grad():
        mean, log_var = mapper(torch.randn(2, n_inputs), torch.randn(2, n_inputs))
    posterior = torch.distributions.Normal(mean.double(), torch.exp(0.5 * log_var).double())
    z = posterior.sample((200_000,))
    prior = torch.distributions.Normal(torch.zeros(()).double(), torch.ones(()).double())
    ratios = (posterior.log_prob(z) - prior.log_prob(z)).sum(dim=2).mean(dim=1)
    error = float(ratios.std() / len(z) ** 0.5)
    closed = kl_standard_normal(posterior.mean, 2 * posterior.stddev.log())
    assert abs(closed - ratios.mean()) < 4 * error < 0.05
    without_variance = 0.5 * (posterior.mean.square() + posterior.variance - 1).sum(dim=1).mean()
    assert abs(without_variance - ratios.mean()) > 40 * error  # so a wrong form would be seen


def test_a_mapper_between_spaces_of_one_size_starts_near_the_identity():
    torch.manual_seed(0)
    mean = torch.randn(64, 6)
    mapped, _ = LatentMapper(6, 6)(mean, torch.full((64, 6), -5.0))
    assert (mapped - mean).std() < 0.2 * mean.std()


def test_a_mapper_between_spaces_of_one_size_starts_as_the_identity_and_learns():
    torch.manual_seed(0)
    mapper = LatentMapper(6, 6, hidden_units=16)
    mean, log_var = torch.randn(8, 6), torch.randn(8, 6)
    for mapped, given in zip(mapper(mean, log_var), (mean, log_var), strict=True):
        torch.testing.assert_close(mapped, given)
    (mapper(mean, log_var)[0] ** 3).sum().backward()
    assert mapper.head.linear.weight.grad[:6].abs().sum(dim=1).min() > 0


def networks(disentangled=True):
    torch.manual_seed(0)
    size = {"hidden_units": 16, "n_layers": 2}
    decoded = 3 if disentangled else 5
    module = AlignedVAE(
        {"rgb": ImageEncoder("small", 3, (16, 16), 5), "pose3d": VectorEncoder(63, 3, **size)},
        {"rgb": LatentMapper(decoded, decoded, **size), "pose3d": LatentMapper(3, decoded, **size)},
        InjectionDecoder(decoded, 63, **size),
        InjectionDecoder(3, 63, **size),
        LatentDiscriminator(3, **size) if disentangled else None,
        5 - decoded,
    )
    return module.train()


CODECS = {"rgb": RGBCodec(), "pose3d": PoseCodec(np.zeros(63), np.full(63, 40.0), (21, 3), None, False)}
SETTINGS = {"codecs": CODECS, "augment": None, "use_side": False, "dtype": torch.float32}
ROW = np.arange(8)
OBJECTIVES = {
    "disentangle": lambda: AutoencoderObjective("rgb", ROW, ROW, BETA, ADVERSARIAL, **SETTINGS),
    "align": lambda: AlignObjective("rgb", ROW, ROW, BETA, W, False, **SETTINGS),
    "finetune": lambda: AlignObjective("rgb", ROW, ROW, BETA, W, True, **SETTINGS),
    "refine": lambda: RefineObjective("rgb", ROW, 1e-2, 1e-6, metres=0.04, aligned=True, **SETTINGS),
}


def batch(n=8):
    generator = torch.Generator().manual_seed(1)
    rgb = torch.rand(n, 16, 16, 3, generator=generator)
    poses = 40 * torch.randn(n, 21, 3, generator=generator, dtype=torch.float64)
    return {"rgb": rgb, "pose3d": poses}


def train(objective, module, optimizer, measure=False, number=0):
    """Take one step on the batch that both pairs share."""
    return objective.step(module, {"source": batch()}, StepContext(optimizer, measure=measure, number=number))


def inputs():
    data = batch()
    return data["rgb"].permute(0, 3, 1, 2) - 0.5, (data["pose3d"] / 40).flatten(1).float()


def draw(mean, log_var):
    return mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)


def kl(mean, log_var):
    return -0.5 * torch.sum(1 + log_var - mean**2 - torch.exp(log_var), dim=1).mean()


def said(module, latent, label):
    odds = torch.sigmoid(module.discriminator(latent))
    return binary_cross_entropy(odds, torch.full_like(odds, label))


def decoded_apart(decoder, z, z_pose):
    """The source's latent vectors give the statistics, the pose's meet the running ones."""
    output = decoder.train()(z)
    own = decoder.eval()(z_pose)
    decoder.train()
    return output, own


def losses_of_stage(module, stage):
    """Each optimiser's own loss, written out as in the paper, and the networks that it belongs to."""
    x, J = inputs()
    if stage == "disentangle":
        rgb = module.encoders["rgb"](x, None)
        z = draw(*rgb)
        cross = nn.functional.mse_loss(module.decoders["pose3d"](z[:, 2:]), J)
        cross = cross + BETA * kl(rgb[0][:, :2], rgb[1][:, :2]) + BETA * kl(rgb[0][:, 2:], rgb[1][:, 2:])
        true = module.encoders["pose3d"](J, None)
        z_true = draw(*true)
        uni = nn.functional.mse_loss(module.pose_decoder(z_true), J) + BETA * kl(*true)
        generator = cross + ADVERSARIAL * said(module, z[:, 2:], 1.0)
        dis = 0.5 * said(module, z[:, 2:].detach(), 0.0) + 0.5 * said(module, z_true.detach(), 1.0)
        return [
            {"encoders.rgb.": generator, "decoders.": cross, "encoders.pose3d.": uni, "pose_decoder.": uni},
            {"discriminator.": dis},
        ]
    mean, log_var = module.encoders["rgb"](x, None)
    aligned = module.mappers["rgb"](mean[:, 2:], log_var[:, 2:])
    if stage == "refine":
        output = module.decoders["pose3d"](draw(*aligned))
        metres = [0.04 * part.view(-1, 21, 3) for part in (output, J)]
        loss = nn.functional.mse_loss(output, J) + 1e-2 * kcs_loss(*metres) / 0.04**2
        return [{"encoders.rgb.": loss, "mappers.rgb.": loss, "decoders.": loss}]
    true = module.mappers["pose3d"](*module.encoders["pose3d"](J, None))
    output, own = decoded_apart(module.decoders["pose3d"], draw(*aligned), draw(*true))
    cross = nn.functional.mse_loss(output, J) + BETA * kl(*aligned)
    pose = W * (nn.functional.mse_loss(own, J) + BETA * kl(*true))
    losses = {"mappers.rgb.": cross, "mappers.pose3d.": pose, "decoders.": cross + pose}  # Eq. 6, 7 and 5
    if stage == "finetune":
        losses.update({"encoders.rgb.": cross, "encoders.pose3d.": pose})
    return [losses]


def prepared(stage):
    module = networks()
    module.frozen = ("encoders",) if stage == "align" else ()
    return module.train()


@pytest.mark.parametrize("stage", OBJECTIVES)
def test_each_steps_gradient_is_that_of_its_own_loss_alone(stage):
    module, reference = prepared(stage), prepared(stage)
    optimizer = RecordingSGD(module.parameters(), lr=0.0)
    torch.manual_seed(2)
    train(OBJECTIVES[stage](), module, optimizer)
    torch.manual_seed(2)
    steps = losses_of_stage(reference, stage)
    assert len(optimizer.seen) == len(steps)
    names, weights = zip(*reference.named_parameters(), strict=True)
    for gradients, losses in zip(optimizer.seen, steps, strict=True):
        expected = dict.fromkeys(names)
        for prefix, loss in losses.items():
            mine = [(n, w) for n, w in zip(names, weights, strict=True) if n.startswith(prefix)]
            values = torch.autograd.grad(loss, [w for _, w in mine], retain_graph=True, allow_unused=True)
            expected.update(zip((n for n, _ in mine), values, strict=True))
        for name, gradient in zip(names, gradients, strict=True):
            assert (gradient is None) == (expected[name] is None), name
            if gradient is not None:
                torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6)


def test_the_pose_encoder_gets_no_adversarial_gradient():
    gradients = {}
    for weight in (0.0, 100.0):
        module = networks()
        optimizer = RecordingSGD(module.parameters(), lr=0.0)
        torch.manual_seed(2)
        objective = AutoencoderObjective("rgb", ROW, ROW, BETA, weight, **SETTINGS)
        train(objective, module, optimizer, measure=True)
        names = [name for name, _ in module.named_parameters()]
        gradients[weight] = dict(zip(names, optimizer.seen[0], strict=True))
    for name in gradients[0.0]:
        if name.startswith(("encoders.pose3d", "pose_decoder", "decoders")):
            torch.testing.assert_close(gradients[0.0][name], gradients[100.0][name], rtol=1e-5, atol=1e-8)
    name = "encoders.rgb.head.linear.weight"
    assert (gradients[0.0][name] - gradients[100.0][name]).abs().max() > 0.1


class Watched(AlignObjective):
    """Notes the largest gradient of each loss at the networks of each modality."""

    def vae_terms(self, output, wanted, posterior, suffix, measure):
        terms, ratios = super().vae_terms(output, wanted, posterior, suffix, measure)
        for part, modality in ((part, m) for part in self.parts for m in ("rgb", "pose3d")):
            values = torch.autograd.grad(
                terms[f"mse{suffix}"], list(part[modality].parameters()), retain_graph=True, allow_unused=True
            )
            largest = max(0.0 if value is None else value.abs().max().item() for value in values)
            self.seen.setdefault((f"mse{suffix}", modality), []).append(largest)
        return terms, ratios


@pytest.mark.parametrize("finetune", [False, True])
def test_neither_mse_reaches_the_other_modalitys_networks(finetune):
    """Not even through the shared decoder's batch statistics."""
    module = prepared("finetune" if finetune else "align")
    watched = Watched("rgb", ROW, ROW, BETA, W, finetune, **SETTINGS)
    watched.seen, watched.parts = {}, [module.mappers, *([module.encoders] if finetune else [])]
    train(watched, module, torch.optim.SGD(module.parameters(), lr=0.0))
    n_parts = 1 + finetune
    assert watched.seen["mse", "pose3d"] == watched.seen["mse_pose", "rgb"] == [0.0] * n_parts
    own = watched.seen["mse", "rgb"] + watched.seen["mse_pose", "pose3d"]
    assert len(own) == 2 * n_parts and min(own) > 1e-6


def ratios_of_stage(module, stage):
    """Each term's gradient norm over that of its MSE, and where both are taken."""

    def ratio(term, mse, at):
        norms = [
            torch.stack([part.norm() for part in torch.autograd.grad(loss, at, retain_graph=True)]).norm()
            for loss in (term, mse)
        ]
        return (norms[0] / norms[1]).item()

    x, J = inputs()
    mse = nn.functional.mse_loss
    rgb = module.encoders["rgb"](x, None)
    if stage == "disentangle":
        z = draw(*rgb)
        cross = mse(module.decoders["pose3d"](z[:, 2:]), J)
        true = module.encoders["pose3d"](J, None)
        own = mse(module.pose_decoder(draw(*true)), J)
        return {
            "kl_gradient": ratio(BETA * kl(*rgb), cross, rgb),
            "kl_pose_gradient": ratio(BETA * kl(*true), own, true),
            "adversarial_gradient": ratio(ADVERSARIAL * said(module, z[:, 2:], 1.0), cross, rgb),
        }
    aligned = module.mappers["rgb"](*(part[:, 2:] for part in rgb))
    if stage == "refine":
        output = module.decoders["pose3d"](draw(*aligned))
        metres = [0.04 * part.view(-1, 21, 3) for part in (output, J)]
        terms = {"kcs": 1e-2 * kcs_loss(*metres) / 0.04**2, "geo": 1e-6 * geo_loss(*metres) / 0.04**2}
        return {f"{name}_gradient": ratio(term, mse(output, J), [output]) for name, term in terms.items()}
    true = module.mappers["pose3d"](*module.encoders["pose3d"](J, None))
    output, own = decoded_apart(module.decoders["pose3d"], draw(*aligned), draw(*true))
    cross, own = mse(output, J), W * mse(own, J)
    return {
        "kl_gradient": ratio(BETA * kl(*aligned), cross, aligned),
        "kl_pose_gradient": ratio(W * BETA * kl(*true), own, true),
        "mse_pose_gradient": ratio(own, cross, [module.decoders["pose3d"].end.weight]),
    }


@pytest.mark.parametrize("stage", OBJECTIVES)
def test_gradient_ratios_are_those_of_autograd(stage):
    module, reference = prepared(stage), prepared(stage)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)
    torch.manual_seed(2)
    shown = train(OBJECTIVES[stage](), module, optimizer, measure=True)
    torch.manual_seed(2)
    expected = ratios_of_stage(reference, stage)
    shown = {name: value.item() for name, value in shown.items() if "_gradient" in name}
    assert shown == pytest.approx(expected, rel=1e-3)


TRAINED = {
    "disentangle": ("encoders.", "decoders.", "pose_decoder.", "discriminator."),
    "align": ("mappers.", "decoders."),
    "finetune": ("encoders.", "mappers.", "decoders."),
    "refine": ("encoders.rgb.", "mappers.rgb.", "decoders."),
}


@pytest.mark.parametrize("stage", OBJECTIVES)
def test_a_stage_changes_its_own_networks_and_nothing_of_the_others(stage):
    module = prepared(stage)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    for other in ("disentangle", "finetune"):  # so that the optimiser has moments of all networks
        train(OBJECTIVES[other](), module, optimizer)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    objective = OBJECTIVES[stage]()
    for number in range(2):
        train(objective, module, optimizer, measure=True, number=number)
    for name, value in module.state_dict().items():  # batch statistics included
        mine = name.startswith(TRAINED[stage]) and not name.endswith(("trunk.mean", "trunk.std"))
        assert torch.equal(value, before[name]) != mine, name


TERMS = {
    "mse": ("disentangle", {"beta": 0.0, "adversarial_weight": 0.0}),
    "kl": ("disentangle", {"beta": 100.0, "adversarial_weight": 0.0}),
    "mse_pose": ("disentangle", {"beta": 0.0, "adversarial_weight": 0.0}),
    "kl_pose": ("disentangle", {"beta": 100.0, "adversarial_weight": 0.0}),
    "adversarial": ("disentangle", {"beta": 0.0, "adversarial_weight": 100.0}),
    "discriminator": ("disentangle", {"beta": 0.0, "adversarial_weight": 0.0}),
    "kcs": ("refine", {"kcs_weight": 1.0, "geo_weight": 0.0}),
    "geo": ("refine", {"kcs_weight": 0.0, "geo_weight": 1e-3}),
}


@pytest.mark.parametrize("term", TERMS)
def test_a_step_on_each_term_lowers_that_term(term):
    stage, changes = TERMS[term]
    size = 1e-6 if term == "geo" else 1e-5  # a sum of 3 990 distances bends sooner
    module = networks()
    moving = [
        {
            "params": part.parameters(),
            "lr": size if (name == "discriminator") == (term == "discriminator") else 0.0,
        }
        for name, part in module.named_children()
    ]
    optimizer = torch.optim.SGD(moving)
    if stage == "disentangle":
        objective = AutoencoderObjective("rgb", ROW, ROW, **changes, **SETTINGS)
    else:
        objective = RefineObjective("rgb", ROW, **changes, metres=0.04, aligned=True, **SETTINGS)

    def step():
        torch.manual_seed(3)  # the same noise before and after
        return train(objective, module, optimizer)[term].item()

    assert step() > step()


def test_kcs_and_geo_take_turns_from_batch_to_batch():
    module = networks()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)
    objective = OBJECTIVES["refine"]()
    seen = [set(train(objective, module, optimizer, number=number)) for number in range(4)]
    assert seen == [{"mse", "kcs"}, {"mse", "geo"}] * 2
    later = RefineObjective("rgb", ROW, 1e-2, 1e-6, metres=0.04, aligned=True, turn=3, **SETTINGS)
    seen = [set(train(later, module, optimizer, number=number)) for number in range(2)]
    assert seen == [{"mse", "geo"}, {"mse", "kcs"}]  # the turns of an earlier call count
    alone = RefineObjective("rgb", ROW, 0.0, 1e-6, metres=0.04, aligned=True, **SETTINGS)
    seen = [set(train(alone, module, optimizer, number=number)) for number in range(2)]
    assert seen == [{"mse", "geo"}] * 2


# ---------------------------------------------------------------- the preset and the rows of the tables

ALIGNED = ("disentangle", "align", "finetune")
ROWS = {
    "Baseline": {"decoder": "plain", "stages": ("vae",)},
    "A": {"stages": ("vae",)},
    "B": {"stages": ("disentangle",)},
    "C": {"stages": ("vae", "align", "finetune")},
    "D0": {"stages": ALIGNED},
    "D1": {"stages": (*ALIGNED, "refine"), "geo_weight": 0},
    "D2": {"stages": (*ALIGNED, "refine"), "kcs_weight": 0},
    "D3": {"stages": (*ALIGNED, "refine")},
    "linear, concat": {"decoder": "plain", "stages": ("disentangle",), "decoded": "concat"},
    "linear, pose": {"decoder": "plain", "stages": ("disentangle",)},
    "injection, concat": {"stages": ("disentangle",), "decoded": "concat"},
    "injection, pose": {"stages": ("disentangle",)},
}
INJECTED = {"mse", "kl", "mse_pose", "kl_pose"}
REFINED = {"D1": {"kcs"}, "D2": {"geo"}, "D3": {"kcs", "geo"}}


@pytest.mark.parametrize("row", ROWS)
def test_the_rows_of_the_tables_are_parameter_settings(row, rng):
    settings = ROWS[row]
    estimator = AlignedLatentRegressor(
        **settings, backbone="small", hidden_units=16, n_hidden_layers=2, max_epochs=1, batch_size=8,
        augment=None, random_state=0,
    )  # fmt: skip
    pictures = rng.integers(0, 255, (16, 16, 16, 3), dtype=np.uint8)
    estimator.fit(pictures, rng.normal(0, 40, (16, 21, 3)))
    assert estimator.stages_ == tuple(settings["stages"])
    assert estimator.history_["stage"] == list(settings["stages"])
    disentangled = settings["stages"][0] == "disentangle"
    terms = INJECTED | REFINED.get(row, set()) | ({"adversarial", "discriminator"} if disentangled else set())
    shown = {name for name in estimator.history_ if "_gradient" not in name}
    assert shown - {"train_loss", "seconds", "stage"} == terms
    # the RGB latent is 128 = 64 + 64; what is decoded, or aligned, is 64 of it or all of it
    assert estimator.module_.encoders["rgb"].head.linear.out_features == 2 * 128
    assert estimator.module_.encoders["pose3d"].head.linear.out_features == 2 * 64
    n_decoded = 64 if disentangled and settings.get("decoded") != "concat" else 128
    assert estimator.transform(pictures).shape == (16, n_decoded)
    kind = InjectionDecoder if settings.get("decoder") != "plain" else None
    assert kind is None or isinstance(estimator.module_.decoders["pose3d"], kind)


def test_training_defaults_are_the_papers():
    parameters = AlignedLatentRegressor().get_params()
    paper = {
        "latent_dim": 64, "context_dim": 64, "pose_weight": 1e-2, "kcs_weight": 1e-2,
        "geo_weight": 1e-6, "lr": 1e-4, "batch_size": 64, "backbone": "resnet18", "decoder": "injection",
        "decoded": "pose",
    }  # fmt: skip
    assert {name: parameters[name] for name in paper} == paper
    settings = check_augment("paper", AlignedLatentRegressor._paper_augment)
    assert settings == {
        "rotate": 45.0,
        "shift": 0.0,
        "zoom": 0.0,
        "flip": "vertical",
        "colour": 0.0,
        "grey": 0.0,
        "depth": 0.0,
    }
