"""The cache of the loaders: its key, interrupted writes, several processes, and what a second load reads."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import shutil
import time

import numpy as np
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

import skhand
from skhand.datasets import load_rhd
from skhand.datasets._cache import load_cached
from skhand.exceptions import DataFileError, InputError
from skhand.frames import HandFrames, ImageFiles


class Window(TransformerMixin, BaseEstimator):
    """A crop with parameters: the first ``size`` rows and columns."""

    def __init__(self, size=16, weights=None):
        self.size, self.weights = size, weights

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X):
        cut = {name: getattr(X, name)[:][:, : self.size, : self.size] for name in ("rgb", "depth", "mask")}
        return X.replace(**cut)


@pytest.fixture
def rhd(tmp_path):
    """Folder of a copy of RHD with three small pictures a split."""
    rng = np.random.default_rng(0)
    for split in ("training", "evaluation"):
        entries = {}
        for number in range(3):
            xyz = rng.uniform(-0.1, 0.1, (42, 3)) + (0, 0, 0.6)
            uv = 10 + 30 * xyz[:, :2] / xyz[:, 2:]
            matrix = np.array([[30.0, 0, 10], [0, 30, 10], [0, 0, 1]])
            entries[number] = {"xyz": xyz, "uv_vis": np.hstack([uv, np.ones((42, 1))]), "K": matrix}
            for kind, shape in (("color", (20, 20, 3)), ("depth", (20, 20, 3)), ("mask", (20, 20))):
                folder = tmp_path / "rhd" / split / kind
                folder.mkdir(parents=True, exist_ok=True)
                picture = rng.integers(0, 30, shape, dtype=np.uint8)
                Image.fromarray(picture).save(folder / f"{number:05d}.png")
        content = pickle.dumps(entries, protocol=2)
        (tmp_path / "rhd" / split / f"anno_{split}.pickle").write_bytes(content)
    return tmp_path / "rhd"


def entries_of(folder):
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def a_bunch(n=100, value=1):
    data = HandFrames(depth=np.full((n, 4, 5), value, np.uint16), side="left")
    return Bunch(data=data, target=np.arange(n * 3.0).reshape(n, 1, 3), joint_names=("wrist",), DESCR="text")


OTHER = {
    "split": "test",
    "hand": "left",
    "layout": "native",
    "bad_rows": "keep",
    "crop": Window(8),
}


@pytest.mark.parametrize("name", OTHER)
def test_each_option_is_in_the_key(rhd, tmp_path, name):
    assert set(OTHER) == set(inspect.signature(load_rhd).parameters) - {"data_dir", "cache", "return_X_y"}
    load_rhd(rhd, cache=tmp_path / "c")
    load_rhd(rhd, cache=tmp_path / "c", **{name: OTHER[name]})
    assert len(entries_of(tmp_path / "c")) == 2
    cached = load_rhd(rhd, cache=tmp_path / "c", **{name: OTHER[name]})
    plain = load_rhd(rhd, **{name: OTHER[name]})
    np.testing.assert_array_equal(cached.target, plain.target)
    np.testing.assert_array_equal(cached.data.rgb[:], plain.data.rgb[:])


def test_each_parameter_of_the_crop_is_in_the_key(rhd, tmp_path):
    many = np.arange(5000.0)
    changed = many.copy()
    changed[2500] = -1  # in the part that the array's repr leaves out
    crops = [Window(8), Window(9), Window(8, weights=many), Window(8, weights=changed)]
    for _ in range(2):
        shapes = [load_rhd(rhd, cache=tmp_path / "c", crop=crop).data.rgb.shape[1] for crop in crops]
        assert shapes == [8, 9, 8, 8]
    assert len(entries_of(tmp_path / "c")) == 4


def test_the_library_s_version_and_the_label_file_are_in_the_key(rhd, tmp_path, monkeypatch):
    load_rhd(rhd, cache=tmp_path / "c")
    monkeypatch.setattr(skhand, "__version__", "0.0.0.other")
    load_rhd(rhd, cache=tmp_path / "c")
    assert len(entries_of(tmp_path / "c")) == 2
    labels = rhd / "training" / "anno_training.pickle"
    entries = pickle.loads(labels.read_bytes())  # our own
    for entry in entries.values():
        entry["xyz"] = entry["xyz"] + 1
    before = load_rhd(rhd, cache=tmp_path / "c").target
    labels.write_bytes(pickle.dumps(entries, protocol=2))
    np.testing.assert_allclose(load_rhd(rhd, cache=tmp_path / "c").target, before + 1000)


def test_a_second_load_reads_no_label_file_and_no_picture(rhd, tmp_path):
    first = load_rhd(rhd, cache=tmp_path / "c")
    labels = rhd / "training" / "anno_training.pickle"
    stat = labels.stat()
    labels.write_bytes(b"\0" * stat.st_size)
    os.utime(labels, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    for kind in ("color", "depth", "mask"):
        for path in (rhd / "training" / kind).iterdir():
            path.unlink()
    second = load_rhd(rhd, cache=tmp_path / "c")
    assert set(second) == set(first) and second.joint_names == first.joint_names
    assert second.DESCR == first.DESCR and second.data.columns == first.data.columns
    for name in ("target", "visible", "bad", "groups", "ids"):
        np.testing.assert_array_equal(second[name], first[name])
        assert second[name].dtype == first[name].dtype
    for name in first.data.columns:
        np.testing.assert_array_equal(getattr(second.data, name)[:], getattr(first.data, name)[:])
    assert isinstance(second.data.rgb, np.memmap) and not second.data.rgb.flags.writeable


def test_the_cached_table_is_that_of_a_load_without_cache(rhd, tmp_path):
    cached, plain = load_rhd(rhd, cache=str(tmp_path / "c")), load_rhd(rhd)
    assert set(cached.data.columns) == set(plain.data.columns) and set(cached) == set(plain)
    for name in plain.data.columns:
        np.testing.assert_array_equal(getattr(cached.data, name)[:], getattr(plain.data, name)[:])


def test_an_unreadable_picture_leaves_nothing_behind(rhd, tmp_path):
    picture = rhd / "training" / "color" / "00002.png"
    content = picture.read_bytes()
    picture.write_bytes(content[:60])
    with pytest.raises(InputError, match="color/00002.png"):
        load_rhd(rhd, cache=tmp_path / "c")
    assert entries_of(tmp_path / "c") == []
    picture.write_bytes(content)
    assert len(load_rhd(rhd, cache=tmp_path / "c").data.rgb) == 3


def test_a_leftover_of_a_killed_write_is_not_taken_for_an_entry(rhd, tmp_path):
    cache = tmp_path / "c"
    expected = load_rhd(rhd, cache=cache).data.rgb[:].copy()
    (name,) = entries_of(cache)
    os.rename(cache / name, cache / f"{name}.partial-0123")
    (cache / f"{name}.partial-0123" / "rows.npz").unlink()
    np.testing.assert_array_equal(load_rhd(rhd, cache=cache).data.rgb[:], expected)
    assert entries_of(cache) == [name, f"{name}.partial-0123"]


def test_a_damaged_entry_is_named(rhd, tmp_path):
    load_rhd(rhd, cache=tmp_path / "c")
    (name,) = entries_of(tmp_path / "c")
    (tmp_path / "c" / name / "rgb.npy").write_bytes(b"short")
    with pytest.raises(DataFileError, match=f"cache: .*{name} is damaged.*delete it"):
        load_rhd(rhd, cache=tmp_path / "c")


def test_the_crop_s_module_is_in_the_key(rhd, tmp_path):
    namesake = type("Window", (Window,), {"__module__": "elsewhere", "__init__": Window.__init__})
    for crop in (Window(8), namesake(8), make_pipeline(Window(8)), make_pipeline(namesake(8))):
        load_rhd(rhd, cache=tmp_path / "c", crop=crop)
    assert len(entries_of(tmp_path / "c")) == 4


@pytest.mark.parametrize("left", [0, 10, 300, -30])
def test_an_entry_whose_table_was_cut_off_is_named(rhd, tmp_path, left):
    load_rhd(rhd, cache=tmp_path / "c")
    (name,) = entries_of(tmp_path / "c")
    table = tmp_path / "c" / name / "rows.npz"
    table.write_bytes(table.read_bytes()[:left])
    with pytest.raises(DataFileError, match=f"cache: .*{name} is damaged.*delete it"):
        load_rhd(rhd, cache=tmp_path / "c")


def test_what_an_interrupted_write_left_is_removed_after_a_day(tmp_path):
    def leave(name, *hours):
        folder = tmp_path / f"{name}.partial-0123"
        folder.mkdir()
        (folder / "rgb.npy").write_bytes(b"0")
        for path, age in zip((folder / "rgb.npy", folder), hours, strict=True):
            os.utime(path, (time.time() - 3600 * age,) * 2)

    leave("old", 25, 30)
    leave("still-written", 1, 30)
    leave("young", 23, 23)
    load_cached(tmp_path, {"dataset": "toy"}, [], a_bunch)
    assert [name.split(".")[0] for name in entries_of(tmp_path) if "partial" in name] == [
        "still-written",
        "young",
    ]


def test_the_key_can_be_read_beside_the_entry(rhd, tmp_path):
    load_rhd(rhd, "test", cache=tmp_path / "c", crop=Window(8))
    (name,) = entries_of(tmp_path / "c")
    key = json.loads((tmp_path / "c" / name / "texts.json").read_text())["key"]
    assert key["split"] == "test" and key["crop"][1] == {"size": 8, "weights": None}
    assert key["crop"][0] == f"{__name__}.Window"
    assert key["skhand"] == skhand.__version__ and key["sources"][0][0].endswith("anno_evaluation.pickle")


def test_pictures_are_written_some_rows_at_a_time(tmp_path):
    asked = []

    class Counted(ImageFiles):
        def __getitem__(self, rows):
            asked.append(len(rows))
            return super().__getitem__(rows)

    Image.fromarray(np.full((4, 5), 9, np.uint8)).save(tmp_path / "a.png")
    bunch = a_bunch(300)
    bunch.data = bunch.data.replace(depth=Counted([tmp_path / "a.png"] * 300, gray=True))
    cached = load_cached(tmp_path / "c", {"dataset": "toy"}, [], lambda: bunch)
    assert max(asked) <= 64 and sum(asked) == 300
    assert (cached.data.depth[:] == 9).all()


def entry_of(folder):
    (name,) = entries_of(folder)
    return folder / name


def rewrite(entry, name, change):
    """Change one array of an entry's table."""
    with np.load(entry / "rows.npz") as file:
        arrays = dict(file)
    changed = change(arrays.pop(name))
    if changed is not None:
        arrays[name] = changed
    np.savez(entry / "rows.npz", **arrays)


DAMAGES = {
    "a column of pictures is gone": lambda entry: (entry / "depth.npy").unlink(),
    "a column of pictures more": lambda entry: shutil.copy(entry / "depth.npy", entry / "mask2.npy"),
    "fewer pictures": lambda entry: np.save(entry / "depth.npy", np.load(entry / "depth.npy")[:2]),
    "pictures of another type": lambda entry: np.save(entry / "depth.npy", np.load(entry / "depth.npy") > 0),
    "pictures that are cut off": lambda entry: os.truncate(entry / "rgb.npy", 300),
    "pictures with something behind": lambda entry: (entry / "rgb.npy").open("ab").write(b"0"),
    "a pipe": lambda entry: ((entry / "rgb.npy").unlink(), os.mkfifo(entry / "rgb.npy")),
    "one target": lambda entry: rewrite(entry, "target", lambda y: y[:1]),
    "target of another type": lambda entry: rewrite(entry, "target", lambda y: y.astype(np.float32)),
    "no target": lambda entry: rewrite(entry, "target", lambda y: None),
    "no camera": lambda entry: rewrite(entry, "data.camera", lambda y: None),
    "no texts": lambda entry: (entry / "texts.json").unlink(),
    "cut texts": lambda entry: os.truncate(entry / "texts.json", 200),
    "other texts": lambda entry: (entry / "texts.json").write_text("[]"),
    "nothing": lambda entry: [path.unlink() for path in entry.iterdir()],
    "a file": lambda entry: (shutil.rmtree(entry), entry.write_text("x")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_entry_is_what_it_was_written_as_or_refused(rhd, tmp_path, damage):
    whole = load_rhd(rhd, cache=tmp_path / "c")
    entry = entry_of(tmp_path / "c")
    DAMAGES[damage](entry)
    if damage == "a column of pictures more":  # a foreign file
        again = load_rhd(rhd, cache=tmp_path / "c")
        assert again.data.columns == whole.data.columns
        return
    with pytest.raises(DataFileError, match=f"cache: .*{entry.name} is damaged.*delete it"):
        load_rhd(rhd, cache=tmp_path / "c")


def test_an_entry_of_another_key_is_refused(rhd, tmp_path):
    load_rhd(rhd, cache=tmp_path / "c", crop=Window(8))
    small = entry_of(tmp_path / "c")
    load_rhd(rhd, cache=tmp_path / "c", crop=Window(9))
    (large,) = set(entries_of(tmp_path / "c")) - {small.name}
    shutil.rmtree(tmp_path / "c" / large)
    os.rename(small, tmp_path / "c" / large)
    with pytest.raises(DataFileError, match="its key is another one"):
        load_rhd(rhd, cache=tmp_path / "c", crop=Window(9))


class Silent(Window):
    """A crop whose size is no parameter that get_params tells."""

    def __init__(self, weights=None):
        super().__init__(16, weights)

    def get_params(self, deep=True):
        return {"weights": self.weights}


def silent(size):
    crop = Silent()
    crop.size = size
    return crop


def test_crops_that_differ_where_get_params_does_not_tell_have_entries_of_their_own(rhd, tmp_path):
    for _ in range(2):
        for size in (16, 12):
            assert load_rhd(rhd, cache=tmp_path / "c", crop=silent(size)).data.rgb.shape[1] == size
    assert len(entries_of(tmp_path / "c")) == 2


def test_an_unwritable_cache_is_named(rhd, tmp_path):
    (tmp_path / "c").write_text("a file")
    with pytest.raises(DataFileError, match="cache: expected a folder that can be written"):
        load_rhd(rhd, cache=tmp_path / "c")


def test_wrong_cache_and_crop(rhd):
    with pytest.raises(InputError, match="cache: expected a folder"):
        load_rhd(rhd, cache=True)
    with pytest.raises(InputError, match="crop: expected a transformer"):
        load_rhd(rhd, crop="hand3d")
