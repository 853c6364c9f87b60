"""Draw a grid of hands: the picture with the true and the predicted skeleton, and both in 3D."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._doubts import warn_of_doubts
from skhand._validation import check_mask, check_number, check_option, check_seed, check_shape
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.geometry import project, rotate_points
from skhand.metrics import joint_errors
from skhand.plotting._checks import (
    check_method,
    check_numbers,
    check_pair,
    check_pictures,
    check_poses,
    check_rows,
    check_view,
    check_y,
    find_pictures,
    find_root,
    take_rows,
    warn_if_relative,
)
from skhand.plotting._draw import TRUTH_COLOUR, draw_skeleton, frame_skeletons, import_pyplot, move_onto
from skhand.skeleton import Layout, resolve_layout

__all__ = ["PredictionDisplay"]

_KINDS = ("both", "picture", "3d")
_WHICH = ("worst", "best", "random", "first")


class PredictionDisplay:
    """Some hands of a test set: the prediction in colour over the truth, each under its error.

    The truth is white on pictures and grey in 3D. Without it the predictions are drawn alone.

    Parameters
    ----------
    y_true : array-like of shape (n_hands, n_joints, 3), mm, or None
        True joints; None where they are not known.
    y_pred : array-like of shape (n_hands, n_joints, 3), mm
        Predicted joints, in the same frame. Of both, joints that are NaN are not drawn.
    errors : array-like of shape (n_hands,), mm, default=None
        Mean joint error of each hand.
    rows : array-like of shape (n_hands,), default=None
        Row numbers in the test set; 0, 1, 2 and so on by default.
    pictures : array-like of shape (n_hands, height, width, 3) or (n_hands, height, width), default=None
        Colour or depth pictures.
    keypoints_true, keypoints_pred : array-like of shape (n_hands, n_joints, 2), px, default=None
        Both hands in the pictures; NaN where that is not known.
    layout : str or Layout, default="canonical"
        Which joints they are: a layout, or its name in `skhand.skeleton.LAYOUTS`.

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

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.plotting import PredictionDisplay
    >>> y = np.random.default_rng(0).normal(size=(4, 21, 3)) * 30 + [0.0, 0.0, 500.0]
    >>> display = PredictionDisplay.from_predictions(y, y + 5, n_hands=2)
    >>> len(display.axes_)
    2
    """

    def __init__(
        self,
        y_true: Any,
        y_pred: Any,
        *,
        errors: Any = None,
        rows: Any = None,
        pictures: Any = None,
        keypoints_true: Any = None,
        keypoints_pred: Any = None,
        layout: str | Layout = "canonical",
    ):
        self.layout = resolve_layout(layout)
        self.y_true, self.y_pred = check_pair(y_true, y_pred, self.layout)
        n_hands = len(self.y_pred)
        self.errors = None if errors is None else check_numbers(errors, "errors", (n_hands,))
        if self.errors is not None and not (self.errors >= 0).all():
            raise InputError(f"errors: expected distances >= 0, got {self.errors}.")
        self.rows = np.arange(n_hands) if rows is None else check_shape(rows, "rows", (n_hands,))
        if self.rows.dtype == bool:
            raise InputError("rows: expected the numbers of the rows, got truth values.")
        self.pictures: Any = None if pictures is None else check_pictures(pictures, "pictures", n_hands)
        flat = (n_hands, len(self.layout), 2)
        self.keypoints_true = (
            None if keypoints_true is None else check_numbers(keypoints_true, "keypoints_true", flat)
        )
        self.keypoints_pred = (
            None if keypoints_pred is None else check_numbers(keypoints_pred, "keypoints_pred", flat)
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
        if kind is None:
            kind = "3d" if self.pictures is None else "both"
        check_option(kind, "kind", _KINDS)
        check_view(elev, azim)
        if kind != "3d" and self.pictures is None:
            raise InputError(f"kind: {kind!r} needs pictures (rgb or depth in X), and there are none.")
        parts = ("picture", "3d") if kind == "both" else (kind,)
        n_columns = min(check_number(n_columns, "n_columns", integer=True, low=1), len(self.rows))
        plt = import_pyplot("PredictionDisplay")
        n_lines = -(-len(self.rows) // n_columns)
        width = n_columns * len(parts)
        self.figure_ = plt.figure(figsize=(2.1 * width, 2.3 * n_lines), layout="constrained")
        truth = "" if self.y_true is None else ", truth in white and grey"
        self.figure_.suptitle(f"prediction in colour{truth}", fontsize=9)
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
                    error = "" if self.errors is None else f": {self.errors[i]:.1f} mm"
                    ax.set_title(f"row {self.rows[i]}{error}", fontsize=9)
        return self

    def _draw_picture(self, ax: Any, i: int) -> None:
        picture = self.pictures[i]
        ax.imshow(picture, cmap="gray" if picture.ndim == 2 else None)
        limits = ax.get_xlim(), ax.get_ylim()
        if self.keypoints_true is not None:
            draw_skeleton(
                ax, self.keypoints_true[i], layout=self.layout, colour="white", size=0.8, outlined=True
            )
        if self.keypoints_pred is not None:
            draw_skeleton(ax, self.keypoints_pred[i], layout=self.layout, size=0.8, outlined=True)
        ax.set(xlim=limits[0], ylim=limits[1], xticks=[], yticks=[])

    def _draw_3d(self, ax: Any, i: int, elev: float, azim: float) -> None:
        poses = [self.y_pred[i]]
        if self.y_true is not None:
            draw_skeleton(ax, self.y_true[i], layout=self.layout, colour=TRUTH_COLOUR, size=0.8)
            poses.append(self.y_true[i])
        draw_skeleton(ax, self.y_pred[i], layout=self.layout, size=0.8)
        frame_skeletons(ax, poses, elev=elev, azim=azim)
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
        which: str | None = None,
        random_state: Any = None,
        kind: str | None = None,
        layout: str | Layout = "canonical",
    ) -> PredictionDisplay:
        """Choose hands by their error and draw them.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_joints, 3) or (n_samples, 3 * n_joints), mm, or None
            True joints; hands without a known joint are left out. None where no hand is known.
        y_pred : array-like of shape (n_samples, n_joints, 3) or (n_samples, 3 * n_joints), mm
            Predicted joints.
        X : HandFrames or array-like of shape (n_samples, height, width, 3), default=None
            Pictures to draw on. The prediction is drawn in rows with a camera.
        visible : array-like of shape (n_samples, n_joints), bool, default=None
            Joints that count in the error; all by default.
        align : {None, "root"}, default=None
            Whether the prediction is moved onto the truth by its root, before the error is taken and the
            hand is drawn.
        root : str or int, default="palm"
            The root: a joint's name or index, or ``"palm"``, half way between wrist and middle MCP.
        n_hands : int, default=8
            Number of hands.
        which : {"worst", "best", "random", "first"} or None, default=None
            Which hands; None is the worst where the truth is known, else the first.
        random_state : int, RandomState instance or None, default=None
            Seed of ``which="random"``.
        kind : {"both", "picture", "3d"}, default=None
            What each cell shows; "both" by default where there are pictures, else "3d".
        layout : str or Layout, default="canonical"
            Which joints they are: a layout, or its name in `skhand.skeleton.LAYOUTS`.

        Returns
        -------
        display : PredictionDisplay

        Raises
        ------
        InputError
            If an argument is not what was expected or no row has a known joint.
        """
        layout = resolve_layout(layout)
        which = _check_options(n_hands, which, kind, y_true is not None)
        seed = check_seed(random_state)
        truth, predicted = check_pair(y_true, y_pred, layout)
        X = None if X is None else check_rows(X)
        if X is not None and len(X) != len(predicted):
            raise InputError(f"X: expected as many rows as y_pred ({len(predicted)}), got {len(X)}.")
        if visible is not None:
            check_mask(visible, "visible", predicted.shape[:2])
        predicted = move_onto(truth, predicted, align, root, layout)
        errors = None
        if truth is not None:
            warn_of_doubts({}, truth, "y_true")
            errors = _average_rows(truth, predicted, visible)
        known = np.isfinite(predicted).all(axis=2).any(axis=1)
        if not known.any():
            raise InputError("y_pred: expected at least one hand with a known joint, got only NaN.")
        rows = _choose(np.where(known, 0.0, np.nan) if errors is None else errors, n_hands, which, seed)
        true = None if truth is None else truth[rows]
        drawn = {} if X is None else _read_pictures(X, rows, true, predicted[rows])
        errors = None if errors is None else errors[rows]
        shown = cls(true, predicted[rows], errors=errors, rows=rows, layout=layout, **drawn)
        return shown.plot(kind=kind)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        visible: Any = None,
        align: str | None = None,
        root: str | int = "palm",
        n_hands: int = 8,
        which: str | None = None,
        random_state: Any = None,
        kind: str | None = None,
        layout: str | Layout = "canonical",
    ) -> PredictionDisplay:
        """Predict, choose hands by their error and draw them.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator of 3D joints.
        X : HandFrames or array-like of shape (n_samples, ...)
            Input rows; their pictures are drawn on where there are any.
        y : array-like of shape (n_samples, n_joints, 3) or (n_samples, 3 * n_joints), mm, default=None
            True joints; hands without a known joint are left out. None where no hand is known.
        visible : array-like of shape (n_samples, n_joints), bool, default=None
            Joints that count in the error; all by default.
        align : {None, "root"}, default=None
            Whether the prediction is moved onto the truth by its root, before the error is taken and the
            hand is drawn.
        root : str or int, default="palm"
            The root: a joint's name or index, or ``"palm"``, half way between wrist and middle MCP.
        n_hands : int, default=8
            Number of hands.
        which : {"worst", "best", "random", "first"} or None, default=None
            Which hands; None is the worst where the truth is known, else the first.
        random_state : int, RandomState instance or None, default=None
            Seed of ``which="random"``.
        kind : {"both", "picture", "3d"}, default=None
            What each cell shows; "both" by default where there are pictures, else "3d".
        layout : str or Layout, default="canonical"
            Which joints they are: a layout, or its name in `skhand.skeleton.LAYOUTS`.

        Returns
        -------
        display : PredictionDisplay
        """
        check_method(estimator, "predict")
        layout = resolve_layout(layout)
        find_root(root, layout, align)
        _check_options(n_hands, which, kind, y is not None)
        check_seed(random_state)
        X = check_rows(X)
        truth = check_y(y, len(X), layout)
        if visible is not None:
            check_mask(visible, "visible", (len(X), len(layout)))
        anything = np.zeros((len(X), len(layout), 3))
        move_onto(truth, anything, align, root, layout)  # errors come before the prediction
        predicted = check_poses(estimator.predict(X), "y_pred", layout)
        return cls.from_predictions(
            truth,
            predicted,
            X=X,
            visible=visible,
            align=align,
            root=root,
            n_hands=n_hands,
            which=which,
            random_state=random_state,
            kind=kind,
            layout=layout,
        )


def _check_options(n_hands: Any, which: Any, kind: Any, has_truth: bool) -> str:
    """Validate which hands are drawn and how; return which."""
    check_number(n_hands, "n_hands", integer=True, low=1)
    check_option(kind, "kind", (None, *_KINDS))
    check_option(which, "which", (None, *_WHICH))
    if which is None:
        return "worst" if has_truth else "first"
    if not has_truth and which in ("worst", "best"):
        raise InputError(f"which: expected 'random' or 'first' without y or y_true, got {which!r}.")
    return which


def _average_rows(y_true: np.ndarray, y_pred: np.ndarray, visible: Any) -> np.ndarray:
    """Average the errors of each row's joints that count, mm; NaN where none does."""
    errors = joint_errors(y_true, y_pred, visible=visible)
    counted = np.isfinite(errors)
    n_counted = np.where(counted.any(axis=1), counted.sum(axis=1), np.nan)
    return np.where(counted, errors, 0.0).sum(axis=1) / n_counted


def _choose(errors: np.ndarray, n_hands: int, which: str, seed: np.random.RandomState) -> np.ndarray:
    """Choose rows with a known error."""
    known = np.flatnonzero(np.isfinite(errors))
    if which == "random":
        known = seed.permutation(known)
    elif which != "first":
        order = np.argsort(errors[known], kind="stable")
        known = known[order[::-1] if which == "worst" else order]
    return known[:n_hands]


def _read_pictures(
    X: Any, rows: np.ndarray, y_true: np.ndarray | None, y_pred: np.ndarray
) -> dict[str, np.ndarray]:
    """Read the pictures of the chosen rows, and both hands in them where the table says where they are."""
    pictures = find_pictures(X, rows)
    if pictures is None:
        return {}
    parts = {"pictures": pictures}
    if not isinstance(X, HandFrames):
        return parts
    chosen = take_rows(X, rows)
    if chosen.camera is not None:
        turn = np.eye(3) if chosen.rotation is None else chosen.rotation  # poses come in the original frame
        known = np.isfinite(chosen.camera).all(axis=(1, 2))[:, None, None]
        camera = np.where(known, chosen.camera, np.eye(3))
        if y_true is None:
            warn_if_relative(y_pred)
        for name, poses in (("keypoints_true", y_true), ("keypoints_pred", y_pred)):
            if poses is not None:
                seen = rotate_points(poses, turn)
                seen = np.where(known & (seen[..., 2:] > 0), seen, np.nan)  # what is behind the camera is not
                parts[name] = project(seen, camera)
    if (
        y_true is not None
        and chosen.keypoints2d is not None
        and chosen.keypoints2d.shape[1] == y_pred.shape[1]
    ):
        parts["keypoints_true"] = chosen.keypoints2d
    return parts
