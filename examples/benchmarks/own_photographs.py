"""Gain of labelled photographs over the weights that ship: errors on a block that none of them is from.

The folder is that of ``examples/fit_photographs.py``. The photographs are cut into four blocks; a fit gets
some of three of them, evenly spaced and 20 frames away from the fourth, and is tested on the fourth. Nothing
but the camera is given. Each number of photographs is fitted from the weights, and from scratch.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from train_weights import errors, read_photographs

from skhand.estimators import LatentHeatmapRegressor
from skhand.model_selection import BlockKFold

ERRORS = ("procrustes_mm", "rooted_mm", "keypoints_px")  # px of the 256 px picture


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--numbers", type=int, nargs="+", default=[0, 25, 50, 100, 300])
    parser.add_argument("--scratch", type=int, nargs="*", default=[100, 300])
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--pictures", type=int, default=6000, help="that a fit from the weights trains on")
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("own_photographs.json"))
    args = parser.parse_args()
    X, y = read_photographs(args.folder)
    folds = list(BlockKFold(n_splits=4, gap=20).split(X))
    runs = [(n, "weights") for n in args.numbers] + [(n, "scratch") for n in args.scratch]
    rows = []
    for n, start in runs:
        for fold in args.folds:
            train, test = folds[fold]
            begun = time.perf_counter()
            settings = {"batch_size": 25, "lr_schedule": "cosine", "random_state": args.seed}
            if start == "weights":
                est = LatentHeatmapRegressor.from_pretrained(args.weights, lr=2e-4, **settings)
                n_pictures = args.pictures
            else:
                est, n_pictures = LatentHeatmapRegressor(mirror_left=True, **settings), 2 * args.pictures
            if n:
                some = train[np.linspace(0, len(train) - 1, min(n, len(train))).round().astype(int)]
                est.set_params(max_epochs=max(1, n_pictures // len(some))).fit(X[some], y[some])
            measured = errors(est.predict(X[test]), est.predict_keypoints(X[test]), X[test], y[test], 256)
            found = [measured[name] for name in ERRORS]
            rows.append({"photographs": n, "start": start, "fold": fold, "errors": found})
            print(n, start, fold, np.round(found, 2), f"{time.perf_counter() - begun:.0f} s", flush=True)
        mean = np.mean([r["errors"] for r in rows if (r["photographs"], r["start"]) == (n, start)], axis=0)
        print(
            f"{n} photographs, from {start}: {mean[0]:.2f} mm, {mean[1]:.2f} mm, {mean[2]:.2f} px", flush=True
        )
        args.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
