"""Draw a walk through the latent space, decoded into every modality."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_number, check_option, describe, read_numbers
from skhand.exceptions import InputError
from skhand.plotting._checks import check_method, check_poses, check_rows, check_view
from skhand.plotting._draw import draw_skeleton, frame_skeletons, import_pyplot
from skhand.skeleton import Layout, resolve_layout

__all__ = ["LatentWalkDisplay"]

_MOST_STEPS = 100  # of 1.5 inches each


class LatentWalkDisplay:
    """The steps between two hands in the latent space: a row a modality, a column a step.

    Parameters
    ----------
    walk : dict of str to ndarray of shape (n_steps, ...)
        What each modality's decoder makes of each step: ``rgb`` (n_steps, height, width, 3) uint8,
        ``depth`` (n_steps, height, width) mm, 0 where nothing is, ``keypoints2d`` (n_steps, n_joints, 2) px,
        ``pose3d`` (n_steps, n_joints, 3) mm.
    layout : str or Layout, default="canonical"
        Which joints they are: a layout, or its name in `skhand.skeleton.LAYOUTS`.

    Attributes
    ----------
    axes_ : ndarray of shape (n_modalities, n_steps)
        Where the steps were drawn.
    figure_ : matplotlib figure
        The axes' figure.

    Raises
    ------
    InputError
        If a modality is of none of these shapes, or modalities differ in the number of steps.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.plotting import LatentWalkDisplay
    >>> poses = np.linspace(0, 1, 5)[:, None, None] * np.random.default_rng(0).normal(size=(21, 3)) * 50
    >>> LatentWalkDisplay({"pose3d": poses}).plot().axes_.shape
    (1, 5)
    """

    def __init__(self, walk: dict[str, Any], *, layout: str | Layout = "canonical"):
        self.layout = resolve_layout(layout)
        if not isinstance(walk, dict):
            raise InputError(f"walk: expected a dict of modalities, got {describe(walk)}.")
        self.walk = {name: read_numbers(steps, f"walk[{name!r}]") for name, steps in walk.items()}
        for name, steps in self.walk.items():
            if _find_kind(steps, len(self.layout)) is None:
                raise InputError(
                    f"walk[{name!r}]: expected pictures, {len(self.layout)} joints in 2D or "
                    f"{len(self.layout)} joints in 3D, got {describe(steps)}."
                )
        lengths = {name: len(steps) for name, steps in self.walk.items()}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise InputError(f"walk: expected the same number of steps in each modality, got {lengths}.")

    def plot(self, *, elev: float = 12.0, azim: float = -70.0) -> LatentWalkDisplay:
        """Draw the walk on a new figure.

        Parameters
        ----------
        elev, azim : float
            Where 3D hands are seen from, degrees; (0, -90) is the camera's own view.

        Returns
        -------
        display : LatentWalkDisplay
        """
        check_view(elev, azim)
        plt = import_pyplot("LatentWalkDisplay")
        n_rows, n_steps = len(self.walk), len(next(iter(self.walk.values())))
        self.figure_ = plt.figure(figsize=(1.5 * n_steps + 0.4, 1.6 * n_rows), layout="constrained")
        self.axes_ = np.empty((n_rows, n_steps), dtype=object)
        for i, (name, steps) in enumerate(self.walk.items()):
            kind, grays = _find_kind(steps, len(self.layout)), {}
            if kind == "picture" and steps.ndim == 3:  # depth: where nothing was measured, nothing is drawn
                steps, grays = np.where(steps > 0, steps, np.nan), _make_grays(steps)
            for j, step in enumerate(steps):
                projection = "3d" if kind == "pose3d" else None
                ax = self.figure_.add_subplot(n_rows, n_steps, i * n_steps + j + 1, projection=projection)
                self.axes_[i, j] = ax
                if kind == "picture":
                    ax.imshow(step, **grays)
                    ax.set(xticks=[], yticks=[])
                elif kind == "keypoints2d":
                    draw_skeleton(ax, step, layout=self.layout, size=0.8)
                    _frame_keypoints(ax, steps)
                else:
                    draw_skeleton(ax, step, layout=self.layout, size=0.8)
                    frame_skeletons(ax, list(steps), elev=elev, azim=azim)
                    _hide_ticks(ax)
                if j == 0:
                    _name_row(ax, name)
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X_a: Any,
        X_b: Any,
        *,
        n_steps: int = 7,
        source: str | None = None,
        targets: tuple[str, ...] | None = None,
        layout: str | Layout = "canonical",
    ) -> LatentWalkDisplay:
        """Walk from one hand to another and draw what the decoders make of the steps.

        Parameters
        ----------
        estimator : CrossModalVAERegressor, AlignedLatentRegressor or SimToRealRegressor
            A fitted estimator with ``interpolate``.
        X_a, X_b : HandFrames or array-like of shape (1, ...)
            The two ends; of several rows the first is drawn.
        n_steps : int, default=7
            Number of steps, both ends included; 100 at most.
        source : str, default=None
            Modality that the two ends are encoded from; the estimator's own choice by default.
        targets : tuple of str, default=None
            Modalities to decode, in the order of the rows; all that the estimator decodes by default.
        layout : str or Layout, default="canonical"
            Which joints they are: a layout, or its name in `skhand.skeleton.LAYOUTS`.

        Returns
        -------
        display : LatentWalkDisplay
        """
        check_method(estimator, "interpolate")
        layout = resolve_layout(layout)
        check_number(n_steps, "n_steps", integer=True, low=2, high=_MOST_STEPS)
        for name, ends in (("X_a", X_a), ("X_b", X_b)):
            if not isinstance(ends, str):  # a picture's path
                check_rows(ends, name)
        known = tuple(estimator._targets())
        if targets is not None and not (isinstance(targets, tuple | list) and targets):
            raise InputError(f"targets: expected some of {known} in a tuple, got {describe(targets)}.")
        names = [check_option(target, "targets", known) for target in (targets or known)]
        walk = estimator.interpolate(X_a, X_b, n_steps=n_steps, source=source, target=names)
        steps = {name: np.asarray(part)[:, 0] for name, part in walk.items()}
        if "pose3d" in steps:
            steps["pose3d"] = check_poses(steps["pose3d"], "pose3d", layout)
        return cls(steps, layout=layout).plot()


def _find_kind(steps: np.ndarray, n_joints: int) -> str | None:
    """Tell pictures, 2D joints and 3D joints apart by their shape."""
    if steps.ndim == 0:
        return None
    if steps.shape[1:] == (n_joints, 3):
        return "pose3d"
    if steps.shape[1:] == (n_joints, 2):
        return "keypoints2d"
    if steps.ndim == 3 or (steps.ndim == 4 and steps.shape[3] == 3):
        return "picture"
    return None


def _make_grays(steps: np.ndarray) -> dict[str, Any]:
    """Make near dark and far light, alike in all depth pictures of a row."""
    seen = steps[steps > 0]
    limits = {"vmin": seen.min(), "vmax": seen.max()} if seen.size else {}
    return {"cmap": "gray", **limits}


def _frame_keypoints(ax: Any, steps: np.ndarray) -> None:
    """Give all steps one square frame, v downwards."""
    low, high = np.nanmin(steps, axis=(0, 1)), np.nanmax(steps, axis=(0, 1))
    (u, v), half = (low + high) / 2, 0.55 * max((high - low).max(), 1e-6)
    ax.set(xlim=(u - half, u + half), ylim=(v + half, v - half), aspect="equal", xticks=[], yticks=[])


def _hide_ticks(ax: Any) -> None:
    """Take the ticks and labels of a small 3D axis away."""
    ax.set(xticks=[], yticks=[], zticks=[], xlabel="", ylabel="", zlabel="")


def _name_row(ax: Any, name: str) -> None:
    """Write a modality's name left of its row."""
    if hasattr(ax, "zaxis"):
        ax.text2D(-0.08, 0.5, name, transform=ax.transAxes, rotation=90, va="center", ha="right")
    else:
        ax.set_ylabel(name)
