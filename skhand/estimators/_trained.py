"""What estimators around a latent space share in fit: checks, rows set aside, seeds, the training itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import check_random_state

from skhand._validation import check_number, check_option, warn_user
from skhand.estimators._fitting import (
    Run,
    check_training,
    require_same,
    train,
    unchanged_by_errors,
    warn_if_diverged,
)
from skhand.estimators._inputs import check_given, rows_of_pairs
from skhand.estimators._networks import DECODERS, fit_codecs
from skhand.estimators._training_data import PairedPoseEstimator
from skhand.exceptions import TrainingWarning
from skhand.nn import BACKBONES
from skhand.training import check_augment, resolve_device, resolve_precision, seeded

_COUNTS = ("latent_dim", "batch_size", "hidden_units", "n_hidden_layers")
_WEAK = 1e-3  # a term whose gradient is below this share of the MSE's does nothing


@dataclass
class TrainingSetup:
    """What the runs of one fit have in common.

    Parameters
    ----------
    columns : dict of str to array-like
        The checked columns.
    rows : ndarray of int
        Training rows, labelled or not.
    pair_rows : list of ndarray of int
        Those of each pair.
    rng : numpy.random.Generator
        Source of the shuffles.
    augment : dict or None
        Augmentation settings.
    dtype : torch.dtype
        Precision of the forward pass.
    validation : tuple or None
        Columns and rows to validate on.
    partial : bool
        Whether this is ``partial_fit``.
    resume : bool
        Whether ``partial_fit`` goes on from what was fitted before.
    """

    columns: dict[str, Any]
    rows: np.ndarray
    pair_rows: list[np.ndarray]
    rng: np.random.Generator
    augment: dict[str, Any] | None
    dtype: torch.dtype
    validation: tuple[dict[str, Any], np.ndarray] | None
    partial: bool
    resume: bool


class TrainedPoseEstimator(CallbackSupportMixin, PairedPoseEstimator):
    """Base of the estimators that are trained on pairs of modalities: ``fit`` and ``partial_fit``.

    A subclass has the parameters that `_check_parameters` reads, ``early_stopping``, ``warm_start``,
    ``callbacks``, ``device``, ``precision`` and ``random_state``, and the methods `_check_data`,
    `_architecture`, `_build_module`, `_n_latent`, `_n_epochs`, `_runs` and `_weights_of_terms`.
    """

    pretrained: bool = False  # a parameter, where there are pretrained weights
    _main_term = "the MSE"

    @with_callbacks
    def fit(self, X: Any, y: Any = None, *, X_val: Any = None, y_val: Any = None) -> Self:
        """Train the networks.

        Parameters
        ----------
        X : HandFrames or array-like
            Pictures (n, height, width, 3) uint8 or float in 0..1, depth (n, height, width) in mm, keypoints
            (n, n_joints, 2) in px, a table (n, n_features), or a `HandFrames` with any of these.
        y : array-like of shape (n, n_joints, 3), (n, 3 * n_joints), (n, k) or (n,), mm
            Poses in the original camera frame, whatever X's ``rotation``, or any numbers for a table. NaN
            rows are unlabelled. None takes the poses of X's column ``pose3d``, in the rows' own frames.
            Flattened poses are recognised where X is no table and they have five joints or more, or where
            "root" or "scale" is given; other numbers are standardised column by column.
        X_val, y_val : like X and y, default=None
            Validation data, for ``history_`` and early stopping.

        Returns
        -------
        self : estimator

        Raises
        ------
        InputError
            If a parameter or an input is not what was expected.
        KeyboardInterrupt
            After an interrupt; the estimator is fitted with what was trained until then.
        """
        return self._fit(X, y, X_val, y_val, fresh=not (self.warm_start and hasattr(self, "module_")))

    @with_callbacks
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train for one more epoch on X and y, from the weights and the optimiser state there are.

        All rows are trained on: early stopping has no part in it.

        Parameters
        ----------
        X, y : array-like
            As in `fit`; the shapes must be those of the first call.

        Returns
        -------
        self : estimator
        """
        return self._fit(X, y, None, None, fresh=not hasattr(self, "module_"), partial=True)

    # ------------------------------------------------------------------ inside

    def _fit(self, X: Any, y: Any, X_val: Any, y_val: Any, *, fresh: bool, partial: bool = False) -> Self:
        augment = self._check_parameters()
        device = resolve_device(self.device)
        dtype = resolve_precision(self.precision, device)
        stopping = self.early_stopping and not partial
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        rng = np.random.default_rng(seed if fresh else [seed, self.n_iter_])
        with seeded(int(rng.integers(2**31)), device):
            with unchanged_by_errors(self):
                columns = self._read_training(X, y, fresh)
                self._check_data(fresh)
                if not fresh:
                    self._check_same_architecture()
                validation = self._read_validation(X_val, y_val, stopping)
                augment = self._check_augmentation(augment)
                if fresh:
                    self._split_seed = seed
                rows = np.arange(len(columns[self.source_]))
                if stopping and validation is None:
                    rows, validation = self._split(columns, rows, self._split_seed)
                pair_rows = self._rows_of_pairs(columns, rows)
                if fresh:
                    self._build(columns, rows)
                self.module_ = self.module_.to(device, memory_format=self._memory_format)
            self.device_ = device
            setup = TrainingSetup(
                columns, rows, pair_rows, rng, augment, dtype, validation, partial, partial and not fresh
            )
            interrupted = train(self, self._runs(setup), self._n_epochs(partial), data=(X, y))
            self._read_latent(columns, pair_rows[0])
        if interrupted:
            raise KeyboardInterrupt
        warn_if_diverged(self)
        if not partial and self.n_iter_ >= 10:
            self._warn_if_weak()
        return self

    def _check_parameters(self) -> Any:
        """Judge the parameters that all have, before any work; return the augmentation settings."""
        self._check_network_parameters()
        check_training(self)
        is_auto = isinstance(self.augment, str) and self.augment == "auto"
        return "auto" if is_auto else check_augment(self.augment, self._paper_augment)

    def _check_network_parameters(self) -> None:
        """Judge the parameters of encoders and decoders, and of what they minimise."""
        for name in _COUNTS:
            check_number(getattr(self, name), name, integer=True, low=1)
        check_number(self.beta, "beta", low=0)
        check_option(self.backbone, "backbone", BACKBONES)
        check_option(self.decoder, "decoder", DECODERS)
        check_option(self.pretrained, "pretrained", (True, False))

    def _build(self, columns: dict[str, Any], rows: np.ndarray) -> None:
        """Fit the codecs and make the networks."""
        self.codecs_ = fit_codecs(
            set(self.shapes_), columns, rows, poses=self.poses_, given=self.given_, root=self.root
        )
        self.scale_mean_ = float(np.nanmean(columns["scale"])) if "scale" in self.given_ else 1.0
        self.root_ = self.root
        self.architecture_ = self._architecture()
        self.module_ = self._build_module(self.pretrained)
        self.n_parameters_ = sum(weight.numel() for weight in self.module_.parameters())
        self.n_iter_ = 0
        self.history_: dict[str, list[Any]] = {}
        self.latent_mean_ = np.zeros(self._n_latent())  # the prior, until the training rows have spoken
        self.latent_cov_ = np.eye(self._n_latent())
        self._optimizer_state: dict[str, Any] = {}

    def _rows_of_pairs(self, columns: dict[str, Any], rows: np.ndarray) -> list[np.ndarray]:
        """The rows that can train each pair."""
        return rows_of_pairs(columns, rows, self.pairs_, self._rooted)

    def _check_same_architecture(self) -> None:
        """Refuse to go on with networks that the parameters no longer describe."""
        wanted = {**self._architecture(), "given": set(check_given(self.given)), "root": self.root}
        fitted = {**self.architecture_, "given": set(self.given_), "root": self.root_}
        known = self.source == "auto" and self.pairs is None
        wanted["pairs"] = self._pairs(self.source_ if known else self.source)
        fitted["pairs"] = self.pairs_
        require_same(fitted, wanted)

    @property
    def _error_name(self) -> str:
        return "valid_epe" if self.poses_ else "valid_rmse"

    def _error(self, columns: dict[str, Any], rows: np.ndarray) -> float:
        """Validation error: mean EPE in mm for poses, root mean squared error otherwise."""
        mean, _ = self._encode(columns, rows, self.source_)
        predicted = self._decode(mean, "pose3d", columns, rows)
        wanted = columns["pose3d"][rows]
        if not self.poses_:
            return float(np.sqrt(np.nanmean((predicted - wanted) ** 2)))
        return float(np.nanmean(np.linalg.norm(self._rooted(predicted) - self._rooted(wanted), axis=2)))

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

    def _check_data(self, fresh: bool) -> None:
        """Judge what can be judged only beside the data."""
        raise NotImplementedError

    def _architecture(self) -> dict[str, Any]:
        """What the networks are built from, besides the data."""
        raise NotImplementedError

    def _n_latent(self) -> int:
        """Size of the latent space that predictions are decoded from."""
        raise NotImplementedError

    def _n_epochs(self, partial: bool) -> int:
        """Epochs of a call of ``fit`` or ``partial_fit``."""
        raise NotImplementedError

    def _runs(self, setup: TrainingSetup) -> Iterator[Run]:
        """What a call of ``fit`` or ``partial_fit`` trains, in order."""
        raise NotImplementedError

    def _weights_of_terms(self) -> list[tuple[str, str, float, str]]:
        """For each term its column of gradient ratios, its parameter, that one's value, and its name."""
        raise NotImplementedError
