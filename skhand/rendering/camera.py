"""Views: the rotation to the camera, the place in front of it and the picture's intrinsics."""

from __future__ import annotations

import numpy as np

from skhand.rendering.draws import Draws

__all__ = ["draw_rotations", "draw_views"]

_FRONTAL = np.diag([1.0, -1.0, -1.0])
"""Hand frame to camera frame with the palm to the camera and the fingers up."""
_NEAREST = 170.0
_SKIN = 8.0


def draw_rotations(draws: Draws, largest: float) -> np.ndarray:
    """Return rotations hand frame -> camera frame, shape (n, 3, 3).

    The frontal view (palm to the camera, fingers up) is turned about a random axis by an angle that is
    uniform in [0, ``largest``] degrees.
    """
    axis = draws.normal(3)
    axis = axis / np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.deg2rad(draws.uniform(high=largest))
    cross = np.zeros((len(axis), 3, 3))
    x, y, z = axis.T
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -z, y, -x
    cross = cross - cross.transpose(0, 2, 1)
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    turn = np.eye(3) + sine * cross + (1 - cosine) * (cross @ cross)
    return turn @ _FRONTAL


def draw_views(
    draws: Draws,
    joints: np.ndarray,
    image_size: int,
    distance: tuple[float, float],
    framing: tuple[float, float] | float | np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place hands before a camera.

    Parameters
    ----------
    draws : Draws
    joints : ndarray of shape (n, 21, 3), mm
        Already turned to the camera's axes, wrist at the origin.
    image_size : int, px
    distance : (float, float), mm
        Range of the distance of the hand's middle.
    framing : (float, float), float or ndarray of shape (3, 3)
        A square crop that is so many times as wide as the hand (drawn uniformly to the power 1.5 within the
        range), off centre by up to 8% of itself; a crop around the hand's middle that is so many mm wide
        there; or the intrinsics (px) of a whole picture in which the hand lies about the middle, wholly
        inside where it fits.

    Returns
    -------
    shift : ndarray of shape (n, 3), mm
        Position of the wrist in the camera frame.
    camera : ndarray of shape (n, 3, 3), px
        Intrinsics of the picture.
    box : ndarray of shape (n, 4), px
        The joints' box, 8 mm wider on each side: x, y, width, height.
    """
    n = len(joints)
    far = draws.uniform(low=distance[0], high=distance[1])
    place, off, width = draws.normal(2), draws.uniform(2, low=-0.08, high=0.08), draws.uniform() ** 1.5
    middle = 0.5 * (joints.min(axis=1) + joints.max(axis=1))
    nearest = np.maximum(far, _NEAREST - (joints[..., 2].min(axis=1) - middle[:, 2]))
    lateral = np.clip(0.14 * place, -0.35, 0.35)
    if isinstance(framing, np.ndarray):
        lateral = _inside(joints - middle[:, None], nearest, framing, image_size, place)
    shift = np.concatenate([lateral, np.ones((n, 1))], axis=1) * nearest[:, None] - middle
    placed = joints + shift[:, None]
    flat = placed[..., :2] / placed[..., 2:]
    skin = _SKIN / nearest[:, None]
    low, high = flat.min(axis=1) - skin, flat.max(axis=1) + skin
    camera = np.zeros((n, 3, 3))
    camera[:, 2, 2] = 1.0
    if isinstance(framing, np.ndarray):
        camera[:] = framing
    elif isinstance(framing, tuple):
        side = (high - low).max(axis=1) * (framing[0] + (framing[1] - framing[0]) * width)
        _crop(camera, 0.5 * (low + high) + side[:, None] * off, side, image_size)
    else:
        _crop(camera, lateral, framing / nearest, image_size)
    focal = np.stack([camera[:, 0, 0], camera[:, 1, 1]], axis=1)
    pixels = flat * focal[:, None] + camera[:, None, :2, 2]
    pad = skin * focal
    low, high = pixels.min(axis=1) - pad, pixels.max(axis=1) + pad
    return shift, camera, np.concatenate([low, high - low], axis=1)


def _crop(camera: np.ndarray, middle: np.ndarray, side: np.ndarray, image_size: int) -> None:
    """Write the intrinsics of square crops, given in the plane at depth 1, into ``camera``."""
    focal = image_size / side
    camera[:, 0, 0] = camera[:, 1, 1] = focal
    camera[:, :2, 2] = (0.5 * side[:, None] - middle) * focal[:, None] - 0.5


def _inside(
    joints: np.ndarray, distance: np.ndarray, camera: np.ndarray, image_size: int, place: np.ndarray
) -> np.ndarray:
    """Return where, at depth 1, the middle of each hand is to lie: about the picture's, and inside it."""
    focal, centre = np.diag(camera)[:2], camera[:2, 2]
    nearest = distance + joints[..., 2].min(axis=1)
    # what lies nearer than the middle is seen farther out
    deep = np.abs(joints[..., 2:]).max(axis=1) * (0.5 * image_size / focal)
    half = (np.abs(joints[..., :2]).max(axis=1) + deep + _SKIN) / nearest[:, None] * focal
    room = np.maximum(0.5 * image_size - half, 0.0)
    off = np.clip(0.11 * image_size * place, -room, room)
    return (0.5 * (image_size - 1) + off - centre) / focal
