"""Baselines, and tables of scores beside them."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand.exceptions import InputError
from skhand.metrics import mean_epe, median_epe, pck, pck_auc
from skhand.skeleton import root_position

__all__ = ["ALIGNMENTS", "THRESHOLDS", "format_scores", "predict_mean_pose", "score"]

#: What a table calls an alignment -> its name in the metrics.
ALIGNMENTS: dict[str, str | None] = {"absolute": None, "root": "root", "procrustes": "procrustes"}
THRESHOLDS = (20.0, 30.0, 50.0)  # mm
_MIRROR = np.array([-1.0, 1.0, 1.0])


def predict_mean_pose(
    y: np.ndarray, side: np.ndarray | None, side_test: np.ndarray | None, n_test: int
) -> np.ndarray:
    """Predict the mean pose at the mean place for every row; left hands as mirrored right ones.

    Parameters
    ----------
    y : ndarray of shape (n, 21, 3), mm
        The poses to average; NaN where unknown.
    side, side_test : ndarray of str or None
        Left or right, of these and of the rows to predict; None takes all for right ones.
    n_test : int
        How many rows to predict.

    Returns
    -------
    predicted : ndarray of shape (n_test, 21, 3), mm

    Raises
    ------
    InputError
        If a joint is known in no row.
    """
    root = root_position(y, "palm")
    relative = y - root[:, None]
    if side is not None:
        relative[side == "left"] *= _MIRROR
    if not np.isfinite(relative).any(axis=0).all():
        raise InputError("target: expected each joint to be known in a row with wrist and middle MCP.")
    predicted = np.tile(np.nanmean(relative, axis=0), (n_test, 1, 1))
    if side_test is not None:
        predicted[side_test == "left"] *= _MIRROR
    return predicted + np.nanmean(root, axis=0)


def score(y: np.ndarray, predicted: np.ndarray, align: str | None) -> dict[str, float]:
    """Return the scores of predictions, mm and shares."""
    options: dict[str, Any] = {"align": align}
    return {
        "EPE mean": mean_epe(y, predicted, **options),
        "EPE median": median_epe(y, predicted, **options),
        "AUC 0-50": pck_auc(y, predicted, thresholds="freihand", **options),
        **{f"PCK {limit:g}": float(pck(y, predicted, limit, **options)) for limit in THRESHOLDS},
    }


def format_scores(y: np.ndarray, predictions: dict[str, np.ndarray], aligns: tuple[str, ...]) -> str:
    """Return a table of plain text, a line a model and alignment; lengths in mm."""
    lines = []
    for align in aligns:
        for name, predicted in predictions.items():
            scores = score(y, predicted, ALIGNMENTS[align])
            cells = [
                f"{value:8.1f}" if key.startswith("EPE") else f"{value:8.3f}" for key, value in scores.items()
            ]
            if not lines:
                lines.append(f"{'':34s}" + "".join(f"{key:>12s}" for key in scores))
            lines.append(f"{align + ', ' + name:34s}" + "".join(f"{cell:>12s}" for cell in cells))
    return "\n".join(lines)
