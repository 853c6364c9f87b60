"""Between a column's own units and what a network reads and writes, one codec a modality."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skhand.skeleton import root_position
from skhand.training._runtime import constant

__all__ = ["DepthCodec", "PoseCodec", "RGBCodec", "VectorCodec"]

_CHUNK = 1024


class RGBCodec:
    """Colour pictures, uint8 or float in 0..1, as channels in -0.5..0.5 (Spurr et al. 2018, Sec. 7.1)."""

    columns = ("rgb",)
    is_image = True
    channels = 3

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Pictures (n, h, w, 3) to network input (n, 3, h, w)."""
        rgb = batch["rgb"].permute(0, 3, 1, 2)
        rgb = rgb.float() / 255.0 if rgb.dtype == torch.uint8 else rgb.float()
        return (rgb - 0.5).contiguous(memory_format=torch.channels_last)

    def decode(self, output: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Network output to pictures (n, h, w, 3), uint8."""
        rgb = (output.float() + 0.5).clamp(0, 1) * 255.0
        return rgb.round().to(torch.uint8).permute(0, 2, 3, 1)


class DepthCodec:
    """Depth pictures in mm as one channel in -0.5..0.5; what is far or unknown is 0.5.

    Depth is taken relative to ``centre`` and divided by twice ``reach``. With the root given, the centre is
    each picture's own median of measured pixels, so that the hand's distance does not matter. Only then does
    ``depth_shift``, which augmentation may add to a batch, move the centre: the target, relative to the root,
    stays true. Without the root, the target is as far from the camera as the picture says, and another
    centre would make it wrong.

    Parameters
    ----------
    centre, reach : float
        Mean depth of the training pictures and half the range that is kept, mm.
    relative : bool
        Whether each picture is centred on its own median.
    """

    columns = ("depth",)
    is_image = True
    channels = 1

    def __init__(self, centre: float, reach: float, relative: bool):
        self.centre, self.reach, self.relative = centre, reach, relative

    @classmethod
    def fit(cls, depth: Any, relative: bool) -> DepthCodec:
        """Read the centre and the reach off pictures (n, h, w), mm, at most 1024 of them."""
        some = np.asarray(depth[np.linspace(0, len(depth) - 1, min(len(depth), _CHUNK)).astype(int)])
        seen = some[some > 0]
        if seen.size == 0:
            return cls(0.0, 150.0, relative)
        reach = 150.0 if relative else max(150.0, 3.0 * float(seen.std()))
        return cls(float(seen.mean()), reach, relative)

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Pictures (n, h, w) and shifts of their centres (n,), mm, to network input (n, 1, h, w)."""
        depth = batch["depth"].float()
        seen = depth > 0
        centre: Tensor | float = self.centre
        if self.relative:
            centre = self.middle(depth)
            if "depth_shift" in batch:
                centre = centre + batch["depth_shift"]
            centre = centre[:, None, None]
        relative = ((depth - centre) / (2 * self.reach)).clamp(-0.5, 0.5)
        return torch.where(seen, relative, 0.5).unsqueeze(1)

    def middle(self, depth: Tensor) -> Tensor:
        """Median of each picture's measured pixels, of pictures (n, h, w), or ``centre`` without any."""
        flat = torch.where(depth > 0, depth, torch.nan).flatten(1)
        return flat.nanmedian(dim=1).values.nan_to_num(self.centre)

    def decode(self, output: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Network output to pictures (n, h, w), mm around the training pictures' mean depth, 0 where far."""
        relative = output.float().squeeze(1)
        depth = relative * (2 * self.reach) + self.centre
        return torch.where(relative < 0.45, depth.clamp_min(0), 0.0)


class VectorCodec:
    """A vector column, standardised: keypoints by one scale for all, tables column by column.

    Parameters
    ----------
    column : str
        Name of the column.
    mean, std : ndarray of shape (k,)
        Statistics of the flattened rows.
    shape : tuple of int
        Shape of one row.
    """

    is_image = False

    def __init__(self, column: str, mean: np.ndarray, std: np.ndarray, shape: tuple[int, ...]):
        self.columns: tuple[str, ...] = (column,)
        self.mean, self.std, self.shape = mean, std, shape

    @classmethod
    def fit(cls, column: str, rows: np.ndarray, *, isotropic: bool) -> VectorCodec:
        """Read mean and standard deviation off the rows, NaN ignored."""
        mean, std = _statistics(rows.reshape(len(rows), -1), isotropic)
        return cls(column, mean, std, rows.shape[1:])

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Rows (n, *shape) to network input (n, k)."""
        rows = batch[self.columns[0]].flatten(1)
        return ((rows - _like(self.mean, rows)) / _like(self.std, rows)).float()

    def decode(self, output: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Network output (n, k) to rows (n, *shape), float64."""
        rows = output.double()
        rows = rows * _like(self.std, rows) + _like(self.mean, rows)
        return rows.reshape(len(rows), *self.shape)


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
        self.columns = ("pose3d", "scale") if scaled else ("pose3d",)

    @classmethod
    def fit_poses(cls, poses: np.ndarray, root: str | int | None, scale: np.ndarray | None) -> PoseCodec:
        """Read the statistics off labelled poses (n, J, 3), mm, with the rows' scale (n,), mm."""
        if root is not None:
            poses = poses - root_position(poses, root)[:, None]
        if scale is not None:
            poses = poses / scale[:, None, None]
        mean, std = _statistics(poses.reshape(len(poses), -1), isotropic=True)
        return cls(mean, std, poses.shape[1:], root, scale is not None)

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Poses (n, J, 3), mm, to network input (n, 3J)."""
        poses = batch["pose3d"].double()
        if self.root is not None:
            poses = poses - self._root(poses)
        if self.scaled:
            poses = poses / batch["scale"].double()[:, None, None]
        return super().encode({"pose3d": poses})

    def decode(self, output: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Network output (n, 3J) to poses (n, J, 3), mm, relative to the root where it is given."""
        poses = super().decode(output, batch)
        if self.scaled:
            poses = poses * batch["scale"].double()[:, None, None]
        return poses if self.root is None else poses - self._root(poses)

    def metres(self, output: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Network output (n, 3J) to poses (n, J, 3) in metres, up to a shift; for losses, with gradient.

        A coordinate that no training row knows has no mean, and stays where the network puts it.
        """
        mean = _like(np.nan_to_num(self.mean), output)
        poses = (output * _like(self.std, output) + mean).reshape(len(output), *self.shape) / 1000.0
        return poses * batch["scale"].to(poses.dtype)[:, None, None] if self.scaled else poses

    def _root(self, poses: Tensor) -> Tensor:
        used = np.flatnonzero(self.root_weights)  # a NaN elsewhere in the hand must not reach the root
        weights = _like(self.root_weights[used], poses)
        joints = poses.index_select(1, constant(used, torch.long, poses.device))
        return torch.einsum("j,njd->nd", weights, joints)[:, None]


def _statistics(rows: np.ndarray, isotropic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of rows (n, k), NaN ignored; one common deviation if isotropic.

    The mean of a coordinate that no row knows is NaN, and so is what is decoded for it.
    """
    rows = np.asarray(rows, dtype=np.float64)
    known = ~np.isnan(rows)
    count = known.sum(axis=0)
    mean = np.where(count > 0, np.where(known, rows, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
    squares = np.where(known, rows - mean, 0.0) ** 2
    variance = squares.sum(axis=0) / np.maximum(count, 1)
    if isotropic:
        variance = np.full_like(variance, variance[count > 0].mean())
    std = np.sqrt(variance)
    tiny = std <= 1e-12 * np.maximum(1.0, np.abs(mean))
    return mean, np.where(tiny, 1.0, std)


def _like(array: np.ndarray, rows: Tensor) -> Tensor:
    return constant(array, rows.dtype, rows.device)
