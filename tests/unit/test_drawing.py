"""draw_hand: what it draws where, and what it refuses."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageColor

from skhand._drawing import FINGER_COLOURS
from skhand.exceptions import CameraError, InputError
from skhand.geometry import project
from skhand.plotting import draw_hand
from skhand.skeleton import FINGERS

CAMERA = np.array([[200.0, 0.0, 80.0], [0.0, 200.0, 60.0], [0.0, 0.0, 1.0]])


@pytest.fixture
def hand():
    """Joints, mm, whose fingers are five columns."""
    points = np.array([[0.0, 30.0], *([10.0 * f - 20, 10.0 - 15 * k] for f in range(5) for k in range(4))])
    return np.column_stack([points, np.full(21, 200.0)])


@pytest.fixture
def picture():
    return np.full((120, 160, 3), 90, np.uint8)


def test_each_finger_has_its_colour_where_the_camera_sees_it(hand, picture):
    drawn = np.asarray(draw_hand(picture, hand, CAMERA, width=4))
    points = project(hand, CAMERA)
    np.testing.assert_array_equal(drawn, np.asarray(draw_hand(picture, points, width=4)))
    for finger, joints in FINGERS.items():
        u, v = points[list(joints[1:3])].mean(axis=0).round().astype(int)  # the middle of a bone
        np.testing.assert_array_equal(drawn[v, u], ImageColor.getrgb(FINGER_COLOURS[finger]))
    assert (picture == 90).all()
    changed = (drawn != 90).any(axis=2)
    assert not changed[:, :40].any() and changed.sum() < 6000


def test_several_hands_files_and_pil_pictures_are_drawn(hand, picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "p.png")
    two = np.stack([hand, hand + [30, 0, 0]])
    expected = np.asarray(draw_hand(picture, two, np.stack([CAMERA] * 2), colour="red"))
    for kind in (tmp_path / "p.png", Image.fromarray(picture), picture / 255.0):
        np.testing.assert_array_equal(np.asarray(draw_hand(kind, two, CAMERA, colour="red")), expected)
    assert (expected == (255, 0, 0)).all(axis=2).any()
    assert draw_hand(picture, np.empty((0, 21, 2))).size == (160, 120)


def test_unknown_hidden_and_distant_joints_are_left_out(hand, picture):
    for broken in (np.full((21, 2), np.nan), np.full((21, 2), 1e9), np.full((21, 2), -500.0)):
        np.testing.assert_array_equal(np.asarray(draw_hand(picture, broken)), picture)
    behind = hand * [1, 1, -1]
    np.testing.assert_array_equal(np.asarray(draw_hand(picture, behind, CAMERA)), picture)
    some = project(hand, CAMERA)
    some[4] = np.nan  # the thumb's tip
    drawn = [np.asarray(draw_hand(picture, points, width=2)) for points in (some, project(hand, CAMERA))]
    u, v = project(hand, CAMERA)[4].round().astype(int)
    assert (drawn[0][v, u] == 90).all() and (drawn[1][v, u] != 90).any()


def test_what_cannot_be_drawn_is_named(hand, picture):
    for bad in (np.zeros((20, 2)), np.zeros((21, 4)), "hand", np.zeros(63)):
        with pytest.raises(InputError, match="hand: expected"):
            draw_hand(picture, bad)
    with pytest.raises(CameraError, match="camera: expected intrinsics"):
        draw_hand(picture, hand)
    with pytest.raises(CameraError, match="camera: expected"):
        draw_hand(picture, hand, np.stack([CAMERA] * 2))
    with pytest.raises(InputError, match="picture: expected one picture, got 2"):
        draw_hand(np.stack([picture] * 2), hand, CAMERA)
    with pytest.raises(InputError, match="width"):
        draw_hand(picture, hand, CAMERA, width=0)


def test_drawing_needs_no_matplotlib():
    code = (
        "import sys, numpy as np; sys.modules['matplotlib'] = None; from skhand.plotting import draw_hand;"
        "draw_hand(np.zeros((20, 20, 3), np.uint8), np.ones((21, 2)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
