"""What simulated depth is worth to SimToRealRegressor: Abdi et al. 2018, Table 1 and Fig. 5.

Generated hands in the framing of a depth camera (a 300 mm window): exact depth is the synthetic domain, the
model of a structured-light sensor the real one. ``--pair`` says how else the real one differs: its hands are
"thin", its sensor is "lossy", or "sensor": neither, which leaves next to no gap. The domains show different
hands of different people, and all hands of some people of the real domain are held out, others for each seed.
Given: T.

Rows that share stages share their weights: the pose stage learns from the poses of all synthetic hands and
from no real one, the depth stage from labelled synthetic and unlabelled real pictures, and then each row
trains its own posterior. So

* "real data, pretrained" has synthetic poses in its first two stages, and real labels in the posterior only;
* "LSPS, x of the labels" has the real labels in the posterior (L_POS_r, Eq. 7) but not in the depth stage: of
  Sec. 3.3's costs L_MAP_r (Eq. 6) is not measured;
* "these labels only" is the posterior alone on these labels, without pretrained front layers and trunk, but
  with the decoder of the pose stage, whose poses are synthetic.

``--validate`` leaves the held-out people alone and measures on a fifth of the other people, which then train
nothing. Settings are to be chosen by it, in a folder of its own. People held out for one seed train for
another one: what is chosen with a seed has seen people that other seeds hold out.

With ``--until-still`` each row's posterior, after its ``--steps``, goes on until the error on a fifth of the
real domain's other people stands still, and once more at a fifth of the rate; the best weights are kept.
These people's poses train nothing; the depth stage has their pictures, without labels, like the others'.

"LSPS-synthetic, posterior_start" is the method with ``posterior_start="synthetic"``, which is not in the
paper. ``--oracle`` adds two rows whose posterior matches features on true pictures of each scene in both
domains, as generators without a fault would make them.

Checkpoints and results are kept in ``--out``; a second call goes on, also within a stage, and only
prints what is there.
"""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
from recording import begin_or_go_on, machine, rates, save, save_results
from sklearn.model_selection import GroupShuffleSplit
from sklearn.utils import Bunch
from true_pictures import people_of, true_pictures

from skhand import HandFrames, concat_frames
from skhand.datasets import HAND_PRESETS, make_hands
from skhand.estimators import SimToRealRegressor
from skhand.estimators.sim_to_real.steps import AUGMENT
from skhand.metrics import mean_epe, pcf

PAIRS = {"sensor": {}, "thin": {"thickness": (0.75, 0.85, 0.8)}, "lossy": {"sensor": "lossy"}}
TRANSLATED = 500  # held-out pictures that are translated to the synthetic domain
NARROW = 5.0  # mm
STARTED = ", posterior_start"
ORACLE = "LSPS-synthetic, true pictures"
FIRST = {"pose": ("pose",), "depth": ("pose", "depth")}
PAPER = {  # Table 1: mean error (mm) and frames within 40 mm (%) on NYU, on ICVL
    "synthetic only": (25.24, 36.57, 23.96, 51.07),
    "synthetic only, pretrained": (23.71, 43.60, 23.91, 48.37),
    "LSPS-synthetic": (17.84, 62.57, 14.09, 86.78),
    "real data, pretrained": (15.83, 73.62, 7.09, 96.18),
}


class Row(NamedTuple):
    """The stages that a row starts from, whose labels it learns from, the share of real ones, its start.

    With an oracle features are matched on true pictures.
    """

    after: str
    supervision: str
    labels: float
    start: str = "own"
    oracle: bool = False


def rows_of(shares: list[float], oracle: bool = False) -> dict[str, Row]:
    """Table 1's rows, and for each share of real labels the method beside these labels alone."""
    rows = {
        "synthetic only": Row("pose", "synthetic", 0.0),
        "synthetic only, pretrained": Row("depth", "synthetic", 0.0),
        "LSPS-synthetic": Row("depth", "all", 0.0),
        "real data, pretrained": Row("depth", "real", 1.0),
        f"LSPS-synthetic{STARTED}": Row("depth", "all", 0.0, "synthetic"),
    }
    for share in shares:
        percent = f"{100 * share:g}%"
        rows[f"LSPS, {percent} of the labels"] = Row("depth", "all", share)
        rows[f"these labels only, {percent}"] = Row("pose", "real", share)
    if oracle:
        rows[ORACLE] = Row("depth", "all", 0.0, oracle=True)
        rows[f"{ORACLE}{STARTED}"] = Row("depth", "all", 0.0, "synthetic", oracle=True)
    return rows


class Hands(NamedTuple):
    """Both domains: pictures, joints, and who each real hand belongs to."""

    synthetic: HandFrames
    y_synthetic: np.ndarray
    real: HandFrames
    y_real: np.ndarray
    people: np.ndarray


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("sim_to_real"))
    parser.add_argument("--pair", choices=list(PAIRS), default="thin", help="of domains (default: thin)")
    parser.add_argument("--n-samples", type=int, default=8000, help="hands of each domain (default: 8000)")
    parser.add_argument("--n-subjects", type=int, default=200, help="people of each domain")
    parser.add_argument(
        "--hands-seed", type=int, default=0, help="other people: choose on one, measure on another"
    )
    parser.add_argument("--rotation", type=float, default=60, help="largest angle of the view, degrees")
    parser.add_argument(
        "--distance",
        type=float,
        nargs=2,
        default=list(HAND_PRESETS["nyu"]["distance"]),
        help="mm (default: NYU's)",
    )
    parser.add_argument("--turn", type=float, default=180, help="augmentation's largest rotation, degrees")
    parser.add_argument("--image-size", type=int, default=64, help="px (default: 64)")
    parser.add_argument("--preset", default="code", help="of the weights (default: the published code's)")
    parser.add_argument(
        "--weights", nargs="*", default=[], metavar="NAME=VALUE", help="weights that are not the preset's"
    )
    parser.add_argument("--width", type=int, default=8, help="the paper's is 64 (default: 8)")
    parser.add_argument(
        "--steps", type=int, nargs=3, default=[20000, 10000, 4000], help="pose, depth, posterior"
    )
    parser.add_argument("--batch-sizes", type=int, nargs=3, default=[128, 4, 32])
    parser.add_argument(
        "--lr", type=float, nargs=3, default=[1e-3, 2e-4, 1e-3], help="pose, depth, posterior"
    )
    parser.add_argument("--warm-up", type=float, default=0, help="share of the stage depth (default: 0)")
    parser.add_argument("--labels", type=float, nargs="*", default=[0.02, 0.1], help="shares of real labels")
    parser.add_argument("--oracle", action="store_true", help="also match features on true pictures")
    parser.add_argument("--rows", nargs="+", default=None, help="only these rows")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--validate", action="store_true", help="measure on some of the training people")
    parser.add_argument("--until-still", action="store_true", help="then posteriors go on after --steps")
    parser.add_argument(
        "--patience", type=int, default=3, help="times 1000 steps without improvement that end a posterior"
    )
    parser.add_argument("--most", type=int, default=40000, help="steps of a posterior, at each rate")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    if args.validate and args.until_still:
        parser.error("--until-still ends posteriors by the people that --validate measures on")
    return args


def render(args: argparse.Namespace, like: str, seed: int) -> Bunch:
    """Return the hands of a seed, of a domain's people and as it shows them."""
    shown = {**HAND_PRESETS["nyu"], "images": ("depth",), "distance": args.distance}
    shown |= {"domain": "synthetic"} if like == "synthetic" else PAIRS[args.pair]
    return make_hands(
        args.n_samples,
        image_size=args.image_size,
        n_subjects=args.n_subjects,
        rotation=args.rotation,
        side="right",
        random_state=seed,
        **shown,
    )


def read(args: argparse.Namespace) -> Hands:
    """Both domains, rendered once."""
    path = args.out / "hands.joblib"
    if not path.exists():
        synthetic = render(args, "synthetic", 2 * args.hands_seed)
        real = render(args, "real", 2 * args.hands_seed + 1)
        save(Hands(synthetic.data, synthetic.target, real.data, real.target, real.groups), path)
    return joblib.load(path)


def show_truth(args: argparse.Namespace, hands: Hands, train: np.ndarray) -> AbstractContextManager[None]:
    """Let posteriors see the hands that they are fitted on as the other domain shows them, rendered once."""
    path = args.out / "true_pictures.joblib"
    if not path.exists():
        with people_of("synthetic"):
            synthetic = render(args, "real", 2 * args.hands_seed)
        with people_of("real"):
            real = render(args, "synthetic", 2 * args.hands_seed + 1)
        np.testing.assert_array_equal(synthetic.target, hands.y_synthetic)
        np.testing.assert_array_equal(real.target, hands.y_real)
        save((synthetic.data.depth, real.data.depth), path)
    synthetic_depth, real_depth = joblib.load(path)
    return true_pictures(
        np.concatenate([hands.synthetic.depth, hands.real.depth[train]]),
        np.concatenate([synthetic_depth, real_depth[train]]),
    )


def begin(
    args: argparse.Namespace, seed: int, after: str, X: HandFrames, unlabelled: np.ndarray
) -> SimToRealRegressor:
    """Return an estimator with its first stages, which are fitted where they are not kept yet."""
    stages = ("pose", "depth", "posterior")
    settings = {
        "preset": args.preset,
        **{name: float(value) for name, value in (each.split("=") for each in args.weights)},
        "width": args.width,
        "depth_warm_up": args.warm_up,
        "given": ("root",),
        "max_iter": dict(zip(stages, args.steps, strict=True)),
        "batch_size": dict(zip(stages, args.batch_sizes, strict=True)),
        "lr": dict(zip(stages, args.lr, strict=True)),
        "lr_schedule": "cosine",
        "augment": {**AUGMENT, "rotate": args.turn},
        "warm_start": True,
        "device": args.device,
        "random_state": seed,
    }
    estimator = SimToRealRegressor(**settings)
    for name, first in FIRST.items():
        path = args.out / f"seed{seed}-{name}.joblib"
        if not path.exists():
            estimator.set_params(stages=first, checkpoint=path.with_suffix(".fit"))
            save(estimator.fit(X, unlabelled), path)
            path.with_suffix(".fit").unlink(missing_ok=True)
        estimator = joblib.load(path).set_params(**settings, checkpoint=None)
        if name == after:
            break
    return estimator


def split(seed: int, people: np.ndarray, validate: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train and to measure on: a fifth of the people is held out, or else a fifth of the others."""
    fifth = GroupShuffleSplit(1, test_size=0.2, random_state=seed)
    train, test = next(fifth.split(people, groups=people))
    if validate:
        kept, held_out = next(fifth.split(train, groups=people[train]))
        train, test = train[kept], train[held_out]
    return train, test


def relief_kept(pictures: np.ndarray, translated: np.ndarray) -> float:
    """Mean correlation of a hand's depth before and after, where both have a hand: -1 if near becomes far."""
    each = []
    for before, after in zip(pictures, translated, strict=True):
        both = (before > 0) & (after > 0)
        if both.sum() > 1 and before[both].std() > 0 and after[both].std() > 0:
            each.append(np.corrcoef(before[both], after[both])[0, 1])
    return float(np.mean(each)) if each else 0.0


def judged_last(fitted: SimToRealRegressor) -> float | None:
    """Return the discriminators' last loss over that of a guess: near 1 they tell nothing apart."""
    if not fitted._setting("adversarial_weight"):
        return None
    losses = [loss for loss in fitted.history_["discriminator"] if np.isfinite(loss)]
    n_entropies = (
        4 + fitted.mapped_
    )  # real and translated pictures of two domains, and mapped synthetic poses
    return float(losses[-1] / (fitted._setting("adversarial_weight") * n_entropies * np.log(2)))


def measure(args: argparse.Namespace, seed: int, row: Row, hands: Hands) -> dict[str, object]:
    """Errors of one row on held-out people of the real domain."""
    train, test = split(seed, hands.people, args.validate)
    y = np.full_like(hands.y_real[train], np.nan)
    X = concat_frames([hands.synthetic, hands.real[train]])
    fitted = begin(args, seed, row.after, X, np.concatenate([hands.y_synthetic, y]))
    fitted.set_params(
        stages=(*FIRST[row.after], "posterior"), supervision=row.supervision, posterior_start=row.start
    )
    if args.until_still:
        validation = split(seed, hands.people, True)[1]
        train = np.setdiff1d(train, validation, assume_unique=True)
        y = np.full_like(hands.y_real[train], np.nan)
        X = concat_frames([hands.synthetic, hands.real[train]])
        fitted.set_params(lr_schedule="constant")
    known = np.random.default_rng(seed).permutation(len(train))[: round(row.labels * len(train))]
    y[known] = hands.y_real[train][known]
    labels = np.concatenate([hands.y_synthetic, y])
    with show_truth(args, hands, train) if row.oracle else nullcontext():
        fitted.fit(X, labels)
        if args.until_still:
            fitted.set_params(
                max_iter={"posterior": args.most},
                posterior_start="own",  # it is made
                early_stopping=True,
                n_iter_no_change=args.patience,
            )
            for lr in rates(args.lr[2], until_still=True):
                fitted.set_params(lr={"posterior": lr})
                fitted.fit(X, labels, X_val=hands.real[validation], y_val=hands.y_real[validation])
    wanted, predicted = hands.y_real[test], fitted.predict(hands.real[test])
    shown = hands.real[test[:TRANSLATED]]
    kept = relief_kept(shown.depth, fitted.translate(shown, to="synthetic")) if row.after == "depth" else None
    mean_pose = np.broadcast_to((hands.y_real[train] - hands.real[train].root[:, None]).mean(0), wanted.shape)
    return {
        "epe_mm": mean_epe(wanted, predicted, align="root"),
        "frames_within_40mm": pcf(wanted, predicted, 40.0, align="root"),
        "mean_pose_mm": mean_epe(wanted, mean_pose, align="root"),
        "relief_kept": kept,
        "judged": judged_last(fitted) if row.after == "depth" else None,
        "real_labels": len(known),
        "train_rows": len(X),
        "test_rows": len(test),
        "steps": dict(fitted.n_steps_),
        "n_parameters": fitted.n_parameters_,
        "seconds": sum(fitted.history_["seconds"]),
    }


def report(args: argparse.Namespace, rows: dict[str, Row], fits: dict[str, dict]) -> None:
    """Print the table: means over seeds, their spread, the gap that is closed, and the paper's figures."""
    print(f"{'means over seeds':32s} {'EPE mm':>15s} {'within 40 mm':>13s}   paper, NYU: mm, %   ICVL: mm, %")
    means = {}
    for name in rows:
        found = [fits[f"seed {seed}, {name}"] for seed in args.seeds]
        epe = np.array([fit["epe_mm"] for fit in found])
        within = np.mean([fit["frames_within_40mm"] for fit in found])
        paper = "{:10.2f}, {:.2f} {:10.2f}, {:.2f}".format(*PAPER[name]) if name in PAPER else ""
        print(f"{name:32s} {epe.mean():7.2f} +- {epe.std():4.2f} {within:13.1%} {paper}")
        means[name] = epe
    table = list(PAPER)[1:]
    if all(name in means for name in table):
        before, _, best = (means[name] for name in table)
        gap = before - best
        print(f"gap, mm, of each seed: {' '.join(f'{each:.1f}' for each in gap)}")
        if gap.mean() < NARROW:
            print(f"below {NARROW:g} mm, a gap is too narrow to tell by what share it is closed")
        for name in (f"{ORACLE}{STARTED}", ORACLE, f"{table[1]}{STARTED}", table[1]):
            if name in means:
                closed = (before - means[name]) / gap
                print(f"share of the gap closed, {name}: {closed.mean():.0%} +- {closed.std():.0%}")
        print("(paper: 74% and 58%)")
    for share in args.labels:
        pair = list(rows_of([share]))[-2:]
        if all(name in means for name in pair):
            ours, alone = (means[name] for name in pair)
            gain = 1 - ours / alone
            print(
                f"{pair[0]}, error below that of these labels only: {gain.mean():.0%} +- {gain.std():.0%} "
                "(paper, Fig. 5: up to 17% and 11%)"
            )


def main() -> None:
    """Fit what is not there yet, keep it and print the table."""
    args = parse()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = rows_of(args.labels, args.oracle)
    rows = {name: rows[name] for name in args.rows or rows}
    left_out = ("out", "labels", "oracle", "rows", "seeds", "device")
    settings = {name: value for name, value in vars(args).items() if name not in left_out}
    path = args.out / "results.json"
    done = {"settings": settings, "given": "T", "machine": machine(), "paper": PAPER, "fits": {}}
    if not path.exists() and any(args.out.glob("*.joblib")):
        raise SystemExit(f"{args.out} has hands or checkpoints of unknown settings: {path.name} is missing")
    done = begin_or_go_on(done, path)
    hands = None
    for seed in args.seeds:
        for name, row in rows.items():
            key = f"seed {seed}, {name}"
            if key in done["fits"]:
                continue
            hands = hands or read(args)
            done["fits"][key] = measure(args, seed, row, hands)
            save_results(done, path)
            print(key, done["fits"][key], flush=True)
    report(args, rows, done["fits"])


if __name__ == "__main__":
    main()
