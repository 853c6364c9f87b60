"""What training steps are made of: coded batches, gradient ratios, one step of an optimiser."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from skhand.estimators.cross_modal_vae.steps import PairObjective
from skhand.training import (
    Objective,
    StepContext,
    detached,
    encoder_input,
    gradient_ratio,
    one_hot_side,
    sum_terms,
    take_step,
)
from skhand.training._optimizer import AdamInTurn
from skhand.training.modalities.pose3d import PoseCodec
from skhand.training.modalities.rgb import RGBCodec

CODECS = {"rgb": RGBCodec(), "pose3d": PoseCodec(np.zeros(63), np.ones(63), (21, 3), None, True)}
TURN = {
    "rotate": 180.0,
    "shift": 0.0,
    "zoom": 0.0,
    "flip": "horizontal",
    "colour": 0.0,
    "grey": 0.0,
    "depth": 0.0,
}


def make_objective(**options):
    objective = Objective(CODECS, **options)
    objective.modalities = {"pictures": {"rgb"}, "poses": {"rgb", "pose3d"}}
    return objective


def make_batch(rng, n=5):
    columns = {
        "rgb": rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8), "pose3d": rng.normal(0, 50, (n, 21, 3)),
        "scale": rng.uniform(20, 30, n), "side": rng.integers(0, 2, n),
    }  # fmt: skip
    return {name: torch.from_numpy(column) for name, column in columns.items()}


def test_of_each_stream_only_what_its_codecs_and_the_side_need_is_read():
    assert make_objective().columns("pictures") == {"rgb"}
    assert make_objective().columns("poses") == {"rgb", "pose3d", "scale"}
    assert make_objective(use_side=True).columns("poses") == {"rgb", "pose3d", "scale", "side"}


def test_batches_become_network_input(rng):
    batch = make_batch(rng)
    coded = make_objective(use_side=True).read({"pictures": batch, "poses": batch}, None)
    assert list(coded) == ["pictures", "poses"]
    assert list(coded["pictures"].inputs) == ["rgb"]
    for modality, codec in CODECS.items():
        assert torch.equal(coded["poses"].inputs[modality], codec.encode(batch))
    assert torch.equal(coded["poses"].side, one_hot_side(batch))
    assert make_objective().read({"poses": batch}, None)["poses"].side is None


def test_each_stream_is_augmented_by_the_steps_generator_and_its_input_is_what_was_moved(rng):
    batch = make_batch(rng)
    objective = make_objective(augment=TURN, use_side=True)
    first, again, other = (
        objective.read({"pictures": batch, "poses": batch}, torch.Generator().manual_seed(seed))
        for seed in (3, 3, 4)
    )
    for stream in first:
        assert torch.equal(first[stream].inputs["rgb"], again[stream].inputs["rgb"])
    assert not torch.equal(first["poses"].inputs["rgb"], other["poses"].inputs["rgb"])
    assert not torch.equal(first["poses"].inputs["rgb"], first["pictures"].inputs["rgb"])
    moved = first["poses"].batch
    assert not torch.equal(moved["pose3d"], batch["pose3d"])
    assert torch.equal(first["poses"].inputs["pose3d"], CODECS["pose3d"].encode(moved))
    assert torch.equal(first["poses"].side, one_hot_side(moved))


def test_pairs_with_the_same_rows_share_a_stream_of_the_first_ones_name():
    pairs = [("rgb", "pose3d"), ("rgb", "rgb"), ("pose3d", "pose3d")]
    known = np.array([1, 5, 7, 8])
    objective = PairObjective(pairs, [known, np.arange(12), known.copy()], [1.0] * 3, 1.0, codecs=CODECS)
    assert {name: rows.tolist() for name, rows in objective.streams.items()} == {
        "rgb_to_pose3d": [1, 5, 7, 8], "rgb_to_rgb": list(range(12)),
    }  # fmt: skip
    assert objective.columns("rgb_to_pose3d") == {"rgb", "pose3d", "scale"}
    assert objective.columns("rgb_to_rgb") == {"rgb"}


def test_left_is_the_first_of_two_and_nothing_is_no_side():
    side = one_hot_side({"side": torch.tensor([0, 1, 1])})
    assert side.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert one_hot_side({"rgb": torch.zeros(3, 1)}) is None


def test_unknown_coordinates_enter_an_encoder_as_the_mean_poses():
    x = torch.tensor([[1.0, torch.nan], [torch.nan, 2.0]])
    assert encoder_input(x, "pose3d").tolist() == [[1, 0], [0, 2]]
    assert encoder_input(x, "rgb") is x


def test_a_gradient_ratio_is_that_of_the_norms_over_all_tensors():
    a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor(3.0, requires_grad=True)
    term, reference = 6 * a.sum() + 8 * b, (a.square().sum() + b.square()) / 2
    wanted = (36 + 36 + 64) ** 0.5 / (1 + 4 + 9) ** 0.5
    assert gradient_ratio(term, reference, (a, b)).item() == pytest.approx(wanted)
    assert torch.isfinite(gradient_ratio(term, 0 * reference, (a, b)))
    assert a.grad is None


def test_a_step_moves_the_named_networks_only_after_the_gradients_were_shown():
    first, second = nn.Linear(2, 2), nn.Linear(2, 1)
    both = nn.ModuleList([first, second])
    optimizer, seen = torch.optim.SGD(both.parameters(), lr=1.0), []

    def look():
        seen.append([None if weight.grad is None else weight.grad.clone() for weight in both.parameters()])
        first.weight.grad.zero_()  # as one that clips does

    before = [weight.clone() for weight in both.parameters()]
    for weight in both.parameters():
        weight.grad = torch.ones_like(weight)  # of an earlier step
    loss = second(first(torch.ones(1, 2))).sum()
    take_step(StepContext(optimizer, on_gradients=look), loss, [first])
    assert [gradient is None for gradient in seen[0]] == [False, False, True, True]
    moved = [not torch.equal(*each) for each in zip(before, both.parameters(), strict=True)]
    assert moved == [False, True, False, False]
    take_step(StepContext(optimizer), second(first(torch.ones(1, 2))).sum())
    assert not torch.equal(second.weight, before[2])


def turns_of(own, other, optimizer_type, **options):
    """Return a weight's updates by ``own``, with steps of ``other`` in between unless that is None."""
    torch.manual_seed(0)
    weight = nn.Linear(3, 2)
    optimizer = optimizer_type(weight.parameters(), lr=1e-2, **options)
    updates = []
    for x in torch.randn(6, 5, 3):
        if other is not None:
            with torch.no_grad():
                kept = [each.clone() for each in weight.parameters()]
            take_step(StepContext(optimizer), other(weight(x)), name="other")
            with torch.no_grad():
                for each, value in zip(weight.parameters(), kept, strict=True):
                    each.copy_(value)  # only the other loss's moments are left
        before = weight.weight.detach().clone()
        take_step(StepContext(optimizer), own(weight(x)), name="own")
        updates.append(weight.weight.detach() - before)
    return torch.stack(updates)


def test_under_adam_the_steps_of_a_loss_do_not_depend_on_the_others_history():
    def own(y):
        return 1e-3 * y.square().mean()

    def other(y):
        return -50 * y.sum()

    alone = turns_of(own, None, torch.optim.Adam, fused=True)
    torch.testing.assert_close(turns_of(own, other, AdamInTurn, fused=True), alone, rtol=0, atol=0)
    shared = turns_of(own, other, torch.optim.Adam, fused=True)  # what the moments of both in one would do
    assert torch.cosine_similarity(shared.flatten(), alone.flatten(), dim=0) < 0.5


def test_moments_of_several_losses_survive_their_state_dict():
    def train(weight, optimizer, n, first=0):
        for k in range(first, first + n):
            x = torch.full((2, 3), 1.0 + k)
            take_step(StepContext(optimizer), weight(x).square().mean(), name="a" if k % 2 else "b:c")

    torch.manual_seed(0)
    unbroken, again = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = AdamInTurn(unbroken.parameters(), lr=1e-2)
    train(unbroken, optimizer, 5)
    again.load_state_dict(unbroken.state_dict())
    resumed = AdamInTurn(again.parameters(), lr=1e-2)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(unbroken, optimizer, 4, first=5)
    train(again, resumed, 4, first=5)
    assert torch.equal(unbroken.weight, again.weight)
    assert len(optimizer.state_dict()["state"]) == 4  # two losses, two tensors each


def test_terms_are_summed_and_detached():
    terms = {"a": torch.tensor(1.0, requires_grad=True), "b": torch.tensor(2.5)}
    assert sum_terms(terms).item() == sum_terms(terms.values()).item() == 3.5
    assert sum_terms(terms).requires_grad
    shown = detached(terms, {"c": torch.tensor(4.0)})
    assert list(shown) == ["a", "b", "c"] and not shown["a"].requires_grad
