"""Predictions in one thread while another one trains the same object."""

from __future__ import annotations

import functools
import pickle
import threading
import time

import numpy as np
import pytest
from skorch.callbacks import Callback
from smallest import KINDS, Y, rows_of, smallest
from trainings import assert_same_weights, weights

pytestmark = pytest.mark.filterwarnings("ignore:stages. the stage 'posterior' has trained no epoch")
METHOD = {
    "heatmap": "_points",
    "sim-to-real": "_posterior",
    "cross-modal": "_posterior",
    "aligned": "_posterior",
}


@functools.cache
def _fitted(kind):
    return pickle.dumps(smallest(kind).fit(rows_of(kind), Y))


def fitted(kind):
    return pickle.loads(_fitted(kind))


class Meanwhile(Callback):
    """Predict in another thread from the first batch on; the training goes on when networks are in use."""

    def __init__(self, predict):
        self.predict, self.thread, self.inside = predict, None, threading.Event()

    def on_batch_begin(self, net, **kwargs):
        if self.thread is None:
            self.thread = threading.Thread(target=self.predict)
            self.thread.start()
            assert self.inside.wait(5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prediction_meanwhile_changes_nothing_of_a_training(kind):
    """Its networks are in evaluation mode for a tenth of a second, in which steps would be trained else."""
    X, wanted, estimator = rows_of(kind), fitted(kind).partial_fit(rows_of(kind), Y), fitted(kind)
    answers = []
    meanwhile = Meanwhile(lambda: answers.append(estimator.predict(X)))

    def slow(module, arguments):
        if threading.current_thread() is meanwhile.thread and not meanwhile.inside.is_set():
            meanwhile.inside.set()
            time.sleep(0.1)

    layer = next(
        iter(estimator.module_.modules() if kind != "aligned" else estimator.module_.encoders.modules())
    )
    for part in layer.modules():  # hooks, which copies of the networks keep
        part.register_forward_pre_hook(slow)
    estimator.set_params(callbacks=[meanwhile]).partial_fit(X, Y)
    meanwhile.thread.join()
    assert meanwhile.inside.is_set() and np.isfinite(answers[0]).all()
    assert_same_weights(weights(wanted), weights(estimator))
    np.testing.assert_array_equal(wanted.predict(X), estimator.predict(X))


def test_many_predictions_meanwhile_change_nothing():
    X, estimator, wanted = rows_of("cross-modal"), fitted("cross-modal"), fitted("cross-modal")
    ended, answers = threading.Event(), []

    def predict():
        while not ended.is_set():
            answers.append(estimator.predict(X[:4]))
            pickle.dumps(estimator)

    threads = [threading.Thread(target=predict) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        estimator.partial_fit(X, Y)
        wanted.partial_fit(X, Y)
    ended.set()
    for thread in threads:
        thread.join()
    assert len(answers) and np.isfinite(answers).all()
    assert_same_weights(weights(wanted), weights(estimator))
