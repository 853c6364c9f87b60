"""Training images/s of ``fit`` beside a bare loop and a plain DataLoader loop, alternating in one run.

* ``fit``: `CrossModalVAERegressor`, variant 1, ``precision="auto"``, the paper's augmentation.
* ``bare``: a loop over tensors already on the device, with the same network, batch, precision and
  augmentation.
* ``plain``: float32, contiguous, a ``DataLoader`` that augments picture by picture with torchvision.

Threads and the machine decide the absolute numbers; only the ratios within a run mean something.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import functional as tv

from skhand.estimators import CrossModalVAERegressor
from skhand.estimators.cross_modal_vae.network import CrossModalVAE
from skhand.estimators.cross_modal_vae.steps import AUGMENT
from skhand.nn import ImageEncoder, VectorDecoder, kl_standard_normal
from skhand.training import augment_batch, autocast, check_augment, resolve_device, resolve_precision
from skhand.training.modalities.rgb import RGBCodec


def networks(args: argparse.Namespace, device: torch.device) -> CrossModalVAE:
    """Variant 1's networks."""
    size = (args.image_size, args.image_size)
    encoder = ImageEncoder(args.backbone, 3, size, 30)
    return CrossModalVAE({"rgb": encoder}, {"pose3d": VectorDecoder(30, 63)}).to(device)


def fit(args: argparse.Namespace, X: np.ndarray, y: np.ndarray, device: torch.device) -> float:
    """Seconds of a fit, everything included but the reading of the latent statistics after it."""
    est = CrossModalVAERegressor(
        backbone=args.backbone,
        given=("root",),
        max_epochs=args.epochs,
        batch_size=args.batch_size,
        device=str(device),
        random_state=0,
    ).fit(X, y)
    return sum(est.history_["seconds"])


def bare(args: argparse.Namespace, X: np.ndarray, y: np.ndarray, device: torch.device) -> float:
    """Seconds of a bare loop over resident tensors."""
    dtype, codec = resolve_precision("auto", device), RGBCodec()
    module = networks(args, device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(module.parameters(), 1e-4, fused=True)
    pictures, poses = (
        torch.from_numpy(X).to(device),
        torch.from_numpy(y - y[:, [0]]).float().to(device) / 50.0,
    )
    settings = check_augment(AUGMENT)
    start = time.perf_counter()
    for _ in range(args.epochs):
        order = torch.randperm(len(X), device=device)
        for part in order.split(args.batch_size):
            batch = augment_batch({"rgb": pictures[part], "pose3d": poses[part]}, settings)
            with autocast(device, dtype):
                output, mean, log_var = module(codec.encode(batch), "rgb", "pose3d")
            loss = mse_loss(output.float(), batch["pose3d"].flatten(1)) + 1e-4 * kl_standard_normal(
                mean, log_var
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


class Augmented(Dataset):
    """Pictures augmented one by one, the straightforward way."""

    def __init__(self, X: np.ndarray, y: np.ndarray):
        self.X, self.y = X, y

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        picture = torch.from_numpy(self.X[i]).permute(2, 0, 1).float() / 255.0 - 0.5
        pose = torch.from_numpy(self.y[i] - self.y[i, :1]).float() / 50.0
        degrees = float(torch.empty(1).uniform_(-45, 45))
        shift = [int(s) for s in (torch.empty(2).uniform_(-0.1, 0.1) * picture.shape[1])]
        bilinear = tv.InterpolationMode.BILINEAR
        picture = tv.affine(picture, degrees, shift, 1.0, [0.0, 0.0], interpolation=bilinear)
        angle = torch.deg2rad(torch.tensor(degrees))
        turn = torch.eye(3)
        turn[:2, :2] = torch.tensor([[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]])
        pose = pose @ turn.T
        if torch.rand(1) < 0.5:
            picture, pose = picture.flip(2), pose * torch.tensor([-1.0, 1.0, 1.0])
        return picture, pose


def plain(args: argparse.Namespace, X: np.ndarray, y: np.ndarray, device: torch.device) -> float:
    """Seconds of a float32 DataLoader loop."""
    module = networks(args, device).train()
    optimizer = torch.optim.Adam(module.parameters(), 1e-4)
    loader = DataLoader(Augmented(X, y), args.batch_size, shuffle=True)
    start = time.perf_counter()
    for _ in range(args.epochs):
        for picture, pose in loader:
            output, mean, log_var = module(picture.to(device), "rgb", "pose3d")
            loss = mse_loss(output, pose.to(device).flatten(1)) + 1e-4 * kl_standard_normal(mean, log_var)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Alternate the three and print images/s and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--n-samples", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    device = resolve_device(args.device)
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (args.n_samples, args.image_size, args.image_size, 3), dtype=np.uint8)
    y = rng.normal(0, 50, (args.n_samples, 21, 3))
    speeds: dict[str, list[float]] = {"fit": [], "bare": [], "plain": []}
    for round_number in range(args.rounds + 1):  # the first round warms up
        for function in (fit, bare, plain):
            seconds = function(args, X, y, device)
            if round_number:
                speeds[function.__name__].append(args.n_samples * args.epochs / seconds)
        if round_number:
            print({name: round(values[-1], 1) for name, values in speeds.items()}, flush=True)
    ratios = {
        f"fit/{name}": np.median(np.array(speeds["fit"]) / np.array(speeds[name]))
        for name in ("bare", "plain")
    }
    machine = f"{device}, {torch.get_num_threads()} threads, {platform.processor() or platform.machine()}"
    precision = str(resolve_precision("auto", device)).removeprefix("torch.")
    print(f"median images/s: { {k: round(float(np.median(v)), 1) for k, v in speeds.items()} }")
    print(f"median ratios: { {k: round(float(v), 2) for k, v in ratios.items()} }  ({machine}, {precision})")
    if args.out:
        settings = {name: value for name, value in vars(args).items() if name != "out"}
        result = {"settings": settings, "machine": machine, "precision": precision, "images_per_s": speeds}
        args.out.write_text(json.dumps({**result, "median_ratios": ratios}, indent=1, default=float))


if __name__ == "__main__":
    main()
