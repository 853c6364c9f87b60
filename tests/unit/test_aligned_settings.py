"""AlignedLatentRegressor: settings that are refused, terms that do nothing, rows without a label."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

from skhand.datasets import make_hands
from skhand.estimators import AlignedLatentRegressor, CrossModalVAERegressor
from skhand.exceptions import InputError, TrainingWarning
from skhand.nn import ImageDecoder, InjectionDecoder, VectorDecoder


@pytest.fixture(scope="module")
def hands():
    return make_hands(96, image_size=16, rotation=60.0, images=(), random_state=0)


def lifting(**options):
    """A small estimator of poses from keypoints."""
    settings = {
        "source": "keypoints2d", "hidden_units": 32, "n_hidden_layers": 2, "latent_dim": 8, "context_dim": 4,
        "lr": 2e-3, "max_epochs": 2, "batch_size": 32, "given": ("root",), "random_state": 0,
    }  # fmt: skip
    return AlignedLatentRegressor(**{**settings, **options})


def test_unlabelled_rows_and_unknown_joints_train_what_they_can(hands):
    y = hands.target.copy()
    y[60:] = np.nan
    y[:5, 8] = np.nan
    estimator = lifting().fit(hands.data, y)
    assert np.isfinite(estimator.history_["train_loss"]).all()
    assert np.isfinite(estimator.predict(hands.data)).all()


def test_terms_that_do_nothing_are_warned_of(hands):
    stages = {"stages": ("disentangle", "refine"), "max_epochs": 5, "beta": 0.1}
    with pytest.warns(
        TrainingWarning, match="adversarial_weight=1e-09: the term 'adversarial' never reached"
    ):
        lifting(**stages, adversarial_weight=1e-9).fit(hands.data, hands.target)
    with pytest.warns(TrainingWarning, match="kcs_weight=1e-12"):
        lifting(**stages, adversarial_weight=0.1, kcs_weight=1e-12).fit(hands.data, hands.target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lifting(**stages, adversarial_weight=0.1).fit(hands.data, hands.target)


def test_a_training_that_runs_away_is_warned_of(hands):
    with pytest.warns(TrainingWarning, match=r"lr=\{'vae': 1e"):
        lifting(lr={"vae": 1e30}, stages=("vae",), max_epochs=4).fit(hands.data, hands.target)


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
        ({"adversarial_weight": None}, "adversarial_weight"),
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
