"""HandCropper: pictures that are read when they are asked for, by one thread or several."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from crops import hands_in_noise
from PIL import Image

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.frames import ImageFiles
from skhand.preprocessing import HandCropper


@pytest.fixture
def frames(rng):
    return hands_in_noise(rng)


class Ragged:
    """Pictures of different sizes, one at a time."""

    def __init__(self, pictures):
        self.pictures = pictures
        self.shape, self.dtype, self.ndim = (len(pictures), None, None, 3), np.dtype(np.uint8), 4

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, row):
        return self.pictures[int(row)]


def lazy_columns(frames, folder):
    """The same pictures as a memory map, as files, and as rows of a memory map."""
    path = folder / "rgb.dat"
    disk = np.memmap(path, np.uint8, "w+", shape=frames.rgb.shape)
    disk[:] = frames.rgb
    disk.flush()
    double = np.memmap(folder / "double.dat", np.uint8, "w+", shape=(12, *frames.rgb.shape[1:]))
    double[::2] = frames.rgb
    files = [folder / f"{i}.png" for i in range(len(frames))]
    for file, picture in zip(files, frames.rgb, strict=True):
        Image.fromarray(picture).save(file)
    return {
        "map": disk,
        "files": ImageFiles(files),
        "rows": HandFrames(rgb=double, box=np.repeat(frames.box, 2, 0))[::2].rgb,
        "ragged": Ragged(list(frames.rgb)),
    }


@pytest.mark.parametrize("kind", ["map", "files", "rows", "ragged"])
def test_lazy_columns_stay_lazy_and_give_the_same(kind, frames, tmp_path):
    column = lazy_columns(frames, tmp_path)[kind]
    plain = frames.replace(depth=None, mask=None)
    wanted = HandCropper(40).fit_transform(plain)
    assert type(wanted.rgb) is np.ndarray
    crops = HandCropper(40).fit_transform(plain.replace(rgb=column))
    assert not isinstance(crops.rgb, np.ndarray)
    assert (crops.rgb.shape, crops.rgb.dtype, crops.rgb.ndim) == (wanted.rgb.shape, np.uint8, 4)
    np.testing.assert_array_equal(crops.rgb, wanted.rgb)
    rows = np.array([4, 1, 1])
    np.testing.assert_array_equal(crops.rgb[rows, ...], wanted.rgb[rows])
    np.testing.assert_array_equal(crops.rgb[-1], wanted.rgb[-1])
    np.testing.assert_array_equal(crops[rows].rgb[1:], wanted.rgb[rows[1:]])
    assert crops.rgb[[]].shape == (0, 40, 40, 3)
    np.testing.assert_array_equal(HandCropper(40, lazy=False).transform(plain).rgb, wanted.rgb)
    again = HandCropper(20, source="keypoints").fit_transform(crops)
    np.testing.assert_array_equal(again.rgb, HandCropper(20, source="keypoints").fit_transform(wanted).rgb)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(crops)).rgb, wanted.rgb)


def test_a_lazy_crop_of_a_memory_map_pickles_by_reference(frames, tmp_path):
    crops = HandCropper(40).fit_transform(frames.replace(rgb=lazy_columns(frames, tmp_path)["map"]))
    alone = HandFrames(rgb=crops.rgb, side="left")
    assert len(pickle.dumps(alone)) < 5_000 < frames.rgb.nbytes
    assert len(pickle.dumps(alone[:4])) < 5_000


def test_pictures_of_different_sizes(frames):
    pictures = [picture[: 90 - i, : 120 - 2 * i] for i, picture in enumerate(frames.rgb)]
    plain = frames.replace(depth=None, mask=None)
    crops = HandCropper(40).fit_transform(plain.replace(rgb=Ragged(pictures)))
    for row, picture in enumerate(pictures):
        alone = HandCropper(40).fit_transform(plain[[row]].replace(rgb=picture[None]))
        np.testing.assert_array_equal(crops.rgb[row], alone.rgb[0])


def test_generated_hands_are_rendered_and_cropped_on_demand():
    arguments = dict(n_samples=20, image_size=48, random_state=0)
    eager = HandCropper(32, source="mask").fit_transform(make_hands(**arguments).data)
    lazy = HandCropper(32, source="mask").fit_transform(make_hands(**arguments, lazy=True).data)
    for name in ("rgb", "depth", "mask"):
        assert not isinstance(getattr(lazy, name), np.ndarray)
        np.testing.assert_array_equal(getattr(lazy, name), getattr(eager, name))


def test_rows_of_rows(frames, tmp_path):
    some = frames.replace(rgb=lazy_columns(frames, tmp_path)["rows"])[[5, 3, 1]]
    crops = HandCropper(40).fit_transform(some[[2, 0]])
    np.testing.assert_array_equal(crops.rgb, HandCropper(40).fit_transform(frames[[1, 5]]).rgb)


def test_lazy_can_be_forced_either_way(frames, tmp_path):
    lazy = HandCropper(40, lazy=True).fit_transform(frames)
    assert not isinstance(lazy.rgb, np.ndarray)
    np.testing.assert_array_equal(lazy.depth, HandCropper(40).fit_transform(frames).depth)
    column = lazy_columns(frames, tmp_path)["files"]
    eager = HandCropper(40, lazy=False).fit_transform(frames.replace(rgb=column))
    np.testing.assert_array_equal(eager.rgb, lazy.rgb)
    assert type(HandCropper(40).fit_transform(frames[1:]).rgb) is np.ndarray


def test_rows_do_not_depend_on_each_other_or_on_threads(frames):
    together = HandCropper(40).fit_transform(frames)
    for row in range(len(frames)):
        np.testing.assert_array_equal(HandCropper(40).fit_transform(frames[row]).rgb[0], together.rgb[row])
    many = frames[np.tile(np.arange(6), 5)]
    before = torch.get_num_threads()
    try:
        for n_threads in (1, 3):
            torch.set_num_threads(n_threads)
            crops = HandCropper(40).fit_transform(many)
            np.testing.assert_array_equal(crops.rgb, np.tile(together.rgb, (5, 1, 1, 1)))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("kind", ["map", "files"])
def test_several_threads_read_one_column_at_once(kind, frames, tmp_path):
    wanted = HandCropper(40).fit_transform(frames).rgb
    crops = HandCropper(40).fit_transform(frames.replace(rgb=lazy_columns(frames, tmp_path)[kind])).rgb
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, len(frames), 10) for _ in range(60)]
    with ThreadPoolExecutor(4) as pool:
        for rows, read in zip(batches, pool.map(crops.__getitem__, batches), strict=True):
            np.testing.assert_array_equal(read, wanted[rows])


_TWENTY_GB = """
import re, sys
import numpy as np
from skhand import HandFrames
from skhand.estimators import CrossModalVAERegressor
from skhand.preprocessing import HandCropper

shape = (22_000, 480, 640, 3)
rgb = np.memmap(sys.argv[1], np.uint8, "w+", shape=shape)
rng = np.random.default_rng(0)
box = np.column_stack([rng.uniform(0, 300, (len(rgb), 2)), np.full((len(rgb), 2), 200.0)])
y = np.full((len(rgb), 21, 3), np.nan)
y[::500] = rng.normal(0, 40, (44, 21, 3))
crops = HandCropper(64).fit_transform(HandFrames(rgb=rgb, box=box))
est = CrossModalVAERegressor(backbone="small", max_epochs=1, batch_size=16, random_state=0)
est.fit(crops, y)
assert est.predict(crops[:8]).shape == (8, 21, 3)
# of this process alone: getrusage also counts what the one that started it held
print(rgb.nbytes, 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]))
"""


def test_twenty_gigabytes_are_cropped_and_fitted_in_less_than_three(tmp_path):
    path = tmp_path / "rgb.dat"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _TWENTY_GB, str(path)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    size, peak = map(int, done.stdout.split())
    assert size > 20e9 and peak < 3 * 2**30
    assert path.stat().st_blocks * 512 < 2**30  # the file is sparse: it is read, and stays so
