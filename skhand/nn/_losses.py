"""Losses and the latent draw as plain functions, each with its unit and reduction."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["draw_latent", "draw_noise", "kl_standard_normal", "known_difference", "masked_l1", "masked_mse"]


def known_difference(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Output minus target, 0 where the target is unknown (NaN), and where it is known."""
    known = ~torch.isnan(target)
    return torch.where(known, output - torch.where(known, target, 0.0), 0.0), known


def masked_l1(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error over the known coordinates; NaN in ``target`` is unknown."""
    difference, known = known_difference(output, target)
    return difference.abs().sum() / known.sum().clamp_min(1)


def masked_mse(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over the known coordinates; NaN in ``target`` is unknown."""
    difference, known = known_difference(output.float(), target)
    return difference.square().sum() / known.sum().clamp_min(1)


def draw_latent(mean: Tensor, log_var: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw one sample a row of N(mean, exp(log_var)), with the gradient of both; (n, latent_dim).

    ``generator`` is the source of the noise; None is torch's own.
    """
    return mean + torch.exp(0.5 * log_var) * draw_noise(mean, generator)


def draw_noise(like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw standard normal numbers of the shape and dtype, and on the device, of a tensor."""
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def kl_standard_normal(mean: Tensor, log_var: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, exp(log_var)) from N(0, 1).

    Summed over the latent dimensions and averaged over the batch, in nats. Spurr et al. 2018,
    Algorithm 1 (the sign that is minimised).

    Parameters
    ----------
    mean, log_var : Tensor of shape (n, latent_dim)
        Mean and logarithm of the variance.

    Returns
    -------
    kl : Tensor of shape ()
    """
    return -0.5 * (1.0 + log_var - mean.square() - torch.exp(log_var)).sum(dim=1).mean()
