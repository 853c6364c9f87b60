"""Arguments of estimators, splitters, the detector and the tracker that are refused by name."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from PIL import Image
from smallest import Y, rows_of, smallest

from skhand.detection import HandDetector
from skhand.estimators import CrossModalVAERegressor, LatentHeatmapRegressor
from skhand.exceptions import InputError
from skhand.model_selection import LabelledKFold
from skhand.tracking import Hands, HandTracker

SHAPES = {"joints": (21, 3), "keypoints": (21, 2), "score": (), "box": (4,), "camera": (3, 3)}
FLOATS = np.full((2, 8, 8, 3), 0.5)
MASKED = np.ma.masked_array(FLOATS, np.zeros(FLOATS.shape, bool))
MASKED[0, 0, 0, 0] = np.ma.masked


@functools.cache
def fitted():
    return smallest("cross-modal", max_epochs=1).fit(rows_of("cross-modal"), Y)


def refused(name):
    return pytest.raises(InputError, match=rf"^{name}")


@pytest.mark.parametrize("entry", ["0.5", 0.5 + 1j, None])
def test_latent_vectors_are_numbers(entry):
    with refused("Z"):
        fitted().inverse_transform(np.full((2, len(fitted().latent_mean_)), entry))


def test_a_number_beyond_every_float_is_named():
    with refused("Z"):
        fitted().inverse_transform(10**400)
    with refused("X"):
        fitted().predict(10**400)
    with refused("y"):
        fitted().score(rows_of("cross-modal"), np.full(Y.shape, 1e300))


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("root", -1),
        ("beta", 10**30),
        ("beta", 10**400),
        ("pair_weights", np.array("abc")),
        ("pair_weights", [[1.0], [1.0, 2.0]]),
    ],
)
def test_a_parameter_is_refused_before_any_work(parameter, value):
    with refused(parameter):
        CrossModalVAERegressor(**{parameter: value}).fit(rows_of("cross-modal"), Y)


@pytest.mark.parametrize("lr", [np.inf, "abc", 10**30])
def test_from_pretrained_refuses_what_fit_would(lr):
    with refused("lr"):
        LatentHeatmapRegressor.from_pretrained(lr=lr)


@pytest.mark.parametrize("name", ["aligned", "sim-to-real"])
def test_a_rate_beyond_every_float_is_named(name):
    with refused("lr"):
        smallest(name, lr=10**400).fit(rows_of(name), Y)


@pytest.mark.parametrize("parameter", ["min_cutoff", "beta"])
def test_a_setting_of_the_tracker_beyond_every_float_is_named(parameter):
    with refused(parameter):
        HandTracker(**{parameter: 10**400}).predict(FLOATS[:1])


def test_times_beyond_every_float_are_named():
    with refused("fps"):
        next(HandTracker().predict_video(iter(FLOATS), fps=10**400))
    with refused("time"):
        HandTracker().track(FLOATS[0], time=10**400)


@pytest.mark.parametrize("names", [np.array("a"), [["a"], ["b", "c"]], ["a", 3]])
def test_names_of_pictures_are_texts(tmp_path, names):
    with refused("names"):
        _hands().to_csv(tmp_path / "hands.csv", names=names)


def test_huge_numbers_of_samples_are_named():
    X = rows_of("cross-modal")[:2]
    with refused("n_samples"):
        fitted().sample(10**30)
    with refused("n_samples"):
        fitted().sample_posterior(X, n_samples=10**30)
    with refused("n_steps"):
        fitted().interpolate(X, X, n_steps=10**30)
    with refused("target"):
        fitted().sample(target=[None])


def test_what_a_splitter_cannot_read_is_named():
    for y in (10**400, torch.ones(2, 1, requires_grad=True), np.array([["1"], ["2"]]), [[None], [1.0]]):
        with refused("y: "):
            list(LabelledKFold(2).split(FLOATS, y))
    with refused("groups: "):
        list(LabelledKFold(2).split(FLOATS, np.zeros((2, 1)), torch.ones(2, requires_grad=True)))
    with refused("groups: .*by y"):
        list(LabelledKFold(2).split(FLOATS, np.full((2, 1), np.nan), ["a", "b"]))


def test_a_splitter_takes_masked_targets_for_unlabelled():
    y = np.ma.masked_array(np.ones((4, 1)), [[True], [True], [False], [False]])
    for _, test in LabelledKFold(2).split(np.zeros((4, 1)), y):
        assert (test >= 2).sum() == 1


def test_more_hands_than_a_picture_holds_are_named():
    with refused("max_hands"):
        HandDetector(max_hands=10**30).fit(FLOATS)
    with refused("max_hands"):
        HandTracker(Nothing(), max_hands=10**30).predict(FLOATS)


@pytest.mark.parametrize(
    "X",
    [np.array(3.5), torch.ones(2, 8, 8, 3, requires_grad=True), MASKED, np.full((2, 8, 8, 3), np.inf)],
    ids=type,
)
def test_the_detector_names_what_it_cannot_read(X):
    for method in (HandDetector().fit, HandDetector().transform):
        with refused("X"):
            method(X)


def test_the_detector_takes_tensors():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    one, other = (HandDetector(0.0).predict(X) for X in (pictures, torch.tensor(pictures)))
    for boxes, same in zip(one, other, strict=True):
        np.testing.assert_array_equal(boxes, same)


class Nothing:
    """Sees no hand."""

    def transform(self, pictures):
        raise AssertionError


def tracker():
    return HandTracker(Nothing(), LatentHeatmapRegressor.from_pretrained())


def test_the_tracker_names_masked_pictures_and_the_frame():
    with refused("pictures"):
        tracker().predict(MASKED)
    with refused("frame"):
        tracker().track(MASKED[0])
    with refused(r"frames\[0\]: "):
        next(tracker().predict_video([np.full((8, 8, 3), np.nan)]))
    with refused("frames"):
        next(tracker().predict_video(np.array(3.5)))


@pytest.mark.parametrize("rows", [False, None, [[1.0], [1.0, 2.0]], "abc"])
def test_rows_of_hands_are_named(rows):
    with refused("rows"):
        _hands()[rows]


def test_a_line_wider_than_any_picture_is_named():
    with refused("width"):
        _hands().draw(width=10**30)
    assert isinstance(_hands()[[0]].draw(width=2.0), Image.Image)


def _hands():
    rows = {name: np.zeros((2, *shape)) for name, shape in SHAPES.items()}
    sides = np.array(["left", "right"])
    return Hands(**rows, side=sides, picture=np.zeros(2, int), camera_source=sides, pictures=(FLOATS[0],))
