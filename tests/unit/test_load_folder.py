"""A folder of pictures with a table of hands: the columns, both ways, and what is refused with its line."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from skhand import HandFrames, ImageFiles
from skhand.datasets import load_folder, make_hands, save_folder
from skhand.exceptions import DataFileError, InputError
from skhand.preprocessing import HandCropper
from skhand.skeleton import JOINTS
from skhand.tracking import Hands


def write(folder, header, *rows, name="hands.csv"):
    (folder / name).write_text("\n".join(",".join(map(str, row)) for row in (header, *rows)) + "\n")


def picture(folder, name, size=(8, 6), colour=(10, 200, 30)):
    Image.new("RGB", size, colour).save(folder / name)


def some_hands(n=2, ids=None):
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(n, 21, 3)) * 50 + [0, 0, 600]
    return Hands(
        joints=joints,
        keypoints=rng.uniform(0, 100, (n, 21, 2)),
        side=np.array(["left", "right"][:n]),
        score=np.array([0.75, 0.5][:n]),
        box=np.array([[1.5, 2, 30, 40], [5, 6, 7, 8.0]][:n]),
        picture=np.array([0, 1][:n]),
        camera=np.tile([[500.0, 0, 31.5], [0, 510, 23.5], [0, 0, 1]], (n, 1, 1)),
        camera_source=np.array(["exif", "field of view"][:n]),
        ids=ids,
        pictures=("/somewhere/a.png", "/somewhere/b.png"),
    )


def test_a_table_written_by_hand(tmp_path):
    picture(tmp_path, "a.png")
    picture(tmp_path, "b.jpg", size=(5, 4))
    header = ["side", "picture", "fx", "fy", "cx", "cy", "wrist_x_px", "wrist_y_px"]
    header += [f"{joint}_{axis}_px" for joint in JOINTS[1:] for axis in "xy"]
    points = np.arange(40).tolist()
    write(
        tmp_path,
        header,
        ["left", "a.png", 100, 110, 3.5, 2.5, 1.25, -2e-1, *points],
        ["right", "b.jpg", "", "", "", "", "", "", *points],
        ["right", "a.png", 100, 110, 3.5, 2.5, 3, 4, *points],
    )
    hands = load_folder(tmp_path)
    assert hands.data.side.tolist() == ["left", "right", "right"]
    assert hands.data.keypoints2d[0, 0].tolist() == [1.25, -0.2]
    assert hands.data.keypoints2d[0, 1].tolist() == [0, 1] and np.isnan(hands.data.keypoints2d[1, 0]).all()
    assert hands.data.camera[0].tolist() == [[100, 0, 3.5], [0, 110, 2.5], [0, 0, 1]]
    assert np.isnan(hands.data.camera[1]).all() and np.isnan(hands.target).all()
    assert hands.data.picture.tolist() == hands.groups.tolist() == [0, 1, 0]
    assert hands.ids.tolist() == ["a.png", "b.jpg", "a.png#2"]
    assert hands.data.rgb[0].shape == (6, 8, 3) and hands.data.rgb[1].shape == (4, 5, 3)
    assert hands.data.rgb[0][0, 0].tolist() == [10, 200, 30]
    assert hands.joint_names == JOINTS and "3 hands in 2 pictures" in hands.DESCR


def test_what_is_saved_comes_back(tmp_path):
    hands = make_hands(5, image_size=32, images=("rgb",), random_state=0)
    target = hands.target.copy()
    target[2, 3] = np.nan
    save_folder(hands.data, target, tmp_path / "new" / "folder", groups=hands.groups)
    back = load_folder(tmp_path / "new" / "folder")
    np.testing.assert_allclose(back.target, target, rtol=1e-8)
    np.testing.assert_array_equal(back.data.rgb[:], hands.data.rgb[:])
    for name in ("keypoints2d", "camera", "box"):
        np.testing.assert_allclose(getattr(back.data, name), getattr(hands.data, name), rtol=1e-8)
    assert back.data.side.tolist() == hands.data.side.tolist()
    assert back.groups.tolist() == hands.groups.astype(str).tolist()
    crops = HandCropper(32).fit_transform(back.data)
    np.testing.assert_array_equal(crops.rgb[:], HandCropper(32).fit_transform(hands.data).rgb[:])


def test_hands_of_one_picture_share_its_file(tmp_path):
    rgb = np.zeros((3, 4, 4, 3), np.uint8)
    rgb[2] = 255
    data = HandFrames(rgb=rgb, picture=[7, 7, 9], side="left", score=[0.5, np.nan, 1])
    save_folder(data, None, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00007.png", "00009.png", "hands.csv"]
    X, y = load_folder(tmp_path, return_X_y=True)
    assert X.picture.tolist() == [0, 0, 1] and np.isnan(y).all() and X.score[2] == 1
    assert np.isnan(X.score[1]) and X.rgb[2].min() == 255


def test_what_cannot_be_saved_leaves_nothing_and_can_be_tried_again(tmp_path):
    """A camera with skew, a picture that cannot be read, and pictures that would be written over."""
    hands = make_hands(3, image_size=32, images=("rgb",), random_state=0)
    skewed = np.array(hands.data.camera)
    skewed[1, 0, 1] = 2.0
    with pytest.raises(InputError, match="camera: expected cameras without skew"):
        save_folder(hands.data.replace(camera=skewed), hands.target, tmp_path)
    for name in ("00000.png", "00001.png"):
        picture(tmp_path, name, size=(32, 32))
    few = HandFrames(rgb=ImageFiles([tmp_path / "00000.png", tmp_path / "00001.png"]))
    (tmp_path / "00001.png").write_bytes(b"")
    with pytest.raises(InputError, match="00001.png is missing or is not a readable picture"):
        save_folder(few, None, tmp_path / "copy")
    assert list((tmp_path / "copy").iterdir()) == []
    with pytest.raises(InputError, match="data_dir: expected a folder without 00000.png"):
        save_folder(hands.data, hands.target, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000.png", "00001.png", "copy"]
    save_folder(hands.data, hands.target, tmp_path / "copy")
    assert len(load_folder(tmp_path / "copy").target) == 3


def test_text_that_no_file_can_hold_is_refused_and_leaves_nothing(tmp_path):
    hands = make_hands(3, image_size=32, images=("rgb",), random_state=0)
    with pytest.raises(InputError, match="^group: expected text that UTF-8 can hold"):
        save_folder(hands.data, hands.target, tmp_path / "folder", groups=["a", "b", "\udcff"])
    assert not list((tmp_path / "folder").iterdir())
    save_folder(hands.data, hands.target, tmp_path / "folder", groups=["a", "b", "c"])


def test_a_camera_with_skew_replaces_no_table(tmp_path):
    hands = some_hands()
    hands.to_csv(tmp_path / "hands.csv")
    before = (tmp_path / "hands.csv").read_text()
    hands.camera[:, 0, 1] = 2.0
    with pytest.raises(InputError, match="without skew"):
        hands.to_csv(tmp_path / "hands.csv")
    assert (tmp_path / "hands.csv").read_text() == before


def test_pictures_are_upright_and_may_have_a_table_elsewhere(tmp_path):
    (tmp_path / "photos").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6)).save(tmp_path / "photos" / "a.jpg", exif=exif)
    picture(tmp_path / "photos", "b.png", size=(6, 8))
    write(tmp_path, ["picture"], ["a.jpg"], ["b.png"], name="own.csv")
    data = load_folder(tmp_path / "photos", tmp_path / "own.csv").data
    assert data.rgb.shape == (2, 8, 6, 3)  # of one size, as they are seen


def test_hands_to_csv_and_json(tmp_path):
    hands = some_hands(ids=np.array([3, 4]))
    for name in ("a.png", "b.png"):
        picture(tmp_path, name)
    hands.to_csv(tmp_path / "hands.csv")
    back = load_folder(tmp_path)
    np.testing.assert_allclose(back.target, hands.joints, rtol=1e-8)
    np.testing.assert_allclose(back.data.keypoints2d, hands.keypoints, rtol=1e-8)
    np.testing.assert_allclose(back.data.box, hands.box)
    np.testing.assert_allclose(back.data.camera, hands.camera)
    assert back.data.score.tolist() == [0.75, 0.5] and back.data.side.tolist() == ["left", "right"]
    with open(tmp_path / "hands.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["3", "4"] and rows[1]["camera_source"] == "field of view"
    assert float(rows[0]["index_tip_z_mm"]) == pytest.approx(hands.joints[0, JOINTS.index("index_tip"), 2])
    hands.to_json(tmp_path / "hands.json", names=["first", "second"])
    first, second = json.loads((tmp_path / "hands.json").read_text())
    assert (first["picture"], second["side"], first["id"]) == ("first", "right", 3)
    assert second["camera"] == {"fx": 500, "fy": 510, "cx": 31.5, "cy": 23.5}
    assert first["joints_mm"]["wrist"] == pytest.approx(hands.joints[0, 0])
    assert second["keypoints_px"]["little_tip"] == pytest.approx(hands.keypoints[1, 20])
    assert first["box"] == [1.5, 2, 30, 40] and first["score"] == 0.75


def test_found_hands_are_corrected_by_hand_and_come_back_with_their_pictures(tmp_path):
    hands = some_hands()
    for name in ("a.png", "b.png"):
        picture(tmp_path, name, size=(64, 48))
    hands.to_csv(tmp_path / "hands.csv")
    rows = list(csv.reader((tmp_path / "hands.csv").read_text().splitlines()))
    rows[1][rows[0].index("index_tip_z_mm")] = "612.5"  # a number put right
    write(tmp_path, *rows[:2])  # and a wrong hand left out
    X, y = load_folder(tmp_path, return_X_y=True)
    expected = hands.joints[:1].copy()
    expected[0, JOINTS.index("index_tip"), 2] = 612.5
    np.testing.assert_allclose(y, expected, rtol=1e-8)
    assert HandCropper(32).fit_transform(X).rgb.shape == (1, 32, 32, 3)


def test_hands_say_how_many_they_are():
    assert repr(some_hands()) == "2 hands in 2 pictures: left, right"
    assert repr(some_hands()[[0]]) == "1 hand in 2 pictures: left"
    assert repr(some_hands()[[]]) == "0 hands in 2 pictures"


def test_no_hands_are_a_table_without_rows(tmp_path):
    some_hands()[[]].to_csv(tmp_path / "hands.csv")
    some_hands()[[]].to_json(tmp_path / "hands.json")
    assert len((tmp_path / "hands.csv").read_text().splitlines()) == 1
    assert json.loads((tmp_path / "hands.json").read_text()) == []
    with pytest.raises(InputError, match="names: expected one for each of 2"):
        some_hands().to_csv(tmp_path / "hands.csv", names=["a"])
    with pytest.raises(InputError, match="path: expected a file that can be written"):
        some_hands().to_csv(tmp_path / "none" / "hands.csv")


BOX = ["picture", "box_x", "box_y", "box_width", "box_height"]
CAMERA = ["picture", "fx", "fy", "cx", "cy"]


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (["picture", "side"], ["a.png", "Left"], r"hands.csv:2: column 'side': expected left or right"),
        (["picture", "score"], ["a.png", "1_0"], r":2: column 'score': expected a finite number, got '1_0'"),
        (["picture", "score"], ["a.png", "nan"], r":2: column 'score': expected a finite number, got 'nan'"),
        (["picture", "score"], ["a.png", "1e999"], r":2: column 'score': expected a finite number"),
        (["picture", "score"], ["a.png", "1.5"], r":2: column 'score': expected 0 to 1, got 1.5"),
        (BOX, ["a.png", 1, 2, "", 3], r":2: column 'box_width': expected a number in each of its 4 cells"),
        (BOX, ["a.png", 1, 2, 0, 3], r":2: column 'box_width': expected more than 0, got 0"),
        (CAMERA, ["a.png", -100, 100, 1, 1], r":2: column 'fx': expected more than 0, got -100"),
        (["picture"], ["b.png"], r":2: column 'picture': .*b.png is missing or is not a readable picture"),
        (["picture"], ["hands.csv"], r":2: column 'picture': .*is not a readable picture"),
        (["picture", "group"], ["a.png", ""], r":2: column 'group': expected a name"),
        (["picture", "side"], ["a.png"], r"hands.csv:2: expected 2 cells, got 1"),
        (["picture", "sides"], ["a.png", "left"], r"hands.csv:1: column 'sides' is none of a table of hands"),
        (["picture", "side", "side"], ["a.png", "left", "left"], r":1: expected each column once"),
        (["picture", "fx"], ["a.png", 1], r"hands.csv:1: expected the column 'fy' beside 'fx'"),
        (["file"], ["a.png"], r"hands.csv:1: expected a header with the column 'picture'"),
        (["picture"], ['"a.png'], r"hands.csv: expected a readable CSV file"),
    ],
)
def test_errors_name_line_and_column(tmp_path, header, row, message):
    picture(tmp_path, "a.png")
    write(tmp_path, header, row)
    with pytest.raises(DataFileError, match=message):
        load_folder(tmp_path)


def test_other_refusals(tmp_path):
    with pytest.raises(InputError, match="data_dir: expected the folder of the pictures"):
        load_folder(tmp_path / "none")
    with pytest.raises(
        DataFileError, match=r"hands.csv: expected a readable CSV file.* skhand predict writes"
    ):
        load_folder(tmp_path)
    write(tmp_path, ["picture"])
    with pytest.raises(DataFileError, match="expected at least one hand"):
        load_folder(tmp_path)
    data = HandFrames(rgb=np.zeros((2, 4, 4, 3), np.uint8))
    with pytest.raises(InputError, match="data_dir: expected a folder without a table"):
        save_folder(data, None, tmp_path)
    new = tmp_path / "new"
    with pytest.raises(InputError, match="data: expected a HandFrames with rgb"):
        save_folder(HandFrames(side=["left"]), None, new)
    with pytest.raises(InputError, match="target: expected an array of shape"):
        save_folder(data, np.zeros((2, 21, 2)), new)
    with pytest.raises(InputError, match="groups: expected one for each of 2 hands"):
        save_folder(data, None, new, groups=[1])
    turned = data.replace(rotation=np.diag([-1.0, -1, 1]))
    with pytest.raises(InputError, match="expected pictures that were not turned"):
        save_folder(turned, None, new)
    assert not new.exists()
    with pytest.warns(UserWarning, match="depth are not written"):
        save_folder(data.replace(depth=np.zeros((2, 4, 4))), None, new)
