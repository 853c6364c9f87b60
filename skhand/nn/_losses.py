"""Losses as plain functions, each with its unit and reduction."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["kl_standard_normal"]


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
