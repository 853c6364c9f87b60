"""Encoders and decoders of Spurr et al. 2018 (supplementary, Tables 3 and 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from skhand.nn._backbones import ImageTrunk

__all__ = ["ImageDecoder", "ImageEncoder", "VectorDecoder", "VectorEncoder"]


class LatentHead(nn.Module):
    """One linear layer from features, and the side's one-hot where it is given, to mean and log-variance."""

    def __init__(self, n_features: int, latent_dim: int, side: bool):
        super().__init__()
        self.linear = nn.Linear(n_features + (2 if side else 0), 2 * latent_dim)
        with torch.no_grad():  # start narrow (std about 0.08), so that noise does not drown the first steps
            self.linear.weight[latent_dim:] *= 0.1
            self.linear.bias[latent_dim:] = -5.0

    def forward(self, features: Tensor, side: Tensor | None) -> tuple[Tensor, Tensor]:
        if side is not None:
            features = torch.cat([features, side.to(features.dtype)], dim=1)
        mean, log_var = self.linear(features).float().chunk(2, dim=1)
        return mean, log_var.clamp(-20.0, 10.0)  # so that no variance overflows


class ImageEncoder(nn.Module):
    """Picture to a normal distribution in the latent space.

    Parameters
    ----------
    backbone : str
        One of `skhand.nn.BACKBONES`.
    in_channels : int
        3 for colour, 1 for depth.
    image_size : tuple of int
        Height and width, px.
    latent_dim : int
        Size of the latent space.
    side : bool, default=False
        Whether the hand's side (one-hot of two) is appended to the features.
    pretrained : {False, "imagenet", "hands"}, default=False
        Whether the trunk starts from ImageNet weights.
    """

    def __init__(
        self,
        backbone: str,
        in_channels: int,
        image_size: tuple[int, int],
        latent_dim: int,
        *,
        side: bool = False,
        pretrained: str | bool = False,
    ):
        super().__init__()
        self.trunk = ImageTrunk(backbone, in_channels, image_size, pretrained)
        self.head = LatentHead(self.trunk.n_features, latent_dim, side)

    def forward(self, images: Tensor, side: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Pictures (n, channels, height, width) to mean and log-variance, each (n, latent_dim)."""
        return self.head(self.trunk(images), side)


class VectorEncoder(nn.Module):
    """Vector to a normal distribution in the latent space: (Linear, ReLU) layers and a linear head (Table 3).

    Parameters
    ----------
    n_inputs : int
        Length of the vector.
    latent_dim : int
        Size of the latent space.
    hidden_units, n_layers : int
        Width and number of the hidden layers; the paper has five of 512.
    side : bool, default=False
        Whether the hand's side (one-hot of two) is appended to the last hidden layer.
    """

    def __init__(
        self,
        n_inputs: int,
        latent_dim: int,
        *,
        hidden_units: int = 512,
        n_layers: int = 5,
        side: bool = False,
    ):
        super().__init__()
        self.layers = hidden_layers(n_inputs, hidden_units, n_layers)
        self.head = LatentHead(hidden_units, latent_dim, side)

    def forward(self, vectors: Tensor, side: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Vectors (n, n_inputs) to mean and log-variance, each (n, latent_dim)."""
        return self.head(self.layers(vectors), side)


class VectorDecoder(nn.Module):
    """Latent vector to keypoints, pose or any vector: (Linear, ReLU) layers and a linear end (Table 3).

    Parameters
    ----------
    latent_dim : int
        Size of the latent space.
    n_outputs : int
        Length of the vector.
    hidden_units, n_layers : int
        Width and number of the hidden layers; the paper has five of 512.
    """

    def __init__(self, latent_dim: int, n_outputs: int, *, hidden_units: int = 512, n_layers: int = 5):
        super().__init__()
        self.layers = hidden_layers(latent_dim, hidden_units, n_layers)
        self.end = nn.Linear(hidden_units, n_outputs)

    def forward(self, latent: Tensor) -> Tensor:
        """Latent vectors (n, latent_dim) to vectors (n, n_outputs)."""
        return self.end(self.layers(latent))


class ImageDecoder(nn.Module):
    """Latent vector to picture (Table 4): a linear layer to 4 x 4, then transposed convolutions that double.

    At 256 x 256 the channels are the paper's 256, 128, 64, 32, 16, 8. Smaller pictures leave out the last
    doublings, larger ones repeat the last width; a size that is not 4 times a power of two is reached by
    bilinear resampling from the next larger one.

    Parameters
    ----------
    latent_dim : int
        Size of the latent space.
    out_channels : int
        3 for colour, 1 for depth.
    image_size : tuple of int
        Height and width, px.
    """

    def __init__(self, latent_dim: int, out_channels: int, image_size: tuple[int, int]):
        super().__init__()
        self.image_size = tuple(image_size)
        n_doublings = max(1, (max(image_size) - 1).bit_length() - 2)
        widths = [128, 64, 32, 16, 8]
        widths = (widths + [8] * n_doublings)[: n_doublings - 1]
        self.start = nn.Sequential(nn.Linear(latent_dim, 4096), nn.BatchNorm1d(4096), nn.ReLU())
        layers: list[nn.Module] = []
        before = 256
        for width in widths:
            layers += [nn.ConvTranspose2d(before, width, 4, 2, 1), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(before, out_channels, 4, 2, 1))

    def forward(self, latent: Tensor) -> Tensor:
        """Latent vectors (n, latent_dim) to pictures (n, out_channels, height, width)."""
        images = self.layers(self.start(latent).view(-1, 256, 4, 4))
        if tuple(images.shape[2:]) != self.image_size:
            images = functional.interpolate(images, self.image_size, mode="bilinear", antialias=False)
        return images


def hidden_layers(n_inputs: int, hidden_units: int, n_layers: int) -> nn.Sequential:
    """(Linear, ReLU) layers with He's initialisation, so that five of them neither fade nor swell."""
    layers: list[nn.Module] = []
    for before in [n_inputs] + [hidden_units] * (n_layers - 1):
        linear = nn.Linear(before, hidden_units)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers)
