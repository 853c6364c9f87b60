"""The training loop: the steps of one stage, with callbacks, validation and checkpoints."""

from __future__ import annotations

import contextlib
import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skhand._validation import warn_user
from skhand.exceptions import DivergenceError, TrainingWarning
from skhand.training._averaging import Average
from skhand.training._batches import Batches
from skhand.training._best import BestWeights, copy_weights
from skhand.training._callbacks import CallbackNet
from skhand.training._objective import Objective, StepContext
from skhand.training._optimizer import AdamInTurn
from skhand.training._replay import ReplayedStep
from skhand.training._runtime import defer_interrupts, format_duration

__all__ = ["Loop", "Stage", "fall_along_cosine"]

_GROWTH = 1e5  # how many times the first loss, or 1, is no longer a training
_LONG, _TIMED = 1800.0, 10.0  # s: a training that is told to take long, and how long it is timed
_LOOK = 100  # steps between two looks at the losses on a GPU, each of which waits for it


def fall_along_cosine(share: float) -> float:
    """Factor on a learning rate that falls to 0 along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * share))


@dataclass
class Stage:
    """One stage of a fit, as values.

    Parameters
    ----------
    objective : Objective
        What a step minimises.
    streams : mapping of str to ndarray of int
        Rows of each stream.
    lr : float
        Learning rate of Adam.
    batch_size : int
        Rows a step and stream.
    n_epochs : int
        How many.
    n_steps : int or None
        Training steps of all epochs; None is one pass through the longest stream an epoch.
    epoch_length : int or None
        Steps of an epoch, of which the last may be shorter; None is one pass.
    name : str or None
        Name in the history's column ``stage``.
    descent : (int, int) or None
        Length of the learning rate's descent, and how much of it was done before: steps where ``n_steps`` is
        given, and else epochs. None keeps the rate.
    course : callable
        The descent's factor on the rate, as a function of the share of it that is done.
    adam : mapping
        Other options of Adam.
    smallest : int
        Fewest rows a batch.
    """

    objective: Objective
    streams: Mapping[str, np.ndarray]
    lr: float
    batch_size: int
    n_epochs: int = 1
    n_steps: int | None = None
    epoch_length: int | None = None
    name: str | None = None
    descent: tuple[int, int] | None = None
    course: Callable[[float], float] = fall_along_cosine
    adam: Mapping[str, Any] = field(default_factory=dict)
    smallest: int = 2


class Loop:
    """The run of one stage.

    Parameters
    ----------
    stage : Stage
        What to train.
    module : Module
        The networks.
    average : Average or None
        Averaged weights, which are validated and predict.
    columns_of, n_workers
        As in `Batches`.
    seed : sequence of int
        What batches and random numbers depend on.
    device : torch.device
        Where to train.
    optimizer_state : dict or None
        State of the optimiser to go on from.
    callbacks : sequence of skorch callbacks
        The user's.
    best : BestWeights or None
        Validation and early stopping.
    after_epoch : callable
        ``after_epoch(rows, n_steps)`` gets the history's rows of this run and how many steps it has done;
        training stops when it returns True.
    save : callable or None
        ``save(state)`` writes a checkpoint.
    before_epoch : callable
        Called without arguments before each epoch, or what is left of it.
    save_every : float, default=120.0
        Time between two checkpoints within an epoch, s.
    n_passes_before : int, default=0
        Passes through the rows that trainings before this run have begun: endless data go on with the next.
    state : mapping or None
        From a checkpoint of this stage.
    turn : context manager or None, default=None
        Entered for every step, such as a lock of the networks' mode and weights.

    Attributes
    ----------
    interrupted : bool
        Whether Ctrl-C ended it.
    stopped : bool
        Whether a callback or early stopping ended it.
    """

    def __init__(
        self,
        stage: Stage,
        module: nn.Module,
        *,
        average: Average | None,
        columns_of: Callable[[int], Mapping[str, Any]],
        n_workers: int | None,
        seed: Sequence[int],
        device: torch.device,
        optimizer_state: Mapping[str, Any] | None,
        callbacks: Sequence[Any],
        best: BestWeights | None,
        after_epoch: Callable[[list[dict[str, Any]], int], bool],
        save: Callable[[dict[str, Any]], object] | None,
        before_epoch: Callable[[], object] = lambda: None,
        save_every: float = 120.0,
        n_passes_before: int = 0,
        state: Mapping[str, Any] | None = None,
        turn: contextlib.AbstractContextManager[object] | None = None,
    ):
        self.turn = turn or contextlib.nullcontext()
        self.stage, self.module, self.average, self.best = stage, module, average, best
        self.seed, self.device = list(seed), device
        self.before_epoch, self.after_epoch = before_epoch, after_epoch
        self.save, self.save_every, self.saved_at = save, save_every, time.monotonic()
        names = {stream: stage.objective.columns(stream) for stream in stage.streams}
        self.batches = Batches(
            lambda number: columns_of(n_passes_before + number),
            stage.streams,
            names,
            stage.batch_size,
            self.seed,
            device,
            smallest=stage.smallest,
            n_workers=n_workers,
        )
        self.epoch_length = stage.epoch_length or len(self.batches)
        self.n_steps = stage.n_steps or stage.n_epochs * self.epoch_length
        self.net = CallbackNet(
            module,
            criterion=nn.MSELoss,
            optimizer=AdamInTurn,
            optimizer__fused=True,
            lr=stage.lr,
            max_epochs=-(-self.n_steps // self.epoch_length),
            device=device,
            callbacks=list(callbacks),
            train_split=None,
            **{f"optimizer__{name}": value for name, value in stage.adam.items()},
        ).initialize()
        self.optimizer = self.net.optimizer_
        if optimizer_state:
            self.optimizer.load_state_dict(optimizer_state)
            for group in self.optimizer.param_groups:
                group["lr"] = stage.lr
        self.interrupted = self.stopped = self.inside_step = False
        self.step_number, self.totals, self.seconds, self.first_loss = 0, {}, 0.0, math.nan  # type: ignore[var-annotated]
        self.told, self.timed = False, None  # type: tuple[bool, tuple[float, int] | None]
        self.later: Callable[[], Mapping[str, float]] = dict  # how long each stage after this one takes, s
        self.good = copy_weights(self.answer)
        self.started = time.perf_counter()
        if best is not None and state is None:
            best.start(module if average is None else average.module)
        if state is not None:
            self._resume(state)

    # ------------------------------------------------------------------ the loop

    def run(self) -> Loop:
        """Train to the stage's end, to a stop, or to an interrupt.

        Raises
        ------
        DivergenceError
            If a loss is no longer a number, or has grown without bound; the weights are those of the last
            epoch that ended well.
        KeyboardInterrupt
            If Ctrl-C was pressed before the first step; later it only ends the run.
        """
        net, step, generator = self.net, self._choose_step(), torch.Generator(self.device)
        with defer_interrupts() as interrupts:
            interrupts.raise_if_asked()  # before anything is trained
            net.notify("on_train_begin", X=None, y=None)
            with self.turn:
                self.module.train()
            batches = self.batches.iterate(self.step_number, self.n_steps)
            try:
                while self.step_number < self.n_steps and not self.stopped:
                    self._begin_epoch()
                    while True:
                        read = next(batches)
                        self._begin_step(generator, read)
                        with self.turn:
                            terms = step(self.module, read, self._context(generator))
                            self._end_step(terms)
                        self._tell_if_long()
                        self.net.notify("on_batch_end", batch=read, training=True)
                        if self.step_number % self.epoch_length == 0 or self.step_number == self.n_steps:
                            break
                        interrupts.raise_if_asked()
                        self._save_if_due()
                    self._end_epoch()
                    interrupts.raise_if_asked()
            except KeyboardInterrupt:
                self.interrupted = True
                if not self.inside_step:
                    self._save()
            except DivergenceError:
                self._load(self.good)
                raise
            finally:
                batches.close()
                with self.turn:
                    self.module.eval()
                if len(net.history) and "train_loss" not in net.history[-1]:  # an epoch that did not end
                    del net.history[-1]
            net.notify("on_train_end", X=None, y=None)
            if self.best is not None and self.best.weights is not None:
                self._load(self.best.weights)
            self.interrupted = self.interrupted or interrupts.asked
        return self

    def _choose_step(self) -> Callable[..., dict[str, Tensor]]:
        """Return the objective's step, replayed on a GPU where it may be and no callback sees gradients."""
        objective = self.stage.objective
        self.on_gradients = self.net.show_gradients if self.net.watches_gradients() else None
        if self.device.type == "cuda" and objective.replayable and self.on_gradients is None:
            return ReplayedStep(objective, self.module)
        return objective.step

    def _context(self, generator: torch.Generator) -> StepContext:
        measure = self.step_number % self.epoch_length == 0
        return StepContext(self.optimizer, generator, measure, self.on_gradients, self.step_number)

    # ------------------------------------------------------------------ around a step

    def _set_rate(self) -> None:
        """Set the step's learning rate: as a function of its number it needs no state in a checkpoint."""
        if self.stage.descent is None:
            return
        length, done = self.stage.descent
        unit = 1 if self.stage.n_steps else self.epoch_length
        share = min(unit * done + self.step_number, unit * length) / (unit * length)
        for group in self.optimizer.param_groups:
            group["lr"] = self.stage.lr * self.stage.course(share)

    def _begin_step(self, generator: torch.Generator, read: Any) -> None:
        """Seed the step's random numbers and set its rate, which callbacks see."""
        self._set_rate()
        self.net.history.new_batch()
        self.net.notify("on_batch_begin", batch=read, training=True)
        (word,) = np.random.SeedSequence([*self.seed, self.step_number]).generate_state(1, np.uint64)
        generator.manual_seed(int(word >> np.uint64(1)))
        self.inside_step = True

    def _end_step(self, terms: Mapping[str, Tensor]) -> None:
        """Add up the loss terms, on the device and in float32, and look whether they still are numbers."""
        for name, value in terms.items():
            known = self.totals.get(name, 0.0)
            self.totals[name] = value.float() + known
        if self.device.type == "cpu" or self.step_number % _LOOK == _LOOK - 1 or self.step_number == 0:
            self._check(terms, self.step_number)
        if self.average is not None:
            self.average.update(self.module)
        self.step_number += 1
        self.inside_step = False

    def _check(self, terms: Mapping[str, Tensor], number: int) -> None:
        """Stop where a term of a step is no longer a finite number, or the loss has grown without bound.

        Raises
        ------
        DivergenceError
        """
        values = {name: float(value) for name, value in terms.items() if "_gradient" not in name}
        loss = sum(values.values())
        if math.isnan(self.first_loss):
            self.first_loss = loss
        worst = max(values, key=lambda name: -math.inf if math.isfinite(values[name]) else math.inf)
        if math.isfinite(values[worst]):
            if loss <= _GROWTH * max(self.first_loss, 1.0):
                return
            worst = max(values, key=lambda name: values[name])
        where = f" of the stage {self.stage.name!r}" if self.stage.name else ""
        epoch, batch = divmod(number, self.epoch_length)
        raise DivergenceError(
            f"lr={self.stage.lr:g}: the loss term {worst!r} became {values[worst]:g} in epoch {epoch + 1}, "
            f"batch {batch + 1}{where}; expected a finite number below {_GROWTH:g} times the first loss "
            f"({self.first_loss:g}). Try a smaller lr, and look for NaN in lazily read pictures."
        )

    def _tell_if_long(self) -> None:
        """Warn once, after the first seconds, of a training that takes long."""
        if self.told:
            return
        now = time.perf_counter()
        if self.timed is None:  # the first step takes longer than others
            self.timed = now, self.step_number
        start, n_before = self.timed
        if now - start < _TIMED or self.step_number == n_before:
            return
        self.told = True
        each = (now - start) / (self.step_number - n_before)
        left = {self.stage.name or "": each * (self.n_steps - self.step_number), **self.later()}
        total = sum(left.values())
        if total >= _LONG:
            parts = [f"{name!r} {format_duration(seconds)}" for name, seconds in left.items() if name]
            warn_user(
                f"fit: at this speed the training takes another {format_duration(total)}"
                f"{' (' + ', '.join(parts) + ')' if parts else ''}: {self.n_steps} steps of "
                f"{format_duration(each)}{' in this stage' if parts else ''}. Fewer epochs, smaller pictures "
                "and smaller networks take less; checkpoint= lets it be stopped and go on.",
                TrainingWarning,
            )

    # ------------------------------------------------------------------ around an epoch

    def _begin_epoch(self) -> None:
        self.before_epoch()
        self.started = time.perf_counter() - self.seconds
        self._set_rate()
        self.net.notify("on_epoch_begin", dataset_train=None, dataset_valid=None)
        self.inside_step = False

    def _end_epoch(self) -> None:
        """Record the mean of every loss term, validate, and let the callbacks see it."""
        history, length = self.net.history, self.step_number % self.epoch_length or self.epoch_length
        means = {
            name: float(total) / (1 if "_gradient" in name else length) for name, total in self.totals.items()
        }
        loss = sum(value for name, value in means.items() if "_gradient" not in name)
        if not math.isfinite(loss):  # on a GPU, which is not looked at after every step
            self._check({name: torch.tensor(value) for name, value in means.items()}, self.step_number - 1)
        seconds = time.perf_counter() - self.started
        for name, number in {"train_loss": loss, **means, "seconds": seconds}.items():
            history.record(name, number)
        self.totals, self.seconds = {}, 0.0
        self.good = copy_weights(self.answer)
        if self.best is not None:
            history.record(self.best.name, self.best.judge(self.answer))
            self.stopped = self.best.is_over
        if self.after_epoch(list(history), self.step_number):
            self.stopped = True
        self._notify_epoch_end()
        history[-1]["batches"].clear()  # skorch keeps one entry a step
        self._save()

    def _notify_epoch_end(self) -> None:
        """Call the user's callbacks, which ask for a stop by ``net.stop_`` or as skorch's own do.

        Those raise a KeyboardInterrupt, told from the user's by where it was raised.
        """
        try:
            self.net.notify("on_epoch_end", dataset_train=None, dataset_valid=None)
        except KeyboardInterrupt as interrupt:
            *_, (frame, _) = traceback.walk_tb(interrupt.__traceback__)
            if frame.f_code.co_name != "on_epoch_end":
                raise
            self.stopped = True
        self.stopped = self.stopped or bool(getattr(self.net, "stop_", False))

    def count_epochs(self) -> tuple[int, int]:
        """Return how many epochs are done, and how many there are."""
        return tuple(-(-n // self.epoch_length) for n in (self.step_number, self.n_steps))  # type: ignore[return-value]

    def count_epochs_left(self) -> int:
        """Return how many epochs are to be trained, one that was begun among them."""
        if self.step_number >= self.n_steps:  # after a last epoch that was shorter
            return 0
        return self.count_epochs()[1] - self.step_number // self.epoch_length

    def count_passes(self) -> int:
        """Return how many passes through the rows have been begun."""
        return self.batches.count_passes(self.step_number)

    # ------------------------------------------------------------------ weights and checkpoints

    @property
    def answer(self) -> nn.Module:
        """The networks that predict: the averaged ones where there are any."""
        return self.module if self.average is None else self.average.module

    def _load(self, weights: Mapping[str, Tensor] | None) -> None:
        if weights is None:
            return
        with self.turn:
            self.answer.load_state_dict(weights)
            if self.average is not None:
                self.module.load_state_dict(weights)

    def _save_if_due(self) -> None:
        if self.save is not None and time.monotonic() - self.saved_at >= self.save_every:
            self._save()

    def _save(self) -> None:
        """Write a checkpoint of the state between two steps."""
        ended = self.step_number % self.epoch_length == 0 or self.step_number == self.n_steps
        if self.save is None or (self.totals and ended):
            return  # after an epoch's last step its means are still missing
        self.save(self.state())
        self.saved_at = time.monotonic()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of the present moment, which is between two steps."""
        return {
            "step": self.step_number,
            "module": self.module.state_dict(),
            "average": None if self.average is None else self.average.state(),
            "optimizer": self.optimizer.state_dict(),
            "totals": self.totals,
            "seconds": time.perf_counter() - self.started if self.totals else 0.0,
            "first_loss": self.first_loss,
            "good": self.good,
            "best": None if self.best is None else self.best.state(),
            "stopped": self.stopped,
        }

    def _resume(self, state: Mapping[str, Any]) -> None:
        """Take the state from a checkpoint."""
        self.module.load_state_dict(state["module"])
        if self.average is not None:
            self.average.resume(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step_number, self.seconds = state["step"], state["seconds"]
        self.totals = {name: value.to(self.device) for name, value in state["totals"].items()}
        self.first_loss, self.good, self.stopped = state["first_loss"], state["good"], state["stopped"]
        if self.best is not None:
            self.best.resume(state["best"])
