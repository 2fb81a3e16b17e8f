"""Gather and scatter for torch tensors: operators, derivatives, and the way that a call takes.

    selscan::gather     (x, path, backend, orders, size) -> y
    selscan::scatter    (y, path, merge, backend, orders, size) -> x

`path` is the text of a path there (paths/text.py): a graph can hold a text, and not a Path. Orders
per sample are a tensor, and come with the size of the maps. Calls
take the same ways as those of a scan (route.py). Both functions are linear, so that the
forward derivative of each is itself, and the backward one is the other.
"""

import torch
from torch.compiler import is_compiling

from .. import backends
from ..ops import gather as ops
from ..ops.orders import operator_for
from ..paths import Path
from ..paths.per_sample import Orders
from . import orders
from .autograd import apply_at_this_level, is_batched, look_at, ordinary, records, transforming
from .operators import FRAMEWORK, define, empty_output, run_as_it_is


def gather_of_tensors(x, path, backend, order=None):
    """`selscan.gather` of a tensor."""
    return move(x, order, "gather", path, True, backend)


def scatter_of_tensors(y, path, merge, backend, order=None):
    """`selscan.scatter` of a tensor."""
    return move(y, order, "scatter", path, merge, backend)


def move(x, order, function, path, merge, backend):
    """Either of them, recorded if a gradient may be asked for; `order` are orders per sample."""
    ops.check_options(function, path, merge, backend)
    if order is not None:
        order = orders.as_tensor(function, order, x, path)
    # is_batched: of torch.autograd.grad(..., is_grads_batched=True), of which torch makes a loop.
    if is_compiling() or is_batched(x):
        return operate(x, order, function, path, merge, backend)
    if ordinary((x, order)):
        request = ops.request(function, FRAMEWORK, x, path, merge, backend, order)
        if records((x,)):
            return Move.apply(x, order, function, path, merge, backend)
        return ops.run(request, x, order)
    output_of(function, x, path, merge, backend, order)  # before vmap gives it another shape
    if transforming():
        return Move.apply(x, order, function, path, merge, backend)
    return operate(x, order, function, path, merge, backend)


def operate(x, order, function, path, merge, backend):
    """By an operator."""
    merge = () if function == "gather" else (merge,)
    numbers = () if order is None else (order, list(path.size))
    operator = GATHER if function == "gather" else SCATTER
    return operator(x, path.text, *merge, backend, *numbers)


class Move(torch.autograd.Function):
    """A gather or a scatter."""

    @staticmethod
    @run_as_it_is
    def forward(x, order, function, path, merge, backend):
        if ordinary((x, order)):
            request = ops.request(function, FRAMEWORK, x, path, merge, backend, order)
            return ops.run(request, x, order)
        with torch._C._AutoDispatchBelowAutograd():
            return operate(x, order, function, path, merge, backend)

    @staticmethod
    @run_as_it_is
    def setup_context(ctx, inputs, output):
        x, order, *ctx.options = inputs
        ctx.save_for_backward(order)
        ctx.save_for_forward(order)
        ctx.shared = x.dim() == 2 + len(ctx.options[1].size)  # one map for all routes

    @staticmethod
    @run_as_it_is
    def backward(ctx, dy):
        function, path, _, backend = ctx.options
        back = "scatter" if function == "gather" else "gather"
        [order] = ctx.saved_tensors
        dx = move(dy.resolve_conj().resolve_neg(), order, back, path, ctx.shared, backend)
        return dx, None, None, None, None, None

    @staticmethod
    def jvp(ctx, dx, *_):
        [order] = ctx.saved_tensors
        return move(dx, order, *ctx.options)

    @staticmethod
    def vmap(info, in_dims, x, order, *options):
        return mapped(lambda *given: move(*given, *options), info, in_dims, x, order)


def mapped(call, info, axes, x, order):
    """The rule of vmap: what is mapped over becomes part of the batch."""
    x = with_axis(x, axes[0], info.batch_size)
    if order is not None:
        order = with_axis(order, axes[1], info.batch_size).flatten(0, 1)
    return call(x.flatten(0, 1), order).unflatten(0, x.shape[:2]), 0


def with_axis(x, axis, size):
    """The axis that is mapped over in front, as long as `size`."""
    return x.expand(size, *x.shape) if axis is None else x.movedim(axis, 0)


def options_of(function, text, *given):
    """Orders, path, merge and backend from the arguments of an operator; a gather has no merge."""
    merge, given = (True, given) if function == "gather" else (given[0], given[1:])
    backend, order, size = (*given, None, None)[:3]
    path = Path.from_text(text) if order is None else Orders(*order.shape[-2:], tuple(size))
    return order, path, merge, backend


def output_of(function, x, path, merge, backend, order=None):
    """The checks, and the Output; sizes may be symbolic, so nothing is cached by them."""
    signature, numbers = ops.signatures(function, FRAMEWORK, x, order)
    device = FRAMEWORK.device(signature)
    # Tensors on no device are described as on the CPU.
    device = "cpu" if device == "meta" else device
    module = backends.choose(function, operator_for(path, function), backend, device)
    request = ops.Request(function, FRAMEWORK, module, signature, path, merge, numbers)
    return ops.check(request)[1]


def operator(function, arguments):
    """Define an operator, and what autograd and vmap do with it."""

    def kernel(x, *given):
        order, *options = options_of(function, *given)
        return ops.run(ops.request(function, FRAMEWORK, x, *options, order), x, order)

    def without_data(x, *given):
        order, *options = options_of(function, *given)
        return empty_output(output_of(function, x, *options, order), x)

    def recorded(x, *given):
        order, *options = options_of(function, *given)
        return apply_at_this_level(Move, x, order, function, *options)

    def vmap(info, in_dims, x, *given):
        order, path, merge, backend = options_of(function, *given)
        axes = in_dims[0], in_dims[-2] if order is not None else None

        def call(x, order):
            return operate(x, order, function, path, merge, backend)

        return mapped(call, info, axes, x, order)

    found = define(function, kernel, without_data, no_flops, arguments, "Tensor")
    look_at(found, kernel, recorded, vmap)
    return found


def no_flops(*_, **__):
    """Nothing is multiplied, and sums are not counted anywhere in torch."""
    return 0


_ORDERS = "Tensor? orders=None, SymInt[]? size=None"
GATHER = operator("gather", f"Tensor x, str path, str? backend, {_ORDERS}")
SCATTER = operator("scatter", f"Tensor y, str path, bool merge, str? backend, {_ORDERS}")
