"""The gallery's pages run, each by itself, and say something on the way."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "examples" / "gallery").glob("plot_*.py"))
QUICK = {"plot_02_own_photographs.py"}  # the others take 10 to 60 seconds of one core each


def test_there_are_a_dozen_pages_in_order():
    numbers = [int(re.match(r"plot_(\d\d)_", page.name)[1]) for page in PAGES]
    assert len(numbers) >= 12 and numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_begins_with_a_title_and_uses_public_names_only(page):
    tree = ast.parse(page.read_text(encoding="utf-8"))
    title, line, *_ = ast.get_docstring(tree).split("\n")
    assert set(line) == {"="} and len(line) == len(title)
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [name for name in imported if name.startswith("skhand") and "._" in name]


@pytest.mark.parametrize(
    "page",
    [page if page.name in QUICK else pytest.param(page, marks=pytest.mark.slow) for page in PAGES],
    ids=lambda page: page.stem,
)
def test_a_page_runs(page, run, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    for package in ("pandas", "plotly"):
        pytest.importorskip(package)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    pyplot.switch_backend("Agg")
    printed = run(f"gallery/{page.name}")
    figures = pyplot.get_fignums()
    pyplot.close("all")
    assert printed and figures
