"""Bars of long work: on a terminal, with the time left, and nowhere else."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
import threading

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import GridSearchCV
from smallest import X, Y, smallest

from skhand import HandFrames, ImageFiles, _progress
from skhand.cli._shared import EpochBar
from skhand.datasets import load_rhd, make_hands, make_scenes, save_folder, save_rhd
from skhand.detection import HandDetector
from skhand.tracking import HandTracker

HANDS = make_hands(4, image_size=64, random_state=0)


class Terminal(io.StringIO):
    """Text that is written to a terminal."""

    def isatty(self):
        return True


def shown_on_a_terminal(function, *arguments, delay=0.0):
    """Text that a call writes to a terminal."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(Terminal()) as terminal:
        patch.setattr(_progress, "_DELAY", delay)
        function(*arguments)
    return terminal.getvalue()


@pytest.fixture(scope="module")
def fitted():
    return smallest("cross-modal", augment=None).fit(X, Y)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for i, picture in enumerate(HANDS.data.rgb):
        Image.fromarray(picture).save(folder / f"{i}.png")
    return folder


def save_anew(files):
    """Save the hands into a folder that goes away."""
    with tempfile.TemporaryDirectory(dir=files.parent) as folder:
        save_folder(HandFrames(rgb=HANDS.data.rgb), None, folder)


WORK = {
    "predicting": (lambda fitted, files: fitted.predict(X), "CrossModalVAERegressor"),
    "rendering": (lambda fitted, files: make_hands(3, image_size=16, random_state=0), "rendering"),
    "posing": (lambda fitted, files: make_hands(3, images=(), random_state=0), "poses"),
    "scenes": (lambda fitted, files: make_scenes(1, image_size=64, random_state=0), "rendering"),
    "reading": (lambda fitted, files: ImageFiles(files)[:], "reading"),
    "detecting": (lambda fitted, files: HandDetector().predict(files / "0.png"), "detecting"),
    "fitting": (
        lambda fitted, files: smallest("cross-modal").set_callbacks(EpochBar(2)).fit(X, Y),
        "fitting",
    ),
    "saving": (lambda fitted, files: save_anew(files), "writing"),
    "tracking": (lambda fitted, files: HandTracker().predict([files / "0.png"]), "hands"),
}


@pytest.mark.parametrize("work", WORK)
def test_long_work_shows_a_bar_and_the_time_left_on_a_terminal(fitted, files, work):
    function, what = WORK[work]
    shown = shown_on_a_terminal(function, fitted, files)
    assert re.search(rf"{what}: +0%.* 0/\d+ \[00:00<\?", shown)
    assert shown.rsplit("\r", 2)[1].strip() == ""  # wiped out


def test_data_sets_are_written_cached_and_loaded_with_bars(tmp_path):
    def write_and_load():
        save_rhd(HANDS.data, HANDS.target, tmp_path / "rhd", split="test")
        load_rhd(tmp_path / "rhd", split="test", hand="larger", cache=tmp_path / "cache")

    shown = shown_on_a_terminal(write_and_load)
    for what in ("writing:.* 0/4", "masks:.* 0/4", "writing rgb.npy:.* 0/1"):
        assert re.search(what, shown), what


def test_short_work_and_pipes_stay_silent(monkeypatch, capsys, fitted, files):
    for function, _ in WORK.values():
        assert shown_on_a_terminal(function, fitted, files, delay=60.0) == ""
    monkeypatch.setattr(_progress, "_DELAY", 0.0)
    for function, _ in WORK.values():
        function(fitted, files)
    assert "".join(capsys.readouterr()) == ""


def test_a_fit_tells_of_itself_and_another_thread_of_nothing(files):
    def fit_and_read():
        estimator = smallest("cross-modal", early_stopping=True, validation_fraction=0.3)
        estimator.fit(sorted(files.glob("*.png")), HANDS.target)
        thread = threading.Thread(target=lambda: np.asarray(ImageFiles(files)))
        thread.start()
        thread.join()

    assert shown_on_a_terminal(fit_and_read) == ""


def test_a_search_shows_what_its_scores_predict():
    search = GridSearchCV(smallest("cross-modal", augment=None), {"beta": [1e-4, 1e-3]}, cv=2, refit=False)
    shown = shown_on_a_terminal(search.fit, X, Y)
    assert shown.count("CrossModalVAERegressor:   0%") == 4 * 2  # encoding and decoding of each test fold
