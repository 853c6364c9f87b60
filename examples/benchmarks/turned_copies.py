"""Measure the errors of the weights that ship by ``n_turns``, the turned copies that they average over.

On generated hands of the training's recipe, of other people and all views, on which the number was chosen,
and on the photographs in the folder of ``examples/fit_photographs.py``, if it is given. Nothing but the
camera is given, and for the last column of photographs the root and the scale too.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from recording import machine, save_results

sys.path.insert(0, str(Path(__file__).parents[1]))
from train_weights import RECIPE, SIZE, errors, read_photographs

from skhand.datasets import make_hands
from skhand.estimators import LatentHeatmapRegressor
from skhand.metrics import mean_epe


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=Path, help="folder with annotations.npz")
    parser.add_argument("--turns", type=int, nargs="+", default=[1, 2, 3, 5, 7])
    parser.add_argument("--n-samples", type=int, default=1000, help="generated hands")
    parser.add_argument("--weights", type=Path, help="others than those that ship")
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--out", type=Path, default=Path("turned_copies.json"))
    args = parser.parse_args()
    recipe = {**RECIPE, "side": "both", "n_subjects": 300, "random_state": args.seed}
    hands = make_hands(args.n_samples, **recipe)
    sets = {"generated": (hands.data, hands.target, SIZE)}
    if args.photographs is not None:
        sets["photographs"] = (*read_photographs(args.photographs), 256)
    rows = []
    for name, (X, y, width) in sets.items():
        for n_turns in args.turns:
            est = LatentHeatmapRegressor.from_pretrained(args.weights, n_turns=n_turns)
            begun = time.process_time()
            predicted = est.predict(X)
            seconds = time.process_time() - begun
            found = errors(predicted, est.predict_keypoints(X), X, y, width)
            row = {"hands": name, "n_turns": n_turns, **found}
            row["cpu_ms_a_hand"] = 1e3 * seconds / len(y)
            if name == "photographs":
                given = {"n_turns": n_turns, "given": ("root", "scale")}
                placed = LatentHeatmapRegressor.from_pretrained(args.weights, **given).predict(X)
                row["rooted_given_mm"] = mean_epe(y, placed, align="root", root="palm")
            print({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
            rows.append(row)
    settings = {"n_samples": args.n_samples, "seed": args.seed}
    save_results({"settings": settings, "machine": machine(), "rows": rows}, args.out)


if __name__ == "__main__":
    main()
