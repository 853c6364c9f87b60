"""Augmentation of whole batches on the device: pictures, keypoints, poses, cameras and sides together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skhand._validation import check_number, check_option
from skhand._warp import warp_pictures
from skhand.exceptions import InputError
from skhand.training._runtime import constant

__all__ = ["ABDI", "PAPER", "STERGIOULAS", "augment_batch", "check_augment"]

_OFF: dict[str, Any] = {
    "rotate": 0.0,
    "shift": 0.0,
    "zoom": 0.0,
    "flip": None,
    "colour": 0.0,
    "depth": 0.0,
}

PAPER: dict[str, Any] = {**_OFF, "rotate": 45.0, "shift": 0.1, "flip": "horizontal"}
"""Spurr et al. 2018, Sec. 7.1: rotation within +-45 degrees, shift of the box (its size is not printed: a
tenth of the picture is a choice), flips."""

STERGIOULAS: dict[str, Any] = {**_OFF, "rotate": 45.0, "flip": "vertical"}
"""Stergioulas et al. 2021, Sec. 4.2: rotation within +-45 degrees, vertical flips; the hand's centre
stays."""

ABDI: dict[str, Any] = {**_OFF, "rotate": 180.0, "shift": 10.0 / 300.0, "depth": 10.0}
"""Abdi et al. 2018, Sec. 5: rotation within +-180 degrees and a translation of 10 mm, in the picture and
along the optical axis. The shift is 10 mm of a cube of 300 mm that fills the picture."""


def check_augment(
    augment: Mapping[str, Any] | str | None, paper: Mapping[str, Any] = PAPER
) -> dict[str, Any] | None:
    """Return complete augmentation settings, or None for none.

    Parameters
    ----------
    augment : dict, "paper" or None
        Settings by name; what is left out is off. ``rotate``: largest angle, degrees. ``shift``: largest
        shift, as a fraction of the picture's size. ``zoom``: sizes are drawn from 1 - zoom to 1 + zoom.
        ``flip``: "horizontal", "vertical" or None, each row with probability 0.5. ``colour``: strength of
        random brightness, contrast and colour balance, 0 to 1. ``depth``: largest shift of the hand's cube
        along the optical axis, mm; it moves depth pictures that are taken relative to their own middle.
    paper : dict, optional
        The settings that "paper" names; those of Spurr et al. 2018 by default.

    Returns
    -------
    settings : dict or None

    Raises
    ------
    InputError
        If a name is unknown or a value out of its range.
    """
    if augment is None:
        return None
    if augment == "paper":
        return {**_OFF, **paper}
    if not isinstance(augment, Mapping):
        raise InputError(f"augment: expected 'auto', 'paper', None or a dict, got {augment!r}.")
    unknown = set(augment) - set(_OFF)
    if unknown:
        raise InputError(
            f"augment: expected the names {', '.join(_OFF)}; got {', '.join(map(repr, unknown))}."
        )
    settings = {**_OFF, **augment}
    check_number(settings["rotate"], "augment['rotate']", low=0, high=180)
    check_number(settings["shift"], "augment['shift']", low=0, high=1)
    check_number(settings["zoom"], "augment['zoom']", low=0, high=0.9)
    check_number(settings["colour"], "augment['colour']", low=0, high=1)
    check_number(settings["depth"], "augment['depth']", low=0, high=1000)
    check_option(settings["flip"], "augment['flip']", [None, "horizontal", "vertical"])
    return None if settings == _OFF else settings


def augment_batch(batch: dict[str, Tensor], settings: Mapping[str, Any]) -> dict[str, Tensor]:
    """Move every row of a batch by its own random rotation, shift, zoom and flip.

    With the picture's map A and the pose's map R (a rotation about the optical axis and a mirror), poses
    become R X, roots R X, keypoints A p and cameras A K R^-1, so that the new camera projects the new joints
    onto the new picture exactly, whatever the principal point. A flip toggles the side. Depths stay what they
    were: how far each row's cube moves along the optical axis is only drawn here, for `DepthCodec`.

    Parameters
    ----------
    batch : dict of str to Tensor
        Columns as they are fetched: ``rgb`` (n, h, w, 3) uint8 or float in 0..1, ``depth`` (n, h, w) mm,
        ``keypoints2d`` (n, J, 2) px, ``pose3d`` (n, J, 3) mm, ``root`` (n, 3) mm, ``camera`` (n, 3, 3) px,
        ``side`` (n,) with 0 for left and 1 for right. NaN joints stay NaN. Any other column is passed on.
    settings : dict
        From `check_augment`.

    Returns
    -------
    batch : dict of str to Tensor
        The moved columns; ``rgb`` becomes float in 0..1, mid-grey where the picture does not reach. With
        ``depth`` among columns and settings, also ``depth_shift`` (n,) mm.
    """
    moved = dict(batch)
    n = len(next(iter(batch.values())))
    device = next(iter(batch.values())).device
    centre, extent = _frame_of(batch, device)
    affine, turn, flipped = _draw(n, settings, centre, extent, device)
    if "rgb" in batch:
        rgb = batch["rgb"].permute(0, 3, 1, 2)
        rgb = rgb.float() / 255.0 if batch["rgb"].dtype == torch.uint8 else rgb.float()
        rgb = warp_pictures(rgb - 0.5, affine, rgb.shape[2:])
        moved["rgb"] = (_recolour(rgb, settings["colour"]) + 0.5).permute(0, 2, 3, 1)
    if "depth" in batch:
        depth = batch["depth"].float().unsqueeze(1)
        moved["depth"] = warp_pictures(depth, affine, depth.shape[2:], "nearest").squeeze(1)
    if "keypoints2d" in batch:
        points = batch["keypoints2d"]
        a = affine.to(points.dtype)
        moved["keypoints2d"] = points @ a[:, :2, :2].mT + a[:, None, :2, 2]
    if "pose3d" in batch:
        moved["pose3d"] = batch["pose3d"] @ turn.to(batch["pose3d"].dtype).mT
    if "root" in batch:
        moved["root"] = (turn.to(batch["root"].dtype) @ batch["root"][:, :, None]).squeeze(2)
    if "camera" in batch:
        camera = batch["camera"].double()
        moved["camera"] = affine.double() @ camera @ turn.double().mT
    if "side" in batch:
        moved["side"] = torch.where(flipped, 1 - batch["side"], batch["side"])
    if "depth" in batch and settings["depth"] > 0:
        moved["depth_shift"] = settings["depth"] * (2 * torch.rand(n, device=device) - 1)
    return moved


def _frame_of(batch: Mapping[str, Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Centre and extent (px) that shift and rotation refer to: the picture's, or else the keypoints'."""
    for name in ("rgb", "depth"):
        if name in batch:
            height, width = batch[name].shape[1:3]
            size = constant(np.array([width, height]), torch.float32, device)
            return (size - 1) / 2, size
    if "keypoints2d" in batch:
        points = batch["keypoints2d"].float()
        unknown = torch.isnan(points)
        low = points.masked_fill(unknown, torch.inf).amin(dim=1)
        high = points.masked_fill(unknown, -torch.inf).amax(dim=1)
        centre = ((low + high) / 2).nan_to_num(0.0)  # NaN where a row has no known keypoint
        return centre, (high - low).amax(dim=1, keepdim=True).clamp_min(0.0)
    return torch.zeros(2, device=device), torch.ones(2, device=device)


def _draw(
    n: int, settings: Mapping[str, Any], centre: Tensor, extent: Tensor, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw picture maps A (n, 3, 3), pose maps R (n, 3, 3) and which rows are flipped (n,)."""

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(*shape, device=device) - 1

    angle = torch.deg2rad(settings["rotate"] * uniform(n))
    zoom = 1 + settings["zoom"] * uniform(n)
    shift = settings["shift"] * uniform(n, 2) * extent
    flipped = torch.rand(n, device=device) < (0.5 if settings["flip"] else 0.0)
    mirror = torch.ones(n, 2, device=device)
    mirror[:, 0 if settings["flip"] == "horizontal" else 1] = torch.where(flipped, -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    plane = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1) * mirror[:, None, :]
    turn = torch.eye(3, device=device).repeat(n, 1, 1)
    turn[:, :2, :2] = plane
    affine = torch.eye(3, device=device).repeat(n, 1, 1)
    affine[:, :2, :2] = zoom[:, None, None] * plane
    centre = centre.expand(n, 2)
    affine[:, :2, 2] = centre + shift - (affine[:, :2, :2] @ centre[:, :, None]).squeeze(2)
    return affine, turn, flipped


def _recolour(rgb: Tensor, strength: float) -> Tensor:
    """Random brightness, contrast and colour balance of pictures (n, 3, h, w) in -0.5..0.5."""
    if strength == 0:
        return rgb
    n = len(rgb)
    gain = 1 + strength * (2 * torch.rand(n, 1, 1, 1, device=rgb.device) - 1)
    balance = 1 + 0.5 * strength * (2 * torch.rand(n, 3, 1, 1, device=rgb.device) - 1)
    brightness = 0.5 * strength * (2 * torch.rand(n, 1, 1, 1, device=rgb.device) - 1)
    return (rgb * gain * balance + brightness).clamp(-0.5, 0.5)
