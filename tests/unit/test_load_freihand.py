"""load_freihand on a small copy in the publisher's layout: photographs, versions, masks and errors."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import GroupKFold

from skhand.datasets import load_freihand, verify
from skhand.exceptions import DataFileError, InputError

N_TRAIN, N_TEST = 3, 2


def hands(n, seed):
    """Return poses, metres."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.05, 0.05, (n, 21, 3)) + (0, 0, 0.6)


def cameras(n):
    return [[[400 + 10 * i, 0, 112], [0, 405 + 10 * i, 111], [0, 0, 1]] for i in range(n)]


def pixel(point, camera):
    (fx, _, cx), (_, fy, cy), _ = camera
    return fx * point[0] / point[2] + cx, fy * point[1] / point[2] + cy


def write_split(data_dir, name, joints, intrinsics):
    scale = [[float(np.linalg.norm(hand[10] - hand[9]))] for hand in joints]
    for key, values in {"xyz": joints.tolist(), "K": intrinsics, "scale": scale}.items():
        (data_dir / f"{name}_{key}.json").write_text(json.dumps(values))


def write_picture(path, joints, camera, shade):
    """Save a gray picture whose middle finger tip carries a red square."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (224, 224), (shade, shade, shade))
    u, v = pixel(joints[12], camera)
    picture.paste((255, 0, 0), (round(u) - 8, round(v) - 8, round(u) + 9, round(v) + 9))
    picture.save(path, quality=95)


def write_mask(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.new("L", (224, 224))
    mask.paste(255, (16 * number, 32, 16 * number + 64, 96))
    mask.save(path, quality=90)


def write_copy(data_dir, joints=None):
    joints = hands(N_TRAIN, 0) if joints is None else joints
    intrinsics = cameras(len(joints))
    write_split(data_dir, "training", joints, intrinsics)
    for number in range(4 * len(joints)):
        photograph, version = number % len(joints), number // len(joints)
        path = data_dir / "training" / "rgb" / f"{number:08d}.jpg"
        write_picture(path, joints[photograph], intrinsics[photograph], 40 + 50 * version)
    for number in range(len(joints)):
        write_mask(data_dir / "training" / "mask" / f"{number:08d}.jpg", number)
    held_out = hands(N_TEST, 1)
    write_split(data_dir, "evaluation", held_out, cameras(N_TEST))
    for number in range(N_TEST):
        path = data_dir / "evaluation" / "rgb" / f"{number:08d}.jpg"
        write_picture(path, held_out[number], cameras(N_TEST)[number], 10)
    return data_dir


@pytest.fixture
def copy(tmp_path):
    return write_copy(tmp_path)


def test_four_versions_share_labels_and_masks(copy):
    frei = load_freihand(copy)
    joints = hands(N_TRAIN, 0) * 1000
    assert len(frei.data) == 12 and frei.groups.tolist() == [0, 1, 2] * 4
    assert frei.ids[[0, 11]].tolist() == ["00000000", "00000011"]
    np.testing.assert_allclose(frei.target, np.concatenate([joints] * 4))
    for row in range(12):
        expected = [pixel(point, cameras(3)[row % 3]) for point in joints[row % 3]]
        np.testing.assert_allclose(frei.data.keypoints2d[row], expected)
        u, v = frei.data.keypoints2d[row, 12].round().astype(int)
        red, green, blue = frei.data.rgb[row][v, u].astype(int)
        assert red > 200 and green < 60 and blue < 60
        shade = 40 + 50 * (row // 3)
        assert abs(frei.data.rgb[row][223, 0].astype(int) - shade).max() < 6
        mask = np.zeros((224, 224), bool)
        mask[32:96, 16 * (row % 3) : 16 * (row % 3) + 64] = True
        assert (frei.data.mask[row] != mask).mean() < 0.001 and frei.data.mask.dtype == bool
    np.testing.assert_allclose(frei.data.scale[:3], np.linalg.norm(joints[:, 10] - joints[:, 9], axis=1))
    assert set(frei.data.side) == {"right"} and frei.visible.all() and not frei.bad.any()


def test_groups_keep_the_copies_of_a_photograph_together(copy):
    frei = load_freihand(copy)
    for train, test in GroupKFold(3).split(frei.data, frei.target, frei.groups):
        assert not set(frei.ids[test].astype(int) % 3) & set(frei.ids[train].astype(int) % 3)


@pytest.mark.parametrize("versions", [[0], (1, 3), np.array([2])])
def test_some_versions(copy, versions):
    frei = load_freihand(copy, versions=versions)
    assert frei.ids.astype(int).tolist() == [3 * version + i for version in versions for i in range(3)]
    assert abs(int(frei.data.rgb[0][223, 0, 0]) - (40 + 50 * versions[0])) < 6
    assert frei.data.mask[0].any()


def test_evaluation_with_and_without_joints(copy):
    frei = load_freihand(copy, "test")
    np.testing.assert_allclose(frei.target, hands(N_TEST, 1) * 1000)
    assert frei.data.mask is None and len(frei.data) == N_TEST
    scale = frei.data.scale
    (copy / "evaluation_xyz.json").unlink()
    with pytest.warns(UserWarning, match="evaluation_xyz.json is not there"):
        held_back = load_freihand(copy, "test")
    assert np.isnan(held_back.target).all() and not held_back.visible.any()
    np.testing.assert_allclose(held_back.data.scale, scale)
    np.testing.assert_array_equal(held_back.data.camera, frei.data.camera)


def test_native_layout_bad_rows_and_arrays(copy):
    X, y = load_freihand(copy, layout="native", bad_rows="drop", return_X_y=True)
    assert len(X) == 12 and y.shape == (12, 21, 3)
    rhd = load_freihand(copy, layout="rhd").target
    np.testing.assert_array_equal(rhd[:, 1:5], y[:, 4:0:-1])


def test_cache_follows_the_options_and_the_labels(copy, tmp_path):
    first = load_freihand(copy, versions=[1], cache=tmp_path / "cache")
    again = load_freihand(copy, versions=[1], cache=tmp_path / "cache")
    for name in ("rgb", "mask", "keypoints2d", "camera"):
        np.testing.assert_array_equal(getattr(first.data, name)[:], getattr(again.data, name)[:])
    assert isinstance(again.data.rgb, np.memmap)
    load_freihand(copy, versions=[2], cache=tmp_path / "cache")
    write_split(copy, "training", hands(N_TRAIN, 5).round(4), cameras(N_TRAIN))
    new = load_freihand(copy, versions=[1], cache=tmp_path / "cache")
    np.testing.assert_allclose(new.target, hands(N_TRAIN, 5).round(4) * 1000)
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_verify_names_what_is_missing(copy, capsys):
    report = verify(copy)
    assert report.dataset == "freihand"
    assert [(part.n_found, part.n_published) for part in report.parts] == [(12, 130240), (2, 3960)]
    (copy / "training" / "rgb" / "00000007.jpg").unlink()
    (copy / "training" / "mask" / "00000001.jpg").unlink()
    (copy / "evaluation_xyz.json").unlink()
    report = verify(copy)
    assert report.missing == [
        "training/rgb/00000007.jpg",
        "training/mask/00000001.jpg",
        "evaluation_xyz.json",
    ]
    assert report.parts[0].n_found == 11 and "mask/00000001.jpg" in capsys.readouterr().out


def test_damaged_files_are_named(copy):
    picture = copy / "training" / "rgb" / "00000004.jpg"
    frei = load_freihand(copy)
    picture.write_bytes(picture.read_bytes()[:900])
    with pytest.raises(InputError, match="00000004.jpg"):
        frei.data.rgb[4]
    picture.unlink()
    with pytest.raises(DataFileError, match="00000004.jpg"):
        load_freihand(copy)
    assert len(load_freihand(copy, versions=[0]).data) == 3
    labels = copy / "training_xyz.json"
    good = labels.read_text()
    labels.write_text(good[: len(good) // 2])
    with pytest.raises(DataFileError, match="training_xyz.json.* item 1"):
        load_freihand(copy, versions=[0])
    items = json.loads(good)
    labels.write_text(json.dumps([items[0], items[1][:20], items[2]]))
    with pytest.raises(DataFileError, match=r"training_xyz.json.*\(20, 3\) in item 1"):
        load_freihand(copy, versions=[0])
    labels.write_text(json.dumps([items[0], items[1], "no"]))
    with pytest.raises(DataFileError, match="training_xyz.json.*item 2"):
        load_freihand(copy, versions=[0])
    labels.write_text(json.dumps(items[:2]))
    with pytest.raises(DataFileError, match="one length.*training_K.json"):
        load_freihand(copy, versions=[0])
    labels.unlink()
    with pytest.raises(DataFileError, match="training_xyz.json.*verify"):
        load_freihand(copy)


@pytest.mark.parametrize(
    "options", [{"split": "val"}, {"versions": [4]}, {"versions": 0}, {"versions": [0, 0]}, {"layout": "x"}]
)
def test_unknown_options_are_refused(copy, options):
    with pytest.raises(InputError, match=next(iter(options))):
        load_freihand(copy, **options)


def test_real_photographs_keep_their_keypoints(real_data, tmp_path):
    """Eight real pictures: two photographs with four backgrounds each, whose published 2D joints agree."""
    content = json.loads((real_data / "samples" / "freihand" / "test_freihand.json").read_text())
    keypoints = {a["image_id"]: np.reshape(a["keypoints"], (21, 3))[:, :2] for a in content["annotations"]}
    photographs = sorted({number % 32560 for number in keypoints})
    camera = [[480.0, 0, 112], [0, 480.0, 112], [0, 0, 1]]
    uv = np.array([keypoints[number] for number in photographs])
    depth = 0.7 + np.linspace(0, 0.05, 21)
    rays = np.dstack([(uv - 112) / 480, np.ones(uv.shape[:2])])
    write_split(tmp_path, "training", rays * depth[:, None], [camera] * 2)
    (tmp_path / "training" / "rgb").mkdir(parents=True)
    for version in range(4):
        for i, photograph in enumerate(photographs):
            source = real_data / "samples" / "freihand" / f"{photograph + 32560 * version:08d}.jpg"
            target = tmp_path / "training" / "rgb" / f"{i + 2 * version:08d}.jpg"
            target.write_bytes(source.read_bytes())
    for i in range(2):
        write_mask(tmp_path / "training" / "mask" / f"{i:08d}.jpg", i)
    frei = load_freihand(tmp_path)
    for row in range(8):
        number = photographs[row % 2] + 32560 * (row // 2)
        np.testing.assert_allclose(frei.data.keypoints2d[row], keypoints[number], atol=1e-6)
        with Image.open(real_data / "samples" / "freihand" / f"{number:08d}.jpg") as picture:
            np.testing.assert_array_equal(frei.data.rgb[row], np.asarray(picture.convert("RGB")))


def test_real_poses_come_back(real_data, tmp_path):
    with np.load(real_data / "real-rgb" / "annotations.npz", allow_pickle=False) as file:
        poses = file["joints_mm"][::100].astype(np.float64)
    write_copy(tmp_path, poses / 1000)
    frei = load_freihand(tmp_path, versions=[3])
    np.testing.assert_allclose(frei.target, poses, atol=1e-6)
