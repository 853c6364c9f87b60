"""CrossModalVAERegressor among scikit-learn's tools: copies, pipelines, searches, representations."""

from __future__ import annotations

import copy
import io
import pickle
import warnings

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.exceptions import InputError
from skhand.model_selection import LabelledKFold


@pytest.fixture(scope="module")
def hands():
    return make_hands(80, image_size=16, rotation=60.0, images=("rgb",), random_state=0)


def small(**options):
    settings = {
        "backbone": "small", "hidden_units": 32, "n_hidden_layers": 2, "latent_dim": 8, "lr": 2e-3,
        "max_epochs": 2, "batch_size": 16, "given": ("root", "side"), "random_state": 0,
    }  # fmt: skip
    return CrossModalVAERegressor(**{**settings, **options})


@pytest.fixture(scope="module")
def fitted(hands):
    return small(variant=4).fit(hands.data, hands.target)


def through_joblib(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


# ---------------------------------------------------------------- copies


@pytest.mark.parametrize(
    "duplicate",
    [lambda est: pickle.loads(pickle.dumps(est)), through_joblib, copy.deepcopy, copy.copy],
    ids=["pickle", "joblib", "deepcopy", "copy"],
)
def test_a_copy_predicts_the_same_bits_and_trains_on(fitted, hands, duplicate):
    twin = duplicate(fitted)
    np.testing.assert_array_equal(twin.predict(hands.data), fitted.predict(hands.data))
    np.testing.assert_array_equal(
        twin.predict(hands.data, target="rgb"), fitted.predict(hands.data, target="rgb")
    )
    np.testing.assert_array_equal(twin.sample(3, random_state=0), fitted.sample(3, random_state=0))
    assert twin.history_ == fitted.history_
    if duplicate is not copy.copy:  # a shallow copy shares its weights
        before = fitted.predict(hands.data)
        twin.partial_fit(hands.data, hands.target)
        np.testing.assert_array_equal(fitted.predict(hands.data), before)


def test_a_pickle_carries_weights_and_no_data(hands):
    sizes = {}
    for n in (20, 80):
        estimator = small(early_stopping=True, max_epochs=1).fit(hands.data[:n], hands.target[:n])
        sizes[n] = len(pickle.dumps(estimator))
    one_picture = hands.data.rgb[0].nbytes
    assert sizes[80] - sizes[20] < one_picture
    assert sizes[80] < 3 * 4 * estimator.n_parameters_ + 50_000  # weights and Adam's two moments


def test_a_pickle_holds_numpy_arrays_and_no_tensor(fitted):
    state = fitted.__getstate__()
    assert all(isinstance(weight, np.ndarray) for weight in state["module_"].values())
    assert not any(isinstance(value, torch.Tensor | torch.nn.Module) for value in state.values())
    assert "device_" not in state


def test_a_fit_from_another_machines_device_loads_here(fitted, hands):
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    elsewhere = copy.copy(fitted)
    elsewhere.device = "cuda"
    here = pickle.loads(pickle.dumps(elsewhere))
    assert here.device_.type == "cpu"
    np.testing.assert_array_equal(here.predict(hands.data), fitted.predict(hands.data))


def test_pretrained_pictures_are_standardised_after_a_pickle_too(hands, monkeypatch):
    from torchvision import models

    torch.manual_seed(0)
    state = models.resnet18(weights=None).state_dict()
    monkeypatch.setattr(
        type(models.ResNet18_Weights.DEFAULT), "get_state_dict", lambda *a, **k: copy.deepcopy(state)
    )
    estimator = small(backbone="resnet18", pretrained=True, max_epochs=1).fit(
        hands.data[:16], hands.target[:16]
    )
    twin = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(twin.predict(hands.data[:16]), estimator.predict(hands.data[:16]))


def test_fit_leaves_the_parameters_alone(hands):
    options = {
        "given": ["root"],
        "augment": {"rotate": 10.0},
        "pairs": [["rgb", "pose3d"]],
        "pair_weights": [2.0],
    }
    estimator = small(**options)
    before = copy.deepcopy(estimator.get_params())
    estimator.fit(hands.data, hands.target)
    assert estimator.get_params() == before
    assert clone(estimator).get_params() == before
    assert not hasattr(clone(estimator), "module_")


def test_an_unfitted_or_failed_estimator_says_so(hands):
    estimator = small()
    with pytest.raises(NotFittedError):
        estimator.predict(hands.data)
    with pytest.raises(InputError):
        estimator.fit(hands.data, hands.target[..., :2])
    for method in (estimator.predict, estimator.transform, estimator.sample, estimator.inverse_transform):
        with pytest.raises(NotFittedError):
            method(hands.data if method != estimator.sample else 1)


# ---------------------------------------------------------------- representations


def test_the_html_representation_shows_the_parameters(fitted):
    html = fitted._repr_html_()
    assert "CrossModalVAERegressor" in html
    assert "latent_dim" in html
    assert repr(fitted).startswith("CrossModalVAERegressor(")


def test_names_of_the_latent_features(fitted, hands):
    names = fitted.get_feature_names_out()
    assert list(names) == [f"crossmodalvaeregressor{i}" for i in range(8)]
    assert len(names) == fitted.transform(hands.data).shape[1]


def test_transform_can_answer_in_a_data_frame(fitted, hands):
    pandas = pytest.importorskip("pandas")
    frame = copy.copy(fitted).set_output(transform="pandas").transform(hands.data)
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == list(fitted.get_feature_names_out())


# ---------------------------------------------------------------- pipelines and searches


def darker(frames):
    return frames.replace(rgb=frames.rgb // 2)


def test_a_pipeline_of_steps_on_frames(hands):
    pipeline = make_pipeline("passthrough", FunctionTransformer(darker), small())
    predicted = pipeline.fit(hands.data, hands.target).predict(hands.data)
    dark = darker(hands.data)
    np.testing.assert_array_equal(predicted, small().fit(dark, hands.target).predict(dark))
    assert pipeline[:-1].transform(hands.data).rgb.dtype == np.uint8


def test_a_search_in_two_processes_is_the_search_in_one(hands):
    grid = {"beta": [1e-4, 1e-2], "latent_dim": [4, 8]}
    results = {}
    for n_jobs in (1, 2):
        search = GridSearchCV(small(max_epochs=1), grid, cv=2, n_jobs=n_jobs, error_score="raise")
        # float sums depend on the number of threads: as many in the workers as here
        with joblib.parallel_config("loky", inner_max_num_threads=torch.get_num_threads()):
            results[n_jobs] = search.fit(hands.data[:32], hands.target[:32])
    one, two = results[1], results[2]
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(one.cv_results_[name], two.cv_results_[name])
    assert len(set(one.cv_results_["mean_test_score"])) == 4
    assert one.best_params_ == two.best_params_
    np.testing.assert_array_equal(one.predict(hands.data), two.predict(hands.data))


def test_every_fold_keeps_labelled_rows(hands):
    y = hands.target.copy()
    y[10:] = np.nan
    estimator = small(variant=3, max_epochs=1)
    scores = cross_val_score(estimator, hands.data, y, cv=LabelledKFold(5), error_score="raise")
    assert np.isfinite(scores).all()


def test_splits_and_cross_predictions_take_frames(hands):
    train, test, y_train, _ = train_test_split(hands.data, hands.target, random_state=0)
    assert small().fit(train, y_train).predict(test).shape == (20, 21, 3)
    assert cross_val_predict(small(max_epochs=1), hands.data, hands.target, cv=2).shape == (80, 21, 3)


def test_a_data_frames_column_names_are_kept_and_checked():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(np.random.default_rng(0).normal(size=(20, 2)), columns=["a", "b"])
    estimator = CrossModalVAERegressor(hidden_units=16, max_epochs=1, random_state=0).fit(table, table["a"])
    assert list(estimator.feature_names_in_) == ["a", "b"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator.predict(table)
    with pytest.raises(ValueError, match="feature names"):
        estimator.predict(table[["b", "a"]])
