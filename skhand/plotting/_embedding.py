"""Draw latent vectors in the plane, one colour a modality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from skhand._validation import check_bool, check_option, check_seed, describe
from skhand.exceptions import InputError
from skhand.plotting._checks import (
    check_axes,
    check_method,
    check_numbers,
    check_rows,
)
from skhand.plotting._draw import import_pyplot, put_legend_below

__all__ = ["LatentEmbeddingDisplay"]

_METHODS = ("pca", "tsne")
_LEAST = {"pca": 2, "tsne": 4}  # points


class LatentEmbeddingDisplay:
    """Latent vectors of the same hands, encoded from several modalities, as points in the plane.

    Where modalities share a latent space, their points lie among each other.

    Parameters
    ----------
    points : dict of str to array-like of shape (n_hands, 2)
        The points of each modality.
    method : {"pca", "tsne"} or None, default=None
        How they came into the plane, for the axes' labels.

    Attributes
    ----------
    ax_ : matplotlib axes
        Where they were drawn.
    figure_ : matplotlib figure
        The axes' figure.

    Raises
    ------
    InputError
        If a modality has no points, or they are not finite and in the plane.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.plotting import LatentEmbeddingDisplay
    >>> rng = np.random.default_rng(0)
    >>> latents = {"rgb": rng.normal(size=(20, 8)), "pose3d": rng.normal(size=(20, 8))}
    >>> display = LatentEmbeddingDisplay.from_predictions(latents)
    >>> display.ax_.get_xlabel()
    'principal component 1'
    """

    def __init__(self, points: Mapping[str, Any], *, method: str | None = None):
        self.points = _check_vectors(points, "points")
        if any(each.shape[1] != 2 for each in self.points.values()):
            raise InputError("points: expected two coordinates a point, shape (n_hands, 2).")
        self.method = check_option(method, "method", (None, *_METHODS))

    def plot(self, ax: Any = None, *, connect: bool = False) -> LatentEmbeddingDisplay:
        """Draw the points; the legend is under the axis.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.
        connect : bool, default=False
            Whether a thin line joins the points of the same hand, row by row.

        Returns
        -------
        display : LatentEmbeddingDisplay
        """
        check_axes(ax)
        parts = list(self.points.values())
        if check_bool(connect, "connect") and len({len(each) for each in parts}) > 1:
            raise InputError(
                f"connect: expected as many rows of each modality, got {[len(p) for p in parts]}."
            )
        plt = import_pyplot("LatentEmbeddingDisplay")
        if ax is None:
            _, ax = plt.subplots(figsize=(4.8, 5.0), layout="constrained")
        if connect:
            for hand in np.stack(parts, axis=1):
                ax.plot(*hand.T, color="black", alpha=0.25, linewidth=0.6, zorder=0)
        markers = ("o", "^", "s", "D", "v", "P", "X")
        for i, (name, each) in enumerate(self.points.items()):
            ax.scatter(*each.T, s=14, alpha=0.7, linewidths=0, marker=markers[i % len(markers)], label=name)
        label = {"pca": "principal component", "tsne": "t-SNE", None: "dimension"}[self.method]
        ax.set(xlabel=f"{label} 1", ylabel=f"{label} 2", aspect="equal")
        ax.set_adjustable("datalim")
        put_legend_below(ax, n_columns=len(self.points))
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_predictions(
        cls,
        latents: Mapping[str, Any],
        *,
        method: str = "pca",
        random_state: Any = None,
        connect: bool = False,
        ax: Any = None,
    ) -> LatentEmbeddingDisplay:
        """Bring latent vectors into the plane, all together, and draw them.

        Parameters
        ----------
        latents : dict of str to array-like of shape (n_hands, latent_dim)
            Latent vectors of each modality.
        method : {"pca", "tsne"}, default="pca"
            How: by the two directions of the largest variance, or by scikit-learn's t-SNE.
        random_state : int, RandomState instance or None, default=None
            Seed of t-SNE.
        connect : bool, default=False
            Whether a thin line joins the points of the same hand, row by row.
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : LatentEmbeddingDisplay
        """
        check_axes(ax)
        check_bool(connect, "connect")
        check_option(method, "method", _METHODS)
        seed = check_seed(random_state)
        vectors = _check_vectors(latents, "latents")
        stacked = np.concatenate(list(vectors.values()))
        least = _LEAST[method]
        if stacked.shape[1] < 2 or len(stacked) < least:
            raise InputError(
                f"latents: expected at least {least} vectors of 2 dimensions for {method!r}, in all, got "
                f"{len(stacked)} of {stacked.shape[1]}."
            )
        if method == "pca":
            flat = PCA(2, svd_solver="full").fit_transform(stacked)
        else:
            perplexity = min(30.0, (len(stacked) - 1) / 3)
            flat = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(stacked)
        ends = np.cumsum([len(each) for each in vectors.values()])[:-1]
        points = dict(zip(vectors, np.split(flat, ends), strict=True))
        return cls(points, method=method).plot(ax=ax, connect=connect)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        sources: Any = None,
        method: str = "pca",
        random_state: Any = None,
        connect: bool = False,
        ax: Any = None,
    ) -> LatentEmbeddingDisplay:
        """Encode rows from several modalities and draw their latent vectors.

        Parameters
        ----------
        estimator : CrossModalVAERegressor, AlignedLatentRegressor or SimToRealRegressor
            A fitted estimator with ``transform(X, source=...)``.
        X : HandFrames
            Rows with a column for each modality; poses are the column ``pose3d``.
        sources : sequence of str or None, default=None
            Modalities to encode; None is all that the estimator encodes and X has.
        method : {"pca", "tsne"}, default="pca"
            How the latent vectors come into the plane: by the two directions of the largest variance, or by
            scikit-learn's t-SNE.
        random_state : int, RandomState instance or None, default=None
            Seed of t-SNE.
        connect : bool, default=False
            Whether a thin line joins the points of the same hand.
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : LatentEmbeddingDisplay
        """
        check_method(estimator, "transform")
        check_method(estimator, "interpolate")
        check_axes(ax)
        check_bool(connect, "connect")
        check_option(method, "method", _METHODS)
        check_seed(random_state)
        known, X = list(estimator._sources()), check_rows(X)
        if sources is None:
            sources = [name for name in known if name in getattr(X, "columns", known[:1])]
        elif not isinstance(sources, tuple | list):
            raise InputError(f"sources: expected some of {known} in a tuple, got {describe(sources)}.")
        if len(sources) == 0:
            raise InputError(f"sources: expected some of {known} that X has as columns, got none.")
        names = [check_option(name, "sources", known) for name in sources]
        if len(X) * len(names) < _LEAST[method]:
            raise InputError(
                f"X: expected at least {_LEAST[method]} points for {method!r}, got {len(X)} rows."
            )
        latents = {name: np.asarray(estimator.transform(X, source=name)) for name in names}
        options = {"method": method, "random_state": random_state, "connect": connect, "ax": ax}
        return cls.from_predictions(latents, **options)


def _check_vectors(vectors: Any, argument: str) -> dict[str, np.ndarray]:
    """Return finite vectors (n_hands, n_dims) by name, of one number of dimensions."""
    if not isinstance(vectors, Mapping) or not vectors or not all(isinstance(name, str) for name in vectors):
        raise InputError(f"{argument}: expected a dict of arrays by modality, got {describe(vectors)}.")
    checked = {
        name: check_numbers(each, f"{argument}[{name!r}]", ("n_hands", "n_dims"))
        for name, each in vectors.items()
    }
    for name, each in checked.items():
        if each.size == 0 or not np.isfinite(each).all():
            raise InputError(f"{argument}[{name!r}]: expected finite numbers, one row at least.")
    if len({each.shape[1] for each in checked.values()}) > 1:
        shapes = {name: each.shape for name, each in checked.items()}
        raise InputError(f"{argument}: expected vectors of one length, got {shapes}.")
    return checked
