"""A training step as one CUDA graph, which a GPU replays without waiting for Python."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from skhand.training._objective import StepContext

__all__ = ["ReplayedStep"]

Streams = dict[str, dict[str, Tensor]]

WARM_UP = 3  # steps before the recording: libraries are loaded and the optimiser's state is made


class ReplayedStep:
    """Record an objective's training step as a CUDA graph and replay it for every further batch.

    A step of some thousand small kernels keeps a GPU waiting for their launch, one by one, from Python; a
    replay is one launch. It does what was recorded: the same kernels on the same memory, with the batch
    copied to where the recorded one was, new random numbers, and the optimiser's present learning rate. So an
    objective may say ``replayable = True`` whose step does the same for every batch: no branch on values,
    nothing counted in Python, no tensor made of Python's or numpy's numbers on the way.

    A change of the batches' shapes, of which weights learn or of the optimiser's settings begins a new
    recording.

    Parameters
    ----------
    objective : Objective
        With ``replayable = True``.
    module : Module
        On a CUDA device.
    """

    def __init__(self, objective: Any, module: nn.Module):
        self.objective, self.module = objective, module
        self.device = next(module.parameters()).device
        self.stream = torch.cuda.Stream(self.device)
        self.rates: list[Tensor] = []
        self.recorded: Any = None
        self.n_before = 0

    def __call__(self, module: nn.Module, batches: Streams, context: StepContext) -> dict[str, Tensor]:
        """Train once; the parameters are those of `Objective.step`.

        Returns
        -------
        terms : dict of str to Tensor
            Of a replay the recording's own, which the next one overwrites.
        """
        outside = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(outside)
        with torch.cuda.stream(self.stream):  # also what is not recorded: backward remembers its stream
            if context.measure or self.n_before < WARM_UP:
                self.n_before += 1
                terms = self.objective.step(module, batches, context)
            else:
                terms = self._replay(batches, context)
        outside.wait_stream(self.stream)
        return terms

    def _replay(self, batches: Streams, context: StepContext) -> dict[str, Tensor]:
        groups = context.optimizer.param_groups
        if not self.rates:
            self.rates = [torch.zeros((), device=self.device, dtype=torch.float32) for _ in groups]
        now = self._fixed(batches, context)
        if now != self.recorded:
            self._record(batches, context)
            self.recorded = now
        for stream, known in self.inputs.items():
            for name, column in batches[stream].items():
                known[name].copy_(column, non_blocking=True)
        for rate, group in zip(self.rates, groups, strict=True):
            rate.fill_(group["lr"])
        self.graph.replay()
        return self.terms

    def _record(self, batches: Streams, context: StepContext) -> None:
        self.graph = torch.cuda.CUDAGraph()
        if context.generator is not None:
            self.graph.register_generator_state(context.generator)
        self.inputs = {
            stream: {name: x.clone() for name, x in batch.items()} for stream, batch in batches.items()
        }
        # threads that read ahead allocate meanwhile, which breaks any recording that is not of one thread
        recording = torch.cuda.graph(self.graph, stream=self.stream, capture_error_mode="thread_local")
        with self._recordable(context.optimizer), recording:
            self.terms = self.objective.step(self.module, self.inputs, context)

    @contextlib.contextmanager
    def _recordable(self, optimizer: torch.optim.Optimizer) -> Iterator[None]:
        """Let the optimiser read its learning rates off the device, and agree to be recorded."""
        groups = optimizer.param_groups
        before = [dict(group) for group in groups]
        for group, rate in zip(groups, self.rates, strict=True):
            group.update(lr=rate, capturable=True)
        try:
            yield
        finally:
            for group, values in zip(groups, before, strict=True):
                group.update(lr=values["lr"], capturable=values["capturable"])

    def _fixed(self, batches: Streams, context: StepContext) -> Any:
        """Return what a recording holds for good."""
        shapes = {
            stream: {name: (x.shape, x.dtype) for name, x in batch.items()}
            for stream, batch in batches.items()
        }
        settings = [
            {name: value for name, value in group.items() if name not in ("params", "lr")}
            for group in context.optimizer.param_groups
        ]
        learning = [weight.requires_grad for weight in self.module.parameters()]
        return shapes, settings, learning, self.module.training, id(context.generator)
