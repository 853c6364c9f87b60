"""What every loader does after it has read its files: bad rows, joints, side information, crop, cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skhand._validation import check_option
from skhand.datasets._cache import PICTURES, load_cached
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.geometry import project
from skhand.skeleton import LAYOUTS, Layout, convert

BAD_ROWS = ("flag", "keep", "drop")


@dataclass
class Annotations:
    """What a loader has read, in the data set's own joints; n rows.

    Parameters
    ----------
    layout : Layout
        The data set's own joints.
    joints : ndarray of shape (n, n_joints, 3), mm, camera frame (x right, y down, z forward)
        NaN where there is no label.
    visible : ndarray of shape (n, n_joints), bool
    bad : ndarray of shape (n, n_joints), bool
        Joints whose label is known to be wrong.
    columns : dict of str to array-like
        `HandFrames` columns: the pictures, ``camera``, ``side`` and so on. ``keypoints2d`` (in the data set's
        own joints, px) only where it is not the projection of ``joints``.
    groups : ndarray of shape (n,)
        What must not be split over folds: a person, a sequence or a photograph.
    ids : ndarray of str, shape (n,)
        Each row's name in the data set.
    palm_to_wrist : {"ring", "middle"}, default="ring"
        How `convert` makes a wrist of a palm.
    """

    layout: Layout
    joints: np.ndarray
    visible: np.ndarray
    bad: np.ndarray
    columns: dict[str, Any]
    groups: np.ndarray
    ids: np.ndarray
    palm_to_wrist: str = "ring"
    more: dict[str, np.ndarray] = field(default_factory=dict)


def finish(
    name: str,
    read: Callable[[], Annotations],
    *,
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
    check_option(bad_rows, "bad_rows", BAD_ROWS)
    if cache is not None and not isinstance(cache, str | os.PathLike):
        raise InputError(f"cache: expected a folder or None, got {cache!r}.")
    if crop is not None and not hasattr(crop, "transform"):
        raise InputError(f"crop: expected a transformer such as HandCropper(), or None, got {crop!r}.")

    def build() -> Bunch:
        bunch = _assemble(read(), layout, bad_rows)
        bunch.DESCR = descr.strip() + "\n"
        if crop is not None:
            bunch.data = crop.fit(bunch.data).transform(bunch.data)
        return bunch

    if cache is None:
        bunch = build()
    else:
        how = None if crop is None else [type(crop).__qualname__, crop.get_params(deep=True)]
        key = {"dataset": name, "layout": layout, "bad_rows": bad_rows, "crop": how, **options}
        bunch = load_cached(Path(cache), key, sources, build)
    return (bunch.data, bunch.target) if return_X_y else bunch


def _assemble(raw: Annotations, layout: str, bad_rows: str) -> Bunch:
    """Return the Bunch of whole pictures."""
    target = raw.layout if layout == "native" else LAYOUTS[layout]

    def converted(points: np.ndarray, wanted: Layout = target) -> np.ndarray:
        return convert(points, raw.layout, wanted, palm_to_wrist=raw.palm_to_wrist)

    rows = np.flatnonzero(~raw.bad.any(axis=1)) if bad_rows == "drop" else np.arange(len(raw.joints))
    frames = HandFrames(**raw.columns)[rows]
    hidden = raw.bad[rows] & (bad_rows == "flag")
    joints = np.where(hidden[..., None], np.nan, raw.joints[rows])
    y = converted(joints)
    new: dict[str, Any] = {}
    if frames.keypoints2d is not None:
        new["keypoints2d"] = converted(np.where(hidden[..., None], np.nan, frames.keypoints2d))
    elif frames.camera is not None:
        with np.errstate(divide="ignore", invalid="ignore"):  # joints behind the camera
            new["keypoints2d"] = project(y, frames.camera)
    labelled = np.isfinite(new.get("keypoints2d", y)).all(axis=2)
    if frames.box is None and "keypoints2d" in new:
        new["box"] = _boxes(frames, new["keypoints2d"])
    bone = converted(joints, _BONE)
    palm = convert(y, target, _PALM)  # of the joints that are returned, so that y minus root is what it says
    derived = {
        "root": (palm if np.isfinite(palm).any() else converted(joints, _PALM))[:, 0],
        "scale": np.linalg.norm(bone[:, 1] - bone[:, 0], axis=1),
    }
    for name, values in derived.items():
        if getattr(frames, name) is None and np.isfinite(values).any():
            new[name] = values
    seen = raw.visible[rows] & ~hidden
    return Bunch(
        data=frames.replace(**new),
        target=y,
        visible=(converted(seen[..., None].astype(np.float64))[..., 0] > 0) & labelled,
        bad=raw.bad[rows].any(axis=1),
        groups=raw.groups[rows],
        ids=raw.ids[rows],
        joint_names=target.joints,
        **{name: values[rows] for name, values in raw.more.items()},
    )


_PALM = Layout("palm", ("palm",))
_BONE = Layout("bone", ("middle_mcp", "middle_pip"))


def _boxes(frames: HandFrames, keypoints: np.ndarray) -> np.ndarray:
    """Return the tight box of each row's keypoints, px; the whole picture where none is known."""
    finite = np.isfinite(keypoints).all(axis=2, keepdims=True)
    low = np.where(finite, keypoints, np.inf).min(axis=1)
    high = np.where(finite, keypoints, -np.inf).max(axis=1)
    shapes = [getattr(frames, name).shape[1:3] for name in PICTURES if getattr(frames, name) is not None]
    height, width = shapes[0] if shapes else (np.nan, np.nan)
    known = finite.any(axis=(1, 2))[:, None]
    return np.where(known, np.hstack([low, high - low]), (-0.5, -0.5, width, height))
