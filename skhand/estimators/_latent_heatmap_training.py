"""How LatentHeatmapRegressor is trained: its checks, its data and its run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, RegressorMixin, TransformerMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import check_random_state

from skhand._validation import check_number, check_option, check_shape, warn_user
from skhand.estimators._fitting import (
    Run,
    check_training,
    falling_rate,
    keep_best,
    require_same,
    train,
    unchanged_by_errors,
    warn_if_diverged,
)
from skhand.estimators._inputs import (
    check_given,
    read_columns,
    read_target,
    require_given,
    set_aside,
    to_row_frame,
)
from skhand.estimators._latent_heatmap_labels import (
    Pose25DPrediction,
    add_labels,
    cameras_of,
    place_hands,
    require_camera,
    root_depth_prior,
    root_distance,
    scale_ratio,
)
from skhand.estimators._pickled import Pickled
from skhand.exceptions import InputError, SideInformationError, TrainingWarning
from skhand.geometry import bone_length, mean_bone_lengths
from skhand.nn import BACKBONES, HEATMAPS, Maps25D, Pose25DNet, map_spread
from skhand.skeleton import BONES, JOINTS, root_position
from skhand.training import (
    IQBAL,
    HeatmapTask,
    PairBatches,
    RGBCodec,
    check_augment,
    evaluating,
    fetch,
    one_hot_side,
    resolve_device,
    resolve_precision,
    seeded,
)

_COUNTS = ("max_epochs", "batch_size", "width", "n_stages")
_CPU_ROWS = 4  # rows of one chunk of pictures on a CPU
_WEAK = 1e-3  # a term whose gradient is below this share of the other's does nothing
_MAPS = ("heatmap", "width", "n_stages", "fast", "backbone")


class HeatmapPoseEstimator(
    CallbackSupportMixin,
    Pickled,
    RegressorMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Base of `LatentHeatmapRegressor`: what becomes of the parameters that are documented there."""

    _error_name = "valid_epe"

    @with_callbacks
    def fit(self, X: Any, y: Any = None, *, X_val: Any = None, y_val: Any = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : HandFrames, or array-like of shape (n, height, width, 3)
            Colour pictures, uint8 or float in 0..1, with the cameras of rows with a pose. Several data sets
            are one table: see `skhand.concat_frames`.
        y : array-like of shape (n, 21, 3) or (n, 63), mm
            Poses in the original camera frame, whatever X's ``rotation``. NaN rows train the places in the
            picture by X's ``keypoints2d``, of which those that ``visible`` leaves out do not count. None
            takes the poses of X's column ``pose3d``, in the rows' own frames.
        X_val, y_val : like X and y, default=None
            Validation data, for ``history_`` and early stopping. As with y, None takes the poses of X_val.

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

        All rows are trained on; what the first call has learned of bones and depths stays.

        Parameters
        ----------
        X, y : array-like
            As in `fit`; the shapes must be those of the first call.

        Returns
        -------
        self : estimator
        """
        return self._fit(X, y, None, None, fresh=not hasattr(self, "module_"), partial=True)

    # ------------------------------------------------------------------ training

    def _fit(self, X: Any, y: Any, X_val: Any, y_val: Any, *, fresh: bool, partial: bool = False) -> Self:
        augment = self._check_parameters()
        device = resolve_device(self.device)
        dtype = resolve_precision(self.precision, device)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        with unchanged_by_errors(self):
            columns = self._read_training(X, y, fresh)
            if not fresh:
                self._check_same_architecture()
            validation = self._read_validation(X_val, y_val)
            if fresh:
                self._split_seed = seed
            rows = np.flatnonzero(np.isfinite(columns["keypoints2d"]).any(axis=(1, 2)))
            if self.early_stopping and not partial and validation is None:
                labelled = self._measured(columns)
                rows, held_out = set_aside(labelled, rows, self.validation_fraction, self._split_seed)
                validation = columns, held_out
            if fresh or not partial:
                self._read_priors(columns, rows)
        rng = np.random.default_rng(seed if fresh else [seed, self.n_iter_])
        with seeded(int(rng.integers(2**31)), device):
            if fresh:
                self._build()
            self.module_ = self.module_.to(device, memory_format=self._memory_format)
            self.device_ = device
            task = HeatmapTask(self.alpha, self.sigma, augment, "side" in self.given_, dtype)
            batches = PairBatches(columns, [rows], [task.columns()], self.batch_size, rng, device)
            epochs = 1 if partial else self.max_epochs
            callbacks = [*falling_rate(self, self.lr, epochs), *keep_best(self, validation)]
            run = Run(task, batches, epochs, self.lr, callbacks, resume=partial and not fresh)
            interrupted = train(self, [run], epochs, data=(X, y))
        if interrupted:
            raise KeyboardInterrupt
        warn_if_diverged(self)
        if not partial and self.n_iter_ >= 10 and self.alpha > 0:
            self._warn_if_weak()
        return self

    def _check_parameters(self) -> dict[str, Any] | None:
        """Judge the parameters before any work; return the augmentation settings."""
        for name in _COUNTS:
            check_number(getattr(self, name), name, integer=True, low=1)
        for name in ("lr", "sigma", "beta"):
            check_number(getattr(self, name), name, low=0, include_low=False)
        check_number(self.alpha, "alpha", low=0)
        check_option(self.heatmap, "heatmap", HEATMAPS)
        check_option(self.backbone, "backbone", BACKBONES)
        check_option(self.fast, "fast", (True, False))
        check_training(self)
        corner = np.zeros((1, len(JOINTS), 3))
        root_position(corner, self.root)
        bone_length(corner, self.bone)
        if self.mean_bones is not None:
            bones = check_shape(self.mean_bones, "mean_bones", (len(BONES),)).astype(np.float64)
            if not (bones > 0).all():
                raise InputError(f"mean_bones: expected lengths above 0 (mm), got {bones.tolist()}.")
        is_auto = isinstance(self.augment, str) and self.augment == "auto"
        return check_augment("paper" if is_auto else self.augment, IQBAL)

    def _read_training(self, X: Any, y: Any, fresh: bool) -> dict[str, Any]:
        """Return the checked columns with their labels; set what describes the data."""
        if fresh:
            self.source_ = "rgb"
            self.given_, self.root_, self.bone_ = check_given(self.given), self.root, tuple(self.bone)
        columns = read_columns(self, X, "rgb", self.image_shape, reset=fresh)
        if fresh:
            self.input_shape_ = tuple(columns["rgb"].shape[1:])
            self.n_features_in_ = int(np.prod(self.input_shape_))
        if y is None and "pose3d" not in columns:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. "
                "(y: expected poses, one row a sample.)"
            )
        self._add_labels(columns, y, fresh)
        return columns

    def _add_labels(self, columns: dict[str, Any], y: Any, fresh: bool) -> None:
        """Check y, or take X's own poses, and write what is learned of them into the columns."""
        n = len(columns["rgb"])
        if tuple(columns["rgb"].shape[1:]) != self.input_shape_:
            raise InputError(
                f"X: expected rgb of shape {self.input_shape_} a row as first fitted, "
                f"got {tuple(columns['rgb'].shape[1:])}."
            )
        poses = read_target(columns["pose3d"] if y is None else y, n)
        if poses.shape[1:] not in ((len(JOINTS), 3), (3 * len(JOINTS),)):
            raise InputError(
                f"y: expected poses (n, {len(JOINTS)}, 3) or (n, {3 * len(JOINTS)}), got shape {poses.shape}."
            )
        if fresh:
            self.y_shape_ = poses.shape[1:]
        elif y is not None and poses.shape[1:] != self.y_shape_:
            raise InputError(
                f"y: expected targets of shape {self.y_shape_} as first fitted, got {poses.shape[1:]}."
            )
        poses = poses.reshape(n, len(JOINTS), 3)
        if y is not None:
            poses = to_row_frame(poses, columns)
        require_given(columns, self.given_, np.isfinite(poses).any(axis=(1, 2)))
        columns["camera"] = cameras_of(columns, self.camera, n)
        add_labels(columns, poses, self.root_, self.bone_)
        if not np.isfinite(columns["relative_depth"]).any():
            raise InputError(
                "y: expected at least one pose with the root and both ends of the bone, got none."
            )

    def _read_validation(self, X_val: Any, y_val: Any) -> tuple[dict[str, Any], np.ndarray] | None:
        if X_val is None:
            if y_val is not None:
                raise InputError("X_val: expected validation rows beside y_val, got None.")
            return None
        columns = read_columns(self, X_val, "rgb", self.image_shape, reset=False)
        if y_val is None and "pose3d" not in columns:
            raise InputError("y_val: expected targets beside X_val without a column pose3d, got None.")
        self._add_labels(columns, y_val, fresh=False)
        return columns, self._measured(columns)

    def _read_priors(self, columns: dict[str, Any], rows: np.ndarray) -> None:
        """Learn mean bones, the scale column's meaning and a typical root depth from the training rows."""
        names = ["pose3d", "camera", "relative_depth", *self._given_columns(columns)]
        some = {name: np.asarray(columns[name])[rows] for name in names if columns[name] is not None}
        bones = mean_bone_lengths(some["pose3d"]) if self.mean_bones is None else self.mean_bones
        self.mean_bones_ = np.array(bones, dtype=np.float64)
        self.root_depth_, self.n_ambiguous_ = root_depth_prior(some, self.root_, self.bone_)
        self.scale_ratio_ = scale_ratio(some, self.bone_) if "scale" in self.given_ else 1.0
        if abs(self.scale_ratio_ - 1) > 0.01:
            warn_user(
                f"scale: X's column is not the length of bone={self.bone_!r}, which is "
                f"{self.scale_ratio_:.3g} times as long (median); predictions take this for every hand.",
                TrainingWarning,
            )
        off = root_distance(some, self.root_) if "root" in some else 0.0
        if off > 1:
            warn_user(
                f"root: X's column is not the position of root={self.root_!r} in y, but {off:.3g} mm from it "
                "(median); predictions take its depth for that root's.",
                TrainingWarning,
            )

    def _build(self) -> None:
        self.architecture_ = {name: getattr(self, name) for name in _MAPS}
        self.module_ = self._build_module(pretrained=False)
        self.n_parameters_ = sum(weight.numel() for weight in self.module_.parameters())
        self.n_iter_ = 0
        self.history_: dict[str, list[Any]] = {}
        self._optimizer_state: dict[str, Any] = {}

    def _build_module(self, pretrained: bool) -> Pose25DNet:
        size = (self.input_shape_[0], self.input_shape_[1])
        made = dict(self.architecture_)
        return Pose25DNet(
            made.pop("heatmap"), len(JOINTS), size, beta=self.beta, side="side" in self.given_, **made
        )

    def _check_same_architecture(self) -> None:
        """Refuse to go on with a network that the parameters no longer describe."""
        wanted = {name: getattr(self, name) for name in _MAPS}
        wanted.update(given=set(check_given(self.given)), root=self.root, bone=tuple(self.bone))
        fitted = {**self.architecture_, "given": set(self.given_), "root": self.root_, "bone": self.bone_}
        require_same(fitted, wanted)

    def _measured(self, columns: dict[str, Any]) -> np.ndarray:
        """Rows whose error can be measured: with a pose, and a root where it is given.

        Raises
        ------
        InputError
            If there are none.
        """
        known = np.isfinite(columns["relative_depth"]).any(axis=1)
        if "root" in self._given_columns(columns):
            known &= columns["root"][:, 2] > 0
        if not known.any():
            raise InputError("y: expected at least one labelled row, with its root where given, got none.")
        return np.flatnonzero(known)

    def _error(self, columns: dict[str, Any], rows: np.ndarray) -> float:
        """Median over rows of the joints' mean error relative to the root, mm.

        The root's depth magnifies the error of one bone: absolute errors rise and fall while all that is
        learned improves. And a few rows would decide a mean.
        """
        some = {name: np.asarray(columns[name])[rows] for name in ["camera", *self._given_columns(columns)]}
        joints = self._place(self._points(columns, rows)[0], some).joints
        found, true = (
            poses - root_position(poses, self.root_)[:, None] for poses in (joints, columns["pose3d"][rows])
        )
        off = np.linalg.norm(found - true, axis=2)
        return float(np.median(np.nanmean(off[np.isfinite(off).any(axis=1)], axis=1)))

    def _warn_if_weak(self) -> None:
        if np.nanmax(self.history_.get("depth_gradient", [1.0])) < _WEAK:
            warn_user(
                f"alpha={self.alpha:g}: the depths never reached {_WEAK:g} of the gradient of the places; "
                "they are not learned.",
                TrainingWarning,
            )

    # ------------------------------------------------------------------ prediction

    def _in_chunks(
        self, columns: dict[str, Any], rows: np.ndarray, function: Callable[..., Any]
    ) -> list[Any]:
        """Call a function on the network's last answer and features, on chunks of one size, padded.

        So a row's prediction does not depend on the rows beside it.
        """
        size = _CPU_ROWS if self.device_.type == "cpu" else int(self.batch_size)
        names, codec, parts = ["rgb", *(["side"] if "side" in self.given_ else [])], RGBCodec(), []
        with torch.inference_mode(), evaluating(self.module_):
            for start in range(0, len(rows), size):
                part = rows[start : start + size]
                padded = np.pad(part, (0, size - len(part)), mode="edge")
                batch = fetch(columns, names, padded, self.device_)
                answers, features = self.module_(codec.encode(batch), one_hot_side(batch))
                result = function(answers[-1], features)
                parts.append([array[: len(part)].cpu().numpy() for array in result])
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def _points(self, columns: dict[str, Any], rows: np.ndarray, spread: bool = False) -> list[np.ndarray]:
        """2.5D poses (n, 21, 3) and, with ``spread``, the covariance (n, 21, 3, 3) of their maps, float64."""
        latent = self.module_.heatmap == "latent"

        def read(answer: Maps25D, _: Any) -> Any:
            return (answer.points, map_spread(answer, latent)) if spread else (answer.points,)

        return [array.astype(np.float64) for array in self._in_chunks(columns, rows, read)]

    def _given_columns(self, columns: dict[str, Any]) -> list[str]:
        """What is given and there, of the columns that place a hand."""
        return [name for name in ("root", "scale") if name in self.given_ and name in columns]

    def _place(self, points: np.ndarray, columns: dict[str, Any]) -> Pose25DPrediction:
        """Absolute poses in the rows' own frames."""
        scale = root_depth = None
        if "scale" in self.given_:
            require_given(columns, ("scale",))
            scale = np.asarray(columns["scale"], dtype=np.float64) * self.scale_ratio_
        if "root" in self.given_ and "root" in columns:
            root_depth = np.asarray(columns["root"], dtype=np.float64)[:, 2]
            if not (root_depth > 0).all():
                raise SideInformationError(
                    "X: given 'root' needs positions (mm) before the camera in the column root."
                )
        return place_hands(
            points,
            require_camera(columns),
            self.mean_bones_,
            self.root_depth_,
            root=self.root_,
            bone=self.bone_,
            scale=scale,
            root_depth=root_depth,
        )

    def _rooted(self, poses: np.ndarray) -> np.ndarray:
        return poses - root_position(poses, self.root_)[:, None] if "root" in self.given_ else poses
