"""Scores of hands that are found: recall, precision, false alarms and overlap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skhand.detection._boxes import Found, box_iou

__all__ = ["measure"]


def measure(
    found: Sequence[Found],
    boxes: Sequence[Tensor],
    is_left: Sequence[Tensor],
    unclear: Sequence[Tensor],
    least: float = 0.5,
) -> dict[str, float]:
    """Compare what was found with what there is.

    Parameters
    ----------
    found : sequence of Found
        One a picture.
    boxes, unclear : sequence of Tensor of shape (k, 4), px
        The hands of each picture, and those that count neither as hands nor as none.
    is_left : sequence of Tensor of shape (k,), bool
    least : float, default=0.5
        Least intersection over union of a hand that is found.

    Returns
    -------
    scores : dict of str to float
        "recall", "precision", "false_alarms" (a picture), "iou" (mean of the hands found) and "side" (share
        of the hands found whose side is right).
    """
    n_hands = n_right = n_false = n_sides = 0
    overlaps: list[float] = []
    for one, box, left, doubtful in zip(found, boxes, is_left, unclear, strict=True):
        n_hands += len(box)
        shared = box_iou(one.box, box)
        free = torch.ones(len(box), dtype=torch.bool)
        for i in range(len(one.box)):
            best = int((shared[i] * free).argmax()) if len(box) else -1
            if best >= 0 and free[best] and shared[i, best] >= least:
                free[best] = False
                n_right += 1
                n_sides += int(one.is_left[i] == left[best])
                overlaps.append(float(shared[i, best]))
            elif not (box_iou(one.box[i : i + 1], doubtful) > 0.2).any():
                n_false += 1
    return {
        "recall": n_right / max(n_hands, 1),
        "precision": n_right / max(n_right + n_false, 1),
        "false_alarms": n_false / max(len(boxes), 1),
        "iou": sum(overlaps) / max(len(overlaps), 1),
        "side": n_sides / max(n_right, 1),
    }
