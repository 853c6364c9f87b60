"""verify: which data set a folder holds, and what of it is missing."""

from __future__ import annotations

import numpy as np
import pytest

from skhand.datasets import DatasetReport, load_synth_hands, verify
from skhand.datasets._report import Part
from skhand.datasets._verify import INSPECTORS
from skhand.exceptions import DataFileError, InputError


def test_report_says_what_is_complete():
    whole, several = Part("a", 10, 10), Part("b", 5, (5, 6))
    short, absent = Part("c", 9, 10), Part("d", 10, 10, ["d/1.png"])
    report = DatasetReport("rhd", "folder", [whole, several])
    assert report.complete and report.missing == []
    assert not DatasetReport("rhd", "folder", []).complete
    assert not DatasetReport("rhd", "folder", [whole, short]).complete
    report = DatasetReport("rhd", "folder", [whole, absent])
    assert not report.complete and report.missing == ["d/1.png"]
    assert "published 5 or 6" in str(DatasetReport("rhd", "folder", [several]))
    many = str(DatasetReport("rhd", "folder", [Part("e", 0, 50, [f"{i}.png" for i in range(50)])]))
    assert "19.png" in many and "20.png" not in many and "30 more missing files" in many


def test_verify_recognises_or_asks(tmp_path, capsys):
    with pytest.raises(DataFileError, match="looks like none of them. Name it by dataset="):
        verify(tmp_path)
    report = verify(tmp_path, "rhd")
    assert report.missing == ["training/anno_training.pickle", "evaluation/anno_evaluation.pickle"]
    assert "training/anno_training.pickle" in capsys.readouterr().out
    for name in ("rhd/training/anno_training.pickle", "rhd/train/joint_data.mat"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(DataFileError, match="looks like nyu and rhd"):
        verify(tmp_path / "rhd")
    with pytest.raises(InputError, match="data_dir: expected the folder"):
        verify(tmp_path / "nowhere")
    with pytest.raises(InputError, match="dataset: expected one of"):
        verify(tmp_path, "coco")


FOREIGN = (".DS_Store", "Thumbs.db", "._00000.png", "._000000_depth.bin", "desktop.ini", "notes.png", "a.jpg")


@pytest.mark.parametrize(
    ("dataset", "folder", "names"),
    [
        ("msra", "P0/1", ["000000_depth.bin", "000001_depth.bin"]),
        ("rhd", "training/color", ["00000.png", "00001.png"]),
        ("freihand", "training/rgb", ["00000000.jpg", "00000001.jpg"]),
    ],
)
def test_foreign_files_are_no_frames(tmp_path, capsys, dataset, folder, names):
    place = tmp_path / folder
    place.mkdir(parents=True)
    for name in (*names, *FOREIGN):
        (place / name).touch()
    assert verify(tmp_path, dataset).parts[0].n_found == 2


def test_foreign_files_stand_for_no_picture(tmp_path, capsys):
    """A resource fork of a picture that is missing is not that picture."""
    from unit.test_load_dexter_object import tips, write_sequence
    from unit.test_load_synth_hands import VIEWS, write_frame

    write_sequence(tmp_path / "dexter", "Rigid", tips("Rigid"))
    depth = tmp_path / "dexter/data/Rigid/depth"
    for name in FOREIGN[:3]:
        (depth / name).touch()
    (depth / "image_00001_depth.png").rename(depth / "._image_00001_depth.png")
    part = verify(tmp_path / "dexter", "dexter_object").parts[0]
    assert part.n_found == 2 and "data/Rigid/depth/image_00001_depth.png" in part.missing
    (depth / "copy 2.png").touch()
    with pytest.raises(DataFileError, match="expected one picture of number 2"):
        verify(tmp_path / "dexter", "dexter_object")
    write_frame(tmp_path / "synth" / VIEWS[0], 0, np.full((21, 3), 430.0))
    for name in FOREIGN:
        (tmp_path / "synth" / VIEWS[0] / name).touch()
    assert sum(part.n_found for part in verify(tmp_path / "synth", "synth_hands").parts) == 1
    assert len(load_synth_hands(tmp_path / "synth").data) == 1


def test_an_empty_folder_is_reported_by_every_inspector(tmp_path, capsys):
    for name in INSPECTORS:
        report = verify(tmp_path, name)
        assert not report.complete and sum(part.n_found for part in report.parts) == 0
    assert "missing" in capsys.readouterr().out
