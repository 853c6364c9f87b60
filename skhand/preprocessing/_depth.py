"""DepthCropper: cut a cube of space around the hand out of depth pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import (
    LARGEST_FLOAT,
    check_camera,
    check_number,
    check_option,
    describe,
    read_array,
    read_numbers,
    warn_user,
)
from skhand.exceptions import CameraError, InputError
from skhand.frames import HandFrames
from skhand.geometry import affine_crop, backproject, project
from skhand.geometry._affine import picture_size
from skhand.preprocessing._base import (
    FramesTransformer,
    check_frames,
    check_one_size,
    move_frames,
    warp_columns,
)
from skhand.preprocessing._change import Pictures, change_column, split_rows
from skhand.preprocessing._warp import Warp
from skhand.preprocessing._windows import warn_of_empty

__all__ = ["DepthCropper"]


class DepthCropper(FramesTransformer):
    """Cut a cube around the hand out of depth pictures (Oberweger et al. 2015, DeepPrior).

    The cube's front, seen from the camera at the depth of the cube's centre, is the box that is cut out and
    scaled to ``size``, so a hand is equally large at any distance. What lies outside of the cube is
    background.

    Parameters
    ----------
    size : int or tuple of int, default=128
        Side of the new pictures, or their (height, width), px.
    cube : float or tuple of three float, default=300.0
        Side of the cube, or its sides along x, y and z, mm, each up to a kilometre.
    centre : {"mass", "root"} or array-like of shape (3,) or (n_samples, 3), default="mass"
        Centre of the cube. "mass" is the mean pixel and depth of what is measured between ``near`` and
        ``far`` (see ``within``). "root" is X's column ``root`` (the true joint, where a loader put it there),
        and the centre of mass, with a warning, where it is NaN or not in front of the camera. Points are in
        the camera frame, mm; one a row fits these rows only, so cross-validation needs "root".
    within : {"picture", "box", "mask"}, default="picture"
        The pixels that count for "mass": all of them, as in DeepPrior, or those of X's column ``box`` or
        ``mask``. skhand's loaders make their boxes of the true joints: "box" then uses ground truth.
    near, far : float, default=10.0, 1500.0
        Depths that count for "mass", mm.
    nearer : {"background", "clip"}, default="background"
        What becomes of pixels in front of the cube: background, as what lies behind it, or, as in DeepPrior,
        the depth of the cube's front.
    output : {"mm", "unit"}, default="mm"
        "mm" leaves depths as they are, and gives 0 to background and holes: what skhand's estimators take.
        "unit" gives -1 at the front to 1 at the back of the cube, for other models.
    background : float, default=1.0
        What "unit" gives to background and holes.

    References
    ----------
    .. [1] M. Oberweger, P. Wohlhart, V. Lepetit. Hands Deep in Deep Learning for Hand Pose Estimation. CVWW
       2015.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.preprocessing import DepthCropper
    >>> hands = make_hands(6, image_size=64, random_state=0)
    >>> crops = DepthCropper(size=32, centre="root", output="unit").fit_transform(hands.data)
    >>> crops.depth.shape, float(crops.depth.max())
    ((6, 32, 32), 1.0)
    """

    def __init__(
        self,
        *,
        size: int | tuple[int, int] = 128,
        cube: float | tuple[float, float, float] = 300.0,
        centre: Any = "mass",
        within: str = "picture",
        near: float = 10.0,
        far: float = 1500.0,
        nearer: str = "background",
        output: str = "mm",
        background: float = 1.0,
    ):
        self.size = size
        self.cube = cube
        self.centre = centre
        self.within = within
        self.near = near
        self.far = far
        self.nearer = nearer
        self.output = output
        self.background = background

    def transform(self, X: HandFrames) -> HandFrames:
        """Crop each row.

        Parameters
        ----------
        X : HandFrames
            With the columns ``depth`` (mm; 0 or NaN where nothing was measured) and ``camera``.

        Returns
        -------
        cropped : HandFrames
            ``depth`` is float32. Other pictures are cropped with it, and pixel columns and the camera follow.
            Lazily read pictures stay lazy; "mass" reads each depth picture once.

        Warns
        -----
        UserWarning
            If a root is not known or not in front of the camera, or a crop lies wholly outside of its
            picture; it says in how many rows.

        Raises
        ------
        InputError
            If a column is missing, or a centre is not known or not in front of the camera.
        """
        self._check(X)
        size, cube = picture_size(self.size), self._check_cube()
        centre = self._find_centres(X)
        bad = np.flatnonzero(~(np.isfinite(centre).all(axis=1) & (centre[:, 2] > 0)))
        if len(bad):
            name = (
                f"depth: nothing is measured between near and far within the {self.within}"
                if isinstance(self.centre, str)
                else "centre: NaN or z <= 0"
            )
            raise InputError(f"{name} in the rows {bad[:5].tolist()}; expected a centre in every row.")
        extent = cube[:2] * X.camera[:, [0, 1], [0, 1]] / centre[:, 2:]
        pixels = project(centre[:, None], X.camera)[:, 0]
        boxes = np.concatenate([pixels - extent / 2, extent], axis=1)
        warn_of_empty(boxes, check_one_size(X))
        affine = affine_crop(boxes, size)
        pictures = warp_columns(X, affine, size, "rgb", "mask")
        background = 0.0 if self.output == "mm" else float(self.background)
        change = _CutCube(
            affine, size, centre[:, 2], cube[2] / 2, self.nearer == "clip", self.output == "unit", background
        )
        pictures["depth"] = change_column(X.depth, change, size, np.float32)
        return move_frames(X, affine, **pictures)

    def _check(self, X: HandFrames) -> None:
        picture_size(self.size)
        self._check_cube()
        check_number(self.near, "near", low=0, high=LARGEST_FLOAT)
        check_number(self.far, "far", low=0, high=LARGEST_FLOAT, include_low=False)
        if not self.near < self.far:
            raise InputError(f"far: expected a number > near ({self.near:g}), got {self.far!r}.")
        check_option(self.nearer, "nearer", ("background", "clip"))
        check_option(self.output, "output", ("mm", "unit"))
        check_number(self.background, "background", high=LARGEST_FLOAT)
        if isinstance(self.centre, str):
            check_option(self.centre, "centre", ("mass", "root"))
        check_option(self.within, "within", ("picture", "box", "mask"))
        needed = ["root"] if self._is("root") else []
        if self._is("mass") and self.within != "picture":
            needed = [self.within]
        check_frames(X, "depth", "camera", *needed, why=" to cut a cube out")
        check_one_size(X)
        if not (check_camera(X.camera)[:, [0, 1], [0, 1]] > 0).all():
            raise CameraError("camera: expected focal lengths > 0 (x right, y down), got a negative one.")

    def _is(self, name: str) -> bool:
        return isinstance(self.centre, str) and self.centre == name

    def _check_cube(self) -> np.ndarray:
        """Validate the cube and return its sides along x, y and z, mm."""
        cube = read_array(self.cube, "cube", "one side or three, mm")
        if cube.shape not in ((), (3,)) or isinstance(self.cube, str):
            raise InputError(f"cube: expected one side or three, mm, got {describe(self.cube)}.")
        sides = [self.cube] * 3 if cube.ndim == 0 else cube.tolist()
        return np.array(
            [float(check_number(side, "cube", low=0, high=1e6, include_low=False)) for side in sides]
        )

    def _find_centres(self, X: HandFrames) -> np.ndarray:
        """Find the centres of the cubes (n, 3), mm; NaN where there is none."""
        if not isinstance(self.centre, str):
            centre = read_numbers(self.centre, "centre", f"'mass', 'root' or points (3,) or ({len(X)}, 3)")
            if centre.shape not in ((3,), (len(X), 3)):
                raise InputError(
                    f"centre: expected shape (3,) or ({len(X)}, 3), got {describe(self.centre)}."
                )
            return np.broadcast_to(centre.astype(np.float64), (len(X), 3))
        if self._is("mass"):
            return self._find_masses(X)
        centre = np.array(X.root, dtype=np.float64)
        unknown = ~np.isfinite(centre).all(axis=1)
        bad = unknown | ~(centre[:, 2] > 0)
        if bad.any():
            centre[bad] = self._find_masses(X[bad])
            warn_user(
                f"root is NaN in {unknown.sum()} and not in front of the camera in {(bad & ~unknown).sum()} "
                f"of {len(X)} rows: the cube lies around the centre of mass there.",
            )
        return centre

    def _find_masses(self, X: HandFrames) -> np.ndarray:
        """Compute the centres of mass (n, 3), mm; NaN where nothing is measured."""
        if self.within != "picture":
            check_frames(X, self.within, why=f" for within={self.within!r}")
        found, rows = np.empty((len(X), 3)), np.arange(len(X))
        for part in split_rows(len(X)):
            some = X[rows[part]]
            found[part] = _find_mass(
                np.asarray(some.depth), some, self.within, float(self.near), float(self.far)
            )
        return backproject(found[:, :2], found[:, 2], X.camera)


def _find_mass(depth: np.ndarray, X: HandFrames, within: str, near: float, far: float) -> np.ndarray:
    """Compute the mean u, v (px) and depth (mm) of what is measured, (n, 3); NaN where nothing is."""
    u, v = np.arange(depth.shape[2])[None, None], np.arange(depth.shape[1])[None, :, None]
    counts = (depth > 0) & (depth >= near) & (depth <= far)
    if within == "mask":
        counts &= np.asarray(X.mask).astype(bool)
    elif within == "box":
        left, top, width, height = X.box.T[:, :, None, None]
        counts &= (u >= left) & (u <= left + width) & (v >= top) & (v <= top + height)
    number = counts.sum(axis=(1, 2))
    number = np.where(number > 0, number, np.nan)
    sums = [np.where(counts, part, 0).sum(axis=(1, 2), dtype=np.float64) for part in (u, v, depth)]
    return np.stack(sums, axis=1) / number[:, None]


class _CutCube:
    """Crop depth pictures and keep what is in the cube: depths within ``half`` of each row's ``z``, mm."""

    def __init__(
        self,
        affine: np.ndarray,
        size: tuple[int, int],
        z: np.ndarray,
        half: float,
        clip_front: bool,
        unit: bool,
        background: float,
    ):
        self.warp, self.z, self.half = Warp(affine, size, 0), z, half
        self.clip_front, self.unit, self.background = clip_front, unit, background

    def __call__(self, pictures: Pictures, rows: np.ndarray, out: np.ndarray) -> None:
        depth = np.empty(out.shape, pictures[0].dtype)
        self.warp(pictures, rows, depth)
        depth = depth.astype(np.float32)
        z = self.z[rows, None, None]
        inside = (depth > 0) & (depth <= z + self.half)
        if self.clip_front:
            depth = np.maximum(depth, z - self.half)
        else:
            inside &= depth >= z - self.half
        out[...] = np.where(inside, (depth - z) / self.half if self.unit else depth, self.background)
