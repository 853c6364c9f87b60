"""A network of today for 2.5D heatmaps: a torchvision trunk and a light feature pyramid."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from skhand.estimators.latent_heatmap.encoder_decoder import conv_layer
from skhand.nn import trunk_levels

__all__ = ["PyramidNet"]


class PyramidNet(nn.Module):
    """A trunk, and a feature pyramid from its smallest maps up to a quarter of the picture's size.

    Each level of the trunk gets ``width`` channels by a 1 x 1 convolution; from the smallest one upwards maps
    are doubled, added to the next level's and smoothed by a 3 x 3 convolution (after Lin et al. 2017). A
    1 x 1 convolution ends it.

    Parameters
    ----------
    backbone : str
        One of `skhand.nn.TRUNKS`.
    in_channels : int
        Channels of the pictures.
    out_channels : int
        Maps.
    width : int, default=96
        Channels of the pyramid.
    """

    def __init__(self, backbone: str, in_channels: int, out_channels: int, *, width: int = 96):
        super().__init__()
        levels, channels = trunk_levels(backbone, in_channels)
        self.levels = nn.ModuleList(levels)
        self.across = nn.ModuleList(nn.Conv2d(each, width, 1) for each in channels)
        self.smooth = nn.ModuleList(conv_layer(width, width) for _ in channels[1:])
        self.last = nn.Conv2d(width, out_channels, 1)
        with torch.no_grad():  # start flat
            self.last.weight *= 0.1
        self.n_features = channels[-1]

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Maps and features.

        Parameters
        ----------
        images : Tensor of shape (n, in_channels, height, width)
            Pictures in -0.5..0.5.

        Returns
        -------
        maps : list of one Tensor of shape (n, out_channels, height / 4, width / 4)
            Sizes rounded up.
        features : Tensor of shape (n, n_features)
            The trunk's smallest map, averaged over its places.
        """
        outputs = []
        for level in self.levels:
            images = level(images)
            outputs.append(images)
        deepest = outputs[-1]
        maps = self.across[-1](deepest)
        below = zip(reversed(outputs[:-1]), reversed(self.across[:-1]), reversed(self.smooth), strict=True)
        for output, across, smooth in below:
            maps = functional.interpolate(maps, size=output.shape[2:], mode="bilinear")
            maps = smooth(maps + across(output))
        return [self.last(maps)], deepest.mean(dim=(2, 3))
