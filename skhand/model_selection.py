"""Split poses: with labels in every fold, and in contiguous blocks for videos."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from sklearn.model_selection import BaseCrossValidator, StratifiedKFold

from skhand._validation import check_bool, check_number, check_seed, describe, read_array, read_numbers
from skhand.exceptions import InputError
from skhand.frames import HandFrames

__all__ = ["BlockKFold", "LabelledKFold"]


class LabelledKFold(BaseCrossValidator):
    """Split into K folds with labelled rows in each test fold and in each training set.

    Labelled and unlabelled rows are spread over the folds apart from each other, so each fold has the
    same share of labels as far as the numbers allow; where X has a column ``domain``, so has each fold of
    the labels of each domain. With ``groups`` whole groups are spread.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether to shuffle rows (or groups) first. Without it the folds are contiguous stretches of the
        labelled and of the unlabelled rows.
    random_state : int, RandomState or None, default=None
        Seed of the shuffling.

    Notes
    -----
    A row is labelled if any of its coordinates is not NaN. Rows are spread by scikit-learn's
    `~sklearn.model_selection.StratifiedKFold` on whether they are labelled and on their domain. Groups are
    dealt out in order of their labelled rows, most first, each to the fold that has fewest so far: of the
    domains of the group's own labelled rows, and then of all. A domain with fewer labelled rows (or groups)
    than folds is missing from the labels of some folds.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.model_selection import LabelledKFold
    >>> y = np.full((6, 21, 3), np.nan)
    >>> y[:2] = 0.0
    >>> for train, test in LabelledKFold(2).split(np.zeros((6, 4)), y):
    ...     print(train, test)
    [1 4 5] [0 2 3]
    [0 2 3] [1 4 5]
    """

    __metadata_request__split: ClassVar = {"groups": True}

    def __init__(self, n_splits: int = 5, *, shuffle: bool = False, random_state: Any = None):
        self.n_splits = check_number(n_splits, "n_splits", integer=True, low=2)
        self.shuffle = check_bool(shuffle, "shuffle")
        check_seed(random_state)
        self.random_state = random_state

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object
            There for scikit-learn, and not read.

        Returns
        -------
        n_splits : int
        """
        return self.n_splits

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows of each training set and test fold.

        Parameters
        ----------
        X : array-like or HandFrames of n_samples rows
            Only its length is read, and the column ``domain`` of a HandFrames that has it.
        y : array-like of shape (n_samples,), (n_samples, n_outputs) or (n_samples, n_joints, n_dims)
            Targets in any unit; rows of NaN are unlabelled.
        groups : array-like of shape (n_samples,), optional
            Rows with the same value, for example a subject, stay on one side.

        Yields
        ------
        train, test : ndarray of int
            Row numbers, ascending.

        Raises
        ------
        InputError
            If ``y`` is None, lengths differ, or there are fewer labelled rows (or groups with labelled
            rows) than folds.
        """
        folds = self._number_folds(_count_rows(X), y, groups, _number_domains(X))
        for fold in range(self.n_splits):
            yield np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)

    def _number_folds(self, n_samples: int, y: Any, groups: Any, domains: np.ndarray) -> np.ndarray:
        """Return the number of each row's fold; ``domains`` numbers the domain of each row, from 0."""
        labelled = _find_labelled(y, n_samples)
        if groups is not None:
            return self._deal_groups(labelled, groups, domains)
        if labelled.sum() < self.n_splits:
            raise InputError(
                f"y: expected at least one labelled row a fold (n_splits={self.n_splits}), "
                f"got {labelled.sum()} labelled rows of {n_samples}."
            )
        strata = domains + ~labelled * (domains.max() + 1)
        if np.bincount(strata).max() < self.n_splits:  # StratifiedKFold wants one stratum with a row a fold
            strata = (~labelled).astype(np.intp)
        # StratifiedKFold deals the rows out stratum by stratum: labelled first, so each fold gets one of them
        order = np.argsort(strata, kind="stable")
        splitter = StratifiedKFold(
            self.n_splits, shuffle=self.shuffle, random_state=self.random_state if self.shuffle else None
        )
        folds = np.empty(n_samples, dtype=np.intp)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # a small domain
            for fold, (_, test) in enumerate(splitter.split(order, strata[order])):
                folds[order[test]] = fold
        return folds

    def _deal_groups(self, labelled: np.ndarray, groups: Any, domains: np.ndarray) -> np.ndarray:
        """Return the number of each row's fold, with whole groups in it.

        StratifiedGroupKFold will not do: where labels are few it leaves folds without any.
        """
        rng = check_seed(self.random_state) if self.shuffle else None
        groups = read_array(groups, "groups", "one value a row")
        if groups.shape != labelled.shape:
            raise InputError(f"groups: expected one value a row ({len(labelled)}), got {describe(groups)}.")
        names, group_of_row = np.unique(groups, return_inverse=True)
        by_domain = np.zeros((len(names), domains.max(initial=0) + 1))  # labelled rows of each group
        np.add.at(by_domain, (group_of_row, domains), labelled)
        n_labelled = by_domain.sum(axis=1)
        n_rows = np.bincount(group_of_row)
        if (n_labelled > 0).sum() < self.n_splits:
            raise InputError(
                f"groups: expected at least one group with labelled rows a fold (n_splits={self.n_splits}), "
                f"got {(n_labelled > 0).sum()} such groups of {len(names)}, by y."
            )
        start = np.arange(len(names)) if rng is None else rng.permutation(len(names))
        order = start[np.lexsort((-n_rows[start], -n_labelled[start]))]
        fold_of_group = np.empty(len(names), dtype=np.intp)
        # labelled rows of each domain, and rows, of each fold so far
        labels, rows = np.zeros((self.n_splits, by_domain.shape[1])), np.zeros(self.n_splits)
        for group in order:
            alike, all_labels = labels @ by_domain[group], labels.sum(axis=1)
            keys = (rows, all_labels, alike) if n_labelled[group] else (all_labels, rows)
            fold = np.lexsort(keys)[0]
            labels[fold] += by_domain[group]
            rows[fold] += n_rows[group]
            fold_of_group[group] = fold
        return fold_of_group[group_of_row]


class BlockKFold(BaseCrossValidator):
    """Split into K contiguous blocks, with a gap between the held-out block and the training rows.

    For frames of a video, whose neighbours are near-duplicates: rows near the held-out block are in
    neither set.

    Parameters
    ----------
    n_splits : int, default=5
        Number of blocks, at least 2; their sizes differ by at most one row.
    gap : int, default=0
        Rows dropped from training on each side of the held-out block.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.model_selection import BlockKFold
    >>> for train, test in BlockKFold(3, gap=1).split(np.zeros((9, 4))):
    ...     print(train, test)
    [4 5 6 7 8] [0 1 2]
    [0 1 7 8] [3 4 5]
    [0 1 2 3 4] [6 7 8]
    """

    def __init__(self, n_splits: int = 5, *, gap: int = 0):
        self.n_splits = check_number(n_splits, "n_splits", integer=True, low=2)
        self.gap = check_number(gap, "gap", integer=True, low=0)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of blocks.

        Parameters
        ----------
        X, y, groups : object
            There for scikit-learn, and not read.

        Returns
        -------
        n_splits : int
        """
        return self.n_splits

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows of each training set and held-out block.

        Parameters
        ----------
        X : array-like or HandFrames of n_samples rows
            Rows in the order of the video; only its length is read.
        y : array-like of n_samples rows, optional
            Only its length is checked.
        groups : None
            There for scikit-learn; blocks follow the order of the rows and know no groups.

        Yields
        ------
        train, test : ndarray of int
            Row numbers, ascending.

        Raises
        ------
        InputError
            If there are fewer rows than blocks, ``y`` has another length, ``groups`` is given, or the gap
            leaves no training rows.
        """
        n_samples = _count_rows(X)
        if y is not None and _count_rows(y, "y") != n_samples:
            raise InputError(f"y: expected {n_samples} rows as in X, got {describe(y)}.")
        if groups is not None:
            raise InputError(f"groups: expected None (blocks know no groups), got {describe(groups)}.")
        if n_samples < self.n_splits:
            raise InputError(f"X: expected at least n_splits={self.n_splits} rows, got {n_samples}.")
        rows, gap = np.arange(n_samples), min(self.gap, n_samples)
        for test in np.array_split(rows, self.n_splits):
            train = rows[(rows < test[0] - gap) | (rows > test[-1] + gap)]
            if len(train) == 0:
                raise InputError(
                    f"gap: expected a gap that leaves training rows, got {self.gap} "
                    f"with {n_samples} rows in {self.n_splits} blocks."
                )
            yield train, test


def _count_rows(X: Any, name: str = "X") -> int:
    """Count the rows of a table without reading it."""
    try:
        return len(X)
    except TypeError as error:
        raise InputError(f"{name}: expected a table of rows, got {describe(X)}.") from error


def _number_domains(X: Any) -> np.ndarray:
    """Number the domain of each row, from 0; all are of one where there is no such column."""
    if not (isinstance(X, HandFrames) and "domain" in X.columns and len(X)):
        return np.zeros(_count_rows(X), dtype=np.intp)
    return np.unique(X.domain.astype(str), return_inverse=True)[1]


def _find_labelled(y: Any, n_samples: int) -> np.ndarray:
    """Mark the rows of ``y`` that have a coordinate which is not NaN."""
    if y is None:
        raise InputError("y: expected the targets, whose NaN rows are unlabelled; got None.")
    values = read_numbers(y, "y").astype(np.float64)
    if values.ndim == 0 or len(values) != n_samples:
        raise InputError(f"y: expected {n_samples} rows as in X, got {describe(y)}.")
    return np.asarray((~np.isnan(values)).any(axis=tuple(range(1, values.ndim))))
