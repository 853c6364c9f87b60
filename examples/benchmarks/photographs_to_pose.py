"""Whole pictures to hands in 3D: milliseconds on one core beside MediaPipe, and a video that is followed.

``speed``: one 640x480 picture with one hand, again and again, the methods alternating, median of all rounds.

* ``skhand photograph``: `HandTracker.predict`: detector, crop, pose.
* ``skhand video``: `HandTracker.track` with one hand, followed from its last pose.
* ``pose alone``: the pose network's own call on the crop that ``skhand video`` cuts out.
* ``mediapipe photograph``, ``mediapipe video``: MediaPipe Hands, static_image_mode True and False, where it
  is installed.

``follow``: the 400 photographs (``--photographs``, the folder with ``annotations.npz``) as a video, each
pasted into a 640x480 picture of noise at a place and size that wander. A frame without a hand, or with one
that is more than 64 px off, is lost; errors are of all others: in px of the photographs' 256 px, and in mm
after Procrustes.

What was given is printed with each number: the camera (none: a field of view of 60 degrees stands in), and
with ``--box`` the true box in place of the detector's, wherever the tracker asks for one.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from recording import machine

from skhand import HandFrames
from skhand.estimators import LatentHeatmapRegressor
from skhand.geometry import affine_crop, apply_affine, procrustes, project
from skhand.tracking import HandTracker
from skhand.tracking._crops import crop_hands
from skhand.tracking._tracks import box_of
from skhand.training import rows_together

SIZE = (480, 640)  # height and width of a frame


class Frame(NamedTuple):
    """One frame: its picture, the true joints (21, 3), mm, and keypoints (21, 2), px, camera, and zoom."""

    picture: np.ndarray
    joints: np.ndarray
    keypoints: np.ndarray
    camera: np.ndarray
    zoom: float


def move_photographs(folder: Path, *, step: int = 1, seed: int = 0) -> Iterator[Frame]:
    """Yield the photographs, each pasted into a picture of noise at a place and size that wander.

    Parameters
    ----------
    folder : Path
        With ``annotations.npz`` and ``images/%05d.jpg``, crops of 256 px.
    step : int, default=1
        Take every so many of them.
    seed : int, default=0
        Of the background.
    """
    with np.load(folder / "annotations.npz", allow_pickle=False) as file:
        joints, cameras = file["joints_mm"].astype(np.float64), file["K_crop"]
    coarse = np.random.default_rng(seed).integers(60, 180, (12, 16, 3), dtype=np.uint8)
    background = Image.fromarray(coarse).resize(SIZE[::-1], Image.Resampling.BICUBIC)
    for k, i in enumerate(range(0, len(joints), step)):
        photograph = Image.open(folder / "images" / f"{i:05d}.jpg")
        side = round(220 + 50 * np.sin(k / 31))
        left = round((SIZE[1] - side) * (0.5 + 0.45 * np.sin(k / 23)))
        top = round((SIZE[0] - side) * (0.5 + 0.45 * np.cos(k / 17)))
        frame = background.copy()
        frame.paste(photograph.resize((side, side), Image.Resampling.BICUBIC), (left, top))
        move = np.linalg.inv(affine_crop((left - 0.5, top - 0.5, side, side), photograph.size[::-1]))
        keypoints = apply_affine(move, project(joints[i], cameras[i]))
        yield Frame(np.asarray(frame), joints[i], keypoints, move @ cameras[i], side / photograph.width)


class TrueBox:
    """A detector that is told the frame's true box, and its side."""

    def __init__(self) -> None:
        self.frame: Frame | None = None

    def transform(self, pictures: Any) -> HandFrames:
        """Return the one box."""
        assert self.frame is not None
        return HandFrames(box=box_of(*self.frame[1:4])[None], side="left", score=[1.0])


def follow(tracker: HandTracker, frames: list[Frame], *, camera: bool, each_alone: bool) -> dict[str, Any]:
    """Follow the hand through the frames, or find it in each by itself, and return the errors."""
    tracker.reset()
    pixels, millimetres, sides, lost, ids = [], [], [], 0, set()
    for frame in frames:
        if isinstance(tracker.detector, TrueBox):
            tracker.detector.frame = frame
        tracker.set_params(camera=frame.camera if camera else None)
        hands = tracker.predict(frame.picture) if each_alone else tracker.track(frame.picture)
        off = np.linalg.norm(hands.keypoints - frame.keypoints, axis=2).mean(axis=1) / frame.zoom
        if len(off) == 0 or off.min() > 64:  # nothing, or something else than the hand
            lost += 1
            continue
        best = int(off.argmin())
        pixels.append(off[best])
        aligned = procrustes(hands.joints[best][None], frame.joints[None])
        millimetres.append(np.linalg.norm(aligned - frame.joints, axis=2).mean())
        sides.append(hands.side[best] == "left")
        ids |= set() if hands.ids is None else {int(hands.ids[best])}
    known = len(pixels) > 0
    return {
        "frames": len(frames),
        "lost": lost,
        "identities": len(ids),
        "keypoints_px_of_256": round(float(np.mean(pixels)), 2) if known else None,
        "procrustes_mm": round(float(np.mean(millimetres)), 2) if known else None,
        "side_right_share": round(float(np.mean(sides)), 3) if known else None,
        "given": [
            *(["camera"] if camera else []),
            *(["box"] if isinstance(tracker.detector, TrueBox) else []),
        ],
    }


def measure_speed(tracker: HandTracker, frames: list[Frame], rounds: int) -> dict[str, Any]:
    """Median milliseconds of each method, which take turns, on one core."""
    torch.set_num_threads(1)
    tracker.set_params(camera=None)
    frame = frames[0]
    if isinstance(tracker.detector, TrueBox):
        tracker.detector.frame = frame
    tracker.predict(frame.picture)
    pose = tracker.pose_  # that of the library, if none is given
    video = HandTracker(tracker.detector, tracker.pose, max_hands=1, lost_below=0.0)
    crop = crop_hands(
        frame.picture,
        box_of(*frame[1:4])[None],
        np.array(["left"]),
        frame.camera,
        pose.input_shape_[:2],
    )
    methods: dict[str, Callable[[], Any]] = {
        "skhand photograph": lambda: tracker.predict(frame.picture),
        "skhand video": lambda: video.track(frame.picture),
        "pose alone": lambda: answer_crop(pose, crop),
        **mediapipe_methods(frame.picture),
    }
    times: dict[str, list[float]] = {name: [] for name in methods}
    for k in range(rounds + 3):
        for name, method in methods.items():
            start = time.perf_counter()
            method()
            if k >= 3:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: round(float(np.median(each)), 2) for name, each in times.items()}


def answer_crop(pose: Any, crop: HandFrames) -> Any:
    """Answer one crop as the tracker does."""
    with rows_together():
        return pose.predict(crop, return_std=True)


def mediapipe_methods(picture: np.ndarray) -> dict[str, Callable[[], Any]]:
    """MediaPipe Hands on the picture, if it is there."""
    try:
        from mediapipe.python.solutions.hands import Hands
    except ImportError:
        print("mediapipe is not installed: skhand alone is measured")
        return {}
    static, video = (Hands(static_image_mode=mode, max_num_hands=1) for mode in (True, False))
    return {
        "mediapipe photograph": lambda: static.process(picture),
        "mediapipe video": lambda: video.process(picture),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--photographs", type=Path, required=True, help="folder with annotations.npz and images"
    )
    parser.add_argument("--pose", type=Path, default=None, help="weights (default: those that ship)")
    parser.add_argument("--box", action="store_true", help="give the true box in place of the detector's")
    parser.add_argument("--detector", type=Path, default=None, help="weights (default: those that ship)")
    parser.add_argument("--lost-below", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--step", type=int, default=1, help="take every so many photographs")
    parser.add_argument("--out", type=Path, default=None, help="JSON file to write")
    args = parser.parse_args()
    detector: Any = TrueBox()
    if not args.box:
        from skhand.detection import HandDetector

        detector = HandDetector(weights=args.detector)
    pose = None if args.pose is None else LatentHeatmapRegressor.from_pretrained(args.pose)
    frames = list(move_photographs(args.photographs, step=args.step))
    tracker = HandTracker(detector, pose, max_hands=1, lost_below=args.lost_below)
    results: dict[str, Any] = {"machine": machine(), "speed_ms": measure_speed(tracker, frames, args.rounds)}
    print("ms on one core:", results["speed_ms"])
    for name, each_alone in (("photographs", True), ("video", False)):
        for camera in (False, True):
            measured = follow(tracker, frames, camera=camera, each_alone=each_alone)
            results[f"{name}, camera {'given' if camera else 'not given'}"] = measured
            print(name, measured)
    if args.out is not None:
        args.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
