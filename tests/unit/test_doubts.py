"""Data that look wrong are told in one warning, and data that are right in none."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from smallest import smallest

from skhand import HandFrames, ImageFiles
from skhand._doubts import warn_of_doubts
from skhand.datasets import make_hands
from skhand.geometry import project, rotate_points
from skhand.metrics import PROTOCOLS, evaluate, evaluate_predictions, joint_errors, mean_epe, pck_curve
from skhand.preprocessing import DepthCropper, HandCropper, HandMirror, ViewAligner

HANDS = make_hands(30, image_size=32, random_state=0)
X, Y = HANDS.data, HANDS.target
VGA = [[600.0, 0.0, 320.0], [0.0, 600.0, 240.0], [0.0, 0.0, 1.0]]


def doubts(frames, y, name="y"):
    """The text of the warnings, none where there are none."""
    columns = {column: getattr(frames, column) for column in frames.columns}
    y = rotate_points(y, frames.rotation) if "rotation" in frames.columns else y
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_doubts(columns, y, name)
    assert len(caught) <= 1
    return str(caught[0].message) if caught else ""


CHANGES = {
    "nothing": lambda frames: frames,
    "crop": lambda frames: HandCropper(24).fit_transform(frames),
    "crop within the hand": lambda frames: HandCropper(24, margin=0.6).fit_transform(frames),
    "mirror": lambda frames: HandMirror().fit_transform(frames),
    "view": lambda frames: ViewAligner().fit_transform(frames),
    "cube": lambda frames: DepthCropper(size=24, centre="root").fit_transform(frames),
    "no pictures": lambda frames: frames.replace(rgb=None, depth=None, mask=None),
    "no camera": lambda frames: frames.replace(camera=None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_generated_hands_and_their_crops_raise_none(change):
    assert doubts(CHANGES[change](X), Y) == ""


def test_real_hands_raise_none(real_data):
    photographs = np.load(real_data / "real-rgb" / "annotations.npz")
    y, camera = photographs["joints_mm"], photographs["K_crop"]
    rgb = ImageFiles(sorted((real_data / "real-rgb" / "images").iterdir()))
    table = HandFrames(rgb=rgb, camera=camera, keypoints2d=project(y, camera))
    for frames in (table, *(HandCropper(64, margin=m).fit_transform(table) for m in (0.7, 1.2))):
        assert doubts(frames, y) == ""
    for name, size in (("stb", (480, 640)), ("rhd", (320, 320))):
        poses = np.load(real_data / "poses" / f"{name}_poses.npz")
        blank = np.broadcast_to(
            np.zeros((1, 1, 1, 3), np.uint8), (len(poses["K"]) if name == "rhd" else 1500, *size, 3)
        )
        table = HandFrames(rgb=blank, camera=poses["K"], keypoints2d=poses["keypoints2d"])
        assert doubts(table, poses["joints_mm"]) == "", name


def test_another_pictures_camera_is_told_with_its_share():
    told = doubts(X.replace(keypoints2d=None, camera=VGA), Y)
    assert told.startswith(
        "camera: 100% of the joints of y project outside of the pictures of 32 x 32 px, in 100%"
    )
    some = X.camera.copy()
    some[:12] = VGA  # 12 of 30 rows: 40%
    assert "camera: 40% of the joints of y project outside" in doubts(
        X.replace(keypoints2d=None, camera=some), Y
    )


def test_keypoints_that_contradict_the_camera_are_told():
    shifted = X.replace(keypoints2d=X.keypoints2d + [30.0, 40.0])
    assert re.match(
        r"keypoints2d: they lie 50 px \(median\) from where camera and y put them", doubts(shifted, Y)
    )
    order = np.r_[0, 20:0:-1]
    assert doubts(X, Y[:, order]).startswith("keypoints2d: they lie")
    assert doubts(X.replace(keypoints2d=X.keypoints2d + 0.5), Y) == ""


def test_poses_of_another_unit_are_told():
    assert doubts(X, Y / 1000).endswith("long in the median: are the poses in mm?")
    assert "y: the bones are 3.5" in doubts(X, Y / 10)
    assert doubts(X, Y - HANDS.data.root[:, None]) == ""  # no camera sees them, which is no contradiction


def test_a_display_whose_titles_say_mm_tells_of_another_unit():
    pytest.importorskip("matplotlib").use("Agg")
    from skhand.plotting import PredictionDisplay

    with pytest.warns(UserWarning, match=r"^y_true: the bones are 0\.03.*are the poses in mm"):
        PredictionDisplay.from_predictions(Y / 1000, Y / 1000, n_hands=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PredictionDisplay.from_predictions(Y, Y, n_hands=1)


def test_rows_of_zeros_and_joints_of_minus_one_are_told():
    y, keypoints = Y.copy(), X.keypoints2d.copy()
    y[[3, 7]] = 0
    keypoints[5, :4] = -1
    told = doubts(X.replace(keypoints2d=keypoints), y)
    assert "keypoints2d: 4 joints are -1 in all coordinates" in told and "NaN" in told
    assert "y: 2 of 30 rows are 0 throughout, [3, 7]" in told and "y[rows] = np.nan" in told
    y[[3, 7]], keypoints[5, :4] = np.nan, np.nan
    assert doubts(X.replace(keypoints2d=keypoints), y) == ""


def test_one_size_is_needed_to_tell_what_is_outside():
    class Sizes:
        shape, dtype, ndim = (30, None, None, 3), np.dtype(np.uint8), 4

        def __getitem__(self, rows):
            raise AssertionError("a picture was read")

        def __len__(self):
            return 30

    table = HandFrames(rgb=Sizes(), camera=VGA)
    assert doubts(table, Y) == ""


@pytest.mark.parametrize("kind", ["cross-modal", "heatmap"])
def test_fit_tells(kind):
    y = Y.copy()
    y[4] = 0
    frames = X.replace(keypoints2d=X.keypoints2d + [30.0, 40.0])
    with pytest.warns(UserWarning, match="keypoints2d: they lie") as caught:
        smallest(kind).fit(frames, y)
    (told,) = [str(each.message) for each in caught if "keypoints2d: they lie" in str(each.message)]
    assert "y: 1 of 30 rows are 0 throughout, [4]" in told


class Answer:
    """Predicts what it was given."""

    given = ("root",)

    def __init__(self, y):
        self.y = y

    def predict(self, X):
        return self.y


def test_evaluate_tells_of_the_camera_the_unit_and_the_root():
    with pytest.warns(UserWarning, match="camera: 100% of the joints of y project outside"):
        evaluate(Answer(Y), X.replace(camera=VGA), Y, protocol="freihand")
    with pytest.warns(UserWarning, match="y_true: the bones are .* are the poses in mm"):
        evaluate_predictions(Y / 1000, Y / 1000, protocol="freihand")
    with pytest.warns(UserWarning, match="^y_pred: these poses lie around the origin.*X has the column root"):
        evaluate(Answer(Y - Y[:, :1]), X, Y, protocol="freihand")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(Answer(Y), X, Y, protocol="freihand")
        evaluate(Answer(Y - Y[:, :1]), X, Y, protocol=replace(PROTOCOLS["freihand"], align=("procrustes",)))


def test_metrics_tell_of_poses_in_two_frames():
    relative = Y - (Y[:, [0]] + Y[:, [9]]) / 2
    for metric in (joint_errors, mean_epe, pck_curve):
        with pytest.warns(UserWarning, match="^y_pred: these poses lie around the origin"):
            metric(Y, relative)
        with pytest.warns(UserWarning, match="^y_true: these poses lie around the origin"):
            metric(relative, Y)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            metric(Y, relative, align="root")
            metric(relative, relative)
            metric(Y, Y + [0.0, 0.0, 200.0])
            metric(Y[..., :2], relative[..., :2])


def two_joints(distance):
    """Three poses of two joints, so many of their sizes away from the origin; a third joint is unknown."""
    pose = 0.4 * np.array([[1.0, 0.0, distance], [-1.0, 0.0, distance], [np.nan, np.nan, np.nan]])
    return np.repeat(pose[None], 3, axis=0)


@pytest.mark.parametrize(
    ("near", "far", "told"),
    [(2.4, 4.1, True), (2.4, 3.9, False), (2.6, 4.1, False), (2.6, 40.0, False), (0.0, 40.0, True)],
)
def test_poses_are_in_two_frames_where_one_is_near_and_the_other_far(near, far, told):
    """In root mean squares of a pose about its middle: within 2.5 is relative, beyond 4 is not."""
    for pair in ((near, far), (far, near)):
        y_true, y_pred = map(two_joints, pair)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            joint_errors(y_true, y_pred)
            joint_errors(y_true[..., [0, 2]], y_pred[..., [0, 2]])  # places in a picture have no frame
        name = "y_true" if pair[0] == near else "y_pred"
        wanted = f"{name}: these poses .* lie {far:.0f} times a hand's size away"
        assert len(caught) == told and all(re.match(wanted, str(each.message)) for each in caught)
