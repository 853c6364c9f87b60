"""README's examples run as they stand there, and its two commands are those of the installation page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from skhand.datasets import make_hands
from skhand.tracking import HandTracker

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def example(title: str) -> str:
    """The Python of a section."""
    return re.search(rf"## {title}\n.*?```python\n(.*?)```", README, re.S)[1]


def errors_of(code: str, capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """Lines that the first example prints."""
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    return {name: float(error) for name, error in re.findall(r"^(.+): ([\d.]+) mm$", printed, re.M)}


def test_the_two_commands_are_those_of_the_installation_page():
    commands = re.search(r"```sh\n(.*?)```", README, re.S)[1].splitlines()
    assert commands == ['pip install ".[plot]" && skhand demo', 'pip install ".[test,plot]" && pytest']
    page = (ROOT / "docs" / "install.rst").read_text(encoding="utf-8")
    assert all(f"    {command}\n" in page for command in commands)


def test_the_first_example_runs(capsys):
    code = example("A first example").replace("2000", "150").replace("max_epochs=10", "max_epochs=1")
    assert set(errors_of(code, capsys)) == {"mean pose", "lifted from 2D to 3D"}


@pytest.mark.slow
def test_the_first_example_prints_what_the_readme_says(capsys):
    errors = errors_of(example("A first example"), capsys)
    assert list(errors.values()) == pytest.approx([31.3, 17.1], abs=0.5)
    assert "31.3 mm for the mean pose and 17.1 mm" in re.sub(r"\s+", " ", README)


def test_a_hand_in_a_photograph(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    camera = [[285.0, 0.0, 159.5], [0.0, 285.0, 159.5], [0.0, 0.0, 1.0]]
    hand = make_hands(
        19, image_size=320, n_subjects=24, framing=camera, distance=(350.0, 550.0), rotation=60.0,
        images=("rgb",), lazy=True, random_state=5,
    )  # fmt: skip
    Image.fromarray(hand.data.rgb[18]).save("photo.jpg", quality=95)
    assert len(HandTracker().predict("photo.jpg")) == 1
    exec(compile(example("A hand in a photograph"), "README.md", "exec"), {})
    with Image.open("overlay.png") as overlay, Image.open("photo.jpg") as photo:
        assert overlay.size == photo.size and overlay.tobytes() != photo.tobytes()
