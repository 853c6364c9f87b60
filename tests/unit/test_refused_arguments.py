"""What no argument can mean is refused, and the error names the argument."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin

from skhand import HandFrames, ImageFiles, concat_frames
from skhand.datasets import load_folder, load_rhd, make_hands, make_scenes, save_folder
from skhand.exceptions import InputError
from skhand.geometry import affine_crop, affine_rotate, align_root, align_scale, decode_25d, procrustes
from skhand.metrics import (
    PROTOCOLS,
    evaluate_predictions,
    get_scorer,
    joint_angles,
    make_pose_scorer,
    mean_epe,
    pck,
)
from skhand.preprocessing import (
    DepthCropper,
    HandCropper,
    HandMirror,
    ImageNormalizer,
    PoseNormalizer,
    head_box,
)
from skhand.skeleton import Layout

HANDS = np.random.default_rng(0).normal(size=(2, 21, 3), scale=20.0) + [0.0, 0.0, 450.0]
INFINITE = np.where(np.arange(63).reshape(21, 3) == 5, np.inf, HANDS)
CAMERA = [[100.0, 0.0, 0.0], [0.0, 100.0, 0.0], [0.0, 0.0, 1.0]]
PICTURES = HandFrames(
    rgb=np.zeros((2, 8, 8, 3), np.uint8), side="left", box=[0.0, 0.0, 4.0, 4.0] * np.ones((2, 1))
)


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("return_X_y", lambda: make_hands(1, images=(), return_X_y="no")),
        ("return_X_y", lambda: make_hands(1, images=(), return_X_y=1)),
        ("lazy", lambda: make_hands(1, images=(), lazy=[])),
        ("images", lambda: make_hands(1, images=np.zeros(0))),
        ("n_samples", lambda: make_hands(10**30)),
        ("image_size", lambda: make_scenes(1, image_size=10**30)),
        ("jpeg", lambda: make_hands(1, images=(), jpeg=np.array(3.5))),
        ("data_dir", lambda: load_rhd("")),
        ("gray", lambda: ImageFiles(["a.png"], gray="no")),
        ("reader", lambda: ImageFiles(["a.png"], reader=3)),
        ("frames", lambda: concat_frames(np.array("a"))),
        ("domain", lambda: HandFrames(table=HANDS[:, 0], domain=[1.0, 2.0])),
        ("align", lambda: mean_epe(HANDS, HANDS, align="no")),
        ("root", lambda: mean_epe(HANDS, HANDS, root="no")),
        ("root", lambda: mean_epe(HANDS, HANDS, root=-1)),
        ("root", lambda: align_root(HANDS, -1)),
        ("root", lambda: decode_25d(HANDS, CAMERA, root="no")),
        ("y_pred", lambda: align_scale(INFINITE, HANDS)),
        ("y_true", lambda: procrustes(HANDS, INFINITE)),
        ("y_pred", lambda: mean_epe(np.where(np.isinf(INFINITE), np.nan, HANDS), INFINITE)),
        ("y_pred", lambda: evaluate_predictions(HANDS, INFINITE, protocol="zb2017_rhd")),
        ("y_true", lambda: mean_epe(np.zeros((0, 3)), HANDS)),
        ("threshold", lambda: pck(HANDS, HANDS, True)),
        ("threshold", lambda: pck(HANDS, HANDS, [True, False])),
        ("centre", lambda: affine_rotate(3.0, [True, False])),
        ("degrees", lambda: affine_rotate(np.zeros((2, 2)), [0.0, 0.0])),
        ("size", lambda: affine_crop([0, 0, 1, 1], 10**30)),
        ("y", lambda: joint_angles(HANDS, ["left"] * 3)),
        ("metric", lambda: make_pose_scorer(int)),
        ("width", lambda: HandMirror(width="no").fit(PICTURES)),
        ("centre", lambda: HandCropper(centre="no").fit(PICTURES)),
        ("min_size", lambda: HandCropper(min_size=10**400).fit(PICTURES)),
        ("centre", lambda: head_box(np.zeros((1, 2)), np.ones(2))),
        ("scale", lambda: PoseNormalizer().inverse_transform(HANDS, scale=True)),
        ("X", lambda: ImageNormalizer().fit_transform(np.full((1, 2, 2, 3), 255.0))),
        ("affine", lambda: HandCropper().inverse_transform(PICTURES.replace(affine=np.zeros((2, 3, 3))))),
        ("name", lambda: Layout(3, ("wrist",))),
        ("joints", lambda: Layout("mine", ())),
        ("joints", lambda: Layout("mine", ("wrist", "wrist"))),
        ("n_dims", lambda: replace(PROTOCOLS["nyu14"], n_dims=4)),
        ("layouts", lambda: replace(PROTOCOLS["nyu14"], layouts=("nyu36",))),
        ("n_frames", lambda: replace(PROTOCOLS["nyu14"], n_frames=(0,))),
        ("note", lambda: replace(PROTOCOLS["nyu14"], note=None)),
        ("data_dir", lambda: save_folder(PICTURES, HANDS, "")),
        ("target", lambda: save_folder(PICTURES, INFINITE, "a")),
        ("groups", lambda: save_folder(PICTURES, HANDS, "a", groups=["x", None])),
        ("data", lambda: save_folder(PICTURES.replace(box=np.zeros((2, 4))), HANDS, "a")),
        ("near", lambda: DepthCropper(near=10**30).fit(PICTURES)),
        ("estimator", lambda: get_scorer("neg_epe")("no", HANDS, HANDS)),
        ("X", lambda: get_scorer("neg_epe")(_Same(), HANDS[:1], HANDS)),
    ],
)
def test_it_is_named(argument, call):
    with pytest.raises(InputError, match=rf"(?<!\w){argument}(?!\w)"):
        call()


class _Same(RegressorMixin, BaseEstimator):
    def predict(self, X):
        return X


def test_a_scorer_still_scores():
    assert get_scorer("neg_epe")(_Same(), HANDS, HANDS) == 0.0
    assert get_scorer("pck")(_Same(), HANDS, HANDS) == 1.0


@pytest.mark.parametrize("path", ["", 3, b"abc", ["a"], "."])
def test_a_summary_is_written_to_a_file(path):
    result = evaluate_predictions(HANDS, HANDS, protocol="zb2017_rhd")
    with pytest.raises(InputError, match="^path: expected a file"):
        result.to_json(path)


def test_an_idle_root_may_belong_to_the_canonical_joints():
    poses = np.zeros((1, 14, 3))
    assert mean_epe(poses, poses + [3.0, 4.0, 0.0], root="palm") == pytest.approx(5.0)


def test_a_joint_that_is_known_by_half_is_saved_as_unknown(tmp_path):
    half = HANDS.copy()
    half[0, 3, 1] = np.nan
    save_folder(PICTURES, half, tmp_path)
    back = load_folder(tmp_path).target
    assert np.isnan(back[0, 3]).all() and np.isnan(back).sum() == 3
