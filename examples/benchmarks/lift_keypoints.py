"""2D -> 3D on poses of the Rendered Hand Pose data set: the cross-modal VAE beside a plain MLP.

``poses.npz`` holds ``joints_mm`` (n, 21, 3), ``keypoints2d`` (n, 21, 2), ``K`` (n, 3, 3) and ``left`` (n,).
Rows with a joint behind the camera are dropped; the first 80% are for training, the last 20% for testing.
Given: T (palm), S (middle MCP-PIP), H (side), and the intrinsics: the keypoints are seen through a camera
that is turned onto the hand's centre (read off the keypoints alone) and zoomed to its size, and predictions
are turned back. Latent size, beta and the layers were chosen with ``--validate``, on the last 15% of the
training rows.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import nn

from skhand import HandFrames
from skhand.estimators import CrossModalVAERegressor
from skhand.geometry import bone_length
from skhand.metrics import mean_epe, median_epe
from skhand.skeleton import root_position
from skhand.training import augment_batch, check_augment

AUGMENT = {"rotate": 180, "flip": "horizontal"}


def look_at_hand(keypoints: np.ndarray, camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn and zoom each camera onto its keypoints; return the keypoints seen there and the turns."""
    ones = np.ones((*keypoints.shape[:-1], 1))
    rays = np.concatenate([keypoints, ones], axis=-1) @ np.linalg.inv(camera).swapaxes(-1, -2)
    centre = np.concatenate([np.median(rays[..., :2], axis=1), np.ones((len(rays), 1))], axis=1)
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)
    axis = np.cross(centre, [0.0, 0.0, 1.0])
    sine = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.arctan2(sine[:, 0], centre[:, 2])
    turn = Rotation.from_rotvec(axis / np.maximum(sine, 1e-12) * angle[:, None]).as_matrix()
    rays = rays @ turn.swapaxes(-1, -2)
    seen = rays[..., :2] / rays[..., 2:]
    spread = np.sqrt(((seen - seen.mean(axis=1, keepdims=True)) ** 2).mean(axis=(1, 2)))
    return 100.0 * seen / spread[:, None, None], turn


def read(path: Path) -> tuple[HandFrames, np.ndarray, np.ndarray]:
    """Rows in front of the camera: frames, poses seen by the turned cameras (mm) and the turns."""
    data = np.load(path, allow_pickle=False)
    keep = (data["joints_mm"][..., 2] > 0).all(axis=1)
    y, keypoints = data["joints_mm"][keep].astype(float), data["keypoints2d"][keep].astype(float)
    seen, turn = look_at_hand(keypoints, data["K"][keep].astype(float))
    side = np.where(data["left"][keep], "left", "right")
    frames = HandFrames(keypoints2d=seen, side=side, scale=bone_length(y))
    return frames, y @ turn.swapaxes(-1, -2), turn


class PlainMLP:
    """Five hidden layers, as many weights as the VAE, with the same augmentation, steps and schedule."""

    def __init__(self, n_weights: int, epochs: int, lr: float, batch_size: int, seed: int):
        self.n_weights, self.epochs, self.lr, self.batch_size, self.seed = (
            n_weights,
            epochs,
            lr,
            batch_size,
            seed,
        )

    def _inputs(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        side = nn.functional.one_hot(batch["side"], 2).float()
        return torch.cat([(batch["keypoints2d"].flatten(1) / 100.0), side], dim=1)

    @staticmethod
    def _rows(X: HandFrames) -> dict[str, torch.Tensor]:
        return {
            "keypoints2d": torch.tensor(X.keypoints2d, dtype=torch.float32),
            "side": torch.tensor((X.side == "right").astype(np.int64)),
        }

    def fit(self, X: HandFrames, y: np.ndarray) -> PlainMLP:
        """Train on poses relative to the palm and in units of the scale bone."""
        torch.manual_seed(self.seed)
        width = int(np.sqrt(self.n_weights / 4.0 + 14.0**2) - 14.0)
        sizes = [44] + [width] * 5
        layers = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
        self.net = nn.Sequential(*layers, nn.Linear(width, 63))
        rows = self._rows(X)
        target = (y - root_position(y)[:, None]) / X.scale[:, None, None]
        rows["pose3d"] = torch.tensor(target, dtype=torch.float32)
        self.mean = target.reshape(len(y), -1).mean(axis=0)
        self.std = float((target.reshape(len(y), -1) - self.mean).std())
        optimizer = torch.optim.Adam(self.net.parameters(), self.lr)
        n_steps = -(-len(y) // self.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs * n_steps)
        mean = torch.tensor(self.mean, dtype=torch.float32)
        for _ in range(self.epochs):
            order = torch.randperm(len(y))
            for step in range(n_steps):
                part = order[step * self.batch_size : (step + 1) * self.batch_size]
                batch = augment_batch({k: v[part] for k, v in rows.items()}, check_augment(AUGMENT))
                wanted = (batch["pose3d"].flatten(1) - mean) / self.std
                loss = nn.functional.mse_loss(self.net(self._inputs(batch)), wanted)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        return self

    def predict(self, X: HandFrames) -> np.ndarray:
        """Poses relative to the palm, mm."""
        with torch.inference_mode():
            out = self.net(self._inputs(self._rows(X))).numpy()
        return (out * self.std + self.mean).reshape(-1, 21, 3) * X.scale[:, None, None]


def main() -> None:
    """Fit both for every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("poses", type=Path)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--beta", type=float, default=1e-5)
    parser.add_argument("--latent-dim", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--validate", action="store_true", help="test on the last 15%% of the training rows instead"
    )
    parser.add_argument("--out", type=Path, default=None, help="write the figures to this json file")
    args = parser.parse_args()
    X, y, turn = read(args.poses)
    n_train = int(0.8 * len(y))
    train, test = np.arange(n_train), np.arange(n_train, len(y))
    if args.validate:
        train, test = train[: int(0.85 * n_train)], train[int(0.85 * n_train) :]
    rooted = (y - root_position(y)[:, None]) @ turn  # back in the original camera
    mean_pose = (rooted[train] / X.scale[train, None, None]).mean(axis=0) * X.scale[test, None, None]
    rows = [{"method": "mean pose", "seed": None, "mean_epe": mean_epe(rooted[test], mean_pose)}]
    for seed in args.seeds:
        start = time.perf_counter()
        vae = CrossModalVAERegressor(
            given=("root", "scale", "side"),
            latent_dim=args.latent_dim,
            beta=args.beta,
            n_hidden_layers=2,
            hidden_units=950,
            lr=args.lr,
            lr_schedule="cosine",
            max_epochs=args.epochs,
            augment=AUGMENT,
            random_state=seed,
        ).fit(X[train], y[train])
        middle = time.perf_counter()
        mlp = PlainMLP(vae.n_parameters_, args.epochs, args.lr, 64, seed).fit(X[train], y[train])
        n_mlp = sum(weight.numel() for weight in mlp.net.parameters())
        times = (middle - start, time.perf_counter() - middle)
        for name, model, n_weights, seconds in (
            ("CrossModalVAERegressor", vae, vae.n_parameters_, times[0]),
            ("plain MLP", mlp, n_mlp, times[1]),
        ):
            predicted = model.predict(X[test]) @ turn[test]
            figures = {"mean_epe": mean_epe(rooted[test], predicted, align="root")}
            figures["median_epe"] = median_epe(rooted[test], predicted, align="root")
            rows.append({"method": name, "seed": seed, **figures, "n_weights": n_weights, "seconds": seconds})
    for row in rows:
        print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    if args.out:
        note = f"{len(train)} training rows, {len(test)} test rows, given T, S, H and the intrinsics"
        settings = {name: value for name, value in vars(args).items() if name not in ("out", "poses")}
        args.out.write_text(json.dumps({"data": note, "settings": settings, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
