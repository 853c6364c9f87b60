"""Draw what a fitted SimToRealRegressor makes of hands: translations, and a walk through its latent space.

    python examples/sim_to_real_pictures.py fitted.joblib --out pictures

``translations.png`` has real pictures, what becomes of them in the synthetic domain and on the way back, and
synthetic pictures and what becomes of them in the real one. ``walk.png`` goes from one pose to another along
a straight line between their latent vectors: the pose and its picture in both domains. Hands are generated,
as in ``examples/benchmarks/sim_to_real.py``, whose ``seed0-depth.joblib`` is enough: no posterior is needed.
Its pair "thin" is ``--thickness 0.75 0.85 0.8``, and "lossy" is ``--sensor lossy``.

Needs matplotlib (``pip install "skhand[plot]"``). Load files only of those whom you trust.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import joblib
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from skhand import HandFrames
from skhand.datasets import HAND_PRESETS, make_hands
from skhand.estimators import SimToRealRegressor
from skhand.plotting import LatentWalkDisplay


def generated(
    estimator: SimToRealRegressor,
    n: int,
    domain: str,
    *,
    rotation: float,
    distance: list[float],
    seed: int,
    **options: Any,
) -> HandFrames:
    """Right hands with their poses, "real" or "synthetic", in pictures of the size that was fitted."""
    settings = {**HAND_PRESETS["nyu"], "domain": domain, **options}
    settings |= {"image_size": estimator.input_shape_[0], "images": (estimator.source_,), "side": "right"}
    settings |= {"rotation": rotation, "distance": distance}
    hands = make_hands(n, **settings, random_state=seed)
    return hands.data.replace(pose3d=hands.target)


def translations(
    estimator: SimToRealRegressor, real: HandFrames, synthetic: HandFrames
) -> dict[str, np.ndarray]:
    """Pictures by the name of their row."""
    source = estimator.source_
    there = estimator.translate(real, to="synthetic")
    back = estimator.translate(real.replace(**{source: there}, domain="synthetic"), to="real")
    return {
        "real": np.asarray(getattr(real, source)),
        "to synthetic": there,
        "and back": back,
        "synthetic": np.asarray(getattr(synthetic, source)),
        "to real": estimator.translate(synthetic, to="real"),
    }


def draw(rows: dict[str, np.ndarray], path: Path) -> None:
    """Draw a row of pictures for each name; depth is drawn around each picture's middle, near is dark."""
    n = len(next(iter(rows.values())))
    figure, axes = plt.subplots(
        len(rows), n, figsize=(1.4 * n + 0.4, 1.4 * len(rows)), squeeze=False, layout="constrained"
    )
    for own, (name, pictures) in zip(axes, rows.items(), strict=True):
        own[0].set_ylabel(name)
        for ax, picture in zip(own, pictures, strict=True):
            ax.set(xticks=[], yticks=[])
            if picture.ndim == 3:
                ax.imshow(picture)
                continue
            seen = np.where(picture > 0, picture, np.nan)
            middle = np.median(picture[picture > 0]) if (picture > 0).any() else 0.0
            ax.imshow(seen, cmap="gray", vmin=middle - 80, vmax=middle + 120)  # mm: a hand, and some more
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Draw both pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "fitted", type=Path, help="a SimToRealRegressor with the stage 'depth', by joblib.dump"
    )
    parser.add_argument("--out", type=Path, default=Path("sim_to_real_pictures"))
    parser.add_argument("--n-hands", type=int, default=6, help="pictures a row (default: 6)")
    parser.add_argument("--steps", type=int, default=7, help="of the walk, both ends included (default: 7)")
    parser.add_argument("--rotation", type=float, default=60, help="largest angle of the view, degrees")
    parser.add_argument(
        "--distance",
        type=float,
        nargs=2,
        default=list(HAND_PRESETS["nyu"]["distance"]),
        help="mm (default: NYU's)",
    )
    parser.add_argument("--thickness", type=float, nargs=3, help="of real fingers, palms and forearms")
    parser.add_argument("--sensor", help="the real domain's, as in make_hands")
    parser.add_argument("--seed", type=int, default=1000, help="of the hands; not that of training hands")
    args = parser.parse_args()
    look = {"thickness": args.thickness, "sensor": args.sensor}
    own = {"real": {name: given for name, given in look.items() if given}, "synthetic": {}}
    estimator = joblib.load(args.fitted)
    if estimator.input_shape_[0] != estimator.input_shape_[1]:
        parser.error(f"expected an estimator of square pictures, got {estimator.input_shape_}")
    args.out.mkdir(parents=True, exist_ok=True)
    real, synthetic = (
        generated(
            estimator,
            args.n_hands,
            domain,
            rotation=args.rotation,
            distance=args.distance,
            seed=args.seed + i,
            **own[domain],
        )
        for i, domain in enumerate(("real", "synthetic"))
    )
    draw(translations(estimator, real, synthetic), args.out / "translations.png")
    ends = synthetic[[0]], synthetic[[-1]]
    walk = LatentWalkDisplay.from_estimator(estimator, *ends, n_steps=args.steps, source="pose3d")
    walk.plot(elev=0, azim=-90)  # poses as the camera sees them, as in the pictures below
    walk.figure_.savefig(args.out / "walk.png", dpi=120)
    print(f"{args.out / 'translations.png'}, {args.out / 'walk.png'}")


if __name__ == "__main__":
    main()
