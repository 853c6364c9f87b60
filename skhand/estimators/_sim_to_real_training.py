"""How SimToRealRegressor is trained: its networks, its three stages and what each of them reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from skhand._validation import check_number, check_option, warn_user
from skhand.estimators._fitting import Run, falling_rate, keep_best
from skhand.estimators._inputs import check_given, find_source, set_aside, usable_rows
from skhand.estimators._latent import CPU_ROWS, rows_to_measure
from skhand.estimators._networks import CHANNELS
from skhand.estimators._sim_to_real_settings import (
    EPOCH_STEPS,
    HALF_CUBE,
    PRESETS,
    SOURCES,
    STAGES,
    SUPERVISION,
    TERMS,
    WEIGHTS,
    check_stages,
    epoch_lengths,
)
from skhand.estimators._stages import by_stage, require_begun
from skhand.estimators._trained import TrainedPoseEstimator, TrainingSetup
from skhand.exceptions import InputError, TrainingWarning
from skhand.frames import HandFrames
from skhand.nn import DOMAINS, SimToRealNet
from skhand.training import (
    ABDI,
    DepthTask,
    EpochEnd,
    PairBatches,
    PoseTask,
    PosteriorTask,
    SignedCodec,
    code_pose,
    other_domain,
    to_numpy,
    to_tensors,
)

_ADAM = {"betas": (0.5, 0.999), "weight_decay": 1e-4}
_GPU_ROWS = 64  # rows of one chunk


class SimToRealPoseEstimator(TrainedPoseEstimator):
    """Base of `SimToRealRegressor`: what becomes of the parameters that are documented there.

    ``_finished`` lists the stages that ended by themselves: ``fit`` with ``warm_start`` and ``partial_fit``
    go on with the first one that is not among them. ``_past_optimizers`` has the optimisers of the stages
    before ``stage_``, whose own is ``_optimizer_state``, as they were left.
    """

    _paper_augment = ABDI
    _main_term = "the main term"
    _memory_format = torch.contiguous_format  # instance normalisation would copy every map there and back
    stages_: tuple[str, ...]
    front_: dict[str, str]
    _past_optimizers: dict[str, Any]

    # ------------------------------------------------------------------ parameters

    def _check_network_parameters(self) -> None:
        check_option(self.preset, "preset", tuple(PRESETS))
        check_option(self.supervision, "supervision", SUPERVISION)
        check_option(self.domain, "domain", DOMAINS)
        for name in ("latent_dim", "width", "pose_hidden_units"):
            check_number(self._setting(name), name, integer=True, low=1)
        for name in WEIGHTS:
            check_number(self._setting(name), name, low=0)
        for name in ("max_iter", "batch_size"):
            self._by_stage(name, integer=True, low=1)
        self._by_stage("lr", low=0, include_low=False)
        if not self._has_auto_stages():
            check_stages(self.stages)
        if "side" in check_given(self.given):
            raise InputError(
                "given: expected 'root' and 'scale' only, got 'side': these networks take no side. "
                "skhand.preprocessing.HandMirror brings all hands to one."
            )

    def _has_auto_stages(self) -> bool:
        return isinstance(self.stages, str) and self.stages == "auto"

    def _setting(self, name: str) -> Any:
        """A parameter, or the preset's value where it is None."""
        value = getattr(self, name)
        return PRESETS[self.preset][name] if value is None else value

    def _by_stage(self, name: str, **limits: Any) -> dict[str, Any]:
        """A parameter by stage: one value for all, or a dict, whose missing stages have the preset's."""
        value = self._setting(name)
        if isinstance(value, Mapping):
            value = {**PRESETS[self.preset][name], **value}
        return by_stage(value, name, STAGES, STAGES, **limits)

    # ------------------------------------------------------------------ data

    def _find_source(self, X: Any) -> str:
        return find_source(X, self.source, self.image_shape, SOURCES)

    def _pairs(self, source: str) -> list[tuple[str, str]]:
        check_option(source, "source", SOURCES)
        return [(source, "pose3d")]

    def _read_training(self, X: Any, y: Any, fresh: bool) -> dict[str, Any]:
        columns = self._with_domain(super()._read_training(X, y, fresh), self.source_)
        domain = columns["domain"]
        self.domains_ = tuple(name for i, name in enumerate(DOMAINS) if (domain == i).any())
        if fresh and self._has_auto_stages():
            self._warn_of_one_domain(X)
        if self.supervision != "all":  # labels that are not to be used are not there from here on
            poses = np.array(columns["pose3d"])
            poses[domain != DOMAINS.index(self.supervision)] = np.nan
            columns["pose3d"] = poses
        rows = np.arange(len(domain))
        if not usable_rows(columns, rows, self.pairs_[0], self._rooted).any():
            raise InputError(
                f"supervision: {self.supervision!r} needs labelled rows"
                f"{'' if self.supervision == 'all' else f' of the {self.supervision} domain'}, got none; "
                f"the domains of X are {self.domains_}."
            )
        return columns

    def _read_validation(self, X_val: Any, y_val: Any, stopping: bool) -> Any:
        validation = super()._read_validation(X_val, y_val, stopping)
        if validation is not None:
            self._with_domain(validation[0], self.source_)
        return validation

    def _read_rows(self, X: Any, source: str, target: str) -> dict[str, Any]:
        return self._with_domain(super()._read_rows(X, source, target), source)

    def _with_domain(self, columns: dict[str, Any], source: str) -> dict[str, Any]:
        """Rows without the name of a domain are of the one that the parameter says."""
        check_option(self.domain, "domain", DOMAINS)
        named = columns.get("domain", np.full(len(columns[source]), -1))
        columns["domain"] = np.where(named < 0, DOMAINS.index(self.domain), named)
        return columns

    def _warn_of_one_domain(self, X: Any) -> None:
        """Warn where rows have several names, which are all of one domain: the stage "depth" is left out."""
        names = (
            np.unique(X.domain.astype(str)).tolist()
            if isinstance(X, HandFrames) and "domain" in X.columns
            else []
        )
        if len(self.domains_) == 1 and len(names) > 1:
            warn_user(
                f"domain: X's rows are named {names}, which are all {self.domains_[0]}: only the name "
                f"'synthetic' is synthetic, and rows without a name are {self.domain}. The stage 'depth', "
                "which needs both domains, is left out.",
                TrainingWarning,
            )

    def _split(self, columns: dict[str, Any], rows: np.ndarray, seed: int) -> tuple[np.ndarray, Any]:
        """Set labelled rows of the real domain aside, or of both where it has fewer than two."""
        labelled = rows[usable_rows(columns, rows, self.pairs_[0], self._rooted)]
        real = labelled[columns["domain"][labelled] == DOMAINS.index("real")]
        candidates = real if len(real) > 1 else labelled
        kept, held_out = set_aside(candidates, rows, self.validation_fraction, seed)
        left = {DOMAINS[i] for i in np.unique(columns["domain"][kept])}
        if left != set(self.domains_):
            raise InputError(
                f"validation_fraction: expected rows of {self.domains_} left to train on, "
                f"got only {tuple(left)} with {self.validation_fraction}."
            )
        return kept, (columns, held_out)

    def _check_data(self, fresh: bool) -> None:
        """Settle the stages."""
        size = self.shapes_[self.source_][:2]
        least = SimToRealNet.min_size
        if min(size) < least:
            raise InputError(
                f"X: expected pictures of at least {least} x {least} px, got {size[0]} x {size[1]}."
            )
        both = self.domains_ == DOMAINS
        if self._has_auto_stages():
            ready = both or (not fresh and "depth" in self._finished)
            stages: tuple[str, ...] = STAGES if ready else ("pose", "posterior")
        else:
            stages = check_stages(self.stages)
        if not fresh:
            require_begun(stages, [*self.history_.get("stage", []), self.stage_])
        if "depth" in stages and not both and (fresh or "depth" not in self._finished):
            raise InputError(
                f"stages: 'depth' needs rows of both domains, got only {self.domains_}. X's column domain, "
                "or the parameter domain, says where rows are from."
            )
        self.stages_ = stages

    # ------------------------------------------------------------------ networks

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if "_past_optimizers" in state:
            state["_past_optimizers"] = to_numpy(state["_past_optimizers"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_past_optimizers" in state:
            self._past_optimizers = to_tensors(state["_past_optimizers"])

    def _architecture(self) -> dict[str, Any]:
        return {name: self._setting(name) for name in ("latent_dim", "width", "pose_hidden_units")}

    def _build(self, columns: dict[str, Any], rows: np.ndarray) -> None:
        super()._build(columns, rows)
        picture = SignedCodec(self.codecs_[self.source_])
        self.codecs_.update(dict.fromkeys([self.source_, *DOMAINS], picture))
        if self.poses_:
            codec = self.codecs_["pose3d"]
            codec.std = np.full_like(codec.std, HALF_CUBE / self.scale_mean_)
        self.stage_, self.n_steps_ = self.stages_[0], dict.fromkeys(STAGES, 0)
        self.front_ = {domain: domain for domain in DOMAINS}
        self.posterior_variance_ = np.ones(self.latent_dim)
        self._finished: list[str] = []
        self._past_optimizers = {}

    def _build_module(self, pretrained: bool) -> SimToRealNet:
        height, width = self.shapes_[self.source_][:2]
        n_outputs = int(np.prod(self.shapes_["pose3d"]))
        return SimToRealNet(n_outputs, CHANNELS[self.source_], (height, width), **self.architecture_)

    def _n_latent(self) -> int:
        return self.architecture_["latent_dim"]

    def _sources(self) -> list[str]:
        return [self.source_, "pose3d"]

    def _targets(self) -> list[str]:
        return ["pose3d", *(DOMAINS if self.n_steps_["depth"] else ())]

    def _output(self, latent: Any, target: str) -> Any:
        if target == "pose3d":
            return self.module_.pose_decoder(latent)
        return self.module_.generate(self.module_.map_pose(latent), target)

    def _encoder_columns(self) -> list[str]:
        return ["domain"]

    def _posterior(self, x: Any, modality: str, batch: dict[str, Any]) -> tuple[Any, Any]:
        if modality == "pose3d":
            return code_pose(self.module_, x)
        fronts = [self.front_[domain] for domain in DOMAINS]
        features = _by_domain(batch["domain"], fronts, lambda front: self.module_.features(x, front))
        mean = self.module_.posterior(features)
        log_var = torch.as_tensor(np.log(self.posterior_variance_), dtype=mean.dtype, device=mean.device)
        return mean, log_var.expand_as(mean)

    def _encode(
        self, columns: dict[str, Any], rows: np.ndarray, source: str, posterior: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        if posterior is None and source != "pose3d" and not self.n_steps_["posterior"]:
            warn_user(
                "stages: the stage 'posterior' has trained no epoch yet: what it finds is chance.",
                TrainingWarning,
            )
        return super()._encode(columns, rows, source, posterior)

    def _maps(self, x: Any, modality: str, batch: dict[str, Any]) -> Any:
        """Latent maps of rows: encoded pictures, or mapped poses."""
        if modality == "pose3d":
            return self.module_.map_pose(code_pose(self.module_, x)[0])
        return _by_domain(batch["domain"], DOMAINS, lambda domain: self.module_.encode(x, domain))

    def _chunk_rows(self, modality: str) -> int:
        is_image = self.codecs_[modality].is_image
        return CPU_ROWS[is_image] if self.device_.type == "cpu" else _GPU_ROWS

    def _read_latent(self, columns: dict[str, Any], rows: np.ndarray) -> None:
        """Measure how far the posterior is from (some of) the training rows' poses; the prior stays."""
        if not self.n_steps_["posterior"]:
            return
        some = rows_to_measure(rows)
        guess, _ = self._encode(columns, some, self.source_)
        true, _ = self._encode(columns, some, "pose3d")
        off = np.square(guess - true, dtype=np.float64).mean(axis=0)
        self.posterior_variance_ = np.maximum(off, np.finfo(np.float32).tiny)

    # ------------------------------------------------------------------ stages

    def _ahead(self, partial_fit: bool) -> list[tuple[str, int, int]]:
        """What a call trains: stages, how many steps of each, and how many of it were done before.

        It never goes back to a stage before the one that was begun last.
        """
        steps = self._by_stage("max_iter")
        waiting = [
            stage
            for stage in self.stages_[self.stages_.index(self.stage_) :]
            if stage not in self._finished and self.n_steps_[stage] < steps[stage]
        ]
        if partial_fit:
            stage = waiting[0] if waiting else self.stages_[-1]
            done = self.n_steps_[stage]
            left = steps[stage] - done if waiting else EPOCH_STEPS
            return [(stage, min(EPOCH_STEPS, left), done)]
        if not waiting:
            return [(self.stages_[-1], steps[self.stages_[-1]], 0)]
        return [(stage, steps[stage] - self.n_steps_[stage], self.n_steps_[stage]) for stage in waiting]

    def _n_epochs(self, partial: bool) -> int:
        return sum(len(epoch_lengths(n)) for _, n, _ in self._ahead(partial))

    def _runs(self, setup: TrainingSetup) -> Iterator[Run]:
        rates, sizes = (self._by_stage(name) for name in ("lr", "batch_size"))
        for stage, n_steps, n_done in self._ahead(setup.partial):
            if stage != self.stage_:
                self._past_optimizers = {**self._past_optimizers, self.stage_: self._optimizer_state}
            self.stage_ = stage
            task, pair_rows = self._task(stage, setup)
            batches = PairBatches(
                setup.columns,
                pair_rows,
                [task.columns(pair) for pair in range(len(task.pairs))],
                sizes[stage],
                setup.rng,
                self.device_,
                smallest=1,
            )
            if setup.partial:  # no more than one pass
                n_steps = min(n_steps, len(batches))
            batches.steps = epoch_lengths(n_steps)
            callbacks: list[Any] = [EpochEnd(partial(self._count, stage, batches))]
            callbacks += self._stage_callbacks(stage, n_done, setup)
            yield Run(
                task,
                batches,
                len(batches.steps),
                rates[stage],
                callbacks,
                resume=n_done > 0,
                stage=stage,
                adam=dict(_ADAM),
            )
            if not setup.partial:
                self._finished = [*self._finished, stage]

    def _stage_callbacks(self, stage: str, n_done: int, setup: TrainingSetup) -> list[Any]:
        """The validation error of the last stage, and the schedule: by step, and constant after its end."""
        rate, length = (self._by_stage(name)[stage] for name in ("lr", "max_iter"))
        validation = setup.validation if stage == "posterior" else None
        n_epochs = self.history_.get("stage", []).count(stage) if n_done else 0
        schedule = falling_rate(self, rate, length, n_done, by_batch=True)
        return [*schedule, *keep_best(self, validation, n_epochs)]

    def _count(self, stage: str, batches: PairBatches) -> bool:
        self.n_steps_ = {**self.n_steps_, stage: self.n_steps_[stage] + len(batches)}
        return False

    def _task(
        self, stage: str, setup: TrainingSetup
    ) -> tuple[PoseTask | DepthTask | PosteriorTask, list[np.ndarray]]:
        """A stage's task and the rows of each of its streams."""
        settings = {
            "source": self.source_,
            "weights": {name.removesuffix("_weight"): self._setting(name) for name in WEIGHTS},
            "preset": self.preset,
            "codecs": self.codecs_,
            "augment": setup.augment,
            "use_side": False,
            "dtype": setup.dtype,
        }
        if stage == "pose":
            return PoseTask(**settings), [setup.pair_rows[0]]
        rows, labelled = (
            {name: some[setup.columns["domain"][some] == i] for i, name in enumerate(DOMAINS)}
            for some in (setup.rows, setup.pair_rows[0])
        )
        labelled = {name: some for name, some in labelled.items() if len(some)}
        if stage == "posterior" and not self._settle_fronts(tuple(labelled)):
            rows = {}
        kind = DepthTask if stage == "depth" else PosteriorTask
        task = kind(pictures=tuple(rows), labelled=tuple(labelled), **settings)
        return task, [*rows.values(), *labelled.values()]

    def _settle_fronts(self, labelled: tuple[str, ...]) -> bool:
        """Settle whose front layers rows pass, and return whether features are matched."""
        matched = self.supervision == "all" and "depth" in self.stages_ and self.domains_ == DOMAINS
        trained = set(DOMAINS) if matched else set(labelled)
        if self.supervision == "all" and self.n_steps_["posterior"]:
            trained |= set(self.front_.values())
        self.front_ = {domain: domain if domain in trained else other_domain(domain) for domain in DOMAINS}
        return matched

    def _weights_of_terms(self) -> list[tuple[str, str, float, str]]:
        return [
            (f"{name}_gradient", f"{weight}_weight", self._setting(f"{weight}_weight"), f"the term {name!r}")
            for name, weight in TERMS.items()
        ]


def _by_domain(
    domain: torch.Tensor, names: Sequence[str], function: Callable[[str], torch.Tensor]
) -> torch.Tensor:
    """Call a function for each domain's name on all rows and take each row's own answer.

    All rows go through each, so that a row's answer does not depend on the rows beside it.
    """
    wanted = dict.fromkeys(name for i, name in enumerate(names) if bool((domain == i).any()))
    answers = {name: function(name) for name in wanted}
    if len(answers) == 1:
        return next(iter(answers.values()))
    first, last = (answers[name] for name in names)
    return torch.where((domain == 0).view(-1, *[1] * (first.ndim - 1)), first, last)
