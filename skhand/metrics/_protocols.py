"""Describe an evaluation protocol: joints, alignment, averaging, and what the paper gives its model."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill

from skhand._validation import LARGEST_FLOAT, check_number, check_option, describe
from skhand.exceptions import InputError
from skhand.metrics._errors import ALIGNMENTS, ROOT_JOINTS
from skhand.metrics._statistics import AVERAGES, GRIDS
from skhand.skeleton import Layout, check_names

__all__ = ["Protocol"]

GIVEN = {"root": "T", "scale": "S", "side": "H"}
SCALES = {
    "predicted": "as predicted",
    "true_bone": "prediction rescaled by the true length of middle MCP-PIP",
    "mean_bones": "prediction rescaled to mean bone lengths (Iqbal et al. 2018, Eq. 7)",
}
MEANS = {
    "joints": "each joint over its frames, then over joints",
    "frames": "the joints of each frame, then over frames",
    "pooled": "all counted joints at once",
}
MEDIANS = {
    "joints": "the median of each joint, then their mean",
    "frames": "the median of each frame, then their mean",
    "pooled": "of all counted joints at once",
}


@dataclass(frozen=True, repr=False)
class Protocol:
    """Say how a paper scores: everything that changes the number, in fields.

    A protocol of one's own, or a published one with one thing changed, is made by
    ``dataclasses.replace(PROTOCOLS["nyu14"], name="mine", pcf=(20.0, 40.0))``. ``print`` shows all fields.

    Parameters
    ----------
    name : str
        Key in `PROTOCOLS`.
    dataset : str
        The rows that the paper scores.
    source : str
        Paper, and section or table.
    joints : tuple of str
        Joints that are compared, by name. ``"palm"`` is what the data set marks as palm, else half way
        between the wrist and the middle MCP.
    layouts : tuple of Layout
        What y may come in; without ``layout=`` the first with y's number of joints is taken.
    n_dims : int, default=3
        Coordinates a joint.
    unit : str, default="mm"
        Unit of y, of errors and of thresholds.
    root : str, optional
        The root, one of ``joints``; without one, poses are compared where they are.
    root_joint : {"keep", "zero", "drop"}, default="keep"
        How the root itself counts, as in `joint_errors`. Kept and aligned, it is an error of 0 in the mean.
    align : tuple of None, "root", "root+scale" or "procrustes", default=(None,)
        Alignments, as in `joint_errors`; each is scored, the first is the paper's main one.
    scale : {"predicted", "true_bone", "mean_bones"}, default="predicted"
        Where a pose's size comes from. ``"predicted"``: the prediction is scored as it is; hand3d's
        multiplication of a normalised pose by the true bone is that of an estimator with
        ``given=("scale",)``. ``"true_bone"``: the prediction is rescaled about its root by the ratio of true
        to predicted middle MCP-PIP, which is S given. ``"mean_bones"``: it is rescaled, camera at the origin,
        so that its bones fit mean lengths best; `evaluate` takes them as ``mean_bones``.
    tip_length : float, default=1.0
        Length that the last bone of predicted fingers is given, as a share of its own.
    visible : {"all", "visible"}, default="all"
        Whether all labelled joints count, or those of the ``visible`` mask.
    average : {"joints", "frames", "pooled"}, default="joints"
        Order of averaging of the mean, of PCK and AUC, as in `mean_epe`.
    median : {"joints", "frames", "pooled"}, default="joints"
        Order of averaging of the median, as in `median_epe`.
    auc : tuple of str, default=()
        Grids of areas under the PCK curve, by their name in `GRIDS`.
    pck, pcf : tuple of float, default=(), ()
        Thresholds at which the fractions of correct joints and of correct frames are shown.
    given : tuple of {"root", "scale", "side"} or None, default=()
        What the paper gives its model at test time: T, S, H. None where it is left open.
    n_frames : tuple of int, default=()
        Rows that the paper scores; several where copies or data sets differ.
    note : str, default=""
        Choices of the data that no metric can see, and what the paper leaves open.

    Raises
    ------
    InputError
        If a field is none of its options.

    Examples
    --------
    >>> from skhand.metrics import PROTOCOLS
    >>> PROTOCOLS["zb2017_stb"].given
    ('root', 'scale', 'side')
    """

    name: str
    dataset: str
    source: str
    joints: tuple[str, ...]
    layouts: tuple[Layout, ...]
    n_dims: int = 3
    unit: str = "mm"
    root: str | None = None
    root_joint: str = "keep"
    align: tuple[str | None, ...] = (None,)
    scale: str = "predicted"
    tip_length: float = 1.0
    visible: str = "all"
    average: str = "joints"
    median: str = "joints"
    auc: tuple[str, ...] = ()
    pck: tuple[float, ...] = ()
    pcf: tuple[float, ...] = ()
    given: tuple[str, ...] | None = ()
    n_frames: tuple[int, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        check_names(self.joints, "joints")
        for name in ("align", "auc", "pck", "pcf", "given"):
            value = getattr(self, name)
            if not isinstance(value, tuple) and not (name == "given" and value is None):
                raise InputError(f"{name}: expected a tuple, got {value!r}.")
        if not self.align:
            raise InputError("align: expected at least one alignment, got ().")
        for align in self.align:
            check_option(align, "align", ALIGNMENTS)
        check_option(self.root_joint, "root_joint", ROOT_JOINTS)
        rooted = self.root_joint != "keep" or {"root", "root+scale"} & set(self.align)
        check_option(self.root, "root", self.joints if rooted else (None, *self.joints))
        check_option(self.scale, "scale", SCALES)
        check_option(self.visible, "visible", ("all", "visible"))
        check_option(self.average, "average", AVERAGES)
        check_option(self.median, "median", AVERAGES)
        check_number(self.tip_length, "tip_length", low=0, high=LARGEST_FLOAT, include_low=False)
        for name in ("pck", "pcf"):
            for limit in getattr(self, name):
                check_number(limit, name, low=0, high=LARGEST_FLOAT)
        for grid in self.auc:
            check_option(grid, "auc", GRIDS)
        for name in self.given or ():
            check_option(name, "given", GIVEN)
        self._check_description()

    def _check_description(self) -> None:
        """Check the fields that describe the data."""
        for name in ("name", "dataset", "source", "unit", "note"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"{name}: expected a text, got {describe(getattr(self, name))}.")
        if not isinstance(self.layouts, tuple) or not self.layouts:
            raise InputError(f"layouts: expected a tuple of Layout, got {describe(self.layouts)}.")
        for layout in self.layouts:
            if not isinstance(layout, Layout):
                raise InputError(f"layouts: expected a tuple of Layout, got {describe(layout)} in it.")
        check_number(self.n_dims, "n_dims", integer=True, low=2, high=3)
        if not isinstance(self.n_frames, tuple):
            raise InputError(f"n_frames: expected a tuple, got {describe(self.n_frames)}.")
        for number in self.n_frames:
            check_number(number, "n_frames", integer=True, low=1)

    def __repr__(self) -> str:
        return f"<Protocol {self.name}: {self.dataset}>"

    def __str__(self) -> str:
        layouts = " or ".join(f"{layout.name} ({len(layout)})" for layout in self.layouts)
        lines = {
            "rows": self.dataset,
            "source": self.source,
            "compared": f"{len(self.joints)} joints in {self.n_dims}D, {self.unit}; y comes as {layouts}",
            "root": "none" if self.root is None else f"{self.root} ({self.root_joint} its own error)",
            "alignment": ", ".join(map(name_alignment, self.align)),
            "scale": SCALES[self.scale],
            "tips": "" if self.tip_length == 1 else f"last bone of predictions at {self.tip_length:g}",
            "counted": "visible joints" if self.visible == "visible" else "all labelled joints",
            "mean": MEANS[self.average],
            "median": MEDIANS[self.median],
            "AUC": ", ".join(name_grid(grid, self.unit) for grid in self.auc),
            "PCK at": ", ".join(f"{t:g} {self.unit}" for t in self.pck),
            "PCF at": ", ".join(f"{t:g} {self.unit}" for t in self.pcf),
            "given": "open" if self.given is None else name_given(self.given),
            "note": self.note,
        }
        shown = [
            fill(text, 110, initial_indent=f"  {key:10} ", subsequent_indent=" " * 13)
            for key, text in lines.items()
            if text
        ]
        return "\n".join([self.name, *shown])


def name_given(given: tuple[str, ...]) -> str:
    """Write what is given as papers do: T+S+H."""
    letters = "+".join(letter for name, letter in GIVEN.items() if name in given)
    words = ", ".join(name for name in GIVEN if name in given)
    return f"{letters} ({words})" if letters else "nothing"


def name_alignment(align: str | None) -> str:
    """Name an alignment where None cannot stand."""
    return "none" if align is None else align


def name_grid(grid: str, unit: str) -> str:
    """Describe a named grid by its range and number of points."""
    points = GRIDS[grid]
    return f"{points[0]:.4g}-{points[-1]:.4g} {unit} ({grid}, {len(points)} points)"
