"""The networks of Abdi et al. 2018 (Tables 2-4): poses, two domains of pictures, and what links them."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn

from skhand.exceptions import InputError
from skhand.nn import LatentHead, StridedConv2d

__all__ = ["DOMAINS", "SimToRealNet"]

DOMAINS = ("synthetic", "real")

SLOPE = 0.01  # of LeakyReLU
MOST_HALVINGS = 6  # in discriminators and posterior


class SimToRealNet(nn.Module):
    """All networks of Abdi et al. 2018: a latent space of poses, one of pictures, and the ways between them.

    The latent space of poses has ``latent_dim`` numbers, that of pictures ``4 * width`` maps of a quarter of
    the picture's size (256 x 32 x 32 in the paper). Pictures are in -1..1. Where the printed tables disagree
    with themselves, this is read: the mapping starts at the pose latent; pictures have as many channels as
    come in; a residual block is 256 -> 512 -> 256 channels with its middle in 4 groups; six convolutions
    halve the picture before the last layer of discriminators and posterior. Pictures of less than 33 px have
    fewer of these, the last of which sees 2 x 2 places: 5 at 32 px, 4 at 16 px. One more would see a single
    place, where all but the middle of its kernel does nothing.

    Not printed: the paddings; the slope of 0.01 below zero and the instance normalisation without weights,
    which are those of the authors' code; and the initial weights, which are chosen. Convolutions start normal
    with standard deviation 0.02 sqrt(64 / width) and biases 0: the usual 0.02 (DCGAN) at the paper's width,
    while at another width signals keep about their size. The linear layers of the pose networks start as
    PyTorch's do: on NYU's poses they learned faster so than with 0.02 (12 mm instead of 15 mm after 8 000
    iterations).

    Parameters
    ----------
    n_outputs : int
        Length of a pose vector, three times the number of joints.
    channels : int
        1 for depth, 3 for colour.
    image_size : tuple of int
        Height and width, px, each at least 8. What strided layers make too large is cropped at the lower
        right, where they put the excess.
    width : int, default=64
        Channels of the first convolution; all others of the picture networks are multiples of it.
    latent_dim : int, default=20
        Size of the latent space of poses.
    pose_hidden_units : int, default=30
        Hidden units of the pose encoder and of the pose decoder.

    Attributes
    ----------
    pose_encoder : Module
        Pose vectors (n, n_outputs) to mean and log-variance, each (n, latent_dim), float32.
    pose_decoder : Module
        Latent vectors (n, latent_dim) to pose vectors (n, n_outputs).
    latent_size : tuple of int
        Height and width of the pictures' latent maps.
    min_size : int
        Smallest side of a picture, px.

    Raises
    ------
    InputError
        If a picture has a side below 8 px: too few places remain to normalise over.
    """

    min_size = 8

    def __init__(
        self,
        n_outputs: int,
        channels: int,
        image_size: tuple[int, int],
        *,
        width: int = 64,
        latent_dim: int = 20,
        pose_hidden_units: int = 30,
    ):
        super().__init__()
        least = self.min_size
        if min(image_size) < least:
            raise InputError(
                f"image_size: expected at least {least} x {least} px, so that a quarter of it can be "
                f"normalised over its places; got {image_size[0]} x {image_size[1]}."
            )
        self.image_size = (image_size[0], image_size[1])
        self.latent_size = (-(-image_size[0] // 4), -(-image_size[1] // 4))
        self.pose_encoder = PoseEncoder(n_outputs, latent_dim, pose_hidden_units)
        self.pose_decoder = nn.Sequential(
            nn.Linear(latent_dim, pose_hidden_units),
            nn.LeakyReLU(SLOPE),
            nn.Linear(pose_hidden_units, n_outputs),
        )
        self.mapping = _mapping(latent_dim, width, self.latent_size)
        self.encoders = nn.ModuleDict({domain: _encoder(channels, width) for domain in DOMAINS})
        self.shared_encoder = ResidualBlock(4 * width)
        self.shared_generator = ResidualBlock(4 * width)
        self.generators = nn.ModuleDict({domain: _generator(channels, width) for domain in DOMAINS})
        self.fronts = nn.ModuleDict({domain: _halving(channels, width, 2 * width) for domain in DOMAINS})
        n_halvings = min(MOST_HALVINGS, math.ceil(math.log2(max(image_size))))
        self.trunk = _halving(*(width * 2**i for i in range(1, n_halvings)))
        rest = (-(-image_size[0] // 2**n_halvings), -(-image_size[1] // 2**n_halvings))
        self.judge_end = nn.Conv2d(width * 2 ** (n_halvings - 1), 1, rest)
        self.posterior_end = nn.Conv2d(width * 2 ** (n_halvings - 1), latent_dim, rest)
        _initialise(self, 0.02 * math.sqrt(64 / width))

    def encode(self, x: Tensor, domain: str) -> Tensor:
        """Mean of a picture's latent maps, whose distribution has unit variance (E_s, E_r).

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Pictures in -1..1.
        domain : {"synthetic", "real"}
            Where they come from.

        Returns
        -------
        mean : Tensor of shape (n, 4 * width, height / 4, width / 4)
            Sizes rounded up.
        """
        return self.shared_encoder(self.encoders[domain](x))

    def generate(self, z: Tensor, domain: str) -> Tensor:
        """Latent maps (n, 4 * width, h, w) to pictures of a domain in -1..1 (G_s, G_r)."""
        pictures = self.generators[domain](self.shared_generator(z))
        return pictures[..., : self.image_size[0], : self.image_size[1]]

    def map_pose(self, z: Tensor) -> Tensor:
        """Latent vectors of poses (n, latent_dim) to latent maps of pictures (M, Table 3)."""
        maps = self.mapping(z[:, :, None, None])
        return maps[..., : self.latent_size[0], : self.latent_size[1]]

    def features(self, x: Tensor, domain: str) -> Tensor:
        """Activations before the last layer of a domain's discriminator and of the posterior.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Pictures in -1..1.
        domain : {"synthetic", "real"}
            Whose first two layers they pass.

        Returns
        -------
        features : Tensor of shape (n, 32 * width, height / 64, width / 64)
            Sizes rounded up; fewer channels where there are fewer convolutions.
        """
        return self.trunk(self.fronts[domain](x))

    def judge(self, features: Tensor) -> Tensor:
        """`features` to the log-odds (n,) that the picture is no generated one (D_s, D_r)."""
        return self.judge_end(features).flatten()

    def posterior(self, features: Tensor) -> Tensor:
        """`features` to latent vectors of poses (n, latent_dim) (P)."""
        return self.posterior_end(features).flatten(1)

    def share_front(self) -> None:
        """Copy the front layers of the synthetic domain's discriminator over the real one's."""
        _copy_over(self.fronts)

    def share_ends(self) -> None:
        """Copy the synthetic domain's own layers of encoder and generator over the real one's."""
        _copy_over(self.encoders)
        _copy_over(self.generators)

    def pose_parts(self) -> list[nn.Module]:
        """Return the networks of the first stage: the autoencoder of poses."""
        return [self.pose_encoder, self.pose_decoder]

    def generator_parts(self) -> list[nn.Module]:
        """Return the opponents of the discriminators: encoders, generators, shared blocks, the mapping."""
        return [self.encoders, self.shared_encoder, self.shared_generator, self.generators, self.mapping]

    def discriminator_parts(self) -> list[nn.Module]:
        """Both discriminators."""
        return [self.fronts, self.trunk, self.judge_end]

    def posterior_parts(self) -> list[nn.Module]:
        """The posterior: all layers of the discriminators but the last, and its own last one."""
        return [self.fronts, self.trunk, self.posterior_end]


class PoseEncoder(nn.Module):
    """Pose vector to a normal distribution in the latent space of poses (E_y, Table 2)."""

    def __init__(self, n_outputs: int, latent_dim: int, hidden_units: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_outputs, hidden_units), nn.LeakyReLU(SLOPE))
        self.head = LatentHead(hidden_units, latent_dim, side=False)

    def forward(self, poses: Tensor) -> tuple[Tensor, Tensor]:
        """Pose vectors (n, n_outputs) to mean and log-variance, each (n, latent_dim), float32."""
        return self.head(self.layers(poses), None)


class ResidualBlock(nn.Module):
    """Twice the channels in between, in four groups, added to what came (RESBLK-(N512, C4) of Table 4)."""

    def __init__(self, channels: int):
        super().__init__()
        inside = 2 * channels
        self.layers = nn.Sequential(
            nn.Conv2d(channels, inside, 1),
            nn.InstanceNorm2d(inside),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(inside, inside, 3, padding=1, groups=4),
            nn.InstanceNorm2d(inside),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(inside, channels, 1),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, channels, h, w) to maps of that shape."""
        return x + self.layers(x)


def _copy_over(parts: nn.ModuleDict) -> None:
    """Copy the weights of the synthetic domain over those of the real one."""
    synthetic, real = (parts[domain] for domain in DOMAINS)
    real.load_state_dict(synthetic.state_dict())


def _encoder(channels: int, width: int) -> nn.Sequential:
    """A domain's own part of its encoder: picture to maps of a quarter of its size."""
    start = [nn.Conv2d(channels, width, 7, padding=3), nn.LeakyReLU(SLOPE)]
    blocks = [ResidualBlock(4 * width) for _ in range(3)]
    return nn.Sequential(*start, *_halving(width, 2 * width, 4 * width), *blocks)


def _generator(channels: int, width: int) -> nn.Sequential:
    """A domain's own part of its generator: maps to a picture of four times their size."""
    layers: list[nn.Module] = [ResidualBlock(4 * width) for _ in range(3)]
    for before, after in [(4 * width, 4 * width), (4 * width, 2 * width)]:
        layers += [nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(2 * width, channels, 1), nn.Tanh())


def _halving(*widths: int) -> nn.Sequential:
    """Convolutions that halve the picture, rounding up, each with a LeakyReLU."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [StridedConv2d(before, after, 3, 2, 1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)


def _mapping(latent_dim: int, width: int, size: tuple[int, int]) -> nn.Sequential:
    """One place to an eighth of the latent maps' size (4 x 4 for 32 x 32), then three doublings."""
    start = (-(-size[0] // 8), -(-size[1] // 8))
    layers: list[nn.Module] = [nn.ConvTranspose2d(latent_dim, 16 * width, start)]
    for before, after in [(16, 16), (16, 8), (8, 4)]:
        layers += [nn.LeakyReLU(SLOPE), nn.ConvTranspose2d(before * width, after * width, 4, 2, 1)]
    return nn.Sequential(*layers)


def _initialise(net: SimToRealNet, deviation: float) -> None:
    """Draw the convolutions' weights with this standard deviation; the linear layers keep PyTorch's."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
