"""The traps of the papers' evaluations, one by one, against numbers worked out here by hand or by loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from skhand.exceptions import InputError
from skhand.geometry import align_scale, bone_lengths
from skhand.metrics import GRIDS, PROTOCOLS, Protocol, evaluate_predictions
from skhand.skeleton import JOINTS, LAYOUTS, Layout, convert

WRIST, MIDDLE_MCP, RING_MCP, THUMB_TIP, INDEX_TIP = 0, 9, 13, 4, 8
OTHERS = [j for j in range(21) if j not in (WRIST, MIDDLE_MCP)]
TIPS = [4, 8, 12, 16, 20]


@pytest.fixture
def hands(rng):
    """Five hands half a metre away, mm."""
    return rng.normal(0, 40, (5, 21, 3)) + [0.0, 0.0, 500.0]


def moved(hands, errors):
    """Predictions that are off along x by ``errors`` (n, 21) mm."""
    y_pred = hands.copy()
    y_pred[..., 0] += errors
    return y_pred


def score(y_true, y_pred, protocol, **options):
    return evaluate_predictions(y_true, y_pred, protocol=protocol, **options)


# 1: ranges and grids


def test_1_auc_of_the_slice_and_of_a_true_20_to_50(hands):
    """19 joints off by 20.5 mm, palm and middle MCP exact: below the slice's start, within the true range."""
    errors = np.zeros((5, 21))
    errors[:, OTHERS] = 20.5
    auc = score(hands, moved(hands, errors), "zb2017_rhd").auc
    step, exact = 30 / 99, 2 / 21
    true_range = (exact * step + (exact + 1) / 2 * step + 1.0 * (30 - 2 * step)) / 30
    assert auc["hand3d_20_50"] == pytest.approx(1.0)
    assert auc["20_50"] == pytest.approx(true_range)
    assert auc["20_50"] < 0.99
    assert auc["hand3d"] == pytest.approx((exact * 7 + (exact + 1) / 2 + 11) / 19)
    assert GRIDS["hand3d_20_50"][0] == pytest.approx(21.0526, abs=1e-4)
    assert GRIDS["20_50"][0] == 20.0


def test_1_each_paper_has_its_own_grids():
    grids = {name: protocol.auc for name, protocol in PROTOCOLS.items()}
    assert grids["zb2017_stb"] == grids["spurr2018"] == ("hand3d", "hand3d_20_50", "20_50")
    assert grids["stergioulas2021"] == ("20_50",)
    assert grids["freihand"] == ("freihand",)
    assert grids["iqbal2018_rhp"][0] == grids["iqbal2018_shp"][0] == "20_50"
    assert grids["iqbal2018_do"] == grids["iqbal2018_ed"] == ("0_100",)
    assert grids["iqbal2018_2d"] == ("hand3d_2d",)
    assert all(PROTOCOLS[name].pcf for name in ("nyu14", "icvl16", "msra21_loso"))


def test_1_curve_of_correct_frames_up_to_80(rng):
    y = rng.normal(0, 60, (30, 16, 3))
    y_pred = y + rng.normal(0, 25, y.shape)
    result = score(y, y_pred, "icvl16", given=())
    worst = [max(np.sqrt(((y_pred[i, j] - y[i, j]) ** 2).sum()) for j in range(16)) for i in range(30)]
    limits, fractions = result.pcf_curve()
    np.testing.assert_array_equal(limits, range(81))
    np.testing.assert_allclose(fractions, [sum(w <= d for w in worst) / 30 for d in range(81)])
    assert result.scores[None]["pcf_40"] == fractions[40]


# 2 and 3: order of averaging, medians, visibility, the threshold itself


@pytest.fixture
def partly_seen(hands):
    """Three frames: thumb tip seen once (off 30), index tip always (3, 6, 12), the wrist always."""
    errors, visible = np.zeros((3, 21)), np.zeros((3, 21), bool)
    errors[:, INDEX_TIP] = 3, 6, 12
    errors[:, THUMB_TIP] = 30, 99, 99
    visible[:, [WRIST, INDEX_TIP]] = True
    visible[0, THUMB_TIP] = True
    return hands[:3], moved(hands[:3], errors), visible


@pytest.mark.parametrize(
    ("order", "mean", "median"),
    [
        ("joints", (0 + 30 + 7) / 3, (0 + 30 + 6) / 3),
        ("frames", (11 + 3 + 6) / 3, (3 + 3 + 6) / 3),
        ("pooled", 51 / 7, 3.0),
    ],
)
def test_2_order_of_averaging(partly_seen, order, mean, median):
    y_true, y_pred, visible = partly_seen
    protocol = replace(PROTOCOLS["zb2017_rhd"], average=order, median=order)
    result = score(y_true, y_pred, protocol, visible=visible)
    assert result.mean_epe == pytest.approx(mean)
    assert result.median_epe == pytest.approx(median)
    assert result.n_joints == 7


def test_2_the_papers_orders(partly_seen):
    y_true, y_pred, visible = partly_seen
    result = score(y_true, y_pred, "zb2017_rhd", visible=visible)
    assert result.mean_epe == pytest.approx(37 / 3)
    assert result.median_epe == pytest.approx(12)
    assert result.scores["root"]["pck_20"] == pytest.approx(2 / 3)
    depth = [PROTOCOLS[name].average for name in ("nyu14", "icvl16", "msra21_loso")]
    assert depth == ["frames"] * 3
    assert {PROTOCOLS[name].average for name in ("zb2017_stb", "spurr2018", "freihand")} == {"joints"}


def test_2_means_agree_with_full_visibility_and_medians_do_not(rng):
    y = rng.normal(0, 60, (40, 14, 3))
    y_pred = y + rng.gamma(1, 9, (40, 14, 1)) * [1.0, 0, 0]
    results = [
        score(y, y_pred, replace(PROTOCOLS["nyu14"], average=order, median=order))
        for order in ("joints", "frames", "pooled")
    ]
    assert np.ptp([r.mean_epe for r in results]) < 1e-9
    assert len({round(r.median_epe, 3) for r in results}) == 3


def test_2_error_at_the_threshold_is_correct(hands):
    errors = np.zeros((5, 21))
    errors[:, OTHERS] = 20.0
    hands = np.round(hands)  # so that 20 is exact
    assert score(hands, moved(hands, errors), "stb_wrist").scores["root"]["pck_20"] == 1.0
    y = np.zeros((2, 16, 3))
    assert score(y, y + [40.0, 0, 0], "icvl16").scores[None]["pcf_40"] == 1.0
    assert score(y, y + [40.001, 0, 0], "icvl16").scores[None]["pcf_40"] == 0.0


def test_3_visible_joints_or_all(partly_seen):
    y_true, y_pred, visible = partly_seen
    everything = (np.array([30, 99, 99]).sum() + np.array([3, 6, 12]).sum()) / 3 / 21
    for name, expected in (
        ("zb2017_rhd", 37 / 3),
        ("spurr2018", 37 / 3),
        ("stergioulas2021", everything),
        ("iqbal2018_rhp", everything),
    ):
        result = score(y_true, y_pred, name, visible=visible)
        assert result.mean_epe == pytest.approx(expected), name
        assert result.counted == PROTOCOLS[name].visible
        assert ("(visible joints)" in str(result)) == (expected == 37 / 3)
    unmasked = score(y_true, y_pred, "spurr2018")
    assert unmasked.mean_epe == pytest.approx(everything)
    assert unmasked.counted == "all"
    assert "WARNING  no visibility mask came" in str(unmasked)


def test_3_palm_is_seen_where_wrist_or_middle_mcp_is(hands):
    errors, visible = np.zeros((4, 21)), np.zeros((4, 21), bool)
    errors[:, INDEX_TIP] = 21.0
    visible[:, INDEX_TIP] = True
    visible[1, WRIST] = visible[2, MIDDLE_MCP] = True
    result = score(hands[:4], moved(hands[:4], errors), "zb2017_rhd", visible=visible)
    seen = ~np.isnan(result.errors["root"][:, 0])
    np.testing.assert_array_equal(seen, [False, True, True, False])
    assert result.mean_epe == pytest.approx((0 + 0 + 21) / 3)


# 4: the root


def test_4_root_is_palm_wrist_or_middle_mcp_and_counts_as_0(hands):
    """The predicted wrist is off by 8 mm: the palm by 4, and with it every joint but the palm."""
    errors = np.zeros((5, 21))
    errors[:, WRIST] = 8
    y_pred = moved(hands, errors)
    palm, wrist = PROTOCOLS["zb2017_rhd"], PROTOCOLS["stb_wrist"]
    assert score(hands, y_pred, palm).mean_epe == pytest.approx(20 * 4 / 21)
    assert score(hands, y_pred, replace(palm, root_joint="drop")).mean_epe == pytest.approx(4)
    assert score(hands, y_pred, wrist).mean_epe == pytest.approx(20 * 8 / 21)
    assert score(hands, y_pred, replace(wrist, root="middle_mcp")).mean_epe == pytest.approx(8 / 21)
    absolute = replace(wrist, align=(None,))
    assert score(hands, y_pred, absolute).mean_epe == pytest.approx(8 / 21)
    assert score(hands, y_pred + 70, palm).mean_epe == pytest.approx(20 * 4 / 21)


# 5: scale and side


def test_5_size_by_the_true_bone_is_scale_given(hands, rng):
    y_pred = hands + rng.normal(0, 8, hands.shape)
    rescaling = replace(PROTOCOLS["zb2017_rhd"], scale="true_bone")
    result = score(hands, 3.7 * y_pred, rescaling, given=("side", "root"))
    aligned = align_scale(y_pred, hands, bone=("middle_mcp", "middle_pip"))
    assert result.mean_epe == pytest.approx(score(hands, aligned, "zb2017_rhd").mean_epe)
    assert result.mean_epe == pytest.approx(score(hands, y_pred, rescaling).mean_epe)
    assert result.given == ("root", "scale", "side")
    assert score(hands, 3.7 * y_pred, "zb2017_rhd").mean_epe > 100
    unmeasured = hands.copy()
    unmeasured[2, MIDDLE_MCP + 1] = np.nan
    assert score(unmeasured, y_pred, rescaling).n_frames == 4


def test_5_rows_of_the_vae_papers_table():
    given = {name: PROTOCOLS[name].given for name in PROTOCOLS if name.startswith("spurr2018")}
    assert given == {
        "spurr2018": ("root", "scale", "side"),
        "spurr2018_ts": ("root", "scale"),
        "spurr2018_th": ("root", "side"),
        "spurr2018_t": ("root",),
    }


# 6: alignment


def test_6_raw_root_scale_and_procrustes(hands):
    """Each alignment takes out one thing more: the shift, then the size, then the rotation."""
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    rooted = hands - hands[:, :1]
    everything = replace(
        PROTOCOLS["freihand"], root="wrist", align=(None, "root", "root+scale", "procrustes")
    )
    shift = np.array([3.0, 4.0, 0.0])
    result = score(hands, hands + shift, everything)
    means = [result.scores[align]["epe_mean"] for align in everything.align]
    np.testing.assert_allclose(means, [5, 0, 0, 0], atol=1e-9)
    result = score(hands, hands[:, :1] + 1.5 * rooted + shift, everything)
    means = [result.scores[align]["epe_mean"] for align in everything.align]
    lengths = np.sqrt((rooted**2).sum(axis=2))
    np.testing.assert_allclose(means[1:], [0.5 * lengths.mean(), 0, 0], atol=1e-9)
    turned = hands[:, :1] + 1.5 * rooted @ turn.T
    result = score(hands, turned, everything)
    pairs = list(zip(rooted, rooted @ turn.T, strict=True))
    best = [max(0.0, (t * p).sum() / (p * p).sum()) for t, p in pairs]
    expected = np.mean([np.linalg.norm(best[i] * p - t, axis=1) for i, (t, p) in enumerate(pairs)])
    assert result.scores["root+scale"]["epe_mean"] == pytest.approx(expected)
    assert result.scores["procrustes"]["epe_mean"] == pytest.approx(0, abs=1e-9)


def test_6_freihand_reports_raw_and_aligned(hands):
    result = score(hands, hands + [30.0, 40.0, 0.0], "freihand")
    assert list(result.scores) == [None, "procrustes"]
    assert result.mean_epe == pytest.approx(50)
    assert "alignment: none" in str(result)
    assert "alignment: procrustes" in str(result)


# 7: finger tips, absolute


@pytest.fixture
def straight():
    """Two hands with straight fingers along x, every joint 20 mm from its parent, half a metre away."""
    hand = np.zeros((21, 3))
    hand[1:, 0] = np.tile([20.0, 40, 60, 80], 5)
    hand[1:, 1] = 0
    return np.stack([hand, hand + [5.0, 6, 7]]) + [0, 0, 500]


def test_7_tips_go_back_to_nine_tenths_of_the_last_bone(straight):
    marked = np.full_like(straight, np.nan)
    marked[:, TIPS] = straight[:, TIPS] - [2.0, 0, 0]
    corrected = score(marked, straight, "iqbal2018_do", given=())
    assert corrected.mean_epe == pytest.approx(0, abs=1e-9)
    assert corrected.n_joints == 10
    as_they_are = replace(PROTOCOLS["iqbal2018_do"], tip_length=1.0)
    result = score(marked, straight, as_they_are, given=())
    assert result.mean_epe == pytest.approx(2)
    assert "tip_length is 1.0, not iqbal2018_do's own 0.9" in result.differs
    assert score(marked, straight, "iqbal2018_ed").mean_epe == pytest.approx(2)
    tips_only = score(marked[:, TIPS], straight, "iqbal2018_do", given=())
    assert tips_only.mean_epe == pytest.approx(0, abs=1e-9)


def test_7_size_from_mean_bone_lengths(straight, rng):
    """Eq. 7 by a search over the factor; the pose is scaled with the camera at its origin."""
    mean_bones = rng.uniform(15, 60, 20)
    y_pred = 0.01 * (straight + rng.normal(0, 5, straight.shape))
    expected = []
    for pose in y_pred:
        lengths = bone_lengths(pose)
        factors = np.linspace(0, 400, 400_001)
        best = factors[np.argmin([(mean_bones**2).sum()] + 2 * factors * -(lengths @ mean_bones)
                                 + factors**2 * (lengths @ lengths))]  # fmt: skip
        expected.append(best * pose)
    result = score(straight, y_pred, "iqbal2018_ed", mean_bones=mean_bones)
    wanted = np.linalg.norm((np.array(expected) - straight)[:, TIPS], axis=2).mean()
    assert result.mean_epe == pytest.approx(wanted, abs=0.01)
    exact = score(straight, straight / 20, "iqbal2018_ed", mean_bones=np.full(20, 20.0))
    assert exact.mean_epe == pytest.approx(0, abs=1e-9)
    assert "no mean_bones came" in str(score(straight, y_pred, "iqbal2018_ed"))
    assert "no mean_bones came" not in str(exact)


def test_7_absolute_position_counts(straight):
    assert score(straight, straight + [0, 0, 30.0], "iqbal2018_ed").mean_epe == pytest.approx(30)
    assert score(straight, straight + [0, 0, 30.0], "iqbal2018_rhp").mean_epe == pytest.approx(0)
    pixels = np.zeros((2, 21, 2))
    in_the_picture = score(pixels, pixels + [3.0, 4.0], "iqbal2018_2d")
    assert in_the_picture.mean_epe == pytest.approx(5)
    assert "5.000 px" in str(in_the_picture)


def test_7_tips_alone_cannot_be_corrected(straight):
    with pytest.raises(InputError, match="y_pred: iqbal2018_do corrects the tips .* got 5; .*tip_length=1.0"):
        score(straight, straight[:, TIPS], "iqbal2018_do")
    assert score(straight, straight[:, TIPS], "iqbal2018_ed").mean_epe == 0


# 8: STB


def test_8_native_palm_and_extrapolated_wrist(hands, rng):
    """STB's own order: joint 0 is the palm, 13 and 9 the MCPs of ring (2nd finger from little) and middle."""
    stb = LAYOUTS["stb"]
    ring, middle = stb.joints.index("ring_mcp"), stb.joints.index("middle_mcp")
    y_pred = hands + rng.normal(0, 10, hands.shape)
    rooted = [y - y[:, :1] for y in (hands, y_pred)]
    expected = np.linalg.norm(rooted[1] - rooted[0], axis=2).mean()
    native = score(hands, y_pred, "zb2017_stb", layout="stb")
    assert native.mean_epe == pytest.approx(expected)
    assert score(hands, y_pred, "stergioulas2021", layout="stb").mean_epe == pytest.approx(expected)
    with_wrist = []
    for y in (hands, y_pred):
        wrist = y[:, ring] + 2 * (y[:, 0] - y[:, ring])
        with_wrist.append(np.concatenate([wrist[:, None], y[:, 1:]], axis=1) - wrist[:, None])
    expected_wrist = np.linalg.norm(with_wrist[1] - with_wrist[0], axis=2).mean()
    assert score(hands, y_pred, "stb_wrist", layout="stb").mean_epe == pytest.approx(expected_wrist)
    other = [convert(y, "stb", "canonical", palm_to_wrist="middle") for y in (hands, y_pred)]
    np.testing.assert_allclose(other[0][:, 0], hands[:, middle] + 2.2 * (hands[:, 0] - hands[:, middle]))
    found = [
        expected,
        expected_wrist,
        score(*other, "stb_wrist").mean_epe,
        score(*other, "zb2017_stb").mean_epe,
    ]
    assert len({round(value, 6) for value in found}) == 4


def native_stb(hands):
    """STB's own order, with a palm that is on no line from the wrist to an MCP."""
    native = convert(hands, "canonical", "stb")
    native[:, 0] = 0.5 * hands[:, WRIST] + 0.3 * hands[:, RING_MCP] + 0.2 * hands[:, THUMB_TIP]
    return native


@pytest.mark.parametrize("rule", ["ring", "middle"])
@pytest.mark.parametrize("name", ["zb2017_stb", "iqbal2018_shp", "spurr2018", "stergioulas2021"])
def test_8_palm_is_found_again_from_the_wrist_made_of_it(hands, rng, name, rule):
    native = native_stb(hands), native_stb(hands + rng.normal(0, 9, hands.shape))
    canonical = [convert(y, "stb", "canonical", palm_to_wrist=rule) for y in native]
    expected = score(*native, name, layout="stb")
    found = score(*canonical, name, palm_to_wrist=rule)
    np.testing.assert_allclose(found.errors["root"], expected.errors["root"], atol=1e-9)
    assert abs(score(*canonical, name).mean_epe - expected.mean_epe) > 0.1
    assert "\n  root     palm: the data set's own\n" in str(expected)
    assert f"palm: the data set's own, found again from the wrist by palm_to_wrist='{rule}'" in str(found)
    both = "palm: the data set's own; in y_pred palm: half way between wrist and middle MCP"
    with_palm = Layout("both", (*JOINTS, "palm"))
    y_true = np.concatenate([canonical[0], native[0][:, :1]], axis=1)
    assert score(y_true, canonical[1], name, layout=with_palm).root == both


def test_8_a_palm_that_is_not_the_data_sets_is_said(hands):
    def warned(name, **options):
        return [
            line for line in score(hands, hands, name, **options).differs if "not the data set's own" in line
        ]

    for name in ("zb2017_stb", "iqbal2018_shp"):
        assert len(warned(name)) == 1
        assert f"  WARNING  {warned(name)[0]}\n" in str(score(hands, hands, name))
        assert warned(name, layout="stb") == warned(name, palm_to_wrist="ring") == []
    for name in ("zb2017_rhd", "spurr2018", "stergioulas2021", "iqbal2018_rhp"):
        assert warned(name) == []
        result = score(hands, hands, name)
        assert "\n  root     palm: half way between wrist and middle MCP\n" in str(result)
        assert result.to_dict()["root"] == "palm: half way between wrist and middle MCP"
    assert score(hands, hands, "stb_wrist").root == "wrist"
    made = score(hands, hands, "stb_wrist", layout="stb")
    assert made.root == "wrist: extrapolated from the data set's palm, palm_to_wrist='ring'"
    assert score(hands, hands, "freihand").root == "none"


def test_8_wrist_of_native_joints_by_either_rule(hands, rng):
    y_pred = hands + rng.normal(0, 10, hands.shape)
    for rule in ("ring", "middle"):
        made = [convert(y, "stb", "canonical", palm_to_wrist=rule) for y in (hands, y_pred)]
        native = score(hands, y_pred, "stb_wrist", layout="stb", palm_to_wrist=rule)
        assert native.mean_epe == pytest.approx(score(*made, "stb_wrist").mean_epe)


def test_8_palm_of_the_ring_rule_is_seen_where_wrist_or_ring_mcp_is(hands):
    visible = np.zeros((4, 21), bool)
    visible[1, WRIST] = visible[2, MIDDLE_MCP] = visible[3, RING_MCP] = True
    result = score(hands[:4], hands[:4], "zb2017_stb", visible=visible, palm_to_wrist="ring")
    np.testing.assert_array_equal(~np.isnan(result.errors["root"][:, 0]), [False, True, False, True])


def test_8_frames_of_both_cameras_or_of_one(straight):
    bb, sk = np.repeat(straight, 3000, axis=0), np.repeat(straight, 1500, axis=0)
    assert score(bb, bb, "zb2017_stb").notes == score(sk, sk, "stb_wrist").notes == ()
    part = score(sk, sk, "zb2017_stb")
    assert part.notes == ("3000 rows; the whole test set has 6000",)
    assert "\n  note     3000 rows; the whole test set has 6000\n" in str(part)
    assert part.to_dict()["notes"] == list(part.notes)
    assert not [line for line in (*part.differs, *str(part).split("WARNING")[1:]) if line.endswith("6000")]
    assert "BB camera" in PROTOCOLS["zb2017_stb"].dataset
    assert "SK camera" in PROTOCOLS["stb_wrist"].dataset


# 9: depth sets


def test_9_fourteen_of_36_joints(rng):
    fourteen = [0, 3, 6, 9, 12, 15, 18, 21, 24, 25, 27, 30, 31, 32]
    y, errors = rng.normal(0, 60, (4, 36, 3)), rng.uniform(1, 30, (4, 36))
    y_pred = y + errors[..., None] * [0, 1.0, 0]
    expected = errors[:, fourteen].mean()
    assert score(y, y_pred, "nyu14").mean_epe == pytest.approx(expected)
    assert score(y[:, fourteen], y_pred, "nyu14").mean_epe == pytest.approx(expected)
    assert score(y, y_pred[:, fourteen], "nyu14").mean_epe == pytest.approx(expected)
    assert abs(errors.mean() - expected) > 0.1


def test_9_choices_of_the_data_are_stated():
    assert "crop centre" in PROTOCOLS["nyu14"].note
    assert "300 mm" in PROTOCOLS["nyu14"].note
    assert "241.42" in PROTOCOLS["icvl16"].note
    y = np.zeros((702, 16, 3))
    part = score(y, y, "icvl16", given=())
    assert part.notes == ("702 rows; the whole test set has 1596",)
    assert part.differs == ()
    assert "differs" not in repr(part)


def test_9_left_out_subjects_are_scored_together(rng):
    """Folds of 2 and 8 frames, off by 10 and 20 mm: 18 over all frames, 15 as the mean of two scores."""
    y = rng.normal(0, 60, (10, 21, 3))
    y_pred = y + np.where(np.arange(10) < 2, 10.0, 20.0)[:, None, None] * [0, 0, 1.0]
    assert score(y, y_pred, "msra21_loso").mean_epe == pytest.approx(18)


# the protocols themselves


@pytest.mark.parametrize("name", PROTOCOLS)
def test_protocol_prints_all_that_matters(name):
    protocol = PROTOCOLS[name]
    text = str(protocol)
    assert text.startswith(name + "\n")
    for word in ("source", "compared", "root", "alignment", "scale", "counted", "mean", "median", "given"):
        assert f"\n  {word} " in text
    assert max(map(len, text.splitlines())) <= 110
    assert repr(protocol) == f"<Protocol {name}: {protocol.dataset}>"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"align": "root"}, "align: expected a tuple"),
        ({"align": ()}, "align: expected at least one"),
        ({"align": ("scale",)}, "align: expected one of None, 'root'"),
        ({"root": None}, "root: expected one of 'palm'"),
        ({"root": "wrist"}, "root: expected one of 'palm'"),
        ({"root_joint": "skip"}, "root_joint: expected one of"),
        ({"scale": "bone"}, "scale: expected one of 'predicted'"),
        ({"visible": True}, "visible: expected one of 'all'"),
        ({"average": "mean"}, "average: expected one of 'joints'"),
        ({"median": "mean"}, "median: expected one of|average: expected one of"),
        ({"tip_length": 0}, "tip_length: expected a number > 0"),
        ({"auc": ("0-50",)}, "auc: expected one of 'hand3d'"),
        ({"given": ("T",)}, "given: expected one of 'root'"),
    ],
)
def test_bad_fields_are_named(change, message):
    with pytest.raises(InputError, match=message):
        replace(PROTOCOLS["zb2017_rhd"], **change)


def test_own_protocol(hands):
    hands[:, :5] = [[0, 0, 500], [20, 0, 500], [40, 0, 500], [60, 0, 500], [80, 0, 500]]
    mine = Protocol(
        "mine", "my rows", "nowhere", joints=JOINTS[:5], layouts=(LAYOUTS["canonical"],), pck=(9.0,)
    )
    result = score(hands, hands + [0, 0, 8.0], mine, given=())
    assert result.scores[None] == pytest.approx({"epe_mean": 8.0, "epe_median": 8.0, "pck_9": 1.0})
    assert result.differs == ()


def test_a_protocol_prints_what_it_does_and_nothing_of_what_it_does_not():
    plain, tips = str(PROTOCOLS["freihand"]), str(PROTOCOLS["iqbal2018_do"])
    assert "  tips " not in plain and "last bone of predictions at 0.9" in tips
    assert "  tips " not in str(replace(PROTOCOLS["iqbal2018_do"], tip_length=1.0))
    assert "last bone of predictions at 2" in str(replace(PROTOCOLS["iqbal2018_do"], tip_length=2))
    assert "counted    visible joints" in str(PROTOCOLS["spurr2018"])
    assert "counted    all labelled joints" in plain
