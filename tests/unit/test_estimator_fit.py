"""CrossModalVAERegressor: what it learns, from what, in which shape it answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from trainings import assert_same_weights, weights

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.metrics import mean_epe
from skhand.skeleton import root_position


@pytest.fixture(scope="module")
def hands():
    """200 hands in 16 px pictures, depth included."""
    return make_hands(200, image_size=16, n_subjects=3, rotation=60.0, random_state=0)


@pytest.fixture(scope="module")
def many():
    """Hands without pictures."""
    return make_hands(700, image_size=16, rotation=60.0, images=(), random_state=1)


def small(**options):
    settings = {
        "backbone": "small", "hidden_units": 64, "n_hidden_layers": 2, "latent_dim": 16, "lr": 2e-3,
        "max_epochs": 2, "batch_size": 32, "augment": None, "random_state": 0,
    }  # fmt: skip
    return CrossModalVAERegressor(**{**settings, **options})


def only(frames, *names):
    """The same rows with some of the columns."""
    return HandFrames(**{name: getattr(frames, name) for name in names})


def relative(poses, root="palm"):
    return poses - root_position(poses, root)[:, None]


# ---------------------------------------------------------------- learning


def drawn_hands(n, seed, size=16):
    """A stiff hand, turned and shifted in the picture's plane, each joint a spot in its finger's colour."""
    rng = np.random.default_rng(seed)
    fingers = np.stack([np.linspace(-30, 30, 5), np.full(5, -30.0), np.zeros(5)], axis=1)
    steps = np.linspace(1.0, 2.2, 4)[None, :, None]
    hand = np.concatenate([[[0, 20.0, 0]], (fingers[:, None] * steps + [0, 20, 0]).reshape(20, 3)])
    angle = rng.uniform(-np.pi, np.pi, n)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(n, 2, 2)
    poses = np.broadcast_to(hand, (n, 21, 3)).copy()
    poses[..., :2] = poses[..., :2] @ turn.transpose(0, 2, 1) + rng.normal(0, 8, (n, 1, 2))
    pixels = poses[..., :2] * size / 200 + size / 2
    v, u = np.mgrid[:size, :size]
    spots = np.exp(-((u - pixels[..., :1, None]) ** 2 + (v - pixels[..., 1:, None]) ** 2) / 2)
    colours = np.random.default_rng(0).uniform(0, 1, (21, 3))
    pictures = np.einsum("njvu,jc->nvuc", spots, colours).clip(0, 1)
    return (255 * pictures).astype(np.uint8), poses


def test_pictures_are_read_far_better_than_by_the_mean_pose():
    (pictures, poses), (new_pictures, new_poses) = drawn_hands(192, 0), drawn_hands(64, 1)
    predicted = small(max_epochs=20).fit(pictures, poses).predict(new_pictures)
    mean_pose = np.broadcast_to(poses.mean(axis=0), new_poses.shape)
    assert mean_epe(new_poses, predicted) < 0.4 * mean_epe(new_poses, mean_pose)


def test_a_picture_decoder_learns_the_pictures():
    pictures, poses = drawn_hands(128, 0)
    shown = pictures.astype(float)
    estimator = small(variant=3, max_epochs=15, beta=1e-5).fit(pictures, poses)
    error = np.square(estimator.predict(pictures, target="rgb") - shown).mean()
    assert error < 0.6 * np.square(shown - shown.mean(axis=0)).mean()


def test_keypoints_lift_to_poses(many):
    estimator = small(given=("root", "scale", "side"), hidden_units=256, max_epochs=60)
    train, test = np.arange(600), np.arange(600, 700)
    estimator.fit(many.data[train], many.target[train])
    assert estimator.source_ == "keypoints2d"
    wanted = relative(many.target[test])
    error = mean_epe(wanted, relative(estimator.predict(many.data[test])))
    mean_pose = np.broadcast_to(relative(many.target[train]).mean(axis=0), wanted.shape)
    assert error < 0.45 * mean_epe(wanted, mean_pose)


def test_bfloat16_learns_as_float32_does(many):
    errors = {}
    for precision in ("float32", "bfloat16"):
        estimator = small(given=("root",), precision=precision, max_epochs=15).fit(many.data, many.target)
        predicted = estimator.predict(many.data)
        errors[precision] = mean_epe(relative(many.target), relative(predicted))
    assert errors["bfloat16"] != errors["float32"]
    assert errors["bfloat16"] == pytest.approx(errors["float32"], rel=0.1)


# ---------------------------------------------------------------- given


def test_nothing_given_learns_y_as_it_comes(many):
    estimator = small(max_epochs=20).fit(many.data, many.target)
    predicted = estimator.predict(many.data)
    distance = many.target[:, 0, 2]
    assert np.corrcoef(predicted[:, 0, 2], distance)[0, 1] > 0.3
    assert predicted[:, 0, 2].mean() == pytest.approx(distance.mean(), rel=0.1)


@pytest.mark.filterwarnings("ignore:root. X's column root")
@pytest.mark.parametrize("root", ["palm", "wrist", 12])
def test_a_root_column_makes_the_prediction_absolute(many, root):
    estimator = small(given="root", root=root).fit(many.data, many.target)
    rows = many.data[:20]
    bare = estimator.predict(rows.replace(root=None))
    np.testing.assert_allclose(root_position(bare, root), 0, atol=1e-9)
    where = np.arange(60.0).reshape(20, 3)
    np.testing.assert_allclose(estimator.predict(rows.replace(root=where)), bare + where[:, None])


def test_a_given_scale_multiplies_the_hand(many):
    estimator = small(given=("root", "scale")).fit(many.data, many.target)
    rows = many.data[:20].replace(root=None)
    once, twice = estimator.predict(rows), estimator.predict(rows.replace(scale=2 * rows.scale))
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-9)


def test_a_given_side_enters_the_encoder(many):
    rows = many.data[:20]
    mirrored = rows.replace(side=np.where(rows.side == "left", "right", "left"))
    told = small(given=("side",)).fit(many.data, many.target)
    assert np.abs(told.transform(rows) - told.transform(mirrored)).max(axis=1).min() > 1e-4
    untold = small().fit(many.data, many.target)
    np.testing.assert_array_equal(untold.transform(rows), untold.transform(mirrored))


def test_predictions_are_the_targets_units_whatever_is_given(many):
    for given in [(), ("root",), ("root", "scale"), ("scale",)]:
        predicted = small(given=given, max_epochs=10).fit(many.data, many.target).predict(many.data)
        spread = relative(predicted).std() / relative(many.target).std()
        assert 0.3 < spread < 1.2, given


# ---------------------------------------------------------------- shapes


def test_flattened_poses_are_answered_flattened_and_are_the_same_fit(many):
    flat = small(given=("root",)).fit(many.data, many.target.reshape(-1, 63))
    poses = small(given=("root",)).fit(many.data, many.target)
    predicted = flat.predict(many.data)
    assert predicted.shape == (700, 63)
    np.testing.assert_array_equal(predicted.reshape(-1, 21, 3), poses.predict(many.data))
    assert flat.score(many.data, many.target.reshape(-1, 63)) == poses.score(many.data, many.target)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (14, 3)])
def test_y_of_any_shape_comes_back_in_it(rng, shape):
    X, y = rng.normal(size=(30, 4)), rng.normal(size=(30, *shape))
    predicted = small().fit(X, y).predict(X)
    assert predicted.shape == y.shape
    assert predicted.dtype == np.float64


@pytest.mark.parametrize("kind", ["rgb", "depth"])
def test_flattened_pictures_give_the_same_bits(hands, kind):
    pictures = getattr(hands.data, kind)[:40]
    y = hands.target[:40]
    whole = small().fit(pictures, y)
    flat = small(image_shape=pictures.shape[1:]).fit(pictures.reshape(40, -1), y)
    np.testing.assert_array_equal(
        flat.predict(pictures.reshape(40, -1)), whole.predict(pictures), strict=True
    )
    assert flat.n_features_in_ == whole.n_features_in_ == pictures[0].size


def test_uint8_and_float_pictures_are_the_same_pictures(hands):
    rgb, y = hands.data.rgb[:40], hands.target[:40]
    integers = small().fit(rgb, y)
    np.testing.assert_allclose(
        integers.predict(rgb.astype(np.float32) / 255), integers.predict(rgb), atol=1e-2
    )


@pytest.mark.parametrize("kind", ["rgb", "keypoints2d"])
def test_rows_one_by_one_are_what_they_are_together(hands, kind):
    frames = only(hands.data, kind, "side")[:40]
    estimator = small(given=("side",)).fit(frames, hands.target[:40])
    together, std = estimator.predict(frames, return_std=True)
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_allclose(estimator.predict(frames[order]), together[order], rtol=1e-7, atol=1e-7)
    for i in (0, 7, 8, 39):
        alone, alone_std = estimator.predict(frames[[i]], return_std=True)
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(alone_std[0], std[i], rtol=1e-4)


# ---------------------------------------------------------------- modalities


INPUTS = {"rgb": (16, 16, 3), "depth": (16, 16), "keypoints2d": (21, 2), "pose3d": (21, 3)}


@pytest.mark.parametrize("target", INPUTS)
@pytest.mark.parametrize("source", INPUTS)
def test_every_modality_to_every_other(hands, source, target):
    frames = hands.data[:24].replace(pose3d=hands.target[:24])
    estimator = small(pairs=[(source, target)], max_epochs=1).fit(frames)
    answer = estimator.predict(frames)
    assert answer.shape == (24, *INPUTS[target])
    assert np.isfinite(answer).all()
    assert estimator.transform(frames).shape == (24, 16)
    if target == "pose3d":
        assert np.isfinite(estimator.score(frames, hands.target[:24]))


def test_one_fit_encodes_and_decodes_every_modality_it_trained(hands):
    frames = hands.data[:64].replace(pose3d=hands.target[:64])
    pairs = [("rgb", "pose3d"), ("depth", "keypoints2d"), ("keypoints2d", "rgb"), ("pose3d", "depth")]
    estimator = small(pairs=pairs).fit(frames)
    for source in INPUTS:
        for target, shape in INPUTS.items():
            assert estimator.predict(frames[:3], source=source, target=target).shape == (3, *shape)
        plain = getattr(frames, source)[:3]
        np.testing.assert_array_equal(
            estimator.transform(plain, source=source), estimator.transform(frames[:3], source=source)
        )
    assert estimator.predict(frames[:3], target="rgb").dtype == np.uint8


@pytest.mark.parametrize(
    ("variant", "pairs"),
    [
        (1, [("rgb", "pose3d")]),
        (2, [("rgb", "pose3d"), ("pose3d", "pose3d")]),
        (3, [("rgb", "pose3d"), ("rgb", "rgb")]),
        (4, [("rgb", "pose3d"), ("rgb", "rgb"), ("pose3d", "pose3d")]),
    ],
)
def test_variants_are_the_papers_pairs(hands, variant, pairs):
    estimator = small(variant=variant, max_epochs=1).fit(hands.data[:8], hands.target[:8])
    assert estimator.pairs_ == pairs
    assert set(estimator.module_.encoders) == {source for source, _ in pairs}
    assert set(estimator.module_.decoders) == {target for _, target in pairs}


# ---------------------------------------------------------------- unlabelled rows and joints


def test_unlabelled_rows_train_what_they_can(hands):
    y = hands.target.copy()
    y[20:] = np.nan
    frames = only(hands.data, "rgb")
    repainted = frames.replace(rgb=np.concatenate([frames.rgb[:20], 255 - frames.rgb[20:]]))

    def weights(estimator, X):
        return estimator.fit(X, y).module_.state_dict()

    labelled = small(variant=1)
    one, other = weights(labelled, frames), weights(small(variant=1), repainted)
    assert all((one[name] == other[name]).all() for name in one)  # variant 1 never looks at them
    one, other = weights(small(variant=3), frames), weights(small(variant=3), repainted)
    changed = {name.rsplit(".", 1)[0] for name in one if not (one[name] == other[name]).all()}
    for part in ("encoders.rgb.trunk", "encoders.rgb.head", "decoders.rgb.start", "decoders.rgb.layers"):
        assert any(name.startswith(part) for name in changed), part


def test_the_statistics_of_poses_come_from_labelled_rows_alone(hands):
    y = hands.target.copy()
    y[20:] = np.nan
    frames = only(hands.data, "rgb", "scale")
    codec = small(given=("root", "scale"), variant=3).fit(frames, y).codecs_["pose3d"]
    expected = relative(hands.target[:20]) / frames.scale[:20, None, None]
    np.testing.assert_allclose(codec.mean, expected.mean(axis=0).ravel())


def test_joints_that_are_partly_unknown_train_on_what_is_known(many):
    rng = np.random.default_rng(0)
    y = many.target.copy()
    y[rng.random(y.shape[:2]) < 0.2] = np.nan
    estimator = small(max_epochs=30, given=("root",), root="wrist").fit(many.data, y)
    predicted = estimator.predict(many.data)
    assert np.isfinite(predicted).all()
    wanted = relative(many.target, "wrist")
    mean_pose = np.broadcast_to(wanted.mean(axis=0), wanted.shape)
    assert mean_epe(wanted, relative(predicted, "wrist")) < 0.7 * mean_epe(wanted, mean_pose)


def test_a_joint_without_any_label_is_answered_nan_and_spoils_nothing(many):
    y = many.target.copy()
    y[:, 8] = np.nan
    estimator = small(max_epochs=10, given=("root",)).fit(many.data, y)
    predicted = estimator.predict(many.data)
    assert np.isnan(predicted[:, 8]).all()
    assert np.isfinite(np.delete(predicted, 8, axis=1)).all()
    assert estimator.score(many.data, y) > 0.3


def test_score_is_the_variance_weighted_r2_of_the_rooted_poses(many):
    estimator = small(given=("root",), max_epochs=5).fit(many.data, many.target)
    y = many.target.copy()
    y[::3] = np.nan
    from sklearn.metrics import r2_score

    known = np.isfinite(y[:, 0, 0])
    wanted, predicted = relative(y[known]), relative(estimator.predict(many.data)[known])
    expected = r2_score(
        wanted.reshape(len(wanted), -1), predicted.reshape(len(wanted), -1), multioutput="variance_weighted"
    )
    assert estimator.score(many.data, y) == pytest.approx(expected, rel=1e-9)
    assert estimator.score(many.data.replace(root=None), y) == pytest.approx(expected, rel=1e-9)


def test_keypoints_that_are_unknown_are_left_out_of_training(many):
    keypoints = many.data.keypoints2d.copy()
    keypoints[:350] = np.nan
    estimator = small(max_epochs=10).fit(keypoints, many.target)
    alone = small(max_epochs=10).fit(keypoints[350:], many.target[350:])
    assert np.isfinite(estimator.history_["train_loss"]).all()
    assert estimator.score(keypoints[350:], many.target[350:]) == pytest.approx(
        alone.score(keypoints[350:], many.target[350:]), abs=0.1
    )


# ---------------------------------------------------------------- laziness


class Watched:
    """Lazy pictures that count the rows they were asked for at once."""

    def __init__(self, array):
        self.array, self.largest = array, 0
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        part = self.array[rows]
        self.largest = max(self.largest, len(part))
        return part


def test_lazy_pictures_are_read_batch_by_batch_and_give_the_same_fit(hands):
    lazy = Watched(hands.data.rgb)
    frames = HandFrames(rgb=lazy, side=hands.data.side)
    options = {"given": ("side",), "batch_size": 16, "augment": "paper"}
    estimator = small(**options).fit(frames[np.arange(0, 200, 2)], hands.target[::2])
    estimator.predict(frames)
    assert lazy.largest <= 16
    whole = small(**options).fit(hands.data[np.arange(0, 200, 2)], hands.target[::2])
    np.testing.assert_array_equal(estimator.predict(frames), whole.predict(only(hands.data, "rgb", "side")))


def test_a_column_that_no_pair_reads_is_not_judged_nor_read(hands):
    depth = hands.data.depth.copy()
    depth[:] = np.nan
    frames = only(hands.data, "rgb").replace(depth=depth)
    assert small().fit(frames[:20], hands.target[:20]).predict(frames[:5]).shape == (5, 21, 3)


@pytest.mark.parametrize(
    ("sides", "given", "extra"),
    [
        ("both", ("root",), {"shift": 0.05, "zoom": 0.1, "flip": "horizontal"}),
        ("right", ("root",), {"shift": 0.05, "zoom": 0.1}),
        ("none", ("root",), {"shift": 0.05, "zoom": 0.1}),
        ("both", (), {"flip": "horizontal"}),
    ],
)
def test_auto_augmentation_mirrors_no_hands_of_one_side_and_moves_none_that_have_a_place(
    hands, sides, given, extra
):
    X, y = hands.data[:40], hands.target[:40]
    rows = X.side == "right" if sides == "right" else np.full(40, True)
    X, y = only(X, "rgb", *(() if sides == "none" else ("side",)))[rows], y[rows]
    spelled = {"rotate": 20.0, "colour": 0.3, **extra}
    auto, wanted, none = (
        weights(small(augment=augment, given=given, max_epochs=1).fit(X, y))
        for augment in ("auto", spelled, None)
    )
    assert_same_weights(auto, wanted)
    assert any(not torch.equal(auto[name], none[name]) for name in auto)


def test_augmentation_is_the_papers_by_name_and_none_for_a_table(hands, rng):
    def trained(augment, X, y):
        return weights(small(augment=augment, max_epochs=1).fit(X, y))

    def differs(one, other):
        return any(not torch.equal(one[name], other[name]) for name in one)

    papers = {"rotate": 45.0, "shift": 0.1, "flip": "horizontal"}
    pictures = hands.data[:8], hands.target[:8]
    paper = trained("paper", *pictures)
    assert_same_weights(paper, trained(papers, *pictures))
    assert differs(paper, trained(None, *pictures))
    assert differs(paper, trained({**papers, "rotate": 44.0}, *pictures))
    for X, y in [
        (rng.normal(size=(8, 3)), rng.normal(size=8)),
        (only(hands.data, "keypoints2d")[:8], hands.target[:8]),
        (hands.data.rgb[:8], rng.normal(size=(8, 2))),
    ]:
        assert_same_weights(trained("auto", X, y), trained(None, X, y))
