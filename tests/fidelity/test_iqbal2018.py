"""Iqbal et al. 2018 as published: heatmaps, 2.5D, scale, networks, against plain numpy and scipy."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.spatial.transform import Rotation

from skhand.estimators import LatentHeatmapRegressor
from skhand.estimators.latent_heatmap.encoder_decoder import HeatmapNet
from skhand.estimators.latent_heatmap.labels import (
    add_labels,
    propagated_std,
    recover_poses,
    root_distance,
    scale_ratio,
)
from skhand.estimators.latent_heatmap.network import (
    Maps25D,
    Pose25DNet,
    direct_pose,
    gaussian_maps,
    latent_pose,
    map_spread,
    soft_argmax,
)
from skhand.estimators.latent_heatmap.steps import HeatmapObjective, is_left
from skhand.exceptions import InputError
from skhand.geometry import (
    bone_lengths,
    decode_25d,
    encode_25d,
    mean_bone_lengths,
    recover_scale,
)
from skhand.skeleton import BONES, root_position
from skhand.training import StepContext
from skhand.training.modalities.rgb import RGBCodec

K = 21


def latent_maps(seed, n=2, height=12, width=9):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(0, 2, (n, 2 * K, height, width))).float()


def train(module, optimizer, batch, alpha=1.0, dtype=torch.float32, measure=False):
    """Take one step on a batch, without augmentation."""
    objective = HeatmapObjective(alpha, 1.0, False, codecs={"rgb": RGBCodec()}, dtype=dtype)
    return objective.step(module, {"hands": batch}, StepContext(optimizer, measure=measure))


# ---------------------------------------------------------------- heads (Sec. 4)


def test_soft_argmax_and_depth_are_the_printed_sums():
    maps, beta = latent_maps(0), torch.linspace(0.2, 3.0, K)
    answer = latent_pose(maps, beta)
    raw = maps.numpy().astype(np.float64)
    for row in range(len(raw)):
        for k in range(K):
            score = np.exp(float(beta[k]) * raw[row, k])
            probability = score / score.sum()  # Eq. 13
            wanted = np.zeros(3)
            for v in range(raw.shape[2]):
                for u in range(raw.shape[3]):
                    wanted[:2] += probability[v, u] * np.array([u, v])  # Eq. 14
                    wanted[2] += probability[v, u] * raw[row, K + k, v, u]  # Eq. 15
            np.testing.assert_allclose(answer.points[row, k].numpy(), wanted, atol=1e-5)
            np.testing.assert_allclose(answer.heatmaps[row, k].numpy(), probability, atol=1e-6)
            np.testing.assert_allclose(
                answer.depth_maps[row, k].numpy(), probability * raw[row, K + k], atol=1e-5
            )


def test_direct_maps_are_read_at_their_highest_pixel():
    maps = latent_maps(1)
    points = direct_pose(maps).points.numpy()
    raw = maps.numpy()
    for row in range(len(raw)):
        for k in range(K):
            v, u = np.unravel_index(raw[row, k].argmax(), raw.shape[2:])
            np.testing.assert_allclose(points[row, k], [u, v, raw[row, K + k, v, u]])


def test_target_maps_are_gaussian():
    places = torch.tensor([[[3.25, 7.5], [np.nan, 1.0]]])
    maps = gaussian_maps(places, 12, 9, sigma=1.5).numpy()
    for v in range(12):
        for u in range(9):
            wanted = np.exp(-((u - 3.25) ** 2 + (v - 7.5) ** 2) / (2 * 1.5**2))
            assert maps[0, 0, v, u] == pytest.approx(wanted, abs=1e-6)
    assert np.isnan(maps[0, 1]).all()


def peaks(places, size=24, sharpness=0.5):
    """Log-likelihoods of joints at places (K, 2)."""
    v, u = np.mgrid[:size, :size]
    off = (u - places[:, 0, None, None]) ** 2 + (v - places[:, 1, None, None]) ** 2
    return torch.from_numpy(-sharpness * off).float()[None]


def test_soft_argmax_is_exact_below_the_pixel():
    places = np.random.default_rng(0).uniform(8, 16, (K, 2))
    maps = torch.cat([peaks(places), torch.zeros(1, K, 24, 24)], dim=1)
    soft = latent_pose(maps, torch.ones(K)).points[0, :, :2].numpy()
    np.testing.assert_allclose(soft, places, atol=1e-3)  # a Gaussian of 1 px, sampled: error below 1e-6
    hard = direct_pose(maps).points[0, :, :2].numpy()
    np.testing.assert_array_equal(hard, np.rint(places))


@pytest.mark.parametrize("shift", [(3, -2), (-4, 5)])
def test_maps_moved_by_whole_pixels_move_joints_by_as_much(shift):
    rng = np.random.default_rng(0)
    places = rng.uniform(9, 14, (K, 2))
    maps = torch.cat([peaks(places), torch.from_numpy(rng.normal(size=(1, K, 24, 24))).float()], dim=1)
    moved = torch.roll(maps, (shift[1], shift[0]), dims=(2, 3))
    before, after = latent_pose(maps, torch.ones(K)).points, latent_pose(moved, torch.ones(K)).points
    wanted = before + torch.tensor([*map(float, shift), 0.0])
    np.testing.assert_allclose(after.numpy(), wanted.numpy(), atol=1e-4)


def test_a_large_beta_sharpens_one_joint_only():
    maps, beta = latent_maps(2), torch.ones(K)
    beta[3] = 50.0
    heatmaps, _ = soft_argmax(maps[:, :K], beta)
    plain, _ = soft_argmax(maps[:, :K], torch.ones(K))
    assert heatmaps[:, 3].amax(dim=(1, 2)).min() > 0.9
    np.testing.assert_array_equal(heatmaps[:, 4:].numpy(), plain[:, 4:].numpy())


def test_the_spread_is_the_heatmaps_covariance():
    maps = latent_maps(3)
    answer = latent_pose(maps, torch.ones(K))
    covariance = map_spread(answer, latent=True, size=(12, 9)).numpy()
    probability = answer.heatmaps[0, 5].double().numpy().ravel()
    v, u = np.mgrid[:12, :9]
    values = np.stack([u.ravel(), v.ravel(), maps[0, K + 5].double().numpy().ravel()])
    wanted = np.cov(values, aweights=probability, ddof=0)
    np.testing.assert_allclose(covariance[0, 5], wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("heatmap", ["latent", "direct", "holistic"])
@pytest.mark.parametrize("loud", [1.0, 1e3])
def test_gradients_are_finite_in_bfloat16(heatmap, loud):
    torch.manual_seed(0)
    module = Pose25DNet(heatmap, K, (16, 16), width=8, backbone="small", n_stacks=2)
    with torch.no_grad():
        module.get_parameter("end.weight" if heatmap == "holistic" else "body.stacks.1.last.weight").mul_(
            loud
        )
    batch = {
        "rgb": torch.rand(4, 16, 16, 3),
        "keypoints2d": torch.rand(4, K, 2) * 15,
        "relative_depth": torch.randn(4, K),
    }
    optimizer = torch.optim.SGD(module.parameters(), 0.0)
    terms = train(module, optimizer, batch, dtype=torch.bfloat16, measure=True)
    assert all(torch.isfinite(value) for value in terms.values())
    gradients = [weight.grad for weight in module.parameters()]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)


# ---------------------------------------------------------------- loss (Eq. 8)


def one_step(batch, alpha=1.0, n_stacks=1):
    torch.manual_seed(0)
    module = Pose25DNet("latent", K, (16, 16), width=8, n_stacks=n_stacks)
    optimizer = torch.optim.SGD(module.parameters(), 0.0)
    return module, train(module, optimizer, batch, alpha)


def test_the_loss_stands_at_every_stage_and_alpha_weighs_the_depth():
    batch = {
        "rgb": torch.rand(4, 16, 16, 3),
        "keypoints2d": torch.rand(4, K, 2) * 15,
        "relative_depth": torch.randn(4, K),
    }
    module, terms = one_step(batch, alpha=0.7, n_stacks=2)
    module.train()
    answers, _ = module(batch["rgb"].permute(0, 3, 1, 2) - 0.5)
    assert len(answers) == 2
    points = [answer.points.detach().numpy() for answer in answers]
    assert not np.allclose(points[0], points[1])
    xy = sum(np.abs(p[..., :2] - batch["keypoints2d"].numpy()).mean() / 16 for p in points)
    depth = sum(np.abs(p[..., 2] - batch["relative_depth"].numpy()).mean() for p in points)
    assert float(terms["xy"]) == pytest.approx(xy, rel=1e-4)
    assert float(terms["depth"]) == pytest.approx(0.7 * depth, rel=1e-4)


def test_rows_without_a_pose_train_the_places_only():
    batch = {
        "rgb": torch.rand(4, 16, 16, 3),
        "keypoints2d": torch.rand(4, K, 2) * 15,
        "relative_depth": torch.full((4, K), torch.nan),
    }
    module, terms = one_step(batch)
    assert float(terms["depth"]) == 0.0
    gradient = module.last.grad
    assert gradient[:K].abs().max() > 0
    assert gradient[K:].abs().max() == 0


def test_an_unknown_joint_does_not_count():
    rng = np.random.default_rng(0)
    places = torch.from_numpy(rng.uniform(0, 15, (4, K, 2))).float()
    batch = {"rgb": torch.rand(4, 16, 16, 3), "keypoints2d": places, "relative_depth": torch.randn(4, K)}
    for column in ("keypoints2d", "relative_depth"):
        batch[column][:, 7] = np.nan
    module, _ = one_step(batch)
    assert module.last.grad[7].abs().max() == 0
    assert module.last.grad[8].abs().max() > 0


def drawn(places, sigma, height, width):
    """Gaussians by the printed formula, one a joint."""
    v, u = np.mgrid[:height, :width]
    return np.exp(-((u - places[..., :1, None]) ** 2 + (v - places[..., 1:, None]) ** 2) / (2 * sigma**2))


def test_the_direct_head_compares_maps_in_the_mean_of_a_target_maps_own_square():
    """Empty maps are off by 1, and by the mean square of the depths; maps of half the height by a quarter."""
    rng = np.random.default_rng(0)
    places, depths = rng.uniform((30, 30), (98, 66), (2, K, 2)), rng.normal(size=(2, K))
    batch = {
        "rgb": torch.zeros(2, 96, 128, 3),
        "keypoints2d": torch.from_numpy(places),
        "relative_depth": torch.from_numpy(depths),
    }
    objective = HeatmapObjective(1.0, 6.0, False, codecs={"rgb": RGBCodec()})
    wanted = torch.from_numpy(drawn((places + 0.5) / 2 - 0.5, 3.0, 48, 64)).float()
    for factor, left in ((0.0, 1.0), (0.5, 0.25), (1.0, 0.0)):
        maps = factor * wanted
        answer = Maps25D(torch.zeros(2, K, 3), maps, maps * batch["relative_depth"].float()[..., None, None])
        xy, depth = objective._direct(answer, batch)
        assert float(xy) == pytest.approx(left, abs=1e-3)
        assert float(depth) == pytest.approx(left * (depths**2).mean(), rel=5e-3, abs=1e-9)


def test_places_count_in_widths_of_the_longer_side_and_depths_in_bones():
    batch = {
        "rgb": torch.zeros(2, 96, 128, 3),
        "keypoints2d": torch.full((2, K, 2), 64.0),
        "relative_depth": torch.full((2, K), -0.5),
    }
    objective = HeatmapObjective(1.0, 1.0, False, codecs={"rgb": RGBCodec()})
    xy, depth = objective._regressed(Maps25D(torch.zeros(2, K, 3)), batch)
    assert (float(xy), float(depth)) == (0.5, 0.5)


def test_left_hands_are_those_of_side_0():
    assert is_left({"side": torch.tensor([0, 1, 0])}).tolist() == [True, False, True]
    assert is_left({}) is None


@pytest.mark.parametrize(("mirror_left", "told"), [(True, [True, False]), (False, None)])
def test_the_network_is_told_of_left_hands_where_they_are_mirrored(mirror_left, told):
    torch.manual_seed(0)
    module = Pose25DNet("latent", K, (16, 16), width=8)
    asked = []

    class Spy(torch.nn.Module):
        heatmap, last = module.heatmap, module.last

        def forward(self, rgb, side, left):
            asked.append(left if left is None else left.tolist())
            return module(rgb, side, left)

    batch = {
        "rgb": torch.rand(2, 16, 16, 3),
        "keypoints2d": torch.rand(2, K, 2) * 15,
        "relative_depth": torch.randn(2, K),
        "side": torch.tensor([0, 1]),
    }
    objective = HeatmapObjective(1.0, 1.0, mirror_left, codecs={"rgb": RGBCodec()}, dtype=torch.float32)
    optimizer = torch.optim.SGD(module.parameters(), 0.0)
    objective.step(Spy(), {"hands": batch}, StepContext(optimizer, measure=False))
    assert asked == [told]


def test_augmentation_is_the_documented_one():
    assert LatentHeatmapRegressor._paper_augment == {
        "rotate": 45.0, "shift": 0.1, "zoom": 0.2, "flip": None, "colour": 0.3
    }  # fmt: skip


# ---------------------------------------------------------------- labels


def test_labels_are_the_projections_and_the_depths_in_bones(rng):
    """Depths are (z - z_root) / |bone|; a joint that is unknown, or behind the camera, leaves the others."""
    poses = rng.normal(0, 40, (4, K, 3)) + [0, 0, 500]
    camera = random_cameras(rng, 4)
    poses[1, 8], poses[2, 12, 2], poses[3] = np.nan, -50.0, np.nan
    columns = {"camera": camera}
    add_labels(columns, poses, "wrist", ("index_mcp", "wrist"))
    bones = np.linalg.norm(poses[:, 5] - poses[:, 0], axis=1)[:, None]
    np.testing.assert_allclose(columns["relative_depth"], (poses[..., 2] - poses[:, :1, 2]) / bones)
    homogeneous = np.einsum("nab,njb->nja", camera, poses)
    places = homogeneous[..., :2] / homogeneous[..., 2:]
    places[2, 12] = np.nan
    np.testing.assert_allclose(columns["keypoints2d"], places)


def test_labels_keep_the_tables_own_keypoints_and_leave_out_unseen_ones_without_a_pose(rng):
    poses = rng.normal(0, 40, (2, K, 3)) + [0, 0, 500]
    poses[1] = np.nan
    keypoints = rng.uniform(0, 30, (2, K, 2))
    keypoints[0, 3] = np.nan
    columns = {
        "camera": random_cameras(rng, 2),
        "keypoints2d": keypoints.copy(),
        "visible": np.arange(2 * K).reshape(2, K) % 2 == 0,
    }
    add_labels(columns, poses, "palm", ("index_mcp", "wrist"))
    x, y, z = columns["camera"][0] @ poses[0, 3]
    keypoints[0, 3] = x / z, y / z
    keypoints[1, 0::2] = np.nan  # of the second row those with an even number are not seen
    np.testing.assert_allclose(columns["keypoints2d"], keypoints)
    assert np.isnan(columns["relative_depth"][1]).all()


def test_scale_and_root_are_compared_with_the_poses_by_medians(rng):
    poses = rng.normal(0, 40, (5, K, 3)) + [0, 0, 500]
    poses[4] = np.nan
    bones = np.linalg.norm(poses[:, 5] - poses[:, 0], axis=1)
    columns = {"pose3d": poses, "scale": bones / [2.0, 3.0, 3.0, 70.0, 1.0]}
    assert scale_ratio(columns, ("index_mcp", "wrist")) == pytest.approx(3.0)
    off = np.array([[3.0, 4, 0], [0, 0, 7], [0, 0, 7], [0, 90, 0], [0, 0, 0]])
    assert root_distance({"pose3d": poses, "root": poses[:, 0] + off}, "wrist") == pytest.approx(7.0)
    assert root_distance({"pose3d": poses, "root": np.full((5, 3), np.nan)}, "wrist") == 0.0


def test_a_joint_that_would_be_behind_the_camera_puts_the_hand_at_the_prior(rng):
    """The nearest joint, 1000 bones before the root, then lies at the prior."""
    camera = random_cameras(rng, 3)
    points, scale = encode_25d(rng.normal(0, 40, (3, K, 3)) + [0, 0, 500], camera)
    points[1, 12, 2] = -1000.0
    options = {"bone": ("index_mcp", "wrist"), "scale": scale, "root_depth": None}
    placed = recover_poses(points, camera, np.ones(20), 6.0, **options)
    assert placed.clamped[1]
    assert placed.root_depth[1] / scale[1] == pytest.approx(1006.0)
    assert placed.joints[1, 12, 2] / scale[1] == pytest.approx(6.0)
    assert (placed.joints[[0, 2], :, 2] > 0).all()


def test_the_spread_of_joints_is_that_of_their_coordinates_by_small_steps(rng):
    """Against differences: each of u, v and depth moved alone, with root depth and scale kept."""
    poses, camera = rng.normal(0, 40, (3, K, 3)) + [0, 0, 500], random_cameras(rng, 3)
    points, scale = encode_25d(poses, camera)
    depth = root_position(poses)[:, 2]

    def place(points):
        options = {"bone": ("index_mcp", "wrist"), "scale": scale, "root_depth": depth}
        return recover_poses(points, camera, np.ones(20), 1.0, **options)

    placed = place(points)
    np.testing.assert_allclose(placed.joints, poses, atol=1e-6)
    stds = np.array([1.5, 0.5, 0.02])
    turn = Rotation.random(3, random_state=0).as_matrix()
    covariance = np.broadcast_to(np.diag(stds**2), (3, K, 3, 3))
    for columns, turned in (({}, np.eye(3)[None]), ({"rotation": turn}, turn)):
        moved = [
            (place(points + 1e-4 * step).joints - placed.joints) @ turned / 1e-4 for step in np.diag(stds)
        ]
        got = propagated_std(placed, covariance, {"camera": camera, **columns})
        np.testing.assert_allclose(got, np.sqrt(sum(each**2 for each in moved)), rtol=1e-3)


# ---------------------------------------------------------------- 2.5D and scale (Sec. 3)


def real_poses(real_data):
    """Real and rendered poses, relative to their palm, mm."""
    poses = []
    for name in ("stb", "rhd"):
        with np.load(real_data / "poses" / f"{name}_poses.npz") as data:
            poses.append(data["joints_mm"][::2].astype(np.float64))
    joints = np.concatenate(poses)
    return joints - root_position(joints)[:, None]


def quadratic(points, camera, bone=(5, 0)):
    """Coefficients of the root's depth, from the bone's two ends (Eq. 6 with b's factor 2)."""
    rays = np.concatenate([points[..., :2], np.ones((len(points), K, 1))], -1)
    rays = rays @ np.swapaxes(np.linalg.inv(camera), -1, -2)
    n, m = (rays[:, joint] for joint in bone)
    zn, zm = (points[:, joint, 2, None] for joint in bone)
    slope, offset = n - m, zn * n - zm * m
    return (slope**2).sum(1), 2 * (slope * offset).sum(1), (offset**2).sum(1) - 1


def round_trip(joints, camera):
    """Largest error of each hand (mm) after 3D -> 2.5D -> 3D, and what the quadratic says of it.

    ``slope`` is the quadratic's derivative at the true depth, ``allowed`` (mm) the error that rounding makes
    where that is steep, ``flat`` (mm) the one at a double root: rays are at most twice as long as deep.
    """
    points, scale = encode_25d(joints, camera)
    back = decode_25d(points, camera, scale)
    a, b, c = quadratic(points, camera)
    z = root_position(joints)[:, 2] / scale
    slope = 2 * a * z + b
    rounding = 16 * np.finfo(float).eps * (a * z**2 + np.abs(b) * z + np.abs(c) + 1)
    with np.errstate(divide="ignore"):
        allowed = 2 * scale * rounding / np.abs(slope)
    flat = 2 * scale * np.sqrt(rounding / a)
    return np.abs(back.joints - joints).max(axis=(1, 2)), back, slope, allowed, flat


def random_cameras(rng, n):
    camera = np.zeros((n, 3, 3))
    camera[:, 0, 0], camera[:, 1, 1] = rng.uniform(200, 1500, (2, n))
    camera[:, 0, 1], camera[:, :2, 2], camera[:, 2, 2] = (
        rng.uniform(-3, 3, n),
        rng.uniform(50, 400, (n, 2)),
        1,
    )
    return camera


def places(rng, n):
    return np.stack([rng.uniform(-150, 150, n), rng.uniform(-150, 150, n), rng.uniform(250, 1500, n)], axis=1)


def test_real_poses_come_back_from_random_cameras(real_data, rng):
    joints = real_poses(real_data)
    n = len(joints)
    joints = joints @ Rotation.random(n, random_state=0).as_matrix() + places(rng, n)[:, None]
    off, back, slope, allowed, _ = round_trip(joints, random_cameras(rng, n))
    well = (slope > 0) & (allowed < 1e-6)
    assert well.mean() > 0.95
    assert off[well].max() < 1e-6
    assert (slope < 0).sum() > 5  # the other root was the true one
    assert back.ambiguous[slope < 0].all()


def test_bones_along_the_line_of_sight_come_back_as_well_as_they_are_conditioned(rng):
    """Turned from it by 1e-9 to 1e-2 rad: the two roots are nearly one."""
    n = 20_000
    joints = rng.normal(0, 40, (n, K, 3)) + places(rng, n)[:, None]
    along = joints[:, 0] / np.linalg.norm(joints[:, 0], axis=1, keepdims=True)
    across = np.cross(along, rng.normal(size=(n, 3)))
    across *= 10 ** rng.uniform(-9, -2, (n, 1)) / np.linalg.norm(across, axis=1, keepdims=True)
    joints[:, 5] = joints[:, 0] + rng.choice([-80.0, 80.0], (n, 1)) * (along + across)
    off, back, slope, allowed, flat = round_trip(joints, random_cameras(rng, n))
    well, ill = (slope > 0) & (allowed < 1e-6), (slope > 0) & (allowed >= 1e-6)
    assert well.sum() > 1000 and ill.sum() > 1000 and (slope < 0).sum() > 1000
    assert off[well].max() < 1e-6
    assert (off[ill] <= np.minimum(allowed, flat)[ill]).all()
    assert back.ambiguous[(slope < 0) & (allowed < 1e-6)].all()


def test_the_scale_is_that_of_a_numeric_minimiser(rng):
    joints = rng.normal(0, 1, (20, K, 3))
    mean = rng.uniform(20, 90, 20)
    found = recover_scale(joints, mean)
    for row, scale in enumerate(found):
        lengths = [np.linalg.norm(joints[row, k] - joints[row, m]) for k, m in BONES]
        best = minimize_scalar(
            lambda s, d=lengths: sum((s * x - mu) ** 2 for x, mu in zip(d, mean, strict=True))
        )
        assert scale == pytest.approx(best.x, rel=1e-6)


def test_unknown_bones_do_not_count_for_the_scale(rng):
    hand = rng.normal(0, 1, (1, K, 3))
    mean = 40 * bone_lengths(hand)[0]
    tips = hand.copy()
    tips[0, [4, 8]] = np.nan
    mean[12] = np.nan
    np.testing.assert_allclose(recover_scale(tips, mean), 40)
    assert np.isnan(recover_scale(np.full((1, K, 3), np.nan), mean)).all()
    with pytest.raises(InputError, match="mean_bones"):
        recover_scale(hand, np.zeros(20))


def test_mean_bones_leave_unknown_ones_out(rng):
    hands = rng.normal(0, 40, (5, K, 3))
    hands[0, 4] = np.nan
    wanted = bone_lengths(hands)
    np.testing.assert_allclose(mean_bone_lengths(hands)[0], wanted[:, 0].mean())
    np.testing.assert_allclose(mean_bone_lengths(hands)[3], wanted[1:, 3].mean())


# ---------------------------------------------------------------- networks (Sec. 5.2 and 5.3)


def on_meta(**options):
    with torch.device("meta"):
        return HeatmapNet(3, 2 * K, **options)


def n_weights(net):
    return sum(weight.numel() for weight in net.parameters())


def test_parameter_counts_are_those_of_the_paper():
    with torch.device("meta"):
        one, two, fast = (
            n_weights(Pose25DNet("latent", K, (128, 128), **options))
            for options in ({}, {"n_stacks": 2}, {"fast": True})
        )
    assert one == pytest.approx(17e6, rel=0.05)
    assert two == pytest.approx(35e6, rel=0.05)
    assert (one, two, fast) == (16_991_039, 34_071_422, 3_147_967)  # as the estimator's notes say
    for count in (one, two, fast):
        assert f"{count:,}".replace(",", " ") in LatentHeatmapRegressor.__doc__


def multiply_adds(net, size):
    """Multiplications of all convolutions on one picture."""
    total = 0

    def count(layer, inputs, output):
        nonlocal total
        total += layer.weight.numel() * output.shape[2] * output.shape[3]

    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    net(torch.empty(2, 3, size, size, device="meta"))
    return total


def test_maps_have_the_pictures_size_and_256_channels():
    net = on_meta()
    maps, features = net(torch.empty(2, 3, 128, 128, device="meta"))
    assert maps[0].shape == (2, 2 * K, 128, 128)
    assert features.shape == (2, 256)
    convolutions = [layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert {layer.out_channels for layer in convolutions} == {256, 2 * K}
    assert [layer.kernel_size[0] for layer in convolutions[-3:]] == [7, 7, 7]


def test_the_fast_network_has_half_the_channels_and_a_seventh_of_the_work():
    net = on_meta(fast=True)
    convolutions = [layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert {layer.out_channels for layer in convolutions[:-3]} == {128}
    assert [layer.kernel_size[0] for layer in convolutions[-3:]] == [1, 3, 1]
    assert multiply_adds(on_meta(), 128) > 7 * multiply_adds(net, 128)


@pytest.mark.parametrize("size", [(16, 16), (30, 47)])
def test_pictures_may_have_any_size(size):
    maps, _ = HeatmapNet(3, 4, width=4)(torch.rand(2, 3, *size))
    assert maps[0].shape == (2, 4, *size)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("shift", [(32, -32), (-64, 32)])
def test_a_picture_moved_by_the_largest_stride_moves_the_maps_by_as_much(fast, shift):
    """Exactly, away from the border: convolutions, halving and doubling alike. By less, about as much."""
    torch.manual_seed(0)
    net = HeatmapNet(3, 4, width=3, fast=fast).eval()
    picture = torch.zeros(1, 3, 448, 448)
    picture[:, :, 200:248, 180:244] = 100 * torch.rand(1, 3, 48, 64)
    with torch.inference_mode():
        before, moved = (net(each)[0][0] for each in (picture, torch.roll(picture, shift, dims=(2, 3))))
    middle = (..., slice(144, 304), slice(144, 304))
    wanted = torch.roll(before, shift, dims=(2, 3))[middle]
    assert (wanted - before[middle]).abs().max() > 1e-2
    np.testing.assert_allclose(moved[middle].numpy(), wanted.numpy(), atol=1e-5)


@pytest.mark.slow
def test_the_fast_network_is_more_than_six_times_as_fast():
    """Best of three alternating passes at full width; the paper: 150 against 20 images/s."""
    nets = {fast: Pose25DNet("latent", K, (96, 96), fast=fast).eval() for fast in (False, True)}
    images, best = torch.rand(1, 3, 96, 96), {False: np.inf, True: np.inf}
    with torch.inference_mode():
        for _ in range(3):
            for fast, net in nets.items():
                start = time.perf_counter()
                net(images)
                best[fast] = min(best[fast], time.perf_counter() - start)
    assert best[False] > 6 * best[True]
