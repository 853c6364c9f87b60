"""Pages of the documentation whose examples run."""

from __future__ import annotations

import doctest
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_on_saving_and_continuing_says_what_happens():
    result = doctest.testfile(str(DOCS / "saving.rst"), module_relative=False)
    assert result.attempted > 20 and result.failed == 0


def test_the_front_page_says_what_happens():
    result = doctest.testfile(str(DOCS / "index.rst"), module_relative=False)
    assert result.attempted > 5 and result.failed == 0
