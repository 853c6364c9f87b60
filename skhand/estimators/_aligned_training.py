"""How AlignedLatentRegressor is trained: its networks, its stages and what each of them minimises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from skhand._validation import check_number, check_option
from skhand.estimators._fitting import Run, falling_rate, keep_best
from skhand.estimators._inputs import check_given, rows_of_pairs
from skhand.estimators._networks import CHANNELS, build_decoder, build_encoder
from skhand.estimators._stages import by_stage, check_stages, require_begun
from skhand.estimators._trained import TrainedPoseEstimator, TrainingSetup
from skhand.exceptions import InputError
from skhand.nn import AlignedVAE, LatentDiscriminator, LatentMapper
from skhand.skeleton import JOINTS
from skhand.training import (
    STERGIOULAS,
    AlignTask,
    AutoencoderTask,
    PairBatches,
    RefineTask,
    encoder_input,
    one_hot_side,
)

_SOURCES = ("rgb", "depth", "keypoints2d", "table")
_WEIGHTS = ("adversarial_weight", "pose_weight", "kcs_weight", "geo_weight")


class StagedPoseEstimator(TrainedPoseEstimator):
    """Base of `AlignedLatentRegressor`: what becomes of the parameters that are documented there.

    ``_finished`` lists the stages that ended by themselves: ``fit`` with ``warm_start`` and ``partial_fit``
    go on with the first one that is not among them.
    """

    _paper_augment = STERGIOULAS
    stages_: tuple[str, ...]

    def _check_parameters(self) -> Any:
        check_number(self.context_dim, "context_dim", integer=True, low=1)
        for name in _WEIGHTS:
            check_number(getattr(self, name), name, low=0)
        check_option(self.decoded, "decoded", ("pose", "concat"))
        if not self._has_auto_stages():
            check_stages(self.stages)
        by_stage(self.max_epochs, "max_epochs", (), integer=True, low=1)
        by_stage(self.lr, "lr", (), low=0, include_low=False)
        return super()._check_parameters()

    def _has_auto_stages(self) -> bool:
        return isinstance(self.stages, str) and self.stages == "auto"

    def _check_data(self, fresh: bool) -> None:
        """Settle the stages."""
        is_hand = self.poses_ and self.shapes_["pose3d"] == (len(JOINTS), 3)
        if self._has_auto_stages():
            stages: tuple[str, ...] = ("disentangle", "align", "finetune", *(("refine",) if is_hand else ()))
        else:
            stages = check_stages(self.stages)
        if "refine" in stages and not is_hand and (self.kcs_weight > 0 or self.geo_weight > 0):
            raise InputError(
                f"stages: 'refine' needs y with the {len(JOINTS)} joints, or kcs_weight=0 and geo_weight=0; "
                f"got y of shape {self.y_shape_} a row."
            )
        if not fresh:
            require_begun(stages, [*self.history_.get("stage", []), self.stage_])
        by_stage(self.max_epochs, "max_epochs", stages)
        by_stage(self.lr, "lr", stages)
        self.stages_ = stages

    def _pairs(self, source: str) -> list[tuple[str, str]]:
        check_option(source, "source", _SOURCES)
        return [(source, "pose3d"), ("pose3d", "pose3d")]

    # ------------------------------------------------------------------ networks

    def _rows_of_pairs(self, columns: dict[str, Any], rows: np.ndarray) -> list[np.ndarray]:
        """The rows of both pairs; the pose encoder reads poses that are partly known too."""
        (of_source,) = rows_of_pairs(columns, rows, self.pairs_[:1], self._rooted)
        poses = self._rooted(columns["pose3d"][rows]).reshape(len(rows), -1)
        return [of_source, rows[np.isfinite(poses).any(axis=1)]]

    def _architecture(self) -> dict[str, Any]:
        return {
            "latent_dim": self.latent_dim,
            "context_dim": self.context_dim,
            "decoded": self.decoded,
            "decoder": self.decoder,
            "backbone": self.backbone,
            "hidden_units": self.hidden_units,
            "n_hidden_layers": self.n_hidden_layers,
            "side": "side" in check_given(self.given),
        }

    def _build(self, columns: dict[str, Any], rows: Any) -> None:
        super()._build(columns, rows)
        self.stage_, self.space_ = self.stages_[0], "rgb"
        self._finished: list[str] = []

    def _build_module(self, pretrained: bool) -> AlignedVAE:
        made = self.architecture_
        n_pose, n_context, n_decoded = made["latent_dim"], made["context_dim"], self._n_latent()
        if pretrained and self.source_ not in CHANNELS:
            raise InputError(f"pretrained: expected pictures as X, got {self.source_}.")
        layers = {"hidden_units": made["hidden_units"], "n_hidden_layers": made["n_hidden_layers"]}
        encoders = {
            modality: build_encoder(
                modality,
                self.shapes_[modality],
                size,
                backbone=made["backbone"],
                pretrained=pretrained,
                side=made["side"],
                **layers,
            )
            for modality, size in ((self.source_, n_context + n_pose), ("pose3d", n_pose))
        }
        decoder, pose_decoder = (
            build_decoder("pose3d", self.shapes_["pose3d"], size, decoder=made["decoder"], **layers)
            for size in (n_decoded, n_pose)
        )
        mappers = {
            modality: LatentMapper(size, n_decoded, hidden_units=made["hidden_units"])
            for modality, size in ((self.source_, n_decoded), ("pose3d", n_pose))
        }
        discriminator = None
        if self.stages_[0] == "disentangle":
            discriminator = LatentDiscriminator(n_pose, hidden_units=made["hidden_units"])
        n_skipped = n_context + n_pose - n_decoded
        return AlignedVAE(encoders, mappers, decoder, pose_decoder, discriminator, n_skipped)

    def _n_latent(self) -> int:
        made = self.architecture_
        alone = self.stages_[0] == "disentangle" and made["decoded"] == "pose"
        return made["latent_dim"] if alone else made["context_dim"] + made["latent_dim"]

    def _sources(self) -> list[str]:
        return [self.source_, *(["pose3d"] if self.space_ == "aligned" else [])]

    def _posterior(self, x: Any, modality: str, batch: dict[str, Any]) -> tuple[Any, Any]:
        return self._code(x, modality, batch, aligned=self.space_ == "aligned")

    def _code(self, x: Any, modality: str, batch: dict[str, Any], *, aligned: bool) -> tuple[Any, Any]:
        x = encoder_input(x, modality)
        return self.module_.posterior(x, modality, one_hot_side(batch), aligned=aligned)

    # ------------------------------------------------------------------ stages

    def _ahead(self, partial: bool) -> list[tuple[str, int, int]]:
        """What a call trains: stages, how many epochs of each, and how many of it were done before."""
        epochs = by_stage(self.max_epochs, "max_epochs", self.stages_)
        done = Counter(self.history_.get("stage", []))
        left = self.stages_[self.stages_.index(self.stage_) :]  # a stage that was left is not gone back to
        waiting = [stage for stage in left if stage not in self._finished and done[stage] < epochs[stage]]
        if partial:
            stage = waiting[0] if waiting else self.stages_[-1]
            return [(stage, 1, done[stage])]
        if not waiting:
            return [(self.stages_[-1], epochs[self.stages_[-1]], 0)]
        return [(stage, epochs[stage] - done[stage], done[stage]) for stage in waiting]

    def _n_epochs(self, partial: bool) -> int:
        return sum(n for _, n, _ in self._ahead(partial))

    def _runs(self, setup: TrainingSetup) -> Iterator[Run]:
        rates = by_stage(self.lr, "lr", self.stages_)
        for stage, n_epochs, n_done in self._ahead(setup.partial):
            self.stage_ = stage
            if stage in ("align", "finetune"):
                self.space_ = "aligned"
            self.module_.frozen = ("encoders",) if stage == "align" else ()
            task = self._task(stage, setup)
            pairs = range(1 if stage == "refine" else 2)
            batches = PairBatches(
                setup.columns,
                [setup.pair_rows[pair] for pair in pairs],
                [task.columns(pair) for pair in pairs],
                self.batch_size,
                setup.rng,
                self.device_,
            )
            if isinstance(task, RefineTask):
                task.turn = n_done * len(batches)  # where the stage goes on, so do the losses' turns
            whole = by_stage(self.max_epochs, "max_epochs", self.stages_)[stage]
            callbacks = falling_rate(self, rates[stage], whole, n_done)
            callbacks += keep_best(self, setup.validation, n_done)
            yield Run(task, batches, n_epochs, rates[stage], callbacks, resume=n_done > 0, stage=stage)
            if not setup.partial:
                self._finished.append(stage)

    def _task(self, stage: str, setup: TrainingSetup) -> AutoencoderTask | AlignTask | RefineTask:
        settings = {
            "codecs": self.codecs_,
            "augment": setup.augment,
            "use_side": "side" in self.given_,
            "dtype": setup.dtype,
        }
        if stage == "refine":
            codec = self.codecs_["pose3d"]
            metres = float(codec.std.mean()) * self.scale_mean_ / 1000.0
            return RefineTask(
                self.source_,
                self.kcs_weight,
                self.geo_weight,
                metres=metres,
                aligned=self.space_ == "aligned",
                **settings,
            )
        if stage in ("align", "finetune"):
            return AlignTask(self.source_, self.beta, self.pose_weight, stage == "finetune", **settings)
        return AutoencoderTask(self.source_, self.beta, self.adversarial_weight, **settings)

    def _weights_of_terms(self) -> list[tuple[str, str, float, str]]:
        terms = [("kl", "beta", "the KL term"), ("kl_pose", "beta", "the pose encoder's KL term")]
        terms += [("mse_pose", "pose_weight", "the poses' own MSE")]
        terms += [(name, f"{name}_weight", f"the term {name!r}") for name in ("adversarial", "kcs", "geo")]
        return [
            (f"{column}_gradient", parameter, getattr(self, parameter), term)
            for column, parameter, term in terms
        ]
