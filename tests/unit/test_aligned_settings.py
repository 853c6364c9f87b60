"""AlignedLatentRegressor: settings that are refused, terms that do nothing, rows without a label."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from trainings import lifting

from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.exceptions import DivergenceError, InputError, TrainingWarning
from skhand.nn import ImageDecoder, InjectionDecoder, VectorDecoder


@pytest.fixture(scope="module")
def hands():
    return make_hands(96, image_size=16, rotation=60.0, images=(), random_state=0)


def test_unlabelled_rows_and_unknown_joints_train_what_they_can(hands):
    y = hands.target.copy()
    y[60:] = np.nan
    y[:5, 8] = np.nan
    estimator = lifting().fit(hands.data, y)
    assert np.isfinite(estimator.history_["train_loss"]).all()
    assert np.isfinite(estimator.predict(hands.data)).all()


@pytest.mark.parametrize("stages", ["auto", ("vae", "refine")])
def test_poses_with_an_unknown_joint_train_the_pose_encoder_too(hands, stages):
    """Unknown joints enter as the mean pose's, 0 when standardised, and no loss has a part in them."""
    y = hands.target.copy()
    y[:, 8] = np.nan  # in no row at all
    y[np.arange(96), 10 + np.arange(96) % 11] = np.nan
    estimator = lifting(stages=stages, max_epochs=3).fit(hands.data, y)
    for name in ("train_loss", "mse_pose", "kcs", "geo"):
        of_stage = np.isin(estimator.history_["stage"], ["refine"]) == (name in ("kcs", "geo"))
        of_stage |= name == "train_loss"
        assert np.isfinite(np.array(estimator.history_[name])[of_stage]).all(), name
    predicted = estimator.predict(hands.data)
    unknown = np.broadcast_to((np.arange(21) == 8)[None, :, None], predicted.shape)
    np.testing.assert_array_equal(np.isnan(predicted), unknown)
    codes = estimator.transform(hands.target[:5], space="pose")
    moved = hands.target[:5].copy()
    moved[:, 8] += 30.0  # no row knew this joint, so the pose encoder never saw it
    np.testing.assert_array_equal(estimator.transform(moved, space="pose"), codes)
    assert np.isfinite(codes).all()


def test_an_unknown_joint_is_the_mean_pose_to_the_pose_encoder(hands):
    y = hands.target.copy()
    y[::2, 8] = np.nan
    seen = []

    def watch(module, inputs, output):
        seen.append(inputs[0].detach().clone())

    class Watch(Callback):
        def on_train_begin(self, net, **kwargs):
            self.handle = net.module_.encoders["pose3d"].register_forward_hook(watch)

        def on_train_end(self, net, **kwargs):
            self.handle.remove()

    lifting(stages=("vae",), max_epochs=1, callbacks=[Watch()]).fit(hands.data, y)
    joints = torch.cat(seen).reshape(-1, 21, 3)
    assert len(joints) == 96 and torch.isfinite(joints).all()
    unknown = (joints[:, 8] == 0).all(dim=1)
    assert unknown.sum() == 48
    known = joints[~unknown]
    assert known[:, 8].mean(dim=0).abs().max() < 1e-5  # so 0 is the mean of the rows that know the joint


def test_terms_that_do_nothing_are_warned_of(hands):
    stages = {"stages": ("disentangle", "refine"), "max_epochs": 5, "beta": 0.1}
    with pytest.warns(
        TrainingWarning, match="adversarial_weight=1e-09: the term 'adversarial' never reached"
    ):
        lifting(**stages, adversarial_weight=1e-9).fit(hands.data, hands.target)
    aligned = {"stages": ("disentangle", "align"), "max_epochs": 5, "beta": 0.1, "adversarial_weight": 0.1}
    with pytest.warns(TrainingWarning, match="pose_weight=1e-12: the poses' own MSE never reached 0.001 of"):
        lifting(**aligned, pose_weight=1e-12).fit(hands.data, hands.target)
    with pytest.warns(TrainingWarning, match="kcs_weight=1e-12"):
        lifting(**stages, adversarial_weight=0.1, kcs_weight=1e-12).fit(hands.data, hands.target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lifting(**stages, adversarial_weight=0.1).fit(hands.data, hands.target)


def test_a_term_that_acts_in_one_stage_only_is_warned_of_in_the_other(hands):
    """The KL term weighs next to nothing in the second half of the training, which is another stage."""
    estimator = lifting(
        stages=("disentangle",), max_epochs=5, beta=0.1, adversarial_weight=0.1, warm_start=True
    ).fit(hands.data, hands.target)
    estimator.set_params(stages=("disentangle", "align"), beta=1e-12)
    with pytest.warns(TrainingWarning, match="gradient in 'align'; it does nothing there") as caught:
        estimator.fit(hands.data, hands.target)
    assert {str(each.message).split("=")[0] for each in caught} == {"beta"}
    assert len(caught) == 2 and not any("'disentangle'" in str(each.message) for each in caught)


def test_a_training_that_runs_away_is_refused_by_the_stages_rate(hands):
    estimator = lifting(lr={"vae": 1e30}, stages=("vae",), max_epochs=4)
    message = r"^lr=1e\+30: the loss term '\w+' became .* in epoch 1, batch \d of the stage 'vae'; expected"
    with pytest.raises(DivergenceError, match=message):
        estimator.fit(hands.data, hands.target)
    assert not estimator.__sklearn_is_fitted__()


def test_a_later_stage_that_runs_away_leaves_the_weights_of_the_one_before(hands):
    estimator = lifting(lr={"vae": 2e-3, "refine": 1e30}, stages=("vae", "refine"))
    with pytest.raises(DivergenceError, match="of the stage 'refine'"):
        estimator.fit(hands.data, hands.target)
    assert estimator.interrupted_ and estimator.history_["stage"] == ["vae", "vae"]
    alone = lifting(stages=("vae",)).fit(hands.data, hands.target)
    np.testing.assert_array_equal(estimator.predict(hands.data), alone.predict(hands.data))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"stages": "align"}, "stages"),
        ({"stages": ()}, "stages"),
        ({"stages": ("align",)}, "stages"),
        ({"stages": ("vae", "finetune")}, "stages"),
        ({"stages": ("vae", "refine", "align")}, "stages"),
        ({"stages": ("vae", "vae")}, "stages"),
        ({"stages": ("vae", "polish")}, "stages"),
        ({"decoder": "linear"}, "decoder"),
        ({"decoded": "context"}, "decoded"),
        ({"context_dim": 0}, "context_dim"),
        ({"latent_dim": 2.5}, "latent_dim"),
        ({"kcs_weight": -1}, "kcs_weight"),
        ({"geo_weight": "1"}, "geo_weight"),
        ({"pose_weight": np.nan}, "pose_weight"),
        ({"adversarial_weight": -1}, "adversarial_weight"),
        ({"context_weight": None}, "context_weight"),
        ({"preset": "code"}, "preset"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"max_epochs": {"disentangle": 3}}, "max_epochs"),
        ({"max_epochs": {"warp": 3}}, "max_epochs"),
        ({"lr": 0}, "lr"),
        ({"lr": {"disentangle": "fast"}}, "lr"),
        ({"source": "pose3d"}, "source"),
        ({"pretrained": True}, "pretrained"),
        ({"augment": "spurr"}, "augment"),
    ],
)
def test_odd_settings_are_refused_by_name(hands, options, name):
    with pytest.raises(InputError, match=f"^{name}: expected"):
        lifting(**options).fit(hands.data, hands.target)


def test_the_other_estimator_takes_the_injection_decoder_too(rng):
    pictures = rng.integers(0, 255, (12, 16, 16, 3), dtype=np.uint8)
    poses = rng.normal(0, 40, (12, 21, 3))
    settings = {
        "variant": 4, "backbone": "small", "hidden_units": 16, "n_hidden_layers": 2, "max_epochs": 1,
        "augment": None, "random_state": 0,
    }  # fmt: skip
    estimator = CrossModalVAERegressor(decoder="injection", **settings).fit(pictures, poses)
    kinds = {name: type(part) for name, part in estimator.module_.decoders.items()}
    assert kinds == {"pose3d": InjectionDecoder, "rgb": ImageDecoder}
    twin = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(twin.predict(pictures), estimator.predict(pictures))
    plain = CrossModalVAERegressor(**settings).fit(pictures, poses)
    assert isinstance(plain.module_.decoders["pose3d"], VectorDecoder)
    with pytest.raises(InputError, match="^decoder: expected"):
        estimator.set_params(decoder="plain", warm_start=True).fit(pictures, poses)
