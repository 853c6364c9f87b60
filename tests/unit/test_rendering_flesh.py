"""The flesh on the bones: webs, fingertips and breadths, against anthropometry."""

from __future__ import annotations

import numpy as np
import pytest

from skhand.rendering.cones import build_cones
from skhand.rendering.kinematics import forward_kinematics
from skhand.rendering.subjects import MEAN_BASES, MEAN_FLESH, MEAN_LENGTHS, draw_subjects


@pytest.fixture(scope="module")
def hand():
    """Return the joints of the mean hand, flat with its fingers apart, and what tells points inside of it."""
    angles = np.zeros((1, 22))
    angles[0, :5] = 32.0, 25.0, -65.0, 8.0, 8.0
    joints, frames, palm = forward_kinematics(angles, MEAN_BASES[None], MEAN_LENGTHS[None])
    arm = np.array([[0.0, -320.0, 0.0]]), np.array([[1.0, 0.0, 0.0]]), np.array([[60.0, 0.0, 8.0]])
    a, b, radii = build_cones(joints, frames, palm, np.ones((1, 3)), MEAN_FLESH[None], *arm)

    def is_inside(points):
        share = np.linspace(0, 1, 60)[:, None, None]
        centres = (a[0] * (1 - share) + b[0] * share).reshape(-1, 3)
        sizes = (radii[0, :, 0] * (1 - share[..., 0]) + radii[0, :, 1] * share[..., 0]).ravel()
        return (np.linalg.norm(points[:, None] - centres, axis=2) < sizes).any(axis=1)

    return joints[0], is_inside


def reach(is_inside, start, way, across):
    """Return how far along a way from a start the surface reaches, seen across it, mm."""
    far = np.arange(0.0, 60.0, 0.25)
    depths = np.arange(-12.0, 12.1, 1.0)
    points = start + far[:, None, None] * way + depths[:, None] * across
    seen = is_inside(points.reshape(-1, 3)).reshape(len(far), -1).any(axis=1)
    return far[int(np.argmin(seen))]


@pytest.mark.parametrize("finger", [0, 1, 2])
def test_webs_lie_20_mm_beyond_the_knuckles(hand, finger):
    # bones of 91 to 99 mm less 70 to 80 mm from web to tip (Pheasant 1986): 19 to 24 mm
    joints, is_inside = hand
    one, two = 5 + 4 * finger, 9 + 4 * finger
    start, end = (0.5 * (joints[one + k] + joints[two + k]) for k in (0, 1))
    way = (end - start) / np.linalg.norm(end - start)
    assert 18.0 < reach(is_inside, start, way, np.array([0.0, 0.0, 1.0])) < 25.0


@pytest.mark.parametrize(("joint", "breadth"), [(6, 19.5), (3, 21.0)])
def test_fingers_are_as_broad_as_measured(hand, joint, breadth):
    # the index finger's PIP and the thumb's IP, means of women and men (Pheasant 1986)
    joints, is_inside = hand
    along = joints[joint + 1] - joints[joint - 1]
    across = np.cross(along, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    ways = [reach(is_inside, joints[joint], sign * across, np.array([0.0, 0.0, 1.0])) for sign in (1, -1)]
    assert abs(sum(ways) - breadth) < 2.0


def test_people_differ_in_their_flesh_and_one_in_size_only_does_not():
    people = draw_subjects(0, np.arange(400))
    assert (people.flesh.std(axis=0) / MEAN_FLESH > 0.04).all()
    assert np.abs(people.flesh.mean(axis=0) / MEAN_FLESH - 1).max() < 0.02
    np.testing.assert_array_equal(
        draw_subjects(0, np.arange(5), shape=0.0).flesh, np.tile(MEAN_FLESH, (5, 1))
    )
