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
from smallest import Y, rows_of, smallest
from trainings import assert_same_weights, weights

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
@pytest.mark.parametrize("number", [2, 3])
def test_a_fit_that_ends_between_two_stages_goes_on_with_the_next(kind, number, tmp_path):
    checkpoint = tmp_path / "run.checkpoint"
    X, unbroken = rows_of(kind), smallest(kind, precision="float32").fit(rows_of(kind), Y)
    estimator = smallest(kind, precision="float32", checkpoint=checkpoint)
    with pytest.raises(OSError, match="goes down"):
        clone(estimator).set_params(callbacks=[FailAtStage(number)]).fit(X, Y)
    estimator.fit(X, Y)
    assert estimator.history_["stage"] == unbroken.history_["stage"]
    assert_same_weights(weights(estimator), weights(unbroken))
    np.testing.assert_array_equal(estimator.predict(X), unbroken.predict(X))
