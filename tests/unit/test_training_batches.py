"""Batches: which rows, in which order, read when and by whom."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from skhand.exceptions import InputError
from skhand.training import Batches, fetch

CPU = torch.device("cpu")


def make_batches(n, size, *, known=None, seed=0, column=None, n_workers=0, columns_of=None, **options):
    """Batches of a column ``id`` that is the row's number, or that is given."""
    streams = {"all": np.arange(n)} if known is None else {"all": np.arange(n), "known": np.asarray(known)}
    columns = {"id": np.arange(n) if column is None else column}
    names = {stream: {"id"} for stream in streams}
    columns_of = columns_of or (lambda number: columns)
    return Batches(columns_of, streams, names, size, [seed], CPU, n_workers=n_workers, **options)


def read_rows(batches, start=0, stop=None, stream="all"):
    """Row numbers of some steps, of one epoch where none are named, read off the column ``id``."""
    stop = len(batches) if stop is None else stop
    return [step[stream]["id"].tolist() for step in batches.iterate(start, stop)]


# ---------------------------------------------------------------- which rows


def test_every_row_is_seen_once_an_epoch_in_a_new_order_each():
    batches = make_batches(24, 8)
    first, second = read_rows(batches), read_rows(batches, 3, 6)
    assert len(batches) == 3
    for epoch in (first, second):
        assert sorted(np.concatenate(epoch)) == list(range(24))
    assert first != second


def test_a_remainder_runs_on_into_the_next_epoch_and_batches_stay_full():
    seen = read_rows(make_batches(10, 4), 0, 12)
    assert [len(batch) for batch in seen] == [4] * 12
    flat = np.concatenate(seen)
    for start in range(0, 40, 10):
        assert sorted(flat[start : start + 10]) == list(range(10))


def test_a_stream_of_fewer_rows_comes_more_often():
    batches = make_batches(12, 4, known=[1, 5, 7, 8])
    steps = list(batches.iterate(0, len(batches)))
    assert [list(step) for step in steps] == [["all", "known"]] * 3
    labelled = np.concatenate([step["known"]["id"] for step in steps])
    assert sorted(labelled) == sorted([1, 5, 7, 8] * 3)


@pytest.mark.parametrize(("n", "size", "expected"), [(1, 64, 2), (5, 64, 5), (9, 1, 2)])
def test_a_batch_has_at_least_two_rows_and_at_most_what_there_is(n, size, expected):
    assert {len(batch) for batch in read_rows(make_batches(n, size))} == {expected}
    if size == 1:
        assert {len(batch) for batch in read_rows(make_batches(n, size, smallest=1))} == {1}


def test_the_same_seed_gives_the_same_batches():
    assert read_rows(make_batches(20, 6, seed=3)) == read_rows(make_batches(20, 6, seed=3))
    assert read_rows(make_batches(20, 6, seed=3)) != read_rows(make_batches(20, 6, seed=4))


def test_a_step_reads_the_same_rows_wherever_reading_begins():
    whole = read_rows(make_batches(10, 4, known=[2, 3, 9]), 0, 30)
    batches = make_batches(10, 4, known=[2, 3, 9])
    for start in (17, 3, 29, 0, 11):  # back and forth: nothing is remembered that matters
        assert read_rows(batches, start, start + 1) == whole[start : start + 1]


def test_streams_are_shuffled_apart():
    steps = list(make_batches(20, 20, known=np.arange(20)).iterate(0, 1))
    assert steps[0]["all"]["id"].tolist() != steps[0]["known"]["id"].tolist()


def test_rows_say_of_which_pass_they_are():
    batches = make_batches(10, 4)
    assert [[number for number, _ in batches.rows(step)["all"]] for step in range(5)] == [
        [0], [0], [0, 1], [1], [1],
    ]  # fmt: skip


def test_a_pass_may_have_columns_of_its_own_and_a_batch_may_have_rows_of_two():
    def columns_of(number):
        return {"id": 100 * number + np.arange(10)}

    seen = np.concatenate(read_rows(make_batches(10, 4, columns_of=columns_of), 0, 10))
    for number in range(4):
        wanted = [100 * number + row for row in range(10)]
        assert sorted(seen[10 * number : 10 * (number + 1)]) == wanted


def test_torchs_own_random_numbers_are_not_touched():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    read_rows(make_batches(20, 6), 0, 9)
    assert torch.equal(torch.get_rng_state(), before)


# ---------------------------------------------------------------- reading ahead


class Slow:
    """A lazy column of row numbers; remembers who read when, and can fail at a row."""

    def __init__(self, n, fails_at=None):
        self.shape, self.dtype, self.ndim = (n,), np.dtype(int), 1
        self.fails_at, self.n_read, self.threads = fails_at, 0, set()

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        self.n_read += 1
        self.threads.add(threading.current_thread().name)
        rows = np.arange(len(self))[rows]
        if self.fails_at is not None and self.fails_at in rows:
            raise OSError(f"row {self.fails_at} is gone")
        time.sleep(1e-3 * (rows.sum() % 3))  # so that later batches may be ready first
        return rows


@pytest.mark.parametrize("n_workers", [1, 2, 5])
def test_however_many_read_the_batches_are_the_same(n_workers):
    expected = read_rows(make_batches(23, 4, known=[1, 5, 7]), 2, 40)
    column = Slow(23)
    batches = make_batches(23, 4, known=[1, 5, 7], column=column, n_workers=n_workers)
    assert read_rows(batches, 2, 40) == expected
    assert all(name.startswith("skhand-read") for name in column.threads)


@pytest.mark.parametrize("n_workers", [0, 1, 3])
def test_what_a_reader_raises_is_raised_where_the_batch_is_wanted(n_workers):
    order = np.concatenate(read_rows(make_batches(12, 3)))
    batches = make_batches(12, 3, column=Slow(12, fails_at=order[7]), n_workers=n_workers)
    seen = []
    with pytest.raises(OSError, match="is gone"):
        for step in batches.iterate(0, 40):
            seen.append(step["all"]["id"].tolist())
    assert np.concatenate(seen).tolist() == order[:6].tolist()  # the batches before it came
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("skhand-read")]


@pytest.mark.parametrize(("n_workers", "most"), [(0, 1), (1, 2), (3, 6)])
def test_no_more_is_read_ahead_than_two_batches_a_worker(n_workers, most):
    column = Slow(400)
    steps = make_batches(400, 2, column=column, n_workers=n_workers).iterate(0, 200)
    for taken in range(1, 4):
        next(steps)
        time.sleep(0.1)
        assert column.n_read <= taken - 1 + most
    if n_workers:
        assert column.n_read > 3  # but it is read ahead
    steps.close()
    n_read = column.n_read
    time.sleep(0.05)
    assert column.n_read == n_read  # and no longer when nobody wants more


def test_workers_use_one_core_each_and_leave_the_others_to_the_training():
    class Counted(Slow):
        def __getitem__(self, rows):
            self.threads.add(torch.get_num_threads())
            return np.arange(len(self))[rows]

    before, column = torch.get_num_threads(), Counted(12)
    torch.set_num_threads(2)
    try:
        read_rows(make_batches(12, 3, column=column, n_workers=2), 0, 20)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert column.threads == {1}


def test_pictures_that_are_not_in_memory_are_read_by_a_worker(rng):
    pictures = rng.integers(0, 255, (6, 4, 4, 3), dtype=np.uint8)
    for column, n_workers in ((pictures, 0), (Spy(pictures), 1)):
        batches = Batches(
            lambda number, column=column: {"rgb": column},
            {"all": np.arange(6)},
            {"all": {"rgb"}},
            2,
            [0],
            CPU,
        )
        assert batches.n_workers == n_workers


# ---------------------------------------------------------------- fetch


class Spy:
    """A lazy column that remembers which rows were read."""

    def __init__(self, array):
        self.array, self.read = array, []
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        self.read.append(np.arange(len(self.array))[rows])
        return self.array[rows]


def test_a_lazy_column_reads_the_batchs_rows_only_and_in_one_go(rng):
    column = Spy(rng.integers(0, 255, (50, 4, 4, 3), dtype=np.uint8))
    rows = np.array([7, 3, 31])
    batch = fetch({"rgb": column, "depth": Spy(np.zeros((50, 4, 4)))}, ["rgb", "not there"], rows, CPU)
    assert set(batch) == {"rgb"}
    assert [part.tolist() for part in column.read] == [[7, 3, 31]]
    assert batch["rgb"].dtype == torch.uint8
    np.testing.assert_array_equal(batch["rgb"], column.array[rows])


def test_a_batch_does_not_share_memory_with_its_column(rng):
    column = rng.normal(size=(6, 3))
    fetch({"x": column}, ["x"], np.arange(6), CPU)["x"].zero_()
    assert np.abs(column).min() > 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_picture_that_is_no_number_is_named_when_it_is_read(value):
    depth = np.full((4, 3, 3), 500.0)
    depth[2, 1, 1] = value
    fetch({"depth": depth}, ["depth"], np.array([0, 1, 3]), CPU)
    with pytest.raises(InputError, match="depth"):
        fetch({"depth": depth}, ["depth"], np.array([0, 2]), CPU)
