"""Speed and memory of `make_hands`, and how its pictures and poses hold against what was asked of them.

* images/s: RGB, depth and mask with shadow, all from one pass, after a warm-up; the median of some rounds.
* memory: largest resident set of a fresh process that renders batches of 64, above what it had after the
  imports (Linux).
* poses/s: drawn and rejected poses with people, cameras and visibility, but without pictures.
* overlap: share of poses in which two parts lie more than 8 mm in one another.
* behind the skin: how far (mm) the joints that are marked visible lie behind the depth picture.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from skhand.datasets import make_hands
from skhand.rendering.contact import overlap

_MEMORY = """
from skhand.datasets import make_hands
def resident(name):
    status = open("/proc/self/status").read()
    return int(status.split(name + ":")[1].split()[0]) / 1024
before = resident("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew: imports have one of their own
hands = make_hands(512, image_size={size}, random_state=0, lazy=True)
for start in range(0, 512, 64):
    for name in ("rgb", "depth", "mask"):
        getattr(hands.data, name)[start : start + 64]
print(before, resident("VmHWM"))
"""


def images_per_second(size: int, rounds: int) -> float:
    """Median over rounds of a few seconds each."""
    count = max(32, 64 * 128 * 128 // size**2)
    speeds = []
    for seed in range(rounds + 1):
        start = time.perf_counter()
        make_hands(count, image_size=size, random_state=seed)
        speeds.append(count / (time.perf_counter() - start))
    return float(np.median(speeds[1:]))


def megabytes(size: int) -> tuple[float, float]:
    """Resident set (MB) after the imports, and at its peak later."""
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY.format(size=size)], capture_output=True, text=True, check=True
    )
    before, peak = map(float, done.stdout.split())
    return before, peak


def poses_per_second(rounds: int) -> float:
    """Median over rounds of 4 000 poses."""
    speeds = []
    for seed in range(rounds + 1):
        start = time.perf_counter()
        make_hands(4000, images=(), random_state=seed)
        speeds.append(4000 / (time.perf_counter() - start))
    return float(np.median(speeds[1:]))


def overlaps(n_samples: int) -> np.ndarray:
    """Depth of the deepest overlap of each pose, mm."""
    hands = make_hands(n_samples, images=(), side="right", n_subjects=200, random_state=0)
    chains = hands.target[:, 1:].reshape(-1, 5, 4, 3)
    lengths = np.linalg.norm(np.diff(chains, axis=2), axis=-1)
    return overlap(hands.target - hands.target[:, :1], lengths)


def behind_the_skin(n_samples: int, size: int) -> np.ndarray:
    """How far visible joints lie behind the depth picture, mm."""
    hands = make_hands(n_samples, image_size=size, images=("depth",), n_subjects=50, random_state=1)
    pixel = np.rint(hands.data.keypoints2d).astype(int)
    row, joint = np.nonzero(hands.visible & ((pixel >= 0) & (pixel < size)).all(axis=-1))
    depth = hands.data.depth[row, pixel[row, joint, 1], pixel[row, joint, 0]]
    return hands.target[row, joint, 2] - depth


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="*", type=int, default=[64, 128, 256], help="px")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    result: dict[str, object] = {
        "threads": args.threads,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {platform.system()}, {torch.backends.cpu.get_cpu_capability()}",
    }
    result["images_per_second"] = {size: images_per_second(size, args.rounds) for size in args.sizes}
    result["poses_per_second"] = poses_per_second(args.rounds)
    before, peak = megabytes(128)
    result["megabytes"] = {"after_imports": before, "peak": peak, "above": peak - before}
    depths = overlaps(20_000)
    result["overlap_share"] = {f"over_{mm}_mm": float((depths > mm).mean()) for mm in (5, 8)}
    gap = behind_the_skin(500, 192)
    result["behind_the_skin_mm"] = {
        "percentiles": {p: float(np.percentile(gap, p)) for p in (1, 5, 50, 95, 99)},
        "share_3_to_16": float(((gap >= 3) & (gap <= 16)).mean()),
    }
    print(json.dumps(result, indent=1))
    if args.out is not None:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
