"""The networks of Abdi et al. 2018 (Tables 2-4): shapes, parameter counts, plain references, sharing."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch.nn import functional

from skhand.estimators.sim_to_real.network import DOMAINS, SimToRealNet
from skhand.exceptions import InputError


def on_meta(n_outputs=108, channels=1, image_size=(128, 128), **options):
    with torch.device("meta"):
        return SimToRealNet(n_outputs, channels, image_size, **options)


def small(n_outputs=63, channels=1, image_size=(32, 24), width=4, seed=0):
    torch.manual_seed(seed)
    return SimToRealNet(n_outputs, channels, image_size, width=width)


def pictures(channels=1, image_size=(32, 24), n=3, seed=0):
    return torch.rand(n, channels, *image_size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def count(part):
    return sum(weight.numel() for weight in part.parameters())


def weights_of(parts):
    return {id(weight) for part in parts for weight in part.parameters()}


# ---------------------------------------------------------------- the full preset

# weights and biases of every layer, by hand: inputs (of a group) x outputs x places of the kernel + outputs
BLOCK = [256 * 512 + 512, 128 * 512 * 9 + 512, 512 * 256 + 256]
BY_HAND = {
    "pose_encoder": [108 * 30 + 30, 2 * (30 * 20 + 20)],
    "pose_decoder": [20 * 30 + 30, 30 * 108 + 108],
    "mapping": [
        20 * 1024 * 16 + 1024,
        1024 * 1024 * 16 + 1024,
        1024 * 512 * 16 + 512,
        512 * 256 * 16 + 256,
    ],
    "encoders.real": [1 * 64 * 49 + 64, 64 * 128 * 9 + 128, 128 * 256 * 9 + 256, *3 * BLOCK],
    "shared_encoder": BLOCK,
    "shared_generator": BLOCK,
    "generators.real": [*3 * BLOCK, 256 * 256 * 9 + 256, 256 * 128 * 9 + 128, 128 * 1 * 1 + 1],
    "fronts.real": [1 * 64 * 9 + 64, 64 * 128 * 9 + 128],
    "trunk": [
        128 * 256 * 9 + 256,
        256 * 512 * 9 + 512,
        512 * 1024 * 9 + 1024,
        1024 * 2048 * 9 + 2048,
    ],
    "judge_end": [2048 * 1 * 4 + 1],
    "posterior_end": [2048 * 20 * 4 + 20],
}
SUMS = {
    "pose_encoder": 4_510,
    "pose_decoder": 3_978,
    "mapping": 27_593_472,
    "encoders.real": 2_931_968,
    "shared_encoder": 853_248,
    "shared_generator": 853_248,
    "generators.real": 3_444_993,
    "fronts.real": 74_496,
    "trunk": 25_071_360,
    "judge_end": 8_193,
    "posterior_end": 163_860,
}


@pytest.mark.parametrize("name", BY_HAND)
def test_parameter_counts_are_those_of_the_tables(name):
    net = on_meta()
    part = net.get_submodule(name)
    layers = [count(layer) for layer in part.modules() if next(layer.children(), None) is None]
    assert [n for n in layers if n] == BY_HAND[name]
    assert count(part) == sum(BY_HAND[name]) == SUMS[name]
    if name.endswith(".real"):
        assert count(net.get_submodule(name.replace("real", "synthetic"))) == SUMS[name]


def test_the_whole_has_67_million_parameters():
    twice = ("encoders.real", "generators.real", "fronts.real")
    assert count(on_meta()) == sum(SUMS.values()) + sum(SUMS[name] for name in twice) == 67_454_783


def shapes(part, call):
    """Shapes (channels, height, width) of what the convolutions of a part give."""
    seen = []
    hooks = [
        layer.register_forward_hook(lambda _, __, output: seen.append(tuple(output.shape[1:])))
        for layer in part.modules()
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d)
    ]
    call()
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("domain", DOMAINS)
def test_shapes_on_the_way_are_those_of_the_tables(domain):
    net = on_meta()
    x, z = torch.empty(2, 1, 128, 128, device="meta"), torch.empty(2, 256, 32, 32, device="meta")
    block = [(512, 32, 32), (512, 32, 32), (256, 32, 32)]
    start = [(64, 128, 128), (128, 64, 64), (256, 32, 32)]
    assert shapes(net, lambda: net.encode(x, domain)) == start + 4 * block
    end = [(256, 64, 64), (128, 128, 128), (1, 128, 128)]
    assert shapes(net, lambda: net.generate(z, domain)) == 4 * block + end
    six = [(64, 64, 64), (128, 32, 32), (256, 16, 16), (512, 8, 8), (1024, 4, 4), (2048, 2, 2)]
    assert shapes(net, lambda: net.posterior(net.features(x, domain))) == [*six, (20, 1, 1)]
    assert shapes(net, lambda: net.judge(net.features(x, domain))) == [*six, (1, 1, 1)]
    latent = torch.empty(2, 20, device="meta")
    doubled = [(1024, 4, 4), (1024, 8, 8), (512, 16, 16), (256, 32, 32)]
    assert shapes(net, lambda: net.map_pose(latent)) == doubled
    assert net.encode(x, domain).shape == net.map_pose(latent).shape == (2, 256, 32, 32)


def test_what_comes_out_of_the_full_preset():
    net = on_meta()
    x = torch.empty(2, 1, 128, 128, device="meta")
    features = net.features(x, "real")
    assert net.generate(net.encode(x, "synthetic"), "real").shape == x.shape
    assert features.shape == (2, 2048, 2, 2)
    assert net.judge(features).shape == (2,)
    mean, log_var = net.pose_encoder(torch.empty(2, 108, device="meta"))
    assert mean.shape == log_var.shape == net.posterior(features).shape == (2, 20)
    assert net.pose_decoder(mean).shape == (2, 108)


# ---------------------------------------------------------------- plain references


def leaky(x):
    return torch.where(x > 0, x, 0.01 * x)


def normalised(x):
    """Every channel of every row to mean 0 and variance 1 over its places."""
    centred = x - x.mean(dim=(2, 3), keepdim=True)
    return centred / torch.sqrt(centred.square().mean(dim=(2, 3), keepdim=True) + 1e-5)


def pairs(part):
    """Weight and bias of each layer, in order."""
    values = [value.detach() for value in part.state_dict().values()]
    return list(zip(values[::2], values[1::2], strict=True))


def plain_block(x, layers):
    """256 -> 512 -> 256 with the middle as four convolutions that each see a quarter, added to x."""
    (first, first_bias), (middle, middle_bias), (last, last_bias) = layers
    y = leaky(normalised(functional.conv2d(x, first, first_bias)))
    branches = [
        functional.conv2d(*each, padding=1)
        for each in zip(y.chunk(4, 1), middle.chunk(4), middle_bias.chunk(4), strict=True)
    ]
    y = leaky(normalised(torch.cat(branches, dim=1)))
    return x + normalised(functional.conv2d(y, last, last_bias))


def close(found, wanted):
    np.testing.assert_allclose(found.detach().numpy(), wanted.numpy(), atol=1e-10)


@pytest.mark.parametrize("image_size", [(32, 24), (29, 22)])
@pytest.mark.parametrize("domain", DOMAINS)
def test_encoders_and_generators_are_the_printed_layers(domain, image_size):
    net, x = small(image_size=image_size).double(), pictures(image_size=image_size).double()
    layers = pairs(net.encoders[domain])
    y = leaky(functional.conv2d(x, *layers[0], padding=3))
    for layer in layers[1:3]:
        y = leaky(functional.conv2d(y, *layer, stride=2, padding=1))
    for block in (layers[3:6], layers[6:9], layers[9:], pairs(net.shared_encoder)):
        y = plain_block(y, block)
    close(net.encode(x, domain), y)
    layers = pairs(net.generators[domain])
    for block in (pairs(net.shared_generator), layers[:3], layers[3:6], layers[6:9]):
        y = plain_block(y, block)
    for layer in layers[9:11]:
        y = leaky(functional.conv_transpose2d(y, *layer, stride=2, padding=1, output_padding=1))
    y = torch.tanh(functional.conv_transpose2d(y, *layers[11]))
    assert y.shape == (3, 1, 32, 24)
    close(net.generate(net.encode(x, domain), domain), y[..., : image_size[0], : image_size[1]])


@pytest.mark.parametrize("domain", DOMAINS)
def test_discriminators_and_posterior_are_the_printed_layers(domain):
    net, x = small(image_size=(128, 100)).double(), pictures(image_size=(128, 100)).double()
    y = x
    for layer in pairs(net.fronts[domain]) + pairs(net.trunk):
        y = leaky(functional.conv2d(y, *layer, stride=2, padding=1))
    features = net.features(x, domain)
    close(features, y)
    for end, found in ((net.judge_end, net.judge(features)[:, None]), (net.posterior_end, net.posterior(y))):
        (weight, bias) = pairs(end)[0]
        close(found, torch.einsum("nchw,kchw->nk", y, weight) + bias)


def test_mapping_and_pose_networks_are_the_printed_layers():
    net = small(image_size=(100, 128), width=2).double()
    poses = torch.randn(5, 63, generator=torch.Generator().manual_seed(0)).double()
    (first, first_bias), (head, head_bias) = pairs(net.pose_encoder)
    wanted = leaky(poses @ first.T + first_bias) @ head.T + head_bias
    mean, log_var = net.pose_encoder(poses)
    assert mean.dtype == log_var.dtype == torch.float32
    np.testing.assert_allclose(torch.cat([mean, log_var], 1).detach(), wanted, atol=1e-6)  # float32
    z = mean.detach().double()
    (first, first_bias), (last, last_bias) = pairs(net.pose_decoder)
    close(net.pose_decoder(z), leaky(z @ first.T + first_bias) @ last.T + last_bias)
    layers = pairs(net.mapping)
    y = torch.einsum("nc,ckhw->nkhw", z, layers[0][0]) + layers[0][1][:, None, None]
    for layer in layers[1:]:
        y = functional.conv_transpose2d(leaky(y), *layer, stride=2, padding=1)
    assert y.shape == (5, 8, 32, 32)
    close(net.map_pose(z), y[:, :, :25])


def test_the_log_variance_is_kept_in_a_range_that_cannot_overflow():
    net = small()
    with torch.no_grad():
        net.pose_encoder.head.linear.bias[:] = 1e6
    mean, log_var = net.pose_encoder(torch.zeros(2, 63))
    assert mean.min() > 1e5
    assert torch.isfinite(torch.exp(log_var)).all()


# ---------------------------------------------------------------- what is shared


def test_the_groups_of_weights_are_those_of_the_optimisers():
    net = small()
    pose, generators, discriminators, posterior = (
        weights_of(parts)
        for parts in (
            net.pose_parts(),
            net.generator_parts(),
            net.discriminator_parts(),
            net.posterior_parts(),
        )
    )
    assert pose | generators | discriminators | posterior == weights_of([net])
    assert not pose & generators
    assert not (pose | generators) & (discriminators | posterior)
    assert discriminators & posterior == weights_of([net.fronts, net.trunk])
    assert discriminators - posterior == weights_of([net.judge_end])
    assert posterior - discriminators == weights_of([net.posterior_end])


def by_deepcopy(net):
    return copy.deepcopy(net)


def by_pickle(net):
    return pickle.loads(pickle.dumps(net))


def by_weights_on_meta(net):
    stream = io.BytesIO()
    torch.save(net.state_dict(), stream)
    stream.seek(0)
    new = on_meta(63, 1, (32, 24), width=4)
    new.load_state_dict(torch.load(stream), assign=True)
    return new


@pytest.mark.parametrize("copied", [by_deepcopy, by_pickle, by_weights_on_meta])
def test_shared_blocks_stay_shared_in_copies(copied):
    net, x = small(), pictures()
    new = copied(net)
    assert count(new) == count(net) == sum(value.numel() for value in net.state_dict().values())
    z = net.encode(x, "real")
    for domain in DOMAINS:
        assert torch.equal(new.encode(x, domain), net.encode(x, domain))
        assert torch.equal(new.generate(z, domain), net.generate(z, domain))
        assert torch.equal(new.features(x, domain), net.features(x, domain))
    with torch.no_grad():  # one change of a shared block shows in both domains, and not in the original
        for block in (new.shared_encoder, new.shared_generator):
            block.layers[0].weight.mul_(-1)
    for domain in DOMAINS:
        assert not torch.allclose(new.encode(x, domain), net.encode(x, domain), atol=1e-2)
        assert not torch.allclose(new.generate(z, domain), net.generate(z, domain), atol=1e-3)
    assert torch.equal(net.encode(x, "real"), z)


def test_both_domains_learn_the_shared_parts_and_their_own():
    net, x = small(), pictures()
    for domain, other in (DOMAINS, DOMAINS[::-1]):
        net.zero_grad()
        z = net.encode(x, domain)
        features = net.features(net.generate(z, domain), domain)
        (net.judge(features).sum() + net.posterior(features).sum()).backward()
        for name, weight in net.named_parameters():
            reached = weight.grad is not None and bool(weight.grad.abs().max() > 0)
            normalised_away = weight.ndim == 1 and ("shared" in name or ".layers." in name)
            if not normalised_away:  # a bias before instance normalisation changes nothing
                assert reached == (f".{other}." not in name and "pose" not in name and "mapping" not in name)


# ---------------------------------------------------------------- any size, any number of joints

SIZES = [(8, 8), (9, 8), (8, 21), (13, 13), (30, 47), (64, 16), (64, 64), (65, 66)]


@pytest.mark.parametrize("image_size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_may_have_any_size(image_size, channels):
    net = small(channels=channels, image_size=image_size, width=1)
    x = pictures(channels, image_size)
    quarter = tuple(int(np.ceil(size / 4)) for size in image_size)
    n_halvings = 6 if max(image_size) > 32 else {8: 3, 9: 4, 13: 4, 21: 5}[max(image_size)]
    rest = tuple(int(np.ceil(size / 2**n_halvings)) for size in image_size)
    for domain in DOMAINS:
        z = net.encode(x, domain)
        made, features = net.generate(z, domain), net.features(x, domain)
        assert z.shape == net.map_pose(torch.randn(3, 20)).shape == (3, 4, *quarter)
        assert made.shape == x.shape
        assert features.shape == (3, 2 ** (n_halvings - 1), *rest)
        assert net.judge(features).shape == (3,)
        assert net.posterior(features).shape == (3, 20)
        assert torch.isfinite(z).all()
        assert made.abs().max() < 1
    assert net.latent_size == quarter


@pytest.mark.parametrize(
    ("size", "n_halvings"), [(8, 3), (16, 4), (17, 5), (32, 5), (33, 6), (128, 6), (256, 6)]
)
def test_no_convolution_sees_a_single_place(size, n_halvings):
    """At 32 px a sixth one would see one place, where 8 of 9 numbers of its kernels meet zeros alone."""
    net = on_meta(image_size=(size, size), width=1)
    halvings = shapes(net, lambda: net.features(torch.empty(2, 1, size, size, device="meta"), "real"))
    assert len(halvings) == n_halvings
    assert halvings[-2][1] > 1 and halvings[-1] == (2 ** (n_halvings - 1), *2 * [-(-size // 2**n_halvings)])


@pytest.mark.parametrize("n_joints", [16, 21, 36])
@pytest.mark.parametrize(("latent_dim", "hidden"), [(20, 30), (20, 50), (7, 3)])
def test_hands_may_have_any_number_of_joints(n_joints, latent_dim, hidden):
    net = on_meta(3 * n_joints, width=1, latent_dim=latent_dim, pose_hidden_units=hidden)
    assert count(net.pose_encoder) == 3 * n_joints * hidden + hidden + 2 * latent_dim * (hidden + 1)
    assert count(net.pose_decoder) == latent_dim * hidden + hidden + (hidden + 1) * 3 * n_joints
    mean, _ = net.pose_encoder(torch.empty(2, 3 * n_joints, device="meta"))
    assert net.pose_decoder(mean).shape == (2, 3 * n_joints)
    assert net.map_pose(mean).shape == (2, 4, 32, 32)
    assert net.posterior(net.features(torch.empty(2, 1, 128, 128, device="meta"), "real")).shape == mean.shape


@pytest.mark.parametrize("image_size", [(7, 64), (64, 4), (1, 1)])
def test_pictures_that_are_too_small_are_named(image_size):
    with pytest.raises(InputError, match=rf"image_size: .*8 x 8 px.*got {image_size[0]} x {image_size[1]}"):
        on_meta(image_size=image_size)


def test_rows_do_not_depend_on_each_other():
    net, x = small().double(), pictures(n=4).double()
    for call in (
        lambda part: net.generate(net.encode(part, "synthetic"), "real"),
        lambda part: net.posterior(net.features(part, "real")),
    ):
        np.testing.assert_allclose(call(x)[2:3].detach(), call(x[2:3]).detach(), atol=1e-12)


# ---------------------------------------------------------------- the start


@pytest.mark.parametrize("width", [2, 16])
def test_convolutions_start_normal_whatever_the_width(width):
    net = small(width=width)
    layers = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    weights = torch.cat([layer.weight.detach().flatten() for layer in layers])
    scaled = weights.numpy() / (0.02 * np.sqrt(64 / width))
    assert scaled.std() == pytest.approx(1, rel=0.02)  # 70 000 weights or more: seven standard errors
    assert (np.abs(scaled) < 1).mean() == pytest.approx(0.683, abs=0.02)
    assert all((layer.bias == 0).all() for layer in layers)


def test_a_small_network_lets_as_much_through_as_a_large_one():
    """With 0.02 at every width, an eight times narrower network would give 1 / 300 of the signal."""
    x = pictures(image_size=(64, 64), n=8)
    spread = []
    for width in (4, 32):
        net = small(image_size=(64, 64), width=width)
        spread.append(float(net.posterior(net.features(x, "real")).detach().std()))
    assert (
        1 / 10 < spread[0] / spread[1] < 10
    )  # the first layer, which reads one channel, is not like the rest
