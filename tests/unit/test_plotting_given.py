"""What the Displays draw where little is given: no truth, other joints, several estimators, own axes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image, ImageColor

from skhand import HandFrames
from skhand._drawing import FINGER_COLOURS
from skhand.estimators import CrossModalVAERegressor
from skhand.exceptions import CameraError, InputError
from skhand.plotting import (
    JointErrorDisplay,
    LatentWalkDisplay,
    PckCurveDisplay,
    PredictionDisplay,
    SkeletonDisplay,
    draw_hand,
)
from skhand.skeleton import BONES, FINGERS, JOINTS, LAYOUTS, Layout, convert, layout_bones

CAMERA = np.array([[200.0, 0.0, 31.5], [0.0, 200.0, 31.5], [0.0, 0.0, 1.0]])


@pytest.fixture(autouse=True)
def pyplot():
    """Draw without a screen, and close what was drawn."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    yield pyplot
    pyplot.close("all")


@pytest.fixture
def hands():
    """Ten hands half a metre away, and predictions whose every joint is off by the row number in mm."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(-60, 60, (10, 21, 3)) + [0.0, 0.0, 500.0]
    return truth, truth + np.arange(10.0)[:, None, None] * [0.0, 0.6, 0.8]


class Known:
    """An estimator that answers rows of what it was given, and counts how often it is asked."""

    def __init__(self, answers):
        self.answers, self.n_calls = answers, 0

    def predict(self, X):
        self.n_calls += 1
        return self.answers[np.asarray(X).reshape(len(X), -1)[:, 0].astype(int)]

    def sample_posterior(self, X, n_samples, random_state):
        return np.stack([self.predict(X) + [i, 0.0, 0.0] for i in range(n_samples)])


def rows():
    return np.arange(10)[:, None]


def lines_of(ax):
    """The drawn bones: (n_lines, 2 ends, axes)."""
    if hasattr(ax, "get_zlim"):
        return np.array([np.array(line.get_data_3d()).T for line in ax.lines])
    return np.array([line.get_xydata() for line in ax.lines])


def test_a_skeleton_without_truth_is_the_prediction_alone(hands):
    predicted = hands[1]
    for display in (
        SkeletonDisplay.from_predictions(None, predicted, row=-3),
        SkeletonDisplay.from_estimator(Known(predicted.reshape(10, 63)), rows(), row=7),
    ):
        assert display.y_true is None
        np.testing.assert_array_equal(display.y_pred, predicted[7])
        np.testing.assert_array_equal(
            lines_of(display.ax_), [predicted[7][list(bone)][:, [0, 2, 1]] for bone in BONES]
        )


def test_samples_of_the_posterior_are_drawn_faint_and_move_with_the_root(hands):
    truth, predicted = hands
    display = SkeletonDisplay.from_estimator(Known(predicted), rows(), row=4, n_samples=3, random_state=0)
    np.testing.assert_allclose(display.samples, [predicted[4] + [i, 0, 0] for i in range(3)])
    assert len(display.ax_.lines) == 4 * 20
    assert [line.get_alpha() for line in display.ax_.lines[:60]] == [0.2] * 60
    assert display.ax_.lines[60].get_alpha() is None
    x = [np.ravel(line.get_data_3d()[0]) for line in display.ax_.lines]
    assert display.ax_.get_xlim()[1] >= np.concatenate(x).max()  # framed with its samples
    moved = SkeletonDisplay.from_estimator(Known(predicted), rows(), truth, row=4, n_samples=3, align="root")
    np.testing.assert_allclose(moved.samples, np.stack([truth[4]] * 3), atol=1e-9)


def test_posterior_samples_come_from_the_row_of_a_real_estimator(hands):
    X, y = hands[0][:, :, :2], hands[0].reshape(10, 63)
    estimator = CrossModalVAERegressor(
        max_epochs=1, hidden_units=4, flat_poses=True, augment=None, random_state=0
    ).fit(X, y)
    display = SkeletonDisplay.from_estimator(estimator, X, row=3, n_samples=4, random_state=1)
    wanted = estimator.sample_posterior(X[[3]], 4, random_state=np.random.RandomState(1))
    np.testing.assert_array_equal(display.samples, wanted.reshape(4, 21, 3))
    np.testing.assert_allclose(display.y_pred, estimator.predict(X)[3].reshape(21, 3), rtol=1e-5)


def test_predictions_without_truth_are_drawn_on_their_pictures(hands):
    predicted = hands[1]
    pictures = np.random.default_rng(0).integers(0, 256, (10, 64, 64, 3), dtype=np.uint8)
    shown = PredictionDisplay.from_predictions(
        None, predicted, X=HandFrames(rgb=pictures, camera=CAMERA), n_hands=2, kind="picture"
    )
    assert shown.rows.tolist() == [0, 1] and shown.errors is None and shown.y_true is None
    assert [ax.get_title() for ax in shown.axes_] == ["row 0", "row 1"]
    assert shown.figure_.get_suptitle() == "prediction in colour"
    pixels = 200.0 * predicted[1, :, :2] / predicted[1, :, 2:] + 31.5
    np.testing.assert_allclose(lines_of(shown.axes_[1]), [pixels[list(bone)] for bone in BONES])
    random = PredictionDisplay.from_estimator(
        Known(predicted), rows(), n_hands=4, which="random", random_state=0
    )
    assert len(set(random.rows)) == 4 and random.pictures is None
    assert all(len(ax.lines) == 20 for ax in random.axes_)


@pytest.mark.parametrize("layout", ["rhd", "stb", "nyu14", "icvl16", "tips5"])
def test_other_layouts_are_drawn_by_their_own_bones(layout, hands):
    n_joints, bones = len(LAYOUTS[layout]), layout_bones(layout)
    truth, predicted = (poses[:, :n_joints] for poses in hands)
    display = SkeletonDisplay.from_predictions(truth, predicted, row=2, layout=layout)
    lone = n_joints if layout == "tips5" else 0
    assert len(display.ax_.lines) == 2 * (len(bones) + lone)
    upright = predicted[2][:, [0, 2, 1]]
    if bones:
        np.testing.assert_array_equal(
            lines_of(display.ax_)[len(bones) :], [upright[list(bone)] for bone in bones]
        )
    else:
        np.testing.assert_array_equal(lines_of(display.ax_)[5:, 0], upright)
    shown = PredictionDisplay.from_predictions(
        truth, predicted, layout=layout, n_hands=1, align="root", root=0
    )
    assert shown.y_pred.shape == (1, n_joints, 3) and shown.errors[0] < 1e-9
    walk = LatentWalkDisplay({"pose3d": truth, "keypoints2d": truth[..., :2]}, layout=layout).plot()
    assert walk.axes_.shape == (2, 10)


def test_the_bones_of_a_layout_are_those_of_the_hand():
    assert layout_bones("canonical") == BONES
    for name in ("rhd", "msra21", "mediapipe"):
        joints = LAYOUTS[name].joints
        named = {(joints[parent], joints[child]) for parent, child in layout_bones(name)}
        assert named == {(JOINTS[parent], JOINTS[child]) for parent, child in BONES}
    # of NYU's 14 joints every finger hangs on the palm, and each tip on the joint before it that there is
    joints = LAYOUTS["nyu14"].joints
    parents = {joints[child]: joints[parent] for parent, child in layout_bones("nyu14")}
    assert parents["index_tip"] == "index_pip" and parents["index_pip"] == "PALM_3"
    assert parents["thumb_tip"] == "thumb_ip" and parents["thumb_ip"] == "thumb_mcp"
    assert "PALM_3" not in parents and len(parents) == 13
    assert layout_bones(Layout("mine", ("elbow", "wrist", "ring_tip"))) == ((1, 2),)


def test_a_finger_has_its_colour_in_every_layout(hands):
    pose = convert(hands[0][:1], "canonical", "rhd")[0]
    ax = SkeletonDisplay(pose, layout="rhd").plot().ax_
    by_finger = {}
    for (_, child), line in zip(layout_bones("rhd"), ax.lines, strict=True):
        by_finger.setdefault(LAYOUTS["rhd"].joints[child].split("_")[0], set()).add(line.get_color())
    assert by_finger == {finger: {colour} for finger, colour in FINGER_COLOURS.items()}


def test_draw_hand_draws_other_layouts(hands):
    picture = np.full((120, 160, 3), 90, np.uint8)
    tips = np.array([[20.0 + 25 * finger, 60.0] for finger in range(5)])
    drawn = np.asarray(draw_hand(picture, tips, layout="tips5", width=4))
    for (u, v), finger in zip(tips.astype(int), FINGERS, strict=True):
        np.testing.assert_array_equal(drawn[v, u], ImageColor.getrgb(FINGER_COLOURS[finger]))
    np.testing.assert_array_equal(drawn[60, 32], [90, 90, 90])  # no bones between them
    keypoints = np.random.default_rng(0).uniform(20, 100, (21, 2))
    order = [LAYOUTS["rhd"].joints.index(joint) for joint in JOINTS]
    other = np.empty_like(keypoints)
    other[order] = keypoints
    same = np.asarray(draw_hand(picture, other, layout="rhd"))
    changed = np.mean((same != np.asarray(draw_hand(picture, keypoints))).any(axis=2))
    assert changed < 0.05  # bones in another order lie on each other in another order


def test_several_estimators_share_an_axis_and_the_legend_covers_none(hands, pyplot):
    truth, predicted = hands
    models = {"good": Known(truth + 0.1), "off by the row": Known(predicted), "far": Known(truth + 90)}
    own = pyplot.subplots(1, 2)[1][0]
    for ax in (None, own):
        display = PckCurveDisplay.from_estimator(models, rows(), truth, ax=ax)
        assert list(display.line_) == list(display.pck) == list(display.auc) == list(models)
        assert display.auc["good"] > 0.99 > display.auc["off by the row"] > display.auc["far"] == 0
        names = [text.get_text().split(" (")[0] for text in display.ax_.get_legend().get_texts()]
        assert names == list(models) and len(display.ax_.lines) == 3
        display.figure_.canvas.draw()
        legend = display.ax_.get_legend().get_window_extent()
        assert legend.y1 < display.ax_.get_window_extent().y0 and legend.y0 >= 0
    alone = PckCurveDisplay.from_predictions(truth, predicted, thresholds=[0.5, 4.5])
    both = PckCurveDisplay.from_predictions(truth, {"a": predicted, "b": truth}, thresholds=[0.5, 4.5])
    np.testing.assert_array_equal(both.pck["a"], alone.pck)
    np.testing.assert_array_equal(both.pck["b"], [1, 1])


def test_keypoints_in_the_picture_have_a_pck_curve_too(hands):
    truth, predicted = (poses[..., :2] for poses in hands)
    display = PckCurveDisplay.from_predictions(truth, predicted, thresholds=[0.5, 3.1], unit="px")
    np.testing.assert_allclose(display.pck, [0.1, 0.6])  # 0.6 px a row
    assert display.ax_.get_xlabel() == "error threshold [px]"


def test_predictions_at_the_origin_are_warned_of(hands):
    truth = np.random.default_rng(0).normal(0, 40, (10, 21, 3)) + [0, 0, 500]
    relative = truth - [0, 0, 500]
    X = HandFrames(rgb=np.zeros((10, 64, 64, 3), np.uint8), camera=CAMERA)
    compared = "y_pred: .* lie around the origin.*align='root'"
    for call in (
        lambda **align: SkeletonDisplay.from_predictions(truth, relative, **align),
        lambda **align: PredictionDisplay.from_predictions(truth, relative, X=X, n_hands=1, **align),
        lambda **align: PckCurveDisplay.from_predictions(truth, {"a": relative}, **align),
        lambda **align: JointErrorDisplay.from_predictions(truth, relative, **align),
    ):
        with pytest.warns(UserWarning, match=compared):
            call()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            call(align="root")
    with pytest.warns(UserWarning, match="cannot be drawn in a picture"):
        shown = PredictionDisplay.from_predictions(None, relative, X=X, n_hands=1)
    behind = relative[0, :, 2] <= 0
    np.testing.assert_array_equal(np.isnan(shown.keypoints_pred[0, :, 0]), behind)


def test_arguments_are_checked_before_anything_is_predicted(hands, pyplot):
    truth, predicted = hands
    model = Known(predicted)
    flat, solid = pyplot.subplots()[1], pyplot.subplots(subplot_kw={"projection": "3d"})[1]
    calls = {
        "ax": [
            lambda: SkeletonDisplay.from_estimator(model, rows(), ax=flat),
            lambda: PckCurveDisplay.from_estimator(model, rows(), truth, ax=solid),
            lambda: PckCurveDisplay.from_estimator(model, rows(), truth, ax="axes"),
        ],
        "row": [lambda: SkeletonDisplay.from_estimator(model, rows(), row=10)],
        "y": [
            lambda: SkeletonDisplay.from_estimator(model, rows(), truth[:9]),
            lambda: PredictionDisplay.from_estimator(model, rows(), truth[:, :20]),
            lambda: PredictionDisplay.from_estimator(model, rows(), "truth"),
            lambda: PckCurveDisplay.from_estimator(model, rows(), np.full_like(truth, np.nan)),
            lambda: PckCurveDisplay.from_estimator(model, rows(), None),
        ],
        "X": [
            lambda: PredictionDisplay.from_estimator(model, 3),
            lambda: SkeletonDisplay.from_estimator(model, []),
        ],
        "align": [
            lambda: SkeletonDisplay.from_estimator(model, rows(), align="root"),
            lambda: PckCurveDisplay.from_estimator(model, rows(), truth, align="scale"),
        ],
        "root": [lambda: PredictionDisplay.from_estimator(model, rows(), root="elbow")],
        "layout": [lambda: SkeletonDisplay.from_estimator(model, rows(), layout=3)],
        "which": [lambda: PredictionDisplay.from_estimator(model, rows(), which="worst")],
        "kind": [lambda: PredictionDisplay.from_estimator(model, rows(), kind=3)],
        "random_state": [lambda: PredictionDisplay.from_estimator(model, rows(), random_state="seed")],
        "n_samples": [
            lambda: SkeletonDisplay.from_estimator(model, rows(), n_samples=-1),
            lambda: SkeletonDisplay.from_estimator(model, rows(), n_samples=10**30),
        ],
        "thresholds": [lambda: PckCurveDisplay.from_estimator(model, rows(), truth, thresholds=(5, 1, 3))],
        "visible": [
            lambda: PckCurveDisplay.from_estimator(model, rows(), truth, visible=[1]),
            lambda: PredictionDisplay.from_estimator(model, rows(), truth, visible=[1]),
            lambda: PredictionDisplay.from_estimator(model, rows(), visible="all"),
        ],
        "name": [
            lambda: PckCurveDisplay.from_estimator(model, rows(), truth, name=3),
            lambda: PckCurveDisplay.from_estimator({"a": model}, rows(), truth, name="b"),
        ],
        "unit": [lambda: PckCurveDisplay.from_estimator(model, rows(), truth, unit=None)],
        "estimator": [
            lambda: PckCurveDisplay.from_estimator({}, rows(), truth),
            lambda: PredictionDisplay.from_estimator(Known, rows()),
            lambda: LatentWalkDisplay.from_estimator(model, rows(), rows()),
        ],
    }
    for name, each in calls.items():
        for call in each:
            with pytest.raises(InputError, match=rf"^{name}\b"):
                call()
    assert model.n_calls == 0


def test_what_is_drawn_is_checked(hands, tmp_path):
    truth, predicted = hands
    for value in ("hand", [[1.0], [1.0, 2.0]], {"a": 1}, None):
        with pytest.raises(InputError, match="y_pred: expected"):
            SkeletonDisplay(value)
    for name, pose in (("y_pred", {"y_pred": truth[0] * np.nan}), ("samples", {"samples": truth * np.nan})):
        with pytest.raises(InputError, match=f"^{name}: expected at least one known joint"):
            SkeletonDisplay(**{"y_pred": truth[0], **pose})
    display = SkeletonDisplay(truth[0])
    for view in ({"elev": "up"}, {"azim": np.nan}):
        with pytest.raises(InputError, match=next(iter(view))):
            display.plot(**view)
    for shares, message in ([[0.5, 1.5], "pck: expected shares"], [[np.nan, 1], "pck: expected shares"]):
        with pytest.raises(InputError, match=message):
            PckCurveDisplay([1.0, 2.0], shares)
    with pytest.raises(InputError, match="thresholds: expected"):
        PckCurveDisplay([1.0, np.nan], [0.5, 0.5])
    with pytest.raises(InputError, match="X: expected as many rows as y_pred"):
        PredictionDisplay.from_predictions(truth, predicted, X=np.zeros((3, 8, 8, 3)))
    picture = Image.new("RGB", (64, 64))
    for colour in ("reddish", (1, 2), (1, 2, 300), 3, object()):
        with pytest.raises(InputError, match="colour: expected"):
            draw_hand(picture, truth[0], CAMERA, colour=colour)
    for camera in ("camera", [[1.0], [1.0, 2.0]]):
        with pytest.raises((InputError, CameraError), match="camera: expected"):
            draw_hand(picture, truth[0], camera)
    with pytest.raises(InputError, match="layout: expected one of"):
        draw_hand(picture, truth[0], CAMERA, layout="odd")
