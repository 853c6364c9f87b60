"""Networks: shapes, pooling, starts and ImageNet weights."""

from __future__ import annotations

import copy
from urllib.error import URLError

import pytest
import torch
from torchvision import models

from skhand.estimators.cross_modal_vae.network import CrossModalVAE
from skhand.exceptions import InputError
from skhand.nn import (
    BACKBONES,
    ImageDecoder,
    ImageEncoder,
    ImageTrunk,
    VectorDecoder,
    VectorEncoder,
    draw_latent,
    draw_noise,
    masked_mse,
)


@pytest.mark.parametrize("size", [(256, 256), (128, 128), (64, 64), (40, 72), (33, 47), (16, 16)])
@pytest.mark.parametrize("backbone", ["resnet18", "small"])
def test_the_stated_number_of_features_is_what_comes_out(backbone, size):
    trunk = ImageTrunk(backbone, 3, size).eval()
    with torch.inference_mode():
        assert trunk(torch.zeros(1, 3, *size)).shape == (1, trunk.n_features)


def test_a_picture_of_256_pixels_gives_the_papers_2048_features():
    trunk = ImageTrunk("resnet18", 3, (256, 256))
    assert (trunk.pool.kernel_size, trunk.pool.stride, trunk.n_features) == ((7, 7), 1, 2048)


def test_the_trunk_is_torchvisions_resnet_up_to_the_pooling():
    torch.manual_seed(0)
    reference = models.resnet18(weights=None).eval()
    trunk = ImageTrunk("resnet18", 3, (96, 96)).eval()
    names = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    for layer, name in zip(trunk.layers, names, strict=True):
        layer.load_state_dict(getattr(reference, name).state_dict())
    x = torch.randn(2, 3, 96, 96)
    maps = x
    for name in names:
        maps = getattr(reference, name)(maps)
    means = torch.stack(
        [maps[..., i : i + 2, j : j + 2].mean(dim=(2, 3)) for i in (0, 1) for j in (0, 1)], dim=2
    )
    torch.testing.assert_close(trunk(x), means.flatten(1))


@pytest.mark.parametrize("size", [(256, 256), (128, 128), (32, 32), (8, 8), (4, 4), (40, 72), (33, 20)])
def test_the_image_decoder_answers_in_the_asked_size(size):
    decoder = ImageDecoder(6, 1, size).eval()
    with torch.inference_mode():
        assert decoder(torch.zeros(2, 6)).shape == (2, 1, *size)


def test_the_image_decoder_at_256_pixels_is_table_4():
    layers = ImageDecoder(30, 3, (256, 256)).layers
    convolutions = [layer for layer in layers if isinstance(layer, torch.nn.ConvTranspose2d)]
    assert [layer.out_channels for layer in convolutions] == [128, 64, 32, 16, 8, 3]
    assert all(
        (layer.kernel_size, layer.stride, layer.padding) == ((4, 4), (2, 2), (1, 1)) for layer in convolutions
    )


def test_the_side_enters_the_last_linear_layer_only():
    torch.manual_seed(0)
    encoder = VectorEncoder(10, 4, side=True, hidden_units=16).eval()
    x, left = torch.randn(3, 10), torch.tensor([[1.0, 0.0]]).expand(3, 2)
    mean, log_var = encoder(x, left)
    other_mean, other_log_var = encoder(x, left.flip(1))
    weight = encoder.head.linear.weight
    shift = (weight[:, -1] - weight[:, -2])[None].expand(3, -1)
    torch.testing.assert_close(
        torch.cat([other_mean - mean, other_log_var - log_var], 1), shift, atol=1e-5, rtol=0
    )


def test_five_layers_neither_fade_nor_swell_a_signal():
    torch.manual_seed(0)
    layers = VectorDecoder(30, 63).layers
    assert layers(torch.randn(256, 30)).square().mean().item() == pytest.approx(1.0, rel=0.5)


def test_one_latent_sample_a_row_with_the_posteriors_mean_and_spread():
    class Fixed(torch.nn.Module):
        def forward(self, x, side):
            return torch.full((len(x), 2), 3.0), torch.full((len(x), 2), 2 * torch.log(torch.tensor(0.5)))

    module = CrossModalVAE({"a": Fixed()}, {"b": torch.nn.Identity()})
    torch.manual_seed(0)
    z, mean, _ = module(torch.zeros(40_000, 1), "a", "b")
    assert z.mean(dim=0) == pytest.approx(mean[0].numpy(), abs=0.01)
    assert z.std(dim=0).numpy() == pytest.approx([0.5, 0.5], abs=0.01)


def test_noise_comes_from_the_generator_that_is_given_and_from_torchs_own_else():
    like = torch.zeros(3, 4)
    first, again = (draw_noise(like, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, again)
    before = torch.get_rng_state()
    z = draw_latent(like, like, torch.Generator().manual_seed(7))
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(z, first)  # mean 0 and deviation 1
    torch.manual_seed(7)
    torch.testing.assert_close(draw_latent(like, like), first)


def test_unknown_coordinates_have_no_part_in_the_loss_nor_a_gradient():
    output = torch.randn(4, 6, requires_grad=True)
    target = torch.randn(4, 6)
    target[1], target[2, 3] = torch.nan, torch.nan
    loss = masked_mse(output, target)
    known = ~torch.isnan(target)
    expected = ((output - target)[known] ** 2).mean()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert (output.grad[~known] == 0).all()
    assert masked_mse(output, torch.full((4, 6), torch.nan)) == 0


def imagenet(monkeypatch):
    """Pretend weights in place of the download; return the network that they come from."""
    torch.manual_seed(5)
    source = models.resnet18(weights=None)
    weights = models.ResNet18_Weights.DEFAULT
    monkeypatch.setattr(type(weights), "get_state_dict", lambda *a, **k: copy.deepcopy(source.state_dict()))
    return source


@pytest.mark.parametrize("pretrained", ["imagenet", True])
def test_pretrained_weights_see_pictures_in_imagenets_statistics(monkeypatch, pretrained):
    source = imagenet(monkeypatch).eval()
    trunk = ImageTrunk("resnet18", 3, (32, 32), pretrained=pretrained).eval()
    seen = []
    source.conv1.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    pictures = torch.rand(2, 3, 32, 32)
    preset = models.ResNet18_Weights.DEFAULT.transforms()
    mean, std = torch.tensor(preset.mean).view(3, 1, 1), torch.tensor(preset.std).view(3, 1, 1)
    source((pictures - mean) / std)
    trunk.layers[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    trunk(pictures - 0.5)
    torch.testing.assert_close(seen[0], seen[1])
    torch.testing.assert_close(trunk.layers[0].weight, source.conv1.weight)
    torch.testing.assert_close(trunk.layers[7][1].conv2.weight, source.layer4[1].conv2.weight)


def test_a_depth_trunk_takes_the_sum_of_the_colour_filters(monkeypatch):
    source = imagenet(monkeypatch)
    trunk = ImageTrunk("resnet18", 1, (32, 32), pretrained=True)
    torch.testing.assert_close(trunk.layers[0].weight, source.conv1.weight.sum(1, keepdim=True))


def test_without_a_network_the_error_says_where_the_weights_go(monkeypatch):
    def no_network(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(type(models.ResNet18_Weights.DEFAULT), "get_state_dict", no_network)
    with pytest.raises(InputError, match=r"pretrained.*could not be downloaded.*resnet18-.*\.pth"):
        ImageTrunk("resnet18", 3, (32, 32), pretrained=True)


def test_the_small_trunk_has_no_imagenet_weights():
    with pytest.raises(InputError, match=r"pretrained.*'small'"):
        ImageEncoder("small", 3, (32, 32), 4, pretrained=True)


def test_every_backbone_is_offered():
    resnets = {f"resnet{n}" for n in (10, 18, 34, 50, 101, 152)}
    assert set(BACKBONES) == {*resnets, "small"}
