"""Joint names, layouts and conversion, held against the data sets' published orders."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from skhand.exceptions import InputError
from skhand.skeleton import BONES, FINGERS, JOINTS, LAYOUTS, PARENTS, convert, joint_index, root_position

# the publishers' own indices, written out by hand
KNOWN_PLACES = [
    (
        "canonical",
        {0: "wrist", 1: "thumb_cmc", 3: "thumb_ip", 4: "thumb_tip", 9: "middle_mcp", 20: "little_tip"},
    ),
    (
        "rhd",
        {0: "wrist", 1: "thumb_tip", 4: "thumb_cmc", 11: "middle_pip", 12: "middle_mcp", 17: "little_tip"},
    ),
    ("stb", {0: "palm", 1: "little_mcp", 5: "ring_mcp", 9: "middle_mcp", 16: "index_tip", 17: "thumb_cmc"}),
    (
        "nyu36",
        {0: "little_tip", 12: "middle_tip", 23: "index_mcp", 24: "thumb_tip", 32: "PALM_3", 35: "wrist"},
    ),
    ("nyu14", {0: "little_tip", 7: "index_pip", 8: "thumb_tip", 10: "thumb_mcp", 11: "PALM_1", 13: "PALM_3"}),
    ("icvl16", {0: "icvl_palm", 1: "icvl_thumb_root", 3: "icvl_thumb_tip", 15: "icvl_little_tip"}),
    (
        "msra21",
        {0: "wrist", 1: "index_mcp", 8: "middle_tip", 16: "little_tip", 17: "thumb_cmc", 20: "thumb_tip"},
    ),
    ("freihand", {0: "wrist", 4: "thumb_tip", 9: "middle_mcp", 10: "middle_pip", 17: "little_mcp"}),
    ("mediapipe", {0: "wrist", 1: "thumb_cmc", 2: "thumb_mcp", 8: "index_tip", 17: "little_mcp"}),
    ("tips5", {0: "thumb_tip", 1: "index_tip", 2: "middle_tip", 3: "ring_tip", 4: "little_tip"}),
]
SIZES = {"nyu36": 36, "nyu14": 14, "icvl16": 16, "tips5": 5}


def test_bones_form_a_tree_of_five_chains():
    assert PARENTS == (-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19)
    assert [parent for parent, _ in BONES] == list(PARENTS[1:])
    assert [child for _, child in BONES] == list(range(1, 21))
    assert FINGERS["middle"] == (9, 10, 11, 12)
    assert [JOINTS[finger[-1]] for finger in FINGERS.values()] == [
        "thumb_tip",
        "index_tip",
        "middle_tip",
        "ring_tip",
        "little_tip",
    ]


@pytest.mark.parametrize(("layout", "places"), KNOWN_PLACES)
def test_joints_stand_where_the_data_set_puts_them(layout, places):
    joints = LAYOUTS[layout].joints
    assert len(joints) == len(set(joints)) == SIZES.get(layout, 21)
    assert {place: joints[place] for place in places} == places
    assert {joint_index(name, layout): name for name in places.values()} == places


def test_every_layout_is_tested():
    assert set(LAYOUTS) == {layout for layout, _ in KNOWN_PLACES}


def test_nyu_names_follow_the_ends_of_its_segments():
    ends = ("KNU3_A", "KNU3_B", "KNU2_A", "KNU2_B", "KNU1_A", "KNU1_B")
    nyu = [f"{finger}_{end}" for finger in ("F1", "F2", "F3", "F4", "TH") for end in ends]
    nyu += [f"PALM_{i}" for i in range(1, 7)]
    canonical = dict(zip(nyu, LAYOUTS["nyu36"].joints, strict=True))
    named = {own: name for own, name in canonical.items() if own != name}
    assert set(named.values()) == set(JOINTS)
    assert [named[f"F4_{end}"] for end in ("KNU3_A", "KNU3_B", "KNU2_B", "KNU1_B")] == [
        "index_tip",
        "index_dip",
        "index_pip",
        "index_mcp",
    ]
    assert LAYOUTS["nyu14"].joints == tuple(
        canonical[nyu[i]] for i in (0, 3, 6, 9, 12, 15, 18, 21, 24, 25, 27, 30, 31, 32)
    )


@pytest.mark.parametrize("layout", ["rhd", "msra21", "freihand", "mediapipe"])
@pytest.mark.parametrize("shape", [(4, 21, 3), (2, 4, 21, 2), (21, 3)])
def test_round_trip_is_exact(layout, shape, rng):
    hands = rng.normal(size=shape)
    there = convert(hands, "canonical", layout)
    np.testing.assert_array_equal(convert(there, layout, "canonical"), hands)
    np.testing.assert_array_equal(there[..., joint_index("ring_pip", layout), :], hands[..., 14, :])


def test_rhd_fingers_are_reversed():
    canonical = convert(np.arange(21.0)[:, None], "rhd", "canonical")[:, 0]
    expected = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]
    np.testing.assert_array_equal(canonical, expected)


def test_stb_wrist_is_extrapolated_from_the_palm(rng):
    stb = rng.normal(size=(3, 21, 3))
    palm, ring, middle = stb[:, 0], stb[:, 5], stb[:, 9]
    by_ring = convert(stb, "stb", "canonical")
    by_middle = convert(stb, "stb", "canonical", palm_to_wrist="middle")
    np.testing.assert_allclose(by_ring[:, 0], 2 * palm - ring, atol=1e-12)
    np.testing.assert_allclose(by_middle[:, 0], 2.2 * palm - 1.2 * middle, atol=1e-12)
    np.testing.assert_array_equal(by_ring[:, 1:], by_middle[:, 1:])


def test_palm_is_half_way_between_wrist_and_middle_mcp(rng):
    hands = rng.normal(size=(3, 21, 3))
    half_way = (hands[:, 0] + hands[:, 9]) / 2
    np.testing.assert_array_equal(convert(hands, "canonical", "stb")[:, 0], half_way)
    np.testing.assert_array_equal(root_position(hands), half_way)
    np.testing.assert_array_equal(convert(hands, "canonical", "stb")[:, 1:5], hands[:, 17:])


def test_what_the_source_does_not_define_is_nan(rng):
    known = np.isfinite(convert(rng.normal(size=(2, 14, 3)), "nyu14", "canonical")).all((0, 2))
    tips_and_pips = {4, 8, 12, 16, 20, 6, 10, 14, 18, 2, 3}
    assert set(np.flatnonzero(known)) == tips_and_pips
    assert np.isnan(convert(rng.normal(size=(2, 16, 3)), "icvl16", "canonical")).all()


def test_nyu_comes_to_icvl_as_published():
    points = convert(np.arange(36.0)[:, None], "nyu36", "icvl16")[:, 0]
    published = [34, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0]
    np.testing.assert_array_equal(points, published)


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"nyu36", "icvl16"}))
def test_no_other_layout_has_the_points_of_icvl(layout):
    assert np.isnan(convert(np.zeros((len(LAYOUTS[layout]), 3)), layout, "icvl16")).all()


def test_nyu_hands_have_the_shape_of_icvl_s(real_data):
    """Of all like pairings the published one fits real hands best, up to one common size."""
    nyu = distances(real_data / "poses" / "nyu36_poses.npz", "uvd", (588.03, 587.07, 320, 240))
    icvl = distances(
        real_data / "depth-benchmarks" / "icvl.npz", "ground_truth_uvd", (240.99, 240.96, 160, 120)
    )
    pairs = [(0, root) for root in range(1, 16, 3)] + [(i, i + 1) for i in range(1, 16) if i % 3]
    pairs += list(combinations((4, 7, 10, 13), 2))  # across the palm
    wanted = np.array([icvl[pair] for pair in pairs])

    def fitted(points):
        found = np.array([nyu[points[i], points[j]] for i, j in pairs])
        size = found @ wanted / (found @ found)
        return size, np.sqrt(np.mean((size * found - wanted) ** 2))

    published = convert(np.arange(36.0)[:, None], "nyu36", "icvl16")[:, 0].astype(int)
    size, misfit = fitted(published)
    assert 0.6 < size < 0.68
    assert misfit < 6  # mm, where the distances are 18 to 59 mm
    others = [  # any palm point; any three points of a finger, tip to base
        [palm, *(first + part for first in (24, 18, 12, 6, 0) for part in reversed(parts))]
        for palm in range(30, 36)
        for parts in combinations(range(6), 3)
    ]
    assert misfit == min(fitted(points)[1] for points in others)


def distances(file, name, camera):
    """Mean distances between all joints, mm, from pixels and depth."""
    fx, fy, cx, cy = camera
    with np.load(file) as data:
        u, v, d = np.moveaxis(data[name].astype(np.float64), -1, 0)
    points = np.stack([(u - cx) * d / fx, (v - cy) * d / fy, d], axis=-1)
    return np.linalg.norm(points[:, :, None] - points[:, None], axis=-1).mean(axis=0)


def test_float32_stays_and_integers_become_float64():
    assert convert(np.zeros((1, 21, 3), np.float32), "rhd", "canonical").dtype == np.float32
    assert convert(np.zeros((1, 21, 3), int), "rhd", "canonical").dtype == np.float64


def test_root_by_name_and_by_index(rng):
    hands = rng.normal(size=(2, 5, 21, 3))
    np.testing.assert_array_equal(root_position(hands, "middle_mcp"), hands[:, :, 9])
    np.testing.assert_array_equal(root_position(hands, 9), hands[:, :, 9])
    np.testing.assert_array_equal(root_position(hands[:, :, :14], 13), hands[:, :, 13])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: convert(np.zeros((2, 20, 3)), "rhd", "canonical"),
            r"joints: .*\(\.\.\., 21, n_dims\).*\(2, 20, 3\)",
        ),
        (
            lambda: convert(np.zeros((2, 21, 3)), "RHD", "canonical"),
            "source: expected one of 'canonical'.*'RHD'",
        ),
        (lambda: convert(np.zeros((2, 21, 3)), "rhd", "nyu"), "target: .*got 'nyu'"),
        (
            lambda: convert(np.zeros((2, 21, 3)), "stb", "rhd", palm_to_wrist="index"),
            "palm_to_wrist: .*'index'",
        ),
        (lambda: joint_index("pinky_tip"), "name: .*'little_tip'.*got 'pinky_tip'"),
        (lambda: joint_index("wrist", "stb"), "name: .*got 'wrist'"),
        (lambda: root_position(np.zeros((2, 21, 3)), "hand"), "root: expected one of 'palm'.*got 'hand'"),
        (lambda: root_position(np.zeros((2, 21, 3)), 21), "root: .*21 joints, got 21"),
        (lambda: root_position(np.zeros((2, 16, 3)), "palm"), r"joints: .*\(2, 16, 3\)"),
        (lambda: root_position(np.zeros((2, 21, 3)), True), "root: .*got True"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
