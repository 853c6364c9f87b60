"""load_rhd on a small copy in the publisher's layout: order, sides, encodings, bad rows, cache and errors."""

from __future__ import annotations

import json
import os
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from skhand.datasets import load_rhd, verify
from skhand.exceptions import DataFileError, InputError
from skhand.geometry import apply_affine
from skhand.preprocessing import DepthCropper, HandCropper, ViewAligner

# this file's own facts of the format: nothing here comes from the loader
# canonical rows of its joints: each finger runs tip to base
NATIVE = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]
FOLDERS = {"train": "training", "test": "evaluation"}
FOCAL, TIP = 280.0, 8  # px; canonical index of the marked joint
LEFT_MARK, RIGHT_MARK = (250, 10, 10), (10, 10, 250)


def camera(focal=FOCAL):
    return np.array([[focal, 0, 160], [0, focal, 160], [0, 0, 1]])


def pixels(points, matrix):
    """Project (21, 3), mm."""
    x, y, z = points.T
    u, v = matrix[0, 0] * x / z + matrix[0, 2], matrix[1, 1] * y / z + matrix[1, 2]
    return np.stack([u, v], axis=1)


def some_hand(seed, x):
    rng = np.random.default_rng(seed)
    return np.array([x, 0, 600]) + rng.uniform(-60, 60, (21, 3))


def two_hands(number):
    """Left and right hand of a picture, canonical order, mm."""
    return {"left": some_hand(2 * number, -120), "right": some_hand(2 * number + 1, 120)}


def entry(hands, matrix, visible=None, uv=None):
    """One picture's entry of the pickle; hands in canonical order, mm."""
    visible = np.ones((2, 21)) if visible is None else visible
    xyz, uv_vis = np.zeros((42, 3)), np.zeros((42, 3))
    for i, side in enumerate(("left", "right")):
        place = slice(21 * i, 21 * i + 21)
        xyz[place] = hands[side][NATIVE] / 1000
        uv_vis[place, :2] = (pixels(hands[side], matrix) if uv is None else uv[side])[NATIVE]
        uv_vis[place, 2] = visible[i][NATIVE]
    single = np.float32
    return {"xyz": xyz.astype(single), "uv_vis": uv_vis.astype(single), "K": matrix.astype(single)}


def write_pictures(data_dir, split, number, hands, areas):
    """Write colour, depth and mask; ``areas`` is the side of each hand's square in the mask, px."""
    folder = data_dir / FOLDERS[split]
    color, mask = np.full((320, 320, 3), 90, np.uint8), np.ones((320, 320), np.uint8)
    depth = np.zeros((320, 320, 3), np.uint8)
    for i, (side, mark) in enumerate((("left", LEFT_MARK), ("right", RIGHT_MARK))):
        u, v = np.rint(pixels(hands[side], camera())[TIP]).astype(int)
        color[v - 1 : v + 2, u - 1 : u + 2] = mark
        code = round(hands[side][TIP, 2] / 5000 * 65535)
        depth[v - 1 : v + 2, u - 1 : u + 2, :2] = divmod(code, 256)
        area = areas[i]
        mask[10 : 10 + area, 160 * i : 160 * i + area] = 16 * i + 2 + np.arange(area) % 16
    for kind, picture in (("color", color), ("depth", depth), ("mask", mask)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / kind / f"{number:05d}.png")


def write_labels(data_dir, split, entries):
    folder = data_dir / FOLDERS[split]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"anno_{FOLDERS[split]}.pickle").write_bytes(pickle.dumps(entries, protocol=2))


def write_copy(data_dir, split="train", areas=((30, 20), (20, 30), (25, 25))):
    entries = {}
    for number, area in enumerate(areas):
        hands = two_hands(number)
        visible = np.ones((2, 21))
        visible[:, number] = 0
        entries[number] = entry(hands, camera(), visible)
        write_pictures(data_dir, split, number, hands, area)
    write_labels(data_dir, split, entries)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Root of a copy: larger hands left, right and, where they are equal, right."""
    data_dir = tmp_path_factory.mktemp("rhd")
    write_copy(data_dir)
    return data_dir


def test_the_larger_hand_in_canonical_order_and_millimetres(copy):
    bunch = load_rhd(copy)
    assert bunch.data.side.tolist() == ["left", "right", "right"]
    expected = [two_hands(i)[side] for i, side in enumerate(bunch.data.side)]
    np.testing.assert_allclose(bunch.target, expected, atol=1e-3)
    keypoints = [pixels(hand, camera()) for hand in expected]
    np.testing.assert_allclose(bunch.data.keypoints2d, keypoints, atol=1e-3)
    np.testing.assert_allclose(bunch.data.camera, np.tile(camera(), (3, 1, 1)))
    np.testing.assert_array_equal(bunch.visible, ~np.eye(3, 21, dtype=bool))
    assert bunch.groups.tolist() == [0, 1, 2] and bunch.ids.tolist() == ["00000", "00001", "00002"]
    assert set(bunch.data.domain) == {"synthetic"} and not bunch.bad.any()
    hand = np.array(expected)
    np.testing.assert_allclose(bunch.data.scale, np.linalg.norm(hand[:, 10] - hand[:, 9], axis=1), rtol=1e-5)
    np.testing.assert_allclose(bunch.data.root, (hand[:, 0] + hand[:, 9]) / 2, atol=1e-3)


@pytest.mark.parametrize("hand", ["left", "right", "both"])
def test_other_hands(copy, hand):
    bunch = load_rhd(copy, hand=hand)
    sides = ["left", "right"] if hand == "both" else [hand]
    assert bunch.data.side.tolist() == sides * 3
    expected = [two_hands(i)[side] for i in range(3) for side in sides]
    np.testing.assert_allclose(bunch.target, expected, atol=1e-3)
    assert bunch.groups.tolist() == [i for i in range(3) for _ in sides]
    assert len(set(bunch.ids)) == len(bunch.ids)


def test_pictures_lie_under_the_joints(copy):
    data = load_rhd(copy, hand="both").data
    assert data.rgb.shape == (6, 320, 320, 3) and data.mask.dtype == bool
    areas = [30, 20, 20, 30, 25, 25]
    for row in range(6):
        u, v = np.rint(data.keypoints2d[row, TIP]).astype(int)
        assert tuple(data.rgb[row][v, u]) == (LEFT_MARK, RIGHT_MARK)[row % 2]
        z = two_hands(row // 2)[data.side[row]][TIP, 2]
        assert data.depth[row][v, u] == pytest.approx(z, abs=0.05)
        assert data.mask[row].sum() == areas[row] ** 2
        assert data.mask[row][12, 160 * (row % 2) + 2] and not data.mask[row][12, 160 * (1 - row % 2) + 2]
    np.testing.assert_array_equal(data.mask[[3, 0]], np.stack([data.mask[3], data.mask[0]]))


def test_native_order_runs_tip_to_base(copy):
    bunch = load_rhd(copy, hand="left", layout="native")
    assert bunch.joint_names[1] == "thumb_tip" and bunch.joint_names[4] == "thumb_cmc"
    np.testing.assert_allclose(bunch.target[1], two_hands(1)["left"][NATIVE], atol=1e-3)


@pytest.mark.parametrize("rule", ["flag", "keep", "drop"])
def test_hands_behind_the_camera(tmp_path, rule):
    hands = [two_hands(0), two_hands(1)]
    hands[1]["left"] = hands[1]["left"] - [0, 0, 640]
    for number in (0, 1):
        write_pictures(tmp_path, "test", number, two_hands(number), (5, 4))
    write_labels(tmp_path, "test", {i: entry(some, camera()) for i, some in enumerate(hands)})
    bunch = load_rhd(tmp_path, "test", bad_rows=rule)
    if rule == "drop":
        assert bunch.bad.tolist() == [False] and bunch.ids.tolist() == ["00000"]
        return
    assert bunch.bad.tolist() == [False, True]
    assert np.isnan(bunch.target[1]).all() == np.isnan(bunch.data.keypoints2d[1]).all() == (rule == "flag")
    assert bunch.visible[1].any() == (rule == "keep") and np.isfinite(bunch.target[0]).all()
    np.testing.assert_array_equal(bunch.data.visible, bunch.visible)
    np.testing.assert_array_equal(bunch.data.box[1], [-0.5, -0.5, 320, 320])
    if rule == "keep":
        np.testing.assert_allclose(bunch.target[1], hands[1]["left"], atol=1e-3)
        np.testing.assert_allclose(
            bunch.data.keypoints2d[1], pixels(hands[1]["left"], camera()), rtol=1e-5, atol=1e-3
        )


def test_real_poses_come_back(tmp_path, real_data):
    with np.load(real_data / "poses" / "rhd_poses.npz") as file:
        behind = (file["joints_mm"][..., 2] <= 0).any(axis=1)
        rows = [*range(0, 1700, 400), int(np.flatnonzero(behind)[0])]
        poses, uv, matrices, left = (file[k][rows] for k in ("joints_mm", "keypoints2d", "K", "left"))
    entries = {}
    for i in range(len(rows)):
        both = {"left": poses[i].astype(float), "right": poses[i].astype(float)}
        other = "right" if left[i] else "left"
        both[other] = both[other] + 500
        entries[i] = entry(both, matrices[i], uv={"left": uv[i], "right": uv[i]})
        write_pictures(tmp_path, "test", i, two_hands(i), (9, 8) if left[i] else (8, 9))
    write_labels(tmp_path, "test", entries)
    bunch = load_rhd(tmp_path, "test", bad_rows="keep")
    assert (bunch.data.side == "left").tolist() == left.tolist()
    np.testing.assert_allclose(bunch.target, poses, atol=1e-2)
    np.testing.assert_allclose(bunch.data.keypoints2d, uv, atol=1e-3)
    np.testing.assert_allclose(bunch.data.camera, matrices, atol=1e-4)
    assert bunch.bad.tolist() == [*[False] * (len(rows) - 1), True]


@pytest.fixture(scope="module")
def with_hands_behind(tmp_path_factory, real_data):
    """Root of a test split of real poses; the second hand of the three is partly behind the camera."""
    data_dir = tmp_path_factory.mktemp("behind")
    with np.load(real_data / "poses" / "rhd_poses.npz") as file:
        behind = np.flatnonzero((file["joints_mm"][..., 2] <= 0).any(axis=1))
        rows = [0, behind[0], 400, behind[1]]
        poses, uv, matrices = (file[k][rows] for k in ("joints_mm", "keypoints2d", "K"))
    entries = {}
    for i in range(len(rows)):
        both = dict.fromkeys(("left", "right"), poses[i].astype(float))
        entries[i] = entry(both, matrices[i], uv=dict.fromkeys(both, uv[i]))
        write_pictures(data_dir, "test", i, two_hands(i), (9, 8))
    write_labels(data_dir, "test", entries)
    return data_dir, poses, uv


CROPS = [
    HandCropper(64, preset="hand3d"),
    HandCropper(64),
    HandCropper(64, source="keypoints"),
    ViewAligner(),
    DepthCropper(centre="root", size=64),
]


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of hands whose centre is not known
def test_crops_where_hands_are_behind_the_camera(with_hands_behind, crop):
    data_dir, poses, uv = with_hands_behind
    bunch = load_rhd(data_dir, "test", crop=crop)
    bad = (poses[..., 2] <= 0).any(axis=1)
    assert bunch.bad.tolist() == bad.tolist() == [False, True, False, True]
    for values in (bunch.target, bunch.data.keypoints2d):
        assert np.isnan(values[bad]).all() and np.isfinite(values[~bad]).all()
    assert not bunch.data.visible[bad].any() and not bunch.visible[bad].any()
    assert bunch.data.visible[~bad].all() and np.isfinite(bunch.data.affine).all()
    assert bunch.data.rgb[:].shape[0] == 4
    expected = apply_affine(bunch.data.affine, uv)
    np.testing.assert_allclose(bunch.data.keypoints2d[~bad], expected[~bad], atol=0.01)
    middle = apply_affine(np.linalg.inv(bunch.data.affine), np.tile((31.5, 31.5), (4, 1, 1)))
    if isinstance(crop, HandCropper):
        assert (np.abs(middle[bad]) < 500).all()  # and not thousands of pixels away
    kept = load_rhd(data_dir, "test", crop=crop, bad_rows="keep")
    np.testing.assert_array_equal(kept.data.affine, bunch.data.affine)
    np.testing.assert_allclose(kept.data.keypoints2d, expected, rtol=1e-4, atol=0.01)
    np.testing.assert_allclose(kept.target, poses, atol=1e-2)
    turn = np.tile(np.eye(3), (4, 1, 1)) if kept.data.rotation is None else kept.data.rotation
    palm = (poses[:, 0] + poses[:, 9]) / 2
    np.testing.assert_allclose(kept.data.root, np.einsum("nij,nj->ni", turn, palm), atol=1e-2)


def test_the_hand3d_crop_is_that_of_the_visible_joints(tmp_path):
    hands, visible = two_hands(0), np.ones((2, 21))
    far = np.argmax(np.abs(pixels(hands["left"], camera()) - pixels(hands["left"], camera())[9]).max(axis=1))
    visible[0, far] = 0
    write_pictures(tmp_path, "train", 0, hands, (9, 8))
    write_labels(tmp_path, "train", {0: entry(hands, camera(), visible)})
    data = load_rhd(tmp_path, crop=HandCropper(256, preset="hand3d")).data
    assert np.flatnonzero(~data.visible[0]).tolist() == [far]
    points = pixels(hands["left"], camera())
    reach = np.abs(points - points[9])[visible[0] > 0].max()
    assert data.affine[0, 0, 0] == pytest.approx(256 / (2 * reach), rel=0.02)


@pytest.mark.parametrize("layout", ["native", "stb", "nyu14"])
def test_the_layout_is_the_target_s_alone(copy, layout):
    crop = HandCropper(64, preset="hand3d")
    bunch, canonical = (load_rhd(copy, layout=name, crop=crop) for name in (layout, "canonical"))
    assert bunch.joint_names != canonical.joint_names
    assert bunch.visible.shape == bunch.target.shape[:2] == (3, len(bunch.joint_names))
    for name in ("keypoints2d", "visible", "box", "scale", "affine"):
        np.testing.assert_array_equal(getattr(bunch.data, name), getattr(canonical.data, name))
    np.testing.assert_array_equal(canonical.data.visible, canonical.visible)


def test_a_layout_in_which_nothing_is_known_is_refused(copy):
    with pytest.raises(InputError, match="layout: expected one with joints that 'rhd' has.*'icvl16'"):
        load_rhd(copy, layout="icvl16")


def test_joints_of_the_sample_photographs_come_back(tmp_path, real_data):
    described = json.loads((real_data / "samples" / "rhd" / "test_rhd.json").read_text())
    entries, truth = {}, []
    for image, label in zip(described["images"], described["annotations"], strict=True):
        hands = two_hands(0)
        native = np.array(label["joint_cam"])
        hands[label["hand_type"]] = native[np.argsort(NATIVE)]
        entries[image["id"]] = entry(hands, camera(image["cam_param"]["focal"][0]))
        sizes = (9, 8) if label["hand_type"] == "left" else (8, 9)
        write_pictures(tmp_path, "train", image["id"], two_hands(0), sizes)
        shutil.copy(
            real_data / "samples" / "rhd" / image["file_name"],
            tmp_path / "training" / "color" / f"{image['id']:05d}.png",
        )
        truth.append(np.array(label["keypoints"])[:, :2])
    write_labels(tmp_path, "train", entries)
    bunch = load_rhd(tmp_path, layout="native")
    truth = np.array(truth)[:, np.argsort(NATIVE)]
    np.testing.assert_allclose(bunch.data.keypoints2d, truth, atol=0.5)  # the samples' own rounding
    assert bunch.ids.tolist() == ["00111", "01111", "11111"]
    assert bunch.data.rgb[0].std() > 10


def test_cache_and_return_X_y(tmp_path):
    data_dir, cache = tmp_path / "rhd", tmp_path / "cache"
    write_copy(data_dir)
    X, y = load_rhd(data_dir, cache=cache, return_X_y=True)
    again, y_again = load_rhd(data_dir, cache=cache, return_X_y=True)
    assert len(os.listdir(cache)) == 1 and isinstance(again.depth, np.memmap)
    np.testing.assert_array_equal(y, y_again)
    plain = load_rhd(data_dir).data
    for name in ("rgb", "depth", "mask"):
        np.testing.assert_array_equal(getattr(X, name)[:], getattr(plain, name)[:])
    os.utime(data_dir / "training" / "anno_training.pickle", ns=(1, 1))
    load_rhd(data_dir, cache=cache)
    assert len(os.listdir(cache)) == 2


def test_verify_counts_and_names_what_is_missing(tmp_path, capsys):
    write_copy(tmp_path)
    write_copy(tmp_path, "test")
    (tmp_path / "training/mask/00001.png").unlink()
    (tmp_path / "evaluation/anno_evaluation.pickle").unlink()
    report = verify(tmp_path)
    training, evaluation = report.parts
    assert report.dataset == "rhd" and not report.complete
    assert (training.n_found, training.n_published) == (2, 41258)
    assert training.missing == ["training/mask/00001.png"]
    assert (evaluation.n_published, evaluation.missing) == (2728, ["evaluation/anno_evaluation.pickle"])
    printed = capsys.readouterr().out
    assert "training/mask/00001.png" in printed and "published 41258" in printed


def test_damaged_and_missing_files(tmp_path):
    write_copy(tmp_path)
    for kind in ("color", "depth", "mask"):
        picture = tmp_path / "training" / kind / "00002.png"
        content = picture.read_bytes()
        picture.write_bytes(content[:-40])
        with pytest.raises(InputError, match=f"{kind}/00002.png"):
            data = load_rhd(tmp_path, hand="left").data
            (data.rgb[2], data.depth[2], data.mask[2])
        picture.write_bytes(content)
    picture.unlink()
    with pytest.raises(DataFileError, match="1 of them are missing, first .*mask/00002.png"):
        load_rhd(tmp_path)
    entries = {0: entry(two_hands(0), camera())}
    entries[0]["xyz"] = entries[0]["xyz"][:41]
    write_labels(tmp_path, "train", entries)
    with pytest.raises(DataFileError, match=r"anno_training.pickle.*picture 0.*\(41, 3\)"):
        load_rhd(tmp_path)
    write_labels(tmp_path, "train", [1, 2])
    with pytest.raises(DataFileError, match="anno_training.pickle: expected a dictionary"):
        load_rhd(tmp_path)
    labels = tmp_path / "training" / "anno_training.pickle"
    labels.write_bytes(labels.read_bytes()[:-2])
    with pytest.raises(DataFileError, match="anno_training.pickle"):
        load_rhd(tmp_path)
    with pytest.raises(DataFileError, match="anno_evaluation.pickle.*skhand.datasets.verify"):
        load_rhd(tmp_path, "test")


@pytest.mark.parametrize("wrong", [{"split": "val"}, {"hand": "any"}, {"layout": "rdh"}, {"bad_rows": None}])
def test_wrong_options(copy, wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))}: expected one of"):
        load_rhd(copy, **wrong)
