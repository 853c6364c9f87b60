"""AlignedLatentRegressor while it trains: stages, stopping, going on, interrupts, history, warnings."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from trainings import AtEpoch, assert_same_weights, interrupt, lifting, weights

from skhand.datasets import make_hands
from skhand.exceptions import InputError
from skhand.metrics import mean_epe

STAGES = ("disentangle", "align", "finetune", "refine")


@pytest.fixture(scope="module")
def hands():
    return make_hands(96, image_size=16, rotation=60.0, images=("rgb",), random_state=0)


# ---------------------------------------------------------------- stages


def test_every_stage_lowers_the_error_of_new_hands():
    many = make_hands(700, image_size=16, rotation=60.0, images=(), random_state=1)
    X, y = many.data.replace(root=None), many.target
    estimator = lifting(
        hidden_units=128, latent_dim=16, given=("root", "scale", "side"), augment=None, beta=1e-7,
        max_epochs={"disentangle": 30, "align": 5, "finetune": 10, "refine": 10},
        lr={"disentangle": 2e-3, "align": 1e-3, "finetune": 1e-3, "refine": 5e-4},
    )  # fmt: skip
    estimator.fit(X[:600], y[:600], X_val=X[600:], y_val=y[600:])
    errors = np.array(estimator.history_["valid_epe"])
    last = {stage: errors[np.array(estimator.history_["stage"]) == stage][-1] for stage in STAGES}
    assert np.all(np.diff(list(last.values())) < 0), last
    mean_pose = np.broadcast_to(y[:600].mean(axis=0), y[600:].shape)
    assert last["refine"] < 0.45 * mean_epe(y[600:], mean_pose, align="root")
    predicted = estimator.predict(X[600:])
    assert mean_epe(y[600:], predicted, align="root") == pytest.approx(last["refine"], rel=1e-6)


def test_history_has_a_stage_an_epoch_and_nan_for_other_stages_terms(hands):
    estimator = lifting().fit(hands.data, hands.target)
    history = estimator.history_
    assert history["stage"] == [stage for stage in STAGES for _ in range(2)]
    assert {len(column) for column in history.values()} == {8} == {estimator.n_iter_}
    known = {
        "adversarial": 1, "discriminator": 1, "adversarial_gradient": 1, "kl": 3, "kl_gradient": 3,
        "kl_pose": 3, "kl_pose_gradient": 3, "mse_pose": 3, "mse": 4,
    }  # fmt: skip
    for name, n_stages in known.items():
        np.testing.assert_array_equal(np.isfinite(history[name]), np.arange(8) < 2 * n_stages, err_msg=name)
    for name in ("kcs", "geo", "kcs_gradient", "geo_gradient"):
        np.testing.assert_array_equal(np.isfinite(history[name]), np.arange(8) >= 6, err_msg=name)
    terms = ["adversarial", "discriminator", "kl", "kl_pose", "mse", "mse_pose", "kcs", "geo"]
    np.testing.assert_allclose(
        np.nansum([history[name] for name in terms], axis=0), history["train_loss"], rtol=1e-6
    )


def test_frozen_encoders_stay_in_align_also_where_a_callback_predicts(hands):
    options = {"source": "auto", "backbone": "small", "stages": ("vae", "align")}
    first = lifting(**{**options, "stages": ("vae",)}).fit(hands.data, hands.target)
    seen = []

    class Predicts(Callback):
        def on_batch_end(self, net, **kwargs):
            seen.append(net.module_.encoders.training)
            estimator.predict(hands.data[:2])
            seen.append(net.module_.encoders.training)

    estimator = copy.deepcopy(first).set_params(**options, warm_start=True, callbacks=[Predicts()])
    estimator.fit(hands.data, hands.target)
    assert len(seen) == 12 and not any(seen)
    before, after = weights(first), weights(estimator)
    for name in before:
        if name.startswith(("encoders.", "pose_decoder.")):
            assert torch.equal(before[name], after[name]), name
    assert not torch.equal(before["mappers.rgb.skip.weight"], after["mappers.rgb.skip.weight"])


def test_numbers_may_differ_from_stage_to_stage(hands):
    epochs = {"disentangle": 3, "align": 1, "finetune": 2, "refine": 1}
    rates = {"disentangle": 1e-3, "align": 2e-3, "finetune": 3e-3, "refine": 4e-3}
    seen = []

    class Rate(Callback):
        def on_epoch_begin(self, net, **kwargs):
            seen.append(net.optimizer_.param_groups[0]["lr"])

    estimator = lifting(max_epochs=epochs, lr=rates, callbacks=[Rate()]).fit(hands.data, hands.target)
    assert estimator.history_["stage"] == [stage for stage in STAGES for _ in range(epochs[stage])]
    assert seen == [rates[stage] for stage in estimator.history_["stage"]]


def test_a_table_without_joints_leaves_refinement_out(rng):
    X, y = rng.normal(size=(40, 4)), rng.normal(size=(40, 3))
    options = {"source": "auto", "given": ()}
    estimator = lifting(**options).fit(X, y)
    assert estimator.stages_ == STAGES[:3]
    with pytest.raises(InputError, match=r"^stages: 'refine' needs y with the 21 joints"):
        lifting(**options, stages=STAGES).fit(X, y)
    plain = lifting(**options, stages=STAGES, kcs_weight=0, geo_weight=0).fit(X, y)
    assert plain.history_["stage"][-1] == "refine"


def test_each_stage_stops_by_itself_and_brings_its_best_weights_back(hands):
    seen, at_start = [], []

    class Keep(Callback):
        def on_train_begin(self, net, **kwargs):
            rows = np.random.default_rng(estimator._split_seed).permutation(96)[:24]
            error = mean_epe(hands.target[rows], estimator.predict(hands.data[rows]), align="root")
            at_start.append((error, copy.deepcopy(net.module_.state_dict())))

        def on_epoch_end(self, net, **kwargs):
            seen.append(copy.deepcopy(net.module_.state_dict()))

    estimator = lifting(
        lr=0.02, max_epochs=30, early_stopping=True, n_iter_no_change=2, validation_fraction=0.25,
        callbacks=[Keep()],
    )  # fmt: skip
    estimator.fit(hands.data, hands.target)
    stage, errors = np.array(estimator.history_["stage"]), np.array(estimator.history_["valid_epe"])
    assert list(dict.fromkeys(stage)) == list(STAGES)
    assert min((stage == name).sum() for name in STAGES) < 30
    # the weights that a stage starts from are among those that it may keep for the next one
    starts = [state for _, state in at_start[1:]] + [weights(estimator)]
    for name, (error, start), kept in zip(STAGES, at_start, starts, strict=True):
        epochs = np.flatnonzero(stage == name)
        best = epochs[np.argmin(errors[epochs])]
        assert_same_weights(kept, seen[best] if errors[best] < error else start)
    # the encoders are frozen in "align": they are still the best ones of the first stage
    first = np.flatnonzero(stage == "disentangle")
    best = seen[first[np.argmin(errors[first])]]
    aligned = seen[np.flatnonzero(stage == "align")[0]]
    assert all(torch.equal(aligned[name], best[name]) for name in best if name.startswith("encoders."))


def test_bfloat16_learns_as_float32_does(hands):
    losses = {}
    for precision in ("float32", "bfloat16"):
        estimator = lifting(precision=precision, max_epochs=6, random_state=1).fit(hands.data, hands.target)
        losses[precision] = np.array(estimator.history_["mse"])
    assert (losses["bfloat16"] != losses["float32"]).all()
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.25)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_all_stages_run_on_a_gpu(hands):
    estimator = lifting(source="auto", backbone="small").fit(hands.data, hands.target)
    assert estimator.device_.type == "cuda"
    assert np.isfinite(estimator.history_["train_loss"]).all()
    assert estimator.history_["stage"][-1] == "refine"


def test_an_interrupt_in_a_stages_first_epoch_stays_in_that_stage(hands):
    class InAlign(Callback):
        def on_batch_begin(self, net, **kwargs):
            if estimator.stage_ == "align":
                raise KeyboardInterrupt

    estimator = lifting(warm_start=True, callbacks=[InAlign()])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(hands.data, hands.target)
    assert (estimator.stage_, estimator.n_iter_) == ("align", 2)
    assert np.isfinite(estimator.predict(hands.data)).all()
    with pytest.raises(InputError, match="^stages: expected"):
        clone_with_state(estimator).set_params(stages=("disentangle", "refine")).fit(hands.data, hands.target)
    estimator.set_params(callbacks=None).fit(hands.data, hands.target)
    assert estimator.history_["stage"] == [stage for stage in STAGES for _ in range(2)]


def clone_with_state(estimator):
    return copy.deepcopy(estimator.set_params(callbacks=None))


# ---------------------------------------------------------------- going on


@pytest.mark.parametrize("n_epochs", [1, 3, 4, 7])
def test_an_interrupted_fit_is_usable_and_resumes_at_its_stage(hands, n_epochs):
    options = {"warm_start": True, "lr_schedule": "cosine"}
    estimator = lifting(**options, callbacks=[AtEpoch(n_epochs, interrupt)])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(hands.data, hands.target)
    assert estimator.n_iter_ == n_epochs
    assert estimator.stage_ == estimator.history_["stage"][-1] == STAGES[(n_epochs - 1) // 2]
    before = estimator.predict(hands.data)
    assert np.isfinite(before).all()
    estimator = pickle.loads(pickle.dumps(estimator.set_params(callbacks=None)))
    np.testing.assert_array_equal(estimator.predict(hands.data), before)
    rates = []

    class Rate(Callback):
        def on_epoch_begin(self, net, **kwargs):
            rates.append(net.optimizer_.param_groups[0]["lr"])

    estimator.set_params(callbacks=[Rate()]).fit(hands.data, hands.target)
    assert estimator.history_["stage"] == [stage for stage in STAGES for _ in range(2)]
    np.testing.assert_allclose(rates, ([2e-3, 1e-3] * 4)[n_epochs:])


def test_a_resumed_stage_has_its_optimisers_moments_and_a_new_stage_none(hands):
    estimator = lifting(stages=("vae", "refine"), warm_start=True, callbacks=[AtEpoch(1, interrupt)])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(hands.data, hands.target)
    seen = []

    class Moments(Callback):
        def on_epoch_begin(self, net, **kwargs):
            state = net.optimizer_.state_dict()["state"].values()
            seen.append({float(moments["step"]) for moments in state})

    estimator.set_params(callbacks=[Moments()]).fit(hands.data, hands.target)
    assert seen == [{3.0}, set(), {3.0}]  # three batches an epoch


def test_stages_can_be_added_and_shared_and_a_finished_fit_goes_on_with_its_last(hands):
    first = lifting(stages=STAGES[:1], warm_start=True).fit(hands.data, hands.target)
    with_align = copy.deepcopy(first).set_params(stages=STAGES[:3]).fit(hands.data, hands.target)
    assert with_align.history_["stage"] == [*["disentangle"] * 2, *["align"] * 2, *["finetune"] * 2]
    longer = copy.deepcopy(first).set_params(max_epochs=3).fit(hands.data, hands.target)
    assert longer.history_["stage"] == ["disentangle"] * 5
    for estimator in (with_align, longer):
        assert estimator.history_["train_loss"][:2] == first.history_["train_loss"]
    cold = with_align.set_params(warm_start=False).fit(hands.data, hands.target)
    assert cold.n_iter_ == 6
    assert_same_weights(weights(cold), weights(lifting(stages=STAGES[:3]).fit(hands.data, hands.target)))


def test_partial_fit_walks_through_the_stages_and_then_refines(hands):
    estimator = lifting(max_epochs={"disentangle": 2, "align": 1, "finetune": 1, "refine": 1})
    for _ in range(7):
        estimator.partial_fit(hands.data, hands.target)
    wanted = ["disentangle", "disentangle", "align", "finetune", "refine", "refine", "refine"]
    assert estimator.history_["stage"] == wanted
    steps = {float(moments["step"]) for moments in estimator._optimizer_state["state"].values()}
    assert steps == {9.0}  # the last three epochs share an optimiser
    fitted = lifting().fit(hands.data, hands.target)
    assert fitted.partial_fit(hands.data, hands.target).history_["stage"][-2:] == ["refine", "refine"]


@pytest.mark.parametrize(
    "changed",
    [
        {"latent_dim": 9}, {"context_dim": 9}, {"decoder": "plain"}, {"decoded": "concat"}, {"given": ()},
        {"stages": ("vae", "align")}, {"stages": ("disentangle", "refine")}, {"source": "rgb"},
    ],
)  # fmt: skip
def test_going_on_with_another_architecture_is_refused(hands, changed):
    estimator = lifting(warm_start=True, max_epochs=1, stages=STAGES[:2]).fit(hands.data, hands.target)
    before = estimator.predict(hands.data)
    name = "pairs" if "source" in changed else next(iter(changed))
    with pytest.raises(InputError, match=f"^{name}: expected"):
        estimator.set_params(**changed).fit(hands.data, hands.target)
    np.testing.assert_array_equal(estimator.predict(hands.data), before)


# ---------------------------------------------------------------- seeds, copies, searches


def test_the_same_seed_gives_the_same_bits_and_a_clone_too(hands):
    options = {"source": "auto", "backbone": "small", "max_epochs": 1}
    one = lifting(**options).fit(hands.data, hands.target)
    assert_same_weights(weights(one), weights(clone(one).fit(hands.data, hands.target)))
    other = lifting(**options, random_state=1).fit(hands.data, hands.target)
    assert one.history_["train_loss"] != other.history_["train_loss"]


def test_a_copy_predicts_the_same_bits_and_trains_on(hands):
    fitted = lifting().fit(hands.data, hands.target)
    before = fitted.predict(hands.data)
    twin = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(twin.predict(hands.data), before)
    for space in ("source", "context", "aligned"):
        np.testing.assert_array_equal(
            twin.transform(hands.data, space=space), fitted.transform(hands.data, space=space)
        )
    twin.partial_fit(hands.data, hands.target)
    np.testing.assert_array_equal(fitted.predict(hands.data), before)
    again = pickle.loads(pickle.dumps(fitted)).partial_fit(hands.data, hands.target)
    assert_same_weights(weights(twin), weights(again))  # the optimiser travels along


def test_a_search_over_latent_size_and_beta(hands):
    grid = {"latent_dim": [4, 8], "beta": [1e-5, 1e-3]}
    search = GridSearchCV(lifting(max_epochs=1), grid, cv=2, error_score="raise")
    search.fit(hands.data, hands.target)
    assert len(set(search.cv_results_["mean_test_score"])) == 4
    best = search.best_estimator_
    assert best.transform(hands.data).shape == (96, search.best_params_["latent_dim"])


class StopsAt:
    """A scikit-learn callback that stops after some epochs."""

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def setup(self, estimator, context):
        self.kept = []

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            self.kept.append(fitted_estimator)
        return len(self.kept) == self.n_epochs

    def teardown(self, estimator, context):
        pass


def test_scikit_learns_callbacks_hear_every_epoch_and_stop_all_stages(hands):
    stops = StopsAt(5)
    estimator = lifting().set_callbacks(stops).fit(hands.data, hands.target)
    assert estimator.history_["stage"] == [*["disentangle"] * 2, *["align"] * 2, "finetune"]
    assert [len(kept.history_["stage"]) for kept in stops.kept[:5]] == [1, 2, 3, 4, 5]
    alone = lifting(stages=STAGES[:1]).fit(hands.data, hands.target)
    np.testing.assert_array_equal(stops.kept[1].predict(hands.data), alone.predict(hands.data))
