"""Convolutions in the order in memory that a processor computes with, for quicker predictions."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

__all__ = ["pack_convolutions", "pack_weight", "read_padding"]

_SHAPES = 4  # of inputs that a convolution's weights are kept for
_ADDITIONS = (operator.add, operator.iadd, torch.add)
_RECTIFIERS = (functional.relu, torch.relu, torch.relu_)


def pack_convolutions(module: nn.Module) -> None:
    """Let a module compute with packed convolutions from now on, for inference on a processor.

    oneDNN, which computes torch's convolutions, orders their weights anew at each call: of small pictures
    that takes as long as the convolution itself. Here the weights are ordered once for each shape of the
    input and number of threads, of which the last few are kept. A rectifier or a sum with another map that
    follows a convolution is computed with it, in float32, and rounded once; the maximum over neighbours that
    follows is taken faster. Nothing changes where torch is without oneDNN.

    Parameters
    ----------
    module : Module
        In evaluation mode, without batch normalisation after convolutions (see `fold_batch_norm`). Its
        weights may not change any more, no other thread may use it yet, and which steps its ``forward`` takes
        may not depend on the input, as `torch.fx` traces them. Its attributes stay as they are.
    """
    if not torch.backends.mkldnn.is_available():
        return
    traced = _trace(module)
    graph = traced.graph
    graph.eliminate_dead_code()
    layers = {node: _layer(traced, node) for node in graph.nodes}
    for node, layer in layers.items():
        if isinstance(layer, nn.Identity):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    order = {node: i for i, node in enumerate(graph.nodes)}
    traced.add_submodule("rectified_pool", _RectifiedPool())
    for node, layer in layers.items():
        if isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros":
            _pack_node(traced, node, layer, order)
        elif isinstance(layer, nn.MaxPool2d) and _is_pool_of_rectified(traced, node, layer):
            node.target = "rectified_pool"
    graph.lint()
    traced.recompile()
    graph.owning_module = None  # a cycle, which would keep the weights in memory until garbage is collected
    module.forward = traced.forward


def _trace(module: nn.Module) -> fx.GraphModule:
    """Return the steps that a module's forward takes, down to its convolutions and to layers of torch.

    `torch.fx.symbolic_trace` changes what each call of a module does, in all threads, while it traces; here
    only the layers of this module, which nobody else has yet, write down that they are called.
    """
    tracer = _Tracer(fx.Graph())
    graph = tracer.graph
    layers = {name: layer for name, layer in module.named_modules() if name and _is_layer(layer)}
    for name, layer in layers.items():
        layer.forward = functools.partial(_note_call, tracer, name)
    try:
        answer = module(fx.Proxy(graph.placeholder("x"), tracer))
    finally:
        for layer in layers.values():
            del layer.forward
    graph.output(tracer.create_arg(answer))
    return fx.GraphModule({**layers, **tracer.tensors}, graph)


class _Tracer(fx.proxy.GraphAppendingTracer):
    """Writes down what is done with a module's input, and keeps the tensors that take part in it."""

    def __init__(self, graph: fx.Graph):
        super().__init__(graph)
        self.tensors: dict[str, Tensor] = {}

    def create_arg(self, a: Any) -> Any:
        if isinstance(a, Tensor):
            name = f"tensor_{len(self.tensors)}"
            self.tensors[name] = a
            return self.create_node("get_attr", name, (), {})
        if isinstance(a, tuple) and hasattr(a, "_fields"):  # a named one, which torch 2.6 cannot write down
            return self.create_node("call_function", type(a), tuple(self.create_arg(each) for each in a), {})
        return super().create_arg(a)


def _is_layer(module: nn.Module) -> bool:
    is_of_torch = type(module).__module__.startswith("torch.nn.")
    return isinstance(module, nn.Conv2d) or (is_of_torch and not isinstance(module, nn.Sequential))


def _note_call(tracer: _Tracer, name: str, *arguments: Any, **keywords: Any) -> fx.Proxy:
    return tracer.create_proxy("call_module", name, arguments, keywords)


class _PackedConv2d(nn.Module):
    """A convolution and, if wanted, a sum with another map and a rectifier after it."""

    def __init__(self, layer: nn.Conv2d, rectified: bool):
        super().__init__()
        # no parameters, which are found more slowly
        self.weight, self.bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
        padding = read_padding(layer.padding, layer.kernel_size, layer.dilation)
        self.options = (padding, list(layer.stride), list(layer.dilation), layer.groups)
        self.rectified, end = rectified, "relu" if rectified else None
        self.after: tuple[Any, ...] = (self.bias, *self.options, end or "none", [], "")
        self.after_sum: tuple[Any, ...] = (self.bias, *self.options, "add", None, end, [], None)
        self.convolve = torch.ops.mkldnn._convolution_pointwise.default
        self.convolve_and_add = torch.ops.mkldnn._convolution_pointwise.binary
        self.pack = _keep_packed(self.weight, self.options)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        x = x.to(self.weight.dtype)
        packed, addable = self.pack(x.shape, torch.get_num_threads())
        if packed is None:
            padding, stride, dilation, groups = self.options
            x = functional.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups)
        elif other is None:
            return self.convolve(x, packed, *self.after)
        elif other.shape == addable and other.dtype == x.dtype:
            return self.convolve_and_add(x, other, packed, *self.after_sum)
        else:
            x = self.convolve(x, packed, self.bias, *self.options, "none", [], "")
        x = x if other is None else x + other
        return functional.relu(x, inplace=True) if self.rectified else x


_Packed = tuple[Tensor | None, tuple[int, ...] | None]


def _keep_packed(weight: Tensor, options: tuple[Any, ...]) -> Callable[[Sequence[int], int], _Packed]:
    """Return `pack_weight` of a weight, kept for the last few shapes of inputs and numbers of threads.

    With it, the shape of a map that oneDNN can add: that of the convolution's own; none if it has one pixel,
    which torch 2.6 refuses.
    """
    padding, stride, dilation, _ = options

    @functools.lru_cache(_SHAPES)
    def pack(shape: Sequence[int], n_threads: int) -> _Packed:
        sides = zip(shape[2:], weight.shape[2:], padding, stride, dilation, strict=True)
        size = tuple((side + 2 * p - d * (k - 1) - 1) // step + 1 for side, k, p, step, d in sides)
        addable = None if size == (1, 1) else (shape[0], len(weight), *size)
        return pack_weight(weight, options, shape), addable

    return pack


class _RectifiedPool(nn.Module):
    """The maximum of 3 x 3 px, every 2 px, of maps without negative numbers.

    In bfloat16 torch's own takes three times as long. The bits of numbers that are not negative are in the
    order of the numbers, and integers are compared.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.bfloat16 or x.shape[2] % 2 or x.shape[3] % 2:
            return functional.max_pool2d(x, 3, 2, 1)
        for dim in (2, 3):
            even, odd = x.view(torch.int16).unflatten(dim, (-1, 2)).unbind(dim + 1)
            highest = torch.maximum(even, odd)
            n = highest.shape[dim] - 1
            later = highest.narrow(dim, 1, n)
            torch.maximum(later, odd.narrow(dim, 0, n), out=later)
            x = highest.view(torch.bfloat16)
        return x


def pack_weight(weight: Tensor, options: tuple[Any, ...], shape: Sequence[int]) -> Tensor | None:
    """Return a convolution's weights in the order in memory that oneDNN computes with; None if it cannot.

    Parameters
    ----------
    weight : Tensor of shape (n_out, n_in / groups, height, width)
    options : tuple
        Padding, stride and dilation, each a list of 2, and groups.
    shape : sequence of 4 int
        Of the input. With inputs of other shapes, or another number of torch's threads, these weights may be
        a hundred times as slow as plain ones.

    Returns
    -------
    packed : Tensor or None
        For ``torch.ops.mkldnn._convolution_pointwise`` only.
    """
    try:
        return torch.ops.mkldnn._reorder_convolution_weight(weight, *options, list(shape))
    except (AttributeError, NotImplementedError, RuntimeError):
        return None


def read_padding(padding: Any, kernel: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """Return a convolution's padding, "same" and "valid" among them, as a number of px a side."""
    if isinstance(padding, str):
        return [0 if padding == "valid" else d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True)]
    return list(padding)


def _pack_node(traced: fx.GraphModule, node: fx.Node, layer: nn.Conv2d, order: dict[fx.Node, int]) -> None:
    """Replace a convolution, and the sum and the rectifier after it, by a packed one."""
    graph, replaced, inputs = traced.graph, [node], [node.args[0]]
    other = _other_addend(node)
    if other is not None and order[other] < order[node]:  # else that one's convolution, if it is one, adds
        replaced += node.users
        inputs.append(other)
    rectified = _is_rectified(traced, replaced[-1])
    if rectified:
        replaced += replaced[-1].users
    name = f"packed_{node.name}"
    traced.add_submodule(name, _PackedConv2d(layer, rectified))
    with graph.inserting_before(node):
        packed = graph.call_module(name, tuple(inputs))
    order[packed] = order[node]
    replaced[-1].replace_all_uses_with(packed)
    for each in reversed(replaced):
        graph.erase_node(each)


def _other_addend(node: fx.Node) -> fx.Node | None:
    """Return what is added to the node's value where nothing else is done with it."""
    follower = _only_user(node)
    if follower is None or follower.target not in _ADDITIONS or follower.kwargs:
        return None
    others = [each for each in follower.args if each is not node]
    return others[0] if len(others) == 1 and isinstance(others[0], fx.Node) else None


def _is_rectified(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Tell whether a rectifier follows, and nothing else is done with the node's value."""
    follower = _only_user(node)
    if follower is None:
        return False
    return follower.target in _RECTIFIERS or isinstance(_layer(traced, follower), nn.ReLU)


def _is_pool_of_rectified(traced: fx.GraphModule, node: fx.Node, layer: nn.MaxPool2d) -> bool:
    """Tell whether `_RectifiedPool` does what a layer does to what it reads."""
    before = node.args[0]
    source = _layer(traced, before) if isinstance(before, fx.Node) else None
    sizes = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode)
    return isinstance(source, _PackedConv2d) and source.rectified and sizes == (3, 2, 1, 1, False)


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _layer(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return traced.get_submodule(str(node.target)) if node.op == "call_module" else None
