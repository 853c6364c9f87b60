"""Inference in which a row's answer has the same bits whatever rows are computed with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from skhand.nn import pack_weight, read_padding

__all__ = ["are_rows_together", "rows_apart", "rows_together"]

_BLOCK = 4  # rows of one matrix product; of 8, the last ones are added up in another order on AVX2
_SMALL_ROW = 20480  # numbers of a row below which torch by itself does without oneDNN
_LARGE_WEIGHT = 2**18  # numbers of a weight that takes long to be ordered anew
_TOGETHER: ContextVar[bool] = ContextVar("_TOGETHER", default=False)
_PACKED: Any = WeakTensorKeyDictionary()  # weights, as long as they live: their state, and them packed


def rows_apart() -> contextlib.AbstractContextManager[object]:
    """Compute each row of a batch alike in this block, whatever the size of the batch.

    For a processor in float32, where two kinds of operators do not by themselves: a convolution of one small
    row takes another algorithm than one of several, and a matrix product adds in another order. Here the
    first are computed by oneDNN always, and the second in blocks of a few rows.
    """
    return contextlib.nullcontext() if _TOGETHER.get() else _RowsApart()


@contextlib.contextmanager
def rows_together() -> Iterator[None]:
    """Let `rows_apart` do nothing in this block, where speed counts more than the last bits.

    Operators that are alike for all sizes of a batch take half as long again as the fastest ones. Nor are
    batches filled up to one size.
    """
    token = _TOGETHER.set(True)
    try:
        yield
    finally:
        _TOGETHER.reset(token)


def are_rows_together() -> bool:
    """Tell whether this is within `rows_together`."""
    return _TOGETHER.get()


class _RowsApart(TorchFunctionMode):
    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        keywords = keywords or {}
        if function is functional.conv2d:
            return _convolve(*arguments, **keywords)
        if function is functional.linear:
            return _multiply(*arguments, **keywords)
        if function is functional.conv_transpose2d and len(arguments[0]) == 1:
            return function(arguments[0].expand(2, -1, -1, -1), *arguments[1:], **keywords)[:1]
        return function(*arguments, **keywords)


def _convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve by oneDNN, which torch by itself takes or leaves with the number of rows and of threads."""
    if x.ndim != 4 or not torch.backends.mkldnn.is_available():
        return functional.conv2d(x, weight, bias, stride, padding, dilation, groups)
    stride, dilation = _pair(stride), _pair(dilation)
    padding = padding if isinstance(padding, str) else _pair(padding)
    options = (read_padding(padding, weight.shape[2:], dilation), stride, dilation, groups)
    is_slow = len(x) == 1 and x.numel() <= _SMALL_ROW and weight.numel() >= _LARGE_WEIGHT
    packed = _pack(x, weight, options) if is_slow else None
    if packed is None:
        return torch.mkldnn_convolution(x, weight, bias, *options)
    return torch.ops.mkldnn._convolution_pointwise(x, packed, bias, *options, "none", [], "")


def _pack(x: Tensor, weight: Tensor, options: tuple[Any, ...]) -> Tensor | None:
    """Return a convolution's weights in the order in memory that oneDNN computes with, kept for the next row.

    To order them anew takes longer than the convolution of one small row. None where torch cannot, or where
    the bits would not be those of a batch: they are for 3 x 3 kernels whose channels come last in memory.
    """
    if weight.shape[2:] != (3, 3) or not weight.is_contiguous(memory_format=torch.channels_last):
        return None
    numbers = (
        torch.as_strided(weight, (16,), (max(1, weight.numel() // 16),)) if weight.numel() > 16 else weight
    )
    content = (weight._version, tuple(numbers.flatten().tolist()))
    state = (*content, tuple(x.shape), str(options), torch.get_num_threads())
    known = _PACKED.get(weight)
    if known is not None and known[0] == state:
        return known[1]
    packed = pack_weight(weight, options, x.shape)
    _PACKED[weight] = (state, packed)
    return packed


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply blocks of rows; the last one is padded."""
    if x.ndim != 2:
        return functional.linear(x, weight, bias)
    lacking = -len(x) % _BLOCK
    padded = functional.pad(x, (0, 0, 0, lacking)) if lacking else x
    products = [functional.linear(part, weight, bias) for part in padded.split(_BLOCK)]
    return (products[0] if len(products) == 1 else torch.cat(products))[: len(x)]


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)
