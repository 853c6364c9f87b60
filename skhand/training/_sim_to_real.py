"""The stages of Abdi et al. 2018: poses, pictures of two domains, and the posterior, one task each.

Weights belong to one Adam, which moves those that have a gradient: each loss is differentiated with respect
to its own networks only and takes its own step, which is the same as one optimiser for each of them.

Minus log likelihoods are mean absolute differences: over the values of a picture, or over the known
coordinates of a pose. The 2-norms of Eq. 6 and 7 are mean squared differences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

from skhand.nn import DOMAINS, SimToRealNet, masked_l1
from skhand.training._pairs import Coded, CodedTask, OnGradients, detached, gradient_ratio, take_step
from skhand.training._runtime import autocast
from skhand.training._sim_to_real_terms import (
    Made,
    Pictures,
    added,
    code_pose,
    cross_entropy,
    depth_divergence,
    feature_distance,
    make_pictures,
    other_domain,
    pose_divergence,
    total,
)

__all__ = ["DepthTask", "PoseTask", "PosteriorTask"]

CODE_MATCHED = 4  # rows of a batch on which the published code matches features in the last stage
_WEIGHT_OF = {"cycle": "reconstruction", "cycle_kl": "kl"}  # terms that share another one's weight


class SimToRealTask(CodedTask):
    """What the stages share.

    Parameters
    ----------
    source : str
        Modality of the pictures.
    weights : dict of str to float
        Weight of each term, by its name in the history; ``cycle`` has that of ``reconstruction``,
        ``cycle_kl`` that of ``kl``, and the discriminators have ``adversarial``.
    preset : {"paper", "code"}
        Whose KL terms and latent noise of poses.
    pictures : sequence of str
        Domains of which a step reads a batch of pictures.
    labelled : sequence of str
        Domains of which it reads a batch of pictures with poses. Where all pictures of a domain have a pose,
        one batch serves both.
    **settings : dict
        ``codecs``, ``augment``, ``use_side`` and ``dtype`` of `CodedTask`.
    """

    replayable = True  # as a CUDA graph: see `ReplayedStep`

    def __init__(
        self,
        source: str,
        weights: Mapping[str, float],
        preset: str,
        *,
        pictures: Sequence[str] = (),
        labelled: Sequence[str] = (),
        **settings: Any,
    ):
        pairs = [(source, source)] * len(pictures) + [(source, "pose3d")] * len(labelled)
        super().__init__(pairs or [("pose3d", "pose3d")], **settings)
        self.source, self.weights, self.preset = source, dict(weights), preset
        self.pictures, self.labelled = tuple(pictures), tuple(labelled)

    def read_domains(self, streams: Any) -> tuple[dict[str, Coded], dict[str, Coded]]:
        """The batches of pictures and of labelled pictures, by domain."""
        ready = self.read(streams)
        each = [ready[pair] for pair in range(len(self.pairs))]
        pictures = dict(zip(self.pictures, each, strict=False))
        return pictures, dict(zip(self.labelled, each[len(pictures) :], strict=True))

    def draw_pose(self, mean: Tensor, log_var: Tensor) -> Tensor:
        """One latent sample a pose; the published code's noise has a twentieth of the deviation."""
        noise = 1.0 if self.preset == "paper" else 0.05
        return mean + noise * torch.exp(0.5 * log_var) * torch.randn_like(mean)

    def weighted(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Terms times their weights."""
        return {name: self.weights[_WEIGHT_OF.get(name, name)] * value for name, value in terms.items()}


class PoseTask(SimToRealTask):
    """Stage "pose": the variational autoencoder of poses (Eq. 1).

    Minimises ``pose_kl`` KL + ``pose`` L1.

    Parameters
    ----------
    source, weights, preset, pictures, labelled, **settings
        As in `SimToRealTask`; a step reads poses only, and there are no ``pictures`` and no ``labelled``.
    """

    def step(
        self,
        module: SimToRealNet,
        optimizer: torch.optim.Optimizer,
        streams: Any,
        measure: bool,
        on_gradients: OnGradients = None,
    ) -> dict[str, Tensor]:
        """Train once; the parameters are those of `PairTask.step`."""
        wanted = self.read(streams)[0].inputs["pose3d"]
        with autocast(wanted.device, self.dtype):
            posterior = code_pose(module, wanted)
            output = module.pose_decoder(self.draw_pose(*posterior)).float()
        terms = self.weighted(
            {"pose": masked_l1(output, wanted), "pose_kl": pose_divergence(*posterior, self.preset)}
        )
        ratios = {}
        if measure:
            ratios["pose_kl_gradient"] = gradient_ratio(terms["pose_kl"], terms["pose"], posterior)
        take_step(optimizer, total(terms), module.pose_parts(), on_gradients)
        return detached(terms, ratios)


class DepthTask(SimToRealTask):
    """Stage "depth": encoders, generators and mapping against the discriminators (Eq. 2-6, 8).

    First the discriminators minimise ``adversarial`` times the cross entropies of real, translated and
    mapped pictures, and the feature matching; then encoders, generators and the mapping minimise all other
    terms, among them ``adversarial`` times the cross entropy of being taken for real. Both see the same
    generated pictures, the discriminators without their gradient. The pose encoder is frozen.

    Parameters
    ----------
    source, weights, preset, pictures, labelled, **settings
        As in `SimToRealTask`; ``pictures`` are both domains.
    """

    def step(
        self,
        module: SimToRealNet,
        optimizer: torch.optim.Optimizer,
        streams: Any,
        measure: bool,
        on_gradients: OnGradients = None,
    ) -> dict[str, Tensor]:
        """Train once; the parameters are those of `PairTask.step`."""
        coded, labelled = self.read_domains(streams)
        x = {domain: batch.inputs[self.source] for domain, batch in coded.items()}
        with autocast(x[DOMAINS[0]].device, self.dtype):
            mapped = {domain: self._map(module, batch) for domain, batch in labelled.items()}
            made = make_pictures(module, x, mapped)
        terms, ratios = self._judge(module, optimizer, x, made, measure, on_gradients)
        with autocast(x[DOMAINS[0]].device, self.dtype):
            wins = self._fool(module, made)
            cycles = self._cycle(module, x, made)
            maps = self._relate(module, coded, labelled, made)
        n_values = x[DOMAINS[0]][0].numel()
        kl = [depth_divergence(mean, n_values, self.preset) for mean in made.means.values()]
        rebuilt = [l1_loss(made.pictures[domain, domain], x[domain]) for domain in DOMAINS]
        mine = self.weighted(
            {"reconstruction": added(rebuilt), "kl": added(kl), "adversarial": wins, **cycles, **maps}
        )
        if measure:
            ratios.update(self._ratios(module, mine, made))
        take_step(optimizer, total(mine), module.generator_parts(), on_gradients)
        return detached(mine, terms, ratios)

    def _map(self, module: SimToRealNet, coded: Coded) -> Tensor:
        """Latent maps that the mapping makes of a sample of each pose."""
        with torch.no_grad():
            z = self.draw_pose(*code_pose(module, coded.inputs["pose3d"]))
        return module.map_pose(z)

    def _judge(
        self,
        module: SimToRealNet,
        optimizer: torch.optim.Optimizer,
        x: Mapping[str, Tensor],
        made: Made,
        measure: bool,
        on_gradients: OnGradients,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The discriminators' step: Eq. 4 and the third term of Eq. 6, and Eq. 8."""
        errors, features = [], {}
        with autocast(x[DOMAINS[0]].device, self.dtype):
            for domain in DOMAINS:
                shown = [x[domain], *(made.pictures[start, domain].detach() for start in DOMAINS)]
                shown += [made.drawn[domain].detach()] if domain in made.drawn else []
                seen = module.features(torch.cat(shown), domain)
                parts = seen.split([len(part) for part in shown])
                translated = parts[1 + DOMAINS.index(other_domain(domain))]
                features[domain] = dict(zip(DOMAINS, parts[1:3], strict=True))
                errors += [cross_entropy(module, parts[0], 1.0), cross_entropy(module, translated, 0.0)]
                errors += [cross_entropy(module, drawn, 0.0) for drawn in parts[3:]]
        terms = {
            "discriminator": self.weights["adversarial"] * added(errors),
            "feature": self.weights["feature"] * feature_distance(features),
        }
        ratios = {}
        if measure:
            at = tuple(module.trunk.parameters())
            ratios["feature_gradient"] = gradient_ratio(terms["feature"], terms["discriminator"], at)
        take_step(optimizer, total(terms), module.discriminator_parts(), on_gradients)
        return terms, ratios

    def _fool(self, module: SimToRealNet, made: Made) -> Tensor:
        """How far translated and mapped pictures are from being taken for real ones."""
        errors = []
        for domain in DOMAINS:
            shown = [made.pictures[other_domain(domain), domain]]
            shown += [made.drawn[domain]] if domain in made.drawn else []
            parts = module.features(torch.cat(shown), domain).split([len(part) for part in shown])
            errors += [cross_entropy(module, part, 1.0) for part in parts]
        return added(errors)

    def _cycle(self, module: SimToRealNet, x: Mapping[str, Tensor], made: Made) -> dict[str, Tensor]:
        """Pictures translated there and back (Eq. 5)."""
        kl, back = [], []
        for domain in DOMAINS:
            there = other_domain(domain)
            mean = module.encode(made.pictures[domain, there], there)
            kl.append(depth_divergence(mean, x[domain][0].numel(), self.preset))
            returned = module.generate(mean + torch.randn_like(mean), domain)
            back.append(l1_loss(returned.float(), x[domain]))
        return {"cycle_kl": added(kl), "cycle": added(back)}

    def _relate(
        self,
        module: SimToRealNet,
        coded: Mapping[str, Coded],
        labelled: Mapping[str, Coded],
        made: Made,
    ) -> dict[str, Tensor]:
        """Mapped poses beside the latent maps and the pictures that they belong to (Eq. 6)."""
        latent, picture = [], []
        for domain, batch in labelled.items():
            wanted = batch.inputs[self.source]
            if batch is coded[domain]:
                z = made.latents[domain]
            else:
                mean = module.encode(wanted, domain)
                z = mean + torch.randn_like(mean)
            latent.append(mse_loss(made.mapped[domain].float(), z.float()))
            picture.append(l1_loss(made.drawn[domain], wanted))
        return {"map": added(latent), "map_picture": added(picture)} if latent else {}

    def _ratios(self, module: SimToRealNet, terms: Mapping[str, Tensor], made: Made) -> dict[str, Tensor]:
        """Gradients beside those of the main terms: of the reconstruction, and of mapped pictures."""
        means = tuple(made.means.values())
        names = ("kl", "adversarial", "cycle", "cycle_kl")
        ratios = {
            f"{name}_gradient": gradient_ratio(terms[name], terms["reconstruction"], means) for name in names
        }
        if "map" in terms:
            mapped, shared = tuple(made.mapped.values()), tuple(module.shared_generator.parameters())
            ratios["map_gradient"] = gradient_ratio(terms["map"], terms["map_picture"], mapped)
            ratios["map_picture_gradient"] = gradient_ratio(
                terms["map_picture"], terms["reconstruction"], shared
            )
        return ratios


class PosteriorTask(SimToRealTask):
    """Stage "posterior": from pictures to the latent vectors of their poses (Eq. 7, 8).

    Minimises ``posterior`` times the mean squared difference to a sample of the pose's latent vector, over
    the labelled domains, and, where a step reads pictures of both domains, the feature matching on what the
    frozen generators make of them; like the published code, the preset "code" does so for the first four
    pictures of a domain only. Only the discriminators' layers and the posterior's last one move.

    Parameters
    ----------
    source, weights, preset, pictures, labelled, **settings
        As in `SimToRealTask`; ``pictures`` are both domains, or none.
    """

    def step(
        self,
        module: SimToRealNet,
        optimizer: torch.optim.Optimizer,
        streams: Any,
        measure: bool,
        on_gradients: OnGradients = None,
    ) -> dict[str, Tensor]:
        """Train once; the parameters are those of `PairTask.step`."""
        coded, labelled = self.read_domains(streams)
        device = next(iter(labelled.values())).inputs["pose3d"].device
        with torch.no_grad(), autocast(device, self.dtype):
            wanted = {
                domain: self.draw_pose(*code_pose(module, batch.inputs["pose3d"]))
                for domain, batch in labelled.items()
            }
            made = None
            if coded:
                n = CODE_MATCHED if self.preset == "code" else None
                x = {domain: batch.inputs[self.source][:n] for domain, batch in coded.items()}
                made = make_pictures(module, x)
        with autocast(device, self.dtype):
            errors = [
                mse_loss(
                    module.posterior(module.features(batch.inputs[self.source], domain)).float(),
                    wanted[domain],
                )
                for domain, batch in labelled.items()
            ]
            terms = {"posterior": added(errors)}
            if made is not None:
                features = {
                    to: dict(zip(DOMAINS, self._features(module, made.pictures, to), strict=True))
                    for to in DOMAINS
                }
                terms["posterior_feature"] = feature_distance(features)
        terms, ratios = self.weighted(terms), {}
        if measure and made is not None:
            at = tuple(module.trunk.parameters())
            ratios["posterior_feature_gradient"] = gradient_ratio(
                terms["posterior_feature"], terms["posterior"], at
            )
        take_step(optimizer, total(terms), module.posterior_parts(), on_gradients)
        return detached(terms, ratios)

    def _features(self, module: SimToRealNet, pictures: Pictures, to: str) -> Sequence[Tensor]:
        """Features of the pictures that one generator made, by the domain that they come from."""
        shown = [pictures[start, to] for start in DOMAINS]
        return module.features(torch.cat(shown), to).split([len(part) for part in shown])
