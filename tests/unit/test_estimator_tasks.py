"""The tasks that scikit-learn's callbacks are told of: fit, stages in it, epochs in those."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.callback import ProgressBar
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline
from skorch.callbacks import Callback
from smallest import KINDS, Y, rows_of, smallest
from trainings import assert_same_weights, interrupt, weights

pytestmark = pytest.mark.filterwarnings("ignore:stages. the stage 'posterior' has trained no epoch")

# epochs of each stage of the smallest estimators: max_epochs, or max_iter=4 in epochs of 2 steps
STAGES = {
    "cross-modal": {"": 2},
    "aligned": {"disentangle": 1, "align": 1, "finetune": 1, "refine": 2},
    "heatmap": {"": 2},
    "sim-to-real": {"pose": 2, "depth": 2, "posterior": 2},
}
STAGED = ("aligned", "sim-to-real")


class Diary:
    """A scikit-learn callback that writes down what it hears, and asks to stop at the end of one task."""

    def __init__(self, stops_at=None):
        self.stops_at = stops_at

    def setup(self, estimator, context):
        self.lines, self.fitted, self.n_ended = [], [], {}

    def on_fit_task_begin(self, estimator, context):
        self.lines.append(("begin", self.path(context), context.max_subtasks))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.lines.append(("end", self.path(context), context.max_subtasks))
        self.fitted.append((context.task_name, fitted_estimator))
        self.n_ended[context.task_name] = self.n_ended.get(context.task_name, 0) + 1
        return (context.task_name, self.n_ended[context.task_name]) == self.stops_at

    def teardown(self, estimator, context):
        pass

    def path(self, context):
        above = "" if context.parent is None else self.path(context.parent) + "/"
        return f"{above}{context.task_name}"


def lines_of(stages):
    """Return the lines of a diary on a fit of stages with so many epochs each; "" is no stage."""
    (first,) = list(stages)[:1]
    n_parts = len(stages) if first else stages[first]
    lines = [("begin", "fit", n_parts)]
    for stage, n_epochs in stages.items():
        within = f"fit/{stage}" if stage else "fit"
        part = [("begin", f"{within}/epoch", 0), ("end", f"{within}/epoch", 0)] * n_epochs
        if stage:
            part = [("begin", within, n_epochs), *part, ("end", within, n_epochs)]
        lines += part
    return [*lines, ("end", "fit", n_parts)]


@pytest.mark.parametrize("kind", KINDS)
def test_epochs_lie_in_stages_and_stages_in_the_fit(kind):
    diary = Diary()
    estimator = smallest(kind).set_callbacks(diary).fit(rows_of(kind), Y)
    assert diary.lines == lines_of(STAGES[kind])
    estimator.partial_fit(rows_of(kind), Y)
    assert diary.lines == lines_of({list(STAGES[kind])[-1]: 1})


class AtBatch(Callback):
    def __init__(self, diary):
        self.diary = diary

    def on_batch_begin(self, net, **_):
        self.diary.lines.append("batch")


@pytest.mark.parametrize("kind", ["cross-modal", "aligned"])
def test_an_epoch_begins_before_it_is_trained(kind):
    diary = Diary()
    smallest(kind, callbacks=[AtBatch(diary)]).set_callbacks(diary).fit(rows_of(kind), Y)
    lines = [line for line in diary.lines if line == "batch" or "epoch" in line[1]]
    told = [line if line == "batch" else line[0] for line in lines]
    assert told == ["begin", "batch", "batch", "batch", "end"] * sum(STAGES[kind].values())


@pytest.mark.parametrize("kind", STAGED)
@pytest.mark.parametrize("n_epochs", [1, 3])
def test_a_stop_at_an_epoch_stops_all_stages(kind, n_epochs):
    diary = Diary(("epoch", n_epochs))
    estimator = smallest(kind).set_callbacks(diary).fit(rows_of(kind), Y)
    in_order = [stage for stage, n in STAGES[kind].items() for _ in range(n)]
    assert estimator.history_["stage"] == in_order[:n_epochs]
    assert [line[1] for line in diary.lines[-2:]] == [f"fit/{in_order[n_epochs - 1]}", "fit"]


@pytest.mark.parametrize("kind", STAGED)
def test_a_stop_at_a_stage_stops_those_after_it(kind):
    first, *later = STAGES[kind]
    diary = Diary((first, 1))
    estimator = smallest(kind, warm_start=True).set_callbacks(diary).fit(rows_of(kind), Y)
    assert estimator.history_["stage"] == [first] * STAGES[kind][first]
    estimator.set_callbacks(diary := Diary()).fit(rows_of(kind), Y)
    assert diary.lines == lines_of({stage: STAGES[kind][stage] for stage in later})


def test_the_end_of_a_stage_brings_the_weights_that_the_next_one_starts_from():
    """With early stopping those are the best of the stage, which need not be the last."""
    X = rows_of("aligned")
    options = {"early_stopping": True, "n_iter_no_change": 2, "validation_fraction": 0.25, "lr": 0.05}
    options |= {"max_epochs": 6, "stages": ("disentangle", "align")}
    diary = Diary()
    smallest("aligned", **options).set_callbacks(diary).fit(X, Y)
    alone = smallest("aligned", **{**options, "stages": ("disentangle",)}).fit(X, Y)
    ((_, ended),) = [(name, fitted) for name, fitted in diary.fitted if name == "disentangle"]
    last = [fitted for name, fitted in diary.fitted if name == "epoch"][alone.n_iter_ - 1]
    np.testing.assert_array_equal(ended.predict(X), alone.predict(X))
    assert not np.array_equal(last.predict(X), ended.predict(X))


class InterruptAt(Callback):
    """Ctrl-C at the beginning of a batch, counted over all stages."""

    def __init__(self, number):
        self.number, self.n_batches = number, 0

    def on_batch_begin(self, net, **_):
        self.n_batches += 1
        if self.n_batches == self.number:
            interrupt(net)


@pytest.mark.parametrize(
    ("kind", "at_batch", "left"),
    [
        ("cross-modal", 5, {"": 1}),  # in the second epoch of two; epochs have 3 batches
        ("aligned", 8, {"finetune": 1, "refine": 2}),
        ("aligned", 14, {"refine": 1}),
        ("sim-to-real", 7, {"depth": 1, "posterior": 2}),  # epochs have 2 batches
    ],
)
def test_a_fit_that_goes_on_from_a_checkpoint_tells_of_what_is_left(kind, at_batch, left, tmp_path):
    X, options = rows_of(kind), {"checkpoint": tmp_path / "fit.ckpt"}
    first, second = Diary(), Diary()
    with pytest.raises(KeyboardInterrupt), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fit was interrupted")  # there is none where nothing was trained
        smallest(kind, callbacks=[InterruptAt(at_batch)], **options).set_callbacks(first).fit(X, Y)
    assert first.lines[-1][:2] == ("end", "fit")
    assert first.lines[-2][0] == "begin"  # the epoch that was cut short does not end
    estimator = smallest(kind, **options).set_callbacks(second).fit(X, Y)
    assert second.lines == lines_of(left)
    assert_same_weights(weights(estimator), weights(smallest(kind).fit(X, Y)))
    again = Diary()
    smallest(kind, **options).set_callbacks(again).fit(X, Y)
    assert again.lines == [("begin", "fit", 0), ("end", "fit", 0)]


def test_a_second_fit_that_goes_on_from_its_checkpoint_does_not_count_the_first_one(tmp_path):
    X, options = rows_of("cross-modal"), {"checkpoint": tmp_path / "fit.ckpt", "warm_start": True}
    estimator = smallest("cross-modal", max_epochs=3, **options).fit(X, Y)
    estimator.set_params(callbacks=[InterruptAt(5)])  # in the second epoch of this fit
    with pytest.raises(KeyboardInterrupt), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fit was interrupted")
        estimator.fit(X, Y)
    diary = Diary()
    rest = smallest("cross-modal", max_epochs=3, **options).set_callbacks(diary).fit(X, Y)
    assert rest.n_iter_ == 6
    assert diary.lines == lines_of({"": 2})


def test_a_stage_that_ended_by_itself_is_not_trained_again_after_a_stop_at_its_end():
    X = rows_of("aligned")
    options = {"early_stopping": True, "n_iter_no_change": 2, "validation_fraction": 0.25, "lr": 0.05}
    options |= {"max_epochs": 12, "stages": ("disentangle", "align"), "warm_start": True}
    estimator = smallest("aligned", **options).set_callbacks(Diary(("disentangle", 1))).fit(X, Y)
    n_first = estimator.n_iter_
    assert set(estimator.history_["stage"]) == {"disentangle"} and n_first < 12
    estimator.set_callbacks().fit(X, Y)
    assert set(estimator.history_["stage"][n_first:]) == {"align"}


@pytest.mark.parametrize("kind", STAGED)
def test_the_progress_bar_shows_a_bar_a_stage_inside_of_searches_and_pipelines(kind, capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LINES", "60")  # a bar that does not fit is left out
    X = rows_of(kind)
    smallest(kind).set_callbacks(ProgressBar()).fit(X, Y)
    shown = capsys.readouterr().out
    name = type(smallest(kind)).__name__
    bars = [line.split(" ━")[0].strip() for line in shown.splitlines() if line.strip()]
    assert bars == [f"{name} - fit", *(f"{name} - {stage} #{i}" for i, stage in enumerate(STAGES[kind]))]
    assert shown.count("100%") == 1 + len(STAGES[kind])
    folds = KFold(2, shuffle=True, random_state=0)  # both domains in each
    pipeline = Pipeline([("pose", smallest(kind))])
    search = GridSearchCV(pipeline, {"pose__lr": [1e-4]}, cv=folds, error_score="raise")
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, Y)
    shown = capsys.readouterr().out
    for i, stage in enumerate(STAGES[kind]):
        assert shown.count(f"{name} - {stage} #{i}") == 3  # two folds and the best one
