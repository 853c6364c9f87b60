"""Variant 3 with unlabelled rows against variant 1: Spurr et al. 2018, Fig. 3, on generated hands.

A share of the training rows keeps its label, the others become NaN. Variant 1 (source -> 3D) trains on the
labelled rows alone; variant 3 (source -> 3D, source -> source) reconstructs all of them too, with each of
``--rates`` as ``reconstruction_rate``: with 0 the reconstruction does not move the encoder. All take the same
number of source -> 3D steps with the same batch, as nearly as whole epochs allow. They are tested on held-out
people; with ``--person`` on other hands of the one person that there is then: ten gestures seen from within
15 degrees, as near to each other as the frames of a video, without augmentation. With ``--until-still`` a fit
goes on until the error on other training hands (of other people, where there are several) stands still, and
once more at a fifth of the rate; the best weights are kept. Finished fits are kept in ``--out``; a second
call goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from recording import begin_or_go_on, machine, rates, save_results
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.metrics import mean_epe, median_epe

N_VALIDATION = 201  # of the one person's training hands, on which a fit's error may stand still
PERSON = {
    "n_subjects": 1,
    "gestures": (
        "fist", "point", "victory", "three", "four", "open", "three with thumb", "L", "thumb up",
        "fist, thumb aside",
    ),
    "rotation": 15.0,
    "framing": 230.0,
    "distance": (450.0, 550.0),
    "light": (0.6, 0.6),
    "sleeves": 0.0,
    "backgrounds": None,
}  # fmt: skip


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", choices=["rgb", "depth", "keypoints2d"], default="rgb")
    parser.add_argument("--n-samples", type=int, default=2800)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=600, help="of source -> 3D, in every fit (default: 600)")
    parser.add_argument("--until-still", action="store_true", help="--steps are then the most, at each rate")
    parser.add_argument("--patience", type=int, default=400, help="steps without improvement that end a fit")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rotation", type=float, default=45)
    parser.add_argument("--labels", type=float, nargs="+", default=[0.05, 0.1, 0.2, 0.5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--beta", type=float, default=1e-4)
    parser.add_argument("--rates", type=float, nargs="*", default=[1.0, 0.1, 0.0], help="of variant 3")
    parser.add_argument("--person", action="store_true", help="one person, another for each seed")
    parser.add_argument("--latent-dim", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("semi_supervised.json"))
    return parser.parse_args()


Hands = tuple[HandFrames, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def read(args: argparse.Namespace, seed: int) -> Hands:
    """Hands, their joints, and the rows to train, to validate and to test on."""
    people = (
        {**PERSON, "random_state": 1000 + seed} if args.person else {"n_subjects": 40, "random_state": seed}
    )
    hands = make_hands(
        args.n_samples,
        image_size=args.image_size,
        side="left",
        images=("mask",) if args.source == "keypoints2d" else (args.source,),
        **{"rotation": args.rotation, **people},
    )
    if args.person:
        train, test = train_test_split(np.arange(args.n_samples), test_size=0.44, random_state=seed)
    else:
        groups = GroupShuffleSplit(1, test_size=0.25, random_state=seed)
        train, test = next(groups.split(hands.data, groups=hands.groups))
    validation = train[:0]
    if args.until_still and args.person:
        train, validation = train_test_split(train, test_size=N_VALIDATION, random_state=seed)
    elif args.until_still:
        groups = GroupShuffleSplit(1, test_size=0.15, random_state=seed)
        train, validation = (train[rows] for rows in next(groups.split(train, groups=hands.groups[train])))
    return hands.data.replace(root=None), hands.target, train, validation, test


def run(
    args: argparse.Namespace, seed: int, share: float, rate: float | None, hands: Hands
) -> dict[str, float]:
    """One fit and its test errors, mm; no rate is variant 1."""
    X, y, train, validation, test = hands
    labelled = np.random.default_rng(seed).permutation(train)[: round(share * len(train))]
    y_train = np.full_like(y, np.nan)
    y_train[labelled] = y[labelled]
    rows = labelled if rate is None else train
    if args.until_still and rate is None:  # as many steps from one validation to the next
        rows = np.resize(labelled, len(train))
    steps_an_epoch = -(-len(rows) // min(args.batch_size, len(rows)))
    est = CrossModalVAERegressor(
        source=args.source,
        variant=1 if rate is None else 3,
        reconstruction_rate=1.0 if rate is None else rate,
        latent_dim=args.latent_dim,
        backbone="small",
        given=("root",),
        beta=args.beta,
        lr_schedule="constant" if args.until_still else "cosine",
        early_stopping=args.until_still,
        n_iter_no_change=-(-args.patience // steps_an_epoch),
        warm_start=True,
        batch_size=args.batch_size,
        max_epochs=round(args.steps / steps_an_epoch),
        augment=None if args.person else "auto",
        random_state=seed,
    )
    held_out = {"X_val": X[validation], "y_val": y[validation]} if args.until_still else {}
    for lr in rates(1e-3, args.until_still):
        est.set_params(lr=lr).fit(X[rows], y_train[rows], **held_out)
    predicted = est.predict(X[test])
    return {
        "mean_epe": mean_epe(y[test], predicted, align="root"),
        "median_epe": median_epe(y[test], predicted, align="root", average="pooled"),
        "labelled_epe": mean_epe(y[labelled], est.predict(X[labelled]), align="root"),
        "labelled_rows": len(labelled),
        "train_rows": len(train),
        "test_rows": len(test),
        "steps": est.n_iter_ * steps_an_epoch,
        "seconds": sum(est.history_["seconds"]),
    }


def main() -> None:
    """Run the fits that are not done yet and print the table."""
    args = parse()
    several = ("out", "seeds", "labels", "rates")
    settings = {name: value for name, value in vars(args).items() if name not in several}
    done = begin_or_go_on({"settings": settings, "machine": machine(), "fits": {}}, args.out)
    for seed in args.seeds:
        hands = None  # rendered once a seed, if a fit is still to be done
        for share in args.labels:
            for rate in (None, *args.rates):
                key = name_fit(seed, share, rate)
                if key not in done["fits"]:
                    hands = hands or read(args, seed)
                    done["fits"][key] = run(args, seed, share, rate, hands)
                    save_results(done, args.out)
                    print(key, {k: round(v, 2) for k, v in done["fits"][key].items()}, flush=True)
    for measure in ("mean_epe", "median_epe"):
        print(
            f"{'labels':>8} {'variant 1':>10}" + "".join(f"{f'rate {r:g}, gain':>28}" for r in args.rates),
            measure,
        )
        for share in args.labels:
            one, *others = (
                np.array([done["fits"][name_fit(seed, share, rate)][measure] for seed in args.seeds])
                for rate in (None, *args.rates)
            )
            print(f"{share:8.0%} {one.mean():10.2f}", end="")
            for three in others:
                gain = 1 - three / one
                print(f"{three.mean():12.2f} {gain.mean():7.1%} +- {gain.std():4.1%}", end="")
            print()


def name_fit(seed: int, share: float, rate: float | None) -> str:
    """Return the name of a fit in the file of results."""
    which = "variant 1" if rate is None else f"variant 3, rate {rate:g}"
    return f"seed {seed}, {share:.0%} labels, {which}"


if __name__ == "__main__":
    main()
