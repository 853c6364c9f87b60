"""load_stb on a small copy in the publisher's layout: poses, cameras, both sensors, pictures and errors."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from skhand.datasets import load_stb, verify
from skhand.exceptions import DataFileError, InputError

# this file's own facts of the format: nothing here comes from the loader
CANONICAL_OF_STB = [*range(17, 21), *range(13, 17), *range(9, 13), *range(5, 9), *range(1, 5)]  # rows 1 to 20
BB = (822.79041, 822.79041, 318.47345, 250.31296)
SK_COLOR = (607.92271, 607.88192, 314.78337, 236.42484)
SK_DEPTH = (475.62768, 474.77709, 336.41179, 238.77962)
SHIFT = np.array([-24.0381, -0.4563, -1.2326])
N_TEST, TIP = 2, 8  # frames of each test sequence; canonical index of the marked joint
COLORS = {"BB_left": (250, 0, 0), "BB_right": (0, 250, 0), "SK_color": (0, 0, 250)}


def rodrigues(v):
    angle = np.sqrt((v**2).sum())
    x, y, z = v / angle
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


TURN = rodrigues(np.array([0.00531, -0.01196, 0.00301]))


def pixel(point, camera):
    fx, fy, cx, cy = camera
    return np.array([fx * point[0] / point[2] + cx, fy * point[1] / point[2] + cy])


def to_stb(hand):
    """Write a canonical hand in STB's order, with the palm from which the ring rule makes its wrist."""
    return np.concatenate([[(hand[0] + hand[13]) / 2], hand[CANONICAL_OF_STB]])


def to_depth_frame(points):
    return np.array([TURN @ point + SHIFT for point in points.reshape(-1, 3)]).reshape(points.shape)


def some_hands(n, seed):
    rng = np.random.default_rng(seed)
    return rng.uniform(-80, 80, (n, 1, 3)) / 2 + rng.uniform(-70, 70, (n, 21, 3)) + (0, 0, 600)


def draw(path, size, spots):
    picture = Image.new("RGB", size, (9, 9, 9))
    for (u, v), color in spots:
        picture.paste(color, (round(u) - 2, round(v) - 2, round(u) + 3, round(v) + 3))
    picture.save(path)


def depth_code(mm):
    return (mm % 256, mm // 256, 0)


def write_sequence(data_dir, name, hands, inner="images"):
    (data_dir / "labels").mkdir(exist_ok=True)
    folder = data_dir / inner / name
    folder.mkdir(parents=True)
    stb = np.array([to_stb(hand) for hand in hands])
    savemat(data_dir / "labels" / f"{name}_BB.mat", {"handPara": stb.transpose(2, 1, 0)})
    in_depth = to_depth_frame(stb)
    savemat(data_dir / "labels" / f"{name}_SK.mat", {"handPara": in_depth.transpose(2, 1, 0)})
    for i, hand in enumerate(hands):
        right = hand[TIP] - [120.054, 0, 0]
        spots = {"BB_left": pixel(hand[TIP], BB), "BB_right": pixel(right, BB)}
        spots["SK_color"] = pixel(hand[TIP], SK_COLOR)
        for kind, spot in spots.items():
            draw(folder / f"{kind}_{i}.png", (640, 480), [(spot, COLORS[kind])])
        tip = to_depth_frame(hand[TIP])
        spot = pixel(tip, SK_DEPTH), depth_code(round(tip[2]))
        draw(folder / f"SK_depth_{i}.png", (640, 480), [spot])


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Root of a copy with both test sequences; its hands in the frame of BB's left and SK's colour camera."""
    data_dir = tmp_path_factory.mktemp("stb")
    hands = {"B1Counting": some_hands(N_TEST, 1), "B1Random": some_hands(N_TEST, 2)}
    for name, some in hands.items():
        write_sequence(data_dir, name, some)
    return data_dir, hands


def test_bb_has_both_views_in_millimetres_of_their_own_camera(copy):
    data_dir, hands = copy
    bunch = load_stb(data_dir, "test")
    assert [str(name) for name in bunch.groups] == ["B1Counting"] * 4 + ["B1Random"] * 4
    assert bunch.ids.tolist()[1:3] == ["B1Counting/BB_left_1", "B1Counting/BB_right_0"]
    shift = np.array([120.054, 0, 0])
    for start, name in ((0, "B1Counting"), (4, "B1Random")):
        np.testing.assert_allclose(bunch.target[start : start + 2], hands[name], atol=1e-9)
        np.testing.assert_allclose(bunch.target[start + 2 : start + 4], hands[name] - shift, atol=1e-9)
    expected = [[pixel(joint, BB) for joint in hand] for hand in bunch.target]
    np.testing.assert_allclose(bunch.data.keypoints2d, expected, atol=1e-9)
    np.testing.assert_array_equal(
        bunch.data.camera[3], [[822.79041, 0, 318.47345], [0, 822.79041, 250.31296], [0, 0, 1]]
    )
    assert set(bunch.data.side) == {"left"} and set(bunch.data.domain) == {"real"}
    assert bunch.visible.all() and not bunch.bad.any() and bunch.data.depth is None


@pytest.mark.parametrize(
    ("options", "color"),
    [
        ({"view": "left"}, COLORS["BB_left"]),
        ({"view": "right"}, COLORS["BB_right"]),
        ({"camera": "sk", "view": "colour"}, COLORS["SK_color"]),
        ({"camera": "sk"}, COLORS["SK_color"]),
    ],
)
def test_joints_lie_on_their_marker(copy, options, color):
    bunch = load_stb(copy[0], "test", **options)
    assert len(bunch.data) == 2 * N_TEST and bunch.data.rgb.shape[1:] == (480, 640, 3)
    for picture, keypoints in zip(bunch.data.rgb[:], bunch.data.keypoints2d, strict=True):
        u, v = np.rint(keypoints[TIP]).astype(int)
        np.testing.assert_array_equal(picture[v, u], color)
        assert (picture == color).all(axis=2).sum() == 25


def test_sk_labels_go_from_the_depth_frame_to_that_of_the_colour_camera(copy):
    data_dir, hands = copy
    color = load_stb(data_dir, "test", camera="sk", view="colour")
    np.testing.assert_allclose(color.target, np.concatenate(list(hands.values())), atol=1e-9)
    assert color.data.camera[0, 0, 0] == 607.92271 and color.data.depth is None
    depth = load_stb(data_dir, "test", camera="sk", view="depth", layout="native")
    np.testing.assert_allclose(depth.target[0], to_depth_frame(to_stb(hands["B1Counting"][0])), atol=1e-9)
    assert depth.data.camera[0, 1, 1] == 474.77709 and depth.data.rgb is None
    tip = depth.target[0, depth.joint_names.index("index_tip")]
    u, v = np.rint(pixel(tip, SK_DEPTH)).astype(int)
    assert depth.data.depth[0][v, u] == round(tip[2]) and (depth.data.depth[0] > 0).sum() > 25


def test_registered_depth_lies_under_the_colour_picture(tmp_path, copy):
    data_dir, hands = copy
    both = load_stb(data_dir, "test", camera="sk")
    u, v = np.rint(both.data.keypoints2d[0, TIP]).astype(int)
    tip = to_depth_frame(hands["B1Counting"][0][TIP])
    fx, fy, cx, cy = SK_DEPTH
    around = np.array([(tip[0] / tip[2]), (tip[1] / tip[2]), 1]) * round(tip[2])
    assert both.data.depth[0][v, u] == pytest.approx((TURN.T @ (around - SHIFT))[2], abs=0.6)

    from skhand.datasets._stb import read_registered_depth

    plane = np.zeros((480, 640, 3), np.uint8)
    plane[...] = depth_code(700)
    plane[200:260, 300:360] = depth_code(400)
    Image.fromarray(plane).save(tmp_path / "plane.png")
    got = read_registered_depth(str(tmp_path / "plane.png"))
    fx, fy, cx, cy = SK_COLOR
    ray = np.array([(400 - cx) / fx, (120 - cy) / fy, 1])  # a colour pixel on the plane
    far = (700 - SHIFT[2]) / (TURN @ ray)[2]
    assert got[120, 400] == pytest.approx(far, abs=1) and (got[60:180, 80:560] > 0).all()  # no gaps
    corner = (np.array([330 - SK_DEPTH[2], 230 - SK_DEPTH[3]]) / SK_DEPTH[:2]).tolist()
    near = TURN.T @ (np.array([*corner, 1]) * 400 - SHIFT)
    u, v = np.rint(pixel(near, SK_COLOR)).astype(int)
    assert got[v, u] == pytest.approx(near[2], abs=1) and got[v, u] < 450


def test_wrist_rules_and_the_native_palm(copy):
    data_dir, hands = copy
    hand = hands["B1Counting"][0]
    palm = (hand[0] + hand[13]) / 2
    middle = load_stb(data_dir, "test", view="left", palm_to_wrist="middle")
    np.testing.assert_allclose(middle.target[0, 0], hand[9] + 2.2 * (palm - hand[9]), atol=1e-9)
    native = load_stb(data_dir, "test", view="left", layout="native")
    assert native.joint_names[0] == "palm" and native.joint_names[1] == "little_mcp"
    np.testing.assert_allclose(native.target[0], to_stb(hand), atol=1e-9)
    np.testing.assert_allclose(native.data.root[0], palm, atol=1e-9)
    canonical = load_stb(data_dir, "test", view="left")
    for name in ("keypoints2d", "visible", "box", "scale"):  # all but the root, which is the target's
        np.testing.assert_array_equal(getattr(native.data, name), getattr(canonical.data, name))
    np.testing.assert_allclose(canonical.data.root[0], (hand[0] + hand[9]) / 2, atol=1e-9)
    assert canonical.data.scale[0] == pytest.approx(np.linalg.norm(hand[10] - hand[9]))


@pytest.mark.parametrize("rule", ["flag", "keep", "drop"])
def test_rows_behind_the_camera(tmp_path, rule):
    hands = {"B1Counting": some_hands(2, 3), "B1Random": some_hands(1, 4)}
    for name, some in hands.items():
        write_sequence(tmp_path, name, some)
    hands["B1Counting"][1, 4, 2] *= -1
    labels = np.array([to_stb(hand) for hand in hands["B1Counting"]])
    savemat(tmp_path / "labels/B1Counting_BB.mat", {"handPara": labels.transpose(2, 1, 0)})
    bunch = load_stb(tmp_path, "test", view="left", bad_rows=rule)
    assert bunch.bad.tolist() == ([False, False] if rule == "drop" else [False, True, False])
    if rule != "drop":
        assert np.isnan(bunch.target[1]).all() == (rule == "flag") == (not bunch.visible[1].any())
    if rule == "keep":
        np.testing.assert_allclose(bunch.target[1], hands["B1Counting"][1], atol=1e-9)


def test_training_is_the_other_ten_sequences_and_images_may_lie_in_the_root(tmp_path):
    for person in range(2, 7):
        for action in ("Counting", "Random"):
            write_sequence(tmp_path, f"B{person}{action}", some_hands(1, person), inner=".")
    bunch = load_stb(tmp_path, "train")
    assert len(bunch.data) == 20 and len(set(bunch.groups)) == 10
    assert bunch.groups[0] == "B2Counting" and bunch.groups[-1] == "B6Random"
    with pytest.raises(DataFileError, match="B1Counting_BB.mat.*verify"):
        load_stb(tmp_path, "test")


def test_real_poses_come_back(tmp_path, real_data):
    with np.load(real_data / "poses" / "stb_poses.npz") as file:
        poses, keypoints, camera = file["joints_mm"][::300], file["keypoints2d"][::300], file["K"]
    write_sequence(tmp_path, "B1Counting", poses.astype(float))
    write_sequence(tmp_path, "B1Random", poses[:1].astype(float))
    bunch = load_stb(tmp_path, "test", camera="sk")
    np.testing.assert_allclose(bunch.target[: len(poses)], poses, atol=1e-3)
    np.testing.assert_allclose(bunch.data.keypoints2d[: len(poses)], keypoints, atol=1e-3)
    np.testing.assert_allclose(bunch.data.camera[0], camera)


def test_cache_return_X_y_and_pickle(tmp_path, copy):
    data_dir, _ = copy
    first = load_stb(data_dir, "test", view="left", cache=tmp_path)
    again = load_stb(data_dir, "test", view="left", cache=tmp_path)
    assert len(os.listdir(tmp_path)) == 1
    np.testing.assert_array_equal(first.target, again.target)
    np.testing.assert_array_equal(again.data.rgb[:], load_stb(data_dir, "test", view="left").data.rgb[:])
    load_stb(data_dir, "test", view="left", palm_to_wrist="middle", cache=tmp_path)
    assert len(os.listdir(tmp_path)) == 2
    labels = data_dir / "labels" / "B1Random_BB.mat"
    os.utime(labels, ns=(1, 1))
    load_stb(data_dir, "test", view="left", cache=tmp_path)
    assert len(os.listdir(tmp_path)) == 3
    X, y = load_stb(data_dir, "test", camera="sk", return_X_y=True)
    copied = pickle.loads(pickle.dumps(X))
    np.testing.assert_array_equal(copied.depth[0], X.depth[0])
    assert y.shape == (4, 21, 3)


def test_verify_counts_and_names_what_is_missing(tmp_path, capsys):
    write_sequence(tmp_path, "B1Counting", some_hands(2, 5))
    (tmp_path / "images/B1Counting/SK_depth_1.png").unlink()
    report = verify(tmp_path)
    assert report.dataset == "stb" and not report.complete
    parts = {part.name: part for part in report.parts}
    assert parts["test BB_left"].n_found == 2 and parts["test BB_left"].n_published == 3000
    assert parts["test SK_depth"].n_found == 1 and parts["train SK_color"].n_published == 15000
    assert parts["test SK_depth"].missing == ["images/B1Counting/SK_depth_1.png", "labels/B1Random_SK.mat"]
    printed = capsys.readouterr().out
    assert "images/B1Counting/SK_depth_1.png" in printed and "published 3000" in printed


def test_damaged_and_missing_files(tmp_path):
    for name in ("B1Counting", "B1Random"):
        write_sequence(tmp_path, name, some_hands(2, 6))
    picture = tmp_path / "images/B1Random/BB_left_1.png"
    picture.write_bytes(picture.read_bytes()[:-100])
    with pytest.raises(InputError, match="B1Random/BB_left_1.png"):
        load_stb(tmp_path, "test").data.rgb[:]
    depth = tmp_path / "images/B1Random/SK_depth_1.png"
    Image.new("L", (640, 480)).save(depth)
    with pytest.raises(InputError, match="B1Random/SK_depth_1.png: expected depth"):
        load_stb(tmp_path, "test", camera="sk", view="depth").data.depth[3]
    picture.unlink()
    with pytest.raises(DataFileError, match="1 of them are missing, first .*B1Random/BB_left_1.png"):
        load_stb(tmp_path, "test")
    labels = tmp_path / "labels" / "B1Random_BB.mat"
    savemat(labels, {"handPara": np.zeros((21, 3, 2))})
    with pytest.raises(DataFileError, match="B1Random_BB.mat: expected handPara of shape"):
        load_stb(tmp_path, "test")
    labels.write_bytes(labels.read_bytes()[:150])
    with pytest.raises(DataFileError, match="B1Random_BB.mat"):
        load_stb(tmp_path, "test")
    labels.unlink()
    with pytest.raises(DataFileError, match="B1Random_BB.mat.*skhand.datasets.verify"):
        load_stb(tmp_path, "test")


@pytest.mark.parametrize(
    "wrong",
    [
        {"split": "val"},
        {"camera": "kinect"},
        {"view": "colour"},
        {"camera": "sk", "view": "left"},
        {"camera": "sk", "view": "color"},
        {"palm_to_wrist": "little"},
        {"layout": "nothing"},
        {"bad_rows": "ignore"},
    ],
)
def test_wrong_options(copy, wrong):
    with pytest.raises(InputError, match=f"{list(wrong)[-1]}: expected one of"):
        load_stb(copy[0], **{"split": "test", **wrong})
