"""What is called a picture is read as upright RGB; headers are checked; EXIF focal lengths are used."""

from __future__ import annotations

import pickle
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from skhand import HandFrames, ImageFiles
from skhand._pictures import Picture, guess_camera, read_pictures
from skhand.exceptions import InputError

# EXIF orientation -> what turns the upright picture into the pixels that lie in the file
STORED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, 1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p, -1),
}


@pytest.fixture
def upright(rng):
    return rng.integers(0, 256, (6, 10, 3), dtype=np.uint8)


def with_exif(pixels, **tags):
    """A PIL picture with EXIF tags: orientation, make of the lens, recorded size."""
    numbers = {"orientation": 0x0112, "focal": 0x920A, "focal35": 0xA405, "width": 0xA002, "height": 0xA003}
    numbers |= {"plane_x": 0xA20E, "plane_unit": 0xA210}
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    exif = Image.Exif()
    for name, value in tags.items():
        (exif if name == "orientation" else exif.get_ifd(0x8769))[numbers[name]] = value
    picture.info["exif"] = exif.tobytes()
    return picture


def save(folder, pixels, name="p.png", **tags):
    """Write a picture with EXIF tags, and return its path."""
    picture = with_exif(pixels, **tags)
    picture.save(folder / name, exif=picture.info["exif"], **({"quality": 95} if "jpg" in name else {}))
    return folder / name


def huge_png(path, width, height):
    """A PNG whose header names a size, and that has no pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))]
    parts += [struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))]
    path.write_bytes(b"".join(parts))
    return path


def test_every_kind_of_picture_is_read_alike(upright, tmp_path):
    path = save(tmp_path, upright)
    kinds = {
        "path": path,
        "string": str(path),
        "PIL": Image.fromarray(upright),
        "array": upright,
        "floats": upright / 255.0,
        "alpha": np.dstack([upright, upright[..., 0]]),
        "batch": upright[None],
        "list of arrays": [upright],
        "list of paths": [path],
        "files": ImageFiles([path]),
        "table": HandFrames(rgb=upright[None]),
    }
    for kind, X in kinds.items():
        pictures = read_pictures(X)
        assert len(pictures) == 1, kind
        assert pictures[0].pixels.dtype == np.uint8, kind
        np.testing.assert_array_equal(pictures[0].pixels, upright, kind)
    for gray in (upright[..., 0], upright[..., :1], Image.fromarray(upright[..., 0])):
        np.testing.assert_array_equal(read_pictures(gray)[0].pixels, np.dstack([upright[..., 0]] * 3))


def test_a_list_may_mix_sizes_and_kinds(upright, tmp_path):
    pictures = read_pictures([save(tmp_path, upright), np.zeros((3, 4)), Image.new("L", (7, 5))])
    assert [picture.pixels.shape for picture in pictures] == [(6, 10, 3), (3, 4, 3), (5, 7, 3)]


def test_sixteen_bits_are_scaled_and_palettes_become_colour(upright, tmp_path):
    ramp = np.linspace(0, 65535, 60).astype(np.uint16).reshape(6, 10)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    pixels = read_pictures(tmp_path / "ramp.png")[0].pixels
    np.testing.assert_allclose(pixels[..., 1], ramp / 257.0, atol=0.51)
    Image.fromarray(upright // 64 * 64).quantize(64).save(tmp_path / "palette.png")
    assert np.abs(read_pictures(tmp_path / "palette.png")[0].pixels - upright // 64 * 64.0).max() <= 4
    gray = ImageFiles([tmp_path / "palette.png"], gray=True)[0]
    assert np.abs(gray - np.asarray(Image.fromarray(upright // 64 * 64).convert("L"), float)).max() <= 4


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_applied_to_files_and_pil_pictures(upright, tmp_path, orientation):
    stored = STORED[orientation](upright)
    path = save(tmp_path, stored, orientation=orientation)
    for X in (path, Image.open(path), ImageFiles([path])):
        np.testing.assert_array_equal(read_pictures(X)[0].pixels, upright)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ImageFiles([path])))[0], upright)
    np.testing.assert_array_equal(ImageFiles([path], orient=False)[0], stored)


def test_the_focal_length_follows_orientation_and_size(tmp_path):
    # 26 mm on film of 36 x 24 mm, whose diagonal is 43.267 mm
    for shape, orientation in (((60, 80), 1), ((60, 80), 6), ((30, 40), 1)):
        path = save(tmp_path, np.zeros((*shape, 3), np.uint8), "p.jpg", focal35=26, orientation=orientation)
        diagonal = np.hypot(*shape)
        assert read_pictures(path)[0].focal == pytest.approx(26 / 43.2666 * diagonal, rel=1e-4)
    # 4 mm behind 2500 px a cm: 1000 px of a picture 80 px wide; 500 px where it was made half as large
    tags = {"focal": 4.0, "plane_x": 250.0, "plane_unit": 3, "width": 80, "height": 60}
    for shape, focal in (((60, 80), 100.0), ((30, 40), 50.0), ((80, 60), 100.0)):
        path = save(tmp_path, np.zeros((*shape, 3), np.uint8), "q.jpg", **tags)
        assert read_pictures(path)[0].focal == pytest.approx(focal)


def test_exif_data_that_cannot_be_right_are_not_used(tmp_path):
    black = np.zeros((60, 80, 3), np.uint8)
    for tags in (
        {},
        {"focal35": 0},
        {"focal35": 26, "width": 200, "height": 60},  # cut out of a wider picture
        {"focal": 4.0},
        {"focal": 4.0, "plane_x": 250.0, "plane_unit": 9},
        {"focal35": 60000},
    ):
        assert read_pictures(save(tmp_path, black, "p.jpg", **tags))[0].focal is None


def test_the_guessed_camera_sees_the_stated_angle():
    picture = Picture(np.zeros((481, 641, 3), np.uint8))
    camera = guess_camera(picture, 90.0)
    corner = np.linalg.inv(camera) @ [320 + 320, 240 + 240, 1.0]  # half a pixel inside the corner
    assert np.degrees(np.arctan(np.hypot(*corner[:2]))) == pytest.approx(45, abs=0.1)
    np.testing.assert_allclose(np.linalg.inv(camera) @ [320, 240, 1], [0, 0, 1], atol=1e-12)
    assert guess_camera(picture._replace(focal=500.0))[0, 0] == 500
    with pytest.raises(InputError, match="fov"):
        guess_camera(picture, 0.0)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (None, "argument: expected a path"),
        (3, "argument: expected a path"),
        ([], "argument: expected at least one picture"),
        ([np.zeros((4, 4, 3), np.uint8), "none.jpg"], r"argument: none\.jpg is missing"),
        ([np.zeros((4, 4, 3), np.uint8), 3.5], r"argument\[1\]: expected a picture"),
        (np.zeros((3, 8, 8)), "argument: expected a path"),
        (np.zeros((4, 4, 3), np.int64), "argument: expected uint8"),
        (np.full((4, 4, 3), 2.0), "argument: expected floats in 0 to 1"),
        (np.full((4, 4, 3), np.nan), "argument: expected floats in 0 to 1"),
        (np.zeros((0, 4, 3), np.uint8), "argument: expected a picture"),
        (HandFrames(side=["left"]), "argument: expected a HandFrames with rgb"),
    ],
)
def test_what_is_no_picture_is_named_in_the_error(X, message):
    with pytest.raises(InputError, match=message):
        read_pictures(X, "argument")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_header_that_names_too_many_pixels_is_enough(tmp_path, monkeypatch):
    path = huge_png(tmp_path / "huge.png", 12000, 10000)
    for read in (read_pictures, lambda path: ImageFiles([path])):
        with pytest.raises(InputError, match=r"at most 100000000 pixels .* 12000 x 10000 in .*huge\.png"):
            read(path)
    with pytest.raises(InputError, match=r"max_pixels.*bomb\.png|bomb\.png.*max_pixels"):
        read_pictures(huge_png(tmp_path / "bomb.png", 60000, 60000))
    with pytest.raises(InputError, match="at most 10 pixels"):
        read_pictures(np.zeros((4, 4, 3), np.uint8), max_pixels=10)
    with pytest.raises(InputError, match="folder"):
        read_pictures(tmp_path)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "p.heic").write_bytes(b"none")
    with pytest.raises(InputError, match="pillow-heif"):
        read_pictures(tmp_path / "p.heic")


def test_files_of_another_bit_depth_are_not_cast(tmp_path):
    Image.fromarray(np.full((4, 4), 200, np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((4, 4), 600, np.uint16)).save(tmp_path / "b.png")
    files = ImageFiles([tmp_path / "a.png", tmp_path / "b.png"], gray=True)
    with pytest.raises(InputError, match=r"uint8 .* uint16 in .*b\.png"):
        files[:]
    with pytest.raises(InputError, match="expected a list of files"):
        ImageFiles(str(tmp_path / "a.png"))


def test_relative_paths_survive_a_change_of_folder(upright, tmp_path, monkeypatch):
    save(tmp_path, upright)
    monkeypatch.chdir(tmp_path)
    files, picture = ImageFiles(["p.png"]), read_pictures("p.png")[0]
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(files[0], upright)
    np.testing.assert_array_equal(read_pictures(picture.path)[0].pixels, upright)
