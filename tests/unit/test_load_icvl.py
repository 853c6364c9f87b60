"""load_icvl on small copies in the publisher's layout: order, focal lengths, rotated copies and errors."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from skhand.datasets import load_icvl, verify
from skhand.exceptions import DataFileError, InputError

# this file's own facts of the format: nothing here comes from the loader
RECORDING = "201403121135"
TRAINING = [
    (f"{RECORDING}/image_0000.png", 1),
    (f"{RECORDING}/image_0001.png", 2),
    (f"122-5/{RECORDING}/image_0000.png", 3),
    (f"45/{RECORDING}/image_0001.png", 4),
    ("201406030937/image_0000.png", 5),
]
TESTING = {1: 3, 2: 2}
MARKED = 6  # index tip


def label(seed):
    """Sixteen (u, v, d): pixels and millimetres, to the file's precision."""
    rng = np.random.default_rng(seed)
    return rng.uniform((90, 60, 300), (230, 180, 420), (16, 3)).round(3)


def line(name, uvd):
    return name + " " + " ".join(f"{value:.3f}" for value in uvd.ravel()) + " \n"


def write_picture(path, uvd):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((240, 320), 32001, np.uint16)
    u, v = (round(value) for value in uvd[MARKED, :2])
    picture[v - 1 : v + 2, u - 1 : u + 2] = round(uvd[MARKED, 2])
    Image.fromarray(picture).save(path)


def write_copy(data_dir, *, train="Training/labels.txt", test="Testing/", depth=("Training/", "Testing/")):
    (data_dir / train).parent.mkdir(parents=True, exist_ok=True)
    (data_dir / test).mkdir(parents=True, exist_ok=True)
    (data_dir / train).write_text("".join(line(name, label(seed)) for name, seed in TRAINING))
    for name, seed in TRAINING:
        write_picture(data_dir / depth[0] / "Depth" / name, label(seed))
    for number, count in TESTING.items():
        names = [f"test_seq_{number}/image_{i:04d}.png" for i in range(count)]
        text = "".join(line(name, label(100 * number + i)) for i, name in enumerate(names))
        (data_dir / test / f"test_seq_{number}.txt").write_text(text + "\n")
        for i, name in enumerate(names):
            write_picture(data_dir / depth[1] / "Depth" / name, label(100 * number + i))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("icvl")
    write_copy(data_dir)
    return data_dir


@pytest.mark.parametrize(("options", "fx", "fy"), [({}, 241.42, 241.42), ({"focal": 240.99}, 240.99, 240.96)])
def test_millimetres_come_from_pixels_and_depth(copy, options, fx, fy):
    bunch = load_icvl(copy, "test", **options)
    assert bunch.target.shape == (5, 16, 3)
    u, v, d = label(201).T
    expected = np.stack([(u - 160) * d / fx, (v - 120) * d / fy, d], axis=1)
    np.testing.assert_allclose(bunch.target[4], expected, atol=1e-9)
    np.testing.assert_allclose(bunch.data.keypoints2d[4], label(201)[:, :2], atol=1e-9)
    np.testing.assert_array_equal(bunch.data.camera[0], [[fx, 0, 160], [0, fy, 120], [0, 0, 1]])
    np.testing.assert_allclose(bunch.data.root[4], expected[0], atol=1e-9)
    assert bunch.joint_names[0] == "icvl_palm" and bunch.joint_names[MARKED] == "icvl_index_tip"
    assert bunch.visible.all() and not bunch.bad.any() and bunch.data.scale is None
    assert set(bunch.data.side) == {"left"} and set(bunch.data.domain) == {"real"}


def test_depth_lies_under_the_joint(copy):
    data = load_icvl(copy, "train", rotated=True).data
    assert data.depth.shape == (5, 240, 320) and data.depth.dtype == np.uint16
    for row, (_, seed) in enumerate(TRAINING):
        u, v = np.rint(data.keypoints2d[row, MARKED]).astype(int)
        depth = data.depth[row]
        assert depth[v, u] == round(label(seed)[MARKED, 2]) and (depth < 32001).sum() == 9


def test_rotated_copies_are_left_out_or_belong_to_their_recording(copy):
    originals = load_icvl(copy)
    assert originals.ids.tolist() == [TRAINING[i][0] for i in (0, 1, 4)]
    everything = load_icvl(copy, rotated=True)
    assert everything.ids.tolist() == [name for name, _ in TRAINING]
    assert everything.groups.tolist() == [RECORDING] * 4 + ["201406030937"]
    with pytest.raises(InputError, match="rotated: expected False"):
        load_icvl(copy, "test", rotated=True)


def test_sequences(copy):
    both = load_icvl(copy, "test")
    assert both.groups.tolist() == ["test_seq_1"] * 3 + ["test_seq_2"] * 2
    second = load_icvl(copy, "test", sequences=(2,))
    np.testing.assert_array_equal(second.target, both.target[3:])
    for wrong in ((3,), (), 1, "1"):
        with pytest.raises(InputError, match="sequences: expected"):
            load_icvl(copy, "test", sequences=wrong)
    with pytest.raises(InputError, match="sequences: expected None"):
        load_icvl(copy, "train", sequences=(1,))


@pytest.mark.parametrize(
    "places",
    [
        {"train": "train.txt", "test": "", "depth": ("", "")},
        {"train": "train.txt"},
        {"train": "Training/train.txt", "test": ""},
    ],
)
def test_other_copies_places(tmp_path, copy, places):
    write_copy(tmp_path, **places)
    for split in ("train", "test"):
        here, there = load_icvl(tmp_path, split), load_icvl(copy, split)
        np.testing.assert_array_equal(here.target, there.target)
        np.testing.assert_array_equal(here.data.depth[:], there.data.depth[:])


def test_other_layouts_are_refused(copy):
    assert load_icvl(copy, layout="icvl16").target.shape == (3, 16, 3)
    assert load_icvl(copy).data.keypoints2d.shape == (3, 16, 2)  # there is no canonical joint
    for layout in ("canonical", "nyu14", "own"):
        with pytest.raises(InputError, match="layout: expected"):
            load_icvl(copy, layout=layout)


@pytest.mark.parametrize("rule", ["flag", "keep", "drop"])
def test_points_without_depth(tmp_path, rule):
    write_copy(tmp_path)
    labels = [label(seed) for _, seed in TRAINING]
    labels[1][3, 2] = 0
    labels[4][0, 2] = -5
    text = "".join(line(name, uvd) for (name, _), uvd in zip(TRAINING, labels, strict=True))
    (tmp_path / "Training" / "labels.txt").write_text(text)
    bunch = load_icvl(tmp_path, bad_rows=rule)
    if rule == "drop":
        assert bunch.ids.tolist() == [TRAINING[0][0]] and not bunch.bad.any()
        return
    assert bunch.bad.tolist() == [False, True, True]
    lost = np.zeros((3, 16), bool)
    lost[1, 3] = lost[2, 0] = rule == "flag"
    np.testing.assert_array_equal(np.isnan(bunch.target).any(axis=2), lost)
    np.testing.assert_array_equal(np.isnan(bunch.data.keypoints2d).any(axis=2), lost)
    np.testing.assert_array_equal(bunch.visible, ~lost)
    np.testing.assert_array_equal(bunch.data.visible, bunch.visible)
    assert np.isnan(bunch.data.root[2]).all() == (rule == "flag") and np.isfinite(bunch.data.root[:2]).all()
    if rule == "keep":
        np.testing.assert_allclose(bunch.data.keypoints2d[2], labels[4][:, :2])


def test_real_labels_come_back(tmp_path, real_data):
    with np.load(real_data / "depth-benchmarks" / "icvl.npz") as file:
        truth = file["ground_truth_uvd"].astype(float)
    write_copy(tmp_path)
    chosen = truth[[0, 300, 701]]
    names = [f"test_seq_1/image_{i:04d}.png" for i in range(3)]
    text = "".join(line(name, uvd) for name, uvd in zip(names, chosen, strict=True))
    (tmp_path / "Testing" / "test_seq_1.txt").write_text(text)
    bunch = load_icvl(tmp_path, "test", sequences=(1,), focal=240.99)
    u, v, d = np.moveaxis(chosen, -1, 0)
    expected = np.stack([(u - 160) * d / 240.99, (v - 120) * d / 240.96, d], axis=-1)
    np.testing.assert_allclose(bunch.target, expected, atol=2e-3)
    tips = bunch.target[:, [3, 6, 9, 12, 15]] - bunch.target[:, [0]]
    assert (np.linalg.norm(tips, axis=2) < 150).all()


def test_cache_and_return_X_y(tmp_path):
    data_dir, cache = tmp_path / "icvl", tmp_path / "cache"
    write_copy(data_dir)
    X, y = load_icvl(data_dir, "test", cache=cache, return_X_y=True)
    again, y_again = load_icvl(data_dir, "test", cache=cache, return_X_y=True)
    assert len(os.listdir(cache)) == 1 and isinstance(X.depth, np.memmap)
    np.testing.assert_array_equal(y, y_again)
    np.testing.assert_array_equal(again.depth[:], load_icvl(data_dir, "test").data.depth[:])
    load_icvl(data_dir, "test", cache=cache, focal=240.99)
    load_icvl(data_dir, "test", cache=cache, sequences=(1,))
    load_icvl(data_dir, cache=cache)
    load_icvl(data_dir, cache=cache, rotated=True)
    assert len(os.listdir(cache)) == 5
    with open(data_dir / "Testing" / "test_seq_2.txt", "a") as file:
        file.write(line("test_seq_2/image_0001.png", label(9)))
    assert len(load_icvl(data_dir, "test", cache=cache).data) == 6


def test_verify_counts_and_names_what_is_missing(tmp_path, capsys):
    write_copy(tmp_path)
    (tmp_path / "Training" / "Depth" / TRAINING[2][0]).unlink()
    (tmp_path / "Testing" / "test_seq_2.txt").unlink()
    report = verify(tmp_path)
    assert report.dataset == "icvl"
    training, first, second = report.parts
    assert (training.n_found, training.n_published) == (4, 331006)
    assert training.missing == [f"Training/Depth/{TRAINING[2][0]}"]
    assert (first.n_found, first.n_published, first.missing) == (3, 702, [])
    assert (second.n_found, second.n_published, second.missing) == (0, 894, ["Testing/test_seq_2.txt"])
    assert f"Training/Depth/{TRAINING[2][0]}" in capsys.readouterr().out


def test_damaged_and_missing_files(tmp_path):
    write_copy(tmp_path)
    labels = tmp_path / "Training" / "labels.txt"
    picture = tmp_path / "Training" / "Depth" / TRAINING[4][0]
    picture.write_bytes(picture.read_bytes()[:-30])
    with pytest.raises(InputError, match=TRAINING[4][0]):
        load_icvl(tmp_path).data.depth[:]
    Image.new("RGB", (320, 240)).save(picture)
    with pytest.raises(InputError, match=f"{TRAINING[4][0]}: expected a 16-bit"):
        load_icvl(tmp_path).data.depth[:]
    picture.unlink()
    with pytest.raises(DataFileError, match=f"1 of them are missing, first .*{TRAINING[4][0]}"):
        load_icvl(tmp_path)
    good = labels.read_text().splitlines(keepends=True)
    labels.write_text(good[0] + good[1].rsplit(" ", 3)[0] + "\n")
    with pytest.raises(DataFileError, match="labels.txt:2: expected 48 numbers.* got 46"):
        load_icvl(tmp_path)
    labels.write_text(good[0].replace(" ", " x", 1))
    with pytest.raises(DataFileError, match="labels.txt:1: expected 48 numbers"):
        load_icvl(tmp_path)
    labels.write_text(good[0] + "\n" + good[1].split(" ", 1)[1])
    with pytest.raises(DataFileError, match="labels.txt:3: expected a picture's path"):
        load_icvl(tmp_path)
    labels.write_text(good[2])
    with pytest.raises(DataFileError, match="labels.txt: expected a line for each picture"):
        load_icvl(tmp_path)
    labels.unlink()
    with pytest.raises(DataFileError, match="Training/labels.txt or .*skhand.datasets.verify"):
        load_icvl(tmp_path)


@pytest.mark.parametrize(
    "name", ["{}/../../../../../secret.png", "{}/../../../secret.png", "{outside}", "../x/a.png"]
)
def test_a_label_does_not_lead_out_of_the_folder(tmp_path, name):
    secret = tmp_path / "secret.png"
    data_dir = tmp_path / "icvl"
    write_copy(data_dir)
    write_picture(secret, label(1))
    lines = (data_dir / "Training" / "labels.txt").read_text().splitlines(keepends=True)
    lines[1] = line(name.format(RECORDING, outside=secret), label(2))
    (data_dir / "Training" / "labels.txt").write_text("".join(lines))
    with pytest.raises(DataFileError, match="labels.txt:2: expected the name of a file below"):
        load_icvl(data_dir)
    with pytest.raises(DataFileError, match="labels.txt:2"):
        verify(data_dir)


def test_pictures_without_a_label_are_told(tmp_path):
    write_copy(tmp_path)
    for name in ("Testing/test_seq_2.txt", "Training/labels.txt"):
        lines = (tmp_path / name).read_text().rstrip("\n").splitlines(keepends=True)
        (tmp_path / name).write_text("".join(lines[:-1]))
    with pytest.raises(DataFileError, match=r"test_seq_2.txt:1: expected a line for each of the 2 pictures"):
        load_icvl(tmp_path, "test")
    with pytest.warns(UserWarning, match=r"labels.txt:2: expected a line for each of the 3 pictures"):
        load_icvl(tmp_path)


@pytest.mark.parametrize("wrong", [{"split": "val"}, {"rotated": "45"}, {"focal": 241}, {"bad_rows": ""}])
def test_wrong_options(copy, wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))}: expected one of"):
        load_icvl(copy, **wrong)
