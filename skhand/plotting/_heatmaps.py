"""Draw heatmaps of joints over the picture they were made from."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._drawing import joint_colours
from skhand._validation import check_number, check_option, describe, read_numbers
from skhand.exceptions import InputError
from skhand.plotting._checks import (
    check_axes,
    check_method,
    check_numbers,
    check_pictures,
    check_row,
    check_rows,
    find_pictures,
    take_rows,
)
from skhand.plotting._draw import import_pyplot
from skhand.skeleton import Layout, joint_index, resolve_layout

__all__ = ["HeatmapDisplay"]


class HeatmapDisplay:
    """Where a network sees the joints of one hand: their heatmaps in the fingers' colours over the picture.

    Each map is drawn relative to its own highest value.

    Parameters
    ----------
    heatmaps : array-like of shape (n_joints, map_height, map_width)
        How likely each joint is where, not negative; the maps cover the picture, whatever their size.
    picture : array-like of shape (height, width, 3) or (height, width)
        The picture, uint8 or floats from 0 to 1, or depth.
    layout : str or Layout, default="canonical"
        Which joints they are: a layout, or its name in `skhand.skeleton.LAYOUTS`.

    Attributes
    ----------
    overlay_ : ndarray of shape (map_height, map_width, 4)
        What was drawn over the picture: colour and opacity, 0 to 1.
    ax_ : matplotlib axes
        Where it was drawn.
    figure_ : matplotlib figure
        The axes' figure.

    Raises
    ------
    InputError
        If there is not one map a joint, a value is negative or not finite, or there is no picture.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.estimators import LatentHeatmapRegressor
    >>> from skhand.plotting import HeatmapDisplay
    >>> hands = make_hands(1, images=("rgb",), random_state=0)
    >>> est = LatentHeatmapRegressor.from_pretrained()
    >>> display = HeatmapDisplay.from_estimator(est, hands.data, joints=["index_tip"])
    >>> type(display).__name__
    'HeatmapDisplay'
    """

    def __init__(self, heatmaps: Any, picture: Any, *, layout: str | Layout = "canonical"):
        self.layout = resolve_layout(layout)
        self.heatmaps = check_numbers(heatmaps, "heatmaps", (len(self.layout), "height", "width"))
        if self.heatmaps.size == 0 or not ((self.heatmaps >= 0) & np.isfinite(self.heatmaps)).all():
            raise InputError("heatmaps: expected finite numbers >= 0, got negative, infinite or no ones.")
        self.picture = check_pictures(read_numbers(picture, "picture")[None], "picture", 1)[0]

    def plot(self, ax: Any = None, *, joints: Any = None, opacity: float = 0.9) -> HeatmapDisplay:
        """Draw the picture and the maps over it.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.
        joints : sequence of str or None, default=None
            Joints whose maps are drawn; all by default.
        opacity : float, default=0.9
            How far a map covers the picture where it is highest, 0 to 1.

        Returns
        -------
        display : HeatmapDisplay
        """
        check_axes(ax)
        rows = _find_joints(joints, self.layout)
        check_number(opacity, "opacity", low=0, high=1)
        plt = import_pyplot("HeatmapDisplay")
        from matplotlib.colors import to_rgb

        if ax is None:
            _, ax = plt.subplots(figsize=(4.0, 4.0), layout="constrained")
        colours = np.array([to_rgb(colour) for colour in joint_colours(self.layout)])[rows]
        self.overlay_ = _mix(self.heatmaps[rows], colours, opacity)
        height, width = self.picture.shape[:2]
        ax.imshow(self.picture, cmap="gray" if self.picture.ndim == 2 else None)
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        ax.imshow(self.overlay_, extent=extent, interpolation="bilinear")
        ax.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_predictions(
        cls,
        heatmaps: Any,
        X: Any,
        *,
        row: int = 0,
        joints: Any = None,
        opacity: float = 0.9,
        layout: str | Layout = "canonical",
        ax: Any = None,
    ) -> HeatmapDisplay:
        """Draw one row of heatmaps.

        Parameters
        ----------
        heatmaps : array-like of shape (n_samples, n_joints, map_height, map_width)
            As ``predict_heatmaps(X).joints`` returns them.
        X : HandFrames or array-like of shape (n_samples, height, width, 3)
            The pictures.
        row : int, default=0
            Which hand; negative ones count from the end.
        joints : sequence of str or None, default=None
            Joints whose maps are drawn; all by default.
        opacity : float, default=0.9
            How far a map covers the picture where it is highest, 0 to 1.
        layout : str or Layout, default="canonical"
            Which joints they are: a layout, or its name in `skhand.skeleton.LAYOUTS`.
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : HeatmapDisplay
        """
        check_axes(ax)
        layout, X = resolve_layout(layout), check_rows(X)
        maps = check_numbers(heatmaps, "heatmaps", ("n_samples", len(layout), "height", "width"))
        if len(maps) != len(X):
            raise InputError(f"heatmaps: expected those of the {len(X)} rows of X, got {len(maps)}.")
        row = check_row(row, len(X))
        pictures = find_pictures(X, np.array([row]))
        if pictures is None:
            raise InputError(f"X: expected pictures, got {describe(X)}.")
        return cls(maps[row], pictures[0], layout=layout).plot(ax, joints=joints, opacity=opacity)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        row: int = 0,
        joints: Any = None,
        opacity: float = 0.9,
        ax: Any = None,
    ) -> HeatmapDisplay:
        """Predict the heatmaps of one row and draw them.

        Parameters
        ----------
        estimator : LatentHeatmapRegressor
            A fitted estimator with ``predict_heatmaps``.
        X : HandFrames or array-like of shape (n_samples, height, width, 3)
            Input rows, with pictures.
        row : int, default=0
            Which hand; negative ones count from the end.
        joints : sequence of str or None, default=None
            Joints whose maps are drawn; all by default.
        opacity : float, default=0.9
            How far a map covers the picture where it is highest, 0 to 1.
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : HeatmapDisplay
        """
        check_method(estimator, "predict_heatmaps")
        check_axes(ax)
        X = check_rows(X)
        chosen = take_rows(X, np.array([check_row(row, len(X))]))
        _find_joints(joints, resolve_layout("canonical"))
        check_number(opacity, "opacity", low=0, high=1)
        maps = estimator.predict_heatmaps(chosen).joints
        return cls.from_predictions(maps, chosen, joints=joints, opacity=opacity, ax=ax)


def _find_joints(joints: Any, layout: Layout) -> np.ndarray:
    """Return the places of the named joints, or of all."""
    if joints is None:
        return np.arange(len(layout))
    if not isinstance(joints, tuple | list) or len(joints) == 0:
        raise InputError(f"joints: expected names of joints, got {joints!r}.")
    return np.array([joint_index(check_option(name, "joints", layout.joints), layout) for name in joints])


def _mix(maps: np.ndarray, colours: np.ndarray, opacity: float) -> np.ndarray:
    """Mix the maps' colours by their height; what the highest map leaves open is seen through."""
    highest = maps.max(axis=(1, 2), keepdims=True)
    heights = maps / np.where(highest > 0, highest, 1.0)
    total = heights.sum(axis=0)
    mixed = np.einsum("jhw,jc->hwc", heights, colours) / np.where(total > 0, total, 1.0)[..., None]
    return np.concatenate([mixed, opacity * heights.max(axis=0)[..., None]], axis=2)
