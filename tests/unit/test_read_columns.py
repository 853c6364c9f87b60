"""read_columns: rows of several columns at once, rendered once for all of them, the same bits in any way."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from skhand import HandFrames, concat_frames
from skhand._columns import MakerColumn, RowsOf, read_columns
from skhand.datasets import make_hands
from skhand.exceptions import InputError
from skhand.preprocessing import DepthCropper, HandCropper, HandMirror
from skhand.rendering.source import HandSource

NAMES = ("rgb", "depth", "mask")
ROWS = np.array([5, 2, 9, 2])


def lazy_hands(n=12, **options):
    return make_hands(n, image_size=20, lazy=True, random_state=3, **options).data


def columns_of(X):
    return {name: getattr(X, name) for name in X.columns}


@pytest.fixture
def rendered(monkeypatch):
    """The rows of each render, as they come."""
    rows_of, render = [], HandSource._render

    def counted(self, rig, rows, *rest):
        rows_of.append(rows.tolist())
        return render(self, rig, rows, *rest)

    monkeypatch.setattr(HandSource, "_render", counted)
    return rows_of


def flat(parts):
    return [row for part in parts for row in part]


def shuffled(X):
    return X[[7, 1, 3, 3, 0, 11, 4, 2, 8, 5]]


def restored(X):
    return pickle.loads(pickle.dumps(X[::-1]))


def cropped(X):
    return HandCropper(size=16, source="box").transform(X)


def cropped_and_mirrored(X):
    return HandMirror().transform(cropped(X)[1:])


def cut_out(X):
    return DepthCropper(centre="root", size=12).transform(X)


@pytest.mark.parametrize(
    "view",
    [lambda X: X, shuffled, restored, cropped, cropped_and_mirrored, cut_out],
    ids=lambda f: f.__name__,
)
def test_a_row_is_rendered_once_for_all_columns_and_has_the_bits_of_each(rendered, view):
    X = view(lazy_hands())
    expected = {name: np.asarray(getattr(X, name)[ROWS]) for name in X.columns}
    rendered.clear()
    read = read_columns(columns_of(X), X.columns, ROWS)
    assert len(flat(rendered)) == len(set(ROWS))
    assert list(read) == X.columns
    for name, values in read.items():
        assert values.dtype == expected[name].dtype and np.array_equal(values, expected[name]), name


def test_columns_that_differ_in_how_they_are_changed_still_share_a_render(rendered):
    X = lazy_hands()
    columns = {**columns_of(cropped(X)), "rgb": X.rgb}
    read = read_columns(columns, NAMES, ROWS)
    assert len(flat(rendered)) == 3
    assert read["rgb"].shape == (4, 20, 20, 3) and read["depth"].shape == (4, 16, 16)


def test_columns_with_other_rows_of_one_maker_are_made_from_their_union(rendered):
    X = lazy_hands()
    columns = {"rgb": RowsOf(X.rgb, np.array([3, 4, 5])), "mask": RowsOf(X.mask, np.array([5, 6, 3]))}
    read = read_columns(columns, NAMES, np.arange(3))
    assert sorted(flat(rendered)) == [3, 4, 5, 6]
    assert np.array_equal(read["rgb"], X.rgb[[3, 4, 5]]) and np.array_equal(read["mask"], X.mask[[5, 6, 3]])


def test_joined_tables_render_each_row_of_each_once(rendered):
    one, real = lazy_hands(6), lazy_hands(6, domain="real")
    here = make_hands(3, image_size=20, random_state=4).data
    X = concat_frames([one[[4, 1]], real, here])
    rows = np.array([0, 9, 3, 10, 1, 3, 8])
    expected = {name: np.asarray(getattr(X, name)[rows]) for name in X.columns}
    rendered.clear()
    read = read_columns(columns_of(X), X.columns, rows)
    assert sorted(flat(rendered)) == [1, 1, 4]  # real's row 1, and 1 and 4 of the other
    for name, values in read.items():
        assert np.array_equal(values, expected[name]), name


def test_only_the_wanted_columns_are_rendered(monkeypatch):
    made, make = [], HandSource.make

    def noted(self, rows, names):
        made.append(names)
        return make(self, rows, names)

    monkeypatch.setattr(HandSource, "make", noted)
    read = read_columns(columns_of(lazy_hands()), ("mask", "side", "table", "depth"), ROWS)
    assert list(read) == ["mask", "side", "depth"] and made == [("mask", "depth")]


def test_arrays_and_other_lazy_columns_are_read_as_they_are(tmp_path):
    class Fetched:  # a user's own
        shape, dtype, ndim = (12, 4, 4), np.dtype(np.float32), 3

        def __len__(self):
            return 12

        def __getitem__(self, rows):
            return np.arange(12 * 16, dtype=np.float32).reshape(12, 4, 4)[rows]

    mapped = np.memmap(tmp_path / "masks", bool, "w+", shape=(12, 4, 4))
    mapped[::2] = True
    columns = columns_of(HandFrames(depth=Fetched(), mask=mapped, scale=np.arange(12.0)))
    read = read_columns(columns, columns, ROWS)
    assert np.array_equal(read["depth"], Fetched()[ROWS]) and np.array_equal(read["mask"], mapped[ROWS])
    assert read["scale"].tolist() == ROWS.tolist()


def test_no_rows_are_empty_arrays():
    X = concat_frames([lazy_hands(3), lazy_hands(2)])
    read = read_columns(columns_of(X), NAMES, [])
    assert [read[name].shape for name in NAMES] == [(0, 20, 20, 3), (0, 20, 20), (0, 20, 20)]


@pytest.mark.parametrize("rows", [[0, 12], [-1], [0.5], [[0, 1]], [True, False]])
def test_rows_that_are_not_there_are_refused(rows):
    with pytest.raises(InputError, match="^rows: "):
        read_columns(columns_of(lazy_hands()), NAMES, rows)


def test_threads_read_the_same_bits():
    X = cropped(lazy_hands(60, backgrounds="procedural", domain="real", occluders=0.5))
    columns, batches = columns_of(X), np.random.default_rng(0).permutation(60).reshape(12, 5)
    alone = [read_columns(columns, X.columns, rows) for rows in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda rows: read_columns(columns, X.columns, rows), batches))
    for one, other in zip(alone, together, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in X.columns)


def test_a_makers_columns_may_begin_anywhere():
    class Numbers:
        def make(self, rows, names):
            return {name: rows * {"one": 1, "ten": 10}[name] for name in names}

    maker = Numbers()
    columns = {
        "one": MakerColumn(maker, "one", (5,), np.int64),
        "ten": MakerColumn(maker, "ten", (5,), np.int64, first=100),
    }
    read = read_columns(columns, columns, np.array([4, 0]))
    assert read["one"].tolist() == [4, 0] and read["ten"].tolist() == [1040, 1000]
    assert columns["ten"][-1] == 1040
