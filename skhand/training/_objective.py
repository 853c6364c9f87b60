"""Parts of training steps: coded batches, one optimiser's step, gradient ratios."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skhand.training._augment import augment_batch, frame_of
from skhand.training._optimizer import AdamInTurn

__all__ = [
    "Coded",
    "Objective",
    "StepContext",
    "detached",
    "encoder_input",
    "gradient_ratio",
    "one_hot_side",
    "sum_terms",
    "take_step",
]

Batch = dict[str, Tensor]


class StepContext(NamedTuple):
    """The surroundings of a training step, besides its batches.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Over all weights, an `AdamInTurn`. Those without a gradient stay.
    generator : torch.Generator or None
        Source of random numbers; None is torch's own.
    measure : bool
        Whether to measure the terms' gradients against each other.
    on_gradients : callable or None
        Called before each step of the optimiser.
    number : int
        Number of the step in this run of its stage.
    """

    optimizer: torch.optim.Optimizer
    generator: torch.Generator | None = None
    measure: bool = False
    on_gradients: Callable[[], None] | None = None
    number: int = 0


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
    batch: Batch


class Objective:
    """Base of what a stage minimises.

    A subclass has ``modalities``, which says for each named stream what is read of it, and ``step``.

    Parameters
    ----------
    codecs : mapping of str to codec
        Codec of each modality.
    augment : dict or None
        Augmentation settings.
    use_side : bool
        Whether encoders are given the side.
    dtype : torch.dtype
        Precision of the networks' forward pass.
    """

    #: whether every step does the same, so that a GPU may replay it; see `ReplayedStep`
    replayable = False

    def __init__(
        self,
        codecs: Mapping[str, Any],
        augment: Mapping[str, Any] | None = None,
        use_side: bool = False,
        dtype: torch.dtype = torch.float32,
    ):
        self.codecs, self.augment, self.use_side, self.dtype = codecs, augment, use_side, dtype
        self.modalities: dict[str, set[str]] = {}

    def columns(self, stream: str) -> set[str]:
        """Columns that a step reads of a stream."""
        names = {name for modality in self.modalities[stream] for name in self.codecs[modality].columns}
        frames = {frame_of(name) for name in names} if self.augment is not None else set()
        return names | frames | ({"side"} if self.use_side else set())

    def read(self, batches: Mapping[str, Batch], generator: torch.Generator | None) -> dict[str, Coded]:
        """Augment the streams' batches and turn them into network input."""
        return {stream: self._code(stream, batch, generator) for stream, batch in batches.items()}

    def _code(self, stream: str, batch: Batch, generator: torch.Generator | None) -> Coded:
        if self.augment is not None:
            batch = augment_batch(batch, self.augment, generator)
        inputs = {
            modality: self.codecs[modality].encode(batch) for modality in sorted(self.modalities[stream])
        }
        return Coded(inputs, one_hot_side(batch) if self.use_side else None, batch)

    def step(self, module: Any, batches: Mapping[str, Batch], context: StepContext) -> dict[str, Tensor]:
        """Train once and return the loss terms, on the device.

        Parameters
        ----------
        module : Module
            The networks.
        batches : mapping of str to dict of str to Tensor
            Columns of each stream.
        context : StepContext
            Optimiser, random numbers, and what to measure.

        Returns
        -------
        terms : dict of str to Tensor
            Weighted terms, and ``<term>_gradient`` where they were measured.
        """
        raise NotImplementedError


def one_hot_side(batch: Mapping[str, Tensor]) -> Tensor | None:
    """Return the two-number side that encoders take, (n, 2), or None where no side is given."""
    return None if "side" not in batch else nn.functional.one_hot(batch["side"].long(), 2).float()


def encoder_input(x: Tensor, modality: str) -> Tensor:
    """Return what an encoder reads of network input: unknown numbers of a pose (NaN) are the mean's, 0."""
    return torch.nan_to_num(x, nan=0.0) if modality == "pose3d" else x


def gradient_ratio(term: Tensor, reference: Tensor, at: tuple[Tensor, ...]) -> Tensor:
    """Return the norm of a term's gradient over that of a reference, both at the same tensors."""

    def norm(loss: Tensor) -> Tensor:
        gradients = torch.autograd.grad(loss, at, retain_graph=True)
        return torch.cat([gradient.flatten() for gradient in gradients]).norm()

    return norm(term) / norm(reference).clamp_min(1e-12)


def take_step(
    context: StepContext,
    loss: Tensor,
    parts: Iterable[nn.Module] | None = None,
    *,
    name: str | None = None,
    slowed: nn.Module | None = None,
    rate: float = 1.0,
) -> None:
    """Move the weights of these networks, and no others, by the gradient of this loss; None is all.

    ``name`` tells apart the losses that move the same weights in turn, each with moments of its own. Weights
    of the network ``slowed`` move by ``rate`` times the step only.
    """
    if isinstance(context.optimizer, AdamInTurn):
        context.optimizer.turn_to(name)
    context.optimizer.zero_grad(set_to_none=True)
    inputs = None if parts is None else [weight for part in parts for weight in part.parameters()]
    loss.backward(inputs=inputs)
    if context.on_gradients is not None:
        context.on_gradients()
    weights = [] if slowed is None or rate == 1.0 else list(slowed.parameters())
    before = [weight.detach().clone() for weight in weights]
    context.optimizer.step()
    with torch.no_grad():
        for weight, old in zip(weights, before, strict=True):
            weight.lerp_(old, 1.0 - rate)


def sum_terms(terms: Mapping[str, Tensor] | Iterable[Tensor]) -> Tensor:
    """Return the sum of scalars."""
    return torch.stack(list(terms.values() if isinstance(terms, Mapping) else terms)).sum()


def detached(*groups: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the terms of a step for the history."""
    return {name: value.detach() for group in groups for name, value in group.items()}
