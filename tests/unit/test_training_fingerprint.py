"""Fingerprints: short texts that tell data and parameters of one run from those of another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skhand import HandFrames
from skhand.training import Checkpoint, fingerprint
from skhand.training.modalities.pose3d import PoseCodec


def test_plain_values_are_their_own_print():
    for value in (None, True, 3, 0.5, "paper", float("inf")):
        assert fingerprint(value) is value
    assert fingerprint(("rgb", 3)) == ["rgb", 3]
    assert fingerprint({"lr": {"pose": 0.1}}) == {"lr": {"pose": 0.1}}
    names = [f"name {i}" for i in range(9)]
    assert fingerprint(set(names)) == fingerprint(frozenset(names)) == names


@pytest.mark.parametrize("shape", [(50,), (50, 3), (50, 21, 3), (50, 16, 16, 3)])
def test_arrays_differ_by_any_number_by_shape_and_by_dtype(rng, shape):
    array = rng.normal(size=shape)
    one = fingerprint(array)
    assert isinstance(one, str) and len(one) < 80
    assert fingerprint(array.copy(order="F")) == one
    assert fingerprint(array[::-1][::-1]) == one
    changed = array.copy()
    changed.ravel()[7] += 1e-9
    others = [changed, array[:-1], array.reshape(-1), array.astype(np.float32), np.roll(array, 1, axis=0)]
    prints = {fingerprint(other) for other in others[: 5 if len(shape) > 1 else 2]}
    assert len(prints) == (5 if len(shape) > 1 else 2)
    assert one not in prints


def test_texts_and_objects_in_arrays_differ_by_their_words():
    one = fingerprint(np.array(["a", "b"], dtype=object))
    assert fingerprint(np.array(["a", "b"], dtype=object)) == one
    assert fingerprint(np.array(["a", "c"], dtype=object)) != one
    assert fingerprint(np.array(["a", "b"])) != fingerprint(np.array(["a", "c"]))


class Counted:
    """A lazy column that counts the rows that are read."""

    def __init__(self, array):
        self.array, self.n_read = array, 0
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        self.n_read += len(self.array[rows])
        return self.array[rows]


def test_of_pictures_that_are_not_in_memory_sixteen_are_read(rng):
    pictures = rng.integers(0, 255, (500, 8, 8, 3), dtype=np.uint8)
    column = Counted(pictures)
    one = fingerprint(column)
    assert column.n_read == 16
    changed = pictures.copy()
    changed[[0, -1]] += 1
    assert fingerprint(Counted(changed)) != one
    assert fingerprint(Counted(pictures[:499])) != one
    assert fingerprint(Counted(pictures.copy())) == one


def test_objects_differ_by_their_kind_and_what_they_hold(rng):
    poses = rng.normal(0, 50, (8, 21, 3))
    one = fingerprint(PoseCodec.fit_poses(poses, 0, None))
    assert fingerprint(PoseCodec.fit_poses(poses, 0, None)) == one
    assert fingerprint(PoseCodec.fit_poses(poses + 1e-3 * rng.normal(size=poses.shape), 0, None)) != one
    assert fingerprint(PoseCodec.fit_poses(poses, 1, None)) != one
    frames = HandFrames(keypoints2d=rng.normal(size=(4, 21, 2)))
    assert fingerprint(frames) == fingerprint(HandFrames(keypoints2d=frames.keypoints2d.copy()))


def test_a_print_can_be_written_as_json(tmp_path, rng):
    identity = {
        "augment": fingerprint({"rotate": np.float32(45), "flip": None}), "n": fingerprint(np.int64(3)),
        "poses": fingerprint(rng.normal(size=(4, 21, 3))), "codec": fingerprint(torch.nn.ReLU()),
    }  # fmt: skip
    Checkpoint(tmp_path / "run.npz", identity).save({})
    assert Checkpoint(tmp_path / "run.npz", identity).load() == {}
