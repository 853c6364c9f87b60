"""Pages of the documentation whose examples run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import runpy
import sys
from pathlib import Path

import pytest
from public import is_inner, public_modules

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_on_saving_and_continuing_says_what_happens():
    result = doctest.testfile(str(DOCS / "saving.rst"), module_relative=False)
    assert result.attempted > 20 and result.failed == 0


def test_the_front_page_says_what_happens():
    result = doctest.testfile(str(DOCS / "index.rst"), module_relative=False)
    assert result.attempted > 5 and result.failed == 0


PUBLIC = [
    (name, thing)
    for name in ["skhand", *public_modules()]
    if not is_inner(name + ".")
    for thing in getattr(importlib.import_module(name), "__all__", ())
]


def test_the_api_page_lists_all_that_is_public():
    listed = set(re.findall(r"(?<=\.)\w+$", (DOCS / "api.rst").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"HandFrames", "check_augment"} < listed
    left_out = {"__version__", "scorers"}  # a number, and a module whose names are those of `skhand.metrics`
    assert {thing for _, thing in PUBLIC} - listed == left_out


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda value: value)
def test_a_summary_of_the_api_page_is_a_whole_sentence(module, name):
    thing = getattr(importlib.import_module(module), name)
    if inspect.isclass(thing) or inspect.isroutine(thing):
        summary = inspect.getdoc(thing).split("\n")[0]
        assert summary.endswith(".")
        assert not re.search(r"\b(Sec|Eq|Fig)\. ", summary)  # where sphinx takes the sentence to end


def test_turnable_figures_of_the_pages_load_nothing_from_the_network(monkeypatch):
    for package in ("plotly", "sphinx"):
        pytest.importorskip(package)
    import plotly.io

    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # which the configuration sets
    monkeypatch.setattr(sys, "path", [*sys.path])
    default = plotly.io.renderers.default
    try:
        settings = runpy.run_path(str(DOCS / "conf.py"))
    finally:
        plotly.io.renderers.default = default
    figure = {"data": [{"type": "scatter3d", "x": [0.0], "y": [0.0], "z": [0.0]}], "layout": {}}
    html = settings["TurnableFigures"]().to_mimebundle(figure)["text/html"]
    sources = re.findall(r'src="([^"]+)"', html)
    assert sources == ["../_static/plotly.min.js"]
    assert "sphinx.ext.mathjax" not in settings["extensions"]  # its script is on the network
