"""SimToRealRegressor while it trains: steps and epochs, going on, interrupts, stopping, searches."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from trainings import AtEpoch, assert_same_weights, interrupt, weights

from skhand import concat_frames
from skhand.datasets import make_hands
from skhand.estimators import SimToRealRegressor
from skhand.exceptions import TrainingWarning
from skhand.metrics import mean_epe
from skhand.training import Batches

N, SIZE = 12, 16
STAGES = ("pose", "depth", "posterior")
STEPS = {"pose": 7, "depth": 5, "posterior": 6}  # in epochs of 3: 3 3 1, 3 2, 3 3
EPOCHS = [*["pose"] * 3, *["depth"] * 2, *["posterior"] * 2]


@pytest.fixture(scope="module")
def hands():
    """Frames of both domains, and poses that are NaN for three quarters of the real ones."""
    settings = {"image_size": SIZE, "images": ("depth",), "random_state": 0}
    synthetic, real = make_hands(N, **settings), make_hands(N, domain="real", **settings)
    y = np.concatenate([synthetic.target, real.target])
    y[N + N // 4 :] = np.nan
    return concat_frames([synthetic.data, real.data]), y


def small(**options):
    settings = {
        "width": 1, "max_iter": STEPS, "epoch_steps": 3, "lr": 2e-3, "batch_size": 4, "given": ("root",),
        "augment": None, "random_state": 0,
    }  # fmt: skip
    return SimToRealRegressor(**{**settings, **options})


class Watches(Callback):
    """Remembers betas and moments at the start of each epoch, and batches and the rate of each."""

    def __init__(self):
        self.rates, self.moments, self.batches, self.groups = [], [], [], []

    def on_epoch_begin(self, net, **kwargs):
        self.groups.append(net.optimizer_.param_groups[0])
        states = net.optimizer_.state_dict()["state"].values()
        self.moments.append({float(state["step"]) for state in states})
        self.batches.append([])

    def on_batch_begin(self, net, batch, **kwargs):
        self.rates.append(net.optimizer_.param_groups[0]["lr"])
        self.batches[-1].append([len(next(iter(columns.values()))) for columns in batch.values()])


# ---------------------------------------------------------------- steps and epochs


@pytest.mark.parametrize(("n_steps", "lengths"), [(7, [3, 3, 1]), (6, [3, 3]), (1, [1])])
def test_an_epoch_is_of_so_many_steps_and_the_last_one_fewer(hands, n_steps, lengths):
    watch = Watches()
    estimator = small(stages=("pose",), max_iter=n_steps, callbacks=[watch]).fit(*hands)
    assert [len(batches) for batches in watch.batches] == lengths
    assert estimator.n_steps_["pose"] == n_steps and estimator.n_iter_ == len(lengths)
    assert SimToRealRegressor().epoch_steps == 1000


def test_batches_run_on_through_their_shuffles_and_begin_anywhere():
    columns = {"id": np.arange(5)}
    batches = Batches(
        lambda _: columns, {"all": np.arange(5), "one": np.arange(3, 4)}, {"all": {"id"}, "one": {"id"}}, 2,
        [0], torch.device("cpu"), smallest=1,
    )  # fmt: skip
    steps = list(batches.iterate(0, 17))
    assert len(steps) == 17 and len(batches) == 3
    seen = np.concatenate([step["all"]["id"] for step in steps])
    for start in range(0, 30, 5):  # every permutation is finished before the next begins
        assert set(seen[start : start + 5].tolist()) == set(range(5))
    assert {tuple(step["one"]["id"].tolist()) for step in steps} == {(3,)}
    for start in (3, 10):
        later = [step["all"]["id"].tolist() for step in batches.iterate(start, 17)]
        assert later == [step["all"]["id"].tolist() for step in steps[start:]]


def test_each_stage_runs_its_own_steps_rates_and_batches(hands):
    X, y = hands
    watch = Watches()
    rates = {"pose": 1e-3, "depth": 2e-3, "posterior": 3e-3}
    sizes = {"pose": 8, "depth": 1, "posterior": 5}
    estimator = small(lr=rates, batch_size=sizes, callbacks=[watch]).fit(X, y)
    assert estimator.history_["stage"] == EPOCHS and estimator.n_iter_ == 7
    assert estimator.n_steps_ == STEPS
    assert [len(batches) for batches in watch.batches] == [3, 3, 1, 3, 2, 3, 3]
    assert watch.rates == [rates[stage] for stage in STAGES for _ in range(STEPS[stage])]
    assert {(group["betas"], group["weight_decay"]) for group in watch.groups} == {((0.5, 0.999), 1e-4)}
    # streams: labelled poses; then synthetic (all labelled), real, labelled real (three rows)
    first = [batches[0] for batches in watch.batches]
    assert first[0] == [8] and first[3] == [1, 1, 1] and first[5] == [5, 5, 3]
    assert watch.moments[0] == watch.moments[3] == watch.moments[5] == set()  # a new optimiser each
    assert watch.moments[4] == {3.0}


def test_history_has_nan_for_other_stages_terms_and_adds_up(hands):
    history = small().fit(*hands).history_
    terms = {
        "pose": ["pose", "pose_kl"],
        "depth": [
            "reconstruction", "kl", "cycle", "cycle_kl", "adversarial", "map", "map_picture",
            "discriminator", "feature",
        ],
        "posterior": ["posterior", "posterior_feature"],
    }  # fmt: skip
    for stage, names in terms.items():
        for name in names:
            np.testing.assert_array_equal(np.isfinite(history[name]), np.array(EPOCHS) == stage, name)
    names = [name for each in terms.values() for name in each]
    total = np.nansum([history[name] for name in names], axis=0)
    np.testing.assert_allclose(total, history["train_loss"], rtol=1e-6)
    measured = {name for name in history if name.endswith("_gradient")}
    mains = {"pose", "reconstruction", "discriminator", "posterior"}
    assert measured == {f"{name}_gradient" for name in set(names) - mains}
    assert all(np.nanmin(history[name]) > 0 for name in measured)


# ---------------------------------------------------------------- going on


@pytest.mark.parametrize("n_epochs", [1, 3, 4, 6])
def test_an_interrupted_fit_is_usable_and_resumes_at_its_stage(hands, n_epochs):
    X, y = hands
    options = {"warm_start": True, "lr_schedule": "cosine"}
    estimator = small(**options, callbacks=[AtEpoch(n_epochs, interrupt)])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, y)
    assert estimator.n_iter_ == n_epochs
    assert estimator.stage_ == estimator.history_["stage"][-1] == EPOCHS[n_epochs - 1]
    before = estimator.predict(X)
    assert np.isfinite(before).all()
    estimator = pickle.loads(pickle.dumps(estimator.set_params(callbacks=None)))
    np.testing.assert_array_equal(estimator.predict(X), before)
    watch, whole = Watches(), Watches()
    estimator.set_params(callbacks=[watch]).fit(X, y)
    assert estimator.history_["stage"] == EPOCHS and estimator.n_steps_ == STEPS
    small(**options, callbacks=[whole]).fit(X, y)
    np.testing.assert_allclose(watch.rates, whole.rates[-len(watch.rates) :])
    cosines = [1 + np.cos(np.pi * step / STEPS[stage]) for stage in STAGES for step in range(STEPS[stage])]
    np.testing.assert_allclose(whole.rates, 2e-3 / 2 * np.array(cosines))  # from step to step, not by epoch
    assert watch.moments == whole.moments[n_epochs:]


def test_an_interrupt_within_an_epoch_repeats_it_and_counts_it_once(hands):
    class InDepth(Callback):
        def on_batch_begin(self, net, **kwargs):
            if estimator.stage_ == "depth" and len(net.history) == 2:
                raise KeyboardInterrupt

    estimator = small(warm_start=True, callbacks=[InDepth()])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(*hands)
    assert estimator.n_steps_ == {"pose": 7, "depth": 3, "posterior": 0}
    estimator.set_params(callbacks=None).fit(*hands)
    assert estimator.n_steps_ == STEPS and estimator.history_["stage"] == EPOCHS


def test_stages_can_be_added_with_another_supervision_and_the_last_repeated(hands):
    X, y = hands
    first = small(stages=STAGES[:2], warm_start=True).fit(X, y)
    shared = weights(first)
    for supervision, front in (("synthetic", ("synthetic",) * 2), ("all", ("synthetic", "real"))):
        more = copy.deepcopy(first).set_params(stages=STAGES, supervision=supervision).fit(X, y)
        assert more.history_["stage"] == EPOCHS and tuple(more.front_.values()) == front
        for name, value in weights(more).items():
            moves = name.startswith(("fronts.", "trunk.", "posterior_end."))
            # the real front layers have no part in learning from synthetic labels alone
            moves = moves and not (supervision == "synthetic" and name.startswith("fronts.real"))
            assert torch.equal(value, shared[name]) != moves, name
    again = more.set_params(max_iter={"posterior": 4}).fit(X, y)
    assert again.n_steps_ == {**STEPS, "posterior": 10}
    cold = again.set_params(warm_start=False, max_iter=STEPS).fit(X, y)
    assert_same_weights(weights(cold), weights(small().fit(X, y)))


class Fronts(Callback):
    """Remembers before each step of the posterior whether both domains' front layers are the same."""

    def __init__(self):
        self.same = []

    def on_batch_end(self, net, **kwargs):
        fronts = net.module_.fronts.state_dict()
        own = {name: value for name, value in fronts.items() if name.startswith("real")}
        self.same.append(
            all(torch.equal(v, fronts[name.replace("real", "synthetic")]) for name, v in own.items())
        )


@pytest.mark.parametrize("n_real", [0, 3])
def test_posterior_start_shares_the_front_layers_for_half_of_the_stage(hands, n_real):
    X, y = hands
    y = y.copy()
    y[N + n_real :] = np.nan
    first = small(stages=STAGES[:2], warm_start=True).fit(X, y)
    seen = {}
    for start, together in (("own", 0), ("synthetic", 3)):  # of 6 steps
        watch = Fronts()
        fitted = copy.deepcopy(first).set_params(stages=STAGES, posterior_start=start, callbacks=[watch])
        fitted.fit(X, y)
        assert watch.same == [True] * together + [False] * (6 - together)
        assert fitted.front_ == {"synthetic": "synthetic", "real": "real"}
        seen[start] = np.array(fitted.history_["posterior_feature"])[-2:]
    assert (seen["own"] > 0).all() and np.isnan(seen["synthetic"][0]) and seen["synthetic"][1] > 0
    halves = [Fronts(), Fronts()]  # and half is half of the stage, however often it is interrupted
    fitted = copy.deepcopy(first).set_params(stages=STAGES, posterior_start="synthetic")
    with pytest.raises(KeyboardInterrupt):
        fitted.set_params(callbacks=[halves[0], AtEpoch(1, interrupt)]).fit(X, y)
    fitted.set_params(callbacks=[halves[1]]).fit(X, y)
    assert [half.same for half in halves] == [[True] * 3, [False] * 3]


def test_posterior_start_leaves_the_real_front_alone_where_no_synthetic_one_learns(hands):
    watch = Fronts()
    first = small(stages=STAGES[:2], warm_start=True, supervision="real").fit(*hands)
    first.set_params(stages=STAGES, posterior_start="synthetic", callbacks=[watch]).fit(*hands)
    assert watch.same == [False] * 6


def test_posterior_start_goes_on_from_a_checkpoint_to_the_same_weights(hands, tmp_path):
    options = {"posterior_start": "synthetic", "checkpoint": tmp_path / "fit"}
    with pytest.raises(KeyboardInterrupt):
        small(**options, callbacks=[AtEpoch(6, interrupt)]).fit(*hands)
    on = small(**options).fit(*hands)
    assert_same_weights(weights(on), weights(small(posterior_start="synthetic").fit(*hands)))


def test_partial_fit_is_at_most_an_epoch_and_at_most_a_pass(hands):
    X, y = hands
    estimator = small(batch_size=12)  # a pass through 15 labelled rows is two steps, one through 12 one
    for _ in range(14):
        estimator.partial_fit(X, y)
    stages = [*["pose"] * 4, *["depth"] * 5, *["posterior"] * 5]
    assert estimator.history_["stage"] == stages
    assert estimator.n_steps_ == {"pose": 7, "depth": 5, "posterior": 5}
    estimator.set_params(batch_size=1).partial_fit(X, y)
    assert estimator.n_steps_["posterior"] == 6
    estimator.partial_fit(X, y)  # all stages are through: the last one goes on
    assert estimator.n_steps_["posterior"] == 9
    steps = {float(moments["step"]) for moments in estimator._optimizer_state["state"].values()}
    assert steps == {9.0}
    later = X[N:], y[N:]  # rows of one domain only: "depth" is not needed again
    assert small(max_iter=1).fit(X, y).partial_fit(*later).n_steps_["posterior"] == 2


def test_after_a_finished_descent_partial_fit_goes_on_with_the_whole_rate(hands):
    watch = Watches()
    estimator = small(lr_schedule="cosine").fit(*hands)
    for _ in range(3):
        before = weights(estimator)
        estimator.set_params(callbacks=[watch]).partial_fit(*hands)
        moved = [name for name, value in weights(estimator).items() if not torch.equal(value, before[name])]
        assert {name.split(".")[0] for name in moved} == {"fronts", "trunk", "posterior_end"}
    assert estimator.n_steps_["posterior"] == 15 and watch.rates == [2e-3] * 9
    within = Watches()  # and within a stage it follows the descent
    estimator = small(lr_schedule="cosine", callbacks=[within])
    for _ in range(2):
        estimator.partial_fit(*hands)
    np.testing.assert_allclose(within.rates, [1e-3 * (1 + np.cos(np.pi * step / 7)) for step in range(6)])


def test_nothing_goes_back_to_a_stage_before_the_one_begun_last(hands):
    estimator = small(max_iter=1)
    for _ in range(2):
        estimator.partial_fit(*hands)
    assert estimator.history_["stage"] == ["pose", "depth"]
    estimator.set_params(max_iter=2).partial_fit(*hands)
    assert estimator.n_steps_ == {"pose": 1, "depth": 2, "posterior": 0}
    estimator.set_params(max_iter=3, warm_start=True).fit(*hands)
    assert estimator.history_["stage"] == ["pose", *["depth"] * 3, "posterior"]
    assert estimator.n_steps_ == {"pose": 1, "depth": 3, "posterior": 3}


@pytest.mark.parametrize(("n_stages", "moved"), [(1, 2), (2, 8), (3, 3)])
def test_the_optimiser_of_the_last_stage_is_kept(hands, n_stages, moved):
    """It has the steps of its own stage, and moments of the networks that it moves."""
    fitted = small(stages=STAGES[:n_stages]).fit(*hands)
    own = fitted._optimizer_state["state"]
    for estimator in (fitted, pickle.loads(pickle.dumps(fitted)), copy.copy(fitted)):
        moments = estimator._optimizer_state["state"]
        assert {float(moment["step"]) for moment in moments.values()} == {float(STEPS[estimator.stage_])}
        names = [name for name, _ in estimator.module_.named_parameters()]
        assert len({names[i].split(".")[0] for i in moments}) == moved
        for i, moment in own.items():
            assert torch.equal(moments[i]["exp_avg_sq"], moment["exp_avg_sq"])


def test_before_the_posterior_is_trained_its_answers_are_warned_of(hands):
    X, y = hands
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)  # what needs no posterior needs no warning
        estimator = small(stages=STAGES[:2], warm_start=True, max_iter=2).fit(X, y)
        estimator.translate(X, "real"), estimator.transform(X, space="depth"), estimator.sample(2)
        estimator.predict(y[:N], source="pose3d", target="real")
    np.testing.assert_array_equal(estimator.posterior_variance_, np.ones(20))  # random: not measured
    for answer in (
        lambda: estimator.predict(X, return_std=True),
        lambda: estimator.transform(X),
        lambda: estimator.score(X, y),
        lambda: estimator.sample_posterior(X),
        lambda: estimator.interpolate(X[:1], X[1:2]),
    ):
        with pytest.warns(TrainingWarning, match="'posterior' has trained no epoch yet") as warned:
            answer()
        assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        estimator.set_params(stages=STAGES).fit(X, y, X_val=X[:N], y_val=y[:N]).predict(X)
    assert (estimator.posterior_variance_ != 1).all()


def test_early_stopping_looks_at_real_rows_where_they_have_labels(hands):
    class Watched(SimToRealRegressor):
        def _error(self, columns, rows):
            self.seen = columns["domain"][rows].tolist(), rows.tolist()
            return super()._error(columns, rows)

    X, y = hands  # 12 labelled synthetic rows, 3 labelled real ones from row 12 on
    settings = small(max_iter=2, early_stopping=True, validation_fraction=0.34).get_params()
    partly = y.copy()
    for n_real, wanted in ((3, {1}), (2, {1}), (0, {0})):
        partly[N + n_real :] = np.nan
        domains, rows = Watched(**settings).fit(X, partly).seen
        assert set(domains) == wanted and len(rows) == (4 if wanted == {0} else 1)
        assert np.isfinite(partly[rows]).all()


def test_early_stopping_is_of_the_posterior_alone_and_brings_the_best_weights_back(hands):
    X, y = hands
    seen = []

    class Keep(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(copy.deepcopy(net.module_.state_dict()))

    known = np.flatnonzero(np.isfinite(y).all(axis=(1, 2)))
    estimator = small(
        max_iter={"pose": 300, "depth": 3, "posterior": 300}, lr={"pose": 5e-3, "posterior": 0.02},
        early_stopping=True, n_iter_no_change=2, callbacks=[Keep()], random_state=1,
    ).fit(X, y, X_val=X[known], y_val=y[known])  # fmt: skip
    stage, errors = np.array(estimator.history_["stage"]), np.array(estimator.history_["valid_epe"])
    np.testing.assert_array_equal(np.isfinite(errors), stage == "posterior")
    last = np.flatnonzero(stage == "posterior")
    assert 3 <= len(last) < 100 and (stage == "pose").sum() == 100
    assert_same_weights(weights(estimator), seen[last[np.argmin(errors[last])]])


def test_validation_rows_have_their_own_domains(hands):
    X, y = hands
    estimator = small().fit(X, y, X_val=X[: N + 3], y_val=y[: N + 3])
    error = mean_epe(y[: N + 3], estimator.predict(X[: N + 3]), align="root")
    assert estimator.history_["valid_epe"][-1] == pytest.approx(error, rel=1e-6)
    as_real = X[: N + 3].replace(domain="real")
    other = small().fit(X, y, X_val=as_real, y_val=y[: N + 3])
    assert other.history_["valid_epe"][-1] != estimator.history_["valid_epe"][-1]
