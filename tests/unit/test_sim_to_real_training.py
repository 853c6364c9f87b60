"""SimToRealRegressor while it trains: steps and epochs, going on, interrupts, stopping, searches."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from trainings import AtEpoch, assert_same_weights, interrupt, weights

from skhand import concat_frames
from skhand.datasets import make_hands
from skhand.estimators import SimToRealRegressor, _sim_to_real_settings, _sim_to_real_training
from skhand.exceptions import TrainingWarning
from skhand.metrics import get_scorer, mean_epe
from skhand.model_selection import LabelledKFold
from skhand.training import PairBatches

N, SIZE = 12, 16
STAGES = ("pose", "depth", "posterior")
STEPS = {"pose": 7, "depth": 5, "posterior": 6}  # in epochs of 3: 3 3 1, 3 2, 3 3
EPOCHS = [*["pose"] * 3, *["depth"] * 2, *["posterior"] * 2]


@pytest.fixture
def short_epochs(monkeypatch):
    """Epochs of three steps in place of a thousand."""
    for module in (_sim_to_real_settings, _sim_to_real_training):
        monkeypatch.setattr(module, "EPOCH_STEPS", 3)


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
        "width": 1, "max_iter": STEPS, "lr": 2e-3, "batch_size": 4, "given": ("root",), "augment": None,
        "random_state": 0,
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
        self.batches[-1].append([len(next(iter(columns.values()))) for _, columns in batch])


# ---------------------------------------------------------------- steps and epochs


def test_an_epoch_is_a_thousand_steps_and_the_last_one_fewer():
    assert _sim_to_real_settings.epoch_lengths(2500) == [1000, 1000, 500]
    assert _sim_to_real_settings.epoch_lengths(2000) == [1000, 1000]
    assert _sim_to_real_settings.epoch_lengths(1) == [1]


def test_batches_of_given_lengths_run_on_through_their_shuffles():
    columns = {"id": np.arange(5)}
    rng = np.random.default_rng(0)
    batches = PairBatches(
        columns, [np.arange(5), np.arange(3, 4)], [{"id"}, {"id"}], 2, rng, torch.device("cpu"),
        steps=[3, 7], smallest=1,
    )  # fmt: skip
    epochs = [list(batches) for _ in range(3)]
    assert [len(epoch) for epoch in epochs] == [3, 7, 7] and len(batches) == 7
    seen = np.concatenate([step[0][1]["id"] for epoch in epochs for step in epoch])
    for start in range(0, 30, 5):  # every permutation is finished before the next begins
        assert set(seen[start : start + 5].tolist()) == set(range(5))
    assert {tuple(step[1][1]["id"].tolist()) for epoch in epochs for step in epoch} == {(3,)}


def test_each_stage_runs_its_own_steps_rates_and_batches(short_epochs, hands):
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


def test_history_has_nan_for_other_stages_terms_and_adds_up(short_epochs, hands):
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
def test_an_interrupted_fit_is_usable_and_resumes_at_its_stage(short_epochs, hands, n_epochs):
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


def test_an_interrupt_within_an_epoch_repeats_it_and_counts_it_once(short_epochs, hands):
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


def test_stages_can_be_added_with_another_supervision_and_the_last_repeated(short_epochs, hands):
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


def test_partial_fit_is_at_most_an_epoch_and_at_most_a_pass(short_epochs, hands):
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


def test_after_a_finished_descent_partial_fit_goes_on_with_the_whole_rate(short_epochs, hands):
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


def test_nothing_goes_back_to_a_stage_before_the_one_begun_last(short_epochs, hands):
    estimator = small(max_iter=1)
    for _ in range(2):
        estimator.partial_fit(*hands)
    assert estimator.history_["stage"] == ["pose", "depth"]
    estimator.set_params(max_iter=2).partial_fit(*hands)
    assert estimator.n_steps_ == {"pose": 1, "depth": 2, "posterior": 0}
    estimator.set_params(max_iter=3, warm_start=True).fit(*hands)
    assert estimator.history_["stage"] == ["pose", *["depth"] * 3, "posterior"]
    assert estimator.n_steps_ == {"pose": 1, "depth": 3, "posterior": 3}


def test_every_stages_optimiser_is_kept(short_epochs, hands):
    """Each has the steps of its own stage, and moments of the networks that it moves."""
    fitted = small().fit(*hands)
    for estimator in (fitted, pickle.loads(pickle.dumps(fitted)), copy.copy(fitted)):
        states = {**estimator._past_optimizers, estimator.stage_: estimator._optimizer_state}
        assert list(states) == list(STAGES)
        for stage, moved in zip(STAGES, (2, 8, 3), strict=True):
            moments = states[stage]["state"]
            assert {float(moment["step"]) for moment in moments.values()} == {float(STEPS[stage])}
            names = [name for name, _ in estimator.module_.named_parameters()]
            assert len({names[i].split(".")[0] for i in moments}) == moved, stage
    for stage, state in fitted._past_optimizers.items():
        copied = pickle.loads(pickle.dumps(fitted))._past_optimizers[stage]["state"]
        for i, moment in state["state"].items():
            assert torch.equal(copied[i]["exp_avg_sq"], moment["exp_avg_sq"])


def test_before_the_posterior_is_trained_its_answers_are_warned_of(short_epochs, hands):
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


def test_early_stopping_looks_at_real_rows_where_they_have_labels(short_epochs, hands):
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


def test_early_stopping_is_of_the_posterior_alone_and_brings_the_best_weights_back(short_epochs, hands):
    X, y = hands
    seen = []

    class Keep(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(copy.deepcopy(net.module_.state_dict()))

    estimator = small(
        max_iter={"pose": 30, "depth": 3, "posterior": 60}, lr=0.02, early_stopping=True,
        validation_fraction=0.25, n_iter_no_change=2, callbacks=[Keep()],
    ).fit(X, y)  # fmt: skip
    stage, errors = np.array(estimator.history_["stage"]), np.array(estimator.history_["valid_epe"])
    np.testing.assert_array_equal(np.isfinite(errors), stage == "posterior")
    last = np.flatnonzero(stage == "posterior")
    assert 3 <= len(last) < 20 and (stage == "pose").sum() == 10
    assert_same_weights(weights(estimator), seen[last[np.argmin(errors[last])]])


def test_validation_rows_have_their_own_domains(short_epochs, hands):
    X, y = hands
    estimator = small().fit(X, y, X_val=X[: N + 3], y_val=y[: N + 3])
    error = mean_epe(y[: N + 3], estimator.predict(X[: N + 3]), align="root")
    assert estimator.history_["valid_epe"][-1] == pytest.approx(error, rel=1e-6)
    as_real = X[: N + 3].replace(domain="real")
    other = small().fit(X, y, X_val=as_real, y_val=y[: N + 3])
    assert other.history_["valid_epe"][-1] != estimator.history_["valid_epe"][-1]


# ---------------------------------------------------------------- seeds, searches, warnings


def test_a_search_with_few_labels_has_some_of_each_domain_in_every_fold_and_scores_real_rows(
    short_epochs, hands
):
    X, y = hands  # the three real labels are in neighbouring rows
    labelled = np.isfinite(y).all(axis=(1, 2))
    cv, seen = LabelledKFold(3), []
    for train, test in cv.split(X, y):
        for rows in (train, test):
            assert set(X.domain[rows][labelled[rows]]) == {"synthetic", "real"}

    def real_rows(estimator, X, y):
        real = X.domain != "synthetic"
        seen.append(int(np.isfinite(y[real]).all(axis=(1, 2)).sum()))
        return get_scorer("neg_epe")(estimator, X[real], y[real])

    search = GridSearchCV(
        small(max_iter=2), {"supervision": ["all", "real"], "latent_dim": [3]},
        cv=cv, scoring=real_rows, error_score="raise",
    ).fit(X, y)  # fmt: skip
    assert np.isfinite(search.cv_results_["mean_test_score"]).all() and seen == [1] * 6
    assert search.best_estimator_.transform(X).shape == (2 * N, 3)


def test_a_weight_of_zero_and_one_that_does_nothing(short_epochs, hands):
    steps = {"pose": 6, "depth": 12, "posterior": 12}
    with pytest.warns(TrainingWarning, match="map_weight=1e-08: the term 'map' never reached 0.001 of the"):
        small(max_iter=steps, map_weight=1e-8, feature_weight=1.0).fit(*hands)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        small(max_iter=steps, feature_weight=0.0).fit(*hands)
    assert not [w for w in caught if "feature_weight" in str(w.message)]


def test_bfloat16_trains_as_float32_does(hands):
    losses = {}
    for precision in ("float32", "bfloat16"):
        history = small(precision=precision, lr=1e-4, max_iter=1, batch_size=1).fit(*hands).history_
        losses[precision] = np.array(history["train_loss"])
    assert (losses["bfloat16"] != losses["float32"]).all()
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.05)  # 8 bits, the same draws


def test_augmentation_turns_pictures_and_poses_together(hands):
    X, y = hands
    seen = []

    class Sees(Callback):
        def on_train_begin(self, net, **kwargs):
            seen.append((net.task.augment["rotate"], net.task.augment["depth"]))

    estimator = small(augment="auto", max_iter=2, callbacks=[Sees()]).fit(X, y)
    assert seen == [(180.0, 10.0)] * 3  # the paper's, in every stage
    assert np.isfinite(estimator.history_["train_loss"]).all()


def learned(n, n_labelled, **options):
    """Fit n hands a domain, real ones partly labelled; return the estimator and its error on new hands.

    Errors are relative to those of the mean training pose.
    """
    settings = {"image_size": SIZE, "images": ("depth",), "rotation": 45.0, "side": "right"}
    synthetic = make_hands(n, random_state=0, **settings)
    real = make_hands(n, domain="real", random_state=1, **settings)
    X = concat_frames([synthetic.data, real.data])
    y = np.concatenate([synthetic.target, real.target])
    y[n + n_labelled :] = np.nan
    estimator = small(width=4, **options).fit(X, y)
    mean = np.nanmean(y - X.root[:, None], axis=0)
    shares = []
    for domain in ("synthetic", "real"):
        new = make_hands(150, domain=domain, random_state=2, **settings)
        untrained = mean_epe(new.target, np.broadcast_to(mean, new.target.shape), align="root")
        shares.append(mean_epe(new.target, estimator.predict(new.data), align="root") / untrained)
    return estimator, shares, new.data, (X, y)


RATES = {"pose": 3e-3, "depth": 1e-3, "posterior": 2e-3}


def test_new_hands_of_both_domains_are_predicted_better_than_by_the_mean_pose():
    shares = learned(
        800, 300, stages=("pose", "posterior"), max_iter={"pose": 600, "posterior": 300}, lr=RATES,
        batch_size={"pose": 128, "posterior": 16},
    )[1]  # fmt: skip
    assert shares[0] < 0.88 and shares[1] < 0.95


@pytest.mark.slow
def test_all_stages_together_learn_poses_and_pictures():
    steps = {"pose": 1000, "depth": 150, "posterior": 500}
    sizes = {"pose": 128, "depth": 4, "posterior": 16}
    estimator, shares, new, data = learned(1500, 400, max_iter=steps, lr=RATES, batch_size=sizes)
    assert shares[0] < 0.88 and shares[1] < 0.92
    untrained = clone(estimator).set_params(max_iter=1).fit(*data)

    def cycle(estimator):
        """Mean difference (mm) of real pictures to what comes back from the synthetic domain."""
        there = new.replace(depth=estimator.translate(new, "synthetic"), domain="synthetic")
        back = estimator.translate(there, "real")
        depth = np.asarray(new.depth)
        far = depth.max() + 150
        return np.abs(np.where(back > 0, back, far) - np.where(depth > 0, depth, far)).mean()

    assert cycle(estimator) < 0.8 * cycle(untrained)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_all_stages_run_on_a_gpu(hands):
    estimator = small().fit(*hands)
    assert estimator.device_.type == "cuda"
    assert np.isfinite(estimator.history_["train_loss"]).all()
    assert np.isfinite(estimator.translate(hands[0], "real")).all()
