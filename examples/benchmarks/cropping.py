"""Images/s of `HandCropper` beside loops over OpenCV, 640x480 -> 256x256, alternating in one run.

* ``skhand antialiased``: `HandCropper` on pictures in memory, table to table; it averages where it shrinks.
* ``skhand bilinear``: the same with ``antialias=False``.
* ``cv2.resize area``: a loop over ``cv2.resize`` of a slice with INTER_AREA, OpenCV's antialiased one.
* ``cv2.resize linear``: the same with INTER_LINEAR, which does not antialias.
* ``cv2.warpAffine``: a loop over ``cv2.warpAffine`` with INTER_LINEAR, which does not antialias.

Each loop writes into one new array, and each side gets the same number of threads. Threads and the machine
decide the absolute numbers; only the ratios within a run mean something. Needs opencv-python-headless, which
is none of skhand's dependencies.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from skhand import HandFrames
from skhand.preprocessing import HandCropper


def skhand(antialias: bool) -> Callable[[HandFrames, int], np.ndarray]:
    """The boxes are squares of whole pixels, and the crops just these."""

    def crop(frames: HandFrames, size: int) -> np.ndarray:
        return HandCropper(size, margin=1.0, antialias=antialias).fit_transform(frames).rgb

    return crop


def resize(interpolation: int) -> Callable[[HandFrames, int], np.ndarray]:
    """A loop over ``cv2.resize``."""

    def loop(frames: HandFrames, size: int) -> np.ndarray:
        pictures, out = frames.rgb, np.empty((len(frames), size, size, 3), np.uint8)
        for i, (x, y, width, height) in enumerate(pixels(frames)):
            piece = pictures[i, y : y + height, x : x + width]
            out[i] = cv2.resize(piece, (size, size), interpolation=interpolation)
        return out

    return loop


def warp(frames: HandFrames, size: int) -> np.ndarray:
    """A loop over ``cv2.warpAffine``."""
    pictures, out = frames.rgb, np.empty((len(frames), size, size, 3), np.uint8)
    for i, (x, y, width, _) in enumerate(pixels(frames)):
        factor = size / width
        matrix = np.array(
            [[factor, 0, (0.5 - x) * factor - 0.5], [0, factor, (0.5 - y) * factor - 0.5]], np.float64
        )
        out[i] = cv2.warpAffine(pictures[i], matrix, (size, size), flags=cv2.INTER_LINEAR)
    return out


def pixels(frames: HandFrames) -> list[list[int]]:
    """First column, first row, width and height of the boxes, px."""
    return np.rint(frames.box + (0.5, 0.5, 0, 0)).astype(int).tolist()


def draw_frames(n_samples: int, low: int, high: int) -> HandFrames:
    """Smooth random pictures with square boxes of whole pixels inside them."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (n_samples, 24, 32, 3), dtype=np.uint8)
    rgb = np.stack([cv2.resize(picture, (640, 480), interpolation=cv2.INTER_CUBIC) for picture in coarse])
    side = rng.integers(low, high + 1, n_samples)
    corner = np.column_stack([rng.integers(0, 640 - side + 1), rng.integers(0, 480 - side + 1)])
    return HandFrames(rgb=rgb, box=np.column_stack([corner - 0.5, side, side]))


LOOPS: dict[str, Callable[[HandFrames, int], np.ndarray]] = {
    "skhand antialiased": skhand(True),
    "cv2.resize area": resize(cv2.INTER_AREA),
    "skhand bilinear": skhand(False),
    "cv2.resize linear": resize(cv2.INTER_LINEAR),
    "cv2.warpAffine": warp,
}


def main() -> None:
    """Alternate the five for each range of window sizes and print images/s and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-samples", type=int, default=128)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--sides", nargs="*", default=["100-256", "257-480", "100-480"], help="window, px")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    results = {}
    for sides in args.sides:
        frames = draw_frames(args.n_samples, *map(int, sides.split("-")))
        crops = {name: loop(frames, args.size).astype(int) for name, loop in LOOPS.items()}  # and a warm-up
        speeds: dict[str, list[float]] = {name: [] for name in LOOPS}
        for _ in range(args.rounds):
            for name, loop in LOOPS.items():
                start = time.perf_counter()
                loop(frames, args.size)
                speeds[name].append(args.n_samples / (time.perf_counter() - start))
        ratios: dict[str, dict[str, float]] = {}
        print(f"windows of {sides} px, {args.threads} threads")
        for ours in LOOPS:
            print(f"  {ours:18} {np.median(speeds[ours]):7.0f} images/s")
            for other in LOOPS:
                if ours.startswith("skhand") and other.startswith("cv2"):
                    ratio = float(np.median(np.array(speeds[ours]) / speeds[other]))
                    best = max(speeds[ours]) / max(speeds[other])
                    ratios.setdefault(ours, {})[other] = ratio
                    apart = float(np.abs(crops[ours] - crops[other]).mean())
                    print(f"    {ratio:.2f} times {other} (best rounds {best:.2f}), {apart:.2f} of 255 apart")
        results[sides] = {"images_per_s": speeds, "median_ratios": ratios}
    if args.out:
        settings = {name: value for name, value in vars(args).items() if name != "out"}
        versions = {"torch": torch.__version__, "cv2": cv2.__version__}
        machine = platform.processor() or platform.machine()
        summary = {"settings": settings, "machine": machine, "versions": versions, "windows": results}
        args.out.write_text(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
