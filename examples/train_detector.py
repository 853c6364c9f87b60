"""Train the hand detector on generated scenes for a given time, and write the weights that ship.

    python examples/train_detector.py --minutes 30 --out runs/detector
    python examples/train_detector.py --minutes 5 --device cuda --workers 4 --pool 6000 --out runs/detector

It first renders a pool of hands and backgrounds, which it keeps in ``--out``; every step composes new scenes
from them. Run again with the same ``--out``, it goes on where it was. Real pictures are scored for the log
only: none trains it, and none chooses anything.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed

from skhand._weights import load_weights, save_weights
from skhand.datasets._scenes import load_pool, render_backgrounds, render_hands
from skhand.detection._boxes import box_iou
from skhand.detection._network import ARCHITECTURE, DetectorNet
from skhand.detection._training import DetectorTraining, draw_scenes, score_network
from skhand.training import resolve_precision

SIDE, GROUND, CHUNK = 192, 128, 100
HELD_OUT = 1_000_003  # added to the seed: other people, poses and backgrounds


def render_part(kind, seed, first, count, path):
    """Render some rows into a file, unless it is there."""
    if path.exists():
        return
    torch.set_num_threads(1)
    rows = np.arange(first, first + count)
    if kind == "hands":
        arrays = render_hands(seed, rows, SIDE)
    else:
        arrays = {"backgrounds": render_backgrounds(seed, rows, GROUND)}
    draft = path.with_suffix(".part")
    with draft.open("wb") as file:
        np.savez(file, **arrays)
    draft.rename(path)


def render_pool(folder, seed, n_hands, n_backgrounds, workers):
    """Render a pool in parallel, or what is missing of it, and return its arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = []
    for kind, n in (("hands", n_hands), ("backgrounds", n_backgrounds)):
        for first in range(0, n, CHUNK):
            jobs.append(
                (
                    kind,
                    seed,
                    first,
                    min(CHUNK, n - first),
                    folder / f"{kind}_{first}_{min(CHUNK, n - first)}.npz",
                )
            )
    missing = [job for job in jobs if not job[-1].exists()]
    if missing and workers > 1:
        Parallel(n_jobs=workers, backend="loky")(delayed(render_part)(*job) for job in missing)
    for job in missing:
        render_part(*job)
    arrays = {}
    for job in jobs:
        with np.load(job[-1]) as part:
            for name in part.files:
                arrays.setdefault(name, []).append(part[name])
    return {name: np.concatenate(parts) for name, parts in arrays.items()}


def read_real(folder):
    """Read whole pictures of real hands and their boxes: (name, picture, boxes) each."""
    from PIL import Image

    pictures = []
    for name in ("freihand", "rhd"):
        path = folder / name / f"test_{name}.json"
        if not path.exists():
            continue
        labels = json.loads(path.read_text())
        for image in labels["images"]:
            boxes = []
            for hand in labels["annotations"]:
                if hand["image_id"] == image["id"]:
                    boxes.append(joint_box(hand))
            picture = Image.open(folder / name / image["file_name"]).convert("RGB")
            pictures.append((name, np.asarray(picture), torch.tensor(np.array(boxes), dtype=torch.float32)))
    return pictures + read_interhand(folder / "interhand2.6m")


def read_interhand(folder):
    """Read the samples of InterHand2.6M: joints of both hands, in the world, and cameras."""
    from PIL import Image

    if not folder.exists():
        return []
    data, cameras, joints = (
        json.loads((folder / f"test_interhand2.6m_{name}.json").read_text())
        for name in ("data", "camera", "joint_3d")
    )
    pictures = []
    for image, hand in zip(data["images"], data["annotations"], strict=True):
        camera = {name: np.array(of[image["camera"]]) for name, of in cameras[str(image["capture"])].items()}
        world = np.array(joints[str(image["capture"])][str(image["frame_idx"])]["world_coord"])
        seen = (world - camera["campos"]) @ camera["camrot"].T
        points = seen[:, :2] / seen[:, 2:] * camera["focal"] + camera["princpt"]
        valid = np.array(hand["joint_valid"]).reshape(2, 21).all(axis=1)
        boxes = [joint_box({"keypoints": points[21 * k : 21 * k + 21]}) for k in (0, 1) if valid[k]]
        picture = Image.open(folder / image["file_name"]).convert("RGB")
        box = torch.tensor(np.array(boxes).reshape(-1, 4), dtype=torch.float32)
        pictures.append(("interhand2.6m", np.asarray(picture), box))
    return pictures


def joint_box(hand):
    """Return the box of a hand's joints, 4% of its length wider on each side: about 8 mm."""
    points = np.array(hand["keypoints"], dtype=float).reshape(21, -1)[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    pad = 0.045 * (high - low).max()
    return np.concatenate([low - pad, high - low + 2 * pad])


def score_real(network, pictures, threshold=0.3):
    """Return by data set how many of the hands are found at IoU 0.5, and how many alarms are false."""
    from skhand.detection._detector import find_hands

    scores = {}
    for name in sorted({name for name, _, _ in pictures}):
        some = [each for each in pictures if each[0] == name]
        found = find_hands(network, [picture for _, picture, _ in some], threshold, 2, 0.5)
        right = false = total = 0
        for one, (_, _, boxes) in zip(found, some, strict=True):
            shared = box_iou(one.box, boxes) >= 0.5
            total, right = total + len(boxes), right + int(shared.any(dim=0).sum())
            false += int((~shared.any(dim=1)).sum())
        scores[name] = {"pictures": len(some), "hands": total, "found": right, "false_alarms": false}
    return scores


def write_checkpoint(training, elapsed, log, path):
    """Write a checkpoint in a way that a crash leaves the old one or the new one."""
    draft = path.with_suffix(".part")
    torch.save({**training.state_dict(), "elapsed": elapsed, "log": log}, draft)
    os.replace(draft, path)


def export(training, log, args, scores, real, pool_size, path):
    """Write the averaged weights, batch normalisation folded in, and what they are."""
    network = DetectorNet(**training.architecture)
    network.load_state_dict(training.average.state_dict())
    weights = network.cpu().fused().state_dict()
    meta = {
        "name": "skhand hand detector",
        "architecture": training.architecture,
        "preprocessing": "Longest side to 192 px by averaging, grey (127.5) added at the right and below to "
        "a multiple of 32, (value - 127.5) / 255.",
        "recipe": {
            "pictures": training.pictures,
            "batch_size": training.batch_size,
            "minutes": round(log[-1]["minutes"], 1) if log else 0.0,
            "device": torch.cuda.get_device_name() if training.device.type == "cuda" else "CPU",
            "start": "trunk of the pose network that ships; its first level stays as it is",
            "pool": pool_size,
            "uses_of_a_scene": training.uses,
            "seed": args.seed,
            "optimiser": "AdamW with cosine over the time, averaged weights",
            "data": "generated scenes only; no real picture trains it or chooses anything",
        },
        "scores_on_held_out_scenes": scores,
        "scores_on_real_samples_logged_only": real,
        "log": log,
        "licence": "BSD-3-Clause",
        "date": datetime.date.today().isoformat(),
    }
    save_weights(path, weights, meta)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="of the whole run, rendering included")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pool", type=int, default=6000, help="hands; half as many backgrounds")
    parser.add_argument(
        "--held-out", type=int, default=400, help="hands, and backgrounds, of the held-out scenes"
    )
    parser.add_argument("--scenes", type=int, default=1000, help="held-out scenes, a multiple of 50")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=None, help="default: 16, on a GPU 256")
    parser.add_argument("--rate", type=float, default=None, help="default: 0.001, on a GPU 0.003")
    parser.add_argument("--uses", type=int, default=4, help="how often a scene is trained on, 1 to 8")
    parser.add_argument("--start", type=Path, default=None, help="checkpoint of another run to start from")
    parser.add_argument("--real", type=Path, default=None, help="folder of samples, scored for the log")
    args = parser.parse_args()
    begin = time.monotonic()
    name = args.device
    device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    args.out.mkdir(parents=True, exist_ok=True)
    pool_size = {"hands": args.pool, "backgrounds": args.pool // 2}
    arrays = render_pool(args.out / "pool", args.seed, args.pool, args.pool // 2, args.workers)
    held_out = render_pool(
        args.out / "held_out", args.seed + HELD_OUT, args.held_out, args.held_out, args.workers
    )
    pool = load_pool(arrays, device)
    other = load_pool(held_out, "cpu")  # on the processor, so that all machines score the same scenes
    generator = torch.Generator().manual_seed(1)
    parts = [draw_scenes(other, 50, ARCHITECTURE["input"], generator) for _ in range(args.scenes // 50)]
    kind = type(parts[0])
    scenes = kind(
        **{f: torch.cat([getattr(part, f) for part in parts]).to(device) for f in kind.__dataclass_fields__}
    )
    real_folder = args.real
    if real_folder is None:
        roots = [*Path(__file__).resolve().parents[1:3], Path("/work")]
        real_folder = next(
            (r / "shared/data/samples" for r in roots if (r / "shared/data/samples").exists()), None
        )
    real = read_real(real_folder) if real_folder is not None else []
    print(f"pool of {args.pool} hands after {time.monotonic() - begin:.0f} s on {device}", flush=True)

    training = DetectorTraining(
        pool,
        batch_size=args.batch_size or (256 if on_gpu else 16),
        rate=args.rate or (3e-3 if on_gpu else 1e-3),
        half=resolve_precision("auto", device) == torch.bfloat16,
        ahead=4 if on_gpu else 24,
        uses=args.uses,
        pretrained=True,
        seed=args.seed,
    )
    checkpoint, elapsed, log = args.out / "checkpoint.pt", 0.0, []
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location="cpu", weights_only=False)
        elapsed, log = state["elapsed"], state["log"]
        training.load_state_dict(state)
        print(f"going on after {training.steps} steps, {elapsed / 60:.1f} minutes", flush=True)
    elif args.start is not None:
        training.load_state_dict(torch.load(args.start, map_location="cpu", weights_only=False))
        log = []
        print(f"starting from {args.start}, {training.steps} steps", flush=True)
    total = 60.0 * args.minutes - 12.0
    total = max(total - (time.monotonic() - begin), 0.5 * total)
    first, saved, scored = time.monotonic() - elapsed, elapsed, elapsed
    pause = max(min(60.0, total / 4), 10.0)
    sums, counted = {}, 0
    while elapsed < total:
        for name, term in training.step(elapsed / total).items():
            sums[name] = sums.get(name, 0.0) + term
        counted += 1
        elapsed = time.monotonic() - first
        if elapsed - saved > 60.0:
            write_checkpoint(training, elapsed, log, checkpoint)
            saved = elapsed
        if elapsed - scored > pause or elapsed >= total:
            entry = {"minutes": elapsed / 60, "pictures": training.pictures}
            entry |= {f"loss_{name}": float(value) / counted for name, value in sums.items()}
            entry |= score_network(training.average, scenes, 0.3)
            log.append({name: round(value, 4) for name, value in entry.items()})
            print(" ".join(f"{name} {value:.4g}" for name, value in log[-1].items()), flush=True)
            with contextlib.suppress(Exception):
                print("   real, logged only:", score_real(training.average, real), flush=True)
            sums, counted = {}, 0
            elapsed = time.monotonic() - first
            scored, pause = elapsed, max(pause, 0.15 * total)
    write_checkpoint(training, elapsed, log, checkpoint)
    scores = {
        str(threshold): score_network(training.average, scenes, threshold)
        for threshold in (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)
    }
    for threshold, each in scores.items():
        print(threshold, {name: round(value, 4) for name, value in each.items()})
    export(
        training,
        log,
        args,
        scores,
        score_real(training.average, real),
        pool_size,
        args.out / "hand_detector.safetensors",
    )
    load_weights(args.out / "hand_detector.safetensors")
    print(f"wrote {args.out / 'hand_detector.safetensors'}", flush=True)


if __name__ == "__main__":
    main()
