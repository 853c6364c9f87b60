"""Parts of the stages of Abdi et al. 2018: pictures in -1..1, what generators make, loss terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

from skhand.estimators.sim_to_real.network import DOMAINS, SimToRealNet
from skhand.nn import draw_noise, kl_standard_normal
from skhand.training import encoder_input, sum_terms

__all__ = ["SignedCodec", "code_pose", "other_domain"]

Pictures = dict[tuple[str, str], Tensor]


class SignedCodec:
    """A picture codec whose values are in -1..1, as these networks read and write them.

    Parameters
    ----------
    codec : codec of pictures
        With values in -0.5..0.5.
    """

    decodes: tuple[str, ...] = ()

    def __init__(self, codec: Any):
        self.codec, self.columns = codec, codec.columns

    def encode(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Pictures in their own units to network input (n, channels, h, w)."""
        return 2.0 * self.codec.encode(batch)

    def decode(self, output: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Network output to pictures in their own units.

        Depth is around the middle of the depth pictures in ``batch``, where there are any and each was taken
        relative to its own.
        """
        pictures = self.codec.decode(output / 2.0, batch)
        if "depth" not in batch or not getattr(self.codec, "relative", False):
            return pictures
        middle = self.codec.middle(batch["depth"].float())
        moved = pictures + (middle - self.codec.centre)[:, None, None]
        return torch.where(pictures > 0, moved.clamp_min(0), 0.0)


def other_domain(domain: str) -> str:
    """The domain that pictures of this one are translated to."""
    return DOMAINS[1 - DOMAINS.index(domain)]


def code_pose(module: SimToRealNet, poses: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of poses (n, k); unknown coordinates (NaN) enter as those of the mean pose, 0."""
    return module.pose_encoder(encoder_input(poses, "pose3d"))


def pose_divergence(mean: Tensor, log_var: Tensor, preset: str) -> Tensor:
    """KL term of the pose model, summed over latent dimensions and averaged over the batch, nats.

    The published code leaves the factor 1/2 and the constant out.
    """
    if preset == "paper":
        return kl_standard_normal(mean, log_var)
    return (mean.square() + torch.exp(log_var) - log_var).sum(dim=1).mean()


def depth_divergence(mean: Tensor, n_values: int, preset: str) -> Tensor:
    """KL term of pictures' latent maps with unit variance.

    ``1/2 ||mean||^2`` summed over a picture's latent maps and divided by the number of its values, so that it
    and the mean absolute difference are one bound a value; a sum next to a mean would leave no latent maps
    but 0. The published code takes the mean of ``mean^2``.
    """
    if preset == "paper":
        return 0.5 * mean.float().square().sum() / (len(mean) * n_values)
    return mean.float().square().mean()


class Made(NamedTuple):
    """The output of encoders, mapping and generators for one batch.

    Parameters
    ----------
    means, latents : dict of str to Tensor
        Latent maps of each domain's pictures: means and samples.
    pictures : dict of (str, str) to Tensor
        Pictures by the domain that they come from and the one that they are made for.
    mapped, drawn : dict of str to Tensor
        Latent maps that the mapping makes of labelled rows' poses, and the pictures of their domain.
    """

    means: dict[str, Tensor]
    latents: dict[str, Tensor]
    pictures: Pictures
    mapped: dict[str, Tensor]
    drawn: dict[str, Tensor]


def make_pictures(
    module: SimToRealNet,
    x: Mapping[str, Tensor],
    mapped: Mapping[str, Tensor] | None = None,
    generator: torch.Generator | None = None,
) -> Made:
    """Reconstruct and translate pictures of both domains, and draw those of mapped poses.

    Each generator sees all that it is to decode in one batch; instance normalisation keeps rows apart.
    """
    mapped = dict(mapped or {})
    means = {domain: module.encode(x[domain], domain) for domain in DOMAINS}
    latents = {domain: mean + draw_noise(mean, generator) for domain, mean in means.items()}
    pictures: Pictures = {}
    drawn = {}
    for to in DOMAINS:
        maps = [*latents.values(), *([mapped[to]] if to in mapped else [])]
        parts = module.generate(torch.cat(maps), to).float().split([len(part) for part in maps])
        pictures.update({(start, to): part for start, part in zip(DOMAINS, parts, strict=False)})
        if to in mapped:
            drawn[to] = parts[-1]
    return Made(means, latents, pictures, mapped, drawn)


def cross_entropy(module: SimToRealNet, features: Tensor, label: float) -> Tensor:
    """Binary cross entropy of a discriminator's answer and a label."""
    log_odds = module.judge(features).float()
    return binary_cross_entropy_with_logits(log_odds, torch.full_like(log_odds, label))


def feature_distance(features: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
    """Mean absolute difference of both discriminators' features of the same latent maps' pictures (Eq. 8).

    ``features[to][start]`` are those of pictures of the domain ``start`` made for the domain ``to``.
    """
    one, two = (features[to] for to in DOMAINS)
    return sum_terms([l1_loss(one[start].float(), two[start].float()) for start in DOMAINS])
