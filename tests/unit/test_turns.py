"""n_turns of LatentHeatmapRegressor: answers averaged over turned copies of a picture."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from skhand.cli import main, predict
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor, LatentHeatmapRegressor
from skhand.estimators.latent_heatmap.turns import average_answers, turn_pictures
from skhand.exceptions import InputError
from skhand.metrics import mean_epe
from skhand.persistence import save


@pytest.fixture(scope="module")
def hands():
    return make_hands(40, image_size=128, framing=(1.05, 1.6), shape=1.3, random_state=5)


def rotation(degrees):
    """Turn from x to y."""
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def turned(picture, degrees):
    """Turn a picture (h, w, 3) in 0..1 about its middle by scipy, clockwise as one sees it; grey outside."""
    back = rotation(-degrees)[::-1, ::-1]  # new rows and columns to old ones
    middle = 0.5 * (np.array(picture.shape[:2]) - 1)
    channels = [
        affine_transform(picture[..., k], back, middle - back @ middle, order=1, cval=0.5) for k in range(3)
    ]
    return np.stack(channels, axis=-1).clip(0, 1)


@pytest.mark.parametrize("n_turns", [2, 3])
def test_it_is_the_mean_over_turned_pictures(hands, n_turns):
    est = LatentHeatmapRegressor.from_pretrained(device="cpu")
    X = hands.data[:6]
    assert set(X.side) == {"left", "right"}
    pictures = torch.tensor(np.asarray(X.rgb)).permute(0, 3, 1, 2) / 255.0 - 0.5
    copies = turn_pictures(pictures, n_turns)[0].unflatten(0, (6, n_turns)).permute(1, 0, 3, 4, 2) + 0.5
    answers = []
    for copy, angle in zip(copies.numpy(), 15.0 * (np.arange(n_turns) - (n_turns - 1) / 2), strict=True):
        points = est.predict_25d(X.replace(rgb=copy)).points
        points[..., :2] = (points[..., :2] - 63.5) @ rotation(-angle).T + 63.5
        answers.append(points)
    found = est.set_params(n_turns=n_turns).predict_25d(X).points
    np.testing.assert_allclose(found, np.mean(answers, axis=0), atol=1e-3)


def test_copies_are_as_scipy_turns_them(hands):
    pictures = np.asarray(hands.data[:2].rgb) / 255.0
    copies, _ = turn_pictures(torch.tensor(pictures).permute(0, 3, 1, 2) - 0.5, 3)
    for k, picture in enumerate(pictures):
        for copy, angle in zip(copies[3 * k : 3 * k + 3], (-15.0, 0.0, 15.0), strict=True):
            found, true = copy.permute(1, 2, 0).numpy() + 0.5, turned(picture, angle)
            inner = (np.hypot(*(np.indices(true.shape[:2]) - 63.5)) < 62)[..., None]
            np.testing.assert_allclose(found * inner, true * inner, atol=1e-5)


def test_copies_are_turned_about_the_middle_and_the_way_back_is_known():
    picture = torch.full((1, 3, 33, 49), -0.5)
    picture[:, :, 9, 30] = 0.5
    copies, back = turn_pictures(picture, 5)
    assert copies.shape == (5, 3, 33, 49)
    torch.testing.assert_close(copies[2], picture[0])
    for copy, matrix in zip(copies, back, strict=True):
        light = (copy[0] + 0.5).clamp(min=0)
        light[(copy[0] > -0.001) & (copy[0] < 0.001)] = 0  # grey, from outside
        row, column = divmod(int(light.argmax()), 49)
        found = matrix @ torch.tensor([column, row, 1.0])
        assert (found[:2] - torch.tensor([30.0, 9.0])).abs().max() < 0.8  # to the nearest pixel


def test_averages_of_answers_and_covariances():
    random = np.random.default_rng(0)
    places, noise = random.normal(size=(4, 1, 21, 3)), random.normal(size=(4, 3, 21, 3))
    half = random.normal(size=(4, 21, 3, 3))
    own = half @ half.transpose(0, 1, 3, 2)
    _, back = turn_pictures(torch.zeros(1, 3, 40, 60), 3)
    there = np.linalg.inv(back.double().numpy())
    linear = np.tile(np.eye(3), (3, 1, 1))
    linear[:, :2, :2] = there[:, :2, :2]
    moved = np.einsum("tab,ntjb->ntja", linear, places + noise)
    moved[..., :2] += there[:, None, :2, 2]
    covariance = np.einsum("tab,njbc,tdc->ntjad", linear, own, linear)
    answers = [torch.tensor(each.reshape(12, *each.shape[2:])) for each in (moved, covariance)]
    mean, total = average_answers(answers, back.double())
    np.testing.assert_allclose(mean, (places + noise).mean(axis=1), atol=1e-5)
    between = np.stack([np.cov(noise[0, :, j].T, bias=True) for j in range(21)])
    np.testing.assert_allclose(total[0], own[0] + between, atol=1e-5)
    (alone,) = average_answers(answers[:1], back.double())
    torch.testing.assert_close(alone, mean)


def test_shipped_weights_err_less(hands):
    X, y = hands.data, hands.target
    errors = {}
    for n_turns in (1, 3):
        est = LatentHeatmapRegressor.from_pretrained(n_turns=n_turns, device="cpu")
        errors[n_turns] = mean_epe(y, est.predict(X), align="procrustes")
    assert errors[3] < 0.98 * errors[1]


def test_a_rows_answer_does_not_depend_on_the_others(hands):
    est = LatentHeatmapRegressor.from_pretrained(n_turns=3, device="cpu")
    X = hands.data[:5]
    apart = np.concatenate([est.predict_25d(X[[i]]).points for i in range(5)])
    np.testing.assert_array_equal(est.predict_25d(X).points, apart)
    _, std = est.predict(X, return_std=True)
    assert np.isfinite(std).all() and (std > 0).all()


def test_copies_are_no_operations_of_a_training_step(hands):
    """Of which there are as many whatever predictions do: they decide how many cores train."""
    est = LatentHeatmapRegressor.from_pretrained(device="cpu")
    columns = est._read(hands.data[:1])
    alone = est._count_operations(columns)
    assert alone > 1e8 and est.set_params(n_turns=3)._count_operations(columns) == alone


@pytest.mark.parametrize("n_turns", [0, 25, 2.5, True, "3", None])
def test_what_is_no_number_of_copies_is_refused(hands, n_turns):
    with pytest.raises(InputError, match="n_turns"):
        LatentHeatmapRegressor.from_pretrained(n_turns=n_turns, device="cpu")
    est = LatentHeatmapRegressor.from_pretrained(device="cpu").set_params(n_turns=n_turns)
    with pytest.raises(InputError, match="n_turns"):
        est.predict(hands.data[:2])


def test_the_command_line_hands_the_number_on():
    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)
    for words, n_turns in ([], 1), (["--turns", "5"], 5):
        assert predict._make_tracker(parser.parse_args(["a.jpg", *words])).pose.n_turns == n_turns


def test_the_command_line_refuses_a_model_without_copies(hands, tmp_path, capsys):
    X = hands.data[:8].replace(rgb=np.asarray(hands.data[:8].rgb)[:, ::8, ::8])
    model = CrossModalVAERegressor(backbone="small", max_epochs=1, latent_dim=4, random_state=0)
    save(model.fit(X.rgb, hands.target[:8]), tmp_path / "model.safetensors")
    words = ["predict", "a.jpg", "--turns", "3", "--model", str(tmp_path / "model.safetensors")]
    assert main(words) == 2
    assert "--turns: expected 1 with CrossModalVAERegressor, got 3" in capsys.readouterr().err
