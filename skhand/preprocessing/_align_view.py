"""ViewAligner: turn the camera to look straight at the hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_camera, check_option, warn_user
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.geometry import backproject, rotation_to_axis
from skhand.preprocessing._base import (
    FramesTransformer,
    check_frames,
    check_one_size,
    move_frames,
    warp_columns,
)
from skhand.preprocessing._change import Pictures, change_column
from skhand.preprocessing._warp import Warp
from skhand.skeleton import JOINTS, root_position

__all__ = ["ViewAligner"]


class ViewAligner(FramesTransformer):
    """Turn the camera until it looks straight at the hand (Stergioulas et al. 2021, section 4.2).

    The same hand pose looks different at the border of a picture and in its middle. Here the hand's centre is
    turned onto the optical axis by the smallest rotation R, and the poses are turned with it, so that one
    look has one pose. Pictures are warped by the homography ``K' R K^-1``, where ``K'`` has the focal lengths
    of K and its principal point in the middle of the picture: there the hand's centre comes to lie. The
    picture keeps its size, so the finger tips of a tight crop may leave it: align first, and crop then. What
    is seen in depth pictures is measured along the new axis.

    ``affine`` is then a homography: its last row is no longer (0, 0, 1). Estimators behind it take y, and
    answer, in the original camera frame.

    Parameters
    ----------
    point : str, default="root"
        The hand's centre: ``"root"``, the column ``root`` (as in the paper, where the palm's position is
        given); ``"box"``, the middle of the column ``box``; or a joint's name or ``"palm"``, looked up in the
        column ``keypoints2d`` of 21 joints. Rows where it is NaN or not in front of the camera look at the
        middle of their box, and without one at that of the picture, with a warning.

    References
    ----------
    .. [1] A. Stergioulas, T. Chatzis, D. Konstantinidis, K. Dimitropoulos, P. Daras. 3D Hand Pose Estimation
       via aligned latent space injection and kinematic losses. CVPR Workshops 2021.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.preprocessing import ViewAligner
    >>> hands = make_hands(6, image_size=32, random_state=0)
    >>> aligned = ViewAligner().fit_transform(hands.data)
    >>> bool(abs(aligned.root[:, :2]).max() < 1e-9)
    True
    """

    def __init__(self, *, point: str = "root"):
        self.point = point

    def transform(self, X: HandFrames) -> HandFrames:
        """Turn the view of each row.

        Parameters
        ----------
        X : HandFrames
            With the columns ``camera`` and that of ``point``.

        Returns
        -------
        aligned : HandFrames
            All columns follow; a box is the upright one around the moved box. Lazily read pictures stay lazy.
            Without any picture the principal point stays where it is, and the hand's centre comes there.

        Warns
        -----
        UserWarning
            If a hand's centre is not known or not in front of the camera; it says in how many rows.

        Raises
        ------
        InputError
            If a column is missing, or ``point`` names one of 21 joints and there are others.
        """
        self._check(X)
        turn = rotation_to_axis(self._find_centres(X))
        camera, size = X.camera.copy(), check_one_size(X)
        if size is not None:
            camera[:, :2, 2] = (size[1] - 1) / 2, (size[0] - 1) / 2
        back = np.linalg.inv(X.camera)
        homography = camera @ turn @ back
        pictures: dict[str, Any] = {}
        if size is not None:
            pictures = warp_columns(X, homography, size, "rgb", "mask")
        if size is not None and "depth" in X.columns:
            along = (turn[:, 2:] @ back)[:, 0]
            change = _WarpDepth(homography, size, along)
            pictures["depth"] = change_column(X.depth, change, size, X.depth.dtype)
        return move_frames(X, homography, turn, **pictures).replace(camera=camera)

    def _check(self, X: HandFrames) -> None:
        check_option(self.point, "point", ("root", "box", "palm", *JOINTS))
        column = self.point if self.point in ("root", "box") else "keypoints2d"
        check_frames(X, "camera", column, why=f" for point={self.point!r}")
        check_camera(X.camera)
        if column == "keypoints2d" and X.keypoints2d.shape[1] != len(JOINTS):
            raise InputError(
                f"point: {self.point!r} needs 21 joints, got {X.keypoints2d.shape[1]} in keypoints2d."
            )

    def _find_centres(self, X: HandFrames) -> np.ndarray:
        """Find the hands' centres (n, 3), in the camera frame, up to a positive factor."""
        middle_of_box = (
            X.box[:, :2] + X.box[:, 2:] / 2 if "box" in X.columns else np.full((len(X), 2), np.nan)
        )
        size = check_one_size(X)
        if size is None:  # the principal point: the view stays as it is
            middle = X.camera[:, :2, 2]
        else:
            middle = np.tile([(size[1] - 1) / 2, (size[0] - 1) / 2], (len(X), 1))
        if self.point == "root":
            centres = np.array(X.root, dtype=np.float64)
        else:
            pixels = middle_of_box if self.point == "box" else root_position(X.keypoints2d, self.point)
            centres = backproject(pixels, 1.0, X.camera)
        unknown = ~np.isfinite(centres).all(axis=1)
        bad = unknown | ~(centres[:, 2] > 0)
        if bad.any():
            by_box = np.isfinite(middle_of_box).all(axis=1, keepdims=True)
            centres[bad] = backproject(np.where(by_box, middle_of_box, middle), 1.0, X.camera)[bad]
            warn_user(
                f"point={self.point!r} is NaN in {unknown.sum()} and not in front of the camera in "
                f"{(bad & ~unknown).sum()} of {len(X)} rows: {(bad & by_box[:, 0]).sum()} look at the middle "
                f"of their box instead, {(bad & ~by_box[:, 0]).sum()} at that of the picture.",
            )
        return centres


class _WarpDepth:
    """Warp depth pictures and measure along the new axis: ``z' = z * (R K^-1 p)_z`` at each old pixel p."""

    def __init__(self, homography: np.ndarray, size: tuple[int, int], along: np.ndarray):
        self.warp, self.along = Warp(homography, size, 0), along

    def __call__(self, pictures: Pictures, rows: np.ndarray, out: np.ndarray) -> None:
        old = np.asarray(pictures)
        height, width = old.shape[1:]
        a, b, c = self.along[rows].T[:, :, None, None]
        factor = a * np.arange(width)[None, None] + b * np.arange(height)[None, :, None] + c
        measured = old * np.maximum(factor, 0.0).astype(np.float32)
        depth = np.empty(out.shape, measured.dtype)
        self.warp(measured, rows, depth)
        out[...] = np.rint(depth) if old.dtype.kind in "ui" else depth
