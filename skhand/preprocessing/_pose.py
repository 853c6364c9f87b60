"""PoseNormalizer: poses relative to their root, in units of one of their bones."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_numbers, check_option, describe, read_numbers
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.geometry import bone_length
from skhand.geometry._align import check_bone
from skhand.preprocessing._base import StatelessTransformer, check_frames
from skhand.skeleton import JOINTS, root_position

__all__ = ["PoseNormalizer", "read_poses"]


class PoseNormalizer(StatelessTransformer):
    """Take poses relative to their root and divide them by the length of one of their bones.

    Parameters
    ----------
    root : str or int, default="palm"
        The root joint: a joint's name, its index, or ``"palm"``: half way between the wrist and the middle
        MCP.
    scale_bone : tuple of two str or None, default=("middle_mcp", "middle_pip")
        Joint names; None leaves poses in mm.

    Notes
    -----
    skhand's estimators do this by themselves, with ``given=("root", "scale")``. This is for other models.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.preprocessing import PoseNormalizer
    >>> hands = make_hands(5, images=(), random_state=0)
    >>> normalizer = PoseNormalizer()
    >>> small = normalizer.fit_transform(hands.target)
    >>> back = normalizer.inverse_transform(small, root=hands.data.root, scale=hands.data.scale)
    >>> bool(abs(back - hands.target).max() < 1e-9)
    True
    """

    def __init__(
        self, *, root: str | int = "palm", scale_bone: tuple[str, str] | None = ("middle_mcp", "middle_pip")
    ):
        self.root = root
        self.scale_bone = scale_bone

    def fit(self, X: Any, y: Any = None) -> PoseNormalizer:
        """Validate the parameters and the poses; nothing is learned.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_joints, 3), mm, or HandFrames
            Poses as for `transform`.
        y : object, default=None
            Not used.

        Returns
        -------
        self : PoseNormalizer
        """
        self._measure(read_poses(X))
        return self

    def transform(self, X: Any) -> Any:
        """Normalise poses.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_joints, 3), mm, or HandFrames
            Poses, or a table with the column ``pose3d``. NaN joints stay NaN.

        Returns
        -------
        normalised : ndarray of shape (n_samples, n_joints, 3), or HandFrames
            In units of the bone, or mm where ``scale_bone`` is None. NaN throughout where the root is NaN, or
            the bone is or has no length. A HandFrames remembers both in its columns ``root`` and ``scale``.

        Raises
        ------
        InputError
            If X holds no poses, or the root or the bone is unknown.
        """
        poses = read_poses(X)
        root, scale = self._measure(poses)
        unit = np.ones(len(poses)) if scale is None else np.where(scale > 0, scale, np.nan)
        normalised = (poses - root[:, None]) / unit[:, None, None]
        if not isinstance(X, HandFrames):
            return normalised
        columns = {"root": root} if scale is None else {"root": root, "scale": scale}
        return X.replace(pose3d=normalised, **columns)

    def inverse_transform(self, X: Any, root: Any = None, scale: Any = None) -> Any:
        """Turn normalised poses back into mm in the camera frame.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_joints, 3), or HandFrames
            Normalised poses, or a table as `transform` returned it.
        root : array-like of shape (n_samples, 3) or (3,), mm, default=None
            Where the roots go, NaN where it is not known. None is the table's column ``root``; for an
            array it leaves the poses root-relative.
        scale : float or array-like of shape (n_samples,), mm, default=None
            Length of the bone, NaN where not known. None is the table's column ``scale``; an array needs it
            where ``scale_bone`` is not None.

        Returns
        -------
        poses : ndarray of shape (n_samples, n_joints, 3), mm, or HandFrames

        Raises
        ------
        InputError
            If the length of the bone is not given or is not above 0, a number is infinite, or shapes do not
            fit.
        """
        poses = read_poses(X)
        if isinstance(X, HandFrames):
            root = X.root if root is None else root
            scale = X.scale if scale is None else scale
        if self.scale_bone is not None:
            if scale is None:
                raise InputError("scale: expected the length of the scale bone (mm), got None.")
            lengths = _read_side_information(scale, "scale", len(poses), (), low=0, include_low=False)
            poses = poses * lengths[:, None, None]
        if root is not None:
            poses = poses + _read_side_information(root, "root", len(poses), (3,))[:, None]
        return X.replace(pose3d=poses) if isinstance(X, HandFrames) else poses

    def _measure(self, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Measure the root (n, 3) and the length of the bone (n,), mm."""
        if isinstance(self.root, str):
            check_option(self.root, "root", ("palm", *JOINTS))
        if self.scale_bone is not None:
            check_bone(self.scale_bone, "scale_bone")
        root = root_position(poses, self.root)
        return root, None if self.scale_bone is None else bone_length(poses, self.scale_bone)


def read_poses(X: Any, *, flat: bool = False) -> np.ndarray:
    """Return the poses (n_samples, n_joints, 3) that X is, or holds in its column ``pose3d``.

    ``flat`` says whether X may also be flattened poses, (n_samples, n_joints * 3).
    """
    poses = check_frames(X, "pose3d").pose3d if isinstance(X, HandFrames) else X
    poses = read_numbers(poses, "X")
    if flat and poses.ndim == 2 and poses.shape[1] % 3 == 0:
        poses = poses.reshape(len(poses), poses.shape[1] // 3, 3)
    return check_numbers(poses, "X", ("n_samples", "n_joints", 3), allow_nan=True)


def _read_side_information(
    value: Any, name: str, n_samples: int, row: tuple[int, ...], **limits: Any
) -> np.ndarray:
    """Return one value for all rows or one a row, finite or NaN, as one a row."""
    array = read_numbers(value, name)
    if array.shape not in (row, (n_samples, *row)):
        raise InputError(f"{name}: expected shape {(n_samples, *row)}, got {describe(value)}.")
    array = check_numbers(array, name, array.shape, allow_nan=True, **limits)
    return np.broadcast_to(array, (n_samples, *row))
