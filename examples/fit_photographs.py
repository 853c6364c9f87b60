"""RGB -> 3D on a folder of real photographs, leaving one block of frames out at a time.

The folder holds ``annotations.npz`` (``joints_mm`` of shape (n, 21, 3), mm, camera frame) and
``images/%05d.jpg``. Neighbouring frames of a video are near-duplicates, so the folds are contiguous blocks
and some frames on each side of the held-out block are dropped. The middle MCP is the root (given: T). Each
fold is fitted

* from the photographs alone, and
* with ``--generated N``, first on N generated hands (once, for all folds) and then on the photographs.

Settings are fixed before the run: no epoch or checkpoint is chosen on the held-out block. Finished parts
are kept in ``--out``, and a second call goes on where the first one stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import joblib
import numpy as np
import torch
from torch.nn.functional import interpolate

from skhand import HandFrames, ImageFiles
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.geometry import affine_crop, transform_camera
from skhand.metrics import mean_epe
from skhand.model_selection import BlockKFold

ROOT = "middle_mcp"


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("photographs"))
    parser.add_argument("--image-size", type=int, default=64, help="px (default: 64)")
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--epochs", type=int, default=60, help="on the photographs alone (default: 60)")
    parser.add_argument("--generated", type=int, default=0, help="hands to fit on first (default: 0, none)")
    parser.add_argument("--generated-epochs", type=int, default=10)
    parser.add_argument("--finetune-epochs", type=int, default=40)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument(
        "--gap", type=int, default=20, help="frames dropped on each side of the held-out block"
    )
    parser.add_argument("--folds", type=int, nargs="*", default=None, help="only these folds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-plots", action="store_true")
    return parser.parse_args()


def read(folder: Path, size: int) -> tuple[HandFrames, np.ndarray]:
    """Photographs, shrunk to ``size`` with their cameras and the way back, and their joints."""
    annotations = np.load(folder / "annotations.npz", allow_pickle=False)
    joints = annotations["joints_mm"].astype(np.float64)
    files = ImageFiles([folder / "images" / f"{i:05d}.jpg" for i in range(len(joints))])
    pictures = torch.from_numpy(np.asarray(files)).permute(0, 3, 1, 2).float()
    shrink = affine_crop((-0.5, -0.5, pictures.shape[3], pictures.shape[2]), size)
    pictures = interpolate(pictures, (size, size), mode="bilinear", antialias=True).round().byte()
    frames = HandFrames(
        rgb=pictures.permute(0, 2, 3, 1).contiguous().numpy(),
        side="left",
        camera=transform_camera(annotations["K_crop"], shrink),
        affine=np.broadcast_to(shrink, (len(joints), 3, 3)),
    )
    return frames, joints


def estimator(args: argparse.Namespace, epochs: int, **changes: object) -> CrossModalVAERegressor:
    """The settings of every fit."""
    settings = {
        "variant": 2,
        "backbone": args.backbone,
        "given": ("root",),
        "root": ROOT,
        "beta": 1e-4,
        "lr": 1e-3,
        "lr_schedule": "cosine",
        "batch_size": 32,
        "max_epochs": epochs,
        "augment": {"rotate": 30, "shift": 0.1, "zoom": 0.15, "colour": 0.3},
        "random_state": args.seed,
    }
    return CrossModalVAERegressor(**{**settings, **changes})


def pretrained(args: argparse.Namespace) -> CrossModalVAERegressor:
    """An estimator fitted on generated hands, kept in ``--out``."""
    path = args.out / "generated.joblib"
    if not path.exists():
        hands = make_hands(
            args.generated,
            image_size=args.image_size,
            side="left",
            rotation=75,
            n_subjects=max(10, args.generated // 20),
            images=("rgb",),
            random_state=args.seed,
        )
        est = estimator(args, args.generated_epochs, verbose=True).fit(hands.data, hands.target)
        joblib.dump(est, path)
    return joblib.load(path)


def epe(y: np.ndarray, predicted: np.ndarray) -> float:
    """Mean joint error relative to the root, mm."""
    return mean_epe(y, predicted, align="root", root=ROOT)


def run_fold(
    args: argparse.Namespace, X: HandFrames, y: np.ndarray, train: np.ndarray, test: np.ndarray
) -> dict:
    """Errors and predictions of one held-out block."""
    rooted = y - y[:, [9]]
    result = {"mean pose": np.broadcast_to(rooted[train].mean(axis=0), rooted[test].shape)}
    result["photographs alone"] = estimator(args, args.epochs).fit(X[train], y[train]).predict(X[test])
    if args.generated:
        est = pretrained(args)
        result["generated alone"] = est.predict(X[test])
        est.set_params(warm_start=True, max_epochs=args.finetune_epochs, lr=3e-4, verbose=False)
        result["generated, then photographs"] = est.fit(X[train], y[train]).predict(X[test])
    return {name: np.asarray(value) for name, value in result.items()}


def main() -> None:
    """Run the folds that are not done yet and print the table."""
    args = parse()
    args.out.mkdir(parents=True, exist_ok=True)
    X, y = read(args.folder, args.image_size)
    predictions: dict[str, np.ndarray] = {}
    for fold, (train, test) in enumerate(BlockKFold(n_splits=args.blocks, gap=args.gap).split(X)):
        if args.folds is not None and fold not in args.folds:
            continue
        path = args.out / f"fold{fold}.npz"
        if not path.exists():
            np.savez(path.with_suffix(".tmp.npz"), test=test, **run_fold(args, X, y, train, test))
            path.with_suffix(".tmp.npz").rename(path)
        done = dict(np.load(path))
        test = done.pop("test")
        baseline = epe(y[test], done["mean pose"])
        for name, predicted in done.items():
            error = epe(y[test], predicted)
            print(
                f"fold {fold}  {name:28s} EPE {error:6.2f} mm  {error / baseline:5.0%} of the mean pose",
                flush=True,
            )
            predictions.setdefault(name, np.full(y.shape, np.nan))[test] = predicted
    report(args, X, y, predictions)


def report(
    args: argparse.Namespace, X: HandFrames, y: np.ndarray, predictions: dict[str, np.ndarray]
) -> None:
    """Print and keep the errors over all held-out rows; draw the worst predictions."""
    held_out = np.isfinite(predictions["mean pose"]).all(axis=(1, 2))
    errors = {name: epe(y[held_out], predicted[held_out]) for name, predicted in predictions.items()}
    for name, error in errors.items():
        print(f"all     {name:28s} EPE {error:6.2f} mm  {error / errors['mean pose']:5.0%} of the mean pose")
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
    (args.out / "result.json").write_text(json.dumps({"epe_mm": errors, "settings": settings}, indent=1))
    if not args.no_plots:
        from skhand.plotting import PredictionDisplay

        best = list(predictions)[-1]
        PredictionDisplay.from_predictions(
            y[held_out],
            predictions[best][held_out],
            X=X[held_out],
            align="root",
            root=ROOT,
            which="worst",
            n_hands=12,
        ).figure_.savefig(args.out / "worst.png", dpi=110)


if __name__ == "__main__":
    main()
