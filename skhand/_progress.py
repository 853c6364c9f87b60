"""A bar with the time left for long work; nothing in pipes, in workers, and inside of a fit."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import threading
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

__all__ = ["progress", "without_bars"]

T = TypeVar("T")
_DELAY = 2.0  # s: what ends before shows no bar

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


def progress(items: Iterable[T], what: str, *, total: float | None = None, unit: str = "it") -> Iterable[T]:
    """Return the items, with a bar on stderr while they are taken, if that takes more than two seconds.

    There is none where stderr is no terminal, in another process or thread than the main one, and inside of
    `without_bars`. A bar is wiped out when the work ends. ``TQDM_DISABLE=1`` in the environment turns all
    off.

    Parameters
    ----------
    items : iterable
        What is worked on, one after the other.
    what : str
        What the bar says.
    total : float or None, default=None
        How many items; None is their length, where they have one.
    unit : str, default="it"
        What an item is.
    """
    is_terminal = getattr(sys.stderr, "isatty", None)  # a program without a console has no stderr
    if is_terminal is None or not is_terminal():
        return items
    elsewhere = multiprocessing.current_process().name != "MainProcess"
    if _quiet.get() or elsewhere or threading.current_thread() is not threading.main_thread():
        return items
    from tqdm import tqdm

    return tqdm(items, desc=what, total=total, unit=unit, delay=_DELAY, leave=False, disable=None)


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """Show no bar in this block, which has a progress of its own."""
    before = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(before)
