"""LatentSpaceMixin: what an estimator with a latent space offers once it is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn import get_config
from sklearn.base import TransformerMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from skhand._validation import check_bool, check_number, check_option, check_seed, describe, read_numbers
from skhand.estimators._data import TrainingData
from skhand.estimators._inputs import read_target, require_roots, to_original_frame
from skhand.estimators._score import variance_weighted_r2
from skhand.exceptions import InputError
from skhand.training import MODALITIES, fetch, one_hot_side

_LATENT_ROWS = 512  # rows that the latent statistics are read off
_STD_SAMPLES = 32
_MOST = 10**7  # hands that one call generates


def is_picture(modality: str) -> bool:
    """Tell whether a modality, or what a target is called else, is made of pictures."""
    return modality not in MODALITIES or MODALITIES[modality].is_image


if TYPE_CHECKING:
    from skhand.estimators._base import PoseEstimator as _Base
else:
    _Base = TransformerMixin  # scikit-learn wraps only a transform whose own class is one


def choose_rows(rows: np.ndarray) -> np.ndarray:
    """Return some of the training rows, evenly spread, for statistics of the latent space."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), _LATENT_ROWS)).astype(int)]


class LatentSpaceMixin(_Base):
    """Predict, transform, sample and interpolate, for a `PoseEstimator` that can encode and decode.

    An estimator has ``module_`` with ``encoders`` and ``decoders`` by modality, or its own `_sources`,
    `_targets`, `_posterior` and `_output`; and ``codecs_``, ``latent_mean_``, ``latent_cov_`` and
    ``scale_mean_``.
    """

    # ------------------------------------------------------------------ one modality to another

    def predict(
        self, X: Any, return_std: bool = False, source: str | None = None, target: str | None = None
    ) -> Any:
        """Decode the posterior mean of each row.

        Parameters
        ----------
        X : HandFrames or array-like
            Rows as in ``fit``.
        return_std : bool, default=False
            Whether to return the standard deviation of the decoded posterior samples too, calibrated if
            `calibrate_std` was called.
        source : str or None, default=None
            Modality to encode; None is that of the first pair.
        target : str or None, default=None
            Modality to decode; None is that of the first pair.

        Returns
        -------
        y : ndarray of shape (n, ...), mm
            Poses in the shape that y was fitted with; relative to the root if "root" is given and X has no
            ``root`` column. They are in the original camera frame: X's ``rotation`` is undone. For another
            ``target`` keypoints (px) in the original picture, X's ``affine`` being undone, or pictures
            (uint8; depth in mm) as X's own would look; with "root" given, depth is around the training
            pictures' mean.
        std : ndarray of the shape of y, same unit
            Only with ``return_std``.

        Raises
        ------
        InputError
            If X does not fit what was fitted, or a modality has no encoder or decoder.
        """
        check_bool(return_std, "return_std")
        source, target, columns = self._read(X, source, target)
        if self._is_placed(target, columns):
            require_roots(columns)
        n = len(columns[source])
        rows = np.arange(n)
        mean, log_var = self._encode(columns, rows, source)
        y = self._to_answer(self._decode(mean, target, columns, rows), target, columns)
        if not return_std:
            return y
        noise = np.random.default_rng(0).standard_normal((_STD_SAMPLES, mean.shape[1]))
        spread = np.exp(0.5 * log_var)
        total, total_of_squares = np.zeros(y.shape), np.zeros(y.shape)
        for draw in noise:  # the same draws for every row: the answer for a row stands alone
            z = (mean + spread * draw).astype(np.float32)
            sample = self._to_answer(self._decode(z, target, columns, rows), target, columns)
            total += sample
            total_of_squares += np.square(sample, dtype=np.float64)
        variance = total_of_squares / len(noise) - np.square(total / len(noise))
        std = np.sqrt(np.maximum(variance, 0.0))
        return y, self._calibrated(std) if target == "pose3d" else std

    def transform(self, X: Any, source: str | None = None) -> np.ndarray:
        """Embed rows: the mean of each row's posterior.

        Parameters
        ----------
        X : HandFrames or array-like
            Rows of the modality ``source``; poses, for ``source="pose3d"``, as an array or the column
            ``pose3d``.
        source : str or None, default=None
            Modality to encode; None is that of the first pair.

        Returns
        -------
        Z : ndarray of shape (n, latent_dim), float32
        """
        source, _, columns = self._read(X, source, None)
        return self._encode(columns, np.arange(len(columns[source])), source)[0]

    def inverse_transform(self, Z: Any, target: str | None = None) -> np.ndarray:
        """Decode latent vectors.

        Parameters
        ----------
        Z : array-like of shape (n, latent_dim)
            Latent vectors of the space that predictions are decoded from, as `transform` gives them by
            default. Those of another space would be decoded as if they were of this one.
        target : str or None, default=None
            Modality to decode; None is that of the first pair.

        Returns
        -------
        y : ndarray
            As from `predict`, but in the frame and picture of the rows that were encoded: there is no X whose
            ``rotation`` and ``affine`` could be undone. With "root" given, relative to the root; with "scale"
            given, in the training rows' mean scale.
        """
        check_is_fitted(self)
        target = self._check_modality(target, "target", self._targets(), self.target_)
        with np.errstate(over="ignore"):  # what float32 does not hold is refused below
            latent = read_numbers(Z, "Z").astype(np.float32)
        if latent.ndim != 2 or latent.shape[1] != len(self.latent_mean_) or len(latent) == 0:
            raise InputError(
                f"Z: expected shape (n, {len(self.latent_mean_)}) with at least one row, got {describe(Z)}."
            )
        if not np.isfinite(latent).all():
            raise InputError("Z: expected finite numbers, got NaN or infinity.")
        columns = {"scale": np.full(len(latent), self.scale_mean_)}
        return self._to_answer(self._decode(latent, target, columns, np.arange(len(latent))), target, {})

    # ------------------------------------------------------------------ generation

    def sample(
        self, n_samples: int = 1, target: str | Sequence[str] | None = None, random_state: Any = None
    ) -> Any:
        """Generate hands from draws of the latent space that predictions are decoded from.

        Parameters
        ----------
        n_samples : int, default=1
            How many, 10 000 000 at most.
        target : str, sequence of str or None, default=None
            Modality to decode; None is that of the first pair. Several give consistent samples: the same
            latent vectors, decoded to each.
        random_state : int, RandomState or None, default=None
            Seed.

        Returns
        -------
        y : ndarray, or dict of str to ndarray for several targets
            As from `inverse_transform`.
        """
        check_is_fitted(self)
        check_number(n_samples, "n_samples", integer=True, low=1, high=_MOST)
        targets = self._check_targets(target)
        rng = check_seed(random_state)
        Z = rng.multivariate_normal(self.latent_mean_, self.latent_cov_, size=n_samples, check_valid="ignore")
        return self._decode_each(Z, targets)

    def sample_posterior(
        self,
        X: Any,
        n_samples: int = 10,
        source: str | None = None,
        target: str | None = None,
        random_state: Any = None,
    ) -> np.ndarray:
        """Draw from each row's posterior and decode.

        Parameters
        ----------
        X : HandFrames or array-like
            Rows of the modality ``source``.
        n_samples : int, default=10
            Draws a row, 10 000 000 at most.
        source : str or None, default=None
            Modality to encode; None is that of the first pair.
        target : str or None, default=None
            Modality to decode, or "latent" for the drawn latent vectors themselves; None is that of the
            first pair.
        random_state : int, RandomState or None, default=None
            Seed.

        Returns
        -------
        y : ndarray of shape (n_samples, n, ...)
            As from `predict`.
        """
        check_number(n_samples, "n_samples", integer=True, low=1, high=_MOST)
        rng = check_seed(random_state)
        latent = isinstance(target, str) and target == "latent"
        source, wanted, columns = self._read(X, source, None if latent else target)
        if not latent and self._is_placed(wanted, columns):
            require_roots(columns)
        rows = np.arange(len(columns[source]))
        mean, log_var = self._encode(columns, rows, source)
        noise = rng.standard_normal((n_samples, *mean.shape))
        Z = (mean + np.exp(0.5 * log_var) * noise).astype(np.float32)
        if latent:
            return Z
        return np.stack([self._to_answer(self._decode(z, wanted, columns, rows), wanted, columns) for z in Z])

    def interpolate(
        self,
        X_start: Any,
        X_end: Any,
        n_steps: int = 8,
        source: str | None = None,
        target: str | Sequence[str] | None = None,
    ) -> Any:
        """Walk through the latent space in straight lines between rows and decode on the way.

        Parameters
        ----------
        X_start, X_end : HandFrames or array-like
            As many rows each.
        n_steps : int, default=8
            Points on each line, both ends included; 10 000 000 at most.
        source : str or None, default=None
            Modality to encode; None is that of the first pair.
        target : str, sequence of str or None, default=None
            Modality or modalities to decode; None is that of the first pair.

        Returns
        -------
        y : ndarray of shape (n_steps, n, ...), or dict of str to ndarray for several targets
            As from `inverse_transform`, so the ends are the predictions for the rows but for what X says of
            root and scale.
        """
        check_number(n_steps, "n_steps", integer=True, low=2, high=_MOST)
        check_is_fitted(self)
        targets = self._check_targets(target)
        start, end = (np.asarray(self.transform(X, source)) for X in (X_start, X_end))
        if start.shape != end.shape:
            raise InputError(f"X_end: expected as many rows as X_start ({len(start)}), got {len(end)}.")
        weights = np.linspace(0.0, 1.0, n_steps)[:, None, None]
        Z = ((1 - weights) * start + weights * end).reshape(-1, start.shape[1])
        walk = self._decode_each(Z, targets)
        if isinstance(walk, dict):
            return {name: part.reshape(n_steps, len(start), *part.shape[1:]) for name, part in walk.items()}
        return walk.reshape(n_steps, len(start), *walk.shape[1:])

    def score(self, X: Any, y: Any) -> float:
        """Return the coefficient of determination of the predictions of y.

        Poses are compared relative to the root where it is given, coordinates weigh by their variance, and
        unknown ones (NaN) are left out; other targets are scored as scikit-learn does, over the rows without
        NaN. See `skhand.metrics` for errors in mm.

        Parameters
        ----------
        X, y : array-like
            Rows as in ``fit``.

        Returns
        -------
        r2 : float
        """
        predicted = self.predict(X, target="pose3d")
        y = read_target(y, len(predicted))
        if y.shape[1:] != self.y_shape_:
            raise InputError(f"y: expected targets of shape {self.y_shape_} as fitted, got {y.shape[1:]}.")
        if self.poses_:
            y, predicted = self._rooted(self._as_poses(y)), self._rooted(self._as_poses(predicted))
            return variance_weighted_r2(y.reshape(len(y), -1), predicted.reshape(len(y), -1))
        y, predicted = y.reshape(len(y), -1), predicted.reshape(len(y), -1)
        known = np.isfinite(y).all(axis=1)
        return float(r2_score(y[known], predicted[known]))

    # ------------------------------------------------------------------ inside

    def _read(self, X: Any, source: str | None, target: str | None) -> tuple[str, str, dict[str, Any]]:
        """Check the modalities and X against what was fitted; return both and the columns."""
        check_is_fitted(self)
        source = self._check_modality(source, "source", self._sources(), self.source_)
        target = self._check_modality(target, "target", self._targets(), self.target_)
        return source, target, self._read_rows(X, source, target)

    def _read_rows(self, X: Any, source: str, target: str) -> dict[str, Any]:
        """Check X against what was fitted; return its columns."""
        return self._reader(True).read_rows(X, source, target)

    def _require_plain_output(self, space: str) -> None:
        """Check that no table is asked for, whose columns would bear the names of the default space.

        Raises
        ------
        InputError
            If `set_output` or scikit-learn's configuration asks for one.
        """
        own = vars(self).get("_sklearn_output_config", {}).get("transform")
        output = own or get_config()["transform_output"]
        if output != "default":
            raise InputError(
                f"space: expected None where set_output asks for a table ({output!r}): only the space of "
                f"predictions has names for its columns; got {space!r}."
            )

    def _check_modality(self, name: str | None, argument: str, known: Any, default: str) -> str:
        return default if name is None else check_option(name, argument, sorted(known))

    def _sources(self) -> list[str]:
        """Modalities that can be encoded to the latent space of predictions."""
        return list(self.module_.encoders)

    def _targets(self) -> list[str]:
        """Modalities that can be decoded from the latent space of predictions."""
        return list(self.module_.decoders)

    def _output(self, latent: Any, target: str) -> Any:
        """Network output of a target, of latent vectors."""
        return self.module_.decoders[target](latent)

    def _posterior(self, x: Any, modality: str, batch: dict[str, Any]) -> tuple[Any, Any]:
        """Mean and log-variance in the latent space of predictions, of network input and its columns."""
        return self.module_.encoders[modality](x, one_hot_side(batch))

    def _encoder_columns(self) -> list[str]:
        """Return the columns that encoders read besides their own modality's."""
        return ["side"] if "side" in self.given_ else []

    def _predict_rows(self, columns: dict[str, Any], rows: np.ndarray) -> Any:
        return self._encode(columns, rows, self.source_, self._posterior)

    def _encode(
        self, columns: dict[str, Any], rows: np.ndarray, source: str, posterior: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mean and log-variance of rows, float32 (n, latent_dim) each.

        ``posterior`` takes the place of `_posterior` for another latent space.
        """
        posterior = posterior or self._posterior
        codec = self.codecs_[source]
        names = [*codec.columns, *self._encoder_columns()]

        def read(part: np.ndarray) -> Any:
            return fetch(columns, names, part, self.device_)

        def encode(batch: Any) -> Any:
            return posterior(codec.encode(batch), source, batch)

        mean, log_var = self._in_chunks(rows, read, encode, is_picture(source))
        return mean, log_var

    def _conclude(self, data: TrainingData) -> None:
        """Set mean and covariance of the source's latent samples over (some of) the training rows."""
        some = choose_rows(data.usable(self.pairs_[0]))
        mean, log_var = self._encode(data.columns, some, self.source_)
        self.latent_mean_ = mean.mean(axis=0, dtype=np.float64)
        centred = mean - self.latent_mean_
        noise = np.exp(log_var).mean(axis=0, dtype=np.float64)
        self.latent_cov_ = centred.T @ centred / len(mean) + np.diag(noise)

    def _decode(self, Z: np.ndarray, target: str, columns: dict[str, Any], rows: np.ndarray) -> np.ndarray:
        """Latent vectors, one a row, in the target's own units."""
        codec = self.codecs_[target]
        names = codec.decodes

        def read(part: np.ndarray) -> Any:
            return torch.from_numpy(Z[part]).to(self.device_), fetch(columns, names, rows[part], self.device_)

        def decode(batch: Any) -> Any:
            latent, known = batch
            return (codec.decode(self._output(latent, target), known),)

        return self._in_chunks(np.arange(len(Z)), read, decode, is_picture(target))[0]

    def _check_targets(self, target: Any) -> str | list[str]:
        """Return the modality to decode, or a list of several."""
        if target is not None and not isinstance(target, str):
            if not isinstance(target, tuple | list) or len(target) == 0:
                raise InputError(f"target: expected a modality or a list of several, got {describe(target)}.")
            if not all(isinstance(name, str) for name in target):
                raise InputError(f"target: expected the names of modalities, got {list(target)!r}.")
            return [self._check_modality(name, "target", self._targets(), self.target_) for name in target]
        return self._check_modality(target, "target", self._targets(), self.target_)

    def _decode_each(self, Z: np.ndarray, target: str | list[str]) -> Any:
        if isinstance(target, str):
            return self.inverse_transform(Z, target)
        return {name: self.inverse_transform(Z, name) for name in target}

    def _to_answer(self, decoded: np.ndarray, target: str, columns: dict[str, Any]) -> np.ndarray:
        """Add a known root, go back to the original frame, and give poses the shape of y."""
        is_pose = target == "pose3d"
        if self._is_placed(target, columns):
            decoded = decoded + np.asarray(columns["root"], dtype=np.float64)[:, None]
        decoded = to_original_frame(decoded, target, columns)
        return decoded.reshape(len(decoded), *self.y_shape_) if is_pose else decoded

    def _is_placed(self, target: str, columns: dict[str, Any]) -> bool:
        """Tell whether what is decoded are poses that go where X's column ``root`` says."""
        return target == "pose3d" and self.poses_ and {"root"} <= set(self.given_) & set(columns)

    def _as_poses(self, y: np.ndarray) -> np.ndarray:
        return self._described.as_poses(y)

    def _error(self, columns: dict[str, Any], rows: np.ndarray) -> float:
        """Return the validation error: mean EPE in mm for poses, root mean squared error otherwise."""
        mean, _ = self._encode(columns, rows, self.source_, self._posterior)
        predicted = self._decode(mean, "pose3d", columns, rows)
        wanted = columns["pose3d"][rows]
        if not self.poses_:
            return float(np.sqrt(np.nanmean((predicted - wanted) ** 2)))
        return float(np.nanmean(np.linalg.norm(self._rooted(predicted) - self._rooted(wanted), axis=2)))

    @property
    def _error_name(self) -> str:  # type: ignore[override]
        return "valid_epe" if self.poses_ else "valid_rmse"

    @property
    def _n_features_out(self) -> int:
        return len(self.latent_mean_)
