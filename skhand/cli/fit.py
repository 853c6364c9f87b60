"""Fit a model to your own labelled pictures, from the weights that ship."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from skhand._validation import count
from skhand.cli._shared import EpochBar, check_place, number, print_line
from skhand.exceptions import InputError

_SIZE = (128, 128)  # of the crops, px
_PRETRAINED_LR, _OWN_LR = 2e-4, 1e-3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of pictures with a table of hands")
    parser.add_argument("--table", default="hands.csv", help="the table, relative to DATA")
    parser.add_argument("--out", type=Path, default=Path("model"), help="the model's name, without an ending")
    parser.add_argument(
        "--fov",
        type=number(float, 0, 179, open_ended=True),
        help="angle of view along the diagonal, degrees, of pictures whose camera the table does not have",
    )
    parser.add_argument("--epochs", type=number(int, 1), default=20, help="passes over the pictures")
    parser.add_argument("--batch-size", type=number(int, 1), default=25, help="pictures a step")
    parser.add_argument(
        "--lr",
        type=number(float, 0, open_ended=True),
        help="learning rate; 2e-4 by default, or 1e-3 from scratch",
    )
    parser.add_argument("--from-scratch", action="store_true", help="do not start from the weights that ship")
    parser.add_argument(
        "--validation",
        type=number(float, 0, 0.9),
        default=0.2,
        help="share of the groups (the column group, else pictures) that is held out; 0 is none",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="a line an epoch with the losses, instead of a bar"
    )
    parser.add_argument(
        "--seed", type=number(int, 0, 2**31 - 1), default=0, help="seed of split and training"
    )


def run(args: argparse.Namespace) -> int:
    """Load, crop, split, fit, save, and print the errors before and after."""
    import numpy as np

    from skhand.cli._labelled import crop_hands, load_labelled
    from skhand.cli._scores import OWN, are_own, format_scores, predict_mean_pose
    from skhand.datasets._files import check_folder
    from skhand.persistence import save

    path = args.out if args.out.suffix == ".safetensors" else Path(f"{args.out}.safetensors")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InputError(f"--out: expected a name in a folder that exists, got {args.out}.")
    check_place(path.parent)
    if not (check_folder(args.data, "DATA", "a folder") / args.table).is_file():
        raise InputError(f"DATA: expected the table {args.table} in {args.data}; --table names another.")
    hands = load_labelled(args.data, args.table, args.fov)
    train, test = _split(hands.groups, args.validation, args.seed)
    if hands.data.side is None:
        print_line("skhand: the table has no column side: all hands are taken for right ones")
    crops = crop_hands(hands.data, _SIZE)
    y = hands.target
    estimator = _make_estimator(args)
    predictions: dict[str, Any] = {}
    if len(test):
        predictions["mean pose"] = predict_mean_pose(y, crops.side, train, test)
        if not args.from_scratch:
            predictions["before"] = estimator.predict(crops[test])
            if are_own(y[test], predictions["before"]):
                print_line(f"skhand: warning: {OWN}")
    print(f"fitting {count(len(train), 'hand')}, with {len(test)} held out")
    if not args.verbose:
        estimator.set_callbacks(EpochBar(args.epochs))
    estimator.fit(crops[train], y[train])
    estimator.set_callbacks()
    if len(test):
        predictions["after"] = estimator.predict(crops[test])
        groups = count(len(np.unique(hands.groups[test])), "group")
        print(f"\nheld out: {count(len(test), 'hand')} of {groups}; mm and shares")
        print(format_scores(y[test], predictions, ("absolute", "root", "procrustes")))
    save(estimator, path)
    print(f"\nsaved {path}. What to try next:")
    print(f"  skhand predict PICTURES --model {path}")
    print(
        f"  skhand evaluate {path} OTHERS     a report; of other hands: {args.data} is what it was fitted to"
    )
    return 0


def _split(groups: Any, share: float, seed: int) -> tuple[Any, Any]:
    """Return the rows to train on and to hold out, by whole groups."""
    import numpy as np
    from sklearn.model_selection import GroupShuffleSplit

    rows = np.arange(len(groups))
    if share == 0:
        return rows, rows[:0]
    if len(np.unique(groups)) < 2:
        raise InputError(
            f"--validation: expected two groups or more to hold some out, got {len(np.unique(groups))}; "
            "0 holds nothing out."
        )
    splitter = GroupShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    train, test = next(splitter.split(rows, groups=groups))
    return train, test


def _make_estimator(args: argparse.Namespace) -> Any:
    from skhand.estimators import LatentHeatmapRegressor

    settings = {
        "lr": args.lr or (_OWN_LR if args.from_scratch else _PRETRAINED_LR),
        "max_epochs": args.epochs,
        "batch_size": args.batch_size,
        "random_state": args.seed,
        "verbose": args.verbose,
    }
    if args.from_scratch:
        return LatentHeatmapRegressor(mirror_left=True, **settings)
    return LatentHeatmapRegressor.from_pretrained(**settings)
