"""Draw one hand in 3D, or a prediction over the truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_shape
from skhand.plotting._draw import (
    TRUTH_COLOUR,
    check_poses,
    draw_skeleton,
    frame_skeletons,
    import_pyplot,
    move_onto,
)
from skhand.skeleton import JOINTS

__all__ = ["SkeletonDisplay"]


class SkeletonDisplay:
    """A hand in 3D with one colour a finger, and the true hand behind it in grey where it is known.

    Axes have one scale; the camera's y axis points down.

    Parameters
    ----------
    y_pred : array-like of shape (21, 3), mm
        The hand in colour, camera frame, canonical layout.
    y_true : array-like of shape (21, 3), mm, optional
        The hand in grey.

    Attributes
    ----------
    ax_ : matplotlib 3D axes
        Where the hand was drawn.
    figure_ : matplotlib figure
        The axes' figure.

    Raises
    ------
    InputError
        If a pose is not of shape (21, 3).
    """

    def __init__(self, y_pred: Any, y_true: Any = None):
        self.y_pred = check_shape(y_pred, "y_pred", (len(JOINTS), 3)).astype(np.float64)
        self.y_true = None
        if y_true is not None:
            self.y_true = check_shape(y_true, "y_true", (len(JOINTS), 3)).astype(np.float64)

    def plot(self, ax: Any = None, *, elev: float = 12.0, azim: float = -70.0) -> SkeletonDisplay:
        """Draw the hand.

        Parameters
        ----------
        ax : matplotlib 3D axes, default=None
            Where to draw; a new figure by default.
        elev, azim : float
            Where the hand is seen from, degrees; (0, -90) is the camera's own view.

        Returns
        -------
        display : SkeletonDisplay
        """
        plt = import_pyplot("SkeletonDisplay")
        if ax is None:
            _, ax = plt.subplots(subplot_kw={"projection": "3d"}, layout="constrained")
        poses = [pose for pose in (self.y_true, self.y_pred) if pose is not None]
        if self.y_true is not None:
            draw_skeleton(ax, self.y_true, colour=TRUTH_COLOUR)
        draw_skeleton(ax, self.y_pred)
        frame_skeletons(ax, poses, elev=elev, azim=azim)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        row: int = 0,
        align: str | None = None,
        root: str | int = "palm",
        ax: Any = None,
    ) -> SkeletonDisplay:
        """Draw one row of predictions over the truth.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, 21, 3) or (n_samples, 63), mm
            True joints.
        y_pred : array-like of the same shape, mm
            Predicted joints.
        row : int, default=0
            Which hand.
        align : {None, "root"}, default=None
            Whether the prediction is moved onto the truth by its root first.
        root : str or int, default="palm"
            The root: a joint's name or index, or ``"palm"``, half way between wrist and middle MCP.
        ax : matplotlib 3D axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : SkeletonDisplay
        """
        truth = check_poses(y_true, "y_true", n_joints=len(JOINTS))
        predicted = check_poses(y_pred, "y_pred", n_joints=len(JOINTS))
        check_shape(predicted, "y_pred", truth.shape)
        return cls(move_onto(truth, predicted, align, root)[row], truth[row]).plot(ax=ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        row: int = 0,
        align: str | None = None,
        root: str | int = "palm",
        ax: Any = None,
    ) -> SkeletonDisplay:
        """Predict one row and draw it over the truth.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator of 3D joints.
        X : HandFrames or array-like of shape (n_samples, ...)
            Input rows.
        y : array-like of shape (n_samples, 21, 3) or (n_samples, 63), mm
            True joints.
        row : int, default=0
            Which hand.
        align : {None, "root"}, default=None
            Whether the prediction is moved onto the truth by its root first.
        root : str or int, default="palm"
            The root: a joint's name or index, or ``"palm"``, half way between wrist and middle MCP.
        ax : matplotlib 3D axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : SkeletonDisplay
        """
        rows = np.array([row])
        predicted = estimator.predict(X[rows])
        return cls.from_predictions(np.asarray(y)[rows], predicted, align=align, root=root, ax=ax)
