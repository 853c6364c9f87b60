"""load_nyu on a small copy in the publisher's layout: joints, cameras, encodings, subjects and errors."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from skhand.datasets import load_nyu, verify
from skhand.exceptions import DataFileError, InputError
from skhand.preprocessing import DepthCropper

# this file's own facts of the format: nothing here comes from the loader
FX, FY = 588.036865, 587.075073  # the publisher's
N_TRAIN, N_TEST = 3, 2
EVALUATED = [0, 3, 6, 9, 12, 15, 18, 21, 24, 25, 27, 30, 31, 32]
# rows of the 36 points in canonical order: wrist, then thumb, index, middle, ring, little from base to tip
CANONICAL = [35, *(base - back for base in (29, 23, 17, 11, 5) for back in (0, 2, 4, 5))]
MARKED = 24  # thumb tip


def published_uvd(xyz, fx=FX, fy=FY):
    """The publisher's projection: y points up."""
    x, y, z = np.moveaxis(xyz, -1, 0)
    return np.stack([320 + fx * x / z, 240 - fy * y / z, z], axis=-1)


def some_labels(n, seed):
    rng = np.random.default_rng(seed)
    return rng.uniform((-60, -60, 650), (60, 60, 800), (3, n, 36, 3))


def write_split(data_dir, split, xyz, uvd=None, views=(1, 2, 3)):
    folder = data_dir / split
    folder.mkdir(parents=True, exist_ok=True)
    uvd = published_uvd(xyz) if uvd is None else uvd
    names = np.array([f"P{i}" for i in range(36)], dtype=object)
    content = {"joint_names": names, "joint_uvd": uvd, "joint_xyz": xyz}
    savemat(folder / "joint_data.mat", content, do_compression=True)
    for view in views:
        for frame in range(xyz.shape[1]):
            u, v, d = published_uvd(xyz[view - 1, frame, MARKED])
            high, low = divmod(round(d), 256)
            box = (round(u) - 2, round(v) - 2, round(u) + 3, round(v) + 3)
            for kind, color in (
                ("depth", (77, high, low)),
                ("rgb", (0, 200, 10 * view)),
                ("synthdepth", (0, high, low - 1 if low else 0)),
            ):
                picture = Image.new("RGB", (640, 480))
                picture.paste(color, box)
                picture.save(folder / f"{kind}_{view}_{frame + 1:07d}.png")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Root of a copy, and its joint_xyz by split."""
    data_dir = tmp_path_factory.mktemp("nyu")
    labels = {"train": some_labels(N_TRAIN, 1), "test": some_labels(N_TEST, 2)}
    for split, xyz in labels.items():
        write_split(data_dir, split, xyz)
    return data_dir, labels


@pytest.mark.parametrize("view", [1, 2, 3])
def test_native_joints_are_the_view_s_with_y_down(copy, view):
    data_dir, labels = copy
    bunch = load_nyu(data_dir, "train", view=view, layout="native")
    x, y, z = np.moveaxis(labels["train"][view - 1], -1, 0)
    np.testing.assert_allclose(bunch.target, np.stack([x, -y, z], axis=-1), atol=1e-9)
    published = published_uvd(labels["train"][view - 1])[..., :2]
    expected = published[:, CANONICAL]
    np.testing.assert_allclose(bunch.data.keypoints2d, expected, atol=0.01)  # of another focal length
    assert bunch.ids.tolist() == [f"{view}_{i:07d}" for i in (1, 2, 3)]
    assert bunch.joint_names[35] == "wrist" and bunch.visible.all() and not bunch.bad.any()


def test_focal_lengths(copy):
    data_dir, labels = copy
    bunch = load_nyu(data_dir, "test", focal=588.036865, layout="native")
    expected = published_uvd(labels["test"][0])[:, CANONICAL, :2]
    np.testing.assert_allclose(bunch.data.keypoints2d, expected, atol=1e-9)
    np.testing.assert_array_equal(bunch.data.camera[0], [[FX, 0, 320], [0, FY, 240], [0, 0, 1]])
    other = load_nyu(data_dir, "test", layout="native").data
    expected = published_uvd(labels["test"][0], 588.03, 587.07)[:, CANONICAL, :2]
    np.testing.assert_allclose(other.keypoints2d, expected, atol=1e-9)


def test_layouts_by_joint(copy):
    data_dir, labels = copy
    down = labels["test"][0] * [1, -1, 1]
    canonical = load_nyu(data_dir, "test")
    np.testing.assert_allclose(canonical.target, down[:, CANONICAL], atol=1e-9)
    assert canonical.joint_names[4] == "thumb_tip"
    evaluated = load_nyu(data_dir, "test", layout="nyu14")
    np.testing.assert_allclose(evaluated.target, down[:, EVALUATED], atol=1e-9)
    np.testing.assert_allclose(canonical.data.root, (down[:, 35] + down[:, 17]) / 2, atol=1e-9)
    np.testing.assert_allclose(canonical.data.scale, np.linalg.norm(down[:, 15] - down[:, 17], axis=1))
    low = canonical.data.keypoints2d.min(axis=1)
    np.testing.assert_allclose(canonical.data.box[:, :2], low)


@pytest.mark.parametrize("layout", ["canonical", "native", "nyu14", "tips5"])
def test_the_layout_is_the_target_s_alone(copy, layout):
    bunch, canonical = load_nyu(copy[0], "test", layout=layout), load_nyu(copy[0], "test")
    assert bunch.target.shape[1] == bunch.visible.shape[1] == len(bunch.joint_names)
    assert bunch.data.columns == canonical.data.columns
    for name in ("keypoints2d", "visible", "box", "root", "scale"):
        np.testing.assert_array_equal(getattr(bunch.data, name), getattr(canonical.data, name))


def test_the_root_may_be_the_centre_of_lsps_cube(copy):
    data_dir, labels = copy
    down = labels["test"][0] * [1, -1, 1]
    bunch = load_nyu(data_dir, "test", root_joint="PALM_3", layout="nyu14")
    np.testing.assert_allclose(bunch.data.root, down[:, 32], atol=1e-9)
    np.testing.assert_allclose(bunch.target[:, 13], bunch.data.root)  # the estimator's root=13
    meeting_icvl = load_nyu(data_dir, "test", root_joint="PALM_5", layout="icvl16")
    np.testing.assert_allclose(meeting_icvl.data.root, down[:, 34], atol=1e-9)
    np.testing.assert_allclose(meeting_icvl.target[:, 0], meeting_icvl.data.root)  # the estimator's root=0
    crop = load_nyu(data_dir, "test", root_joint="PALM_3", crop=DepthCropper(centre="root", size=32)).data
    u, v = (crop.camera[0] @ down[0, 32] / down[0, 32, 2])[:2]
    assert u == pytest.approx(15.5) and v == pytest.approx(15.5)


def test_depth_and_colour_lie_under_the_joint(copy):
    data_dir, labels = copy
    bunch = load_nyu(data_dir, "train", view=2)
    for row, (depth, rgb) in enumerate(zip(bunch.data.depth[:], bunch.data.rgb[:], strict=True)):
        u, v = np.rint(bunch.data.keypoints2d[row, 4]).astype(int)
        assert depth[v, u] == round(labels["train"][1, row, MARKED, 2]) and (depth > 0).sum() == 25
        assert rgb[v, u].tolist() == [0, 200, 20]
    assert bunch.data.depth.shape == (N_TRAIN, 480, 640) and set(bunch.data.domain) == {"real"}
    synthetic = load_nyu(data_dir, "train", view=2, synthetic=True).data
    assert synthetic.rgb is None and set(synthetic.domain) == {"synthetic"}
    assert synthetic.depth[0].max() == bunch.data.depth[0].max() - 1


def test_subjects_of_the_test_split(tmp_path):
    xyz = some_labels(2442, 3)
    (tmp_path / "test").mkdir()
    savemat(tmp_path / "test/joint_data.mat", {"joint_xyz": xyz, "joint_uvd": published_uvd(xyz)})
    blank = tmp_path / "test" / "depth_1_0000001.png"
    Image.new("RGB", (640, 480)).save(blank)
    for kind in ("depth", "rgb"):
        for frame in range(1, 2443):
            path = tmp_path / "test" / f"{kind}_1_{frame:07d}.png"
            if path != blank:
                os.link(blank, path)
    bunch = load_nyu(tmp_path, "test")
    assert np.flatnonzero(bunch.groups == 2).tolist() == [2440, 2441] and set(bunch.groups[:2440]) == {1}
    assert bunch.data.side[0] == "right"


@pytest.mark.parametrize("rule", ["flag", "keep", "drop"])
def test_labels_that_disagree_or_lie_behind_the_camera(tmp_path, rule):
    xyz = some_labels(3, 4)
    uvd = published_uvd(xyz)
    uvd[0, 1, MARKED, 0] += 2.5
    uvd[0, 0, MARKED, 1] += 1.5
    xyz[0, 2, 0] = (1, 2, -700)
    write_split(tmp_path, "train", xyz, uvd, views=(1,))
    bunch = load_nyu(tmp_path, "train", bad_rows=rule)
    if rule == "drop":
        assert bunch.bad.tolist() == [False] and bunch.ids.tolist() == ["1_0000001"]
        return
    assert bunch.bad.tolist() == [False, True, True]
    lost = np.isnan(bunch.target).all(axis=2)
    expected = np.zeros((3, 21), bool)
    expected[1, 4] = expected[2, 20] = rule == "flag"
    np.testing.assert_array_equal(lost, expected)
    np.testing.assert_array_equal(bunch.visible, ~expected)


def test_real_poses_come_back(tmp_path, real_data):
    with np.load(real_data / "poses" / "nyu36_poses.npz") as file:
        uvd = file["uvd"][::500].astype(float)
    u, v, d = np.moveaxis(uvd, -1, 0)
    up = np.stack([(u - 320) * d / 588.03, (240 - v) * d / 587.07, d], axis=-1)
    write_split(tmp_path, "test", np.tile(up, (3, 1, 1, 1)), np.tile(uvd, (3, 1, 1, 1)), views=(1,))
    bunch = load_nyu(tmp_path, "test", layout="native")
    np.testing.assert_allclose(bunch.data.keypoints2d, uvd[:, CANONICAL, :2], atol=1e-6)
    np.testing.assert_allclose(bunch.target[..., 2], d, atol=1e-6)
    hand = load_nyu(tmp_path, "test").target
    palm_normal = np.cross(hand[:, 5] - hand[:, 0], hand[:, 17] - hand[:, 0])
    bend = np.cross(hand[:, 10] - hand[:, 9], hand[:, 12] - hand[:, 10])
    across = ((hand[:, 17] - hand[:, 5]) * bend).sum(axis=1)
    assert (across < 0).mean() > 0.9 and (palm_normal != 0).any()  # fingers of a right hand bend this way


def test_cache_and_return_X_y(tmp_path, copy):
    data_dir, _ = copy
    X, y = load_nyu(data_dir, "test", cache=tmp_path, return_X_y=True)
    again, y_again = load_nyu(data_dir, "test", cache=tmp_path, return_X_y=True)
    assert len(os.listdir(tmp_path)) == 1 and isinstance(again.depth, np.memmap)
    np.testing.assert_array_equal(y, y_again)
    np.testing.assert_array_equal(X.depth[:], load_nyu(data_dir, "test").data.depth[:])
    for options in ({"view": 2}, {"synthetic": True}, {"focal": 588.036865}, {"layout": "nyu14"}):
        load_nyu(data_dir, "test", cache=tmp_path, **options)
    load_nyu(data_dir, "test", cache=tmp_path, root_joint="PALM_3")
    assert len(os.listdir(tmp_path)) == 6
    os.utime(data_dir / "test" / "joint_data.mat", ns=(1, 1))
    load_nyu(data_dir, "test", cache=tmp_path)
    assert len(os.listdir(tmp_path)) == 7


def test_verify_counts_and_names_what_is_missing(tmp_path, capsys):
    write_split(tmp_path, "test", some_labels(2, 5))
    (tmp_path / "test" / "synthdepth_3_0000002.png").unlink()
    (tmp_path / "test" / "rgb_3_0000002.png").unlink()
    report = verify(tmp_path)
    parts = {part.name: part for part in report.parts}
    assert report.dataset == "nyu" and parts["test view 1"].n_found == 2
    assert parts["test view 3"].n_found == 1 and parts["test view 3"].n_published == 8252
    assert parts["test view 3"].missing == ["test/rgb_3_0000002.png", "test/synthdepth_3_0000002.png"]
    assert parts["train view 1"].missing == ["train/joint_data.mat"]
    assert parts["train view 1"].n_published == 72757
    assert "test/rgb_3_0000002.png" in capsys.readouterr().out


def test_damaged_and_missing_files(tmp_path):
    xyz = some_labels(2, 6)
    write_split(tmp_path, "train", xyz, views=(1,))
    with pytest.raises(DataFileError, match="first .*depth_2_0000001.png"):
        load_nyu(tmp_path, "train", view=2)
    with pytest.raises(DataFileError, match="test.joint_data.mat.*skhand.datasets.verify"):
        load_nyu(tmp_path, "test")
    picture = tmp_path / "train" / "depth_1_0000002.png"
    picture.write_bytes(picture.read_bytes()[:-30])
    with pytest.raises(InputError, match="depth_1_0000002.png"):
        load_nyu(tmp_path, "train").data.depth[1]
    Image.new("I;16", (640, 480)).save(picture)
    with pytest.raises(InputError, match="depth_1_0000002.png: expected depth"):
        load_nyu(tmp_path, "train").data.depth[1]
    labels = tmp_path / "train" / "joint_data.mat"
    savemat(labels, {"joint_xyz": xyz * [1, -1, 1], "joint_uvd": published_uvd(xyz)})
    with pytest.raises(DataFileError, match="train.joint_data.mat: expected joint_xyz that project onto"):
        load_nyu(tmp_path, "train")
    savemat(labels, {"joint_xyz": xyz[..., :30, :], "joint_uvd": published_uvd(xyz)})
    with pytest.raises(DataFileError, match=r"expected joint_xyz of shape .*, got \(3, 2, 30, 3\)"):
        load_nyu(tmp_path, "train")
    savemat(labels, {"joint_xyz": xyz})
    with pytest.raises(DataFileError, match="expected joint_uvd of shape"):
        load_nyu(tmp_path, "train")
    labels.write_bytes(labels.read_bytes()[:300])
    with pytest.raises(DataFileError, match="train.joint_data.mat"):
        load_nyu(tmp_path, "train")


@pytest.mark.parametrize(
    "wrong",
    [
        {"split": "val"},
        {"view": 0},
        {"synthetic": "yes"},
        {"focal": 600.0},
        {"layout": "nyu"},
        {"bad_rows": True},
    ],
)
def test_wrong_options(copy, wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))}: expected one of"):
        load_nyu(copy[0], **wrong)
