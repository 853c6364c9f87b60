"""Draw a sheet of generated hands, one for each gesture, with their names.

    python examples/contact_sheet.py sheet.png
    python examples/contact_sheet.py depth.png --picture depth --domain real

Needs matplotlib (``pip install "skhand[plot]"``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from skhand.datasets import GESTURES, make_hands


def main() -> None:
    """Make one hand for each gesture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--picture", choices=["rgb", "depth"], default="rgb")
    parser.add_argument("--domain", choices=["synthetic", "real"], default="synthetic")
    parser.add_argument("--image-size", type=int, default=256, help="px")
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--rotation", type=float, default=60.0, help="largest angle of the view, degrees")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    names = list(GESTURES)
    rows = -(-len(names) // args.columns)
    _, axes = plt.subplots(rows, args.columns, figsize=(1.6 * args.columns, 1.75 * rows), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for number, (axis, name) in enumerate(zip(axes.flat, names, strict=False)):
        hands = make_hands(
            1,
            image_size=args.image_size,
            images=(args.picture,),
            gestures=name,
            rotation=args.rotation,
            domain=args.domain,
            random_state=args.seed + number,
        )
        picture = getattr(hands.data, args.picture)[0]
        if args.picture == "depth":
            picture = np.where(picture > 0, picture, np.nan)
        axis.imshow(picture, cmap="gray_r")
        axis.set_title(name, fontsize=7, pad=2)
    plt.subplots_adjust(0.005, 0.005, 0.995, 0.97, 0.02, 0.1)
    plt.savefig(args.out, dpi=120)


if __name__ == "__main__":
    main()
