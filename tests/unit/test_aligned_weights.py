"""AlignedLatentRegressor: what its weights stand next to, and whether its stages act."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from trainings import lifting

from skhand.datasets import make_hands
from skhand.exceptions import InputError
from skhand.metrics import mean_epe


@pytest.fixture(scope="module")
def hands():
    return make_hands(96, image_size=16, rotation=60.0, images=(), random_state=0)


# ---------------------------------------------------------------- one unit


def first_terms(X, y, **options):
    """Terms of one step on all rows."""
    settings = {"max_epochs": 1, "batch_size": 96, "context_weight": 1e-3, **options}
    history = lifting(**settings).fit(X, y).history_
    return {name: np.nansum(values) for name, values in history.items() if name != "stage"}


@pytest.mark.parametrize(
    ("stages", "powers"),
    [
        (("disentangle",), {"mse": 0, "kl": -2, "kl_pose": -2, "adversarial": -2, "context": -2}),
        (("vae", "refine"), {"kcs": 0}),
        (("vae", "refine"), {"geo": -1}),
    ],
)
def test_all_weights_stand_next_to_square_metres(hands, stages, powers):
    """Hands twice as large: nats weigh a quarter of the error, lengths half, squares of lengths the same."""
    alone = {f"{name}_weight": 0 for name in {"kcs", "geo"} - set(powers)}
    options = {"stages": stages, "lr": 1e-12, **(alone if "refine" in stages else {})}
    X, y = hands.data.replace(pose3d=None, root=None), hands.target
    one, twice = first_terms(X, y, **options), first_terms(X, 2 * y, **options)
    for name, power in powers.items():
        assert twice[name] == pytest.approx(2.0**power * one[name], rel=1e-3), name
        if name != "mse":
            ratios = [terms[f"{name}_gradient"] for terms in (one, twice)]
            assert ratios[1] == pytest.approx(2.0**power * ratios[0], rel=0.02), name


def test_a_kl_term_is_its_weight_over_the_square_of_a_unit_in_metres(hands):
    """The first KL term, in nats by hand: what the encoder says of the rows before its first step."""
    estimator = lifting(stages=("vae",), max_epochs=1, batch_size=96, lr=1e-12, beta=1e-5)
    estimator.fit(hands.data, hands.target)
    palm = hands.target[:, [0, 9]].mean(axis=1, keepdims=True)  # wrist and middle MCP
    rooted = (hands.target - palm).reshape(96, -1) / 1000
    unit = np.sqrt(((rooted - rooted.mean(axis=0)) ** 2).mean())  # m
    x = estimator.codecs_["keypoints2d"].encode({"keypoints2d": torch.as_tensor(hands.data.keypoints2d)})
    with torch.no_grad():
        mean, log_var = estimator.module_.encoders["keypoints2d"](x, None)
    nats = 0.5 * (mean**2 + log_var.exp() - log_var - 1).sum(dim=1).mean().item()
    assert estimator.history_["kl"] == [pytest.approx(1e-5 * nats / unit**2, rel=1e-3)]


def test_other_numbers_than_poses_train_whatever_their_unit(rng):
    X, y = rng.normal(size=(40, 4)), rng.normal(size=(40, 3))
    options = {"source": "auto", "given": (), "max_epochs": 1, "stages": ("vae",), "batch_size": 40}
    one, other = (lifting(**options).fit(X, unit * y).history_["kl"] for unit in (1.0, 1e6))
    assert one == pytest.approx(other, rel=1e-4)


def test_the_preset_stands_in_for_a_weight_that_is_none(hands):
    options = {"stages": ("disentangle",), "max_epochs": 1, "batch_size": 96}
    terms = {
        name: lifting(**options, **settings).fit(hands.data, hands.target).history_["adversarial"][0]
        for name, settings in {
            "tuned": {}, "paper": {"preset": "paper"}, "own": {"preset": "paper", "adversarial_weight": 0.5}
        }.items()
    }  # fmt: skip
    assert terms["paper"] == pytest.approx(terms["tuned"] / 3e-5, rel=1e-4)
    assert terms["own"] == pytest.approx(terms["paper"] / 2, rel=1e-4)
    estimator = lifting(**options, preset="paper")
    before = estimator.get_params()
    assert estimator.fit(hands.data, hands.target).get_params() == before


@pytest.mark.parametrize(
    ("preset", "source", "beta", "adversarial_weight"),
    [
        ("tuned", "keypoints2d", 1e-5, 3e-5),
        ("tuned", "rgb", 1e-8, 3e-7),
        ("tuned", "depth", 1e-8, 3e-7),
        ("paper", "rgb", 1e-5, 1.0),
        ("paper", "keypoints2d", 1e-5, 1.0),
    ],
)
def test_the_presets_weights_are_light_for_pictures_if_tuned(preset, source, beta, adversarial_weight):
    hands = make_hands(16, image_size=16, images=("rgb", "depth"), random_state=0)
    options = {"stages": ("disentangle",), "max_epochs": 1, "batch_size": 16, "lr": 1e-12, "source": source}
    own = {"beta": beta, "adversarial_weight": adversarial_weight}
    terms = [
        lifting(**options, preset=preset, **each, backbone="small").fit(hands.data, hands.target).history_
        for each in ({}, own)
    ]
    for name in ("kl", "adversarial"):
        assert terms[0][name] == pytest.approx(terms[1][name], rel=1e-6) and terms[0][name][0] > 0, name


def test_a_light_kl_term_is_warned_of_unless_the_preset_has_it(recwarn):
    hands = make_hands(32, image_size=16, images=("rgb",), random_state=0)
    options = {"stages": ("vae",), "max_epochs": 10, "batch_size": 16, "source": "rgb", "backbone": "small"}

    def warned(**beta):
        recwarn.clear()
        lifting(**options, **beta).fit(hands.data, hands.target)
        return any("the KL term" in str(each.message) for each in recwarn)

    assert not warned() and warned(beta=1e-12)


# ---------------------------------------------------------------- stages that act, or are undone


def test_an_alignment_that_does_harm_is_undone_by_validation(hands):
    """Its mapper starts as the identity, so that the weights it starts from predict as before."""
    options = {
        "early_stopping": True, "validation_fraction": 0.25,
        "max_epochs": {"disentangle": 20, "align": 2}, "lr": {"disentangle": 5e-3, "align": 0.3},
    }  # fmt: skip
    X, y = hands.data, hands.target
    before = lifting(**options, stages=("disentangle",)).fit(X, y)
    after = lifting(**options, stages=("disentangle", "align")).fit(X, y)
    errors = np.array(after.history_["valid_epe"])
    assert errors[20:].min() > errors[:20].min()  # every epoch of it did harm
    assert after.space_ == "aligned"
    np.testing.assert_allclose(after.predict(X), before.predict(X), atol=1e-3)


def test_the_default_weights_act_on_the_latent_spaces_of_new_hands():
    """Each stage beside the one with its weight at 0: 500 hands train, 300 of other people are asked."""
    many = make_hands(1200, images=(), n_subjects=48, rotation=60.0, random_state=3)
    new = many.groups >= 36
    X, y, held_out, poses = many.data[~new][:500], many.target[~new][:500], many.data[new], many.target[new]
    options = {
        "stages": ("disentangle",), "hidden_units": 64, "latent_dim": 32, "context_dim": 32, "batch_size": 64,
        "given": ("root", "scale", "side"), "augment": None, "lr": 1e-3, "max_epochs": 30, "warm_start": True,
    }  # fmt: skip
    both = [lifting(adversarial_weight=weight, **options).fit(X, y) for weight in (None, 0.0)]
    tells = [each.discriminator_accuracy(held_out, poses) for each in both]
    assert tells[0] < tells[1] - 0.1
    errors = [
        mean_epe(poses, predicted, align="root")
        for predicted in (both[0].predict(held_out), np.broadcast_to(y.mean(axis=0), poses.shape))
    ]
    assert errors[0] < 0.65 * errors[1]

    apart = []
    for weight in (0.01, 0.0):
        each = copy.deepcopy(both[0]).set_params(pose_weight=weight, max_epochs=10)
        each.set_params(stages=("disentangle", "align")).fit(X, y)
        z, own = each.transform(held_out), each.transform(held_out.replace(pose3d=poses), source="pose3d")
        unit, other = np.concatenate([z, own]).std(axis=0), np.roll(own, len(own) // 2, axis=0)
        apart.append(np.linalg.norm((z - own) / unit, axis=1).mean())
        apart[-1] /= np.linalg.norm((z - other) / unit, axis=1).mean()
    assert apart[0] < 0.75  # a hand's two latent vectors, beside those of two hands
    assert apart[1] > 0.9


class Reads(torch.nn.Module):
    """A discriminator that goes by the first number of a latent vector."""

    def forward(self, latent):
        return latent[:, :1]


def test_the_discriminators_accuracy_is_the_share_that_it_tells_right(hands):
    estimator = lifting(stages=("disentangle",)).fit(hands.data, hands.target)
    accuracy = estimator.discriminator_accuracy(hands.data, hands.target)
    assert 0.0 <= accuracy <= 1.0
    assert accuracy == estimator.discriminator_accuracy(hands.data, hands.target)
    estimator.module_.discriminator = Reads()
    heads = {name: encoder.head.linear for name, encoder in estimator.module_.encoders.items()}
    starts = {"keypoints2d": 4, "pose3d": 0}  # the pose part of the latent vector of X follows the context
    for moved, expected in (((-1e3, 1e3), 1.0), ((1e3, -1e3), 0.0), ((1e3, 1e3), 0.5)):
        for (name, head), bias in zip(heads.items(), moved, strict=True):
            with torch.no_grad():
                head.bias[starts[name]] = bias
        assert estimator.discriminator_accuracy(hands.data, hands.target) == expected
    with pytest.raises(InputError, match=r"^stages: expected 'disentangle'"):
        lifting(stages=("vae",)).fit(hands.data, hands.target).discriminator_accuracy(hands.data)


def test_a_context_that_rebuilds_the_source_knows_what_no_pose_depends_on(rng):
    """Three numbers of X that y knows nothing of, as a background: read off the context by a linear fit."""
    background, poses = rng.normal(size=(200, 3)), rng.normal(0, 40, (200, 21, 3))
    X = np.hstack([background, poses[:, 8] / 40])
    settings = {
        "source": "table", "given": (), "stages": ("disentangle",), "decoder": "plain", "latent_dim": 3,
        "hidden_units": 64, "beta": 1e-6, "max_epochs": 15, "lr": 5e-3,
    }  # fmt: skip
    share = {}
    for weight in (0.0, 1e-3, 1e-2):
        estimator = lifting(**settings, context_weight=weight).fit(X, poses)
        context = estimator.transform(X, space="context")
        share[weight] = Ridge().fit(context[:150], background[:150]).score(context[150:], background[150:])
        assert ("context" in estimator.history_) == (weight > 0)
    assert share[1e-2] > 0.5 and share[1e-3] > 0.25 and share[0.0] < 0.05
    estimator.set_params(context_weight=0.0, warm_start=True)
    with pytest.raises(InputError, match=r"^context_weight: expected 1.0 as first fitted"):
        estimator.fit(X, poses)
