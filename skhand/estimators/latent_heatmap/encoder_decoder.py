"""The encoder-decoder of Iqbal et al. 2018, from a picture to 2.5D heatmaps of the picture's size."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["HeatmapNet", "conv_layer"]

N_LEVELS = 6  # resolutions, the picture's own included


class HeatmapNet(nn.Module):
    """An encoder-decoder with skip connections, in one stack or several (Sec. 5.2 and 5.3).

    All stacks read the features of one initial convolution; each after the first also reads the maps of the
    one before it. A stack halves the picture five times, with a 3 x 3 convolution at each size and one more
    at the smallest, and doubles it again, with a 3 x 3 convolution over what comes from below and the skip
    connection. Three 7 x 7 convolutions at the picture's size end it.

    Parameters
    ----------
    in_channels : int
        Channels of the pictures.
    out_channels : int
        Maps of each stack.
    width : int, default=256
        Channels of every convolution.
    n_stacks : int, default=1
        How many encoder-decoders.
    fast : bool, default=False
        Whether the encoder-decoder has half the channels, and the last three convolutions are 1 x 1, 3 x 3
        and 1 x 1.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, width: int = 256, n_stacks: int = 1, fast: bool = False
    ):
        super().__init__()
        base = max(1, width // 2) if fast else width
        self.n_features = base
        self.start = conv_layer(in_channels, base)
        self.stacks = nn.ModuleList(
            EncoderDecoder(base + (out_channels if stack else 0), base, width, out_channels, fast)
            for stack in range(n_stacks)
        )

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Maps of each stack and the last stack's features.

        Parameters
        ----------
        images : Tensor of shape (n, in_channels, height, width)
            Pictures in -0.5..0.5.

        Returns
        -------
        maps : list of Tensor of shape (n, out_channels, height, width)
        features : Tensor of shape (n, n_features)
            The smallest map of the last stack, averaged over its places.
        """
        start = self.start(images)
        answers: list[Tensor] = []
        for stack in self.stacks:
            maps, deepest = stack(torch.cat([start, *answers[-1:]], dim=1))
            answers.append(maps)
        return answers, deepest.mean(dim=(2, 3))

    @property
    def last(self) -> nn.Module:
        """The last layer."""
        return self.stacks[-1].get_submodule("last")


class EncoderDecoder(nn.Module):
    """One encoder-decoder and its head: 3 x 3 convolutions, and 7 x 7 ones at the end."""

    def __init__(self, in_channels: int, base: int, width: int, out_channels: int, fast: bool):
        super().__init__()
        self.down = nn.ModuleList(
            conv_layer(base if level else in_channels, base) for level in range(N_LEVELS)
        )
        self.deepest = conv_layer(base, base)
        self.up = nn.ModuleList(conv_layer(2 * base, base) for _ in range(N_LEVELS - 1))
        first, second, last = (1, 3, 1) if fast else (7, 7, 7)
        self.head = nn.Sequential(conv_layer(base, width, first), conv_layer(width, width, second))
        self.last = nn.Conv2d(width, out_channels, last, padding="same")
        with torch.no_grad():  # start flat
            self.last.weight *= 0.1

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Input (n, in_channels, height, width) to maps of its size and the smallest features."""
        skips = []
        for level, layer in enumerate(self.down):
            x = layer(functional.max_pool2d(x, 2, ceil_mode=True) if level else x)
            skips.append(x)
        deepest = x = self.deepest(skips.pop())
        for layer in self.up:
            skip = skips.pop()
            x = functional.interpolate(x, size=skip.shape[2:], mode="bilinear")
            x = layer(torch.cat([x, skip], dim=1))
        return self.last(self.head(x)), deepest


def conv_layer(before: int, after: int, size: int = 3) -> nn.Sequential:
    """Return convolution, batch normalisation and ReLU; the size of the picture stays."""
    convolution = nn.Conv2d(before, after, size, padding="same", bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))
