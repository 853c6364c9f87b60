"""JSON lists that are read item by item."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest

from skhand.datasets._json import read_json_list
from skhand.exceptions import DataFileError


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
