"""The injection decoder of Stergioulas et al. 2021 (Sec. 3.3, Fig. 2a)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

__all__ = ["InjectionDecoder"]


class InjectionDecoder(nn.Module):
    """Latent vector to pose or any vector, the latent vector being injected into every layer (Eq. 18-19).

    With f = ReLU after batch normalisation, the layers are ``y_1 = f(z) + f(S_1 z)`` and
    ``y_i = f(W_i y_{i-1}) + f(S_i z)``, and the end is linear: the printed ReLU and batch normalisation of
    Eq. 19 could not give a coordinate below zero. The first layer, having no W, is as wide as z.

    In training every path from z begins with batch normalisation, so that a shift of its entries and a common
    scale change no output: along these an error of the output has no gradient, and only terms on z itself (a
    KL term, an adversary) move it.

    Parameters
    ----------
    latent_dim : int
        Size of the latent space.
    n_outputs : int
        Length of the vector.
    hidden_units, n_layers : int
        Width of the layers after the first, and number of the layers before the end. Not published.
    """

    def __init__(self, latent_dim: int, n_outputs: int, *, hidden_units: int = 512, n_layers: int = 5):
        super().__init__()
        widths = [latent_dim] + [hidden_units] * (n_layers - 1)
        self.start = _active(latent_dim)
        self.layers = nn.ModuleList(
            nn.Sequential(_linear(before, after), _active(after)) for before, after in pairwise(widths)
        )
        self.injections = nn.ModuleList(
            nn.Sequential(_linear(latent_dim, width), _active(width)) for width in widths
        )
        self.end = nn.Linear(widths[-1], n_outputs)

    def forward(self, latent: Tensor) -> Tensor:
        """Latent vectors (n, latent_dim) to vectors (n, n_outputs)."""
        y = self.start(latent) + self.injections[0](latent)
        for layer, injection in zip(self.layers, list(self.injections)[1:], strict=True):
            y = layer(y) + injection(latent)
        return self.end(y)


def _linear(n_inputs: int, n_outputs: int) -> nn.Linear:
    """A linear layer before batch normalisation, which has the bias."""
    linear = nn.Linear(n_inputs, n_outputs, bias=False)
    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
    return linear


def _active(width: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm1d(width), nn.ReLU())
