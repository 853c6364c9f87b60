"""Train the hand detector on generated scenes for a given time, and write the weights that ship.

    python examples/train_detector.py --minutes 30 --out runs/detector
    python examples/train_detector.py --minutes 10 --device cuda --workers 4 --pool 12000 --out runs/detector

Every step composes new scenes from a pool of hands and backgrounds, which other processes render into
``--pool-dir``; training starts with the first of them. Weights and a checkpoint are written to ``--out``
about every minute; run again with the same ``--out``, it goes on where it was. Real pictures are scored for
the log only: none trains it, and none chooses anything.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from skhand._device import resolve_device
from skhand._validation import check_number
from skhand._weights import load_weights, save_weights
from skhand.datasets._scenes import load_pool, render_backgrounds, render_hands
from skhand.detection._boxes import box_iou
from skhand.detection._network import ARCHITECTURE, DetectorNet
from skhand.detection._training import DetectorTraining, draw_scenes, score_network
from skhand.exceptions import InputError
from skhand.rendering.scenes import HandPool, Scenes
from skhand.training import resolve_precision

SIDE, GROUND, CHUNK = 192, 128, 100
FIRST = 10  # parts that training waits for
HELD_OUT = 1_000_003  # added to the seed: other people, poses and backgrounds


@dataclass
class Parts:
    """Some hands and backgrounds, rendered into files of a folder, a part of them each.

    ``n_backgrounds`` come with every ``CHUNK`` hands.
    """

    folder: Path
    seed: int
    n_hands: int
    n_backgrounds: int

    def paths(self):
        """Return a file for each part, in order."""
        firsts = range(0, self.n_hands, CHUNK)
        sizes = (f"{first}_{min(CHUNK, self.n_hands - first)}_{self.n_backgrounds}" for first in firsts)
        return [self.folder / f"{self.seed}_{size}.npz" for size in sizes]

    def render(self, number):
        """Render a part into its file."""
        torch.set_num_threads(1)
        path, first = self.paths()[number], number * CHUNK
        grounds = np.arange(self.n_backgrounds) + number * self.n_backgrounds
        arrays = render_hands(self.seed, np.arange(first, min(first + CHUNK, self.n_hands)), SIDE)
        draft = path.with_suffix(".part")
        with draft.open("wb") as file:
            np.savez(file, **arrays, backgrounds=render_backgrounds(self.seed, grounds, GROUND))
        draft.rename(path)

    def read(self, numbers, device):
        """Read some parts as one pool."""
        arrays = {}
        for number in numbers:
            with np.load(self.paths()[number]) as part:
                for name in part.files:
                    arrays.setdefault(name, []).append(part[name])
        return load_pool({name: np.concatenate(several) for name, several in arrays.items()}, device)


class GrowingPool:
    """A pool of hands that other processes still render.

    Parameters
    ----------
    parts : Parts
    first : int
        How many parts to wait for.
    jobs : list of (int, Future)
        Who renders which part.
    device : torch.device
    """

    def __init__(self, parts, first, jobs, device):
        self.parts, self.device, self.jobs = parts, device, dict(jobs)
        self.missing = set(range(len(parts.paths())))
        now = range(min(first, len(self.missing)))
        wait([self.jobs[number] for number in now if number in self.jobs])
        self.pool = self._take(now)

    def grow(self):
        """Return the pool with what has been rendered since."""
        done = [number for number in sorted(self.missing) if self._is_done(number)]
        if done:
            more = self._take(done)
            names = HandPool.__dataclass_fields__
            both = {name: torch.cat([getattr(self.pool, name), getattr(more, name)]) for name in names}
            self.pool = HandPool(**both)
        return self.pool

    def _is_done(self, number):
        return number not in self.jobs or self.jobs[number].done()

    def _take(self, numbers):
        for number in numbers:
            if number in self.jobs:
                self.jobs[number].result()  # what went wrong there goes wrong here
        self.missing -= set(numbers)
        return self.parts.read(numbers, self.device)


def start_rendering(parts, executor):
    """Have other processes render the parts that are missing; return who renders which."""
    parts.folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number, path in enumerate(parts.paths()) if not path.exists()]
    return [(number, executor.submit(parts.render, number)) for number in missing]


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


def draw_held_out(parts, count, device):
    """Compose the held-out scenes: on the processor, so that all machines score the same ones."""
    pool, generator = parts.read(range(len(parts.paths())), "cpu"), torch.Generator().manual_seed(1)
    drawn = [draw_scenes(pool, 50, ARCHITECTURE["input"], generator) for _ in range(count // 50)]
    fields = Scenes.__dataclass_fields__
    return Scenes(**{name: torch.cat([getattr(part, name) for part in drawn]).to(device) for name in fields})


def find_samples(folder):
    """Read the real samples of a folder, or of the one where they lie beside the project, if any."""
    if folder is None:
        roots = Path(__file__).resolve().parents[1:3]
        folder = next(
            (r / "shared/data/samples" for r in roots if (r / "shared/data/samples").exists()), None
        )
    return [] if folder is None else read_real(folder)


class Run:
    """One training with its clock, its log and its files.

    Parameters
    ----------
    training : DetectorTraining
    args : Namespace
    scenes : Scenes
        Held out.
    real : list
        What `read_real` returns.
    """

    def __init__(self, training, args, scenes, real):
        self.training, self.args, self.scenes, self.real = training, args, scenes, real
        self.elapsed, self.log, self.before = 0.0, [], 0
        self.checkpoint, self.weights = args.out / "checkpoint.pt", args.out / "hand_detector.safetensors"
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=False)
            self.elapsed, self.log, self.before = state["elapsed"], state["log"], state["before"]
            training.load_state_dict(state)
            print(f"going on after {training.steps} steps, {self.elapsed / 60:.1f} minutes", flush=True)
        elif args.start is not None:
            state = torch.load(args.start, map_location="cpu", weights_only=False)
            for network in (training.network, training.average):
                network.load_state_dict(state["average"])
            self.before = state["before"] + state["pictures"]
            print(f"starting from {args.start}, {self.before} pictures", flush=True)

    def train(self, total, grow):
        """Train until ``total`` seconds are over, a step at least; ``grow`` returns the pool as it is now."""
        training, start = self.training, time.monotonic() - self.elapsed
        saved = scored = grown = self.elapsed
        pause = max(min(60.0, total / 4), 10.0)
        sums, counted = {}, 0
        over = False
        while not over:
            for name, term in training.step(self.elapsed / total).items():
                sums[name] = sums.get(name, 0.0) + term
            counted += 1
            self.elapsed = time.monotonic() - start
            over = self.elapsed >= total
            if self.elapsed - grown > 5.0:
                training.pool, grown = grow(), self.elapsed
            if self.elapsed - scored > pause or over:
                self.score({f"loss_{name}": float(value) / counted for name, value in sums.items()})
                sums, counted = {}, 0
                scored = saved = self.elapsed = time.monotonic() - start
                pause = max(60.0, 0.1 * total)
            elif self.elapsed - saved > 60.0:
                self.write_checkpoint()
                saved = self.elapsed

    def score(self, losses):
        """Score the averaged weights at one threshold, and write them."""
        entry = {"minutes": self.elapsed / 60, "pictures": self.training.pictures, **losses}
        entry["hands"] = len(self.training.pool.rgba)
        scores = score_network(self.training.average, self.scenes, 0.3)
        self.log.append({name: round(value, 4) for name, value in (entry | scores).items()})
        print(" ".join(f"{name} {value:.4g}" for name, value in self.log[-1].items()), flush=True)
        real = score_real(self.training.average, self.real)
        print("   real, logged only:", real, flush=True)
        self.write_checkpoint()
        self.export({"0.3": scores}, real)

    def finish(self):
        """Score the averaged weights at several thresholds, and write them."""
        thresholds = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)
        scores = {str(each): score_network(self.training.average, self.scenes, each) for each in thresholds}
        for threshold, each in scores.items():
            print(threshold, {name: round(value, 4) for name, value in each.items()})
        self.export(scores, score_real(self.training.average, self.real))
        load_weights(self.weights)
        print(f"wrote {self.weights}", flush=True)

    def write_checkpoint(self):
        """Write a checkpoint in a way that a crash leaves the old one or the new one."""
        draft = self.checkpoint.with_suffix(".part")
        more = {"elapsed": self.elapsed, "log": self.log, "before": self.before}
        torch.save({**self.training.state_dict(), **more}, draft)
        os.replace(draft, self.checkpoint)

    def export(self, scores, real):
        """Write the averaged weights, batch normalisation folded in, and what they are."""
        training = self.training
        network = DetectorNet(**training.architecture)
        network.load_state_dict(training.average.state_dict())
        recipe = {
            "pictures": self.before + training.pictures,
            "pictures_before": self.before,
            "batch_size": training.batch_size,
            "rate": training.rate,
            "minutes": round(self.elapsed / 60, 1),
            "device": torch.cuda.get_device_name() if training.device.type == "cuda" else "CPU",
            "start": "trunk of the pose network that ships; its first level stays as it is",
            "pool": {"hands": len(training.pool.rgba), "backgrounds": len(training.pool.backgrounds)},
            "uses_of_a_scene": training.uses,
            "seed": self.args.seed,
            "optimiser": "AdamW with cosine over the time, averaged weights",
            "data": "generated scenes only; no real picture trains it or chooses anything",
        }
        meta = {
            "name": "skhand hand detector",
            "architecture": training.architecture,
            "preprocessing": "Longest side to 192 px by averaging, grey (127.5) added at the right and below "
            "to a multiple of 32, (value - 127.5) / 255.",
            "recipe": recipe,
            "scores_on_held_out_scenes": scores,
            "scores_on_real_samples_logged_only": real,
            "log": self.log,
            "licence": "BSD-3-Clause",
            "date": datetime.date.today().isoformat(),
        }
        save_weights(self.weights, network.cpu().fused().state_dict(), meta)


def parse():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="of the whole run")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pool", type=int, default=6000, help="hands; half as many backgrounds")
    parser.add_argument(
        "--pool-dir", type=Path, default=None, help="folder of what is rendered (default: OUT)"
    )
    parser.add_argument(
        "--held-out", type=int, default=400, help="hands, and backgrounds, of the held-out scenes"
    )
    parser.add_argument("--scenes", type=int, default=1000, help="held-out scenes, a multiple of 50")
    parser.add_argument("--workers", type=int, default=1, help="processes that render")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=None, help="default: 16, on a GPU 256")
    parser.add_argument("--rate", type=float, default=None, help="default: 0.001, on a GPU 0.002")
    parser.add_argument("--uses", type=int, default=4, help="how often a scene is trained on, 1 to 8")
    parser.add_argument("--start", type=Path, default=None, help="checkpoint of another run to start from")
    parser.add_argument("--real", type=Path, default=None, help="folder of samples, scored for the log")
    args = parser.parse_args()
    check_number(args.minutes, "--minutes", low=0, include_low=False)
    for name in ("pool", "held_out", "workers"):
        check_number(getattr(args, name), f"--{name.replace('_', '-')}", integer=True, low=1)
    check_number(args.uses, "--uses", integer=True, low=1, high=8)
    if args.scenes < 50 or args.scenes % 50:
        raise InputError(f"--scenes: expected a multiple of 50, got {args.scenes}.")
    if args.start is not None and not args.start.exists():
        raise InputError(
            f"--start: expected a checkpoint of another run, got {args.start}, which is not there."
        )
    return args


def main():
    """Render, train, and write the weights."""
    args, begin = parse(), time.monotonic()
    device = resolve_device(args.device)
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    args.out.mkdir(parents=True, exist_ok=True)
    folder = args.pool_dir or args.out
    other_seed, some = args.seed + HELD_OUT, min(CHUNK, args.held_out)
    held_out = Parts(folder / "held_out", other_seed, args.held_out, some)
    parts = Parts(folder / "pool", args.seed, args.pool, max(1, min(CHUNK, args.pool) // 2))
    executor = ProcessPoolExecutor(args.workers, get_context("spawn"))
    try:
        other, jobs = start_rendering(held_out, executor), start_rendering(parts, executor)
        for _, job in other:
            job.result()
        scenes = draw_held_out(held_out, args.scenes, device)
        pool = GrowingPool(parts, FIRST, jobs, device)
        print(f"{len(pool.pool.rgba)} hands after {time.monotonic() - begin:.0f} s on {device}", flush=True)
        training = DetectorTraining(
            pool.pool,
            batch_size=args.batch_size or (256 if on_gpu else 16),
            rate=args.rate or (2e-3 if on_gpu else 1e-3),
            half=resolve_precision("auto", device) == torch.bfloat16,
            ahead=4 if on_gpu else 24,
            uses=args.uses,
            pretrained=True,
            seed=args.seed,
        )
        run = Run(training, args, scenes, find_samples(args.real))
        total = max(60.0 * args.minutes - 12.0, 1.0)
        run.train(max(total - (time.monotonic() - begin), 0.5 * total), pool.grow)
        run.finish()
    finally:
        executor.shutdown(cancel_futures=True)


if __name__ == "__main__":
    main()
