"""Training data: what X and y are, read and checked before the estimator is touched."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skhand._doubts import warn_of_doubts
from skhand._validation import describe, warn_user
from skhand.estimators._inputs import (
    check_given,
    find_source,
    find_usable_rows,
    naming,
    read_input,
    read_target,
    require_given,
    require_poses,
    set_aside,
    to_row_frame,
)
from skhand.exceptions import InputError, TrainingWarning
from skhand.skeleton import JOINTS, root_position
from skhand.training import MODALITIES, widen_pictures

_ROOT_GAP = 5.0  # mm between y's root and X's column root that is worth a warning

Columns = dict[str, Any]


@dataclass(frozen=True)
class DataDescription:
    """Description of the data that an estimator is fitted on; it becomes the attributes of these names.

    Parameters
    ----------
    source_, target_ : str
        Modalities of the first pair.
    pairs_ : list of (str, str)
        Source and target of each pair.
    given_ : tuple of str
        What is given to the model.
    root_ : str or int
        The root joint.
    poses_ : bool
        Whether targets are poses.
    y_shape_ : tuple of int
        Shape of one row of y.
    shapes_ : dict of str to tuple of int
        Shape of one row of each modality.
    n_features_in_ : int
        Product of the shape of one sample of X.
    feature_names_in_ : ndarray of str or None
        Names of a data frame's columns.
    """

    source_: str
    target_: str
    pairs_: list[tuple[str, str]]
    given_: tuple[str, ...]
    root_: str | int
    poses_: bool = False
    y_shape_: tuple[int, ...] = ()
    shapes_: Mapping[str, tuple[int, ...]] | None = None
    n_features_in_: int = 0
    feature_names_in_: Any = None

    def attributes(self) -> dict[str, Any]:
        """Return the estimator's attributes by name."""
        named = {name: value for name, value in vars(self).items() if value is not None}
        return {**named, "input_shape_": (self.shapes_ or {}).get(self.source_, ())}

    def as_poses(self, y: np.ndarray) -> np.ndarray:
        """Return targets as poses (n, J, 3), or as rows of numbers (n, k)."""
        return y.reshape(len(y), -1, 3) if self.poses_ else y.reshape(len(y), -1)

    def rooted(self, poses: np.ndarray) -> np.ndarray:
        """Return poses relative to their root where it is given."""
        return poses - root_position(poses, self.root_)[:, None] if "root" in self.given_ else poses


@dataclass(frozen=True)
class TrainingData:
    """Rows and columns that a fit trains and validates on.

    Parameters
    ----------
    described : DataDescription
        What the data are.
    columns : dict of str to array-like
        The checked columns, y being ``pose3d``.
    columns_of : callable
        The columns of each pass through the rows; see `skhand.training.Batches`.
    rows : ndarray of int
        Rows to train on, labelled or not.
    validation : tuple or None
        Columns and rows to validate on.
    """

    described: DataDescription
    columns: Columns
    columns_of: Callable[[int], Columns]
    rows: np.ndarray
    validation: tuple[Columns, np.ndarray] | None = None

    def widen_pictures(self, augment: Mapping[str, Any]) -> tuple[TrainingData, dict[str, Any]]:
        """Return the data with pictures to train on that reach further, and the augmentation of these."""
        if isinstance(self.columns_of, EndlessColumns):  # made for each pass, and never crops
            return self, dict(augment)
        wide, augment = widen_pictures(self.columns, augment)
        return replace(self, columns_of=lambda _: wide), augment

    def usable(self, pair: tuple[str, str]) -> np.ndarray:
        """Return the training rows that have both modalities of a pair."""
        return self.rows[find_usable_rows(self.columns, self.rows, pair, self.described.rooted)]

    def require(self, pair: tuple[str, str]) -> np.ndarray:
        """Return the training rows that have both modalities of a pair.

        Raises
        ------
        InputError
            If there are none.
        """
        usable = self.usable(pair)
        if len(usable) == 0:
            raise InputError(f"y: expected at least one row with {pair[0]} and {pair[1]}, got none.")
        return usable

    def set_aside(self, labelled: np.ndarray, fraction: float, seed: int) -> TrainingData:
        """Return the data with some of the labelled rows to validate on."""
        rows, held_out = set_aside(labelled, self.rows, fraction, seed)
        return replace(self, rows=rows, validation=(self.columns, held_out))


class EndlessColumns:
    """The columns of each pass through endless data, read when a pass begins; the last four are kept.

    Parameters
    ----------
    read : callable
        Reads a table's columns.
    X : HandFrames with ``at_epoch``
        Whose ``at_epoch(k)`` has the rows of pass k.
    first : dict
        The columns of pass 0.
    """

    def __init__(self, read: Callable[[Any], Columns], X: Any, first: Columns):
        self.read, self.X, self.kept, self.lock = read, X, {0: first}, threading.Lock()

    def __call__(self, number: int) -> Columns:
        """Return the columns of one pass."""
        with self.lock:
            if number not in self.kept:
                last = dict(list(self.kept.items())[-3:])
                self.kept = {**last, number: self.read(self.X.at_epoch(number))}
            return self.kept[number]


class DataReader:
    """Reads X and y for one estimator, and leaves the estimator as it is.

    Parameters
    ----------
    estimator : estimator
        With the parameters ``source``, ``given``, ``root``, ``image_shape`` and ``flat_poses``, and
        ``_pairs``, which names the pairs to train for a source.
    known : DataDescription or None
        What the estimator was fitted on before, if it is to go on.
    """

    def __init__(self, estimator: Any, known: DataDescription | None = None):
        self.estimator = copy.copy(estimator)  # receives what scikit-learn's checks write
        self.known = known

    # ------------------------------------------------------------------ training

    def read(self, X: Any, y: Any = None, X_val: Any = None, y_val: Any = None) -> TrainingData:
        """Read training and validation data.

        Raises
        ------
        InputError
            If anything is not what was expected, or not as first fitted.
        """
        described = self.known or self._describe(X)
        columns, described = self._read_labelled(X, y, described, fresh=self.known is None)
        columns_of: Callable[[int], Columns] = lambda _: columns  # noqa: E731
        if hasattr(X, "at_epoch"):
            if y is not None:
                raise InputError("y: expected None with endless X, whose column pose3d has the poses.")
            final = described
            columns_of = EndlessColumns(
                lambda table: self._read_labelled(table, None, final, fresh=False)[0], X, columns
            )
        validation = self._read_validation(X_val, y_val, described)
        rows = np.arange(len(columns[described.source_]))
        return TrainingData(described, columns, columns_of, rows, validation)

    def _describe(self, X: Any) -> DataDescription:
        """Describe what parameters and X say before y is read."""
        estimator = self.estimator
        named = getattr(estimator, "pairs", None) is not None  # the pairs name the source themselves
        source = estimator.source if named else self._find_source(X)
        try:
            pairs = estimator._pairs(source)
        except InputError as error:
            if named or estimator.source != "auto":
                raise
            raise InputError(
                f"{str(error).removesuffix('.')}, which X ({describe(X)}) is taken for."
            ) from error
        (source, target), given = pairs[0], check_given(estimator.given)
        return DataDescription(source, target, pairs, given, estimator.root)

    def _find_source(self, X: Any) -> str:
        """Return the modality of X."""
        return find_source(X, self.estimator.source, self.estimator.image_shape)

    def _read_labelled(
        self, X: Any, y: Any, described: DataDescription, fresh: bool
    ) -> tuple[Columns, DataDescription]:
        """Return checked columns with their targets, and their description."""
        estimator, source = self.estimator, described.source_
        if fresh:
            for name in ("n_features_in_", "feature_names_in_"):  # of an earlier fit
                vars(estimator).pop(name, None)
        columns = read_input(estimator, X, source, estimator.image_shape, reset=fresh)
        described = self._add_targets(columns, y, described, fresh)
        if fresh and described.poses_:
            warn_of_doubts(columns, columns.get("pose3d"), "pose3d" if y is None else "y")
        modalities = {modality for pair in described.pairs_ for modality in pair}
        missing = modalities - set(columns)
        if missing:
            raise InputError(f"pairs: X has no column {sorted(missing)}; its columns are {sorted(columns)}.")
        for name in modalities - {source}:
            if MODALITIES[name].is_image:
                MODALITIES[name].check_values(columns[name])
        shapes = {name: tuple(columns[name].shape[1:]) for name in modalities}
        for name, shape in shapes.items():
            if None in shape:
                raise InputError(
                    f"X: expected {name} of one size, got pictures of several; crop them first, for example "
                    "by HandCropper."
                )
        if fresh:
            names = vars(estimator).get("feature_names_in_")
            n_features = int(np.prod(shapes[source]))
            return columns, replace(
                described, shapes_=shapes, n_features_in_=n_features, feature_names_in_=names
            )
        for name, shape in (described.shapes_ or {}).items():
            if shapes[name] != shape:
                raise InputError(f"X: expected {name} of shape {shape} as first fitted, got {shapes[name]}.")
        return columns, described

    def _add_targets(
        self, columns: Columns, y: Any, described: DataDescription, fresh: bool
    ) -> DataDescription:
        """Check y, or take X's own poses, as the column ``pose3d``; return the description with y's shape."""
        n, modalities = len(columns[described.source_]), {m for pair in described.pairs_ for m in pair}
        if y is None and "pose3d" in modalities:
            if "pose3d" not in columns:
                raise ValueError(
                    f"{type(self.estimator).__name__} requires y to be passed, but the target y is None. "
                    "(y: expected poses or numbers, one row a sample.)"
                )
            columns["pose3d"], described = self._read_poses(columns["pose3d"], n, described, fresh)
        elif y is not None:
            poses, described = self._read_poses(y, n, described, fresh)
            require_poses(columns, described.poses_)
            poses = to_row_frame(poses, columns)
            if described.source_ == "pose3d" and not _are_same(poses, columns["pose3d"]):
                raise InputError(
                    "y: with poses as the input, they are also what pose3d decodes to; expected y=None or "
                    "X's poses, got others. To learn anything else pass them as a table (source='table')."
                )
            columns["pose3d"] = poses
        known = np.isfinite(columns["pose3d"].reshape(n, -1)).any(axis=1) if "pose3d" in columns else None
        require_given(columns, described.given_, known)
        if fresh and described.poses_ and {"root"} <= set(described.given_) & set(columns):
            _warn_of_other_root(columns, described.root_)
        return described

    def _read_poses(
        self, y: Any, n_samples: int, described: DataDescription, fresh: bool
    ) -> tuple[np.ndarray, DataDescription]:
        """Return y as poses or rows of numbers, and what it turned out to be.

        y is poses if it has three axes, or if the user says so: by ``flat_poses``, or by giving the root or
        the scale of poses.
        """
        y = read_target(y, n_samples)
        asked = {"root", "scale"} & set(described.given_)
        if fresh:
            flat = y.ndim == 2 and bool(asked or getattr(self.estimator, "flat_poses", False))
            described = replace(described, y_shape_=y.shape[1:], poses_=y.ndim == 3 or flat)
        elif y.shape[1:] != described.y_shape_:
            raise InputError(
                f"y: expected targets of shape {described.y_shape_} as first fitted, got {y.shape[1:]}."
            )
        if not described.poses_ and asked:
            raise InputError(
                f"y: given={described.given_} needs poses (n, n_joints, 3), got shape {y.shape}."
            )
        if described.poses_ and y.ndim == 2 and y.shape[1] % 3:
            raise InputError(f"y: expected flattened poses (n, 3 * n_joints), got shape {y.shape}.")
        poses, root = described.as_poses(y), described.root_
        n_joints = poses.shape[1]
        if "root" in described.given_ and isinstance(root, str) and n_joints != len(JOINTS):
            raise InputError(
                f"root: {root!r} needs {len(JOINTS)} joints, y has {n_joints}; "
                f"expected the index of one of these, 0 to {n_joints - 1}."
            )
        described.rooted(poses)  # a root that these joints do not have is an error before any work
        return poses, described

    def _read_validation(
        self, X_val: Any, y_val: Any, described: DataDescription
    ) -> tuple[Columns, np.ndarray] | None:
        """Return validation columns, and the rows of them that have a label."""
        if X_val is None:
            if y_val is not None:
                raise InputError("X_val: expected validation rows with y_val, got None.")
            return None
        if described.target_ != "pose3d":
            raise InputError(
                f"X_val: expected pairs whose first target is 'pose3d', got {described.pairs_[0]}."
            )
        source, wanted = described.source_, (described.shapes_ or {})[described.source_]
        probe = copy.copy(self.estimator)
        vars(probe).update(described.attributes())
        with naming("X_val"):
            columns = read_input(probe, X_val, source, self.estimator.image_shape, reset=False)
        if tuple(columns[source].shape[1:]) != wanted:
            raise InputError(
                f"X_val: expected {source} of shape {wanted} a row as in X, "
                f"got {tuple(columns[source].shape[1:])}."
            )
        if y_val is None and "pose3d" not in columns:
            raise InputError("y_val: expected targets with X_val, which has no column pose3d, got None.")
        with naming("y_val"):
            self._add_targets(columns, y_val, described, fresh=False)
        rows = self._find_measured(columns, described)
        if len(rows) == 0:
            raise InputError("y_val: expected at least one labelled row, got none.")
        return columns, rows

    def _find_measured(self, columns: Columns, described: DataDescription) -> np.ndarray:
        """Return the rows whose error can be measured."""
        rows = np.arange(len(columns["pose3d"]))
        return rows[find_usable_rows(columns, rows, described.pairs_[0], described.rooted)]

    # ------------------------------------------------------------------ prediction

    def read_rows(self, X: Any, source: str, target: str) -> Columns:
        """Return the checked columns of rows to predict, against what was fitted."""
        columns = self._read_plain(X, source)
        require_given(columns, self.estimator.given_)
        if target == "pose3d":
            require_poses(columns, self.estimator.poses_)
        return columns

    def _read_plain(self, X: Any, source: str) -> Columns:
        """Return the columns of rows of the shape that was fitted."""
        estimator = self.estimator
        estimator._check_parameters(estimator._checked_to_predict)
        columns = read_input(estimator, X, source, estimator.image_shape, reset=False)
        shape, wanted = tuple(columns[source].shape[1:]), estimator.shapes_[source]
        if shape != wanted:
            if source == "pose3d" and not estimator.poses_:
                columns[source] = np.asarray(columns[source]).reshape(len(columns[source]), -1)
            if tuple(columns[source].shape[1:]) != wanted:
                crop = " (crop the hands out first, with HandCropper; HandTracker takes whole pictures)"
                hint = crop if source == "rgb" else ""
                raise InputError(
                    f"X: expected {source} of shape {wanted} a row as fitted, got {shape}{hint}."
                )
        return columns


def _warn_of_other_root(columns: Columns, root: str | int) -> None:
    """Warn where the column ``root``, at which predictions are put, is not y's root."""
    off = np.linalg.norm(columns["root"] - root_position(columns["pose3d"], root), axis=1)
    if np.isfinite(off).any() and np.nanmedian(off) > _ROOT_GAP:
        warn_user(
            f"root: X's column root is {np.nanmedian(off):.0f} mm (median) from y's own ({root!r}); "
            "predictions will be put at that column, and be wrong by as much. Use the same root, or "
            "X.replace(root=None) for root-relative predictions.",
            TrainingWarning,
        )


def _are_same(y: np.ndarray, poses: Any) -> bool:
    """Return whether y is X's own poses, to a thousandth of a millimetre."""
    own = np.asarray(poses, dtype=np.float64)
    return own.size == y.size and np.allclose(own.reshape(y.shape), y, rtol=1e-6, atol=1e-3, equal_nan=True)
