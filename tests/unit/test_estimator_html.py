"""What a notebook shows of an estimator: alone, in a pipeline, and in a search."""

from __future__ import annotations

import html
import re

import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skhand.datasets import make_hands
from skhand.estimators import (
    AlignedLatentRegressor,
    CrossModalVAERegressor,
    LatentHeatmapRegressor,
    SimToRealRegressor,
)
from skhand.preprocessing import HandMirror

SMALL = {"hidden_units": 8, "n_hidden_layers": 1, "latent_dim": 2, "augment": None, "random_state": 0}


def read(estimator):
    """The words of the HTML, without its style and script."""
    page = re.sub(r"<(style|script)>.*?</\1>", "", estimator._repr_html_(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


@pytest.fixture(scope="module")
def hands():
    return make_hands(20, images=(), random_state=0)


@pytest.mark.parametrize(
    "regressor",
    [CrossModalVAERegressor, AlignedLatentRegressor, LatentHeatmapRegressor, SimToRealRegressor],
)
def test_an_unfitted_estimator_shows_what_is_given_and_its_parameters(regressor):
    page = read(regressor(given=("root", "side"), random_state=7))
    assert "given: root (T), side (H)" in page and "not fitted" in page
    assert "random_state 7" in page and " weights;" not in page
    assert ("stages: auto" in page) == hasattr(regressor(), "stages")
    assert "given: nothing" in read(regressor(given=()))


def test_a_fitted_estimator_shows_weights_epochs_and_attributes(hands):
    est = CrossModalVAERegressor(max_epochs=2, given=("scale",), **SMALL).fit(hands.data, hands.target)
    n_weights = sum(weight.numel() for weight in est.module_.parameters())
    page = read(est)
    assert f"given: scale (S); {n_weights:,} weights; fitted, 2 epochs" in page
    assert "Fitted attributes" in page and "n_iter_ int 2" in page
    est.set_params(given=("root",))  # what it was fitted with counts
    assert "given: scale (S)" in read(est)


def test_shipped_weights_are_called_pretrained():
    assert re.search(
        r"given: nothing; [\d,]+ weights; pretrained\b", read(LatentHeatmapRegressor.from_pretrained())
    )


def test_stages_and_their_epochs_are_shown(hands):
    est = AlignedLatentRegressor(
        stages=("disentangle", "align"), max_epochs={"disentangle": 2, "align": 1}, context_dim=2, **SMALL
    ).fit(hands.data, hands.target)
    page = read(est)
    assert "stages: disentangle → align;" in page
    assert "fitted, 3 epochs (disentangle 2, align 1)" in page


def test_pipelines_and_searches_show_it_too(hands):
    pipe = make_pipeline(HandMirror(width=64), CrossModalVAERegressor(max_epochs=1, given=("root",), **SMALL))
    search = GridSearchCV(pipe, {"crossmodalvaeregressor__beta": [1e-3, 1e-4]}, cv=2)
    for each in (pipe, search):
        assert "given: root (T); not fitted" in read(each)
    search.fit(hands.data, hands.target)
    for each in (search, search.best_estimator_):
        assert re.search(r"given: root \(T\); [\d,]+ weights; fitted, 1 epoch\b", read(each))


def test_parameters_that_fit_would_refuse_are_shown_as_they_are():
    for given in (None, "root", ("elbow",), 3, ("<elbow>",)):
        page = CrossModalVAERegressor(given=given)._repr_html_()
        assert "not fitted" in page and "<elbow>" not in page
    assert "stages: 3" in read(AlignedLatentRegressor(stages=3))
    assert "stages: 1 → 2; not fitted" in read(AlignedLatentRegressor(stages=(1, 2)))
