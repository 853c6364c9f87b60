"""The stages of Abdi et al. 2018: poses, pictures of two domains, and the posterior, one objective each.

Weights belong to one Adam, which moves those that have a gradient: each loss is differentiated with respect
to its own networks only and takes its own step, which is the same as one optimiser for each of them.

Minus log likelihoods are mean absolute differences: over the values of a picture, or over the known
coordinates of a pose. The 2-norms of Eq. 6 and 7 are mean squared differences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

from skhand.estimators.sim_to_real.network import DOMAINS, SimToRealNet
from skhand.estimators.sim_to_real.terms import (
    Made,
    Pictures,
    code_pose,
    cross_entropy,
    depth_divergence,
    feature_distance,
    make_pictures,
    other_domain,
    pose_divergence,
)
from skhand.nn import draw_noise, masked_l1
from skhand.training import (
    Coded,
    Objective,
    StepContext,
    autocast,
    detached,
    gradient_ratio,
    sum_terms,
    take_step,
)

__all__ = ["AUGMENT", "DepthObjective", "PoseObjective", "PosteriorObjective"]

AUGMENT: dict[str, Any] = {"rotate": 180.0, "shift": 10.0 / 300.0, "depth": 10.0}
"""Abdi et al. 2018, Sec. 5: rotation within +-180 degrees and a translation of 10 mm, in the picture and
along the optical axis. The shift is 10 mm of a cube of 300 mm that fills the picture."""

Streams = Mapping[str, dict[str, Tensor]]
Rows = Mapping[str, np.ndarray]

CODE_MATCHED = 4  # rows of a batch on which the published code matches features in the last stage
_WEIGHT_OF = {"cycle": "reconstruction", "cycle_kl": "kl"}  # terms that share another one's weight


class SimToRealObjective(Objective):
    """Base of the stages' objectives.

    Parameters
    ----------
    source : str
        Modality of the pictures.
    weights : dict of str to float
        Weight of each term, by its name in the history; ``cycle`` has that of ``reconstruction``,
        ``cycle_kl`` that of ``kl``, and the discriminators have ``adversarial``.
    preset : {"paper", "code"}
        Whose KL terms and latent noise of poses.
    pictures : mapping of str to ndarray of int
        Rows of the pictures of each domain that a step reads.
    labelled : mapping of str to ndarray of int
        Rows of those that have poses. Where all pictures of a domain have a pose, one batch serves both.
    **settings : dict
        Those of `Objective`.

    Attributes
    ----------
    streams : dict of str to ndarray of int
        Rows of each stream: those of each domain, and of ``labelled_<domain>`` where they are fewer.
    """

    replayable = True  # as a CUDA graph: see `ReplayedStep`

    def __init__(
        self,
        source: str,
        weights: Mapping[str, float],
        preset: str,
        *,
        pictures: Rows | None = None,
        labelled: Rows | None = None,
        **settings: Any,
    ):
        super().__init__(**settings)
        self.source, self.weights, self.preset = source, dict(weights), preset
        self.streams: dict[str, np.ndarray] = dict(pictures or {})
        self.modalities = {domain: {source} for domain in self.streams}
        self.pictures, self.labelled = tuple(self.streams), {}
        for domain, rows in (labelled or {}).items():
            shared = domain in self.streams and np.array_equal(self.streams[domain], rows)
            stream = domain if shared else f"labelled_{domain}"
            self.streams[stream], self.labelled[domain] = rows, stream
            self.modalities[stream] = {source, "pose3d"}

    def read_domains(
        self, batches: Streams, context: StepContext
    ) -> tuple[dict[str, Coded], dict[str, Coded]]:
        """Return the batches of pictures and of labelled pictures, by domain."""
        coded = self.read(batches, context.generator)
        pictures = {domain: coded[domain] for domain in self.pictures}
        return pictures, {domain: coded[stream] for domain, stream in self.labelled.items()}

    def draw_pose(self, mean: Tensor, log_var: Tensor, context: StepContext) -> Tensor:
        """Draw one latent sample a pose; the published code's noise has a twentieth of the deviation."""
        noise = 1.0 if self.preset == "paper" else 0.05
        return mean + noise * torch.exp(0.5 * log_var) * draw_noise(mean, context.generator)

    def weighted(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Terms times their weights."""
        return {name: self.weights[_WEIGHT_OF.get(name, name)] * value for name, value in terms.items()}


class PoseObjective(SimToRealObjective):
    """Stage "pose": the variational autoencoder of poses (Eq. 1).

    Minimises ``pose_kl`` KL + ``pose`` L1 of the stream "pose".

    Parameters
    ----------
    *arguments : tuple
        Source, weights and preset, as in `SimToRealObjective`.
    rows : ndarray of int
        Rows with a pose.
    **settings : dict
        Those of `Objective`; there are no ``pictures`` and no ``labelled``.
    """

    def __init__(self, *arguments: Any, rows: np.ndarray, **settings: Any):
        super().__init__(*arguments, **settings)
        self.streams, self.modalities = {"pose": rows}, {"pose": {"pose3d"}}

    def step(self, module: SimToRealNet, batches: Streams, context: StepContext) -> dict[str, Tensor]:
        """Train once; see `Objective.step`."""
        (coded,) = self.read(batches, context.generator).values()
        wanted = coded.inputs["pose3d"]
        with autocast(wanted.device, self.dtype):
            posterior = code_pose(module, wanted)
            output = module.pose_decoder(self.draw_pose(*posterior, context)).float()
        terms = self.weighted(
            {"pose": masked_l1(output, wanted), "pose_kl": pose_divergence(*posterior, self.preset)}
        )
        ratios = {}
        if context.measure:
            ratios["pose_kl_gradient"] = gradient_ratio(terms["pose_kl"], terms["pose"], posterior)
        take_step(context, sum_terms(terms), module.pose_parts())
        return detached(terms, ratios)


class DepthObjective(SimToRealObjective):
    """Stage "depth": encoders, generators and mapping against the discriminators (Eq. 2-6, 8).

    First the discriminators minimise ``adversarial`` times the cross entropies of real, translated and
    mapped pictures, and the feature matching; then encoders, generators and the mapping minimise all other
    terms, among them ``adversarial`` times the cross entropy of being taken for real. Both see the same
    generated pictures, the discriminators without their gradient. The pose encoder is frozen.

    Parameters
    ----------
    source, weights, preset, pictures, labelled, **settings
        As in `SimToRealObjective`; ``pictures`` are both domains.

    Attributes
    ----------
    warm_until : int
        Step of the run until which the synthetic domain's encoder and generator learn to rebuild the pictures
        of both domains, and nothing else is learned. The real domain's are copies of them until then.
    """

    warm_until = 0

    def step(self, module: SimToRealNet, batches: Streams, context: StepContext) -> dict[str, Tensor]:
        """Train once; see `Objective.step`."""
        coded, labelled = self.read_domains(batches, context)
        x = {domain: batch.inputs[self.source] for domain, batch in coded.items()}
        if context.number < self.warm_until:
            return self._warm_up(module, x, context)
        with autocast(x[DOMAINS[0]].device, self.dtype):
            mapped = {domain: self._map(module, batch, context) for domain, batch in labelled.items()}
            made = make_pictures(module, x, mapped, context.generator)
        terms, ratios = self._train_discriminators(module, x, made, context)
        with autocast(x[DOMAINS[0]].device, self.dtype):
            wins = self._fool(module, made)
            cycles = self._cycle(module, x, made, context)
            maps = self._relate(module, coded, labelled, made, context)
        rebuilt = {domain: made.pictures[domain, domain] for domain in DOMAINS}
        mine = self.weighted({**self._rebuild(rebuilt, made.means, x), "adversarial": wins, **cycles, **maps})
        if context.measure:
            ratios.update(self._ratios(module, mine, made))
        take_step(context, sum_terms(mine), module.generator_parts())
        return detached(mine, terms, ratios)

    def _warm_up(
        self, module: SimToRealNet, x: Mapping[str, Tensor], context: StepContext
    ) -> dict[str, Tensor]:
        """Train once to rebuild the pictures of both domains by one encoder and generator (Eq. 3)."""
        first = DOMAINS[0]
        with autocast(x[first].device, self.dtype):
            coded = module.encode(torch.cat([x[domain] for domain in DOMAINS]), first)
            drawn = module.generate(coded + draw_noise(coded, context.generator), first).float()
        sizes = [len(x[domain]) for domain in DOMAINS]
        means, rebuilt = (dict(zip(DOMAINS, some.split(sizes), strict=True)) for some in (coded, drawn))
        terms = self.weighted(self._rebuild(rebuilt, means, x))
        take_step(context, sum_terms(terms), module.generator_parts())
        module.share_ends()
        return detached(terms)

    def _rebuild(
        self, rebuilt: Mapping[str, Tensor], means: Mapping[str, Tensor], x: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Compare rebuilt pictures with what they were, and latent maps with the prior (Eq. 3)."""
        n_values = x[DOMAINS[0]][0].numel()
        kl = [depth_divergence(mean, n_values, self.preset) for mean in means.values()]
        errors = [l1_loss(rebuilt[domain], x[domain]) for domain in DOMAINS]
        return {"reconstruction": sum_terms(errors), "kl": sum_terms(kl)}

    def _map(self, module: SimToRealNet, coded: Coded, context: StepContext) -> Tensor:
        """Latent maps that the mapping makes of a sample of each pose."""
        with torch.no_grad():
            z = self.draw_pose(*code_pose(module, coded.inputs["pose3d"]), context)
        return module.map_pose(z)

    def _train_discriminators(
        self, module: SimToRealNet, x: Mapping[str, Tensor], made: Made, context: StepContext
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Take the discriminators' step: Eq. 4 and the third term of Eq. 6, and Eq. 8."""
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
            "discriminator": self.weights["adversarial"] * sum_terms(errors),
            "feature": self.weights["feature"] * feature_distance(features),
        }
        ratios = {}
        if context.measure:
            at = tuple(module.trunk.parameters())
            ratios["feature_gradient"] = gradient_ratio(terms["feature"], terms["discriminator"], at)
        take_step(context, sum_terms(terms), module.discriminator_parts())
        return terms, ratios

    def _fool(self, module: SimToRealNet, made: Made) -> Tensor:
        """Compute how far translated and mapped pictures are from being taken for real ones."""
        errors = []
        for domain in DOMAINS:
            shown = [made.pictures[other_domain(domain), domain]]
            shown += [made.drawn[domain]] if domain in made.drawn else []
            parts = module.features(torch.cat(shown), domain).split([len(part) for part in shown])
            errors += [cross_entropy(module, part, 1.0) for part in parts]
        return sum_terms(errors)

    def _cycle(
        self, module: SimToRealNet, x: Mapping[str, Tensor], made: Made, context: StepContext
    ) -> dict[str, Tensor]:
        """Pictures translated there and back (Eq. 5)."""
        kl, back = [], []
        for domain in DOMAINS:
            there = other_domain(domain)
            mean = module.encode(made.pictures[domain, there], there)
            kl.append(depth_divergence(mean, x[domain][0].numel(), self.preset))
            returned = module.generate(mean + draw_noise(mean, context.generator), domain)
            back.append(l1_loss(returned.float(), x[domain]))
        return {"cycle_kl": sum_terms(kl), "cycle": sum_terms(back)}

    def _relate(
        self,
        module: SimToRealNet,
        coded: Mapping[str, Coded],
        labelled: Mapping[str, Coded],
        made: Made,
        context: StepContext,
    ) -> dict[str, Tensor]:
        """Compare mapped poses with the latent maps and the pictures that they belong to (Eq. 6)."""
        latent, picture = [], []
        for domain, batch in labelled.items():
            wanted = batch.inputs[self.source]
            if batch is coded[domain]:
                z = made.latents[domain]
            else:
                mean = module.encode(wanted, domain)
                z = mean + draw_noise(mean, context.generator)
            latent.append(mse_loss(made.mapped[domain].float(), z.float()))
            picture.append(l1_loss(made.drawn[domain], wanted))
        return {"map": sum_terms(latent), "map_picture": sum_terms(picture)} if latent else {}

    def _ratios(self, module: SimToRealNet, terms: Mapping[str, Tensor], made: Made) -> dict[str, Tensor]:
        """Measure gradients against those of the main terms: the reconstruction, and mapped pictures."""
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


class PosteriorObjective(SimToRealObjective):
    """Stage "posterior": from pictures to the latent vectors of their poses (Eq. 7, 8).

    Minimises ``posterior`` times the mean squared difference to a sample of the pose's latent vector, over
    the labelled domains, and, where a step reads pictures of both domains, the feature matching on what the
    frozen generators make of them; like the published code, the preset "code" does so for the first four
    pictures of a domain only. Only the discriminators' layers and the posterior's last one move.

    Parameters
    ----------
    source, weights, preset, pictures, labelled, **settings
        As in `SimToRealObjective`; ``pictures`` are both domains, or none.

    Attributes
    ----------
    apart_from : int
        Step of the run from which on the real domain's front layers are its own and features are matched.
        Before it they are those of the synthetic domain.
    """

    apart_from = 0

    def step(self, module: SimToRealNet, batches: Streams, context: StepContext) -> dict[str, Tensor]:
        """Train once; see `Objective.step`."""
        coded, labelled = self.read_domains(batches, context)
        together = context.number < self.apart_from
        device = next(iter(labelled.values())).inputs["pose3d"].device
        with torch.no_grad(), autocast(device, self.dtype):
            wanted = {
                domain: self.draw_pose(*code_pose(module, batch.inputs["pose3d"]), context)
                for domain, batch in labelled.items()
            }
            made: Pictures = {}
            if coded and not together:
                n = CODE_MATCHED if self.preset == "code" else None
                x = {domain: batch.inputs[self.source][:n] for domain, batch in coded.items()}
                made = self.show_in_both(module, x, context)
        with autocast(device, self.dtype):
            errors = [
                mse_loss(
                    module.posterior(module.features(batch.inputs[self.source], domain)).float(),
                    wanted[domain],
                )
                for domain, batch in labelled.items()
            ]
            terms = {"posterior": sum_terms(errors)}
            if made:
                features = {
                    to: dict(zip(DOMAINS, self._features(module, made, to), strict=True)) for to in DOMAINS
                }
                terms["posterior_feature"] = feature_distance(features)
        terms, ratios = self.weighted(terms), {}
        if context.measure and made:
            at = tuple(module.trunk.parameters())
            ratios["posterior_feature_gradient"] = gradient_ratio(
                terms["posterior_feature"], terms["posterior"], at
            )
        take_step(context, sum_terms(terms), module.posterior_parts())
        if together:
            module.share_front()
        return detached(terms, ratios)

    def show_in_both(self, module: SimToRealNet, x: Mapping[str, Tensor], context: StepContext) -> Pictures:
        """Return pictures of each domain as they are in both, on which features are matched."""
        return make_pictures(module, x, generator=context.generator).pictures

    def _features(self, module: SimToRealNet, pictures: Pictures, to: str) -> Sequence[Tensor]:
        """Features of the pictures that one generator made, by the domain that they come from."""
        shown = [pictures[start, to] for start in DOMAINS]
        return module.features(torch.cat(shown), to).split([len(part) for part in shown])
