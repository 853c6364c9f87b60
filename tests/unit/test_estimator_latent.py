"""CrossModalVAERegressor's latent space: embed, decode, sample, walk, spread."""

from __future__ import annotations

import numpy as np
import pytest

from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.exceptions import InputError


@pytest.fixture(scope="module")
def hands():
    return make_hands(300, image_size=16, rotation=60.0, images=(), random_state=0)


@pytest.fixture(scope="module")
def estimator(hands):
    """Fitted on keypoints with pose and keypoint decoders; its posterior is wide enough to see."""
    est = CrossModalVAERegressor(
        pairs=[("keypoints2d", "pose3d"), ("keypoints2d", "keypoints2d"), ("pose3d", "pose3d")],
        hidden_units=64, n_hidden_layers=2, latent_dim=8, beta=1e-2, lr=2e-3, max_epochs=25, batch_size=32,
        given=("root",), random_state=0,
    )  # fmt: skip
    return est.fit(bare(hands), hands.target)


def bare(hands):
    return hands.data.replace(root=None, scale=None)


def test_decoding_the_embedding_is_predicting(estimator, hands):
    Z = estimator.transform(bare(hands))
    assert Z.shape == (300, 8)
    np.testing.assert_array_equal(estimator.inverse_transform(Z), estimator.predict(bare(hands)))
    np.testing.assert_array_equal(
        estimator.inverse_transform(Z, target="keypoints2d"),
        estimator.predict(bare(hands), target="keypoints2d"),
    )


def test_the_mean_of_posterior_samples_is_near_the_prediction(estimator, hands):
    rows = bare(hands)[:20]
    samples = estimator.sample_posterior(rows, n_samples=300, random_state=0)
    assert samples.shape == (300, 20, 21, 3)
    predicted, std = estimator.predict(rows, return_std=True)
    assert np.abs(samples.mean(axis=0) - predicted).mean() < 0.25 * std.mean()
    np.testing.assert_allclose(samples.std(axis=0).mean(axis=(1, 2)), std.mean(axis=(1, 2)), rtol=0.35)


def test_posterior_samples_in_the_latent_space_have_the_encoders_mean_and_spread(estimator, hands):
    rows = bare(hands)[:6]
    Z = estimator.sample_posterior(rows, n_samples=4000, target="latent", random_state=0)
    _, log_var = estimator._encode({"keypoints2d": rows.keypoints2d}, np.arange(6), "keypoints2d")
    np.testing.assert_allclose(Z.mean(axis=0), estimator.transform(rows), atol=0.1)
    np.testing.assert_allclose(Z.std(axis=0), np.exp(0.5 * log_var), rtol=0.08)


def test_the_standard_deviation_grows_with_the_posterior(estimator, hands):
    rows = bare(hands)[:10]
    predicted, std = estimator.predict(rows, return_std=True)
    assert std.shape == predicted.shape
    assert (std >= 0).all()
    assert std.mean() > 0.1  # mm
    again = estimator.predict(rows, return_std=True)[1]
    np.testing.assert_array_equal(std, again)


def test_samples_look_like_the_training_rows(estimator, hands):
    samples = estimator.sample(2000, random_state=0)
    assert samples.shape == (2000, 21, 3)
    predicted = estimator.predict(bare(hands))
    np.testing.assert_allclose(samples.mean(axis=0), predicted.mean(axis=0), atol=0.25 * predicted.std())
    assert samples.std() == pytest.approx(predicted.std(), rel=0.3)


def test_latent_statistics_are_those_of_samples_over_the_training_rows(estimator, hands):
    Z = estimator.sample_posterior(bare(hands), n_samples=300, target="latent", random_state=0).reshape(-1, 8)
    np.testing.assert_allclose(estimator.latent_mean_, Z.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(estimator.latent_cov_, np.cov(Z.T), atol=0.05)


def test_samples_in_several_modalities_are_of_the_same_hands(estimator):
    both = estimator.sample(5, target=["pose3d", "keypoints2d"], random_state=3)
    assert {name: part.shape for name, part in both.items()} == {
        "pose3d": (5, 21, 3),
        "keypoints2d": (5, 21, 2),
    }
    np.testing.assert_array_equal(both["pose3d"], estimator.sample(5, random_state=3))
    assert np.abs(both["pose3d"] - estimator.sample(5, random_state=4)).max() > 1


def test_a_walk_starts_and_ends_at_its_ends_and_goes_straight(estimator, hands):
    start, end = bare(hands)[:4], bare(hands)[10:14]
    walk = estimator.interpolate(start, end, n_steps=5, target=["pose3d", "keypoints2d"])
    for target in walk:
        np.testing.assert_array_equal(walk[target][0], estimator.predict(start, target=target))
        np.testing.assert_array_equal(walk[target][-1], estimator.predict(end, target=target))
    middle = (estimator.transform(start) + estimator.transform(end)) / 2
    np.testing.assert_allclose(walk["pose3d"][2], estimator.inverse_transform(middle), atol=1e-3)
    assert estimator.interpolate(start, end, n_steps=5).shape == (5, 4, 21, 3)


def test_a_pose_can_be_the_source(estimator, hands):
    poses = hands.target[:6]
    as_array = estimator.predict(poses, source="pose3d")
    frames = bare(hands)[:6].replace(pose3d=poses)
    np.testing.assert_array_equal(as_array, estimator.predict(frames, source="pose3d"))
    moved = estimator.predict(
        poses + [100.0, 0, 50], source="pose3d"
    )  # the root is given: position is nothing
    np.testing.assert_allclose(moved, as_array, atol=1e-2)


def test_decoded_hands_have_the_training_rows_mean_scale(hands):
    est = CrossModalVAERegressor(given=("root", "scale"), hidden_units=32, max_epochs=1, random_state=0)
    est.fit(hands.data, hands.target)
    rows = hands.data[:3].replace(root=None, scale=np.full(3, hands.data.scale.mean()))
    np.testing.assert_allclose(est.inverse_transform(est.transform(rows)), est.predict(rows), rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda est, X: est.predict(X, target="rgb"), "target"),
        (lambda est, X: est.predict(X, source="depth"), "source"),
        (lambda est, X: est.transform(X, source="nonsense"), "source"),
        (lambda est, X: est.inverse_transform(np.zeros((3, 7))), "Z"),
        (lambda est, X: est.inverse_transform(np.zeros(8)), "Z"),
        (lambda est, X: est.inverse_transform(np.full((3, 8), np.nan)), "Z"),
        (lambda est, X: est.inverse_transform([["a"] * 8]), "Z"),
        (lambda est, X: est.sample(0), "n_samples"),
        (lambda est, X: est.sample(2, target="rgb"), "target"),
        (lambda est, X: est.sample_posterior(X, n_samples=-1), "n_samples"),
        (lambda est, X: est.interpolate(X, X, n_steps=1), "n_steps"),
        (lambda est, X: est.interpolate(X, X[:2]), "X_end"),
    ],
)
def test_wrong_arguments_are_named(estimator, hands, call, name):
    with pytest.raises(InputError, match=f"^{name}"):
        call(estimator, bare(hands)[:3])
