"""Sphinx configuration: ``sphinx-build -W docs docs/_build``.

With ``-D sphinx_gallery_conf.plot_gallery=0`` the pages of the gallery are built without being run.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the gallery's times are those of one core
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import plotly.io
from plotly.io._base_renderers import MimetypeRenderer
from plotly.offline import get_plotlyjs
from sphinx.util.nodes import make_refnode

import skhand

project = "skhand"
author = "The skhand developers"
copyright = "2026, The skhand developers"
version = release = skhand.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
    "numpydoc",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "py:obj"
autosummary_generate = True
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"sklearn\..*")]

# these are all code: it gets the room beside it
PAGES = sorted(path.stem for path in (Path(__file__).parents[1] / "examples" / "gallery").glob("plot_*.py"))

html_theme = "pydata_sphinx_theme"
html_title = "skhand"
html_static_path = ["_static"]
html_css_files = ["skhand.css"]
html_show_sourcelink = False
html_theme_options = {
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "secondary_sidebar_items": {"**": ["page-toc"]} | {f"gallery/{page}": [] for page in PAGES},
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
# pages without pages below them use the whole width
html_sidebars = {
    str(path.relative_to(Path(__file__).parent).with_suffix("")): []
    for path in Path(__file__).parent.glob("**/*.rst")
    if path.name != "api.rst" and not {"gallery", "generated"} & set(path.parts)
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "within_subsection_order": "sphinx_gallery.sorting.FileNameSortKey",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skhand",),
    "reference_url": {"skhand": None},
    "capture_repr": ("_repr_html_",),
    "image_srcset": ["2x"],
    "default_thumb_file": str(Path(__file__).parent / "_static" / "predictions.png"),
    "download_all_examples": False,
    "min_reported_time": 1,
    "plot_gallery": True,
    "remove_config_comments": True,
    "show_signature": False,
    "write_computation_times": False,
}


class TurnableFigures(MimetypeRenderer):
    """Figures of plotly as HTML, with one copy of its script for all pages, and nothing from the network."""

    def to_mimebundle(self, figure):
        """Return the HTML of one figure."""
        script = "../_static/plotly.min.js"
        options = {"include_plotlyjs": script, "include_mathjax": False, "full_html": False}
        return {"text/html": plotly.io.to_html(figure, **options, default_height=525, validate=False)}


plotly.io.renderers["gallery"] = TurnableFigures()
plotly.io.renderers.default = "gallery"

_MODULES = ("skhand", *(f"skhand.{name}" for name in (
    "datasets", "detection", "estimators", "exceptions", "geometry", "metrics", "model_selection",
    "persistence", "plotting", "preprocessing", "skeleton", "tracking",
)))  # fmt: skip
PUBLIC = {
    name: f"{module}.{name}"
    for module in _MODULES
    for name in getattr(importlib.import_module(module), "__all__", ())
}


def resolve_short_name(app, env, node, contnode):
    """Link the name of something public that is written without its module."""
    name, dot, method = node.get("reftarget", "").partition(".")
    wanted = name in PUBLIC and PUBLIC[name] + dot + method
    found = wanted and env.get_domain("py").objects.get(wanted)
    if node.get("refdomain") != "py" or not found:
        return None
    return make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, contnode)


def write_plotly(app, error):
    """Put plotly's script where the pages with turnable hands look for it."""
    if error is None and app.builder.format == "html":
        (Path(app.outdir) / "_static" / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")


def setup(app):
    """Connect the two steps above."""
    app.connect("missing-reference", resolve_short_name)
    app.connect("build-finished", write_plotly)
