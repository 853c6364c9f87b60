"""What LatentHeatmapRegressor minimises: Eq. 8 of Iqbal et al. 2018, at every stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from skhand.nn import Maps25D, Pose25DNet, gaussian_maps, masked_l1, masked_mse
from skhand.training._augment import augment_batch
from skhand.training._codecs import RGBCodec
from skhand.training._pairs import gradient_ratio, one_hot_side
from skhand.training._runtime import autocast

__all__ = ["IQBAL", "HeatmapTask"]

IQBAL: dict[str, Any] = {"rotate": 45.0, "shift": 0.1, "zoom": 0.2, "flip": None, "colour": 0.3}
"""Augmentation of `LatentHeatmapRegressor`. The paper's stands in its appendix, which is not at hand."""


class HeatmapTask:
    """One training step on 2.5D poses: ``L_xy + alpha L_Z``, summed over the stages.

    L_xy is over the joints whose place in the picture is known, L_Z over those whose depth is, so that rows
    with keypoints only train the first. Latent and holistic heads: mean absolute errors, in widths of the
    picture and in bones. Direct head: mean squared errors against Gaussian maps, and those times the depth,
    in the mean of the pixels, divided by a target map's own.

    Parameters
    ----------
    alpha : float
        Weight of the depths.
    sigma : float
        Standard deviation of the direct head's targets, px.
    augment : dict or None
        Augmentation settings.
    use_side : bool
        Whether the network is given the side.
    dtype : torch.dtype
        Precision of the forward pass.
    """

    def __init__(
        self,
        alpha: float,
        sigma: float,
        augment: dict[str, Any] | None,
        use_side: bool,
        dtype: torch.dtype,
    ):
        self.alpha, self.sigma, self.augment = alpha, sigma, augment
        self.use_side, self.dtype = use_side, dtype
        self.codec = RGBCodec()

    def columns(self) -> set[str]:
        """Columns that a step reads."""
        return {"rgb", "keypoints2d", "relative_depth"} | ({"side"} if self.use_side else set())

    def step(
        self,
        module: Pose25DNet,
        optimizer: torch.optim.Optimizer,
        streams: Any,
        measure: bool,
        on_gradients: Callable[[], None] | None = None,
    ) -> dict[str, Tensor]:
        """Train once; return the loss terms, on the device. The parameters are those of `PairTask.step`."""
        ((_, batch),) = streams
        if self.augment is not None:
            batch = augment_batch(batch, self.augment)
        side = one_hot_side(batch) if self.use_side else None
        images = self.codec.encode(batch)
        with autocast(images.device, self.dtype):
            answers, _ = module(images, side)
        loss = self._direct if module.heatmap == "direct" else self._regressed
        losses = [loss(answer, batch) for answer in answers]
        xy = torch.stack([each for each, _ in losses]).sum()
        depth = self.alpha * torch.stack([each for _, each in losses]).sum()
        terms = {"xy": xy.detach(), "depth": depth.detach()}
        if measure:
            terms["depth_gradient"] = gradient_ratio(depth, xy, (module.last,))
        optimizer.zero_grad(set_to_none=True)
        (xy + depth).backward()
        if on_gradients is not None:
            on_gradients()
        optimizer.step()
        return terms

    def _regressed(self, answer: Maps25D, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        size = max(batch["rgb"].shape[1:3])
        places, depth = batch["keypoints2d"].float() / size, batch["relative_depth"].float()
        return masked_l1(answer.points[..., :2] / size, places), masked_l1(answer.points[..., 2], depth)

    def _direct(self, answer: Maps25D, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        if answer.heatmaps is None or answer.depth_maps is None:
            raise ValueError("answer: expected one with heatmaps.")
        height, width = batch["rgb"].shape[1:3]
        wanted = gaussian_maps(batch["keypoints2d"], height, width, self.sigma)
        depths = wanted * batch["relative_depth"].float()[..., None, None]
        unit = height * width / (torch.pi * self.sigma**2)  # 1 over a target map's mean square
        return unit * masked_mse(answer.heatmaps, wanted), unit * masked_mse(answer.depth_maps, depths)
