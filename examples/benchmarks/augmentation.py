"""Compare augmentations at equal steps: on one-sided and two-sided hands, few and many.

Generated hands of 32 px within 60 degrees of the frontal view, of 100 people; errors are those of 400 hands
of 100 other people, relative to the palm, mm (of `LatentHeatmapRegressor` the median over hands). All
trainings have batches of 32, the learning rate 1e-3, averaged weights and the same number of steps: few hands
come back more often. Each finished row is kept at once, and the same command goes on where it was stopped. ::

    python examples/benchmarks/augmentation.py --out augmentation.json
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from recording import begin_or_go_on, machine, save_results

from skhand.datasets import make_hands
from skhand.estimators import AlignedLatentRegressor, CrossModalVAERegressor, LatentHeatmapRegressor
from skhand.metrics import mean_epe

BATCH = 32
MILD = {"rotate": 20.0, "shift": 0.05, "zoom": 0.1, "colour": 0.3}
AUGMENT: dict[str, Any] = {
    "none": None,
    "auto": "auto",
    "paper": "paper",
    "mild": MILD,
    "mild, mirrored": {**MILD, "flip": "horizontal"},
    "mirrored": {"flip": "horizontal"},
    "turned": {"rotate": 20.0},
    "moved": {"shift": 0.05, "zoom": 0.1},
    "coloured": {"colour": 0.3},
}
COMMON: dict[str, Any] = {"lr": 1e-3, "averaging": 0.99, "batch_size": BATCH, "precision": "float32"}
SMALL: dict[str, Any] = {"backbone": "small", "hidden_units": 128, "n_hidden_layers": 2, "given": ("root",)}
ESTIMATORS: dict[str, Any] = {
    "vae": lambda **options: CrossModalVAERegressor(**SMALL, **options),
    "aligned": lambda **options: AlignedLatentRegressor(**SMALL, stages=("disentangle",), **options),
    "heatmap": lambda **options: LatentHeatmapRegressor(
        backbone="mobilenet_v3_small", width=32, given=("root", "scale"), **options
    ),
}


def hands(n: int, side: str, seed: int) -> Any:
    """Generated hands."""
    return make_hands(
        n, image_size=32, side=side, rotation=60.0, images=("rgb",), n_subjects=100, random_state=seed
    )


def measure(
    name: str, side: str, n: int, augment: str, seed: int, args: argparse.Namespace
) -> dict[str, Any]:
    """Train on so many hands, repeated to passes of one length; return the test error after each pass."""
    train, test = hands(n, side, seed), hands(args.n_test, side, 10_000)
    rows = np.tile(np.arange(n), args.rows // n)
    options = {**COMMON, "max_epochs": args.epochs, "augment": AUGMENT[augment], "random_state": seed}
    estimator = ESTIMATORS[name](**options)
    estimator.fit(train.data[rows], train.target[rows], X_val=test.data, y_val=test.target)
    root = train.data.root[:, None]
    mean = np.broadcast_to((train.target - root).mean(axis=0), test.target.shape)
    return {
        "valid_epe": estimator.history_["valid_epe"],
        "mean_pose": mean_epe(test.target, mean, align="root"),
        "seconds": sum(estimator.history_["seconds"]),
    }


def main() -> None:
    """Measure what is not on file yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("augmentation.json"))
    parser.add_argument("--estimators", nargs="*", default=["vae"], choices=list(ESTIMATORS))
    parser.add_argument("--augment", nargs="*", default=list(AUGMENT), choices=list(AUGMENT))
    parser.add_argument("--sides", nargs="*", default=["right", "both"], choices=["right", "left", "both"])
    parser.add_argument("--n", nargs="*", type=int, default=[200, 4000], help="training hands")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    parser.add_argument("--epochs", type=int, default=6, help="passes")
    parser.add_argument("--rows", type=int, default=4000, help="rows of a pass")
    parser.add_argument("--n-test", type=int, default=400)
    args = parser.parse_args()
    settings = {"rows": args.rows, "n_test": args.n_test, **COMMON}
    results: Any = begin_or_go_on({"settings": settings, "machine": machine(), "rows": {}}, args.out)
    plan = itertools.product(args.estimators, args.seeds, args.augment, args.n, args.sides)
    for name, seed, augment, n, side in plan:
        key = f"{name}, {side}, {n} hands, {augment}, seed {seed}, {args.epochs * args.rows // BATCH} steps"
        if key not in results["rows"]:
            results["rows"][key] = measure(name, side, n, augment, seed, args)
            save_results(results, args.out)
        row = results["rows"][key]
        errors = ", ".join(f"{error:.2f}" for error in row["valid_epe"])
        print(f"{key}: {errors} after each pass (mean pose {row['mean_pose']:.2f})", flush=True)


if __name__ == "__main__":
    main()
