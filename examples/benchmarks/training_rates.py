"""Measure how much of a machine's speed `fit` and `predict` reach: ratios, alternating in one run.

* ``loop``: a whole ``fit`` of ten epochs beside a bare loop over the same network, batches and precision.
* ``lazy``: ``fit`` on hands that are rendered as they are needed, beside rendering alone and training alone.
* ``files``: ``fit`` on JPEG files of 640 x 480 px that `HandCropper` crops to 128 px, in the same way.
* ``memory``: the process's memory before and after 100 000 rendered rows.
* ``crop``: ``predict`` of one crop, and of 64, beside the bare encoder.

Training has one core of the processor and reading ahead has another: run it with OMP_NUM_THREADS=1. The
machine decides the absolute numbers; only the ratios within a run mean something.

    OMP_NUM_THREADS=1 python examples/benchmarks/training_rates.py --output training_rates.json
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import skhand
from skhand import HandFrames, ImageFiles
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.estimators.cross_modal_vae.network import build_networks
from skhand.nn import kl_standard_normal
from skhand.preprocessing import HandCropper
from skhand.training import Layers, autocast

SIZE, BATCH = 128, 64
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def alternate(functions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Return the shortest time of each function, s, called in turn."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: min(each) for name, each in times.items()}


def make_estimator(epochs: int, precision: str) -> CrossModalVAERegressor:
    """ResNet-18 and the paper's decoder."""
    return CrossModalVAERegressor(
        max_epochs=epochs, batch_size=BATCH, augment=None, precision=precision, random_state=0
    )


def train_bare(rgb: np.ndarray, y: np.ndarray, epochs: int, precision: str) -> None:
    """Train the same network in a plain loop over arrays in memory."""
    shapes = {"rgb": rgb.shape[1:], "pose3d": y.shape[1:]}
    net = build_networks([("rgb", "pose3d")], shapes, 30, Layers()).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), 1e-4, fused=True)
    pictures = torch.from_numpy(rgb)
    targets = torch.from_numpy((y - y.mean(0)).reshape(len(y), -1) / y.std()).float()
    net.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(y)).split(BATCH):
            x = pictures[rows].permute(0, 3, 1, 2).float() / 255 - 0.5
            with autocast(x.device, DTYPES[precision]):
                output, mean, log_var = net(x.contiguous(memory_format=torch.channels_last), "rgb", "pose3d")
            loss = (output.float() - targets[rows]).square().mean() + 1e-4 * kl_standard_normal(mean, log_var)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()


def measure_loop(rows: int, epochs: int, repeats: int) -> dict[str, Any]:
    """A whole fit beside a bare loop."""
    hands = make_hands(rows, image_size=SIZE, random_state=0)
    answers = {}
    for precision in DTYPES:
        functions = {
            "bare": lambda p=precision: train_bare(hands.data.rgb, hands.target, epochs, p),
            "fit": lambda p=precision: make_estimator(epochs, p).fit(hands.data.rgb, hands.target),
        }
        seconds = alternate(functions, repeats)
        answers[precision] = {
            "images_a_second": {name: rows * epochs / each for name, each in seconds.items()},
            "fit_to_bare": seconds["bare"] / seconds["fit"],
        }
    return answers


def measure_reading(X: HandFrames, y: np.ndarray, repeats: int, precision: str) -> dict[str, Any]:
    """A fit on lazy pictures beside reading them alone and training on them alone."""
    rows = np.arange(len(y))
    resident = X.rgb[rows]

    def read() -> None:
        for start in range(0, len(rows), BATCH):
            X.rgb[rows[start : start + BATCH]]

    seconds = alternate(
        {
            "read": read,
            "train": lambda: make_estimator(1, precision).fit(resident, y),
            "both": lambda: make_estimator(1, precision).fit(X, y),
        },
        repeats,
    )
    slower = max(seconds["read"], seconds["train"])
    return {
        "images_a_second": {name: len(y) / each for name, each in seconds.items()},
        "fit_to_slower": slower / seconds["both"],
    }


def write_photographs(folder: Path, n_files: int) -> tuple[HandFrames, np.ndarray]:
    """Write JPEG files of 640 x 480 px, of 64 different hands, and return them with boxes and poses."""
    hands = make_hands(64, image_size=240, random_state=0, return_X_y=False)
    rng = np.random.default_rng(0)
    paths, boxes = [], []
    for i in range(n_files):
        picture = rng.integers(60, 180, (480, 640, 3), dtype=np.uint8) if i < 64 else None
        path = folder / f"{i:05d}.jpg"
        if picture is not None:
            picture = np.kron(
                rng.integers(60, 180, (60, 80, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8)
            )
            picture[120:360, 200:440] = hands.data.rgb[i]
            Image.fromarray(picture).save(path, quality=90)
        else:
            path.write_bytes((folder / f"{i % 64:05d}.jpg").read_bytes())
        paths.append(path)
        boxes.append([200, 120, 240, 240])
    X = HandFrames(rgb=ImageFiles(paths), box=np.array(boxes, dtype=float))
    return HandCropper(size=SIZE).fit_transform(X), np.resize(hands.target, (n_files, 21, 3))


def measure_memory(rows: int) -> dict[str, Any]:
    """Resident memory in the course of a fit on rendered rows, MB."""
    from skorch.callbacks import Callback

    class Memory(Callback):
        seen: list[float] = []  # noqa: RUF012

        def on_batch_end(self, net: Any, **_: Any) -> None:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.seen.append(pages * resource.getpagesize() / 2**20)

    X = make_hands(rows, image_size=32, random_state=0, lazy=True)
    estimator = CrossModalVAERegressor(backbone="small", max_epochs=1, augment=None, callbacks=[Memory()])
    estimator.fit(X.data, X.target)
    seen = np.array(Memory.seen)
    part = max(1, len(seen) // 10)
    return {"rows": rows, "after_a_tenth": seen[part], "at_the_end": seen[-1], "largest": seen.max()}


def measure_crop(repeats: int) -> dict[str, Any]:
    """``predict`` beside the bare encoder, for one crop and for 64."""
    hands = make_hands(64, image_size=SIZE, random_state=0)
    estimator = make_estimator(1, "float32").fit(hands.data.rgb, hands.target)
    encoder = estimator.module_.encoders["rgb"]
    answers = {}
    for n in (1, 64):
        rgb = hands.data.rgb[:n]
        x = torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255 - 0.5
        x = x.contiguous(memory_format=torch.channels_last)

        def bare(x: torch.Tensor = x) -> None:
            with torch.inference_mode():
                encoder(x)

        functions = {"bare": bare, "predict": lambda rgb=rgb: estimator.predict(rgb)}
        seconds = alternate(functions, repeats * (20 if n == 1 else 2))
        answers[str(n)] = {
            "milliseconds": {name: 1000 * each for name, each in seconds.items()},
            "predict_to_bare": seconds["predict"] / seconds["bare"],
        }
    return answers


def main(argv: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=256, help="rows of the loop and of lazy hands")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--memory-rows", type=int, default=100_000)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    answers: dict[str, Any] = {
        "skhand": skhand.__version__,
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "settings": {name: value for name, value in vars(args).items() if name != "output"},
    }

    def note(name: str, answer: Any) -> None:
        answers[name] = answer
        print(name, json.dumps(answer), flush=True)
        if args.output:
            args.output.write_text(json.dumps(answers, indent=2) + "\n")

    note("crop", measure_crop(args.repeats))
    note("loop", measure_loop(args.rows, args.epochs, args.repeats))
    lazy = make_hands(8 * args.rows, image_size=SIZE, random_state=0, lazy=True, images=("rgb",))
    note("lazy", {p: measure_reading(lazy.data, lazy.target, 1, p) for p in DTYPES})
    with tempfile.TemporaryDirectory() as folder:
        X, y = write_photographs(Path(folder), args.files)
        note("files", {"bfloat16": measure_reading(X, y, 1, "bfloat16")})
    note("memory", measure_memory(args.memory_rows))
    return answers


if __name__ == "__main__":
    main()
