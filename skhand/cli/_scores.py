"""Baselines, and tables of scores beside them."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand.exceptions import InputError
from skhand.metrics import mean_epe, median_epe, pck, pck_auc
from skhand.skeleton import root_position

__all__ = ["ALIGNMENTS", "OWN", "THRESHOLDS", "are_own", "format_scores", "predict_mean_pose", "score"]

#: What a table calls an alignment -> its name in the metrics.
ALIGNMENTS: dict[str, str | None] = {"absolute": None, "root": "root", "procrustes": "procrustes"}
THRESHOLDS = (20.0, 30.0, 50.0)  # mm
OWN = "most joints of the table are this model's own answers, not labels: errors on them say nothing"
_WIDTH = 40  # of a table's first column


def predict_mean_pose(
    y: np.ndarray, side: np.ndarray | None, train: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """Predict the mean pose at the mean place for some rows; left hands as mirrored right ones.

    Parameters
    ----------
    y : ndarray of shape (n, 21, 3), mm
        Poses; NaN where unknown.
    side : ndarray of shape (n,), str, or None
        Left or right; None takes all for right ones.
    train, test : ndarray of int
        The rows to average, and the rows to predict.

    Returns
    -------
    predicted : ndarray of shape (n_test, 21, 3), mm

    Raises
    ------
    InputError
        If a joint is known in no row.
    """
    mirror = np.ones((len(y), 1, 3))
    if side is not None:
        mirror[side == "left"] = (-1, 1, 1)
    root = root_position(y, "palm")
    relative = ((y - root[:, None]) * mirror)[train]
    if not np.isfinite(relative).any(axis=0).all():
        raise InputError("target: expected each joint to be known in a row with wrist and middle MCP.")
    return np.nanmean(relative, axis=0) * mirror[test] + np.nanmean(root[train], axis=0)


def score(y: np.ndarray, predicted: np.ndarray, align: str | None) -> dict[str, float]:
    """Return the scores of predictions, mm and shares."""
    options: dict[str, Any] = {"align": align}
    return {
        "EPE mean": mean_epe(y, predicted, **options),
        "EPE median": median_epe(y, predicted, **options),
        "AUC 0-50": pck_auc(y, predicted, thresholds="freihand", **options),
        **{f"PCK {limit:g}": float(pck(y, predicted, limit, **options)) for limit in THRESHOLDS},
    }


def are_own(y: np.ndarray, predicted: np.ndarray) -> bool:
    """Return whether most hands' joints are the predictions, to a mm, and so no labels.

    The same network answers otherwise by up to half a mm where it computes in half precision.
    """
    off = np.abs(y - predicted).reshape(len(y), -1)
    known = np.isfinite(off)
    largest = np.where(known, off, 0.0).max(axis=1)[known.any(axis=1)]
    return len(largest) > 0 and float(np.mean(largest < 1.0)) > 0.5


def format_scores(y: np.ndarray, predictions: dict[str, np.ndarray], aligns: tuple[str, ...]) -> str:
    """Return a table of plain text, a line a model and alignment; lengths in mm."""
    lines: list[str] = []
    for align in aligns:
        for name, predicted in predictions.items():
            scores = score(y, predicted, ALIGNMENTS[align])
            cells = [
                f"{value:8.1f}" if key.startswith("EPE") else f"{value:8.3f}" for key, value in scores.items()
            ]
            if not lines:
                lines.append(f"{'':{_WIDTH}s}" + "".join(f"{key:>12s}" for key in scores))
            lines.append(f"{align + ', ' + name:{_WIDTH}s}" + "".join(f"{cell:>12s}" for cell in cells))
    return "\n".join(lines)
