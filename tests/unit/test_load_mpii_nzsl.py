"""load_mpii_nzsl on small copies in the publisher's layout: squares, joints, parts, cache and errors."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from skhand.datasets import load_mpii_nzsl, verify
from skhand.estimators import CrossModalVAERegressor
from skhand.exceptions import DataFileError, InputError
from skhand.geometry import apply_affine
from skhand.metrics import pckh
from skhand.preprocessing import HandCropper

# this file's own facts of the format: nothing here comes from the loader
PHOTOGRAPHS = {  # stem -> (width, height), centre, head length, left
    "000015774_01_l": ((400, 300), (200.0, 150.0), 100.0, 1),
    "000015774_01_r": ((400, 300), (90.0, 120.0), 100.0, 0),
    "Alexander_mouse_cat.flv_000115_r": ((220, 340), (60.0, 200.0), 60.0, 0),
}


def some_points(center, head, seed):
    """Draw 21 joints within the 0.7 head lengths about the centre, as integers."""
    rng = np.random.default_rng(seed)
    half = 0.7 * head / 2 - 4
    return np.rint(np.asarray(center) + rng.uniform(-half, half, (21, 2)))


def save_picture(path, size, points):
    """Save a gradient (red = u / 2, green = v / 2) with a blue 7 x 7 square about each point."""
    v, u = np.mgrid[: size[1], : size[0]]
    pixels = np.stack([u / 2, v / 2, np.zeros_like(u)], axis=-1).astype(np.uint8)
    for x, y in np.asarray(points, dtype=int):
        pixels[y - 3 : y + 4, x - 3 : x + 4] = (0, 0, 255)
    Image.fromarray(pixels).save(path, quality=98, subsampling=0)


def entry_of(points, visible, center, head, left):
    corner = head / 0.6 / np.sqrt(2)  # a square head box whose diagonal x 0.6 is the head length
    return {
        "hand_pts": [[float(u), float(v), float(one)] for (u, v), one in zip(points, visible, strict=True)],
        "hand_box_center": list(center),
        "head_box": [[5.0, 7.0], [5.0 + corner, 7.0 + corner]],
        "is_left": left,
        "mpii_body_pts": [[0, 0, 0]] * 16,
    }


def write_manual(tmp_path):
    """Write hand_labels with three hands for training and one for testing."""
    for folder, stems in (("manual_train", list(PHOTOGRAPHS)), ("manual_test", ["000648952_02_l"])):
        place = tmp_path / "hand_labels" / folder
        place.mkdir(parents=True)
        for seed, stem in enumerate(stems):
            size, center, head, left = PHOTOGRAPHS.get(stem, ((300, 300), (150.0, 150.0), 120.0, 1))
            points = some_points(center, head, seed)
            visible = np.ones(21)
            if seed == 1:
                visible[[3, 20]] = 0
            entry = entry_of(points, visible, center, head, left)
            (place / f"{stem}.json").write_text(json.dumps(entry))
            save_picture(place / f"{stem}.jpg", size, points)
    return tmp_path


@pytest.fixture
def manual(tmp_path):
    return write_manual(tmp_path)


def published(data_dir, stem, folder="hand_labels/manual_train"):
    return np.array(json.loads((data_dir / folder / f"{stem}.json").read_text())["hand_pts"])


def test_joints_lie_on_their_markers_in_the_crop(manual):
    bunch = load_mpii_nzsl(manual, crop_size=128)
    assert bunch.data.rgb.shape == (3, 128, 128, 3)
    assert bunch.data.rgb.dtype == np.uint8
    for row in range(3):
        picture = np.asarray(bunch.data.rgb[row])
        for u, v in bunch.data.keypoints2d[row][bunch.visible[row]]:
            assert picture[round(v), round(u), 2] > 150
            assert picture[round(v), round(u), 0] < 90


def test_square_is_0_7_head_lengths_about_the_centre(manual):
    bunch = load_mpii_nzsl(manual, crop_size=200)
    for row, (_, center, head, _) in enumerate(PHOTOGRAPHS.values()):
        scale = 200 / (0.7 * head)
        middle = bunch.data.affine[row] @ [*center, 1]
        np.testing.assert_allclose(middle[:2], 99.5)
        np.testing.assert_allclose(np.diag(bunch.data.affine[row]), [scale, scale, 1])
        np.testing.assert_allclose(bunch.head_size[row], head)  # px of the photograph
    np.testing.assert_allclose(bunch.data.box, [[-0.5, -0.5, 200, 200]] * 3)
    wide = load_mpii_nzsl(manual, crop_size=200, margin=2.0)
    np.testing.assert_allclose(wide.data.box, [[49.5, 49.5, 100, 100]] * 3)
    np.testing.assert_allclose(wide.head_size, bunch.head_size)


@pytest.mark.parametrize("margin", [0.4, 1.0, 3.0])
def test_pictures_agree_with_affine_to_a_tenth_of_a_pixel(manual, margin):
    for path in (manual / "hand_labels" / "manual_train").glob("*.jpg"):
        with Image.open(path) as picture:
            size = picture.size
        save_picture(path, size, [])
    bunch = load_mpii_nzsl(manual, crop_size=64, margin=margin)
    v, u = np.mgrid[:64, :64]
    pixels = np.stack([u, v, np.ones_like(u)], axis=-1).reshape(-1, 3)
    for row, (size, *_) in enumerate(PHOTOGRAPHS.values()):
        at = (pixels @ np.linalg.inv(bunch.data.affine[row]).T)[:, :2]
        inside = ((at > 8) & (at < np.array(size) - 9)).all(axis=1)
        got = np.asarray(bunch.data.rgb[row]).reshape(-1, 3)[inside, :2].astype(float)
        # the gradient is cut to whole levels, which is 0.25 on average
        np.testing.assert_allclose((got - (at[inside] / 2 - 0.25)).mean(axis=0), 0, atol=0.1)


def test_outside_of_the_photograph_is_black(manual):
    bunch = load_mpii_nzsl(manual, crop_size=64, margin=4.0)
    place = np.linalg.inv(bunch.data.affine[2]) @ [2, 32, 1]
    assert place[0] < 0
    assert not np.asarray(bunch.data.rgb[2])[:, 2].any()


def test_sides_groups_ids_and_empty_target(manual):
    bunch = load_mpii_nzsl(manual)
    assert bunch.ids.tolist() == list(PHOTOGRAPHS)
    assert bunch.data.side.tolist() == ["left", "right", "right"]
    assert bunch.groups.tolist() == ["000015774", "000015774", "Alexander_mouse_cat.flv"]
    assert bunch.target.shape == (3, 21, 3)
    assert np.isnan(bunch.target).all()
    assert set(bunch.data.domain) == {"real"}
    assert bunch.joint_names[4] == "thumb_tip"
    data, target = load_mpii_nzsl(manual, "test", return_X_y=True)
    assert len(data) == len(target) == 1


def test_joints_without_annotation(manual):
    raw = published(manual, "000015774_01_r")[:, :2]
    flagged, kept = (load_mpii_nzsl(manual, bad_rows=how) for how in ("flag", "keep"))
    assert flagged.bad.tolist() == kept.bad.tolist() == [False, True, False]
    assert np.flatnonzero(~flagged.visible[1]).tolist() == [3, 20]
    assert np.isnan(flagged.data.keypoints2d[1][[3, 20]]).all()
    assert np.isfinite(np.delete(flagged.data.keypoints2d[1], [3, 20], axis=0)).all()
    back = np.hstack([kept.data.keypoints2d[1], np.ones((21, 1))]) @ np.linalg.inv(kept.data.affine[1]).T
    np.testing.assert_allclose(back[:, :2], raw, atol=1e-9)
    assert not kept.visible[1][[3, 20]].any()
    dropped = load_mpii_nzsl(manual, bad_rows="drop")
    assert dropped.ids.tolist() == [list(PHOTOGRAPHS)[i] for i in (0, 2)]
    assert len(dropped.head_size) == len(dropped.data.rgb) == 2


def test_head_size_of_the_file_goes_before_its_box(manual):
    path = manual / "hand_labels" / "manual_train" / "000015774_01_l.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "head_size": 200.0}))
    bunch = load_mpii_nzsl(manual, crop_size=140)
    np.testing.assert_allclose(bunch.data.affine[0][0, 0], 140 / (0.7 * 200))


def test_square_of_the_keypoints_and_hands_without_a_head(manual):
    path = manual / "hand_labels" / "manual_train" / "000015774_01_l.json"
    entry = json.loads(path.read_text())
    del entry["head_box"], entry["hand_box_center"]
    path.write_text(json.dumps(entry))
    points = np.array(entry["hand_pts"])[:, :2]
    extent = (points.max(axis=0) - points.min(axis=0)).max()
    bunch = load_mpii_nzsl(manual, crop_size=100)
    np.testing.assert_allclose(bunch.data.affine[0][0, 0], 100 / extent)
    middle = bunch.data.affine[0] @ [*(points.max(axis=0) + points.min(axis=0)) / 2, 1]
    np.testing.assert_allclose(middle[:2], 49.5)
    assert np.isnan(bunch.head_size).tolist() == [True, False, False]
    tight = load_mpii_nzsl(manual, crop_size=100, square="keypoints")
    raw = published(manual, "000015774_01_r")
    seen = raw[raw[:, 2] == 1, :2]
    np.testing.assert_allclose(tight.data.affine[1][0, 0], 100 / (seen.max(axis=0) - seen.min(axis=0)).max())
    np.testing.assert_allclose(tight.head_size[1], 100)


@pytest.mark.parametrize("rule", ["flag", "keep", "drop"])
def test_keypoints_of_the_photograph(manual, rule):
    bunch = load_mpii_nzsl(manual, bad_rows=rule, crop=HandCropper(64, source="keypoints"))
    stems = [stem for i, stem in enumerate(PHOTOGRAPHS) if rule != "drop" or i != 1]
    expected = np.stack([published(manual, stem)[:, :2] for stem in stems])
    if rule == "flag":
        expected[1, [3, 20]] = np.nan
    np.testing.assert_array_equal(bunch.keypoints2d, expected)
    np.testing.assert_allclose(bunch.data.keypoints2d, apply_affine(bunch.data.affine, expected), atol=1e-9)
    seen = bunch.data.keypoints2d[bunch.visible]
    assert (seen > -0.5).all() and (seen < 63.5).all() and np.ptp(seen) > 64 / 1.3


def test_joints_without_annotation_do_not_pull_the_crop(manual):
    path = manual / "hand_labels" / "manual_train" / "000015774_01_r.json"
    entry, crop = json.loads(path.read_text()), HandCropper(64, source="keypoints")
    expected = load_mpii_nzsl(manual, bad_rows="keep", crop=crop).data.affine
    for joint in (3, 20):
        entry["hand_pts"][joint] = [-5000.0, 0.0, 0.0]
    path.write_text(json.dumps(entry))
    kept = load_mpii_nzsl(manual, bad_rows="keep", crop=crop)
    np.testing.assert_allclose(kept.data.affine, expected)
    np.testing.assert_array_equal(kept.keypoints2d[1, 3], [-5000, 0])


@pytest.mark.parametrize("layout", ["tips5", "rhd"])
def test_the_layout_is_the_target_s_alone(manual, layout):
    bunch, canonical = load_mpii_nzsl(manual, layout=layout), load_mpii_nzsl(manual)
    assert bunch.target.shape == (3, len(bunch.joint_names), 3)
    assert bunch.visible.shape == (3, len(bunch.joint_names)) and bunch.visible[0].all()
    np.testing.assert_array_equal(bunch.keypoints2d, canonical.keypoints2d)
    np.testing.assert_array_equal(bunch.data.keypoints2d, canonical.data.keypoints2d)
    np.testing.assert_array_equal(bunch.data.visible, canonical.visible)


def test_an_estimator_answers_in_the_photograph(manual):
    test = load_mpii_nzsl(manual, crop_size=32, margin=2.2)
    est = CrossModalVAERegressor(
        backbone="small", pairs=[("rgb", "keypoints2d")], max_epochs=1, batch_size=3, random_state=0
    )
    X = test.data.replace(rgb=test.data.rgb[:])
    predicted = est.fit(X).predict(X, target="keypoints2d")
    center = np.array([center for _, center, _, _ in PHOTOGRAPHS.values()])
    assert (np.abs(predicted.mean(axis=1) - center) < 100).all()
    assert np.isfinite(pckh(test.keypoints2d, predicted, test.head_size, threshold=[0.1, 0.3])).all()


def test_pckh_of_a_prediction_in_the_photograph(manual):
    test = load_mpii_nzsl(manual, crop=HandCropper(64))
    in_crop = test.data.keypoints2d
    predicted = np.nan_to_num(apply_affine(np.linalg.inv(test.data.affine), in_crop))  # as predict answers
    predicted += np.array([0.3, 0.4]) * test.head_size[:, None, None]  # half a head
    assert pckh(test.keypoints2d, predicted, test.head_size, threshold=[0.49, 0.51]).tolist() == [0, 1]


@pytest.fixture
def synthetic(tmp_path):
    for name, stem in (("synth1", "0001"), ("synth2", "00000005"), ("synth4", "00000005")):
        place = tmp_path / "hand_labels_synth" / name
        place.mkdir(parents=True)
        points = some_points((184, 184), 300, 3)
        entry = {"hand_pts": [[*point, 1] for point in points.tolist()], "is_left": 0}
        (place / f"{stem}.json").write_text(json.dumps(entry))
        save_picture(place / f"{stem}.jpg", (368, 368), points)
    return tmp_path


def test_synthetic_part(synthetic):
    bunch = load_mpii_nzsl(synthetic, part="synthetic", sets=["synth4", "synth1"])
    assert bunch.ids.tolist() == bunch.groups.tolist() == ["synth1/0001", "synth4/00000005"]
    assert bunch.bad.tolist() == [True, False]
    assert np.flatnonzero(np.isnan(bunch.data.keypoints2d[0]).any(axis=1)).tolist() == [4, 8, 12, 16, 20]
    assert set(bunch.data.domain) == {"synthetic"}
    assert np.isnan(bunch.head_size).all()
    points = bunch.data.keypoints2d[1]
    extent = (points.max(axis=0) - points.min(axis=0)).max()
    np.testing.assert_allclose(extent, 256 / 2.2)
    np.testing.assert_allclose(bunch.data.box[1, 2:], 256 / 2.2)
    with pytest.raises(InputError, match="sets"):
        load_mpii_nzsl(synthetic, part="synthetic", sets=["synth5"])
    with pytest.raises(DataFileError, match="synth3"):
        load_mpii_nzsl(synthetic, part="synthetic")


def write_multiview(tmp_path):
    place = tmp_path / "hand143_panopticdb"
    (place / "imgs").mkdir(parents=True)
    entries = []
    for number in range(3):
        points = some_points((900 - 300 * number, 500), 200, number)
        Image.new("RGB", (1920, 1080), (7, 7, 7)).save(place / "imgs" / f"{number:08d}.jpg")
        marks = [[*point, float(i != 2 * number)] for i, point in enumerate(points.tolist())]
        entries.append({"dataset": "hand143", "img_paths": f"imgs/{number:08d}.jpg", "joint_self": marks})
    (place / "hands_v143_14817.json").write_text(json.dumps({"root": entries}))
    return tmp_path


@pytest.fixture
def multiview(tmp_path):
    return write_multiview(tmp_path)


def test_multiview_part(multiview):
    bunch = load_mpii_nzsl(multiview, part="multiview", bad_rows="keep", crop_size=32)
    assert bunch.ids.tolist() == ["00000000", "00000001", "00000002"]
    assert set(bunch.data.side) == {"right"}
    assert [np.flatnonzero(~row).tolist() for row in bunch.visible] == [[0], [2], [4]]
    entries = json.loads((multiview / "hand143_panopticdb" / "hands_v143_14817.json").read_text())["root"]
    for row, entry in enumerate(entries):
        raw = np.array(entry["joint_self"])
        wanted = np.c_[raw[:, :2], np.ones(21)] @ bunch.data.affine[row].T
        np.testing.assert_allclose(bunch.data.keypoints2d[row], wanted[:, :2])
        seen = wanted[raw[:, 2] == 1, :2]
        np.testing.assert_allclose((seen.max(axis=0) - seen.min(axis=0)).max(), 32 / 2.2)
    again = load_mpii_nzsl(multiview / "hand143_panopticdb", part="multiview", crop_size=32)
    assert len(again.data) == 3


def test_multiview_file_of_another_form(multiview):
    path = multiview / "hand143_panopticdb" / "hands_v143_14817.json"
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    with pytest.raises(DataFileError, match=r"hands_v143_14817\.json.*item"):
        load_mpii_nzsl(multiview, part="multiview")
    path.write_text(json.dumps({"root": [{"joint_self": [[1, 2, 1]] * 20}]}))
    with pytest.raises(DataFileError, match=r"item 0: expected joint_self of shape \(21, 3\)"):
        load_mpii_nzsl(multiview, part="multiview")


def test_pictures_are_read_late_and_pickled_unread(manual):
    bunch = load_mpii_nzsl(manual)
    clone = pickle.loads(pickle.dumps(bunch.data[[2, 0]]))
    np.testing.assert_array_equal(clone.rgb[0], np.asarray(bunch.data.rgb[2]))
    path = manual / "hand_labels" / "manual_train" / "000015774_01_r.jpg"
    path.write_bytes(path.read_bytes()[:900])
    np.asarray(bunch.data.rgb[0])
    with pytest.raises(InputError, match=r"000015774_01_r\.jpg"):
        bunch.data.rgb[1]


def test_cache(manual, tmp_path):
    first = load_mpii_nzsl(manual, cache=tmp_path / "cache", crop_size=32)
    second = load_mpii_nzsl(manual, cache=tmp_path / "cache", crop_size=32)
    direct = load_mpii_nzsl(manual, crop_size=32)
    for bunch in (first, second):
        np.testing.assert_array_equal(np.asarray(bunch.data.rgb), direct.data.rgb[:])
        np.testing.assert_array_equal(bunch.data.keypoints2d, direct.data.keypoints2d)
        np.testing.assert_array_equal(bunch.head_size, direct.head_size)
    path = manual / "hand_labels" / "manual_train" / "000015774_01_l.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "is_left": 0}))
    changed = load_mpii_nzsl(manual, cache=tmp_path / "cache", crop_size=32)
    assert changed.data.side[0] == "right"
    load_mpii_nzsl(manual, cache=tmp_path / "cache", crop_size=32, margin=2)
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_cache_of_many_label_files(manual, tmp_path):
    place = manual / "hand_labels" / "manual_test"
    for end in (".json", ".jpg"):
        content = (place / f"000648952_02_l{end}").read_bytes()
        for number in range(20):
            (place / f"{number:09d}_01_l{end}").write_bytes(content)
    load_mpii_nzsl(manual, "test", cache=tmp_path / "cache", crop_size=8)
    path = place / "000000013_01_l.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "is_left": 0}))
    changed = load_mpii_nzsl(manual, "test", cache=tmp_path / "cache", crop_size=8)
    assert np.flatnonzero(changed.data.side == "right").tolist() == [13]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hand_pts": [[1.0, 2.0, 1.0]] * 20}, r"_l\.json: expected hand_pts of shape \(21, 3\)"),
        ({"hand_pts": None}, r"_l\.json: expected hand_pts"),
        ({"is_left": None}, r"_l\.json: expected a hand with is_left"),
        ({"hand_box_center": [1.0]}, r"_l\.json: expected hand_box_center"),
        ({"head_size": "big"}, r"_l\.json: expected head_size"),
    ],
)
def test_wrong_label(manual, change, message):
    path = manual / "hand_labels" / "manual_train" / "000015774_01_l.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataFileError, match=message):
        load_mpii_nzsl(manual)


def test_missing_files(manual):
    place = manual / "hand_labels" / "manual_train"
    (place / "000015774_01_r.jpg").unlink()
    with pytest.raises(DataFileError, match=r"1 of them are missing.*000015774_01_r\.jpg"):
        load_mpii_nzsl(manual)
    (place / "000015774_01_l.json").unlink()
    with pytest.raises(DataFileError, match=r"000015774_01_l\.json, which is not there; see skhand"):
        load_mpii_nzsl(manual)
    (manual / "hand_labels" / "manual_test" / "000648952_02_l.json").write_text('{"hand_pts": [[1')
    with pytest.raises(DataFileError, match=r"000648952_02_l\.json: expected a readable JSON"):
        load_mpii_nzsl(manual, "test")


@pytest.mark.parametrize(
    "wrong",
    [
        {"split": "val"}, {"part": "real"}, {"square": "hand"}, {"margin": 0}, {"crop_size": 0},
        {"part": "multiview", "split": "test"}, {"bad_rows": "hide"}, {"layout": "own"}, {"layout": "icvl16"},
    ],
)  # fmt: skip
def test_wrong_options(manual, wrong):
    with pytest.raises(InputError):
        load_mpii_nzsl(manual, **wrong)


def test_verify(manual, synthetic, multiview, capsys):
    report = verify(manual / "hand_labels")
    assert report.dataset == "mpii_nzsl"
    assert [(part.name, part.n_found, part.n_published) for part in report.parts] == [
        ("manual_train", 3, 1912),
        ("manual_test", 1, 846),
    ]
    (manual / "hand_labels" / "manual_train" / "000015774_01_r.json").unlink()
    (multiview / "hand143_panopticdb" / "imgs" / "00000001.jpg").unlink()
    report = verify(manual)
    assert report.missing == [
        "hand_labels/manual_train/000015774_01_r.json",
        "hand143_panopticdb/imgs/00000001.jpg",
    ]
    found = {part.name: part.n_found for part in report.parts}
    assert found == {
        "manual_train": 2, "manual_test": 1, "synth1": 1, "synth2": 1, "synth4": 1, "multiview": 2
    }  # fmt: skip
    assert "published 14817" in capsys.readouterr().out
