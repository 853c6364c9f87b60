"""Training of the detector on scenes that are composed anew for every step."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from skhand._weights import HANDS, load_weights
from skhand.detection._boxes import Found, Targets, detection_loss, make_targets, read_maps
from skhand.detection._measure import measure
from skhand.detection._network import ARCHITECTURE, DetectorNet, normalise
from skhand.rendering.scenes import GROUNDS, SCENE_NUMBERS, SLOTS, HandPool, Scenes, compose_scenes

__all__ = ["DetectorTraining", "draw_scenes", "score_network", "start_from_pose", "turn_scenes"]

_DECAY = 0.999
# how a scene that is used several times is turned, by quarters, and whether it is mirrored
_WAYS = ((0, False), (0, True), (1, False), (3, True), (2, False), (2, True), (3, False), (1, True))


def draw_scenes(pool: HandPool, count: int, size: int, generator: torch.Generator) -> Scenes:
    """Compose random scenes on the pool's device.

    Parameters
    ----------
    pool : HandPool
    count : int
        Number of scenes.
    size : int, px
        Their side; half of them are wider than high or higher than wide, and grey below or to the right.
    generator : torch.Generator
        Of the pool's device.

    Returns
    -------
    scenes : Scenes
    """
    device = pool.rgba.device
    options: dict[str, Any] = {"generator": generator, "device": device}
    hands = torch.randint(len(pool.rgba), (count, SLOTS), **options)
    grounds = torch.randint(len(pool.backgrounds), (count, GROUNDS), **options)
    numbers = torch.rand((count, SCENE_NUMBERS), **options)
    grain = torch.randn((count, 3, size, size), **options)
    shape, which = torch.rand((2, count), **options)
    short = torch.where(shape < 0.5, 1.0, 0.5 + (shape - 0.5))
    window = torch.stack([torch.where(which < 0.6, 1.0, short), torch.where(which < 0.6, short, 1.0)], dim=1)
    return compose_scenes(pool, hands, grounds, numbers, grain, (window * size).round())


def turn_scenes(scenes: Scenes, quarters: int, mirrored: bool) -> Scenes:
    """Return square scenes turned by quarters, and maybe mirrored: then with hands of the other side."""
    pictures, points, is_left = scenes.pictures, scenes.points, scenes.is_left
    last = pictures.shape[-1] - 1.0
    frames = torch.cat([scenes.boxes, scenes.window[:, None]], dim=1)
    low, high = frames[..., :2], frames[..., :2] + frames[..., 2:]
    # a mirroring along x, and the exchange of x and y
    for flips, swaps in [(mirrored, False)] + [(True, True)] * (quarters % 4):
        if flips:
            ends = pictures.new_tensor([last, 0.0], dtype=points.dtype)
            sign = ends.new_tensor([-1.0, 1.0])
            pictures, points = pictures.flip(3), ends + sign * points
            one, other = ends + sign * low, ends + sign * high
            low, high = torch.minimum(one, other), torch.maximum(one, other)
            is_left = ~is_left
        if swaps:
            pictures, points, is_left = pictures.transpose(2, 3), points.flip(-1), ~is_left
            low, high = low.flip(-1), high.flip(-1)
    frames = torch.cat([low, high - low], dim=-1)
    boxes, window = frames[:, :-1], frames[:, -1]
    return replace(scenes, pictures=pictures, points=points, boxes=boxes, is_left=is_left, window=window)


def start_from_pose(network: DetectorNet) -> None:
    """Give a network's trunk, down to 1/16, the weights of the pose network that ships, in place.

    Convolutions of a low rank get the best approximation of theirs.
    """
    weights, _ = load_weights(HANDS)
    copied = {"stem.0": ("0.0", "0.1")}
    for k, place in enumerate(("0.4.0", "1.0.0", "2.0.0")):
        for j in (1, 2):
            copied[f"stages.{k}.body.{j - 1}"] = (f"{place}.conv{j}", f"{place}.bn{j}")
        if k:
            copied[f"stages.{k}.beside"] = (f"{place}.downsample.0", f"{place}.downsample.1")
    state = {}
    for name, (conv, norm) in copied.items():
        kernel = weights[f"body.levels.{conv}.weight"]
        rank = getattr(network.get_submodule(f"{name}.first"), "out_channels", None)
        if rank is None:
            state[f"{name}.conv.weight"] = kernel
        else:
            left, values, right = torch.linalg.svd(kernel.flatten(1), full_matrices=False)
            root = values[:rank].sqrt()
            state[f"{name}.conv.weight"] = (left[:, :rank] * root)[..., None, None]
            state[f"{name}.first.weight"] = (root[:, None] * right[:rank]).unflatten(1, kernel.shape[1:])
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.norm.{part}"] = weights[f"body.levels.{norm}.{part}"]
    network.load_state_dict(state, strict=False)


def score_network(
    network: DetectorNet, scenes: Scenes, threshold: float = 0.5, max_hands: int = 2, overlap: float = 0.5
) -> dict[str, float]:
    """Score a network on scenes; see `measure`."""
    found: list[Found] = []
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        for some in scenes.pictures.split(64):
            x = normalise(some).contiguous(memory_format=torch.channels_last)
            found += read_maps(network(x), threshold, max_hands, overlap, network.input)
    network.train(was_training)
    boxes, left, shown, unclear = (
        each.cpu() for each in (scenes.boxes, scenes.is_left, scenes.shown, scenes.unclear)
    )
    n = range(len(boxes))
    return measure(
        found,
        [boxes[i][shown[i]] for i in n],
        [left[i][shown[i]] for i in n],
        [boxes[i][unclear[i]] for i in n],
    )


class DetectorTraining:
    """A detector in training: network, averaged weights and optimiser; the caller has the clock.

    Parameters
    ----------
    pool : HandPool
        On the device that trains.
    batch_size : int, default=32
    rate : float, default=2e-3
        Largest learning rate.
    half : bool, default=False
        Whether convolutions run in bfloat16.
    ahead : int, default=1
        How many batches are composed together, which takes a GPU less time. Those that wait are not in
        `state_dict`, but composed again by `load_state_dict`: they are the same if the pool is.
    uses : int, default=1
        How often a scene is trained on, at most 8 times: as it is, mirrored, and then turned by quarters.
    pretrained : bool, default=False
        Whether the trunk starts from the pose network that ships, see `start_from_pose`. Down to 1/4, where
        training takes most of its time, it then stays as it is.
    seed : int, default=0
    architecture : dict, optional
        Arguments of `DetectorNet`.
    """

    def __init__(
        self,
        pool: HandPool,
        *,
        batch_size: int = 32,
        rate: float = 2e-3,
        half: bool = False,
        ahead: int = 1,
        uses: int = 1,
        pretrained: bool = False,
        seed: int = 0,
        architecture: dict[str, Any] | None = None,
    ):
        self.pool, self.batch_size, self.rate, self.half = pool, batch_size, rate, half
        self.device = pool.rgba.device
        self.architecture = dict(ARCHITECTURE if architecture is None else architecture)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = DetectorNet(**self.architecture)
            if pretrained:
                start_from_pose(network)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        self.frozen = [network.stem, network.stages[0]] if pretrained else []
        for part in self.frozen:
            part.requires_grad_(False)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        plain = [weight for weight in self.network.parameters() if weight.ndim < 2]
        heavy = [weight for weight in self.network.parameters() if weight.ndim >= 2]
        groups = [{"params": heavy, "weight_decay": 0.03}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99))
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.steps, self.pictures, self.ahead, self.uses = 0, 0, ahead, uses
        self._waiting: list[tuple[Tensor, Targets]] = []
        self._drawn_from = self.generator.get_state()  # what those that wait were drawn from

    def step(self, progress: float) -> dict[str, Tensor]:
        """Train on one batch.

        Parameters
        ----------
        progress : float
            How much of the training is over, 0 to 1: the learning rate falls as a cosine.

        Returns
        -------
        terms : dict of str to Tensor
            The losses, detached.
        """
        warm = min(1.0, (self.steps + 1) / 200)
        for group in self.optimizer.param_groups:
            group["lr"] = (
                self.rate * warm * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0))))
            )
        if not self._waiting:
            self._waiting = self._draw()
        pictures, targets = self._waiting.pop()
        x = normalise(pictures).contiguous(memory_format=torch.channels_last)
        self.network.train()
        for part in self.frozen:
            part.eval()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            maps = self.network(x)
        terms = detection_loss(maps, targets)
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimizer.step()
        self.steps, self.pictures = self.steps + 1, self.pictures + len(pictures)
        self._average()
        return {name: term.detach() for name, term in terms.items()}

    def _draw(self) -> list[tuple[Tensor, Targets]]:
        """Compose the next batches."""
        size, batches = self.network.input, []
        self._drawn_from = self.generator.get_state()
        with torch.no_grad():
            scenes = draw_scenes(self.pool, self.ahead * self.batch_size, size, self.generator)
            turned = [turn_scenes(scenes, *way) for way in _WAYS[: self.uses]]
            for some in turned:
                order = torch.randperm(len(some.boxes), generator=self.generator, device=self.device)
                for rows in order.split(self.batch_size):
                    boxes, is_left, shown, unclear = (
                        each[rows] for each in (some.boxes, some.is_left, some.shown, some.unclear)
                    )
                    targets = make_targets(
                        boxes, is_left, shown, unclear, size, some.points[rows], some.window[rows]
                    )
                    batches.append((some.pictures[rows], targets))
        mixed = torch.randperm(len(batches), generator=self.generator, device=self.device)
        return [batches[i] for i in mixed.tolist()]

    def _average(self) -> None:
        """Move the averaged weights and statistics towards the present ones."""
        decay = min(_DECAY, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            average, network = self.average.state_dict(), self.network.state_dict()
            names = [name for name, value in average.items() if value.is_floating_point()]
            torch._foreach_lerp_(
                [average[name] for name in names], [network[name] for name in names], 1.0 - decay
            )

    def state_dict(self) -> dict[str, Any]:
        """Return all that a training goes on from."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self._drawn_from if self._waiting else self.generator.get_state(),
            "waiting": len(self._waiting),
            "device": self.device.type,
            "steps": self.steps,
            "pictures": self.pictures,
            "architecture": self.architecture,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned; on another kind of device with other random scenes."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps, self.pictures, self._waiting = state["steps"], state["pictures"], []
        if state["device"] == self.device.type:
            self.generator.set_state(state["generator"].cpu())
            if state["waiting"]:
                self._waiting = self._draw()[: state["waiting"]]
        else:
            self.generator.manual_seed(self.steps + 1)
