"""A training step as one CUDA graph, which a GPU replays without waiting for Python."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ReplayedStep"]

WARM_UP = 3  # steps before the recording: libraries are loaded and the optimiser's state is made


class ReplayedStep:
    """Record a task's training step as a CUDA graph and replay it for every further batch.

    A step of some thousand small kernels keeps a GPU waiting for their launch, one by one, from Python; a
    replay is one launch. It does what was recorded: the same kernels on the same memory, with the batch
    copied to where the recorded one was, new random numbers, and the optimiser's present learning rate. So a
    task may say ``replayable = True`` whose step does the same for every batch: no branch on values, nothing
    counted in Python, no tensor made of Python's or numpy's numbers on the way.

    A change of the batches' shapes, of which weights learn or of the optimiser's settings begins a new
    recording.

    Parameters
    ----------
    task : object with ``step``
        See `skhand.training.PairTask`.
    module : Module
        On a CUDA device.
    optimizer : torch.optim.Optimizer
        Fused Adam.
    """

    def __init__(self, task: Any, module: nn.Module, optimizer: torch.optim.Optimizer):
        self.task, self.module, self.optimizer = task, module, optimizer
        device = next(module.parameters()).device
        self.stream = torch.cuda.Stream(device)
        self.rates = [torch.zeros((), device=device) for _ in optimizer.param_groups]
        self.recorded: Any = None
        self.n_before = 0

    def __call__(self, streams: Any, measure: bool) -> dict[str, Tensor]:
        """Train once; the parameters are those of `PairTask.step`.

        Returns
        -------
        terms : dict of str to Tensor
            Of a replay the recording's own, which the next one overwrites.
        """
        outside = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(outside)
        with torch.cuda.stream(self.stream):  # also what is not recorded: backward remembers its stream
            if measure or self.n_before < WARM_UP:
                self.n_before += 1
                terms = self.task.step(self.module, self.optimizer, streams, measure)
            else:
                terms = self._replay(streams)
        outside.wait_stream(self.stream)
        return terms

    def _replay(self, streams: Any) -> dict[str, Tensor]:
        now = self._fixed(streams)
        if now != self.recorded:
            self._record(streams)
            self.recorded = now
        for (_, known), (_, batch) in zip(self.inputs, streams, strict=True):
            for name, column in batch.items():
                known[name].copy_(column, non_blocking=True)
        for rate, group in zip(self.rates, self.optimizer.param_groups, strict=True):
            rate.fill_(group["lr"])
        self.graph.replay()
        return self.terms

    def _record(self, streams: Any) -> None:
        self.graph = torch.cuda.CUDAGraph()
        self.inputs = [(pairs, {name: x.clone() for name, x in batch.items()}) for pairs, batch in streams]
        with self._recordable(), torch.cuda.graph(self.graph, stream=self.stream):
            self.terms = self.task.step(self.module, self.optimizer, self.inputs, measure=False)

    @contextlib.contextmanager
    def _recordable(self) -> Iterator[None]:
        """Let the optimiser read its learning rates off the device, and agree to be recorded."""
        groups = self.optimizer.param_groups
        before = [dict(group) for group in groups]
        for group, rate in zip(groups, self.rates, strict=True):
            group.update(lr=rate, capturable=True)
        try:
            yield
        finally:
            for group, values in zip(groups, before, strict=True):
                group.update(lr=values["lr"], capturable=values["capturable"])

    def _fixed(self, streams: Any) -> Any:
        """What a recording holds for good."""
        shapes = [
            (pairs, {name: (x.shape, x.dtype) for name, x in batch.items()}) for pairs, batch in streams
        ]
        settings = [
            {name: value for name, value in group.items() if name not in ("params", "lr")}
            for group in self.optimizer.param_groups
        ]
        learning = [weight.requires_grad for weight in self.module.parameters()]
        return shapes, settings, learning, self.module.training
