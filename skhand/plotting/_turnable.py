"""Draw hands that the reader can turn, with plotly."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._drawing import joint_colours
from skhand.skeleton import Layout, layout_bones

# the camera's own view, from a little above and from the side, far enough for the axes' titles
_VIEW = {"eye": {"x": 1.1, "y": -0.6, "z": -2.4}, "up": {"x": 0, "y": -1, "z": 0}}


def import_plotly(who: str) -> Any:
    """Import ``plotly.graph_objects``, or say how to install it."""
    try:
        import plotly.graph_objects as go
    except ImportError as error:
        raise ImportError(f"{who} needs plotly; install it with: pip install 'skhand[plotly]'") from error
    return go


def make_turnable(go: Any, traces: list[Any]) -> Any:
    """Return a figure of traces in the camera frame, with one scale along x, y and z."""
    axes = {f"{name}axis": {"title": {"text": f"{name} [mm]"}} for name in "xyz"}
    figure = go.Figure(traces)
    figure.update_layout(
        scene={**axes, "aspectmode": "data", "camera": _VIEW},
        legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": 0.0, "yanchor": "top"},
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
    )
    return figure


def trace_skeleton(
    go: Any,
    joints: np.ndarray,
    *,
    layout: Layout,
    name: str,
    colour: str | None = None,
    alpha: float = 1.0,
) -> Any:
    """Return one hand as a trace that names its joints; each finger in its own colour, or all in ``colour``.

    Bones with an unknown end (NaN) are left out.
    """
    gap, colours = [np.full(3, np.nan)], joint_colours(layout)
    ends = [(i, j) for i, j in layout_bones(layout) if np.isfinite(joints[[i, j]]).all()]
    lone = sorted(set(np.flatnonzero(np.isfinite(joints).all(axis=1)).tolist()).difference(*ends))
    chains = [*ends, *((joint,) for joint in lone)]
    points = np.array([point for chain in chains for point in [*joints[list(chain)], *gap]]).reshape(-1, 3)
    labels = [label for chain in chains for label in [*(layout.joints[i] for i in chain), ""]]
    shades = colour or [colours[chain[-1]] for chain in chains for _ in (*chain, None)]
    return go.Scatter3d(
        x=points[:, 0],
        y=points[:, 1],
        z=points[:, 2],
        mode="lines+markers",
        connectgaps=False,
        line={"color": shades, "width": 6},
        marker={"color": shades, "size": 3},
        text=labels,
        hovertemplate="%{text}<br>%{x:.1f}, %{y:.1f}, %{z:.1f} mm",
        opacity=alpha,
        name=name,
        showlegend=alpha == 1.0,
    )
