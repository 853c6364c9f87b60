"""Estimators take paths and PIL pictures for X, where they have one size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from smallest import X, Y, smallest

from skhand import ImageFiles
from skhand.exceptions import InputError


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{i:02d}.png" for i in range(len(X))]
    for path, picture in zip(paths, X.rgb, strict=True):
        Image.fromarray(picture).save(path)
    return paths


@pytest.fixture(scope="module")
def fitted():
    return smallest("cross-modal", given=()).fit(np.asarray(X.rgb), Y)


def test_files_and_pil_pictures_are_answered_as_arrays_are(files, fitted):
    expected = fitted.predict(np.asarray(X.rgb[:3]))
    for kind in (files[:3], [str(path) for path in files[:3]], [Image.open(f) for f in files[:3]]):
        np.testing.assert_array_equal(fitted.predict(kind), expected)
    np.testing.assert_array_equal(fitted.predict(ImageFiles(files[:3])), expected)
    for one in (files[0], str(files[0]), Image.open(files[0])):
        np.testing.assert_array_equal(fitted.predict(one), expected[:1])


def test_a_list_of_files_trains_as_the_array_does(files, fitted):
    again = smallest("cross-modal", given=()).fit(files, Y)
    assert again.source_ == "rgb"
    np.testing.assert_array_equal(again.predict(files[:2]), fitted.predict(files[:2]))


def test_pictures_that_do_not_fit_are_named(files, fitted, tmp_path):
    Image.new("RGB", (20, 10)).save(tmp_path / "wide.png")
    with pytest.raises(
        InputError, match=r"X: expected rgb of shape \(16, 16, 3\).*\(10, 20, 3\).*HandCropper"
    ):
        fitted.predict(tmp_path / "wide.png")
    with pytest.raises(InputError, match=r"wide\.png"):
        fitted.predict([files[0], tmp_path / "wide.png"])
    with pytest.raises(InputError, match="X: expected pictures of one size"):
        fitted.predict([Image.new("RGB", (16, 16)), Image.new("RGB", (20, 10))])
    with pytest.raises(InputError, match=r"X: .*none\.jpg"):
        fitted.predict("none.jpg")
    masks = smallest("cross-modal", given=(), source="depth").fit(np.asarray(X.depth), Y)
    with pytest.raises(InputError, match="X: files and PIL pictures are colour"):
        masks.predict(files)
