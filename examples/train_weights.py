"""Train the weights that ship: hands without end, one network, no photograph.

On a processor the hands are rendered by the fit's own threads, ``--pictures`` says how many, and the same
command goes on where it was stopped:

    python examples/train_weights.py --out weights --pictures 3_000_000

On a GPU ``--minutes`` says how long. Processes render the hands, each many thousand a minute, and keep the
latest ones in a folder; the fit takes new ones first and fills an epoch up with earlier ones:

    python examples/train_weights.py --out weights --device cuda --minutes 8 --workers 14

``--start FILE`` goes on from weights that this script wrote. Errors are measured on generated hands of other
people, and logged to ``log.jsonl``; so are those on a folder of photographs, which choose nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import time
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback

from skhand import HandFrames, ImageFiles, concat_frames
from skhand._columns import read_columns
from skhand.datasets import make_hands
from skhand.estimators import LatentHeatmapRegressor
from skhand.estimators.latent_heatmap.pretrained import write_pretrained
from skhand.metrics import mean_epe
from skhand.preprocessing import HandCropper

SIZE = 128
RECIPE: dict[str, Any] = {
    "image_size": SIZE,
    "n_subjects": 100_000,
    "side": "right",
    "rotation": 180,
    "images": ("rgb",),
    "distance": (250.0, 1200.0),
    "framing": (1.05, 2.0),
    "shape": 1.4,
    "light": (0.1, 1.3),
    "occluders": 0.25,
    "blur": 1.3,
    "noise": 1.3,
    "motion": 0.2,
    "jpeg": (25, 95),
    "strange": 0.3,
}
NEAR_VIEWS = 100
"""In a pool, half of the hands are seen within so many degrees of the frontal view: most photographs are."""
AUGMENT = {"rotate": 25, "shift": 0.06, "zoom": 0.15, "colour": 0.4, "grey": 0.08}
OTHERS = 0.15
"""In a pool, so many of the hands have another one behind them."""
VALIDATION_SEED = 2


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("weights"))
    parser.add_argument("--pictures", type=int, default=3_000_000, help="how many, without --minutes")
    parser.add_argument("--minutes", type=float, default=None, help="how long, in place of --pictures")
    parser.add_argument("--epoch", type=int, default=16_384, help="pictures an epoch")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--averaging", type=float, default=0.999)
    parser.add_argument("--backbone", default=None)
    parser.add_argument("--width", type=int, default=None)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, default=1, help="threads that read ahead")
    parser.add_argument("--workers", type=int, default=0, help="processes that render, with --minutes")
    parser.add_argument("--render-device", default="cpu", help="where those render")
    parser.add_argument("--pool", type=Path, default=None, help="their folder (default: OUT/pool)")
    parser.add_argument("--shard", type=int, default=2048, help="pictures they render at a time")
    parser.add_argument("--keep", type=int, default=300_000, help="latest pictures to keep")
    parser.add_argument("--start", type=Path, default=None, help="weights to go on from")
    parser.add_argument("--seed", type=int, default=1, help="of hands; another one than in earlier runs")
    parser.add_argument("--score-every", type=int, default=10, help="epochs")
    parser.add_argument("--validation", type=int, default=2000, help="generated hands to validate on")
    parser.add_argument("--photographs", type=Path, default=None, help="folder to log errors on")
    return parser.parse_args()


# ---------------------------------------------------------------------- a pool of rendered hands


def render_pool(folder: str, worker: int, n_workers: int, args: argparse.Namespace) -> None:
    """Render shard after shard into a folder, and take the oldest away, for ever."""
    torch.set_num_threads(1)
    rows = {**RECIPE, "device": args.render_device, "random_state": args.seed}
    rows["images"] = ("rgb", "mask")
    hands = [
        make_hands(args.shard, lazy=True, endless=True, **{**rows, "rotation": views}).data
        for views in (180, NEAR_VIEWS)
    ]
    kept, number = max(1, args.keep // (args.shard * n_workers)), worker
    while True:
        round_number = number // n_workers + worker  # half of the shards have the nearer views only
        frames = hands[round_number % 2].at_epoch(number)
        columns = {name: getattr(frames, name) for name in ("keypoints2d", "pose3d", "camera")}
        path = os.path.join(folder, f"{number:07d}")
        pictures = {name: getattr(frames, name) for name in ("rgb", "mask")}
        rgb, mask = read_columns(pictures, pictures, np.arange(len(frames))).values()
        rgb = lay_over_others(rgb, mask, np.random.default_rng([args.seed, number]))
        write_shard(path, rgb, columns)
        old = os.path.join(folder, f"{number - kept * n_workers:07d}")
        for ending in (".labels", ".rgb.npy"):
            if os.path.exists(old + ending):
                os.remove(old + ending)
        number += n_workers


def write_shard(path: str, rgb: np.ndarray, columns: dict[str, np.ndarray]) -> None:
    """Write a shard; who still reads an earlier one of that name keeps it, pictures and labels alike."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(path + ".labels")
    np.save(path + ".part.npy", rgb)
    os.replace(path + ".part.npy", path + ".rgb.npy")
    np.savez(path + ".part.npz", **columns)
    os.replace(path + ".part.npz", path + ".labels")


def lay_over_others(rgb: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Put hands of other pictures behind some of the hands: a person mostly shows two."""
    n, size = mask.shape[:2]
    rgb = rgb.copy()
    for row in np.flatnonzero(random.random(n) < OTHERS):
        other = int(random.integers(n))
        picture, hand = rgb[other], mask[other]
        if random.random() < 0.5:
            picture, hand = picture[:, ::-1], hand[:, ::-1]
        if random.random() < 0.5:
            picture, hand = picture[::-1], hand[::-1]
        right, down = random.integers(-size // 2, size // 2 + 1, 2)
        there = slice(max(0, down), size + min(0, down)), slice(max(0, right), size + min(0, right))
        taken = slice(max(0, -down), size + min(0, -down)), slice(max(0, -right), size + min(0, -right))
        behind = hand[taken] & ~mask[row][there]
        rgb[row][there][behind] = picture[taken][behind]
    return rgb


class Pool(HandFrames):
    """Hands that processes have rendered so far: each epoch has new ones first, and then earlier ones.

    Parameters
    ----------
    folder : Path
        Where they put them.
    n_shards : int
        Shards an epoch.
    """

    def __init__(self, folder: Path, n_shards: int):
        self.folder, self.n_shards, self.used = folder, n_shards, set()
        self.random = np.random.default_rng(0)
        first = self.at_epoch(0)
        super().__init__(**{name: getattr(first, name) for name in first.columns})

    @property
    def n_rendered(self) -> int:
        """Shards that have been rendered so far."""
        return max((int(path.stem) for path in self.folder.glob("*.labels")), default=-1) + 1

    def at_epoch(self, epoch: int) -> HandFrames:
        """Return the newest shards that no epoch has had, filled up at random with earlier ones."""
        while len(there := sorted(path.stem for path in self.folder.glob("*.labels"))) < self.n_shards:
            time.sleep(0.2)
        new = [name for name in there if name not in self.used][-self.n_shards :]
        old = self.random.permutation([name for name in there if name in self.used]).tolist()
        self.used |= set(new)
        shards: list[HandFrames] = []
        for name in [*new, *old]:
            if len(shards) < self.n_shards:
                with contextlib.suppress(FileNotFoundError):  # taken away meanwhile
                    rgb = np.load(self.folder / f"{name}.rgb.npy", mmap_mode="r")
                    with np.load(self.folder / f"{name}.labels") as labels:
                        shards.append(HandFrames(rgb=rgb, side="right", **labels))
        return concat_frames(shards)


# ---------------------------------------------------------------------- scores


def read_photographs(folder: Path) -> tuple[HandFrames, np.ndarray]:
    """The photographs' crops, shrunk, with what may be given, and their joints, mm."""
    annotations = np.load(folder / "annotations.npz", allow_pickle=False)
    joints = annotations["joints_mm"].astype(np.float64)
    files = ImageFiles([folder / "images" / f"{i:05d}.jpg" for i in range(len(joints))])
    height, width = files.shape[1:3]
    frames = HandFrames(
        rgb=files,
        side="left",
        camera=annotations["K_crop"],
        box=np.tile([-0.5, -0.5, width, height], (len(joints), 1)),
        root=0.5 * (joints[:, 0] + joints[:, 9]),
        scale=np.linalg.norm(joints[:, 10] - joints[:, 9], axis=1),
    )
    cropped = HandCropper(size=SIZE, margin=1.0, source="box").fit_transform(frames)
    return cropped.replace(rgb=np.asarray(cropped.rgb)), joints


def project(X: HandFrames, joints: np.ndarray) -> np.ndarray:
    """Return joints in the pictures before they were cropped, px."""
    camera = X.camera if "affine" not in X.columns else np.linalg.inv(X.affine) @ X.camera
    points = np.einsum("nab,njb->nja", camera, joints)
    return points[..., :2] / points[..., 2:]


def errors(
    predicted: np.ndarray, keypoints: np.ndarray, X: HandFrames, joints: np.ndarray, width: float
) -> dict[str, float]:
    """Return the errors of predictions: mm, and px as if pictures ``width`` px wide had 256."""
    off = np.linalg.norm(keypoints - project(X, joints), axis=2) * 256 / width
    return {
        "procrustes_mm": mean_epe(joints, predicted, align="procrustes"),
        "rooted_mm": mean_epe(joints, predicted, align="root", root="palm"),
        "keypoints_px": float(off.mean()),
        "median_px": float(np.median(off.mean(axis=1))),
    }


def score(path: Path, X: HandFrames, joints: np.ndarray, width: float, device: str) -> dict[str, float]:
    """Return errors of written weights, also with the root and the scale given."""
    est = LatentHeatmapRegressor.from_pretrained(path, device=device)
    placed = LatentHeatmapRegressor.from_pretrained(path, device=device, given=("root", "scale")).predict(X)
    return {
        **errors(est.predict(X), est.predict_keypoints(X), X, joints, width),
        "rooted_given_mm": mean_epe(joints, placed, align="root", root="palm"),
    }


def score_views(path: Path, hands: Any, device: str) -> dict[str, float]:
    """Return the errors on generated hands by the angle between the palm's normal and the line of sight."""
    X, y = hands.data, hands.target
    est = LatentHeatmapRegressor.from_pretrained(path, device=device)
    off = np.linalg.norm(est.predict_keypoints(X) - project(X, y), axis=2).mean(axis=1) * 256 / SIZE
    normal = np.cross(y[:, 5] - y[:, 0], y[:, 17] - y[:, 0])
    normal *= np.where(X.side == "left", -1.0, 1.0)[:, None]
    sight = y[:, 0] / np.linalg.norm(y[:, 0], axis=1, keepdims=True)
    cosine = (normal * sight).sum(axis=1) / np.linalg.norm(normal, axis=1)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    edges = [0, 30, 60, 90, 120, 150, 180]
    return {
        f"keypoints_px_{low}_{high}": float(off[(angle >= low) & (angle < high)].mean())
        for low, high in pairwise(edges)
    }


class Scores(Callback):
    """Writes weights and their scores at intervals, and ends the fit when its time is over."""

    def __init__(self, args: argparse.Namespace, hands: Any, photographs: Any, started: float):
        self.args, self.hands, self.photographs, self.started = args, hands, photographs, started
        self.est: Any = None
        self.deadline: float | None = None
        self.n_pictures = self.n_epochs = 0

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Count; score when it is time."""
        self.n_epochs += 1
        self.n_pictures += self.args.epoch
        if self.deadline is not None and time.monotonic() > self.deadline:
            net.stop_ = True
        if self.n_epochs % self.args.score_every == 0:
            self.write("latest")

    def settings(self) -> dict[str, Any]:
        """Return what the command line said of the training."""
        names = ("batch_size", "lr", "averaging", "seed", "minutes", "start")
        said = {name: getattr(self.args, name) for name in names}
        start = None if said["start"] is None else str(said["start"])
        pool = {"near_views": NEAR_VIEWS, "others": OTHERS} if self.args.minutes else {}
        return {**said, "start": start, **pool}

    def write(self, name: str) -> dict[str, Any]:
        """Write the present weights with their scores, and log them."""
        path, module = self.args.out / f"{name}.safetensors", self.est.module_
        training = module.training
        module.eval()
        card: dict[str, Any] = {
            "recipe": {**RECIPE, "augment": AUGMENT, "pictures_seen": self.n_pictures, **self.settings()},
            "licence": "BSD-3-Clause",
            "date": date.today().isoformat(),
        }
        write_pretrained(self.est, path, card)
        module.train(training)
        device, hands = str(self.est.device_), self.hands
        scores = {"generated": score(path, hands.data, hands.target, SIZE, device)}
        scores["generated"].update(score_views(path, hands, device))
        if self.photographs is not None:
            scores["photographs"] = score(path, *self.photographs, 256, device)
        write_pretrained(self.est, path, {**card, "scores": scores})
        history = {
            k: v[-1] for k, v in self.est.history_.items() if k in ("train_loss", "seconds", "valid_epe")
        }
        line = {
            "name": name,
            "pictures": self.n_pictures,
            "hours": round((time.monotonic() - self.started) / 3600, 4),
            "machine": f"{platform.processor() or platform.machine()}, {device}",
            "threads": torch.get_num_threads(),
            **history,
            **scores,
        }
        with open(self.args.out / "log.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)
        return scores


def main() -> None:
    """Train, and write the weights."""
    args, started = parse(), time.monotonic()
    if args.seed == VALIDATION_SEED:
        raise SystemExit(f"--seed: {VALIDATION_SEED} is that of the hands to validate on; take another one.")
    args.out.mkdir(parents=True, exist_ok=True)
    processes = start_workers(args)
    validation = {**RECIPE, "side": "both", "random_state": VALIDATION_SEED, "n_subjects": 500}
    hands = make_hands(args.validation, device=args.render_device, **validation)
    photographs = None if args.photographs is None else read_photographs(args.photographs)
    scores = Scores(args, hands, photographs, started)
    settings: dict[str, Any] = {
        "averaging": args.averaging,
        "batch_size": args.batch_size,
        "lr": args.lr,
        "augment": AUGMENT,
        "device": args.device,
        "n_jobs": args.jobs,
        "callbacks": [scores],
        "random_state": args.seed,
        "verbose": True,
    }
    if args.start is None:
        made = {"backbone": args.backbone, "width": args.width, "mirror_left": True}
        est = LatentHeatmapRegressor(**made, **settings)
    else:
        est = LatentHeatmapRegressor.from_pretrained(args.start, **settings)
    scores.est = est
    try:
        if args.minutes is None:
            rows = {**RECIPE, "random_state": args.seed}
            data = make_hands(args.epoch, lazy=True, endless=True, **rows).data
            est.set_params(checkpoint=args.out / "checkpoint.pt", max_epochs=args.pictures // args.epoch)
            est.set_params(lr_schedule="cosine").fit(data)
        else:
            fit_for_minutes(est, args, scores, started)
        scores.write("hands")
    finally:
        for process in processes:
            process.kill()


def start_workers(args: argparse.Namespace) -> list[Any]:
    """Start the processes that render."""
    args.pool = args.pool or args.out / "pool"
    if args.minutes is None:
        return []
    if args.workers < 1 and not any(args.pool.glob("*.labels")):
        raise SystemExit(f"--workers: expected 1 or more, as {args.pool} is empty, got {args.workers}.")
    args.pool.mkdir(parents=True, exist_ok=True)
    spawn = multiprocessing.get_context("spawn")
    processes = []
    for worker in range(args.workers):
        call = (str(args.pool), worker, args.workers, args)
        processes.append(spawn.Process(target=render_pool, args=call, daemon=True))
        processes[-1].start()
    return processes


def fit_for_minutes(est: Any, args: argparse.Namespace, scores: Scores, started: float) -> None:
    """Train at a constant rate for 60% of the time, and let it fall in the rest of it."""
    end = started + 60 * args.minutes
    pool = Pool(args.pool, args.epoch // args.shard)
    begun = time.monotonic()
    scores.deadline = begun + 0.6 * (end - begun)
    est.set_params(warm_start=True, max_epochs=1_000_000).fit(pool)
    seconds = (time.monotonic() - begun) / scores.n_epochs
    scores.deadline = None
    left = max(1, int((end - time.monotonic() - 20) / seconds))
    print(f"{scores.n_epochs} epochs of {seconds:.2f} s; {left} more, at a falling rate", flush=True)
    est.set_params(lr_schedule="cosine", max_epochs=left).fit(pool)
    print(f"{scores.n_pictures} pictures trained on, {pool.n_rendered * args.shard} rendered")


if __name__ == "__main__":
    main()
