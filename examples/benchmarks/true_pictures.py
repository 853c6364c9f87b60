"""An oracle for SimToRealRegressor: what if the generators translated without a fault?

The stage "posterior" matches features on what the frozen generators make of a scene for both domains. Here
that is the scene itself, rendered for both, moved by the same augmentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import torch

from skhand.estimators.sim_to_real.steps import PosteriorObjective
from skhand.rendering import source


@contextmanager
def true_pictures(depth: np.ndarray, in_other_domain: np.ndarray) -> Iterator[None]:
    """Let posteriors that are trained meanwhile match features on true pictures.

    Parameters
    ----------
    depth : ndarray (n, height, width)
        Depth pictures of both domains, mm, as they are fitted on. No two are alike.
    in_other_domain : ndarray (n, height, width)
        The same scenes in the other domain.
    """
    depth, in_other_domain = (np.ascontiguousarray(some, np.float32) for some in (depth, in_other_domain))
    others = {one.tobytes(): other for one, other in zip(depth, in_other_domain, strict=True)}
    assert len(others) == len(depth), "two scenes have the same picture"
    read = PosteriorObjective.read_domains

    def read_twice(self, batches, context):
        state = context.generator.get_state()
        assert tuple(batches)[: len(self.pictures)] == self.pictures  # they are moved first
        shown = {
            domain: {**batches[domain], "depth": _look_up(batches[domain]["depth"], others)}
            for domain in self.pictures
        }
        self.shown = self.read(shown, context.generator)  # moved as the pictures themselves
        context.generator.set_state(state)
        return read(self, batches, context)

    def show_in_both(self, module, x: Mapping[str, torch.Tensor], context):
        of_scene = {}
        for domain, other in zip(self.pictures, reversed(self.pictures), strict=True):
            of_scene[domain, domain] = x[domain]
            of_scene[domain, other] = self.shown[domain].inputs["depth"][: len(x[domain])]
        return of_scene

    with (
        patch.object(PosteriorObjective, "read_domains", read_twice),
        patch.object(PosteriorObjective, "show_in_both", show_in_both),
    ):
        yield


@contextmanager
def people_of(domain: str) -> Iterator[None]:
    """Let hands that are made meanwhile be those of the people of one domain, whichever shows them."""
    with patch.object(source, "MOST_SUBJECTS", PeopleOf(domain)):
        yield


class PeopleOf:
    """In place of the number of people by which the real domain's are counted on from the synthetic one's."""

    def __init__(self, domain: str):
        self.first = source.MOST_SUBJECTS * (domain == "real")

    def __mul__(self, is_real: bool) -> int:
        return self.first


def _look_up(depth: torch.Tensor, others: Mapping[bytes, np.ndarray]) -> torch.Tensor:
    found = [others[one.tobytes()] for one in depth.float().cpu().numpy()]
    return torch.as_tensor(np.stack(found), device=depth.device)
