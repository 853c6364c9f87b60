"""Small valid copies of every data set, by the writers of the loaders' own tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from unit import test_load_dexter_object as dexter
from unit import test_load_ego_dexter as ego
from unit import test_load_freihand as freihand
from unit import test_load_icvl as icvl
from unit import test_load_mpii_nzsl as mpii
from unit import test_load_msra as msra
from unit import test_load_nyu as nyu
from unit import test_load_rhd as rhd
from unit import test_load_stb as stb
from unit import test_load_synth_hands as synth

from skhand import datasets


@dataclass(frozen=True)
class DataSet:
    """A data set: how its copy is written and loaded, and the files that the load reads."""

    name: str
    write: Callable[[Path], Any]
    load: Callable[[Path], Any]
    labels: tuple[str, ...]
    pictures: tuple[str, ...]


def _write_stb(folder: Path) -> None:
    for seed, name in enumerate(("B1Counting", "B1Random")):
        stb.write_sequence(folder, name, stb.some_hands(1, seed))


def _write_synth(folder: Path) -> None:
    for number in (0, 7):
        points = np.random.default_rng(number).uniform(-60, 60, (21, 3)) + (0, 0, 430)
        synth.write_frame(folder / synth.VIEWS[0], number, points.round(6))


FRAME = synth.VIEWS[0]
SETS = [
    DataSet(
        "rhd",
        lambda folder: rhd.write_copy(folder, areas=((30, 20), (20, 30))),
        datasets.load_rhd,
        ("training/anno_training.pickle",),
        ("training/color/00001.png", "training/depth/00001.png", "training/mask/00001.png"),
    ),
    DataSet(
        "stb",
        _write_stb,
        lambda folder: datasets.load_stb(folder, "test", camera="sk", view="depth"),
        ("labels/B1Random_SK.mat",),
        ("images/B1Random/SK_depth_0.png",),
    ),
    DataSet(
        "nyu",
        lambda folder: nyu.write_split(folder, "test", nyu.some_labels(2, 2), views=(1,)),
        lambda folder: datasets.load_nyu(folder, "test"),
        ("test/joint_data.mat",),
        ("test/depth_1_0000002.png", "test/rgb_1_0000002.png"),
    ),
    DataSet(
        "icvl-train",
        icvl.write_copy,
        datasets.load_icvl,
        ("Training/labels.txt",),
        ("Training/Depth/201406030937/image_0000.png",),
    ),
    DataSet(
        "icvl-test",
        icvl.write_copy,
        lambda folder: datasets.load_icvl(folder, "test"),
        ("Testing/test_seq_2.txt",),
        ("Testing/Depth/test_seq_2/image_0001.png",),
    ),
    DataSet(
        "msra",
        lambda folder: msra.write_gesture(folder / "P0" / "1", msra.hands(3, 0)),
        lambda folder: datasets.load_msra(folder, "test", gestures=["1"]),
        ("P0/1/joint.txt",),
        ("P0/1/000001_depth.bin",),
    ),
    DataSet(
        "freihand-train",
        freihand.write_copy,
        lambda folder: datasets.load_freihand(folder, versions=[0]),
        ("training_xyz.json", "training_K.json"),
        ("training/rgb/00000001.jpg", "training/mask/00000001.jpg"),
    ),
    DataSet(
        "freihand-scale",
        lambda folder: (freihand.write_copy(folder), (folder / "evaluation_xyz.json").unlink()),
        lambda folder: datasets.load_freihand(folder, "test"),
        ("evaluation_scale.json",),
        (),
    ),
    DataSet(
        "dexter_object",
        lambda folder: dexter.write_sequence(folder, "Rigid", dexter.tips("Rigid")),
        lambda folder: datasets.load_dexter_object(folder, sequences=["Rigid"], camera="depth"),
        ("data/Rigid/annotations/Rigid2D.txt", "data/Rigid/annotations/Rigid3D.txt"),
        ("data/Rigid/depth/image_00001_depth.png",),
    ),
    DataSet(
        "ego_dexter",
        lambda folder: ego.write_sequence(folder, "Desk", ego.tips("Desk")),
        lambda folder: datasets.load_ego_dexter(folder, sequences=["Desk"], camera="depth"),
        ("data/Desk/annotation.txt", "data/Desk/annotation.txt_3D.txt"),
        (
            "data/Desk/depth/image_00001_depth.png",
            "data/Desk/color_on_depth/image_00001_color_on_depth.png",
        ),
    ),
    DataSet(
        "mpii-manual",
        mpii.write_manual,
        lambda folder: datasets.load_mpii_nzsl(folder, crop_size=32),
        ("hand_labels/manual_train/000015774_01_l.json",),
        ("hand_labels/manual_train/000015774_01_l.jpg",),
    ),
    DataSet(
        "mpii-multiview",
        mpii.write_multiview,
        lambda folder: datasets.load_mpii_nzsl(folder, part="multiview", crop_size=32),
        ("hand143_panopticdb/hands_v143_14817.json",),
        ("hand143_panopticdb/imgs/00000001.jpg",),
    ),
    DataSet(
        "synth_hands",
        _write_synth,
        datasets.load_synth_hands,
        (f"{FRAME}/00000007_joint_pos.txt",),
        (f"{FRAME}/00000007_color_on_depth.png", f"{FRAME}/00000007_depth.png"),
    ),
]
