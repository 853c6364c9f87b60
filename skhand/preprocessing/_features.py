"""Numbers about a hand for other models: JointAngles, BoneLengths and CanonicalPose."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import SIDES, check_bool, check_option, some_rows
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.geometry import bone_lengths, hand_axes
from skhand.metrics import joint_angles
from skhand.metrics._plausibility import ANGLES
from skhand.preprocessing._base import StatelessTransformer, check_frames
from skhand.preprocessing._pose import PoseNormalizer, read_poses
from skhand.skeleton import BONES, FINGERS, JOINTS

__all__ = ["BoneLengths", "CanonicalPose", "JointAngles"]

_THUMB = ("thumb_radial", "thumb_palmar")


class HandFeatures(StatelessTransformer):
    """Base of the transformers from hands to a table of numbers, one column a name."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Validate the parameters and the hands; nothing is learned.

        Parameters
        ----------
        X : array-like of shape (n_samples, 21, 3) or (n_samples, 63), mm, or HandFrames
            Hands as for ``transform``.
        y : object, default=None
            Not used.

        Returns
        -------
        self : object
        """
        self._compute(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Compute the features.

        Parameters
        ----------
        X : array-like of shape (n_samples, 21, 3) or (n_samples, 63), mm, or HandFrames
            Poses in canonical order, or a table with the column ``pose3d``. NaN joints are unknown.

        Returns
        -------
        features : ndarray of shape (n_samples, n_features)
            In the order of ``get_feature_names_out``. NaN where a joint that a feature is made of is NaN.

        Raises
        ------
        InputError
            If X holds no hands of 21 joints, a coordinate is infinite, all joints of a hand are zero, or a
            parameter is not what was expected.
        """
        return self._compute(X)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the features.

        Parameters
        ----------
        input_features : object, default=None
            Not used: the names are made of joint names.

        Returns
        -------
        names : ndarray of str
        """
        return np.array(self._names(), dtype=object)

    def _compute(self, X: Any) -> np.ndarray:
        raise NotImplementedError

    def _names(self) -> list[str]:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags


class JointAngles(HandFeatures):
    """Compute how far the joints of hands are bent, degrees.

    The 20 angles are those of `skhand.metrics.joint_angles`, after two more of the thumb. They depend neither
    on where the hand is, nor on its size, nor on how it is turned, and those of a left hand are those of its
    mirror image.

    ======================================  ==================================================================
    ``thumb_radial``, ``thumb_palmar``      where the thumb's CMC leads its first bone: to the thumb's side
                                            within the palm's plane, and out of that plane to the palm
    ``thumb_mcp``, ``thumb_ip``             angle between the bones before and after the joint, 0 or more
    ``index_abduction`` and so on           angle of the finger's first bone to the thumb's side
    ``index_mcp`` and so on                 flexion of the first bone to the palm
    ``index_pip``, ``index_dip`` and so on  flexion of a bone against the one before it
    ======================================  ==================================================================

    Parameters
    ----------
    side : {"left", "right"} or None, default=None
        Which hands they are; None reads X's column ``side``, which an array does not have.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.preprocessing import JointAngles
    >>> hands = make_hands(5, images=(), side="right", random_state=0)
    >>> angles = JointAngles(side="right")
    >>> angles.fit_transform(hands.target).shape
    (5, 20)
    >>> angles.get_feature_names_out()[4:8].tolist()
    ['index_abduction', 'index_mcp', 'index_pip', 'index_dip']
    """

    def __init__(self, *, side: str | None = None):
        self.side = side

    def _compute(self, X: Any) -> np.ndarray:
        hands = _read_hands(X)
        sides = _read_sides(X, self.side)
        axes = hand_axes(hands, sides)
        start, end = (hands[:, joint] for joint in FINGERS["thumb"][:2])
        first = (axes @ (end - start)[:, :, None])[:, :, 0]
        radial = np.arctan2(first[:, 0], first[:, 1])
        palmar = np.arctan2(first[:, 2], np.hypot(first[:, 0], first[:, 1]))
        thumb = np.rad2deg(np.stack([radial, palmar], axis=1))
        return np.concatenate([thumb, joint_angles(hands, sides)], axis=1)

    def _names(self) -> list[str]:
        return [*_THUMB, *ANGLES]


class BoneLengths(HandFeatures):
    """Measure the 20 bones of hands, mm.

    Features bear the names of both joints of a bone, the one nearer to the wrist first.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.preprocessing import BoneLengths
    >>> hands = make_hands(5, images=(), random_state=0)
    >>> lengths = BoneLengths()
    >>> lengths.fit_transform(hands.target).shape
    (5, 20)
    >>> lengths.get_feature_names_out()[:2].tolist()
    ['wrist_to_thumb_cmc', 'thumb_cmc_to_thumb_mcp']
    """

    def _compute(self, X: Any) -> np.ndarray:
        return bone_lengths(_read_hands(X))

    def _names(self) -> list[str]:
        return [f"{JOINTS[parent]}_to_{JOINTS[child]}" for parent, child in BONES]


class CanonicalPose(HandFeatures):
    """Move hands to their root, turn their palms one way, and bring them to one size and one side.

    In the hand's own frame x points to the thumb's side, y from the wrist to the middle MCP, and z out of the
    palm; see `skhand.geometry.hand_axes`. What is left is how the hand is posed and shaped.

    Parameters
    ----------
    side : {"left", "right"} or None, default=None
        Which hands they are; None reads X's column ``side``, which an array does not have.
    root : str or int, default="palm"
        The joint at the origin: a joint's name, its index, or ``"palm"``: half way between the wrist and the
        middle MCP.
    scale_bone : tuple of two str or None, default=("middle_mcp", "middle_pip")
        Joint names, or ``"palm"``: their distance becomes 1. None leaves poses in mm.
    mirror_left : bool, default=True
        Whether left hands become right ones. Otherwise x points away from the thumb's side of left hands.

    See Also
    --------
    PoseNormalizer : Root and scale alone, and the way back.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.preprocessing import CanonicalPose
    >>> hands = make_hands(5, images=(), random_state=0)
    >>> canonical = CanonicalPose().fit(hands.data.replace(pose3d=hands.target))
    >>> canonical.transform(hands.data.replace(pose3d=hands.target)).shape
    (5, 63)
    >>> canonical.get_feature_names_out()[:3].tolist()
    ['wrist_x', 'wrist_y', 'wrist_z']
    """

    def __init__(
        self,
        *,
        side: str | None = None,
        root: str | int = "palm",
        scale_bone: tuple[str, str] | None = ("middle_mcp", "middle_pip"),
        mirror_left: bool = True,
    ):
        self.side = side
        self.root = root
        self.scale_bone = scale_bone
        self.mirror_left = mirror_left

    def _compute(self, X: Any) -> np.ndarray:
        check_bool(self.mirror_left, "mirror_left")
        hands = _read_hands(X)
        sides = _read_sides(X, self.side)
        normalised = PoseNormalizer(root=self.root, scale_bone=self.scale_bone).transform(hands)
        canonical = normalised @ hand_axes(hands, sides).swapaxes(1, 2)
        if not self.mirror_left:
            canonical[np.broadcast_to(sides == "left", len(hands)), :, 0] *= -1
        return canonical.reshape(len(hands), -1)

    def _names(self) -> list[str]:
        return [f"{joint}_{axis}" for joint in JOINTS for axis in "xyz"]


def _read_hands(X: Any) -> np.ndarray:
    """Return the hands (n_samples, 21, 3) that X is or holds, mm.

    Raises
    ------
    InputError
        If they are no hands; it names the rows that are all zero.
    """
    hands = read_poses(X, flat=True)
    if hands.shape[1] != len(JOINTS):
        raise InputError(f"X: expected hands of 21 joints, got {hands.shape[1]}.")
    if len(hands) == 0:
        raise InputError("X: expected at least 1 sample, got 0 sample(s).")
    if np.isinf(hands).any():
        raise InputError("X: expected finite numbers, or NaN where unknown; got infinity.")
    zero = np.flatnonzero((hands == 0).all(axis=(1, 2)))
    if len(zero):
        raise InputError(
            f"X: expected hands, got joints that are all zero in the rows {some_rows(zero)}; "
            "mark unknown joints by NaN."
        )
    return hands


def _read_sides(X: Any, side: str | None) -> np.ndarray:
    """Return the side of all hands, or of each."""
    if side is not None:
        return np.array(check_option(side, "side", SIDES))
    if not isinstance(X, HandFrames):
        raise InputError(
            "side: expected 'left' or 'right' for poses in an array, which has no column `side`; got None."
        )
    return check_frames(X, "side", why=" to tell which hands are left ones").side
