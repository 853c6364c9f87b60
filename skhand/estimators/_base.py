"""PoseEstimator: how every estimator is fitted, from X and y to fitted attributes."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, RegressorMixin, TransformerMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks

from skhand._progress import progress, without_bars
from skhand._validation import check_bool, check_seed, count, warn_user
from skhand.estimators._calibration import CalibrationMixin
from skhand.estimators._data import DataDescription, DataReader, TrainingData
from skhand.estimators._html import make_visual_block
from skhand.estimators._inputs import check_given
from skhand.estimators._parameters import COMMON, Check
from skhand.estimators._pickled import PickledNetworks
from skhand.estimators._recorder import EpochRecorder
from skhand.exceptions import DivergenceError, InputError, TrainingWarning
from skhand.training import (
    MODALITIES,
    Average,
    BestWeights,
    Checkpoint,
    Interrupts,
    Loop,
    Stage,
    are_rows_together,
    autocast,
    building,
    check_augment,
    choose_augment,
    count_operations,
    defer_interrupts,
    evaluating,
    fingerprint,
    forecast_stage,
    one_thread,
    read_ahead,
    resolve_device,
    resolve_precision,
    rows_apart,
)

_WEAK = 1e-3  # a term whose gradient is below this share of the main term's does nothing
_CPU_ROWS, _GPU_ROWS = {True: 16, False: 256}, 64  # rows of one chunk: of pictures, of vectors
_SMALL = 1e10  # floating-point operations of a training step that are left to one core
_NO_MATTER = ("callbacks", "checkpoint", "device", "n_jobs", "verbose", "warm_start")


@dataclass(frozen=True)
class Run:
    """The settings of one call of ``fit`` or ``partial_fit``.

    Parameters
    ----------
    data : TrainingData
        What to train and validate on.
    seed : tuple of int
        What shuffles, augmentation and latent noise depend on.
    device, dtype : torch.device, torch.dtype
        Where, and in which precision.
    augment : dict or None
        Augmentation settings.
    goes_on : bool
        Whether from the weights of an earlier call.
    one_epoch : bool
        Whether this is ``partial_fit``.
    checkpoint : Checkpoint or None
        The file to go on from and to write.
    """

    data: TrainingData
    seed: tuple[int, ...]
    device: torch.device
    dtype: torch.dtype
    augment: dict[str, Any] | None
    goes_on: bool
    one_epoch: bool
    checkpoint: Checkpoint | None = None


class PoseEstimator(
    PickledNetworks,
    CalibrationMixin,
    CallbackSupportMixin,
    RegressorMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Base of all estimators: ``fit``, ``partial_fit``, batched inference, pickling.

    A subclass has the parameters of `skhand.estimators._parameters.COMMON`, adds the checks of its own to
    ``_checks``, and has these methods:

    ``_pairs(source)``
        The pairs of modalities to train.
    ``_start(run)``
        Set what is learned of the data before training, such as codecs, and ``architecture_``.
    ``_architecture()``
        What the parameters say of the networks, by name.
    ``_build_module(pretrained)``
        Return new networks of ``architecture_``.
    ``_enter_stage(name, n_epochs, n_done, run)``
        Return the `Stage`, and set what the estimator is in it.
    ``_error(columns, rows)``, ``_error_name``
        Validation error of the present weights, and its name in the history.
    ``_predict_rows(columns, rows)``
        Run the network that predicts; its operations decide how many cores train.

    Of those below it may want its own `_settle`, `_conclude`, `_weights_of_terms` and the methods of stages.
    """

    #: attributes, besides the weights, that grow in the course of a fit; a checkpoint keeps them
    _progress: ClassVar[tuple[str, ...]] = ("history_", "n_iter_", "_finished", "_n_passes")
    #: what each parameter may be
    _checks: ClassVar[Mapping[str, Check]] = COMMON
    #: parameters that predictions depend on, and that may have been set since ``fit``
    _checked_to_predict: ClassVar[tuple[str, ...]] = ("image_shape", "predict_precision")
    _paper_augment: ClassVar[dict[str, Any]]
    #: whether ``augment="auto"`` is what ``_paper_augment`` has
    _augments_as_paper: ClassVar[bool] = False
    _reader_type: ClassVar[type[DataReader]] = DataReader
    _memory_format = torch.channels_last
    _save_every = 120.0  # s between two checkpoints within an epoch
    _main_term = "the MSE"
    _error_name: str = "valid_epe"

    # parameters and fitted attributes, as mypy is to know them
    module_: Any
    history_: dict[str, list[Any]]
    device_: torch.device
    codecs_: dict[str, Any]
    pairs_: list[tuple[str, str]]
    shapes_: dict[str, tuple[int, ...]]
    y_shape_: tuple[int, ...]
    given_: tuple[str, ...]
    source_: str
    target_: str
    root_: str | int
    poses_: bool
    architecture_: dict[str, Any]
    scale_mean_: float
    batch_size: Any
    _described: DataDescription
    _live: Any
    _n_averaged: int

    # ------------------------------------------------------------------ fit

    @with_callbacks
    def fit(self, X: Any, y: Any = None, *, X_val: Any = None, y_val: Any = None) -> Self:
        """Train the networks.

        Parameters
        ----------
        X : HandFrames or array-like
            Pictures (n, height, width, 3) uint8 or float in 0..1, depth (n, height, width) in mm, keypoints
            (n, n_joints, 2) in px, a table (n, n_features), or a `HandFrames` with any of these. Endless
            tables (``make_hands(endless=True)``) have other rows in every epoch.
        y : array-like of shape (n, n_joints, 3), (n, k) or (n,), mm
            Poses in the original camera frame, whatever X's ``rotation``, or any numbers. NaN rows are
            unlabelled. None takes the poses of X's column ``pose3d``, in the rows' own frames. Rows of
            numbers are poses only where the user says so: by ``flat_poses``, or by giving "root" or "scale".
        X_val, y_val : like X and y, default=None
            Validation data, for ``history_`` and early stopping. As with y, None takes the poses of X_val.

        Returns
        -------
        self : estimator

        Raises
        ------
        InputError
            If a parameter or an input is not what was expected. The estimator is left as it was.
        DivergenceError
            If a loss is no longer a number or grows without bound. The estimator is fitted with the last
            epoch that ended well, or left as it was if there is none.
        KeyboardInterrupt
            After an interrupt; ``interrupted_`` is then True, and the estimator is fitted with what was
            trained until then.
        """
        goes_on = check_bool(self.warm_start, "warm_start") and self.__sklearn_is_fitted__()
        return self._fit(X, y, X_val, y_val, goes_on=goes_on, one_epoch=False)

    @with_callbacks
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train for one more epoch on X and y, from the weights and the optimiser state there are.

        All rows are trained on: early stopping has no part in it, and no checkpoint is written.

        Parameters
        ----------
        X, y : array-like
            As in `fit`; the shapes must be those of the first call.

        Returns
        -------
        self : estimator
        """
        return self._fit(X, y, None, None, goes_on=self.__sklearn_is_fitted__(), one_epoch=True)

    def _fit(self, X: Any, y: Any, X_val: Any, y_val: Any, *, goes_on: bool, one_epoch: bool) -> Self:
        augment = self._validate_parameters()
        device = resolve_device(self.device)
        dtype = resolve_precision(self.precision, device)
        seed = int(check_seed(self.random_state).randint(np.iinfo(np.int32).max))
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._unchanged_by_errors())
            stack.enter_context(without_bars())  # `verbose` and callbacks tell of a fit
            data = self._reader(goes_on).read(X, y, X_val, y_val)
            checkpoint, saved = None, {}
            if self.checkpoint is not None and not one_epoch:
                checkpoint = Checkpoint(self.checkpoint, self._identify(data, seed))
                stack.enter_context(checkpoint.locked())
                saved = checkpoint.load()
                if goes_on and saved and saved["position"] == len(saved["ahead"]):
                    saved = {}  # of a call that has ended, on which this one goes on
            augment = self._resolve_augment(augment, data)
            if augment is not None:
                data, augment = data.widen_pictures(augment)
            interrupts = stack.enter_context(defer_interrupts())
            key = tuple(saved.get("seed", (seed, self.n_iter_) if goes_on else (seed,)))
            n_before = self.n_iter_ if goes_on else 0
            run = self._begin(Run(data, key, device, dtype, augment, goes_on, one_epoch, checkpoint))
            interrupts.raise_if_asked()
            ended_by = self._train(run, EpochRecorder(self, X, y), saved, n_before)
            ended_by = self._complete(run, ended_by, interrupts)
        if ended_by is not None:
            raise ended_by
        if not one_epoch and self.n_iter_ >= 10:
            self._warn_if_weak()
        return self

    @contextlib.contextmanager
    def _unchanged_by_errors(self) -> Iterator[None]:
        """Leave the estimator as it was when the block raises: what was fitted is replaced, never changed."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _begin(self, run: Run) -> Run:
        """Set what describes the data, set validation rows aside, and make the networks."""
        data, goes_on = run.data, run.goes_on
        self._forget_calibration()
        if goes_on:
            self._require_same_architecture()
        else:
            self.__dict__.pop("feature_names_in_", None)
            self.__dict__.update(data.described.attributes())
            self._described, self._split_seed = data.described, run.seed[0]
            self._finished: list[str | None] = []
            self._optimizer_state: Any = None
            self.n_iter_, self.history_, self._n_averaged, self._n_passes = 0, {}, 0, 0
        self._settle(data, goes_on)
        if self.early_stopping and not run.one_epoch and data.validation is None:
            run = replace(run, data=self._set_aside(data))
        self._start(run)
        if goes_on:  # copies: the fitted ones stay as they are until it succeeds
            live, start = copy.deepcopy(self._live), self.module_
        else:
            with building(run.seed[0]):
                live = start = self._build_module(getattr(self, "pretrained", False))
        live = live.to(run.device, memory_format=self._memory_format).eval()
        self._average: Average | None = None
        if self.averaging is not None:
            self._average = Average(start, self.averaging, self._n_averaged)
            averaged: Any = self._average.module
            averaged.to(run.device, memory_format=self._memory_format)
        self._live, self.module_ = live, live if self._average is None else self._average.module
        self.n_parameters_ = sum(weight.numel() for weight in live.parameters())
        self.device_ = run.device
        return run

    def _train(
        self, run: Run, recorder: EpochRecorder, saved: dict[str, Any], n_before: int
    ) -> BaseException | None:
        """Train one stage after the other; return what ended the training before its time, or None.

        ``n_before`` counts the epochs before this call, to whose weights a training that diverges goes back.
        """
        if saved:
            self._resume(saved)
        ahead = saved.get("ahead") or self._stages_ahead(run.one_epoch)
        state, first = saved.get("loop") if saved.get("in_stage") else None, saved.get("position", 0)
        recorder.stopped, told = saved.get("stopped", False), False
        with recorder.watching(len(ahead) - first):
            for position, (name, n_epochs, n_done) in enumerate(ahead[first:], first):
                before = {key: self.__dict__[key] for key in self._progress if key in self.__dict__}
                stage = self._enter_stage(name, n_epochs, n_done, run)
                save = partial(self._save, run, recorder, ahead, position)
                loop = self._make_loop(stage, n_done, run, recorder, save, state)
                recorder.begin_stage(name, loop)
                loop.told = told
                loop.later = partial(self._forecast, run, ahead[position + 1 :])
                try:
                    with self._limit_threads(stage, run):
                        loop.run()
                except (DivergenceError, KeyboardInterrupt) as error:
                    if self.n_iter_ == n_before:
                        raise
                    self._optimizer_state = self._optimizer = None  # its moments may be no numbers either
                    if not len(loop.net.history) and state is None:  # the stage has trained nothing
                        self.__dict__.update(before)
                    return error
                told = loop.told and run.device.type == "cpu"  # of all stages
                recorder.record(list(loop.net.history))
                self._optimizer_state, self._optimizer = copy.deepcopy(loop.optimizer.state_dict()), None
                if loop.interrupted:
                    self._n_passes += loop.count_passes()
                    return KeyboardInterrupt()
                if not (run.one_epoch or recorder.stopped):
                    self._finished = [*self._finished, name]
                recorder.end_stage()
                self._n_passes += loop.count_passes()
                state = None
                position = len(ahead) if recorder.stopped else position + 1
                self._save(run, recorder, ahead, position, loop.state(), in_stage=False)
                if recorder.stopped:
                    break
        return None

    def _complete(
        self, run: Run, ended_by: BaseException | None, interrupts: Interrupts
    ) -> BaseException | None:
        """Set the attributes that follow from the trained weights, also if Ctrl-C comes in between."""
        self._n_averaged = 0 if self._average is None else self._average.n_steps
        self._average = None
        try:
            self._conclude(run.data)
        except KeyboardInterrupt as interrupt:  # where it could not wait, as in a notebook's own handler
            self._conclude(run.data)
            ended_by = ended_by or interrupt
        if interrupts.asked:
            ended_by = ended_by or KeyboardInterrupt()
        self.interrupted_ = ended_by is not None
        if isinstance(ended_by, KeyboardInterrupt):
            warn_user(
                f"fit was interrupted after {count(self.n_iter_, 'epoch')}; the estimator is fitted with "
                "what was trained until then.",
                TrainingWarning,
            )
        return ended_by

    def _make_loop(
        self, stage: Stage, n_done: int, run: Run, recorder: EpochRecorder, save: Any, state: Any
    ) -> Loop:
        """Return the loop of a stage, on the live weights."""
        name, validation, best = stage.name, run.data.validation, None
        if validation is not None and self._validates(name):
            columns, rows = validation
            past = self.history_.get(self._error_name, [])[-self._epochs_of(name) :] if n_done else []
            best = BestWeights(
                lambda: self._error(columns, rows),
                self._error_name,
                self.n_iter_no_change if self.early_stopping else None,
                self.tol,
                [error for error in past if np.isfinite(error)],
            )
        loop = Loop(
            stage,
            self._live,
            average=self._average,
            columns_of=run.data.columns_of,
            n_workers=self.n_jobs,
            n_passes_before=self._n_passes,
            seed=[*run.seed, self._stage_names().index(name)],
            device=run.device,
            optimizer_state=copy.deepcopy(self._optimizer_state) if n_done else None,
            callbacks=self.callbacks or [],
            best=best,
            before_epoch=recorder.before_epoch,
            after_epoch=recorder.after_epoch,
            save=save if run.checkpoint is not None else None,
            save_every=self._save_every,
            state=state,
            turn=self._turn(),
        )
        self._optimizer = loop.optimizer
        return loop

    def _forecast(self, run: Run, ahead: Sequence[tuple[Any, int, int]]) -> dict[str, float]:
        """Return how long each stage that is ahead takes, s, by two steps on a copy; not on a GPU."""
        if run.device.type != "cpu":
            return {}  # steps there are recorded first, and fast
        future, left = copy.copy(self), {}
        future._live = future.module_ = copy.deepcopy(self._live)
        for name, n_epochs, n_done in ahead:
            stage = future._enter_stage(name, n_epochs, n_done, run)
            left[name] = forecast_stage(
                stage,
                future._live,
                run.data.columns_of,
                seed=run.seed,
                device=run.device,
                n_workers=self.n_jobs,
            )
        return left

    def _limit_threads(self, stage: Stage, run: Run) -> contextlib.AbstractContextManager[object]:
        """Keep small networks on one core of the processor: a second one waits more than it computes."""
        if run.device.type != "cpu" or torch.get_num_threads() == 1:
            return contextlib.nullcontext()
        n_operations = 3 * stage.batch_size * self._count_operations(run.data.columns)
        return one_thread() if n_operations < _SMALL else contextlib.nullcontext()

    # ------------------------------------------------------------------ stages, for estimators with one only

    def _stage_names(self) -> tuple[str | None, ...]:
        """Return the names of all stages, in order; an estimator without stages has one without a name."""
        return (None,)

    def _stages_ahead(self, one_epoch: bool) -> list[tuple[Any, int, int]]:
        """Return what a call trains: stages, how many epochs of each, and how many of it were done before."""
        return [(None, 1, self.n_iter_)] if one_epoch else [(None, self.max_epochs, 0)]

    def _epochs_of(self, name: str | None) -> int:
        """Return how many epochs of the history are of a stage."""
        return self.history_["stage"].count(name) if "stage" in self.history_ else self.n_iter_

    def _validates(self, name: str | None) -> bool:
        """Return whether a stage has a validation error."""
        return True

    # ------------------------------------------------------------------ checkpoints

    def _identify(self, data: TrainingData, seed: int) -> dict[str, Any]:
        """Return what a checkpoint must have in common with this call: parameters and prints of the data."""
        known = {
            name: fingerprint(value)
            for name, value in self.get_params(deep=False).items()
            if name not in _NO_MATTER
        }
        if self.random_state is not None:
            known["random_state"] = seed
        known["estimator"] = type(self).__name__
        for name, column in data.columns.items():
            known["y" if name == "pose3d" else f"X's column {name}"] = fingerprint(column)
        if data.validation is not None:
            columns, rows = data.validation
            known["rows of X_val and y_val"] = fingerprint(rows)
            for name, column in columns.items():
                known["y_val" if name == "pose3d" else f"X_val's column {name}"] = fingerprint(column)
        return known

    def _save(
        self,
        run: Run,
        recorder: EpochRecorder,
        ahead: Any,
        position: int,
        loop: Any,
        in_stage: bool = True,
    ) -> None:
        """Write a checkpoint, where one is kept: in a stage, or between two.

        Parameters
        ----------
        run, recorder, ahead : Run, EpochRecorder, list
            The call, and the stages that it trains.
        position : int
            How many of them have ended.
        loop : dict
            State of the loop.
        in_stage : bool, default=True
            Whether the loop goes on with this state; otherwise it only has the weights.
        """
        if run.checkpoint is None:
            return
        run.checkpoint.save(
            {
                "seed": run.seed,
                "stopped": recorder.stopped,
                "ahead": ahead,
                "position": position,
                "in_stage": in_stage,
                "loop": loop,
                "progress": {name: getattr(self, name) for name in self._progress},
                "codecs": {name: fingerprint(codec) for name, codec in vars(self).get("codecs_", {}).items()},
            }
        )

    def _settle(self, data: TrainingData, goes_on: bool) -> None:
        """Validate parameters that depend on the data."""

    def _conclude(self, data: TrainingData) -> None:
        """Set what follows from the trained weights."""

    def _weights_of_terms(self) -> list[tuple[str, str, float, str]]:
        """Return for each term its column of gradient ratios, its parameter, the value, and its name."""
        return []

    def _note_steps(self, name: str | None, n_steps: int) -> None:
        """Take note of how many steps of a stage this call has trained, after every epoch."""

    def _resume(self, saved: dict[str, Any]) -> None:
        """Take progress and weights from a checkpoint.

        Raises
        ------
        InputError
            If the codecs of these data are not those of the file.
        """
        for name, codec in vars(self).get("codecs_", {}).items():
            if saved["codecs"].get(name) != fingerprint(codec):
                raise InputError(f"checkpoint: the file is of other data: {name} has other statistics there.")
        self.__dict__.update(saved["progress"])
        self._live.load_state_dict(saved["loop"]["module"])
        if self._average is not None:
            self._average.resume(saved["loop"]["average"])
        self._optimizer_state = saved["loop"]["optimizer"]

    # ------------------------------------------------------------------ parameters and data

    def _reader(self, goes_on: bool) -> DataReader:
        return self._reader_type(self, self._described if goes_on else None)

    def _validate_parameters(self) -> Any:
        """Validate all parameters; return the augmentation settings.

        Raises
        ------
        InputError
        """
        self._check_parameters(self.get_params(deep=False))
        is_auto = isinstance(self.augment, str) and self.augment == "auto"
        return "auto" if is_auto else check_augment(self.augment, self._paper_augment)

    def _check_parameters(self, names: Iterable[str]) -> None:
        """Validate these parameters, each by itself."""
        for name in names:
            if name in self._checks:
                self._checks[name](getattr(self, name), name)

    def _resolve_augment(self, augment: Any, data: TrainingData) -> dict[str, Any] | None:
        """Return the augmentation settings that apply to these data."""
        described = data.described
        has_poses = not any("pose3d" in pair for pair in described.pairs_) or described.poses_
        if isinstance(augment, str):
            return self._auto_augment(data) if MODALITIES[described.source_].is_image and has_poses else None
        if augment is not None and (described.source_ == "table" or not has_poses):
            raise InputError(
                "augment: expected None for a table or a target that is not a pose (n, n_joints, 3), "
                f"got {self.augment!r}."
            )
        return augment

    def _auto_augment(self, data: TrainingData) -> dict[str, Any] | None:
        """Return the augmentation that "auto" stands for."""
        if self._augments_as_paper:
            return check_augment("paper", self._paper_augment)
        side = data.columns.get("side")
        side = None if side is None else np.asarray(side)[data.rows]
        return choose_augment(side, places="root" in data.described.given_)

    def _set_aside(self, data: TrainingData) -> TrainingData:
        """Return the data with some labelled rows to validate on."""
        if data.described.target_ != "pose3d":
            raise InputError(
                f"early_stopping: expected pairs whose first target is 'pose3d', got {self.pairs_[0]}."
            )
        return data.set_aside(data.usable(self.pairs_[0]), self.validation_fraction, self._split_seed)

    def _require_same_architecture(self) -> None:
        """Check that the parameters still describe the fitted networks.

        Raises
        ------
        InputError
            If a value differs; it names the parameter.
        """
        fitted, wanted = self._fitted_and_wanted()
        for name, value in fitted.items():
            if wanted[name] != value:
                raise InputError(
                    f"{name}: expected {value!r} as first fitted, to go on; got {wanted[name]!r}."
                )

    def _fitted_and_wanted(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what networks and targets were made from, and what the parameters say now."""
        fitted = {**self.architecture_, "given": set(self.given_), "root": self.root_}
        wanted = {**self._architecture(), "given": set(check_given(self.given)), "root": self.root}
        return fitted, wanted

    def _warn_if_weak(self) -> None:
        """Warn of a term of the loss whose gradient stayed far below the main term's, in any stage."""
        stages = np.array(self.history_.get("stage", [""] * self.n_iter_))
        for column, parameter, weight, term in self._weights_of_terms():
            ratios = np.array(self.history_.get(column, np.full(self.n_iter_, np.nan)))
            largest = {
                stage: ratios[of_stage].max()
                for stage in dict.fromkeys(stages.tolist())
                if (of_stage := (stages == stage) & np.isfinite(ratios)).any()
            }
            weak = [stage for stage, ratio in largest.items() if ratio < _WEAK]
            if weight > 0 and weak:
                where = f" in {', '.join(map(repr, weak))}" if "stage" in self.history_ else ""
                warn_user(
                    f"{parameter}={weight:g}: {term} never reached {_WEAK:g} of {self._main_term}'s "
                    f"gradient{where}; it does nothing{' there' if where else ''}.",
                    TrainingWarning,
                )

    # ------------------------------------------------------------------ inference

    def _rooted(self, poses: np.ndarray) -> np.ndarray:
        """Return poses relative to their root where it is given."""
        return self._described.rooted(poses)

    def _in_chunks(
        self,
        rows: np.ndarray,
        read: Callable[[np.ndarray], Any],
        function: Callable[[Any], Any],
        is_image: bool,
    ) -> list[np.ndarray]:
        """Call a function on what is read of chunks of rows, one chunk ahead, and join its arrays.

        A row's answer does not depend on the rows that are computed with it: on a processor, in float32,
        rows are computed apart (see `skhand.training.rows_apart`); elsewhere chunks are padded to one size.
        Another thread's training of the same object waits between two steps, while a chunk is computed.
        """
        dtype = resolve_precision(self.predict_precision, self.device_, "predict_precision")
        apart = self._computes_apart(dtype)
        filled = apart or are_rows_together()
        size, parts = self._chunk_size(is_image), []
        with torch.inference_mode(), rows_apart() if apart else autocast(self.device_, dtype):
            chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
            batches = zip(chunks, read_ahead(read, chunks), strict=True)
            for part, batch in progress(batches, type(self).__name__, total=len(chunks), unit="batch"):
                padded = batch if filled else _pad(batch, size - len(part))
                with self._turn(), evaluating(self.module_):
                    parts.append([_to_array(array[: len(part)]) for array in function(padded)])
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def _computes_apart(self, dtype: torch.dtype) -> bool:
        """Return whether predictions in this precision are computed row by row; see `rows_apart`."""
        return self.device_.type == "cpu" and dtype == torch.float32 and not are_rows_together()

    def _chunk_size(self, is_image: bool) -> int:
        """Return how many rows are predicted at once."""
        return _CPU_ROWS[is_image] if self.device_.type == "cpu" else _GPU_ROWS

    def _count_operations(self, columns: dict[str, Any]) -> float:
        """Return the floating-point operations of a row's prediction, in a training's columns."""
        n_rows = self._chunk_size(MODALITIES[self.source_].is_image)
        rows = np.zeros(n_rows, dtype=int)
        return count_operations(lambda: self._predict_rows(columns, rows)) / n_rows

    def __sklearn_is_fitted__(self) -> bool:
        return "module_" in vars(self)

    def __copy__(self) -> Any:
        shallow = object.__new__(type(self))  # copy.copy would otherwise pickle the weights
        shallow.__dict__.update(self.__dict__)
        return shallow

    def _sk_visual_block_(self) -> Any:
        return make_visual_block(self)  # for scikit-learn's HTML

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _pad(batch: Any, n_rows: int) -> Any:
    """Repeat the last row of tensors, or of tuples and dicts of them, so many times."""
    if isinstance(batch, Mapping):
        return {name: _pad(each, n_rows) for name, each in batch.items()}
    if isinstance(batch, tuple):
        return tuple(_pad(each, n_rows) for each in batch)
    return torch.cat([batch, batch[-1:].expand(n_rows, *batch.shape[1:])]) if n_rows else batch


def _to_array(values: torch.Tensor) -> np.ndarray:
    """Return a tensor as an array; numpy has no bfloat16."""
    return (values.float() if values.dtype == torch.bfloat16 else values).cpu().numpy()
