"""Check the files of a published data set."""

from __future__ import annotations

import argparse
from pathlib import Path

from skhand.exceptions import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser(
        "verify",
        help="count the frames of each part, and name every missing file",
        formatter_class=parser.formatter_class,
        description="Count the frames of each part, found and published, and name every missing file.",
    )
    check.add_argument("folder", type=Path, metavar="DIR", help="the data set's folder")
    check.add_argument("--dataset", default="auto", help="its name, such as rhd; auto finds it by its files")
    check.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the report; 1 where something is missing."""
    from skhand.datasets import verify

    try:
        return 0 if verify(args.folder, args.dataset).complete else 1
    except InputError as error:
        text = str(error).replace("data_dir: ", "DIR: ").replace("dataset=", "--dataset")
        text = text.replace("dataset: ", "--dataset: ")
        raise InputError(text) from error
