"""Averaged weights: the decay, its warm-up, and the batch statistics."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from trainings import assert_same_weights

from skhand.training import Average


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_the_decay_grows_from_a_tenth_to_its_value():
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    average, wanted = Average(module, 0.4), 0.0
    for step in range(12):
        with torch.no_grad():
            module.weight.fill_(step + 1.0)
        average.update(module)
        decay = min(0.4, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * (step + 1)
        assert average.module.weight.item() == pytest.approx(wanted)
    assert average.n_steps == 12
    first = Average(nn.Linear(1, 1), 0.999)
    other = nn.Linear(1, 1)
    start = first.module.weight.item()
    first.update(other)  # nine tenths of the first step's weights: the start is forgotten at once
    assert first.module.weight.item() == pytest.approx(0.1 * start + 0.9 * other.weight.item())


def test_an_average_that_goes_on_does_not_warm_up_again():
    module, other = network(0), network(1)
    average = Average(module, 0.99, n_steps=10_000)
    average.update(other)
    wanted = 0.99 * module[0].weight + 0.01 * other[0].weight
    torch.testing.assert_close(average.module[0].weight, wanted)


def test_batch_statistics_are_averaged_and_counts_are_copied():
    module = network().train()
    average = Average(module, 0.9)
    for _ in range(3):
        module(5 + torch.randn(16, 3))
        before = average.module[1].running_mean.clone()
        decay = min(0.9, (1 + average.n_steps) / (10 + average.n_steps))
        average.update(module)
        wanted = decay * before + (1 - decay) * module[1].running_mean
        torch.testing.assert_close(average.module[1].running_mean, wanted)
    assert average.module[1].num_batches_tracked == 3


def test_the_average_is_a_copy_that_learns_nothing_and_does_not_train():
    module = network().train()
    average = Average(module, 0.9)
    assert not average.module.training and module.training
    assert not any(weight.requires_grad for weight in average.module.parameters())
    with torch.no_grad():
        module[0].weight.zero_()
    assert average.module[0].weight.abs().max() > 0


def test_a_state_goes_on_where_it_was():
    module, other = network(0), network(1)
    average, rest = Average(module, 0.9), Average(network(2), 0.9)
    average.update(other)
    rest.resume(average.state())
    for each in (average, rest):
        each.update(other)
    assert rest.n_steps == average.n_steps == 2
    assert_same_weights(rest.module.state_dict(), average.module.state_dict())
