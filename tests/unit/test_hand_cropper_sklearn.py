"""HandCropper in scikit-learn: a search over its margin, cloning, and tables of few columns."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from crops import hands_in_noise
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.metrics import get_scorer
from skhand.preprocessing import HandCropper, HandMirror


@pytest.fixture
def frames(rng):
    return hands_in_noise(rng)


def scattered(data, rng, size=160):
    """The hands' pictures at random places of large ones: what a crop shows is far from where it is."""
    height, width = data.rgb.shape[1:3]
    corner = rng.integers(0, size - height + 1, (len(data), 2))
    rgb = np.zeros((len(data), size, size, 3), np.uint8)
    for new, old, (x, y) in zip(rgb, data.rgb, corner, strict=True):
        new[y : y + height, x : x + width] = old
    camera, box = data.camera.copy(), data.box.copy()
    camera[:, :2, 2] += corner
    box[:, :2] += corner
    return data.replace(rgb=rgb, camera=camera, box=box, keypoints2d=data.keypoints2d + corner[:, None])


def test_searching_margin_and_latent_dim_predicts_in_the_full_frame(rng):
    """Crops and mirrored hands go in; keypoints in the full picture and poses of the true side come out."""
    hands = make_hands(40, image_size=64, rotation=30, images=("rgb",), random_state=0)
    frames = scattered(hands.data, rng)
    pairs = [("rgb", "pose3d"), ("rgb", "keypoints2d")]
    settings = dict(given=("root",), pairs=pairs, lr=1e-3, max_epochs=4, random_state=0)
    regressor = CrossModalVAERegressor(backbone="small", **settings)
    pipeline = Pipeline([("crop", HandCropper(32)), ("mirror", HandMirror()), ("vae", regressor)])
    grid = {"crop__margin": [1.0, 1.6], "vae__latent_dim": [4, 8]}
    search = GridSearchCV(pipeline, grid, scoring=get_scorer("neg_epe", align=None), cv=2)
    search.fit(frames, hands.target)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(set(search.cv_results_["mean_test_score"])) == 4
    seen = search.best_estimator_.predict(frames, target="keypoints2d")
    assert np.median(np.linalg.norm(seen - frames.keypoints2d, axis=-1)) < 10  # px of 160; in the crop, 100
    predicted, root = search.predict(frames), frames.root[:, None]
    other_side = (predicted - root) * [-1, 1, 1] + root
    error, error_mirrored = (
        np.linalg.norm(poses - hands.target, axis=-1).mean(1) for poses in (predicted, other_side)
    )
    left = frames.side == "left"
    assert 10 < left.sum() < 30
    for rows in (left, ~left):
        assert (error < error_mirrored)[rows].mean() > 0.9


def test_stateless_and_searchable(frames):
    cropper = HandCropper(40, margin=1.3, preset="hand3d")
    assert clone(cropper).get_params() == cropper.get_params()
    assert HandCropper(40).transform(frames[0]).rgb.shape == (1, 40, 40, 3)
    assert repr(cropper) == "HandCropper(margin=1.3, preset='hand3d', size=40)"


def test_a_box_far_outside_gives_empty_pictures(frames):
    crops = HandCropper(20).fit_transform(frames.replace(box=np.full((6, 4), (500.0, 10.0, 30.0, 30.0))))
    for name in ("rgb", "depth", "mask"):
        assert not getattr(crops, name).any()


def test_crops_that_show_nothing_are_told(frames):
    """The pictures are 128 px wide: a window that begins at 128 shows nothing, one at 127 a column."""
    box = np.tile([20.0, 20.0, 30.0, 30.0], (6, 1))
    box[[1, 4]] = [[127.5, 10.0, 30.0, 30.0], [-30.5, 10.0, 30.0, 30.0]]
    cropper = HandCropper(20, margin=1.0)
    with pytest.warns(
        UserWarning, match=r"^X: the crops of 2 of 6 rows show nothing .*96 x 128 px.*\[1, 4\]"
    ):
        assert not cropper.fit_transform(frames.replace(box=box)).rgb[[1, 4]].any()
    box[[1, 4]] = [[126.5, 10.0, 30.0, 30.0], [-29.5, 10.0, 30.0, 30.0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cropper.fit_transform(frames.replace(box=box)).rgb.any(axis=(1, 2, 3)).all()
        cropper.fit_transform(frames.replace(box=box + 900, rgb=None, depth=None, mask=None))


def test_keypoints_alone_can_be_cropped(frames):
    table = HandFrames(keypoints2d=frames.keypoints2d, camera=frames.camera)
    crops = HandCropper(100).fit_transform(table)
    assert crops.columns == ["keypoints2d", "camera", "affine"]
    assert ((crops.keypoints2d > 0) & (crops.keypoints2d < 100)).all()
