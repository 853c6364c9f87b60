"""Everything public with each argument replaced by what suits none: refused by name, or taken for a reason.

``python -m hostile.table`` makes the table itself; ``accepted.py`` says what is taken and what is not named.
"""

from __future__ import annotations

import inspect
from collections import Counter

import pytest
from hostile.accepted import why_unnamed
from hostile.calls import INNER_METHODS, RESULTS, calls
from hostile.table import Row, defaults_of, run
from hostile.world import World
from public import parameters_of, public_callables

pytest.importorskip("matplotlib")

N_PARTS = 8
SAMPLE = 0.012  # share of the calls that is always run


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("hostile"))


def check(rows: list[Row]) -> None:
    """Fail with the calls that hang, answer wrongly in silence, or do not name the argument."""
    assert rows
    hanging = [row for row in rows if row.outcome == "hang"]
    silent = [row for row in rows if row.outcome == "silent"]
    unnamed = [row for row in rows if row.outcome == "unnamed"]
    unlisted = [row for row in unnamed if why_unnamed(row.call, row.argument, row.value) is None]
    assert not hanging + silent + unlisted, "\n".join(map(str, hanging + silent + unlisted))
    assert len(unnamed) < 0.01 * len(rows) or len(unnamed) <= 1


def test_everything_public_has_a_known_good_call(world):
    names = dict(public_callables())
    known = calls(world)
    assert set(known) | set(RESULTS) | set(INNER_METHODS) == set(names)
    for name, make in known.items():
        good = make().good
        free = inspect.Parameter.VAR_KEYWORD
        wanted = {p.name for p in parameters_of(names[name]).values() if p.kind is not free}
        missing = wanted - set(good) - set(defaults_of(names[name]))
        assert not missing, f"{name}: no good value for {missing}"


def test_a_sample_of_hostile_calls():
    check(run(None, "1/1", SAMPLE, None))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, N_PARTS + 1))
def test_all_hostile_calls(part):
    rows = run(None, f"{part}/{N_PARTS}", 1.0, None)
    print(Counter(row.outcome for row in rows))
    check(rows)
