"""Pipelines from pictures, as a user calls them: what goes in, what their keywords reach, what errors say."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sklearn.pipeline import make_pipeline
from smallest import KINDS, X, Y, smallest

from skhand import HandFrames, ImageFiles
from skhand.datasets import make_scenes
from skhand.detection import HandDetector
from skhand.exceptions import InputError
from skhand.preprocessing import HandCropper, HandMirror


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two whole pictures of different sizes, with one hand each."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / "small.png", folder / "large.png"]
    for seed, (path, size) in enumerate(zip(paths, (128, 160), strict=True)):
        Image.fromarray(make_scenes(1, image_size=size, random_state=seed).data.rgb[0]).save(path)
    return paths


@pytest.mark.parametrize("kind", KINDS)
def test_whole_pictures_of_any_kind_and_size_go_through_a_pipeline(files, kind):
    options = {"source": "rgb"} if kind == "sim-to-real" else {}
    detector, cropper = HandDetector(0.0, max_hands=1), HandCropper(16)
    estimator = smallest(kind, augment=None, **options).fit(X, Y)
    pipe = make_pipeline(detector, cropper, estimator)
    names = {"target": "keypoints2d"} if kind == "heatmap" else {}  # places need no camera
    crops = cropper.transform(detector.transform([np.asarray(Image.open(path)) for path in files]))
    expected = estimator.predict(crops, **names)
    assert len(expected) == 2
    for pictures in (files, [str(path) for path in files], [Image.open(path) for path in files]):
        np.testing.assert_array_equal(pipe.predict(pictures, **names), expected)
    for one in (files[0], str(files[0]), Image.open(files[0]), ImageFiles(files[:1])):
        np.testing.assert_array_equal(pipe.predict(one, **names), expected[:1])
    np.testing.assert_array_equal(pipe.predict(ImageFiles(files, one_size=False), **names), expected)


def test_a_keyword_of_predict_reaches_the_keypoints():
    rows = X.replace(depth=None)
    estimator = smallest("heatmap", augment=None)
    pipe = make_pipeline(HandMirror(to="right"), HandCropper(16), estimator).fit(rows, Y)
    found = pipe.predict(rows, target="keypoints2d")
    np.testing.assert_array_equal(found, estimator.predict_keypoints(pipe[:-1].transform(rows)))
    assert found.shape == (len(rows), 21, 2)
    np.testing.assert_array_equal(pipe.predict(rows, target="pose3d"), pipe.predict(rows))
    with pytest.raises(InputError, match="^target: expected one of None, 'pose3d', 'keypoints2d', got 'rgb'"):
        pipe.predict(rows, target="rgb")
    with pytest.raises(InputError, match="^return_std: expected False for target='keypoints2d'"):
        pipe.predict(rows, target="keypoints2d", return_std=True)


def test_a_step_that_needs_a_table_says_how_pictures_become_one(files):
    for pictures in (files[0], files, Image.open(files[0]), ImageFiles(files[:1]), np.asarray(X.rgb)):
        with pytest.raises(InputError, match=r"^X: expected a HandFrames.*HandFrames\(rgb=.*HandDetector"):
            HandCropper(16).fit_transform(pictures)
    with pytest.raises(InputError, match="needs a HandFrames with box or keypoints2d or mask.*HandDetector"):
        HandCropper(16).fit_transform(HandFrames(rgb=ImageFiles(files[:1])))
