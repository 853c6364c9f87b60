"""Weights on disk: LatentHeatmapRegressor.from_pretrained, and what ships."""

from __future__ import annotations

import json
import pickle
import shutil
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import skhand
from skhand._weights import HANDS, load_weights, save_weights
from skhand.datasets import make_hands
from skhand.estimators import LatentHeatmapRegressor
from skhand.estimators.latent_heatmap.pretrained import write_pretrained
from skhand.exceptions import DataFileError, InputError, SideInformationError
from skhand.metrics import mean_epe
from skhand.skeleton import root_position

WEIGHTS = Path(skhand.__file__).parent / "weights"


def small(**options):
    settings = {
        "backbone": "mobilenet_v3_small", "width": 8, "max_epochs": 2, "batch_size": 12, "augment": None,
        "mirror_left": True, "precision": "float32", "device": "cpu", "random_state": 0,
    }  # fmt: skip
    return LatentHeatmapRegressor(**{**settings, **options})


def pixels_off(est, X):
    return mean_epe(X.keypoints2d, est.predict_keypoints(X), n_dims=2)


def rooted(poses):
    return poses - root_position(poses)[:, None]


@pytest.fixture(scope="module")
def hands():
    return make_hands(24, image_size=32, rotation=60.0, images=("rgb",), random_state=0)


@pytest.fixture(scope="module")
def written(hands, tmp_path_factory):
    """A fitted estimator and its file."""
    est = small().fit(hands.data, hands.target)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    write_pretrained(est, path, {"licence": "none", "scores": {"px": 1.5}})
    return est, path


# ---------------------------------------------------------------- there and back


def test_weights_come_back_but_for_sixteen_bits(written, hands):
    est, path = written
    back = LatentHeatmapRegressor.from_pretrained(path, device="cpu")
    assert back.card_["licence"] == "none" and back.card_["scores"] == {"px": 1.5}
    for name in ("network", "heatmap", "mirror_left", "bone", "root", "beta"):
        assert getattr(back, name) == getattr(est, name)
    assert back.architecture_ == est.architecture_ and back.n_parameters_ == est.n_parameters_
    assert back.input_shape_ == est.input_shape_ and back.y_shape_ == est.y_shape_ == (21, 3)
    np.testing.assert_allclose(back.mean_bones_, est.mean_bones_, atol=1e-4)
    assert back.root_depth_ == est.root_depth_ and back.n_ambiguous_ == est.n_ambiguous_
    weights = est.module_.state_dict()
    for name, weight in back.module_.state_dict().items():
        torch.testing.assert_close(weight, weights[name].half().to(weight.dtype), rtol=0, atol=0)
    np.testing.assert_allclose(
        back.predict_keypoints(hands.data), est.predict_keypoints(hands.data), rtol=0, atol=0.05
    )
    assert back.predict(hands.data).shape == (24, 21, 3)
    assert back.transform(hands.data).shape == est.transform(hands.data).shape


def test_what_was_written_once_is_written_again_bit_by_bit(written, tmp_path):
    path = written[1]
    again = tmp_path / "again.safetensors"
    write_pretrained(LatentHeatmapRegressor.from_pretrained(path), again, {})
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "settings",
    [
        {"network": "paper", "width": 4, "fast": True, "n_stacks": 2, "backbone": None},
        {"heatmap": "holistic", "backbone": "small"},
        {"heatmap": "direct", "bone": ("wrist", "middle_mcp"), "root": "wrist", "mirror_left": False},
    ],
)
def test_every_kind_of_network_comes_back(settings, hands, tmp_path):
    est = small(**settings).fit(hands.data, hands.target)
    write_pretrained(est, tmp_path / "w.safetensors", {})
    back = LatentHeatmapRegressor.from_pretrained(tmp_path / "w.safetensors", device="cpu")
    assert back.architecture_ == est.architecture_ and back.bone_ == est.bone_
    off = back.predict_keypoints(hands.data) - est.predict_keypoints(hands.data)
    assert np.median(np.abs(off)) < 0.05


def test_tensors_of_all_kinds_keep_their_shapes(tmp_path):
    kept = {"a": torch.randn(2, 3, 4), "n": torch.tensor(7), "empty": torch.zeros(0, 2), "s": torch.ones(())}
    save_weights(tmp_path / "w.safetensors", kept, {"x": [1, 2]})
    back, meta = load_weights(tmp_path / "w.safetensors")
    assert meta == {"x": [1, 2]} and list(back) == list(kept)
    assert back["n"].dtype == torch.int64 and back["a"].dtype == torch.float32
    for name, tensor in kept.items():
        torch.testing.assert_close(back[name], tensor, rtol=1e-3, atol=1e-4)
    length = int.from_bytes((tmp_path / "w.safetensors").read_bytes()[:8], "little")
    assert length % 8 == 0  # as the format's other readers expect


# ---------------------------------------------------------------- what is refused


def test_missing_and_damaged_files_are_named(written, tmp_path):
    _, path = written
    with pytest.raises(DataFileError, match=r"none\.safetensors: missing"):
        LatentHeatmapRegressor.from_pretrained(tmp_path / "none.safetensors")
    copied = tmp_path / "copied.safetensors"
    shutil.copy(path, copied)
    with pytest.raises(DataFileError, match=r"copied\.safetensors: missing"):  # its JSON file is
        LatentHeatmapRegressor.from_pretrained(copied)
    shutil.copy(path.with_suffix(".json"), copied.with_suffix(".json"))
    LatentHeatmapRegressor.from_pretrained(copied)
    whole = copied.read_bytes()
    for damaged in (b"", whole[:4], whole[:100], whole[:-1000], b"\xff" * 8 + whole[8:]):
        copied.write_bytes(damaged)
        with pytest.raises(DataFileError, match=r"copied\.safetensors"):
            LatentHeatmapRegressor.from_pretrained(copied)
    copied.write_bytes(whole)
    copied.with_suffix(".json").write_text("{")
    with pytest.raises(DataFileError, match=r"copied\.safetensors"):
        LatentHeatmapRegressor.from_pretrained(copied)


def test_other_models_are_named(written, tmp_path):
    with pytest.raises(DataFileError, match="holds no LatentHeatmapRegressor"):
        LatentHeatmapRegressor.from_pretrained(WEIGHTS / "hand_detector.safetensors")
    path = tmp_path / "wider.safetensors"
    shutil.copy(written[1], path)
    meta = json.loads(written[1].with_suffix(".json").read_text())
    for change in ({"width": 16}, {"heatmap": "volumetric"}, {"backbone": "resnet10"}, {"bone": ["a", "b"]}):
        other = {**meta, "parameters": {**meta["parameters"], **change}}
        path.with_suffix(".json").write_text(json.dumps(other))
        with pytest.raises(DataFileError, match="holds no LatentHeatmapRegressor"):
            LatentHeatmapRegressor.from_pretrained(path)


def test_a_given_side_is_refused_and_unknown_parameters_too(written):
    for given in ("side", ("root", "side")):
        with pytest.raises(InputError, match="given: .*'side'"):
            LatentHeatmapRegressor.from_pretrained(written[1], given=given)
    with pytest.raises(InputError, match="given"):
        LatentHeatmapRegressor.from_pretrained(written[1], given="camera")
    with pytest.raises(TypeError, match="speed"):
        LatentHeatmapRegressor.from_pretrained(written[1], speed=3)


def test_parameters_that_contradict_the_file_are_refused(written):
    for change in ({"width": 96}, {"network": "paper"}, {"mirror_left": False}, {"root": "wrist"}):
        name = next(iter(change))
        with pytest.raises(InputError, match=f"^{name}: expected"):
            LatentHeatmapRegressor.from_pretrained(written[1], **change)
    same = LatentHeatmapRegressor.from_pretrained(written[1], width=8, bone=("index_mcp", "wrist"))
    assert same.width == 8


# ---------------------------------------------------------------- what is given


def test_a_given_root_and_scale_place_the_same_prediction(written, hands):
    est, path = written
    X = hands.data
    plain = LatentHeatmapRegressor.from_pretrained(path, device="cpu")
    told = LatentHeatmapRegressor.from_pretrained(path, device="cpu", given=("root", "scale"))
    np.testing.assert_array_equal(told.predict_keypoints(X), plain.predict_keypoints(X))
    placed = told.predict_25d(X)
    np.testing.assert_allclose(placed.root_depth, X.root[:, 2])
    # X's scale is middle_mcp to middle_pip, the network's bone is index_mcp to wrist
    ratio = est.mean_bones_[4] / est.mean_bones_[9]
    np.testing.assert_allclose(placed.scale, X.scale * ratio, rtol=1e-4)
    bare = X.replace(root=None)
    predicted = told.predict(bare)
    np.testing.assert_allclose(root_position(predicted), 0, atol=1e-6)
    with pytest.raises(SideInformationError, match="scale"):
        told.predict(X.replace(scale=None))


# ---------------------------------------------------------------- going on, copies


def test_fit_goes_on_from_the_weights_and_improves(hands, tmp_path):
    """Half of the way is written; the other half is trained from the file."""
    X, y = make_hands(
        168, image_size=32, rotation=20, n_subjects=2, backgrounds=None, gestures="open", images=("rgb",),
        random_state=1, return_X_y=True,
    )  # fmt: skip
    train, held = slice(0, 128), slice(128, 168)
    est = small(backbone="resnet10", max_epochs=2, lr=3e-3).fit(X[train], y[train])
    write_pretrained(est, tmp_path / "w.safetensors", {})
    settings = {"max_epochs": 4, "lr": 3e-3, "batch_size": 12, "augment": None, "random_state": 1}
    back = LatentHeatmapRegressor.from_pretrained(tmp_path / "w.safetensors", device="cpu", **settings)
    assert back.warm_start
    before = pixels_off(back, X[held])
    assert before == pytest.approx(pixels_off(est, X[held]), rel=0.02)
    back.fit(X[train], y[train])
    assert back.n_iter_ == 4
    assert back.history_["train_loss"][0] < 1.3 * est.history_["train_loss"][-1]
    assert pixels_off(back, X[held]) < 0.9 * before


def test_partial_fit_goes_on_too_and_a_cold_start_does_not(written, hands):
    back = LatentHeatmapRegressor.from_pretrained(written[1], device="cpu", batch_size=12)
    before = back.predict_keypoints(hands.data)
    back.partial_fit(hands.data, hands.target)
    assert np.abs(back.predict_keypoints(hands.data) - before).max() > 1e-3
    with pytest.raises(InputError, match="rgb"):
        back.partial_fit(hands.data.replace(rgb=hands.data.rgb[:, :16]), hands.target)
    cold = LatentHeatmapRegressor.from_pretrained(
        written[1], device="cpu", warm_start=False, max_epochs=1, batch_size=12, augment=None, random_state=0,
        precision="float32", mean_bones=None,
    )  # fmt: skip
    cold.fit(hands.data, hands.target)
    fresh = small(max_epochs=1).fit(hands.data, hands.target)
    np.testing.assert_array_equal(cold.predict_keypoints(hands.data), fresh.predict_keypoints(hands.data))


def test_pickles_predict_the_same_and_clones_are_not_fitted(written, hands):
    back = LatentHeatmapRegressor.from_pretrained(written[1], device="cpu", given=("root",), lr=1e-4)
    again = pickle.loads(pickle.dumps(back))
    np.testing.assert_array_equal(again.predict(hands.data), back.predict(hands.data))
    assert again.card_ == back.card_
    again.set_params(max_epochs=1, batch_size=12).fit(hands.data, hands.target)
    fresh = clone(back)
    assert fresh.get_params() == back.get_params()
    assert fresh.width == 8 and fresh.mirror_left and fresh.lr == 1e-4
    with pytest.raises(NotFittedError):
        fresh.predict(hands.data)


# ---------------------------------------------------------------- what ships


@pytest.fixture(scope="module")
def shipped():
    return LatentHeatmapRegressor.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def unseen():
    return make_hands(100, image_size=128, images=("rgb",), random_state=12345)


def test_the_shipped_weights_know_generated_hands(shipped, unseen):
    """3.5 px and 9.9 mm when measured; the mean pose has 27 px and 34 mm."""
    X, y = unseen.data, unseen.target
    others = make_hands(400, image_size=128, images=(), random_state=54321)
    mean = np.broadcast_to(others.target.mean(axis=0), y.shape)
    place = np.broadcast_to(others.data.keypoints2d.mean(axis=0), (100, 21, 2))
    off, mean_off = pixels_off(shipped, X), mean_epe(X.keypoints2d, place, n_dims=2)
    assert off < 7 and off < 0.35 * mean_off
    predicted = shipped.predict(X)
    aligned = [mean_epe(y, poses, align="procrustes") for poses in (predicted, mean)]
    assert aligned[0] < 16 and aligned[0] < 0.5 * aligned[1]
    assert mean_epe(y, predicted, align="root") < 25
    told = LatentHeatmapRegressor.from_pretrained(device="cpu", given=("root", "scale"))
    assert np.linalg.norm(rooted(told.predict(X)) - rooted(y), axis=2).mean() < 22


def test_fit_goes_on_from_the_shipped_weights(unseen):
    """A first epoch's loss is near what these weights have, far from what new ones have."""
    X, y = unseen.data[:32], unseen.target[:32]
    settings = {
        "device": "cpu", "max_epochs": 1, "batch_size": 16, "lr": 1e-4, "augment": None, "random_state": 0,
    }  # fmt: skip
    est = LatentHeatmapRegressor.from_pretrained(**settings).fit(X, y)
    new = LatentHeatmapRegressor(mirror_left=True, **settings).fit(X, y)
    assert est.history_["xy"][0] < 0.4 * new.history_["xy"][0]
    assert pixels_off(est, unseen.data[32:64]) < 7


def test_each_file_has_its_card_and_all_are_small():
    files = sorted(path.name for path in WEIGHTS.iterdir())
    assert HANDS.name in files
    for path in WEIGHTS.glob("*.safetensors"):
        _, card = load_weights(path)
        assert {"licence", "date", "recipe"} <= set(card)
        assert path.with_suffix(".json").name in files
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) < 25e6
    assert all(path.suffix in (".json", ".safetensors") for path in WEIGHTS.iterdir())


def test_the_package_takes_the_weights_along():
    project = Path(skhand.__file__).parents[1] / "pyproject.toml"
    if not project.exists():
        pytest.skip("not run from a checkout")
    patterns = tomllib.loads(project.read_text())["tool"]["setuptools"]["package-data"]["skhand"]
    for path in WEIGHTS.iterdir():
        assert any(fnmatch(f"weights/{path.name}", pattern) for pattern in patterns)
