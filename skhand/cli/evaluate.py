"""Score a model on labelled pictures, and write a report that one can mail."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

from skhand._validation import count
from skhand.cli._shared import (
    MODEL_HELP,
    check_place,
    make_folder,
    number,
    open_model,
    print_line,
    use_matplotlib,
)
from skhand.exceptions import InputError

_COLOUR = ("freihand", "rhd", "stb")  # the data sets whose test split has colour and 21 joints


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help="folder of pictures with a table of hands, or of RHD, STB or FreiHAND (their test split)",
    )
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="the report")
    parser.add_argument("--table", default="hands.csv", help="the table, relative to DATA")
    parser.add_argument(
        "--fov",
        type=number(float, 0, 179, open_ended=True),
        help="angle of view along the diagonal, degrees, of pictures whose camera the table does not have",
    )
    parser.add_argument("--limit", type=number(int, 1), help="hands, at most, evenly spaced over the data")


def run(args: argparse.Namespace) -> int:
    """Load, crop, predict, write the report and print its main numbers."""
    use_matplotlib("evaluate")
    if args.out.is_dir():
        raise InputError(f"--out: expected a file's name, got the folder {args.out}.")
    check_place(args.out.parent)
    import numpy as np

    from skhand.cli._labelled import crop_hands, give_side_information
    from skhand.cli._report import Report, write_report
    from skhand.cli._scores import OWN, are_own, format_scores, predict_mean_pose

    estimator = open_model(args.model, "MODEL")
    shape = getattr(estimator, "input_shape_", None)
    if shape is None or len(shape) != 3 or shape[2] != 3:
        raise InputError(f"MODEL: expected a fitted model of colour pictures, got {estimator!r}.")
    told: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        what, data, target, ids = _load(args, told)
        given = tuple(getattr(estimator, "given_", ()))
        crops = give_side_information(crop_hands(data, shape[:2]), target, given)
        predicted = estimator.predict(crops)
    told += list(dict.fromkeys(" ".join(str(each.message).split()) for each in caught))
    told += _doubt(data, given)
    if are_own(target, predicted):
        told.append(OWN)
    rows = np.arange(len(target))
    mean = predict_mean_pose(target, data.side, rows, rows)
    report = Report(args.model, estimator, what, crops, ids, target, predicted, mean, given, tuple(told))
    make_folder(args.out.parent)
    write_report(report, args.out)
    for line in told:
        print_line(f"skhand: warning: {line}")
    print(format_scores(target, {"model": predicted, "mean pose": mean}, ("absolute", "root", "procrustes")))
    print(f"\n{count(len(target), 'hand')}; report in {args.out}")
    return 0


def _load(args: argparse.Namespace, told: list[str]) -> tuple[str, Any, Any, Any]:
    """Return what the data are, in words, the table of hands, the true joints and their names."""
    import numpy as np

    from skhand import datasets
    from skhand.cli._labelled import load_labelled
    from skhand.datasets._files import check_folder
    from skhand.datasets._verify import recognise

    folder = check_folder(args.data, "DATA", "a folder")
    if (folder / args.table).is_file():
        hands = load_labelled(folder, args.table, args.fov)
        what = f"{args.data / args.table}"
        if hands.guessed:
            told.append(
                f"{hands.guessed} of {len(hands.target)} cameras are guessed, by EXIF data or an angle of "
                "view: absolute errors follow from it"
            )
    else:
        try:
            name = recognise(folder)
        except InputError as error:
            raise InputError(
                f"DATA: expected {args.table} or a published data set ({', '.join(_COLOUR)}) in {args.data}, "
                "which looks like neither."
            ) from error
        if name not in _COLOUR:
            raise InputError(f"DATA: expected one of {', '.join(_COLOUR)}, got {name}, in {args.data}.")
        hands = getattr(datasets, f"load_{name}")(folder, "test")
        what = f"{name}, test split, in {args.data}"
    known = np.flatnonzero(np.isfinite(hands.target).any(axis=(1, 2)))
    if len(known) < len(hands.target):
        told.append(f"without a label, and left out: {count(len(hands.target) - len(known), 'hand')}")
    if args.limit is not None and len(known) > args.limit:
        told.append(f"{args.limit} of {len(known)} hands, evenly spaced: the others are not scored")
        known = known[np.linspace(0, len(known) - 1, args.limit).round().astype(int)]
    return what, hands.data[known], hands.target[known], hands.ids[known]


def _doubt(data: Any, given: tuple[str, ...]) -> list[str]:
    """Return what a reader should know about the numbers."""
    told = []
    if data.side is None:
        told.append("the table has no column side: all hands are taken for right ones")
    if "root" in given:
        told.append("the root's place (T) is given from the labels: absolute errors are those relative to it")
    if "scale" in given:
        told.append("the length of a bone (S) is given from the labels")
    if len(data) < 100:
        told.append(f"few hands, {len(data)}: another sample would give other numbers")
    return told
