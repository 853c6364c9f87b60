"""Inference in which a row's answer has the same bits whatever rows are computed with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["rows_apart"]

_BLOCK = 8  # rows of one matrix product


def rows_apart() -> contextlib.AbstractContextManager[object]:
    """Compute each row of a batch alike in this block, whatever the size of the batch.

    For a processor in float32, where two kinds of operators do not by themselves: a convolution of one small
    row takes another algorithm than one of several, and a matrix product adds in another order. Here the
    first are computed by oneDNN always, and the second in blocks of a few rows.
    """
    return _RowsApart()


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
    if isinstance(padding, str):
        padding = [
            0 if padding == "valid" else d * (k - 1) // 2
            for d, k in zip(dilation, weight.shape[2:], strict=True)
        ]
    return torch.mkldnn_convolution(x, weight, bias, _pair(padding), stride, dilation, groups)


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
