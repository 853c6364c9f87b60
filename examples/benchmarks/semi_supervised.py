"""Variant 3 with unlabelled rows against variant 1: Spurr et al. 2018, Fig. 3, on generated hands.

A share of the training rows keeps its label, the others become NaN. Variant 1 (source -> 3D) trains on the
labelled rows alone; variant 3 (source -> 3D, source -> source) reconstructs all of them too. Both take the
same number of source -> 3D steps with the same batch, and are tested on held-out subjects. Finished fits
are kept in ``--out``; a second call goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from recording import begin_or_go_on, machine, save_results
from sklearn.model_selection import GroupShuffleSplit

from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.metrics import mean_epe, median_epe


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", choices=["rgb", "depth", "keypoints2d"], default="rgb")
    parser.add_argument("--n-samples", type=int, default=2800)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=600, help="of source -> 3D, in every fit (default: 600)")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rotation", type=float, default=45)
    parser.add_argument("--labels", type=float, nargs="+", default=[0.05, 0.1, 0.2, 0.5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--beta", type=float, default=1e-4)
    parser.add_argument(
        "--weight", type=float, default=1.0, help="of variant 3's reconstruction MSE (default: 1)"
    )
    parser.add_argument("--out", type=Path, default=Path("semi_supervised.json"))
    return parser.parse_args()


def run(args: argparse.Namespace, seed: int, share: float, variant: int) -> dict[str, float]:
    """One fit and its test errors, mm."""
    hands = make_hands(
        args.n_samples,
        image_size=args.image_size,
        rotation=args.rotation,
        side="left",
        n_subjects=40,
        images=("mask",) if args.source == "keypoints2d" else (args.source,),
        random_state=seed,
    )
    train, test = next(
        GroupShuffleSplit(1, test_size=0.25, random_state=seed).split(hands.data, groups=hands.groups)
    )
    X, y = hands.data.replace(root=None), hands.target
    labelled = np.random.default_rng(seed).permutation(train)[: round(share * len(train))]
    y_train = np.full_like(y, np.nan)
    y_train[labelled] = y[labelled]
    rows = labelled if variant == 1 else train
    steps_an_epoch = -(-len(rows) // min(args.batch_size, len(rows)))
    est = CrossModalVAERegressor(
        source=args.source,
        variant=variant,
        pair_weights=None if variant == 1 else [1.0, args.weight],
        backbone="small",
        given=("root",),
        beta=args.beta,
        lr=1e-3,
        lr_schedule="cosine",
        batch_size=args.batch_size,
        max_epochs=round(args.steps / steps_an_epoch),
        augment="auto",
        random_state=seed,
    ).fit(X[rows], y_train[rows])
    predicted = est.predict(X[test])
    return {
        "mean_epe": mean_epe(y[test], predicted, align="root"),
        "median_epe": median_epe(y[test], predicted, align="root", average="pooled"),
        "labelled_rows": len(labelled),
        "train_rows": len(train),
        "test_rows": len(test),
    }


def main() -> None:
    """Run the fits that are not done yet and print the table."""
    args = parse()
    settings = {name: value for name, value in vars(args).items() if name not in ("out", "seeds", "labels")}
    done = begin_or_go_on({"settings": settings, "machine": machine(), "fits": {}}, args.out)
    for seed in args.seeds:
        for share in args.labels:
            for variant in (1, 3):
                key = f"seed {seed}, {share:.0%} labels, variant {variant}"
                if key not in done["fits"]:
                    done["fits"][key] = run(args, seed, share, variant)
                    save_results(done, args.out)
                    print(key, {k: round(v, 2) for k, v in done["fits"][key].items()}, flush=True)
    print(f"{'labels':>8} {'variant 1':>12} {'variant 3':>12} {'gain':>16}   median EPE, mm, mean over seeds")
    for share in args.labels:
        one, three = (
            np.array(
                [done["fits"][f"seed {s}, {share:.0%} labels, variant {v}"]["median_epe"] for s in args.seeds]
            )
            for v in (1, 3)
        )
        gain = (one - three) / one
        print(f"{share:8.0%} {one.mean():12.2f} {three.mean():12.2f} {gain.mean():9.1%} +- {gain.std():.1%}")


if __name__ == "__main__":
    main()
