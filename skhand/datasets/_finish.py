"""The end of every loader, after its files are read: side information, crop, bad rows, joints, cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skhand._columns import PICTURES
from skhand._validation import check_bool, check_option
from skhand.datasets._cache import load_cached
from skhand.datasets._state import hash_state
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.geometry import apply_affine, project, rotate_points
from skhand.skeleton import JOINTS, LAYOUTS, Layout, convert

BAD_ROWS = ("flag", "keep", "drop")


@dataclass
class Annotations:
    """The rows that a loader has read, in the data set's own joints.

    Parameters
    ----------
    joints : ndarray of shape (n, n_joints, 3), mm, camera frame (x right, y down, z forward)
        NaN where there is no label.
    visible : ndarray of shape (n, n_joints), bool
    bad : ndarray of shape (n, n_joints), bool
        Joints whose label is known to be wrong or missing.
    columns : dict of str to array-like
        `HandFrames` columns: the pictures, ``camera``, ``side`` and so on. ``keypoints2d`` (in the data set's
        own joints, px of the original picture, also where ``affine`` is among the columns) only where it is
        not the projection of ``joints``.
    groups : ndarray of shape (n,)
        What must not be split over folds: a person, a sequence or a photograph.
    ids : ndarray of str, shape (n,)
        Each row's name in the data set.
    palm_to_wrist : {"ring", "middle"}, default="ring"
        How `convert` makes a wrist of a palm.
    root : str, default="palm"
        The joint that the column ``root`` holds.
    more : dict of str to ndarray
        What the Bunch has beside the usual.
    """

    joints: np.ndarray
    visible: np.ndarray
    bad: np.ndarray
    columns: dict[str, Any]
    groups: np.ndarray
    ids: np.ndarray
    palm_to_wrist: str = "ring"
    root: str = "palm"
    more: dict[str, np.ndarray] = field(default_factory=dict)


def finish(
    name: str,
    read: Callable[[], Annotations],
    *,
    native: str,
    sources: Sequence[Path],
    options: dict[str, Any],
    descr: str,
    layout: str,
    bad_rows: str,
    crop: Any,
    cache: Any,
    return_X_y: bool,
) -> Any:
    """Make a loader's Bunch.

    Parameters
    ----------
    name : str
        The data set.
    read : callable
        Reads the annotations. It is not called where the cache has the answer.
    native : str
        The layout of the data set's own joints.
    sources : sequence of Path
        The annotation files, whose size and time are part of the cache's key.
    options : dict
        The loader's own parameters, part of the cache's key.
    descr : str
        Source, licence and known faults.
    layout, bad_rows, crop, cache, return_X_y
        The loaders' common parameters.
    """
    check_option(layout, "layout", ("canonical", "native", *LAYOUTS))
    own = LAYOUTS[native]
    target = own if layout == "native" else LAYOUTS[layout]
    if not np.isfinite(convert(np.zeros((len(own), 1)), own, target)).any():
        raise InputError(
            f"layout: expected one with joints that {native!r} has or defines, for example 'native', "
            f"got {layout!r}, in which all joints would be NaN."
        )
    check_option(bad_rows, "bad_rows", BAD_ROWS)
    check_bool(return_X_y, "return_X_y")
    if cache is not None and not (isinstance(cache, str | os.PathLike) and os.fspath(cache)):
        raise InputError(f"cache: expected a folder or None, got {cache!r}.")
    if crop is not None and not hasattr(crop, "transform"):
        raise InputError(f"crop: expected a transformer such as HandCropper(), or None, got {crop!r}.")

    def build() -> Bunch:
        return _Rows(read(), own, target, bad_rows).bunch(crop, descr.strip() + "\n")

    if cache is None:
        bunch = build()
    else:
        how = None
        if crop is not None:
            params = crop.get_params(deep=True) if hasattr(crop, "get_params") else {}
            how = [f"{type(crop).__module__}.{type(crop).__qualname__}", params, hash_state(crop, "crop")]
        key = {"dataset": name, "layout": layout, "bad_rows": bad_rows, "crop": how, **options}
        bunch = load_cached(Path(cache).expanduser().absolute(), key, sources, build)
    return (bunch.data, bunch.target) if return_X_y else bunch


class _Rows:
    """The rows of a data set on their way to a Bunch.

    The table that is cropped has every joint that can show where the hand is. What the labels are known to
    have wrong becomes NaN when that is done, so that it does not stand in the crop's way.
    """

    def __init__(self, raw: Annotations, own: Layout, target: Layout, bad_rows: str):
        self.raw, self.own, self.target = raw, own, target
        # consumers address the joints of X by canonical index
        self.layout = LAYOUTS["canonical"] if set(own.joints) & set(JOINTS) else own
        self.rows = np.arange(len(raw.bad))
        if bad_rows == "drop":
            self.rows = np.flatnonzero(~raw.bad.any(axis=1))
        self.joints, self.bad = raw.joints[self.rows], raw.bad[self.rows]
        self.hidden = self.bad & (bad_rows == "flag")
        columns = {name: column for name, column in raw.columns.items() if name != "keypoints2d"}
        self.frames = HandFrames(**columns)[self.rows]
        points = self._to(self.layout, self.joints)
        self.behind = points[..., 2] <= 0
        self.labels = self.joints
        self.pixels: np.ndarray | None = None  # of the original picture, as they are published
        if "keypoints2d" in raw.columns:
            self.labels = raw.columns["keypoints2d"][self.rows]
            self.pixels = self._to(self.layout, self.labels)
        elif self.frames.camera is not None:
            with np.errstate(divide="ignore", invalid="ignore"):  # joints behind the camera
                self.pixels = project(points, self.frames.camera)
        self.derived = {
            name: find
            for name, find in {"root": self._root, "scale": self._scale}.items()
            if name not in columns and np.isfinite(find(self.joints)).any()
        }

    def bunch(self, crop: Any, descr: str) -> Bunch:
        """Crop, hide what is wrong, and gather all that a loader returns."""
        raw, whole = self.raw, self._whole()
        data = whole if crop is None else crop.fit(whole).transform(whole)
        more = {name: values[self.rows] for name, values in raw.more.items()}
        if "affine" in raw.columns and self.pixels is not None:
            more["keypoints2d"] = _nan_where(self._made_of(self.hidden, self.layout), self.pixels)
        return Bunch(
            data=self._as_labelled(data),
            target=self._to(self.target, _nan_where(self.hidden, self.joints)),
            visible=self._seen(self.target) & ~self._made_of(self.hidden, self.target),
            bad=self.bad.any(axis=1),
            groups=raw.groups[self.rows],
            ids=raw.ids[self.rows],
            joint_names=self.target.joints,
            DESCR=descr,
            **more,
        )

    def _whole(self) -> HandFrames:
        """Return the table to crop."""
        lost = self._lost()
        new: dict[str, Any] = {"visible": self._seen(self.layout) & ~lost}
        if self.pixels is not None:
            shown = _nan_where(lost, self.pixels)
            affine = self.frames.affine
            new["keypoints2d"] = shown if affine is None else apply_affine(affine, shown)
            if self.frames.box is None:
                new["box"] = _boxes(shown, self._size())
        in_front = _nan_where(self.joints[..., 2] <= 0, self.joints)
        return self.frames.replace(**new, **{name: find(in_front) for name, find in self.derived.items()})

    def _as_labelled(self, data: HandFrames) -> HandFrames:
        """Return the cropped table with the published labels, and NaN for those that are to be hidden."""
        new: dict[str, Any] = {}
        hidden, lost = self._made_of(self.hidden, self.layout), self._lost()
        if data.visible is not None:
            new["visible"] = np.where(lost, self._seen(self.layout), data.visible) & ~hidden
        if data.keypoints2d is not None and self.pixels is not None:
            moved = self.pixels if data.affine is None else apply_affine(data.affine, self.pixels)
            shown = np.where(lost[..., None], moved, data.keypoints2d)
            new["keypoints2d"] = _nan_where(hidden, shown)
        for name, find in self.derived.items():
            values, published = getattr(data, name), find(self.joints)
            if values is None:
                continue
            if name == "root" and data.rotation is not None:
                published = rotate_points(published, data.rotation)
            known = np.isfinite(values)
            kept = np.isfinite(find(_nan_where(self.hidden, self.joints)))
            new[name] = np.where(kept, np.where(known, values, published), np.nan)
        return data.replace(**new)

    def _to(self, layout: Layout, points: np.ndarray) -> np.ndarray:
        return convert(points, self.own, layout, palm_to_wrist=self.raw.palm_to_wrist)

    def _made_of(self, marked: np.ndarray, layout: Layout) -> np.ndarray:
        """Find the joints of a layout that are made of marked ones, or of none at all."""
        return np.isnan(self._to(layout, np.where(marked, np.nan, 0.0)[..., None])[..., 0])

    def _seen(self, layout: Layout) -> np.ndarray:
        seen = self._to(layout, self.raw.visible[self.rows, :, None].astype(np.float64))[..., 0] > 0
        return seen & np.isfinite(self._to(layout, self.labels)).all(axis=2)

    def _lost(self) -> np.ndarray:
        """Find the joints of the table that do not show where the hand is."""
        unlabelled = self._made_of(self.bad & np.isnan(self.joints).any(axis=2), self.layout)
        if self.pixels is None or not self.behind.any():
            return unlabelled | self.behind
        with np.errstate(invalid="ignore"):
            inside = ((self.pixels >= -0.5) & (self.pixels <= np.array(self._size()) - 0.5)).all(axis=2)
        # beside a joint behind the camera lie others just before it, thousands of pixels away
        return unlabelled | self.behind | (self.behind.any(axis=1, keepdims=True) & ~inside)

    def _size(self) -> tuple[float, float]:
        """Width and height of the pictures, px."""
        shapes = [getattr(self.frames, name).shape for name in PICTURES if name in self.frames.columns]
        return (shapes[0][2], shapes[0][1]) if shapes else (np.nan, np.nan)

    def _root(self, joints: np.ndarray) -> np.ndarray:
        if self.raw.root != "palm":
            return joints[:, self.own.joints.index(self.raw.root)]
        # of the target's own palm where it has one, so that y minus root is what it says
        layout = self.target if "palm" in self.target.joints else self.layout
        return convert(self._to(layout, joints), layout, Layout("root", ("palm",)))[:, 0]

    def _scale(self, joints: np.ndarray) -> np.ndarray:
        bone = self._to(Layout("bone", ("middle_mcp", "middle_pip")), joints)
        return np.linalg.norm(bone[:, 1] - bone[:, 0], axis=1)


def _nan_where(marked: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.where(marked[..., None], np.nan, points)


def _boxes(keypoints: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """Return the tight box of each row's keypoints, px; the whole picture where they span none."""
    finite = np.isfinite(keypoints).all(axis=2, keepdims=True)
    low = np.where(finite, keypoints, np.inf).min(axis=1)
    high = np.where(finite, keypoints, -np.inf).max(axis=1)
    known = finite.sum(axis=1) > 1
    return np.where(known, np.hstack([low, high - low]), (-0.5, -0.5, *size))
