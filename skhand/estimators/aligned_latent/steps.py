"""The stages of Stergioulas et al. 2021: disentanglement, alignment and refinement, one objective each.

Every one but the last has the pairs source -> target and pose -> pose, which read the streams "source"
and "pose", or the one stream "source" where they have the same rows. Weights belong to one Adam, which moves
those that have a gradient: each loss is differentiated with respect to its own networks only and takes its
own step. Coordinates of a pose that are unknown (NaN) enter the pose encoder as the mean pose's, and no loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from skhand.estimators.aligned_latent.kinematic import geo_loss, kcs_loss
from skhand.estimators.aligned_latent.network import AlignedVAE
from skhand.nn import draw_latent, kl_standard_normal, masked_mse
from skhand.training import (
    Coded,
    Objective,
    StepContext,
    autocast,
    detached,
    encoder_input,
    evaluating,
    gradient_ratio,
    sum_terms,
    take_step,
)

__all__ = ["AUGMENT", "AlignObjective", "AutoencoderObjective", "RefineObjective"]

AUGMENT: dict[str, Any] = {"rotate": 45.0, "flip": "vertical"}
"""Stergioulas et al. 2021, Sec. 4.2: rotation within +-45 degrees, vertical flips; the hand's centre
stays."""

Streams = Mapping[str, dict[str, Tensor]]


class AlignedObjective(Objective):
    """Base of the stages' objectives.

    MSE is the mean over the batch and the coordinates of the standardised target, KL the sum over latent
    dimensions averaged over the batch.

    Parameters
    ----------
    source : str
        Modality of the input.
    rows, pose_rows : ndarray of int
        Rows that train source -> target, and those that train pose -> pose.
    beta : float
        Weight of every KL term.
    **settings : dict
        Those of `Objective`.

    Attributes
    ----------
    streams : dict of str to ndarray of int
        Rows of each stream.
    """

    def __init__(self, source: str, rows: np.ndarray, pose_rows: np.ndarray, beta: float, **settings: Any):
        super().__init__(**settings)
        self.source, self.beta = source, beta
        self.streams, self.modalities = {"source": rows}, {"source": {source, "pose3d"}}
        if not np.array_equal(rows, pose_rows):
            self.streams["pose"], self.modalities["pose"] = pose_rows, {"pose3d"}

    def read_pairs(self, batches: Streams, context: StepContext) -> tuple[Coded, Coded]:
        """Return the batches of source -> target and of pose -> pose."""
        coded = self.read(batches, context.generator)
        return coded["source"], coded.get("pose", coded["source"])

    def vae_terms(
        self, output: Tensor, wanted: Tensor, posterior: tuple[Tensor, Tensor], suffix: str, measure: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """MSE and weighted KL of one autoencoder, and the KL's gradient at the posterior over the MSE's."""
        terms = {
            f"mse{suffix}": masked_mse(output, wanted),
            f"kl{suffix}": self.beta * kl_standard_normal(*posterior),
        }
        if not measure:
            return terms, {}
        ratio = gradient_ratio(terms[f"kl{suffix}"], terms[f"mse{suffix}"], posterior)
        return terms, {f"kl{suffix}_gradient": ratio}


class AutoencoderObjective(AlignedObjective):
    """Stage 1: source -> target and pose -> pose, with or without the discriminator (Eq. 1-4).

    The autoencoders minimise ``MSE + beta KL`` each. With the discriminator the source's encoder also
    minimises ``adversarial_weight * BCE(Dis(z_pose), 1)``, z_pose being the end of its latent vector; then
    the discriminator takes a step on Eq. 1, on latent vectors without their gradient. The pose encoder gets
    no adversarial gradient. With a decoder of the source its encoder also minimises ``context_weight`` times
    the MSE of the source, decoded from all of the latent vector.

    Parameters
    ----------
    source, rows, pose_rows, beta : str, ndarray, ndarray, float
        As in `AlignedObjective`.
    adversarial_weight : float
        Weight of the source encoder's adversarial term.
    context_weight : float, default=0.0
        Weight of the source's own MSE.
    **settings : dict
        Those of `Objective`.
    """

    def __init__(
        self,
        source: str,
        rows: np.ndarray,
        pose_rows: np.ndarray,
        beta: float,
        adversarial_weight: float,
        context_weight: float = 0.0,
        **settings: Any,
    ):
        super().__init__(source, rows, pose_rows, beta, **settings)
        self.adversarial_weight, self.context_weight = adversarial_weight, context_weight

    def step(self, module: AlignedVAE, batches: Streams, context: StepContext) -> dict[str, Tensor]:
        """Train once; see `Objective.step`."""
        cross, own = self.read_pairs(batches, context)
        with autocast(own.inputs["pose3d"].device, self.dtype):
            posterior: tuple[Tensor, Tensor] = module.encoders[self.source](
                cross.inputs[self.source], cross.side
            )
            z = draw_latent(*posterior, context.generator)
            output = module.decoders["pose3d"](module.decoded(self.source, z))
            poses = encoder_input(own.inputs["pose3d"], "pose3d")
            pose_posterior: tuple[Tensor, Tensor] = module.encoders["pose3d"](poses, own.side)
            z_true = draw_latent(*pose_posterior, context.generator)
            pose_output = module.pose_decoder(z_true)
            rebuilt = None if module.source_decoder is None else module.source_decoder(z)
        terms, ratios = self.vae_terms(output, cross.inputs["pose3d"], posterior, "", context.measure)
        more, more_ratios = self.vae_terms(
            pose_output, own.inputs["pose3d"], pose_posterior, "_pose", context.measure
        )
        terms.update(more)
        ratios.update(more_ratios)
        z_pose = z[:, -z_true.shape[1] :]
        if module.discriminator is not None:
            fooled = latent_cross_entropy(module.discriminator, z_pose, 1.0, self.dtype)
            terms["adversarial"] = self.adversarial_weight * fooled
            if context.measure:
                ratios["adversarial_gradient"] = gradient_ratio(terms["adversarial"], terms["mse"], posterior)
        parts = [module.encoders, module.decoders, module.pose_decoder]
        if module.source_decoder is not None and rebuilt is not None:
            wanted = cross.inputs[self.source].flatten(1)
            terms["context"] = self.context_weight * masked_mse(rebuilt.flatten(1), wanted)
            if context.measure:
                ratios["context_gradient"] = gradient_ratio(terms["context"], terms["mse"], posterior)
            parts.append(module.source_decoder)
        take_step(context, sum_terms(terms), parts)
        if module.discriminator is not None:
            terms["discriminator"] = 0.5 * (
                latent_cross_entropy(module.discriminator, z_pose.detach(), 0.0, self.dtype)
                + latent_cross_entropy(module.discriminator, z_true.detach(), 1.0, self.dtype)
            )
            take_step(context, terms["discriminator"], [module.discriminator])
        return detached(terms, ratios)


def latent_cross_entropy(
    discriminator: nn.Module, latent: Tensor, label: float, dtype: torch.dtype
) -> Tensor:
    """Binary cross entropy of the discriminator's answer and a label."""
    with autocast(latent.device, dtype):
        log_odds = discriminator(latent)
    return binary_cross_entropy_with_logits(log_odds.float(), torch.full_like(log_odds.float(), label))


class AlignObjective(AlignedObjective):
    """Stage 2: both mappers and the shared decoder, then the encoders too (Eq. 5-7).

    The loss is ``MSE + beta KL`` of the source's aligned latent vectors plus ``pose_weight`` times that of
    the pose's. The decoder's batch normalisation takes its statistics from the source alone; the pose's
    latent vectors are decoded with the running ones, as they will be at prediction, and so are drawn to where
    the source's lie. In a common batch they would disturb the source's, whose loss would reach their mapper.

    Parameters
    ----------
    source, rows, pose_rows, beta : str, ndarray, ndarray, float
        As in `AlignedObjective`.
    pose_weight : float
        The weight w of Eq. 5.
    finetune : bool
        Whether the encoders are trained too, rather than frozen.
    **settings : dict
        Those of `Objective`.
    """

    def __init__(
        self,
        source: str,
        rows: np.ndarray,
        pose_rows: np.ndarray,
        beta: float,
        pose_weight: float,
        finetune: bool,
        **settings: Any,
    ):
        super().__init__(source, rows, pose_rows, beta, **settings)
        self.pose_weight, self.finetune = pose_weight, finetune

    def step(self, module: AlignedVAE, batches: Streams, context: StepContext) -> dict[str, Tensor]:
        """Train once; see `Objective.step`."""
        cross, own = self.read_pairs(batches, context)
        with autocast(own.inputs["pose3d"].device, self.dtype):
            posterior = self.aligned(module, self.source, cross)
            pose_posterior = self.aligned(module, "pose3d", own)
            z, z_pose = (draw_latent(*each, context.generator) for each in (posterior, pose_posterior))
            decoder = module.decoders["pose3d"]
            output = decoder(z)
            with evaluating(decoder):
                pose_output = decoder(z_pose)
        terms, ratios = self.vae_terms(output, cross.inputs["pose3d"], posterior, "", context.measure)
        more, more_ratios = self.vae_terms(
            pose_output, own.inputs["pose3d"], pose_posterior, "_pose", context.measure
        )
        terms.update({name: self.pose_weight * value for name, value in more.items()})
        if context.measure:
            last = (module.get_parameter("decoders.pose3d.end.weight"),)
            ratios["mse_pose_gradient"] = gradient_ratio(terms["mse_pose"], terms["mse"], last)
        parts = [module.mappers, module.decoders, *([module.encoders] if self.finetune else [])]
        take_step(context, sum_terms(terms), parts)
        return detached(terms, ratios, more_ratios)

    def aligned(self, module: AlignedVAE, modality: str, coded: Coded) -> tuple[Tensor, Tensor]:
        """The aligned posterior; without fine-tuning no gradient reaches the encoder."""
        with torch.set_grad_enabled(self.finetune):
            x = encoder_input(coded.inputs[modality], modality)
            mean, log_var = module.posterior(x, modality, coded.side)
        return module.mappers[modality](mean, log_var)


class RefineObjective(AlignedObjective):
    """Stage 3: MSE and, in turn from batch to batch, the KCS and the GEO loss (Eq. 17).

    Poses are in metres in both kinematic losses, which are then divided by the square of ``metres``, as the
    standardised MSE is one in metres divided by it: the weights keep their meaning, whatever the data's
    spread. A loss of weight 0 takes no turn. There is no KL term, as printed.

    Parameters
    ----------
    source, rows : str, ndarray
        As in `AlignedObjective`.
    kcs_weight, geo_weight : float
        The weights r_kcs and r_geo.
    metres : float
        Length of one unit of the standardised target, m.
    aligned : bool
        Whether aligned latent vectors are decoded.
    turn : int, default=0
        Batches before the first.
    **settings : dict
        Those of `Objective`.
    """

    def __init__(
        self,
        source: str,
        rows: np.ndarray,
        kcs_weight: float,
        geo_weight: float,
        metres: float,
        aligned: bool,
        turn: int = 0,
        **settings: Any,
    ):
        super().__init__(source, rows, rows, 0.0, **settings)
        weighted = {"kcs": (kcs_loss, kcs_weight), "geo": (geo_loss, geo_weight)}
        self.losses = {
            name: (loss, weight / metres**2) for name, (loss, weight) in weighted.items() if weight > 0
        }
        self.aligned, self.turn = aligned, turn

    def step(self, module: AlignedVAE, batches: Streams, context: StepContext) -> dict[str, Tensor]:
        """Train once; see `Objective.step`."""
        coded, _ = self.read_pairs(batches, context)
        wanted = coded.inputs["pose3d"]
        with autocast(wanted.device, self.dtype):
            posterior = module.posterior(
                coded.inputs[self.source], self.source, coded.side, aligned=self.aligned
            )
            output = module.decoders["pose3d"](draw_latent(*posterior, context.generator))
        terms = {"mse": masked_mse(output, wanted)}
        ratios = {}
        for turn, (name, (loss, weight)) in enumerate(self.losses.items()):
            due = (self.turn + context.number) % len(self.losses) == turn
            if due or context.measure:
                metres = self.codecs["pose3d"].metres
                value = weight * loss(metres(output.float(), coded.batch), metres(wanted, coded.batch))
                if due:
                    terms[name] = value
                if context.measure:
                    ratios[f"{name}_gradient"] = gradient_ratio(value, terms["mse"], (output,))
        parts = [module.encoders[self.source], module.decoders]
        parts += [module.mappers[self.source]] if self.aligned else []
        take_step(context, sum_terms(terms), parts)
        return detached(terms, ratios)
