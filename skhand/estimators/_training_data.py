"""What fit does before it trains: X and y become checked columns, validation rows are set aside."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import warn_user
from skhand.estimators._inputs import (
    IMAGES,
    check_given,
    check_pictures,
    find_source,
    read_columns,
    read_target,
    require_given,
    require_poses,
    set_aside,
    to_row_frame,
    usable_rows,
)
from skhand.estimators._latent import LatentPoseEstimator
from skhand.exceptions import InputError, TrainingWarning
from skhand.skeleton import JOINTS, root_position

_ROOT_GAP = 5.0  # mm between y's root and X's column root that is worth a warning


class PairedPoseEstimator(LatentPoseEstimator):
    """Base of the estimators whose modalities are trained in pairs: reads training and validation data.

    A subclass has the parameters ``source``, ``given``, ``root``, ``image_shape``, ``augment`` and
    ``validation_fraction``, ``_paper_augment``, and `_pairs`. `_read_training` sets ``pairs_``, ``source_``,
    ``target_``, ``given_``, ``poses_``, ``y_shape_``, ``shapes_``, ``input_shape_`` and ``n_features_in_``.
    """

    pairs: Any = None  # a parameter, where a user may name pairs
    _paper_augment: dict[str, Any]

    def _pairs(self, source: str) -> list[tuple[str, str]]:
        """The pairs to train, for a source that was read off X."""
        raise NotImplementedError

    def _find_source(self, X: Any) -> str:
        """Modality of X, where ``source`` is "auto"."""
        return find_source(X, self.source, self.image_shape)

    def _read_training(self, X: Any, y: Any, fresh: bool) -> dict[str, Any]:
        """Return the checked columns, with y as the column ``pose3d``; set what describes the data."""
        if fresh:
            named = self.pairs is not None  # the pairs name the source themselves
            source = self.source if named else self._find_source(X)
            self.pairs_ = self._pairs(source)
            self.source_, self.target_ = self.pairs_[0]
            self.given_ = check_given(self.given)
            self.poses_, self.y_shape_ = False, ()
        columns = read_columns(self, X, self.source_, self.image_shape, reset=fresh)
        n = len(columns[self.source_])
        modalities = {modality for pair in self.pairs_ for modality in pair}
        if y is None and "pose3d" in modalities:
            if "pose3d" not in columns:
                raise ValueError(
                    f"{type(self).__name__} requires y to be passed, but the target y is None. "
                    "(y: expected poses or numbers, one row a sample.)"
                )
            columns["pose3d"] = self._read_poses(columns["pose3d"], n, fresh)
        elif y is not None:
            poses = self._turned(self._read_poses(y, n, fresh), columns)
            if self.source_ == "pose3d" and not _same_poses(poses, columns["pose3d"]):
                raise InputError(
                    "y: with poses as the input, they are also what pose3d decodes to; expected y=None or "
                    "X's poses, got others. To learn anything else pass them as a table (source='table')."
                )
            columns["pose3d"] = poses
        known = np.isfinite(columns["pose3d"].reshape(n, -1)).any(axis=1) if "pose3d" in columns else None
        require_given(columns, self.given_, known)
        if fresh and self.poses_ and {"root"} <= set(self.given_) & set(columns):
            self._warn_of_other_root(columns)
        missing = modalities - set(columns)
        if missing:
            raise InputError(f"pairs: X has no column {sorted(missing)}; its columns are {sorted(columns)}.")
        for name in modalities & set(IMAGES) - {self.source_}:
            check_pictures(columns[name], name)
        shapes = {name: tuple(columns[name].shape[1:]) for name in modalities}
        if fresh:
            self.shapes_ = shapes
            self.input_shape_ = shapes[self.source_]
            self.n_features_in_ = int(np.prod(self.input_shape_))
        for name in modalities:
            if shapes[name] != self.shapes_[name]:
                raise InputError(
                    f"X: expected {name} of shape {self.shapes_[name]} as first fitted, got {shapes[name]}."
                )
        return columns

    def _read_poses(self, y: Any, n_samples: int, fresh: bool) -> np.ndarray:
        y = read_target(y, n_samples)
        if fresh:
            self.y_shape_ = y.shape[1:]
            is_flat = y.ndim == 2 and self.source_ != "table" and y.shape[1] >= 15 and y.shape[1] % 3 == 0
            rooted = y.ndim == 2 and bool({"root", "scale"} & set(self.given_))
            self.poses_ = y.ndim == 3 or is_flat or rooted
        elif y.shape[1:] != self.y_shape_:
            raise InputError(
                f"y: expected targets of shape {self.y_shape_} as first fitted, got {y.shape[1:]}."
            )
        if not self.poses_ and {"root", "scale"} & set(self.given_):
            raise InputError(f"y: given={self.given_} needs poses (n, n_joints, 3), got shape {y.shape}.")
        if self.poses_ and y.ndim == 2 and y.shape[1] % 3:
            raise InputError(f"y: expected flattened poses (n, 3 * n_joints), got shape {y.shape}.")
        poses = self._as_poses(y)
        n_joints = poses.shape[1]
        if "root" in self.given_ and isinstance(self.root, str) and n_joints != len(JOINTS):
            raise InputError(
                f"root: {self.root!r} needs {len(JOINTS)} joints, y has {n_joints}; "
                f"expected the index of one of these, 0 to {n_joints - 1}."
            )
        self._rooted(poses)  # a root that these joints do not have is an error before any work
        return poses

    def _turned(self, poses: np.ndarray, columns: dict[str, Any]) -> np.ndarray:
        """Targets in the rows' own frames."""
        require_poses(columns, self.poses_)
        return to_row_frame(poses, columns)

    def _read_validation(
        self, X_val: Any, y_val: Any, stopping: bool
    ) -> tuple[dict[str, Any], np.ndarray] | None:
        if (stopping or X_val is not None) and self.target_ != "pose3d":
            name = "X_val" if X_val is not None else "early_stopping"
            raise InputError(f"{name}: expected pairs whose first target is 'pose3d', got {self.pairs_[0]}.")
        if X_val is None:
            if y_val is not None:
                raise InputError("X_val: expected validation rows beside y_val, got None.")
            return None
        columns = read_columns(self, X_val, self.source_, self.image_shape, reset=False)
        require_given(columns, self.given_)
        if y_val is None:
            raise InputError("y_val: expected targets beside X_val, got None.")
        if tuple(columns[self.source_].shape[1:]) != self.input_shape_:
            raise InputError(
                f"X_val: expected {self.source_} of shape {self.input_shape_} a row as in X, "
                f"got {tuple(columns[self.source_].shape[1:])}."
            )
        poses = self._read_poses(y_val, len(columns[self.source_]), fresh=False)
        columns["pose3d"] = self._turned(poses, columns)
        rows = np.arange(len(columns["pose3d"]))
        rows = rows[usable_rows(columns, rows, self.pairs_[0], self._rooted)]
        if len(rows) == 0:
            raise InputError("y_val: expected at least one labelled row, got none.")
        return columns, rows

    def _check_augmentation(self, augment: Any) -> dict[str, Any] | None:
        """Return the settings that apply to this data."""
        has_poses = not any("pose3d" in pair for pair in self.pairs_) or self.poses_
        if augment == "auto":
            return dict(self._paper_augment) if self.source_ in IMAGES and has_poses else None
        if augment is not None and (self.source_ == "table" or not has_poses):
            raise InputError(
                "augment: expected None for a table or a target that is not a pose (n, n_joints, 3), "
                f"got {self.augment!r}."
            )
        return augment

    def _split(self, columns: dict[str, Any], rows: np.ndarray, seed: int) -> tuple[np.ndarray, Any]:
        """Return the training rows and the validation data that early stopping sets aside."""
        labelled = rows[usable_rows(columns, rows, self.pairs_[0], self._rooted)]
        kept, held_out = set_aside(labelled, rows, self.validation_fraction, seed)
        return kept, (columns, held_out)

    def _warn_of_other_root(self, columns: dict[str, Any]) -> None:
        """Warn where the column ``root``, at which predictions are put, is not y's root."""
        off = np.linalg.norm(columns["root"] - root_position(columns["pose3d"], self.root), axis=1)
        if np.isfinite(off).any() and np.nanmedian(off) > _ROOT_GAP:
            warn_user(
                f"root: X's column root is {np.nanmedian(off):.0f} mm (median) from y's own ({self.root!r}); "
                "predictions will be put at that column, and be wrong by as much. Use the same root, or "
                "X.replace(root=None) for root-relative predictions.",
                TrainingWarning,
            )


def _same_poses(y: np.ndarray, poses: Any) -> bool:
    """Whether y is X's own poses, to a thousandth of a millimetre."""
    own = np.asarray(poses, dtype=np.float64)
    return own.size == y.size and np.allclose(own.reshape(y.shape), y, rtol=1e-6, atol=1e-3, equal_nan=True)
