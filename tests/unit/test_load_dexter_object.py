"""load_dexter_object on a small copy in the publisher's layout: tips, two cameras, axes and errors."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from skhand.datasets import load_dexter_object, verify
from skhand.exceptions import DataFileError, InputError
from skhand.metrics import mean_epe

# this file's own facts of the format: nothing here comes from the loader
SEQUENCES = ["Grasp1", "Grasp2", "Occlusion", "Rigid", "Pinch", "Rotate"]
TIPS = [4, 8, 12, 16, 20]
N, OBJECT = 3, 3  # frames of a sequence, points of the object on a line
MISSING = (1, 3)  # frame and tip without a label, in each sequence
TURN = np.array([[0.9999, 0.0034, 0.0161], [-0.0033, 1.0, -0.0079], [-0.0162, 0.0079, 0.9998]])
SHIFT = np.array([19.0473, -1.8514, -4.7501])


def tips(sequence):
    """Return a sequence's tips in the depth camera's frame, y down, mm."""
    rng = np.random.default_rng(SEQUENCES.index(sequence))
    return rng.uniform(-60, 60, (N, 5, 3)).round(1) + (20, 10, 400)


def depth_pixel(point):
    return 160 + 224.502 * point[0] / point[2], 120 + 230.494 * point[1] / point[2]


def colour_pixel(point):
    x, y, z = point
    return 325 + 587.45209 * x / z, 249 + 600.67456 * y / z


def in_colour_frame(points):
    return np.array([[TURN @ point + SHIFT for point in frame] for frame in points])


def write_sequence(data_dir, sequence, poses, sign=1):
    folder = data_dir / "data" / sequence
    for kind in ("color", "depth", "annotations"):
        (folder / kind).mkdir(parents=True)
    lines = {2: [], 3: []}
    for number, frame in enumerate(poses):
        points = {2: [], 3: []}
        for finger, point in enumerate([*frame, *np.full((OBJECT, 3), 300.0)]):
            u, v = (round(value) for value in depth_pixel(point))
            x, y, z = sign * point[0], sign * point[1], point[2]
            if (number, finger) == MISSING:
                u, v, (x, y, z) = 0, 0, (0, 0, 32001)
            points[2].append(f"{u}, {v};")
            points[3].append(f"{x:.2f}, {y:.2f}, {z:.2f};")
        for dims in (2, 3):
            lines[dims].append(" ".join(points[dims]))
        colour = Image.new("RGB", (640, 480), (30, 30, 30))
        for finger, point in enumerate(in_colour_frame(frame[None])[0]):
            u, v = (round(value) for value in colour_pixel(point))
            colour.paste((0, 40 * finger + 80, 0), (u - 2, v - 2, u + 3, v + 3))
        colour.save(folder / "color" / f"image_{number:05d}_color.png")
        depth = np.full((240, 320), 32001, np.uint16)
        for point in frame:
            u, v = (round(value) for value in depth_pixel(point))
            depth[v, u] = round(point[2])
        Image.fromarray(depth).save(folder / "depth" / f"image_{number:05d}_depth.png")
    for dims in (2, 3):
        (folder / "annotations" / f"{sequence}{dims}D.txt").write_text("\n".join(lines[dims]) + "\n")


def write_copy(data_dir, sign=1):
    for sequence in SEQUENCES:
        write_sequence(data_dir, sequence, tips(sequence), sign)
    return data_dir


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_copy(tmp_path_factory.mktemp("dexter"))


@pytest.fixture
def rigid(tmp_path):
    write_sequence(tmp_path, "Rigid", tips("Rigid"))
    return tmp_path


def known(poses):
    poses = poses.copy()
    poses[MISSING] = np.nan
    return poses


def test_tips_in_the_colour_camera(original):
    dexter = load_dexter_object(original)
    assert len(dexter.data) == 18 and dexter.target.shape == (18, 21, 3)
    assert dexter.groups.tolist() == [name for name in SEQUENCES for _ in range(N)]
    assert dexter.ids[[0, 4]].tolist() == ["Grasp1/00000", "Grasp2/00001"]
    expected = np.concatenate([known(in_colour_frame(tips(sequence))) for sequence in SEQUENCES])
    np.testing.assert_allclose(dexter.target[:, TIPS], expected, atol=1e-2)
    assert np.isnan(np.delete(dexter.target, TIPS, axis=1)).all()
    np.testing.assert_array_equal(dexter.visible[:, TIPS], np.isfinite(expected[..., 0]))
    assert not np.delete(dexter.visible, TIPS, axis=1).any()
    assert dexter.data.depth is None and dexter.data.rgb.shape == (18, 480, 640, 3)
    for row, finger in [(0, 0), (5, 4), (17, 2)]:
        np.testing.assert_allclose(
            dexter.data.keypoints2d[row, TIPS[finger]], colour_pixel(expected[row, finger]), atol=0.1
        )
    u, v = dexter.data.keypoints2d[17, 20].round().astype(int)
    assert dexter.data.rgb[17][v, u].tolist() == [0, 240, 0]  # the little finger is drawn last
    assert set(dexter.data.side) == {"left"}


def test_tips_in_the_depth_camera(original):
    dexter = load_dexter_object(original, camera="depth", layout="native", sequences=["Pinch"])
    assert dexter.joint_names == ("thumb_tip", "index_tip", "middle_tip", "ring_tip", "little_tip")
    np.testing.assert_allclose(dexter.target, known(tips("Pinch")), atol=1e-2)
    published = np.array([[depth_pixel(point) for point in frame] for frame in tips("Pinch")]).round()
    published[MISSING] = np.nan
    np.testing.assert_array_equal(dexter.data.keypoints2d[:, TIPS], published)
    assert dexter.data.rgb is None and dexter.data.depth.shape == (3, 240, 320)
    u, v = published[2, 4].astype(int)
    assert dexter.data.depth[2][v, u] == round(tips("Pinch")[2, 4, 2])
    assert 1 <= (dexter.data.depth[2] > 0).sum() <= 5  # 32001 is no depth


@pytest.mark.parametrize("camera", ["colour", "depth"])
def test_labels_with_x_left_and_y_up_are_turned(original, tmp_path, camera):
    write_copy(tmp_path, sign=-1)
    expected = load_dexter_object(original, camera=camera)
    turned = load_dexter_object(tmp_path, camera=camera)
    np.testing.assert_allclose(turned.target, expected.target, atol=1e-6)
    forced = load_dexter_object(tmp_path, camera=camera, axes="left-up")
    np.testing.assert_array_equal(forced.target, turned.target)
    wrong = load_dexter_object(tmp_path, camera=camera, axes="right-down")
    assert np.nanmax(np.abs(wrong.target - expected.target)) > 50


def rewrite(data_dir, sequence, dims, change):
    """Change each number of the tips in a label file: ``change(finger, axis, value)``."""
    path = data_dir / "data" / sequence / "annotations" / f"{sequence}{dims}D.txt"
    lines = []
    for line in path.read_text().splitlines():
        points = [[float(value) for value in point.split(",")] for point in line.split(";")[:-1]]
        points = [[change(f, axis, v) for axis, v in enumerate(point)] for f, point in enumerate(points)]
        lines.append(" ".join(f"{', '.join(f'{value:.2f}' for value in point)};" for point in points))
    path.write_text("\n".join(lines))


def test_axes_of_a_sequence_do_not_depend_on_the_others(tmp_path):
    for sequence, sign in (("Grasp1", 1), ("Grasp2", -1), ("Rigid", -1)):
        write_sequence(tmp_path, sequence, tips(sequence), sign)
    together = load_dexter_object(tmp_path, sequences=["Grasp1", "Grasp2", "Rigid"])
    expected = [known(in_colour_frame(tips(sequence))) for sequence in ("Grasp1", "Grasp2", "Rigid")]
    np.testing.assert_allclose(together.target[:, TIPS], np.concatenate(expected), atol=1e-2)
    alone = load_dexter_object(tmp_path, sequences=["Grasp1"])
    np.testing.assert_array_equal(alone.target, together.target[:N])


def test_labels_that_fit_with_neither_sign_are_refused(rigid):
    rewrite(rigid, "Rigid", 3, lambda _, axis, value: -value if axis == 0 else value)
    with pytest.raises(DataFileError, match=r"Rigid3D.txt: expected 3D labels that project.*another version"):
        load_dexter_object(rigid, sequences=["Rigid"])
    load_dexter_object(rigid, sequences=["Rigid"], axes="right-down")


@pytest.mark.parametrize("nothing", [-1, 0])
def test_without_2d_labels_axes_must_be_named(rigid, nothing):
    rewrite(rigid, "Rigid", 2, lambda finger, _, value: nothing if finger < 5 else value)
    with pytest.raises(DataFileError, match="Rigid3D.txt: expected tips with 2D and 3D labels.*axes="):
        load_dexter_object(rigid, sequences=["Rigid"])
    dexter = load_dexter_object(rigid, sequences=["Rigid"], axes="right-down", camera="depth")
    np.testing.assert_allclose(dexter.target[:, TIPS], known(tips("Rigid")), atol=1e-2)


def test_boxes_hold_the_hand(original):
    dexter = load_dexter_object(original)
    left, top, width, height = dexter.data.box[0]
    points = in_colour_frame(tips("Grasp1"))[0]
    assert left == pytest.approx(min(325 + 587.45209 * (x - 100) / z for x, _, z in points), abs=0.1)
    assert top + height == pytest.approx(max(249 + 600.67456 * (y + 100) / z for _, y, z in points), abs=0.1)
    assert width > 0


def test_missing_tips_flagged_kept_dropped(original):
    flagged = load_dexter_object(original, camera="depth")
    assert np.flatnonzero(flagged.bad).tolist() == [1, 4, 7, 10, 13, 16]
    assert np.isnan(flagged.data.keypoints2d[1, 16]).all()
    kept = load_dexter_object(original, camera="depth", bad_rows="keep")
    assert np.isnan(kept.target[1, 16]).all() and not kept.visible[1, 16]
    assert np.isnan(kept.data.keypoints2d[1, 16]).all()  # written 0, 0: no label
    dropped = load_dexter_object(original, bad_rows="drop")
    assert len(dropped.data) == 12 and np.isfinite(dropped.target[:, TIPS]).all()


def test_metrics_score_the_tips_alone(original):
    dexter = load_dexter_object(original)
    predicted = np.nan_to_num(dexter.target, nan=5.0) + (3, 0, 4)
    assert mean_epe(dexter.target, predicted) == pytest.approx(5)


def test_pictures_are_paired_by_number_whatever_they_are_called(rigid):
    for number in range(N):
        old = rigid / "data" / "Rigid" / "color" / f"image_{number:05d}_color.png"
        with Image.open(old) as picture:
            picture.save(old.with_name(f"frame{number + 1}.bmp"))
        old.unlink()
    dexter = load_dexter_object(rigid, sequences=["Rigid"])
    u, v = dexter.data.keypoints2d[2, 20].round().astype(int)
    assert dexter.data.rgb[2][v, u].tolist() == [0, 240, 0]


def test_cache(rigid, tmp_path):
    options = {"sequences": ["Rigid"], "camera": "depth", "cache": tmp_path / "cache"}
    first, again = load_dexter_object(rigid, **options), load_dexter_object(rigid, **options)
    np.testing.assert_array_equal(first.data.depth[:], again.data.depth[:])
    np.testing.assert_array_equal(first.target, again.target)
    assert isinstance(again.data.depth, np.memmap)
    path = rigid / "data" / "Rigid" / "annotations" / "Rigid3D.txt"
    path.write_text(path.read_text().replace("32001.00", "401"))
    os.utime(path)
    assert np.isfinite(load_dexter_object(rigid, **options).target[MISSING[0], TIPS]).all()
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_verify_counts_and_names(original, rigid, capsys):
    report = verify(original)
    assert report.dataset == "dexter_object" and report.missing == []
    assert [(part.n_found, part.n_published) for part in report.parts] == [(18, (3014, 3145))]
    (rigid / "data" / "Rigid" / "color" / "image_00001_color.png").unlink()
    report = verify(rigid)
    assert "data/Rigid/color/image_00001_color.png" in report.missing
    assert "data/Pinch/annotations/Pinch2D.txt" in report.missing
    assert report.parts[0].n_found == 2 and "Rigid/color/image_00001" in capsys.readouterr().out


def test_damaged_files_are_named(rigid):
    options = {"sequences": ["Rigid"], "camera": "depth"}
    dexter = load_dexter_object(rigid, **options)
    picture = rigid / "data" / "Rigid" / "depth" / "image_00002_depth.png"
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="image_00002_depth.png"):
        dexter.data.depth[2]
    Image.new("RGB", (320, 240)).save(picture)
    with pytest.raises(InputError, match="image_00002_depth.png.*16 bits"):
        dexter.data.depth[2]
    picture.unlink()
    with pytest.raises(DataFileError, match="image_00002_depth.png"):
        load_dexter_object(rigid, **options)
    picture.write_bytes(whole)
    labels = rigid / "data" / "Rigid" / "annotations" / "Rigid3D.txt"
    lines = labels.read_text().splitlines()
    for damaged, words in [
        (
            [lines[0], ";".join(lines[1].split(";")[:4]), lines[2]],
            r"Rigid3D.txt:2: expected 5 or more points",
        ),
        ([*lines[:2], lines[2].rsplit(",", 1)[0]], r"Rigid3D.txt:3: expected 3 coordinates"),
        ([*lines[:2], lines[2].replace("300", "x")], r"Rigid3D.txt:3"),
        (lines[:2], r"Rigid3D.txt:2: expected 3 lines"),
    ]:
        labels.write_text("\n".join(damaged))
        with pytest.raises(DataFileError, match=words):
            load_dexter_object(rigid, **options)
    labels.write_text("\n".join(lines[:2]))
    flat = rigid / "data" / "Rigid" / "annotations" / "Rigid2D.txt"
    flat.write_text("\n".join(flat.read_text().splitlines()[:2]))
    with pytest.raises(DataFileError, match=r"Rigid2D.txt:2: expected a line for each of the 3 pictures"):
        load_dexter_object(rigid, **options)
    labels.unlink()
    with pytest.raises(DataFileError, match="Rigid3D.txt.*verify"):
        load_dexter_object(rigid, **options)


@pytest.mark.parametrize(
    "options",
    [{"split": "train"}, {"sequences": ["Grasp"]}, {"camera": "color"}, {"axes": "up"}, {"bad_rows": 1}],
)
def test_unknown_options_are_refused(rigid, options):
    with pytest.raises(InputError, match=next(iter(options))):
        load_dexter_object(rigid, **{"sequences": ["Rigid"], **options})


def test_real_tips_come_back(real_data, tmp_path):
    with np.load(real_data / "poses" / "leap_poses.npz", allow_pickle=False) as file:
        hands = file["joints_mm"][::1000, :, 3][:N].astype(np.float64)
    hands += (0, 0, 450) - hands.mean(axis=(1, 2), keepdims=True) * (0, 0, 1)
    hands[..., :2] -= hands[..., :2].mean(axis=1, keepdims=True)
    write_sequence(tmp_path, "Grasp1", hands, sign=-1)
    dexter = load_dexter_object(tmp_path, sequences=["Grasp1"], camera="depth")
    np.testing.assert_allclose(dexter.target[:, TIPS], known(hands), atol=1e-2)
