"""Generated pictures, held against a slow renderer written another way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skhand.datasets import make_hands
from skhand.rendering.cones import NEIGHBOURS, PARTS
from skhand.rendering.source import HandSource, _palmar
from skhand.rendering.tracing import Hits, Scene, smooth, trace

SIZE = 28


def row_of_balls(a, b, radii, rays, n_balls=600):
    """First depth along rays (k, 3) with z = 1 at which they meet a row of balls between a and b."""
    share = np.linspace(0.0, 1.0, n_balls)[:, None]
    centres = a * (1 - share) + b * share
    radius = radii[0] * (1 - share[:, 0]) + radii[1] * share[:, 0]
    ray2 = (rays**2).sum(1)[:, None]
    along = rays @ centres.T
    inside = along**2 - ray2 * ((centres**2).sum(1) - radius**2)
    depth = np.where(inside >= 0, (along - np.sqrt(np.maximum(inside, 0))) / ray2, np.inf)
    return np.where(depth > 0, depth, np.inf).min(axis=1)


def dense_depth(scene, image):
    """Depth of one picture from rows of balls alone, float64, infinite where nothing is met."""
    fx, fy, cx, cy = scene.camera[image].double().numpy()
    row, column = np.divmod(np.arange(scene.size**2), scene.size)
    rays = np.stack([(column - cx) / fx, (row - cy) / fy, np.ones(scene.size**2)], axis=1)
    first = np.full(scene.size**2, np.inf)
    cones = (v[image].double().numpy() for v in (scene.a, scene.b, scene.radii))
    for a, b, radii in zip(*cones, strict=True):
        first = np.minimum(first, row_of_balls(a, b, radii, rays))
    return first


def source_of(**settings) -> HandSource:
    """What renders the pictures of make_hands with these arguments."""
    return make_hands(1, lazy=True, **settings).data.rgb.maker


@pytest.fixture(scope="module")
def rig():
    """Three posed hands with their cones."""
    return source_of(image_size=SIZE, n_subjects=4, side="right", random_state=3)._rig(np.arange(3))


def depths_of(scene: Scene, hits: Hits, depth: torch.Tensor) -> np.ndarray:
    """Lay depths of hits out as pictures."""
    out = torch.full((len(scene.a) * scene.size**2,), torch.inf)
    out[hits.pixel] = depth
    return out.reshape(len(scene.a), -1).numpy()


def test_tiled_tracing_equals_rows_of_balls(rig):
    hits = trace(rig.scene)
    fast = depths_of(rig.scene, hits, hits.depth)
    for image in range(3):
        slow = dense_depth(rig.scene, image)
        assert (np.isfinite(fast[image]) != np.isfinite(slow)).mean() < 0.005
        both = np.isfinite(fast[image]) & np.isfinite(slow)
        assert both.sum() > 50
        difference = np.abs(fast[image][both] - slow[both])
        assert np.median(difference) < 0.02
        assert np.percentile(difference, 99) < 0.1


def test_smoothing_only_fills_seams(rig):
    hits = trace(rig.scene)
    palmar = torch.zeros(*rig.scene.a.shape)
    palmar[..., 2] = -1.0
    normal, depth, _ = smooth(rig.scene, hits, palmar)
    raised = (hits.depth - depth).numpy()
    assert raised.min() > -1e-3 and raised.max() < 7.5
    length = torch.stack(normal).square().sum(0).sqrt()
    np.testing.assert_allclose(length.numpy(), 1.0, atol=1e-4)


def test_one_ball_has_the_depth_and_normal_of_a_sphere():
    n_cones = len(PARTS)
    a = torch.full((1, n_cones, 3), -1e4)
    a[..., 2] = -1e4
    b, radii = a.clone(), torch.full((1, n_cones, 2), 1.0)
    b[..., 1] += 5.0
    a[0, 0], b[0, 0] = torch.tensor([10.0, -5.0, 400.0]), torch.tensor([10.0, -5.0, 400.1])
    radii[0, 0] = 30.0
    scene = Scene(a, b, radii, torch.tensor([[200.0, 200.0, 31.5, 31.5]]), 64)
    hits = trace(scene)
    assert set(hits.cone.tolist()) == {0}
    (nx, ny, nz), depth, _ = smooth(scene, hits, torch.ones(1, n_cones, 3))
    row, column = np.divmod(hits.pixel.numpy(), 64)
    ray = np.stack([(column - 31.5) / 200, (row - 31.5) / 200, np.ones(len(row))], axis=1)
    centre = np.array([10.0, -5.0, 400.0])
    half = ray @ centre
    ray2 = (ray**2).sum(1)
    expected = (half - np.sqrt(np.maximum(half**2 - ray2 * (centre @ centre - 900), 0))) / ray2
    core = half**2 - ray2 * (centre @ centre - 900) > 5000  # away from the rim, where a float32 root is rough
    np.testing.assert_allclose(depth.numpy()[core], expected[core], atol=0.15)
    outward = (ray * expected[:, None] - centre) / 30.0
    np.testing.assert_allclose(torch.stack([nx, ny, nz], 1).numpy()[core], outward[core], atol=0.02)


def test_skin_runs_only_between_adjacent_parts():
    for cone, others in enumerate(NEIGHBOURS):
        for other in others[others < len(PARTS)]:
            one, two = PARTS[cone], PARTS[other]
            assert not (one[0] < 5 and two[0] < 5 and one[0] != two[0])  # fingers do not grow together
            assert ((one == (6, 1)).all()) == ((two == (6, 1)).all())  # nor skin and sleeve


def test_visible_joints_lie_just_behind_the_surface():
    hands = make_hands(150, image_size=128, images=("depth",), n_subjects=30, random_state=5)
    column, row = np.rint(hands.data.keypoints2d).astype(int).transpose(2, 0, 1)
    inside = (column >= 0) & (column < 128) & (row >= 0) & (row < 128)
    assert not (hands.visible & ~inside).any()
    surface = hands.data.depth[np.arange(150)[:, None], row.clip(0, 127), column.clip(0, 127)]
    behind = hands.target[..., 2] - surface
    shown = behind[hands.visible & (surface > 0)]
    assert (surface[hands.visible] > 0).mean() > 0.99
    # the nearest pixel may lie across an edge, and smoothed seams add to the 15 mm
    assert ((shown > 3) & (shown < 16)).mean() > 0.95 and (shown < 18).mean() > 0.985
    assert 7 < np.median(shown) < 12
    hidden = behind[~hands.visible & inside]
    assert len(hidden) > 100 and (hidden > 14).mean() > 0.95


def test_skin_has_no_seams_inside_a_part():
    """Of adjacent pixels of one part within 1 mm of depth, at most 1% have normals 25 degrees apart."""
    size, n = 128, 24
    source = source_of(image_size=size, n_subjects=10, random_state=0)
    rig = source._rig(np.arange(n))
    hits = trace(rig.scene)
    normal, depth, _ = smooth(rig.scene, hits, torch.as_tensor(_palmar(rig.frames), dtype=torch.float32))
    fields = torch.zeros(5, n * size * size)
    fields[:3, hits.pixel], fields[3, hits.pixel] = torch.stack(normal), depth
    fields[4, hits.pixel] = torch.as_tensor(PARTS @ [10, 1] + 1, dtype=torch.float32)[hits.cone]
    pictures = fields.reshape(5, n, size, size).numpy()
    apart = near = 0
    for one, two in ((pictures[..., 1:], pictures[..., :-1]), (pictures[..., 1:, :], pictures[..., :-1, :])):
        same = (one[4] > 0) & (one[4] == two[4]) & (np.abs(one[3] - two[3]) < 1.0)
        cosine = (one[:3] * two[:3]).sum(axis=0)[same]
        near, apart = near + len(cosine), apart + (cosine < np.cos(np.radians(25))).sum()
    assert near > 100_000 and apart / near < 0.01


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"occluders": 1.0, "motion": 0.5, "jpeg": (20, 40)},
        {"domain": "real"},
        {"domain": "real", "sensor": "time_of_flight", "backgrounds": None},
    ],
)
def test_pictures_stay_on_their_device_and_do_not_depend_on_the_batch(options):
    names = ("rgb", "depth", "mask")
    together = make_hands(9, image_size=33, random_state=0, **options).data
    with torch.device("meta"):  # a tensor that was made without a device would not mix with the others
        alone = make_hands(9, image_size=33, random_state=0, lazy=True, **options).data
        for rows in ([4], [7, 2, 3]):
            for name in names:
                assert np.array_equal(getattr(alone, name)[rows], getattr(together, name)[rows])


def test_mask_and_depth_agree_and_the_hand_fills_the_crop():
    data = make_hands(40, image_size=48, random_state=6).data
    assert np.array_equal(data.mask, data.depth > 0)
    share = data.mask.mean(axis=(1, 2))
    assert share.min() > 0.02 and 0.15 < share.mean() < 0.6
    # each hand differs from its background, and no picture is flat
    assert (data.rgb.reshape(40, -1).std(axis=1) > 5).all()


def test_three_pictures_cost_one_pass(monkeypatch):
    passes = []
    original = HandSource._render

    def counted(self, rig, rows, *rest):
        passes.append(len(rows))
        return original(self, rig, rows, *rest)

    monkeypatch.setattr(HandSource, "_render", counted)
    make_hands(20, image_size=16, random_state=0)
    assert sum(passes) == 20
