"""Views: the rotation to the camera, the place in front of it and the crop's intrinsics."""

from __future__ import annotations

import numpy as np

from skhand.datasets._hands.draws import Draws

__all__ = ["draw_rotations", "draw_views"]

_FRONTAL = np.diag([1.0, -1.0, -1.0])
"""Hand frame to camera frame with the palm to the camera and the fingers up."""


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
    draws: Draws, joints: np.ndarray, image_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place hands before a camera and crop the picture as a hand detector would.

    Parameters
    ----------
    draws : Draws
    joints : ndarray of shape (n, 21, 3), mm
        Already turned to the camera's axes, wrist at the origin.
    image_size : int, px

    Returns
    -------
    shift : ndarray of shape (n, 3), mm
        Position of the wrist in the camera frame.
    camera : ndarray of shape (n, 3, 3), px
        Intrinsics of the crop: a square of 1.1 to 1.9 times the hand, off centre by up to 8% of itself.
    box : ndarray of shape (n, 4), px
        The joints' box, 8 mm wider on each side: x, y, width, height.
    """
    n = len(joints)
    distance = draws.uniform(low=300.0, high=900.0)
    lateral = np.clip(0.14 * draws.normal(2), -0.35, 0.35)
    centre = 0.5 * (joints.min(axis=1) + joints.max(axis=1))
    middle = np.concatenate([lateral, np.ones((n, 1))], axis=1) * distance[:, None]
    nearest = np.maximum(distance, 170.0 - (joints[..., 2].min(axis=1) - centre[:, 2]))
    shift = middle * (nearest / distance)[:, None] - centre
    placed = joints + shift[:, None]
    flat = placed[..., :2] / placed[..., 2:]
    skin = 8.0 / nearest[:, None]
    low, high = flat.min(axis=1) - skin, flat.max(axis=1) + skin
    extent = (high - low).max(axis=1)
    side = extent * (1.1 + 0.8 * draws.uniform() ** 1.5)
    corner = 0.5 * (low + high) - side[:, None] * (0.5 + draws.uniform(2, low=-0.08, high=0.08))
    focal = image_size / side
    camera = np.zeros((n, 3, 3))
    camera[:, 0, 0] = camera[:, 1, 1] = focal
    camera[:, :2, 2] = -corner * focal[:, None] - 0.5
    camera[:, 2, 2] = 1.0
    pixels = flat * focal[:, None, None] + camera[:, None, :2, 2]
    pad = skin * focal[:, None]
    low, high = pixels.min(axis=1) - pad, pixels.max(axis=1) + pad
    return shift, camera, np.concatenate([low, high - low], axis=1)
