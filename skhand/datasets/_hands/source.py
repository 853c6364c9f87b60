"""From a seed and row numbers to posed hands and their pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from skhand.datasets._hands.backgrounds import DRAWS, draw_backgrounds
from skhand.datasets._hands.camera import draw_rotations, draw_views
from skhand.datasets._hands.cones import FRAME, build_cones
from skhand.datasets._hands.draws import Draws, raw_bytes
from skhand.datasets._hands.gestures import draw_poses
from skhand.datasets._hands.kinematics import forward_kinematics
from skhand.datasets._hands.shading import Look, shade
from skhand.datasets._hands.subjects import Subjects, draw_subjects
from skhand.datasets._hands.tracing import FAR, Scene, intersect, smooth, trace

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
        shapes = {"rgb": ((size, size, 3), np.uint8), "depth": ((size, size), np.float32), "mask": ((size, size), bool)}
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
        scene = Scene(*(torch.as_tensor(v, dtype=torch.float32) for v in (a, b, radii, pinhole)), self.image_size)
        axes = np.concatenate([view[:, None] @ frames.reshape(len(rows), 15, 3, 3), view[:, None], view[:, None]], axis=1)
        starts = placed.reshape(len(rows), 21, 3)[:, [1 + 4 * d + k for d in range(5) for k in range(3)] + [0, 0]]
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
            look, finish = _look(draws, rig, self.seed, rows)
            colours = shade(rig.scene, hits, normal, inward, depth, look)
            layer = torch.zeros(n * size * size, 3)
            layer[hits.pixel] = colours
            layer = layer.reshape(n, size, size, 3).permute(0, 3, 1, 2).contiguous()
            other = rig.subjects.skin * 0.7
            ground = draw_backgrounds(Draws(self.seed, "background", rows, DRAWS), other, size)
            made["rgb"] = _finish(layer, made["mask"], ground, finish, self.seed, rows)
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
    first = np.full(joints.shape[:2], FAR)
    with torch.inference_mode():
        for k in range(scene.a.shape[1]):
            z = intersect(scene.a[:, k, None], scene.b[:, k, None], scene.radii[:, k, None], x, y)[:, 0]
            first = np.minimum(first, z.numpy())
    pixels = rays * camera[:, None, [0, 1], [0, 1]] + camera[:, None, :2, 2]
    inside = ((pixels >= -0.5) & (pixels <= size - 0.5)).all(axis=-1)
    return inside & (joints[..., 2] - first <= _HIDDEN)


def _look(draws: Draws, rig: _Rig, seed: int, rows: np.ndarray) -> tuple[Look, dict[str, np.ndarray]]:
    """Draw light, colours and the picture's finish."""
    n = len(rows)
    key = draws.normal(3) * np.array([0.8, 0.6, 0.6]) + np.array([0.0, -0.8, -0.7])
    key = key / np.maximum(np.linalg.norm(key, axis=1, keepdims=True), 1e-3)
    warmth = 0.12 * np.clip(draws.normal(2, 1), -2, 2) * np.array([1.0, 0.1, -1.0])
    strength = draws.uniform(low=0.25, high=1.0)[:, None]
    ambient = draws.uniform(low=0.3, high=0.75)[:, None]
    sky = ambient * (1 + warmth[:, 1] + 0.03 * draws.normal(3))
    ground = ambient * draws.uniform(low=0.45, high=1.0)[:, None] * (1 + 0.06 * draws.normal(3) + 0.08 * np.array([1, 0, -1]))
    value, tint = draws.uniform(2, 1) ** 1.7, draws.uniform(2, 3)
    sleeve = value * (0.35 + 0.65 * tint)
    plain = draws.uniform() < 0.7
    sleeve[:, 1] = np.where(plain[:, None], sleeve[:, 0], sleeve[:, 1])
    stripes = draws.uniform(low=40.0, high=250.0)
    detail = np.stack([draws.uniform(low=0.06, high=0.32), draws.uniform(low=0.2, high=1.0), 0.22 * draws.uniform() ** 2, draws.uniform(low=0.3, high=1.2)], axis=1)
    finish = {
        "exposure": np.exp(0.30 * draws.normal() - 0.02),
        "balance": 1 + 0.05 * np.clip(draws.normal(3), -2, 2),
        "contrast": 1 + 0.12 * np.clip(draws.normal(), -2, 2),
        "saturation": 1 + 0.13 * np.clip(draws.normal(), -2, 2),
        "blur": draws.uniform(),
        "blur_ground": draws.uniform(),
        "noise": 0.022 * draws.uniform() ** 1.5,
    }
    texture = np.stack([raw_bytes(seed ^ 0x5BD1, int(row), 1024).reshape(32, 32) for row in rows]) / 127.5 - 1.0
    arrays = (rig.subjects.skin, rig.subjects.palm_shift, sleeve, stripes, key, 0.9 * strength * (1 + warmth[:, 0]), sky, ground, detail, texture, rig.frames, rig.origins, rig.lengths)
    return Look(*(torch.as_tensor(array, dtype=torch.float32) for array in arrays)), finish


def _soften(picture: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Blur with a 3 x 3 kernel; ``amount`` (n,) runs from 0 (nothing) to 1 (1-2-1)."""
    side = 0.25 * amount[:, None, None, None]
    for axis in (2, 3):
        one = torch.cat([picture.narrow(axis, 0, 1), picture.narrow(axis, 0, picture.shape[axis] - 1)], dim=axis)
        two = torch.cat([picture.narrow(axis, 1, picture.shape[axis] - 1), picture.narrow(axis, picture.shape[axis] - 1, 1)], dim=axis)
        picture = picture * (1 - 2 * side) + (one + two) * side
    return picture


def _finish(
    layer: torch.Tensor, mask: torch.Tensor, ground: torch.Tensor, finish: dict[str, np.ndarray], seed: int, rows: np.ndarray
) -> torch.Tensor:
    """Lay the hand over its background and take the photograph; returns (n, size, size, 3) uint8."""
    values = {name: torch.as_tensor(value, dtype=torch.float32) for name, value in finish.items()}
    n = len(layer)
    ones = torch.ones(n)
    for _ in range(2):
        ground = _soften(ground, (values["blur_ground"] * 2.0 - 0.4).clamp(0.0, 1.0))
    cover = mask.to(torch.float32)[:, None]
    alpha, spread = _soften(cover, ones), _soften(layer, ones)
    # inside the hand its own colour, in the rim the colour spread outwards
    colour = torch.where(cover > 0, layer, spread / alpha.clamp_min(0.05))
    edge = torch.where(cover > 0, 1.0 - (1.0 - alpha) * 0.6, alpha * 0.6)
    picture = ground * (1 - edge) + colour * edge
    picture = _soften(picture, (values["blur"] * 1.6 - 0.5).clamp(0.0, 1.0))
    picture = picture * values["exposure"][:, None, None, None] * values["balance"][:, :, None, None]
    picture = picture.clamp(0.0, 4.0).sqrt()
    grey = (0.3 * picture[:, 0] + 0.59 * picture[:, 1] + 0.11 * picture[:, 2])[:, None]
    picture = grey + (picture - grey) * values["saturation"][:, None, None, None]
    picture = 0.45 + (picture - 0.45) * values["contrast"][:, None, None, None]
    count = picture[0].numel()
    grain = np.stack([raw_bytes(seed, int(row), 2 * count).reshape(2, *picture.shape[1:]) for row in rows])
    speckle = torch.as_tensor(grain[:, 0].astype(np.float32) - grain[:, 1].astype(np.float32))
    picture = picture + speckle * (values["noise"] / 104.0)[:, None, None, None]
    return (picture.clamp(0.0, 1.0) * 255.0 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
