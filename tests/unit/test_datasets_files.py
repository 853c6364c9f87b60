"""Readers that trust no file: pickles, MATLAB files, lines of text; and files that are missing."""

from __future__ import annotations

import os
import pickle
import pickletools

import numpy as np
import pytest
from scipy.io import savemat

from skhand.datasets._files import (
    find_first,
    find_missing,
    read_lines,
    read_mat,
    read_mat_shapes,
    read_pickle,
    require_files,
)
from skhand.datasets._numbers import read_numbers
from skhand.exceptions import DataFileError


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
