"""Scorers in scikit-learn's own tools, with a mean pose as the estimator."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate

from skhand import HandFrames, metrics
from skhand.exceptions import InputError
from skhand.metrics import (
    get_scorer,
    get_scorer_names,
    make_pose_scorer,
    mean_epe,
    median_epe,
    neg_epe,
    neg_mean_epe,
    neg_median_epe,
    pcf,
    pck,
    pck_auc,
    pckh,
    scorers,
)
from skhand.model_selection import LabelledKFold


class MeanPose(RegressorMixin, BaseEstimator):
    """Predict the mean labelled pose, times ``size``, moved by ``shift`` mm."""

    def __init__(self, size=1.0, shift=0.0):
        self.size = size
        self.shift = shift

    def fit(self, X, y):
        self.mean_ = np.nanmean(y, axis=0)
        return self

    def predict(self, X):
        return np.repeat(self.size * self.mean_[None] + self.shift, len(X), axis=0)


@pytest.fixture
def hands(rng):
    """A table of 30 hands, half of them unlabelled, and their poses (30, 21, 3) in mm."""
    y = rng.normal(0, 60, (21, 3)) + rng.normal(0, 8, (30, 21, 3)) + [0, 0, 500]
    y[1::2] = np.nan
    return HandFrames(rgb=np.zeros((30, 4, 4, 3), np.uint8)), y


def rooted(y):
    return y - (y[:, :1] + y[:, 9:10]) / 2


@pytest.mark.parametrize("flat", [False, True])
def test_cross_val_score_equals_the_folds_by_hand(hands, flat):
    X, y = hands
    expected = []
    for train, test in KFold(3).split(X):
        difference = rooted(y[test]) - rooted(np.nanmean(y[train], axis=0)[None])
        expected.append(-np.nanmean(np.sqrt((difference**2).sum(axis=2))))
    target = y.reshape(30, 63) if flat else y
    got = cross_val_score(MeanPose(shift=40.0), X, target, cv=3, scoring=get_scorer("neg_mean_epe"))
    np.testing.assert_allclose(got, expected)


@pytest.mark.parametrize(
    ("name", "metric", "sign", "options"),
    [
        ("neg_epe", mean_epe, -1, {}),
        ("neg_median_epe", median_epe, -1, {}),
        ("pck", pck, 1, {"threshold": 30}),
        ("pck_auc", pck_auc, 1, {}),
        ("pcf", pcf, 1, {"threshold": 40}),
    ],
)
def test_each_scorer_is_its_metric_with_the_root_aligned(hands, name, metric, sign, options):
    X, y = hands
    model = MeanPose(size=0.7, shift=300.0).fit(X, y)
    expected = sign * metric(rooted(y), rooted(model.predict(X)), **options)
    assert get_scorer(name)(model, X, y) == pytest.approx(expected)
    ready_made = getattr(scorers, name if name.startswith("neg_") else f"{name}_scorer")
    assert ready_made(model, X, y) == pytest.approx(expected)


def test_ready_made_scorers():
    assert get_scorer_names() == [
        "neg_epe",
        "neg_mean_epe",
        "neg_median_epe",
        "pck",
        "pck_auc",
        "pcf",
        "pckh",
    ]
    assert (
        repr(neg_epe)
        == repr(neg_mean_epe)
        == (
            "make_scorer(mean_epe, greater_is_better=False, response_method='predict', align=root, root=palm)"
        )
    )
    assert repr(scorers.pck_auc_scorer) == (
        "make_scorer(pck_auc, response_method='predict', align=root, root=palm, thresholds=hand3d)"
    )


def test_options_replace_the_scorers_own(hands):
    X, y = hands
    model = MeanPose(size=0.7, shift=300.0).fit(X, y)
    pred = model.predict(X)
    for options in ({"align": None}, {"align": "procrustes"}, {"root": "wrist", "root_joint": "drop"}):
        expected = -mean_epe(y, pred, **{"align": "root", **options})
        assert get_scorer("neg_epe", **options)(model, X, y) == pytest.approx(expected)
    made = make_pose_scorer(pck_auc, thresholds="freihand", align="root+scale")
    assert made(model, X, y) == pytest.approx(pck_auc(y, pred, thresholds="freihand", align="root+scale"))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_finds_the_right_size(hands, n_jobs):
    X, y = hands
    search = GridSearchCV(
        MeanPose(),
        {"size": [0.5, 1.0, 1.6]},
        scoring={"epe": neg_epe, "auc": get_scorer("pck_auc")},
        refit="epe",
        cv=LabelledKFold(3),
        n_jobs=n_jobs,
        error_score="raise",
    )
    search.fit(X, y)
    assert search.best_params_ == {"size": 1.0}
    assert np.argmax(search.cv_results_["mean_test_auc"]) == 1
    by_hand = [neg_epe(MeanPose().fit(X[a], y[a]), X[b], y[b]) for a, b in LabelledKFold(3).split(X, y)]
    assert search.best_score_ == pytest.approx(np.mean(by_hand))


@pytest.mark.parametrize("name", get_scorer_names())
def test_scorers_survive_pickling(hands, name):
    X, y = hands
    scorer = pickle.loads(pickle.dumps(get_scorer(name)))
    assert repr(scorer) == repr(get_scorer(name))
    if name != "pckh":
        model = MeanPose(0.9).fit(X, y)
        assert scorer(model, X, y) == get_scorer(name)(model, X, y)


@pytest.mark.parametrize("name", ["pck", "pck_auc", "pcf", "pckh"])
def test_a_metric_says_which_is_its_scorer(hands, name):
    """As ``scoring=`` the metric gives NaN, as any function does that is no scorer; its docstring says so."""
    X, y = hands
    metric = getattr(metrics, name)
    with pytest.warns(UserWarning, match="Scoring failed"):
        assert np.isnan(cross_val_score(MeanPose(), X, y, cv=LabelledKFold(3), scoring=metric)).all()
    assert f"skhand.metrics.{name}_scorer : For ``scoring=``. This function is a metric" in metric.__doc__
    if name != "pckh":
        scorer = getattr(metrics, f"{name}_scorer")
        assert scorer is getattr(scorers, f"{name}_scorer")
        scores = cross_val_score(MeanPose(), X, y, cv=LabelledKFold(3), scoring=scorer, error_score="raise")
        assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", ["neg_epe", "neg_mean_epe", "neg_median_epe"])
def test_names_in_the_package_that_are_scorers(hands, name):
    X, y = hands
    scorer = getattr(metrics, name)
    scores = cross_val_score(MeanPose(), X, y, cv=LabelledKFold(3), scoring=scorer, error_score="raise")
    assert (scores < 0).all()
    assert "skhand.metrics.neg_epe : For ``scoring=``" in mean_epe.__doc__
    assert "skhand.metrics.neg_median_epe : For ``scoring=``" in median_epe.__doc__


def test_fold_without_labels_is_no_silent_nan(hands):
    X, y = hands
    y[:10] = np.nan
    with pytest.raises(InputError, match="y_true: expected at least one labelled"):
        cross_val_score(MeanPose(), X, y, cv=3, scoring=neg_epe, error_score="raise")
    with pytest.warns(UserWarning, match="y_true: expected at least one labelled"):
        scores = cross_val_score(MeanPose(), X, y, cv=3, scoring=neg_epe)
    np.testing.assert_array_equal(np.isnan(scores), [True, False, False])
    assert np.isfinite(cross_val_score(MeanPose(), X, y, cv=LabelledKFold(3), scoring=neg_epe)).all()


def test_nan_prediction_is_an_error(hands):
    X, y = hands
    with pytest.raises(InputError, match="y_pred: expected finite"):
        neg_median_epe(MeanPose(shift=np.nan).fit(X, y), X, y)


def test_visibility_and_head_sizes_by_metadata_routing(hands, rng):
    X, y = hands
    y = np.nan_to_num(y[..., :2])
    visible, head_size = rng.random((30, 21)) < 0.7, rng.uniform(20, 90, 30)
    with config_context(enable_metadata_routing=True):
        scoring = {
            "epe": get_scorer("neg_epe").set_score_request(visible=True),
            "pckh": get_scorer("pckh").set_score_request(head_size=True, visible=True),
        }
        params = {"visible": visible, "head_size": head_size}
        got = cross_validate(MeanPose(), X, y, cv=3, scoring=scoring, params=params, error_score="raise")
    for fold, (train, test) in enumerate(KFold(3).split(X)):
        pred = MeanPose().fit(X[train], y[train]).predict(X[test])
        epe = mean_epe(y[test], pred, visible=visible[test], align="root")
        assert got["test_epe"][fold] == pytest.approx(-epe)
        assert got["test_pckh"][fold] == pckh(y[test], pred, head_size[test], visible=visible[test])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: get_scorer("r2"), "name: expected one of 'neg_epe'"),
        (lambda: get_scorer("neg_epe", aling="root"), "options of mean_epe: expected one of .*'align'"),
        (lambda: make_pose_scorer("neg_epe"), "metric: expected a function"),
        (
            lambda: make_pose_scorer(mean_epe, greater_is_better="no"),
            "greater_is_better: expected one of True",
        ),
    ],
)
def test_bad_scorers_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
