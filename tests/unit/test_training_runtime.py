"""Seeds, devices, precision, threads, counted operations and interrupts."""

from __future__ import annotations

import signal
import threading

import pytest
import torch
from torch import nn

from skhand.exceptions import InputError
from skhand.nn import pack_convolutions
from skhand.training import (
    building,
    count_operations,
    evaluating,
    one_thread,
    resolve_device,
    resolve_precision,
)
from skhand.training._rows_apart import rows_apart
from skhand.training._runtime import defer_interrupts

CPU = torch.device("cpu")


# ---------------------------------------------------------------- building


def test_building_repeats_itself_and_leaves_the_global_state():
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    with building(5):
        first = torch.rand(3)
    with pytest.raises(RuntimeError), building(5):
        assert torch.equal(torch.rand(3), first)
        raise RuntimeError
    assert torch.equal(torch.rand(3), expected)


def test_two_threads_do_not_mix_their_seeds():
    def draw(seed, out):
        with building(seed):
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


def test_networks_are_built_in_float32_on_the_processor_whatever_the_defaults_are():
    with building(5):
        expected = nn.Linear(3, 2)
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        with building(5):
            made = nn.Linear(3, 2)
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_default_device() == torch.device("meta")
        with pytest.raises(RuntimeError), building(5):
            raise RuntimeError
        assert torch.get_default_dtype() == torch.float64
        assert torch.empty(1).device == torch.device("meta")
    finally:
        torch.set_default_dtype(before)
        torch.set_default_device(None)
    assert made.weight.dtype == torch.float32 and made.weight.device == CPU
    assert torch.equal(made.weight, expected.weight)


def test_building_within_building_goes_on_with_the_outer_seed():
    with building(5):
        first, second = torch.rand(3), torch.rand(3)
    with building(5):
        assert torch.equal(torch.rand(3), first)
        with building(8):
            torch.rand(7)
        assert torch.equal(torch.rand(3), second)


# ---------------------------------------------------------------- device and precision


@pytest.mark.parametrize("device", ["quantum", "cuda:99", 3.5])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(InputError, match="device"):
        resolve_device(device)


def test_precision_is_what_was_asked_for():
    assert resolve_precision("float32", CPU) is torch.float32
    assert resolve_precision("bfloat16", CPU) is torch.bfloat16
    with pytest.raises(InputError, match="precision"):
        resolve_precision("float16", CPU)
    with pytest.raises(InputError, match="predict_precision"):
        resolve_precision("float16", CPU, "predict_precision")


def test_automatic_precision_follows_the_hardware(monkeypatch):
    tests = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    for amx, avx, expected in [
        (True, False, torch.bfloat16), (False, True, torch.bfloat16), (True, True, torch.bfloat16),
        (False, False, torch.float32),
    ]:  # fmt: skip
        for test, native in zip(tests, (amx, avx), strict=True):
            monkeypatch.setattr(torch.cpu, test, lambda native=native: native, raising=False)
        assert resolve_precision("auto", CPU) is expected
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert resolve_precision("auto", torch.device("cuda", 0)) is torch.float32
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert resolve_precision("auto", torch.device("cuda", 0)) is torch.bfloat16


# ---------------------------------------------------------------- threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_one_thread_is_one_in_this_thread_only_and_afterwards_as_many_as_before(two_threads):
    inside, outside, done = threading.Event(), [], threading.Event()

    def look():
        inside.wait(10)
        outside.append(torch.get_num_threads())
        done.set()

    other = threading.Thread(target=look)
    other.start()
    with one_thread():
        assert torch.get_num_threads() == 1
        inside.set()
        assert done.wait(10)
    other.join()
    assert outside == [2]
    assert torch.get_num_threads() == 2
    with pytest.raises(RuntimeError), one_thread():
        raise RuntimeError
    assert torch.get_num_threads() == 2


def test_one_thread_may_be_left_in_another_thread_meanwhile(two_threads):
    begun, leave, seen = threading.Event(), threading.Event(), []

    def work():
        with one_thread():
            begun.set()
            leave.wait(10)
            seen.append(torch.get_num_threads())

    worker = threading.Thread(target=work)
    worker.start()
    begun.wait(10)
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    leave.set()
    worker.join()
    assert seen == [1]


# ---------------------------------------------------------------- counted operations and modes


def test_operations_are_counted_on_any_device():
    linear = nn.Linear(7, 5)
    assert count_operations(lambda: linear(torch.zeros(3, 7))) == 2 * 3 * 7 * 5
    with torch.device("meta"):
        convolution, picture = nn.Conv2d(3, 8, 3, padding=1), torch.empty(2, 3, 10, 12)
    assert count_operations(lambda: convolution(picture)) == 2 * 2 * 8 * 10 * 12 * 3 * 9
    assert count_operations(lambda: None) == 0
    assert isinstance(count_operations(lambda: linear(torch.zeros(1, 7))), int)


def test_evaluation_mode_is_left_as_it_was_found():
    module = nn.BatchNorm1d(2)
    for training in (True, False):
        module.train(training)
        with evaluating(module):
            assert not module.training
        assert module.training == training
        with pytest.raises(RuntimeError), evaluating(module):
            raise RuntimeError
        assert module.training == training


# ---------------------------------------------------------------- interrupts


def test_ctrl_c_waits_until_it_is_asked_for_and_a_second_does_not():
    steps = []
    with pytest.raises(KeyboardInterrupt), defer_interrupts() as interrupts:
        interrupts.raise_if_asked()
        signal.raise_signal(signal.SIGINT)
        steps.append("whole")
        interrupts.raise_if_asked()
        steps.append("never")
    with pytest.raises(KeyboardInterrupt), defer_interrupts():
        signal.raise_signal(signal.SIGINT)
        steps.append("first")
        signal.raise_signal(signal.SIGINT)
        steps.append("never")
    assert steps == ["whole", "first"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_gives_the_handler_back():
    with pytest.raises(ZeroDivisionError), defer_interrupts():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_programs_own_handler_stays():
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        mine = signal.getsignal(signal.SIGINT)
        with defer_interrupts() as interrupts:
            assert signal.getsignal(signal.SIGINT) is mine
            signal.raise_signal(signal.SIGINT)
            interrupts.raise_if_asked()
        assert heard == [1]
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_changes_no_handler():
    seen = []

    def work():
        with defer_interrupts() as interrupts:
            seen.append(signal.getsignal(signal.SIGINT))
            interrupts.raise_if_asked()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_operations_of_convolutions_are_counted_also_where_rows_are_computed_apart():
    layer, x = torch.nn.Conv2d(4, 6, 3, padding=1), torch.zeros(2, 4, 8, 8)
    wanted = 2 * (2 * 6 * 8 * 8) * (4 * 3 * 3)
    with torch.inference_mode():
        assert count_operations(lambda: layer(x)) == wanted
        with rows_apart():
            assert count_operations(lambda: layer(x)) == wanted


class _Residual(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(4, 4, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.relu(x + self.layer(x))


def test_operations_of_packed_convolutions_are_counted():
    net, x = (
        torch.nn.Sequential(_Residual(), torch.nn.Conv2d(4, 6, 3, padding=1, groups=2)),
        torch.zeros(2, 4, 8, 8),
    )
    pack_convolutions(net.eval().requires_grad_(False))
    with torch.inference_mode():
        assert count_operations(lambda: net(x)) == 2 * (2 * 8 * 8) * (4 * 4 * 9 + 6 * 2 * 9)
