"""ImageFiles and other readers of pictures: bit depths, palettes, checksums, pipes, folders and paths."""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from skhand import HandFrames, ImageFiles
from skhand._decoding import list_pictures
from skhand._pictures import read_pictures
from skhand.datasets import load_rhd, load_synth_hands, make_hands
from skhand.datasets._depth import read_coded_depth, read_depth
from skhand.exceptions import InputError

GREEN = (14, 255, 14)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path)
    return path


def deep_png(path, values):
    """Write a colour PNG of 16 bits a channel, which Pillow cannot; values (height, width, 3)."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_masks_of_eight_bits_and_of_one_are_not_mixed(tmp_path, order):
    save(tmp_path / "0.png", np.full((4, 4), 255, np.uint8))
    save(tmp_path / "1.png", np.ones((4, 4), bool))
    files = ImageFiles([tmp_path / f"{i}.png" for i in order], gray=True)
    with pytest.raises(InputError, match=rf"(uint8|bool) .* (uint8|bool) in .*{order[1]}\.png"):
        files[:]


def test_sixteen_bit_grey_as_colour_is_scaled_and_not_cut(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    pixels = ImageFiles([save(tmp_path / "a.png", ramp)])[0]
    np.testing.assert_allclose(pixels[..., 0], ramp / 257.0, atol=0.51)
    assert (pixels == 255).mean() < 0.01


def test_big_endian_files_are_of_the_same_dtype_as_little_ones(tmp_path):
    values = np.arange(12, dtype=np.uint16).reshape(3, 4) * 1000
    Image.fromarray(values).save(tmp_path / "a.png")
    head = b"MM\0*\0\0\0\x08" + struct.pack(">H", 8)
    tags = [(256, 4, 4), (257, 4, 3), (258, 3, 16 << 16), (259, 3, 1 << 16), (262, 3, 1 << 16)]
    tags += [(273, 4, 110), (278, 4, 3), (279, 4, 24)]
    content = head + b"".join(struct.pack(">HHII", tag, kind, 1, value) for tag, kind, value in tags)
    content += b"\0\0\0\0"
    (tmp_path / "b.tif").write_bytes(content + values.astype(">u2").tobytes())
    files = ImageFiles([tmp_path / "a.png", tmp_path / "b.tif"], gray=True)
    assert files.dtype == np.uint16
    np.testing.assert_array_equal(files[:], [values, values])


def test_what_a_reader_raises_comes_with_the_file(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(InputError, match=r"^reader: ZeroDivisionError at .*a\.png") as caught:
        ImageFiles([path], reader=lambda path: 1 / 0)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_reader_keeps_to_one_dtype_and_returns_arrays(tmp_path):
    paths = [tmp_path / "8", tmp_path / "16"]

    def read(path):
        return np.full((4, 4), 600 % 256, np.uint8 if path.endswith("8") else np.uint16)

    with pytest.raises(InputError, match="uint8 as in .*8, got .* uint16 in .*16"):
        ImageFiles(paths, reader=read)[:]
    for wrong in ([[1, 2]], None, np.array(3), np.array([["a"]], dtype=object)):
        with pytest.raises(InputError, match="reader: expected it to return an array"):
            ImageFiles(paths, reader=lambda path, wrong=wrong: wrong)


def test_a_folder_gives_its_pictures_by_name(tmp_path):
    for name, shade in (("b.png", 2), ("a.jpg", 1), ("c.PNG", 3), (".hidden.png", 9), ("below/d.png", 9)):
        save(tmp_path / name, np.full((8, 8, 3), shade, np.uint8))
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "._a.jpg").write_bytes(b"x")
    for folder in (tmp_path, str(tmp_path)):
        files = ImageFiles(folder)
        assert [os.path.basename(path) for path in files.paths] == ["a.jpg", "b.png", "c.PNG"]
        assert files[:][:, 0, 0, 0].tolist() == [1, 2, 3]
    assert len(list_pictures(tmp_path, below=True)) == 4
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="paths: expected pictures in the folder .*none"):
        ImageFiles(tmp_path / "none")


@pytest.mark.parametrize("wrong", [3, None, b"ab", [3], ["a.png", None], {"a.png": 1}, [b"a.png"]])
def test_what_is_no_list_of_files_is_named(wrong):
    with pytest.raises(InputError, match="paths: expected a list of files"):
        ImageFiles(wrong)


def test_pipes_folders_and_devices_are_no_pictures(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "pipe.png", tmp_path / "folder.png", "/dev/zero"):
        with pytest.raises(InputError, match=f"{path}"):
            ImageFiles([path])
        with pytest.raises(InputError, match=f"{path}"):
            read_pictures([path, path])


def test_each_byte_of_a_png_is_checked(tmp_path):
    path = save(tmp_path / "a.png", np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    content, whole = path.read_bytes(), ImageFiles([path])[0]
    refused = 0
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        try:
            np.testing.assert_array_equal(ImageFiles([path])[0], whole)
        except InputError as error:
            assert "a.png" in str(error)
            refused += 1
    assert refused >= len(content) - 8  # what stands behind the last pixel changes none


def test_a_heic_file_says_what_to_install_whatever_its_name(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 60)
    (tmp_path / "none.jpg").write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0mif1heic" + b"\0" * 60)
    with pytest.raises(InputError, match="phone.jpg.*install pillow-heif"):
        ImageFiles([tmp_path / "phone.jpg"])
    with pytest.raises(InputError, match="none.jpg") as error:
        ImageFiles([tmp_path / "none.jpg"])
    assert "heif" not in str(error.value)


def test_heic_is_read_where_its_package_is_installed(tmp_path, monkeypatch):
    """The opener that the package registers is a stand-in here: it reads a PNG behind the header."""
    head, buffer = b"\0\0\0\x18ftypheic", io.BytesIO()
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    Image.fromarray(pixels).save(buffer, "PNG")
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(head + buffer.getvalue())

    def opened(file, name=None):
        file.seek(len(head))
        return Image.open(io.BytesIO(file.read()))

    def register():
        monkeypatch.setattr(Image, "ID", [*Image.ID, "STAND-IN"])
        monkeypatch.setitem(Image.OPEN, "STAND-IN", (opened, lambda prefix: prefix.startswith(head)))

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=register))
    np.testing.assert_array_equal(ImageFiles([path])[0], pixels)


def test_heic_as_phones_write_it(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    pixels = np.full((64, 96, 3), (200, 30, 40), np.uint8)
    heif.from_bytes("RGB", (96, 64), pixels.tobytes()).save(tmp_path / "a.heic", quality=90)
    read = ImageFiles([tmp_path / "a.heic"])[0]
    assert read.shape == (64, 96, 3)
    np.testing.assert_allclose(read.reshape(-1, 3).mean(axis=0), (200, 30, 40), atol=4)


def test_a_damaged_pil_picture_is_named(tmp_path):
    path = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match=r"X\[1\]: expected a picture that can be decoded"):
        read_pictures([np.zeros((4, 4, 3), np.uint8), Image.open(path)])


def test_depth_has_its_bits_and_channels_or_is_refused(tmp_path):
    values = np.array([[400, 32001], [0, 65535]], np.uint16)
    np.testing.assert_array_equal(read_depth(save(tmp_path / "a.png", values)), values)
    code = np.stack([values % 256, values // 256, values * 0], axis=-1).astype(np.uint8)
    np.testing.assert_array_equal(read_coded_depth(save(tmp_path / "b.png", code), low=0, high=1), values)
    small = (values % 256).astype(np.uint8)
    wrong = {
        "eight": small,
        "one": small > 9,
        "colour": code,
        "palette": Image.fromarray(small).convert("P"),
    }
    for name, pixels in wrong.items():
        with pytest.raises(InputError, match=f"{name}.png: expected a 16-bit depth picture"):
            read_depth(save(tmp_path / f"{name}.png", pixels))
    deep_png(tmp_path / "deep.png", code.astype(np.uint16) * 257)
    Image.fromarray(code).save(tmp_path / "lossy.jpg")
    for path in (tmp_path / "a.png", tmp_path / "eight.png", tmp_path / "palette.png", tmp_path / "one.png"):
        with pytest.raises(InputError, match=f"{path.name}: expected depth in the bytes"):
            read_coded_depth(path, low=0, high=1)
    with pytest.raises(InputError, match="deep.png: expected depth in the bytes.*16 bits"):
        read_coded_depth(tmp_path / "deep.png", low=0, high=1)
    with pytest.raises(InputError, match="lossy.jpg: expected depth in the bytes.*no PNG"):
        read_coded_depth(tmp_path / "lossy.jpg", low=0, high=1)


def test_pictures_of_a_loader_survive_a_change_of_folder(tmp_path, monkeypatch):
    from unit.test_load_rhd import write_copy

    write_copy(tmp_path / "rhd", areas=((30, 20),))
    monkeypatch.chdir(tmp_path)
    plain, cached = load_rhd("rhd"), load_rhd("rhd", cache="cache")
    monkeypatch.chdir("/")
    for name in ("rgb", "depth", "mask"):
        np.testing.assert_array_equal(getattr(plain.data, name)[:], getattr(cached.data, name)[:])


@pytest.fixture
def green(tmp_path):
    """Folder of SynthHands with one frame, and a folder for backgrounds."""
    from unit.test_load_synth_hands import VIEWS, write_frame

    points = np.random.default_rng(0).uniform(-60, 60, (21, 3)) + (0, 0, 430)
    write_frame(tmp_path / "data" / VIEWS[0], 0, points)
    return tmp_path / "data", tmp_path / "behind"


def test_backgrounds_are_checked_as_all_pictures(green):
    data, behind = green
    save(behind / "a.png", np.full((480, 640), 30000, np.uint16))
    for name in ("._a.png", ".DS_Store", "Thumbs.db", ".cache/b.png"):
        (behind / name).parent.mkdir(exist_ok=True)
        (behind / name).write_bytes(b"no picture")
    rgb = load_synth_hands(data, backgrounds=behind).data.rgb[0]
    assert rgb[0, 0].tolist() == [round(30000 / 257)] * 3  # and not 255
    bunch = make_hands(2, image_size=16, backgrounds=str(behind), random_state=0)
    assert np.median(bunch.data.rgb[:]) < 200  # as bright as what was saved, and not white
    os.remove(behind / "a.png")
    os.mkfifo(behind / "b.png")
    with pytest.raises(InputError, match=r"backgrounds: .*b\.png"):
        load_synth_hands(data, backgrounds=behind).data.rgb[0]


def test_a_picture_s_first_exif_turn_is_that_of_backgrounds_too(tmp_path):
    """A background that is white above and black below stays so, however its pixels lie in the file."""
    from skhand.rendering.pictures import _window

    stored = np.zeros((64, 64, 3), np.uint8)
    stored[:, :32] = 255
    picture, exif = Image.fromarray(stored), Image.Exif()
    exif[0x0112] = 6  # turn clockwise: left becomes up
    picture.save(tmp_path / "a.png", exif=exif)
    window = _window(tmp_path / "a.png", np.array([1.0, 0, 0, 1.0]), 64)
    assert window[:20].mean() > 250 and window[-20:].mean() < 5


def test_tables_of_files_say_what_to_do_with_sizes(tmp_path):
    paths = [save(tmp_path / f"{i}.png", np.zeros((8 + i, 8, 3), np.uint8)) for i in range(2)]
    with pytest.raises(InputError, match=r"1\.png; for pictures that are cropped afterwards: one_size=False"):
        HandFrames(rgb=ImageFiles(paths)).rgb[:]
