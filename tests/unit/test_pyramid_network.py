"""The default network of LatentHeatmapRegressor: trunks, maps, places, and left hands mirrored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import CAMERA, drawn_hands
from torch import nn
from torch.nn import functional

from skhand.datasets import make_hands
from skhand.estimators import LatentHeatmapRegressor
from skhand.estimators.latent_heatmap.network import (
    Maps25D,
    Pose25DNet,
    gaussian_maps,
    latent_pose,
    map_spread,
    scale_places,
)
from skhand.estimators.latent_heatmap.pyramid import PyramidNet
from skhand.estimators.latent_heatmap.steps import HeatmapObjective
from skhand.exceptions import InputError
from skhand.geometry import project
from skhand.metrics import mean_epe
from skhand.nn import TRUNKS, fold_batch_norm, fold_once, trunk_levels
from skhand.training import rows_together

SIZES = ((128, 128), (96, 64), (33, 33))


def small(**options):
    settings = {
        "backbone": "mobilenet_v3_small", "width": 8, "max_epochs": 1, "batch_size": 12, "augment": None,
        "precision": "float32", "device": "cpu", "random_state": 0,
    }  # fmt: skip
    return LatentHeatmapRegressor(**{**settings, **options})


@pytest.fixture(scope="module")
def hands():
    return make_hands(24, image_size=32, rotation=60.0, images=("rgb",), random_state=0)


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize("in_channels", [3, 5])
@pytest.mark.parametrize("backbone", TRUNKS)
def test_every_trunk_gives_maps_of_a_quarter_of_the_picture(backbone, in_channels):
    torch.manual_seed(0)
    net = PyramidNet(backbone, in_channels, 6, width=4).eval()
    folded = fold_batch_norm(net)
    for height, width in SIZES:
        pictures = torch.rand(1, in_channels, height, width) - 0.5
        with torch.inference_mode():
            (maps,), features = net(pictures)
            (same,), _ = folded(pictures)
        assert maps.shape == (1, 6, -(-height // 4), -(-width // 4))
        assert features.shape == (1, net.n_features)
        assert torch.isfinite(maps).all()
        assert (same - maps).abs().max() < 0.02 * maps.abs().max()  # sums of large numbers without training


def test_convolutions_kept_in_half_precision_give_the_bits_of_autocast():
    torch.manual_seed(0)
    net = PyramidNet("resnet10", 3, 6, width=8).eval()
    pictures = torch.rand(2, 3, 64, 64) - 0.5
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        (maps,), _ = fold_once(net, torch.channels_last)(pictures)
        halved = fold_once(net, torch.channels_last, torch.bfloat16)
        (same,), _ = halved(pictures)
        assert fold_once(net, torch.channels_last, torch.bfloat16) is halved
        assert fold_once(net, torch.channels_last).last.weight.dtype == torch.float32
    assert halved.last.weight.dtype == torch.bfloat16
    assert torch.equal(maps, same)


def test_a_batch_is_not_filled_up_where_speed_counts_more(hands, monkeypatch):
    """In half precision, chunks have one size, so that a row's bits do not depend on the others'."""
    est = small(predict_precision="bfloat16").fit(hands.data, hands.target)
    sizes, forward = [], Pose25DNet.forward

    def count(net, images, *more):
        sizes.append(len(images))
        return forward(net, images, *more)

    monkeypatch.setattr(Pose25DNet, "forward", count)
    filled = est.predict_keypoints(hands.data[:3])
    with rows_together():
        alone = est.predict_keypoints(hands.data[:3])
    assert sizes == [16, 3]
    assert np.allclose(filled, alone, atol=1.0)


def test_resnet10_is_torchvisions_resnet_with_one_block_a_level():
    levels, channels = trunk_levels("resnet10", 3)
    assert channels == [64, 128, 256, 512]
    # 7 x 7 and 8 of 3 x 3, three 1 x 1, and two numbers a channel of each normalisation
    convolutions = 9 * (2 * 64 * 64 + sum(a * 2 * a + 4 * a * a for a in (64, 128, 256)))
    strided = sum(2 * a * a for a in (64, 128, 256))
    norms = 2 * (3 * 64 + 3 * (128 + 256 + 512))
    counted = sum(weight.numel() for level in levels for weight in level.parameters())
    assert counted == 147 * 64 + convolutions + strided + norms


def test_the_maps_start_flat_and_every_weight_learns():
    torch.manual_seed(0)
    net = Pose25DNet("latent", 21, (64, 64), network="pyramid", backbone="resnet10", width=16)
    answers, _ = net(torch.rand(4, 3, 64, 64) - 0.5)
    assert answers[0].heatmaps.amax() < 20 / 16**2
    answers[0].points.square().sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in net.parameters())
    assert sum(weight.grad.abs().sum() > 0 for weight in net.parameters()) > 0.9 * len(list(net.parameters()))


# ---------------------------------------------------------------- places


class Blocks(nn.Module):
    """In a network's place: maps whose pixels are the means of what they cover of the picture's channels."""

    def forward(self, images):
        return [functional.interpolate(images, scale_factor=0.25, mode="area")], images.mean(dim=(2, 3))


@pytest.mark.parametrize(("height", "width"), [(128, 128), (96, 64)])
def test_a_pixel_of_a_map_is_at_the_middle_of_the_pixels_that_it_covers(height, width):
    """One block of 4 x 4 px is bright; the middle of px 4k to 4k + 3 is 4k + 1.5."""
    net = Pose25DNet("latent", 1, (height, width), network="pyramid", backbone="resnet10", width=4, beta=200)
    net.body = Blocks()
    for row, column in [(0, 0), (3, 7), (height // 4 - 1, width // 4 - 1)]:
        pictures = torch.zeros(1, 2, height, width)
        pictures[0, 0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 1.0
        pictures[0, 1] = 0.75  # the depth
        (answer,), _ = net(pictures)
        wanted = torch.tensor([4 * column + 1.5, 4 * row + 1.5, 0.75])
        torch.testing.assert_close(answer.points[0, 0], wanted)
        spread = map_spread(answer, True, (height, width))
        torch.testing.assert_close(spread, torch.zeros(1, 1, 3, 3), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("size", "n_maps"), [(128, 32), (33, 9), (30, 8)])
def test_the_first_and_last_pixel_of_maps_are_as_far_from_the_pictures_border(size, n_maps):
    maps = torch.full((1, 2 * n_maps, n_maps, n_maps), -1e3)
    k = torch.arange(n_maps)
    maps[0, k, k, k] = 0.0  # joint k is on the diagonal
    points = latent_pose(maps, torch.ones(n_maps)).points
    torch.testing.assert_close(points[0, :, 0], k.float())
    scale = (size / n_maps, size / n_maps)
    u, v, _ = scale_places(points, scale)[0].unbind(dim=1)
    torch.testing.assert_close(u, v)
    torch.testing.assert_close(u[0] + 0.5, size - 0.5 - u[-1])
    torch.testing.assert_close(u.diff(), torch.full((n_maps - 1,), size / n_maps))


def test_places_come_back_from_the_maps_and_targets_stand_where_joints_are():
    places = torch.tensor([[[47.3, 60.9], [63.5, 2.0]]])
    small_ones = scale_places(places, (0.25, 0.25))
    torch.testing.assert_close(scale_places(small_ones, (4.0, 4.0)), places)
    target = gaussian_maps(small_ones, 32, 32, 1.5)
    inside = target[0, 0] / target[0, 0].sum()
    middle = torch.stack([(inside.sum(dim=d) * torch.arange(32)).sum() for d in (0, 1)])
    torch.testing.assert_close(4 * middle + 1.5, places[0, 0], atol=0.01, rtol=0)


def test_far_from_a_joint_its_map_has_no_numbers_that_take_long():
    """Numbers below the normal ones of float32, but for 0, take a processor ten times as long."""
    maps = torch.full((1, 2, 8, 8), -20.0)
    maps[0, 0, 3, 3] = 0.0
    answer = latent_pose(maps, torch.tensor([4.45]))  # exp(-89) is below them
    smallest = torch.finfo(torch.float32).tiny
    for values in (answer.heatmaps, answer.depth_maps):
        assert ((values == 0) | (values.abs() >= smallest)).all()
    torch.testing.assert_close(answer.points, torch.tensor([[[3.0, 3.0, -20.0]]]))


def test_the_spread_of_maps_is_in_pixels_of_the_picture():
    """Half of the probability in each of two neighbours of a map: 2 px to either side in the picture."""
    heatmaps = torch.zeros(1, 1, 8, 8)
    heatmaps[0, 0, 3, [2, 3]] = 0.5
    points = torch.tensor([[[4 * 2.5 + 1.5, 4 * 3 + 1.5, 0.0]]])
    covariance = map_spread(Maps25D(points, heatmaps, torch.zeros_like(heatmaps)), True, (32, 32))
    torch.testing.assert_close(covariance[0, 0], torch.diag(torch.tensor([4.0, 0.0, 0.0])))


# ---------------------------------------------------------------- the estimator


def test_it_learns_where_the_joints_are():
    est = small(backbone=None, width=16, lr=5e-3, max_epochs=7, batch_size=24, lr_schedule="cosine")
    est.fit(*drawn_hands(160, 0))
    X, y = drawn_hands(40, 1)
    wanted = project(y, CAMERA)
    mean = np.broadcast_to(wanted.mean(axis=0), wanted.shape)
    assert mean_epe(wanted, est.predict_keypoints(X), n_dims=2) < 0.4 * mean_epe(wanted, mean, n_dims=2)


def test_the_direct_heads_loss_is_zero_at_the_scaled_gaussians_and_one_at_zero():
    places = torch.tensor([[[17.3, 40.9], [63.5, 2.0]]])
    depth = torch.tensor([[0.5, -2.0]])
    batch = {"rgb": torch.zeros(1, 128, 128, 3), "keypoints2d": places, "relative_depth": depth}
    objective = HeatmapObjective(
        0.3, 8.0, False, codecs={}, augment=None, use_side=False, dtype=torch.float32
    )
    v, u = torch.meshgrid(*[4.0 * torch.arange(32) + 1.5] * 2, indexing="ij")  # px of the picture
    off = (u - places[..., 0, None, None]).square() + (v - places[..., 1, None, None]).square()
    target = torch.exp(-off / (2 * 8.0**2))
    right = Maps25D(places, target, target * depth[..., None, None])
    torch.testing.assert_close(torch.stack(objective._direct(right, batch)), torch.zeros(2))
    flat = Maps25D(places, torch.zeros(1, 2, 32, 32), torch.zeros(1, 2, 32, 32))
    inside = {**batch, "keypoints2d": torch.tensor([[[60.0, 64.0], [63.5, 70.0]]])}
    xy, along = objective._direct(flat, inside)
    assert xy.item() == pytest.approx(1.0, rel=1e-3)
    assert along.item() == pytest.approx((0.5**2 + 2.0**2) / 2, rel=1e-3)


def test_the_default_is_a_pyramid_on_resnet10(hands):
    est = LatentHeatmapRegressor(max_epochs=1, batch_size=24, random_state=0).fit(hands.data, hands.target)
    assert isinstance(est.module_.body, PyramidNet)
    assert est.architecture_["width"] == 96 and est.architecture_["backbone"] == "resnet10"
    assert est.predict_heatmaps(hands.data).joints.shape == (24, 21, 8, 8)
    assert est.transform(hands.data).shape == (24, 512)
    assert len(est.get_feature_names_out()) == 512
    assert np.isfinite(est.predict(hands.data, return_std=True)[1]).all()


def test_each_network_has_its_own_width_and_trunk(hands):
    wanted = {
        ("pyramid", "latent"): (96, "resnet10"),
        ("pyramid", "holistic"): (96, "resnet50"),
        ("paper", "latent"): (256, "resnet10"),
    }
    for (network, heatmap), (width, backbone) in wanted.items():
        made = LatentHeatmapRegressor(network=network, heatmap=heatmap)._architecture()
        assert made["width"] == width
        assert made["backbone"] == backbone or network == "paper"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_stacks": 2}, "n_stacks: expected 1 with network='pyramid'"),
        ({"fast": True}, "fast: expected False with network='pyramid'"),
        ({"network": "transformer"}, "network: expected"),
        ({"backbone": "small"}, "backbone: expected"),
        ({"backbone": "mobilenet_v3_small", "heatmap": "holistic"}, "backbone: expected"),
        ({"mirror_left": 2}, "mirror_left: expected"),
        ({"width": 0}, "width: expected"),
    ],
)
def test_what_the_pyramid_has_not_is_refused(hands, settings, message):
    with pytest.raises(InputError, match=f"^{message}"):
        small(**settings).fit(hands.data, hands.target)


@pytest.mark.parametrize("settings", [{"n_stacks": 2}, {"fast": True}])
def test_the_papers_network_and_a_holistic_head_take_it(hands, settings):
    small(network="paper", width=4, **settings).fit(hands.data, hands.target)
    small(heatmap="holistic", backbone="small", **settings).fit(hands.data, hands.target)


def test_another_network_is_not_gone_on_with(hands):
    est = small(warm_start=True).fit(hands.data, hands.target)
    with pytest.raises(InputError, match="network: expected"):
        est.set_params(network="paper").fit(hands.data, hands.target)


# ---------------------------------------------------------------- left hands mirrored


def mirrored(X):
    """The other side's hands: pictures and labels mirrored, left to right."""
    keypoints = X.keypoints2d.copy()
    keypoints[..., 0] = X.rgb.shape[2] - 1 - keypoints[..., 0]
    side = np.where(X.side == "left", "right", "left")
    return X.replace(rgb=np.ascontiguousarray(X.rgb[:, :, ::-1]), keypoints2d=keypoints, side=side)


@pytest.mark.parametrize("heatmap", ["latent", "direct", "holistic"])
def test_a_mirrored_picture_of_the_other_side_gets_the_mirrored_answer(hands, heatmap):
    backbone = "small" if heatmap == "holistic" else "mobilenet_v3_small"
    est = small(mirror_left=True, heatmap=heatmap, backbone=backbone).fit(hands.data, hands.target)
    other = mirrored(hands.data)
    assert set(hands.data.side) == {"left", "right"}
    points, turned = est.predict_25d(hands.data).points, est.predict_25d(other).points
    np.testing.assert_array_equal(turned[..., 1:], points[..., 1:])
    np.testing.assert_allclose(turned[..., 0], 31 - points[..., 0], rtol=0, atol=1e-5)  # float32
    np.testing.assert_array_equal(est.transform(other), est.transform(hands.data))
    if heatmap != "holistic":
        maps, flipped = est.predict_heatmaps(hands.data), est.predict_heatmaps(other)
        np.testing.assert_array_equal(flipped.joints, maps.joints[..., ::-1])
        np.testing.assert_array_equal(flipped.depths, maps.depths[..., ::-1])


def test_left_hands_train_as_their_mirror_images(hands):
    other = mirrored(hands.data)
    poses = hands.target * [-1.0, 1.0, 1.0]
    camera = hands.data.camera.copy()
    camera[:, 0, 2] = 31 - camera[:, 0, 2]
    one = small(mirror_left=True).fit(hands.data, hands.target)
    two = small(mirror_left=True).fit(other.replace(camera=camera), poses)
    np.testing.assert_allclose(two.history_["train_loss"], one.history_["train_loss"], rtol=1e-3)
    np.testing.assert_allclose(
        two.predict_keypoints(hands.data), one.predict_keypoints(hands.data), rtol=0, atol=0.05
    )


def test_without_a_column_side_all_hands_are_right_ones(hands):
    bare = hands.data.replace(side=None)
    right = hands.data.replace(side=np.full(24, "right"))
    est = small(mirror_left=True).fit(bare, hands.target)
    np.testing.assert_array_equal(est.predict_keypoints(bare), est.predict_keypoints(right))
    left = hands.data.replace(side=np.full(24, "left"))
    assert np.abs(est.predict_keypoints(left) - est.predict_keypoints(right)).max() > 1e-3
