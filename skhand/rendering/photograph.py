"""Taking the picture: the light, the colours' balance, and what a camera does to an image."""

from __future__ import annotations

import numpy as np
import torch

from skhand.rendering.draws import Draws, raw_bytes
from skhand.rendering.lens import add_grain, compress, defocus, shake
from skhand.rendering.skin import TEXTURE

__all__ = ["draw_camera_effects", "draw_light", "take_photograph"]

_PIXELS = 2 * 256 * 256
_NEAR = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]


def draw_light(
    draws: Draws, seed: int, rows: np.ndarray, strength: tuple[float, float], habit: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Draw the sleeve's cloth, the light and the strength of the skin's details.

    Parameters
    ----------
    draws : Draws
    seed : int
    rows : ndarray of shape (n,)
    strength : (float, float)
        Range of the strength of the light that casts the shadow.
    habit : ndarray of shape (n, 2)
        How much the people's veins and hair show.

    Returns
    -------
    sleeve, stripes, key, key_colour, sky, ground, detail, texture : ndarray
        The first fields of `Look`, in its order.
    """
    key = draws.normal(3) * np.array([0.8, 0.6, 0.6]) + np.array([0.0, -0.8, -0.7])
    key = key / np.maximum(np.linalg.norm(key, axis=1, keepdims=True), 1e-3)
    warmth = 0.12 * np.clip(draws.normal(2, 1), -2, 2) * np.array([1.0, 0.1, -1.0])
    power = draws.uniform(low=strength[0], high=strength[1])[:, None]
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
            *habit.T,
        ],
        axis=1,
    )
    texture = raw_bytes(seed, "texture", rows, (TEXTURE, TEXTURE)) / 127.5 - 1.0
    return sleeve, stripes, key, 0.9 * power * (1 + warmth[:, 0]), sky, ground, detail, texture


def draw_camera_effects(draws: Draws) -> dict[str, np.ndarray]:
    """Draw exposure, white balance, contrast, saturation, vignette, blur, noise, shake and quality.

    All numbers are drawn, whatever is used of them.
    """
    return {
        "exposure": np.exp(0.30 * draws.normal() - 0.02),
        "balance": 1 + 0.12 * np.clip(draws.normal(3), -2, 2),
        "contrast": 1 + 0.12 * np.clip(draws.normal(), -2, 2),
        "saturation": 1 + 0.2 * np.clip(draws.normal(), -2, 2),
        "blur": draws.uniform(),
        "noise": 0.016 * draws.uniform() ** 1.5,
        "falloff": draws.uniform(low=0.0, high=0.22),
        "centre": draws.uniform(2, low=0.1, high=0.9),
        "moving": draws.uniform(),
        "direction": draws.uniform(high=2 * np.pi),
        "length": draws.uniform(low=0.02, high=0.05),
        "quality": draws.uniform(),
    }


def take_photograph(
    layer: torch.Tensor,
    mask: torch.Tensor,
    ground: torch.Tensor,
    values: dict[str, np.ndarray],
    seed: int,
    rows: np.ndarray,
    *,
    blur: float = 1.0,
    noise: float = 1.0,
    motion: float = 0.0,
    jpeg: tuple[int, int] | None = None,
) -> torch.Tensor:
    """Lay the hand over its background and take the photograph.

    Parameters
    ----------
    layer : Tensor of shape (n, 3, size, size)
        Linear light of the hand, 0 outside of it.
    mask : Tensor of shape (n, size, size), bool
    ground : Tensor of shape (n, 3, size, size)
        Linear light of the background; overwritten.
    values : dict of ndarray
        From `draw_camera_effects`.
    seed : int
    rows : ndarray of shape (n,)
        Rows of the data set.
    blur, noise : float, default=1.0
        Factors on the blur of the lens and on the grain; 0 is none.
    motion : float, default=0.0
        Share of the rows that are blurred by a shaking camera.
    jpeg : (int, int) or None, default=None
        Least and largest quality of a JPEG that the picture has been through.

    Returns
    -------
    rgb : Tensor of shape (n, size, size, 3), uint8
    """
    n, size = mask.shape[:2]
    out = torch.empty(n, size, size, 3, dtype=torch.uint8, device=layer.device)
    step = max(1, _PIXELS // size**2) if layer.device.type == "cpu" else n
    for start in range(0, n, step):
        part = slice(start, start + step)
        picture = _compose(layer[part], mask[part], ground[part])
        some = {name: value[part] for name, value in values.items()}
        defocus(picture, blur * np.clip(1.6 * some["blur"] - 0.5, 0.0, 1.0))
        angle, on = some["direction"], some["moving"] < motion
        way = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (on * some["length"] * size)[:, None]
        shake(picture, way)
        _develop(picture, some, noise, seed, rows[part], out[part])
    if jpeg is not None:
        low, high = jpeg
        out = compress(out, np.rint(low + (high - low) * values["quality"]).astype(int))
    return out


def _compose(layer: torch.Tensor, mask: torch.Tensor, ground: torch.Tensor) -> torch.Tensor:
    """Lay the hand over the background, in the background's memory, with a rim about a pixel wide.

    Where the mask, blurred by a 1-2-1 kernel, lies between 0 and 1, it says how much of the hand is seen;
    outside of the mask the hand has the mean colour of what is inside nearby.
    """
    size = mask.shape[-1]
    rim = _rim(mask).reshape(-1).nonzero()[:, 0]
    image = rim.div(size * size, rounding_mode="floor")
    place = rim - image * (size * size)
    y = place.div(size, rounding_mode="floor")
    x = place - y * size
    flat, colours = mask.reshape(-1), layer.reshape(-1)
    inside = flat[rim].to(torch.float32)
    channel = torch.arange(3, device=mask.device) * (size * size)
    alpha, colour = torch.zeros_like(inside), inside.new_zeros(len(rim), 3)
    for dy, dx in _NEAR:
        spot = (y + dy).clamp_(0, size - 1).mul_(size).add_((x + dx).clamp_(0, size - 1))
        weight = flat[image * (size * size) + spot].to(torch.float32) * (
            0.0625 * (2 - abs(dy)) * (2 - abs(dx))
        )
        alpha.add_(weight)
        colour.addcmul_(colours[(image * (3 * size * size) + spot)[:, None] + channel], weight[:, None])
    where = (image * (3 * size * size) + place)[:, None] + channel
    colour.div_(alpha.clamp_min(0.05)[:, None]).lerp_(colours[where], inside[:, None])
    cover = (alpha * 0.6).add_(inside, alpha=0.4)[:, None]
    behind = ground.reshape(-1)[where]
    ground.lerp_(layer, mask.to(torch.float32)[:, None])
    ground.view(-1)[where] = behind.lerp_(colour, cover)
    return ground


def _rim(mask: torch.Tensor) -> torch.Tensor:
    """Return which pixels have both the hand and the background among themselves and their neighbours."""
    both = torch.stack([mask, ~mask]).view(torch.uint8)
    for dimension in (2, 3):
        wider, length = both.clone(), mask.shape[-1] - 1
        for one, two in ((0, 1), (1, 0)):
            wider.narrow(dimension, one, length).bitwise_or_(both.narrow(dimension, two, length))
        both = wider
    return both[0] & both[1]


def _develop(
    picture: torch.Tensor,
    values: dict[str, np.ndarray],
    noise: float,
    seed: int,
    rows: np.ndarray,
    out: torch.Tensor,
) -> None:
    """Turn light into what is displayed: exposure, balance, vignette, grain, gamma, saturation, contrast."""
    place = (np.arange(picture.shape[-1]) + 0.5) / picture.shape[-1]
    fall = 1.0 - values["falloff"][:, None, None] * (place - values["centre"][:, :, None]) ** 2
    gain = (values["exposure"][:, None] * values["balance"])[:, :, None] * fall[:, :1]
    contrast, saturation = values["contrast"], values["saturation"]
    numbers = np.stack([saturation * contrast, (1 - saturation) * contrast, 0.45 * (1 - contrast)]) * 255.0
    along, down, strength, factors = (
        torch.as_tensor(v, dtype=torch.float32, device=picture.device)
        for v in (gain, fall[:, 1], noise * values["noise"], numbers)
    )
    picture.mul_(along[:, :, None, :]).mul_(down[:, None, :, None])
    if noise > 0:
        add_grain(picture, strength, seed, rows)
    picture.clamp_(0.0, 4.0).sqrt_()
    own, grey, start = factors[:, :, None, None]
    shared = (picture[:, 0] * 0.3).add_(picture[:, 1] * 0.59).add_(picture[:, 2] * 0.11)
    shared.mul_(grey).add_(start + 0.5)
    picture.mul_(own[:, None]).add_(shared[:, None]).clamp_(0.0, 255.0)
    for channel in range(3):
        out[..., channel] = picture[:, channel]
