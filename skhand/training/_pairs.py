"""Algorithm 1 of Spurr et al. 2018: (encoder, decoder) pairs trained in turn on one latent space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skhand.nn import kl_standard_normal, masked_mse
from skhand.training._augment import augment_batch
from skhand.training._runtime import autocast

__all__ = [
    "Coded",
    "CodedTask",
    "OnGradients",
    "PairTask",
    "detached",
    "encoder_input",
    "gradient_ratio",
    "one_hot_side",
    "take_step",
]

OnGradients = Callable[[], None] | None


def one_hot_side(batch: dict[str, Tensor]) -> Tensor | None:
    """The two-number side that encoders take, (n, 2), or None where no side is given."""
    return None if "side" not in batch else nn.functional.one_hot(batch["side"].long(), 2).float()


def encoder_input(x: Tensor, modality: str) -> Tensor:
    """What an encoder reads of network input: unknown coordinates (NaN) of a pose are the mean pose's, 0."""
    return torch.nan_to_num(x, nan=0.0) if modality == "pose3d" else x


class Coded(NamedTuple):
    """A batch as networks read it.

    Parameters
    ----------
    inputs : dict of str to Tensor
        Network input of each modality.
    side : Tensor of shape (n, 2) or None
        One-hot side of the hand.
    batch : dict of str to Tensor
        The augmented columns.
    """

    inputs: dict[str, Tensor]
    side: Tensor | None
    batch: dict[str, Tensor]


class CodedTask:
    """What the tasks share: batches are augmented and turned into network input, pair by pair.

    Parameters
    ----------
    pairs : sequence of (str, str)
        Source and target modality of each pair.
    codecs : dict
        Codec of each modality.
    augment : dict or None
        Augmentation settings.
    use_side : bool
        Whether the encoders are given the side.
    dtype : torch.dtype
        Precision of the networks' forward pass.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[str, str]],
        codecs: dict[str, Any],
        augment: dict[str, Any] | None,
        use_side: bool,
        dtype: torch.dtype,
    ):
        self.pairs = list(pairs)
        self.codecs, self.augment, self.use_side, self.dtype = codecs, augment, use_side, dtype

    def columns(self, pair: int) -> set[str]:
        """Columns that a pair reads."""
        names = {name for modality in self.pairs[pair] for name in self.codecs[modality].columns}
        return names | ({"side"} if self.use_side else set())

    def read(self, streams: Any) -> dict[int, Coded]:
        """Return for each pair its batch; ``streams`` are lists of pairs and the batch that they share."""
        ready: dict[int, Coded] = {}
        for pairs, batch in streams:
            if self.augment is not None:
                batch = augment_batch(batch, self.augment)
            inputs = {
                modality: self.codecs[modality].encode(batch)
                for modality in sorted({m for pair in pairs for m in self.pairs[pair]})
            }
            side = one_hot_side(batch) if self.use_side else None
            ready.update(dict.fromkeys(pairs, Coded(inputs, side, batch)))
        return ready


class PairTask(CodedTask):
    """What one training step does: every pair in turn draws a latent sample, decodes and takes its own step.

    The loss of a pair is ``weight * MSE + beta * KL``: MSE is the mean over the batch and all coordinates of
    the standardised target (pictures in -0.5..0.5), KL the sum over latent dimensions averaged over the
    batch.

    Parameters
    ----------
    pairs : sequence of (str, str)
        Source and target modality of each pair.
    weights : sequence of float
        One reconstruction weight a pair.
    beta : float
        Weight of the KL term, the same for every pair.
    codecs, augment, use_side, dtype
        As in `CodedTask`.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[str, str]],
        weights: Sequence[float],
        beta: float,
        codecs: dict[str, Any],
        augment: dict[str, Any] | None,
        use_side: bool,
        dtype: torch.dtype,
    ):
        super().__init__(pairs, codecs, augment, use_side, dtype)
        self.weights, self.beta = list(weights), beta

    def label(self, pair: int) -> str:
        """Name of a pair in the history."""
        return "_to_".join(self.pairs[pair])

    def step(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        streams: Any,
        measure: bool,
        on_gradients: Callable[[], None] | None = None,
    ) -> dict[str, Tensor]:
        """Train every pair once; return the loss terms, on the device.

        Parameters
        ----------
        module : CrossModalVAE
            The networks.
        optimizer : torch.optim.Optimizer
            Over all weights. Those that a pair does not use have no gradient in its step and stay.
        streams : list of (list of int, dict of str to Tensor)
            Pairs and the batch that they share.
        measure : bool
            Whether to measure the KL term's gradient at the latent against the MSE's.
        on_gradients : callable or None
            Called before each step of the optimiser.

        Returns
        -------
        terms : dict of str to Tensor
        """
        ready = self.read(streams)
        terms: dict[str, Tensor] = {}
        for pair in sorted(ready):  # in the order of the pairs, whichever stream they read
            terms.update(self._pair_step(module, optimizer, ready[pair], pair, measure, on_gradients))
        return terms

    def _pair_step(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        coded: Coded,
        pair: int,
        measure: bool,
        on_gradients: Callable[[], None] | None,
    ) -> dict[str, Tensor]:
        source, target = self.pairs[pair]
        wanted = coded.inputs[target]
        with autocast(wanted.device, self.dtype):
            output, mean, log_var = module(coded.inputs[source], source, target, coded.side)
        mse = self.weights[pair] * masked_mse(output, wanted)
        kl = self.beta * kl_standard_normal(mean, log_var)
        name = self.label(pair)
        terms = {f"mse_{name}": mse.detach(), f"kl_{name}": kl.detach()}
        if measure:
            terms[f"kl_gradient_{name}"] = gradient_ratio(kl, mse, (mean, log_var))
        optimizer.zero_grad(set_to_none=True)
        (mse + kl).backward()
        if on_gradients is not None:
            on_gradients()
        optimizer.step()
        return terms


def gradient_ratio(term: Tensor, reference: Tensor, at: tuple[Tensor, ...]) -> Tensor:
    """Norm of a term's gradient relative to that of a reference, both at the same tensors."""

    def norm(loss: Tensor) -> Tensor:
        gradients = torch.autograd.grad(loss, at, retain_graph=True)
        return torch.cat([gradient.flatten() for gradient in gradients]).norm()

    return norm(term) / norm(reference).clamp_min(1e-12)


def take_step(
    optimizer: torch.optim.Optimizer, loss: Tensor, parts: Iterable[nn.Module], on_gradients: OnGradients
) -> None:
    """Move the weights of these networks, and no others, by the gradient of this loss."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward(inputs=[weight for part in parts for weight in part.parameters()])
    if on_gradients is not None:
        on_gradients()
    optimizer.step()


def detached(*groups: dict[str, Tensor]) -> dict[str, Tensor]:
    """The terms of a step, for the history."""
    return {name: value.detach() for group in groups for name, value in group.items()}
