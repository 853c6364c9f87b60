"""The main job on a fresh machine: render hands, fit RGB -> 3D, compare with simple baselines, draw.

    python examples/quickstart.py --out quickstart

All hands of some subjects are held out. The three models are given the same: the root (T) and the side (H);
the size of the hand (S) is not given. Errors are taken relative to the root.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GroupShuffleSplit
from sklearn.neighbors import KNeighborsRegressor
from sklearn.utils import Bunch

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.geometry import align_root
from skhand.metrics import mean_epe, pck, pck_auc
from skhand.plotting import LatentWalkDisplay, PckCurveDisplay, PredictionDisplay

GIVEN = ("root", "side")


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("quickstart"), help="folder for the pictures")
    parser.add_argument("--n-train", type=int, default=4000, help="rows to train on, about")
    parser.add_argument("--n-subjects", type=int, default=20, help="subjects; a fifth of them is held out")
    parser.add_argument("--image-size", type=int, default=64, help="height and width of a picture, px")
    parser.add_argument("--rotation", type=float, default=60.0, help="largest angle of the view, degrees")
    parser.add_argument("--epochs", type=int, default=30, help="passes over the training rows")
    parser.add_argument("--seed", type=int, default=0, help="seed of the hands, the split and the fit")
    return parser.parse_args()


def render(args: argparse.Namespace) -> tuple[Bunch, np.ndarray, np.ndarray]:
    """Render hands and split them by subject; return the hands and the rows of both parts."""
    hands = make_hands(
        round(args.n_train / 0.8),
        image_size=args.image_size,
        n_subjects=args.n_subjects,
        rotation=args.rotation,
        images=("rgb",),
        random_state=args.seed,
    )
    split = GroupShuffleSplit(n_splits=1, test_size=0.2, random_state=args.seed)
    train, test = next(split.split(hands.target, groups=hands.groups))
    return hands, train, test


def fit_vae(args: argparse.Namespace, X: HandFrames, y: np.ndarray) -> CrossModalVAERegressor:
    """Fit RGB -> 3D, and 3D -> RGB beside it, so that the latent space can be looked at as pictures too."""
    estimator = CrossModalVAERegressor(
        pairs=[("rgb", "pose3d"), ("pose3d", "rgb")],
        backbone="small",
        given=GIVEN,
        lr=1e-3,
        lr_schedule="cosine",
        max_epochs=args.epochs,
        random_state=args.seed,
        verbose=True,
    )
    return estimator.fit(X, y)


def small_grey(frames: HandFrames) -> np.ndarray:
    """Pictures as rows of 16 x 16 grey values."""
    block = frames.rgb.shape[1] // 16
    grey = np.asarray(frames.rgb)[:, : 16 * block, : 16 * block].mean(axis=3)
    return grey.reshape(len(grey), 16, block, 16, block).mean(axis=(2, 4)).reshape(len(grey), -1)


def predict_baseline(regressor: Any, X: HandFrames, y: np.ndarray, X_test: HandFrames) -> np.ndarray:
    """Fit one regressor a side on small grey pictures, and predict poses relative to their root, mm."""
    relative = align_root(y).reshape(len(y), -1)
    predicted = np.full((len(X_test), relative.shape[1]), np.nan)
    for side in np.unique(X_test.side):
        rows, test_rows = X.side == side, X_test.side == side
        fitted = clone(regressor).fit(small_grey(X[rows]), relative[rows])
        predicted[test_rows] = fitted.predict(small_grey(X_test[test_rows]))
    return predicted.reshape(len(X_test), -1, 3)


def print_scores(y: np.ndarray, predictions: dict[str, np.ndarray]) -> None:
    """Print one line a model: errors relative to the root, mm."""
    print(f"{'':24s}{'EPE':>9s}{'AUC 0-50':>11s}{'AUC 20-50':>11s}{'PCK 20':>9s}{'PCK 30':>9s}")
    for name, predicted in predictions.items():
        epe = mean_epe(y, predicted, align="root")
        areas = [pck_auc(y, predicted, thresholds=grid, align="root") for grid in ("freihand", "20_50")]
        shares = [pck(y, predicted, threshold, align="root") for threshold in (20.0, 30.0)]
        print(f"{name:24s}{epe:6.1f} mm{areas[0]:11.3f}{areas[1]:11.3f}{shares[0]:9.1%}{shares[1]:9.1%}")


def draw(
    out: Path,
    estimator: CrossModalVAERegressor,
    X: HandFrames,
    y: np.ndarray,
    predictions: dict[str, np.ndarray],
) -> None:
    """Save the predictions, a walk through the latent space and the PCK curves."""
    out.mkdir(parents=True, exist_ok=True)
    shown = PredictionDisplay.from_estimator(estimator, X, y, align="root", which="random", random_state=0)
    shown.figure_.savefig(out / "predictions.png", dpi=90)
    walk = LatentWalkDisplay.from_estimator(estimator, X[[0]], X[[1]], n_steps=8)
    walk.figure_.savefig(out / "latent_walk.png", dpi=90)
    ax = None
    for name, predicted in predictions.items():
        ax = PckCurveDisplay.from_predictions(y, predicted, align="root", name=name, ax=ax).ax_
    ax.figure.savefig(out / "pck.png", dpi=110)


def main() -> None:
    """Run the whole job."""
    args, start = parse_args(), time.perf_counter()
    hands, train, test = render(args)
    print(f"rendered {len(hands.target)} hands in {time.perf_counter() - start:.0f} s")
    X, y, X_test, y_test = hands.data[train], hands.target[train], hands.data[test], hands.target[test]
    estimator = fit_vae(args, X, y)
    print(f"fitted at {time.perf_counter() - start:.0f} s")
    predictions = {
        "mean pose": predict_baseline(DummyRegressor(), X, y, X_test),
        "nearest neighbour": predict_baseline(KNeighborsRegressor(1), X, y, X_test),
        "CrossModalVAERegressor": estimator.predict(X_test),
    }
    n_train, n_test = (len(np.unique(hands.groups[rows])) for rows in (train, test))
    print(
        f"\nRGB -> 3D on generated hands, {args.image_size} x {args.image_size} px, views up to "
        f"{args.rotation:g} degrees from the frontal one, seed {args.seed}\n"
        f"trained on {len(train)} rows of {n_train} subjects, tested on {len(test)} rows of {n_test} others\n"
        f"given: root (T), side (H); not given: scale (S); errors relative to the palm, all joints"
    )
    print_scores(y_test, predictions)
    draw(args.out, estimator, X_test, y_test, predictions)
    print(f"pictures in {args.out}/; {time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
