"""Estimators take paths and PIL pictures for X, where they have one size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from smallest import X, Y, smallest

from skhand import HandFrames, ImageFiles
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
        InputError, match=r"X: expected rgb of shape \(16, 16, 3\).*\(10, 20, 3\).*HandCropper.*HandTracker"
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


class Reader:
    """Lazy pictures that are read from memory, as from files."""

    def __init__(self, pictures):
        self.pictures, self.shape, self.dtype, self.ndim = (
            pictures,
            pictures.shape,
            pictures.dtype,
            pictures.ndim,
        )

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, rows):
        return self.pictures[rows]


@pytest.mark.parametrize(
    ("column", "wrong", "message"),
    [
        ("rgb", 7.0, "float pictures in 0 to 1"),
        ("rgb", np.nan, "finite pictures"),
        ("depth", -1.0, "0 or more"),
    ],
)
def test_the_last_lazy_picture_of_floats_is_checked_as_the_first(column, wrong, message):
    pictures = np.asarray(getattr(X, column), np.float32)
    pictures = pictures / (255 if column == "rgb" else 1)
    pairs = [(column, "pose3d")]
    estimator = smallest("cross-modal", given=(), pairs=pairs).fit(
        HandFrames(**{column: Reader(pictures)}), Y
    )
    pictures[-1, 0, 0] = wrong
    assert len(pictures) > 16  # what is looked at before anything is done
    table = HandFrames(**{column: Reader(pictures)})
    with pytest.raises(InputError, match=f"^X: expected .*{message}"):
        estimator.predict(table)
    assert np.isfinite(estimator.predict(table[:-1])).all()
    with pytest.raises(InputError, match=f"^X: expected .*{message}"):
        smallest("cross-modal", given=(), pairs=pairs).fit(table, Y)


def test_an_infinite_root_is_refused():
    with pytest.raises(InputError, match="^root: expected finite numbers"):
        X.replace(root=np.full((len(X), 3), np.inf))


def test_as_many_joints_are_visible_as_there_are():
    frames = X.replace(visible=np.ones((len(X), 20), bool))
    for kind in ("cross-modal", "heatmap"):
        with pytest.raises(InputError, match=r"^visible: expected an array of shape \(24, 21\)"):
            smallest(kind).fit(frames, Y)
