"""Seeds, precision, threads and modes: what surrounds a training run."""

from __future__ import annotations

import contextlib
import functools
import math
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from skhand._device import resolve_device
from skhand._validation import check_option

__all__ = [
    "Interrupts",
    "autocast",
    "building",
    "constant",
    "count_operations",
    "defer_interrupts",
    "evaluating",
    "format_duration",
    "one_thread",
    "resolve_device",
    "resolve_precision",
]

_BUILD_LOCK = threading.RLock()


@contextlib.contextmanager
def building(seed: int) -> Iterator[None]:
    """Make networks in this block: on the processor, in float32, with weights drawn from a seed.

    torch's own random state and its default dtype are as before afterwards. Both belong to the process, so
    one thread builds at a time; training itself draws from generators of its own.
    """
    with _BUILD_LOCK, torch.random.fork_rng(devices=[]), torch.device("cpu"):
        dtype = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)


def resolve_precision(precision: str, device: torch.device, name: str = "precision") -> torch.dtype:
    """Turn ``"auto"``, ``"float32"`` or ``"bfloat16"`` into the dtype that matrix products run in.

    ``"auto"`` takes bfloat16 where the hardware multiplies it natively: NVIDIA GPUs from compute capability
    8.0 on, and processors with AMX tiles or AVX512-BF16. Elsewhere bfloat16 is emulated, and many times
    slower than float32.
    """
    check_option(precision, name, ["auto", "float32", "bfloat16"])
    if precision == "auto":
        return torch.bfloat16 if _multiplies_bfloat16(device) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        tests = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        return any(bool(getattr(torch.cpu, test, bool)()) for test in tests)
    return False


def autocast(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[object]:
    """Autocast to ``dtype``; nothing for float32."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)


def one_thread() -> contextlib.AbstractContextManager[object]:
    """Let torch's operators use one processor core in this block, in this thread only."""
    torch.get_num_threads()  # a thread that first uses torch in the block would be given all cores by it
    return threadpool_limits(limits=1, user_api="openmp")


def count_operations(function: Callable[[], object]) -> int:
    """Return how many floating-point operations a call of a function takes."""
    # what `rows_apart` and packed convolutions call, of which torch's counter knows nothing
    counts: dict[Any, Any] = {torch.ops.aten.mkldnn_convolution: _count_convolution}
    if torch.backends.mkldnn.is_available():
        counts[torch.ops.mkldnn._convolution_pointwise] = _count_packed
    counter = FlopCounterMode(display=False, custom_mapping=counts)
    with counter:
        function()
    return int(counter.get_total_flops())


def _count_convolution(x: Any, weight: Any, *_: Any, out_shape: Any, **__: Any) -> int:
    """Return the operations of a convolution, given shapes."""
    return 2 * math.prod(out_shape) * math.prod(weight[1:])


def _count_packed(x: Any, second: Any, third: Any, *_: Any, out_shape: Any, **__: Any) -> int:
    """Return the operations of a convolution, whose weights may come after a map that is added."""
    return _count_convolution(x, third if third and len(third) == 4 else second, out_shape=out_shape)


def format_duration(seconds: float) -> str:
    """Return a duration as a short text, such as "45 s", "12 min", "4.6 h" or "3.2 days"."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}" if seconds < 100 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def constant(array: np.ndarray, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return an array's numbers as a tensor that is made once and shared: no copy to the device every step.

    Nobody may write to it.
    """
    return _keep(array.tobytes(), array.dtype.str, array.shape, dtype, device)


@functools.lru_cache(maxsize=256)
def _keep(
    content: bytes, kind: str, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    with torch.inference_mode(False):  # one that was made for a prediction serves a training too
        return torch.tensor(np.frombuffer(content, kind).reshape(shape), dtype=dtype, device=device)


@contextlib.contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block: a callback may predict between two training steps."""
    training = module.training
    if training:
        module.eval()
    try:
        yield
    finally:
        if training:
            module.train()


class Interrupts:
    """Remembers a Ctrl-C that came in a block of `defer_interrupts`."""

    def __init__(self) -> None:
        self.asked = False

    def handle(self, *_: object) -> None:
        """Remember the first one and raise at the second."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def raise_if_asked(self) -> None:
        """Raise KeyboardInterrupt if there was one."""
        if self.asked:
            raise KeyboardInterrupt


@contextlib.contextmanager
def defer_interrupts() -> Iterator[Interrupts]:
    """Let Ctrl-C wait in this block until it is asked for, so that it never cuts a training step in two.

    A second Ctrl-C interrupts at once. A block within a block shares its interrupts. Where Python would not
    call a handler (in another thread), or the program has its own, nothing changes.
    """
    present, interrupts = signal.getsignal(signal.SIGINT), Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    if present is not signal.default_int_handler:
        outer = getattr(present, "__self__", None)
        yield outer if isinstance(outer, Interrupts) else interrupts
        return
    signal.signal(signal.SIGINT, interrupts.handle)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
