"""Between 2.5D heatmaps and 2.5D poses: the latent, the direct and the holistic head of Iqbal et al. 2018."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from skhand.estimators.latent_heatmap.encoder_decoder import HeatmapNet
from skhand.estimators.latent_heatmap.pyramid import PyramidNet
from skhand.nn import ImageTrunk
from skhand.training import constant

__all__ = [
    "HEATMAPS",
    "NETWORKS",
    "Maps25D",
    "Pose25DNet",
    "direct_pose",
    "gaussian_maps",
    "latent_pose",
    "map_spread",
    "soft_argmax",
]

_LEAST = 1e-30  # probability
HEATMAPS = ("latent", "direct", "holistic")
NETWORKS = ("pyramid", "paper")


class Maps25D(NamedTuple):
    """A stack's answer.

    Parameters
    ----------
    points : Tensor of shape (n, K, 3), float32
        u, v (px of the picture; of the map until the network has scaled them) and depth relative to the root,
        in bones.
    heatmaps, depth_maps : Tensor of shape (n, K, height, width), float32, or None
        Where each joint is, and its depth there; None from a head without maps.
    """

    points: Tensor
    heatmaps: Tensor | None = None
    depth_maps: Tensor | None = None


def pixel_axes(maps: Tensor, scale: tuple[float, float] = (1.0, 1.0)) -> tuple[Tensor, Tensor]:
    """Coordinates of the centres of maps' pixels: u of the columns (width,) and v of the rows (height,), px.

    With a scale, in px of a picture whose width and height are so many times as large.
    """
    sizes = (maps.shape[-1], maps.shape[-2])
    u, v = (
        torch.arange(size, dtype=torch.float32, device=maps.device) * factor + 0.5 * (factor - 1)
        for size, factor in zip(sizes, scale, strict=True)
    )
    return u, v


def soft_argmax(maps: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """Spatial softmax and its mean place (Eq. 13 and 14).

    Parameters
    ----------
    maps : Tensor of shape (n, K, height, width)
        Latent heatmaps.
    beta : Tensor of shape (K,)
        Factor on each joint's map.

    Returns
    -------
    heatmaps : Tensor of shape (n, K, height, width), float32
        Probabilities.
    places : Tensor of shape (n, K, 2), px, float32
        u and v.
    """
    scores = maps.float() * beta.float()[:, None, None]
    # numbers below the normal ones of float32 take a processor ten times as long
    heatmaps = scores.flatten(2).softmax(dim=2).clamp_min(_LEAST).view_as(scores)
    u, v = pixel_axes(maps)
    places = [(heatmaps.sum(dim=2) * u).sum(dim=2), (heatmaps.sum(dim=3) * v).sum(dim=2)]
    return heatmaps, torch.stack(places, dim=2)


def latent_pose(maps: Tensor, beta: Tensor) -> Maps25D:
    """Read latent 2.5D heatmaps (Eq. 13 to 15).

    Parameters
    ----------
    maps : Tensor of shape (n, 2 * K, height, width)
        Latent heatmaps, then latent depth maps.
    beta : Tensor of shape (K,)
        Factor on each joint's heatmap.

    Returns
    -------
    answer : Maps25D
        ``heatmaps`` are probabilities, ``depth_maps`` their products with the latent depth maps: a depth is
        the sum over its map.
    """
    latent, depths = maps.to(torch.float32, memory_format=torch.contiguous_format).chunk(2, dim=1)
    heatmaps, places = soft_argmax(latent, beta)
    depth_maps = heatmaps * depths
    points = torch.cat([places, depth_maps.sum(dim=(2, 3))[..., None]], dim=2)
    return Maps25D(points, heatmaps, depth_maps)


def direct_pose(maps: Tensor) -> Maps25D:
    """Read 2.5D heatmaps at their highest pixel (Eq. 11 and 12).

    Parameters
    ----------
    maps : Tensor of shape (n, 2 * K, height, width)
        Heatmaps, then depth maps.

    Returns
    -------
    answer : Maps25D
    """
    heatmaps, depth_maps = maps.float().chunk(2, dim=1)
    width = maps.shape[3]
    best = heatmaps.flatten(2).argmax(dim=2, keepdim=True)
    depth = depth_maps.flatten(2).gather(2, best)
    points = torch.cat([best % width, best // width, depth], dim=2)
    return Maps25D(points, heatmaps, depth_maps)


def gaussian_maps(places: Tensor, height: int, width: int, sigma: float) -> Tensor:
    """Hand-made target heatmaps (Eq. 9, with the square that its print lacks).

    Parameters
    ----------
    places : Tensor of shape (n, K, 2), px
        Joints.
    height, width : int, px
        Size of the maps.
    sigma : float, px
        Standard deviation.

    Returns
    -------
    maps : Tensor of shape (n, K, height, width)
        ``exp(-||p - place||^2 / (2 sigma^2))``; NaN where the joint is.
    """
    u, v = places.float().unbind(dim=2)
    columns, rows = (torch.arange(size, device=places.device) for size in (width, height))
    across = torch.exp(-(columns - u[..., None]).square() / (2 * sigma**2))
    down = torch.exp(-(rows - v[..., None]).square() / (2 * sigma**2))
    return down[..., :, None] * across[..., None, :]


def scale_places(places: Tensor, scale: tuple[float, float]) -> Tensor:
    """Bring places (..., 2 or more), px, to a picture whose width and height are so many times as large."""
    if scale == (1.0, 1.0):
        return places
    moved = [places[..., k : k + 1] * factor + 0.5 * (factor - 1) for k, factor in enumerate(scale)]
    return torch.cat([*moved, places[..., 2:]], dim=-1)


def map_spread(answer: Maps25D, latent: bool, size: tuple[int, int]) -> Tensor:
    """Second moments of a heatmap about its answer.

    Parameters
    ----------
    answer : Maps25D
        With maps.
    latent : bool
        Whether heatmaps are probabilities; of others, pixels below a tenth of the highest do not count.
    size : tuple of int
        Height and width of the picture, px.

    Returns
    -------
    covariance : Tensor of shape (n, K, 3, 3)
        Of u, v (px) and depth (bones).
    """
    heatmaps, depth_maps = answer.heatmaps, answer.depth_maps
    if heatmaps is None or depth_maps is None:
        raise ValueError("answer: expected one with heatmaps.")
    weights = heatmaps
    if not latent:
        kept = heatmaps.clamp_min(0.0)
        kept = torch.where(kept >= 0.1 * kept.amax(dim=(2, 3), keepdim=True), kept, 0.0)
        weights = kept / kept.sum(dim=(2, 3), keepdim=True).clamp_min(1e-12)
    scale = (size[1] / heatmaps.shape[3], size[0] / heatmaps.shape[2])
    u, v = (axis - answer.points[..., k, None] for k, axis in enumerate(pixel_axes(heatmaps, scale)))
    off = depth_maps / heatmaps.clamp_min(1e-12) - answer.points[..., 2, None, None]
    # every moment of u and v follows from sums along a row or a column of the maps
    deep = weights * off
    rows, deep_rows = weights.sum(dim=2), deep.sum(dim=2)
    uu, ud = (rows * u.square()).sum(dim=2), (deep_rows * u).sum(dim=2)
    across = (weights * u[:, :, None]).sum(dim=3)
    uv, vd = (across * v).sum(dim=2), (deep.sum(dim=3) * v).sum(dim=2)
    vv, dd = (weights.sum(dim=3) * v.square()).sum(dim=2), (deep * off).sum(dim=(2, 3))
    return torch.stack([uu, uv, ud, uv, vv, vd, ud, vd, dd], dim=2).unflatten(2, (3, 3))


class Pose25DNet(nn.Module):
    """From pictures to 2.5D poses, through one of the three heads.

    Parameters
    ----------
    heatmap : {"latent", "direct", "holistic"}
        "latent" and "direct" read the maps of a network, "holistic" regresses the pose from the features of a
        ResNet.
    n_joints : int
        Number of joints K.
    image_size : tuple of int
        Height and width of the pictures, px.
    in_channels : int, default=3
        Channels of the pictures.
    network : {"pyramid", "paper"}, default="paper"
        Which network makes the maps: a `PyramidNet` or a `HeatmapNet`.
    backbone : str, default="resnet50"
        Trunk of the holistic head, see `ImageTrunk`, or of a `PyramidNet`.
    beta : float, default=1.0
        Start of the latent head's learnable factors, one a joint and stack.
    width : int, default=256
        As in `HeatmapNet` or `PyramidNet`.
    n_stacks, fast : int, bool, default=1, False
        As in `HeatmapNet`.
    side : bool, default=False
        Whether the hand's side enters, as two constant channels of the picture.

    Attributes
    ----------
    n_features : int
        Length of the embedding.
    """

    def __init__(
        self,
        heatmap: str,
        n_joints: int,
        image_size: tuple[int, int],
        *,
        in_channels: int = 3,
        network: str = "paper",
        backbone: str = "resnet50",
        beta: float = 1.0,
        width: int = 256,
        n_stacks: int = 1,
        fast: bool = False,
        side: bool = False,
    ):
        super().__init__()
        self.heatmap, self.image_size = heatmap, tuple(image_size)
        in_channels += 2 if side else 0
        self.body: ImageTrunk | HeatmapNet | PyramidNet
        if heatmap == "holistic":
            self.body = ImageTrunk(backbone, in_channels, image_size)
            self.end = nn.Linear(self.body.n_features, 3 * n_joints)
        elif network == "pyramid":
            self.body = PyramidNet(backbone, in_channels, 2 * n_joints, width=width)
        else:
            self.body = HeatmapNet(in_channels, 2 * n_joints, width=width, n_stacks=n_stacks, fast=fast)
        if heatmap == "latent":
            self.beta = nn.Parameter(torch.full((n_stacks, n_joints), float(beta)))
        self.n_features = self.body.n_features

    @property
    def last(self) -> Tensor:
        """Weights of the last layer."""
        layer = self.end if isinstance(self.body, ImageTrunk) else self.body.last
        return layer.get_parameter("weight")

    def forward(
        self, images: Tensor, side: Tensor | None = None, mirrored: Tensor | None = None
    ) -> tuple[list[Maps25D], Tensor]:
        """The answer of each stack, and the features.

        Parameters
        ----------
        images : Tensor of shape (n, in_channels, height, width)
            Pictures in -0.5..0.5.
        side : Tensor of shape (n, 2) or None
            One-hot side of the hand.
        mirrored : Tensor of shape (n,), bool, or None
            Which pictures are mirrored on the way in, and their answers on the way out.

        Returns
        -------
        answers : list of Maps25D
            One a stack.
        features : Tensor of shape (n, n_features), float32
        """
        if mirrored is not None:
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        answers, features = self._answer(images, side)
        if mirrored is not None:
            answers = [_mirror(answer, mirrored, images.shape[3]) for answer in answers]
        return answers, features

    def _answer(self, images: Tensor, side: Tensor | None) -> tuple[list[Maps25D], Tensor]:
        height, width = images.shape[2:]
        if side is not None:
            planes = side.to(images.dtype)[:, :, None, None].expand(-1, -1, height, width)
            images = torch.cat([images, planes], dim=1)
        if self.heatmap == "holistic":
            features = self.body(images)
            pose = self.end(features).float().view(len(images), -1, 3)
            height, width = self.image_size
            extent = np.array([[width - 1.0, height - 1.0, 1.0], [0.5, 0.5, 0.0]])
            size, middle = constant(extent, pose.dtype, pose.device)
            return [Maps25D((pose + middle) * size)], features.float()
        maps, features = self.body(images)
        if self.heatmap == "direct":
            answers = [direct_pose(each) for each in maps]
        else:
            answers = [latent_pose(each, beta) for each, beta in zip(maps, self.beta, strict=True)]
        scale = (width / maps[-1].shape[3], height / maps[-1].shape[2])
        answers = [answer._replace(points=scale_places(answer.points, scale)) for answer in answers]
        return answers, features.float()


def _mirror(answer: Maps25D, rows: Tensor, width: int) -> Maps25D:
    """Mirror the answers for some rows, a mask, of pictures that are so many px wide."""
    u, others = answer.points[..., :1], answer.points[..., 1:]
    points = torch.cat([torch.where(rows[:, None, None], width - 1 - u, u), others], dim=2)
    maps = [
        None if each is None else torch.where(rows[:, None, None, None], each.flip(3), each)
        for each in (answer.heatmaps, answer.depth_maps)
    ]
    return Maps25D(points, *maps)
