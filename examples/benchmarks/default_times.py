"""Measure the default fit of each estimator on a processor by a few steps of each stage.

A fit of 1 000 pictures of 128 px is not run to its end: its steps are timed, the first of each stage left
out, and counted. CPU seconds are those of all threads, so that they mean something on a busy machine too.
What is on file is not measured again. ::

    OMP_NUM_THREADS=1 python examples/benchmarks/default_times.py --out default_times.json
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from recording import begin_or_go_on, machine, save_results
from skorch.callbacks import Callback

from skhand import concat_frames
from skhand.datasets import make_hands
from skhand.estimators import (
    AlignedLatentRegressor,
    CrossModalVAERegressor,
    LatentHeatmapRegressor,
    SimToRealRegressor,
)
from skhand.estimators.sim_to_real.settings import PRESETS
from skhand.training import format_duration

N_ROWS = 1000
NAMES = ["CrossModalVAERegressor", "AlignedLatentRegressor", "LatentHeatmapRegressor", "SimToRealRegressor"]


class Clock(Callback):
    """CPU and wall seconds of every step, by the name of its stage."""

    def __init__(self, estimator: Any):
        self.estimator, self.steps = estimator, {}

    def on_batch_begin(self, net: Any, **_: Any) -> None:
        self.start = time.process_time(), time.perf_counter()

    def on_batch_end(self, net: Any, **_: Any) -> None:
        seconds = time.process_time() - self.start[0], time.perf_counter() - self.start[1]
        self.steps.setdefault(getattr(self.estimator, "stage_", "all"), []).append(seconds)


def time_fit(estimator: Any, X: Any, y: Any, n_steps: dict[str, int] | int) -> dict[str, Any]:
    """Fit for a few steps; return what the stages of a default fit would take, of so many steps."""
    clock = Clock(estimator)
    estimator.set_params(callbacks=[clock], random_state=0).fit(X, y)
    stages = {}
    for name, steps in clock.steps.items():
        cpu, wall = np.median(steps[1:], axis=0)
        n = n_steps[name] if isinstance(n_steps, dict) else n_steps
        stages[name] = {"steps": n, "cpu_s_a_step": cpu, "wall_s_a_step": wall, "cpu_h": n * cpu / 3600}
    return {"stages": stages, "cpu_h": sum(stage["cpu_h"] for stage in stages.values())}


def plan_fit(name: str, options: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    """An estimator of few steps, data for it, and how many steps a default fit has."""
    if name == "SimToRealRegressor":
        parts = [make_hands(64, images=("depth",), domain=each, **options) for each in ("synthetic", "real")]
        X, y = concat_frames([part.data for part in parts]), np.concatenate([part.target for part in parts])
        few = {"pose": 20, "depth": 3, "posterior": 6}
        return SimToRealRegressor(given=("root",), max_iter=few), X, y, PRESETS["paper"]["max_iter"]
    hands = make_hands(192, images=("rgb",), **options)
    if name == "LatentHeatmapRegressor":
        return LatentHeatmapRegressor(max_epochs=1), hands.data, hands.target, -(-N_ROWS // 32) * 100
    estimator = {each.__name__: each for each in (CrossModalVAERegressor, AlignedLatentRegressor)}[name](
        given=("root",), max_epochs=2
    )
    return estimator, hands.data, hands.target, -(-N_ROWS // 64) * 100


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES, help="estimators")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path("default_times.json"))
    args = parser.parse_args()
    options = {"image_size": args.image_size, "random_state": 0}
    settings = {"rows": N_ROWS, **options}
    results: Any = begin_or_go_on({"settings": settings, "machine": machine(), "fits": {}}, args.out)
    for name in args.names:
        if name not in results["fits"]:
            results["fits"][name] = time_fit(*plan_fit(name, options))
            save_results(results, args.out)
        found = results["fits"][name]
        parts = [
            f"{stage} {each['steps']} steps of {format_duration(each['cpu_s_a_step'])}"
            for stage, each in found["stages"].items()
        ]
        print(f"{name}: {format_duration(3600 * found['cpu_h'])} of one core: {', '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
