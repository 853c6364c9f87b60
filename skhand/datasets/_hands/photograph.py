"""Taking the picture: the light, the colours' balance, and what a camera does to an image."""

from __future__ import annotations

import numpy as np
import torch

from skhand.datasets._hands.draws import Draws, raw_bytes
from skhand.datasets._hands.shading import TEXTURE

__all__ = ["draw_finish", "draw_light", "finish"]


def draw_light(draws: Draws, seed: int, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """Draw the sleeve's cloth, the light and the strength of the skin's details.

    Returns
    -------
    sleeve, stripes, key, key_colour, sky, ground, detail, texture : ndarray
        The first fields of `Look`, in its order.
    """
    key = draws.normal(3) * np.array([0.8, 0.6, 0.6]) + np.array([0.0, -0.8, -0.7])
    key = key / np.maximum(np.linalg.norm(key, axis=1, keepdims=True), 1e-3)
    warmth = 0.12 * np.clip(draws.normal(2, 1), -2, 2) * np.array([1.0, 0.1, -1.0])
    strength = draws.uniform(low=0.25, high=1.0)[:, None]
    ambient = draws.uniform(low=0.3, high=0.75)[:, None]
    sky = ambient * (1 + warmth[:, 1] + 0.03 * draws.normal(3))
    ground = (
        ambient
        * draws.uniform(low=0.45, high=1.0)[:, None]
        * (1 + 0.06 * draws.normal(3) + 0.08 * np.array([1, 0, -1]))
    )
    value, tint = draws.uniform(2, 1) ** 1.7, draws.uniform(2, 3)
    sleeve = value * (0.35 + 0.65 * tint)
    plain = draws.uniform() < 0.7
    sleeve[:, 1] = np.where(plain[:, None], sleeve[:, 0], sleeve[:, 1])
    stripes = draws.uniform(low=40.0, high=250.0)
    detail = np.stack(
        [
            draws.uniform(low=0.06, high=0.32),
            draws.uniform(low=0.2, high=1.0),
            0.22 * draws.uniform() ** 2,
            draws.uniform(low=0.3, high=1.2),
        ],
        axis=1,
    )
    texture = raw_bytes(seed, "texture", rows, (TEXTURE, TEXTURE)) / 127.5 - 1.0
    return sleeve, stripes, key, 0.9 * strength * (1 + warmth[:, 0]), sky, ground, detail, texture


def draw_finish(draws: Draws) -> dict[str, torch.Tensor]:
    """Draw exposure, white balance, contrast, saturation, blur (hand and background) and noise."""
    values = {
        "exposure": np.exp(0.30 * draws.normal() - 0.02),
        "balance": 1 + 0.05 * np.clip(draws.normal(3), -2, 2),
        "contrast": 1 + 0.12 * np.clip(draws.normal(), -2, 2),
        "saturation": 1 + 0.13 * np.clip(draws.normal(), -2, 2),
        "blur": draws.uniform(),
        "blur_ground": draws.uniform(),
        "noise": 0.016 * draws.uniform() ** 1.5,
    }
    return {name: torch.as_tensor(value, dtype=torch.float32) for name, value in values.items()}


def _soften(picture: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Blur with a 3 x 3 kernel; ``amount`` (n,) runs from 0 (nothing) to 1 (1-2-1)."""
    side = 0.25 * amount[:, None, None, None]
    for axis in (2, 3):
        one = torch.cat(
            [picture.narrow(axis, 0, 1), picture.narrow(axis, 0, picture.shape[axis] - 1)], dim=axis
        )
        two = torch.cat(
            [
                picture.narrow(axis, 1, picture.shape[axis] - 1),
                picture.narrow(axis, picture.shape[axis] - 1, 1),
            ],
            dim=axis,
        )
        picture = picture * (1 - 2 * side) + (one + two) * side
    return picture


def finish(
    layer: torch.Tensor,
    mask: torch.Tensor,
    ground: torch.Tensor,
    values: dict[str, torch.Tensor],
    seed: int,
    rows: np.ndarray,
) -> torch.Tensor:
    """Lay the hand over its background and take the photograph; returns (n, size, size, 3) uint8."""
    n = len(layer)
    ones = torch.ones(n)
    for _ in range(2):
        ground = _soften(ground, (values["blur_ground"] * 2.0 - 0.4).clamp(0.0, 1.0))
    cover = mask.to(torch.float32)[:, None]
    alpha, spread = _soften(cover, ones), _soften(layer, ones)
    # inside the hand its own colour, in the rim the colour spread outwards
    colour = torch.where(cover > 0, layer, spread / alpha.clamp_min(0.05))
    edge = torch.where(cover > 0, 1.0 - (1.0 - alpha) * 0.6, alpha * 0.6)
    picture = ground * (1 - edge) + colour * edge
    picture = _soften(picture, (values["blur"] * 1.6 - 0.5).clamp(0.0, 1.0))
    picture = picture * values["exposure"][:, None, None, None] * values["balance"][:, :, None, None]
    picture = picture.clamp(0.0, 4.0).sqrt()
    grey = (0.3 * picture[:, 0] + 0.59 * picture[:, 1] + 0.11 * picture[:, 2])[:, None]
    picture = grey + (picture - grey) * values["saturation"][:, None, None, None]
    picture = 0.45 + (picture - 0.45) * values["contrast"][:, None, None, None]
    grain = raw_bytes(seed, "noise", rows, (2, *picture.shape[1:])).astype(np.float32)
    speckle = torch.as_tensor(grain[:, 0] - grain[:, 1])
    picture = picture + speckle * (values["noise"] / 104.0)[:, None, None, None]
    return (picture.clamp(0.0, 1.0) * 255.0 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
