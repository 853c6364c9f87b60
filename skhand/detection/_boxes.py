"""Between boxes and the network's maps: targets, losses, and the reading of peaks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from skhand.detection._network import STRIDE, Maps

__all__ = ["Found", "Targets", "box_iou", "detection_loss", "make_targets", "read_maps"]

_SPREAD, _LEAST, _MOST = 0.14, 0.8, 6.0
_NEAR = 0.7


class Found(NamedTuple):
    """Hands that were found in one picture, the surest first.

    Parameters
    ----------
    box : Tensor of shape (k, 4), px
        x, y, width, height in the picture that the network read.
    score : Tensor of shape (k,)
    is_left : Tensor of shape (k,), bool
    """

    box: Tensor
    score: Tensor
    is_left: Tensor


class Targets(NamedTuple):
    """Targets of the maps.

    Parameters
    ----------
    heat : Tensor of shape (n, height, width)
        1 at the pixel of a centre of what is in the picture, falling off about it with the size of the box.
    known : Tensor of shape (n, height, width)
        0 where a hand is that counts neither as one nor as none.
    weight : Tensor of shape (n, height, width)
        How much a pixel counts as a hand's centre, and its size, offset and side: above 0 near a centre, with
        a sum of 1 a hand.
    size, offset : Tensor of shape (n, 2, height, width)
    is_left : Tensor of shape (n, height, width), int64
        Index of the right logit of the side: 0 left, 1 right.
    joints : Tensor of shape (n, 42, height, width) or None
        x and y of the joints from the box's middle, in its longer sides.
    """

    heat: Tensor
    known: Tensor
    weight: Tensor
    size: Tensor
    offset: Tensor
    is_left: Tensor
    joints: Tensor | None = None


def make_targets(
    boxes: Tensor,
    is_left: Tensor,
    shown: Tensor,
    unclear: Tensor,
    size: int,
    points: Tensor | None = None,
    window: Tensor | None = None,
) -> Targets:
    """Make the maps that belong to boxes: a hand's centre is that of the part of its box in the picture.

    Where a box reaches beyond the picture, its own middle is a guess, and a guess makes for a low score.

    Parameters
    ----------
    boxes : Tensor of shape (n, k, 4), px
    is_left, shown, unclear : Tensor of shape (n, k), bool
        The box's side, whether there is a hand, and whether it shall be left out.
    size : int, px
        Side of the square input.
    points : Tensor of shape (n, k, 21, 2), px, optional
        The joints.
    window : Tensor of shape (n, 4), px, optional
        The part of the input that is the picture, as of `Scenes`; all by default.

    Returns
    -------
    targets : Targets
    """
    # the centre of a map's pixel p lies at STRIDE * p + (STRIDE - 1) / 2 of the picture
    middle = (boxes[..., :2] + 0.5 * boxes[..., 2:] - 0.5 * (STRIDE - 1)) / STRIDE
    place = torch.arange(size // STRIDE, device=boxes.device, dtype=torch.float32)
    spread = (_SPREAD * boxes[..., 2:].clamp_min(1.0) / STRIDE).clamp(_LEAST, _MOST)
    if window is None:
        window = boxes.new_tensor([-0.5, -0.5, size, size]).expand(len(boxes), 4)
    low = torch.maximum(boxes[..., :2], window[:, None, :2])
    high = torch.minimum(boxes[..., :2] + boxes[..., 2:], (window[:, :2] + window[:, 2:])[:, None])
    peak = ((0.5 * (low + high - (STRIDE - 1))) / STRIDE).round().clamp(0, size // STRIDE - 1)
    across, down = (
        torch.exp(-0.5 * ((place - peak[..., k, None]) / spread[..., k, None]) ** 2) for k in range(2)
    )
    bells = down[..., :, None] * across[..., None, :]
    shown_bells = bells * shown[..., None, None]
    heat, owner = shown_bells.max(dim=1)
    known = 1.0 - ((bells > 0.05) & unclear[..., None, None]).any(dim=1).float() * (heat < 0.05)
    near = torch.where(heat > _NEAR, heat, 0.0)
    share = torch.zeros_like(boxes[..., 0]).scatter_add_(1, owner.flatten(1), near.flatten(1))
    weight = near / share.clamp_min(1e-6).gather(1, owner.flatten(1)).view_as(near)

    def spread_out(values: Tensor) -> Tensor:
        index = owner.flatten(1)[..., None].expand(-1, -1, values.shape[-1])
        return values.gather(1, index).unflatten(1, owner.shape[1:]).movedim(-1, 1)

    sizes = (boxes[..., 2:].clamp_min(1.0) / size).log()
    grid = torch.stack(torch.meshgrid(place, place, indexing="xy"))
    offset = (spread_out(middle) - grid) / (spread_out(boxes[..., 2:]).clamp_min(1.0) / STRIDE)
    side = spread_out((~is_left).long()[..., None])[:, 0]
    joints = None
    if points is not None:
        away = points - (boxes[..., :2] + 0.5 * boxes[..., 2:])[..., None, :]
        joints = spread_out((away / boxes[..., 2:].amax(dim=-1).clamp_min(1.0)[..., None, None]).flatten(2))
    return Targets(heat, known, weight, spread_out(sizes), offset, side, joints)


def detection_loss(maps: Maps, targets: Targets) -> dict[str, Tensor]:
    """Compute the losses: focal loss of centres, cross entropy of sides, L1 of sizes, offsets and joints.

    Parameters
    ----------
    maps : Maps
    targets : Targets

    Returns
    -------
    terms : dict of str to Tensor
        "centre", "size", "offset", "side" and, if both have them, "joints", weighted, to be summed.
    """
    logit, heat = maps.centre[:, 0].float(), targets.heat
    chance = logit.sigmoid()
    weight = targets.weight
    total = weight.sum().clamp_min(1.0)
    hit = functional.logsigmoid(logit) * (1.0 - chance) ** 2 * weight
    miss = functional.logsigmoid(-logit) * chance**2 * (1.0 - heat) ** 4 * targets.known
    centre = -torch.where(weight > 0, hit, miss).sum() / total
    size = ((maps.size - targets.size).abs().sum(dim=1) * weight).sum() / total
    offset = ((maps.offset - targets.offset).abs().sum(dim=1) * weight).sum() / total
    side = (functional.cross_entropy(maps.side, targets.is_left, reduction="none") * weight).sum() / total
    terms = {"centre": centre, "size": size, "offset": 4.0 * offset, "side": 0.7 * side}
    if maps.joints is not None and targets.joints is not None:
        off = (maps.joints - targets.joints).abs().sum(dim=1)
        terms["joints"] = (off * weight).sum() / (7.0 * total)
    return terms


def box_iou(one: Tensor, other: Tensor) -> Tensor:
    """Compute intersection over union of boxes (k, 4) and (m, 4) of x, y, width, height: (k, m)."""
    low = torch.maximum(one[:, None, :2], other[None, :, :2])
    high = torch.minimum((one[:, :2] + one[:, 2:])[:, None], (other[:, :2] + other[:, 2:])[None])
    shared = (high - low).clamp_min(0.0).prod(dim=2)
    union = one[:, 2:].prod(dim=1)[:, None] + other[:, 2:].prod(dim=1)[None] - shared
    return shared / union.clamp_min(1e-9)


def read_maps(maps: Maps, threshold: float, max_hands: int, overlap: float, input_size: int) -> list[Found]:
    """Read hands off the maps: peaks, the surest first, without those that overlap a surer one.

    Parameters
    ----------
    maps : Maps
    threshold : float
        Least score.
    max_hands : int
        Most hands a picture.
    overlap : float
        Largest intersection over union of two hands of a picture.
    input_size : int, px
        Longest side of the input, which sizes count in.

    Returns
    -------
    found : list of Found
        One a picture, on the processor.
    """
    numbers = torch.cat([maps.centre, maps.size, maps.offset, maps.side], dim=1).cpu().numpy()
    return [_read_peaks(each, threshold, max_hands, overlap, input_size) for each in numbers]


def _read_peaks(maps: np.ndarray, threshold: float, max_hands: int, overlap: float, input_size: int) -> Found:
    """Turn peaks of maps (7, height, width) into boxes, without the unsure and what overlaps a surer one."""
    padded = np.full((maps.shape[1] + 2, maps.shape[2] + 2), -np.inf, np.float32)
    padded[1:-1, 1:-1] = maps[0]
    highest = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    highest = np.maximum(np.maximum(highest[:, :-2], highest[:, 1:-1]), highest[:, 2:])
    y, x = np.nonzero(maps[0] == highest)
    peaks = maps[:, y, x].T
    score = 1.0 / (1.0 + np.exp(-peaks[:, 0].clip(-80.0)))
    order = np.argsort(-peaks[:, 0], kind="stable")[: 4 * max_hands + 4]  # scores near 1 are all 1 in float32
    order = order[score[order] >= threshold]
    place = np.stack([x[order], y[order]], axis=1).astype(np.float32)
    peaks, score = peaks[order], score[order]
    sides = np.exp(peaks[:, 1:3].clip(-6.0, 1.0)) * input_size
    corners = place * STRIDE + 0.5 * (STRIDE - 1) + (peaks[:, 3:5] - 0.5) * sides
    boxes = np.concatenate([corners, sides], axis=1)
    kept: list[int] = []
    for i, box in enumerate(boxes.tolist()):
        if len(kept) < max_hands and all(_share(box, boxes[j].tolist()) <= overlap for j in kept):
            kept.append(i)
    left = peaks[kept, 5] > peaks[kept, 6]
    return Found(*(torch.from_numpy(each) for each in (boxes[kept], score[kept], left)))


def _share(one: list[float], other: list[float]) -> float:
    """Return the intersection over union of two boxes."""
    shared = 1.0
    for k in (0, 1):
        shared *= max(0.0, min(one[k] + one[k + 2], other[k] + other[k + 2]) - max(one[k], other[k]))
    return shared / max(one[2] * one[3] + other[2] * other[3] - shared, 1e-9)
