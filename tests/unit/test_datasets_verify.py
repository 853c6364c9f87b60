"""verify, and the readers that trust no file: pickles, JSON lists, MATLAB files, lines of text."""

from __future__ import annotations

import json
import os
import pickle
import pickletools
import tracemalloc

import numpy as np
import pytest
from scipy.io import savemat

from skhand.datasets import DatasetReport, verify
from skhand.datasets._files import (
    find_first,
    find_missing,
    read_lines,
    read_mat,
    read_mat_shapes,
    read_numbers,
    read_pickle,
    require_files,
)
from skhand.datasets._json import read_json_list
from skhand.datasets._report import Part
from skhand.datasets._verify import INSPECTORS
from skhand.exceptions import DataFileError, InputError


class Malicious:
    """Runs a shell command when an ordinary unpickler reads it."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("where", ["top", "inside", "array"])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, protocol, where):
    trace = tmp_path / "was_run"
    bad = Malicious(os.system, f"touch {trace}")
    content = {"top": bad, "inside": {0: {"xyz": [np.zeros(3), bad]}}, "array": np.array([bad], dtype=object)}
    path = tmp_path / "anno.pickle"
    path.write_bytes(pickle.dumps(content[where], protocol=protocol))
    with pytest.raises(DataFileError, match="anno.pickle: expected a pickle of numpy arrays.*system"):
        read_pickle(path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())
    assert trace.exists()  # so this file was one that runs


@pytest.mark.parametrize(
    "content",
    [
        Malicious(eval, "1"),
        Malicious(getattr, np.zeros(2), "tofile"),
        Malicious(np.load, "x.npy"),
        b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        b"cnumpy\nndarray.tofile\n.",
    ],
)
def test_other_callables_are_refused(tmp_path, content):
    path = tmp_path / "a.pickle"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    with pytest.raises(DataFileError, match="it asks for"):
        read_pickle(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_containers_are_read(tmp_path, protocol):
    content = {
        0: {"xyz": np.arange(6.0).reshape(2, 3), "f": np.float32(2.5), "t": (1, "a", None, True)},
        1: b"\xff",
        "names": np.array(["a", "bc"]),
        "order": np.asfortranarray(np.arange(6).reshape(2, 3)),
    }
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    got = read_pickle(path)
    np.testing.assert_array_equal(got[0]["xyz"], content[0]["xyz"])
    np.testing.assert_array_equal(got["order"], content["order"])
    assert got[0]["f"] == 2.5 and got[0]["t"] == (1, "a", None, True) and got[1] == b"\xff"
    assert got["names"].tolist() == ["a", "bc"]


def test_a_pickle_of_old_numpy_and_python_2_is_read(tmp_path):
    """As the publishers' files are: ``numpy.core``, and array bytes as Python 2 strings."""
    data = np.array([1.5, -2.0])
    raw = data.tobytes()
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        b"K\x00tb\x89U" + bytes([len(raw)]) + raw + b"tb."
    )
    assert list(pickletools.genops(content))[-1][0].name == "STOP"  # the test's own bytes are well formed
    path = tmp_path / "old.pickle"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_pickle(path), data)


def test_a_truncated_pickle_is_named(tmp_path):
    path = tmp_path / "a.pickle"
    content = pickle.dumps({i: np.zeros(9) for i in range(9)})
    for length in (0, 1, 50, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(DataFileError, match="a.pickle"):
            read_pickle(path)
    path.unlink()
    with pytest.raises(DataFileError, match="a.pickle"):
        read_pickle(path)


def test_json_items_are_those_of_the_list(tmp_path):
    path = tmp_path / "a.json"
    rng = np.random.default_rng(0)
    for content in (
        rng.normal(size=(1000, 21, 3)).tolist(),
        (rng.normal(size=20000) * 10.0 ** rng.integers(-9, 9, 20000)).tolist(),  # numbers meet chunk borders
        [],
        [[], {}, "a,b]", None, True, -1e-7, {"k": [1, {"q": "]"}]}],
    ):
        for indent in (None, 1):
            path.write_text(json.dumps(content, indent=indent))
            assert list(read_json_list(path)) == content
    for entry in ({"root": [1, 2]}, {"root": [1, 2], "n": 2}):
        path.write_text(json.dumps(entry) + "\n")
        assert list(read_json_list(path, key="root")) == [1, 2]


def test_a_number_may_end_anywhere_in_a_chunk(tmp_path):
    path = tmp_path / "a.json"
    for shift in range(20):
        path.write_text("[" + " " * (65520 + shift) + "-123.5e-10, 2]")
        assert list(read_json_list(path)) == [-123.5e-10, 2]


def test_json_is_read_in_bounded_memory(tmp_path):
    path = tmp_path / "big.json"
    item = json.dumps(np.zeros((21, 3)).tolist())
    with open(path, "w") as file:
        file.write("[" + ", ".join([item] * 8000) + "]")
    assert path.stat().st_size > 2.5e6
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_json_list(path)) == 8000
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def test_broken_json_is_named_with_the_item_and_in_bounded_memory(tmp_path):
    path = tmp_path / "a.json"
    text = json.dumps(np.arange(300.0).reshape(100, 3).tolist())
    for length in (len(text) - 1, len(text) - 3, len(text) // 2, 1):
        path.write_text(text[:length])
        with pytest.raises(DataFileError, match=r"a.json: expected a list.*after item \d+"):
            list(read_json_list(path))
    path.write_text(text[: text.index("[30.0")])
    with pytest.raises(DataFileError, match="after item 10"):
        list(read_json_list(path))
    for wrong in ('{"a": 1}', "", "3"):
        path.write_text(wrong)
        with pytest.raises(DataFileError, match="a.json: expected a list, got"):
            list(read_json_list(path))
    for wrong in ("[1,]", "[1, ]", "[1,\n\n]", "[,1]", "[1 2]", "[,]"):
        path.write_text(wrong)
        with pytest.raises(DataFileError, match=r"a.json: expected a list.*after item \d"):
            list(read_json_list(path))
    for wrong in ("[1] garbage", "[1]]", "[] 3", "[1]" + " " * 70000 + "x"):
        path.write_text(wrong)
        with pytest.raises(DataFileError, match="a.json: expected nothing after the list"):
            list(read_json_list(path))
    for wrong in ('{"root": [1]', '{"root": [1]} x', '{"root": [1] 2}'):
        path.write_text(wrong)
        with pytest.raises(DataFileError, match="a.json: expected nothing after the list"):
            list(read_json_list(path, key="root"))
    path.write_bytes(b"[\xff\xfe]")
    with pytest.raises(DataFileError, match="a.json"):
        list(read_json_list(path))
    path.write_text("[1, 2 x" + " 3, 4" * 10_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(DataFileError, match="damaged or ends inside or after item 1"):
            list(read_json_list(path))
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size
    finally:
        tracemalloc.stop()


def test_mat_variables(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"a": np.arange(6.0).reshape(1, 2, 3), "b": np.zeros((2, 2))})
    assert read_mat_shapes(path) == {"a": (1, 2, 3), "b": (2, 2)}
    got = read_mat(path, ["a"])
    assert list(got) == ["a"] and got["a"].tolist() == [[[0, 1, 2], [3, 4, 5]]]
    with pytest.raises(DataFileError, match=r"a.mat: expected the variables \['c'\]"):
        read_mat(path, ["c"])
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataFileError, match="a.mat: expected a readable MATLAB file"):
        read_mat(path, ["a"])
    with pytest.raises(DataFileError, match="b.mat"):
        read_mat_shapes(tmp_path / "b.mat")


def test_lines_and_numbers(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf1 2\r\n\n3;4 \n\n \n")
    lines = read_lines(path)
    assert lines == ["1 2", "", "3;4 "]
    assert read_numbers(lines[2], 2, path, 3, separators=";").tolist() == [3, 4]
    with pytest.raises(DataFileError, match="a.txt:1: expected 3 marks, got 2"):
        read_numbers(lines[0], 3, path, 1, what="marks")
    with pytest.raises(DataFileError, match="a.txt:1: expected 2 numbers"):
        read_numbers("1 x", 2, path, 1)
    path.write_bytes(b"\xff\xff")
    with pytest.raises(DataFileError, match="a.txt"):
        read_lines(path)


def test_missing_files_are_named(tmp_path):
    (tmp_path / "a.png").touch()
    paths = [tmp_path / "a.png", tmp_path / "b.png", tmp_path / "none" / "c.png"]
    assert find_missing(paths) == [str(path) for path in paths[1:]]
    require_files(paths[:1])
    with pytest.raises(DataFileError, match="3 pictures, 2 of them are missing, first .*b.png.*verify"):
        require_files(paths)
    assert find_first(tmp_path, "x", "a.png") == tmp_path / "a.png"
    with pytest.raises(DataFileError, match="x or y.*skhand.datasets.verify"):
        find_first(tmp_path, "x", "y")


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


def test_an_empty_folder_is_reported_by_every_inspector(tmp_path, capsys):
    for name in INSPECTORS:
        report = verify(tmp_path, name)
        assert not report.complete and sum(part.n_found for part in report.parts) == 0
    assert "missing" in capsys.readouterr().out
