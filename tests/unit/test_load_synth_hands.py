"""load_synth_hands on a small copy in the publisher's layout: cameras, green screen, cache and errors."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skhand.datasets import load_synth_hands, verify
from skhand.exceptions import DataFileError, InputError

# this file's own facts of the format: nothing here comes from the loader
COLOR = (617.173, 315.453, 242.259)
DEPTH = (475.62, 311.125, 245.965)
SHIFT = np.array([24.7, -0.0471401, 3.72045])
GREEN = (14, 255, 14)
VIEWS = [
    "female_noobject/seq01/cam01/01",
    "female_noobject/seq01/cam02/01",
    "female_object/seq02/cam01/03",
    "male_noobject/seq07/cam05/01",
]
TIP = 8


def pixels_of(points, camera):
    focal, cu, cv = camera
    return np.array([[focal * x / z + cu, focal * y / z + cv] for x, y, z in points])


def picture_of(points, camera, color, path):
    """Draw a grey patch with a coloured square about the index tip before the green screen."""
    image = Image.new("RGBA", (640, 480), (*GREEN, 255))
    image.paste((90, 80, 70, 255), (200, 150, 460, 330))
    u, v = pixels_of(points, camera)[TIP]
    image.paste((*color, 255), (round(u) - 3, round(v) - 3, round(u) + 4, round(v) + 4))
    image.save(path, compress_level=1)


def write_frame(folder, number, points):
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{number:08d}"
    stem.with_name(f"{stem.name}_joint_pos.txt").write_text(
        ",".join(f"{x:.6f}" for x in points.ravel()) + "\n"
    )
    picture_of(points + SHIFT, COLOR, (255, 0, 0), f"{stem}_color.png")
    picture_of(points, DEPTH, (0, 0, 255), f"{stem}_color_on_depth.png")
    depth = np.full((480, 640), 32001, np.uint16)
    depth[150:330, 200:460] = 431 + number
    depth[0, :5] = 0
    Image.fromarray(depth).save(f"{stem}_depth.png")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write SynthHands_Release: two frames in the first view, one in each other."""
    hands = np.random.default_rng(1).uniform(-60, 60, (5, 21, 3)) + (0, 0, 430)
    hands[1, 3] = (-400, 0, 430)  # beside the picture
    hands = hands.round(6)
    folder = tmp_path_factory.mktemp("whole") / "SynthHands_Release"
    for view, number, points in zip([VIEWS[0], *VIEWS], [0, 7, 0, 0, 0], hands, strict=True):
        write_frame(folder / view, number, points)
    (folder / "README.txt").write_text("read me")
    return folder, hands


@pytest.fixture
def hands(written):
    return written[1].copy()


@pytest.fixture
def data_dir(tmp_path, written):
    return Path(shutil.copytree(written[0], tmp_path / "SynthHands_Release"))


def test_joints_of_the_depth_camera(data_dir, hands):
    bunch = load_synth_hands(data_dir)
    np.testing.assert_allclose(bunch.target, hands)
    for row in range(5):
        np.testing.assert_allclose(bunch.data.keypoints2d[row], pixels_of(hands[row], DEPTH))
        u, v = bunch.data.keypoints2d[row, TIP].round().astype(int)
        assert np.asarray(bunch.data.rgb[row])[v, u].tolist() == [0, 0, 255]
    assert bunch.data.rgb.shape == (5, 480, 640, 3)
    assert set(bunch.data.side) == {"left"}
    np.testing.assert_allclose(bunch.data.root, (hands[:, 0] + hands[:, 9]) / 2)
    np.testing.assert_allclose(bunch.data.scale, np.linalg.norm(hands[:, 10] - hands[:, 9], axis=1))
    assert bunch.joint_names[TIP] == "index_tip"


def test_joints_of_the_colour_camera(data_dir, hands):
    bunch = load_synth_hands(data_dir, camera="colour")
    np.testing.assert_allclose(bunch.target, hands + SHIFT)
    assert bunch.data.depth is None
    for row in range(5):
        np.testing.assert_allclose(bunch.data.keypoints2d[row], pixels_of(hands[row] + SHIFT, COLOR))
        u, v = bunch.data.keypoints2d[row, TIP].round().astype(int)
        assert np.asarray(bunch.data.rgb[row])[v, u].tolist() == [255, 0, 0]


def test_depth_in_mm_and_zero_where_there_is_none(data_dir):
    depth = np.asarray(load_synth_hands(data_dir).data.depth[[0, 1]])
    assert depth[0, 200, 300] == 431
    assert depth[1, 200, 300] == 438
    assert depth[0, 10, 10] == 0
    assert depth[0, 0, 0] == 0


def test_real_poses_come_back(tmp_path, real_data):
    poses = np.load(real_data / "poses" / "stb_poses.npz", allow_pickle=False)["joints_mm"][::500]
    for number, points in enumerate(poses):
        write_frame(tmp_path / VIEWS[0], number, points)
    bunch = load_synth_hands(tmp_path)
    np.testing.assert_allclose(bunch.target, poses, atol=1e-5)
    for row, points in enumerate(poses):
        u, v = np.rint(pixels_of(points, DEPTH)[TIP]).astype(int)
        assert np.asarray(bunch.data.rgb[row])[v, u].tolist() == [0, 0, 255]


def test_rows_groups_and_visibility(data_dir):
    bunch = load_synth_hands(data_dir)
    assert bunch.ids.tolist() == [f"{VIEWS[0]}/00000000", f"{VIEWS[0]}/00000007"] + [
        f"{view}/00000000" for view in VIEWS[1:]
    ]
    assert bunch.groups.tolist() == ["female_noobject/seq01"] * 3 + [
        "female_object/seq02",
        "male_noobject/seq07",
    ]
    assert np.argwhere(~bunch.visible).tolist() == [[1, 3]]
    assert not bunch.bad.any()


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({"subjects": ["male"]}, [4]),
        ({"objects": ["object"]}, [3]),
        ({"sequences": [1, 7], "views": [2, 5]}, [2, 4]),
        ({"subjects": ["female"], "objects": ["noobject"], "views": (1,)}, [0, 1]),
    ],
)
def test_selection(data_dir, hands, wanted, rows):
    np.testing.assert_allclose(load_synth_hands(data_dir, **wanted).target, hands[rows])


def test_bad_rows(data_dir, hands):
    hands[2, 5, 2] = -30
    write_frame(data_dir / VIEWS[1], 0, hands[2])
    flagged, kept, dropped = (load_synth_hands(data_dir, bad_rows=how) for how in ("flag", "keep", "drop"))
    assert flagged.bad.tolist() == kept.bad.tolist() == [False, False, True, False, False]
    assert np.isnan(flagged.target[2]).all()
    assert not flagged.visible[2].any()
    np.testing.assert_allclose(kept.target, hands)
    np.testing.assert_allclose(dropped.target, hands[[0, 1, 3, 4]])


def test_layouts(data_dir, hands):
    native = load_synth_hands(data_dir, layout="native")
    np.testing.assert_allclose(native.target, hands)
    rhd = load_synth_hands(data_dir, layout="rhd")
    np.testing.assert_allclose(rhd.target[:, 1], hands[:, 4])  # RHD runs tip to base
    data, target = load_synth_hands(data_dir, return_X_y=True)
    assert len(data) == len(target) == 5


@pytest.fixture
def backgrounds(tmp_path):
    """Write three pictures of one colour each, larger, smaller and of another shape, one of them below."""
    folder = tmp_path / "mine"
    (folder / "below").mkdir(parents=True)
    Image.new("RGB", (800, 700), (200, 0, 0)).save(folder / "a.png")
    Image.new("RGB", (30, 20), (0, 200, 200)).save(folder / "b.PNG")
    Image.new("L", (300, 900), 33).save(folder / "below" / "c.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_backgrounds_replace_the_screen_alone(data_dir, backgrounds):
    plain = np.asarray(load_synth_hands(data_dir).data.rgb[:])
    screen = plain[..., 1] == 255
    bunch = load_synth_hands(data_dir, backgrounds=backgrounds)
    pictures = np.asarray(bunch.data.rgb[:])
    np.testing.assert_array_equal(pictures[~screen], plain[~screen])
    for picture, mask in zip(pictures, screen, strict=True):
        color = picture[mask].min(axis=0)
        assert color.tolist() in ([200, 0, 0], [0, 200, 200], [33, 33, 33])
        assert (picture[mask] == color).all()
    np.testing.assert_array_equal(np.asarray(bunch.data.rgb[1]), pictures[1])


def test_backgrounds_depend_on_the_row_and_the_seed_alone(data_dir, backgrounds):
    def corners(**options):
        bunch = load_synth_hands(data_dir, backgrounds=backgrounds, **options)
        return dict(zip(bunch.ids, map(tuple, bunch.data.rgb[:][:, 0, 0]), strict=True))

    everything = corners()
    assert everything == corners()
    male = corners(subjects=["male"])
    assert male == {name: everything[name] for name in male}
    assert len({tuple(corners(subjects=["male"], random_state=seed).values()) for seed in range(6)}) > 1


def test_background_is_cut_and_not_stretched(data_dir, tmp_path):
    v, u = np.mgrid[:480, :1280]
    folder = tmp_path / "ramp"
    folder.mkdir()
    Image.fromarray(np.stack([u // 6, v // 2, 0 * u], axis=-1).astype(np.uint8)).save(folder / "ramp.png")
    bunch = load_synth_hands(data_dir, backgrounds=folder)
    pictures = np.asarray(bunch.data.rgb[:]).astype(int)
    assert (pictures[:, 100, 639, 0] - pictures[:, 100, 0, 0]).tolist() == pytest.approx([639 / 6] * 5, abs=1)
    assert (pictures[:, 479, 5, 1] - pictures[:, 0, 5, 1] == 239).all()
    assert len(set(pictures[:, 100, 0, 0])) > 1


def test_tolerance_takes_pixels_near_the_screens_colour(data_dir, backgrounds):
    path = data_dir / VIEWS[0] / "00000000_color_on_depth.png"
    with Image.open(path) as picture:
        changed = picture.convert("RGB")
    changed.putpixel((3, 3), (17, 252, 14))
    changed.save(path)
    for tolerance, kept in ((0, True), (2, True), (3, False)):
        bunch = load_synth_hands(data_dir, backgrounds=backgrounds, tolerance=tolerance)
        assert (np.asarray(bunch.data.rgb[0])[3, 3].tolist() == [17, 252, 14]) is kept


def test_pickled_unread(data_dir, backgrounds):
    data = load_synth_hands(data_dir, backgrounds=backgrounds).data
    clone = pickle.loads(pickle.dumps(data[[4, 1]]))
    np.testing.assert_array_equal(np.asarray(clone.rgb[0]), np.asarray(data.rgb[4]))


def test_cache(data_dir, backgrounds, tmp_path):
    cache = tmp_path / "cache"
    first = load_synth_hands(data_dir, backgrounds=backgrounds, cache=cache, views=[5])
    again = load_synth_hands(data_dir, backgrounds=backgrounds, cache=cache, views=[5])
    np.testing.assert_array_equal(np.asarray(first.data.rgb), np.asarray(again.data.rgb))
    np.testing.assert_array_equal(first.target, again.target)
    label = data_dir / VIEWS[3] / "00000000_joint_pos.txt"
    label.write_text(label.read_text().replace(",", " , "))
    load_synth_hands(data_dir, backgrounds=backgrounds, cache=cache, views=[5])
    Image.new("RGB", (9, 9)).save(backgrounds / "d.png")
    load_synth_hands(data_dir, backgrounds=backgrounds, cache=cache, views=[5])
    load_synth_hands(data_dir, cache=cache, views=[5])
    assert len(list(cache.iterdir())) == 4


def test_short_and_broken_lines(data_dir):
    label = data_dir / VIEWS[1] / "00000000_joint_pos.txt"
    numbers = label.read_text().strip().split(",")
    label.write_text(",".join(numbers[:62]))
    with pytest.raises(DataFileError, match=r"00000000_joint_pos\.txt:1: expected 63 numbers, got 62"):
        load_synth_hands(data_dir)
    label.write_text(",".join([*numbers[:62], "nine"]))
    with pytest.raises(DataFileError, match=r"cam02/01/00000000_joint_pos\.txt:1: .*nine"):
        load_synth_hands(data_dir)


def test_missing_and_truncated_files(data_dir, backgrounds):
    picture = data_dir / VIEWS[0] / "00000007_color_on_depth.png"
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2])
    for bunch in (load_synth_hands(data_dir), load_synth_hands(data_dir, backgrounds=backgrounds)):
        with pytest.raises(InputError, match=r"00000007_color_on_depth\.png"):
            bunch.data.rgb[1]
    picture.unlink()
    with pytest.raises(DataFileError, match=r"1 of them are missing.*00000007_color_on_depth\.png"):
        load_synth_hands(data_dir)
    assert len(load_synth_hands(data_dir, camera="colour").data) == 5
    (data_dir / VIEWS[0] / "00000007_joint_pos.txt").unlink()
    with pytest.raises(DataFileError, match=r"00000007_joint_pos\.txt, which is not there; see skhand"):
        load_synth_hands(data_dir)
    for path in backgrounds.rglob("*.*"):
        path.write_text("broken")
    with pytest.raises(InputError, match=r"backgrounds: .*mine.* is not a readable picture"):
        load_synth_hands(data_dir, backgrounds=backgrounds, subjects=["male"]).data.rgb[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"camera": "color"}, {"subjects": ["child"]}, {"objects": "object"}, {"sequences": [8]},
        {"views": []}, {"tolerance": -1}, {"random_state": -1}, {"backgrounds": "nowhere"},
    ],
)  # fmt: skip
def test_wrong_options(data_dir, wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        load_synth_hands(data_dir, **wrong)


def test_folders_without_pictures(data_dir, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"backgrounds: expected JPEG or PNG"):
        load_synth_hands(data_dir, backgrounds=tmp_path / "empty")
    with pytest.raises(DataFileError, match=r"00000000_joint_pos\.txt, which is not there"):
        load_synth_hands(tmp_path)


def test_verify(data_dir, capsys):
    (data_dir / VIEWS[0] / "00000007_depth.png").unlink()
    (data_dir / VIEWS[3] / "00000000_joint_pos.txt").unlink()
    report = verify(data_dir)
    assert report.dataset == "synth_hands"
    assert {part.name: part.n_found for part in report.parts} == {
        "female_noobject": 2, "female_object": 1, "male_noobject": 0, "male_object": 0
    }  # fmt: skip
    assert f"{VIEWS[0]}/00000007_depth.png" in report.missing
    assert f"{VIEWS[3]}/00000000_joint_pos.txt" in report.missing
    assert "male_object/seq01/cam01" in report.missing
    assert not report.complete
    assert "published number unknown" in capsys.readouterr().out
