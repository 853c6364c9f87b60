"""The main job on a fresh machine: render hands, fit RGB -> 3D, compare with simple baselines, draw.

    python examples/quickstart.py --out quickstart

Right hands are rendered and cropped to their box, as a hand detector would do. All hands of some subjects are
held out. Given, as in the paper: the root (T) and the length of one bone (S); every method gets both.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, cpu_count, delayed
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
from skhand.preprocessing import HandCropper

MARGIN = 1.1  # side of the crop over the longer side of the hand's box


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("quickstart"), help="folder for the pictures")
    parser.add_argument("--n-train", type=int, default=10000, help="rows to train on, about")
    parser.add_argument("--n-subjects", type=int, default=500, help="subjects; a tenth of them is held out")
    parser.add_argument(
        "--image-size", type=int, default=32, help="size of a crop, px; half the rendered size"
    )
    parser.add_argument("--rotation", type=float, default=30.0, help="largest angle of the view, degrees")
    parser.add_argument("--epochs", type=int, default=12, help="passes over the training rows")
    parser.add_argument("--seed", type=int, default=0, help="seed of the hands, the split and the fit")
    return parser.parse_args()


def render(args: argparse.Namespace) -> tuple[Bunch, np.ndarray, np.ndarray]:
    """Return rendered hands, and the rows of the training and of the held-out subjects."""
    hands = make_hands(
        round(args.n_train / 0.9),
        image_size=2 * args.image_size,
        n_subjects=args.n_subjects,
        side="right",
        rotation=args.rotation,
        images=("rgb",),
        lazy=True,
        random_state=args.seed,
    )
    parts = np.array_split(np.arange(len(hands.data)), 4 * cpu_count())
    pictures = Parallel(n_jobs=-1)(delayed(hands.data.rgb.__getitem__)(part) for part in parts)
    hands.data = hands.data.replace(rgb=np.concatenate(pictures))
    split = GroupShuffleSplit(n_splits=1, test_size=0.1, random_state=args.seed)
    train, test = next(split.split(hands.target, groups=hands.groups))
    return hands, train, test


def crop_to_hand(frames: HandFrames, size: int) -> HandFrames:
    """Cut a square around each hand's box; camera and keypoints follow."""
    return HandCropper(size, source="box", margin=MARGIN).fit_transform(frames)


def fit_vae(args: argparse.Namespace, X: HandFrames, y: np.ndarray) -> CrossModalVAERegressor:
    """Fit RGB -> 3D; the pairs from 3D share its decoder, and teach the same latent space to draw in 2D."""
    estimator = CrossModalVAERegressor(
        pairs=[("rgb", "pose3d"), ("pose3d", "pose3d"), ("pose3d", "keypoints2d")],
        backbone="small",
        n_hidden_layers=2,
        given=("root", "scale"),
        augment={"shift": 0.05},
        lr=1e-3,
        batch_size=32,
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
    """Fit a regressor on small grey pictures; poses relative to their root, in lengths of the scale bone."""
    relative = align_root(y) / X.scale[:, None, None]
    predicted = regressor.fit(small_grey(X), relative.reshape(len(y), -1)).predict(small_grey(X_test))
    return predicted.reshape(len(X_test), -1, 3) * X_test.scale[:, None, None]


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
    hands: Bunch,
    crops: HandFrames,
    test: np.ndarray,
    predictions: dict[str, np.ndarray],
) -> None:
    """Save the predictions, a walk through the latent space and the PCK curves."""
    out.mkdir(parents=True, exist_ok=True)
    y, predicted = hands.target[test], predictions[type(estimator).__name__]
    shown = PredictionDisplay.from_predictions(
        y, predicted, X=hands.data[test], align="root", which="random", random_state=0
    )
    shown.figure_.savefig(out / "predictions.png", dpi=60)
    walk = LatentWalkDisplay.from_estimator(estimator, crops[test[:1]], crops[test[1:2]], n_steps=8)
    walk.figure_.savefig(out / "latent_walk.png", dpi=90)
    curves = PckCurveDisplay.from_predictions(y, predictions, align="root")
    curves.figure_.savefig(out / "pck.png", dpi=110)


def main() -> None:
    """Run the whole job."""
    args, start = parse_args(), time.perf_counter()
    hands, train, test = render(args)
    crops = crop_to_hand(hands.data, args.image_size)
    print(f"rendered {len(hands.target)} hands in {time.perf_counter() - start:.0f} s")
    X, y, X_test, y_test = crops[train], hands.target[train], crops[test], hands.target[test]
    estimator = fit_vae(args, X, y)
    print(f"fitted after {time.perf_counter() - start:.0f} s")
    predictions = {
        "mean pose": predict_baseline(DummyRegressor(), X, y, X_test),
        "nearest neighbour": predict_baseline(KNeighborsRegressor(1), X, y, X_test),
        type(estimator).__name__: estimator.predict(X_test),
    }
    n_train, n_test = (len(np.unique(hands.groups[rows])) for rows in (train, test))
    big, small = (f"{size} x {size} px" for size in (2 * args.image_size, args.image_size))
    print(
        f"\nRGB -> 3D on generated right hands, {big}, cropped to the hand's box (given) at {small},\n"
        f"views up to {args.rotation:g} degrees from the frontal one, seed {args.seed};\n"
        f"trained on {len(train)} rows of {n_train} subjects, tested on {len(test)} of {n_test} others;\n"
        "given: root (T) and scale (S); the side is the same in all rows; errors over all joints, mm,\n"
        "relative to the palm"
    )
    print_scores(y_test, predictions)
    draw(args.out, estimator, hands, crops, test, predictions)
    print(f"pictures in {args.out}/; {time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
