"""What a training says of itself: a line an epoch, and how long it will take."""

from __future__ import annotations

import re
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from skorch.callbacks import Callback
from smallest import KINDS, Y, rows_of, smallest

from skhand.exceptions import TrainingWarning
from skhand.training import _forecast, _loop, format_duration

pytestmark = pytest.mark.filterwarnings("ignore:stages. the stage 'posterior' has trained no epoch")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "0.012 s"), (3.2, "3.2 s"), (45, "45 s"), (119, "119 s"), (120, "2 min"), (725, "12 min"),
        (7199, "120 min"), (7200, "2 h"), (16500, "4.6 h"), (86400, "24 h"), (276480, "3.2 days"),
        (8_640_000, "100 days"),
    ],
)  # fmt: skip
def test_durations_are_short(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize("kind", KINDS)
def test_verbose_counts_epochs_seconds_and_the_time_left(kind, capsys):
    estimator = smallest(kind, verbose=True).fit(rows_of(kind), Y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == estimator.n_iter_
    numbers = [
        re.match(r"epoch (\d+)/(\d+)( \(\w+\))?: train_loss \S+, .* s, \S+ \w+ left$", line).groups()
        for line in lines
    ]
    by_stage = {}
    for done, total, stage in numbers:
        by_stage.setdefault(stage, []).append((int(done), int(total)))
    for counted in by_stage.values():
        assert counted == [(i, len(counted)) for i in range(1, len(counted) + 1)]
    assert all(
        line.endswith(", 0 s left")
        for line, (done, total, _) in zip(lines, numbers, strict=True)
        if done == total
    )


class Clock(Callback):
    """Every step takes 600 s of a clock that nothing else moves."""

    def __init__(self):
        self.now = 1000.0

    def on_batch_begin(self, net, **kwargs):
        self.now += 600.0

    def as_module(self):
        return SimpleNamespace(perf_counter=lambda: self.now, monotonic=lambda: self.now)


def test_a_long_training_says_so_up_front(monkeypatch):
    """3 steps an epoch, 12 of 10 minutes in all: after the second one 100 minutes are left."""
    clock, X = Clock(), rows_of("cross-modal")
    monkeypatch.setattr(_loop, "time", clock.as_module())
    with pytest.warns(
        TrainingWarning, match=r"^fit: at this speed the training takes another 100 min: 12 steps of 10 min"
    ) as seen:
        smallest("cross-modal", max_epochs=4, callbacks=[clock]).fit(X, Y)
    assert len([warning for warning in seen if "at this speed" in str(warning.message)]) == 1
    assert seen[0].filename == __file__


def test_a_short_training_does_not(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_loop, "time", clock.as_module())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "fit: at this speed")
        smallest("cross-modal", max_epochs=1, callbacks=[clock]).fit(rows_of("cross-modal"), Y)


@pytest.mark.parametrize(
    ("kind", "seconds", "text"),
    [
        (
            "aligned", {"disentangle": 20.0, "align": 200.0, "finetune": 2.0, "refine": 1000.0},
            "60 min ('disentangle' 20 s, 'align' 10 min, 'finetune' 6 s, 'refine' 50 min): 3 steps of 20 s"
        ),
        ("sim-to-real", {"pose": 11.0, "depth": 0.1, "posterior": 1000.0}, "67 min ('pose' "),
    ],
)  # fmt: skip
def test_stages_that_are_long_later_on_are_told_in_the_first(monkeypatch, kind, seconds, text):
    """Steps take what their stage says, those of the forecast too; what it trains leaves no trace."""
    now = [0.0]
    end_step = _loop.Loop._end_step

    def slowly(loop, terms):
        now[0] += seconds[loop.stage.name]
        end_step(loop, terms)

    options = {"max_epochs": 1} if kind == "aligned" else {"max_iter": 4}
    plain = smallest(kind, **options).fit(rows_of(kind), Y)
    clock = SimpleNamespace(perf_counter=lambda: now[0], monotonic=lambda: now[0])
    monkeypatch.setattr(_loop, "time", clock)
    monkeypatch.setattr(_forecast, "time", clock)
    monkeypatch.setattr(_loop.Loop, "_end_step", slowly)
    with pytest.warns(TrainingWarning, match="^fit: at this speed the training takes another") as seen:
        estimator = smallest(kind, **options).fit(rows_of(kind), Y)
    (told,) = [str(warning.message) for warning in seen if "at this speed" in str(warning.message)]
    assert text in told, told
    for name in set(plain.history_) - {"seconds", "stage"}:
        np.testing.assert_array_equal(estimator.history_[name], plain.history_[name])
    for one, other in zip(estimator.module_.parameters(), plain.module_.parameters(), strict=True):
        assert bool((one == other).all())
