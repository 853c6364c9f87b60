"""ImageNormalizer: scale colour pictures to a chosen mean and standard deviation a channel."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skhand._columns import read_pictures
from skhand._validation import check_option, describe
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.preprocessing._base import check_frames
from skhand.preprocessing._change import Pictures, change_column, split_rows

__all__ = ["ImageNormalizer"]

_ROUNDING = 1e-6
_METHODS: dict[str, Any] = {
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "centred": ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # torchvision's
    "standard": None,
}


class ImageNormalizer(TransformerMixin, BaseEstimator):
    """Turn colour pictures into float32: ``(picture - mean) / std``, channel by channel, of values in 0..1.

    Parameters
    ----------
    method : {"unit", "centred", "imagenet", "standard"}, default="unit"
        "unit" gives 0..1 and "centred" -0.5..0.5. "imagenet" takes the mean and standard deviation of
        torchvision's pretrained networks, "standard" those of the training pictures, which ``fit`` reads a
        few at a time.

    Attributes
    ----------
    mean_, std_ : ndarray of shape (3,)
        What is subtracted, and then divided by, of values in 0..1.

    Notes
    -----
    skhand's own estimators scale pictures by themselves. They take uint8 or 0..1 ("unit") and refuse the
    rest: this is for other models.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.preprocessing import ImageNormalizer
    >>> pictures = np.full((2, 4, 4, 3), 255, np.uint8)
    >>> ImageNormalizer(method="centred").fit_transform(pictures).max()
    np.float32(0.5)
    """

    mean_: np.ndarray
    std_: np.ndarray

    def __init__(self, *, method: str = "unit"):
        self.method = method

    def fit(self, X: Any, y: Any = None) -> ImageNormalizer:
        """Learn mean and standard deviation, for "standard"; else only validate X.

        Parameters
        ----------
        X : HandFrames or array-like of shape (n_samples, height, width, 3)
            Pictures, uint8 or float in 0..1.
        y : object, default=None
            Not used.

        Returns
        -------
        self : ImageNormalizer

        Raises
        ------
        InputError
            If X holds no colour pictures, or NaN ("standard" only: other methods do not look).
        """
        check_option(self.method, "method", _METHODS)
        pictures = _check_pictures(X)
        known = _METHODS[self.method]
        mean, std = _compute_statistics(pictures) if known is None else map(np.array, known)
        self.mean_, self.std_ = mean, std
        return self

    def transform(self, X: Any) -> Any:
        """Normalise pictures.

        Parameters
        ----------
        X : HandFrames or array-like of shape (n_samples, height, width, 3)
            Pictures, uint8 or float in 0..1.

        Returns
        -------
        normalised : HandFrames or array of shape (n_samples, height, width, 3), float32
            Pictures that are read lazily are normalised when they are read.
        """
        check_is_fitted(self)
        pictures = _check_pictures(X)
        factor = 1 / 255 if pictures.dtype == np.uint8 else 1.0
        change = _Linear(factor / self.std_, -self.mean_ / self.std_)
        return _replace_pictures(X, change_column(pictures, change, pictures.shape[1:], np.float32))

    def inverse_transform(self, X: Any) -> Any:
        """Bring normalised pictures back to bytes.

        Parameters
        ----------
        X : HandFrames or array-like of shape (n_samples, height, width, 3), float
            Normalised pictures.

        Returns
        -------
        pictures : HandFrames or array of shape (n_samples, height, width, 3), uint8
            Rounded, and clipped to 0..255.
        """
        check_is_fitted(self)
        pictures = _check_pictures(X)
        change = _Linear(255 * self.std_, 255 * self.mean_, to_bytes=True)
        return _replace_pictures(X, change_column(pictures, change, pictures.shape[1:], np.uint8))


class _Linear:
    """Compute ``factor * picture + offset``, channel by channel."""

    def __init__(self, factor: np.ndarray, offset: np.ndarray, *, to_bytes: bool = False):
        self.factor, self.offset, self.to_bytes = factor, offset, to_bytes

    def __call__(self, pictures: Pictures, rows: np.ndarray, out: np.ndarray) -> None:
        factor, offset = self.factor.astype(np.float32), self.offset.astype(np.float32)
        for new, old in zip(out, pictures, strict=True):
            self._check(old)
            values = old * factor + offset
            new[...] = values.round().clip(0, 255) if self.to_bytes else values

    def _check(self, picture: np.ndarray) -> None:
        """Validate that floats lie in 0..1, NaN left out, and that what becomes bytes is finite."""
        if picture.dtype.kind != "f":
            return
        if self.to_bytes and not np.isfinite(picture).all():
            raise InputError("X: expected finite pictures, got NaN or infinity.")
        if not self.to_bytes and ((picture < -_ROUNDING) | (picture > 1 + _ROUNDING)).any():
            raise InputError(
                f"X: expected floats in 0 to 1 (or uint8 in 0 to 255), got {np.nanmin(picture):g} to "
                f"{np.nanmax(picture):g}."
            )


def _check_pictures(X: Any) -> Any:
    """Validate that X has or is colour pictures, and return them."""
    if isinstance(X, HandFrames):
        return check_frames(X, "rgb").rgb
    pictures = read_pictures(X, "X")
    if len(pictures.shape) != 4 or pictures.shape[-1] != 3 or len(pictures) == 0:
        raise InputError(f"X: expected pictures (n_samples, height, width, 3), got {describe(X)}.")
    if pictures.dtype != np.uint8 and np.dtype(pictures.dtype).kind != "f":
        raise InputError(f"X: expected uint8 (0 to 255) or float (0 to 1), got dtype {pictures.dtype}.")
    return pictures


def _replace_pictures(X: Any, pictures: Any) -> Any:
    return X.replace(rgb=pictures) if isinstance(X, HandFrames) else pictures


def _compute_statistics(pictures: Any) -> tuple[np.ndarray, np.ndarray]:
    """Compute each channel's mean and deviation, of values in 0..1; a constant channel has deviation 1."""
    total, squares, rows = np.zeros(3), np.zeros(3), np.arange(len(pictures))
    for part in split_rows(len(pictures)):
        for picture in np.asarray(pictures[rows[part]]):
            values = picture.reshape(-1, 3).astype(np.float64)
            total += values.sum(axis=0)
            squares += (values**2).sum(axis=0)
    if not np.isfinite(squares).all():
        raise InputError("rgb: expected finite pictures, got NaN or infinity.")
    unit = 255.0 if pictures.dtype == np.uint8 else 1.0
    n_pixels = len(pictures) * pictures.shape[1] * pictures.shape[2]
    mean = total / n_pixels
    variance = squares / n_pixels - mean**2
    std = np.sqrt(np.where(variance > 1e-12 * np.maximum(mean**2, 1e-12), variance, unit**2))
    return mean / unit, std / unit
