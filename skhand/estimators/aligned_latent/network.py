"""The networks of Stergioulas et al. 2021: two autoencoders, mappers to aligned latents, a discriminator."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from skhand.nn import LatentHead, hidden_layers

__all__ = ["AlignedVAE", "LatentDiscriminator", "LatentMapper"]


class LatentMapper(nn.Module):
    """One normal distribution in a latent space to one in another (T of Eq. 6-7, Fig. 2b).

    (Linear, ReLU) layers read mean and standard deviation. They correct a linear image of the mean and, where
    the two spaces have one size, the log-variance as it came. There the mapper starts as the identity:
    training starts where the encoder ended.

    Parameters
    ----------
    n_inputs, latent_dim : int
        Sizes of the two spaces.
    hidden_units, n_layers : int
        Width and number of the hidden layers. Not published.
    """

    def __init__(self, n_inputs: int, latent_dim: int, *, hidden_units: int = 512, n_layers: int = 2):
        super().__init__()
        self.layers = hidden_layers(2 * n_inputs, hidden_units, n_layers)
        self.head = LatentHead(hidden_units, latent_dim, side=False)
        self.skip = nn.Linear(n_inputs, latent_dim)
        self.same_size = n_inputs == latent_dim
        with torch.no_grad():
            if self.same_size:
                self.head.linear.weight.zero_()
                self.head.linear.bias.zero_()
                self.skip.weight.copy_(torch.eye(latent_dim))
                self.skip.bias.zero_()
            else:
                self.head.linear.weight[:latent_dim] *= 0.1
                self.head.linear.bias[:latent_dim] = 0.0

    def forward(self, mean: Tensor, log_var: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (n, n_inputs) to mean and log-variance (n, latent_dim)."""
        features = self.layers(torch.cat([mean, torch.exp(0.5 * log_var)], dim=1))
        correction, mapped_log_var = self.head(features, None)
        if self.same_size:
            mapped_log_var = (log_var + mapped_log_var).clamp(-20.0, 10.0)
        return self.skip(mean).float() + correction, mapped_log_var


class LatentDiscriminator(nn.Module):
    """Latent vector to the log-odds that it is the code of a pose and not of a picture (Dis of Eq. 1).

    Parameters
    ----------
    latent_dim : int
        Size of the latent space.
    hidden_units, n_layers : int
        Width and number of the (Linear, LeakyReLU) layers. Not published.
    """

    def __init__(self, latent_dim: int, *, hidden_units: int = 512, n_layers: int = 2):
        super().__init__()
        layers: list[nn.Module] = []
        for before in [latent_dim] + [hidden_units] * (n_layers - 1):
            layers += [nn.Linear(before, hidden_units), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden_units, 1))

    def forward(self, latent: Tensor) -> Tensor:
        """Latent vectors (n, latent_dim) to log-odds (n, 1)."""
        return self.layers(latent)


class AlignedVAE(nn.Module):
    """An encoder of the source, one of poses, and what disentangles and aligns their latent spaces.

    The source's latent vector is context first, pose last; ``n_skipped`` numbers of it are not decoded.

    Parameters
    ----------
    encoders : mapping of str to Module
        The source's encoder and that of "pose3d"; each maps ``(x, side)`` to mean and log-variance.
    mappers : mapping of str to Module
        For both the mapper to the aligned latent space.
    decoder : Module
        From what is decoded of the source's latent vector, later from aligned ones, to the target.
    pose_decoder : Module
        From the pose encoder's latent vector to the target.
    discriminator : Module or None
        Between the two pose latents; None without disentanglement.
    n_skipped : int
        Leading numbers of the source's latent vector that are not decoded.
    source_decoder : Module or None, default=None
        From all of the source's latent vector to the source.
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        mappers: Mapping[str, nn.Module],
        decoder: nn.Module,
        pose_decoder: nn.Module,
        discriminator: nn.Module | None,
        n_skipped: int,
        source_decoder: nn.Module | None = None,
    ):
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.mappers = nn.ModuleDict(mappers)
        self.decoders = nn.ModuleDict({"pose3d": decoder})
        self.pose_decoder = pose_decoder
        self.discriminator = discriminator
        self.source_decoder = source_decoder
        self.n_skipped = n_skipped
        self.frozen: tuple[str, ...] = ()

    def train(self, mode: bool = True) -> AlignedVAE:
        """Set the mode of all parts but those named in ``frozen``: their batch statistics stay too."""
        super().train(mode)
        for name in self.frozen:
            getattr(self, name).eval()
        return self

    def decoded(self, modality: str, latent: Tensor) -> Tensor:
        """The part of a modality's latent vectors (n, k) that is decoded."""
        return latent if modality == "pose3d" else latent[:, self.n_skipped :]

    def posterior(
        self, x: Tensor, modality: str, side: Tensor | None = None, *, aligned: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Encode: mean and log-variance of what is decoded, or of the aligned latent vector.

        Parameters
        ----------
        x : Tensor
            Network input of the modality.
        modality : str
            The source, or "pose3d".
        side : Tensor of shape (n, 2) or None
            One-hot side of the hand.
        aligned : bool, default=False
            Whether the modality's mapper goes on from the encoder.

        Returns
        -------
        mean, log_var : Tensor of shape (n, latent_dim)
        """
        mean, log_var = (self.decoded(modality, part) for part in self.encoders[modality](x, side))
        return self.mappers[modality](mean, log_var) if aligned else (mean, log_var)
