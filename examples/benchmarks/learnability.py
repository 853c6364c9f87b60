"""Train on generated hands alone and test on real photographs.

A network sees hands of `make_hands` only; its error is taken on all photographs of a folder (see
fit_photographs.py), after a similarity alignment (Procrustes) and relative to the middle MCP. No photograph
has a part in training or in any choice. Beside it stands the error of the generated hands' mean pose.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np
import torch

from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.metrics import mean_epe

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from fit_photographs import ROOT, read


def run(folder: Path, args: argparse.Namespace) -> dict[str, object]:
    """Make the hands, fit, and return errors, seconds and settings."""
    torch.set_num_threads(args.threads)
    start = time.perf_counter()
    hands = make_hands(
        args.n_samples,
        image_size=args.image_size,
        side="left",
        rotation=args.rotation,
        n_subjects=max(10, args.n_samples // 20),
        images=("rgb",),
        occluders=0.1,
        motion=0.1,
        jpeg=(40, 100),
        random_state=args.seed,
    )
    made = time.perf_counter() - start
    est = CrossModalVAERegressor(
        backbone=args.backbone,
        latent_dim=64,
        variant=2,
        given=("root",),
        root=ROOT,
        beta=1e-4,
        lr=1e-3,
        lr_schedule="cosine",
        batch_size=64,
        max_epochs=args.epochs,
        augment={"rotate": 20, "shift": 0.05, "zoom": 0.1, "colour": 0.3},
        random_state=args.seed,
        verbose=True,
    )
    est.fit(hands.data.replace(root=None), hands.target)
    minutes = time.process_time() / 60
    X, y = read(folder, args.image_size)
    mean = np.broadcast_to((hands.target - hands.target[:, [9]]).mean(axis=0), y.shape)
    errors = {
        name: {align: mean_epe(y, poses, align=align, root=ROOT) for align in ("procrustes", "root")}
        for name, poses in (("trained", est.predict(X)), ("mean pose", mean))
    }
    return {
        "epe_mm": errors,
        "cpu_minutes": minutes,
        "seconds": {"hands": made, "fit": float(np.sum(est.history_["seconds"]))},
        "n_photographs": len(y),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; the defaults are the recorded run's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n-samples", type=int, default=45_000)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--image-size", type=int, default=48, help="px")
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--rotation", type=float, default=75.0, help="largest angle of the view, degrees")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None)
    return parser.parse_args(arguments)


def main() -> None:
    """Run, print and write."""
    args = parse()
    result = run(args.folder, args)
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
    result["settings"] = settings
    print(json.dumps(result, indent=1))
    if args.out is not None:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
