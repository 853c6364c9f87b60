"""Training steps/s of each stage of SimToRealRegressor, and its peak memory: the full preset and a small one.

The full preset is the paper's: 128 px, width 64, and 128, 1 and 32 rows of each domain in a step. The small
one, 64 px and width 8, is that of ``sim_to_real.py``. Pictures are noise: time does not depend on what they
show. Each is trained in a process of its own, whose largest resident memory is the peak; it holds the
interpreter, torch and the pictures too, whose share is ``memory_before_mib``. The first five steps of a stage
are not timed: one measures the gradients, and on a GPU one is recorded, to be replayed from then on.

    python examples/benchmarks/sim_to_real_speed.py --settings small --steps 20
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from recording import machine, save_results
from skorch.callbacks import Callback

from skhand import HandFrames
from skhand.estimators import SimToRealRegressor

STAGES = ("pose", "depth", "posterior")
SETTINGS = {"full": {"image_size": 128, "width": 64}, "small": {"image_size": 64, "width": 8}}
PRESET_BATCHES = (128, 1, 32)
UNTIMED = 5  # steps


class Clock(Callback):
    """Note when each step of each stage ends."""

    def __init__(self) -> None:
        self.ends: list[list[float]] = []

    def on_train_begin(self, net: object, **_: object) -> None:
        """Begin a stage."""
        self.ends.append([])

    def on_batch_end(self, net: object, **_: object) -> None:
        """Note the time when all that was asked of the device is done."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends[-1].append(time.perf_counter())


def memory() -> float:
    """Largest resident memory of this process so far, MiB."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (2**20 if sys.platform == "darwin" else 2**10)


def measure(
    image_size: int, width: int, batch_sizes: list[int], steps: int, device: str
) -> dict[str, object]:
    """Train each stage for some steps, in a process that does nothing else."""
    rng, n = np.random.default_rng(0), max(batch_sizes)
    depth = rng.uniform(400, 600, (2 * n, image_size, image_size)).astype(np.float32)
    X = HandFrames(depth=depth, domain=np.repeat(["synthetic", "real"], n))
    y = rng.normal([0.0, 0.0, 500.0], 40.0, (2 * n, 21, 3))
    y[n:] = np.nan
    before, clock = memory(), Clock()
    sizes = dict(zip(STAGES, batch_sizes, strict=True))
    fitted = SimToRealRegressor(
        width=width,
        given=("root",),
        max_iter=steps + UNTIMED,
        batch_size=sizes,
        callbacks=[clock],
        device=device,
        random_state=0,
    ).fit(X, y)
    on_gpu = fitted.device_.type == "cuda"
    return {
        "image_size": image_size,
        "width": width,
        "batch_sizes": sizes,
        "n_parameters": fitted.n_parameters_,
        "device": str(fitted.device_),
        "steps_per_s": {
            stage: steps / (ends[-1] - ends[UNTIMED - 1])
            for stage, ends in zip(STAGES, clock.ends, strict=True)
        },
        "memory_before_mib": before,
        "peak_memory_mib": memory(),
        "peak_gpu_memory_mib": torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None,
    }


def main() -> None:
    """Measure each setting and print steps/s and memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each stage (default: 5)")
    parser.add_argument(
        "--batch-sizes", type=int, nargs=3, default=PRESET_BATCHES, help="pose, depth, posterior"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("sim_to_real_speed.json"))
    args = parser.parse_args()
    if args.steps < 1:
        parser.error(f"--steps: expected at least 1, got {args.steps}")
    results = {"machine": machine(), "steps": args.steps, "rows": []}
    for setting in args.settings:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
            asked = alone.submit(
                measure,
                **SETTINGS[setting],
                batch_sizes=list(args.batch_sizes),
                steps=args.steps,
                device=args.device,
            )
            row = {"setting": setting, **asked.result()}
        results["rows"].append(row)
        save_results(results, args.out)
        speeds = ", ".join(f"{stage} {speed:.3g}" for stage, speed in row["steps_per_s"].items())
        print(f"{setting}: steps/s {speeds}; peak memory {row['peak_memory_mib']:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
