"""AlignedLatentRegressor once it is fitted: inputs, latent spaces, predictions, samples."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.estimators import AlignedLatentRegressor
from skhand.exceptions import InputError
from skhand.metrics import mean_epe

ALIGNED = ("disentangle", "align", "finetune")


@pytest.fixture(scope="module")
def hands():
    return make_hands(300, image_size=16, rotation=60.0, random_state=0)


def small(**options):
    settings = {
        "source": "keypoints2d", "backbone": "small", "hidden_units": 64, "n_hidden_layers": 2,
        "latent_dim": 8, "context_dim": 4, "adversarial_weight": 1e-5, "lr": 2e-3, "max_epochs": 1,
        "batch_size": 32, "given": ("root",), "augment": None, "random_state": 0,
    }  # fmt: skip
    return AlignedLatentRegressor(**{**settings, **options})


def bare(hands):
    return hands.data.replace(root=None, scale=None, pose3d=hands.target)


@pytest.fixture(scope="module")
def estimator(hands):
    """Its posterior is wide enough to see, and its poses are well aligned."""
    est = small(beta=1e-5, pose_weight=1.0, max_epochs={"disentangle": 10, "align": 5, "finetune": 15})
    return est.set_params(stages=ALIGNED).fit(bare(hands), hands.target)


# ---------------------------------------------------------------- inputs


@pytest.mark.parametrize("source", ["rgb", "depth", "keypoints2d"])
def test_pictures_depth_and_keypoints_are_inputs(hands, source):
    frames = HandFrames(**{source: getattr(hands.data, source)[:40], "side": hands.data.side[:40]})
    estimator = small(source="auto", given=("root", "side"), augment="auto").fit(frames, hands.target[:40])
    assert estimator.source_ == source
    assert estimator.stages_ == (*ALIGNED, "refine")
    predicted = estimator.predict(frames)
    assert predicted.shape == (40, 21, 3)
    one_by_one = np.concatenate([estimator.predict(frames[[i]]) for i in range(40)])
    np.testing.assert_allclose(one_by_one, predicted, rtol=1e-7, atol=1e-7)


def test_the_source_is_read_off_x_and_poses_are_refused_as_one(hands):
    assert small(source="auto").fit(hands.data.keypoints2d, hands.target).source_ == "keypoints2d"
    with pytest.raises(InputError, match="^source"):
        small(source="auto").fit(hands.target, hands.target)


def test_flattened_poses_are_answered_flattened_and_are_the_same_fit(hands):
    flat = small().fit(hands.data, hands.target.reshape(-1, 63))
    poses = small().fit(hands.data, hands.target)
    np.testing.assert_array_equal(
        flat.predict(hands.data), poses.predict(hands.data).reshape(-1, 63), strict=True
    )


def test_a_given_scale_multiplies_the_hand_in_refinement_too(hands):
    estimator = small(given=("root", "scale", "side"), stages=("vae", "refine")).fit(hands.data, hands.target)
    rows = hands.data[:20].replace(root=None)
    once, twice = estimator.predict(rows), estimator.predict(rows.replace(scale=2 * rows.scale))
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-9)


# ---------------------------------------------------------------- latent spaces


def test_predictions_are_decoded_from_the_aligned_latent_vectors(estimator, hands):
    assert estimator.space_ == "aligned"
    Z = estimator.transform(bare(hands))
    assert Z.shape == (300, 8)
    np.testing.assert_array_equal(Z, estimator.transform(bare(hands), space="aligned"))
    np.testing.assert_array_equal(estimator.inverse_transform(Z), estimator.predict(bare(hands)))


def test_each_space_is_what_its_network_says(estimator, hands):
    import torch

    module, rows = estimator.module_, bare(hands)[:32]
    codecs = estimator.codecs_
    with torch.inference_mode():
        batch = {"keypoints2d": torch.from_numpy(rows.keypoints2d), "pose3d": torch.from_numpy(rows.pose3d)}
        mean, log_var = module.encoders["keypoints2d"](codecs["keypoints2d"].encode(batch))
        pose = module.encoders["pose3d"](codecs["pose3d"].encode(batch))
        expected = {
            "context": mean[:, :4],
            "source": mean[:, 4:],
            "pose": pose[0],
            "aligned": module.mappers["keypoints2d"](mean[:, 4:], log_var[:, 4:])[0],
        }
        aligned_pose = module.mappers["pose3d"](*pose)[0]
    for space, Z in expected.items():
        np.testing.assert_allclose(estimator.transform(rows, space=space), Z, atol=1e-5)
    np.testing.assert_allclose(estimator.transform(rows, source="pose3d"), aligned_pose, atol=1e-5)
    np.testing.assert_array_equal(
        estimator.transform(hands.target[:32], space="pose"), estimator.transform(rows, space="pose")
    )


def test_poses_and_pictures_of_them_are_aligned(estimator, hands):
    """A pose's aligned latent vector is nearest to that of its own keypoints more often than by chance."""
    from_x = estimator.transform(bare(hands)[:100])
    from_pose = estimator.transform(bare(hands)[:100], source="pose3d")
    distances = np.linalg.norm(from_x[:, None] - from_pose[None], axis=2)
    rank = (distances < np.diag(distances)[:, None]).sum(axis=1)
    assert np.median(rank) < 15  # of 100; 49.5 by chance
    through_poses = estimator.predict(hands.target, source="pose3d")
    relative = hands.target - (hands.target[:, [0]] + hands.target[:, [9]]) / 2
    mean_pose = np.broadcast_to(relative.mean(axis=0), relative.shape)
    assert mean_epe(relative, through_poses) < 0.5 * mean_epe(relative, mean_pose)


def test_poses_are_decoded_from_aligned_latent_vectors_at_the_default_weight(hands):
    """Seeds 0 to 5 give 0.38 to 0.42, and 0 to 2 1.04 to 1.09 where X's MSE reached the poses' mapper."""
    estimator = small(
        latent_dim=16, context_dim=16, stages=ALIGNED, random_state=1,
        max_epochs={"disentangle": 15, "align": 15, "finetune": 10},
    ).fit(bare(hands), hands.target)  # fmt: skip
    assert estimator.pose_weight == 0.01
    through_poses = estimator.predict(hands.target, source="pose3d")
    relative = hands.target - (hands.target[:, [0]] + hands.target[:, [9]]) / 2
    mean_pose = np.broadcast_to(relative.mean(axis=0), relative.shape)
    assert mean_epe(relative, through_poses) < 0.6 * mean_epe(relative, mean_pose)


def test_before_alignment_predictions_come_from_the_encoders_latent_vectors(hands):
    estimator = small(stages=("disentangle",)).fit(hands.data, hands.target)
    assert estimator.space_ == "source"
    np.testing.assert_array_equal(
        estimator.transform(hands.data), estimator.transform(hands.data, space="source")
    )
    for call in (
        lambda: estimator.transform(hands.data, space="aligned"),
        lambda: small(stages=("vae",)).fit(hands.data, hands.target).transform(hands.data, space="context"),
        lambda: estimator.transform(hands.data, space="latent"),
    ):
        with pytest.raises(InputError, match="^space: "):
            call()
    with pytest.raises(InputError, match="^source: "):
        estimator.predict(hands.target, source="pose3d")
    with pytest.raises(InputError, match="^source: "):
        estimator.transform(hands.data, source="rgb", space="context")


@pytest.mark.parametrize(
    ("options", "n_latent"),
    [
        ({"stages": ("vae", "align")}, 12),
        ({"stages": ("disentangle", "align"), "decoded": "concat"}, 12),
        ({"stages": ("disentangle", "align")}, 8),
    ],
)
def test_aligned_latent_vectors_are_as_long_as_what_was_decoded(hands, options, n_latent):
    estimator = small(**options).fit(bare(hands), hands.target)
    for source in ("keypoints2d", "pose3d"):
        assert estimator.transform(bare(hands), source=source).shape == (300, n_latent)
    assert estimator.transform(bare(hands), space="pose").shape == (300, 8)
    assert len(estimator.get_feature_names_out()) == n_latent == len(estimator.latent_mean_)


# ---------------------------------------------------------------- generation


def test_samples_look_like_the_training_rows(estimator, hands):
    samples = estimator.sample(2000, random_state=0)
    predicted = estimator.predict(bare(hands))
    np.testing.assert_allclose(samples.mean(axis=0), predicted.mean(axis=0), atol=0.25 * predicted.std())
    assert samples.std() == pytest.approx(predicted.std(), rel=0.35)


def test_posterior_samples_have_the_mean_and_spread_that_predict_states(estimator, hands):
    rows = bare(hands)[:20]
    predicted, std = estimator.predict(rows, return_std=True)
    samples = estimator.sample_posterior(rows, n_samples=300, random_state=0)
    assert samples.shape == (300, 20, 21, 3)
    assert np.abs(samples.mean(axis=0) - predicted).mean() < 0.25 * std.mean()
    np.testing.assert_allclose(samples.std(axis=0).mean(axis=(1, 2)), std.mean(axis=(1, 2)), rtol=0.35)
    Z = estimator.sample_posterior(rows, n_samples=2000, target="latent", random_state=0)
    np.testing.assert_allclose(Z.mean(axis=0), estimator.transform(rows), atol=0.1)


def test_a_walk_starts_and_ends_at_its_ends(estimator, hands):
    start, end = bare(hands)[:4], bare(hands)[10:14]
    walk = estimator.interpolate(start, end, n_steps=5)
    np.testing.assert_array_equal(walk[0], estimator.predict(start))
    np.testing.assert_array_equal(walk[-1], estimator.predict(end))


def test_an_unfitted_estimator_says_so(hands):
    for space in (None, "source"):
        with pytest.raises(NotFittedError):
            small().transform(hands.data, space=space)
