"""load_msra on a small copy in the publisher's layout: joints, depth, faulty frames, folds and errors."""

from __future__ import annotations

import shutil
import struct

import numpy as np
import pytest
from PIL import Image

from skhand.datasets import load_msra, verify
from skhand.exceptions import DataFileError, InputError
from skhand.geometry import project
from skhand.preprocessing import DepthCropper, HandCropper, ViewAligner

# this file's own facts of the format: nothing here comes from the loader
GESTURES = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "I", "IP", "L", "MP", "RP", "T", "TIP", "Y"]
LONG = {("P8", "4"): 170, ("P2", "TIP"): 174}  # number of frames; 2 elsewhere
# frames of each subject as the two releases have them
OLDER = [8499, 8492, 8412, 8488, 8500, 8497, 8497, 8498, 8492]
NEWER = [8499, 8499, 8406, 8498, 8500, 8497, 8498, 8498, 8496]
CANONICAL = [0, *range(17, 21), *range(1, 17)]  # the thumb is last in the files


def hands(n, seed):
    """Return poses in the files' order as the camera sees them, y down."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-60, 60, (n, 21, 3)).round(2) + (0, 0, 450)


def pixels(hand):
    return [(160 + 241.42 * x / z, 120 + 241.42 * y / z) for x, y, z in hand]


def write_bin(path, hand):
    """Write the box of the picture in which each joint's pixel has the joint's depth."""
    spots = [(round(u), round(v), z) for (u, v), (_, _, z) in zip(pixels(hand), hand, strict=True)]
    left, top = (min(spot[axis] for spot in spots) for axis in (0, 1))
    right, bottom = (max(spot[axis] for spot in spots) + 2 for axis in (0, 1))
    rows = [[0.0] * (right - left) for _ in range(bottom - top)]
    for u, v, z in spots:
        rows[v - top][u - left] = z
    flat = [value for row in rows for value in row]
    head = struct.pack("<6i", 320, 240, left, top, right, bottom)
    path.write_bytes(head + struct.pack(f"<{len(flat)}f", *flat))


def write_gesture(folder, poses):
    folder.mkdir(parents=True)
    lines = [str(len(poses))]
    for number, hand in enumerate(poses):
        lines.append(" ".join(f"{x:.3f} {-y:.3f} {-z:.3f}" for x, y, z in hand))
        write_bin(folder / f"{number:06d}_depth.bin", hand)
    (folder / "joint.txt").write_text("\r\n".join(lines) + "\r\n")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("msra")
    for subject in range(9):
        for i, gesture in enumerate(GESTURES):
            n = LONG.get((f"P{subject}", gesture), 2)
            write_gesture(data_dir / f"P{subject}" / gesture, hands(n, 100 * subject + i))
    return data_dir


@pytest.fixture
def copy(original, tmp_path):
    shutil.copytree(original / "P0", tmp_path / "P0")
    return tmp_path


def test_joints_pixels_and_depth_of_one_subject(original):
    msra = load_msra(original, "test", test_subject=3)
    assert len(msra.data) == 34 and not msra.bad.any() and msra.visible.all()
    assert msra.ids[2] == "P3/2/000000" and set(msra.groups) == {"P3"}
    hand = hands(2, 300 + 16)[1]  # the last row: gesture Y
    np.testing.assert_allclose(msra.target[-1], hand[CANONICAL], atol=1e-3)
    np.testing.assert_allclose(msra.data.keypoints2d[-1], np.array(pixels(hand))[CANONICAL], atol=1e-3)
    assert set(msra.data.side) == {"right"} and msra.data.depth.shape == (34, 240, 320)
    picture = msra.data.depth[-1]
    for (u, v), z in zip(msra.data.keypoints2d[-1], msra.target[-1][:, 2], strict=True):
        assert picture[round(v), round(u)] == pytest.approx(z, abs=60)  # pixels that two joints share
    assert (
        sum(
            picture[round(v), round(u)] == np.float32(z)
            for (u, v), (*_, z) in zip(pixels(hand), hand, strict=True)
        )
        >= 18
    )
    assert (picture > 0).sum() <= 21
    bone = np.linalg.norm(hand[6] - hand[5])  # middle MCP to PIP
    assert msra.data.scale[-1] == pytest.approx(bone, abs=1e-2)
    np.testing.assert_allclose(msra.data.root[-1], (hand[0] + hand[5]) / 2, atol=1e-2)


def test_native_layout_is_the_files_order(original):
    X, y = load_msra(original, "test", layout="native", gestures=["T", "2"], return_X_y=True)
    np.testing.assert_allclose(y[:2], hands(2, 1), atol=1e-3)  # gestures in the published order
    np.testing.assert_allclose(y[2:], hands(2, 14), atol=1e-3)
    assert len(X) == 4


def test_each_fold_leaves_one_subject_out(original):
    everything = load_msra(original, "all", gestures=["1", "Y"])
    assert sorted(set(everything.groups)) == [f"P{i}" for i in range(9)] and len(everything.data) == 36
    for left_out in (0, 8):
        train = load_msra(original, "train", test_subject=left_out, gestures=["1", "Y"])
        test = load_msra(original, "test", test_subject=left_out, gestures=["1", "Y"])
        assert set(test.groups) == {f"P{left_out}"} and f"P{left_out}" not in train.groups
        assert sorted([*train.ids, *test.ids]) == sorted(everything.ids)


def test_faulty_frames_are_flagged_kept_or_dropped(original):
    flagged = load_msra(original, "test", test_subject=8, gestures=["4"])
    assert flagged.ids[flagged.bad].tolist() == ["P8/4/000168"]
    assert np.isnan(flagged.target[168]).all() and np.isfinite(np.delete(flagged.target, 168, 0)).all()
    assert not flagged.visible[168].any()
    kept = load_msra(original, "test", test_subject=8, gestures=["4"], bad_rows="keep")
    np.testing.assert_allclose(kept.target[168], hands(170, 803)[168][CANONICAL], atol=1e-3)
    assert kept.bad.sum() == 1
    dropped = load_msra(original, "test", test_subject=8, gestures=["4"], bad_rows="drop")
    assert len(dropped.data) == 169 and "P8/4/000168" not in dropped.ids
    tip = load_msra(original, "test", test_subject=2, gestures=["TIP"])
    assert np.flatnonzero(tip.bad).tolist() == [172, 173]


def test_a_copy_without_a_faulty_picture_has_no_row_for_it(original, tmp_path):
    shutil.copytree(original / "P2" / "TIP", tmp_path / "P2" / "TIP")
    (tmp_path / "P2" / "TIP" / "000173_depth.bin").unlink()
    msra = load_msra(tmp_path, "test", test_subject=2, gestures=["TIP"])
    assert len(msra.data) == 173 and msra.ids[msra.bad].tolist() == ["P2/TIP/000172"]
    (tmp_path / "P2" / "TIP" / "000171_depth.bin").unlink()
    with pytest.raises(DataFileError, match="000171_depth.bin"):
        load_msra(tmp_path, "test", test_subject=2, gestures=["TIP"])


def test_labels_of_another_version_are_refused(copy):
    path = copy / "P0" / "IP" / "joint.txt"
    lines = path.read_text().splitlines()
    turned = [line.split() for line in lines[1:]]
    turned = [" ".join(v.lstrip("-") if i % 3 == 2 else v for i, v in enumerate(words)) for words in turned]
    path.write_text("\n".join([lines[0], *turned]))
    with pytest.raises(DataFileError, match="P0/IP/joint.txt: expected joints with negative z.*version"):
        load_msra(copy, "test")
    assert len(load_msra(copy, "test", gestures=["1", "2"]).data) == 4


@pytest.mark.parametrize("layout", ["native", "tips5"])
def test_the_layout_is_the_target_s_alone(original, layout):
    bunch, canonical = (
        load_msra(original, "test", gestures=["T"], layout=name) for name in (layout, "canonical")
    )
    for name in ("keypoints2d", "visible", "box", "root", "scale"):
        np.testing.assert_array_equal(getattr(bunch.data, name), getattr(canonical.data, name))
    assert bunch.visible.shape == bunch.target.shape[:2] != (2, 21) or layout == "native"


@pytest.mark.parametrize(
    "crop", [HandCropper(64), HandCropper(64, preset="hand3d"), ViewAligner(), DepthCropper(centre="root")]
)
def test_crops_of_flagged_frames(original, crop):
    options = {"split": "test", "test_subject": 8, "gestures": ["4"]}
    flagged = load_msra(original, crop=crop, **options)
    kept = load_msra(original, crop=crop, bad_rows="keep", **options)
    np.testing.assert_array_equal(flagged.data.affine, kept.data.affine)
    np.testing.assert_array_equal(flagged.data.depth[168], kept.data.depth[168])
    assert np.flatnonzero(np.isnan(flagged.data.keypoints2d).any(axis=(1, 2))).tolist() == [168]
    assert not flagged.data.visible[168].any() and np.isnan(flagged.data.root[168]).all()
    assert np.isfinite(kept.data.keypoints2d).all() and kept.data.visible.all()
    np.testing.assert_allclose(
        kept.data.keypoints2d[168], project(rotated(kept, 168), kept.data.camera[168]), atol=1e-6
    )


def rotated(bunch, row):
    points = bunch.target[row]
    return points if bunch.data.rotation is None else points @ bunch.data.rotation[row].T


def test_cache_is_told_from_other_folds_and_files(copy, tmp_path):
    first = load_msra(copy, "test", cache=tmp_path / "cache")
    again = load_msra(copy, "test", cache=tmp_path / "cache")
    np.testing.assert_array_equal(first.data.depth[:], again.data.depth[:])
    np.testing.assert_array_equal(load_msra(copy, "test").data.depth[:], again.data.depth[:])
    assert isinstance(again.data.depth, np.memmap)
    shutil.rmtree(copy / "P0" / "1")
    write_gesture(copy / "P0" / "1", hands(3, 5))
    assert len(load_msra(copy, "test", cache=tmp_path / "cache").data) == 35
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_verify_counts_subjects_and_names_what_is_missing(original, copy, capsys):
    whole = verify(original)
    assert whole.dataset == "msra" and [part.name for part in whole.parts] == [f"P{i}" for i in range(9)]
    assert [part.n_found for part in whole.parts] == [34, 34, 206, 34, 34, 34, 34, 34, 202]
    assert (sum(OLDER), sum(NEWER)) == (76375, 76391)
    for part, *counts in zip(whole.parts, OLDER, NEWER, strict=True):
        assert set(np.atleast_1d(part.n_published)) == set(counts)
    assert whole.missing == [] and not whole.complete
    (copy / "P0" / "RP" / "000001_depth.bin").unlink()
    (copy / "P0" / "IP" / "joint.txt").unlink()
    report = verify(copy, "msra")
    assert report.parts[0].missing == ["P0/IP/joint.txt", "P0/RP/000001_depth.bin"]
    assert "P0/IP/joint.txt" in capsys.readouterr().out


def test_damaged_files_are_named(copy):
    path = copy / "P0" / "1" / "joint.txt"
    good = path.read_text()
    lines = good.splitlines()
    path.write_text("\n".join([lines[0], lines[1], lines[2].rsplit(" ", 1)[0]]))
    with pytest.raises(DataFileError, match=r"joint.txt:3: expected 63 .*got 62"):
        load_msra(copy, "test")
    path.write_text("\n".join(lines[:2]))
    with pytest.raises(DataFileError, match=r"joint.txt:2: expected 2 lines"):
        load_msra(copy, "test")
    path.write_text("\n".join(lines[1:]))
    with pytest.raises(DataFileError, match=r"joint.txt:1: expected the number of frames"):
        load_msra(copy, "test")
    path.write_text(good)
    picture = copy / "P0" / "1" / "000001_depth.bin"
    whole = picture.read_bytes()
    msra = load_msra(copy, "test")
    for damaged in (whole[:-3], whole[:10], whole + b"0000", struct.pack("<6i", 320, 240, 5, 5, 400, 9)):
        picture.write_bytes(damaged)
        with pytest.raises(InputError, match="000001_depth.bin"):
            msra.data.depth[1]
    picture.unlink()
    with pytest.raises(DataFileError, match="000001_depth.bin"):
        load_msra(copy, "test")
    path.unlink()
    with pytest.raises(DataFileError, match="joint.txt.*verify"):
        load_msra(copy, "test")


@pytest.mark.parametrize(
    "options",
    [{"split": "val"}, {"test_subject": 9}, {"test_subject": "P1"}, {"gestures": ["10"]}, {"gestures": "T"}]
    + [{"gestures": []}, {"layout": "msra"}, {"bad_rows": "no"}],
)
def test_unknown_options_are_refused(copy, options):
    with pytest.raises(InputError, match=next(iter(options))):
        load_msra(copy, **{"split": "test", **options})


def test_real_poses_come_back(real_data, tmp_path):
    with np.load(real_data / "poses" / "stb_poses.npz", allow_pickle=False) as file:
        poses = file["joints_mm"][::300].astype(np.float64)
    poses[..., 2] += 50
    own = poses[:, np.argsort(CANONICAL)]
    write_gesture(tmp_path / "P4" / "L", own)
    msra = load_msra(tmp_path, "test", test_subject=4, gestures=["L"])
    np.testing.assert_allclose(msra.target, poses, atol=1e-3)
    assert Image.fromarray(msra.data.depth[0]).size == (320, 240)
