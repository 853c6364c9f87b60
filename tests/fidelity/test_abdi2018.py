"""Abdi et al. 2018 (LSPS): loss terms, whose gradient moves what, presets and the rows of Table 1."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch.nn.functional import binary_cross_entropy
from trainings import RecordingSGD

from skhand import concat_frames
from skhand.datasets import make_hands
from skhand.estimators import SimToRealRegressor
from skhand.estimators.sim_to_real.network import SimToRealNet
from skhand.estimators.sim_to_real.steps import AUGMENT, DepthObjective, PoseObjective, PosteriorObjective
from skhand.estimators.sim_to_real.terms import SignedCodec
from skhand.exceptions import InputError
from skhand.training import StepContext
from skhand.training.modalities.depth import DepthCodec
from skhand.training.modalities.pose3d import PoseCodec
from skhand.training.modalities.rgb import RGBCodec

N, SIZE, J = 3, 16, 16
S, R = DOMAINS = ("synthetic", "real")
WEIGHTS = {
    "pose_kl": 0.3, "pose": 2.0, "kl": 0.7, "reconstruction": 3.0, "adversarial": 1.5, "map": 0.4,
    "map_picture": 5.0, "posterior": 1.2, "feature": 0.9, "posterior_feature": 1.1,
}  # fmt: skip
CODECS = {
    "depth": SignedCodec(DepthCodec(500.0, 150.0, relative=False)),
    "pose3d": PoseCodec(np.zeros(3 * J), np.full(3 * J, 150.0), (J, 3), None, False),
}
SETTINGS = {
    "source": "depth", "codecs": CODECS, "augment": None, "use_side": False, "dtype": torch.float32,
}  # fmt: skip


#: synthetic rows are all labelled and share a batch; labelled real rows are others than all real rows
PICTURES, LABELLED = {S: np.arange(4), R: np.arange(4, 9)}, {S: np.arange(4), R: np.arange(4, 6)}


def objective_of(stage, preset="paper", labelled=LABELLED, matched=True, weights=WEIGHTS):
    settings = {**SETTINGS, "weights": weights, "preset": preset}
    if stage == "pose":
        return PoseObjective(rows=np.arange(4), **settings)
    if stage == "depth":
        return DepthObjective(pictures=PICTURES, labelled=labelled, **settings)
    return PosteriorObjective(pictures=PICTURES if matched else {}, labelled=labelled, **settings)


def batch(seed, n=N):
    draws = {"generator": torch.Generator().manual_seed(seed)}
    depth = 380 + 240 * torch.rand(n, SIZE, SIZE, **draws)
    depth[torch.rand(n, SIZE, SIZE, **draws) < 0.5] = 0
    return {"depth": depth, "pose3d": 60 * torch.randn(n, J, 3, **draws).double()}


SEEDS = {"pose": 0, S: 0, R: 1, "labelled_synthetic": 0, "labelled_real": 2}


def train(objective, module, optimizer, measure=False):
    """Take one step on the same batches every time."""
    batches = {stream: batch(SEEDS[stream]) for stream in objective.streams}
    return objective.step(module, batches, StepContext(optimizer, measure=measure))


def networks():
    torch.manual_seed(0)
    module = SimToRealNet(3 * J, 1, (SIZE, SIZE), width=2, latent_dim=5, pose_hidden_units=6)
    with torch.no_grad():  # so that discriminators and posterior see more than their biases
        for part in [*module.discriminator_parts(), module.posterior_end]:
            for weight in part.parameters():
                weight.mul_(3.0)
    return module.train()


# ---------------------------------------------------------------- the losses, written out


def pictures(data):
    seen = data["depth"] > 0
    return torch.where(seen, ((data["depth"] - 500) / 150).clamp(-1, 1), 1.0)[:, None]


def poses(data):
    return (data["pose3d"] / 150).flatten(1).float()


def coded_pose(module, data, preset="paper"):
    mean, log_var = module.pose_encoder(poses(data))
    deviation = torch.exp(log_var / 2) * (1.0 if preset == "paper" else 0.05)
    return mean + deviation * torch.randn_like(mean)


def said(module, x, domain, label):
    odds = torch.sigmoid(module.judge(module.features(x, domain)))
    return binary_cross_entropy(odds, torch.full_like(odds, label))


def l1(a, b):
    return (a - b).abs().mean()


def divergence(mean, preset):
    return mean.square().sum() / 2 / (N * SIZE**2) if preset == "paper" else mean.square().mean()


def pose_losses(module, preset):
    J_ = poses(batch(0))
    mean, log_var = module.pose_encoder(J_)
    noise = (1.0 if preset == "paper" else 0.05) * torch.randn_like(mean)
    decoded = module.pose_decoder(mean + torch.exp(log_var / 2) * noise)
    terms = mean.square() + torch.exp(log_var) - log_var
    kl = (terms - 1).sum(1).mean() / 2 if preset == "paper" else terms.sum(1).mean()
    return [{("pose_encoder.", "pose_decoder."): 2.0 * l1(decoded, J_) + 0.3 * kl}]


def depth_losses(module, preset):
    """Eq. 2-6 and 8, term by term: the discriminators' loss, and that of all others."""
    data = {S: batch(0), R: batch(1), "labelled": batch(2)}
    x = {name: pictures(each) for name, each in data.items()}
    w, E, G = WEIGHTS, module.encode, module.generate
    with torch.no_grad():
        z_y = {S: coded_pose(module, data[S], preset), R: coded_pose(module, data["labelled"], preset)}
    mu = {d: E(x[d], d) for d in DOMAINS}
    z = {d: mu[d] + torch.randn_like(mu[d]) for d in DOMAINS}
    drawn = {d: G(module.map_pose(z_y[d]), d) for d in DOMAINS}
    judging = 0.0
    for d, other in ((S, R), (R, S)):
        judging = judging + w["adversarial"] * (
            said(module, x[d], d, 1.0)
            + said(module, G(z[other], d).detach(), d, 0.0)
            + said(module, drawn[d].detach(), d, 0.0)
        )
        shown = [module.features(G(z[d], to).detach(), to) for to in DOMAINS]
        judging = judging + w["feature"] * l1(*shown)
    fooling = 0.0
    for d, other in ((S, R), (R, S)):
        fooling = fooling + w["kl"] * divergence(mu[d], preset) + w["reconstruction"] * l1(G(z[d], d), x[d])
        fooling = fooling + w["adversarial"] * said(module, G(z[other], d), d, 1.0)
        fooling = fooling + w["adversarial"] * said(module, drawn[d], d, 1.0)
    for d, other in ((S, R), (R, S)):
        there = E(G(z[d], other), other)
        back = G(there + torch.randn_like(there), d)
        fooling = fooling + w["kl"] * divergence(there, preset) + w["reconstruction"] * l1(back, x[d])
    for d, name in ((S, S), (R, "labelled")):
        if d == S:
            z_d = z[S]
        else:
            mean = E(x[name], d)
            z_d = mean + torch.randn_like(mean)
        fooling = fooling + w["map"] * (module.map_pose(z_y[d]) - z_d).square().mean()
        fooling = fooling + w["map_picture"] * l1(drawn[d], x[name])
    moved = ("encoders.", "shared_encoder.", "shared_generator.", "generators.", "mapping.")
    return [{("fronts.", "trunk.", "judge_end."): judging}, {moved: fooling}]


def posterior_losses(module, preset, matched=True):
    data = {S: batch(0), R: batch(1), "labelled": batch(2)}
    with torch.no_grad():
        z_y = {S: coded_pose(module, data[S], preset), R: coded_pose(module, data["labelled"], preset)}
        made = {}
        if matched:
            mu = {d: module.encode(pictures(data[d]), d) for d in DOMAINS}
            z = {d: mu[d] + torch.randn_like(mu[d]) for d in DOMAINS}
            made = {(d, to): module.generate(z[d], to) for d in DOMAINS for to in DOMAINS}
    loss = 0.0
    for d, name in ((S, S), (R, "labelled")):
        found = module.posterior(module.features(pictures(data[name]), d))
        loss = loss + WEIGHTS["posterior"] * (found - z_y[d]).square().mean()
        if matched:
            shown = [module.features(made[d, to], to) for to in DOMAINS]
            loss = loss + WEIGHTS["posterior_feature"] * l1(*shown)
    return [{("fronts.", "trunk.", "posterior_end."): loss}]


LOSSES = {"pose": pose_losses, "depth": depth_losses, "posterior": posterior_losses}


@pytest.mark.parametrize("preset", ["paper", "code"])
@pytest.mark.parametrize("stage", ["pose", "depth", "posterior", "posterior alone"])
def test_each_steps_gradient_is_that_of_its_own_loss_alone(stage, preset):
    matched, stage = stage != "posterior alone", stage.split()[0]
    module, reference = networks(), networks()
    optimizer = RecordingSGD(module.parameters(), lr=0.0)
    torch.manual_seed(2)
    terms = train(objective_of(stage, preset, matched=matched), module, optimizer, measure=True)
    torch.manual_seed(2)
    options = {"matched": False} if not matched else {}
    steps = LOSSES[stage](reference, preset, **options)
    loss = sum(value.item() for name, value in terms.items() if "_gradient" not in name)
    assert loss == pytest.approx(sum(v.item() for step in steps for v in step.values()), rel=1e-5)
    names, weights = zip(*reference.named_parameters(), strict=True)
    assert len(optimizer.seen) == len(steps)
    for gradients, step in zip(optimizer.seen, steps, strict=True):
        ((prefixes, loss),) = step.items()
        mine = [w for n, w in zip(names, weights, strict=True) if n.startswith(prefixes)]
        expected = iter(torch.autograd.grad(loss, mine, retain_graph=True))
        for name, gradient in zip(names, gradients, strict=True):
            assert (gradient is not None) == name.startswith(prefixes), name
            if gradient is not None:
                wanted = next(expected)
                # float32, in another order of sums: a bias before an instance norm has a gradient of nothing
                torch.testing.assert_close(gradient, wanted, rtol=2e-3, atol=2e-5 * (1 + loss.item()))


MOVED = {
    "pose": ("pose_encoder.", "pose_decoder."),
    "depth": (
        "encoders.", "shared_encoder.", "shared_generator.", "generators.", "mapping.", "fronts.", "trunk.",
        "judge_end.",
    ),
    "posterior": ("fronts.", "trunk.", "posterior_end."),
}  # fmt: skip


@pytest.mark.parametrize("stage", MOVED)
def test_a_stage_moves_its_own_networks_and_no_bit_of_the_others(stage):
    module = networks()
    settings = {"lr": 1e-3, "betas": (0.5, 0.999), "weight_decay": 1e-4}
    optimizer = torch.optim.Adam(module.parameters(), **settings)
    for other in MOVED:  # so that the optimiser has moments of all networks
        train(objective_of(other), module, optimizer)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    train(objective_of(stage), module, optimizer, measure=True)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]) != name.startswith(MOVED[stage]), name


def test_one_adam_is_as_good_as_one_for_each_loss():
    """Shared layers move once a loss that owns them, and idle weights not at all, weight decay included."""
    settings = {"lr": 1e-3, "betas": (0.5, 0.999), "weight_decay": 0.1}
    together, apart = networks(), networks()
    one = torch.optim.Adam(together.parameters(), **settings)
    parts = [apart.discriminator_parts(), apart.generator_parts()]
    several = [torch.optim.Adam([w for p in part for w in p.parameters()], **settings) for part in parts]

    class Turns:
        """The first optimiser steps, then the second, and so on."""

        def __init__(self):
            self.n = 0

        def zero_grad(self, set_to_none):
            several[self.n % 2].zero_grad(set_to_none=set_to_none)

        def step(self):
            several[self.n % 2].step()
            self.n += 1

    turns = Turns()
    for module, optimizer in ((together, one), (apart, turns)):
        torch.manual_seed(1)
        for _ in range(2):
            train(objective_of("depth"), module, optimizer)
    for (name, value), other in zip(together.state_dict().items(), apart.state_dict().values(), strict=True):
        assert torch.equal(value, other), name


TERMS = {
    "pose": ["pose", "pose_kl"],
    "depth": ["reconstruction", "kl", "cycle", "cycle_kl", "adversarial", "map", "map_picture"],
    "posterior": ["posterior", "posterior_feature"],
}
JUDGED = {"discriminator": "adversarial", "feature": "feature"}
RATES = {"cycle": 1e-5, "cycle_kl": 1e-6}  # instance norms of nearly constant pictures bend these terms most
ALONE = [(stage, term) for stage, terms in TERMS.items() for term in terms]


@pytest.mark.parametrize(("stage", "term"), [*ALONE, ("depth", "discriminator"), ("depth", "feature")])
def test_a_step_on_each_term_alone_lowers_that_term(stage, term):
    module = networks()
    weights = {name: float(name == JUDGED.get(term)) for name in WEIGHTS}
    objective = objective_of(stage, weights=weights)
    objective.weighted = lambda terms: {name: (name == term) * value for name, value in terms.items()}
    judges = {weight for part in module.discriminator_parts() for weight in part.parameters()}
    moving = [
        weight for weight in module.parameters() if stage != "depth" or (weight in judges) == (term in JUDGED)
    ]
    optimizer = torch.optim.SGD(moving, lr=RATES.get(term, 1e-4))

    def step():
        torch.manual_seed(3)  # the same noise before and after
        return train(objective, module, optimizer)[term].item()

    assert step() > step() > 0


def test_unknown_coordinates_are_the_mean_pose_to_the_encoder_and_nothing_to_the_loss():
    module, data = networks(), batch(0)
    data["pose3d"][0, 3, 1] = torch.nan
    optimizer = RecordingSGD(module.parameters(), lr=0.0)
    torch.manual_seed(2)
    terms = objective_of("pose").step(module, {"pose": data}, StepContext(optimizer))
    assert all(torch.isfinite(g).all() for g in optimizer.seen[0] if g is not None)
    torch.manual_seed(2)
    known = ~torch.isnan(poses(data))
    filled = torch.where(known, poses(data), 0.0)
    mean, log_var = module.pose_encoder(filled)
    decoded = module.pose_decoder(mean + torch.exp(log_var / 2) * torch.randn_like(mean))
    torch.testing.assert_close(terms["pose"], 2.0 * (decoded - filled)[known].abs().mean().detach())


def test_pictures_are_in_minus_one_to_one_and_come_back():
    depth = batch(0)["depth"]
    codec = SignedCodec(DepthCodec(500.0, 150.0, relative=False))
    encoded = codec.encode({"depth": depth})
    wanted = torch.where(depth > 0, (depth - 500) / 150, 1.0)
    torch.testing.assert_close(encoded[:, 0], wanted, atol=1e-6, rtol=0)
    near = (depth > 0) & (depth < 600)  # what is within 10% of the far end is taken for the background
    torch.testing.assert_close(codec.decode(encoded, {})[near], depth[near], atol=1e-3, rtol=0)
    relative = SignedCodec(DepthCodec(500.0, 150.0, relative=True))
    further = torch.where(depth > 0, depth + 90, 0.0)
    returned = relative.decode(relative.encode({"depth": further}), {"depth": further})
    torch.testing.assert_close(returned[near], further[near], atol=1e-3, rtol=0)
    rgb = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8)
    codec = SignedCodec(RGBCodec())
    assert torch.equal(codec.decode(codec.encode({"rgb": rgb}), {}), rgb)


@pytest.mark.parametrize(("preset", "n_matched"), [("paper", 6), ("code", 4)])
def test_the_posterior_matches_features_of_as_many_rows_as_the_preset_says(preset, n_matched):
    module, data = networks(), {S: batch(0, n=6), R: batch(1, n=6)}
    objective = objective_of("posterior", preset, labelled=PICTURES)
    assert set(objective.streams) == set(DOMAINS)  # all rows are labelled
    torch.manual_seed(2)
    found = objective.step(module, data, StepContext(torch.optim.SGD(module.parameters(), lr=0.0)))
    torch.manual_seed(2)
    with torch.no_grad():
        for domain in DOMAINS:
            coded_pose(module, data[domain], preset)
        mu = {d: module.encode(pictures(data[d])[:n_matched], d) for d in DOMAINS}
        z = {d: mu[d] + torch.randn_like(mu[d]) for d in DOMAINS}
        shown = {d: [module.features(module.generate(z[d], to), to) for to in DOMAINS] for d in DOMAINS}
    wanted = WEIGHTS["posterior_feature"] * sum(l1(*shown[d]) for d in DOMAINS)
    torch.testing.assert_close(found["posterior_feature"], wanted)


# ---------------------------------------------------------------- presets and Table 1

SHARED = {
    "pose_kl_weight": 0.1, "kl_weight": 0.1, "pose_weight": 100, "reconstruction_weight": 100,
    "adversarial_weight": 10, "posterior_weight": 10,
    "max_iter": {"pose": 200_000, "depth": 500_000, "posterior": 50_000},
}  # fmt: skip
PRESETS = {
    "paper": {
        "map_weight": 100, "map_picture_weight": 10_000, "feature_weight": 1e-4,
        "posterior_feature_weight": 1, "pose_hidden_units": 30,
        "lr": {"pose": 1e-4, "depth": 1e-4, "posterior": 1e-4},
        "batch_size": {"pose": 128, "depth": 1, "posterior": 32},
    },
    "code": {
        "map_weight": 0, "map_picture_weight": 0, "feature_weight": 1e-3,  # its mapping is switched off
        "posterior_feature_weight": 10, "pose_hidden_units": 50,
        "lr": {"pose": 1e-3, "depth": 1e-4, "posterior": 1e-4},
        "batch_size": {"pose": 64, "depth": 1, "posterior": 32},
    },
}  # fmt: skip


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_the_tabulated_ones(preset):
    estimator = SimToRealRegressor(preset=preset)
    for name, value in {**SHARED, **PRESETS[preset]}.items():
        assert estimator.get_params()[name] is None
        assert estimator._setting(name) == value, name
    for name in ("max_iter", "lr", "batch_size"):
        assert estimator._spread(name) == {**SHARED, **PRESETS[preset]}[name]
    assert SimToRealRegressor().preset == "paper"
    assert SimToRealRegressor().latent_dim == 20 and SimToRealRegressor().width == 64
    changed = SimToRealRegressor(preset=preset, lr={"depth": 0.5}, map_weight=3.0)
    assert changed._spread("lr") == {**PRESETS[preset]["lr"], "depth": 0.5}
    assert changed._setting("map_weight") == 3.0
    assert SimToRealRegressor._paper_augment == AUGMENT
    assert AUGMENT["rotate"] == 180 and AUGMENT["shift"] == pytest.approx(10 / 300) and AUGMENT["depth"] == 10


class Rates(Callback):
    """Remembers rate and weight decay of each step."""

    def __init__(self):
        self.seen = []

    def on_batch_begin(self, net, **kwargs):
        group = net.optimizer_.param_groups[0]
        self.seen.append((group["lr"], group["weight_decay"]))


def test_the_codes_rates_fall_in_steps_and_its_mapping_is_off():
    """Of 200 000, 500 000 and 50 000 iterations, after 125 and 175, 200 ... 450, 20 ... 45 thousand."""
    options = {"image_size": SIZE, "images": ("depth",), "random_state": 0}
    synthetic, real = make_hands(8, **options), make_hands(8, domain="real", **options)
    X = concat_frames([synthetic.data, real.data])
    y = np.concatenate([synthetic.target, real.target])
    rates, steps = Rates(), {"pose": 8, "depth": 10, "posterior": 10}
    common = {"width": 1, "max_iter": steps, "given": ("root",), "augment": None, "random_state": 0}
    fitted = SimToRealRegressor(preset="code", callbacks=[rates], **common).fit(X, y)
    falls = [1.0] * 4 + [0.5] * 2 + [0.25] * 2 + [0.125] + [0.0625]
    wanted = [*[1e-3] * 5, *[1e-4] * 2, 1e-5, *(1e-4 * np.array(2 * falls))]
    np.testing.assert_allclose([rate for rate, _ in rates.seen], wanted)
    assert [decay for _, decay in rates.seen] == [1e-3] * 8 + [1e-4] * 20
    assert not fitted.mapped_ and not {"map", "map_picture"} & set(fitted.history_)
    assert fitted.translate(X, to="real").shape == X.depth.shape  # pictures need no mapping
    assert fitted.sample(2).shape == (2, 21, 3)
    for ask in (
        lambda: fitted.sample(2, target="real"),
        lambda: fitted.translate(y, to="real", source="pose3d"),
        lambda: fitted.transform(y, source="pose3d", space="depth"),
    ):
        with pytest.raises(InputError, match="needs the mapping of poses, which was not trained"):
            ask()
    rates.seen.clear()
    plain = SimToRealRegressor(preset="paper", callbacks=[rates], **common).fit(X, y)
    assert set(rates.seen) == {(1e-4, 1e-4)} and plain.mapped_  # and the paper's stay


ALL = ("pose", "depth", "posterior")
ROWS = {
    "Synthetic-Only": ({"stages": ("pose", "posterior"), "supervision": "synthetic"}, (S, S), 0),
    "Synthetic-Only*": ({"stages": ALL, "supervision": "synthetic"}, (S, S), 1),
    "LSPS-Synthetic": ({}, (S, R), 0),
    "Real data*": ({"stages": ALL, "supervision": "real"}, (R, R), 1),
    "Sec. 3.3": ({}, (S, R), 0.5),
}
POSE, POSTERIOR = {"pose", "pose_kl"}, {"posterior"}
DEPTH = {
    "reconstruction", "kl", "cycle", "cycle_kl", "adversarial", "map", "map_picture", "discriminator",
    "feature",
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_the_rows_of_table_1_are_parameter_settings(row):
    settings, fronts, labelled = ROWS[row]
    options = {"image_size": SIZE, "images": ("depth",), "random_state": 0}
    synthetic, real = make_hands(8, **options), make_hands(8, domain="real", **options)
    X = concat_frames([synthetic.data, real.data])
    y = np.concatenate([synthetic.target, real.target])
    y[8 + round(8 * labelled) :] = np.nan
    estimator = SimToRealRegressor(
        **settings, width=1, max_iter={"pose": 3, "depth": 2, "posterior": 2}, given=("root",),
        augment=None, random_state=0,
    ).fit(X, y)  # fmt: skip
    stages = settings.get("stages", ALL)
    assert estimator.stages_ == stages and estimator.history_["stage"] == list(stages)
    assert estimator.n_steps_ == {"pose": 3, "depth": 2 * ("depth" in stages), "posterior": 2}
    assert tuple(estimator.front_.values()) == fronts
    shown = {name for name in estimator.history_ if "_gradient" not in name}
    terms = POSE | POSTERIOR | (DEPTH if "depth" in stages else set())
    matched = "supervision" not in settings
    assert shown - {"train_loss", "seconds", "stage"} == terms | ({"posterior_feature"} if matched else set())
    assert np.isfinite(estimator.predict(X)).all()
    if not matched:  # the other domain's labels are used nowhere: others give the same bits
        other = slice(8, None) if fronts[0] == S else slice(0, 8)
        y[other] += np.random.default_rng(0).normal(0, 5, y[other].shape)
        again = SimToRealRegressor(**estimator.get_params()).fit(X, y)
        for name, value in estimator.module_.state_dict().items():
            assert torch.equal(value, again.module_.state_dict()[name]), name
        np.testing.assert_array_equal(again.predict(X), estimator.predict(X))
