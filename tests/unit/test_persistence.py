"""Files without code: what is saved comes back to the last bit, and what is hostile is refused."""

from __future__ import annotations

import functools
import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from contract.fifth_estimator import DirectRegressor
from odd_values import ODD
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from smallest import KINDS, Y, image_of, rows_of, smallest

from skhand import HandFrames, persistence
from skhand._weights import read_arrays, write_arrays
from skhand.datasets import make_hands
from skhand.detection import HandDetector
from skhand.estimators import CrossModalVAERegressor
from skhand.exceptions import DataFileError, InputError
from skhand.persistence import load, save
from skhand.preprocessing import (
    BoneLengths,
    CanonicalPose,
    DepthCropper,
    HandCropper,
    HandMirror,
    ImageNormalizer,
    JointAngles,
    Pose25D,
    PoseNormalizer,
    ViewAligner,
)
from skhand.tracking import HandTracker

pytestmark = pytest.mark.filterwarnings("ignore:stages. the stage 'posterior' has trained no epoch")
RGB = rows_of("cross-modal")


@functools.cache
def _fitted(kind):
    return pickle.dumps(smallest(kind).fit(rows_of(kind), Y))


def fitted(kind):
    return pickle.loads(_fitted(kind))


def save_and_load(estimator, tmp_path):
    save(estimator, tmp_path / "it.safetensors")
    return load(tmp_path / "it.safetensors")


# ---------------------------------------------------------------- what comes back


@pytest.mark.parametrize("kind", KINDS)
def test_an_estimator_comes_back_to_the_last_bit(kind, tmp_path):
    estimator, X = fitted(kind), rows_of(kind)
    back = save_and_load(estimator, tmp_path)
    np.testing.assert_array_equal(back.predict(X), estimator.predict(X))
    np.testing.assert_array_equal(back.transform(X), estimator.transform(X))
    assert back.score(X, Y) == estimator.score(X, Y)
    assert repr(back) == repr(estimator) and back.get_params() == estimator.get_params()
    np.testing.assert_equal(back.history_, estimator.history_)
    left = set(vars(estimator)) - set(vars(back))
    assert left <= {"_lock", "_optimizer"}
    for name, weight in estimator.module_.state_dict().items():
        assert weight.equal(back.module_.state_dict()[name]), name
    assert np.isfinite(back.partial_fit(X, Y).predict(X)).all()  # it goes on, with a new optimiser


def test_another_process_predicts_the_same_bits(tmp_path):
    estimator = fitted("cross-modal")
    save(estimator, tmp_path / "it.safetensors")
    np.save(tmp_path / "X.npy", RGB.rgb)
    code = (
        "import sys, numpy as np; from skhand.persistence import load; folder = sys.argv[1]\n"
        "np.save(folder + '/y.npy', load(folder + '/it.safetensors').predict(np.load(folder + '/X.npy')))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), estimator.predict(np.asarray(RGB.rgb)))


@pytest.mark.parametrize(
    "transformer",
    [
        HandCropper((24, 32), margin=1.5, square=False, lazy=False),
        HandCropper(32, preset="hand3d"),
        HandMirror(),
        ViewAligner(),
        PoseNormalizer(root="wrist", scale_bone=None),
    ],
    ids=repr,
)
def test_a_transformer_comes_back(transformer, tmp_path):
    X = RGB.replace(pose3d=Y)
    back = save_and_load(transformer.fit(X), tmp_path)
    assert repr(back) == repr(transformer)
    one, other = transformer.transform(X), back.transform(X)
    for name in one.columns:
        np.testing.assert_array_equal(np.asarray(getattr(one, name)), np.asarray(getattr(other, name)))


@pytest.mark.parametrize("transformer", [DepthCropper(), Pose25D(), HandDetector(0.4, max_hands=1)], ids=repr)
def test_the_others_come_back_with_their_parameters(transformer, tmp_path):
    assert repr(save_and_load(transformer, tmp_path)) == repr(transformer)


def test_what_a_transformer_learned_comes_back(tmp_path):
    normalizer = ImageNormalizer().fit(RGB)
    learned = {name: value for name, value in vars(normalizer).items() if name.endswith("_")}
    back = save_and_load(normalizer, tmp_path)
    assert learned
    for name, value in learned.items():
        np.testing.assert_array_equal(getattr(back, name), value)


def test_a_pipeline_comes_back(tmp_path):
    X = make_hands(8, image_size=32, images=("rgb",), random_state=0)
    pipeline = make_pipeline(HandCropper(16), smallest("cross-modal")).fit(X.data, X.target)
    back = save_and_load(pipeline, tmp_path)
    assert [name for name, _ in back.steps] == ["handcropper", "crossmodalvaeregressor"]
    np.testing.assert_array_equal(back.predict(X.data), pipeline.predict(X.data))


def test_a_tracker_comes_back_with_its_pose_network(tmp_path):
    tracker = HandTracker(HandDetector(0.5), fitted("heatmap"), camera=np.eye(3), fov=70.0)
    tracker.predict(np.zeros((64, 64, 3), np.uint8))
    back = save_and_load(tracker, tmp_path)
    assert back.detector.threshold == 0.5 and back.fov == 70.0
    np.testing.assert_array_equal(back.camera, np.eye(3))
    np.testing.assert_array_equal(
        back.pose.predict(rows_of("heatmap")), tracker.pose.predict(rows_of("heatmap"))
    )


def test_what_is_not_fitted_comes_back_not_fitted(tmp_path):
    back = save_and_load(smallest("aligned", lr={"align": 1e-3}, max_epochs=3), tmp_path)
    assert back.lr == {"align": 1e-3} and not back.__sklearn_is_fitted__()


def test_a_data_frame_s_names_and_set_output_come_back(tmp_path):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(np.random.default_rng(0).normal(size=(8, 3)), columns=["a", "b", "c"])
    estimator = smallest("cross-modal", given=(), variant=1).set_output(transform="pandas")
    back = save_and_load(estimator.fit(X, Y[:8, 0]), tmp_path)
    assert back.feature_names_in_.tolist() == ["a", "b", "c"] and back.transform(X).equals(
        estimator.transform(X)
    )


# ---------------------------------------------------------------- what is in the files


@pytest.mark.parametrize("kind", KINDS)
def test_no_training_data_are_inside_and_weights_are_four_bytes(kind, tmp_path):
    estimator, path = fitted(kind), tmp_path / "it.safetensors"
    save(estimator, path)
    content = path.read_bytes() + path.with_suffix(".json").read_bytes()
    X = rows_of(kind)
    for rows in (np.asarray(getattr(X, image_of(kind))), Y, X.keypoints2d, X.root):
        for row in rows:
            assert np.ascontiguousarray(row).tobytes() not in content
            assert row.astype(np.float32).tobytes() not in content
    n_numbers = sum(value.numel() for value in estimator.module_.state_dict().values())
    assert 4 * n_numbers <= path.stat().st_size <= 4.2 * n_numbers + 20_000
    assert path.with_suffix(".json").stat().st_size < 100_000


def test_what_is_code_or_a_place_on_this_machine_is_left_out(tmp_path):
    estimator = fitted("cross-modal").set_params(checkpoint="/home/me/secret.ckpt", callbacks=[Callback()])
    back = save_and_load(estimator, tmp_path)
    assert back.checkpoint is None and back.callbacks is None
    assert b"secret" not in (tmp_path / "it.json").read_bytes()


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (StandardScaler(), "estimator"),
        (make_pipeline(StandardScaler(), HandCropper(8)), "standardscaler"),
        (DirectRegressor(), "estimator"),
        (3.5, "estimator"),
        (smallest("aligned", random_state=np.random.RandomState(0)), "random_state"),
        (HandTracker(detector=BaseEstimator()), "detector"),
        (HandDetector(weights="mine.safetensors"), "weights"),
    ],
)
def test_what_cannot_be_saved_without_code_is_named(estimator, name, tmp_path):
    if name == "estimator" and estimator == 3.5:
        estimator = object()
    with pytest.raises(InputError, match=f"^{name}: "):
        save(estimator, tmp_path / "it.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("function", [functools.partial(save, HandMirror()), load])
@pytest.mark.parametrize("path", [*ODD, "model", "model.pkl"])
def test_a_path_that_is_none_is_named(function, path):
    with pytest.raises(InputError, match="^path: "):
        function(path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="^path: expected a file that can be written"):
        save(HandMirror(), tmp_path / "none" / "it.safetensors")
    with pytest.raises(DataFileError, match="missing"):
        load(tmp_path / "none" / "it.safetensors")


# ---------------------------------------------------------------- hostile and damaged files


@pytest.fixture
def saved(tmp_path):
    """Path of a saved estimator of tables."""
    path = tmp_path / "it.safetensors"
    save(_table_estimator(), path)
    return path


@functools.cache
def _table_estimator():
    X = np.random.default_rng(0).normal(size=(8, 3))
    settings = {"hidden_units": 4, "n_hidden_layers": 1, "latent_dim": 2, "max_epochs": 1, "random_state": 0}
    return CrossModalVAERegressor(**settings).fit(X, X[:, :2])


def rewrite(path, change):
    """Change the JSON's content as a forger would, who can count sums."""
    arrays, meta = read_arrays(path)
    content = change(meta["content"])
    meta["content"] = meta["content"] if content is None else content
    write_arrays(path, arrays, {**meta, "sha256": persistence._digest(meta["content"], arrays)})


class Bomb:
    """Runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("dump", [pickle.dump, joblib.dump])
@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_a_renamed_pickle_runs_no_code(saved, tmp_path, dump, suffix):
    with open(saved.with_suffix(suffix), "wb") as file:
        dump(Bomb(tmp_path / "exploded"), file)
    with pytest.raises(DataFileError):
        load(saved)
    assert not (tmp_path / "exploded").exists()
    with open(saved.with_suffix(suffix), "rb") as file:
        pickle.load(file).close()
    assert (tmp_path / "exploded").exists()  # it would have


@pytest.mark.parametrize(
    "name",
    [
        *(
            "os.system",
            "system",
            "Pipeline",
            "GridSearchCV",
            "DirectRegressor",
            "BaseEstimator",
            "HandFrames",
        ),
        *("Hands", "__import__", "skhand.estimators.CrossModalVAERegressor", "VectorCodec", "", None, 3),
        ["HandCropper"],
    ],
)
def test_a_class_that_is_none_of_ours_is_refused(saved, name):
    def change(content):
        content["estimator"][0] = name

    rewrite(saved, change)
    with pytest.raises(DataFileError, match="class|unhashable"):
        load(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["estimator"][1].update(checkpoint="../../.bashrc"), "checkpoint"),
        (lambda content: content["estimator"][1].update(callbacks={"list": []}), "callbacks"),
        (lambda content: content["estimator"][1].update(__class__="x"), "__class__"),
        (lambda content: content["estimator"][2].update(predict="x"), "predict"),
        (lambda content: content["estimator"][2].update(__class__="x"), "__class__"),
        (lambda content: content["estimator"][2].update(__dict__={"dict": []}), "__dict__"),
        (lambda content: content["estimator"][2].update(latent_dim=3), "latent_dim"),
        (lambda content: content["estimator"][1].update(latent_dim=10**12), "latent_dim"),
        (lambda content: content["estimator"][1].update(image_shape="abc"), "image_shape"),
        (lambda content: {"estimator": ["HandDetector", {"weights": "../../etc/x"}, {}]}, "weights"),
        (lambda content: {"pipeline": [["a", {"estimator": ["PCA", {}, {}]}]]}, "PCA"),
        (lambda content: {"part": ["VectorCodec", {"dict": [["encode", 3]]}]}, "encode"),
        (lambda content: {"part": ["VectorCodec", {"dict": [["__class__", 3]]}]}, "__class__"),
        (lambda content: {"part": ["Popen", {"dict": []}]}, "Popen"),
        (lambda content: {"object": "os.system"}, "object"),
    ],
)
def test_what_a_file_may_not_set_is_refused(saved, change, message):
    def forge(content):
        made = change(content)
        return made if isinstance(made, dict) else None

    rewrite(saved, forge)
    with pytest.raises(DataFileError, match=message):
        load(saved)


@pytest.mark.parametrize("name", ["n_hidden_layers", "hidden_units", "latent_dim"])
def test_a_network_that_no_memory_holds_is_refused_at_once(saved, name):
    def change(content):
        made = dict(content["estimator"][2]["architecture_"]["dict"])
        content["estimator"][2]["architecture_"]["dict"] = [*({**made, name: 10**9}).items()]

    rewrite(saved, change)
    start = time.perf_counter()
    with pytest.raises(DataFileError, match=name):
        load(saved)
    assert time.perf_counter() - start < 2


def places(tree, path=()):
    """Yield the way to every node of a JSON tree."""
    yield path
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def put(tree, path, value):
    """Return a JSON tree with another node in one place."""
    if not path:
        return value
    tree = tree.copy()
    tree[path[0]] = put(tree[path[0]], path[1:], value)
    return tree


def test_json_of_odd_types_is_refused_or_loads(saved):
    """Every node in turn becomes something else; nothing but `DataFileError` comes of it."""
    content = json.loads(saved.with_suffix(".json").read_text())["content"]
    odd = [
        None,
        3,
        -1,
        1e300,
        "x",
        True,
        [],
        {},
        {"list": 3},
        {"array": 99},
        {"dict": [[3, 3]]},
        {"a": 1, "b": 2},
    ]
    rng = np.random.default_rng(0)
    ways = list(places(content))
    refused = 0
    for path in [ways[i] for i in rng.choice(len(ways), min(len(ways), 150), replace=False)]:
        value = odd[rng.integers(len(odd))]
        rewrite(saved, lambda _, path=path, value=value: put(content, path, value))
        try:
            load(saved)
        except DataFileError as error:
            refused += 1
            assert str(saved) in str(error)
    assert refused > 50


def test_damaged_files_are_refused(saved):
    """Cut anywhere, or with one bit turned, they are refused, or hold what was saved."""
    X, rng = np.random.default_rng(0).normal(size=(8, 3)), np.random.default_rng(1)
    wanted = _table_estimator().predict(X)
    for suffix in (".safetensors", ".json"):
        path = saved.with_suffix(suffix)
        whole = path.read_bytes()
        for stop in np.linspace(0, len(whole) - 2, 12).astype(int):
            path.write_bytes(whole[:stop])
            with pytest.raises(DataFileError, match=r"it\.safetensors"):
                load(saved)
        for place in rng.integers(0, len(whole), 40):
            path.write_bytes(
                whole[:place] + bytes([whole[place] ^ 1 << int(rng.integers(8))]) + whole[place + 1 :]
            )
            try:
                np.testing.assert_array_equal(load(saved).predict(X), wanted)
            except DataFileError as error:
                assert "it.safetensors" in str(error)
        path.write_bytes(whole)
    np.testing.assert_array_equal(load(saved).predict(X), wanted)


def test_the_two_files_must_be_of_one_call(saved, tmp_path):
    other = tmp_path / "other.safetensors"
    X = np.random.default_rng(0).normal(size=(8, 3))
    save(pickle.loads(pickle.dumps(_table_estimator())).partial_fit(X, X[:, :2]), other)
    os.replace(other, saved)
    with pytest.raises(DataFileError, match="two calls"):
        load(saved)


def test_deep_json_and_long_headers_are_refused(saved):
    whole = saved.read_bytes()
    for head in (b"\xff" * 8, (10**6).to_bytes(8, "little"), b""):
        saved.write_bytes(head + whole[8:])
        with pytest.raises(DataFileError):
            load(saved)
    saved.write_bytes(whole)
    saved.with_suffix(".json").write_text('{"content": ' + "[" * 100_000)
    with pytest.raises(DataFileError):
        load(saved)


# ---------------------------------------------------------------- other versions


def test_a_file_without_a_later_parameter_gets_its_default(saved):
    rewrite(saved, lambda content: content["estimator"][1].pop("predict_precision") and None)
    assert load(saved).predict_precision == "float32"


def test_a_file_with_a_later_parameter_says_so(saved):
    rewrite(saved, lambda content: content["estimator"][1].update(telepathy=True))
    with pytest.raises(
        DataFileError, match=r"parameter 'telepathy', which CrossModalVAERegressor .* wrote it"
    ):
        load(saved)


def test_a_file_of_another_format_says_so(saved):
    arrays, meta = read_arrays(saved)
    write_arrays(saved, arrays, {**meta, "format": 2, "skhand": "3.1.0"})
    with pytest.raises(
        DataFileError, match=r"expected the format 1, got 2, of skhand 3\.1\.0; this is skhand "
    ):
        load(saved)


def test_a_file_of_version_0_1_0_loads():
    """Written by that version, and so are the numbers: mm, of the middle finger's tip."""
    estimator = load(Path(__file__).parent / "saved" / "keypoints_0_1_0.safetensors")
    X = HandFrames(keypoints2d=np.linspace(0, 100, 2 * 21 * 2).reshape(2, 21, 2), scale=[25.0, 30.0])
    tips = [[-35.6639, -17.8349, 13.8786], [-20.0283, -26.1209, 16.9622]]
    np.testing.assert_allclose(estimator.predict(X)[:, 12], tips, atol=1e-3)


def test_a_pipeline_of_pipelines_comes_back(tmp_path):
    back = save_and_load(Pipeline([("a", Pipeline([("b", HandMirror())])), ("c", "passthrough")]), tmp_path)
    assert repr(back.steps[0][1].steps[0][1]) == "HandMirror()" and back.steps[1][1] == "passthrough"


@pytest.mark.parametrize("odd", [*ODD, "passthrough"], ids=lambda value: type(value).__name__)
def test_only_an_estimator_is_saved(odd, tmp_path):
    with pytest.raises(InputError, match="^estimator: expected an estimator or a transformer"):
        save(odd, tmp_path / "it.safetensors")
    with pytest.raises(InputError, match="^second: expected an estimator or a transformer"):
        save(Pipeline([("first", HandMirror()), ("second", -1)]), tmp_path / "it.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", ["passthrough", None])
def test_a_pipeline_with_a_step_left_out_comes_back(step, tmp_path):
    back = save_and_load(Pipeline([("mirror", step), ("crop", HandCropper(8))]), tmp_path)
    assert back.steps[0] == ("mirror", step) and back.steps[1][1].size == 8


@pytest.mark.parametrize(
    "transformer", [JointAngles(side="left"), BoneLengths(), CanonicalPose(side="right")], ids=repr
)
def test_features_come_back(transformer, tmp_path):
    poses = make_hands(3, images=(), random_state=0).target
    back = save_and_load(transformer.fit(poses), tmp_path)
    assert repr(back) == repr(transformer)
    np.testing.assert_array_equal(back.transform(poses), transformer.transform(poses))
