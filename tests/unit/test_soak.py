"""Many fits and predictions in one process: memory, files and threads stay what they were.

The figures are printed; ``pytest -m slow -s tests/unit/test_soak.py`` shows them.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from smallest import KINDS, Pictures, Y, image_of, rows_of, smallest

from skhand.persistence import load, save

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
    pytest.mark.filterwarnings("ignore:stages. the stage 'posterior' has trained no epoch"),
]


def measure():
    """Return resident memory (MB), open files and threads of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    threads = len(os.listdir("/proc/self/task"))
    memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return memory, len(os.listdir("/proc/self/fd")), threads, threading.active_count()


def cycle(number, folder):
    """Fit, predict, save, load and predict again: another estimator each time, half of them lazily."""
    kind = KINDS[number % len(KINDS)]
    pictures = np.asarray(getattr(rows_of(kind), image_of(kind)))
    X = rows_of(kind, Pictures(pictures) if number % 8 < 4 else pictures)
    options = {"checkpoint": folder / f"{number}.ckpt"} if number % 3 == 0 else {}
    estimator = smallest(kind, n_jobs=number % 3, random_state=number, **options).fit(X, Y)
    predicted = estimator.predict(X)
    save(estimator, folder / "it.safetensors")
    np.testing.assert_array_equal(load(folder / "it.safetensors").predict(X), predicted)


def test_two_hundred_fits_leave_memory_files_and_threads_as_they_were(tmp_path):
    figures = []
    for number in range(200):
        cycle(number, tmp_path)
        if number % 20 == 19:
            figures.append(measure())
            print(number + 1, *(f"{figure:g}" for figure in figures[-1]))
    memory, files, threads, python_threads = np.array(figures).T
    assert memory[-1] - memory[1] < 0.02 * memory[1], memory  # from cycle 40 on
    assert len(set(files[1:])) == len(set(threads[1:])) == len(set(python_threads[1:])) == 1, figures


def test_a_search_of_fifty_candidates_leaves_memory_files_and_threads_as_they_were():
    figures = []
    for _ in range(2):
        search = GridSearchCV(
            smallest("cross-modal", max_epochs=1, variant=1),
            {"beta": np.geomspace(1e-6, 1e-2, 10), "latent_dim": [2, 3, 4, 5, 6]},
            cv=2,
            error_score="raise",
        )
        search.fit(rows_of("cross-modal"), Y)
        assert len(search.cv_results_["params"]) == 50 and np.isfinite(search.best_score_)
        del search
        figures.append(measure())
        print(*(f"{figure:g}" for figure in figures[-1]))
    assert figures[1][0] - figures[0][0] < 0.02 * figures[0][0], figures
    assert figures[1][1:] == figures[0][1:], figures
