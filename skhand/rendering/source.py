"""From a seed and row numbers to posed hands and their pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch

from skhand._progress import progress
from skhand.rendering.arm import draw_forearms
from skhand.rendering.backgrounds import BACKGROUND_DRAWS, draw_backgrounds
from skhand.rendering.camera import draw_rotations, draw_views
from skhand.rendering.cones import FRAME, build_cones
from skhand.rendering.draws import Draws
from skhand.rendering.gestures import draw_poses
from skhand.rendering.kinematics import forward_kinematics
from skhand.rendering.occluders import OCCLUDER_DRAWS, Occluders, cover_with, plan_occluders
from skhand.rendering.photograph import draw_camera_effects, draw_light, take_photograph
from skhand.rendering.pictures import PICTURE_DRAWS, read_backgrounds
from skhand.rendering.sensor import (
    LOSSY,
    SENSOR_DRAWS,
    STRUCTURED_LIGHT,
    TIME_OF_FLIGHT,
    draw_sensor,
    sense,
)
from skhand.rendering.settings import MOST_SUBJECTS, SENSORS, Settings
from skhand.rendering.shading import shade
from skhand.rendering.skin import Look
from skhand.rendering.strange import Strange, draw_strange
from skhand.rendering.subjects import Subjects, draw_subjects
from skhand.rendering.tracing import Scene, first_hit, smooth, trace

__all__ = ["HandSource", "Poses"]

_POSES = 256
_RIGS = 32
_PIXELS, _PIXELS_ON_GPU = 2**17, 2**23
"""How many pixels are rendered at once: what stays in a processor's cache, or fills a GPU."""
_HIDDEN = 15.0
_SENSORS = dict(zip(SENSORS, (STRUCTURED_LIGHT, TIME_OF_FLIGHT, LOSSY), strict=True))


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
    occluders: Occluders
    strange: Strange
    frames: np.ndarray
    origins: np.ndarray
    lengths: np.ndarray

    def part(self, rows: slice) -> _Rig:
        """Return some of the rows."""
        scene = replace(
            self.scene, **{name: getattr(self.scene, name)[rows] for name in ("a", "b", "radii", "camera")}
        )
        axes = (self.frames[rows], self.origins[rows], self.lengths[rows])
        poses, subjects = _some(self.poses, rows), _some(self.subjects, rows)
        occluders, strange = _some(self.occluders, rows), _some(self.strange, rows)
        return _Rig(poses, scene, subjects, occluders, strange, *axes)


_Table = TypeVar("_Table", Poses, Subjects, Occluders, Strange)


def _some(table: _Table, rows: Any) -> _Table:
    """Return some rows of all fields."""
    return replace(table, **{name: getattr(table, name)[rows] for name in table.__dataclass_fields__})


@dataclass(frozen=True)
class HandSource:
    """Makes any rows of a generated data set; small, and equal parameters make equal rows.

    Parameters
    ----------
    seed : int
    settings : Settings
    """

    seed: int
    settings: Settings

    def poses(self, rows: np.ndarray) -> Poses:
        """Return the rows' poses, cameras and visibility, without any picture."""
        parts = []
        for chunk in progress(_chunks(rows, _POSES), "poses", unit="batch"):
            rig = self._rig(chunk)
            rig.poses.visible = _visible(rig, self.settings.image_size)
            parts.append(rig.poses)
        names = Poses.__dataclass_fields__
        return Poses(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    @property
    def picture_types(self) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
        """Shape and dtype of a row's pictures, by name."""
        size = self.settings.image_size
        return {
            "rgb": ((size, size, 3), np.uint8),
            "depth": ((size, size), np.float32),
            "mask": ((size, size), np.bool_),
        }

    def make(self, rows: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Render the named pictures of the rows, all from one pass.

        Several threads may do so at once.

        Returns
        -------
        pictures : dict of ndarray
            "rgb" (n, size, size, 3) uint8, "depth" (n, size, size) float32 in mm with 0 for the
            background, "mask" (n, size, size) bool.
        """
        if not names:
            return {}
        size, types = self.settings.image_size, self.picture_types
        out = {name: np.empty((len(rows), *types[name][0]), types[name][1]) for name in names}
        pixels = _PIXELS if self.settings.device == "cpu" else _PIXELS_ON_GPU
        step, start = max(1, pixels // (size * size)), 0
        _keep_memory()
        with torch.inference_mode():
            for posed in progress(_chunks(rows, max(_RIGS, step)), "rendering", unit="batch"):
                rig = self._rig(posed)
                ground = self._ground(posed, rig) if "rgb" in names else None
                if ground is not None and self.settings.strange:
                    ground = rig.strange.repaint(ground)
                for first in range(0, len(posed), step):
                    part = slice(first, first + step)
                    behind = None if ground is None else ground[part]
                    made = self._render(rig.part(part), posed[part], names, behind)
                    stop = start + len(posed[part])
                    for name in names:
                        out[name][start:stop] = made[name]
                    start = stop
        return out

    def _people(self, draws: Draws) -> tuple[np.ndarray, Subjects]:
        """Return the rows' people, by number and in the flesh."""
        chosen = self.settings
        subject = np.minimum((draws.uniform() * chosen.n_subjects).astype(int), chosen.n_subjects - 1)
        numbers, where = np.unique(subject, return_inverse=True)
        numbers = numbers + MOST_SUBJECTS * (chosen.domain == "real")
        people = draw_subjects(self.seed, numbers, chosen.shape, chosen.skin)
        people = replace(people, thickness=people.thickness * np.array(chosen.thickness))
        return subject, _some(people, where)

    def _rig(self, rows: np.ndarray) -> _Rig:
        chosen = self.settings
        draws = Draws(self.seed, "pose", rows, 320)
        subject, people = self._people(draws)
        coin = draws.uniform() < 0.5
        is_left = coin if chosen.side == "both" else np.full(len(rows), chosen.side == "left")
        weights = None if chosen.gestures is None else np.array(chosen.gestures)
        angles, gesture = draw_poses(draws, people.bases, people.lengths, weights)
        joints, frames, palm = forward_kinematics(angles, people.bases, people.lengths)
        view = draw_rotations(draws, chosen.rotation)
        turned = _turn(view, joints)
        framing = np.array(chosen.framing) if np.ndim(chosen.framing) == 2 else chosen.framing
        shift, camera, box = draw_views(draws, turned, chosen.image_size, chosen.distance, framing)
        elbow, across, sleeve = draw_forearms(draws, view, shift, chosen.sleeves)
        strange = draw_strange(self.seed, rows, chosen.strange)
        elbow, sleeve = strange.shorten(elbow, sleeve)
        people = replace(people, skin=strange.colour(people.skin))
        a, b, radii = build_cones(joints, frames, palm, people.thickness, people.flesh, elbow, across, sleeve)
        a, b = _turn(view, a) + shift[:, None], _turn(view, b) + shift[:, None]
        placed = turned + shift[:, None]
        pinhole = np.stack([camera[:, 0, 0], camera[:, 1, 1], camera[:, 0, 2], camera[:, 1, 2]], axis=1)
        bodies = [self._tensor(v) for v in (a, b, radii, pinhole)]
        scene = Scene(bodies[0], bodies[1], bodies[2], bodies[3], chosen.image_size)
        axes = np.concatenate(
            [view[:, None] @ frames.reshape(len(rows), 15, 3, 3), view[:, None], view[:, None]], axis=1
        )
        starts = placed[:, [1 + 4 * d + k for d in range(5) for k in range(3)] + [0, 0]]
        palm_length = np.linalg.norm(people.bases[:, 2], axis=1)[:, None]
        lengths = np.concatenate([people.lengths.reshape(-1, 15), palm_length, palm_length], axis=1)
        poses = Poses(angles, gesture, subject, placed, camera, box, np.empty((len(rows), 21), bool), is_left)
        things = Draws(self.seed, "occluder", rows, OCCLUDER_DRAWS)
        plan = plan_occluders(things, _pixels(placed, camera), people.skin, chosen.occluders)
        return _Rig(poses, scene, people, plan, strange, axes, starts, lengths)

    def _render(
        self, rig: _Rig, rows: np.ndarray, images: tuple[str, ...], ground: torch.Tensor | None
    ) -> dict[str, np.ndarray]:
        """Return the named pictures of a few rows; ``rgb`` is laid over ``ground``."""
        n, size, device = len(rows), self.settings.image_size, rig.scene.a.device
        hits = trace(rig.scene)
        normal, depth, inward = smooth(rig.scene, hits, self._tensor(_palmar(rig.frames)))
        flat = torch.zeros(n * size * size, dtype=torch.float32, device=device)
        flat[hits.pixel] = depth
        depths = flat.reshape(n, size, size)
        mask = depths > 0
        layer = None
        if ground is not None:
            draws = Draws(self.seed, "look", rows, 128)
            people = rig.subjects
            light = draw_light(draws, self.seed, rows, self.settings.light, people.habit)
            light = rig.strange.light(light)
            body = (people.skin, people.palm_shift, rig.frames, rig.origins, rig.lengths)
            look = Look(*(self._tensor(v) for v in (*light, *body)))
            colours = torch.zeros(3, n * size * size, dtype=torch.float32, device=device)
            colours[:, hits.pixel] = shade(rig.scene, hits, normal, inward, depth, look)
            layer = colours.reshape(3, n, size, size).transpose(0, 1).contiguous()
        cover = cover_with(rig.occluders, depths, rig.poses.camera[:, 0, 0], layer)
        made = {"mask": mask & ~cover}
        if "depth" in images:
            made["depth"] = self._sensed(depths, rig, rows)
        if ground is not None and layer is not None:
            chosen = self.settings
            options = {name: getattr(chosen, name) for name in ("blur", "noise", "motion", "jpeg")}
            made["rgb"] = take_photograph(
                layer, mask | cover, ground, draw_camera_effects(draws), self.seed, rows, **options
            )
        pictures = {name: picture.cpu().numpy() for name, picture in made.items()}
        for picture in pictures.values():
            picture[rig.poses.is_left] = picture[rig.poses.is_left][:, :, ::-1]
        return pictures

    def _ground(self, rows: np.ndarray, rig: _Rig) -> torch.Tensor:
        """Return what is behind the hands, linear light, shape (n, 3, size, size)."""
        size, device = self.settings.image_size, self.settings.device
        files = self.settings.backgrounds
        if files is None:
            return torch.zeros(len(rows), 3, size, size, dtype=torch.float32, device=device)
        if files == "procedural":
            draws = Draws(self.seed, "background", rows, BACKGROUND_DRAWS)
            return draw_backgrounds(draws, 0.7 * rig.subjects.skin, size, device, rig.strange.sharp)
        return read_backgrounds(files, Draws(self.seed, "background", rows, PICTURE_DRAWS), size, device)

    def _sensed(self, depths: torch.Tensor, rig: _Rig, rows: np.ndarray) -> torch.Tensor:
        """Return the depth pictures as the domain has them."""
        if self.settings.domain == "synthetic":
            return depths
        sensor = _SENSORS[self.settings.sensor]
        values = draw_sensor(Draws(self.seed, "sensor", rows, SENSOR_DRAWS), sensor)
        depth = rig.poses.joints[..., 2]
        centre = self._tensor(0.5 * (depth.min(axis=1) + depth.max(axis=1)))
        return sense(depths, rig.scene.camera, centre, values, sensor, self.seed, rows)

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.settings.device)


def _keep_memory() -> None:
    """Let freed memory stay with the process.

    glibc learns from the largest block that was ever freed (up to 32 MB) what to keep; else it gives the
    arrays of every step back to the system, and to fetch them anew takes longer than the arithmetic.
    """
    torch.empty(7_500_000, dtype=torch.float32, device="cpu")


def _chunks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _turn(rotation: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Rotate points of shape (n, k, 3) by rotations of shape (n, 3, 3), one product at a time."""
    r = rotation[:, None]
    return r[..., 0] * points[..., 0:1] + r[..., 1] * points[..., 1:2] + r[..., 2] * points[..., 2:3]


def _pixels(joints: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Return where joints (n, 21, 3) are in the pictures, px."""
    return joints[..., :2] / joints[..., 2:] * camera[:, None, [0, 1], [0, 1]] + camera[:, None, :2, 2]


def _palmar(frames: np.ndarray) -> np.ndarray:
    """Return the palmar side of each cone, (n, n_cones, 3); the thumb's root shares the palm's."""
    side = frames[..., 2].copy()
    side[:, 0] = side[:, 0] * 0.5 + side[:, 15]
    side = side / np.linalg.norm(side, axis=-1, keepdims=True)
    return side[:, FRAME]


def _visible(rig: _Rig, size: int) -> np.ndarray:
    """Return which joints lie in the frame, not far behind what their own ray meets first, and uncovered."""
    joints, device = rig.poses.joints, rig.scene.a.device
    rays = joints[..., :2] / joints[..., 2:]
    x, y = (torch.as_tensor(rays[..., k], dtype=torch.float32, device=device) for k in range(2))
    with torch.inference_mode():
        first = first_hit(rig.scene, x, y).cpu().numpy()
    pixels = _pixels(joints, rig.poses.camera)
    inside = ((pixels >= -0.5) & (pixels <= size - 0.5)).all(axis=-1)
    return inside & (joints[..., 2] - first <= _HIDDEN) & ~rig.occluders.hides(pixels)
