"""Every public function and class has an example; ``--doctest-modules`` runs it."""

from __future__ import annotations

import doctest
import inspect

import pytest
from public import public_callables

# read the publishers' files, which do not ship; tests/unit/test_load_*.py run them
LOADERS = {
    "dexter_object",
    "ego_dexter",
    "freihand",
    "icvl",
    "mpii_nzsl",
    "msra",
    "nyu",
    "stb",
    "synth_hands",
}
PUBLIC = {
    name: thing
    for name, thing in public_callables()
    if inspect.isclass(thing) or inspect.isfunction(thing)  # no scorers, which are objects
    if "." not in thing.__qualname__  # no methods: their class shows how they are used
}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_has_an_example_that_runs(name):
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(PUBLIC[name]) or "")
    assert examples, f"{name} has no example"
    skipped = [example for example in examples if example.options.get(doctest.SKIP)]
    assert not skipped or name.removeprefix("skhand.datasets.load_") in LOADERS


def test_the_check_sees_functions_and_classes():
    assert {"skhand.HandFrames", "skhand.geometry.project", "skhand.plotting.PckCurveDisplay"} <= set(PUBLIC)
