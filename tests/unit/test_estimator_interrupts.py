"""What is left where a training ends before a stage has trained anything."""

from __future__ import annotations

import signal
import threading

import numpy as np
import pytest
from skorch.callbacks import Callback
from smallest import Y, rows_of, smallest
from trainings import assert_same_weights, weights

from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor, SimToRealRegressor
from skhand.exceptions import DivergenceError, InputError


class PressAtValidation:
    """Pictures for validation, in whose first reading Ctrl-C is pressed: before the first step."""

    def __init__(self, pictures):
        self.pictures, self.shape, self.dtype, self.ndim = pictures, pictures.shape, pictures.dtype, 4
        self.pressed = False

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, rows):
        if not self.pressed and threading.current_thread() is threading.main_thread():
            self.pressed = True
            signal.raise_signal(signal.SIGINT)
        return self.pictures[rows]


@pytest.mark.parametrize("kind", ["cross-modal", "heatmap"])
def test_ctrl_c_before_the_first_step_leaves_an_estimator_as_it_was(kind):
    X, estimator = rows_of(kind), smallest(kind, early_stopping=True).fit(rows_of(kind), Y)
    before, answer = weights(estimator), estimator.predict(X)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, Y, X_val=rows_of(kind, PressAtValidation(np.asarray(X.rgb))), y_val=Y)
    assert not estimator.interrupted_
    assert_same_weights(weights(estimator), before)
    np.testing.assert_array_equal(estimator.predict(X), answer)


class TooFast(Callback):
    """Take a learning rate that diverges in the stage of this number."""

    def __init__(self, number):
        self.number = number

    def on_train_begin(self, net, **_):
        self.number -= 1
        if self.number == 0:
            for group in net.optimizer_.param_groups:
                group["lr"] = 1e12


@pytest.mark.parametrize("kind", ["aligned", "sim-to-real"])
def test_a_stage_that_diverges_at_once_leaves_the_stage_before_it(kind):
    options = {"max_epochs": 3} if kind == "aligned" else {"max_iter": 6}
    first = {"aligned": ("disentangle",), "sim-to-real": ("pose",)}[kind]
    alone = smallest(kind, stages=first, **options).fit(rows_of(kind), Y)
    estimator = smallest(kind, callbacks=[TooFast(2)], **options)
    with pytest.raises(DivergenceError):
        estimator.fit(rows_of(kind), Y)
    assert set(estimator.history_["stage"]) == set(first)
    assert estimator.stage_ == alone.stage_
    assert vars(estimator).get("space_") == vars(alone).get("space_")
    np.testing.assert_array_equal(estimator.predict(rows_of(kind)), alone.predict(rows_of(kind)))


def test_a_training_taken_up_from_a_file_keeps_its_epochs_when_it_diverges(tmp_path):
    X, options = rows_of("cross-modal"), {"checkpoint": tmp_path / "run.checkpoint", "max_epochs": 5}

    class Stop(Callback):
        def on_epoch_end(self, net, **_):
            if len(net.history) == 3:
                raise OSError("the machine goes down")

    with pytest.raises(OSError, match="goes down"):
        smallest("cross-modal", **options, callbacks=[Stop()]).fit(X, Y)
    estimator = smallest("cross-modal", **options, callbacks=[TooFast(1)])
    with pytest.raises(DivergenceError):
        estimator.fit(X, Y)
    assert estimator.n_iter_ == 2
    assert np.isfinite(estimator.predict(X)).all()


def test_ctrl_c_ends_the_fit_of_the_main_thread_only():
    X, done = rows_of("cross-modal"), []
    other = smallest("cross-modal", max_epochs=40)
    thread = threading.Thread(target=lambda: done.append(other.fit(X, Y)))

    class Press(Callback):
        def on_epoch_end(self, net, **_):
            if not thread.ident:
                thread.start()
            signal.raise_signal(signal.SIGINT)

    with pytest.warns(UserWarning, match="interrupted"), pytest.raises(KeyboardInterrupt):
        smallest("cross-modal", callbacks=[Press()]).fit(X, Y)
    thread.join()
    assert done
    assert other.n_iter_ == 40


def test_a_stage_without_its_domain_is_refused_by_name():
    X = rows_of("sim-to-real")
    estimator = smallest("sim-to-real", stages=("pose", "depth")).fit(X, Y)
    with pytest.raises(InputError, match="^stages: 'depth' needs rows of both domains"):
        estimator.partial_fit(X[:12], Y[:12])


def test_endless_hands_are_never_seen_twice_by_stages_of_other_lengths():
    seen = []

    class Poses(Callback):
        def on_batch_end(self, net, batch, **_):
            seen.extend(stream["pose3d"].numpy().copy() for stream in batch.values() if "pose3d" in stream)

    hands = make_hands(8, image_size=16, lazy=True, endless=True, images=("depth",), random_state=0)
    SimToRealRegressor(
        width=2, stages=("pose", "posterior"), max_iter=20, epoch_steps=15, batch_size=6, augment=None,
        given=("root",), callbacks=[Poses()],
    ).fit(hands.data)  # fmt: skip
    rows = np.concatenate(seen).reshape(-1, 63)
    assert len(rows) == 2 * 20 * 6
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_one_picture_is_read_once_in_bfloat16_too():
    hands, seen = make_hands(8, image_size=16, random_state=0), []

    class Counted(PressAtValidation):
        def __getitem__(self, rows):
            seen.append(np.size(np.arange(len(self))[rows]))
            return self.pictures[rows]

    estimator = CrossModalVAERegressor(backbone="small", max_epochs=1, predict_precision="bfloat16")
    estimator.fit(hands.data, hands.target)
    frames = hands.data.replace(rgb=Counted(np.asarray(hands.data.rgb)))
    assert estimator.predict(frames[:1]).shape == (1, 21, 3)
    assert sum(seen) == 1
