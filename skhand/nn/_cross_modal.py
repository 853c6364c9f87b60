"""Encoders and decoders that share one latent space (Spurr et al. 2018, Fig. 2)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from skhand.nn._losses import draw_latent

__all__ = ["CrossModalVAE"]


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
        self, x: Tensor, source: str, target: str, side: Tensor | None = None
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

        Returns
        -------
        decoded, mean, log_var : Tensor
        """
        mean, log_var = self.encoders[source](x, side)
        return self.decoders[target](draw_latent(mean, log_var)), mean, log_var
