"""Rows without a camera: NaN in the column, kept by what needs none, named by what needs one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from skhand import HandFrames, concat_frames
from skhand.datasets import make_hands
from skhand.estimators import LatentHeatmapRegressor
from skhand.exceptions import CameraError
from skhand.geometry import backproject, project, transform_camera
from skhand.plotting import PredictionDisplay
from skhand.preprocessing import DepthCropper, HandCropper, HandMirror, Pose25D, ViewAligner

N, BARE = 18, [12, 13, 14, 15, 16, 17]  # the rows that get no camera


@pytest.fixture(scope="module")
def hands():
    return make_hands(N, image_size=16, rotation=60.0, random_state=0)


@pytest.fixture(scope="module")
def joined(hands):
    """Hands with cameras and poses, and hands with keypoints and a side only."""
    posed = hands.data[: BARE[0]]
    bare = HandFrames(**{name: getattr(hands.data[BARE], name) for name in ("rgb", "keypoints2d", "side")})
    return concat_frames([posed.replace(depth=None, mask=None), bare])


def small(**options):
    settings = {
        "network": "paper", "width": 8, "fast": True, "lr": 5e-3, "max_epochs": 1, "batch_size": 9,
        "augment": None, "random_state": 0,
    }  # fmt: skip
    return LatentHeatmapRegressor(**{**settings, **options})


def some_labels(hands):
    return np.where(np.arange(N)[:, None, None] < BARE[0], hands.target, np.nan)


def test_a_joined_table_has_nan_for_them(hands, joined):
    np.testing.assert_array_equal(joined.camera[: BARE[0]], hands.data.camera[: BARE[0]])
    assert np.isnan(joined.camera[BARE]).all()
    np.testing.assert_array_equal(joined[[17, 0]].camera, joined.camera[[17, 0]])
    assert concat_frames([hands.data.replace(camera=None)] * 2).camera is None


def test_a_camera_that_is_nan_in_part_is_refused(hands):
    cameras = hands.data.camera.copy()
    cameras[4] = np.nan
    assert np.isnan(HandFrames(camera=cameras).camera[4]).all()
    cameras[[7, 9], 0, 2] = np.nan
    with pytest.raises(CameraError, match=r"camera: expected finite numbers, .* rows \[7, 9\]"):
        HandFrames(camera=cameras)


def test_projections_name_them(joined):
    points = np.full((N, 21, 3), 400.0)
    for call in (
        lambda: project(points, joined.camera),
        lambda: backproject(points[..., :2], 1, joined.camera),
    ):
        with pytest.raises(
            CameraError, match=r"camera: expected finite numbers, .* rows \[12, 13, 14, 15, 16, \.\.\.\]"
        ):
            call()


def test_changes_of_the_picture_keep_them(joined):
    boxes = np.tile([1.0, 2.0, 12.0, 10.0], (N, 1))
    crops = HandCropper(8, source="box").fit_transform(joined.replace(box=boxes))
    mirrored = HandMirror(to="left").fit_transform(crops)
    for changed in (crops, mirrored):
        assert np.isnan(changed.camera[BARE]).all()
        assert np.isfinite(changed.camera[: BARE[0]]).all()
        assert np.isfinite(changed.keypoints2d).all()
    alone = HandCropper(8, source="box").fit_transform(joined.replace(box=boxes)[: BARE[0]])
    np.testing.assert_array_equal(crops.camera[: BARE[0]], alone.camera)
    with pytest.raises(CameraError, match="camera after the change"):
        transform_camera(joined.camera[0], np.full((3, 3), np.nan))


@pytest.mark.parametrize("point", ["root", "palm"])
def test_views_that_turn_name_them(joined, point):
    X = joined.replace(root=np.tile([0.0, 0.0, 500.0], (N, 1)))
    with pytest.raises(CameraError, match=r"rows \[12"):
        ViewAligner(point=point).fit_transform(X)


@pytest.mark.parametrize("transformer", [DepthCropper(size=8, centre="root"), Pose25D()])
def test_transformers_that_project_name_them(hands, joined, transformer):
    X = hands.data.replace(camera=joined.camera, pose3d=hands.target)
    with pytest.raises(CameraError, match=r"rows \[12"):
        transformer.fit_transform(X)


def test_they_are_drawn_without_a_prediction(hands, joined):
    rows = [11, 12]
    X, y = joined.replace(keypoints2d=None)[rows], hands.target[rows]
    shown = PredictionDisplay.from_predictions(y, y, X=X, which="first")
    np.testing.assert_allclose(shown.keypoints_pred[0], project(y, hands.data.camera[rows])[0])
    assert np.isnan(shown.keypoints_pred[1]).all()
    shown.plot()


# ---------------------------------------------------------------- LatentHeatmapRegressor


def test_they_train_the_places_as_rows_with_a_camera_do(hands, joined):
    y = some_labels(hands)
    est = small().fit(joined, y)
    anywhere = np.where(np.isnan(joined.camera), np.diag([20.0, 30.0, 1.0]), joined.camera)
    other = small().fit(joined.replace(camera=anywhere), y)
    np.testing.assert_array_equal(est.predict_keypoints(joined), other.predict_keypoints(joined))
    np.testing.assert_array_equal(est.predict(joined[:12]), other.predict(joined[:12]))
    alone = small().fit(joined[:12], y[:12])
    assert np.abs(est.predict_keypoints(joined) - alone.predict_keypoints(joined)).max() > 1e-3
    for ask in (est.predict, est.predict_25d):
        with pytest.raises(CameraError, match=r"camera: .* in the rows \[0, 3\]"):
            ask(joined[[13, 2, 3, 12]])


def test_poses_without_a_camera_are_named(hands, joined):
    y = hands.target.copy()
    y[14:] = np.nan
    with pytest.raises(CameraError, match=r"camera: .* in the rows \[12, 13\]"):
        small().fit(joined, y)


def test_they_pass_a_pipeline_and_early_stopping(hands, joined):
    boxes = np.tile([1.0, 1.0, 14.0, 14.0], (N, 1))
    pipe = make_pipeline(
        HandCropper(12, source="box"), small(early_stopping=True, validation_fraction=0.2, max_epochs=2)
    )
    pipe.fit(joined.replace(box=boxes), some_labels(hands))
    assert np.isfinite(pipe[-1].history_["valid_epe"]).all()
    assert np.isfinite(pipe.predict(joined.replace(box=boxes)[:12])).all()
