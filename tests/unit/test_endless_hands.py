"""make_hands(endless=True): epochs whose rows are never the same, drawn from one seed."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
from sklearn.utils import _safe_indexing
from skorch.callbacks import Callback

from skhand import HandFrames, concat_frames
from skhand.datasets import EndlessHands, make_hands
from skhand.estimators import AlignedLatentRegressor, CrossModalVAERegressor
from skhand.exceptions import InputError
from skhand.preprocessing import HandCropper

N = 8
SETTINGS = {"image_size": 20, "random_state": 5}


@pytest.fixture(scope="module")
def endless():
    return make_hands(N, lazy=True, endless=True, **SETTINGS).data


def assert_same(one, other):
    assert one.columns == other.columns and len(one) == len(other)
    for name in one.columns:
        assert np.array_equal(np.asarray(getattr(one, name)), np.asarray(getattr(other, name))), name


def test_epoch_0_is_the_plain_table_and_carries_its_poses(endless):
    plain = make_hands(N, lazy=True, **SETTINGS)
    assert_same(endless.at_epoch(0).replace(pose3d=None), plain.data.replace(pose3d=None))
    assert np.array_equal(endless.pose3d, plain.target)
    assert_same(endless, endless.at_epoch(0))
    bunch = make_hands(N, lazy=True, endless=True, **SETTINGS)
    for name in ("target", "groups", "angles", "gesture", "visible"):
        assert np.array_equal(bunch[name], plain[name])


def test_epochs_are_the_next_rows_of_the_seed(endless):
    longer = make_hands(3 * N, **SETTINGS)
    for epoch in range(3):
        rows = slice(epoch * N, (epoch + 1) * N)
        table = endless.at_epoch(epoch)
        assert type(table) is HandFrames and len(table) == N
        assert np.array_equal(table.pose3d, longer.target[rows])
        assert_same(table.replace(pose3d=None), longer.data[rows])


def test_no_row_comes_twice(endless):
    epochs = [endless.at_epoch(epoch) for epoch in (*range(20), 10**6, 10**12)]
    poses = np.concatenate([table.pose3d.reshape(N, -1) for table in epochs])
    assert len(np.unique(poses, axis=0)) == len(epochs) * N
    pictures = np.concatenate([np.asarray(table.depth).reshape(N, -1) for table in epochs])
    assert len(np.unique(pictures, axis=0)) == len(epochs) * N


def test_an_epoch_does_not_depend_on_those_before(endless):
    first = endless.at_epoch(4)
    for epoch in (0, 3, 5):
        endless.at_epoch(epoch)
    assert_same(endless.at_epoch(4), first)


@pytest.mark.parametrize(
    "some",
    [[6, 1, 1], slice(2, 7, 2), np.arange(N) % 3 == 0, np.array([-1, 0]), 3],
    ids=["list", "slice", "mask", "negative", "one"],
)
def test_some_rows_are_these_rows_of_every_epoch(endless, some):
    subset = endless[some]
    assert isinstance(subset, EndlessHands)
    for epoch in (0, 2):
        assert_same(subset.at_epoch(epoch), endless.at_epoch(epoch)[some])
    twice = endless[[5, 2, 4, 1]][1:][[2, 0]]
    assert_same(twice.at_epoch(3), endless.at_epoch(3)[[1, 2]])
    assert_same(_safe_indexing(endless, [4, 2]).at_epoch(1), endless.at_epoch(1)[[4, 2]])


def test_a_pickle_is_small_and_goes_on(endless):
    table = make_hands(500, lazy=True, endless=True, **SETTINGS).data
    some = table[[400, 3]]
    assert len(pickle.dumps(some)) < 10_000
    for one in (table, some, some[[1]], table.replace(rgb=None)):
        assert_same(pickle.loads(pickle.dumps(one)).at_epoch(2)[:1], one.at_epoch(2)[:1])
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(some))[[1]]))
    assert_same(again.at_epoch(1), table.at_epoch(1)[[3]])


def test_columns_may_go_or_say_the_same_in_every_row(endless):
    table = endless[[3, 1]].replace(rgb=None, domain="drawn").replace(scale=None)
    expected = endless.at_epoch(7)[[3, 1]].replace(rgb=None, domain="drawn", scale=None)
    assert set(expected.columns) == set(endless.columns) - {"rgb", "scale"}
    assert_same(table.at_epoch(7), expected)
    assert set(table.domain) == {"drawn"}


def test_what_would_end_it_is_refused(endless):
    with pytest.raises(InputError, match="^scale: hands without end .* at_epoch"):
        endless.replace(scale=np.ones(N))
    with pytest.raises(InputError, match="at_epoch"):
        HandCropper(size=16, source="box").fit_transform(endless)
    with pytest.raises(InputError, match="^frames: .* at_epoch"):
        concat_frames([endless, endless.at_epoch(0)])
    for epoch in (-1, 0.5, "next", 2**62):
        with pytest.raises(InputError, match="^epoch: "):
            endless.at_epoch(epoch)
    for options in ({"endless": True}, {"endless": True, "lazy": True, "return_X_y": True}, {"endless": 3}):
        with pytest.raises(InputError, match="^endless: "):
            make_hands(N, **SETTINGS, **options)


def test_memory_stays_flat():
    table = make_hands(200, images=("depth",), lazy=True, endless=True, image_size=16, random_state=0).data
    kept = []
    tracemalloc.start()
    for epoch in range(12):
        np.asarray(table.at_epoch(epoch).depth[:4])
        kept.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert kept[-1] - kept[3] < 20_000  # a table is 400 kB
    assert len(pickle.dumps(table)) < 600_000


def test_fit_needs_no_y(endless):
    X = endless.replace(rgb=None, depth=None, mask=None)
    fitted = CrossModalVAERegressor(max_epochs=1, batch_size=4, random_state=0).fit(X)
    assert fitted.predict(X.at_epoch(1)).shape == (N, 21, 3)


def test_it_says_what_it_is(endless):
    assert repr(endless).startswith(f"EndlessHands, in each epoch {N} hands: rgb (20, 20, 3) uint8")


class Poses(Callback):
    """Collects the poses of every batch."""

    def __init__(self):
        self.seen = []

    def on_batch_end(self, net, batch, **_):
        self.seen += [stream["pose3d"].numpy().copy() for stream in batch.values() if "pose3d" in stream]


@pytest.mark.parametrize("several_calls", [False, True])
def test_a_training_on_endless_hands_never_sees_a_row_twice(several_calls):
    hands = make_hands(24, image_size=16, lazy=True, endless=True, random_state=0)
    watch = Poses()
    estimator = AlignedLatentRegressor(
        backbone="small", batch_size=10, max_epochs=2, augment=None, hidden_units=8, callbacks=[watch]
    )
    if several_calls:
        for _ in range(4):
            estimator.partial_fit(hands.data)
    else:
        estimator.fit(hands.data)
    rows = np.concatenate(watch.seen).reshape(-1, 63)
    assert len(rows) == (4 if several_calls else 8) * 30  # three batches of ten an epoch
    assert len(np.unique(rows, axis=0)) == len(rows)
