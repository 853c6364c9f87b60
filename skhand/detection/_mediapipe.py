"""MediaPipe Hands as a detector, where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from skhand.detection._boxes import Found
from skhand.exceptions import InputError

__all__ = ["find_with_mediapipe"]

_PAD = 0.045
"""Margin of the box around the joints on each side, in its longer side: about 8 mm."""


def find_with_mediapipe(pictures: Sequence[np.ndarray], threshold: float, max_hands: int) -> list[Found]:
    """Find hands with MediaPipe.

    Parameters
    ----------
    pictures : sequence of ndarray of shape (height, width, 3), uint8
    threshold : float
        Least score of its palm detector.
    max_hands : int

    Returns
    -------
    found : list of Found
        One a picture.

    Raises
    ------
    InputError
        If MediaPipe is not installed.
    """
    try:
        from mediapipe.python.solutions.hands import Hands
    except ImportError as error:
        raise InputError(
            "detector: 'mediapipe' needs the package mediapipe, which is missing; install it with "
            f'pip install "skhand[mediapipe]" and pip install --no-deps mediapipe==0.10.21 ({error}).'
        ) from error
    with Hands(
        static_image_mode=True, max_num_hands=int(max_hands), min_detection_confidence=float(threshold)
    ) as hands:
        return [_read(hands.process(np.ascontiguousarray(picture)), picture.shape) for picture in pictures]


def _read(answer: Any, shape: tuple[int, ...]) -> Found:
    """Return boxes around landmarks, the surest hand first; MediaPipe names sides as in a mirror."""
    boxes, scores, left = [], [], []
    for hand, side in zip(answer.multi_hand_landmarks or (), answer.multi_handedness or (), strict=True):
        points = np.array([(mark.x * shape[1], mark.y * shape[0]) for mark in hand.landmark]) - 0.5
        low, high = points.min(axis=0), points.max(axis=0)
        pad = _PAD * (high - low).max()
        boxes.append([*(low - pad), *(high - low + 2 * pad)])
        scores.append(side.classification[0].score)
        left.append(side.classification[0].label == "Right")
    order = np.argsort(-np.array(scores), kind="stable")
    return Found(
        torch.tensor(np.array(boxes).reshape(-1, 4)[order], dtype=torch.float32),
        torch.tensor(np.array(scores, dtype=np.float32)[order]).clamp(0.0, 1.0),
        torch.tensor(np.array(left, dtype=bool)[order]),
    )
