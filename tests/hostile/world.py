"""What the known good calls share: hands, pictures, fitted estimators and copies of data sets, made once."""

from __future__ import annotations

import importlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from smallest import Y, rows_of, smallest

from skhand import HandFrames, ImageFiles
from skhand._weights import save_weights
from skhand.datasets import make_hands
from skhand.detection import HandDetector
from skhand.detection._network import ARCHITECTURE, DetectorNet
from skhand.estimators import LatentHeatmapRegressor
from skhand.metrics import evaluate_predictions
from skhand.tracking import HandTracker

N = 6


class World:
    """Everything that a good call needs; ``folder`` is empty and may be written to."""

    def __init__(self, folder: Path):
        self.folder = folder
        rng = np.random.default_rng(0)
        hands = make_hands(N, image_size=16, images=("rgb", "depth", "mask"), random_state=0)
        self.frames = hands.data.replace(visible=np.ones((N, 21), bool))
        self.poses = np.array(hands.target)
        self.noise = rng.normal(size=self.poses.shape)
        self.predicted = self.poses + 5 * self.noise
        self.camera = np.array(hands.data.camera)
        self.pixels = np.array(hands.data.keypoints2d)
        self.visible = rng.uniform(size=(N, 21)) < 0.9
        self.side = np.array(hands.data.side)
        self.rgb = np.array(hands.data.rgb)
        self.depth = np.array(hands.data.depth)
        self.groups = np.array(["a", "a", "b", "b", "c", "c"])

    @cached_property
    def few(self) -> np.ndarray:
        """Rows that the estimators are fitted on: three of each domain."""
        return np.array([0, 1, 2, 3, 12, 13, 14, 15])

    def rows(self, kind: str) -> HandFrames:
        """Rows for an estimator, with its column of pictures."""
        return rows_of(kind)[self.few]

    @property
    def y(self) -> np.ndarray:
        """Poses of these rows."""
        return Y[self.few]

    def unfitted(self, kind: str) -> Any:
        """An estimator that trains a step or two."""
        shorter: dict[str, Any] = {"aligned": {"max_epochs": 1}, "sim-to-real": {"max_iter": 1}}
        return smallest(kind, **shorter.get(kind, {"max_epochs": 1}))

    @cached_property
    def _fitted(self) -> dict[str, Any]:
        return {}

    def fitted(self, kind: str) -> Any:
        """The same, fitted; nothing may change it."""
        if kind not in self._fitted:
            self._fitted[kind] = self.unfitted(kind).fit(self.rows(kind), self.y)
        return self._fitted[kind]

    @cached_property
    def files(self) -> list[str]:
        """Three picture files."""
        folder = self.folder / "pictures"
        folder.mkdir()
        paths = []
        for i, picture in enumerate(self.rgb[:3]):
            paths.append(str(folder / f"{i}.png"))
            Image.fromarray(picture).save(paths[-1])
        return paths

    @cached_property
    def image_files(self) -> ImageFiles:
        """The same, lazy."""
        return ImageFiles(self.files)

    @cached_property
    def endless(self) -> Any:
        """Hands without end."""
        return make_hands(4, image_size=16, lazy=True, endless=True, random_state=0).data

    @cached_property
    def weights(self) -> Path:
        """Weights of a detector that nobody trained."""
        torch.manual_seed(0)
        network = DetectorNet(**ARCHITECTURE)
        torch.nn.init.normal_(network.maps.weight, std=0.3)
        path = self.folder / "detector.safetensors"
        save_weights(path, network.fused().state_dict(), {"architecture": ARCHITECTURE})
        return path

    def detector(self) -> HandDetector:
        """A detector that sees hands everywhere."""
        return HandDetector(0.0, weights=self.weights, overlap=0.9)

    @cached_property
    def scenes(self) -> np.ndarray:
        """Two pictures of noise."""
        return np.random.default_rng(0).integers(0, 256, (2, 40, 48, 3)).astype(np.uint8)

    @cached_property
    def pose(self) -> Any:
        """A pose network for the tracker, hardly trained."""
        hands = make_hands(8, image_size=32, random_state=0)
        return LatentHeatmapRegressor(width=8, max_epochs=1, random_state=0).fit(hands.data, hands.target)

    def tracker(self, **params: Any) -> HandTracker:
        """A tracker of one hand in the middle."""
        return HandTracker(**{"detector": Middle(), "pose": self.pose, **params})

    @cached_property
    def hands(self) -> Any:
        """What a tracker answers."""
        return self.tracker().predict(self.scenes)

    @cached_property
    def evaluation(self) -> Any:
        """A score by a published protocol."""
        return evaluate_predictions(self.poses, self.predicted, protocol="freihand")

    def copy(self, dataset: str) -> Path:
        """A small copy of a data set in its publisher's layout, as the loader's own tests write it."""
        folder = self.folder / dataset
        if not folder.exists():
            folder.mkdir()
            write_copy(dataset, folder)
        return folder


class Middle:
    """Sees a hand in the middle of every picture."""

    def transform(self, pictures: Any) -> HandFrames:
        """Return one row."""
        height, width = pictures[0].shape[:2]
        return HandFrames(box=[[width / 4, height / 4, width / 2, height / 2]], side="right")


def write_copy(dataset: str, folder: Path) -> None:
    """Write a small copy by what ``tests/unit/test_load_*.py`` writes its own with."""
    own = importlib.import_module(f"unit.test_load_{dataset}")
    if dataset in ("dexter_object", "freihand", "icvl", "rhd"):
        own.write_copy(folder)
    elif dataset == "ego_dexter":
        for sequence in own.SEQUENCES:
            own.write_sequence(folder, sequence, own.tips(sequence))
    elif dataset == "msra":
        for subject in range(9):
            for i, gesture in enumerate(own.GESTURES):
                own.write_gesture(folder / f"P{subject}" / gesture, own.hands(1, 100 * subject + i))
    elif dataset == "nyu":
        own.write_split(folder, "train", own.some_labels(2, 1))
    elif dataset == "stb":
        for name in ("B1Counting", "B1Random"):
            own.write_sequence(folder, name, own.some_hands(2, 1))
    elif dataset == "synth_hands":
        for i, view in enumerate(own.VIEWS):
            points = np.random.default_rng(i).uniform(-60, 60, (21, 3)) + (0, 0, 430)
            own.write_frame(folder / view, 0, points.round(6))
    elif dataset == "mpii_nzsl":
        place = folder / "hand_labels" / "manual_train"
        place.mkdir(parents=True)
        for seed, (stem, (size, centre, head, left)) in enumerate(own.PHOTOGRAPHS.items()):
            points = own.some_points(centre, head, seed)
            entry = own.entry_of(points, np.ones(21), centre, head, left)
            (place / f"{stem}.json").write_text(json.dumps(entry))
            own.save_picture(place / f"{stem}.jpg", size, points)
    else:
        raise ValueError(dataset)
