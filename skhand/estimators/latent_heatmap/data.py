"""Pictures with 2.5D labels: places in the picture, and depths relative to the root in bones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from skhand.estimators._data import Columns, DataDescription, DataReader, TrainingData
from skhand.estimators._inputs import check_given, read_target, require_given, to_row_frame
from skhand.estimators.latent_heatmap.labels import add_labels, cameras_of
from skhand.exceptions import InputError
from skhand.skeleton import JOINTS

__all__ = ["HeatmapReader"]


class HeatmapReader(DataReader):
    """Reads colour pictures, cameras and poses, and writes what is learned of them into the columns."""

    def read(self, X: Any, y: Any = None, X_val: Any = None, y_val: Any = None) -> TrainingData:
        """Read training and validation data; rows without any known place in the picture are left out."""
        data = super().read(X, y, X_val, y_val)
        places = data.columns["keypoints2d"]
        return replace(data, rows=np.flatnonzero(np.isfinite(places).any(axis=(1, 2))))

    def _describe(self, X: Any) -> DataDescription:
        estimator = self.estimator
        pairs = [("rgb", "pose3d")]
        return DataDescription("rgb", "pose3d", pairs, check_given(estimator.given), estimator.root, True)

    def _add_targets(
        self, columns: Columns, y: Any, described: DataDescription, fresh: bool
    ) -> DataDescription:
        """Check y, or take X's own poses, and add the columns of labels."""
        n, estimator = len(columns["rgb"]), self.estimator
        if y is None and "pose3d" not in columns:
            raise ValueError(
                f"{type(estimator).__name__} requires y to be passed, but the target y is None. "
                "(y: expected poses, one row a sample.)"
            )
        poses = read_target(columns["pose3d"] if y is None else y, n)
        if poses.shape[1:] not in ((len(JOINTS), 3), (3 * len(JOINTS),)):
            raise InputError(
                f"y: expected poses (n, {len(JOINTS)}, 3) or (n, {3 * len(JOINTS)}), got shape {poses.shape}."
            )
        if fresh:
            described = replace(described, y_shape_=poses.shape[1:])
        elif y is not None and poses.shape[1:] != described.y_shape_:
            raise InputError(
                f"y: expected targets of shape {described.y_shape_} as first fitted, got {poses.shape[1:]}."
            )
        poses = poses.reshape(n, len(JOINTS), 3)
        if y is not None:
            poses = to_row_frame(poses, columns)
        require_given(columns, described.given_, np.isfinite(poses).any(axis=(1, 2)))
        columns["camera"] = cameras_of(columns, estimator.camera, n)
        add_labels(columns, poses, described.root_, tuple(estimator.bone))
        if not np.isfinite(columns["relative_depth"]).any():
            raise InputError(
                "y: expected at least one pose with the root and both ends of the bone, got none."
            )
        return described

    def _find_measured(self, columns: Columns, described: DataDescription) -> np.ndarray:
        """Return the rows whose error can be measured: with a pose, and a root where it is given.

        Raises
        ------
        InputError
            If there are none.
        """
        known = np.isfinite(columns["relative_depth"]).any(axis=1)
        if {"root"} <= set(described.given_) & set(columns):
            known &= columns["root"][:, 2] > 0
        if not known.any():
            raise InputError("y: expected at least one labelled row, with its root where given, got none.")
        return np.flatnonzero(known)

    def read_rows(self, X: Any, source: str, target: str) -> Columns:
        """Return the checked columns of rows to predict, with their cameras."""
        estimator = self.estimator
        columns = self._read_plain(X, source)
        require_given(columns, tuple(name for name in estimator.given_ if name == "side"))
        columns["camera"] = cameras_of(columns, estimator.camera, len(columns["rgb"]))
        return columns
