"""LatentHeatmapRegressor beside CrossModalVAERegressor on a folder of real photographs with cameras.

The folder holds ``annotations.npz`` (``joints_mm`` of shape (n, 21, 3), mm, camera frame; ``K_crop``) and
``images/%05d.jpg``. One contiguous block of frames is left out at a time, with some frames dropped on each
side of it. The middle MCP is the root. Each model is fitted on the photographs alone, and with
``--generated`` first on generated hands (once a seed) and then on the photographs; both take as many epochs,
with the same batches, augmentation and learning rates. Nothing is chosen on a held-out block. Errors:

* ``px``: mean 2D error, in px of the 256 px crop;
* ``absolute_mm``: mean error in the camera frame, nothing given;
* ``rooted_mm``: the same predictions and the truth relative to the root;
* ``given_root_mm``: relative to the root, the root given (T), which both models are fitted with;
* ``given_procrustes_mm``: those predictions after the shift, turn and size that fit best.

Results are kept in ``--out``, and fits on generated hands beside them; a second call goes on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import joblib
import numpy as np
from recording import begin_or_go_on, machine, save, save_results

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor, LatentHeatmapRegressor
from skhand.geometry import project
from skhand.metrics import mean_epe
from skhand.model_selection import BlockKFold
from skhand.skeleton import root_position

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from fit_photographs import ROOT, read

MODELS = ("CrossModalVAERegressor", "LatentHeatmapRegressor")
FITS = ("photographs alone", "generated alone", "generated, then photographs")
ERRORS = ("px", "absolute_mm", "rooted_mm", "given_root_mm", "given_procrustes_mm")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("heatmap_photographs"))
    parser.add_argument("--image-size", type=int, default=64, help="px (default: 64)")
    parser.add_argument("--width", type=int, default=32, help="of the heatmap network (default: 32)")
    parser.add_argument("--fast", action="store_true", help="the fast heatmap network")
    parser.add_argument("--backbone", default="small", help="of CrossModalVAERegressor")
    parser.add_argument("--epochs", type=int, default=60, help="on the photographs alone (default: 60)")
    parser.add_argument("--generated", type=int, default=0, help="hands to fit on first (default: 0, none)")
    parser.add_argument("--generated-epochs", type=int, default=10)
    parser.add_argument("--finetune-epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--finetune-lr", type=float, default=3e-4)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument(
        "--gap", type=int, default=20, help="frames dropped on each side of the held-out block"
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def estimator(args: argparse.Namespace, model: str, seed: int) -> object:
    """One of the models, for the photographs alone."""
    settings = {
        "given": ("root",),
        "root": ROOT,
        "lr": args.lr,
        "lr_schedule": "cosine",
        "batch_size": args.batch_size,
        "max_epochs": args.epochs,
        "augment": {"rotate": 30, "shift": 0.1, "zoom": 0.15, "colour": 0.3},
        "device": args.device,
        "random_state": seed,
    }
    if model == "CrossModalVAERegressor":
        return CrossModalVAERegressor(variant=2, backbone=args.backbone, **settings)
    return LatentHeatmapRegressor(network="paper", width=args.width, fast=args.fast, **settings)


def pretrained(args: argparse.Namespace, model: str, seed: int) -> object:
    """A model fitted on generated hands, kept in ``--out`` under the settings that it depends on."""
    heatmaps = f"{args.width}{'fast' if args.fast else ''}"
    network = args.backbone if model == "CrossModalVAERegressor" else heatmaps
    names = (network, args.image_size, args.generated, args.generated_epochs, args.batch_size, f"{args.lr:g}")
    path = args.out / f"{model}-{'-'.join(map(str, names))}-seed{seed}.joblib"
    if not path.exists():
        hands = make_hands(
            args.generated,
            image_size=args.image_size,
            side="left",
            rotation=75,
            n_subjects=max(10, args.generated // 20),
            images=("rgb",),
            random_state=seed,
        )
        data = hands.data.replace(root=root_position(hands.target, ROOT), keypoints2d=None)
        fitted = estimator(args, model, seed).set_params(max_epochs=args.generated_epochs)
        save(fitted.fit(data, hands.target), path)
    return joblib.load(path).set_params(device=args.device)


def errors(fitted: object, X: HandFrames, y: np.ndarray, camera: np.ndarray) -> dict[str, float]:
    """Errors on one held-out block; ``camera`` is that of the 256 px crop."""
    given = fitted.predict(X)
    found = {
        "given_root_mm": mean_epe(y, given, align="root", root=ROOT),
        "given_procrustes_mm": mean_epe(y, given, align="procrustes"),
    }
    if isinstance(fitted, LatentHeatmapRegressor):
        joints = fitted.predict_25d(X.replace(root=None)).joints
        found["px"] = mean_epe(project(y, camera), fitted.predict_keypoints(X), n_dims=2)
        found["absolute_mm"] = mean_epe(y, joints)
        found["rooted_mm"] = mean_epe(y, joints, align="root", root=ROOT)
    return found


def main() -> None:
    """Run what is not done yet and print the table."""
    args = parse()
    args.out.mkdir(parents=True, exist_ok=True)
    left_out = ("folder", "out", "models", "seeds", "device")
    settings = {name: value for name, value in vars(args).items() if name not in left_out}
    path = args.out / "results.json"
    done = {"settings": settings, "root": ROOT, "machine": machine(), "fits": {}}
    done = begin_or_go_on(done, path)
    X, y = read(args.folder, args.image_size)
    X = X.replace(root=root_position(y, ROOT))
    camera = np.load(args.folder / "annotations.npz", allow_pickle=False)["K_crop"]
    folds = list(BlockKFold(n_splits=args.blocks, gap=args.gap).split(X))
    fits = FITS if args.generated else FITS[:1]
    for seed in args.seeds:
        for fold, (train, test) in enumerate(folds):
            for model in args.models:
                for name in fits:
                    key = f"seed {seed}, block {fold}, {model}, {name}"
                    if key in done["fits"]:
                        continue
                    fitted = (
                        estimator(args, model, seed) if name == FITS[0] else pretrained(args, model, seed)
                    )
                    if name == FITS[2]:
                        fitted.set_params(
                            warm_start=True, max_epochs=args.finetune_epochs, lr=args.finetune_lr
                        )
                    if name != FITS[1]:
                        fitted.fit(X[train], y[train])
                    done["fits"][key] = errors(fitted, X[test], y[test], camera[test])
                    save_results(done, path)
                    print(
                        key, {name: round(value, 2) for name, value in done["fits"][key].items()}, flush=True
                    )
    print(f"{'mean over blocks, +- over seeds':52s}" + "".join(f"{name:>16s}" for name in ERRORS))
    for model in args.models:
        for name in fits:
            cells = []
            for error in ERRORS:
                values = [
                    [
                        done["fits"][f"seed {s}, block {f}, {model}, {name}"].get(error, np.nan)
                        for f in range(len(folds))
                    ]
                    for s in args.seeds
                ]
                means = np.mean(values, axis=1)
                cells.append(f"{means.mean():8.2f} +- {means.std():4.2f}")
            print(f"{model}, {name:27s} " + "".join(f"{cell:>16s}" for cell in cells))


if __name__ == "__main__":
    main()
