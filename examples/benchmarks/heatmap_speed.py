"""Images/s of LatentHeatmapRegressor's full one-stage network and its fast one, alternating in one run.

From pictures to 2.5D poses, softmax and sums included, without gradient, on batches of random pictures. Iqbal
et al. 2018 report 20 and 150 images/s on a Titan X at 256 channels and 128 px, 7.5 times as many. Threads,
width and size decide the ratio: state them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from recording import machine, save_results

from skhand.estimators.latent_heatmap.network import Pose25DNet
from skhand.training import autocast, resolve_device, resolve_precision


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    device = resolve_device(args.device)
    dtype = resolve_precision(args.precision, device)
    images = torch.rand(args.batch_size, 3, args.image_size, args.image_size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    nets = {
        name: Pose25DNet("latent", 21, (args.image_size, args.image_size), width=args.width, fast=fast)
        .to(device, memory_format=torch.channels_last)
        .eval()
        for name, fast in (("full", False), ("fast", True))
    }
    best = dict.fromkeys(nets, float("inf"))
    with torch.inference_mode(), autocast(device, dtype):
        for _ in range(args.rounds + 1):  # the first round warms up
            for name, net in nets.items():
                start = time.perf_counter()
                net(images)
                if device.type == "cuda":
                    torch.cuda.synchronize()
                best[name] = min(best[name], time.perf_counter() - start)
    rates = {name: args.batch_size / seconds for name, seconds in best.items()}
    print(
        f"{device}, {torch.get_num_threads()} thread(s), {args.precision}, width {args.width}, "
        f"{args.image_size} px, batches of {args.batch_size}"
    )
    print(", ".join(f"{name} {rate:.2f} images/s" for name, rate in rates.items()))
    ratio = rates["fast"] / rates["full"]
    print(f"fast / full: {ratio:.2f}")
    if args.out is not None:
        settings = {name: value for name, value in vars(args).items() if name != "out"}
        measured = {"images_per_second": rates, "fast_over_full": ratio, "paper": {"full": 20, "fast": 150}}
        save_results({"settings": settings, "machine": machine(), **measured}, args.out)


if __name__ == "__main__":
    main()
