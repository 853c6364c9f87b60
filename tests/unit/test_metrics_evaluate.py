"""Estimators scored by a protocol: what was given, what comes out, and what is refused."""

from __future__ import annotations

import json
import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV, KFold, LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from skhand.datasets import make_hands
from skhand.exceptions import InputError
from skhand.geometry import backproject
from skhand.metrics import (
    PROTOCOLS,
    evaluate,
    evaluate_predictions,
    mean_epe,
    median_epe,
    neg_epe,
    pck_auc,
    pck_curve,
)
from skhand.plotting import PckCurveDisplay
from skhand.skeleton import JOINTS, LAYOUTS, convert


class MeanPose(RegressorMixin, BaseEstimator):
    """Predict the mean pose, times ``size``."""

    def __init__(self, size=1.0, given=()):
        self.size = size
        self.given = given

    def fit(self, X, y):
        self.mean_ = np.nanmean(y, axis=0)
        self.given_ = tuple(self.given)
        return self

    def predict(self, X):
        check_is_fitted(self)
        return np.repeat(self.size * self.mean_[None], len(X), axis=0)


class NoNotion(RegressorMixin, BaseEstimator):
    """An estimator from elsewhere that knows nothing of what is given."""

    def fit(self, X, y):
        self.mean_ = y.mean(axis=0)
        return self

    def predict(self, X):
        return np.repeat(self.mean_[None], len(X), axis=0)


@pytest.fixture
def hands(rng):
    """X (24, 3) and poses (24, 21, 3), mm."""
    return rng.normal(size=(24, 3)), rng.normal(0, 40, (24, 21, 3)) + [0, 0, 500]


@pytest.mark.parametrize("n_labels", [7, 9])
def test_a_label_is_wanted_for_each_row(n_labels):
    model = MeanPose().fit(np.zeros((8, 1)), np.ones((8, 63)))
    with pytest.raises(InputError, match=f"expected {n_labels} rows .* got 8; y takes one label for each"):
        evaluate(model, np.zeros((8, 1)), np.ones((n_labels, 21, 3)), protocol="spurr2018", given=())


def test_estimator_is_scored_as_its_predictions_are(hands, rng):
    X, y = hands
    visible = rng.random((24, 21)) < 0.8
    model = MeanPose(given=("root", "scale", "side")).fit(X, y)
    result = evaluate(model, X, y, protocol="spurr2018", visible=visible)
    same = evaluate_predictions(
        y, model.predict(X), protocol="spurr2018", visible=visible, given=("side", "root", "scale")
    )
    assert result.to_dict() == same.to_dict()
    palm_first = [convert(pose, "canonical", "stb") for pose in (y, model.predict(X))]
    order = [JOINTS.index(name) for name in LAYOUTS["stb"].joints[1:]]
    seen = np.concatenate([visible[:, :1] | visible[:, 9:10], visible[:, order]], axis=1)
    options = {"visible": seen, "align": "root", "root": 0}
    assert result.mean_epe == pytest.approx(mean_epe(*palm_first, **options))
    assert result.median_epe == pytest.approx(median_epe(*palm_first, **options))
    assert result.auc["hand3d"] == pytest.approx(pck_auc(*palm_first, **options))
    grid, fractions = result.pck_curve("freihand")
    np.testing.assert_allclose(fractions, pck_curve(*palm_first, thresholds="freihand", **options)[1])
    assert grid[-1] == 50
    assert PckCurveDisplay(*result.pck_curve()).auc == pytest.approx(result.auc["hand3d"])


def test_given_is_printed_and_compared_with_the_paper(hands):
    X, y = hands
    all_given = MeanPose(given=("root", "scale", "side")).fit(X, y)
    result = evaluate(all_given, X, y, protocol="zb2017_rhd")
    assert result.given_differs is False
    assert "given    T+S+H (root, scale, side)" in str(result)
    assert "paper gives" not in str(result)
    result = evaluate(MeanPose(given=("root",)).fit(X, y), X, y, protocol="zb2017_rhd")
    assert result.given_differs is True
    warning = "given T (root); the protocol's paper gives T+S+H (root, scale, side)"
    assert warning in result.differs
    assert f"WARNING  {warning}" in str(result)
    assert "differs from the paper" in repr(result)
    result = evaluate(MeanPose(given=("scale",)).fit(X, y), X, y, protocol="iqbal2018_rhp")
    assert "given S (scale); the protocol's paper gives nothing" in result.differs
    result = evaluate(NoNotion().fit(X, y), X, y, protocol="zb2017_rhd")
    assert result.given is result.given_differs is None
    assert "what was given is not stated; the protocol's paper gives T+S+H" in str(result)
    result = evaluate(MeanPose().fit(X, y), X, y, protocol="freihand")
    assert result.given == ()
    assert result.given_differs is None
    assert evaluate(NoNotion().fit(X, y), X, y, protocol="spurr2018_t", given="root").given_differs is False


def test_given_is_found_inside_pipelines_and_searches(hands):
    X, y = hands
    inner = MeanPose(given=("root", "side"))
    pipe = make_pipeline(FunctionTransformer(), inner)
    search = GridSearchCV(pipe, {"meanpose__size": [0.5, 1.0]}, scoring=neg_epe, cv=KFold(2))
    flat = TransformedTargetRegressor(inner, transformer=FunctionTransformer(), check_inverse=False)
    for model, target in ((pipe, y), (search, y), (flat, y.reshape(24, 63))):
        result = evaluate(model.fit(X, target), X, target, protocol="spurr2018_th")
        assert result.given == ("root", "side")
        assert result.given_differs is False


def test_flattened_rows_unlabelled_rows_and_one_sample(hands):
    X, y = hands
    y[3:7] = np.nan
    y[8, 5] = np.nan
    model = MeanPose().fit(X, y)
    result = evaluate(model, X, y, protocol="stergioulas2021")
    assert (result.n_rows, result.n_frames, result.n_joints) == (24, 20, 20 * 21 - 1)
    assert "counted  20 of 24 rows, 419 joints (all labelled joints)" in str(result)
    flat = MeanPose().fit(X, y.reshape(24, 63))
    same = evaluate(flat, X, y.reshape(24, 63), protocol="stergioulas2021")
    assert same.to_dict() == result.to_dict()
    one = evaluate(model, X[:1], y[:1], protocol="stergioulas2021")
    assert one.n_frames == 1
    assert one.mean_epe == pytest.approx(np.nanmean(one.errors["root"]))


def test_data_sets_own_order(hands, rng):
    _, y = hands
    y_pred = y + rng.normal(0, 9, y.shape)
    visible = rng.random((24, 21)) < 0.7
    order = [JOINTS.index(name) for name in rhd_names()]
    here = evaluate_predictions(y, y_pred, protocol="zb2017_rhd", visible=visible)
    native = {"protocol": "zb2017_rhd", "layout": "rhd", "visible": visible[:, order]}
    assert evaluate_predictions(y[:, order], y_pred[:, order], **native).to_dict() == here.to_dict()


def rhd_names():
    """RHD's order: the wrist, then every finger from its tip."""
    fingers = [JOINTS[1 + 4 * i : 5 + 4 * i] for i in range(5)]
    return ["wrist", *(name for finger in fingers for name in finger[::-1])]


def test_json_frame_and_pickle(hands, rng, tmp_path):
    pd = pytest.importorskip("pandas")
    _, y = hands
    y_pred = y + rng.normal(0, 9, y.shape)
    result = evaluate_predictions(y, y_pred, protocol="freihand", given=("scale",))
    text = result.to_json(tmp_path / "scores.json")
    saved = json.loads((tmp_path / "scores.json").read_text())
    assert saved == json.loads(text) == result.to_dict()
    assert saved["given"] == ["scale"]
    assert saved["scores"]["none"]["epe_mean"] == result.mean_epe
    curve = saved["curves"]["procrustes"]["pck_freihand"]
    np.testing.assert_array_equal(curve["fractions"], result.pck_curve("freihand", align="procrustes")[1])
    depth = evaluate_predictions(y[:, :16], y_pred[:, :16], protocol="icvl16")
    assert len(depth.to_dict()["curves"]["none"]["pcf"]["thresholds"]) == 81
    table = pd.concat([result.to_frame(), depth.to_frame()])
    assert list(table.columns) == ["protocol", "given", "align", "score", "value"]
    row = table[(table.protocol == "freihand") & (table["align"] == "none") & (table.score == "epe_mean")]
    assert row.value.item() == result.mean_epe
    assert row.given.item() == "S (scale)"
    assert set(table[table.protocol == "icvl16"].given) == {"not stated"}
    assert str(pickle.loads(pickle.dumps(result))) == str(result)


def test_frame_without_pandas_says_what_to_install(hands, monkeypatch):
    _, y = hands
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        ImportError, match=r"to_frame needs pandas; install it with: pip install 'skhand\[notebook\]'"
    ):
        evaluate_predictions(y, y, protocol="freihand").to_frame()


def test_subjects_left_out_one_by_one(hands):
    X, y = hands
    subjects = np.repeat([0, 1, 2], [4, 8, 12])
    y_pred = cross_val_predict(MeanPose(), X, y.reshape(24, 63), groups=subjects, cv=LeaveOneGroupOut())
    result = evaluate_predictions(y, y_pred, protocol="msra21_loso", given=())
    errors = []
    for subject in range(3):
        mean = y[subjects != subject].mean(axis=0)
        errors += [np.sqrt(((pose - mean) ** 2).sum(axis=1)).mean() for pose in y[subjects == subject]]
    assert result.mean_epe == pytest.approx(np.mean(errors))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "nyu"}, "protocol: expected one of 'zb2017_rhd'"),
        ({"protocol": None}, "protocol: expected one of"),
        (
            {"protocol": "nyu14"},
            r"y: nyu14 expects 14 \(nyu14\) or 36 \(nyu36\) joints, got 21. The 21 canonical joints lack "
            r"some of them: load_nyu\(..., layout='nyu14'\) has them all",
        ),
        (
            {"protocol": "nyu14", "layout": "canonical"},
            r"lacks what nyu14 .* load_nyu\(..., layout='nyu14'\)",
        ),
        ({"protocol": "icvl16"}, r"got 21. The 21 canonical joints lack .* load_icvl\(...\) has them all"),
        ({"palm_to_wrist": "little"}, "palm_to_wrist: expected one of None, 'ring', 'middle'"),
        ({"y": np.full((24, 63), np.inf)}, "y: expected finite numbers, or NaN where unlabelled"),
        ({"protocol": "iqbal2018_2d"}, r"y: iqbal2018_2d expects shape \(n_samples, n_joints, 2\)"),
        ({"given": ("T",)}, "given: expected one of 'root'"),
        ({"given": 3}, "given: expected a tuple"),
        ({"layout": "RHD"}, "layout: expected one of 'canonical'"),
        ({"layout": "icvl16"}, r"y: zb2017_rhd expects 16 \(icvl16\) joints, got 21"),
        ({"layout": "msra21", "protocol": "icvl16"}, "layout: 'msra21' lacks what icvl16 compares"),
        ({"visible": np.ones((24, 20))}, r"visible: expected an array of shape \(24, 21\)"),
        ({"visible": np.full((24, 21), 2)}, "visible: expected a mask"),
        (
            {"visible": np.zeros((24, 21))},
            "visible: expected at least one labelled and visible joint in y, got none",
        ),
        ({"mean_bones": [1.0]}, r"mean_bones: expected an array of shape \(20,\)"),
        ({"mean_bones": np.zeros(20)}, "mean_bones: expected lengths above 0"),
        ({"y": None}, "y: zb2017_rhd expects shape .* got None"),
        ({"y": "poses"}, "y: expected numbers"),
        ({"y": np.full((24, 63), np.nan)}, "y: expected at least one labelled joint, got none"),
        ({"X": None, "y": np.zeros((24, 60))}, r"y: zb2017_rhd expects 21 \(canonical\) joints, got 20"),
        ({"y": np.zeros((24, 64))}, "y: zb2017_rhd expects shape"),
        ({"y": np.zeros((23, 63))}, "y_pred: expected 23 rows as y_true has, got 24"),
        ({"estimator": MeanPose()}, "estimator: expected a fitted one, got MeanPose"),
        ({"estimator": make_pipeline(FunctionTransformer(), MeanPose())}, "estimator: expected a fitted one"),
        ({"estimator": 3}, "estimator: expected an object with a method predict, got 3"),
    ],
)
def test_bad_input_is_named(hands, options, message):
    X, y = hands
    arguments = {"estimator": MeanPose().fit(X, y), "X": X, "y": y, "protocol": "zb2017_rhd", **options}
    with pytest.raises(InputError, match=message):
        evaluate(arguments.pop("estimator"), arguments.pop("X"), arguments.pop("y"), **arguments)


class Unwilling(MeanPose):
    """Fail where a prediction is asked for: no work is lost on arguments that are refused before."""

    def predict(self, X):
        raise AssertionError("predicted before the arguments were checked")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"visible": np.ones((24, 20))}, "visible: expected an array"),
        ({"visible": np.full((24, 21), 2)}, "visible: expected a mask"),
        ({"visible": np.zeros((24, 21))}, "visible: expected at least one"),
        ({"given": ("T",)}, "given: expected one of"),
        ({"mean_bones": [1.0]}, "mean_bones: expected an array"),
        ({"mean_bones": np.zeros(20)}, "mean_bones: expected lengths"),
        ({"layout": "RHD"}, "layout: expected one of"),
        ({"palm_to_wrist": "palm"}, "palm_to_wrist: expected one of"),
        ({"y": np.full((24, 63), np.inf)}, "y: expected finite numbers"),
    ],
)
def test_arguments_are_checked_before_anything_is_predicted(hands, options, message):
    X, y = hands
    arguments = {"X": X, "y": y, "protocol": "zb2017_rhd", **options}
    with pytest.raises(InputError, match=message):
        evaluate(Unwilling().fit(X, y), **arguments)


def test_palm_to_wrist_reaches_the_score(hands):
    X, y = hands
    model = MeanPose().fit(X, y)
    result = evaluate(model, X, y, protocol="zb2017_stb", palm_to_wrist="ring")
    same = evaluate_predictions(y, model.predict(X), protocol="zb2017_stb", given=(), palm_to_wrist="ring")
    assert result.to_dict() == same.to_dict()


@pytest.fixture(scope="module")
def real_hands(real_data):
    """Up to 300 real poses of each data set, canonical joints, mm."""
    files = {
        "rhd": "poses/rhd_poses.npz",
        "stb": "poses/stb_poses.npz",
        "photographs": "real-rgb/annotations.npz",
    }
    poses = {}
    for name, path in files.items():
        with np.load(real_data / path, allow_pickle=False) as file:
            joints = file["joints_mm"].astype(float)
        poses[name] = joints[:: max(1, len(joints) // 300)]
    with np.load(real_data / "poses/nyu36_poses.npz", allow_pickle=False) as file:
        uvd = file["uvd"][::8]
    camera = np.array([[588.03, 0, 320], [0, -587.07, 240], [0, 0, 1]])
    poses["nyu"] = convert(backproject(uvd[..., :2], uvd[..., 2], camera), "nyu36", "canonical")
    ring = convert(poses["stb"], "canonical", "stb")  # the file's wrists come from the palm by the ring rule
    ring[:, 0] = (poses["stb"][:, 0] + poses["stb"][:, 13]) / 2
    poses["stb, other rule"] = convert(ring, "stb", "canonical", palm_to_wrist="middle")
    return poses, ring


def doubted(y, **options):
    """Lines of doubt about the truth, for all rows and for the first alone."""
    options = {"protocol": "stergioulas2021", "given": ("root", "scale", "side"), **options}
    return [evaluate_predictions(part, part, **options).differs for part in (y, y[:1])]


def test_real_hands_raise_no_doubt_and_a_wrong_order_or_unit_does(real_hands):
    poses, native_stb = real_hands
    order = "the true thumb starts as far from the wrist as the fingers"
    for name, y in poses.items():
        assert doubted(y) == [(), ()], name
        assert doubted(convert(y, "canonical", "rhd"), layout="rhd") == [(), ()], name
        wrong = [convert(y, "canonical", "rhd"), convert(y, "canonical", "msra21")]
        for lines in (*map(doubted, wrong), doubted(y, layout="stb"), doubted(y, layout="rhd")):
            assert lines[0], name
            assert lines[0][0].startswith(order)
        for lines in doubted(y / 1000):
            assert len(lines) == 1
            assert lines[0].endswith("long in the median: are the poses in mm?")
    assert doubted(native_stb, layout="stb") == [(), ()]
    assert doubted(native_stb)[0][0].startswith(order)


def test_generated_hands_raise_no_doubt_and_a_wrong_order_or_unit_does():
    y = make_hands(40, image_size=16, images=(), random_state=0).target
    assert doubted(y) == [(), ()]
    for layout in ("rhd", "msra21"):
        native = convert(y, "canonical", layout)
        assert doubted(native, layout=layout) == [(), ()]
        for lines in doubted(native):
            assert len(lines) == 1 and lines[0].startswith("the true thumb starts as far from the wrist")
    for lines in doubted(y / 1000):
        assert len(lines) == 1 and lines[0].endswith("long in the median: are the poses in mm?")


def test_hands_of_no_extent_and_without_the_wrist_raise_no_doubt_of_the_thumb(hands):
    _, y = hands
    assert doubted(np.where(np.arange(21)[:, None] == 0, np.nan, y), protocol="freihand") == [(), ()]
    with pytest.warns(UserWarning, match="^y_true: 2 of 2 rows are 0"):
        assert doubted(np.zeros((2, 21, 3)), protocol="freihand") == [(), ()]


def test_joints_that_are_seen_but_not_labelled_do_not_count(hands):
    _, y = hands
    y[:, 4] = np.nan
    only_unlabelled = np.broadcast_to(np.arange(21) == 4, (24, 21))
    with pytest.raises(InputError, match="^visible: expected at least one labelled and visible joint in"):
        evaluate_predictions(y, y, protocol="zb2017_rhd", visible=only_unlabelled)


def test_unlabelled_tips_alone_and_pictures_raise_no_doubt(hands):
    _, y = hands
    tips = np.where(np.isin(np.arange(21), [4, 8, 12, 16, 20])[:, None], y, np.nan)
    assert (
        evaluate_predictions(tips, y, protocol="iqbal2018_ed", given=(), mean_bones=np.ones(20)).differs == ()
    )
    assert evaluate_predictions(y[..., :2], y[..., :2], protocol="iqbal2018_2d", given=()).differs == ()


def test_prediction_that_counts_must_be_finite(hands):
    _, y = hands
    y_pred = y.copy()
    y_pred[2, 4] = np.nan
    with pytest.raises(InputError, match="y_pred: expected finite numbers"):
        evaluate_predictions(y, y_pred, protocol="freihand")
    y[2] = np.nan
    assert evaluate_predictions(y, y_pred, protocol="freihand").mean_epe == pytest.approx(0, abs=1e-9)
    result = evaluate_predictions(y, y_pred, protocol="freihand")
    with pytest.raises(InputError, match="align: expected one of None, 'procrustes'"):
        result.pck_curve(align="root")
    assert len(result.pck_curve(align="procrustes")[0]) == 100
    changed = replace(PROTOCOLS["freihand"], auc=())
    assert len(evaluate_predictions(y, y_pred, protocol=changed).pck_curve()[0]) == 81
