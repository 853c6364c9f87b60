"""The loss of LatentHeatmapRegressor: Eq. 8 of Iqbal et al. 2018, at every stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skhand.estimators.latent_heatmap.network import Maps25D, Pose25DNet, gaussian_maps, scale_places
from skhand.nn import masked_l1, masked_mse
from skhand.training import Objective, StepContext, autocast, gradient_ratio, sum_terms, take_step

__all__ = ["AUGMENT", "HeatmapObjective", "is_left"]

AUGMENT: dict[str, Any] = {"rotate": 45.0, "shift": 0.1, "zoom": 0.2, "flip": None, "colour": 0.3}
"""Augmentation of `LatentHeatmapRegressor`. The paper's stands in its appendix, which is not at hand."""


class HeatmapObjective(Objective):
    """The loss of 2.5D poses: ``L_xy + alpha L_Z``, summed over the stacks.

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
    mirror_left : bool
        Whether the network sees left hands mirrored.
    **settings : dict
        Those of `Objective`.
    """

    replayable = True  # as a CUDA graph: see `ReplayedStep`

    def __init__(self, alpha: float, sigma: float, mirror_left: bool, **settings: Any):
        super().__init__(**settings)
        self.alpha, self.sigma, self.mirror_left = alpha, sigma, mirror_left
        self.modalities = {"hands": {"rgb"}}

    def columns(self, stream: str) -> set[str]:
        """Columns that a step reads of a stream."""
        more = {"side"} if self.mirror_left else set()
        return super().columns(stream) | {"keypoints2d", "relative_depth"} | more

    def step(
        self, module: Pose25DNet, batches: Mapping[str, dict[str, Tensor]], context: StepContext
    ) -> dict[str, Tensor]:
        """Train once; see `Objective.step`."""
        inputs, side, batch = self.read(batches, context.generator)["hands"]
        with autocast(inputs["rgb"].device, self.dtype):
            answers, _ = module(inputs["rgb"], side, is_left(batch) if self.mirror_left else None)
        loss = self._direct if module.heatmap == "direct" else self._regressed
        losses = [loss(answer, batch) for answer in answers]
        xy, depth = (sum_terms(each) for each in zip(*losses, strict=True))
        depth = self.alpha * depth
        terms = {"xy": xy.detach(), "depth": depth.detach()}
        if context.measure:
            terms["depth_gradient"] = gradient_ratio(depth, xy, (module.last,))
        take_step(context, xy + depth)
        return terms

    def _regressed(self, answer: Maps25D, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        size = max(batch["rgb"].shape[1:3])
        places, depth = batch["keypoints2d"].float() / size, batch["relative_depth"].float()
        return masked_l1(answer.points[..., :2] / size, places), masked_l1(answer.points[..., 2], depth)

    def _direct(self, answer: Maps25D, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        if answer.heatmaps is None or answer.depth_maps is None:
            raise ValueError("answer: expected one with heatmaps.")
        height, width = answer.heatmaps.shape[2:]
        shrink = (width / batch["rgb"].shape[2], height / batch["rgb"].shape[1])
        sigma = self.sigma * max(shrink)
        wanted = gaussian_maps(scale_places(batch["keypoints2d"].float(), shrink), height, width, sigma)
        depths = wanted * batch["relative_depth"].float()[..., None, None]
        unit = height * width / (torch.pi * sigma**2)  # 1 over a target map's mean square
        return unit * masked_mse(answer.heatmaps, wanted), unit * masked_mse(answer.depth_maps, depths)


def is_left(batch: Mapping[str, Tensor]) -> Tensor | None:
    """Return which rows show left hands, shape (n,), bool; None where no side is known: all are right."""
    return None if "side" not in batch else batch["side"] == 0
