"""Effects of a camera on a picture: blur, shake, grain and JPEG."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import pad

from skhand.rendering.draws import raw_bytes

__all__ = ["add_grain", "compress", "defocus", "shake"]

_SHOT, _READ = 3.8, 0.05
_TAPS = 7


def defocus(picture: torch.Tensor, level: np.ndarray) -> None:
    """Blur pictures in place by 1-2-1 kernels, each one with twice the step of the one before.

    Parameters
    ----------
    picture : Tensor of shape (n, c, height, width)
    level : ndarray of shape (n,)
        How many kernels; the last one may be taken in part. At 0 the row stays as it is; 1, 2 and 3 have
        standard deviations of 0.7, 1.6 and 3.2 px.
    """
    step = 1
    while (level > 0).any() and step < min(picture.shape[2:]):
        share = torch.as_tensor(0.25 * np.clip(level, 0.0, 1.0), dtype=torch.float32, device=picture.device)
        for dimension in (2, 3):
            length = picture.shape[dimension] - step
            before, after = picture.narrow(dimension, 0, length), picture.narrow(dimension, step, length)
            change = (after - before).mul_(share[:, None, None, None])
            before.add_(change)
            after.sub_(change)
        step, level = 2 * step, level - 1.0


def shake(picture: torch.Tensor, path: np.ndarray) -> None:
    """Blur pictures in place along a straight path, whose middle stays where it is.

    Parameters
    ----------
    picture : Tensor of shape (n, c, height, width)
    path : ndarray of shape (n, 2), px
        How far the picture moves in x and y while the shutter is open; rows that move by less than 1 px
        stay as they are.
    """
    steps = np.linspace(-0.5, 0.5, _TAPS)[:, None]
    for row in np.flatnonzero(np.abs(path).max(axis=1) > 1.0):
        places = np.rint(steps * path[row]).astype(int)
        rim = int(np.abs(places).max())
        wider = pad(picture[row : row + 1], (rim, rim, rim, rim), mode="replicate")[0]
        height, width = picture.shape[2:]
        picture[row] = 0.0
        for x, y in rim + places:
            picture[row].add_(wider[:, y : y + height, x : x + width], alpha=1.0 / _TAPS)


def add_grain(picture: torch.Tensor, strength: torch.Tensor, seed: int, rows: np.ndarray) -> None:
    """Add a sensor's noise in place: shot noise, whose variance grows with the light, and read noise.

    The variance is strength^2 (3.8 light + 0.05), the affine model of Foi et al. 2008 ("Practical
    Poissonian-Gaussian noise modeling and fitting for single-image raw-data"), with a triangular
    distribution. At a light of 1/4, displayed as 1/2, the standard deviation is ``strength`` both in the
    light and in what is displayed.

    Parameters
    ----------
    picture : Tensor of shape (n, 3, height, width)
        Linear light, not negative.
    strength : Tensor of shape (n,)
    seed : int
    rows : ndarray of shape (n,)
        Rows of the data set.
    """
    height, width = picture.shape[2:]
    raw = torch.as_tensor(raw_bytes(seed, "noise", rows, (height + 4, width + 8)), device=picture.device)
    # two half bytes: a triangle from 0 to 30, whose standard deviation is 6.52
    grain = (raw & 15).add_(raw >> 4).to(torch.float32)
    grain.sub_(15.0).mul_((strength / 6.52)[:, None, None])
    spread = (picture * _SHOT).add_(_READ).sqrt_()
    for channel in range(3):
        window = grain[:, 2 * channel : 2 * channel + height, 4 * channel : 4 * channel + width]
        picture[:, channel].addcmul_(spread[:, channel], window)


def compress(picture: torch.Tensor, quality: np.ndarray) -> torch.Tensor:
    """Write pictures as JPEG and read them again.

    Parameters
    ----------
    picture : Tensor of shape (n, height, width, 3), uint8
    quality : ndarray of shape (n,), int
        As Pillow counts it, 1 to 95.

    Returns
    -------
    picture : Tensor of shape (n, height, width, 3), uint8
    """
    done = []
    for pixels, level in zip(picture.cpu().numpy(), quality, strict=True):
        file = BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(level))
        done.append(np.asarray(Image.open(file)))
    return torch.as_tensor(np.stack(done), device=picture.device)
