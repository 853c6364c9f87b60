"""SimToRealRegressor: settings and data that are refused by name, and those that are not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from skhand import HandFrames, concat_frames
from skhand.datasets import make_hands
from skhand.estimators import SimToRealRegressor
from skhand.exceptions import InputError, TrainingWarning

N, SIZE = 8, 16


@pytest.fixture(scope="module")
def hands():
    settings = {"image_size": SIZE, "images": ("depth",), "random_state": 0}
    synthetic, real = make_hands(N, **settings), make_hands(N, domain="real", **settings)
    y = np.concatenate([synthetic.target, real.target])
    return concat_frames([synthetic.data, real.data]), y


def small(**options):
    settings = {"width": 1, "max_iter": 1, "given": ("root",), "augment": None, "random_state": 0}
    return SimToRealRegressor(**{**settings, **options})


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"preset": "print"}, "preset"),
        ({"supervision": "sensor"}, "supervision"),
        ({"domain": "sensor"}, "domain"),
        ({"stages": "pose"}, "stages"),
        ({"stages": ()}, "stages"),
        ({"stages": ("depth", "posterior")}, "stages"),
        ({"stages": ("pose", "posterior", "depth")}, "stages"),
        ({"stages": ("pose", "pose")}, "stages"),
        ({"stages": ("pose", "align")}, "stages"),
        ({"width": 0}, "width"),
        ({"latent_dim": 2.5}, "latent_dim"),
        ({"pose_hidden_units": 0}, "pose_hidden_units"),
        ({"pose_kl_weight": -1}, "pose_kl_weight"),
        ({"map_picture_weight": "1"}, "map_picture_weight"),
        ({"depth_warm_up": 1.5}, "depth_warm_up"),
        ({"depth_warm_up": None}, "depth_warm_up"),
        ({"posterior_start": True}, "posterior_start"),
        ({"posterior_start": "real"}, "posterior_start"),
        ({"lr_schedule": "steps"}, "lr_schedule"),
        ({"posterior_feature_weight": np.nan}, "posterior_feature_weight"),
        ({"max_iter": 0}, "max_iter"),
        ({"max_iter": {"align": 3}}, "max_iter"),
        ({"lr": 0}, "lr"),
        ({"lr": {"depth": "fast"}}, "lr"),
        ({"batch_size": {"depth": 0.5}}, "batch_size"),
        ({"source": "keypoints2d"}, "source"),
        ({"given": ("root", "side")}, "given"),
        ({"augment": "spurr"}, "augment"),
        ({"callbacks": "all"}, "callbacks"),
    ],
)
def test_odd_settings_are_refused_by_name(hands, options, name):
    with pytest.raises(InputError, match=f"^{name}: expected"):
        small(**options).fit(*hands)


def test_data_that_a_stage_lacks_is_refused_by_name(hands):
    X, y = hands
    with pytest.raises(InputError, match="^stages: 'depth' needs rows of both domains, got only .'real',."):
        small(stages=("pose", "depth")).fit(X[N:], y[N:])
    with pytest.raises(InputError, match="^stages: 'depth' needs rows of both domains, got only .'syn"):
        small(stages=("pose", "depth", "posterior"), domain="synthetic").fit(X.replace(domain=None), y)
    unlabelled = np.full_like(y, np.nan)
    with pytest.raises(InputError, match="^y: expected at least one labelled row"):
        small().fit(X, unlabelled)
    partly = y.copy()
    partly[N:] = np.nan
    with pytest.raises(InputError, match="^supervision: 'real' needs labelled rows of the real domain, got"):
        small(supervision="real").fit(X, partly)
    tiny = X.replace(depth=np.asarray(X.depth)[:, :7])
    with pytest.raises(InputError, match="^X: expected pictures of at least 8 x 8 px, got 7 x 16"):
        small().fit(tiny, y)
    with pytest.raises(InputError, match="^validation_fraction: expected rows of .* left to train on"):
        small(early_stopping=True, validation_fraction=0.9).fit(X[: N + 1], np.r_[partly[:N], y[N : N + 1]])
    with pytest.raises(InputError, match="^X: expected a HandFrames with depth or rgb"):
        small().fit(X.replace(depth=None), y)
    with pytest.raises(InputError, match="^source: expected one of 'depth', 'rgb', got 'table'"):
        small().fit(np.zeros((4, 30)), np.zeros((4, 3)))


@pytest.mark.parametrize(
    "changed",
    [{"latent_dim": 9}, {"width": 2}, {"preset": "code"}, {"given": ()}, {"stages": ("pose", "posterior")}],
)
def test_going_on_with_another_architecture_is_refused(hands, changed):
    estimator = small(warm_start=True).fit(*hands)
    before = estimator.predict(hands[0])
    name = "pose_hidden_units" if "preset" in changed else next(iter(changed))
    with pytest.raises(InputError, match=f"^{name}: expected"):
        estimator.set_params(**changed).fit(*hands)
    np.testing.assert_array_equal(estimator.predict(hands[0]), before)


def test_rows_of_one_domain_are_trained_without_the_depth_stage(hands):
    X, y = hands
    estimator = small().fit(X[N:], y[N:])
    assert estimator.stages_ == ("pose", "posterior") and estimator.domains_ == ("real",)
    assert set(estimator.front_.values()) == {"real"}
    # labels of one domain, pictures of both, and no depth stage: one front was trained
    partly = y.copy()
    partly[N:] = np.nan
    alone = small(stages=("pose", "posterior")).fit(X, partly)
    assert set(alone.front_.values()) == {"synthetic"}


def test_rows_without_the_name_of_a_domain_are_what_the_parameter_says(hands):
    X, y = hands
    unnamed = concat_frames([X[:N].replace(domain=None), X[N:]])
    assert set(unnamed.domain) == {"", "real"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        named = small(domain="synthetic").fit(unnamed, y)
        whole = small().fit(X, y)
    assert named.stages_ == ("pose", "depth", "posterior") and named.domains_ == ("synthetic", "real")
    np.testing.assert_array_equal(named.predict(unnamed), whole.predict(X))
    for nothing in (None, np.nan, ""):
        column = np.array([nothing] * N + ["real"] * N, dtype=object)
        np.testing.assert_array_equal(named.predict(X.replace(domain=column)), whole.predict(X))


@pytest.mark.parametrize(("names", "options"), [
    (("", "real"), {}),
    (("Synthetic", "real"), {}),
    (("", "synthetic"), {"domain": "synthetic"}),
])  # fmt: skip
def test_names_that_leave_one_domain_only_are_warned_of(hands, names, options):
    X, y = hands
    X = X.replace(domain=np.repeat(names, N))
    with pytest.warns(
        TrainingWarning, match=f"^domain: X's rows are named {sorted(names)!r}".replace("[", r"\[")
    ):
        estimator = small(**options).fit(X, y)
    assert estimator.stages_ == ("pose", "posterior")
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)  # who asks for these stages knows
        small(**options, stages=("pose", "posterior")).fit(X, y)


def test_a_root_that_other_joints_do_not_have_is_named(hands):
    X, y = hands
    more = np.concatenate([y, y[:, :15]], axis=1)
    for root in ("palm", "wrist"):
        with pytest.raises(
            InputError, match=f"^root: '{root}' needs 21 joints, y has 36; expected the index"
        ):
            small(root=root).fit(X, more)
        with pytest.raises(
            InputError, match=f"^root: '{root}' needs 21 joints, y has 36; expected the index"
        ):
            small(root=root).fit(X, more.reshape(len(X), -1))
    assert small(root=32).fit(X, more).predict(X).shape == more.shape


def test_unlabelled_rows_need_no_root_and_no_scale(hands):
    X, y = hands
    partly = y.copy()
    partly[N:] = np.nan
    root, scale = X.root.copy(), X.scale.copy()
    root[N:], scale[N:] = np.nan, np.nan
    estimator = small(given=("root", "scale")).fit(X.replace(root=root, scale=scale), partly)
    assert np.isfinite(estimator.history_["train_loss"]).all()
    assert np.isfinite(estimator.predict(X)).all()


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (24, 16)])
def test_pictures_of_any_shape(size, rng):
    depth = rng.uniform(400, 600, (6, *size)).astype(np.float32)
    X = HandFrames(depth=depth, domain=np.repeat(["synthetic", "real"], 3))
    y = rng.normal(0, 40, (6, 5, 3))
    estimator = small(given=()).fit(X, y)
    assert estimator.translate(X, "real").shape == depth.shape
    assert estimator.predict(X).shape == y.shape


def test_numbers_that_are_no_poses(hands, rng):
    X = hands[0]
    y = 1000 + 100 * rng.normal(size=(2 * N, 4))
    estimator = small(given=(), augment="auto", max_iter={"pose": 300, "depth": 1, "posterior": 1}).fit(X, y)
    returned = estimator.predict(y, source="pose3d")
    assert returned.shape == y.shape and abs(returned.mean() - 1000) < 60
