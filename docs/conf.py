"""Sphinx configuration: ``sphinx-build -W docs docs/_build``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import skhand

project = "skhand"
author = "The skhand developers"
copyright = "2026, The skhand developers"
version = release = skhand.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc"]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "py:obj"
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False

html_theme = "alabaster"
html_static_path = ["_static"]
html_theme_options = {"description": skhand.__doc__, "fixed_sidebar": True, "page_width": "1080px"}
