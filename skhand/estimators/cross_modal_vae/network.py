"""Encoders and decoders that share one latent space (Spurr et al. 2018, Fig. 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from skhand.exceptions import InputError
from skhand.nn import draw_latent
from skhand.training import MODALITIES, Layers

__all__ = ["CrossModalVAE", "build_networks"]


class CrossModalVAE(nn.Module):
    """Encoders and decoders by modality, around one latent space.

    Parameters
    ----------
    encoders : mapping of str to Module
        Each maps ``(x, side)`` to mean and log-variance.
    decoders : mapping of str to Module
        Each maps latent vectors to its modality.
    """

    def __init__(self, encoders: Mapping[str, nn.Module], decoders: Mapping[str, nn.Module]):
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.decoders = nn.ModuleDict(decoders)

    def forward(
        self,
        x: Tensor,
        source: str,
        target: str,
        side: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Encode, draw one latent sample a row (z = mean + std * noise) and decode it.

        Parameters
        ----------
        x : Tensor
            Network input of the source modality.
        source, target : str
            Modalities.
        side : Tensor of shape (n, 2) or None
            One-hot side of the hand.
        generator : torch.Generator or None
            Source of the noise.

        Returns
        -------
        decoded, mean, log_var : Tensor
        """
        mean, log_var = self.encoders[source](x, side)
        return self.decoders[target](draw_latent(mean, log_var, generator)), mean, log_var


def build_networks(
    pairs: Sequence[tuple[str, str]],
    shapes: Mapping[str, tuple[int, ...]],
    latent_dim: int,
    layers: Layers,
) -> CrossModalVAE:
    """Return the encoders of all sources and the decoders of all targets.

    Parameters
    ----------
    pairs : sequence of (str, str)
        Source and target modality of each pair.
    shapes : mapping of str to tuple of int
        Shape of one sample of each modality.
    latent_dim : int
        Size of the latent space.
    layers : Layers
        How encoders and decoders are built.

    Returns
    -------
    module : CrossModalVAE

    Raises
    ------
    InputError
        If pretrained weights are asked for, and no source is a picture.
    """
    if layers.pretrained and not any(MODALITIES[source].is_image for source, _ in pairs):
        raise InputError(f"pretrained: expected a pair with a picture as its source, got {list(pairs)}.")
    encoders: dict[str, nn.Module] = {}
    decoders: dict[str, nn.Module] = {}
    for source, target in pairs:
        if source not in encoders:
            encoders[source] = MODALITIES[source].encoder(shapes[source], latent_dim, layers)
        if target not in decoders:
            decoders[target] = MODALITIES[target].decoder(shapes[target], latent_dim, layers)
    return CrossModalVAE(encoders, decoders)
