"""Pictures that differ in size stay in files and tables, and are cropped to one size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from skhand import HandFrames, ImageFiles, concat_frames
from skhand.exceptions import InputError
from skhand.preprocessing import HandCropper

SIZES = [(40, 60), (50, 30), (40, 60)]


@pytest.fixture
def pictures(rng):
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]


@pytest.fixture
def files(pictures, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    return paths


def crops_of(frames):
    """Crops of 16 px out of each picture's corner of 20 px."""
    return (
        HandCropper(16, margin=1.0).transform(frames.replace(box=np.tile([-0.5, -0.5, 20, 20], (3, 1)))).rgb
    )


def test_files_of_several_sizes_are_cropped_to_one(files, pictures):
    column = ImageFiles(files, one_size=False)
    assert column.shape == (3, None, None, 3)
    expected = crops_of(HandFrames(rgb=np.stack([picture[:30, :30] for picture in pictures])))
    np.testing.assert_array_equal(crops_of(HandFrames(rgb=column))[:], expected)
    np.testing.assert_array_equal(crops_of(HandFrames(rgb=column)[[1, 0, 2]])[:], expected[[1, 0, 2]])
    np.testing.assert_array_equal(column[1], pictures[1])
    np.testing.assert_array_equal(column[[0, 2]], np.stack([pictures[0], pictures[2]]))


def test_tables_of_several_sizes_are_joined_and_cropped(files, pictures):
    tables = [HandFrames(rgb=picture[None]) for picture in pictures]
    tables[0] = HandFrames(rgb=ImageFiles(files[:1]))
    joined = concat_frames(tables)
    assert joined.rgb.shape == (3, None, None, 3)
    expected = crops_of(HandFrames(rgb=np.stack([picture[:30, :30] for picture in pictures])))
    np.testing.assert_array_equal(crops_of(joined)[:], expected)
    np.testing.assert_array_equal(joined.rgb[1], pictures[1])


def test_what_cannot_be_read_together_says_what_to_do(files, pictures):
    with pytest.raises(InputError, match="X: expected pictures of one size.*HandCropper"):
        ImageFiles(files, one_size=False)[:]
    with pytest.raises(InputError, match="X: expected pictures of one size.*HandCropper"):
        concat_frames([HandFrames(rgb=picture[None]) for picture in pictures]).rgb[:]
    with pytest.raises(InputError, match="one_size=False"):
        ImageFiles(files)[:]
