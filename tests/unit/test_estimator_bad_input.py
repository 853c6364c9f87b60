"""Bad input to CrossModalVAERegressor: an error that names the argument, before any training."""

from __future__ import annotations

from urllib.error import URLError

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skhand import HandFrames
from skhand.estimators import CrossModalVAERegressor
from skhand.exceptions import InputError, SideInformationError

N = 6
RGB = np.random.default_rng(0).integers(0, 255, (N, 16, 16, 3), dtype=np.uint8)
Y = np.random.default_rng(1).normal(0, 50, (N, 21, 3))
FRAMES = HandFrames(rgb=RGB, keypoints2d=Y[..., :2])


SETTINGS = {
    "backbone": "small", "hidden_units": 8, "n_hidden_layers": 1, "latent_dim": 3, "max_epochs": 1,
    "random_state": 0,
}  # fmt: skip


def small(**options):
    return CrossModalVAERegressor(**{**SETTINGS, **options})


def changed(array, value):
    """A copy as float in which one number is another."""
    array = array.astype(float)
    array.flat[7] = value
    return array


class Untrained(Callback):
    """Lets no training begin."""

    def on_train_begin(self, net, **kwargs):
        raise AssertionError("trained")


@pytest.fixture
def no_training(monkeypatch):
    """Let no estimator train that `small` makes."""
    monkeypatch.setitem(SETTINGS, "callbacks", [Untrained()])


def test_the_fixture_would_see_a_training(no_training):
    with pytest.raises(AssertionError, match="trained"):
        small().fit(RGB, Y)


INPUTS = {
    "no rows": (RGB[:0], Y[:0], "X.*0 sample"),
    "no rows in a table of hands": (FRAMES[[]], Y[:0], "X.*0 sample"),
    "two channels": (RGB[..., :2], Y, r"X: expected rgb.*\(6, 16, 16, 2\)"),
    "four channels": (np.repeat(RGB, 2, axis=3)[..., :4], Y, r"X: expected rgb.*\(6, 16, 16, 4\)"),
    "float pictures in 0 to 255": (RGB.astype(float), Y, "X: expected float pictures in 0 to 1.*255"),
    "negative pictures": (changed(RGB, 0) / 255 - 0.5, Y, "X: expected float pictures in 0 to 1"),
    "a NaN pixel": (changed(RGB / 255, np.nan), Y, "X: expected finite pictures"),
    "an infinite pixel": (changed(RGB / 255, np.inf), Y, "X: expected finite pictures"),
    "integers that are not bytes": (RGB.astype(np.int32), Y, "X: expected rgb as uint8 or float.*int32"),
    "words": (np.full((N, 4), "a"), Y, "could not convert|expected numbers|dtype"),
    "five axes": (RGB[None], Y, "X|dim"),
    "negative depth": (-np.ones((N, 8, 8)), Y, "X: expected depth in mm"),
    "NaN depth": (np.full((N, 8, 8), np.nan), Y, "X: expected finite pictures"),
    "infinite keypoints": (changed(Y[..., :2], np.inf), Y, "X: expected finite keypoints2d"),
    "nothing but unknown keypoints": (np.full((N, 21, 2), np.nan), Y, "at least one row with keypoints2d"),
    "flattened pictures without a shape": (RGB.reshape(N, -1), Y, "X.*image_shape", {"source": "rgb"}),
    "flattened pictures of another shape": (RGB.reshape(N, -1), Y, "features", {"image_shape": (8, 16, 3)}),
    "NaN y": (RGB, np.full_like(Y, np.nan), "y: expected at least one labelled row"),
    "infinite y": (RGB, changed(Y, np.inf), "y contains infinity"),
    "no y": (RGB, None, "requires y to be passed, but the target y is None"),
    "y of another length": (RGB, Y[:4], "y: .*X has 6, y has 4"),
    "y in two dimensions": (RGB, Y[..., :2], r"y: expected .*3\)"),
    "y with four axes": (RGB, Y[None], "y: expected shape"),
    "y without its root": (RGB, Y[:, :14], "joints", {"given": ("root",)}),
    "y whose root is never known": (
        RGB, np.where(np.arange(21)[:, None] == 0, np.nan, Y), "y: expected at least one row",
        {"given": ("root",)},
    ),
    "a table's y with a root": (Y[:, 0], Y[:, 0, :2], "y: expected flattened poses", {"given": ("root",)}),
    "no side column": (RGB, Y, "side", {"given": ("side",)}),
    "no side column in the frames": (FRAMES, Y, "side", {"given": ("side",)}),
    "no scale column": (FRAMES, Y, "scale", {"given": ("scale",)}),
    "a scale of nothing": (FRAMES.replace(scale=np.zeros(N)), Y, "scale", {"given": ("scale",)}),
    "an unknown scale": (FRAMES.replace(scale=np.full(N, np.nan)), Y, "scale", {"given": ("scale",)}),
    "no such column": (FRAMES, Y, "source.*depth", {"source": "depth"}),
    "no input column": (HandFrames(side=["left"] * N), Y, "X: expected a HandFrames with rgb"),
    "a pair without its column": (FRAMES, Y, "pairs.*depth", {"pairs": [("rgb", "depth")]}),
}  # fmt: skip


@pytest.mark.parametrize("case", INPUTS)
def test_data_that_cannot_be_trained_on_is_named(case, no_training):
    X, y, message, *options = INPUTS[case]
    with pytest.raises(ValueError, match=message):
        small(**(options[0] if options else {})).fit(X, y)


PARAMETERS = {
    "source": "infrared",
    "pairs": [("rgb", "infrared")],
    "variant": 5,
    "pair_weights": [1.0, 2.0],
    "given": ("camera",),
    "root": "thumb_nail",
    "augment": {"spin": 3},
    "beta": -1e-3,
    "lr": 0.0,
    "latent_dim": 2.5,
    "max_epochs": 0,
    "batch_size": -1,
    "hidden_units": "many",
    "n_hidden_layers": 0,
    "n_iter_no_change": 0,
    "tol": -1,
    "validation_fraction": 1.0,
    "backbone": "vgg16",
    "lr_schedule": "steps",
    "precision": "float16",
    "device": "cuda:7",
}
MORE = [
    ("pairs", []), ("pairs", ["rgb"]), ("pairs", [3]), ("pairs", [("rgb", "pose3d")] * 2), ("variant", "1"),
    ("given", None), ("given", 3), ("pair_weights", [-1.0]), ("pair_weights", ["heavy"]),
    ("augment", "strong"),
    ("beta", np.nan), ("beta", None), ("max_epochs", True), ("device", "quantum"), ("root", 21),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [*PARAMETERS.items(), *MORE])
def test_a_parameter_that_is_wrong_is_named(name, value, no_training):
    options = {name: value, **({"given": ("root",)} if name == "root" else {})}
    with pytest.raises(InputError, match=name):
        small(**options).fit(FRAMES, Y)


def test_every_checked_parameter_is_a_parameter():
    assert set(PARAMETERS) <= set(CrossModalVAERegressor().get_params())


def test_cuda_where_there_is_none_is_named(no_training, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if torch.cuda.device_count():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match="device.*'cuda'"):
        small(device="cuda").fit(RGB, Y)


def test_pairs_and_source_must_agree(no_training):
    with pytest.raises(InputError, match="source.*'rgb'.*'keypoints2d'"):
        small(pairs=[("rgb", "pose3d")], source="keypoints2d").fit(FRAMES, Y)


def test_pretrained_weights_without_a_network_are_named(no_training, monkeypatch):
    from torchvision import models

    def no_network(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(type(models.ResNet18_Weights.DEFAULT), "get_state_dict", no_network)
    with pytest.raises(InputError, match="pretrained"):
        small(backbone="resnet18", pretrained=True).fit(RGB, Y)


@pytest.mark.parametrize(
    ("options", "validation", "name"),
    [
        ({}, {"y_val": Y}, "X_val"),
        ({}, {"X_val": RGB}, "y_val"),
        ({}, {"X_val": RGB, "y_val": Y[:2]}, "y"),
        ({}, {"X_val": RGB, "y_val": Y[:, :14]}, "y"),
        ({}, {"X_val": RGB[:, :8], "y_val": Y}, "X"),
        ({"pairs": [("rgb", "rgb")]}, {"X_val": RGB, "y_val": Y}, "X_val"),
        ({"pairs": [("rgb", "rgb")], "early_stopping": True}, {}, "early_stopping"),
        ({"early_stopping": True, "validation_fraction": 0.9}, {}, "validation_fraction"),
    ],
)
def test_validation_that_cannot_be_used_is_named(options, validation, name, no_training):
    y = Y.copy()
    y[1:] = np.nan  # one labelled row
    with pytest.raises(InputError, match=name):
        small(**options).fit(RGB, y, **validation)


FITTED = small(given=("root",)).fit(RGB, Y)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (RGB[:, :8], "X: expected rgb of shape"),
        (RGB[..., :2], "X: expected rgb"),
        (RGB[:0], "X.*0 sample"),
        (RGB.astype(float), "X: expected float pictures"),
        (changed(RGB / 255, np.nan), "X: expected finite"),
        (Y[..., :2], "X: expected rgb"),
        (HandFrames(keypoints2d=Y[..., :2]), "source: X has no column 'rgb'"),
    ],
)
def test_rows_that_cannot_be_predicted_are_named(X, message):
    with pytest.raises(ValueError, match=message):
        FITTED.predict(X)


@pytest.mark.parametrize("given", ["side", "scale"])
def test_given_columns_are_needed_to_predict_too(given):
    frames = FRAMES.replace(side=["left", "right"] * 3, scale=np.full(N, 25.0))
    estimator = small(given=(given,)).fit(frames, Y)
    with pytest.raises(SideInformationError, match=given):
        estimator.predict(frames.replace(**{given: None}))
    with pytest.raises(SideInformationError, match=given):
        estimator.predict(RGB)


@pytest.mark.parametrize(
    ("X", "y", "name"), [(RGB, Y[:, :14], "y"), (RGB, Y.reshape(N, -1), "y"), (RGB[:, :8], Y, "X")]
)
def test_going_on_with_other_shapes_is_refused(X, y, name, no_training):
    estimator = pickle_copy(FITTED).set_params(**SETTINGS)
    with pytest.raises(InputError, match=f"^{name}: expected"):
        estimator.partial_fit(X, y)


def pickle_copy(estimator):
    import pickle

    return pickle.loads(pickle.dumps(estimator))


def test_going_on_with_nothing_usable_is_refused(no_training):
    y = Y.copy()
    y[:, 0] = np.nan  # the root is unknown in every row
    with pytest.raises(InputError, match="at least one row"):
        pickle_copy(FITTED).set_params(**SETTINGS).partial_fit(RGB, y)


def test_one_row_is_enough():
    estimator = small(max_epochs=2, variant=4).fit(RGB[:1], Y[:1])
    assert np.isfinite(estimator.predict(RGB[:1])).all()
    assert np.isfinite(estimator.sample(3, random_state=0)).all()


def test_score_needs_a_pose_decoder_and_the_fitted_shape():
    with pytest.raises(InputError, match="y: expected targets of shape"):
        FITTED.score(RGB, Y[:, :14])
    with pytest.raises(InputError, match="target.*'pose3d'"):
        small(pairs=[("rgb", "rgb")]).fit(RGB).score(RGB, Y)
