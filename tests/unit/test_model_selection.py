"""Splitters: labels in every fold, whole groups, blocks with gaps."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import config_context
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score

from skhand import HandFrames
from skhand.exceptions import InputError
from skhand.model_selection import BlockKFold, LabelledKFold


def poses(labelled, shape=(21, 3)):
    """Poses of ones, NaN where not labelled."""
    y = np.ones((len(labelled), *shape))
    y[~np.asarray(labelled, bool)] = np.nan
    return y


def frames(n):
    return HandFrames(rgb=np.zeros((n, 2, 2, 3), np.uint8))


def folds_of(splitter, X, y=None, groups=None):
    """Check that the folds share out the rows, and return them."""
    folds = list(splitter.split(X, y, groups))
    assert len(folds) == splitter.get_n_splits()
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), np.arange(len(X)))
    for train, test in folds:
        assert not set(train) & set(test)
        assert (np.diff(train) > 0).all() and (np.diff(test) > 0).all()
    return folds


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("shape", [(21, 3), (63,), ()])
@pytest.mark.parametrize(
    ("n_rows", "n_labelled", "n_splits"), [(40, 4, 4), (41, 9, 5), (23, 21, 3), (12, 12, 2)]
)
def test_labels_are_spread_evenly(rng, shuffle, shape, n_rows, n_labelled, n_splits):
    labelled = np.zeros(n_rows, bool)
    labelled[rng.choice(n_rows, n_labelled, replace=False)] = True
    splitter = LabelledKFold(n_splits, shuffle=shuffle, random_state=3 if shuffle else None)
    folds = folds_of(splitter, frames(n_rows), poses(labelled, shape))
    counts = [labelled[test].sum() for _, test in folds]
    sizes = [len(test) for _, test in folds]
    assert min(counts) >= 1 and np.ptp(counts) <= 1 and np.ptp(sizes) <= 1
    assert all(len(train) + len(test) == n_rows for train, test in folds)


def test_a_partly_labelled_row_is_labelled():
    y = poses([0, 0, 0, 0, 0, 0])
    y[[0, 5], 3, 1] = 1.0
    for train, test in folds_of(LabelledKFold(2), frames(6), y):
        assert len({0, 5} & set(test)) == len({0, 5} & set(train)) == 1


def test_groups_stay_whole_and_labels_are_in_every_fold(rng):
    groups = rng.permutation(np.repeat(np.arange(9), 7))
    labelled = np.isin(groups, [1, 4, 6]) & (rng.random(63) < 0.8)
    for shuffle in (False, True):
        splitter = LabelledKFold(3, shuffle=shuffle, random_state=0 if shuffle else None)
        for train, test in folds_of(splitter, frames(63), poses(labelled), groups):
            assert not set(groups[train]) & set(groups[test])
            assert len(set(groups[test])) == 3
            assert labelled[test].any() and labelled[train].any()


def test_groups_of_strings_and_uneven_sizes():
    groups = ["a"] * 10 + ["b"] * 2 + ["c"] * 1 + ["d"] * 3
    labelled = [1] * 10 + [1, 0] + [1] + [0] * 3
    folds = folds_of(LabelledKFold(3), frames(16), poses(labelled), groups)
    assert [sorted({groups[i] for i in test}) for _, test in folds] == [["a"], ["b"], ["c", "d"]]


def test_groups_are_dealt_by_their_labels_and_not_their_size():
    """Labelled rows 5, 4, 3, 2 in groups of 5, 20, 3, 20 rows: 5 + 2 and 4 + 3 are the even halves."""
    sizes, n_labelled = [5, 20, 3, 20], [5, 4, 3, 2]
    labelled = np.concatenate([np.arange(size) < n for size, n in zip(sizes, n_labelled, strict=True)])
    folds = folds_of(LabelledKFold(2), frames(48), poses(labelled), np.repeat(np.arange(4), sizes))
    assert [labelled[test].sum() for _, test in folds] == [7, 7]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_labels_of_each_domain_are_spread_too(shuffle, grouped):
    """20 labelled synthetic rows, 4 labelled and 17 unlabelled real ones; groups are of one row each."""
    X = frames(41).replace(domain=np.repeat(["synthetic", "real"], [20, 21]))
    labelled = np.arange(41) < 24
    splitter = LabelledKFold(3, shuffle=shuffle, random_state=0 if shuffle else None)
    folds = folds_of(splitter, X, poses(labelled), np.arange(41) if grouped else None)
    for kind in (labelled[:20], labelled[20:]):
        rows = np.flatnonzero(kind) + (0 if len(kind) == 20 else 20)
        assert np.ptp([len(set(rows) & set(test)) for _, test in folds]) <= 1
        assert all(set(rows) & set(train) and set(rows) & set(test) for train, test in folds)
    for counted in (labelled, np.ones(41, bool)):
        assert np.ptp([counted[test].sum() for _, test in folds]) <= 1


def test_a_domain_with_fewer_labels_than_folds_is_in_as_many():
    X = frames(12).replace(domain=np.repeat(["synthetic", "real"], [6, 6]))
    folds = folds_of(LabelledKFold(3), X, poses(np.arange(12) < 8))
    assert sorted(len({6, 7} & set(test)) for _, test in folds) == [0, 1, 1]
    assert [(np.array(test) < 8).sum() for _, test in folds] == [3, 3, 2]


def test_shuffling_follows_the_seed():
    y = poses(np.arange(30) % 3 == 0)
    tests = [
        [test.tolist() for _, test in LabelledKFold(3, shuffle=True, random_state=seed).split(y, y)]
        for seed in (0, 0, 1)
    ]
    assert tests[0] == tests[1] != tests[2]


@pytest.mark.parametrize(("n_rows", "n_splits", "gap"), [(400, 4, 20), (10, 3, 1), (7, 2, 0)])
def test_blocks_are_contiguous_with_a_gap(n_rows, n_splits, gap):
    folds = folds_of(BlockKFold(n_splits, gap=gap), frames(n_rows), poses(np.arange(n_rows) % 2))
    for train, test in folds:
        np.testing.assert_array_equal(test, np.arange(test[0], test[-1] + 1))
        expected = [i for i in range(n_rows) if min(abs(i - j) for j in test) > gap]
        np.testing.assert_array_equal(train, expected)
    assert np.ptp([len(test) for _, test in folds]) <= 1


def test_scikit_learn_takes_the_splitters():
    X, y = np.arange(24.0).reshape(12, 2), np.repeat(np.arange(12.0)[:, None], 6, axis=1)
    for cv in (LabelledKFold(3), BlockKFold(3, gap=1)):
        assert cross_val_score(DummyRegressor(), X, y, cv=cv).shape == (3,)
        assert cross_val_predict(DummyRegressor(), X, y, cv=cv).shape == (12, 6)
    search = GridSearchCV(DummyRegressor(), {"strategy": ["mean", "median"]}, cv=LabelledKFold(3))
    groups = np.repeat([0, 1, 2], 4)
    assert search.fit(X, y, groups=groups).n_splits_ == 3
    with config_context(enable_metadata_routing=True):
        scores = cross_val_score(DummyRegressor(), X, y, cv=LabelledKFold(3), params={"groups": groups})
    np.testing.assert_allclose(
        scores, cross_val_score(DummyRegressor(), X, y, cv=LabelledKFold(3), groups=groups)
    )
    assert repr(BlockKFold(3, gap=1)) == "BlockKFold(gap=1, n_splits=3)"


Y = poses([1, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (lambda: LabelledKFold(1), "n_splits: expected an integer >= 2"),
        (lambda: LabelledKFold(3, shuffle="no"), "shuffle: expected one of True, False"),
        (
            lambda: LabelledKFold(2).split(Y, Y),
            "y: expected at least one labelled row a fold .*got 1 labelled",
        ),
        (lambda: LabelledKFold(2).split(Y, None), "y: expected the targets"),
        (lambda: LabelledKFold(2).split(Y, Y[:3]), "y: expected 6 rows"),
        (lambda: LabelledKFold(2).split(Y, ["a"] * 6), "y: expected numbers"),
        (lambda: LabelledKFold(2).split(3, Y), "X: expected a table of rows, got 3"),
        (lambda: LabelledKFold(2).split(Y[:0], Y[:0]), "y: expected at least one labelled row a fold"),
        (lambda: LabelledKFold(2).split(Y, Y, [1, 2]), "groups: expected one value a row"),
        (
            lambda: LabelledKFold(2).split(Y, 0 * Y + 1, [1] * 3 + [2] * 3),
            "groups: expected at least one group",
        ),
        (lambda: BlockKFold(3, gap=-1), "gap: expected an integer >= 0"),
        (lambda: BlockKFold(3, gap=6).split(Y), "gap: expected a gap that leaves training rows, got 6"),
        (lambda: BlockKFold(7).split(Y), "X: expected at least n_splits=7 rows, got 6"),
        (lambda: BlockKFold(2).split(Y, Y[:3]), "y: expected 6 rows"),
        (lambda: BlockKFold(2).split(Y, Y, [1] * 6), "groups: expected None"),
    ],
)
def test_bad_input_is_named(split, message):
    with pytest.raises(InputError, match=message):
        list(split())
