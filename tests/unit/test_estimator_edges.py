"""Inputs and settings at the edge of what CrossModalVAERegressor takes: each honoured or refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping, GradientNormClipping
from trainings import SeenRows

from skhand import HandFrames
from skhand.estimators import CrossModalVAERegressor
from skhand.exceptions import InputError, SideInformationError, TrainingWarning
from skhand.skeleton import root_position

N = 24
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 255, (N, 16, 16, 3), dtype=np.uint8)
Y = RNG.normal(0, 50, (N, 21, 3))


def small(**options):
    settings = {
        "backbone": "small",
        "hidden_units": 8,
        "n_hidden_layers": 1,
        "latent_dim": 3,
        "max_epochs": 1,
    }
    return CrossModalVAERegressor(**{**settings, "random_state": 0, **options})


def test_poses_as_input_are_what_is_learned():
    pairs = [("pose3d", "pose3d")]
    with_y, without = small(pairs=pairs).fit(Y, Y), small(pairs=pairs).fit(Y)
    np.testing.assert_array_equal(with_y.predict(Y), without.predict(Y))
    with pytest.raises(InputError, match=r"^y: with poses as the input"):
        small(pairs=pairs).fit(RNG.normal(size=Y.shape), Y)


def test_poses_alone_are_read_as_poses():
    assert small().fit(Y).source_ == "pose3d"


def test_a_tables_columns_are_standardised_one_by_one_however_many():
    table = RNG.normal(size=(200, 4))
    y = table @ RNG.normal(size=(4, 63)) * np.r_[np.full(62, 100.0), 0.01]
    est = small(max_epochs=100, lr=1e-2, hidden_units=32, beta=0.0).fit(table, y)
    assert not est.poses_
    residual = (est.predict(table)[:, -1] - y[:, -1]).var() / y[:, -1].var()
    assert residual < 0.2


@pytest.mark.parametrize(("n_columns", "are_poses"), [(48, True), (15, True), (12, True), (16, False)])
def test_flattened_poses_of_any_layout_are_poses_where_the_user_says_so(n_columns, are_poses):
    y = RNG.normal(size=(N, n_columns))
    assert small().fit(RGB, y).poses_ is False
    if are_poses:
        assert small(flat_poses=True).fit(RGB, y).poses_ is True
        assert small(given=("scale",)).fit(HandFrames(rgb=RGB, scale=np.full(N, 30.0)), y).poses_ is True
    else:
        with pytest.raises(InputError, match=r"^y: expected flattened poses .*\(24, 16\)"):
            small(flat_poses=True).fit(RGB, y)


def test_a_given_root_makes_rows_of_numbers_poses():
    est = small(given=("root",)).fit(RGB, Y.reshape(N, 63))
    assert est.poses_ is True
    np.testing.assert_array_equal(
        est.predict(RGB), small(given=("root",)).fit(RGB, Y).predict(RGB).reshape(N, 63)
    )


@pytest.mark.parametrize("shape", [(4, 1), (1, 4), (1, 1)])
def test_pictures_one_pixel_wide_or_high_train_in_bfloat16(shape):
    """torch leaves memory as it was in some gradients of a convolution with a stride over such a map."""
    pictures, losses = RNG.uniform(size=(N, *shape, 3)), []
    for _ in range(4):
        used = [torch.full((size,), torch.nan) for size in (64, 864, 4608, 9216, 20000, 100000) * 3]
        del used
        est = small(precision="bfloat16", max_epochs=8).fit(pictures, Y)
        losses.append(est.history_["train_loss"])
    assert np.isfinite(losses).all()
    assert losses == [losses[0]] * 4


@pytest.mark.parametrize("value", [np.nan, 255.0])
def test_a_bad_float_picture_is_found_after_indexing(value):
    pictures = RGB / 255.0
    pictures[20] = value
    rows = HandFrames(rgb=pictures)[np.arange(N)]
    with pytest.raises(InputError, match=r"^X: expected .*pictures"):
        small().fit(rows, Y)
    with pytest.raises(InputError, match=r"^X: expected .*pictures"):
        small().fit(RGB / 255.0, Y).predict(rows)


def test_a_nan_in_a_memory_mapped_picture_is_found_when_it_is_read(tmp_path):
    pictures = np.memmap(tmp_path / "rgb", np.float32, "w+", shape=RGB.shape)
    pictures[:] = RGB / 255.0
    pictures[20] = np.nan
    with pytest.raises(InputError, match=r"^X: expected finite pictures"):
        small().fit(HandFrames(rgb=pictures), Y)


@pytest.mark.parametrize("source", ["pose3d", "table"])
def test_predict_refuses_nan_in_any_source(source):
    X = HandFrames(rgb=RGB, pose3d=Y, table=Y[:, 0])
    est = small(pairs=[("rgb", "pose3d"), ("pose3d", "pose3d"), ("table", "pose3d")]).fit(X, Y)
    broken = Y.copy()
    broken[3] = np.nan
    with pytest.raises(InputError, match=rf"^X: expected finite {source}"):
        est.predict(X.replace(pose3d=broken, table=broken[:, 0]), source=source)


def test_tables_take_part_in_any_pair():
    X = HandFrames(rgb=RGB, table=RNG.normal(size=(N, 5)))
    est = small(pairs=[("table", "rgb"), ("rgb", "table")]).fit(X)
    assert est.predict(X).shape == RGB.shape
    assert est.predict(X, source="rgb", target="table").shape == (N, 5)
    assert small().fit(HandFrames(table=X.table), Y).source_ == "table"


def test_numbers_that_are_no_poses_can_be_encoded_too():
    table, y = RNG.normal(size=(N, 5)), RNG.normal(size=(N, 2))
    est = small(variant=4).fit(table, y)
    assert est.predict(y, source="pose3d").shape == (N, 2)


class Seen(Callback):
    """Writes down which hooks were called."""

    def __init__(self):
        self.names = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            object.__getattribute__(self, "names").append(name)
        return super().__getattribute__(name)


def test_skorch_callbacks_get_every_hook():
    seen = Seen()
    small(callbacks=[seen]).fit(RGB, Y)
    hooks = ("train_begin", "epoch_begin", "batch_begin", "batch_end", "epoch_end", "train_end")
    assert {f"on_{hook}" for hook in hooks} <= set(seen.names)


def test_skorchs_early_stopping_stops_and_does_not_interrupt():
    est = small(max_epochs=9, callbacks=[EarlyStopping("train_loss", patience=2, threshold=0.99, sink=len)])
    assert est.fit(RGB, Y).n_iter_ == 3  # one that is best, two that are not better


def test_a_real_interrupt_in_a_callback_is_passed_on():
    class Interrupts(Callback):
        def on_epoch_end(self, net, **kwargs):
            raised()

    def raised():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(callbacks=[Interrupts()]).fit(RGB, Y)


def test_gradients_are_clipped_before_the_step():
    free, clipped = (small(callbacks=each).fit(RGB, Y) for each in (None, [GradientNormClipping(1e-12)]))
    start = small(max_epochs=1, lr=1e-12).fit(RGB, Y)

    def moved(est):
        pairs = zip(est.module_.parameters(), start.module_.parameters(), strict=True)
        return max(float((a - b).abs().max()) for a, b in pairs)

    assert moved(clipped) < 0.01 * moved(free)


@pytest.mark.parametrize("callbacks", [3, EarlyStopping(), [3], [EarlyStopping], "lr"])
def test_what_is_no_list_of_callbacks_is_refused(callbacks):
    with pytest.raises(InputError, match=r"^callbacks: expected a list"):
        small(callbacks=callbacks).fit(RGB, Y)


def test_another_root_than_the_column_is_warned_of():
    y = Y + [0, 0, 500.0]
    X = HandFrames(rgb=RGB, root=root_position(y, "palm"))
    with pytest.warns(TrainingWarning, match="root: X's column root is") as warned:
        small(given=("root",), root="wrist").fit(X, y)
    assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        small(given=("root",)).fit(X, y)


def test_unlabelled_rows_need_no_scale():
    y, scale = Y.copy(), np.full(N, 30.0)
    y[:8], scale[:8] = np.nan, np.nan
    est = small(variant=3, given=("root", "scale")).fit(HandFrames(rgb=RGB, scale=scale), y)
    assert np.isfinite(est.sample(3)).all()
    scale[8] = np.nan
    with pytest.raises(SideInformationError, match="scale"):
        small(variant=3, given=("root", "scale")).fit(HandFrames(rgb=RGB, scale=scale), y)


def test_a_warm_start_sets_the_same_rows_aside():
    seen = SeenRows(RGB)
    est = small(warm_start=True, early_stopping=True, validation_fraction=0.25, callbacks=[seen])
    trained_on = [seen.clear_and_return(est.fit(RGB, Y)) for _ in range(2)]
    assert len(trained_on[0]["rgb_to_pose3d"]) == 18
    assert trained_on[0] == trained_on[1]


def test_the_root_is_that_of_the_fit():
    est = small(given=("root",), warm_start=True).fit(RGB, Y)
    before = est.score(RGB, Y)
    assert est.set_params(root="wrist").score(RGB, Y) == before
    with pytest.raises(InputError, match=r"^root: expected 'palm' as first fitted"):
        est.fit(RGB, Y)


def test_options_may_come_out_of_an_array():
    assert small(variant=np.array([1, 2])[1]).fit(RGB, Y).pairs_[1] == ("pose3d", "pose3d")


@pytest.mark.parametrize("convert", [list, torch.from_numpy])
def test_lists_and_tensors_are_array_like(convert):
    expected = small().fit(RGB, Y).predict(RGB)
    np.testing.assert_array_equal(small().fit(convert(RGB), Y).predict(convert(RGB)), expected)


def test_pictures_in_the_other_byte_order():
    pictures = (RGB / 255.0).astype(np.float32)
    expected = small().fit(pictures, Y).predict(pictures)
    np.testing.assert_array_equal(small().fit(pictures.astype(">f4"), Y).predict(pictures), expected)


def test_a_refused_fit_leaves_the_fitted_estimator_alone():
    est = small().fit(RGB, Y)
    before = est.predict(RGB)
    with pytest.raises(InputError):
        est.fit(RGB, np.full((N, 4, 2), 1.0))
    np.testing.assert_array_equal(est.predict(RGB), before)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"early_stopping": "no"}, "early_stopping"),
        ({"warm_start": 2}, "warm_start"),
        ({"pair_weights": 3}, "pair_weights"),
        ({"pretrained": True, "pairs": [("pose3d", "pose3d")]}, "pretrained"),
    ],
)
def test_odd_settings_are_refused_by_name(options, name):
    if name == "pair_weights":
        options = {**options, "variant": 2}
    with pytest.raises(InputError, match=rf"^{name}: expected"):
        small(**options).fit(HandFrames(rgb=RGB, pose3d=Y), Y)


def test_no_latent_vectors_are_refused():
    with pytest.raises(InputError, match=r"^Z: expected"):
        small().fit(RGB, Y).inverse_transform(np.zeros((0, 3)))


def test_rows_are_taken_along_one_axis():
    with pytest.raises(InputError, match="one axis"):
        HandFrames(rgb=RGB)[np.array([[0, 1], [2, 3]])]
