"""Examples of the user guide that need nothing but themselves run as they stand there."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "user_guide.rst"


def example(title: str) -> str:
    """The first example of a section."""
    section = GUIDE.read_text(encoding="utf-8").split(f"{title}\n{'-' * len(title)}\n")[1]
    lines = section.split("::\n", 1)[1].splitlines()
    end = next(i for i, line in enumerate(lines) if line and not line.startswith(" "))
    return textwrap.dedent("\n".join(lines[:end]))


def test_gestures_are_told_apart_as_the_guide_says(capsys):
    pytest.importorskip("pandas")
    exec(compile(example("Numbers about a hand, for other models"), str(GUIDE), "exec"), {})
    score, *table = capsys.readouterr().out.splitlines()
    assert float(score) > 0.95
    bent = {line.rsplit(maxsplit=2)[0]: float(line.split()[-1]) for line in table[1:]}
    assert bent["fist"] > 60 > 30 > bent["point"]
