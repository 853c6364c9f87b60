"""make_scenes: whole pictures with no, one or two generated hands, for what finds hands in pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.utils import Bunch

from skhand._columns import RowsOf
from skhand._device import resolve_device
from skhand._progress import progress
from skhand._validation import check_number, check_seed
from skhand.frames import HandFrames
from skhand.rendering.backgrounds import BACKGROUND_DRAWS, draw_backgrounds
from skhand.rendering.draws import Draws, raw_bytes
from skhand.rendering.scenes import (
    GROUNDS,
    SCENE_NUMBERS,
    SLOTS,
    HandPool,
    Scenes,
    compose_scenes,
    find_arms,
)
from skhand.rendering.settings import MOST_SUBJECTS, check_settings
from skhand.rendering.source import HandSource
from skhand.rendering.subjects import draw_subjects

__all__ = ["load_pool", "make_scenes", "render_backgrounds", "render_hands"]

_CHUNK = 32


def make_scenes(
    n_samples: int = 100,
    *,
    image_size: int = 256,
    n_subjects: int = 1000,
    device: str = "cpu",
    random_state: Any = None,
) -> Bunch:
    """Generate whole pictures with no, one or two hands of all sizes, and with other things.

    Parameters
    ----------
    n_samples : int, default=100
        Number of pictures, up to 10**8.
    image_size : int, default=256
        Height and width of the pictures, px, 64 to 10 000.
    n_subjects : int, default=1000
        Number of made-up people.
    device : str, default="cpu"
        Where to render; "auto" is a GPU if there is one. Pictures agree bit by bit on one device only.
    random_state : int, RandomState instance or None, default=None
        Picture i depends on this seed and i only.

    Returns
    -------
    scenes : Bunch
        ``pictures`` : ndarray of shape (n_samples, image_size, image_size, 3), uint8.
        ``data`` : HandFrames of the hands that are shown, one row a hand, with ``rgb`` (the whole picture),
        ``keypoints2d`` (px), ``box`` (px: that of the joints, 8 mm wider on each side, also where parts lie
        outside of the picture), ``side`` and ``picture``.
        ``unclear`` : ndarray of shape (n_unclear, 5): picture, x, y, width and height of hands of which 5 to
        40% of the joints are seen. They are not in ``data``; what finds them is not wrong.

    Raises
    ------
    InputError
        If an argument is out of its range.

    See Also
    --------
    make_hands : Hands with all their labels, one a picture.

    Notes
    -----
    Hands and the ends of their arms are cut out of pictures of `make_hands` and pasted in at sides from 8% to
    90% of the picture's, so that light and sharpness of hand and background need not agree. In 30% of the
    pictures with hands, the first hand is not pasted: the picture is a window of the generated one.

    Examples
    --------
    >>> from skhand.datasets import make_scenes
    >>> scenes = make_scenes(4, image_size=64, random_state=0)
    >>> scenes.pictures.shape
    (4, 64, 64, 3)
    """
    check_number(n_samples, "n_samples", integer=True, low=1, high=10**8)
    check_number(image_size, "image_size", integer=True, low=64, high=10_000)
    place = resolve_device(device)
    seed = int(check_seed(random_state).randint(0, 2**31 - 1))
    source = _source(seed, max(128, min(int(image_size), 256)), n_subjects, device)
    parts = [
        _compose(source, np.arange(first, min(first + _CHUNK, n_samples)), int(image_size), place)
        for first in progress(range(0, n_samples, _CHUNK), "rendering", unit="batch")
    ]
    names = Scenes.__dataclass_fields__
    all_of = {name: torch.cat([getattr(part, name) for part in parts]).cpu().numpy() for name in names}
    pictures = np.ascontiguousarray(all_of["pictures"].transpose(0, 2, 3, 1))
    picture, slot = np.nonzero(all_of["shown"])
    unclear, which = np.nonzero(all_of["unclear"])
    data = HandFrames(
        rgb=RowsOf(pictures, picture),
        keypoints2d=all_of["points"][picture, slot],
        box=all_of["boxes"][picture, slot],
        side=np.where(all_of["is_left"][picture, slot], "left", "right"),
        picture=picture,
    )
    others = np.concatenate([unclear[:, None], all_of["boxes"][unclear, which]], axis=1)
    return Bunch(pictures=pictures, data=data, unclear=others)


def _compose(source: HandSource, rows: np.ndarray, size: int, device: torch.device) -> Scenes:
    """Render what some scenes show, and compose them."""
    hands = rows[:, None] * SLOTS + np.arange(SLOTS)
    grounds = rows[:, None] * GROUNDS + np.arange(GROUNDS)
    arrays = render_hands(source, hands.ravel())
    arrays["backgrounds"] = render_backgrounds(source.seed, grounds.ravel(), 128, str(device))
    pool = load_pool(arrays, device)
    numbers = Draws(source.seed, "scene", rows, SCENE_NUMBERS).block
    grain = raw_bytes(source.seed, "noise", rows, (4, 3, size, size)).astype(np.float32).sum(axis=1)
    return compose_scenes(
        pool,
        torch.arange(hands.size, device=device).view(hands.shape),
        torch.arange(grounds.size, device=device).view(grounds.shape),
        torch.as_tensor(numbers, dtype=torch.float32, device=device),
        torch.as_tensor((grain - 510.0) / 147.8, device=device),
    )


def _source(seed: int, size: int, n_subjects: int, device: str) -> HandSource:
    """Return what renders the hands of scenes: wide pictures without blur and noise, which scenes add."""
    settings = check_settings(
        image_size=size,
        n_subjects=n_subjects,
        side="both",
        rotation=180.0,
        gestures=None,
        distance=(250.0, 1200.0),
        framing=(1.2, 3.5),
        shape=1.0,
        thickness=None,
        skin=(0.0, 1.0),
        sleeves=0.55,
        light=(0.25, 1.0),
        backgrounds="procedural",
        occluders=0.15,
        blur=0.0,
        noise=0.0,
        motion=0.0,
        jpeg=None,
        strange=0.15,
        domain="synthetic",
        sensor="structured_light",
        device=device,
    )
    return HandSource(seed, settings)


def render_hands(source: HandSource | int, rows: np.ndarray, size: int = 192) -> dict[str, np.ndarray]:
    """Render hands for a `HandPool`.

    Parameters
    ----------
    source : HandSource or int
        What makes the rows, or a seed; of a seed with 10 000 people and pictures of ``size``, on the
        processor.
    rows : ndarray of shape (k,), int
        Which hands.
    size : int, px, default=192
        Side of the pictures.

    Returns
    -------
    arrays : dict of ndarray
        The fields of `HandPool` but ``arm`` and ``backgrounds``.
    """
    if not isinstance(source, HandSource):
        source = _source(source, size, 10_000, "cpu")
    poses, made = source.poses(rows), source.make(rows, ("rgb", "mask"))
    flat = poses.joints[..., :2] / poses.joints[..., 2:]
    points = flat * poses.camera[:, None, [0, 1], [0, 1]] + poses.camera[:, None, :2, 2]
    pad = points[..., 0].min(axis=1) - poses.box[:, 0]
    points[poses.is_left, :, 0] = source.settings.image_size - 1 - points[poses.is_left, :, 0]
    mask = made["mask"].astype(np.uint8) * np.uint8(255)
    rgba = np.concatenate([made["rgb"].transpose(0, 3, 1, 2), mask[:, None]], axis=1)
    return {
        "rgba": rgba,
        "points": points.astype(np.float32),
        "pad": pad.astype(np.float32),
        "is_left": poses.is_left,
    }


def render_backgrounds(seed: int, rows: np.ndarray, size: int = 128, device: str = "cpu") -> np.ndarray:
    """Render backgrounds for a `HandPool`, (k, 3, size, size) uint8."""
    skin = 0.7 * draw_subjects(seed, rows % MOST_SUBJECTS, 1.0, (0.0, 1.0)).skin
    with torch.inference_mode():
        light = draw_backgrounds(Draws(seed, "background", rows, BACKGROUND_DRAWS), skin, size, device)
        pictures = light.clamp_(0.0, 1.0).sqrt_().mul_(255.0).round_().to(torch.uint8)
    return pictures.cpu().numpy()


def load_pool(arrays: dict[str, np.ndarray], device: torch.device | str = "cpu") -> HandPool:
    """Put rendered hands and backgrounds on a device, and find where their arms end."""
    tensors = {name: torch.as_tensor(array).to(device) for name, array in arrays.items()}
    rows = tensors["rgba"][:, 3].split(1024)
    return HandPool(arm=torch.cat([find_arms(mask > 0) for mask in rows]), **tensors)
