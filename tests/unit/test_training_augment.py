"""Augmentation: joints, camera, root and side follow the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skhand.estimators.cross_modal_vae.steps import AUGMENT as SPURR
from skhand.estimators.sim_to_real.steps import AUGMENT as ABDI
from skhand.exceptions import InputError
from skhand.geometry import bone_lengths
from skhand.training import MODALITIES, augment_batch, check_augment
from skhand.training.modalities.depth import DepthCodec

SIZE = (72, 96)  # height, width: not square
CAMERA = np.array([[150.0, 0, 41.0], [0, 120.0, 44.0], [0, 0, 1]])  # fx != fy, off the centre
ALL = {"rotate": 45.0, "shift": 0.08, "zoom": 0.15, "flip": "horizontal", "colour": 0.0}


def project(points, camera):
    """Pinhole projection, written out."""
    homogeneous = points @ np.swapaxes(camera, -1, -2)
    return homogeneous[..., :2] / homogeneous[..., 2:]


def blobs(pixels, sigma=1.2):
    """Pictures (n, h, w) with a bright spot at each row's one pixel position (n, 2)."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    distance = (u - pixels[:, :1, None]) ** 2 + (v - pixels[:, 1:, None]) ** 2
    return np.exp(-distance / (2 * sigma**2))


def blob_centre(pictures):
    """Centre of brightness (n, 2) px."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    total = pictures.sum(axis=(1, 2))
    return np.stack(
        [(pictures * u).sum(axis=(1, 2)) / total, (pictures * v).sum(axis=(1, 2)) / total], axis=1
    )


def marked_batch(rng, n=64, as_uint8=False):
    """A one-joint batch: a spot stands in the picture where the camera sees the joint."""
    points = np.stack([rng.uniform(-45, 45, n), rng.uniform(-45, 45, n), rng.uniform(400, 600, n)], axis=1)
    pixels = project(points, CAMERA)
    spots = blobs(pixels)
    rgb = 0.5 + 0.5 * np.repeat(spots[..., None], 3, axis=-1)  # the outside is 0.5 too
    rgb = (rgb * 255).round().astype(np.uint8) if as_uint8 else rgb.astype(np.float32)
    columns = {
        "rgb": rgb,
        "pose3d": points[:, None],
        "keypoints2d": pixels[:, None],
        "camera": np.broadcast_to(CAMERA, (n, 3, 3)).copy(),
        "root": points,
        "side": rng.integers(0, 2, n),
    }
    return {name: torch.from_numpy(column) for name, column in columns.items()}


def augmented(batch, settings=ALL, seed=0):
    torch.manual_seed(seed)
    moved = augment_batch(batch, check_augment(settings))
    return {name: column.numpy() for name, column in moved.items()}


@pytest.mark.parametrize("as_uint8", [False, True])
@pytest.mark.parametrize("flip", ["horizontal", "vertical", None])
def test_joints_lie_on_the_moved_picture(rng, flip, as_uint8):
    batch = marked_batch(rng, as_uint8=as_uint8)
    moved = augmented(batch, {**ALL, "flip": flip})
    assert np.abs(moved["keypoints2d"] - batch["keypoints2d"].numpy()).max() > 10  # it did move
    by_camera = project(moved["pose3d"], moved["camera"])[:, 0]
    np.testing.assert_allclose(moved["keypoints2d"][:, 0], by_camera, atol=1e-2)
    inside = (by_camera > 8).all(axis=1) & (by_camera < np.array(SIZE[::-1]) - 9).all(axis=1)
    assert inside.sum() > 20
    brightness = np.clip(moved["rgb"].mean(axis=-1) - 0.51, 0, None)
    centres = blob_centre(brightness[inside])
    assert np.abs(centres - by_camera[inside]).max() < 0.3


def test_the_moved_camera_is_exact(rng):
    batch = marked_batch(rng)
    batch["pose3d"] = torch.from_numpy(rng.uniform(-60, 60, (64, 21, 3)) + [0, 0, 500])
    batch["keypoints2d"] = torch.from_numpy(project(batch["pose3d"].numpy(), CAMERA))
    moved = augmented(batch, {**ALL, "rotate": 180.0})
    # keypoints are moved by A alone: A K X and K' X' must agree
    np.testing.assert_allclose(
        project(moved["pose3d"], moved["camera"]), moved["keypoints2d"], atol=1e-3, rtol=0
    )
    assert np.abs(moved["camera"][:, 0, 1]).max() > 1  # a rotation shears a camera with fx != fy


@pytest.mark.parametrize("flip", ["horizontal", "vertical"])
def test_a_flip_toggles_the_side_and_only_a_flip_does(rng, flip):
    batch = marked_batch(rng, n=400)
    batch["pose3d"] = torch.from_numpy(rng.normal(0, 50, (400, 3, 3)))  # three vectors: a determinant
    moved = augmented(batch, {**ALL, "flip": flip})
    mirrored = np.linalg.det(moved["pose3d"]) * np.linalg.det(batch["pose3d"].numpy()) < 0
    toggled = moved["side"] != batch["side"].numpy()
    np.testing.assert_array_equal(toggled, mirrored)
    assert 0.4 < toggled.mean() < 0.6
    assert not (augmented(batch, {**ALL, "flip": None})["side"] != batch["side"].numpy()).any()


@pytest.mark.parametrize(("flip", "axis"), [("horizontal", 2), ("vertical", 1)])
def test_a_flip_alone_mirrors_the_picture(rng, flip, axis):
    batch = {"rgb": torch.from_numpy(rng.uniform(0, 1, (40, *SIZE, 3)).astype(np.float32))}
    moved = augmented(batch, {"flip": flip})["rgb"]
    original = batch["rgb"].numpy()
    unchanged = np.abs(moved - original).max(axis=(1, 2, 3)) < 1e-3
    mirrored = np.abs(moved - np.flip(original, axis)).max(axis=(1, 2, 3)) < 1e-3
    assert (unchanged ^ mirrored).all()
    assert 8 < mirrored.sum() < 32


def test_poses_keep_their_bones_and_their_depth(rng):
    poses = rng.normal(0, 40, (32, 21, 3)) + [0, 0, 600]
    moved = augmented({"pose3d": torch.from_numpy(poses)}, {**ALL, "rotate": 180.0})["pose3d"]
    np.testing.assert_allclose(bone_lengths(moved), bone_lengths(poses), rtol=1e-6)
    np.testing.assert_array_equal(moved[..., 2], poses[..., 2])
    assert np.abs(moved[..., :2] - poses[..., :2]).max() > 20


def test_the_root_turns_with_its_hand(rng):
    moved = augmented(marked_batch(rng))
    np.testing.assert_allclose(moved["root"], moved["pose3d"][:, 0], rtol=1e-6)


def test_depth_values_stay_what_they_were_and_the_outside_is_unmeasured(rng):
    depth = rng.choice([0.0, 411.5, 502.25, 777.0], (16, *SIZE)).astype(np.float32)
    moved = augmented({"depth": torch.from_numpy(depth)}, {**ALL, "rotate": 180.0})["depth"]
    assert set(np.unique(moved)) == {0.0, 411.5, 502.25, 777.0}
    corners = augmented({"depth": torch.full((64, *SIZE), 500.0)}, {"rotate": 45.0})["depth"][:, 0, 0]
    assert (corners == 0).mean() > 0.5


def test_depth_and_colour_move_together(rng):
    batch = marked_batch(rng)
    spot = batch["rgb"][..., 0] > 0.75
    batch["depth"] = torch.where(spot, 500.0, 0.0)
    moved = augmented(batch)
    centres = blob_centre(np.where(moved["depth"] > 0, 1.0, 1e-9))
    inside = (centres > 8).all(axis=1) & (centres < np.array(SIZE[::-1]) - 9).all(axis=1)
    expected = moved["keypoints2d"][:, 0]
    assert np.abs(centres - expected)[inside].mean() < 0.3


def test_rows_are_moved_independently_and_without_a_draw_nothing_moves(rng):
    batch = marked_batch(rng)
    shifts = augmented(batch)["keypoints2d"] - batch["keypoints2d"].numpy()
    assert len(np.unique(shifts.round(6), axis=0)) == len(shifts)
    zero = {"rotate": 0.0, "shift": 0.0, "zoom": 0.0, "flip": None, "colour": 0.0, "grey": 0.0, "depth": 0.0}
    still = augment_batch(batch, zero)
    np.testing.assert_allclose(still["rgb"], batch["rgb"], atol=1e-4)
    np.testing.assert_array_equal(still["side"], batch["side"])


def test_rotation_and_shift_stay_in_their_ranges(rng):
    n = 2000
    poses = torch.tensor([[[1.0, 0, 0]]]).double().expand(n, 1, 3)
    turned = augmented({"pose3d": poses}, {"rotate": 45.0})["pose3d"][:, 0]
    angles = np.degrees(np.arctan2(turned[:, 1], turned[:, 0]))
    assert 44 < angles.max() <= 45.001
    assert -45.001 <= angles.min() < -44
    points = torch.zeros(n, 1, 2).double()
    batch = {"rgb": torch.zeros(n, 2, 4, 3), "keypoints2d": points}
    moved = augmented(batch, {"shift": 0.1})["keypoints2d"][:, 0]
    assert np.abs(moved[:, 0]).max() == pytest.approx(0.4, abs=0.01)  # a tenth of the width
    assert np.abs(moved[:, 1]).max() == pytest.approx(0.2, abs=0.01)


def test_unknown_joints_stay_unknown_and_harm_no_other(rng):
    batch = marked_batch(rng, n=8)
    batch["pose3d"] = torch.from_numpy(rng.normal(0, 50, (8, 21, 3)))
    batch["keypoints2d"] = torch.from_numpy(rng.uniform(0, 60, (8, 21, 2)))
    del batch["rgb"]  # the keypoints alone must then say where the centre is
    whole = augmented(batch)
    for name in ("pose3d", "keypoints2d"):
        batch[name] = batch[name].clone()
        batch[name][1] = torch.nan
        batch[name][2, 7] = torch.nan
    moved = augmented(batch)
    for name in ("pose3d", "keypoints2d"):
        unknown = np.isnan(moved[name])
        assert unknown[1].all()
        assert unknown[2, 7].all()
        assert unknown.sum() == unknown[1].size + unknown[2, 7].size
    np.testing.assert_allclose(moved["pose3d"][2, 0], whole["pose3d"][2, 0], rtol=1e-6)


def test_a_mask_moves_with_its_depth_picture_and_stays_bool(rng):
    depth = torch.from_numpy(rng.choice([0.0, 500.0], (16, *SIZE)).astype(np.float32))
    moved = augmented({"depth": depth, "mask": depth > 0}, {**ALL, "rotate": 180.0})
    assert moved["mask"].dtype == bool
    np.testing.assert_array_equal(moved["mask"], moved["depth"] > 0)
    outside = augmented({"mask": torch.ones(64, *SIZE, dtype=torch.bool)}, {"rotate": 45.0})["mask"]
    assert not outside[:, 0, 0].all()  # where the picture does not reach there is no hand


def test_the_same_generator_moves_a_batch_the_same_way_and_no_other_is_touched(rng):
    batch = marked_batch(rng, n=8)
    batch["depth"], settings = (
        torch.full((8, *SIZE), 500.0),
        check_augment({**ALL, "colour": 0.5, "depth": 9.0}),
    )
    before = torch.get_rng_state()
    first, again = (augment_batch(batch, settings, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    other = augment_batch(batch, settings, torch.Generator().manual_seed(4))
    for name in first:
        assert torch.equal(first[name], again[name])
    assert not torch.equal(first["pose3d"], other["pose3d"])


@pytest.mark.parametrize("name", ["rgb", "depth", "mask", "keypoints2d", "pose3d", "table"])
def test_every_modality_stands_still_without_motion(rng, name):
    rows = {
        "rgb": rng.integers(0, 256, (3, 8, 6, 3), dtype=np.uint8), "depth": rng.uniform(400, 500, (3, 8, 6)),
        "mask": rng.integers(0, 2, (3, 8, 6)).astype(bool), "keypoints2d": rng.uniform(0, 6, (3, 21, 2)),
        "pose3d": rng.normal(0, 50, (3, 21, 3)), "table": rng.normal(size=(3, 5)),
    }  # fmt: skip
    assert set(rows) == set(MODALITIES)
    off = {"rotate": 0.0, "shift": 0.0, "zoom": 0.0, "flip": None, "colour": 0.0, "grey": 0.0, "depth": 0.0}
    moved = augment_batch({name: torch.from_numpy(rows[name])}, off)
    assert set(moved) == {name}
    wanted = rows[name] / 255.0 if name == "rgb" else rows[name]
    np.testing.assert_allclose(moved[name], wanted, rtol=1e-6, atol=1e-5)


def test_colour_stays_in_range_and_changes_no_geometry(rng):
    batch = marked_batch(rng, n=32)
    moved = augmented(batch, {"colour": 1.0})
    assert moved["rgb"].min() >= 0
    assert moved["rgb"].max() <= 1
    assert np.abs(moved["rgb"] - batch["rgb"].numpy()).mean() > 0.02
    np.testing.assert_array_equal(moved["keypoints2d"], batch["keypoints2d"].numpy())


def test_a_share_of_the_pictures_loses_its_colour():
    red_and_blue = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).repeat(500, 2, 1)[:, :, None, :]
    pictures = augmented({"rgb": red_and_blue}, {"grey": 0.3})["rgb"]
    grey = (np.ptp(pictures, axis=3) < 1e-6).all(axis=(1, 2))
    assert abs(grey.mean() - 0.3) < 0.06  # four standard deviations of a share
    np.testing.assert_allclose(pictures[grey][:, ::2].mean(axis=(0, 1, 2)), 0.299, atol=1e-6)
    np.testing.assert_allclose(pictures[grey][:, 1::2].mean(axis=(0, 1, 2)), 0.114, atol=1e-6)
    np.testing.assert_allclose(pictures[~grey], red_and_blue[~grey], atol=1e-6)


def test_the_depth_shift_is_drawn_last_and_only_for_depth(rng):
    batch = marked_batch(rng, n=8)
    batch["depth"] = torch.full((8, *SIZE), 500.0)
    without = augmented(batch, {**ALL, "colour": 0.5})
    moved = augmented(batch, {**ALL, "colour": 0.5, "depth": 10.0})
    assert moved.pop("depth_shift").shape == (8,)
    assert moved.keys() == without.keys() == batch.keys()
    for name in moved:  # the same random numbers for everything else
        np.testing.assert_array_equal(moved[name], without[name])
    assert "depth_shift" not in augmented({"rgb": batch["rgb"]}, {"depth": 10.0})


def test_depth_shifts_are_uniform():
    n = 4000
    shift = augmented({"depth": torch.zeros(n, 2, 2)}, {"depth": 10.0})["depth_shift"]
    shares = np.histogram(shift, 4, (-10, 10))[0] / n  # all are within 10 mm
    assert shares.sum() == 1
    assert np.abs(shares - 0.25).max() < 0.03  # more than four standard deviations of a share


def test_a_shifted_cube_sees_the_hand_elsewhere(rng):
    depth = np.where(rng.uniform(size=(6, *SIZE)) < 0.5, rng.uniform(450, 550, (6, *SIZE)), 0.0)
    batch = augment_batch({"depth": torch.from_numpy(depth)}, check_augment({"depth": 10.0}))
    shift = batch["depth_shift"].numpy()
    encoded = DepthCodec(500.0, 150.0, relative=True).encode(batch)[:, 0].numpy()
    for row, picture in enumerate(depth):
        middle = np.quantile(picture[picture > 0], 0.5, method="lower")
        wanted = np.where(picture > 0, (picture - middle - shift[row]) / 300.0, 0.5)
        np.testing.assert_allclose(encoded[row], wanted, atol=1e-6)


def test_a_depth_shift_leaves_absolute_depth_alone(rng):
    depth = torch.from_numpy(rng.uniform(450, 550, (6, 8, 8)))
    codec = DepthCodec(500.0, 150.0, relative=False)
    shifted = codec.encode({"depth": depth, "depth_shift": torch.full((6,), 9.0)})
    torch.testing.assert_close(shifted, codec.encode({"depth": depth}), atol=0, rtol=0)


def test_the_settings_of_abdi_are_ten_millimetres_of_a_300_mm_cube():
    off = {"zoom": 0.0, "flip": None, "colour": 0.0, "grey": 0.0}
    assert check_augment("paper", ABDI) == {**off, **ABDI}
    assert check_augment({"rotate": 180.0, "shift": 1 / 30, "depth": 10.0}) == {**off, **ABDI}
    edges = np.linspace(-150, 150, 129)  # of the 128 pixels, mm
    assert ABDI["shift"] * 128 * np.diff(edges).mean() == pytest.approx(10.0)


def test_settings_are_completed_and_nothing_is_none():
    assert check_augment("paper", SPURR) == {"zoom": 0.0, "colour": 0.0, "grey": 0.0, "depth": 0.0, **SPURR}
    assert check_augment({"rotate": 10.0})["shift"] == 0
    assert check_augment(None) is None
    assert check_augment({"rotate": 0}) is None
    assert SPURR["rotate"] == 45.0
    with pytest.raises(InputError, match="augment"):
        check_augment("paper")  # of no paper


@pytest.mark.parametrize(
    ("augment", "name"),
    [
        ({"rotation": 3}, "rotation"),
        ({"rotate": 181}, "rotate"),
        ({"rotate": -1}, "rotate"),
        ({"zoom": 1.0}, "zoom"),
        ({"shift": np.nan}, "shift"),
        ({"colour": 2}, "colour"),
        ({"grey": 1.1}, "grey"),
        ({"depth": -1}, "depth"),
        ({"depth": np.inf}, "depth"),
        ({"depth": "10"}, "depth"),
        ({"flip": True}, "flip"),
        ("strong", "augment"),
        (3, "augment"),
    ],
)
def test_settings_that_are_wrong_are_named(augment, name):
    with pytest.raises(InputError, match=name):
        check_augment(augment)
