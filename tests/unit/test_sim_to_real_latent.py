"""SimToRealRegressor once it is fitted: predictions, latent spaces, translations, samples, copies."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from skhand import HandFrames, concat_frames
from skhand.datasets import make_hands
from skhand.estimators import SimToRealRegressor
from skhand.exceptions import InputError
from skhand.geometry import align_root, rotate_points
from skhand.preprocessing import HandMirror
from skhand.skeleton import root_position

SIZE, N = 16, 12
STEPS = {"pose": 40, "depth": 6, "posterior": 6}


def small(**options):
    settings = {
        "width": 2, "max_iter": STEPS, "lr": 2e-3, "batch_size": 4, "given": ("root",), "augment": None,
        "random_state": 0,
    }  # fmt: skip
    return SimToRealRegressor(**{**settings, **options})


def two_domains(images=("depth",), n=N, **options):
    """Frames and poses of n synthetic and n real hands, and with them the synthetic ones' poses only."""
    settings = {"image_size": SIZE, "images": images, "random_state": 0, **options}
    synthetic, real = make_hands(n, **settings), make_hands(n, domain="real", **settings)
    X, y = concat_frames([synthetic.data, real.data]), np.concatenate([synthetic.target, real.target])
    partly = y.copy()
    partly[n:] = np.nan
    return X, y, partly


@pytest.fixture(scope="module")
def hands():
    return two_domains()


@pytest.fixture(scope="module")
def fitted(hands):
    X, _, partly = hands
    return small().fit(X, partly)


def pictures_of(estimator, X, domain):
    """Network input of depth pictures: each around its own middle, 150 mm to either side."""
    depth = torch.as_tensor(np.asarray(X.depth))
    seen = torch.where(depth > 0, depth, torch.nan)
    middle = seen.flatten(1).nanmedian(1).values[:, None, None]
    return torch.where(depth > 0, ((depth - middle) / 150).clamp(-1, 1), 1.0)[:, None]


def test_predictions_go_through_the_rows_own_front_layers(fitted, hands):
    X = hands[0]
    with torch.no_grad():
        for domain, rows in (("synthetic", slice(0, N)), ("real", slice(N, None))):
            x = pictures_of(fitted, X[rows], domain)
            z = fitted.module_.posterior(fitted.module_.features(x, domain))
            np.testing.assert_allclose(fitted.transform(X[rows]), z, atol=1e-5)
            relative = 150 * fitted.module_.pose_decoder(z).double().numpy() + fitted.codecs_["pose3d"].mean
            relative = align_root(relative.reshape(-1, 21, 3), "palm")
            np.testing.assert_allclose(
                fitted.predict(X[rows]), relative + X[rows].root[:, None], rtol=0, atol=1e-2
            )


def test_a_rows_answer_does_not_depend_on_the_rows_beside_it(fitted, hands):
    X = hands[0]
    order = np.random.default_rng(0).permutation(2 * N)[:15]
    for answer in (
        fitted.predict,
        fitted.transform,
        lambda X: fitted.transform(X, space="depth"),
        lambda X: fitted.translate(X, "real"),
    ):
        whole = answer(X)
        np.testing.assert_array_equal(answer(X[order]), whole[order])
        np.testing.assert_array_equal(np.concatenate([answer(X[[i]]) for i in order[:3]]), whole[order[:3]])


def test_the_parameter_domain_names_the_domain_where_the_column_does_not(fitted, hands):
    X = hands[0]
    plain = X.replace(domain=None)
    twin = copy.deepcopy(fitted)
    np.testing.assert_array_equal(twin.predict(plain)[N:], fitted.predict(X)[N:])
    assert (twin.predict(plain)[:N] != fitted.predict(X)[:N]).any()
    twin.set_params(domain="synthetic")
    np.testing.assert_array_equal(twin.predict(plain)[:N], fitted.predict(X)[:N])
    sensor = X.replace(domain=np.repeat(["synthetic", "kinect"], N))
    np.testing.assert_array_equal(fitted.predict(sensor), fitted.predict(X))
    # in fit: arrays are of one domain, which needs no depth stage
    one = small(domain="synthetic").fit(np.asarray(X[:N].depth), hands[1][:N])
    assert one.stages_ == ("pose", "posterior") and one.domains_ == ("synthetic",)
    assert one.front_ == {"synthetic": "synthetic", "real": "synthetic"}
    as_real = one.predict(X.replace(domain="real"))
    np.testing.assert_array_equal(one.predict(X.replace(domain="synthetic")), as_real)


def test_the_latent_space_of_pictures_is_flattened_maps(fitted, hands):
    X, y, _ = hands
    maps = fitted.transform(X, space="depth")
    assert maps.shape == (2 * N, 4 * 2 * (SIZE // 4) ** 2) and maps.dtype == np.float32
    with torch.no_grad():
        wanted = fitted.module_.encode(pictures_of(fitted, X[N:], "real"), "real").flatten(1)
        z = torch.as_tensor(fitted.transform(y, source="pose3d"))
        mapped = fitted.module_.map_pose(z).flatten(1)
    np.testing.assert_allclose(maps[N:], wanted, atol=1e-4)
    np.testing.assert_allclose(fitted.transform(y, source="pose3d", space="depth"), mapped, atol=1e-4)


def test_translations_are_what_the_networks_make_in_the_pictures_own_units(fitted, hands):
    X, y, _ = hands
    there = fitted.translate(X, to="real")
    assert there.shape == X.depth.shape
    with torch.no_grad():
        x = pictures_of(fitted, X[:N], "synthetic")
        made = fitted.module_.generate(fitted.module_.encode(x, "synthetic"), "real")[:, 0].numpy()
    depth = np.asarray(X[:N].depth)
    middle = np.array([np.sort(d[d > 0])[((d > 0).sum() - 1) // 2] for d in depth])
    wanted = np.where(made < 0.9, 150 * made + middle[:, None, None], 0.0)
    np.testing.assert_allclose(there[:N], wanted, rtol=0, atol=0.05)
    np.testing.assert_array_equal(fitted.translate(X, to="pose"), fitted.predict(X))
    drawn = fitted.translate(y, to="real", source="pose3d")
    np.testing.assert_array_equal(drawn, fitted.predict(y, source="pose3d", target="real"))
    np.testing.assert_array_equal(drawn, fitted.inverse_transform(fitted.transform(y, "pose3d"), "real"))


def test_samples_of_the_prior_are_consistent_in_all_three_domains(fitted):
    targets = ("pose3d", "synthetic", "real")
    drawn = fitted.sample(5, target=targets, random_state=1)
    assert {name: part.shape for name, part in drawn.items()} == {
        "pose3d": (5, 21, 3), "synthetic": (5, SIZE, SIZE), "real": (5, SIZE, SIZE)
    }  # fmt: skip
    Z = np.random.RandomState(1).multivariate_normal(np.zeros(20), np.eye(20), size=5)
    for name, part in drawn.items():
        np.testing.assert_array_equal(part, fitted.inverse_transform(Z, name))


def test_interpolation_walks_through_all_three_domains(fitted, hands):
    X = hands[0]
    walk = fitted.interpolate(X[:2], X[N : N + 2], n_steps=4, target=("pose3d", "synthetic", "real"))
    assert walk["pose3d"].shape == (4, 2, 21, 3) and walk["real"].shape == (4, 2, SIZE, SIZE)
    for name, part in walk.items():
        ends = np.stack([part[0], part[-1]])
        wanted = [fitted.inverse_transform(fitted.transform(X[r]), name) for r in ([0, 1], [N, N + 1])]
        np.testing.assert_allclose(ends, wanted, atol=1e-3)


def test_the_posteriors_variance_is_what_is_left_on_labelled_training_rows(fitted, hands):
    X, y, _ = hands
    off = fitted.transform(X[:N]) - fitted.transform(y[:N], source="pose3d")  # real rows had no label
    relative = fitted.transform(y[:N] - X[:N].root[:, None], source="pose3d")
    np.testing.assert_allclose(fitted.posterior_variance_, np.square(off).mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(relative, fitted.transform(y[:N], source="pose3d"), atol=1e-4)
    Z = fitted.sample_posterior(X[:3], 4000, target="latent", random_state=0)
    np.testing.assert_allclose(Z.var(axis=0), np.tile(fitted.posterior_variance_, (3, 1)), rtol=0.12)
    y_, spread = fitted.predict(X[:3], return_std=True)
    assert spread.shape == y_.shape and (spread > 0).all()
    np.testing.assert_array_equal(y_, fitted.predict(X[:3]))


@pytest.mark.parametrize("n_joints", [16, 36])
def test_any_number_of_joints(hands, n_joints, rng):
    X = hands[0]
    y = X.root[:, None] + rng.normal(0, 40, (2 * N, n_joints, 3))
    y[:, 0] = X.root
    estimator = small(root=0, max_iter=2).fit(X, y.reshape(2 * N, -1))
    predicted = estimator.predict(X)
    assert predicted.shape == (2 * N, 3 * n_joints) and np.isfinite(predicted).all()
    np.testing.assert_allclose(predicted.reshape(2 * N, -1, 3)[:, 0], X.root, atol=1e-3)


def test_colour_in_place_of_depth():
    X, y, partly = two_domains(images=("rgb",))
    estimator = small().fit(X, partly)
    assert estimator.source_ == "rgb" and estimator.module_.judge_end.in_channels == 16
    assert estimator.predict(X).shape == y.shape
    there = estimator.translate(X, to="synthetic")
    assert there.shape == (2 * N, SIZE, SIZE, 3) and there.dtype == np.uint8
    with torch.no_grad():
        x = torch.as_tensor(np.asarray(X[N:].rgb)).permute(0, 3, 1, 2) / 127.5 - 1
        made = estimator.module_.generate(estimator.module_.encode(x, "real"), "synthetic")
    wanted = ((made.permute(0, 2, 3, 1) + 1) * 127.5).numpy()
    assert np.abs(there[N:] - wanted).max() < 0.51
    both = two_domains(images=("rgb", "depth"))
    assert small(max_iter=1).fit(both[0], both[2]).source_ == "depth"


def test_given_scale_poses_are_in_units_of_the_same_length(hands):
    X, _, partly = hands
    estimator = small(given=("root", "scale"), max_iter=2).fit(X, partly)
    unit = estimator.codecs_["pose3d"].std * X.scale.mean()
    np.testing.assert_allclose(unit, 150.0)
    larger = estimator.predict(X.replace(scale=2 * X.scale, root=None))
    np.testing.assert_allclose(larger, 2 * estimator.predict(X.replace(root=None)), atol=1e-6)
    absolute = small(given=(), max_iter=2).fit(X, partly)
    assert np.linalg.norm(root_position(absolute.predict(X), "palm").mean(axis=0)) > 200


def test_left_hands_mirrored_to_the_right_come_back(hands):
    X, y, _ = two_domains(side="left")
    right = HandMirror(to="right").fit_transform(X)
    estimator = small(max_iter=3).fit(right, y)
    mirror = np.diag([-1.0, 1.0, 1.0])
    plain = right.replace(rotation=None)
    by_hand = small(max_iter=3).fit(plain, rotate_points(y, right.rotation))
    np.testing.assert_allclose(estimator.predict(right), by_hand.predict(plain) @ mirror, atol=1e-3)
    np.testing.assert_array_equal(  # a crop's way back concerns keypoints, of which there are none
        estimator.predict(right.replace(affine=np.tile(np.diag([2.0, 2.0, 1.0]), (2 * N, 1, 1)))),
        estimator.predict(right),
    )
    with pytest.raises(InputError, match="^given: expected 'root' and 'scale' only, got 'side'"):
        small(given=("root", "side")).fit(X, y)


def test_a_copy_keeps_networks_optimiser_and_what_is_shared(fitted, hands):
    X, y, partly = hands
    twin = pickle.loads(pickle.dumps(fitted))
    for answer in (
        lambda e: e.predict(X, return_std=True)[1],
        lambda e: e.translate(X, "synthetic"),
        lambda e: e.sample(2, target="real", random_state=0),
        lambda e: e.transform(y, source="pose3d", space="depth"),
    ):
        np.testing.assert_array_equal(answer(twin), answer(fitted))
    assert twin.codecs_["real"] is twin.codecs_["synthetic"] is twin.codecs_["depth"]
    names = [name for name, _ in twin.module_.named_parameters()]
    assert names == list(fitted.module_.state_dict())  # a shared block is there once
    before = fitted.predict(X)
    moved = copy.deepcopy(twin)
    twin.partial_fit(X, partly)
    moved.partial_fit(X, partly)
    for name, value in twin.module_.state_dict().items():  # the optimiser travels along
        assert torch.equal(value, moved.module_.state_dict()[name]), name
    np.testing.assert_array_equal(fitted.predict(X), before)
    with torch.no_grad():  # a shared block moves the way of both domains
        twin.module_.shared_generator.layers[0].weight.add_(1.0)
    for to in ("synthetic", "real"):
        assert (twin.translate(X, to) != moved.translate(X, to)).any()


def test_what_was_not_trained_is_refused_by_name(hands):
    X, _, partly = hands
    estimator = small(stages=("pose", "posterior"), max_iter=2).fit(X, partly)
    for ask, name in (
        (lambda: estimator.translate(X, "real"), "to: 'real' needs the stage 'depth'"),
        (lambda: estimator.transform(X, space="depth"), "space: 'depth' needs the stage 'depth'"),
        (lambda: estimator.predict(X, target="real"), "target: 'real' needs the stage 'depth'"),
        (lambda: estimator.sample(1, target="synthetic"), "target: 'synthetic' needs the stage 'depth'"),
        (lambda: estimator.translate(X, "depth"), "to: expected"),
        (lambda: estimator.transform(X, space="rgb"), "space: expected"),
        (lambda: estimator.predict(X, source="rgb"), "source: expected"),
        (lambda: estimator.predict(HandFrames(camera=np.tile(np.eye(3), (4, 1, 1)))), "source: X has no"),
    ):
        with pytest.raises(InputError, match=f"^{name}"):
            ask()
