"""CrossModalVAERegressor while it trains: stopping, going on, seeds, interrupts, callbacks, history."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from trainings import AtEpoch, SeenRows, assert_same_weights, interrupt, weights

from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.exceptions import DivergenceError, InputError, TrainingWarning
from skhand.skeleton import root_position


@pytest.fixture(scope="module")
def hands():
    return make_hands(96, image_size=16, rotation=60.0, images=("rgb",), random_state=0)


def lifting(**options):
    """A small estimator of poses from keypoints."""
    settings = {
        "source": "keypoints2d", "hidden_units": 32, "n_hidden_layers": 2, "latent_dim": 8, "lr": 2e-3,
        "max_epochs": 3, "batch_size": 32, "given": ("root",), "random_state": 0,
    }  # fmt: skip
    return CrossModalVAERegressor(**{**settings, **options})


# ---------------------------------------------------------------- validation and stopping


def test_validation_data_is_scored_every_epoch_in_mm(hands):
    rows = hands.data[:60], hands.target[:60]
    held_out = {"X_val": hands.data[60:], "y_val": hands.target[60:]}
    estimator = lifting().fit(*rows, **held_out)
    assert len(estimator.history_["valid_epe"]) == 3
    wanted = hands.target[60:] - (hands.target[60:, 0] + hands.target[60:, 9])[:, None] / 2
    predicted = estimator.predict(hands.data[60:].replace(root=None))
    expected = np.linalg.norm(predicted - wanted, axis=2).mean()
    assert estimator.history_["valid_epe"][-1] == pytest.approx(expected, rel=1e-6)
    assert_same_weights(weights(estimator), weights(lifting().fit(*rows)))  # being watched changes nothing


def test_validation_of_a_table_is_the_root_mean_squared_error(rng):
    X, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    estimator = CrossModalVAERegressor(hidden_units=16, max_epochs=2, random_state=0)
    estimator.fit(X[:30], y[:30], X_val=X[30:], y_val=y[30:])
    expected = np.sqrt(np.square(estimator.predict(X[30:]) - y[30:]).mean())
    assert estimator.history_["valid_rmse"][-1] == pytest.approx(expected, rel=1e-9)


def test_early_stopping_brings_the_best_weights_of_all_networks_back(hands):
    seen = []
    estimator = lifting(
        variant=4, lr=0.03, max_epochs=60, early_stopping=True, n_iter_no_change=3, validation_fraction=0.25,
        callbacks=[EveryEpoch(lambda net: seen.append(copy.deepcopy(net.module_.state_dict())))],
    ).fit(hands.data, hands.target)  # fmt: skip
    errors = estimator.history_["valid_epe"]
    best = int(np.argmin(errors))
    assert estimator.n_iter_ == len(errors) == len(seen) < 60
    assert best < len(errors) - 1
    assert_same_weights(weights(estimator), seen[best])
    assert len({name.split(".")[1] for name in seen[best]}) == 2  # keypoints2d and pose3d


class EveryEpoch(Callback):
    """Call a function at the end of every epoch."""

    def __init__(self, function):
        self.function = function

    def on_epoch_end(self, net, **kwargs):
        self.function(net)


def test_rows_set_aside_are_labelled_and_never_trained_on(hands):
    y = hands.target.copy()
    y[48:] = np.nan
    options = {"variant": 3, "early_stopping": True, "validation_fraction": 0.25, "max_epochs": 2}
    seen = SeenRows(hands.data.keypoints2d, "keypoints2d")
    estimator = lifting(**options, callbacks=[seen]).fit(hands.data, y)
    trained_on = seen.clear_and_return()
    labelled, rows = (trained_on[f"keypoints2d_to_{target}"] for target in ("pose3d", "keypoints2d"))
    aside = np.array(sorted(set(range(96)) - rows))
    assert len(aside) == 12
    assert aside.max() < 48
    assert labelled == rows & set(range(48))
    again = lifting(**options).fit(hands.data, y)
    assert again.history_["valid_epe"] == estimator.history_["valid_epe"]
    wanted = y[aside] - root_position(y[aside], "palm")[:, None]
    predicted = estimator.predict(hands.data[aside].replace(root=None))
    error = np.linalg.norm(predicted - wanted, axis=2).mean()
    assert min(estimator.history_["valid_epe"]) == pytest.approx(error, rel=1e-6)  # these rows are scored


# ---------------------------------------------------------------- going on


def test_warm_start_goes_on_from_the_weights(hands):
    estimator = lifting(warm_start=True).fit(hands.data, hands.target)
    codecs, first = estimator.codecs_, list(estimator.history_["train_loss"])
    estimator.set_params(max_epochs=2).fit(hands.data, hands.target)
    assert estimator.codecs_ is codecs
    assert estimator.n_iter_ == 5
    assert estimator.history_["train_loss"][:3] == first
    assert estimator.history_["train_loss"][3] < first[0]
    cold = lifting().fit(hands.data, hands.target).fit(hands.data, hands.target)
    assert cold.n_iter_ == 3
    assert_same_weights(weights(cold), weights(lifting().fit(hands.data, hands.target)))


def test_partial_fit_goes_on_with_weights_and_optimiser(hands):
    estimator = lifting(max_epochs=2).fit(hands.data, hands.target)
    steps = [state["step"].item() for state in estimator._optimizer_state["state"].values()]
    before = weights(estimator)
    estimator.partial_fit(hands.data, hands.target)
    after = [state["step"].item() for state in estimator._optimizer_state["state"].values()]
    assert set(steps) == {6}
    assert set(after) == {9}
    assert estimator.n_iter_ == len(estimator.history_["train_loss"]) == 3
    assert any(not torch.equal(before[name], value) for name, value in weights(estimator).items())


def test_partial_fit_from_scratch_learns_and_repeats_itself(hands):
    one, other = lifting(), lifting()
    for _ in range(6):
        one.partial_fit(hands.data, hands.target)
        other.partial_fit(hands.data, hands.target)
    assert one.history_["train_loss"][-1] < one.history_["train_loss"][0]
    assert_same_weights(weights(one), weights(other))
    other = pickle.loads(pickle.dumps(other))  # the optimiser travels along
    one.partial_fit(hands.data, hands.target)
    other.partial_fit(hands.data, hands.target)
    assert_same_weights(weights(one), weights(other))


def test_partial_fit_takes_no_part_in_early_stopping(hands):
    stopping = lifting(early_stopping=True).partial_fit(hands.data, hands.target)
    assert_same_weights(weights(stopping), weights(lifting().partial_fit(hands.data, hands.target)))


@pytest.mark.parametrize(
    "changed", [{"latent_dim": 9}, {"hidden_units": 16}, {"given": ()}, {"variant": 4}, {"source": "pose3d"}]
)
def test_going_on_with_another_architecture_is_refused(hands, changed):
    estimator = lifting(warm_start=True, max_epochs=1).fit(hands.data, hands.target)
    frames = hands.data.replace(pose3d=hands.target)
    name = "pairs" if set(changed) & {"variant", "source"} else next(iter(changed))
    with pytest.raises(InputError, match=name):
        estimator.set_params(**changed).fit(frames, hands.target)


# ---------------------------------------------------------------- seeds


@pytest.mark.parametrize("augment", [None, "paper"])
def test_the_same_seed_gives_the_same_bits(hands, augment):
    options = {"source": "auto", "backbone": "small", "variant": 4, "augment": augment, "max_epochs": 2}
    one, other = (lifting(**options).fit(hands.data, hands.target) for _ in range(2))
    assert_same_weights(weights(one), weights(other))
    np.testing.assert_array_equal(one.sample(4, random_state=1), other.sample(4, random_state=1))
    third = lifting(**options, random_state=1)
    third.fit(hands.data, hands.target)
    assert one.history_["train_loss"] != third.history_["train_loss"]


@pytest.mark.parametrize("fails", [False, True])
def test_the_global_random_state_is_left_alone(hands, fails):
    def fail(net):
        raise RuntimeError("stop here")

    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    estimator = lifting(variant=4, callbacks=[AtEpoch(2, fail)] if fails else None)
    if fails:
        with pytest.raises(RuntimeError, match="stop here"):
            estimator.fit(hands.data, hands.target)
    else:
        estimator.fit(hands.data, hands.target).predict(hands.data, return_std=True)
        pickle.loads(pickle.dumps(estimator)).sample(2, random_state=0)
        copy.deepcopy(estimator)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


# ---------------------------------------------------------------- interrupts and callbacks


def test_an_interrupt_leaves_a_fitted_estimator_and_is_passed_on(hands):
    estimator = lifting(max_epochs=9, callbacks=[AtEpoch(2, interrupt)])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(hands.data, hands.target)
    assert estimator.n_iter_ == len(estimator.history_["train_loss"]) == 2
    short = lifting(max_epochs=2).fit(hands.data, hands.target)
    np.testing.assert_array_equal(estimator.predict(hands.data), short.predict(hands.data))
    np.testing.assert_array_equal(estimator.latent_mean_, short.latent_mean_)
    assert pickle.loads(pickle.dumps(estimator.set_params(callbacks=None))).n_iter_ == 2


def test_history_has_one_column_a_term_and_one_entry_an_epoch(hands):
    estimator = lifting(variant=2).fit(hands.data, hands.target)
    pairs = ["keypoints2d_to_pose3d", "pose3d_to_pose3d"]
    terms = [f"{term}_{pair}" for pair in pairs for term in ("mse", "kl", "kl_gradient")]
    assert set(estimator.history_) == {"train_loss", "seconds", *terms}
    assert {len(column) for column in estimator.history_.values()} == {3}
    losses = [estimator.history_[name] for name in terms if "gradient" not in name]
    np.testing.assert_allclose(np.sum(losses, axis=0), estimator.history_["train_loss"])
    assert estimator.history_["train_loss"][-1] < estimator.history_["train_loss"][0]


def test_a_weight_scales_its_pairs_mse_and_beta_the_kl(hands):
    def first(**options):
        return lifting(variant=2, max_epochs=1, lr=1e-12, **options).fit(hands.data, hands.target).history_

    plain, weighted = first(), first(pair_weights=[1.0, 3.0])
    name = "mse_pose3d_to_pose3d"
    assert weighted[name][0] == pytest.approx(3 * plain[name][0], rel=1e-5)
    name = "kl_pose3d_to_pose3d"
    assert weighted[name][0] == pytest.approx(plain[name][0], rel=1e-5)
    assert first(beta=1e-3)[name][0] == pytest.approx(10 * plain[name][0], rel=1e-5)


def test_an_mse_of_pictures_weighs_twelve_times_by_default(hands):
    def first(**options):
        pairs = [("rgb", "pose3d"), ("rgb", "rgb")]
        settings = {"source": "rgb", "backbone": "small", "pairs": pairs, "max_epochs": 1, "lr": 1e-12}
        return lifting(**settings, **options).fit(hands.data, hands.target).history_

    default, level = first(), first(pair_weights=[1.0, 1.0])
    for name, factor in {"mse_rgb_to_rgb": 12, "kl_rgb_to_rgb": 1, "mse_rgb_to_pose3d": 1}.items():
        assert default[name][0] == pytest.approx(factor * level[name][0], rel=1e-5), name


@pytest.mark.filterwarnings("ignore::skhand.exceptions.TrainingWarning")  # of the weights of 0
def test_a_pair_without_a_loss_does_not_go_on_with_the_steps_of_another(hands):
    def encoder(rate):
        settings = {"variant": 3, "pair_weights": [1.0, 0.0], "beta": 0.0, "reconstruction_rate": rate}
        fitted = lifting(**settings).fit(hands.data, hands.target)
        return list(fitted.module_.encoders["keypoints2d"].parameters())

    for moved, unmoved in zip(encoder(1.0), encoder(0.0), strict=True):
        assert torch.equal(moved, unmoved)  # one Adam for all pairs would repeat the pose's last step


def test_a_reconstruction_takes_its_share_of_the_step_on_an_encoder_that_it_shares(hands):
    def fitted(**options):
        settings = {"variant": 4, "max_epochs": 1, "batch_size": len(hands.target), **options}
        return dict(lifting(**settings).fit(hands.data, hands.target).module_.named_parameters())

    none, whole, default = fitted(reconstruction_rate=0), fitted(reconstruction_rate=1), fitted()
    for name, weight in default.items():
        shared = name.startswith("encoders.keypoints2d.")  # the pose's own encoder only reconstructs
        wanted = none[name].lerp(whole[name], 0.1) if shared else whole[name]
        torch.testing.assert_close(weight, wanted, rtol=1e-4, atol=1e-7)
        assert torch.equal(none[name], whole[name]) != shared, name


def test_a_users_callback_hears_every_epoch_and_its_numbers_join_the_history(hands):
    counted = EveryEpoch(lambda net: net.history.record("mine", len(net.history)))
    named = EveryEpoch(lambda net: net.history.record("name", "not a number"))
    estimator = lifting(callbacks=[counted, named]).fit(hands.data, hands.target)
    assert estimator.history_["mine"] == [1, 2, 3]
    assert "name" not in estimator.history_


def test_a_users_callback_can_stop(hands):
    stop = AtEpoch(2, lambda net: setattr(net, "stop_", True))
    assert lifting(max_epochs=9, callbacks=[stop]).fit(hands.data, hands.target).n_iter_ == 2


class PredictOften(Callback):
    """Use the estimator in the middle of its fit."""

    def __init__(self):
        self.predictions = []

    def on_batch_end(self, net, **kwargs):
        training = net.module_.training
        self.predictions.append(self.estimator.predict(self.X))
        self.estimator.sample(1, random_state=0)
        copy.copy(self.estimator)
        pickle.loads(pickle.dumps(copy.copy(self.estimator).set_params(callbacks=None)))
        assert net.module_.training == training


def test_predicting_in_the_middle_of_a_fit_works_and_changes_nothing(hands):
    options = {"source": "auto", "backbone": "small", "max_epochs": 2, "batch_size": 48}
    often = PredictOften()
    estimator = lifting(**options, callbacks=[often])
    often.estimator, often.X = estimator, hands.data[:5]
    estimator.fit(hands.data, hands.target)
    assert len(often.predictions) == 4
    np.testing.assert_array_equal(often.predictions[-1], estimator.predict(hands.data[:5]))
    assert_same_weights(weights(estimator), weights(lifting(**options).fit(hands.data, hands.target)))


def test_scikit_learns_monitor_scores_every_epoch_and_changes_nothing(hands):
    monitor = ScoringMonitor(scoring={"r2": score})
    estimator = lifting().set_callbacks(monitor).fit(hands.data, hands.target)
    scores = [row["r2"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(scores) == 3
    assert scores[-1] == pytest.approx(estimator.score(hands.data, hands.target))
    assert_same_weights(weights(estimator), weights(lifting().fit(hands.data, hands.target)))
    estimator.partial_fit(hands.data, hands.target)
    assert not hasattr(estimator, "_callback_fit_ctx")


def score(estimator, X, y):
    return estimator.score(X, y)


class Keeper:
    """A scikit-learn callback that keeps each epoch's estimator."""

    def setup(self, estimator, context):
        self.kept = []

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.kept.append(fitted_estimator)
        return len(self.kept) == 2

    def teardown(self, estimator, context):
        pass


def test_scikit_learns_callbacks_get_the_estimator_of_that_epoch_and_can_stop(hands):
    keeper = Keeper()
    estimator = lifting(max_epochs=9).set_callbacks(keeper).fit(hands.data, hands.target)
    assert estimator.n_iter_ == 2
    for n_epochs, kept in zip([1, 2], keeper.kept, strict=False):
        alone = lifting(max_epochs=n_epochs).fit(hands.data, hands.target)
        np.testing.assert_array_equal(kept.predict(hands.data), alone.predict(hands.data))


def test_scikit_learns_callbacks_work_inside_a_search(hands):
    monitor = ScoringMonitor(scoring={"r2": score})
    estimator = lifting(max_epochs=2).set_callbacks(monitor)
    search = GridSearchCV(estimator, {"beta": [1e-4, 1e-3]}, cv=2).fit(hands.data, hands.target)
    epochs = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(epochs) == 2 * (2 * 2 + 1)
    assert search.best_estimator_.n_iter_ == 2


def test_the_progress_bar_counts_epochs_alone_and_inside_a_search(hands, capsys):
    pytest.importorskip("rich")
    lifting().set_callbacks(ProgressBar()).fit(hands.data, hands.target)
    assert "100%" in capsys.readouterr().out
    search = GridSearchCV(lifting(), {"beta": [1e-4, 1e-3]}, cv=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(hands.data, hands.target)
    assert "CrossModalVAERegressor" in capsys.readouterr().out


# ---------------------------------------------------------------- warnings


def test_a_beta_that_does_nothing_is_warned_of(hands):
    with pytest.warns(TrainingWarning, match="beta=1e-12") as warned:
        lifting(beta=1e-12, max_epochs=10).fit(hands.data, hands.target)
    assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lifting(beta=0.0, max_epochs=10).fit(hands.data, hands.target)
        lifting(beta=1e-2, max_epochs=10).fit(hands.data, hands.target)
        lifting(beta=1e-12, max_epochs=2).fit(hands.data, hands.target)  # too early to tell


def test_a_training_that_runs_away_is_an_error(hands):
    estimator = lifting(lr=1e30, max_epochs=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DivergenceError, match="lr=1e"):
            estimator.fit(hands.data, hands.target)
    with pytest.raises(NotFittedError):
        estimator.predict(hands.data)
