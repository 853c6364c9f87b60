"""The 2.5D pose of Iqbal et al. 2018: pixels and scale-free relative depths, and absolute 3D from them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skhand._validation import check_camera, check_numbers, describe, read_numbers
from skhand.exceptions import InputError
from skhand.geometry._align import bone_length, check_bone
from skhand.geometry._camera import backproject, per_row, project
from skhand.skeleton import JOINTS, root_position

__all__ = ["Decoded25D", "Encoded25D", "decode_25d", "encode_25d", "find_root_depth"]


class Encoded25D(NamedTuple):
    """The result of `encode_25d`.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 21, 3)
        u and v (px), and the depth relative to the root in units of the bone.
    scale : ndarray of shape (n_samples,), mm
        Length of the bone.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.geometry import encode_25d
    >>> hands = make_hands(2, images=(), random_state=0)
    >>> encoded = encode_25d(hands.target, hands.data.camera)
    >>> [(name, part.shape) for name, part in encoded._asdict().items()]
    [('points', (2, 21, 3)), ('scale', (2,))]
    """

    points: np.ndarray
    scale: np.ndarray


class Decoded25D(NamedTuple):
    """The result of `decode_25d`; counts are sums of the masks.

    Parameters
    ----------
    joints : ndarray of shape (n_samples, 21, 3), mm, or units of the bone where no scale was given
        Joints in the camera frame.
    root_depth : ndarray of shape (n_samples,), same unit
        Depth of the root along z.
    clamped : ndarray of shape (n_samples,), bool
        No root depth gives the bone its length (a negative discriminant, taken as 0): the one that comes
        nearest was used.
    ambiguous : ndarray of shape (n_samples,), bool
        Two positive root depths fit; the larger one was used.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.geometry import decode_25d, encode_25d
    >>> hands = make_hands(2, images=(), random_state=0)
    >>> encoded = encode_25d(hands.target, hands.data.camera)
    >>> decode_25d(encoded.points, hands.data.camera, encoded.scale)._fields
    ('joints', 'root_depth', 'clamped', 'ambiguous')
    """

    joints: np.ndarray
    root_depth: np.ndarray
    clamped: np.ndarray
    ambiguous: np.ndarray


def encode_25d(
    joints: Any, camera: Any, *, root: str | int = "palm", bone: tuple[str, str] = ("index_mcp", "wrist")
) -> Encoded25D:
    """Turn poses into pixels and scale-free depths relative to the root (Iqbal et al. 2018, section 3.1).

    Parameters
    ----------
    joints : array-like of shape (n_samples, 21, 3), mm, camera frame
        Joints in canonical order. NaN stays NaN.
    camera : array-like of shape (3, 3) or (n_samples, 3, 3), px
        Intrinsics.
    root : str or int, default="palm"
        The joint that depths are relative to: a name, an index, or ``"palm"``: half way between the wrist and
        the middle MCP.
    bone : tuple of two str, default=("index_mcp", "wrist")
        Joint names, or ``"palm"``: their distance is the unit (C = 1). The paper takes the index MCP and its
        root joint, which it calls palm; of the 21 joints here that is the wrist.

    Returns
    -------
    encoded : Encoded25D
        ``points`` (u and v in px, depth in bones) and ``scale`` (mm).

    Raises
    ------
    InputError
        If there are not 21 joints, one is infinite, or the root or the bone is unknown.

    References
    ----------
    .. [1] U. Iqbal, P. Molchanov, T. Breuel, J. Gall, J. Kautz. Hand Pose Estimation via Latent 2.5D Heatmap
       Regression. ECCV 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.datasets import make_hands
    >>> from skhand.geometry import decode_25d, encode_25d
    >>> hands = make_hands(5, images=(), random_state=0)
    >>> points, scale = encode_25d(hands.target, hands.data.camera)
    >>> back = decode_25d(points, hands.data.camera, scale)
    >>> bool(np.abs(back.joints - hands.target).max() < 1e-6)
    True
    """
    joints = check_numbers(joints, "joints", ("n_samples", len(JOINTS), 3), allow_nan=True)
    per_row(check_camera(camera), joints, "camera", "joints")
    scale = bone_length(joints, bone)
    depth = joints[..., 2] - root_position(joints, root)[:, None, 2]
    unit = np.where(scale > 0, scale, np.nan)[:, None]
    return Encoded25D(np.concatenate([project(joints, camera), (depth / unit)[..., None]], axis=-1), scale)


def decode_25d(
    points: Any,
    camera: Any,
    scale: Any = None,
    *,
    root: str | int = "palm",
    bone: tuple[str, str] = ("index_mcp", "wrist"),
) -> Decoded25D:
    """Recover absolute poses from 2.5D ones (Iqbal et al. 2018, section 3.2).

    The root's depth Z makes the bone as long as it is. With the pixels' rays r = K^-1 (u, v, 1), joint k lies
    at (Z + z_k) r_k, so the bone is the vector Z A + B, and ``|Z A + B| = 1`` is a quadratic equation:
    a = A.A, b = 2 A.B, c = B.B - 1. That is Eq. 6 of the paper with the factor 2 that its b lacks, and holds
    for ``"palm"``, a mean of two joints, as well. Of its two solutions the larger is used, as in the paper;
    where both are positive (the bone points at the camera, a close hand), the smaller may be the true one.

    Parameters
    ----------
    points : array-like of shape (n_samples, 21, 3)
        u, v (px) and depth relative to the root, in units of the bone.
    camera : array-like of shape (3, 3) or (n_samples, 3, 3), px
        Intrinsics.
    scale : float or array-like of shape (n_samples,), mm, default=None
        Length of the bone, NaN where it is not known; None leaves the poses in units of the bone.
    root : str or int, default="palm"
        As in `encode_25d`.
    bone : tuple of two str, default=("index_mcp", "wrist")
        As in `encode_25d`.

    Returns
    -------
    decoded : Decoded25D
        ``joints``, ``root_depth``, and which rows were ``clamped`` or ``ambiguous``. NaN where the two ends
        of the bone, or the root, are not known.

    Raises
    ------
    InputError
        If there are not 21 points, one is infinite, the root or the bone is unknown, or a scale does not fit
        or is neither above 0 nor NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.datasets import make_hands
    >>> from skhand.geometry import decode_25d, encode_25d
    >>> hands = make_hands(2, images=(), random_state=0)
    >>> encoded = encode_25d(hands.target, hands.data.camera)
    >>> decoded = decode_25d(encoded.points, hands.data.camera, encoded.scale)
    >>> bool(np.allclose(decoded.joints, hands.target))
    True
    """
    points = check_numbers(points, "points", ("n_samples", len(JOINTS), 3), allow_nan=True)
    check_bone(bone)
    root_position(points, root)  # the root is that of the depths; it only has to be one
    length = _lengths(scale, len(points))
    rays = backproject(points[..., :2], 1.0, camera)
    z, clamped, ambiguous = find_root_depth(rays, points[..., 2], bone)
    joints = rays * ((z[:, None] + points[..., 2]) * length[:, None])[..., None]
    return Decoded25D(joints, z * length, clamped, ambiguous)


def find_root_depth(
    rays: np.ndarray, depth: np.ndarray, bone: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the depth of the root that makes a bone 1 long, see `decode_25d`; nothing is checked.

    Parameters
    ----------
    rays : ndarray of shape (n_samples, 21, 3)
        Points at depth 1 behind the pixels.
    depth : ndarray of shape (n_samples, 21), bones
        Relative to the root.
    bone : tuple of two str
        Joint names, or ``"palm"``.

    Returns
    -------
    root_depth : ndarray of shape (n_samples,), bones
    clamped, ambiguous : ndarray of shape (n_samples,), bool
        As of `Decoded25D`.
    """
    both = np.stack([rays, depth[..., None] * rays])
    first, second = (root_position(both, name) for name in bone)
    slope, offset = first - second  # the bone is Z * slope + offset
    a, b, c = (slope**2).sum(-1), 2 * (slope * offset).sum(-1), (offset**2).sum(-1) - 1
    discriminant = b**2 - 4 * a * c
    with np.errstate(divide="ignore", invalid="ignore"):
        width = np.sqrt(np.maximum(discriminant, 0.0))
        # two forms of the larger solution, each where it adds numbers of one sign; -b / 2a if none is real
        z = np.where((b > 0) & (discriminant >= 0), -2 * c / (b + width), (width - b) / (2 * a))
        z = np.where(np.isfinite(z), z, np.nan)
    return z, discriminant < 0, (discriminant > 0) & (b < 0) & (c > 0)


def _lengths(scale: Any, n_samples: int) -> np.ndarray:
    if scale is None:
        return np.ones(n_samples)
    lengths = read_numbers(scale, "scale")
    if lengths.shape not in ((), (n_samples,)):
        raise InputError(
            f"scale: expected a number or shape ({n_samples},), one a row of points, got {describe(scale)}."
        )
    lengths = check_numbers(
        lengths, "scale", lengths.shape, low=0, include_low=False, allow_nan=True, what="lengths above 0 (mm)"
    )
    return np.broadcast_to(lengths, (n_samples,))
