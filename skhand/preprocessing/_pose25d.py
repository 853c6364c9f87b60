"""Pose25D: poses as pixels and scale-free depths, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand.exceptions import CameraError, InputError
from skhand.frames import HandFrames
from skhand.geometry import bone_length, decode_25d, encode_25d
from skhand.preprocessing._base import StatelessTransformer
from skhand.preprocessing._pose import read_poses
from skhand.skeleton import JOINTS, root_position

__all__ = ["Pose25D"]


class Pose25D(StatelessTransformer):
    """Turn poses into pixels and scale-free depths relative to the root (Iqbal et al. 2018), and back.

    Parameters
    ----------
    root : str or int, default="palm"
        The joint that depths are relative to: a joint's name, its index, or ``"palm"``: half way between the
        wrist and the middle MCP.
    bone : tuple of two str, default=("index_mcp", "wrist")
        Joint names, or ``"palm"``: their distance is the unit of depth.

    See Also
    --------
    skhand.geometry.encode_25d : The function behind ``transform``.
    skhand.geometry.decode_25d : That behind ``inverse_transform``; it also tells which rows are ambiguous.

    References
    ----------
    .. [1] U. Iqbal, P. Molchanov, T. Breuel, J. Gall, J. Kautz. Hand Pose Estimation via Latent 2.5D Heatmap
       Regression. ECCV 2018.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.preprocessing import Pose25D
    >>> hands = make_hands(5, images=(), random_state=0)
    >>> frames = hands.data.replace(pose3d=hands.target)
    >>> encoder = Pose25D()
    >>> encoded = encoder.fit_transform(frames)
    >>> back = encoder.inverse_transform(encoded)
    >>> bool(abs(back.pose3d - hands.target).max() < 1e-6)
    True
    """

    def __init__(self, *, root: str | int = "palm", bone: tuple[str, str] = ("index_mcp", "wrist")):
        self.root = root
        self.bone = bone

    def fit(self, X: Any, y: Any = None) -> Pose25D:
        """Validate the parameters and the poses; nothing is learned.

        Parameters
        ----------
        X : array-like of shape (n_samples, 21, 3), mm, camera frame, or HandFrames
            Poses as for `transform`.
        y : object, default=None
            Not used.

        Returns
        -------
        self : Pose25D
        """
        poses = _read_hands(X)
        root_position(poses, self.root)
        bone_length(poses, self.bone)
        return self

    def transform(self, X: Any, camera: Any = None) -> Any:
        """Encode poses.

        Parameters
        ----------
        X : array-like of shape (n_samples, 21, 3), mm, camera frame, or HandFrames
            Poses, or a table with the column ``pose3d``. NaN joints stay NaN.
        camera : array-like of shape (3, 3) or (n_samples, 3, 3), px, default=None
            Intrinsics. None is the table's column ``camera``.

        Returns
        -------
        points : ndarray of shape (n_samples, 21, 3), or HandFrames
            u and v (px), and the depth relative to the root in units of the bone. A HandFrames has them in
            its column ``pose3d``, and the bone's length in its column ``scale``.

        Raises
        ------
        InputError
            If X holds no poses of 21 joints, there is no camera, or the root or the bone is unknown.
        """
        points, scale = encode_25d(_read_hands(X), _find_camera(X, camera), root=self.root, bone=self.bone)
        return X.replace(pose3d=points, scale=scale) if isinstance(X, HandFrames) else points

    def inverse_transform(self, X: Any, camera: Any = None, scale: Any = None) -> Any:
        """Recover absolute poses.

        Parameters
        ----------
        X : array-like of shape (n_samples, 21, 3), or HandFrames
            2.5D poses, or a table as `transform` returned it.
        camera : array-like of shape (3, 3) or (n_samples, 3, 3), px, default=None
            Intrinsics. None is the table's column ``camera``.
        scale : float or array-like of shape (n_samples,), mm, default=None
            Length of the bone. None is the table's column ``scale``, and leaves an array in units of the
            bone.

        Returns
        -------
        poses : ndarray of shape (n_samples, 21, 3), mm, camera frame, or HandFrames
            Where two depths of the root fit, that of the farther one.

        Raises
        ------
        InputError
            If X holds no poses of 21 joints, or there is no camera or, for a table, no scale.
        """
        if isinstance(X, HandFrames) and scale is None:
            if "scale" not in X.columns:
                raise InputError(f"scale: X needs this column; its columns are {X.columns}.")
            scale = X.scale
        poses = decode_25d(
            _read_hands(X), _find_camera(X, camera), scale, root=self.root, bone=self.bone
        ).joints
        return X.replace(pose3d=poses) if isinstance(X, HandFrames) else poses


def _read_hands(X: Any) -> np.ndarray:
    poses = read_poses(X)
    if poses.shape[1] != len(JOINTS):
        raise InputError(f"X: expected poses of 21 joints, got {poses.shape[1]}.")
    return poses


def _find_camera(X: Any, camera: Any) -> Any:
    if camera is None and isinstance(X, HandFrames):
        camera = X.camera
    if camera is None:
        raise CameraError("camera: expected the intrinsics (px), as an argument or a column of X, got None.")
    return camera
