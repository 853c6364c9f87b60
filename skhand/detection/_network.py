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
    "channels": [64, 64, 128, 256, 96],
    "rank": 88,
    "blocks": 2,
    "expansion": 3,
    "pyramid": [64, 48],
    "hidden": 64,
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
    joints : Tensor of shape (n, 42, height, width) or None
        In training: x and y of the joints from the box's middle, in its longer sides. Nothing reads them; to
        learn them teaches the network what a hand is and which side it has.
    """

    centre: Tensor
    size: Tensor
    offset: Tensor
    side: Tensor
    joints: Tensor | None = None


def normalise(pictures: Tensor) -> Tensor:
    """Turn uint8 pictures (n, 3, height, width) into what the network reads: -0.5 to 0.5."""
    return (pictures.float() - 127.5).mul_(1 / 255.0)


class _Conv(nn.Module):
    """Convolution, batch normalisation and, mostly, a rectifier.

    With a rank, the convolution is two: one to so many channels, and one of single pixels.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        size: int = 3,
        step: int = 1,
        *,
        groups: int = 1,
        end: bool = True,
        rank: int | None = None,
    ):
        super().__init__()
        inner = n_out if rank is None else rank
        conv = nn.Conv2d(n_in, inner, size, step, size // 2, groups=groups, bias=False)
        self.first: nn.Module = nn.Identity() if rank is None else conv
        self.conv: nn.Module = conv if rank is None else nn.Conv2d(inner, n_out, 1, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(n_out)
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(self.first(x)))
        return functional.relu(x, inplace=True) if self.end else x


class _Residual(nn.Module):
    """Two convolutions beside an identity, or beside one of single pixels where the shape changes."""

    def __init__(self, n_in: int, n_out: int, step: int = 1, rank: int | None = None):
        super().__init__()
        self.body = nn.Sequential(
            _Conv(n_in, n_out, 3, step, rank=rank), _Conv(n_out, n_out, end=False, rank=rank)
        )
        same = step == 1 and n_in == n_out
        self.beside = nn.Identity() if same else _Conv(n_in, n_out, 1, step, end=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.beside(x) + self.body(x), inplace=True)


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
    """Find hands: a trunk down to 1/32 of the picture, a pyramid back up to 1/4, and two layers of maps.

    Down to 1/16, the trunk is torchvision's ResNet with one block a level, as in the pose network that ships,
    so that training can start from what that one knows of hands.

    Parameters
    ----------
    channels : sequence of 5 int
        Of the stem, and of the features at 1/4, 1/8, 1/16 and 1/32.
    rank : int or None
        Of the convolutions at 1/16, which have most of the weights.
    blocks : int
        Inverted residuals at 1/32.
    expansion : int
        Their factor.
    pyramid : sequence of 2 int
        Channels of the way up: at 1/32 to 1/8, and at 1/4.
    hidden : int
        Channels of the layer before the maps.
    input : int, px
        Longest side of the pictures.
    """

    def __init__(
        self,
        channels: Any,
        rank: int | None,
        blocks: int,
        expansion: int,
        pyramid: Any,
        hidden: int,
        input: int = 192,
    ):
        super().__init__()
        self.input, self.dtype = input, torch.float32
        c, (wide, slim) = list(channels), pyramid
        self.stem = nn.Sequential(_Conv(3, c[0], 7, 2), nn.MaxPool2d(3, 2, 1))
        deepest = [_Conv(c[3], c[4], 1), _Conv(c[4], c[4], 3, 2, groups=c[4])]
        self.stages = nn.ModuleList(
            [
                _Residual(c[0], c[1]),
                _Residual(c[1], c[2], 2),
                _Residual(c[2], c[3], 2, rank),
                nn.Sequential(*deepest, *(_Inverted(c[4], expansion) for _ in range(blocks))),
            ]
        )
        widths = [wide, wide, slim]
        self.top = _Conv(c[4], wide, 1)
        self.sides = nn.ModuleList([_Conv(c[3 - k], widths[k], 1, end=False) for k in range(3)])
        self.joins = nn.ModuleList([_Conv(widths[k], widths[min(k + 1, 2)]) for k in range(3)])
        self.hidden = _Conv(slim, hidden, 1)
        self.maps = nn.Conv2d(hidden, 7, 1)
        nn.init.normal_(self.maps.weight, std=0.01)
        # few pixels are centres, and boxes are about a quarter of the picture wide
        start = torch.tensor([-4.0, -1.3, -1.3, 0.0, 0.0, 0.0, 0.0])
        self.maps.bias = nn.Parameter(start)
        self.joints: nn.Conv2d | None = nn.Conv2d(hidden, 42, 1)

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
        x = self.hidden(x)
        maps = self.maps(x if self.training else x.float()).float()
        joints = self.joints(x).float() if self.training and self.joints is not None else None
        return Maps(maps[:, _CENTRE], maps[:, _SIZE], maps[:, _OFFSET], maps[:, _SIDE], joints)

    def fused(self, dtype: torch.dtype = torch.float32) -> DetectorNet:
        """Return the network for inference, in place: batch normalisations become part of convolutions.

        Parameters
        ----------
        dtype : torch.dtype, default=torch.float32
            What all but the last layer is computed in.
        """
        self.eval()
        self.joints = None
        for module in self.modules():
            if isinstance(module, _Conv) and isinstance(module.norm, nn.BatchNorm2d):
                module.conv = fuse_conv_bn_eval(module.conv, module.norm)  # type: ignore[type-var]
                module.norm = nn.Identity()
        self.dtype = dtype
        self.to(dtype).maps.float()
        return self.to(memory_format=torch.channels_last)
