"""load_ego_dexter on a small copy in the publisher's layout: tips, two cameras, missing tips and errors."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from skhand.datasets import load_ego_dexter, verify
from skhand.estimators import CrossModalVAERegressor
from skhand.exceptions import DataFileError, InputError
from skhand.metrics import mean_epe

# this file's own facts of the format: nothing here comes from the loader
SEQUENCES = ["Desk", "Fruits", "Kitchen", "Rotunda"]
KINDS = ["color", "depth", "color_on_depth"]
TIPS = [4, 8, 12, 16, 20]
N = 3
TURN = np.array([[1.0, 0.0009, -0.0074], [-0.0007, 0.9997, 0.0248], [0.0075, -0.0248, 0.9997]])
SHIFT = np.array([20.2365, 1.2846, 5.7360])
NO_TIP = {1: "0, 0, 0", 2: "-1, -1, -1"}  # frame to what its missing tips have: index of 1, all of 2


def tips(sequence):
    """Return a sequence's tips in the depth camera's frame, mm."""
    rng = np.random.default_rng(SEQUENCES.index(sequence))
    return rng.uniform(-80, 80, (N, 5, 3)).round(1) + (10, 20, 420)


def depth_pixel(point):
    return 311.125 + 475.62 * point[0] / point[2], 245.965 + 475.62 * point[1] / point[2]


def colour_pixel(point):
    return 315.453 + 617.173 * point[0] / point[2], 242.259 + 617.173 * point[1] / point[2]


def known(poses):
    poses = poses.copy()
    poses[1, 1] = poses[2] = np.nan
    return poses


def mark(path, uv, color):
    picture = Image.new("RGB", (640, 480), (40, 40, 40))
    u, v = (round(value) for value in uv)
    picture.paste(color, (u - 3, v - 3, u + 4, v + 4))
    picture.save(path)


def write_sequence(data_dir, sequence, poses):
    folder = data_dir / "data" / sequence
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
    flat, solid = [], []
    for number, frame in enumerate(poses):
        name = f"image_{number:05d}"
        row2d, row3d = "", ""
        for finger, point in enumerate(frame):
            u, v = (round(value) for value in depth_pixel(point))
            no_label = number == 2 or (number == 1 and finger == 1)
            row2d += "-1, -1; " if number == 2 else f"{u}, {v}; "
            row3d += f"{NO_TIP[number]}; " if no_label else "{:.3f}, {:.3f}, {:.3f}; ".format(*point)
        flat.append(row2d.rstrip())
        solid.append(row3d.rstrip())
        mark(folder / "color" / f"{name}_color.png", colour_pixel(TURN @ frame[4] + SHIFT), (0, 0, 250))
        mark(folder / "color_on_depth" / f"{name}_color_on_depth.png", depth_pixel(frame[4]), (250, 0, 0))
        depth = np.full((480, 640), 32001, np.uint16)
        u, v = (round(value) for value in depth_pixel(frame[4]))
        depth[v, u] = round(frame[4, 2])
        Image.fromarray(depth).save(folder / "depth" / f"{name}_depth.png")
    (folder / "annotation.txt").write_text("\n".join(flat) + "\n")
    (folder / "annotation.txt_3D.txt").write_text("\n".join(solid) + "\n")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("ego")
    for sequence in SEQUENCES:
        write_sequence(data_dir, sequence, tips(sequence))
    return data_dir


@pytest.fixture
def desk(tmp_path):
    write_sequence(tmp_path, "Desk", tips("Desk"))
    return tmp_path


def test_tips_in_the_colour_camera(original):
    ego = load_ego_dexter(original)
    expected = np.concatenate(
        [[[TURN @ p + SHIFT for p in frame] for frame in known(tips(name))] for name in SEQUENCES]
    )
    np.testing.assert_allclose(ego.target[:, TIPS], expected, atol=1e-2)
    assert np.isnan(np.delete(ego.target, TIPS, axis=1)).all()
    np.testing.assert_array_equal(ego.visible[:, TIPS], np.isfinite(expected[..., 0]))
    assert ego.groups.tolist() == [name for name in SEQUENCES for _ in range(N)]
    assert ego.ids[-1] == "Rotunda/00002" and set(ego.data.side) == {"left"}
    for row in (0, 4, 9):
        u, v = ego.data.keypoints2d[row, 20]
        np.testing.assert_allclose((u, v), colour_pixel(expected[row, 4]), atol=0.05)
        assert ego.data.rgb[row][round(v), round(u)].tolist() == [0, 0, 250]
    assert ego.data.depth is None
    np.testing.assert_array_equal(ego.data.box[2], (-0.5, -0.5, 640, 480))  # no tip is known


def test_tips_in_the_depth_camera(original):
    ego = load_ego_dexter(original, sequences=["Kitchen", "Fruits"], camera="depth", layout="native")
    assert ego.groups.tolist() == ["Fruits"] * N + ["Kitchen"] * N
    np.testing.assert_allclose(ego.target[N:], known(tips("Kitchen")), atol=1e-3)
    u, v = ego.data.keypoints2d[3, 20].astype(int)
    assert (u, v) == tuple(round(value) for value in depth_pixel(tips("Kitchen")[0, 4]))
    assert ego.data.rgb[3][v, u].tolist() == [250, 0, 0]
    assert ego.data.depth[3][v, u] == round(tips("Kitchen")[0, 4, 2])
    assert (ego.data.depth[3] > 0).sum() == 1 and ego.data.depth.dtype == np.float32


def test_missing_tips_flagged_kept_dropped(original):
    flagged = load_ego_dexter(original, sequences=["Desk"], camera="depth", layout="native")
    assert flagged.bad.tolist() == [False, True, True]
    assert np.isnan(flagged.data.keypoints2d[1, 8]).all()
    kept = load_ego_dexter(original, sequences=["Desk"], camera="depth", layout="native", bad_rows="keep")
    np.testing.assert_array_equal(kept.target, flagged.target)
    expected = [round(value) for value in depth_pixel(tips("Desk")[1, 1])]
    assert kept.data.keypoints2d[1, 8].tolist() == expected  # a 2D label over a hole in the depth
    assert np.isnan(kept.data.keypoints2d[2]).all() and not kept.visible[1, 1]
    dropped = load_ego_dexter(original, bad_rows="drop")
    assert dropped.ids.tolist() == [f"{name}/00000" for name in SEQUENCES]


def test_metrics_ignore_what_has_no_label(original):
    X, y = load_ego_dexter(original, return_X_y=True)
    predicted = np.nan_to_num(y, nan=5.0) + (2, 3, 6)
    assert len(X) == 12 and mean_epe(y, predicted) == pytest.approx(7)


def test_an_estimator_fits_tips_alone(original):
    ego = load_ego_dexter(original)
    X = ego.data.replace(rgb=ego.data.rgb[:][:, ::15, ::20])  # 32 x 32 px, too coarse to learn from
    model = CrossModalVAERegressor(backbone="small", max_epochs=1, batch_size=4, random_state=0)
    predicted = model.fit(X, ego.target).predict(X)
    assert predicted.shape == (12, 21, 3) and np.isfinite(predicted[:, TIPS]).all()


def test_cache(desk, tmp_path):
    options = {"sequences": ["Desk"], "camera": "depth", "cache": tmp_path / "cache"}
    first, again = load_ego_dexter(desk, **options), load_ego_dexter(desk, **options)
    for name in ("rgb", "depth", "keypoints2d", "box"):
        np.testing.assert_array_equal(getattr(first.data, name)[:], getattr(again.data, name)[:])
    assert isinstance(again.data.rgb, np.memmap)
    path = desk / "data" / "Desk" / "annotation.txt"
    path.write_text(path.read_text().replace("-1, -1; ", "7, 9; ", 1))
    changed = load_ego_dexter(desk, bad_rows="keep", **options)
    assert changed.data.keypoints2d[2, 4].tolist() == [7, 9]
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_verify_counts_and_names(original, desk, capsys):
    report = verify(original)
    assert report.dataset == "ego_dexter" and report.missing == []
    assert [(part.n_found, part.n_published) for part in report.parts] == [(12, 3190)]
    (desk / "data" / "Desk" / "color_on_depth" / "image_00000_color_on_depth.png").unlink()
    (desk / "data" / "Desk" / "depth" / "image_00000_depth.png").unlink()
    (desk / "data" / "Desk" / "depth" / "image_00002_depth.png").unlink()
    report = verify(desk)
    assert report.parts[0].n_found == 1 and "published 3190" in capsys.readouterr().out
    assert {
        "data/Desk/color_on_depth/image_00000_color_on_depth.png",
        "data/Desk/depth/image_00000_depth.png",
        "data/Desk/depth/image_00002_depth.png",
        "data/Rotunda/annotation.txt_3D.txt",
    } <= set(report.missing)
    with pytest.raises(DataFileError, match="image_00000_depth.png|image_00000_color_on_depth.png"):
        load_ego_dexter(desk, sequences=["Desk"], camera="depth")
    assert len(load_ego_dexter(desk, sequences=["Desk"]).data) == N


def test_damaged_files_are_named(desk):
    ego = load_ego_dexter(desk, sequences=["Desk"])
    picture = desk / "data" / "Desk" / "color" / "image_00001_color.png"
    picture.write_bytes(picture.read_bytes()[:300])
    with pytest.raises(InputError, match="image_00001_color.png"):
        ego.data.rgb[1]
    labels = desk / "data" / "Desk" / "annotation.txt"
    lines = labels.read_text().splitlines()
    for damaged, words in [
        ([lines[0], lines[1].rsplit(" ", 2)[0], lines[2]], "annotation.txt:2: expected 5 points, got 4"),
        ([lines[0] + " 3, 4;", *lines[1:]], "annotation.txt:1: expected 5 points, got 6"),
        ([*lines[:2], lines[2][:-5]], "annotation.txt:3"),
        ([], "annotation.txt:1"),
    ]:
        labels.write_text("\n".join(damaged))
        with pytest.raises(DataFileError, match=words):
            load_ego_dexter(desk, sequences=["Desk"])
    labels.unlink()
    with pytest.raises(DataFileError, match="annotation.txt, .*verify"):
        load_ego_dexter(desk, sequences=["Desk"])


@pytest.mark.parametrize("options", [{"split": "all"}, {"sequences": "Desk"}, {"camera": "rgb"}])
def test_unknown_options_are_refused(desk, options):
    with pytest.raises(InputError, match=next(iter(options))):
        load_ego_dexter(desk, **{"sequences": ["Desk"], **options})


def test_real_tips_come_back(real_data, tmp_path):
    with np.load(real_data / "poses" / "stb_poses.npz", allow_pickle=False) as file:
        hands = file["joints_mm"][::600, TIPS].astype(np.float64)
    write_sequence(tmp_path, "Fruits", hands)
    ego = load_ego_dexter(tmp_path, sequences=["Fruits"], camera="depth")
    np.testing.assert_allclose(ego.target[:, TIPS], known(hands), atol=1e-3)
