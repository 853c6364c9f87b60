"""Algorithm 1 of Spurr et al. 2018: (encoder, decoder) pairs trained in turn on one latent space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from skhand.estimators.cross_modal_vae.network import CrossModalVAE
from skhand.nn import kl_standard_normal, masked_mse
from skhand.training import Objective, StepContext, autocast, gradient_ratio, take_step

__all__ = ["AUGMENT", "PairObjective"]

AUGMENT: dict[str, Any] = {"rotate": 45.0, "shift": 0.1, "flip": "horizontal"}
"""Spurr et al. 2018, Sec. 7.1: rotation within +-45 degrees, shift of the box (its size is not printed: a
tenth of the picture is a choice), flips."""


class PairObjective(Objective):
    """Every pair in turn draws a latent sample, decodes it and takes its own step.

    The loss of a pair is ``weight * MSE + beta * KL``: MSE is the mean over the batch and all coordinates of
    the standardised target (pictures in -0.5..0.5), KL the sum over latent dimensions averaged over the
    batch.

    Parameters
    ----------
    pairs : sequence of (str, str)
        Source and target modality of each pair.
    rows : sequence of ndarray of int
        Rows that can train each pair. Pairs with the same rows read one stream and one batch; pairs with
        fewer (a target that is unlabelled in some) go through theirs more often.
    weights : sequence of float
        One reconstruction weight a pair.
    beta : float
        Weight of the KL term, the same for every pair.
    reconstruction_rate : float, default=1.0
        Share of its step that a pair takes on its encoder, if it is one from a modality to itself and others
        start from that encoder too.
    **settings : dict
        Those of `Objective`.

    Attributes
    ----------
    streams : dict of str to ndarray of int
        Rows of each stream, which bears the name of the first pair that reads it.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[str, str]],
        rows: Sequence[np.ndarray],
        weights: Sequence[float],
        beta: float,
        reconstruction_rate: float = 1.0,
        **settings: Any,
    ):
        super().__init__(**settings)
        self.pairs, self.weights, self.beta = list(pairs), list(weights), beta
        shared = {source for source, target in pairs if source != target}
        self.rates = [reconstruction_rate if a == b and a in shared else 1.0 for a, b in pairs]
        self.labels = ["_to_".join(pair) for pair in pairs]
        self.streams: dict[str, np.ndarray] = {}
        self.stream_of: list[str] = []
        for pair, label, some in zip(self.pairs, self.labels, rows, strict=True):
            stream = next((name for name, rest in self.streams.items() if np.array_equal(rest, some)), label)
            self.streams.setdefault(stream, some)
            self.modalities.setdefault(stream, set()).update(pair)
            self.stream_of.append(stream)

    def step(
        self, module: CrossModalVAE, batches: Mapping[str, dict[str, Tensor]], context: StepContext
    ) -> dict[str, Tensor]:
        """Train every pair once; see `Objective.step`."""
        coded = self.read(batches, context.generator)
        terms: dict[str, Tensor] = {}
        for pair, (source, target) in enumerate(self.pairs):
            inputs, side, _ = coded[self.stream_of[pair]]
            with autocast(inputs[target].device, self.dtype):
                output, mean, log_var = module(inputs[source], source, target, side, context.generator)
            mse = self.weights[pair] * masked_mse(output, inputs[target])
            kl = self.beta * kl_standard_normal(mean, log_var)
            name = self.labels[pair]
            terms.update({f"mse_{name}": mse.detach(), f"kl_{name}": kl.detach()})
            if context.measure:
                terms[f"kl_gradient_{name}"] = gradient_ratio(kl, mse, (mean, log_var))
            slowed = module.encoders[source]
            take_step(context, mse + kl, name=name, slowed=slowed, rate=self.rates[pair])
        return terms
