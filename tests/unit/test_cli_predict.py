"""skhand predict: which files are found, what is written, and what goes on when one is broken.

The tracker is a stand-in that sees red squares, so that places and sizes are known.
"""

from __future__ import annotations

import csv
import json
import os
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from skhand._pictures import guess_camera, read_pictures
from skhand.cli import _video, main, predict
from skhand.datasets import load_folder
from skhand.tracking import Hands

RED = (250, 10, 10)


class SeesRed:
    """Answers one hand a picture: its box is that of the red pixels, and its score one over its calls."""

    def __init__(self):
        self.times = []

    def reset(self):
        self.times = []

    def predict(self, picture):
        (read,) = read_pictures(picture, "pictures")
        red = (read.pixels[..., 0] > 190) & (read.pixels[..., 1:] < 70).all(axis=2)  # RED, to 60
        rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
        n = int(len(rows) > 0)
        box = [[columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]] if n else np.empty((0, 4))
        return Hands(
            joints=np.full((n, 21, 3), 500.0),
            keypoints=np.full((n, 21, 2), 5.0),
            side=np.array(["left"][:n], dtype="U5"),
            score=np.full(n, 0.5),
            box=np.array(box, dtype=float),
            picture=np.zeros(n, int),
            camera=np.tile(guess_camera(read), (n, 1, 1)),
            camera_source=np.array(["exif" if read.focal else "field of view"][:n], dtype="U13"),
            pictures=(read.path or read.pixels,),
        )

    def track(self, frame, time):
        self.times.append(time)
        hands = self.predict(frame)
        return Hands(**{**vars(hands), "ids": np.zeros(len(hands), int)})


@pytest.fixture(autouse=True)
def tracker(monkeypatch):
    stand_in = SeesRed()
    monkeypatch.setattr(predict, "_make_tracker", lambda args: stand_in)
    return stand_in


def drawn(width=60, height=40, box=(10, 5, 8, 6)):
    pixels = np.full((height, width, 3), 90, np.uint8)
    x, y, w, h = box
    pixels[y : y + h, x : x + w] = RED
    return Image.fromarray(pixels)


def write_deep_colour(path, pixels):
    """Write a PNG of 16 bits a channel, which Pillow only reads."""
    height, width = pixels.shape[:2]
    lines = (pixels.astype(">u2") * 257).reshape(height, -1)
    content = b"".join(b"\0" + line.tobytes() for line in lines)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(content)), (b"IEND", b"")):
            checksum = zlib.crc32(kind + data)
            file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum))


def read_rows(folder):
    with open(folder / "hands.csv") as file:
        return list(csv.DictReader(file))


def box_of(row):
    return [float(row[f"box_{name}"]) for name in ("x", "y", "width", "height")]


def test_a_folder_with_broken_files(tmp_path, capsys):
    photos, out = tmp_path / "photos", tmp_path / "out"
    (photos / "more").mkdir(parents=True)
    for number in range(9):
        drawn().save(photos / f"{number}.png")
    (photos / "3.png").write_bytes((photos / "4.png").read_bytes()[:60])
    (photos / "5.png").write_text("not a picture")
    drawn(box=(1, 2, 9, 9)).save(photos / "more" / "last.bmp")
    Image.new("RGB", (20, 20)).save(photos / "none.png")
    (photos / "notes.txt").write_text("not looked at")
    assert main(["predict", str(photos), "--out", str(out)]) == 1
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if line.startswith("skhand: error: ")]
    assert len(errors) == 2 and "3.png" in errors[0] and "5.png" in errors[1]
    assert "2 of 11 inputs could not be done" in told.err and "8 hands" in told.out
    assert "none found in 1 of 11 pictures" in told.out
    rows = read_rows(out)
    assert [row["picture"] for row in rows] == [*(f"{i}.png" for i in (0, 1, 2, 4, 6, 7, 8)), "more/last.bmp"]
    assert box_of(rows[0]) == [10, 5, 8, 6] and box_of(rows[-1]) == [1, 2, 9, 9]
    assert (rows[0]["side"], rows[0]["score"], rows[0]["camera_source"]) == ("left", "0.5", "field of view")
    assert "frame" not in rows[0] and float(rows[0]["little_tip_z_mm"]) == 500
    written = {str(path.relative_to(out / "overlays")) for path in (out / "overlays").rglob("*.*")}
    assert written == {f"{i}.png" for i in (0, 1, 2, 4, 6, 7, 8, "none")} | {"more/last.bmp.png"}
    assert len(json.loads((out / "hands.json").read_text())) == 8
    for name in ("3.png", "5.png"):
        (photos / name).unlink()
    assert main(["predict", str(photos), "--out", str(photos / "out")]) == 0
    assert main(["predict", str(photos), "--out", str(photos / "out")]) == 0  # its own overlays are left out
    assert len(read_rows(photos / "out")) == 8
    assert len(load_folder(photos, photos / "out" / "hands.csv").target) == 8


def test_formats_come_out_upright_and_in_colour(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: what lies at the left is at the top
    drawn(640, 480, (100, 50, 80, 60)).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    drawn().quantize(8).save(tmp_path / "palette.png")
    gray = np.full((40, 60), 90 * 257, np.uint16)
    Image.fromarray(gray).save(tmp_path / "deep.png")
    write_deep_colour(tmp_path / "deep_colour.png", np.asarray(drawn()))
    drawn().convert("RGBA").save(tmp_path / "alpha.png")
    drawn().convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    drawn().save(tmp_path / "profile.png", icc_profile=profile)
    out = tmp_path / "out"
    assert main(["predict", str(tmp_path), "--out", str(out)]) == 0
    rows = {row["picture"]: row for row in read_rows(out)}
    names = {"phone.jpg", "palette.png", "alpha.png", "print.jpg", "profile.png", "deep_colour.png"}
    assert set(rows) == names
    assert box_of(rows["phone.jpg"]) == pytest.approx([480 - 50 - 60, 100, 60, 80], abs=4)
    for name in ("palette.png", "alpha.png", "profile.png", "deep_colour.png"):
        assert box_of(rows[name]) == [10, 5, 8, 6]
    with Image.open(out / "overlays" / "phone.jpg") as picture:
        assert picture.size == (480, 640) and not picture.getexif().get(0x0112)
    with Image.open(out / "overlays" / "deep.png") as picture:
        assert np.abs(np.asarray(picture).astype(int) - 90).max() <= 1


def test_inputs_and_what_the_tables_call_them(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        drawn().save(tmp_path / folder / "1.png")
    words = [str(tmp_path / "a"), str(tmp_path / "b" / "1.png"), str(tmp_path / "a" / "1.png"), "camera:2"]
    found = predict.find_inputs(words, tmp_path / "out")
    assert [(each.name, each.is_video) for each in found] == [
        ("a/1.png", False),
        ("b/1.png", False),
        ("camera:2", True),
    ]
    assert found[2].source == 2


def test_wrong_inputs_are_one_line(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    out = ["--out", str(tmp_path / "out")]
    for words, code, line in (
        ([str(tmp_path / "empty")], 2, "expected pictures in the folder, found none"),
        (["camera:x"], 2, "expected camera or camera:NUMBER, got 'camera:x'"),
        ([str(tmp_path / "none.jpg")], 1, "none.jpg is missing or is not a readable picture"),
        (
            [str(tmp_path), "--out", str(tmp_path)],
            2,
            "--out: expected another folder than that of the pictures",
        ),
        ([], 2, "the following arguments are required: INPUT"),
        (["a.jpg", "--fov", "180"], 2, "argument --fov: expected a number above 0 to 179, got '180'"),
        (["a.jpg", "--max-hands", "0"], 2, "expected a whole number from 1, got '0'"),
    ):
        assert main(["predict", *out, *words]) == code
        errors = capsys.readouterr().err.splitlines()
        assert errors[0].startswith("skhand: error: ") and line in errors[0]
        assert code == 1 or len(errors) == 1


def test_a_phones_heic_without_its_package(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 60)
    drawn().save(tmp_path / "b.png")
    assert main(["predict", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    line, rest = capsys.readouterr().err.splitlines()
    assert "IMG_1.HEIC" in line and line.endswith("; for HEIC pictures: pip install pillow-heif.")
    assert "1 of 2 inputs" in rest and [row["picture"] for row in read_rows(tmp_path / "out")] == ["b.png"]


def test_a_phones_whole_picture_of_12_megapixels(tmp_path, tracker):
    """4032 x 3024 px lie in the file, which is to be seen upright; its lens is in the EXIF data."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0xA405] = 26  # mm, on film of 36 x 24 mm
    drawn(4032, 3024, (1000, 500, 800, 600)).save(tmp_path / "phone.jpg", exif=exif, quality=60)
    assert main(["predict", str(tmp_path / "phone.jpg"), "--out", str(tmp_path / "out")]) == 0
    (row,) = read_rows(tmp_path / "out")
    assert box_of(row) == pytest.approx([3024 - 500 - 600, 1000, 600, 800], abs=8)
    assert row["camera_source"] == "exif"
    focal = 26 * np.hypot(4032, 3024) / np.hypot(36, 24)
    assert [float(row[name]) for name in ("fx", "cx", "cy")] == pytest.approx([focal, 1511.5, 2015.5])
    with Image.open(tmp_path / "out" / "overlays" / "phone.jpg") as overlay:
        assert overlay.size == (3024, 4032)


@pytest.fixture
def video(tmp_path):
    """Ten frames of 64 x 48 px; the red square moves to the right by 3 px a frame."""
    pytest.importorskip("cv2")
    path = tmp_path / "moving.mp4"
    with _video.VideoWriter(path, 20.0) as writer:
        for i in range(10):
            writer.write(np.asarray(drawn(64, 48, (3 + 3 * i, 8, 16, 16))))
    return path


def test_a_video(video, tmp_path, tracker):
    out = tmp_path / "out"
    assert main(["predict", str(video), "--out", str(out)]) == 0
    rows = read_rows(out)
    assert [row["frame"] for row in rows] == [str(i) for i in range(10)]
    assert {row["picture"] for row in rows} == {"moving.mp4"} and {row["id"] for row in rows} == {"0"}
    np.testing.assert_allclose([float(row["box_x"]) for row in rows], 3 + 3 * np.arange(10), atol=2)
    np.testing.assert_allclose(tracker.times, np.arange(10) / 20)
    with _video.VideoReader(out / "overlays" / "moving.mp4") as overlay:
        frames = list(overlay)
    assert len(frames) == 10 and frames[0].shape == (48, 64, 3) and overlay.fps == pytest.approx(20)
    assert json.loads((out / "hands.json").read_text())[-1]["frame"] == 9
    assert main(["predict", str(video), "--out", str(out), "--frames", "4", "--no-overlays"]) == 0
    assert len(read_rows(out)) == 4


def test_broken_videos(video, tmp_path, capsys, monkeypatch):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    drawn().save(tmp_path / "a.png")
    words = [str(broken), str(tmp_path / "none.mov"), str(tmp_path / "a.png"), str(video)]
    assert main(["predict", *words, "--out", str(tmp_path / "out")]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 2 and "broken.mp4: is not a readable video" in errors[0]
    assert "none.mov: there is no such file" in errors[1]
    assert len(read_rows(tmp_path / "out")) == 11
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    assert main(["predict", str(video), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("skhand: error: ") and 'pip install "skhand[video]"' in line


def test_a_stopped_video_leaves_whole_files(video, tmp_path, tracker, monkeypatch, capsys):
    track = tracker.track

    def stop(frame, time):
        if len(tracker.times) == 3:
            raise KeyboardInterrupt
        return track(frame, time)

    monkeypatch.setattr(tracker, "track", stop)
    assert main(["predict", str(video), "--out", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err.strip() == "skhand: stopped"
    assert len(json.loads((tmp_path / "out" / "hands.json").read_text())) == 3
    assert os.path.getsize(tmp_path / "out" / "overlays" / "moving.mp4") > 0
