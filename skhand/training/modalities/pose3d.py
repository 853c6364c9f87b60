"""Poses, and any other target that y is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skhand.geometry import rotate_points
from skhand.skeleton import root_position
from skhand.training._runtime import constant
from skhand.training.modalities._record import CodecSettings, Motion, Vector
from skhand.training.modalities._vector import VectorCodec, like, statistics

__all__ = ["MODALITY", "PoseCodec"]


class PoseCodec(VectorCodec):
    """Poses (n, J, 3) in mm: relative to the root and in units of the scale bone where these are given.

    Parameters
    ----------
    mean, std : ndarray of shape (3J,)
        Statistics of the flattened poses, after root and scale.
    shape : tuple of int
        ``(J, 3)``.
    root : str, int or None
        Root joint, or None for poses as they come.
    scaled : bool
        Whether poses are divided by the rows' ``scale``.
    """

    def __init__(
        self, mean: np.ndarray, std: np.ndarray, shape: tuple[int, ...], root: str | int | None, scaled: bool
    ):
        super().__init__("pose3d", mean, std, shape)
        self.root, self.scaled = root, scaled
        # the root is linear in the joints: its weights are what it is on unit vectors
        self.root_weights: np.ndarray = (
            np.zeros(shape[0]) if root is None else root_position(np.eye(shape[0]), root)
        )
        self.decodes = ("scale",) if scaled else ()
        self.columns = ("pose3d", *self.decodes)

    @classmethod
    def fit_poses(cls, poses: np.ndarray, root: str | int | None, scale: np.ndarray | None) -> PoseCodec:
        """Read the statistics off labelled poses (n, J, 3), mm, with the rows' scale (n,), mm."""
        if root is not None:
            poses = poses - root_position(poses, root)[:, None]
        if scale is not None:
            poses = poses / scale[:, None, None]
        mean, std = statistics(poses.reshape(len(poses), -1), isotropic=True)
        return cls(mean, std, poses.shape[1:], root, scale is not None)

    def encode(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Poses (n, J, 3), mm, to network input (n, 3J)."""
        poses = batch["pose3d"].double()
        if self.root is not None:
            poses = poses - self._root(poses)
        if self.scaled:
            poses = poses / batch["scale"].double()[:, None, None]
        return super().encode({"pose3d": poses})

    def decode(self, output: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Network output (n, 3J) to poses (n, J, 3), mm, relative to the root where it is given."""
        poses = super().decode(output, batch)
        if self.scaled:
            poses = poses * batch["scale"].double()[:, None, None]
        return poses if self.root is None else poses - self._root(poses)

    def metres(self, output: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Network output (n, 3J) to poses (n, J, 3) in metres, up to a shift; for losses, with gradient.

        A coordinate that no training row knows has no mean, and stays where the network puts it.
        """
        mean = like(np.nan_to_num(self.mean), output)
        poses = (output * like(self.std, output) + mean).reshape(len(output), *self.shape) / 1000.0
        return poses * batch["scale"].to(poses.dtype)[:, None, None] if self.scaled else poses

    def _root(self, poses: Tensor) -> Tensor:
        used = np.flatnonzero(self.root_weights)  # a NaN elsewhere in the hand must not reach the root
        weights = like(self.root_weights[used], poses)
        joints = poses.index_select(1, constant(used, torch.long, poses.device))
        return torch.einsum("j,njd->nd", weights, joints)[:, None]


class Pose(Vector):
    """Poses (n, n_joints, 3), mm, or whatever numbers y is."""

    name = "pose3d"
    shape = ("n_joints", 3)

    def matches(self, shape: tuple[int, ...], dtype: Any) -> bool:
        """Three axes, three numbers a joint."""
        return len(shape) == 3 and shape[2] == 3

    def fit_codec(self, columns: Mapping[str, Any], rows: np.ndarray, settings: CodecSettings) -> VectorCodec:
        """Return the codec, with the statistics of labelled rows."""
        y = columns[self.name][rows]
        if not settings.poses:
            return VectorCodec.fit(self.name, y, isotropic=False)
        labelled = ~np.isnan(y).all(axis=(1, 2))
        scale = np.asarray(columns["scale"])[rows][labelled] if "scale" in settings.given else None
        root = settings.root if "root" in settings.given else None
        return PoseCodec.fit_poses(y[labelled], root, scale)

    def move(self, column: Tensor, motion: Motion) -> dict[str, Tensor]:
        """Turn poses; NaN joints stay NaN."""
        return {self.name: column @ motion.turn.to(column.dtype).mT}

    def to_original(self, decoded: np.ndarray, columns: Mapping[str, Any]) -> np.ndarray:
        """Turn poses back to the original camera frame, by ``rotation``."""
        if "rotation" not in columns:
            return decoded
        return rotate_points(decoded, np.swapaxes(columns["rotation"], -1, -2))


MODALITY = Pose()
