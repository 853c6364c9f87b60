"""Numbers of label files: ASCII digits, finite, of the right count; and lines that were cut off."""

from __future__ import annotations

import numpy as np
import pytest

from skhand.datasets._files import join_label, read_lines
from skhand.datasets._json import read_json, read_json_list
from skhand.datasets._numbers import check_end, check_intrinsics, check_numbers, parse_count, read_numbers
from skhand.exceptions import DataFileError

GOOD = {"1": 1, "-2.5": -2.5, "+3.": 3, ".5": 0.5, "1e-3": 0.001, "-1.25E+02": -125, "007": 7}
WRONG = [
    "inf",
    "nan",
    "1e400",
    "1e10",
    "1_000",
    "\u0661",
    "\u00b2",
    "\uff11",
    "0x1",
    "1e",
    "--1",
    "1.2.3",
    "e5",
]


@pytest.mark.parametrize("word", GOOD)
def test_numbers_are_those_of_their_digits(word):
    assert read_numbers(f"{word} {word}", 2, "a.txt", 1).tolist() == [GOOD[word]] * 2


@pytest.mark.parametrize("word", [*WRONG, "9" * 5000])
def test_other_words_are_refused_with_file_and_line(word):
    with pytest.raises(DataFileError, match=r"a\.txt:7: expected 2 marks.*, got") as error:
        read_numbers(f"1 {word}", 2, "a.txt", 7, what="marks")
    assert len(str(error.value)) < 200


def test_counts_are_ascii_digits():
    assert parse_count("0012") == 12
    for text in ("", "\u00b2", "\u0663", "-1", "1.0", "1_0", " 1", "9" * 10):
        assert parse_count(text) is None


def write(path, text):
    path.write_text(text)
    lines = read_lines(path)
    check_end(lines, path)
    return lines


@pytest.mark.parametrize("text", ["1.25 2.50\n3.75 4.00\n", "1.5, 2.5;\n3.5, 4.5;\n", "7 8 \n9 10 \n"])
def test_each_cut_of_the_last_number_is_found_where_lines_end_alike_or_decimals_do(tmp_path, text):
    path = tmp_path / "a.txt"
    assert len(write(path, text)) == 2
    whole = text.rstrip("\n")
    assert write(path, whole) == whole.split("\n")
    last = max(whole.rfind(" ", 0, len(whole) - 1), whole.rfind("\n")) + 1
    for length in range(last + 1, len(whole)):
        with pytest.raises(DataFileError, match=r"a\.txt:2: expected a whole line"):
            write(path, whole[:length])


def test_a_cut_that_no_rule_tells_passes(tmp_path):
    """As the docs say: whole numbers without anything behind them."""
    assert write(tmp_path / "a.txt", "10 20\n30 4") == ["10 20", "30 4"]


@pytest.mark.parametrize("content", [b"1 2\n3 \xc2\xb2\n", "1\n\u0661\n".encode(), b"1\n2\x00\n"])
def test_text_is_ascii(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataFileError, match=r"a\.txt:2: expected ASCII"):
        read_lines(tmp_path / "a.txt")


@pytest.mark.parametrize(
    "value",
    [
        [1, "2"],
        ["1", "2"],
        [1, True],
        [1, None],
        [1, np.inf],
        [1, np.nan],
        [1, 10**400],
        [1, 2, 3],
        [[1], [2]],
        3,
    ]
    + [
        "12",
        None,
        {"a": 1},
        np.array(["1", "2"]),
        np.array([1, 2], object),
        np.array([1, 2j]),
        np.array([1e30, 0]),
    ]
    + [np.array([True, False])],
)
def test_values_that_are_not_two_finite_numbers_are_refused(value):
    with pytest.raises(DataFileError, match=r"a\.json: item 3: expected xyz"):
        check_numbers(value, (2,), "a.json: item 3", "xyz")


def test_good_values_are_float64():
    for value in ([1, 2.5], (1, 2.5), np.array([1, 2.5], np.float32), [np.float32(1), 2.5]):
        got = check_numbers(value, (2,), "a", "b")
        assert got.dtype == np.float64 and got.tolist() == [1, 2.5]
    assert check_numbers(3, (), "a", "b") == 3


def test_intrinsics_need_focal_lengths():
    good = np.array([[300.0, 0, 10], [0, 300, 10], [0, 0, 1]])
    np.testing.assert_array_equal(check_intrinsics(good.tolist(), "a"), good)
    for place, value in (((0, 0), 0), ((1, 1), -300), ((0, 0), np.inf), ((2, 2), 0), ((2, 0), 1)):
        wrong = good.copy()
        wrong[place] = value
        with pytest.raises(DataFileError, match="a: expected K"):
            check_intrinsics(wrong, "a")


def test_json_without_constants_depth_and_huge_digits(tmp_path):
    path = tmp_path / "a.json"
    for text in ("[1, NaN]", "[1, -Infinity]", "[1, " + "[" * 100_000, "[1, " + "9" * 5000 + "]"):
        path.write_text(text)
        with pytest.raises(DataFileError, match=r"a\.json.*item 1"):
            list(read_json_list(path))
        with pytest.raises(DataFileError, match=r"a\.json"):
            read_json(path)


@pytest.mark.parametrize(
    "name", ["../x.png", "a/../../x.png", "/etc/passwd", "", "a//b", "..", "a\\b", "c:/x"]
)
def test_no_label_leads_out_of_its_folder(tmp_path, name):
    with pytest.raises(DataFileError, match="labels:3: expected the name of a file below"):
        join_label(tmp_path, name, "labels:3")


def test_labels_below_the_folder_are_joined(tmp_path):
    assert join_label(tmp_path, "a/b..c/d.png", "labels:3") == tmp_path / "a" / "b..c" / "d.png"
