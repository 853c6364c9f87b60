"""LatentHeatmapRegressor among tables, transformers and scikit-learn's tools, and what it refuses."""

from __future__ import annotations

import copy
import pickle
import textwrap
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline

from skhand import HandFrames, concat_frames
from skhand.datasets import make_hands
from skhand.estimators import LatentHeatmapRegressor
from skhand.exceptions import CameraError, InputError, SideInformationError
from skhand.geometry import apply_affine, project, rotate_points
from skhand.metrics import evaluate, evaluate_predictions, get_scorer, mean_epe, pckh
from skhand.preprocessing import HandCropper, HandMirror

N = 24


def small(**options):
    settings = {
        "network": "paper",
        "width": 8, "fast": True, "backbone": "small", "sigma": 1.0, "lr": 5e-3, "max_epochs": 1,
        "batch_size": 12, "augment": None, "random_state": 0,
    }  # fmt: skip
    return LatentHeatmapRegressor(**{**settings, **options})


@pytest.fixture(scope="module")
def hands():
    return make_hands(N, image_size=16, rotation=60.0, images=("rgb",), random_state=0)


@pytest.fixture(scope="module")
def fitted(hands):
    return small().fit(hands.data, hands.target)


# ---------------------------------------------------------------- frames


def test_whole_pictures_with_several_hands_are_answered_in_their_own_pixels():
    """Two hands a picture: rows share the picture, the crops differ, the answers are the picture's."""
    hands = make_hands(N, image_size=32, images=("rgb",), random_state=0)
    box = np.concatenate([hands.data.box - [4, 0, 0, 0], hands.data.box + [3, 2, 0, 0]])
    X = concat_frames([hands.data, hands.data]).replace(box=box, keypoints2d=None)
    y = np.concatenate([hands.target, hands.target])
    pipe = make_pipeline(HandCropper(16, source="box"), small()).fit(X, y)
    crops = pipe[0].transform(X)
    est = pipe[-1]
    assert np.abs(crops.rgb[0].astype(int) - crops.rgb[N]).max() > 0
    placed = est.predict_25d(crops)
    back = apply_affine(np.linalg.inv(crops.affine), placed.points[..., :2])
    np.testing.assert_allclose(est.predict_keypoints(crops), back, atol=1e-9)
    # a crop does not turn the camera: the answer projects into the whole picture where its keypoints are
    np.testing.assert_allclose(project(pipe.predict(X), X.camera), back, atol=1e-6)


def test_poses_are_learned_and_answered_in_the_original_frame(hands):
    rotation = Rotation.from_euler("xyz", [20, -15, 70], degrees=True).as_matrix()
    turned = hands.data.replace(rotation=rotation)
    y = rotate_points(hands.target, rotation.T)
    by_hand = small().fit(hands.data, hands.target)
    est = small().fit(turned, y)
    assert est.history_["train_loss"] == pytest.approx(by_hand.history_["train_loss"], rel=1e-5)
    wanted, spread = by_hand.predict(hands.data, return_std=True)
    found, found_spread = est.predict(turned, return_std=True)
    np.testing.assert_allclose(found, rotate_points(wanted, rotation.T), rtol=1e-3, atol=0.1)
    total, found_total = (np.sqrt((each**2).sum(-1)) for each in (spread, found_spread))
    np.testing.assert_allclose(found_total, total, rtol=1e-3)


def test_mirrored_hands_are_answered_as_they_were(hands):
    pipe = make_pipeline(HandMirror(to="right"), small()).fit(hands.data, hands.target)
    mirrored = pipe[0].transform(hands.data)
    points = pipe[-1].predict_25d(mirrored).points[..., :2]
    left = hands.data.side == "left"
    points[left, :, 0] = 15 - points[left, :, 0]
    np.testing.assert_allclose(project(pipe.predict(hands.data), hands.data.camera), points, atol=1e-6)


def test_the_spread_is_that_of_drawn_points(fitted, hands):
    """Against samples of a normal distribution of the heatmap's covariance, placed by hand."""
    X = hands.data[:2]
    placed = fitted.predict_25d(X)
    maps = fitted.predict_heatmaps(X)
    v, u = np.mgrid[:16, :16]
    joint, row = 8, 1
    weights = maps.joints[row, joint].ravel().astype(float)
    depth = (maps.depths[row, joint] / maps.joints[row, joint]).ravel()
    covariance = np.cov(np.stack([u.ravel(), v.ravel(), depth]), aweights=weights, ddof=0)
    draws = np.random.default_rng(0).multivariate_normal(placed.points[row, joint], 1e-4 * covariance, 20000)
    z = placed.root_depth[row] + placed.scale[row] * draws[:, 2]
    rays = np.c_[draws[:, :2], np.ones(20000)] @ np.linalg.inv(X.camera[row]).T
    wanted = (rays * z[:, None]).std(axis=0) * 1e2
    _, std = fitted.predict(X, return_std=True)
    np.testing.assert_allclose(std[row, joint], wanted, rtol=0.03)


def test_heatmaps_sum_to_one_and_give_the_points(fitted, hands):
    maps, points = fitted.predict_heatmaps(hands.data), fitted.predict_25d(hands.data).points
    assert maps.joints.shape == maps.depths.shape == (N, 21, 16, 16)
    np.testing.assert_allclose(maps.joints.sum(axis=(2, 3)), 1, atol=1e-4)
    np.testing.assert_allclose(maps.depths.sum(axis=(2, 3)), points[..., 2], atol=1e-4)
    np.testing.assert_allclose((maps.joints.sum(axis=2) * np.arange(16)).sum(-1), points[..., 0], atol=1e-3)


@pytest.mark.parametrize("heatmap", ["direct", "holistic"])
def test_the_other_heads_answer_alike(hands, heatmap):
    est = small(heatmap=heatmap).fit(hands.data, hands.target)
    assert est.predict(hands.data).shape == (N, 21, 3)
    assert est.transform(hands.data).shape == (N, len(est.get_feature_names_out()))
    if heatmap == "holistic":
        for ask in (est.predict_heatmaps, lambda X: est.predict(X, return_std=True)):
            with pytest.raises(InputError, match="expected one of 'latent', 'direct'"):
                ask(hands.data)
    else:
        maps = est.predict_heatmaps(hands.data).joints.reshape(N, 21, -1)
        np.testing.assert_array_equal(
            maps.argmax(-1) % 16, est.predict_25d(hands.data).points[..., 0].astype(int)
        )
        assert np.isfinite(est.predict(hands.data, return_std=True)[1]).all()


def test_points_without_a_depth_get_the_usual_one(fitted, hands):
    """All joints at one pixel: no root depth fits, and the training rows' median stands in."""
    columns = fitted._read(hands.data[:2])
    points = np.zeros((2, 21, 3))
    points[0, :, 2] = np.linspace(0, 1, 21)  # no joint before the root
    points[1, :, 2] = np.linspace(-1, 1, 21)
    placed = fitted._place(points, columns)
    assert placed.clamped.all()
    assert np.isfinite(placed.joints).all()
    usual = placed.root_depth / placed.scale - [0, 1]  # of the root, and of the joint that is nearest
    np.testing.assert_allclose(usual, fitted.root_depth_)


# ---------------------------------------------------------------- scikit-learn


@pytest.mark.parametrize(
    "duplicate",
    [lambda est: pickle.loads(pickle.dumps(est)), copy.deepcopy, copy.copy],
    ids=["pickle", "deepcopy", "copy"],
)
def test_a_copy_predicts_the_same_bits_and_trains_on(fitted, hands, duplicate):
    twin = duplicate(fitted)
    before = fitted.predict(hands.data)
    np.testing.assert_array_equal(twin.predict(hands.data), before)
    pickle.loads(pickle.dumps(twin)).partial_fit(hands.data, hands.target)
    np.testing.assert_array_equal(fitted.predict(hands.data), before)


def test_the_same_seed_gives_the_same_fit_and_a_row_stands_alone(fitted, hands):
    again = clone(fitted).fit(hands.data, hands.target)
    whole = fitted.predict(hands.data)
    np.testing.assert_array_equal(again.predict(hands.data), whole)
    alone = np.concatenate([fitted.predict(hands.data[[i]]) for i in range(6)])
    np.testing.assert_allclose(alone, whole[:6], rtol=1e-12)  # the network's bits are the same


def test_a_search_takes_the_heads(hands):
    search = GridSearchCV(
        small(augment="auto"), {"heatmap": ["latent", "holistic"]}, scoring=get_scorer("neg_epe"), cv=2
    )
    search.fit(hands.data, hands.target)
    for i, heatmap in enumerate(("latent", "holistic")):
        for fold, (train, test) in enumerate(KFold(2).split(hands.target)):
            est = small(augment="auto", heatmap=heatmap).fit(hands.data[train], hands.target[train])
            wanted = -mean_epe(hands.target[test], est.predict(hands.data[test]), align="root")
            assert search.cv_results_[f"split{fold}_test_score"][i] == pytest.approx(wanted, rel=1e-9)
    best = np.argmax(search.cv_results_["mean_test_score"])
    assert search.best_estimator_.module_.heatmap == ("latent", "holistic")[best]


@pytest.mark.parametrize("protocol", ["iqbal2018_rhp", "iqbal2018_shp", "iqbal2018_do", "iqbal2018_ed"])
def test_the_papers_protocols_take_the_estimator(fitted, hands, protocol):
    found = evaluate(fitted, hands.data, hands.target, protocol=protocol, mean_bones=fitted.mean_bones_)
    assert found.given == ()
    assert found.n_joints == N * (5 if protocol in ("iqbal2018_do", "iqbal2018_ed") else 21)
    told = small(given="root").fit(hands.data, hands.target)
    assert evaluate(told, hands.data, hands.target, protocol=protocol).given == ("root",)


def test_places_are_scored_in_the_crop_or_in_the_picture(hands):
    """The lines of docs/protocols.rst, which compare each in its own pixels."""
    page = (Path(__file__).parents[2] / "docs" / "protocols.rst").read_text()
    start = page.index("    crops = HandCropper(")
    lines = textwrap.dedent(page[start : page.index("\n\n", start)]).replace("64", "16")
    crops = HandCropper(16, source="box").fit_transform(hands.data)
    known = {"est": small().fit(crops, hands.target), "X_test": hands.data, "HandCropper": HandCropper}
    found = []
    exec(
        lines, {**known, "evaluate_predictions": lambda *a, **k: found.append(evaluate_predictions(*a, **k))}
    )
    off = np.linalg.norm(known["est"].predict_25d(crops).points[..., :2] - crops.keypoints2d, axis=2)
    zoom = crops.affine[:, 0, 0]
    assert np.abs(zoom - 1).max() > 0.1
    in_crop, in_picture = (each.mean_epe for each in found)
    assert in_crop == pytest.approx(off.mean())
    assert in_picture == pytest.approx((off / zoom[:, None]).mean())
    heads = np.where(np.arange(N) < 4, np.nan, 10.0)
    places = known["est"].predict_keypoints(crops)
    assert pckh(hands.data.keypoints2d, places, heads) == (off[4:] <= 5 * zoom[4:, None]).mean()


def test_the_score_is_weighted_by_variance(fitted, hands):
    y = hands.target.reshape(N, -1)
    off = fitted.predict(hands.data).reshape(N, -1) - y
    wanted = 1 - (off**2).sum() / ((y - y.mean(axis=0)) ** 2).sum()
    assert fitted.score(hands.data, hands.target) == pytest.approx(wanted, rel=1e-9)


def test_more_epochs_after_other_networks_are_refused(hands):
    est = small(warm_start=True).fit(hands.data, hands.target)
    before = est.predict(hands.data)
    changes = ({"width": 4}, {"heatmap": "direct"}, {"given": ("side",)}, {"n_stacks": 2}, {"root": "wrist"})
    for change in (*changes, {"bone": ("wrist", "middle_mcp")}):
        with pytest.raises(InputError, match=f"{next(iter(change))}: expected"):
            copy.copy(est).set_params(**change).fit(hands.data, hands.target)
        np.testing.assert_array_equal(copy.copy(est).set_params(**change).predict(hands.data), before)


# ---------------------------------------------------------------- bad input

BAD = {
    "no camera": (lambda X, y: (X.replace(camera=None), y), {}, CameraError, "camera"),
    "two cameras": (
        lambda X, y: (X.replace(camera=None), y), {"camera": np.stack([np.eye(3)] * 2)}, CameraError,
        "camera",
    ),
    "a camera a row": (
        lambda X, y: (X.replace(camera=None), y), {"camera": np.stack([np.eye(3)] * N)}, CameraError,
        r"camera: expected one matrix \(3, 3\)",
    ),
    "no pictures": (lambda X, y: (HandFrames(camera=X.camera), y), {}, InputError, "rgb"),
    "no y": (lambda X, y: (X, None), {}, ValueError, "requires y to be passed"),
    "14 joints": (lambda X, y: (X, y[:, :14]), {}, InputError, "y: expected poses .*21"),
    "no wrist": (
        lambda X, y: (X, np.where(np.arange(21)[:, None] == 0, np.nan, y)), {}, InputError, "y: .*bone",
    ),
    "keypoints of 20": (
        lambda X, y: (X.replace(keypoints2d=X.keypoints2d[:, 1:], visible=None), y), {}, InputError,
        "keypoints2d",
    ),
    "a head": (lambda X, y: (X, y), {"heatmap": "volumetric"}, InputError, "heatmap"),
    "alpha": (lambda X, y: (X, y), {"alpha": -1.0}, InputError, "alpha"),
    "sigma": (lambda X, y: (X, y), {"sigma": 0.0}, InputError, "sigma"),
    "width": (lambda X, y: (X, y), {"width": 0}, InputError, "width"),
    "stages": (lambda X, y: (X, y), {"n_stacks": 0}, InputError, "n_stacks"),
    "bone": (lambda X, y: (X, y), {"bone": ("index_mcp", "elbow")}, InputError, "bone"),
    "root": (lambda X, y: (X, y), {"root": "elbow"}, InputError, "root"),
    "mean bones": (lambda X, y: (X, y), {"mean_bones": np.zeros(20)}, InputError, "mean_bones"),
    "given": (lambda X, y: (X, y), {"given": ("camera",)}, InputError, "given"),
    "no scale": (lambda X, y: (X.replace(scale=None), y), {"given": "scale"}, SideInformationError, "scale"),
    "no side": (lambda X, y: (X.replace(side=None), y), {"given": "side"}, SideInformationError, "side"),
    "augment": (lambda X, y: (X, y), {"augment": {"tilt": 1}}, InputError, "augment"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_to_fit_is_named(hands, name):
    change, settings, error, message = BAD[name]
    X, y = change(hands.data, hands.target)
    with pytest.raises(error, match=message):
        small(**settings).fit(X, y)


def test_bad_input_to_predict_is_named(fitted, hands):
    with pytest.raises(NotFittedError):
        small().predict(hands.data)
    with pytest.raises(InputError, match="rgb of shape"):
        fitted.predict(hands.data.replace(rgb=hands.data.rgb[:, :8]))
    bare = hands.data.replace(camera=None)
    with pytest.raises(CameraError, match="camera"):
        fitted.predict(bare)
    np.testing.assert_array_equal(fitted.predict_keypoints(bare), fitted.predict_keypoints(hands.data))
    told = small(given="root").fit(hands.data, hands.target)
    with pytest.raises(SideInformationError, match="root"):
        told.predict(hands.data.replace(root=np.full((N, 3), np.nan)))


# ---------------------------------------------------------------- joining tables


def test_joined_tables_read_their_own_rows_and_fill_what_is_unknown(hands):
    one = hands.data[:10]
    other = hands.data[10:].replace(keypoints2d=None, visible=None, domain=None, root=None)
    other = other.replace(affine=np.broadcast_to(2 * np.eye(3), (14, 3, 3)))
    both = concat_frames([one, other])
    np.testing.assert_array_equal(both.rgb[[13, 2, 9, 10]], hands.data.rgb[[13, 2, 9, 10]])
    assert np.isnan(both.keypoints2d[10:]).all() and np.isnan(both.root[10:]).all()
    assert both.visible[10:].all()
    assert set(both.domain[10:]) == {""}
    np.testing.assert_array_equal(both.affine[:10], np.broadcast_to(np.eye(3), (10, 3, 3)))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(both)).rgb[12:], hands.data.rgb[12:])
    for column in ("side", "rgb"):
        with pytest.raises(InputError, match=f"expected {column} in all tables"):
            concat_frames([one, hands.data.replace(**{column: None})])
    sizes = concat_frames([one, one.replace(rgb=one.rgb[:][:, :8])])  # to be read one by one
    assert [sizes.rgb[[i]].shape for i in (0, 10)] == [(1, 16, 16, 3), (1, 8, 16, 3)]
    with pytest.raises(InputError, match="rgb of one size"):
        small().fit(sizes, np.concatenate([hands.target[:10]] * 2))
    with pytest.raises(InputError, match="rgb of one dtype"):
        concat_frames([one, one.replace(rgb=one.rgb[:] / 255.0)])
    with pytest.raises(InputError, match="frames"):
        concat_frames([])
