"""Do modalities share the latent space? Spurr et al. 2018, Fig. 8, as a number.

Inputs (``--source``) and poses of held-out subjects are embedded, one latent vector is drawn from each
posterior, and a logistic regression tries to tell which modality a latent vector came from. Balanced
accuracy 0.5 is a space where it cannot, 1.0 is one manifold a modality. Cross-trained: source -> 3D and 3D
-> 3D on one latent space (variant 2). Separately trained: an autoencoder of the source and one of the pose.
The reconstruction of pictures, whose values lie in -0.5..0.5, weighs ``--picture-weight`` times, about the
ratio of a standardised pose's variance to theirs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.metrics import mean_epe


def separability(latents: list[np.ndarray], groups: np.ndarray, seed: int) -> float:
    """Held-out balanced accuracy of telling the modality; a hand's two latents are in one fold."""
    Z = np.concatenate(latents)
    modality = np.repeat(np.arange(len(latents)), len(latents[0]))
    folds = GroupShuffleSplit(5, test_size=0.3, random_state=seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    scores = cross_val_score(
        model, Z, modality, groups=np.tile(groups, len(latents)), cv=folds, scoring="balanced_accuracy"
    )
    return float(scores.mean())


def main() -> None:
    """Fit, embed and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", choices=["rgb", "keypoints2d"], default="rgb")
    parser.add_argument("--picture-weight", type=float, default=20.0)
    parser.add_argument("--n-samples", type=int, default=3000)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--beta", type=float, default=3e-4)
    parser.add_argument("--rotation", type=float, default=45)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    rows = []
    for seed in args.seeds:
        hands = make_hands(
            args.n_samples,
            image_size=args.image_size,
            rotation=args.rotation,
            side="left",
            n_subjects=50,
            images=("rgb",) if args.source == "rgb" else ("mask",),
            random_state=seed,
        )
        train, test = next(
            GroupShuffleSplit(1, test_size=0.25, random_state=seed).split(hands.data, groups=hands.groups)
        )
        settings = {
            "backbone": "small",
            "given": ("root",),
            "beta": args.beta,
            "lr": 1e-3,
            "lr_schedule": "cosine",
            "max_epochs": args.epochs,
            "augment": None,
            "random_state": seed,
        }
        X, y = hands.data.replace(root=None), hands.target
        weight = args.picture_weight if args.source == "rgb" else 1.0
        cross = CrossModalVAERegressor(source=args.source, variant=2, **settings).fit(X[train], y[train])
        poses = HandFrames(pose3d=y)
        alone = [
            CrossModalVAERegressor(pairs=[(args.source, args.source)], pair_weights=[weight], **settings).fit(
                X[train]
            ),
            CrossModalVAERegressor(pairs=[("pose3d", "pose3d")], **settings).fit(poses[train], y[train]),
        ]
        poses = poses[test]
        groups = np.arange(len(test))
        drawn = {"n_samples": 1, "target": "latent", "random_state": seed}
        cross_latents = [
            cross.sample_posterior(X[test], source=args.source, **drawn)[0],
            cross.sample_posterior(poses, source="pose3d", **drawn)[0],
        ]
        alone_latents = [
            alone[0].sample_posterior(X[test], **drawn)[0],
            alone[1].sample_posterior(poses, **drawn)[0],
        ]
        rows.append(
            {
                "seed": seed,
                "cross": separability(cross_latents, groups, seed),
                "separate": separability(alone_latents, groups, seed),
                "epe_mm": mean_epe(y[test], cross.predict(X[test]), align="root"),
                "mean_pose_mm": mean_epe(
                    y[test],
                    np.broadcast_to((y[train] - y[train].mean(1, keepdims=True)).mean(0), y[test].shape),
                    align="root",
                ),
                "pose_epe_mm": mean_epe(y[test], cross.predict(poses, source="pose3d"), align="root"),
            }
        )
        print({name: round(value, 3) for name, value in rows[-1].items()}, flush=True)
    if args.out:
        settings = {name: value for name, value in vars(args).items() if name != "out"}
        args.out.write_text(json.dumps({"settings": settings, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
