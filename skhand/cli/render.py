"""Generate hands and save them as Rendered Hand Pose is published."""

from __future__ import annotations

import argparse
from pathlib import Path

from skhand._validation import count
from skhand.cli._shared import number
from skhand.exceptions import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for training/ and evaluation/")
    parser.add_argument("-n", "--number", type=number(int, 1), default=100, help="training pictures")
    parser.add_argument(
        "--evaluation", type=number(int, 0), help="evaluation pictures, of other people; a tenth by default"
    )
    parser.add_argument("--size", type=number(int, 16), default=320, help="height and width, px")
    parser.add_argument("--subjects", type=number(int, 1), default=100, help="made-up people a part")
    parser.add_argument("--side", choices=["both", "left", "right"], default="both", help="which hands")
    parser.add_argument(
        "--rotation",
        type=number(float, 0, 180),
        default=180.0,
        help="largest angle of the view from the frontal one, degrees",
    )
    parser.add_argument(
        "--occluders", type=number(float, 0, 1), default=0.0, help="share with a thing before the hand"
    )
    parser.add_argument("--seed", type=number(int, 0, 2**32 - 1), default=0, help="seed of all that is drawn")


def run(args: argparse.Namespace) -> int:
    """Render both parts, and write picture by picture."""
    import numpy as np

    from skhand.datasets import HAND_PRESETS, make_hands, save_rhd
    from skhand.datasets._rhd import FOLDERS

    counts = {"train": args.number, "test": args.evaluation}
    if counts["test"] is None:
        counts["test"] = max(1, args.number // 10)
    for split, folder in FOLDERS.items():
        if counts[split] and (args.out / folder).exists():
            raise InputError(f"OUT: expected a folder without {folder}, found {args.out / folder}.")
    preset = HAND_PRESETS["rhd"]
    zoom = args.size / preset["image_size"]
    framing = np.array(preset["framing"])
    framing[:2] *= zoom
    framing[:2, 2] += (zoom - 1) / 2  # pixel centres are whole numbers
    seeds = np.random.SeedSequence(args.seed).generate_state(len(counts))
    for (split, n_samples), seed in zip(counts.items(), seeds.tolist(), strict=True):
        if not n_samples:
            continue
        hands = make_hands(
            n_samples,
            image_size=args.size,
            framing=framing,
            distance=preset["distance"],
            n_subjects=args.subjects,
            side=args.side,
            rotation=args.rotation,
            occluders=args.occluders,
            lazy=True,
            random_state=seed,
        )
        save_rhd(hands.data, hands.target, args.out, split)
        print(f"{count(n_samples, 'picture')} -> {args.out / FOLDERS[split]}")
    print("Read them with skhand.datasets.load_rhd.")
    return 0
