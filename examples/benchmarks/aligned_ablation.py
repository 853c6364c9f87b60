"""What each stage of AlignedLatentRegressor is worth: Stergioulas et al. 2021, Tables 1 and 2.

Generated hands, seen by a camera turned onto the hand and cropped; all hands of some subjects are held out,
others for each seed. Given: T, S, H. Every row takes the same number of steps: the epochs of its stages at a
constant learning rate, and then ``--epochs``' last number with a cosine to zero, in which D1 to D3 are
refined and the other rows go on with their last stage. Each component has rows without it: "B, weight 0" (no
adversary), "D0, w = 0" (no poses in the alignment), "refine, no losses" (as D1 to D3, losses off), and
"Baseline, refined" and "B, refined" (so too, after these). With ``--until-still`` a step goes on until the
error on other training subjects stands still, and keeps its best weights, those that it began with among
them; the last stage is then trained again at a fifth of the rate. Stages that rows have in common are trained
once a seed. Nothing is chosen on the held-out subjects.

Checkpoints and results are kept in ``--out``; a second call goes on, and only reads what is there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import joblib
import numpy as np
import scipy.stats
from recording import begin_or_go_on, machine, save, save_results
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import make_pipeline

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.estimators import AlignedLatentRegressor
from skhand.metrics import angle_violations, bone_length_error, mean_epe
from skhand.preprocessing import HandCropper, ViewAligner

N_VALIDATION = 300  # hands of other training subjects on which a step's error may stand still
ALIGNED = ("disentangle", "align", "finetune")
REFINED = (*ALIGNED, "refine")
ROWS = {
    "Baseline": {"decoder": "plain", "stages": ("vae",)},
    "A": {"stages": ("vae",)},
    "Baseline, refined": {
        "decoder": "plain",
        "stages": ("vae", "refine"),
        "kcs_weight": 0.0,
        "geo_weight": 0.0,
    },
    "B": {"stages": ("disentangle",)},
    "B, weight 0": {"stages": ("disentangle",), "adversarial_weight": 0.0},
    "B, refined": {"stages": ("disentangle", "refine"), "kcs_weight": 0.0, "geo_weight": 0.0},
    "C": {"stages": ("vae", "align", "finetune")},
    "D0": {"stages": ALIGNED},
    "D0, w = 0": {"stages": ALIGNED, "pose_weight": 0.0},
    "refine, no losses": {"stages": REFINED, "kcs_weight": 0.0, "geo_weight": 0.0},
    "D1": {"stages": REFINED, "geo_weight": 0.0},
    "D2": {"stages": REFINED, "kcs_weight": 0.0},
    "D3": {"stages": REFINED},
    "linear, concat": {"decoder": "plain", "stages": ("disentangle",), "decoded": "concat"},
    "linear, pose": {"decoder": "plain", "stages": ("disentangle",)},
    "injection, concat": {"stages": ("disentangle",), "decoded": "concat"},
}
PAPER = {
    "Baseline": 15.71, "A": 15.08, "B": 14.77, "C": 14.82, "D0": 14.36, "D1": 13.93, "D2": 13.99, "D3": 13.88,
    "linear, concat": 15.12, "linear, pose": 15.13, "injection, concat": 14.87,
}  # fmt: skip
BEFORE = {
    "Baseline, refined": "Baseline",
    "A": "Baseline",
    "B, weight 0": "A",
    "B": "B, weight 0",
    "B, refined": "B",
    "C": "A",
    "D0, w = 0": "B",
    "D0": "D0, w = 0",
    "refine, no losses": "B, refined",
    "D1": "refine, no losses",
    "D2": "refine, no losses",
    "D3": "refine, no losses",
    "linear, pose": "linear, concat",
    "injection, concat": "linear, concat",
}


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("aligned_ablation"))
    parser.add_argument("--n-samples", type=int, default=12000)
    parser.add_argument("--n-subjects", type=int, default=400)
    parser.add_argument(
        "--hands-seed", type=int, default=0, help="other people: choose on one, measure on another"
    )
    parser.add_argument("--rotation", type=float, default=60, help="largest angle of the view, degrees")
    parser.add_argument("--source", choices=("rgb", "keypoints2d"), default="rgb", help="(default: rgb)")
    parser.add_argument("--image-size", type=int, default=64, help="px (default: 64)")
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument(
        "--epochs", type=int, nargs=4, default=[16, 4, 10, 10], help="first stage, align, finetune, the last"
    )
    parser.add_argument("--until-still", action="store_true", help="--epochs are then the most")
    parser.add_argument(
        "--patience", type=int, default=100, help="epochs without improvement that end a step"
    )
    parser.add_argument("--n-train", type=int, help="training hands (default: all)")
    parser.add_argument("--hidden-units", type=int, default=512)
    parser.add_argument("--latent-dim", type=int, default=64, help="the context has as many")
    parser.add_argument("--beta", type=float, help="(default: the estimator's, by --source)")
    parser.add_argument("--adversarial-weight", type=float, help="(default: the estimator's, by --source)")
    parser.add_argument("--context-weight", type=float, default=0.0, help="not in the paper (default: 0)")
    parser.add_argument("--augment", choices=("paper", "none"), default="paper")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS)[:13])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def read(args: argparse.Namespace) -> tuple[HandFrames, np.ndarray, np.ndarray]:
    """Aligned and cropped hands, their joints and their subjects; rendered once."""
    path = args.out / "hands.joblib"
    if not path.exists():
        hands = make_hands(
            args.n_samples,
            image_size=2 * args.image_size,
            n_subjects=args.n_subjects,
            rotation=args.rotation,
            images=("rgb",) if args.source == "rgb" else (),
            random_state=args.hands_seed,
        )
        views = make_pipeline(
            ViewAligner(), *([HandCropper(args.image_size)] if args.source == "rgb" else [])
        )
        save((views.fit_transform(hands.data), hands.target, hands.groups), path)
    return joblib.load(path)


def steps_of(row: str, epochs: list[int], until_still: bool) -> list[tuple[str, int, str, float]]:
    """Stage, epochs, schedule and share of the rate of each step of a row; all rows have as many epochs.

    Those that end where they stand still have the stages, and the last one again at a fifth of the rate.
    """
    stages = ROWS[row]["stages"]
    first, align, finetune, last = epochs
    length = {"vae": first, "disentangle": first, "align": align, "finetune": finetune, "refine": last}
    if until_still:
        steps = [(stage, length[stage], "constant", 1.0) for stage in stages]
        return [*steps, (stages[-1], length[stages[-1]], "constant", 0.2)]
    if "align" in stages:
        steps = [(stage, length[stage], "constant", 1.0) for stage in stages[:3]]
    else:
        steps = [(stages[0], n, "constant", 1.0) for n in (first, align + finetune)]
    return [*steps, (stages[-1], last, "cosine", 1.0)]


def fit_row(
    args: argparse.Namespace, seed: int, row: str, rows: list[np.ndarray], X: HandFrames, y: np.ndarray
) -> AlignedLatentRegressor:
    """Fit one row of the table on training rows, from the longest chain of steps that is there already.

    ``rows`` are those to train on, and those to validate on where steps end by themselves.
    """
    own = {
        "kcs_weight": 1e-2,
        "geo_weight": 1e-6,
        "pose_weight": 1e-2,
        "adversarial_weight": args.adversarial_weight,
        **ROWS[row],
    }  # checkpoints are shared
    own.pop("stages")
    estimator = AlignedLatentRegressor(
        source=args.source,
        backbone=args.backbone,
        hidden_units=args.hidden_units,
        latent_dim=args.latent_dim,
        context_dim=args.latent_dim,
        beta=args.beta,
        context_weight=args.context_weight,
        given=("root", "scale", "side"),
        batch_size=args.batch_size,
        augment="paper" if args.augment == "paper" else None,
        early_stopping=args.until_still,
        n_iter_no_change=args.patience,
        warm_start=True,
        device=args.device,
        random_state=seed,
        **own,
    )
    steps = steps_of(row, args.epochs, args.until_still)
    train, *held_out = rows
    validation = {"X_val": X[held_out[0]], "y_val": y[held_out[0]]} if held_out else {}
    name = f"seed{seed}-{own.get('decoder', 'injection')}-{own.get('decoded', 'pose')}"
    for i, (stage, epochs, schedule, share) in enumerate(steps):
        name = f"{name}-{stage}{epochs}"
        name += "-alone" * (stage == "disentangle" and own.get("adversarial_weight") == 0 and i == 0)
        name += "-w0" * (stage == "align" and own["pose_weight"] == 0)
        name += f"-kcs{own['kcs_weight']:g}-geo{own['geo_weight']:g}" * (stage == "refine")
        path = args.out / f"{name}.joblib"
        if path.exists() and i < len(steps) - 1:
            estimator = joblib.load(path)
            continue
        estimator.set_params(
            stages=tuple(dict.fromkeys(each for each, *_ in steps[: i + 1])),
            max_epochs=epochs,
            lr=share * args.lr,
            lr_schedule=schedule,
            device=args.device,
            **own,
        )
        estimator.fit(X[train], y[train], **validation)
        if i < len(steps) - 1:
            save(estimator, path)
    return estimator


def split(args: argparse.Namespace, seed: int, subjects: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Rows to train on, rows to validate on where steps end by themselves, and held-out rows: by subject."""
    train, test = next(
        GroupShuffleSplit(1, test_size=0.2, random_state=seed).split(subjects, groups=subjects)
    )
    rows = [train]
    if args.until_still:
        other = next(
            GroupShuffleSplit(1, test_size=0.2, random_state=seed).split(train, groups=subjects[train])
        )
        rows = [train[other[0]], train[other[1]][:N_VALIDATION]]
    if args.n_train is not None:
        rows[0] = np.random.default_rng(seed).permutation(rows[0])[: args.n_train]
    return rows, test


def latent_spaces(estimator: AlignedLatentRegressor, X: HandFrames, y: np.ndarray) -> dict[str, float]:
    """Return the accuracy of discriminators, and the distance of one hand's two latent vectors.

    The distance is between the latent vectors of X and of its pose, over that between hands taken at random;
    each number of the latent vector is divided by its standard deviation.
    """
    shown: dict[str, float] = {}
    if estimator.stages_ == ("disentangle",):
        shown["discriminator_accuracy"] = estimator.discriminator_accuracy(X, y)
    if estimator.space_ == "aligned":
        poses = y if X.rotation is None else np.einsum("nij,nkj->nki", X.rotation, y)
        both = [estimator.transform(X), estimator.transform(X.replace(pose3d=poses), source="pose3d")]
        z, z_pose = (part / (np.concatenate(both).std(axis=0) + 1e-9) for part in both)
        other = np.random.default_rng(0).permutation(len(z))
        paired, random = (np.linalg.norm(z - z_pose[rows], axis=1).mean() for rows in (slice(None), other))
        shown["paired_over_random_distance"] = float(paired / random)
    return shown


def measure(
    args: argparse.Namespace, seed: int, row: str, data: tuple[HandFrames, np.ndarray, np.ndarray]
) -> dict[str, object]:
    """Errors of one row on held-out subjects."""
    X, y, subjects = data
    rows, test = split(args, seed, subjects)
    train = rows[0]
    estimator = fit_row(args, seed, row, rows, X, y)
    predicted = estimator.predict(X[test])
    ratios = {
        name: float(f"{np.nanmean(values):.3g}")
        for name, values in estimator.history_.items()
        if "_gradient" in name
    }
    return {
        "epe_mm": mean_epe(y[test], predicted, align="root"),
        "train_epe_mm": mean_epe(y[train], estimator.predict(X[train]), align="root"),
        "bone_length_error_mm": bone_length_error(y[test], predicted),
        "angle_violations": angle_violations(predicted, X[test].side),
        "train_rows": len(train),
        "test_rows": len(test),
        "epochs": estimator.n_iter_,
        "steps": estimator.n_iter_ * -(-len(train) // args.batch_size),
        "n_parameters": estimator.n_parameters_,
        **latent_spaces(estimator, X[test], y[test]),
        "seconds": sum(estimator.history_["seconds"]),
        "gradient_ratios": ratios,
    }


def values(args: argparse.Namespace, fits: dict[str, dict], row: str, name: str) -> np.ndarray:
    """One of a row's figures, by seed."""
    return np.array([fits[f"seed {seed}, {row}"][name] for seed in args.seeds])


def interval(differences: np.ndarray) -> float:
    """Half the width of the 95% interval of a mean of paired differences (Student's t)."""
    n = len(differences)
    if n < 2:
        return float("nan")
    return float(scipy.stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n))


def report(args: argparse.Namespace, fits: dict[str, dict]) -> None:
    """Print the table: mean error over seeds, paired gains, plausibility, and the paper's figures."""
    print(
        f"{'EPE mm':>26s} {'paper':>6s} {'over Baseline':>17s} {'over the row before':>23s} {'paper':>7s}"
        "  bones mm  angles"
    )
    errors = {row: values(args, fits, row, "epe_mm") for row in args.rows}
    for row, error in errors.items():
        gains, papers = [], []
        for other in ("Baseline", BEFORE.get(row)):
            if other in errors and other != row:
                gain = 1 - error / errors[other]
                gains.append(f"{gain.mean():7.1%} +- {interval(gain):5.1%}")
                papers.append(f"{1 - PAPER[row] / PAPER[other]:.1%}" if {row, other} <= set(PAPER) else "")
            else:
                gains.append("")
        bones, angles = (
            values(args, fits, row, name).mean() for name in ("bone_length_error_mm", "angle_violations")
        )
        print(
            f"{row:18s} {error.mean():7.2f} {PAPER.get(row, ''):>6} {gains[0]:>17s} {gains[1]:>23s} "
            f"{papers[0] if papers else '':>7s}  {bones:8.2f}  {angles:.4%}"
        )


def report_losses(args: argparse.Namespace, fits: dict[str, dict]) -> None:
    """Print what the kinematic losses change, paired by seed with the refinement that has none."""
    without = "refine, no losses"
    refined = [row for row in ("D1", "D2", "D3") if row in args.rows]
    if without not in args.rows or not refined:
        return
    print(f"{f'over {without!r}':>26s} {'EPE mm':>15s} {'bones mm':>15s} {'angles':>19s}")
    for row in refined:
        shown = []
        for name in ("epe_mm", "bone_length_error_mm", "angle_violations"):
            change = values(args, fits, row, name) - values(args, fits, without, name)
            unit = ".3%" if name == "angle_violations" else ".2f"
            shown.append(f"{change.mean():+{unit}} +- {interval(change):{unit}}")
        print(f"{row:26s} {shown[0]:>15s} {shown[1]:>15s} {shown[2]:>19s}")


def main() -> None:
    """Fit what is not there yet, keep it and print the table."""
    args = parse()
    args.out.mkdir(parents=True, exist_ok=True)
    settings = {
        name: value for name, value in vars(args).items() if name not in ("out", "rows", "seeds", "device")
    }
    path = args.out / "results.json"
    done = begin_or_go_on({"settings": settings, "given": "T, S, H", "machine": machine(), "fits": {}}, path)
    done["paper_mepe_mm"] = PAPER
    data = None
    for seed in args.seeds:
        for row in args.rows:
            key = f"seed {seed}, {row}"
            if key not in done["fits"]:
                data = data or read(args)
                done["fits"][key] = measure(args, seed, row, data)
                save_results(done, path)
                print(key, {k: v for k, v in done["fits"][key].items() if k != "gradient_ratios"}, flush=True)
    save_results(done, path)
    report(args, done["fits"])
    report_losses(args, done["fits"])


if __name__ == "__main__":
    main()
