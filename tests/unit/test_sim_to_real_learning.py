"""SimToRealRegressor in use: searches, idle terms, precision, augmentation, and how well it learns."""

from __future__ import annotations

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
from skhand.estimators import SimToRealRegressor
from skhand.estimators.sim_to_real import regressor
from skhand.exceptions import InputError, TrainingWarning
from skhand.metrics import get_scorer, mean_epe
from skhand.model_selection import LabelledKFold

N, SIZE = 12, 16
STEPS = {"pose": 7, "depth": 5, "posterior": 6}


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


def test_a_search_with_few_labels_has_some_of_each_domain_in_every_fold_and_scores_real_rows(hands):
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


def test_a_weight_of_zero_and_one_that_does_nothing(hands):
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


def test_augmentation_is_the_papers_in_every_stage(hands):
    X, y = hands
    settings = {"max_iter": 2, "batch_size": 8}
    estimator = small(augment="auto", **settings).fit(X, y)
    augment = {"rotate": 180.0, "shift": 10.0 / 300.0, "depth": 10.0}
    spelled = small(augment=augment, **settings).fit(X, y)
    assert_same_weights(weights(estimator), weights(spelled))
    losses, without = (
        np.array(each.history_["train_loss"]) for each in (estimator, small(**settings).fit(X, y))
    )
    assert np.isfinite(losses).all() and len(losses) == 3 and (losses != without).all()


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
    estimator = small(width=4, epoch_steps=1000, **options).fit(X, y)
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


def test_discriminators_that_stay_at_chance_are_warned_of(hands, monkeypatch):
    """A guess of 1/2 has a cross entropy of log 2, four times, and once more a domain with mapped poses."""
    X, y = hands
    monkeypatch.setattr(regressor, "BLIND_STEPS", 4)
    steps = {"pose": 1, "depth": 4, "posterior": 1}
    still = {"max_iter": steps, "lr": 1e-9, "epoch_steps": 1, "adversarial_weight": 2.0}
    for options, n_entropies in (({}, 6), ({"map_weight": 0.0, "map_picture_weight": 0.0}, 4)):
        with pytest.warns(TrainingWarning, match=f"guess has {2 * n_entropies * np.log(2):.3g}") as warned:
            fitted = small(**still, **options).fit(X, y)
        # freshly drawn discriminators of this size say next to nothing
        assert f"never below {min(fitted.history_['discriminator'][2:5]):.3g}" in str(warned[0].message)
    for options in (
        {"adversarial_weight": 0.0},  # there is none to tell anything apart
        {"max_iter": {**steps, "depth": 3}},  # too few steps to say
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error", TrainingWarning)
            small(**{**still, **options}).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        fitted.history_["discriminator"] = [np.nan, 8 * np.log(2), 3.0, 8 * np.log(2)]  # once they did
        fitted._warn_if_blind(4)


@pytest.mark.parametrize("share", [1.0, 0.9])  # of 4 steps: all of them
def test_a_stage_that_is_all_warm_up_has_no_discriminators_to_warn_of_and_no_mapping(
    hands, monkeypatch, share
):
    monkeypatch.setattr(regressor, "BLIND_STEPS", 4)
    fitted = small(max_iter={"pose": 1, "depth": 4, "posterior": 1}, depth_warm_up=share).fit(*hands)
    assert fitted.n_steps_["depth"] == 4 and np.isfinite(fitted.predict(hands[0])).all()
    assert not fitted.mapped_ and fitted.translate(hands[0], "synthetic").shape == hands[0].depth.shape
    with pytest.raises(InputError, match="mapping of poses, which was not trained: .* all of the stage"):
        fitted.sample(1, target="real")


def test_the_mapping_is_there_once_steps_after_the_warm_up_have_trained_it(hands):
    stages = {"stages": ("pose", "depth"), "max_iter": {"pose": 1, "depth": 2}, "warm_start": True}
    fitted = small(**stages, depth_warm_up=1.0).fit(*hands)
    assert not fitted.mapped_
    fitted.partial_fit(*hands)  # goes on with "depth", after its warm-up
    assert fitted.mapped_ and np.isfinite(fitted.history_["map_picture"][-1])
    assert fitted.sample(1, target="real").shape == (1, SIZE, SIZE)
    interrupted = small(**{**stages, "max_iter": {"pose": 1, "depth": 12}}, depth_warm_up=0.5)
    interrupted.set_params(callbacks=[AtEpoch(2, interrupt)])  # 3 steps each
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(*hands)
    assert interrupted.n_steps_["depth"] <= 6 and not interrupted.mapped_


def all_alike(weights, part):
    """Compare the real domain's weights of a part with the synthetic one's."""
    names = [name for name in weights if name.startswith(f"{part}.synthetic.")]
    assert names
    return all(torch.equal(weights[n], weights[n.replace(".synthetic.", ".real.")]) for n in names)


def test_a_warm_up_learns_to_rebuild_pictures_and_nothing_else(hands):
    X, y = hands
    options = {"stages": ("pose", "depth"), "warm_start": True, "epoch_steps": 2}
    fitted = small(**options, max_iter={"pose": 2, "depth": 8}, depth_warm_up=0.5)
    before, seen, alike = {}, [], []

    class Look(Callback):
        def on_epoch_end(self, net, **kwargs):
            now = {name: value.clone() for name, value in net.module_.state_dict().items()}
            alike.append({part: all_alike(now, part) for part in ("encoders", "generators", "fronts")})
            seen.append({n.split(".")[0] for n, v in now.items() if before and not torch.equal(v, before[n])})
            before.update(now)

    fitted.set_params(callbacks=[Look()]).fit(X, y)
    warm = {"encoders", "shared_encoder", "shared_generator", "generators"}
    judged = {"fronts", "trunk", "judge_end", "mapping"}
    assert seen[1:] == [warm, warm, warm | judged, warm | judged]  # 4 of 8 steps, in epochs of 2
    shared = {"encoders": True, "generators": True, "fronts": False}  # one autoencoder of both domains
    assert alike[1:3] == [shared] * 2 and not any(map(any, (part.values() for part in alike[3:])))
    for name in ("reconstruction", "kl"):
        assert np.isfinite(fitted.history_[name][1:]).all()
    for name in ("cycle", "adversarial", "map", "discriminator", "feature"):
        np.testing.assert_array_equal(np.isfinite(fitted.history_[name]), [False] * 3 + [True] * 2)
    again = small(
        **options, max_iter={"pose": 2, "depth": 8}, depth_warm_up=0.5, callbacks=[AtEpoch(2, interrupt)]
    )
    with pytest.raises(KeyboardInterrupt):
        again.fit(X, y)  # and its end is that of the whole stage, however often that is interrupted
    again.set_params(callbacks=None).fit(X, y)
    np.testing.assert_array_equal(np.isfinite(again.history_["cycle"]), [False] * 3 + [True] * 2)
