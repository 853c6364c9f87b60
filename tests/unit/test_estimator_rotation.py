"""y and predictions are in the original camera frame and picture, whatever X's rotation and affine say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.exceptions import InputError
from skhand.geometry import align_root, apply_affine, rotate_points
from skhand.preprocessing import HandCropper, HandMirror, ViewAligner

N = 40


@pytest.fixture(scope="module")
def hands():
    return make_hands(N, image_size=16, rotation=60.0, images=("rgb",), random_state=0)


@pytest.fixture(scope="module")
def turned(hands):
    """The frames with random rotations and mirrors, pose3d and root in them, and the rotations."""
    rotation = Rotation.random(N, random_state=0).as_matrix()
    rotation[::2] = rotation[::2] @ np.diag([-1.0, 1.0, 1.0])
    data = hands.data
    return data.replace(root=rotate_points(data.root, rotation), rotation=rotation), rotation


def small(**options):
    settings = {
        "backbone": "small", "hidden_units": 32, "n_hidden_layers": 1, "latent_dim": 8, "lr": 2e-3,
        "max_epochs": 2, "batch_size": 16, "augment": None, "random_state": 0,
    }  # fmt: skip
    return CrossModalVAERegressor(**{**settings, **options})


def back(poses, rotation):
    """Poses turned back, row by row."""
    return np.stack([pose @ matrix for pose, matrix in zip(poses, rotation, strict=True)])


def into(poses, rotation):
    return np.stack([pose @ matrix.T for pose, matrix in zip(poses, rotation, strict=True)])


@pytest.mark.parametrize("augment", [None, "paper"])
@pytest.mark.parametrize("given", [("root",), ("root", "scale", "side"), ()])
def test_it_learns_in_the_rows_frames_and_answers_in_the_original_one(hands, turned, given, augment):
    """The same fit, bit by bit, as by hand: y turned before, predictions turned back after."""
    frames, rotation = turned
    plain = frames.replace(rotation=None)
    by_hand = small(given=given, augment=augment, variant=2).fit(plain, into(hands.target, rotation))
    fitted = small(given=given, augment=augment, variant=2).fit(frames, hands.target)
    assert by_hand.history_["train_loss"] == pytest.approx(fitted.history_["train_loss"], rel=1e-6)
    close = {"rtol": 0, "atol": 1e-3}
    np.testing.assert_allclose(fitted.predict(frames), back(by_hand.predict(plain), rotation), **close)
    np.testing.assert_allclose(fitted.transform(frames), by_hand.transform(plain), atol=1e-5)
    draws = fitted.sample_posterior(frames, 2, random_state=0)
    wanted = by_hand.sample_posterior(plain, 2, random_state=0)
    np.testing.assert_allclose(draws[1], back(wanted[1], rotation), **close)


def test_the_spread_is_that_of_turned_back_samples(hands, turned):
    frames, _ = turned
    fitted = small(given=("root",)).fit(frames, hands.target)
    y, spread = fitted.predict(frames, return_std=True)
    np.testing.assert_array_equal(y, fitted.predict(frames))
    plain, plain_spread = fitted.predict(frames.replace(rotation=None), return_std=True)
    assert np.abs(y - plain).max() > 10
    total = np.sqrt((spread**2).sum(-1))
    np.testing.assert_allclose(total, np.sqrt((plain_spread**2).sum(-1)), rtol=1e-3, atol=1e-3)


def test_flat_poses_validation_and_score_agree(hands, turned):
    frames, _ = turned
    flat = hands.target.reshape(N, -1)
    fitted = small(given=("root",)).fit(frames, flat, X_val=frames, y_val=flat)
    predicted = fitted.predict(frames)
    assert predicted.shape == (N, 63)
    error = align_root(predicted.reshape(N, 21, 3)) - align_root(hands.target)
    epe = np.linalg.norm(error, axis=-1).mean()
    assert fitted.history_["valid_epe"][-1] == pytest.approx(epe, rel=1e-4)
    relative = align_root(hands.target)
    total = np.square(relative - relative.mean(axis=0)).sum()
    assert fitted.score(frames, flat) == pytest.approx(1 - np.square(error).sum() / total, abs=1e-5)


def test_without_a_root_column_the_relative_pose_is_turned_back(hands, turned):
    frames, rotation = turned
    fitted = small(given=("root",)).fit(frames, hands.target)
    rootless = frames.replace(root=None)
    relative = fitted.predict(rootless.replace(rotation=None))
    np.testing.assert_allclose(fitted.predict(rootless), back(relative, rotation), atol=1e-6)
    absolute = back(frames.root[:, None], rotation)
    np.testing.assert_allclose(fitted.predict(frames), fitted.predict(rootless) + absolute, atol=1e-6)


def test_the_column_pose3d_is_in_the_rows_frames_already(hands, turned):
    frames, rotation = turned
    frames = frames.replace(pose3d=into(hands.target, rotation))
    own = small(given=("root",), variant=2).fit(frames)
    given = small(given=("root",), variant=2).fit(frames, hands.target)
    np.testing.assert_allclose(own.predict(frames), given.predict(frames), atol=1e-3)
    from_pose = given.predict(frames, source="pose3d")
    wanted = given.predict(frames.replace(rotation=None), source="pose3d")
    np.testing.assert_allclose(from_pose, back(wanted, rotation), atol=1e-6)


def test_unknown_coordinates_of_unturned_rows_stay_alone(hands):
    y = hands.target.copy()
    y[:, 20, 2] = np.nan
    frames = HandMirror().fit_transform(hands.data)
    plain = small(given=("root",)).fit(frames, y).predict(frames)
    assert np.isnan(plain).any(axis=(0, 1)).tolist() == [False, False, True]


def test_keypoints_are_answered_in_the_original_picture(hands):
    pairs = [("rgb", "keypoints2d"), ("rgb", "pose3d")]
    frames = ViewAligner().fit_transform(hands.data)
    assert (frames.affine[:, 2, :2] != 0).all()
    fitted = small(pairs=pairs, given=("root",)).fit(frames, hands.target)
    here = fitted.predict(frames.replace(affine=None), target="keypoints2d")
    there = fitted.predict(frames, target="keypoints2d")
    np.testing.assert_allclose(apply_affine(frames.affine, there), here, atol=1e-6)
    assert np.abs(there - here).max() > 0.5


BAD = {
    "numbers that are no poses": (lambda X, y: small().fit(X, y[:, 0, :2]), "rotation: .*n_joints, 3"),
    "numbers that are no poses, predicted": (
        lambda X, y: small().fit(X.replace(rotation=None), y[:, 0, :2]).predict(X), "rotation: ",
    ),
    "no rotation": (
        lambda X, y: small().fit(X.replace(rotation=2 * X.rotation), y), "rotation: expected orthogonal",
    ),
    "NaN": (
        lambda X, y: small().fit(X.replace(rotation=np.full((N, 3, 3), np.nan)), y), "rotation: ",
    ),
    "a singular affine": (lambda X, y: small().fit(X.replace(affine=np.zeros((N, 3, 3))), y), "affine: "),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(hands, turned, case):
    call, message = BAD[case]
    with pytest.raises(InputError, match=message):
        call(turned[0], hands.target)


# ---------------------------------------------------------------- pipelines


def mirror_image(frames):
    """The same hands in a mirror, made without skhand's transformers."""
    width = frames.rgb.shape[2]
    camera, root, points = frames.camera.copy(), frames.root.copy(), frames.keypoints2d.copy()
    camera[:, 0, 2] = width - 1 - camera[:, 0, 2]
    root[:, 0], points[..., 0] = -root[:, 0], width - 1 - points[..., 0]
    side = np.where(frames.side == "left", "right", "left")
    rgb = np.asarray(frames.rgb)[:, :, ::-1]
    return HandFrames(rgb=rgb, camera=camera, root=root, keypoints2d=points, side=side)


PIPELINES = {
    "mirror": lambda: [HandMirror()],
    "mirror, view": lambda: [HandMirror(), ViewAligner()],
    "view, mirror": lambda: [ViewAligner(), HandMirror(to="left")],
    "mirror, view, crop": lambda: [HandMirror(), ViewAligner(point="palm"), HandCropper(16, margin=1.3)],
}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_hand_and_its_mirror_image_get_mirrored_poses(hands, name):
    steps = PIPELINES[name]()
    frames = hands.data.replace(box=None)
    model = make_pipeline(*steps, small(given=("root",))).fit(frames, hands.target)
    predicted, reflected = model.predict(frames), model.predict(mirror_image(frames))
    np.testing.assert_allclose(
        reflected, predicted * (-1, 1, 1), rtol=0, atol=1e-6 if len(steps) == 1 else 0.1
    )
    np.testing.assert_allclose((predicted[:, 0] + predicted[:, 9]) / 2, frames.root, atol=1e-6)


def test_the_absolute_error_is_that_of_the_aligned_pose(hands):
    steps = [HandMirror(), ViewAligner()]
    model = make_pipeline(*steps, small(given=("root",))).fit(hands.data, hands.target)
    seen = model[:-1].transform(hands.data)
    aligned = model[-1].predict(seen.replace(rotation=None))
    error = np.linalg.norm(model.predict(hands.data) - hands.target, axis=-1)
    wanted = np.linalg.norm(aligned - rotate_points(hands.target, seen.rotation), axis=-1)
    np.testing.assert_allclose(error, wanted, atol=1e-6)


def test_steps_are_searched_and_cross_validated(hands):
    model = make_pipeline(HandMirror(), ViewAligner(), small(given=("root",), max_epochs=1))
    grid = {"handmirror__to": ["left", "right"], "viewaligner__point": ["root", "palm"]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(hands.data, hands.target)
    assert search.predict(hands.data[:1]).shape == (1, 21, 3)
    predicted = cross_val_predict(model, hands.data, hands.target, cv=2)
    np.testing.assert_allclose((predicted[:, 0] + predicted[:, 9]) / 2, hands.data.root, atol=1e-6)
