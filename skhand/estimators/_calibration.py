"""Calibrate predicted standard deviations on held-out rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from scipy.optimize import minimize
from sklearn.utils.validation import check_is_fitted

from skhand.estimators._data import DataDescription
from skhand.estimators._inputs import read_target
from skhand.exceptions import InputError

__all__ = ["CalibrationMixin", "fit_std"]

_FEWEST = 10


def fit_std(errors: np.ndarray, std: np.ndarray) -> tuple[float, np.ndarray]:
    """Fit a factor and a floor, so that errors have the variance ``(factor * std)**2 + floor**2``.

    Both are those of the highest likelihood of normally distributed errors.

    Parameters
    ----------
    errors : ndarray of shape (n, k)
        NaN where unknown.
    std : ndarray of shape (n, k), same unit
        As predicted.

    Returns
    -------
    factor : float
        One for all coordinates.
    floor : ndarray of shape (k,), same unit
        One for each.
    """
    known = np.isfinite(errors)
    squares = np.where(known, errors, 0.0) ** 2
    size = np.sqrt(squares.sum(axis=0) / known.sum(axis=0)).clip(min=1e-9)
    spread = std / size  # in units of each coordinate's own error
    squares = squares / size**2
    typical = np.sqrt(np.mean(spread[known] ** 2)).clip(min=1e-9)

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        scaled, floor = np.exp(2 * logs[0]) * (spread / typical) ** 2, np.exp(2 * logs[1:])
        variance = scaled + floor
        value = 0.5 * np.sum(np.log(variance) + squares / variance, where=known)
        slope = np.where(known, 1 / variance - squares / variance**2, 0.0)
        gradient = [np.sum(slope * scaled), *(slope.sum(axis=0) * floor)]
        return value / known.sum(), np.array(gradient) / known.sum()

    start = np.full(1 + errors.shape[1], 0.5 * np.log(0.5))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-12, 12)] * len(start))
    return float(np.exp(found.x[0]) / typical), np.exp(found.x[1:]) * size


class CalibrationMixin:
    """Calibrate the standard deviations of ``predict(X, return_std=True)``."""

    poses_: bool
    given_: tuple[str, ...]
    y_shape_: tuple[int, ...]
    predict: Callable[..., Any]
    _described: DataDescription

    def calibrate_std(self, X: Any, y: Any) -> Self:
        """Fit ``return_std`` to the errors on held-out rows.

        What ``return_std`` gives is the spread of the model's own answer, which is not the size of its error:
        poses that the model has never met, and all that is wrong in every answer alike, are not in it. With
        this, ``std**2`` becomes ``(factor * std)**2 + floor**2``, by the highest likelihood of normally
        distributed errors: one factor, and a floor for each coordinate. Where the model's spread says
        nothing about its errors the factor ends near 0, and each coordinate has the same std in all rows.

        Parameters
        ----------
        X : HandFrames or array-like
            At least 10 rows, of people and scenes that ``fit`` has not seen.
        y : array-like of shape (n, ...), mm
            Their targets, as in ``fit``; NaN is unknown.

        Returns
        -------
        self : object
            With ``std_factor_`` (float) and ``std_floor_`` (ndarray of the shape of one target, mm). The
            next ``fit`` or ``partial_fit`` removes them.

        Raises
        ------
        InputError
            If there are fewer than 10 rows, y has another shape than in ``fit``, or a coordinate is known in
            none of them.

        See Also
        --------
        sklearn.calibration.CalibratedClassifierCV : The same idea for classes.

        Notes
        -----
        Scaling the predicted deviation by one factor is D. Levi et al., Evaluating and Calibrating
        Uncertainty Prediction in Regression Tasks, 2019; the floor is ours.
        """
        check_is_fitted(self)
        self._forget_calibration()
        predicted, std = self.predict(X, return_std=True)
        y = np.asarray(read_target(y, len(predicted)), dtype=np.float64)
        if len(y) < _FEWEST:
            raise InputError(f"X: expected at least {_FEWEST} rows to calibrate on, got {len(y)}.")
        if y.shape[1:] != self.y_shape_:
            raise InputError(f"y: expected targets of shape {self.y_shape_} as fitted, got {y.shape[1:]}.")
        if self._answers_rooted(X):
            y = self._described.rooted(self._described.as_poses(y)).reshape(y.shape)
        errors = (predicted - y).reshape(len(y), -1)
        if not np.isfinite(errors).any(axis=0).all():
            raise InputError(
                "y: expected each coordinate to be known in some row, got one that is always NaN."
            )
        self.std_factor_, floor = fit_std(errors, std.reshape(len(y), -1))
        self.std_floor_ = floor.reshape(self.y_shape_)
        return self

    def _answers_rooted(self, X: Any) -> bool:
        """Tell whether predictions of X are relative to the root."""
        return self.poses_ and "root" in self.given_ and getattr(X, "root", None) is None

    def _calibrated(self, std: np.ndarray) -> np.ndarray:
        """Return standard deviations of predicted targets, calibrated if they have been."""
        if not hasattr(self, "std_factor_"):
            return std
        return np.sqrt((self.std_factor_ * std) ** 2 + self.std_floor_**2)

    def _forget_calibration(self) -> None:
        for name in ("std_factor_", "std_floor_"):
            vars(self).pop(name, None)
