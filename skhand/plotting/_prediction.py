"""Draw a grid of hands: the picture with the true and the predicted skeleton, and both in 3D."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from skhand._validation import check_number, check_option, check_shape, describe
from skhand.exceptions import InputError
from skhand.geometry import project, rotate_points
from skhand.metrics import joint_errors
from skhand.plotting._draw import (
    TRUTH_COLOUR,
    check_poses,
    draw_skeleton,
    frame_skeletons,
    import_pyplot,
    move_onto,
)
from skhand.skeleton import JOINTS

__all__ = ["PredictionDisplay"]

_KINDS = ("both", "picture", "3d")
_WHICH = ("worst", "best", "random", "first")


class PredictionDisplay:
    """Some hands of a test set, each under its error: the prediction in colour over the truth.

    The truth is white on pictures and grey in 3D.

    Parameters
    ----------
    y_true : array-like of shape (n_hands, 21, 3), mm
        True joints.
    y_pred : array-like of shape (n_hands, 21, 3), mm
        Predicted joints, in the same frame.
    errors : array-like of shape (n_hands,), mm
        Mean joint error of each hand.
    rows : array-like of shape (n_hands,), default=None
        Row numbers in the test set; 0, 1, 2 and so on by default.
    pictures : array-like of shape (n_hands, height, width, 3) or (n_hands, height, width), default=None
        Colour or depth pictures.
    keypoints_true, keypoints_pred : array-like of shape (n_hands, 21, 2), px, default=None
        Both hands in the pictures.

    Attributes
    ----------
    axes_ : list of matplotlib axes
        The drawn cells, hand by hand.
    figure_ : matplotlib figure
        The axes' figure.

    Raises
    ------
    InputError
        If an argument has the wrong shape.
    """

    def __init__(
        self,
        y_true: Any,
        y_pred: Any,
        *,
        errors: Any,
        rows: Any = None,
        pictures: Any = None,
        keypoints_true: Any = None,
        keypoints_pred: Any = None,
    ):
        self.y_true = check_poses(y_true, "y_true", n_joints=len(JOINTS))
        n_hands = len(self.y_true)
        self.y_pred = check_shape(y_pred, "y_pred", self.y_true.shape)
        self.errors = check_shape(errors, "errors", (n_hands,))
        self.rows = np.arange(n_hands) if rows is None else check_shape(rows, "rows", (n_hands,))
        self.pictures: Any = None if pictures is None else np.asarray(pictures)
        if self.pictures is not None and (len(self.pictures) != n_hands or self.pictures.ndim not in (3, 4)):
            raise InputError(f"pictures: expected {n_hands} pictures, got {describe(pictures)}.")
        flat = (n_hands, len(JOINTS), 2)
        self.keypoints_true = (
            None if keypoints_true is None else check_shape(keypoints_true, "keypoints_true", flat)
        )
        self.keypoints_pred = (
            None if keypoints_pred is None else check_shape(keypoints_pred, "keypoints_pred", flat)
        )

    def plot(
        self, *, kind: str | None = None, n_columns: int = 4, elev: float = 12.0, azim: float = -70.0
    ) -> PredictionDisplay:
        """Draw the grid on a new figure.

        Parameters
        ----------
        kind : {"both", "picture", "3d"}, default=None
            What each cell shows; "both" by default where there are pictures, else "3d".
        n_columns : int, default=4
            Hands in a line.
        elev, azim : float
            Where 3D hands are seen from, degrees; (0, -90) is the camera's own view.

        Returns
        -------
        display : PredictionDisplay

        Raises
        ------
        InputError
            If pictures are asked for and there are none.
        """
        plt = import_pyplot("PredictionDisplay")
        if kind is None:
            kind = "3d" if self.pictures is None else "both"
        check_option(kind, "kind", _KINDS)
        if kind != "3d" and self.pictures is None:
            raise InputError(f"kind: {kind!r} needs pictures (rgb or depth in X), and there are none.")
        parts = ("picture", "3d") if kind == "both" else (kind,)
        n_columns = min(check_number(n_columns, "n_columns", integer=True, low=1), len(self.rows))
        n_lines = -(-len(self.rows) // n_columns)
        width = n_columns * len(parts)
        self.figure_ = plt.figure(figsize=(2.1 * width, 2.3 * n_lines), layout="constrained")
        self.figure_.suptitle("prediction in colour, truth in white and grey", fontsize=9)
        self.axes_ = []
        for i in range(len(self.rows)):
            for j, part in enumerate(parts):
                projection = "3d" if part == "3d" else None
                ax = self.figure_.add_subplot(n_lines, width, i * len(parts) + j + 1, projection=projection)
                self.axes_.append(ax)
                if part == "picture":
                    self._draw_picture(ax, i)
                else:
                    self._draw_3d(ax, i, elev, azim)
                if j == 0:
                    ax.set_title(f"row {self.rows[i]}: {self.errors[i]:.1f} mm", fontsize=9)
        return self

    def _draw_picture(self, ax: Any, i: int) -> None:
        picture = self.pictures[i]
        ax.imshow(picture, cmap="gray" if picture.ndim == 2 else None)
        limits = ax.get_xlim(), ax.get_ylim()
        if self.keypoints_true is not None:
            draw_skeleton(ax, self.keypoints_true[i], colour="white", size=0.8, outlined=True)
        if self.keypoints_pred is not None:
            draw_skeleton(ax, self.keypoints_pred[i], size=0.8, outlined=True)
        ax.set(xlim=limits[0], ylim=limits[1], xticks=[], yticks=[])

    def _draw_3d(self, ax: Any, i: int, elev: float, azim: float) -> None:
        draw_skeleton(ax, self.y_true[i], colour=TRUTH_COLOUR, size=0.8)
        draw_skeleton(ax, self.y_pred[i], size=0.8)
        frame_skeletons(ax, [self.y_true[i], self.y_pred[i]], elev=elev, azim=azim)
        ax.set(xticklabels=[], yticklabels=[], zticklabels=[], xlabel="", ylabel="", zlabel="")

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        X: Any = None,
        visible: Any = None,
        align: str | None = None,
        root: str | int = "palm",
        n_hands: int = 8,
        which: str = "worst",
        random_state: Any = None,
        kind: str | None = None,
    ) -> PredictionDisplay:
        """Choose hands by their error and draw them.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, 21, 3) or (n_samples, 63), mm
            True joints; hands without a known joint are left out.
        y_pred : array-like of the same shape, mm
            Predicted joints.
        X : HandFrames or array-like of shape (n_samples, height, width, 3), default=None
            Pictures to draw on. The prediction is drawn in rows with a camera.
        visible : array-like of shape (n_samples, 21), bool, default=None
            Joints that count in the error; all by default.
        align : {None, "root"}, default=None
            Whether the prediction is moved onto the truth by its root, before the error is taken and the
            hand is drawn.
        root : str or int, default="palm"
            The root: a joint's name or index, or ``"palm"``, half way between wrist and middle MCP.
        n_hands : int, default=8
            Number of hands.
        which : {"worst", "best", "random", "first"}, default="worst"
            Which hands.
        random_state : int, RandomState instance or None, default=None
            Seed of ``which="random"``.
        kind : {"both", "picture", "3d"}, default=None
            What each cell shows; "both" by default where there are pictures, else "3d".

        Returns
        -------
        display : PredictionDisplay

        Raises
        ------
        InputError
            If an argument has the wrong shape or no row has a known joint.
        """
        y_true = check_poses(y_true, "y_true", n_joints=len(JOINTS))
        y_pred = check_shape(check_poses(y_pred, "y_pred"), "y_pred", y_true.shape)
        y_pred = move_onto(y_true, y_pred, align, root)
        errors = _average_rows(y_true, y_pred, visible)
        rows = _choose(errors, n_hands, which, random_state)
        drawn = {} if X is None else _read_pictures(X, rows, y_true[rows], y_pred[rows])
        return cls(y_true[rows], y_pred[rows], errors=errors[rows], rows=rows, **drawn).plot(kind=kind)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        visible: Any = None,
        align: str | None = None,
        root: str | int = "palm",
        n_hands: int = 8,
        which: str = "worst",
        random_state: Any = None,
        kind: str | None = None,
    ) -> PredictionDisplay:
        """Predict, choose hands by their error and draw them.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator of 3D joints.
        X : HandFrames or array-like of shape (n_samples, ...)
            Input rows; their pictures are drawn on where there are any.
        y : array-like of shape (n_samples, 21, 3) or (n_samples, 63), mm
            True joints; hands without a known joint are left out.
        visible : array-like of shape (n_samples, 21), bool, default=None
            Joints that count in the error; all by default.
        align : {None, "root"}, default=None
            Whether the prediction is moved onto the truth by its root, before the error is taken and the
            hand is drawn.
        root : str or int, default="palm"
            The root: a joint's name or index, or ``"palm"``, half way between wrist and middle MCP.
        n_hands : int, default=8
            Number of hands.
        which : {"worst", "best", "random", "first"}, default="worst"
            Which hands.
        random_state : int, RandomState instance or None, default=None
            Seed of ``which="random"``.
        kind : {"both", "picture", "3d"}, default=None
            What each cell shows; "both" by default where there are pictures, else "3d".

        Returns
        -------
        display : PredictionDisplay
        """
        return cls.from_predictions(
            y,
            estimator.predict(X),
            X=X,
            visible=visible,
            align=align,
            root=root,
            n_hands=n_hands,
            which=which,
            random_state=random_state,
            kind=kind,
        )


def _average_rows(y_true: np.ndarray, y_pred: np.ndarray, visible: Any) -> np.ndarray:
    """Average the errors of each row's joints that count, mm; NaN where none does."""
    errors = joint_errors(y_true, y_pred, visible=visible)
    counted = np.isfinite(errors)
    n_counted = np.where(counted.any(axis=1), counted.sum(axis=1), np.nan)
    return np.where(counted, errors, 0.0).sum(axis=1) / n_counted


def _choose(errors: np.ndarray, n_hands: int, which: str, random_state: Any) -> np.ndarray:
    """Choose rows with a known error."""
    check_number(n_hands, "n_hands", integer=True, low=1)
    check_option(which, "which", _WHICH)
    known = np.flatnonzero(np.isfinite(errors))
    if which == "random":
        known = check_random_state(random_state).permutation(known)
    elif which != "first":
        order = np.argsort(errors[known], kind="stable")
        known = known[order[::-1] if which == "worst" else order]
    return known[:n_hands]


def _read_pictures(X: Any, rows: np.ndarray, y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, np.ndarray]:
    """Read the pictures of the chosen rows, and both hands in them where the table says where they are."""
    if not hasattr(X, "columns"):
        pictures = np.asarray(X[rows])
        return {"pictures": pictures} if pictures.ndim in (3, 4) else {}
    chosen = X[rows]
    column = chosen.rgb if chosen.rgb is not None else chosen.depth
    if column is None:
        return {}
    parts = {"pictures": np.asarray(column)}
    if chosen.camera is not None:
        turn = np.eye(3) if chosen.rotation is None else chosen.rotation  # poses come in the original frame
        known = np.isfinite(chosen.camera).all(axis=(1, 2))[:, None, None]
        camera = np.where(known, chosen.camera, np.eye(3))
        for name, poses in (("keypoints_true", y_true), ("keypoints_pred", y_pred)):
            parts[name] = np.where(known, project(rotate_points(poses, turn), camera), np.nan)
    if chosen.keypoints2d is not None and chosen.keypoints2d.shape[1] == len(JOINTS):
        parts["keypoints_true"] = chosen.keypoints2d
    return parts
