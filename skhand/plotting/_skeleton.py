"""Draw one hand in 3D, over the truth and among samples of its posterior where these are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_number, check_seed
from skhand.exceptions import InputError
from skhand.plotting._checks import (
    check_axes,
    check_method,
    check_numbers,
    check_pair,
    check_poses,
    check_row,
    check_rows,
    check_view,
    check_y,
    find_root,
    take_rows,
    warn_if_relative,
)
from skhand.plotting._draw import TRUTH_COLOUR, draw_skeleton, frame_skeletons, import_pyplot, move_onto
from skhand.plotting._turnable import import_plotly, make_turnable, trace_skeleton
from skhand.skeleton import Layout, resolve_layout

__all__ = ["SkeletonDisplay"]

_MOST_SAMPLES = 1000  # what anybody can draw


class SkeletonDisplay:
    """A hand in 3D with one colour a finger, and the true hand behind it in grey where it is known.

    Axes have one scale; the camera's y axis points down. Samples are drawn faint, in the same colours.

    Parameters
    ----------
    y_pred : array-like of shape (n_joints, 3), mm
        The hand in colour, camera frame. Joints that are NaN are not drawn.
    y_true : array-like of shape (n_joints, 3), mm, default=None
        The hand in grey.
    samples : array-like of shape (n_samples, n_joints, 3), mm, default=None
        Further hands that are possible too.
    layout : str or Layout, default="canonical"
        Which joints they are: a layout, or its name in `skhand.skeleton.LAYOUTS`.

    Attributes
    ----------
    ax_ : matplotlib 3D axes
        Where the hand was drawn.
    figure_ : matplotlib figure
        The axes' figure.

    Raises
    ------
    InputError
        If a pose does not have the joints of the layout.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.plotting import SkeletonDisplay
    >>> y = np.random.default_rng(0).normal(size=(4, 21, 3)) * 30 + [0.0, 0.0, 500.0]
    >>> display = SkeletonDisplay(y[0] + 5, y[0]).plot(elev=0, azim=-90)
    >>> display.ax_.get_xlabel()
    'x [mm]'
    """

    def __init__(
        self, y_pred: Any, y_true: Any = None, *, samples: Any = None, layout: str | Layout = "canonical"
    ):
        self.layout = resolve_layout(layout)
        shape = (len(self.layout), 3)
        self.y_pred = check_numbers(y_pred, "y_pred", shape)
        _require_known(self.y_pred[None], "y_pred")
        self.y_true = None if y_true is None else check_numbers(y_true, "y_true", shape)
        if self.y_true is not None:
            warn_if_relative(self.y_pred[None], self.y_true[None])
        self.samples = None if samples is None else check_poses(samples, "samples", self.layout)
        if self.samples is not None:
            _require_known(self.samples, "samples")

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
        check_axes(ax, in_3d=True)
        check_view(elev, azim)
        plt = import_pyplot("SkeletonDisplay")
        if ax is None:
            _, ax = plt.subplots(subplot_kw={"projection": "3d"}, layout="constrained")
        samples = () if self.samples is None else tuple(self.samples)
        for sample in samples:
            draw_skeleton(ax, sample, layout=self.layout, size=0.6, alpha=max(0.12, 1 / (len(samples) + 2)))
        if self.y_true is not None:
            draw_skeleton(ax, self.y_true, layout=self.layout, colour=TRUTH_COLOUR)
        draw_skeleton(ax, self.y_pred, layout=self.layout)
        known = [pose for pose in (self.y_true, self.y_pred) if pose is not None]
        frame_skeletons(ax, [*known, *samples], elev=elev, azim=azim)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def to_plotly(self) -> Any:
        """Return the same drawing as a plotly figure, which can be turned in a notebook or a web page.

        It needs the extra ``plotly``, and no matplotlib where the display was made without its ``from_``
        methods. ``figure.write_html(path)`` saves it.

        Returns
        -------
        figure : plotly.graph_objects.Figure
            In the camera frame, mm; one trace a hand.

        Examples
        --------
        >>> from skhand.datasets import make_hands
        >>> from skhand.plotting import SkeletonDisplay
        >>> hand = make_hands(1, images=(), random_state=0).target[0]
        >>> figure = SkeletonDisplay(hand + 5, hand).to_plotly()
        >>> [trace.name for trace in figure.data]
        ['truth', 'prediction']
        """
        go = import_plotly("SkeletonDisplay.to_plotly")
        samples = () if self.samples is None else tuple(self.samples)
        faint = max(0.12, 1 / (len(samples) + 2))
        traces = [
            trace_skeleton(go, sample, layout=self.layout, name=f"sample {i}", alpha=faint)
            for i, sample in enumerate(samples)
        ]
        if self.y_true is not None:
            traces.append(
                trace_skeleton(go, self.y_true, layout=self.layout, name="truth", colour=TRUTH_COLOUR)
            )
        traces.append(trace_skeleton(go, self.y_pred, layout=self.layout, name="prediction"))
        return make_turnable(go, traces)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        row: int = 0,
        align: str | None = None,
        root: str | int = "palm",
        layout: str | Layout = "canonical",
        ax: Any = None,
    ) -> SkeletonDisplay:
        """Draw one row of predictions over the truth.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_joints, 3) or (n_samples, 3 * n_joints), mm, or None
            True joints; None where they are not known.
        y_pred : array-like of shape (n_samples, n_joints, 3) or (n_samples, 3 * n_joints), mm
            Predicted joints.
        row : int, default=0
            Which hand; negative ones count from the end.
        align : {None, "root"}, default=None
            Whether the prediction is moved onto the truth by its root first.
        root : str or int, default="palm"
            The root: a joint's name or index, or ``"palm"``, half way between wrist and middle MCP.
        layout : str or Layout, default="canonical"
            Which joints they are: a layout, or its name in `skhand.skeleton.LAYOUTS`.
        ax : matplotlib 3D axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : SkeletonDisplay
        """
        check_axes(ax, in_3d=True)
        layout = resolve_layout(layout)
        truth, predicted = check_pair(y_true, y_pred, layout)
        row = check_row(row, len(predicted))
        shown = move_onto(truth, predicted, align, root, layout)[row]
        return cls(shown, None if truth is None else truth[row], layout=layout).plot(ax=ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        row: int = 0,
        n_samples: int = 0,
        random_state: Any = None,
        align: str | None = None,
        root: str | int = "palm",
        layout: str | Layout = "canonical",
        ax: Any = None,
    ) -> SkeletonDisplay:
        """Predict one row and draw it, over the truth where it is known.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator of 3D joints.
        X : HandFrames or array-like of shape (n_samples, ...)
            Input rows.
        y : array-like of shape (n_samples, n_joints, 3) or (n_samples, 3 * n_joints), mm, default=None
            True joints.
        row : int, default=0
            Which hand; negative ones count from the end.
        n_samples : int, default=0
            How many samples of the row's posterior to draw too, 1000 at most, by the estimator's
            ``sample_posterior``.
        random_state : int, RandomState instance or None, default=None
            Seed of the samples.
        align : {None, "root"}, default=None
            Whether prediction and samples are moved onto the truth by their roots first.
        root : str or int, default="palm"
            The root: a joint's name or index, or ``"palm"``, half way between wrist and middle MCP.
        layout : str or Layout, default="canonical"
            Which joints they are: a layout, or its name in `skhand.skeleton.LAYOUTS`.
        ax : matplotlib 3D axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : SkeletonDisplay
        """
        check_method(estimator, "predict")
        check_axes(ax, in_3d=True)
        layout = resolve_layout(layout)
        find_root(root, layout, align)
        X = check_rows(X)
        rows = np.array([check_row(row, len(X))])
        check_number(n_samples, "n_samples", integer=True, low=0, high=_MOST_SAMPLES)
        truth = check_y(y, len(X), layout)
        truth = None if truth is None else truth[rows]
        anything = np.zeros((1, len(layout), 3))
        move_onto(truth, anything, align, root, layout)  # errors come before the prediction
        seed, chosen = check_seed(random_state), take_rows(X, rows)
        samples = None
        if n_samples:
            check_method(estimator, "sample_posterior")
            drawn = estimator.sample_posterior(chosen, n_samples, random_state=seed)
            poses = check_poses(np.asarray(drawn)[:, 0].reshape(n_samples, -1), "samples", layout)
            repeated = None if truth is None else np.repeat(truth, n_samples, axis=0)
            samples = move_onto(repeated, poses, align, root, layout)
        predicted = check_poses(estimator.predict(chosen), "y_pred", layout)
        shown = move_onto(truth, predicted, align, root, layout)[0]
        true = None if truth is None else truth[0]
        return cls(shown, true, samples=samples, layout=layout).plot(ax=ax)


def _require_known(poses: np.ndarray, name: str) -> None:
    """Validate that each pose has a joint that can be drawn."""
    if not np.isfinite(poses).all(axis=2).any(axis=1).all():
        raise InputError(f"{name}: expected at least one known joint a hand, got only NaN.")
