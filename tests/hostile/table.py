"""Make the hostile table: each argument of everything public, in turn replaced by what suits no argument.

From the repository's root::

    PYTHONPATH=.:tests python -m hostile.table --part 1/2 --out table.json
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import faulthandler
import inspect
import io
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hostile.accepted import is_accepted, takes_unknown
from hostile.calls import Call, calls
from hostile.values import HOSTILE, Variant, variants_of
from hostile.world import World
from PIL import Image
from public import parameters_of, public_callables

from skhand import HandFrames
from skhand.exceptions import DivergenceError, InputError

OUTCOMES = ("right", "named", "unnamed", "silent", "hang")
LIMIT = 20.0  # s a call
# argument -> values that only ask for more steps than anybody waits for
_MANY = ("10**30", "10**400")
ENDLESS = {
    "max_epochs": _MANY,
    "epoch_steps": _MANY,
    "max_iter": (*_MANY, "None", "{}"),  # None is the paper's 750 000 steps
}
# an error may speak of a column where the argument is a table
COLUMNS = tuple(HandFrames(side=["left"]).__dir__())


class TimeUp(BaseException):
    """A call took longer than it may."""


@dataclasses.dataclass
class Row:
    """One call and what came of it."""

    call: str
    argument: str
    value: str
    outcome: str
    what: str
    seconds: float


def table(names: list[str] | None, part: int, n_parts: int, share: float, world: World) -> Iterator[Row]:
    """Run the calls of one part; of them the ``share`` that a checksum of their names picks."""
    known = calls(world)
    callables = dict(public_callables())
    walked = [
        (name, argument)
        for name, make in known.items()
        if names is None or name in names
        for argument in defaults_of(callables[name]) | make().good
    ]
    for i, (name, argument) in enumerate(walked):
        if i % n_parts == part:
            yield from walk(name, known[name](), argument, defaults_of(callables[name]), share)


def defaults_of(function: Any) -> dict[str, Any]:
    """Arguments of a call that have a default, with it."""
    parameters = parameters_of(function).values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def walk(name: str, call: Call, argument: str, defaults: dict[str, Any], share: float) -> Iterator[Row]:
    """Replace one argument of a call by everything hostile."""
    call = dataclasses.replace(call, good=defaults | call.good)
    default = defaults.get(argument, inspect.Parameter.empty)
    good = call.good[argument]
    hostile: dict[str, Any] = {
        value: make for value, make in HOSTILE.items() if not _same_value(make(), good)
    } | variants_of(good)
    judge = Judge(name, call, argument, default)
    for value, make in hostile.items():
        if zlib.crc32(f"{name} {argument} {value}".encode()) % 1000 >= 1000 * share:
            continue
        if value in ENDLESS.get(argument, ()):
            continue
        try:
            given = make()
        except InputError:  # HandFrames has refused to be such a table
            continue
        yield judge(value, given)


class Judge:
    """Tells what came of a call with one argument replaced."""

    def __init__(self, name: str, call: Call, argument: str, default: Any):
        self.name, self.call, self.argument, self.default = name, call, argument, default
        self._results: dict[Any, Any] = {}

    def __call__(self, value: str, hostile: Any) -> Row:
        """Make the call and judge it."""
        given = hostile.value if isinstance(hostile, Variant) else hostile
        start = time.perf_counter()
        warned: list[str] = []
        try:
            result = self._run(given, warned)
            outcome, what = self._judge(value, hostile, result, warned)
        except TimeUp:
            outcome, what = "hang", f"more than {LIMIT:g} s"
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            outcome, what = "named" if self._names(error, given) else "unnamed", text[:300]
        return Row(self.name, self.argument, value, outcome, what, round(time.perf_counter() - start, 3))

    def _run(self, given: Any, warned: list[str] | None = None) -> Any:
        """Summarise what the call answers, within its time."""
        np.random.seed(0)  # noqa: NPY002  what random_state=None draws from
        torch.manual_seed(0)
        with limited(LIMIT), warnings.catch_warnings(record=True) as caught, quiet():
            warnings.simplefilter("always")
            try:
                result = summary(self.call.run(**{**self.call.good, self.argument: given}))
            finally:
                close_figures()
        if warned is not None:
            warned += [str(w.message) for w in caught if _speaks_to_users(w.category)]
        return result

    def _reference(self, given: Any, key: Any) -> Any:
        if key not in self._results:
            try:
                self._results[key] = self._run(given)
            except Exception as error:
                self._results[key] = error
        return self._results[key]

    def _judge(self, value: str, hostile: Any, result: Any, warned: list[str]) -> tuple[str, str]:
        good = self._reference(self.call.good[self.argument], "good")
        spoiled = not is_finite(result) and is_finite(good)
        if isinstance(hostile, Variant):
            return self._judge_variant(value, hostile, result, good, spoiled, warned)
        is_default = self.default is hostile or (
            type(self.default) is type(hostile) and _same_value(self.default, hostile)
        )
        if (is_default or is_accepted(self.name, self.argument, value)) and (not spoiled or warned):
            return "right", "default" if is_default else "accepted"
        if spoiled and value in ("nan", "None") and takes_unknown(self.name, self.argument):
            return "right", "unknown values"
        if spoiled:
            return (
                ("right", f"warned: {warned[0][:200]}") if warned else ("silent", "NaN or inf in the result")
            )
        return "silent", "ignored" if same(result, good) else "another result"

    def _judge_variant(
        self, value: str, hostile: Variant, result: Any, good: Any, spoiled: bool, warned: list[str]
    ) -> tuple[str, str]:
        if is_accepted(self.name, self.argument, value):
            return "right", "accepted"
        if hostile.wrong:
            return "silent", "ignored" if same(result, good) else "another result"
        if hostile.unknown and hostile.means is None:
            if takes_unknown(self.name, self.argument) or same(result, good):
                return "right", "unknown values"
            if warned:
                return "right", f"warned: {warned[0][:200]}"
            return "silent", "NaN or inf in the result" if spoiled else "another result"
        if hostile.rows is not None:
            if not self.call.mixes and same(result, mapped(good, hostile.rows)):
                return "right", "row by row"
            if value in ("one row", "one axis less"):
                whole = self.call.good[self.argument]
                one = (
                    self._reference(np.broadcast_to(whole[:1], whole.shape), "broadcast")
                    if isinstance(whole, np.ndarray)
                    else None
                )
                if same(result, one):
                    return "right", "one for all rows"
            if self.call.mixes and same(result, good):
                return "right", "rows do not matter"
            return "silent", "other rows" if not self.call.mixes else "another result"
        if hostile.means is not None:
            expected = self._reference(hostile.means, value)
            if isinstance(expected, Exception):
                return "silent", f"taken, where what it means is refused: {expected}"[:300]
        else:
            expected = good
        if value == "one 1e300":
            return ("silent", "NaN or inf in the result") if spoiled and not warned else ("right", "large")
        return ("right", "the same") if same(result, expected) else ("silent", "another result")

    def _names(self, error: Exception, given: Any) -> bool:
        """Tell whether the error is a value's or a type's, and names the argument."""
        if self.argument == "rows" and isinstance(error, IndexError):
            return True  # what Python's own indexing raises
        if not isinstance(error, ValueError | TypeError | DivergenceError):
            return False
        names = [self.argument]
        if self.argument in ("X", "X_val", "X_a", "X_b", "X_start", "X_end", "frames", "columns"):
            names += [*COLUMNS, "X"]
        if self.argument in ("y_val", "y_true"):
            names += ["y"]
        text = str(error)
        if isinstance(error, InputError) and isinstance(given, str | os.PathLike) and os.fspath(given):
            names += [os.fspath(given)]
        return any(re.search(rf"(?<!\w){re.escape(n)}(?!\w)", text) for n in names)


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `TimeUp` in what takes longer; end the process where even that does not help."""

    def ring(*_: Any) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(5 * seconds, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


def close_figures() -> None:
    """Close what was drawn; nothing is ever shown."""
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    plt.close("all")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Print nothing."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def summary(result: Any, depth: int = 0) -> Any:
    """Turn a result into arrays, texts and dicts of them, which `same` compares."""
    if (
        depth > 6
        or result is None
        or isinstance(result, str | bytes | bool | int | float | np.generic | Path)
    ):
        return result
    if isinstance(result, np.ndarray):
        return result
    if isinstance(result, torch.Tensor):
        return result.detach().cpu().numpy()
    if isinstance(result, Image.Image):
        return np.asarray(result)
    if isinstance(result, HandFrames):
        return {name: summary(getattr(result, name), depth + 1) for name in result.columns}
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return {f.name: summary(getattr(result, f.name), depth + 1) for f in dataclasses.fields(result)}
    if isinstance(result, dict):
        return {str(name): summary(value, depth + 1) for name, value in result.items()}
    if isinstance(result, list | tuple):
        return [summary(value, depth + 1) for value in result]
    if hasattr(result, "shape") and hasattr(result, "__getitem__"):  # pictures that are read when asked for
        if np.prod(result.shape) < 200_000:
            return np.asarray(result[:])
        return {"shape": tuple(result.shape), "first": np.asarray(result[0])}
    if type(result).__name__.endswith("Display"):
        kept = {name: value for name, value in vars(result).items() if not name.endswith("_")}
        return {name: summary(value, depth + 1) for name, value in kept.items()}
    return re.sub(r" at 0x[0-9a-f]+", "", repr(result))


def leaves(result: Any) -> Iterator[np.ndarray]:
    """Yield the arrays and numbers of a summary."""
    if isinstance(result, dict):
        for value in result.values():
            yield from leaves(value)
    elif isinstance(result, list):
        for value in result:
            yield from leaves(value)
    elif isinstance(result, np.ndarray | np.generic | float | int):
        yield np.asarray(result)


def is_finite(result: Any) -> bool:
    """Tell whether no number is NaN or infinite."""
    return all(np.isfinite(leaf).all() for leaf in leaves(result) if leaf.dtype.kind == "f")


def mapped(result: Any, change: Any) -> Any:
    """Change each array of a summary; None where one has no rows to change."""
    if isinstance(result, dict):
        return {name: mapped(value, change) for name, value in result.items()}
    if isinstance(result, list):
        return [mapped(value, change) for value in result]
    if isinstance(result, np.ndarray) and result.ndim:
        return change(result)
    return result


def same(one: Any, other: Any) -> bool:
    """Tell whether two summaries agree, NaN with NaN, to float32's precision."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, np.ndarray | np.generic | float | int) and isinstance(
        other, np.ndarray | np.generic | float | int
    ):
        a, b = np.asarray(one), np.asarray(other)
        if a.shape != b.shape:
            return False
        if a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
            return bool(np.all(a == b))
        size = np.abs(b[np.isfinite(b)]).max(initial=0) if b.dtype.kind == "f" else 0
        step = 1e-2 if a.dtype == np.float16 else 1e-4
        return bool(
            np.allclose(a.astype(float), b.astype(float), rtol=step, atol=step / 10 * size, equal_nan=True)
        )
    return type(one) is type(other) and bool(one == other)


def _speaks_to_users(category: type[Warning]) -> bool:
    """Tell whether a warning is skhand's own, or numpy's of an overflow."""
    return category in (UserWarning, RuntimeWarning) or category.__module__.startswith("skhand")


def _same_value(one: Any, other: Any) -> bool:
    """Tell whether a hostile value is the good one."""
    return type(one) is type(other) and not hasattr(one, "shape") and one == other


def run(names: list[str] | None, part: str, share: float, out: Path | None) -> list[Row]:
    """Make one part of the table in a folder of its own, and write it."""
    number, n_parts = (int(n) for n in part.split("/"))
    close_figures()
    torch.set_num_threads(1)
    rows = []
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as here:
        os.chdir(here)
        try:
            for row in table(names, number - 1, n_parts, share, World(Path(folder))):
                rows.append(row)
                for left in Path(here).iterdir():  # what one call writes, another one must not find
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
                if out is not None and len(rows) % 500 == 0:
                    write(rows, out)
                if row.seconds > 5:
                    print(row, file=sys.stderr, flush=True)
        finally:
            os.chdir(home)
            if out is not None:
                write(rows, out)
    return rows


def write(rows: list[Row], out: Path) -> None:
    """Write the rows as JSON."""
    out.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=0))


def main() -> None:
    """Make the table and print how often each outcome came."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", default="1/1", help="which part of how many")
    parser.add_argument("--share", type=float, default=1.0, help="share of the calls")
    parser.add_argument("--out", type=Path, help="JSON file")
    parser.add_argument("names", nargs="*", help="public names; all by default")
    given = parser.parse_args()
    rows = run(given.names or None, given.part, given.share, given.out and given.out.resolve())
    by_call: dict[str, Counter[str]] = {}
    for row in rows:
        by_call.setdefault(row.call, Counter())[row.outcome] += 1
    print(f"{'':60s}" + "".join(f"{outcome:>9s}" for outcome in OUTCOMES))
    for name, counts in by_call.items():
        print(f"{name:60s}" + "".join(f"{counts[outcome] or '':>9}" for outcome in OUTCOMES))
    total = Counter(row.outcome for row in rows)
    print(f"{f'{len(rows)} calls':60s}" + "".join(f"{total[outcome]:>9d}" for outcome in OUTCOMES))


if __name__ == "__main__":
    main()
