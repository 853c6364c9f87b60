"""AlignedLatentRegressor beside CrossModalVAERegressor on a folder of real photographs.

The folder holds ``annotations.npz`` (``joints_mm`` of shape (n, 21, 3), mm, camera frame; ``K_crop``) and
``images/%05d.jpg``. One contiguous block of frames is left out at a time, with some frames dropped on each
side of it. The middle MCP is the root (given: T). Both take the same number of epochs, with the same trunk,
batches, augmentation and learning rate, which is constant until the last stage and then falls along a cosine:
AlignedLatentRegressor stage by stage, CrossModalVAERegressor (variant 2) in the same two parts. Nothing is
chosen on a held-out block.

Results are kept in ``--out``; a second call goes on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from recording import begin_or_go_on, machine, save_results

from skhand import HandFrames
from skhand.estimators import AlignedLatentRegressor, CrossModalVAERegressor
from skhand.metrics import angle_violations, bone_length_error, mean_epe
from skhand.model_selection import BlockKFold

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from fit_photographs import ROOT, read

MODELS = ("CrossModalVAERegressor", "AlignedLatentRegressor", "AlignedLatentRegressor, no KCS and GEO")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("aligned_photographs.json"))
    parser.add_argument("--image-size", type=int, default=64, help="px (default: 64)")
    parser.add_argument("--backbone", default="small")
    parser.add_argument(
        "--epochs", type=int, nargs=4, default=[60, 10, 30, 30], help="disentangle, align, finetune, refine"
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument(
        "--gap", type=int, default=20, help="frames dropped on each side of the held-out block"
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def fit(args: argparse.Namespace, model: str, seed: int, X: HandFrames, y: np.ndarray) -> object:
    """Fit one of the models: until its last stage at a constant rate, and then with a cosine to zero."""
    settings = {
        "backbone": args.backbone,
        "given": ("root",),
        "root": ROOT,
        "lr": args.lr,
        "batch_size": args.batch_size,
        "augment": {"rotate": 30, "shift": 0.1, "zoom": 0.15, "colour": 0.3},
        "warm_start": True,
        "device": args.device,
        "random_state": seed,
    }
    if model == "CrossModalVAERegressor":
        fitted = CrossModalVAERegressor(variant=2, max_epochs=sum(args.epochs[:-1]), **settings).fit(X, y)
        return fitted.set_params(max_epochs=args.epochs[-1], lr_schedule="cosine").fit(X, y)
    stages = ("disentangle", "align", "finetune", "refine")
    epochs = dict(zip(stages, args.epochs, strict=True))
    off = {} if model == "AlignedLatentRegressor" else {"kcs_weight": 0.0, "geo_weight": 0.0}
    fitted = AlignedLatentRegressor(stages=stages[:-1], max_epochs=epochs, **off, **settings).fit(X, y)
    return fitted.set_params(stages=stages, lr_schedule="cosine").fit(X, y)


def main() -> None:
    """Run what is not done yet and print the table."""
    args = parse()
    left_out = ("folder", "out", "models", "seeds", "device")
    settings = {name: value for name, value in vars(args).items() if name not in left_out}
    done = {"settings": settings, "given": "T", "root": ROOT, "machine": machine(), "fits": {}}
    done = begin_or_go_on(done, args.out)
    X, y = read(args.folder, args.image_size)
    folds = list(BlockKFold(n_splits=args.blocks, gap=args.gap).split(X))
    for seed in args.seeds:
        for fold, (train, test) in enumerate(folds):
            for model in args.models:
                key = f"seed {seed}, block {fold}, {model}"
                if key in done["fits"]:
                    continue
                est = fit(args, model, seed, X[train], y[train])
                predicted = est.predict(X[test])
                done["fits"][key] = {
                    "epe_mm": mean_epe(y[test], predicted, align="root", root=ROOT),
                    "bone_length_error_mm": bone_length_error(y[test], predicted),
                    "angle_violations": angle_violations(predicted, "left"),
                    "seconds": sum(est.history_["seconds"]),
                    "steps": est.n_iter_ * -(-len(train) // args.batch_size),
                }
                save_results(done, args.out)
                print(key, {name: round(value, 4) for name, value in done["fits"][key].items()}, flush=True)
    print(f"{'mean over blocks, +- over seeds':42s} {'EPE mm':>14s} {'bones mm':>9s} {'angles':>8s}")
    for model in args.models:
        fits = [
            [done["fits"][f"seed {seed}, block {fold}, {model}"] for fold in range(len(folds))]
            for seed in args.seeds
        ]
        epe, bones, angles = (
            np.array([[fit[name] for fit in row] for row in fits]).mean(axis=1)
            for name in ("epe_mm", "bone_length_error_mm", "angle_violations")
        )
        print(f"{model:42s} {epe.mean():6.2f} +- {epe.std():4.2f} {bones.mean():9.2f} {angles.mean():8.3%}")


if __name__ == "__main__":
    main()
