"""Seed, device, precision and mode: what surrounds a training run."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from skhand._device import resolve_device
from skhand._validation import check_option

__all__ = ["autocast", "constant", "evaluating", "resolve_device", "resolve_precision", "seeded"]

_SEED_LOCK = threading.RLock()


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch inside the block and leave its global state as it was, also after an exception.

    Only the processor's generator and that of ``device`` are touched. One thread at a time: torch's random
    state belongs to the process.
    """
    devices = [device] if device.type == "cuda" else []
    with _SEED_LOCK, torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """Turn ``"auto"``, ``"float32"`` or ``"bfloat16"`` into the dtype that matrix products run in.

    ``"auto"`` takes bfloat16 where the hardware multiplies it natively: NVIDIA GPUs from compute capability
    8.0 on, and processors with AMX tiles. Elsewhere bfloat16 is emulated, and many times slower than float32.
    """
    check_option(precision, "precision", ["auto", "float32", "bfloat16"])
    if precision == "auto":
        return torch.bfloat16 if _native_bfloat16(device) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def _native_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        has_amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
        return bool(has_amx()) if has_amx is not None else False
    return False


def autocast(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[object]:
    """Autocast to ``dtype``; nothing for float32."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)


def constant(array: np.ndarray, dtype: torch.dtype, device: torch.device) -> Tensor:
    """An array's numbers as a tensor that is made once and shared: no copy to the device in every step.

    Nobody may write to it.
    """
    return _kept(array.tobytes(), array.dtype.str, array.shape, dtype, device)


@functools.lru_cache(maxsize=256)
def _kept(
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
