"""What a user may choose about generated hands: each option does what it says, and bad values are named."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from PIL import Image

from skhand.datasets import GESTURES, HAND_PRESETS, make_hands
from skhand.exceptions import InputError
from skhand.rendering.backgrounds import BACKGROUND_DRAWS, draw_backgrounds
from skhand.rendering.draws import Draws


def poses(n_samples=300, **options):
    """Hands without pictures."""
    return make_hands(n_samples, images=(), random_state=0, **options)


def pictures(n_samples=8, **options):
    """Small pictures, the same rows for all options."""
    return make_hands(n_samples, **{"image_size": 48, "n_subjects": 4, "random_state": 1, **options})


def test_gestures_by_name_names_and_weights():
    assert set(poses(50, gestures="fist").gesture) == {"fist"}
    assert set(poses(100, gestures=["fist", "open"]).gesture) == {"fist", "open"}
    drawn = poses(2000, gestures={"fist": 3.0, "open": 1.0, "L": 0.0}).gesture
    # 2 000 draws of probability 0.75: a standard deviation of 0.01
    assert set(drawn) == {"fist", "open"} and abs((drawn == "fist").mean() - 0.75) < 0.04
    assert len(set(poses(2000).gesture)) == len(GESTURES)


def test_a_fist_is_bent_and_an_open_hand_is_not():
    fist, flat = (poses(60, gestures=name, side="right").target for name in ("fist", "flat"))
    reach = [
        np.linalg.norm(y[:, 12] - y[:, 0], axis=1) / np.linalg.norm(y[:, 9] - y[:, 0], axis=1)
        for y in (fist, flat)
    ]
    assert np.median(reach[0]) < 1.3 < 1.7 < np.median(reach[1])


def test_distance_is_that_of_the_hands_middle():
    y = poses(distance=(500.0, 600.0)).target
    middle = 0.5 * (y[..., 2].min(axis=1) + y[..., 2].max(axis=1))
    assert middle.min() >= 500 - 1e-6 and middle.max() <= 600 + 1e-6 and np.ptp(middle) > 90


def test_framing_by_margin_by_width_and_by_camera():
    box = poses(framing=(1.5, 1.5), image_size=100).data.box
    np.testing.assert_allclose(box[:, 2:].max(axis=1), 100 / 1.5, rtol=1e-6)
    data = poses(framing=300.0, image_size=150)
    y = data.target
    middle = 0.5 * (y[..., 2].min(axis=1) + y[..., 2].max(axis=1))
    np.testing.assert_allclose(data.data.camera[:, 0, 0] * 300 / middle, 150, rtol=1e-6)
    camera = np.array([[300.0, 0, 150], [0, 310, 145], [0, 0, 1]])
    data = poses(framing=camera, image_size=300, distance=(450, 700)).data
    assert (data.camera[data.side == "right"] == camera).all()
    inside = (data.keypoints2d >= -0.5) & (data.keypoints2d <= 299.5)
    assert inside.all()


def test_shape_and_skin_tone():
    def bones(shape):
        y = poses(shape=shape, n_subjects=50).target
        return np.linalg.norm(y[:, 10] - y[:, 9], axis=1)

    assert np.ptp(bones(0.0)) < 1e-6 < bones(0.5).std() < bones(1.0).std()
    light, dark = (pictures(12, skin=(tone, tone), blur=0, noise=0) for tone in (0.0, 1.0))
    mask = light.data.mask
    assert np.array_equal(mask, dark.data.mask)
    assert light.data.rgb[mask].mean() > 1.5 * dark.data.rgb[mask].mean()


def test_sleeves_and_light():
    bare, dressed = (pictures(30, sleeves=share, framing=(2.5, 3.0)).data for share in (0.0, 1.0))
    assert (bare.rgb != dressed.rgb).any(axis=(1, 2, 3)).mean() > 0.8
    dim, bright = (pictures(light=(x, x)).data for x in (0.1, 1.5))
    assert bright.rgb[bright.mask].mean() > dim.rgb[dim.mask].mean() + 20
    assert np.array_equal(bright.depth, dim.depth)


def test_backgrounds_of_ones_own_and_none(tmp_path):
    Image.new("RGB", (90, 70), (200, 30, 40)).save(tmp_path / "red.png")
    still = {"blur": 0, "noise": 0, "framing": (2.0, 2.0)}
    data = pictures(backgrounds=tmp_path, **still).data
    corner = data.rgb[:, :3].reshape(8, -1, 3)[~data.mask[:, :3].reshape(8, -1)]
    assert (corner[:, 0] > 2 * corner[:, 1].astype(int)).mean() > 0.98  # red, whatever the white balance
    black = pictures(backgrounds=None, **still).data
    assert np.array_equal(black.mask, data.mask)
    # contrast lifts or sinks black by a few levels; the rim of a hand is between
    assert np.percentile(black.rgb[:, :3].reshape(8, -1, 3)[~black.mask[:, :3].reshape(8, -1)], 95) < 45
    (tmp_path / "torn.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"torn\.png"):
        pictures(40, backgrounds=tmp_path)
    with pytest.raises(InputError, match="backgrounds"):
        pictures(backgrounds=tmp_path / "missing")


def test_occluders_cover_hand_depth_and_joints():
    plain, covered = pictures(40), pictures(40, occluders=1.0)
    assert not (covered.data.mask & ~plain.data.mask).any()
    gone = plain.data.mask & ~covered.data.mask
    assert (gone.any(axis=(1, 2))).mean() > 0.9
    assert (covered.data.depth[gone] < plain.data.depth[gone]).all()
    assert not (covered.visible & ~plain.visible).any() and covered.visible.sum() < plain.visible.sum()
    assert np.array_equal(covered.target, plain.target)
    half = pictures(200, image_size=16, images=("mask",), occluders=0.5).data.mask
    none = pictures(200, image_size=16, images=("mask",)).data.mask
    assert 0.25 < (half != none).any(axis=(1, 2)).mean() < 0.55


def test_blur_noise_motion_and_jpeg_change_rgb_alone():
    clean = pictures(blur=0, noise=0).data
    roughness = np.abs(np.diff(clean.rgb.astype(float), axis=2)).mean()
    for name, value, grows in (("noise", 3.0, True), ("blur", 3.0, False), ("motion", 1.0, False)):
        data = pictures(**{"blur": 0, "noise": 0, name: value}).data
        assert np.array_equal(data.depth, clean.depth) and np.array_equal(data.mask, clean.mask)
        assert (np.abs(np.diff(data.rgb.astype(float), axis=2)).mean() > roughness) == grows, name
    worse, better = (
        np.abs(pictures(blur=0, noise=0, jpeg=(q, q)).data.rgb.astype(int) - clean.rgb).mean()
        for q in (5, 95)
    )
    assert worse > 2 * better > 0


def test_real_domain_differs_in_shape_and_depth():
    exact, sensor = pictures(20), pictures(20, domain="real")
    assert set(exact.data.domain) == {"synthetic"} and set(sensor.data.domain) == {"real"}
    assert np.array_equal(sensor.data.depth, np.rint(sensor.data.depth))
    holes = sensor.data.mask & (sensor.data.depth == 0)
    assert 0.005 < holes.sum() / sensor.data.mask.sum() < 0.4
    assert not np.array_equal(exact.data.scale, sensor.data.scale)
    seen = sensor.data.mask & (sensor.data.depth > 0)
    flight = pictures(20, domain="real", sensor="time_of_flight")
    assert np.array_equal(flight.target, sensor.target)
    assert (flight.data.depth[seen] != sensor.data.depth[seen]).mean() > 0.5


def run_across(hands, row, joints):
    """Width of the mask across a bone, at its middle, px."""
    start, end = hands.data.keypoints2d[row][list(joints)]
    along = (end - start) / np.linalg.norm(end - start)
    reach = np.arange(0, 30, 0.05)[:, None]
    total = 0.0
    for across in (np.array([-along[1], along[0]]), np.array([along[1], -along[0]])):
        x, y = ((start + end) / 2 + reach * across).round().astype(int).T
        total += reach[np.argmin(hands.data.mask[row][y, x]), 0]
    return total


def test_thinner_hands_have_thinner_fingers_and_the_same_bones():
    settings = {
        "gestures": "open", "rotation": 0, "shape": 0, "sleeves": 0, "side": "right", "image_size": 256,
        "framing": 300.0, "images": ("mask",),
    }  # fmt: skip
    plain, thin, fingers = (
        pictures(4, thickness=factors, **settings) for factors in (1.0, 0.6, (0.6, 1.0, 1.0))
    )
    for name in ("target", "angles", "groups"):
        np.testing.assert_array_equal(thin[name], plain[name])
    for bone in ((10, 11), (14, 15)):  # a finger is a round cone: its width is in proportion
        widths = [np.mean([run_across(hands, row, bone) for row in range(4)]) for hands in (plain, thin)]
        assert widths[0] > 10 and widths[1] / widths[0] == pytest.approx(0.6, abs=0.04)
    area = [hands.data.mask.sum() for hands in (thin, fingers, plain)]
    # the bones' length stays, so that the area shrinks by less than the factor; the wide palm's by less still
    assert 0.6 < area[0] / area[2] < 0.9 and area[0] < area[1] < area[2]


def test_thickness_is_the_domains_own_unless_it_is_given():
    for domain, own in (("synthetic", 1.0), ("real", (1.08, 1.04, 1.05))):
        left_alone, given = (pictures(3, domain=domain, thickness=each) for each in (None, own))
        np.testing.assert_array_equal(left_alone.data.depth, given.data.depth)
        assert not np.array_equal(left_alone.data.mask, pictures(3, domain=domain, thickness=0.75).data.mask)


def test_a_lossy_sensor_loses_far_more():
    settings = {"domain": "real", "framing": 300.0, "distance": (700, 900), "images": ("depth", "mask")}
    good, lossy = (pictures(40, sensor=name, **settings).data for name in ("structured_light", "lossy"))
    np.testing.assert_array_equal(good.mask, lossy.mask)
    lost = [1 - (data.depth > 0)[data.mask].mean() for data in (good, lossy)]
    assert lost[0] < 0.2 and 0.3 < lost[1] < 0.7


@pytest.mark.parametrize("name", HAND_PRESETS)
def test_presets_are_arguments(name):
    preset = HAND_PRESETS[name]
    hands = make_hands(6, random_state=0, **preset)
    size = preset.get("image_size", 128)
    assert hands.data.mask.shape == (6, size, size)
    assert (hands.target[..., 2].mean(axis=1) > preset["distance"][0] - 60).all()
    share = hands.data.box[:, 2:].max(axis=1) / size
    assert {"rhd": 0.12, "nyu": 0.3, "icvl": 0.3}[name] < np.median(share) < {"rhd": 0.4}.get(name, 0.9)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gestures", "no such"),
        ("gestures", 3),
        ("gestures", {"fist": -1.0}),
        ("gestures", {"fist": 0.0}),
        ("gestures", ()),
        ("gestures", [["fist"]]),
        ("n_subjects", 2**80),
        ("distance", 400),
        ("distance", (600, 400)),
        ("distance", (100, 400)),
        ("distance", (np.nan, 400)),
        ("framing", (0.1, 2.0)),
        ("framing", 10.0),
        ("framing", "tight"),
        ("framing", np.eye(4)),
        ("framing", [[300.0, 1.0, 0], [0, 300, 0], [0, 0, 1]]),
        ("shape", -0.1),
        ("thickness", 0.4),
        ("thickness", (1.0, 1.0)),
        ("thickness", (1.0, 1.6, 1.0)),
        ("thickness", (1.0, np.nan, 1.0)),
        ("thickness", "thin"),
        ("skin", (0.0, 1.1)),
        ("sleeves", 1.5),
        ("light", (1.0,)),
        ("backgrounds", 4),
        ("occluders", -0.5),
        ("blur", np.inf),
        ("noise", "much"),
        ("motion", 2),
        ("jpeg", (0, 50)),
        ("jpeg", 80),
        ("domain", "sensor"),
        ("sensor", "lidar"),
        ("device", "abacus"),
    ],
)
def test_bad_options_are_named(name, value):
    with pytest.raises(InputError, match=name):
        make_hands(**{"n_samples": 2, "image_size": 16, name: value})


# ---------------------------------------------------------------- strange hands


def everything(hands):
    """All arrays that came out, by name."""
    data = {name: getattr(hands.data, name) for name in hands.data.columns}
    return {**data, "target": hands.target, "angles": hands.angles, "groups": hands.groups}


def test_no_strange_hands_are_the_hands_of_ever():
    plain, none = everything(pictures()), everything(pictures(strange=0.0))
    assert set(plain) == set(none)
    for name, array in plain.items():
        np.testing.assert_array_equal(none[name], array)


def test_strange_hands_look_otherwise_and_have_the_same_labels():
    plain, strange = pictures(24, images=("rgb", "mask")), pictures(24, images=("rgb", "mask"), strange=1.0)
    again = pictures(24, images=("rgb", "mask"), strange=1.0)
    other = (plain.data.rgb != strange.data.rgb).any(axis=(1, 2, 3))
    assert other.mean() > 0.7  # one in 36 draws none of the six
    np.testing.assert_array_equal(again.data.rgb, strange.data.rgb)
    for name in ("keypoints2d", "camera", "side", "scale", "root", "box", "domain"):
        np.testing.assert_array_equal(getattr(strange.data, name), getattr(plain.data, name))
    for name in ("target", "angles", "gesture", "groups"):
        np.testing.assert_array_equal(strange[name], plain[name])
    # of the body only the arm is another one: it ends early
    assert (plain.data.visible <= strange.data.visible).all()
    more = (strange.data.mask & ~plain.data.mask).sum(axis=(1, 2))
    assert more.max() < 0.01 * 48**2  # where normals and surfaces are smoothed, at the wrist
    fewer = strange.data.mask.sum(axis=(1, 2)) < plain.data.mask.sum(axis=(1, 2))
    assert 0.1 < fewer.mean() < 0.9


def test_a_share_of_the_rows_is_strange_and_rows_do_not_depend_on_others():
    plain, half = pictures(200, image_size=16), pictures(200, image_size=16, strange=0.5)
    share = (plain.data.rgb != half.data.rgb).any(axis=(1, 2, 3)).mean()
    assert 0.35 < share < 0.55  # a half, less those that draw none of the six
    whole = pictures(200, image_size=16, strange=1.0)
    for row in np.flatnonzero((plain.data.rgb != half.data.rgb).any(axis=(1, 2, 3)))[:20]:
        np.testing.assert_array_equal(half.data.rgb[row], whole.data.rgb[row])
    np.testing.assert_array_equal(pictures(7, image_size=16, strange=0.5).data.rgb, half.data.rgb[:7])
    lazy = pictures(7, image_size=16, strange=0.5, lazy=True)
    np.testing.assert_array_equal(lazy.data.rgb[[5, 2]], half.data.rgb[[5, 2]])


def test_strange_backgrounds_are_in_focus_down_to_the_pixel():
    draws, skin = (partial(Draws, 5, "background", np.arange(24), BACKGROUND_DRAWS), np.full((24, 3), 0.3))
    sharp = np.arange(24) % 2 == 0
    plain, some = (draw_backgrounds(draws(), skin, 64, sharp=which).numpy() for which in (None, sharp))
    np.testing.assert_array_equal(some[~sharp], plain[~sharp])
    steps = [np.abs(np.diff(light[sharp], axis=3)).mean(axis=(1, 2, 3)) for light in (plain, some)]
    assert (steps[1] > steps[0]).all()
    assert steps[1].mean() > 1.1 * steps[0].mean()  # four in ten are nearly in focus without it


@pytest.mark.parametrize("share", [-0.1, 1.5, np.nan, "some", None])
def test_a_bad_share_of_strange_hands_is_named(share):
    with pytest.raises(InputError, match="^strange: expected"):
        pictures(strange=share)
