"""Checkpoints: whole or as before, of one run, of the same data, and read without running code."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import skhand
from skhand.exceptions import InputError, TrainingWarning
from skhand.training import Checkpoint

IDENTITY = {"lr": 0.1, "given": ["root"], "X's column rgb": "(4, 8, 8, 3) uint8 0123", "random_state": None}


def assert_same(one, other):
    """The same nested values, to the last bit, kinds and dtypes included."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other or (one != one and other != other)


def trained():
    """State of networks and an optimiser after a step."""
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    module(torch.randn(4, 2)).square().sum().backward()
    optimizer.step()
    return module, optimizer


# ---------------------------------------------------------------- there and back


def test_what_is_saved_comes_back_to_the_last_bit(tmp_path):
    state = {
        "none": None, "flag": True, "count": 12345678901234567890, "number": 0.1, "text": "Hände",
        "nan": np.nan, "infinite": -np.inf, "list": [1, "a", [2.5, None]], "empty": {},
        7: {"a number as a name": [[]]},
        "array": np.array([[1.5, np.nan]], np.float32), "flags": np.array([True, False]),
        "tensor": torch.arange(6).reshape(2, 3), "scalar": torch.tensor(2.5, dtype=torch.float64),
        "nothing": torch.empty(0, 3),
    }  # fmt: skip
    checkpoint = Checkpoint(tmp_path / "run.npz", IDENTITY)
    assert checkpoint.load() == {}
    assert checkpoint.save(state)
    assert_same(Checkpoint(tmp_path / "run.npz", IDENTITY).load(), state)
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_networks_and_optimiser_go_on_from_the_file(tmp_path):
    module, optimizer = trained()
    path = str(tmp_path / "any name at all")  # no suffix is added
    state = {"module": module.state_dict(), "optimizer": optimizer.state_dict()}
    Checkpoint(path, {}).save(state)
    loaded = Checkpoint(path, {}).load()
    other, rest = trained()
    other.load_state_dict(loaded["module"])
    rest.load_state_dict(loaded["optimizer"])
    assert_same(dict(other.state_dict()), dict(module.state_dict()))
    for one, again in zip(optimizer.state.values(), rest.state.values(), strict=True):
        assert_same(one, again)


def test_the_last_save_counts(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run.npz", IDENTITY)
    for step in range(3):
        checkpoint.save({"step": step})
    assert checkpoint.load() == {"step": 2}


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="checkpoint: .*folder.*nowhere"):
        Checkpoint(tmp_path / "nowhere" / "run.npz", {})


# ---------------------------------------------------------------- writing that fails


class FullDisk(io.FileIO):
    """A file on a disk with room for some bytes only."""

    def __init__(self, path, room):
        super().__init__(path, "w")
        self.room = room

    def write(self, content):
        self.room -= len(content)
        if self.room < 0:
            raise OSError(28, "No space left on device")
        return super().write(content)


@pytest.mark.parametrize("room", [0, 300, 20_000])
def test_a_disk_that_runs_full_leaves_the_last_file_and_warns(tmp_path, monkeypatch, room):
    checkpoint = Checkpoint(tmp_path / "run.npz", IDENTITY)
    checkpoint.save({"step": 1, "weights": torch.ones(10_000)})
    before = checkpoint.path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr("builtins.open", lambda path, *rest, **options: FullDisk(path, room))
        with pytest.warns(TrainingWarning, match=r"run\.npz could not be written.*No space left"):
            assert not checkpoint.save({"step": 2, "weights": torch.zeros(10_000)})
    assert checkpoint.path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]
    assert checkpoint.load()["step"] == 1
    assert checkpoint.save({"step": 3})  # once there is room again
    assert checkpoint.load() == {"step": 3}


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_failure_at_the_end_of_writing_leaves_the_last_file_too(tmp_path, monkeypatch, name):
    checkpoint = Checkpoint(tmp_path / "run.npz", {})
    checkpoint.save({"step": 1})

    def fail(*arguments):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, name, fail)
        with pytest.warns(TrainingWarning, match="Input/output error"):
            assert not checkpoint.save({"step": 2})
    assert checkpoint.load() == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_what_cannot_be_written_is_an_error_and_leaves_the_last_file(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run.npz", {})
    checkpoint.save({"step": 1})
    with pytest.raises(TypeError):
        checkpoint.save({"step": object()})
    assert checkpoint.load() == {"step": 1}


# ---------------------------------------------------------------- files that are none


@pytest.mark.parametrize("kept", [0, 1, 0.3, 0.7, 0.99])
def test_a_file_that_was_cut_off_is_refused_by_name(tmp_path, kept):
    path = tmp_path / "run.npz"
    Checkpoint(path, {}).save({"weights": torch.randn(2000)})
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(InputError, match=r"checkpoint: .*run\.npz is not a checkpoint that can be read"):
        Checkpoint(path, {}).load()


def test_a_file_with_a_changed_byte_is_refused_by_name(tmp_path):
    path = tmp_path / "run.npz"
    Checkpoint(path, {}).save({"weights": torch.randn(2000)})
    content = bytearray(path.read_bytes())
    for place in (content.index(b"tensor"), len(content) // 2, 0):
        damaged = content.copy()
        damaged[place] ^= 0xFF
        path.write_bytes(bytes(damaged))
        with pytest.raises(InputError, match=r"run\.npz is not a checkpoint that can be read"):
            Checkpoint(path, {}).load()


def test_a_file_of_something_else_is_refused_by_name(tmp_path):
    path = tmp_path / "run.npz"
    for write in (
        lambda: path.write_text("a text"),
        lambda: np.savez(path, poses=np.zeros(3)),
        lambda: np.savez(path, content=np.frombuffer(b"[1, 2]", np.uint8)),
        lambda: torch.save({"weights": torch.zeros(3)}, path),
    ):
        write()
        with pytest.raises(InputError, match=r"run\.npz is not a checkpoint that can be read"):
            Checkpoint(path, {}).load()


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_hostile_file_runs_nothing(tmp_path):
    path, trap = tmp_path / "run.npz", tmp_path / "trap"
    pickle.loads(pickle.dumps(Evil(trap)))
    assert trap.exists()  # the trap works
    trap.unlink()
    evil = np.array([Evil(trap)], dtype=object)
    Checkpoint(path, {}).save({"weights": torch.zeros(3)})
    good = {name: zipfile.ZipFile(path).read(name) for name in zipfile.ZipFile(path).namelist()}
    np.savez(tmp_path / "evil.npz", evil=evil, allow_pickle=True)
    pickled = zipfile.ZipFile(tmp_path / "evil.npz").read("evil.npy")
    files = {
        "in place of an array": {**good, "0.npy": pickled},
        "beside the arrays": {**good, "1.npy": pickled},
        "in place of the content": {**good, "content.npy": pickled},
        "as a bare pickle": {**good, "0.npy": pickle.dumps(Evil(trap))},
    }
    for parts in files.values():
        with zipfile.ZipFile(path, "w") as file:
            for name, content in parts.items():
                file.writestr(name, content)
        with pytest.raises(InputError, match=r"run\.npz is not a checkpoint that can be read"):
            Checkpoint(path, {}).load()
    for write in (lambda: path.write_bytes(pickle.dumps(Evil(trap))), lambda: torch.save(Evil(trap), path)):
        write()
        with pytest.raises(InputError, match=r"run\.npz is not a checkpoint that can be read"):
            Checkpoint(path, {}).load()
    assert not trap.exists()


# ---------------------------------------------------------------- of another run


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lr": 0.2}, "lr was 0.1 there and is 0.2 here"),
        ({"given": ["root", "scale"], "random_state": 3}, r"given was \['root'\] there"),  # the first one
        ({"X's column rgb": "(4, 8, 8, 3) uint8 4567"}, "X's column rgb was"),
        ({"random_state": 3}, "random_state was None there and is 3 here"),
        ({"new": 1}, "new was None there and is 1 here"),
    ],
)
def test_another_run_is_refused_and_the_first_difference_named(tmp_path, changes, words):
    path = tmp_path / "run.npz"
    Checkpoint(path, IDENTITY).save({"step": 1})
    before = path.read_bytes()
    with pytest.raises(InputError, match=f"checkpoint: .*run.npz is of another run: {words}"):
        Checkpoint(path, {**IDENTITY, **changes}).load()
    assert path.read_bytes() == before
    assert Checkpoint(path, IDENTITY).load() == {"step": 1}


def test_a_name_that_only_the_file_knows_is_a_difference(tmp_path):
    path = tmp_path / "run.npz"
    Checkpoint(path, {**IDENTITY, "X_val": "print"}).save({})
    with pytest.raises(InputError, match="X_val was 'print' there and is None here"):
        Checkpoint(path, IDENTITY).load()


def test_what_json_does_not_tell_apart_is_the_same(tmp_path):
    path = tmp_path / "run.npz"
    Checkpoint(path, {"given": ("root",), "width": np.float64(3.5)}).save({"step": 1})
    assert Checkpoint(path, {"given": ["root"], "width": 3.5}).load() == {"step": 1}


# ---------------------------------------------------------------- one run at a time


def test_a_second_run_is_refused_while_the_first_goes_on(tmp_path):
    first, second = (Checkpoint(tmp_path / "run.npz", {}) for _ in range(2))
    elsewhere = Checkpoint(tmp_path / "other.npz", {})
    with first.locked():
        with pytest.raises(InputError, match="checkpoint: another run is writing there"), second.locked():
            raise AssertionError("both have it")
        with elsewhere.locked():
            pass
        with pytest.raises(InputError, match="another run"), second.locked():  # the refusal let nobody in
            raise AssertionError("both have it")
    with second.locked():
        pass
    with pytest.raises(ZeroDivisionError), first.locked():
        raise ZeroDivisionError
    with second.locked():
        pass
    assert list(tmp_path.iterdir()) == []  # no lock stays behind


HOLD = """
import sys
from skhand.training import Checkpoint
with Checkpoint(sys.argv[1], {}).locked():
    print("locked", flush=True)
    sys.stdin.readline()
"""


def test_a_run_of_another_process_is_refused_until_that_one_dies(tmp_path):
    path = tmp_path / "run.npz"
    environment = {**os.environ, "PYTHONPATH": str(Path(skhand.__file__).parents[1])}
    command = [sys.executable, "-c", HOLD, str(path)]
    other = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(InputError, match="another run"), Checkpoint(path, {}).locked():
            raise AssertionError("both have it")
    finally:
        other.kill()
        other.communicate(timeout=60)
    assert path.with_name("run.npz.lock").exists()  # what a killed run leaves keeps nobody away
    with Checkpoint(path, {}).locked():
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "run.npz.lock").mkdir()  # no file can be opened there, not even by the superuser
    with (
        pytest.raises(InputError, match="checkpoint: .*can be written"),
        Checkpoint(tmp_path / "run.npz", {}).locked(),
    ):
        raise AssertionError("it has no lock")
