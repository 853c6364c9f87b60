"""One self-contained HTML page about a model on some data."""

from __future__ import annotations

import base64
import io
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

import skhand
from skhand.cli._scores import ALIGNMENTS, score
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.metrics import joint_errors, pck_curve
from skhand.plotting import PckCurveDisplay, PredictionDisplay
from skhand.skeleton import JOINTS

__all__ = ["Report", "write_report"]

_N_WORST = 12
_GIVEN = {"root": "the root's place (T)", "scale": "the length of one bone (S)", "side": "the side (H)"}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, p, li, .words td { overflow-wrap: anywhere; } .numbers { white-space: nowrap; }
h1 { font-size: clamp(1.1rem, 5vw, 1.6rem); } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: .6rem 0; } img { max-width: 100%; height: auto; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; } .base td { color: #777; }
.warn { background: #fff4e0; border-left: 4px solid #e69f00; padding: .4rem 1rem; }
.bar { background: #0072b2; height: .7rem; display: inline-block; } .wide { overflow-x: auto; }
"""


@dataclass(frozen=True, eq=False)
class Report:
    """Predictions, truth and settings that a report is written of.

    Parameters
    ----------
    model_name : str
        As it was named on the command line.
    estimator : estimator
    data_name : str
        What the data are, in words.
    crops : HandFrames
        What the model saw, pictures in memory.
    ids : ndarray of shape (n,), str
        What each hand is called in the data.
    target, predicted, mean : ndarray of shape (n, 21, 3), mm
        Truth, prediction and mean pose.
    given : tuple of str
        What was given beside the pictures.
    told : tuple of str
        Warnings.
    """

    model_name: str
    estimator: Any
    data_name: str
    crops: HandFrames
    ids: np.ndarray
    target: np.ndarray
    predicted: np.ndarray
    mean: np.ndarray
    given: tuple[str, ...]
    told: tuple[str, ...]


def write_report(report: Report, path: Path) -> None:
    """Write the page.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    title = f"{type(report.estimator).__name__} on {report.data_name}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _describe(report),
        _list_warnings(report.told),
        "<h2>Scores</h2>",
        _tabulate_scores(report),
        "<h2>Share of joints within a distance (PCK)</h2>",
        _draw_curves(report),
        "<h2>Errors by joint</h2><p>Mean, relative to the palm, mm.</p>",
        _tabulate_joints(report),
        f"<h2>The {min(_N_WORST, len(report.target))} worst</h2>",
        "<p>By their mean error relative to the palm. On the picture the prediction in colour over the truth "
        "in white; beside it both in 3D, the truth in grey.</p>",
        _draw_worst(report),
    ]
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out: expected a file that can be written, got {path} ({error}).") from error


def _describe(report: Report) -> str:
    """Return a table of what model and data are, and what was given."""
    est, crops = report.estimator, report.crops
    sides = (
        "not known"
        if crops.side is None
        else ", ".join(f"{int((crops.side == side).sum())} {side}" for side in ("left", "right"))
    )
    n_weights = getattr(est, "n_parameters_", None)
    known = np.isfinite(report.target).all(axis=2)
    rows = {
        "model": f"{report.model_name}: {type(est).__name__}"
        + ("" if n_weights is None else f", {n_weights:,} weights"),
        "picture that it sees": f"{crops.rgb.shape[2]} x {crops.rgb.shape[1]} px, cropped to the hand's box "
        "or keypoints, which come from the data",
        "data": report.data_name,
        "hands": f"{len(crops)} ({sides}), {int(known.sum())} joints",
        "given beside the picture": ", ".join(["the camera", *(_GIVEN[name] for name in report.given)]),
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC by skhand {skhand.__version__}, "
        f"Python {platform.python_version()}",
    }
    cells = "".join(
        f'<tr><td>{escape(name)}</td><td style="text-align:left">{escape(text)}</td></tr>'
        for name, text in rows.items()
    )
    return f'<table class="words">{cells}</table>'


def _list_warnings(told: tuple[str, ...]) -> str:
    if not told:
        return ""
    return '<div class="warn"><ul>' + "".join(f"<li>{escape(line)}</li>" for line in told) + "</ul></div>"


def _tabulate_scores(report: Report) -> str:
    """Return the table of scores by alignment, beside the mean pose of these very labels."""
    rows, header = [], ""
    for name, align in ALIGNMENTS.items():
        for model, predicted in (("model", report.predicted), ("mean pose", report.mean)):
            scores = score(report.target, predicted, align)
            header = "".join(f"<th>{escape(key)}</th>" for key in scores)
            cells = "".join(
                f"<td>{value:.1f} mm</td>" if key.startswith("EPE") else f"<td>{value:.3f}</td>"
                for key, value in scores.items()
            )
            css = ' class="base"' if model == "mean pose" else ""
            rows.append(f"<tr{css}><td>{name}, {model}</td>{cells}</tr>")
    return (
        f'<div class="wide"><table class="numbers"><tr><th></th>{header}</tr>{"".join(rows)}</table></div>'
        "<p>absolute: where the joints are. root: after moving the palm onto the true one. procrustes: after "
        "the best turn, size and place. AUC: area under the curve below from 0 to 50 mm. PCK: share of "
        "joints within so many mm. The mean pose is that of these very labels, mirrored for left hands: what "
        "one would answer without looking at the pictures.</p>"
    )


def _draw_curves(report: Report) -> str:
    ax: Any = None
    for name, align in ALIGNMENTS.items():
        for model, predicted in (("model", report.predicted), ("mean pose", report.mean)):
            if align is None and model == "mean pose":
                continue
            grid, shares = pck_curve(report.target, predicted, thresholds="freihand", align=align)
            style = "--" if model == "mean pose" else "-"
            display = PckCurveDisplay(grid, shares, name=f"{name}, {model}").plot(ax=ax, linestyle=style)
            ax = display.ax_
    return _embed(ax.figure, "share of joints within a distance")


def _tabulate_joints(report: Report) -> str:
    """Return a table of the joints' mean errors with bars."""
    errors = joint_errors(report.target, report.predicted, align="root")
    counts = np.isfinite(errors).sum(axis=0)
    means = np.nansum(errors, axis=0) / np.maximum(counts, 1)
    longest = max(float(means.max()), 1e-9)
    rows = [
        f'<tr><td>{joint}</td><td>{means[i]:.1f}</td><td style="text-align:left">'
        f'<span class="bar" style="width:calc({means[i] / longest:.3f} * min(16rem, 40vw))"></span></td></tr>'
        for i, joint in enumerate(JOINTS)
        if counts[i]
    ]
    return f"<table>{''.join(rows)}</table>"


def _draw_worst(report: Report) -> str:
    import matplotlib.pyplot as plt

    n_hands = min(_N_WORST, len(report.target))
    display = PredictionDisplay.from_predictions(
        report.target, report.predicted, X=report.crops, align="root", which="worst", n_hands=n_hands
    )
    plt.close(display.figure_)
    display.plot(n_columns=2)  # large enough on a page
    names = ", ".join(str(report.ids[row]) for row in display.rows)
    return _embed(display.figure_, "the worst predictions") + f"<p>In this order: {escape(names)}.</p>"


def _embed(figure: Any, text: str) -> str:
    """Return a figure as a picture inside the page, and close it."""
    import matplotlib.pyplot as plt

    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100, bbox_inches="tight")
    plt.close(figure)
    code = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{code}">'
