"""skhand fit and evaluate on folders of generated hands, with models that are small or not trained at all."""

from __future__ import annotations

import re

import numpy as np
import pytest

from skhand.cli import fit, main
from skhand.cli._scores import OWN, are_own, predict_mean_pose, score
from skhand.datasets import load_folder, make_hands, save_folder
from skhand.estimators import CrossModalVAERegressor, LatentHeatmapRegressor
from skhand.metrics import mean_epe
from skhand.persistence import load, save
from skhand.preprocessing import HandCropper

N = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of 48 px with a table, of five people."""
    hands = make_hands(N, image_size=48, n_subjects=5, images=("rgb",), random_state=2)
    path = tmp_path_factory.mktemp("labelled") / "data"
    hands.target[3, 5] = np.nan  # one joint is not known
    save_folder(hands.data, hands.target, path, groups=hands.groups)
    return path


@pytest.fixture
def small(monkeypatch):
    """Fits crops of 32 px with the smallest network."""
    monkeypatch.setattr(fit, "_SIZE", (32, 32))
    monkeypatch.setattr(
        fit,
        "_make_estimator",
        lambda args: LatentHeatmapRegressor(
            width=8,
            backbone="mobilenet_v3_small",
            max_epochs=args.epochs,
            random_state=args.seed,
            verbose=args.verbose,
        ),
    )


def scores_in(text, name):
    line = next(line for line in text.splitlines() if line.startswith(name))
    return [float(word) for word in line.split()[len(name.split()) :]]


def test_fit_saves_what_predict_loads(folder, tmp_path, small, capsys):
    words = ["fit", str(folder), "--out", str(tmp_path / "model"), "--epochs", "1", "--from-scratch"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "epoch 1" not in told
    hands = load_folder(folder)
    train, test = fit._split(hands.groups, 0.2, 0)
    assert not set(hands.groups[train]) & set(hands.groups[test])
    assert f"fitting {len(train)} hands, with {len(test)} held out" in told
    model = load(tmp_path / "model.safetensors")
    crops = HandCropper(32).fit_transform(hands.data)
    expected = mean_epe(hands.target[test], model.predict(crops[test]), align="root")
    assert scores_in(told, "root, after")[0] == pytest.approx(expected, abs=0.06)
    assert scores_in(told, "root, mean pose")[0] > 0 and "before" not in told


def test_from_the_weights_that_ship_or_from_scratch():
    def settings(**own):
        return type(
            "Args", (), {"lr": None, "epochs": 3, "batch_size": 7, "seed": 1, "verbose": False, **own}
        )

    shipped = fit._make_estimator(settings(from_scratch=False))
    assert shipped.warm_start and shipped.mirror_left and (shipped.lr, shipped.max_epochs) == (2e-4, 3)
    new = fit._make_estimator(settings(from_scratch=True))
    assert not hasattr(new, "module_") and (new.lr, new.batch_size, new.mirror_left) == (1e-3, 7, True)
    assert fit._make_estimator(settings(from_scratch=True, lr=0.5)).lr == 0.5


def test_fit_refuses_before_any_work(folder, tmp_path, capsys, small):
    rows = (folder / "hands.csv").read_text().splitlines()
    header = rows[0].split(",")

    def keep(wanted, name):
        places = [i for i, column in enumerate(header) if wanted(column)]
        lines = [",".join(row.split(",")[i] for i in places) for row in rows]
        (folder / name).write_text("\n".join(lines) + "\n")

    keep(lambda column: not column.endswith("_mm"), "no_joints.csv")
    keep(lambda column: column not in ("fx", "fy", "cx", "cy"), "no_camera.csv")
    out = ["--out", str(tmp_path / "model")]
    for words, line in (
        (["fit", str(folder), "--table", "no_joints.csv", *out], "expected joints in mm"),
        (["fit", str(folder), "--table", "no_camera.csv", *out], "--fov guesses them"),
        (
            ["fit", str(folder), "--out", str(tmp_path / "none" / "model")],
            "--out: expected a name in a folder",
        ),
        (["fit", str(folder), "--lr", "0", *out], "argument --lr: expected a number above 0, got '0'"),
        (["fit", "nowhere", *out], "DATA: expected a folder, got 'nowhere'"),
        (["fit", str(tmp_path), *out], "DATA: expected the table hands.csv in"),
        (["predict", str(folder), "--model", "a.pt", *out], "--model: expected a path that ends"),
    ):
        assert main(words) == 2
        (told,) = capsys.readouterr().err.splitlines()
        assert told.startswith("skhand: error: ") and line in told
    words = ["fit", str(folder), "--table", "no_camera.csv", "--fov", "60", "--epochs", "1", *out]
    assert main([*words, "--validation", "0"]) == 0
    assert "fitting 10 hands, with 0 held out" in capsys.readouterr().out
    assert main([*words, "--validation", "0", "--verbose"]) == 0
    assert re.search("^epoch 1/1: train_loss ", capsys.readouterr().out, re.M)


def test_the_models_own_answers_are_no_labels(folder, tmp_path, capsys):
    """A table of ``skhand predict``, fitted or scored as it came: all errors are 0."""
    pytest.importorskip("matplotlib")
    hands = load_folder(folder)
    crops = HandCropper(128).fit_transform(hands.data)
    own = LatentHeatmapRegressor.from_pretrained().predict(crops)
    save_folder(hands.data, own, tmp_path / "own", groups=hands.groups)
    assert main(["evaluate", "hands", str(tmp_path / "own"), "--out", str(tmp_path / "report.html")]) == 0
    told = capsys.readouterr()
    assert scores_in(told.out, "absolute, model")[0] == 0 and OWN in told.err
    assert OWN.replace("'", "&#x27;") in (tmp_path / "report.html").read_text()
    assert are_own(own, own) and are_own(own + 0.45, own)  # as half precision moves them
    assert not are_own(hands.target, own)
    assert not are_own(np.full((2, 21, 3), np.nan), own[:2])


def test_the_report_is_one_page_without_scripts(folder, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    report = tmp_path / "new" / "report.html"
    assert main(["evaluate", "hands", str(folder), "--out", str(report)]) == 0
    told = capsys.readouterr()
    page = report.read_text()
    assert page.startswith("<!DOCTYPE html>") and "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:image/png;base64,)', page)
    assert page.count("data:image/png;base64,") == 2 and "The 10 worst" in page
    hands = load_folder(folder)
    assert all(name in page for name in hands.ids)
    crops = HandCropper(128).fit_transform(hands.data)
    predicted = LatentHeatmapRegressor.from_pretrained().predict(crops)
    for align in ("root", "procrustes"):
        epe = mean_epe(hands.target, predicted, align=align)
        assert f"<td>{align}, model</td><td>{epe:.1f} mm</td>" in page
        assert scores_in(told.out, f"{align}, model")[0] == pytest.approx(epe, abs=0.06)
    assert "LatentHeatmapRegressor" in page and "given beside the picture" in page
    assert all(joint in page for joint in hands.joint_names)
    assert "few hands, 10" in page and "few hands, 10" in told.err


def test_the_report_names_the_data_as_the_user_did(folder, tmp_path, monkeypatch):
    """One may mail it: where the folder lies on one's machine is nobody's business."""
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(folder.parent)
    assert main(["evaluate", "hands", folder.name, "--limit", "2", "--out", str(tmp_path / "r.html")]) == 0
    page = (tmp_path / "r.html").read_text()
    assert f"on {folder.name}/hands.csv</h1>" in page and str(folder.parent) not in page


def test_what_a_model_is_given_comes_from_the_labels_and_is_said(folder, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    hands = load_folder(folder)
    crops = HandCropper(32).fit_transform(hands.data)
    crops = crops.replace(root=(hands.target[:, 0] + hands.target[:, 9]) / 2)
    model = CrossModalVAERegressor(
        backbone="small", hidden_units=8, latent_dim=3, given=("root",), max_epochs=1, random_state=0
    ).fit(crops, hands.target)
    save(model, tmp_path / "vae.safetensors")
    words = ["evaluate", str(tmp_path / "vae"), str(folder), "--out", str(tmp_path / "r.html")]
    assert main([*words, "--limit", "6"]) == 0
    told = capsys.readouterr()
    assert "(T) is given from the labels" in told.err and "6 of 10 hands" in told.err
    assert "The 6 worst" in (tmp_path / "r.html").read_text()
    rows = np.linspace(0, N - 1, 6).round().astype(int)
    expected = mean_epe(hands.target[rows], model.predict(crops[rows]), align="root")
    assert scores_in(told.out, "root, model")[0] == pytest.approx(expected, abs=0.06)


def test_evaluate_knows_published_data_sets(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert main(["render", str(tmp_path / "rhd"), "-n", "1", "--evaluation", "3", "--size", "64"]) == 0
    capsys.readouterr()
    out = ["--out", str(tmp_path / "report.html")]
    assert main(["evaluate", "hands", str(tmp_path / "rhd"), *out]) == 0
    assert "3 hands; report in" in capsys.readouterr().out
    assert "rhd, test split" in (tmp_path / "report.html").read_text()
    (tmp_path / "empty").mkdir()
    for words, line in (
        (
            ["evaluate", "hands", str(tmp_path / "empty"), *out],
            "DATA: expected hands.csv or a published data set",
        ),
        (["evaluate", str(tmp_path / "none.safetensors"), str(tmp_path / "rhd"), *out], "none.safetensors"),
        (
            ["evaluate", "a.pt", str(tmp_path / "rhd"), *out],
            "MODEL: expected a path that ends in .safetensors",
        ),
        (["evaluate", "model.pkl", str(tmp_path / "rhd"), *out], "expected a path that ends in .safetensors"),
    ):
        assert main(words) == 2
        (told,) = capsys.readouterr().err.splitlines()
        assert told.startswith("skhand: error: ") and line in told


def test_the_mean_pose_mirrors_left_hands():
    rng = np.random.default_rng(0)
    right = rng.normal(size=(3, 21, 3)) * 30 + [0, 0, 500]
    palm = (right[:, 0] + right[:, 9])[:, None] / 2
    left = (right - palm) * [-1, 1, 1] + palm
    y, side = np.concatenate([right, left]), np.repeat(["right", "left"], 3)
    predicted = predict_mean_pose(y, side, np.arange(6), np.array([0, 5]))
    expected = np.mean(right - palm, axis=0)
    np.testing.assert_allclose(predicted[0], expected + palm.mean(axis=0))
    np.testing.assert_allclose(predicted[1], expected * [-1, 1, 1] + palm.mean(axis=0))
    assert score(y, y, None)["EPE mean"] == 0 and score(y, y + 25.0, None)["PCK 30"] == 0
