"""The Displays of joint errors, heatmaps, latent embeddings and trainings, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageColor
from sklearn.exceptions import NotFittedError

from skhand import HandFrames
from skhand.estimators import CrossModalVAERegressor, LatentHeatmapRegressor
from skhand.exceptions import InputError
from skhand.plotting import HeatmapDisplay, HistoryDisplay, JointErrorDisplay, LatentEmbeddingDisplay
from skhand.skeleton import FINGERS, JOINTS


@pytest.fixture(autouse=True)
def no_window():
    """Draw without a screen, and close what was drawn."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")


@pytest.fixture
def hands():
    """Six hands, and predictions whose joint j is off by j mm."""
    truth = np.random.default_rng(0).uniform(-60, 60, (6, 21, 3)) + [0.0, 0.0, 500.0]
    return truth, truth + np.arange(21.0)[:, None] * [0.0, 0.6, 0.8]


class Fixed:
    """An estimator that answers the same whatever it is asked."""

    def __init__(self, answer):
        self.answer = answer

    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return self.answer[: len(X)]


def covers_nothing(ax):
    """Whether the legend is under the axis and within the figure."""
    ax.figure.canvas.draw()
    legend, axis = ax.get_legend().get_window_extent(), ax.get_window_extent()
    return legend.y1 < axis.y0 and legend.y0 >= 0 and legend.x0 >= 0 and legend.x1 <= ax.figure.bbox.x1


def test_each_joint_has_a_bar_of_its_mean_error_in_its_fingers_colour(hands):
    truth, predicted = hands
    truth[0, 20], truth[:, 3] = np.nan, np.nan
    display = JointErrorDisplay.from_predictions(truth.reshape(6, 63), predicted)
    wanted = np.where(np.arange(21) == 3, np.nan, np.arange(21.0))
    np.testing.assert_allclose(display.errors, wanted)
    np.testing.assert_allclose([bar.get_height() for bar in display.bars_], wanted)
    colours = [bar.get_facecolor() for bar in display.bars_]
    assert all(len({colours[joint] for joint in joints}) == 1 for joints in FINGERS.values())
    assert len(set(colours)) == 6  # five fingers and the wrist
    assert float(display.ax_.get_title().split()[3]) == pytest.approx((210 - 3) / 20, abs=0.051)
    labels = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert labels == [joint.replace("_", " ") for joint in JOINTS]


def test_joint_errors_of_an_estimator_can_be_aligned_and_of_any_layout(hands):
    truth, predicted = hands
    display = JointErrorDisplay.from_estimator(
        Fixed(predicted), np.zeros((6, 4)), truth, align="root", root="thumb_ip"
    )
    np.testing.assert_allclose(display.errors, np.abs(np.arange(21.0) - 3))
    tips = [joints[3] for joints in FINGERS.values()]
    display = JointErrorDisplay.from_predictions(
        truth[:, tips], predicted[:, tips], layout="tips5", align="root", root="index_tip"
    )
    np.testing.assert_allclose(display.errors, [4, 0, 4, 8, 12])


def test_heatmaps_lie_where_the_picture_has_the_joint(hands):
    maps, picture = np.zeros((21, 8, 8)), np.zeros((32, 32, 3), np.uint8)
    maps[8, 1, 6], maps[4, 5, 2] = 0.2, 0.9  # the tips of index and thumb
    display = HeatmapDisplay(maps, picture).plot()
    assert np.argwhere(display.overlay_[..., 3] > 0).tolist() == [[1, 6], [5, 2]]
    np.testing.assert_allclose(display.overlay_[[1, 5], [6, 2], 3], 0.9)  # each relative to its own highest
    for joint, place in ((8, (1, 6)), (4, (5, 2))):
        colour = {8: "#E69F00", 4: "#D55E00"}[joint]
        np.testing.assert_allclose(display.overlay_[place][:3], np.array(ImageColor.getrgb(colour)) / 255)
    image = display.ax_.images[1]
    assert image.get_extent() == [-0.5, 31.5, 31.5, -0.5]  # a quarter of the picture's size covers it all
    one = HeatmapDisplay.from_predictions(
        np.stack([0 * maps, maps]), np.stack([picture] * 2), row=-1, joints=("index_tip",), opacity=0.5
    )
    assert np.argwhere(one.overlay_[..., 3] > 0).tolist() == [[1, 6]] and one.overlay_[1, 6, 3] == 0.5


def test_heatmaps_of_an_estimator_are_those_of_the_row():
    rgb = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), dtype=np.uint8)
    estimator, X = LatentHeatmapRegressor.from_pretrained(), HandFrames(rgb=rgb)
    display = HeatmapDisplay.from_estimator(estimator, X, row=2)
    np.testing.assert_allclose(display.heatmaps, estimator.predict_heatmaps(X).joints[2], atol=1e-6)
    np.testing.assert_array_equal(display.picture, rgb[2])


def test_an_embedding_keeps_the_directions_of_largest_variance():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(30, 2)) * [5.0, 1.0]
    space = np.linalg.qr(rng.normal(size=(6, 6)))[0][:2]
    display = LatentEmbeddingDisplay.from_predictions({"rgb": flat[:20] @ space, "pose3d": flat[20:] @ space})
    got = np.concatenate(list(display.points.values()))
    centred = flat - flat.mean(axis=0)
    for found, wanted in ((got, centred),):  # all distances in the plane are kept
        distances = [np.linalg.norm(each[:, None] - each, axis=2) for each in (found, wanted)]
        np.testing.assert_allclose(*distances, atol=1e-9)
    assert got[:, 0].std() > 3 * got[:, 1].std()
    drawn = display.ax_.collections
    assert [each.get_label() for each in drawn] == ["rgb", "pose3d"]
    np.testing.assert_array_equal(drawn[1].get_offsets(), display.points["pose3d"])
    assert covers_nothing(display.ax_)


def test_an_embedding_encodes_each_modality_that_the_table_has(hands):
    X = HandFrames(keypoints2d=hands[0][:, :, :2], pose3d=hands[0])
    pairs = [("keypoints2d", "pose3d"), ("pose3d", "pose3d")]
    estimator = CrossModalVAERegressor(
        pairs=pairs, max_epochs=1, hidden_units=4, latent_dim=3, random_state=0
    ).fit(X)
    display = LatentEmbeddingDisplay.from_estimator(estimator, X, method="tsne", random_state=0, connect=True)
    assert list(display.points) == ["keypoints2d", "pose3d"] and len(display.ax_.lines) == 6
    for hand, line in enumerate(display.ax_.lines):
        ends = np.stack([each[hand] for each in display.points.values()])
        np.testing.assert_array_equal(line.get_xydata(), ends)
    again = LatentEmbeddingDisplay.from_estimator(estimator, X, method="tsne", random_state=0)
    np.testing.assert_array_equal(again.points["pose3d"], display.points["pose3d"])
    alone = LatentEmbeddingDisplay.from_estimator(estimator, X, sources=("pose3d",))
    assert list(alone.points) == ["pose3d"] and alone.points["pose3d"].shape == (6, 2)


HISTORY = {
    "train_loss": [3.0, 2.0, 1.0],
    "kl_gradient": [1.0, 1.0, 1.0],
    "seconds": [9.0, 9.0, 9.0],
    "kcs": [np.nan, np.nan, 0.5],
    "valid_epe": [30.0, 20.0, 25.0],
    "stage": ["vae", "vae", "refine"],
}


def test_a_history_has_a_line_a_term_and_a_name_a_stage():
    display = HistoryDisplay(HISTORY).plot()
    assert list(display.lines_) == ["train_loss", "kcs", "valid_epe"]
    np.testing.assert_array_equal(display.lines_["valid_epe"].get_xydata(), [[1, 30], [2, 20], [3, 25]])
    np.testing.assert_array_equal(display.lines_["train_loss"].get_ydata(), [3, 2, np.nan, 1])  # no bridge
    assert display.lines_["kcs"].get_marker() == "."  # a single epoch makes no line
    assert [text.get_text() for text in display.ax_.texts] == ["vae", "refine"]
    assert [text.xy[0] for text in display.ax_.texts] == [1.5, 3]
    assert display.ax_.get_yscale() == "log" and display.ax_.get_ylabel() == "loss, valid_epe [mm]"
    alone = HistoryDisplay(HISTORY, terms=["valid_epe"]).plot()
    assert alone.ax_.get_ylabel() == "valid_epe [mm]"  # no loss is drawn
    assert covers_nothing(display.ax_)
    falling = HistoryDisplay({"loss": [1.0, -1.0]}).plot()
    assert falling.ax_.get_yscale() == "linear" and not falling.ax_.texts


def test_a_history_of_an_estimator_can_be_of_some_terms(hands):
    estimator = CrossModalVAERegressor(max_epochs=2, hidden_units=4, augment=None, random_state=0)
    with pytest.raises(NotFittedError):
        HistoryDisplay.from_estimator(estimator)
    estimator.fit(hands[0][:, :, :2], hands[0])
    display = HistoryDisplay.from_estimator(estimator, terms=("train_loss",), scale="linear")
    np.testing.assert_array_equal(display.lines_["train_loss"].get_ydata(), estimator.history_["train_loss"])
    assert list(display.lines_) == ["train_loss"] and display.ax_.get_yscale() == "linear"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: JointErrorDisplay([1.0] * 20), "errors: expected"),
        (lambda: JointErrorDisplay([-1.0] * 21), "errors: expected"),
        (lambda: JointErrorDisplay([np.nan] * 21), "errors: expected"),
        (lambda: JointErrorDisplay([1.0] * 21, unit=3), "unit: expected"),
        (lambda: JointErrorDisplay([1.0] * 21, layout="odd"), "layout: expected one of"),
        (lambda: HeatmapDisplay(np.zeros((20, 8, 8)), np.zeros((8, 8))), "heatmaps: expected"),
        (lambda: HeatmapDisplay(-np.ones((21, 8, 8)), np.zeros((8, 8))), "heatmaps: expected"),
        (lambda: HeatmapDisplay(np.ones((21, 8, 8)), "picture"), "picture: expected"),
        (
            lambda: HeatmapDisplay(np.ones((21, 8, 8)), np.zeros((8, 8))).plot(joints=("elbow",)),
            "joints: exp",
        ),
        (lambda: HeatmapDisplay(np.ones((21, 8, 8)), np.zeros((8, 8))).plot(opacity=2), "opacity: expected"),
        (lambda: LatentEmbeddingDisplay({}), "points: expected"),
        (lambda: LatentEmbeddingDisplay({"a": [[1.0]]}), "points: expected two"),
        (lambda: LatentEmbeddingDisplay({"a": [[np.nan, 1.0]]}), "points.'a'.: expected finite"),
        (
            lambda: LatentEmbeddingDisplay({"a": [[0, 1.0]], "b": [[0, 1.0]] * 2}).plot(connect=True),
            "connect: ",
        ),
        (
            lambda: LatentEmbeddingDisplay.from_predictions({"a": np.eye(3)}, method="umap"),
            "method: expected",
        ),
        (
            lambda: LatentEmbeddingDisplay.from_predictions({"a": np.ones((1, 2))}),
            "latents: expected at least",
        ),
        (lambda: HistoryDisplay({"loss": [1.0], "kl": [1.0, 2.0]}), "history: expected columns"),
        (lambda: HistoryDisplay({"loss": ["a"]}), "history.'loss'.: expected numbers"),
        (lambda: HistoryDisplay(HISTORY, terms=("odd",)), "terms: expected one of"),
        (lambda: HistoryDisplay(HISTORY).plot(scale="cubic"), "scale: expected one of"),
        (lambda: HistoryDisplay.from_estimator(3), "estimator: expected"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
