"""A fit that is killed again and again ends with the result of an unbroken one, bit by bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from skorch.callbacks import Callback
from smallest import KINDS, Y, rows_of, smallest
from trainings import assert_same_weights, weights

from skhand.exceptions import InputError, TrainingWarning

SCRIPT = Path(__file__).with_name("killed_fit.py")
NAMES = ("cross_modal_vae", "aligned_latent", "latent_heatmap", "sim_to_real")


def start(name, checkpoint, result):
    """Start a fit in a process of its own; one thread, so that both runs add numbers in the same order."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(SCRIPT), name, str(checkpoint), str(result)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def run_to_end(name, checkpoint, result):
    process = start(name, checkpoint, result)
    process.communicate()
    assert process.returncode == 0
    return dict(np.load(result))


def kill_once(name, checkpoint, result, delay):
    """Kill a fit so long after its first step; return whether it was still running."""
    process = start(name, checkpoint, result)
    line = process.stdout.readline()
    if line:
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def check_killed(name, folder, n_kills):
    """Compare a fit that was killed so many times with one that was not."""
    rng = np.random.default_rng(0)
    unbroken = run_to_end(name, "none", folder / "unbroken.npz")
    checkpoint, result = folder / "run.checkpoint", folder / "killed.npz"
    n_killed = sum(kill_once(name, checkpoint, result, rng.uniform(0, 0.5)) for _ in range(n_kills))
    killed = run_to_end(name, checkpoint, result)
    assert unbroken.keys() == killed.keys()
    for key, values in unbroken.items():
        np.testing.assert_array_equal(killed[key], values, err_msg=key)
    return n_killed


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("name", NAMES[:1])
def test_a_fit_that_was_killed_twice_equals_an_unbroken_one(name, tmp_path):
    assert check_killed(name, tmp_path, 2) == 2


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("name", NAMES)
def test_a_fit_that_was_killed_twenty_times_equals_an_unbroken_one(name, tmp_path):
    assert check_killed(name, tmp_path, 20) >= 10  # the last ones may find it finished


class FailAtStage(Callback):
    """Raise when the stage of this number begins."""

    def __init__(self, number):
        self.number = number

    def on_train_begin(self, net, **_):
        self.number -= 1
        if self.number == 0:
            raise OSError("the machine goes down")


@pytest.mark.parametrize("kind", ["aligned", "sim-to-real"])
@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_fit_that_ends_between_two_stages_goes_on_with_the_next(kind, number, tmp_path):
    checkpoint = tmp_path / "run.checkpoint"
    X, unbroken = rows_of(kind), smallest(kind, precision="float32").fit(rows_of(kind), Y)
    estimator = smallest(kind, precision="float32", checkpoint=checkpoint)
    if (kind, number) == ("sim-to-real", 4):  # which has three
        clone(estimator).fit(X, Y)
    else:
        with pytest.raises(OSError, match="goes down"):
            clone(estimator).set_params(callbacks=[FailAtStage(number)]).fit(X, Y)
    estimator.fit(X, Y)
    assert estimator.stage_ == unbroken.stage_
    assert not estimator.module_.training
    assert estimator.history_["stage"] == unbroken.history_["stage"]
    assert_same_weights(weights(estimator), weights(unbroken))
    np.testing.assert_array_equal(estimator.predict(X), unbroken.predict(X))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_a_fit_that_ended_gives_that_fit_again(kind, tmp_path):
    X, checkpoint = rows_of(kind), tmp_path / "run.checkpoint"
    whole = smallest(kind, checkpoint=checkpoint).fit(X, Y)
    again = smallest(kind, checkpoint=checkpoint).fit(X, Y)
    assert again.n_iter_ == whole.n_iter_
    assert {name for name in vars(again) if name[-1] == "_"} == {n for n in vars(whole) if n[-1] == "_"}
    for name in ("stage_", "space_", "n_steps_", "front_"):
        assert vars(again).get(name) == vars(whole).get(name), name
    np.testing.assert_array_equal(again.predict(X), whole.predict(X))


def test_a_warm_start_goes_on_from_a_file_that_is_not_finished_and_beyond_one_that_is(tmp_path):
    X, options = rows_of("cross-modal"), {"warm_start": True, "checkpoint": tmp_path / "run.checkpoint"}
    whole = smallest("cross-modal").fit(X, Y)
    estimator = smallest("cross-modal", **options, callbacks=[PressOnce(4)])
    with pytest.warns(TrainingWarning, match="interrupted"), pytest.raises(KeyboardInterrupt):
        estimator.fit(X, Y)
    estimator.fit(X, Y)
    assert estimator.n_iter_ == whole.n_iter_ == 2
    assert_same_weights(weights(estimator), weights(whole))
    estimator.fit(X, Y)
    assert estimator.n_iter_ == 4


def test_other_validation_targets_are_named(tmp_path):
    X, options = rows_of("cross-modal"), {"checkpoint": tmp_path / "run.checkpoint"}
    smallest("cross-modal", **options).fit(X, Y, X_val=X, y_val=Y)
    with pytest.raises(InputError, match="y_val was"):
        smallest("cross-modal", **options).fit(X, Y, X_val=X, y_val=Y + 1)


class PressOnce(Callback):
    """Press Ctrl-C in the batch of this number."""

    def __init__(self, number):
        self.number = number

    def on_batch_end(self, net, **_):
        self.number -= 1
        if self.number == 0:
            signal.raise_signal(signal.SIGINT)
