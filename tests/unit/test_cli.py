"""The command line as a whole: help, exit codes, one line an error, and the small commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import skhand
from skhand.cli import _main, demo, evaluate, fit, main, predict, render
from skhand.datasets import load_rhd
from skhand.exceptions import DivergenceError


def test_help_in_a_process_of_its_own():
    call = [sys.executable, "-m", "skhand", "--help"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == ""
    assert all(name in done.stdout for name in ("demo", "predict", "fit", "evaluate", "render", "data"))


def test_help_says_what_is_taken_where_an_option_is_left_out(capsys):
    for words, line in (
        (["predict"], "folder for the results; skhand-out by default"),
        (["fit"], "passes over the pictures; 20 by default"),
        (["evaluate"], "the report; report.html by default"),
        (["render"], "training pictures; 100 by default"),
        (["demo"], "folder for pictures and the model; skhand-demo by default"),
        (["data", "verify"], "auto finds it by its files; auto by default"),
    ):
        assert main([*words, "--help"]) == 0
        told = " ".join(capsys.readouterr().out.split())
        assert line in told, told
        assert "None by default" not in told and "False by default" not in told
        assert "==SUPPRESS==" not in told


def test_help_needs_no_torch():
    code = (
        "import sys; from skhand.cli import main; main(['predict', '--help']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "False"


def test_version_and_wrong_commands(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"skhand {skhand.__version__}\n"
    for words in ([], ["learn"], ["data"]):
        assert main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("skhand: error: ")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "skhand: stopped"),
        (
            ImportError("it needs this:\n  pip install that"),
            2,
            "skhand: error: it needs this: pip install that",
        ),
        (
            PermissionError(13, "Permission denied", "x"),
            2,
            "skhand: error: [Errno 13] Permission denied: 'x'",
        ),
        (DivergenceError("epoch 1"), 1, "skhand: error: epoch 1"),
    ],
)
def test_errors_are_one_line_and_a_code(monkeypatch, capsys, error, code, line):
    def fail(args):
        raise error

    monkeypatch.setattr(render, "run", fail)
    assert main(["render", "somewhere"]) == code
    assert capsys.readouterr().err == line + "\n"


@pytest.fixture
def locked(tmp_path):
    """A folder in which nobody may write."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):  # root may
        folder = Path("/proc")
    if not folder.is_dir() or sys.platform == "win32":
        pytest.skip("no folder that cannot be written")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        "demo --out LOCKED",
        "predict a.png --out LOCKED",
        "predict a.png --out LOCKED/new",
        "predict a.png --out LOCKED --no-overlays",
        "fit DATA --out LOCKED/model",
        "evaluate hands DATA --out LOCKED/report.html",
        "evaluate hands DATA --out LOCKED/new/report.html",
    ],
)
def test_a_place_that_cannot_be_written_is_told_before_any_work(locked, tmp_path, monkeypatch, capsys, words):
    """There is nothing to work on, and no complaint about that."""
    for module, work in (
        (demo, "_render"),
        (fit, "_split"),
        (predict, "_predict_picture"),
        (evaluate, "_load"),
    ):
        monkeypatch.setattr(module, work, lambda *args: pytest.fail("has begun to work"))
    words = words.replace("LOCKED", str(locked)).replace("DATA", str(tmp_path)).split()
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"skhand: error: --out: expected a folder that can be written, got {locked}")


@pytest.mark.parametrize(
    "words",
    [
        "evaluate hands NONE --out OUT/new/report.html",
        "evaluate NONE.safetensors DATA --out OUT/new/report.html",
        "evaluate hands DATA --out OUT/new/report.html",
        "fit DATA --out OUT/model",
        "predict NONE --out OUT/found",
        "predict NONE.jpg NONE.mp4 --out OUT/found",
        "predict EMPTY --out OUT/found",
        "predict PICTURE --model NONE.safetensors --out OUT/found",
    ],
)
def test_wrong_input_leaves_no_file_and_no_folder(tmp_path, capsys, words):
    pytest.importorskip("matplotlib")
    for name in ("OUT", "DATA", "EMPTY"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "PICTURE.png")
    (tmp_path / "DATA" / "hands.csv").write_text("picture\nnone.png\n")
    words = [
        str(tmp_path / word) if word.split("/")[0].split(".")[0].isupper() else word for word in words.split()
    ]
    words = [f"{word}.png" if word.endswith("PICTURE") else word for word in words]
    assert main(words) != 0
    assert capsys.readouterr().err.startswith("skhand: error: ")
    assert list((tmp_path / "OUT").iterdir()) == []


def test_a_file_that_is_no_picture_replaces_no_table_and_makes_no_folder(tmp_path, capsys):
    table, notes = tmp_path / "out" / "hands.csv", tmp_path / "notes.jpg"
    table.parent.mkdir()
    table.write_text("corrected by hand")
    notes.write_text("no picture")
    for out in (table.parent, tmp_path / "new"):
        assert main(["predict", str(notes), "--out", str(out)]) == 1
        assert "notes.jpg" in capsys.readouterr().err
    assert table.read_text() == "corrected by hand" and not (tmp_path / "new").exists()
    assert list(table.parent.iterdir()) == [table]


def test_a_name_mistyped_replaces_no_table_of_an_earlier_call(tmp_path, capsys):
    table = tmp_path / "out" / "hands.csv"
    table.parent.mkdir()
    table.write_text("of an earlier call")
    assert main(["predict", str(tmp_path / "phtos"), "--out", str(table.parent)]) == 1
    assert "phtos is missing" in capsys.readouterr().err
    assert table.read_text() == "of an earlier call"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_enough_ends_a_command_quietly(unbuffered):
    """As with ``| head``; Python writes when it ends, or at once."""
    call = subprocess.Popen(
        [sys.executable, "-c", "from skhand.cli import main; import sys; sys.exit(main(['--version']))"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    call.stdout.close()
    assert call.stderr.read() == b""
    assert call.wait(timeout=120) in (0, 1)


def test_a_fault_of_ours_is_not_hidden(monkeypatch):
    monkeypatch.setattr(render, "run", lambda args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        _main.main(["render", "somewhere"])


def test_render_and_verify(tmp_path, capsys):
    words = ["render", str(tmp_path / "rhd"), "-n", "4", "--size", "48", "--evaluation", "2", "--seed", "3"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "4 pictures" in told.out and told.err == ""  # no bar in a pipe
    train, test = (load_rhd(tmp_path / "rhd", split) for split in ("train", "test"))
    assert train.data.rgb.shape == (4, 48, 48, 3) and len(test.target) == 2
    assert np.isfinite(train.target).all() and train.data.depth[0].max() > 0
    assert train.data.camera[0, 0, 0] == pytest.approx(284.8 * 48 / 320)
    inside = (train.data.keypoints2d > -0.5) & (train.data.keypoints2d < 47.5)
    assert inside.mean() > 0.95
    assert main([*words[:2], "-n", "1"]) == 2
    assert "OUT: expected a folder without training" in capsys.readouterr().err
    assert main(["data", "verify", str(tmp_path / "rhd")]) == 1  # of 41 258
    assert "published 41258" in capsys.readouterr().out
    assert main(["data", "verify", str(tmp_path), "--dataset", "rdh"]) == 2
    assert "dataset: expected one of" in capsys.readouterr().err
    assert main(["data", "verify", str(tmp_path / "rhd" / "training")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("skhand: error: DIR: expected the folder of one of ") and "by --dataset." in told
