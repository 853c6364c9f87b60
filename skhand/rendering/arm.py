"""The forearm: where it goes from the wrist, and its sleeve."""

from __future__ import annotations

import numpy as np

from skhand.rendering.draws import Draws

__all__ = ["draw_forearms"]

_LENGTH = 640.0
_BEND = 1.2
_TOWARDS = -0.45


def draw_forearms(
    draws: Draws, view: np.ndarray, shift: np.ndarray, sleeves: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the forearm's end, the direction across it, and the sleeve.

    The forearm leaves the wrist within some 45 degrees of the palm's axis. Where it would come at the camera
    and hide the hand, the wrist bends further, by 70 degrees at most; and the arm is cut before it reaches
    the camera.

    Parameters
    ----------
    draws : Draws
    view : ndarray of shape (n, 3, 3)
        Hand frame to camera frame.
    shift : ndarray of shape (n, 3), mm
        The wrist, camera frame.
    sleeves : float, 0 to 1
        Share of the arms that wear one.

    Returns
    -------
    elbow : ndarray of shape (n, 3), mm
        End of the forearm, hand frame.
    across : ndarray of shape (n, 3)
        Unit vector across the forearm, hand frame.
    sleeve : ndarray of shape (n, 3)
        Distance of the sleeve's hem from the wrist (mm), whether it is there, how loose it is (mm).
    """
    n = len(view)
    bend = np.clip(draws.normal(2) * np.array([0.25, 0.35]), -0.75, 0.75)
    direction = np.stack([bend[:, 0], -np.ones(n), bend[:, 1]], axis=1)
    direction = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    direction = _out_of_sight(direction, view[:, 2])
    towards = (direction * view[:, 2]).sum(axis=1)
    room = np.minimum(shift[:, 2] - 130.0, 0.4 * shift[:, 2]) / np.maximum(-towards, 1e-6)
    length = np.where(towards < 0, np.minimum(_LENGTH, np.maximum(room, 30.0)), _LENGTH)
    roll = 0.5 * draws.normal()
    across = np.stack([np.cos(roll), np.zeros(n), np.sin(roll)], axis=1)
    across = across - direction * (across * direction).sum(axis=1, keepdims=True)
    across = across / np.linalg.norm(across, axis=1, keepdims=True)
    hem = 15.0 + 120.0 * draws.uniform() ** 1.2 + 90.0 * np.clip(-towards, 0.0, 1.0)
    on = draws.uniform() < sleeves
    loose = 2.0 + 8.0 * draws.uniform()
    return direction * length[:, None], across, np.stack([hem, on.astype(float), loose], axis=1)


def _out_of_sight(direction: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """Turn directions (n, 3) away from the camera, to a cosine of -0.45 with ``forward`` if the wrist can."""
    cosine = (direction * forward).sum(axis=1)
    aside = direction - cosine[:, None] * forward
    # an arm that points straight at the camera may go either way: to the back of the hand
    aside = aside + np.where(np.abs(cosine) > 0.999, 0.1, 0.0)[:, None] * np.array([0.0, 0.0, -1.0])
    aside = aside / np.maximum(np.linalg.norm(aside, axis=1, keepdims=True), 1e-9)
    wanted = _TOWARDS * forward + np.sqrt(1 - _TOWARDS**2) * aside
    wanted = np.where((cosine < _TOWARDS)[:, None], wanted, direction)
    axis = np.array([0.0, -1.0, 0.0])
    along = wanted[:, 1] * -1.0
    beside = wanted - along[:, None] * axis
    beside = beside / np.maximum(np.linalg.norm(beside, axis=1, keepdims=True), 1e-9)
    limit = np.cos(_BEND) * axis + np.sin(_BEND) * beside
    return np.where((along < np.cos(_BEND))[:, None], limit, wanted)
