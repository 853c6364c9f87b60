"""From a seed and row numbers to posed hands and their pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from skhand.datasets._hands.backgrounds import BACKGROUND_DRAWS, draw_backgrounds
from skhand.datasets._hands.camera import draw_rotations, draw_views
from skhand.datasets._hands.cones import FRAME, build_cones
from skhand.datasets._hands.draws import Draws
from skhand.datasets._hands.gestures import draw_poses
from skhand.datasets._hands.kinematics import forward_kinematics
from skhand.datasets._hands.photograph import draw_finish, draw_light, finish
from skhand.datasets._hands.shading import Look, shade
from skhand.datasets._hands.subjects import Subjects, draw_subjects
from skhand.datasets._hands.tracing import Scene, intersect, smooth, trace

__all__ = ["HandSource", "Poses"]

CHUNK = 16
_HIDDEN = 20.0


@dataclass
class Poses:
    """Posed hands before the camera, one row each, as right hands.

    Attributes
    ----------
    angles : ndarray of shape (n, 22), degrees
    gesture : ndarray of shape (n,), int
    subject : ndarray of shape (n,), int
    joints : ndarray of shape (n, 21, 3), mm
        Camera frame.
    camera : ndarray of shape (n, 3, 3), px
    box : ndarray of shape (n, 4), px
    visible : ndarray of shape (n, 21), bool
    is_left : ndarray of shape (n,), bool
        Whether the row is mirrored when it is handed out.
    """

    angles: np.ndarray
    gesture: np.ndarray
    subject: np.ndarray
    joints: np.ndarray
    camera: np.ndarray
    box: np.ndarray
    visible: np.ndarray
    is_left: np.ndarray


@dataclass
class _Rig:
    """A posed hand with all that its picture needs."""

    poses: Poses
    scene: Scene
    subjects: Subjects
    frames: np.ndarray
    origins: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True)
class HandSource:
    """Makes any rows of a generated data set; small, and equal parameters make equal rows.

    Parameters
    ----------
    seed : int
    image_size : int, px
    n_subjects : int
    side : {"both", "left", "right"}
    rotation : float, degrees
    """

    seed: int
    image_size: int
    n_subjects: int
    side: str
    rotation: float

    def poses(self, rows: np.ndarray) -> Poses:
        """Return the rows' poses, cameras and visibility, without any picture."""
        parts = []
        for chunk in _chunks(rows, 256):
            rig = self._rig(chunk)
            rig.poses.visible = _visible(rig.scene, rig.poses.joints, rig.poses.camera, self.image_size)
            parts.append(rig.poses)
        names = Poses.__dataclass_fields__
        return Poses(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    def pictures(self, rows: np.ndarray, images: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Render the named pictures of the rows, all from one pass.

        Returns
        -------
        pictures : dict of ndarray
            "rgb" (n, size, size, 3) uint8, "depth" (n, size, size) float32 in mm with 0 for the
            background, "mask" (n, size, size) bool.
        """
        size = self.image_size
        shapes = {
            "rgb": ((size, size, 3), np.uint8),
            "depth": ((size, size), np.float32),
            "mask": ((size, size), bool),
        }
        out = {name: np.empty((len(rows), *shapes[name][0]), shapes[name][1]) for name in images}
        start = 0
        with torch.inference_mode():
            for chunk in _chunks(rows, CHUNK):
                made = self._render(chunk, "rgb" in images)
                for name in images:
                    out[name][start : start + len(chunk)] = made[name]
                start += len(chunk)
        return out

    def _rig(self, rows: np.ndarray) -> _Rig:
        draws = Draws(self.seed, "pose", rows, 320)
        subject = np.minimum((draws.uniform() * self.n_subjects).astype(int), self.n_subjects - 1)
        coin = draws.uniform() < 0.5
        is_left = coin if self.side == "both" else np.full(len(rows), self.side == "left")
        numbers, where = np.unique(subject, return_inverse=True)
        people = draw_subjects(self.seed, numbers)
        people = Subjects(**{name: getattr(people, name)[where] for name in Subjects.__dataclass_fields__})
        angles, gesture = draw_poses(draws, people.bases, people.lengths)
        joints, frames, palm = forward_kinematics(angles, people.bases, people.lengths)
        view = draw_rotations(draws, self.rotation)
        turned = _turn(view, joints)
        shift, camera, box = draw_views(draws, turned, self.image_size)
        elbow, across, sleeve = _forearm(draws, view, shift)
        a, b, radii = build_cones(joints, frames, palm, people.thickness, elbow, across, sleeve)
        a, b = _turn(view, a) + shift[:, None], _turn(view, b) + shift[:, None]
        placed = turned + shift[:, None]
        pinhole = np.stack([camera[:, 0, 0], camera[:, 1, 1], camera[:, 0, 2], camera[:, 1, 2]], axis=1)
        tensors = [torch.as_tensor(v, dtype=torch.float32) for v in (a, b, radii, pinhole)]
        scene = Scene(tensors[0], tensors[1], tensors[2], tensors[3], self.image_size)
        axes = np.concatenate(
            [view[:, None] @ frames.reshape(len(rows), 15, 3, 3), view[:, None], view[:, None]], axis=1
        )
        starts = placed.reshape(len(rows), 21, 3)[
            :, [1 + 4 * d + k for d in range(5) for k in range(3)] + [0, 0]
        ]
        palm_length = np.linalg.norm(people.bases[:, 2], axis=1)[:, None]
        lengths = np.concatenate([people.lengths.reshape(-1, 15), palm_length, palm_length], axis=1)
        poses = Poses(angles, gesture, subject, placed, camera, box, np.empty((0, 21), bool), is_left)
        return _Rig(poses, scene, people, axes, starts, lengths)

    def _render(self, rows: np.ndarray, coloured: bool) -> dict[str, np.ndarray]:
        rig = self._rig(rows)
        n, size = len(rows), self.image_size
        hits = trace(rig.scene)
        normal, depth, inward = smooth(rig.scene, hits, _palmar(rig.frames))
        depths = torch.zeros(n * size * size)
        depths[hits.pixel] = depth
        made = {"depth": depths.reshape(n, size, size)}
        made["mask"] = made["depth"] > 0
        if coloured:
            draws = Draws(self.seed, "look", rows, 128)
            light = draw_light(draws, self.seed, rows)
            people = rig.subjects
            body = (people.skin, people.palm_shift, rig.frames, rig.origins, rig.lengths)
            look = Look(*(torch.as_tensor(v, dtype=torch.float32) for v in (*light, *body)))
            layer = torch.zeros(n * size * size, 3)
            layer[hits.pixel] = shade(rig.scene, hits, normal, inward, depth, look)
            layer = layer.reshape(n, size, size, 3).permute(0, 3, 1, 2).contiguous()
            ground = draw_backgrounds(
                Draws(self.seed, "background", rows, BACKGROUND_DRAWS), 0.7 * people.skin, size
            )
            made["rgb"] = finish(layer, made["mask"], ground, draw_finish(draws), self.seed, rows)
        left = rig.poses.is_left
        pictures = {name: picture.numpy() for name, picture in made.items()}
        for picture in pictures.values():
            picture[left] = picture[left][:, :, ::-1]
        return pictures


def _chunks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _turn(rotation: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Rotate points of shape (n, k, 3) by rotations of shape (n, 3, 3), one product at a time."""
    r = rotation[:, None]
    return r[..., 0] * points[..., 0:1] + r[..., 1] * points[..., 1:2] + r[..., 2] * points[..., 2:3]


def _palmar(frames: np.ndarray) -> torch.Tensor:
    """Return the palmar side of each cone, (n, n_cones, 3); the thumb's root shares the palm's."""
    side = frames[..., 2].copy()
    side[:, 0] = side[:, 0] * 0.5 + side[:, 15]
    side = side / np.linalg.norm(side, axis=-1, keepdims=True)
    return torch.as_tensor(side[:, FRAME], dtype=torch.float32)


def _forearm(draws: Draws, view: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return elbow end and side direction in the hand frame, and the sleeve.

    The forearm leaves the wrist within about 45 degrees of the palm's axis and is cut before it comes
    close to the camera.
    """
    n = len(view)
    bend = np.clip(draws.normal(2) * np.array([0.25, 0.35]), -0.75, 0.75)
    direction = np.stack([bend[:, 0], -np.ones(n), bend[:, 1]], axis=1)
    direction = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    towards = _turn(view, direction[:, None])[:, 0, 2]
    room = np.minimum(shift[:, 2] - 130.0, 0.4 * shift[:, 2]) / np.maximum(-towards, 1e-6)
    length = np.where(towards < 0, np.minimum(230.0, np.maximum(room, 30.0)), 230.0)
    roll = 0.5 * draws.normal()
    across = np.stack([np.cos(roll), np.zeros(n), np.sin(roll)], axis=1)
    across = across - direction * (across * direction).sum(axis=1, keepdims=True)
    across = across / np.linalg.norm(across, axis=1, keepdims=True)
    hem = 15.0 + 120.0 * draws.uniform() ** 1.2
    on = draws.uniform() < 0.55
    loose = 2.0 + 8.0 * draws.uniform()
    return direction * length[:, None], across, np.stack([hem, on.astype(float), loose], axis=1)


def _visible(scene: Scene, joints: np.ndarray, camera: np.ndarray, size: int) -> np.ndarray:
    """Return which joints lie in the frame and at most 20 mm behind what their own ray meets first."""
    rays = joints[..., :2] / joints[..., 2:]
    x, y = (torch.as_tensor(rays[:, None, :, k], dtype=torch.float32) for k in range(2))
    with torch.inference_mode():
        first = intersect(scene.a, scene.b, scene.radii, x, y).amin(dim=1).numpy()
    pixels = rays * camera[:, None, [0, 1], [0, 1]] + camera[:, None, :2, 2]
    inside = ((pixels >= -0.5) & (pixels <= size - 0.5)).all(axis=-1)
    return inside & (joints[..., 2] - first <= _HIDDEN)
