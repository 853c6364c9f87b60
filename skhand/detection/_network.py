"""The detector's network: maps of hands' centres, box sizes, offsets and sides at a quarter of its input."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["ARCHITECTURE", "STRIDE", "DetectorNet", "Maps", "normalise"]

STRIDE = 4
"""Pixels of the picture a pixel of the maps."""
ARCHITECTURE: dict[str, Any] = {
    "channels": [16, 32, 48, 96, 128],
    "blocks": [1, 1, 2, 2],
    "expansion": 3,
    "pyramid": [64, 32],
    "input": 192,
}
"""Arguments of `DetectorNet`, and the longest side of the pictures that it reads, px."""
_CENTRE, _SIZE, _OFFSET, _SIDE = slice(0, 1), slice(1, 3), slice(3, 5), slice(5, 7)


class Maps(NamedTuple):
    """Answers of the network, one value a pixel of the maps.

    Parameters
    ----------
    centre : Tensor of shape (n, 1, height, width)
        Logits of a hand's centre.
    size : Tensor of shape (n, 2, height, width)
        Logarithms of the box's width and height divided by the input's longest side.
    offset : Tensor of shape (n, 2, height, width)
        From the middle of this pixel to the box's middle, x and y, in widths and heights of the box.
    side : Tensor of shape (n, 2, height, width)
        Logits of left and right.
    """

    centre: Tensor
    size: Tensor
    offset: Tensor
    side: Tensor


def normalise(pictures: Tensor) -> Tensor:
    """Turn uint8 pictures (n, 3, height, width) into what the network reads: about -2 to 2."""
    return (pictures.float() - 127.5).mul_(1 / 63.75)


class _Conv(nn.Module):
    """Convolution, batch normalisation and, mostly, a rectifier."""

    def __init__(
        self, n_in: int, n_out: int, size: int = 3, step: int = 1, groups: int = 1, end: bool = True
    ):
        super().__init__()
        self.conv: nn.Module = nn.Conv2d(n_in, n_out, size, step, size // 2, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(n_out)
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return functional.relu(x, inplace=True) if self.end else x


class _Residual(nn.Module):
    """Two convolutions beside an identity."""

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(_Conv(width, width), _Conv(width, width, end=False))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.body(x), inplace=True)


class _Inverted(nn.Module):
    """An inverted residual: wider by a factor, one filter a channel, and narrow again."""

    def __init__(self, width: int, factor: int):
        super().__init__()
        inner = factor * width
        self.body = nn.Sequential(
            _Conv(width, inner, 1), _Conv(inner, inner, 3, groups=inner), _Conv(inner, width, 1, end=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class DetectorNet(nn.Module):
    """Find hands: a small trunk down to 1/32 of the picture, a pyramid back up to 1/4, and one layer of maps.

    Where maps are large, full convolutions take less time than separable ones on a processor; where they are
    small, separable ones save weights.

    Parameters
    ----------
    channels : sequence of 5 int
        Of the features at 1/2, 1/4, 1/8, 1/16 and 1/32.
    blocks : sequence of 4 int
        Residual blocks at 1/4, 1/8, 1/16 and 1/32.
    expansion : int
        Factor of the inverted residuals at 1/16 and 1/32.
    pyramid : sequence of 2 int
        Channels of the way up, to 1/8 and at 1/4.
    """

    def __init__(self, channels: Any, blocks: Any, expansion: int, pyramid: Any, input: int = 192):
        super().__init__()
        self.input, self.dtype = input, torch.float32
        c, (wide, slim) = list(channels), pyramid
        self.stem = _Conv(3, c[0], 3, 2)
        stages = []
        for k in range(4):
            inner = [
                _Residual(c[k + 1]) if k < 2 else _Inverted(c[k + 1], expansion) for _ in range(blocks[k])
            ]
            stages.append(nn.Sequential(_Conv(c[k], c[k + 1], 3, 2), *inner))
        self.stages = nn.ModuleList(stages)
        widths = [wide, wide, slim]
        self.top = _Conv(c[4], wide, 1)
        self.sides = nn.ModuleList([_Conv(c[3 - k], widths[k], 1, end=False) for k in range(3)])
        self.joins = nn.ModuleList([_Conv(widths[k], widths[min(k + 1, 2)]) for k in range(3)])
        self.maps = nn.Conv2d(slim, 7, 1)
        nn.init.normal_(self.maps.weight, std=0.01)
        # few pixels are centres, and boxes are about a quarter of the picture wide
        start = torch.tensor([-4.0, -1.3, -1.3, 0.0, 0.0, 0.0, 0.0])
        self.maps.bias = nn.Parameter(start)

    def forward(self, pictures: Tensor) -> Maps:
        """Return the maps of pictures (n, 3, height, width) as `normalise` makes them; sides divide by 32."""
        x, steps = self.stem(pictures.to(self.dtype)), []
        for stage in self.stages:
            x = stage(x)
            steps.append(x)
        x = self.top(x)
        for side, join, step in zip(self.sides, self.joins, steps[-2::-1], strict=True):
            x = functional.interpolate(x, scale_factor=2.0)
            x = join(functional.relu(side(step) + x, inplace=True))
        maps = self.maps(x if self.training else x.float()).float()
        return Maps(maps[:, _CENTRE], maps[:, _SIZE], maps[:, _OFFSET], maps[:, _SIDE])

    def fused(self, dtype: torch.dtype = torch.float32) -> DetectorNet:
        """Return the network for inference, in place: batch normalisations become part of convolutions.

        Parameters
        ----------
        dtype : torch.dtype, default=torch.float32
            What all but the last layer is computed in.
        """
        self.eval()
        for module in self.modules():
            if isinstance(module, _Conv) and isinstance(module.norm, nn.BatchNorm2d):
                module.conv = fuse_conv_bn_eval(module.conv, module.norm)  # type: ignore[type-var]
                module.norm = nn.Identity()
        self.dtype = dtype
        self.to(dtype).maps.float()
        return self.to(memory_format=torch.channels_last)
