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

_ALIGNED = 16  # numbers from one row to the next of a matrix are a multiple of it: all rows begin alike
_SMALL_ROW = 20480  # numbers of a row below which torch by itself does without oneDNN
_LARGE_WEIGHT = 2**18  # numbers of a weight that takes long to be ordered anew
_TOGETHER: ContextVar[bool] = ContextVar("_TOGETHER", default=False)
_PACKED: Any = WeakTensorKeyDictionary()  # weights, as long as they live: their state, and them packed


def rows_apart() -> contextlib.AbstractContextManager[object]:
    """Compute each row of a batch alike in this block, whatever the size of the batch.

    For a processor in float32, where two kinds of operators do not by themselves: a convolution of one small
    row takes another algorithm than one of several, and a matrix product adds in another order. Here the
    first are computed by oneDNN always, and the second row by row: in a block of rows, the order of the sum
    may depend on the row's place in the block (in blocks of 4 on an AVX2 processor of AMD).
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
        if function is functional.conv_transpose2d:
            return _convolve_transposed(*arguments, **keywords)
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


def _convolve_transposed(x: Tensor, weight: Tensor, *options: Any, **more_options: Any) -> Tensor:
    """Convolve by oneDNN, which torch leaves for one row; with a kernel of one pixel each row by itself."""
    if not len(x) or (len(x) > 1 and weight.shape[2:] != (1, 1)):
        return functional.conv_transpose2d(x, weight, *options, **more_options)
    twice = [row.expand(2, -1, -1, -1) for row in x.split(1)]
    rows = [functional.conv_transpose2d(each, weight, *options, **more_options)[:1] for each in twice]
    return torch.cat(rows)


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
    """Multiply each row by itself, from memory that is aligned alike."""
    if x.ndim != 2 or not len(x):
        return functional.linear(x, weight, bias)
    n_rows, n_columns = x.shape
    rows = x.new_empty(n_rows, n_columns + -n_columns % _ALIGNED)[:, :n_columns].copy_(x)
    return torch.cat([functional.linear(row, weight, bias) for row in rows.split(1)])


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)
