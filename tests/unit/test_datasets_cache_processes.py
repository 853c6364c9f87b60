"""The cache of the loaders: processes that are killed, and several that build one entry."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from sklearn.utils import Bunch

from skhand.datasets._cache import load_cached
from skhand.frames import HandFrames


def entries_of(folder):
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def a_bunch(n=100, value=1):
    data = HandFrames(depth=np.full((n, 4, 5), value, np.uint16), side="left")
    return Bunch(data=data, target=np.arange(n * 3.0).reshape(n, 1, 3), joint_names=("wrist",), DESCR="text")


class KilledWhileRead:
    """A picture column whose reader dies, as a killed process does, after the first rows are on disk."""

    shape, dtype, ndim = (100, 4, 5), np.dtype(np.uint16), 3

    def __len__(self):
        return 100

    def __getitem__(self, rows):
        if np.max(rows) > 64:
            os._exit(9)
        return np.ones((len(rows), 4, 5), np.uint16)


def build_and_die(folder):
    bunch = a_bunch()
    bunch.data = bunch.data.replace(depth=KilledWhileRead())
    load_cached(folder, {"dataset": "toy"}, [], lambda: bunch)


def test_a_killed_process_leaves_no_entry(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=build_and_die, args=(tmp_path,))
    process.start()
    process.join(30)
    assert process.exitcode == 9
    (leftover,) = entries_of(tmp_path)
    assert ".partial-" in leftover and os.listdir(tmp_path / leftover) == ["depth.npy"]
    bunch = load_cached(tmp_path, {"dataset": "toy"}, [], lambda: a_bunch(value=7))
    assert (bunch.data.depth[:] == 7).all() and len(entries_of(tmp_path)) == 2


def build_with_another(folder, barrier, value, queue):
    def build():
        barrier.wait(30)  # neither is done before both have begun
        return a_bunch(value=value)

    bunch = load_cached(folder, {"dataset": "toy"}, [], build)
    queue.put((np.unique(bunch.data.depth[:]).tolist(), bunch.target.sum()))


def test_two_processes_build_the_same_entry_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(2), context.Queue()
    processes = [
        context.Process(target=build_with_another, args=(tmp_path, barrier, value, queue)) for value in (3, 4)
    ]
    for process in processes:
        process.start()
    answers = [queue.get(timeout=30) for _ in processes]
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert answers[0] == answers[1] and answers[0][0] in ([3], [4])  # whole, and one of the two
    (entry,) = entries_of(tmp_path)
    assert ".partial" not in entry


@pytest.mark.parametrize("moment", ["build", "savez", "write_text", "rename"])
def test_a_write_that_is_killed_at_any_moment_leaves_no_entry(tmp_path, moment):
    """SIGKILL, which no handler sees; the next load builds the entry, whole."""
    process = multiprocessing.get_context("fork").Process(target=die_at, args=(tmp_path, moment))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert all(".partial-" in name for name in entries_of(tmp_path))
    bunch = load_cached(tmp_path, {"dataset": "toy"}, [], lambda: a_bunch(value=7))
    assert (bunch.data.depth[:] == 7).all() and len(bunch.target) == 100
    assert len([name for name in entries_of(tmp_path) if ".partial-" not in name]) == 1


def die_at(folder, moment):
    def die(*args, **options):
        os.kill(os.getpid(), signal.SIGKILL)

    owner = {"savez": np, "write_text": type(folder), "rename": os}.get(moment)
    if owner is not None:
        setattr(owner, moment, die)
    load_cached(folder, {"dataset": "toy"}, [], die if moment == "build" else a_bunch)


def test_many_processes_killed_and_not_share_one_cache(tmp_path):
    """Some writers are killed at a random time while others finish: what is there is whole."""
    context = multiprocessing.get_context("fork")
    for seed in range(4):
        folder = tmp_path / str(seed)
        writers = [context.Process(target=write_slowly, args=(folder, value)) for value in (3, 4, 5)]
        for process in writers:
            process.start()
        time.sleep(0.02 + 0.03 * seed)
        os.kill(writers[0].pid, signal.SIGKILL)
        for process in writers:
            process.join(30)
        assert [process.exitcode for process in writers[1:]] == [0, 0]
        bunch = load_cached(folder, {"dataset": "toy"}, [], None)  # nothing is built any more
        assert len(np.unique(bunch.data.depth[:])) == 1 and bunch.data.depth.shape == (100, 4, 5)


def write_slowly(folder, value):
    class Slow:
        shape, dtype, ndim = (100, 4, 5), np.dtype(np.uint16), 3

        def __len__(self):
            return 100

        def __getitem__(self, rows):
            time.sleep(0.04)
            return np.full((len(rows), 4, 5), value, np.uint16)

    bunch = a_bunch(value=value)
    bunch.data = bunch.data.replace(depth=Slow())
    load_cached(folder, {"dataset": "toy"}, [], lambda: bunch)
