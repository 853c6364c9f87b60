"""The Displays: what they compute and what lands on the axes, checked against plain numpy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skhand import HandFrames, concat_frames
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor, SimToRealRegressor
from skhand.exceptions import InputError
from skhand.plotting import LatentWalkDisplay, PckCurveDisplay, PredictionDisplay, SkeletonDisplay
from skhand.skeleton import BONES, FINGERS

ROOT = Path(__file__).resolve().parents[2]
CAMERA = np.array([[200.0, 0.0, 31.5], [0.0, 200.0, 31.5], [0.0, 0.0, 1.0]])


@pytest.fixture(autouse=True)
def no_window():
    """Draw without a screen, and close what was drawn."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")


@pytest.fixture
def hands():
    """Ten hands half a metre away, and predictions whose every joint is off by the row number in mm."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(-60, 60, (10, 21, 3)) + [0.0, 0.0, 500.0]
    return truth, truth + np.arange(10.0)[:, None, None] * [0.0, 0.6, 0.8]


class Known:
    """An estimator that answers rows of what it was given."""

    def __init__(self, answers):
        self.answers = answers

    def predict(self, X):
        return self.answers[np.asarray(X).reshape(len(X), -1)[:, 0].astype(int)]


def lines_of(ax):
    """The drawn bones: (n_lines, 2 ends, axes)."""
    if hasattr(ax, "get_zlim"):
        return np.array([np.array(line.get_data_3d()).T for line in ax.lines])
    return np.array([line.get_xydata() for line in ax.lines])


def test_importing_the_displays_leaves_matplotlib_alone():
    code = "import sys, skhand.plotting; sys.exit(any(name.startswith('matplotlib') for name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == 0


def test_without_matplotlib_the_error_says_what_to_install(hands, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"SkeletonDisplay needs matplotlib.*skhand\[plot\]"):
        SkeletonDisplay(hands[0][0]).plot()


def test_a_skeleton_has_every_bone_where_it_is_and_one_colour_a_finger(hands):
    pose = hands[0][0]
    ax = SkeletonDisplay(pose).plot().ax_
    drawn = lines_of(ax)
    for (parent, child), line in zip(BONES, drawn, strict=True):
        np.testing.assert_allclose(line, pose[[parent, child]][:, [0, 2, 1]])
    colours = [line.get_color() for line in ax.lines]
    by_finger = [{colours[joint - 1] for joint in joints} for joints in FINGERS.values()]
    assert all(len(found) == 1 for found in by_finger) and len(set.union(*by_finger)) == 5


def test_a_skeletons_axes_have_one_scale_and_y_points_down(hands):
    ax = SkeletonDisplay(hands[1][3], hands[0][3]).plot().ax_
    spans = [high - low for low, high in (ax.get_xlim(), ax.get_ylim(), ax.get_zlim())]
    assert spans[0] == pytest.approx(spans[1]) and spans[2] == pytest.approx(-spans[0])
    np.testing.assert_allclose(ax.get_box_aspect() / ax.get_box_aspect()[0], 1)
    points = lines_of(ax).reshape(-1, 3)
    assert (points >= [ax.get_xlim()[0], ax.get_ylim()[0], ax.get_zlim()[1]]).all()
    assert (points <= [ax.get_xlim()[1], ax.get_ylim()[1], ax.get_zlim()[0]]).all()
    # x right, y down, z into the page keep their handedness: the camera is not mirrored
    assert ax.get_xlabel().startswith("x") and ax.get_ylabel().startswith("z")


def test_skeletons_can_be_moved_onto_the_truth_by_the_root(hands):
    truth, predicted = hands
    display = SkeletonDisplay.from_predictions(
        truth.reshape(10, 63), predicted.reshape(10, 63), row=7, align="root"
    )
    np.testing.assert_allclose(display.y_pred, truth[7], atol=1e-9)
    display = SkeletonDisplay.from_estimator(Known(predicted), np.arange(10)[:, None], truth, row=7)
    np.testing.assert_allclose(display.y_pred, predicted[7])
    np.testing.assert_allclose(display.y_true, truth[7])


def test_predictions_are_chosen_by_their_error(hands):
    truth, predicted = hands
    shown = PredictionDisplay.from_predictions(truth, predicted, n_hands=3)
    assert shown.rows.tolist() == [9, 8, 7]
    np.testing.assert_allclose(shown.errors, [9, 8, 7])
    assert [ax.get_title() for ax in shown.axes_] == ["row 9: 9.0 mm", "row 8: 8.0 mm", "row 7: 7.0 mm"]
    assert PredictionDisplay.from_predictions(truth, predicted, n_hands=2, which="best").rows.tolist() == [
        0,
        1,
    ]
    random = PredictionDisplay.from_predictions(truth, predicted, n_hands=6, which="random", random_state=3)
    again = PredictionDisplay.from_predictions(truth, predicted, n_hands=6, which="random", random_state=3)
    assert len(set(random.rows)) == 6 and random.rows.tolist() == again.rows.tolist()


def test_unlabelled_and_hidden_joints_do_not_count_in_the_error(hands):
    truth, predicted = hands
    truth, visible = truth.copy(), np.ones((10, 21), bool)
    truth[9] = np.nan
    truth[8, 5:] = np.nan
    predicted[7, 0] += 1000.0
    visible[7, 0] = False
    shown = PredictionDisplay.from_predictions(truth, predicted, visible=visible, n_hands=20)
    assert shown.rows.tolist() == list(range(8, -1, -1))
    np.testing.assert_allclose(shown.errors, shown.rows)


def test_both_hands_are_drawn_on_the_picture_by_its_camera(hands):
    truth, predicted = hands
    pictures = np.random.default_rng(0).integers(0, 256, (10, 64, 64, 3), dtype=np.uint8)
    frames = HandFrames(rgb=pictures, camera=CAMERA)
    shown = PredictionDisplay.from_predictions(truth, predicted, X=frames, n_hands=2, kind="picture")
    ax = shown.axes_[0]
    np.testing.assert_array_equal(ax.images[0].get_array(), pictures[9])
    assert ax.get_xlim() == (-0.5, 63.5) and ax.get_ylim() == (63.5, -0.5)
    lines = lines_of(ax)
    for drawn, pose in ((lines[:20], truth[9]), (lines[20:], predicted[9])):
        pixels = 200.0 * pose[:, :2] / pose[:, 2:] + 31.5
        np.testing.assert_allclose(drawn, [pixels[list(bone)] for bone in BONES])


def test_a_table_without_pictures_is_drawn_in_3d(hands):
    truth, predicted = hands
    frames = HandFrames(keypoints2d=np.zeros((10, 21, 2)))
    shown = PredictionDisplay.from_predictions(truth, predicted, X=frames, n_hands=2)
    assert len(shown.axes_) == 2 and all(hasattr(ax, "get_zlim") for ax in shown.axes_)
    with pytest.raises(InputError, match="kind: 'picture' needs pictures"):
        shown.plot(kind="picture")


def test_depth_pictures_and_plain_arrays_are_drawn_too(hands):
    truth, predicted = hands
    depth = np.random.default_rng(0).uniform(300, 600, (10, 64, 64)).astype(np.float32)
    shown = PredictionDisplay.from_predictions(truth, predicted, X=HandFrames(depth=depth, camera=CAMERA))
    assert len(shown.axes_) == 16 and len(shown.axes_[0].lines) == 40
    estimator = Known(predicted)
    pictures = np.broadcast_to(np.arange(10, dtype=np.uint8)[:, None, None, None], (10, 64, 64, 3))
    shown = PredictionDisplay.from_estimator(estimator, pictures, truth, n_hands=3)
    assert [int(picture[0, 0, 0]) for picture in shown.pictures] == [9, 8, 7]
    assert shown.keypoints_pred is None and len(shown.axes_[0].lines) == 0


def test_the_pck_curve_is_the_share_of_joints_within_each_distance(hands):
    truth, predicted = hands
    display = PckCurveDisplay.from_predictions(truth, predicted, thresholds=[0.5, 4.5, 9.5], name="known")
    np.testing.assert_allclose(display.pck, [0.1, 0.5, 1.0])
    # trapezoids by hand: (0.1 + 0.5) / 2 * 4 and (0.5 + 1.0) / 2 * 5 over a range of 9
    assert display.auc == pytest.approx((1.2 + 3.75) / 9)
    np.testing.assert_allclose(display.line_.get_ydata(), display.pck)
    legend = display.ax_.get_legend().get_texts()
    assert [text.get_text() for text in legend] == ["known (AUC 0.5-9.5 mm = 0.550)"]


def test_several_pck_curves_share_one_axis(hands):
    truth, predicted = hands
    first = PckCurveDisplay.from_estimator(Known(predicted), np.arange(10)[:, None], truth)
    second = PckCurveDisplay.from_predictions(truth, predicted, align="root", name="aligned", ax=first.ax_)
    assert second.ax_ is first.ax_ and len(first.ax_.lines) == 2 and second.auc > 0.99 > first.auc
    names = [text.get_text().split(" ")[0] for text in first.ax_.get_legend().get_texts()]
    assert names == ["Known", "aligned"]


def test_a_latent_walk_has_a_row_a_modality_and_a_column_a_step(hands):
    poses = hands[0][:5]
    walk = {
        "rgb": np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8),
        "depth": np.random.default_rng(1).uniform(300, 600, (5, 16, 16)),
        "keypoints2d": poses[:, :, :2],
        "pose3d": poses,
    }
    walk["depth"][:, :4] = 0  # where nothing was measured
    display = LatentWalkDisplay(walk).plot()
    assert display.axes_.shape == (4, 5)
    np.testing.assert_array_equal(display.axes_[0, 3].images[0].get_array(), walk["rgb"][3])
    near, far = walk["depth"][walk["depth"] > 0].min(), walk["depth"].max()
    assert all(ax.images[0].get_clim() == (near, far) for ax in display.axes_[1])
    drawn = np.ma.getmaskarray(display.axes_[1, 2].images[0].get_array())
    np.testing.assert_array_equal(drawn, walk["depth"][2] == 0)
    low, high = display.axes_[2, 0].get_ylim()
    assert low > high and display.axes_[2, 0].get_ylim() == display.axes_[2, 4].get_ylim()
    assert len(lines_of(display.axes_[3, 4])) == 20


def test_a_latent_walk_asks_the_estimator_for_every_target_once(hands):
    class Walker:
        def _targets(self):
            return ["pose3d", "rgb"]

        def interpolate(self, X_a, X_b, n_steps, source, target):
            assert (X_a, X_b, n_steps, source, target) == ("a", "b", 4, "rgb", ["pose3d", "rgb"])
            return {"pose3d": hands[0][:4].reshape(4, 1, 63), "rgb": np.zeros((4, 1, 8, 8, 3), np.uint8)}

    display = LatentWalkDisplay.from_estimator(Walker(), "a", "b", n_steps=4, source="rgb")
    assert list(display.walk) == ["pose3d", "rgb"] and display.axes_.shape == (2, 4)
    np.testing.assert_array_equal(display.walk["pose3d"], hands[0][:4])


@pytest.mark.parametrize("stages", [("pose", "depth", "posterior"), ("pose", "posterior")])
def test_a_latent_walk_of_simulation_shows_the_pose_and_both_domains(stages):
    settings = {"image_size": 16, "images": ("depth",), "random_state": 0}
    parts = [make_hands(4, domain=domain, **settings) for domain in ("synthetic", "real")]
    X = concat_frames([part.data for part in parts])
    options = {"width": 1, "max_iter": 1, "batch_size": 2, "given": ("root",), "random_state": 0}
    estimator = SimToRealRegressor(stages=stages, **options).fit(X, np.concatenate([p.target for p in parts]))
    display = LatentWalkDisplay.from_estimator(estimator, X[[0]], X[[5]], n_steps=3)
    wanted = ["pose3d", "synthetic", "real"] if "depth" in stages else ["pose3d"]
    assert list(display.walk) == wanted and display.axes_.shape == (len(wanted), 3)
    walk = estimator.interpolate(X[[0]], X[[5]], n_steps=3, target=wanted)
    for name in wanted:
        np.testing.assert_array_equal(display.walk[name], walk[name][:, 0])


def test_a_latent_walk_of_pairs_shows_every_target_in_the_order_of_the_pairs(hands):
    X = HandFrames(keypoints2d=hands[0][:, :, :2], pose3d=hands[0])
    pairs = [("keypoints2d", "pose3d"), ("keypoints2d", "keypoints2d"), ("pose3d", "pose3d")]
    estimator = CrossModalVAERegressor(pairs=pairs, max_epochs=1, hidden_units=4, random_state=0).fit(X)
    display = LatentWalkDisplay.from_estimator(estimator, X[[0]], X[[1]], n_steps=2)
    assert list(display.walk) == ["pose3d", "keypoints2d"]


def test_bad_input_is_named_in_the_error(hands):
    truth, predicted = hands
    bad = {
        "y_pred: expected an array of shape .21, 3.": lambda: SkeletonDisplay(truth[:, :5]),
        "y_true: expected an array of shape .21, 3.": lambda: SkeletonDisplay(truth[0], truth[0, :5]),
        "y_true: expected at least one pose": lambda: PredictionDisplay.from_predictions(
            truth[:, :5], predicted
        ),
        "y_pred: expected": lambda: PredictionDisplay.from_predictions(truth, predicted[:5]),
        "which: expected one of": lambda: PredictionDisplay.from_predictions(truth, predicted, which="odd"),
        "align: expected one of": lambda: PredictionDisplay.from_predictions(truth, predicted, align="scale"),
        "n_hands: expected": lambda: PredictionDisplay.from_predictions(truth, predicted, n_hands=0),
        "errors: expected": lambda: PredictionDisplay(truth, predicted, errors=[1.0]),
        "pictures: expected 10 pictures": lambda: PredictionDisplay(
            truth, predicted, errors=np.zeros(10), pictures=np.zeros((3, 8, 8))
        ),
        "thresholds: expected at least two": lambda: PckCurveDisplay([5.0], [0.5]),
        "pck: expected": lambda: PckCurveDisplay([5.0, 6.0], [0.5]),
        "walk.'rgb'.: expected pictures": lambda: LatentWalkDisplay({"rgb": np.zeros((3, 8))}),
        "walk: expected the same number": lambda: LatentWalkDisplay({"a": truth, "b": truth[:3]}),
    }
    for message, call in bad.items():
        with pytest.raises(InputError, match=message):
            call()
