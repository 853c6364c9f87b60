"""Convolutional trunks for pictures: torchvision's ResNets and a small one for small pictures."""

from __future__ import annotations

import contextlib
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.nn import functional

from skhand._weights import HANDS, load_weights
from skhand.exceptions import InputError

__all__ = ["BACKBONES", "TRUNKS", "ImageTrunk", "StridedConv2d", "trunk_levels"]

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
BACKBONES = ("resnet10", *RESNETS, "small")
TRUNKS = (
    "resnet10",
    *RESNETS,
    "regnet_x_400mf",
    "regnet_x_800mf",
    "regnet_x_1_6gf",
    "regnet_y_400mf",
    "regnet_y_800mf",
    "regnet_y_1_6gf",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
)
"""Torchvision's networks that `trunk_levels` takes apart; "resnet10" is its ResNet with one block a level."""


class StridedConv2d(nn.Conv2d):
    """A 3 x 3 convolution with stride 2 and padding 1 that may meet a map one pixel wide or high.

    Along that side the stride makes no difference, and 1 is taken: with 2, torch (2.14 on a processor, in
    bfloat16) leaves uninitialised memory in the gradient of those weights that see the padding only.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, c, h, w) to maps of half the size, rounded up."""
        stride = [1 if size == 1 else step for size, step in zip(x.shape[-2:], self.stride, strict=True)]
        return functional.conv2d(x, self.weight, self.bias, stride, self.padding, self.dilation, self.groups)


class ImageTrunk(nn.Module):
    """A convolutional trunk and its pooling: picture to feature vector.

    The feature map is averaged over windows one pixel smaller than itself, with stride 1, so that
    2 x 2 places remain. On 256 x 256 pictures this is the 7 x 7 window of the published parameter counts
    (Spurr et al. 2018: 8 x 8 -> 2 x 2, 2048 features for ResNet-18).

    Parameters
    ----------
    backbone : str
        One of `BACKBONES`.
    in_channels : int
        3 for colour, 1 for depth.
    image_size : tuple of int
        Height and width, px.
    pretrained : {False, "imagenet", "hands"}, default=False
        Weights to start from: torchvision's of ImageNet, or those that ship, of `LatentHeatmapRegressor`:
        a "resnet10" that has seen generated hands. A one-channel trunk takes the sum of the three
        colour filters.

    Attributes
    ----------
    n_features : int
        Length of the feature vector.

    Raises
    ------
    InputError
        If the weights cannot be downloaded, or are asked for where there are none.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, backbone: str, in_channels: int, image_size: tuple[int, int], pretrained: str | bool = False
    ):
        super().__init__()
        self.layers, channels = _small(in_channels) if backbone == "small" else _resnet(backbone, in_channels)
        if pretrained == "hands":
            _load_hands(self.layers, backbone, in_channels)
        elif pretrained:
            _load_imagenet(self.layers, backbone, in_channels)
        mean, std = torch.zeros(in_channels), torch.ones(in_channels)
        if pretrained and pretrained != "hands" and in_channels == 3:
            # pictures come in [-0.5, 0.5], ImageNet's statistics in [0, 1]
            mean, std = torch.tensor([0.485, 0.456, 0.406]) - 0.5, torch.tensor([0.229, 0.224, 0.225])
        self.register_buffer("mean", mean.view(-1, 1, 1))
        self.register_buffer("std", std.view(-1, 1, 1))
        stride = 16 if backbone == "small" else 32
        height, width = (-(-size // stride) for size in image_size)
        window = (max(1, height - 1), max(1, width - 1))
        self.pool = nn.AvgPool2d(window, stride=1)
        self.n_features = channels * (height - window[0] + 1) * (width - window[1] + 1)

    def forward(self, images: Tensor) -> Tensor:
        """Pictures (n, channels, height, width) in [-0.5, 0.5] to features (n, n_features)."""
        return self.pool(self.layers((images - self.mean) / self.std)).flatten(1)


def _build(backbone: str) -> Any:
    """Return one of torchvision's networks, with new weights."""
    from torchvision import models

    if backbone == "resnet10":
        return models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1])
    is_regnet = backbone.startswith("regnet")  # torchvision works out its widths by tensors: never on "meta"
    with torch.device("cpu") if is_regnet else contextlib.nullcontext():
        return getattr(models, backbone)(weights=None)


def trunk_levels(backbone: str, in_channels: int) -> tuple[list[nn.Sequential], list[int]]:
    """Return one of torchvision's networks in parts, whose maps halve from one to the next.

    Parameters
    ----------
    backbone : str
        One of `TRUNKS`.
    in_channels : int
        Channels of the pictures.

    Returns
    -------
    levels : list of Sequential
        The first one's maps have a quarter of the picture's height and width, rounded up.
    channels : list of int
        Of their maps.
    """
    net = _build(backbone)
    parts = dict(net.named_children())
    if backbone.startswith("resnet"):
        blocks = list(net.children())[:-2]
    elif "trunk_output" in parts:
        blocks = [parts["stem"], *parts["trunk_output"].children()]
    else:
        blocks = list(parts["features"].children())
    first = next(layer for layer in nn.Sequential(*blocks).modules() if isinstance(layer, nn.Conv2d))
    if in_channels != 3:
        blocks[0] = _replaced(blocks[0], first, _like(first, in_channels))
    for layer in nn.Sequential(*blocks).modules():
        if isinstance(layer, nn.Conv2d) and (layer.stride, layer.kernel_size) == ((2, 2), (3, 3)):
            layer.__class__ = StridedConv2d
    levels: list[nn.Sequential] = []
    channels: list[int] = []
    maps, some = torch.zeros(1, in_channels, 64, 64, device=first.weight.device), list[nn.Module]()
    with torch.no_grad():
        for block in blocks:
            after = block.eval()(maps)
            if after.shape[2] < maps.shape[2] <= 16:
                levels.append(nn.Sequential(*some))
                channels.append(maps.shape[1])
                some = []
            some.append(block.train())
            maps = after
    return [*levels, nn.Sequential(*some)], [*channels, maps.shape[1]]


def _like(layer: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    """Return a new convolution that differs in the channels that it reads."""
    kernel, stride, padding = layer.kernel_size, layer.stride, layer.padding
    options: dict[str, Any] = {"bias": layer.bias is not None, "device": layer.weight.device}
    return nn.Conv2d(in_channels, layer.out_channels, kernel, stride, padding, **options)  # type: ignore[arg-type]


def _replaced(module: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """Return a module with another one in the place of one within it, or of itself."""
    if module is old:
        return new
    for name, child in module.named_children():
        setattr(module, name, _replaced(child, old, new))
    return module


def _resnet(backbone: str, in_channels: int) -> tuple[nn.Sequential, int]:
    levels, channels = trunk_levels(backbone, in_channels)
    return _join(levels), channels[-1]


def _join(levels: list[nn.Sequential]) -> nn.Sequential:
    """Return the parts of a trunk as one, without their levels."""
    return nn.Sequential(*(block for level in levels for block in level))


def _small(in_channels: int) -> tuple[nn.Sequential, int]:
    """Four stages of two 3 x 3 convolutions, each halving the picture: about 1.2 million weights."""
    layers: list[nn.Module] = []
    for before, after in [(in_channels, 32), (32, 64), (64, 128), (128, 256)]:
        for inside, stride in ((before, 2), (after, 1)):
            kind = StridedConv2d if stride == 2 else nn.Conv2d
            layers += [kind(inside, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers), 256


def _load_hands(layers: nn.Sequential, backbone: str, in_channels: int) -> None:
    """Load the trunk of the weights that ship."""
    if backbone != "resnet10":
        raise InputError(f"pretrained: 'hands' is a 'resnet10'; expected it as backbone, got {backbone!r}.")
    weights, _ = load_weights(HANDS)
    levels, _ = trunk_levels(backbone, 3)
    trunk = nn.ModuleList(levels)
    begin = "body.levels."
    trunk.load_state_dict({k.removeprefix(begin): v for k, v in weights.items() if k.startswith(begin)})
    state = _join(levels).state_dict()
    if in_channels == 1:
        state["0.weight"] = state["0.weight"].sum(dim=1, keepdim=True)
    layers.load_state_dict(state)


def _load_imagenet(layers: nn.Sequential, backbone: str, in_channels: int) -> None:
    if backbone not in RESNETS:
        raise InputError(f"pretrained: expected one of torchvision's ResNets as backbone, got {backbone!r}.")
    from torchvision import models

    weights = models.get_model_weights(backbone).DEFAULT
    try:
        state = weights.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise InputError(
            f"pretrained: torchvision's ImageNet weights for {backbone!r} could not be downloaded ({error}). "
            f"Without a network, put the file of {weights.url} into torch.hub's checkpoint folder, "
            "or use pretrained=False."
        ) from error
    names = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    numbered = {}
    for key, value in state.items():
        first, _, rest = key.partition(".")
        if first in names:
            if key == "conv1.weight" and in_channels == 1:
                value = value.sum(dim=1, keepdim=True)
            numbered[f"{names.index(first)}.{rest}"] = value
    layers.load_state_dict(numbered)
