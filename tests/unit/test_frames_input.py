"""What HandFrames takes as rows and columns, and maps whose file is written to."""

from __future__ import annotations

import os
import pickle
import warnings

import numpy as np
import pytest
import torch

from skhand import HandFrames, concat_frames
from skhand.exceptions import InputError

N = 4


@pytest.fixture
def frames():
    return HandFrames(scale=np.arange(1.0, N + 1), root=np.arange(3.0 * N).reshape(N, 3))


@pytest.mark.parametrize("rows", [None, True, np.True_, False, 1.5, [1.0], [None], "rgb", {0}, [[0]], np.nan])
def test_what_is_no_row_is_refused(frames, rows):
    with pytest.raises(InputError, match="^HandFrames: expected rows"):
        frames[rows]


@pytest.mark.parametrize("rows", [torch.tensor([2, 0]), torch.tensor(2), torch.tensor([True, False] * 2)])
def test_tensors_choose_rows_as_arrays_do(frames, rows):
    wanted = np.atleast_1d(np.arange(1.0, N + 1)[rows.numpy()])
    np.testing.assert_array_equal(frames[rows].scale, wanted)


def test_tensors_are_columns_of_numpy():
    tensors = {
        "rgb": torch.full((N, 5, 6, 3), 7, dtype=torch.uint8),
        "depth": torch.ones(N, 5, 6, dtype=torch.float16),
        "mask": torch.ones(N, 5, 6, dtype=torch.bool),
        "keypoints2d": torch.ones(N, 21, 2),
        "visible": torch.ones(N, 21, dtype=torch.bool),
        "camera": torch.eye(3).repeat(N, 1, 1),
        "picture": torch.arange(N),
    }
    frames = HandFrames(**tensors)[[1, 3]]
    for name, tensor in tensors.items():
        column = np.asarray(getattr(frames, name))
        np.testing.assert_array_equal(column, tensor.numpy()[[1, 3]])
    assert pickle.loads(pickle.dumps(frames)).rgb[0].max() == 7


def test_what_is_masked_is_not_known():
    pose = np.ma.masked_array(np.zeros((1, 2, 3)), [[[False] * 3, [True] * 3]])
    assert np.isnan(HandFrames(pose3d=pose).pose3d).tolist() == [[[False] * 3, [True] * 3]]
    depth = np.ma.masked_array(np.ones((1, 2, 2), np.float32), [[[True, False], [False, False]]])
    assert np.isnan(HandFrames(depth=depth).depth).tolist() == [[[True, False], [False, False]]]
    rgb = np.ma.masked_array(np.ones((1, 2, 2, 3), np.uint8), np.ones((1, 2, 2, 3), bool))
    with pytest.raises(InputError, match="^rgb: expected pictures, got a masked array.*fill it"):
        HandFrames(rgb=rgb)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"scale": [70.0, np.inf]}, r"^scale: expected finite numbers, .* infinity in the rows \[1\]"),
        ({"root": [[0.0, 0.0, -np.inf]]}, "^root: expected finite numbers"),
        ({"box": [[0.0, 0.0, np.inf, 1.0]]}, "^box: expected finite numbers"),
        ({"table": [[np.inf]]}, "^table: expected finite numbers"),
        ({"keypoints2d": np.full((1, 21, 2), np.inf)}, "^keypoints2d: expected finite numbers"),
        ({"rotation": np.full((3, 3), np.inf), "scale": [1.0]}, "^rotation: expected finite numbers"),
        ({"scale": [70.0, -1.0]}, "^scale: expected numbers >= 0, or NaN"),
        ({"score": [0.5, 1.5]}, "^score: expected numbers from 0 to 1, or NaN"),
        ({"mask": np.full((1, 2, 2), 0.3)}, "^mask: expected bool, or integers"),
        ({"depth": np.full((1, 2, 2), "near")}, "^depth: expected numbers"),
        ({"domain": [["real"], ["a", "b"]]}, "^domain: expected one name a row"),
    ],
)
def test_numbers_that_nothing_can_have_are_refused(column, message):
    with pytest.raises(InputError, match=message):
        HandFrames(**column)


def test_pictures_of_two_sizes_say_what_to_do(rng):
    pictures = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((8, 9, 3), (6, 5, 3))]
    with pytest.raises(InputError, match=r"^rgb: .*one size.*one_size=False.*concat_frames.*HandCropper"):
        HandFrames(rgb=pictures)
    joined = concat_frames([HandFrames(rgb=picture[None]) for picture in pictures])
    for i, picture in enumerate(pictures):
        np.testing.assert_array_equal(joined.rgb[i], picture)


@pytest.mark.parametrize("tables", [None, 3, [], [None], HandFrames(scale=[1.0])])
def test_what_is_no_list_of_tables_is_refused(tables):
    with pytest.raises(InputError, match="^frames: expected a list of HandFrames"):
        concat_frames(tables)


@pytest.fixture
def path(tmp_path):
    np.save(tmp_path / "depth.npy", np.arange(N * 4.0).reshape(N, 2, 2))
    return tmp_path / "depth.npy"


def write(path, content, later=10):
    """Write to the same file, some seconds later by its clock."""
    with open(path, "r+b") as file:
        file.truncate(0)
        np.save(file, content)
    when = os.stat(path).st_mtime + later
    os.utime(path, (when, when))


@pytest.mark.parametrize("mode", ["r", "c"])
def test_a_map_that_was_written_to_is_told_once(path, mode):
    table = HandFrames(depth=np.load(path, mmap_mode=mode))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert table.depth[1, 0, 0] == 4 and table[[1]].depth[0][0, 0] == 4
        pickle.loads(pickle.dumps(table))
    write(path, -np.arange(N * 4.0).reshape(N, 2, 2))
    with pytest.warns(UserWarning, match="^depth: .*depth.npy was written to after this table was made"):
        table[[1]].depth[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert table.depth[1, 0, 0] == -4


def test_a_pickled_map_that_was_written_to_is_told(path):
    pickled = pickle.dumps(HandFrames(depth=np.load(path, mmap_mode="r")))
    write(path, np.zeros((N, 2, 2)))
    with pytest.warns(UserWarning, match="was written to after the table was pickled"):
        pickle.loads(pickled)


def test_a_map_whose_file_was_cut_is_not_read(path):
    table = HandFrames(depth=np.load(path, mmap_mode="r"))
    pickled = pickle.dumps(table)
    write(path, np.zeros((1, 2, 2)))
    with pytest.raises(InputError, match="^depth: expected .*depth.npy as it was .* got a shorter file"):
        _ = table.depth
    with pytest.raises(InputError, match="got a shorter file"):
        pickle.loads(pickled)


def test_a_file_that_is_replaced_leaves_the_map_as_it_was(path):
    table = HandFrames(depth=np.load(path, mmap_mode="r"))
    np.save(path.with_name("new.npy"), np.zeros((N, 2, 2)))
    os.replace(path.with_name("new.npy"), path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert table.depth[1, 0, 0] == 4
        path.unlink()
        assert table.depth[1, 0, 0] == 4
