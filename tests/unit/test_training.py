"""Batches, codecs, the training loop, seeds and devices."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from trainings import AtEpoch, interrupt

from skhand.exceptions import InputError
from skhand.nn import masked_mse
from skhand.skeleton import root_position
from skhand.training import (
    CosineRate,
    DepthCodec,
    EpochEnd,
    KeepBest,
    PairBatches,
    PoseCodec,
    RGBCodec,
    TaskNet,
    VectorCodec,
    fetch,
    resolve_device,
    resolve_precision,
    seeded,
    to_numpy,
    to_tensors,
)

CPU = torch.device("cpu")


# ---------------------------------------------------------------- batches


def epoch_rows(batches, stream=0):
    """Row numbers of one epoch, batch by batch, read off the column ``id``."""
    return [step[stream][1]["id"].tolist() for step in batches]


def make_batches(n, size, *, known=None, seed=0):
    rows = [np.arange(n)] if known is None else [np.arange(n), np.asarray(known), np.arange(n)]
    columns = {"id": np.arange(n)}
    return PairBatches(columns, rows, [{"id"}] * len(rows), size, np.random.default_rng(seed), CPU)


def test_every_row_is_seen_once_an_epoch_in_a_new_order_each():
    batches = make_batches(24, 8)
    first, second = epoch_rows(batches), epoch_rows(batches)
    assert len(batches) == 3
    for epoch in (first, second):
        assert sorted(np.concatenate(epoch)) == list(range(24))
    assert first != second


def test_a_remainder_runs_on_into_the_next_epoch_and_batches_stay_full():
    batches = make_batches(10, 4)
    seen = epoch_rows(batches) + epoch_rows(batches) + epoch_rows(batches) + epoch_rows(batches)
    assert [len(batch) for batch in seen] == [4] * 12
    flat = np.concatenate(seen)
    for start in range(0, 40, 10):
        assert sorted(flat[start : start + 10]) == list(range(10))


def test_pairs_with_the_same_rows_share_a_batch_and_fewer_rows_come_more_often():
    batches = make_batches(12, 4, known=[1, 5, 7, 8])
    steps = list(batches)
    assert [[pairs for pairs, _ in step] for step in steps] == [[[0, 2], [1]]] * 3
    labelled = np.concatenate([step[1][1]["id"] for step in steps])
    assert sorted(labelled) == sorted([1, 5, 7, 8] * 3)


@pytest.mark.parametrize(("n", "size", "expected"), [(1, 64, 2), (5, 64, 5), (9, 1, 2)])
def test_a_batch_has_at_least_two_rows_and_at_most_what_there_is(n, size, expected):
    assert {len(batch) for batch in epoch_rows(make_batches(n, size))} == {expected}


def test_the_same_seed_gives_the_same_batches():
    assert epoch_rows(make_batches(20, 6, seed=3)) == epoch_rows(make_batches(20, 6, seed=3))
    assert epoch_rows(make_batches(20, 6, seed=3)) != epoch_rows(make_batches(20, 6, seed=4))


class Spy:
    """A lazy column that remembers which rows were read."""

    def __init__(self, array):
        self.array, self.read = array, []
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        self.read.append(np.arange(len(self.array))[rows])
        return self.array[rows]


def test_a_lazy_column_reads_the_batchs_rows_only_and_in_one_go(rng):
    column = Spy(rng.integers(0, 255, (50, 4, 4, 3), dtype=np.uint8))
    rows = np.array([7, 3, 31])
    batch = fetch({"rgb": column, "depth": Spy(np.zeros((50, 4, 4)))}, ["rgb", "not there"], rows, CPU)
    assert set(batch) == {"rgb"}
    assert [part.tolist() for part in column.read] == [[7, 3, 31]]
    assert batch["rgb"].dtype == torch.uint8
    np.testing.assert_array_equal(batch["rgb"], column.array[rows])


def test_a_batch_does_not_share_memory_with_its_column(rng):
    column = rng.normal(size=(6, 3))
    fetch({"x": column}, ["x"], np.arange(6), CPU)["x"].zero_()
    assert np.abs(column).min() > 0


# ---------------------------------------------------------------- codecs


def test_a_pose_codec_goes_there_and_back_with_root_and_scale(rng):
    poses = rng.normal(0, 60, (40, 21, 3)) + [10, -20, 600]
    scale = rng.uniform(20, 30, 40)
    codec = PoseCodec.fit_poses(poses, "palm", scale)
    batch = {"pose3d": torch.from_numpy(poses), "scale": torch.from_numpy(scale)}
    encoded = codec.encode(batch)
    relative = (poses - root_position(poses, "palm")[:, None]) / scale[:, None, None]
    flat = relative.reshape(40, -1)
    expected = (flat - flat.mean(axis=0)) / np.sqrt(flat.var(axis=0).mean())
    np.testing.assert_allclose(encoded, expected, atol=1e-5)
    np.testing.assert_allclose(
        codec.decode(encoded, batch), poses - root_position(poses, "palm")[:, None], atol=1e-3
    )


def test_a_pose_codec_without_anything_given_keeps_the_position(rng):
    poses = rng.normal(0, 60, (40, 14, 3)) + [10, -20, 600]
    codec = PoseCodec.fit_poses(poses, None, None)
    batch = {"pose3d": torch.from_numpy(poses)}
    np.testing.assert_allclose(codec.decode(codec.encode(batch), batch), poses, atol=1e-3)


def test_a_joint_that_no_row_knows_harms_no_other_and_decodes_to_nan(rng):
    poses = rng.normal(0, 60, (40, 21, 3))
    partly = poses.copy()
    partly[:, 4] = np.nan
    partly[:5, 8] = np.nan
    codec, whole = PoseCodec.fit_poses(partly, 0, None), PoseCodec.fit_poses(poses, 0, None)
    assert codec.std[0] == pytest.approx(whole.std[0], rel=0.05)
    decoded = codec.decode(torch.zeros(3, 63), {}).numpy()
    assert np.isnan(decoded[:, 4]).all()
    assert np.isfinite(np.delete(decoded, 4, axis=1)).all()


def test_a_vector_codec_standardises_columns_or_all_by_one(rng):
    rows = rng.normal(5, [1.0, 10.0], (500, 2))
    rows[:3, 0] = np.nan
    tensor = {"x": torch.from_numpy(rows[3:])}
    each = VectorCodec.fit("x", rows, isotropic=False).encode(tensor).numpy()
    np.testing.assert_allclose(each.std(axis=0), 1.0, atol=0.02)
    both = VectorCodec.fit("x", rows, isotropic=True).encode(tensor).numpy()
    assert both.std(axis=0)[1] / both.std(axis=0)[0] == pytest.approx(10, rel=0.2)


def test_a_constant_column_is_not_divided_by_zero():
    encoded = VectorCodec.fit("x", np.full((5, 2), 3.0), isotropic=False).encode(
        {"x": torch.full((5, 2), 3.0)}
    )
    assert (encoded == 0).all()


def test_colours_come_back_to_the_bit(rng):
    rgb = torch.from_numpy(rng.integers(0, 256, (3, 8, 6, 3), dtype=np.uint8))
    codec = RGBCodec()
    assert torch.equal(codec.decode(codec.encode({"rgb": rgb}), {}), rgb)
    same = codec.encode({"rgb": rgb.float() / 255})
    assert torch.equal(codec.encode({"rgb": rgb}), same)


def test_depth_is_centred_unmeasured_is_far_and_comes_back(rng):
    depth = np.zeros((20, 8, 8), np.float32)
    depth[:, 2:6, 2:6] = rng.uniform(450, 550, (20, 4, 4))
    codec = DepthCodec.fit(depth, relative=False)
    encoded = codec.encode({"depth": torch.from_numpy(depth)})
    assert encoded.shape == (20, 1, 8, 8)
    assert (encoded[:, 0, 0] == 0.5).all()
    assert encoded.abs().max() <= 0.5
    np.testing.assert_allclose(codec.decode(encoded, {}), depth, atol=0.01)


def test_relative_depth_does_not_know_how_far_the_hand_is(rng):
    depth = np.zeros((4, 8, 8), np.float32)
    depth[:, 2:6, 2:6] = rng.uniform(450, 550, (4, 4, 4))
    codec = DepthCodec.fit(depth, relative=True)
    further = np.where(depth > 0, depth + 300, 0).astype(np.float32)
    near, far = (codec.encode({"depth": torch.from_numpy(d)}) for d in (depth, further))
    torch.testing.assert_close(near, far, atol=1e-4, rtol=0)
    nothing = codec.encode({"depth": torch.zeros(2, 8, 8)})
    assert (nothing == 0.5).all()


# ---------------------------------------------------------------- loss


def test_unknown_coordinates_have_no_part_in_the_loss_nor_a_gradient():
    output = torch.randn(4, 6, requires_grad=True)
    target = torch.randn(4, 6)
    target[1], target[2, 3] = torch.nan, torch.nan
    loss = masked_mse(output, target)
    known = ~torch.isnan(target)
    expected = ((output - target)[known] ** 2).mean()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert (output.grad[~known] == 0).all()
    assert masked_mse(output, torch.full((4, 6), torch.nan)) == 0


# ---------------------------------------------------------------- the loop


class CountingTask:
    """Each step adds 1 to the one weight and reports it."""

    def step(self, module, optimizer, streams, measure, on_gradients=None):
        with torch.no_grad():
            module.weight += 1
        return {
            "mse_a": module.weight.detach().clone().squeeze(),
            "kl_gradient_a": torch.tensor(7.0 * measure),
        }


def counting_net(callbacks=(), max_epochs=4):
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    return TaskNet(
        module, task=CountingTask(), optimizer=torch.optim.SGD, lr=0.1, max_epochs=max_epochs,
        callbacks=list(callbacks),
    ).initialize()  # fmt: skip


def test_an_epochs_row_holds_the_mean_of_its_steps():
    net = counting_net().partial_fit([None] * 3)
    assert [row["mse_a"] for row in net.history] == [2, 5, 8, 11]
    assert [row["train_loss"] for row in net.history] == [2, 5, 8, 11]  # a gradient ratio is no loss
    assert [row["kl_gradient_a"] for row in net.history] == [7] * 4
    assert not net.module_.training


def test_a_stop_ends_after_the_epoch_and_every_callback_hears_of_it():
    ended, trained = [], []
    callbacks = [AtEpoch(2, lambda net: setattr(net, "stop_", True)), EpochEnd(lambda: ended.append(1))]
    callbacks.append(
        type("Count", (Callback,), {"on_epoch_begin": lambda self, net, **_: trained.append(1)})()
    )
    net = counting_net(callbacks).partial_fit([None])
    assert len(net.history) == len(ended) == len(trained) == 2


def test_an_interrupt_is_remembered_and_drops_the_unfinished_epoch():
    net = counting_net([AtEpoch(2, interrupt)]).partial_fit([None])
    assert net.interrupted_
    assert len(net.history) == 2

    def interrupted_batches():
        yield None
        raise KeyboardInterrupt

    class Batches:
        def __len__(self):
            return 2

        def __iter__(self):
            return interrupted_batches()

    net = counting_net().partial_fit(Batches())
    assert net.interrupted_
    assert len(net.history) == 0
    assert not net.module_.training


def test_the_best_weights_come_back_after_patience():
    errors = iter([5.0, 3.0, 4.0, 4.0, 4.0, 1.0])
    net = counting_net([KeepBest(lambda: next(errors), "valid", 2, 1e-3)], max_epochs=6).partial_fit([None])
    assert [row["valid"] for row in net.history] == [5, 3, 4, 4]
    assert net.module_.weight.item() == 2  # what it was after the second epoch


def test_an_improvement_below_tol_is_kept_but_does_not_wait_longer():
    errors = iter([1.0, 0.9999, 0.9998, 0.5])
    net = counting_net([KeepBest(lambda: next(errors), "valid", 2, 1e-2)]).partial_fit([None])
    assert len(net.history) == 3
    assert net.module_.weight.item() == 3


def test_without_patience_validation_only_records():
    errors = iter([1.0, 2.0, 3.0, 4.0])
    net = counting_net([KeepBest(lambda: next(errors), "valid", None, 1e-3)]).partial_fit([None])
    assert net.module_.weight.item() == 4


class Rates(Callback):
    """Remember every epoch's learning rate."""

    def on_train_begin(self, net, **kwargs):
        self.seen = []

    def on_epoch_end(self, net, **kwargs):
        self.seen.append(net.optimizer_.param_groups[0]["lr"])


def test_the_rate_descends_along_half_a_cosine():
    rates = Rates()
    counting_net([CosineRate(0.4, 4), rates]).partial_fit([None])
    assert rates.seen == pytest.approx([0.4, 0.4 * (2 + 2**0.5) / 4, 0.2, 0.4 * (2 - 2**0.5) / 4])


def test_the_rate_stays_at_zero_after_its_descent_and_never_climbs():
    rates = Rates()
    counting_net([CosineRate(0.4, 4, 3), rates]).partial_fit([None])
    assert rates.seen == pytest.approx([0.4 * (2 - 2**0.5) / 4, 0, 0, 0])


class Batches(Callback):
    """Remember every batch's learning rate."""

    seen = ()

    def on_batch_begin(self, net, **kwargs):
        self.seen = (*self.seen, net.optimizer_.param_groups[0]["lr"])


def test_the_rate_may_descend_from_batch_to_batch():
    rates = Batches()
    counting_net([CosineRate(0.4, 8, by_batch=True), rates]).partial_fit([None, None])  # 4 epochs of 2
    assert rates.seen == pytest.approx([0.2 * (1 + np.cos(np.pi * step / 8)) for step in range(8)])
    halves = Batches()
    counting_net([CosineRate(0.4, 16, 8, by_batch=True), halves]).partial_fit([None, None])
    assert halves.seen == pytest.approx([0.2 * (1 + np.cos(np.pi * step / 16)) for step in range(8, 16)])


# ---------------------------------------------------------------- surroundings


def test_a_seeded_block_repeats_itself_and_leaves_the_global_state():
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    with seeded(5, CPU):
        first = torch.rand(3)
    with pytest.raises(RuntimeError), seeded(5, CPU):
        assert torch.equal(torch.rand(3), first)
        raise RuntimeError
    assert torch.equal(torch.rand(3), expected)


def test_two_threads_do_not_mix_their_seeds():
    def draw(seed, out):
        with seeded(seed, CPU):
            out[seed] = torch.cat([torch.rand(1) for _ in range(300)])

    together, alone = {}, {}
    threads = [threading.Thread(target=draw, args=(seed, together)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(4):
        draw(seed, alone)
        assert torch.equal(together[seed], alone[seed])


@pytest.mark.parametrize("device", ["quantum", "cuda:99", 3.5])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(InputError, match="device"):
        resolve_device(device)


def test_precision_is_what_was_asked_for():
    assert resolve_precision("float32", CPU) is torch.float32
    assert resolve_precision("bfloat16", CPU) is torch.bfloat16
    with pytest.raises(InputError, match="precision"):
        resolve_precision("float16", CPU)


def test_automatic_precision_follows_the_hardware(monkeypatch):
    for native, expected in [(True, torch.bfloat16), (False, torch.float32)]:
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda native=native: native, raising=False)
        assert resolve_precision("auto", CPU) is expected
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert resolve_precision("auto", torch.device("cuda", 0)) is torch.float32
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert resolve_precision("auto", torch.device("cuda", 0)) is torch.bfloat16


def test_weights_travel_as_numpy_and_come_back():
    tree = {"a": torch.arange(3.0), "b": [{"step": torch.tensor(4.0)}], "c": (0.9, 0.999), "d": None}
    packed = to_numpy(tree)
    assert isinstance(packed["a"], np.ndarray)
    tree["a"].zero_()
    back = to_tensors(packed)
    assert torch.equal(back["a"], torch.arange(3.0))
    assert back["b"][0]["step"] == 4
    assert list(back["c"]) == [0.9, 0.999]
