"""Gather and scatter for torch tensors: operators, derivatives, and the way that a call takes.

    selscan::gather     (x, path, backend) -> y
    selscan::scatter    (y, path, merge, backend) -> x

`path` is the text of a path there (paths/text.py): a graph can hold a text, and not a Path. Calls
take the same ways as those of a scan (route.py). Both functions are linear, so that the
forward derivative of each is itself, and the backward one is the other.
"""

import torch
from torch.compiler import is_compiling

from .. import backends
from ..ops import gather as ops
from ..paths import Path
from .autograd import apply_at_this_level, is_batched, look_at, ordinary, records, transforming
from .operators import FRAMEWORK, define, empty_output, run_as_it_is


def gather_of_tensors(x, path, backend):
    """`selscan.gather` of a tensor."""
    return move(x, "gather", path, True, backend)


def scatter_of_tensors(y, path, merge, backend):
    """`selscan.scatter` of a tensor."""
    return move(y, "scatter", path, merge, backend)


def move(x, function, path, merge, backend):
    """Either of them, recorded if a gradient may be asked for."""
    ops.check_options(function, path, merge, backend)
    # is_batched: of torch.autograd.grad(..., is_grads_batched=True), of which torch makes a loop.
    if is_compiling() or is_batched(x):
        return operate(x, function, path.text, merge, backend)
    if ordinary((x,)):
        request = ops.request(function, FRAMEWORK, x, path, merge, backend)
        if records((x,)):
            return Move.apply(x, function, path, merge, backend)
        return ops.run(request, x)
    output_of(function, x, path, merge, backend)  # before vmap gives it another shape
    if transforming():
        return Move.apply(x, function, path, merge, backend)
    return operate(x, function, path.text, merge, backend)


def operate(x, function, text, merge, backend):
    """By an operator."""
    if function == "gather":
        return GATHER(x, text, backend)
    return SCATTER(x, text, merge, backend)


class Move(torch.autograd.Function):
    """A gather or a scatter."""

    @staticmethod
    @run_as_it_is
    def forward(x, function, path, merge, backend):
        if ordinary((x,)):
            return ops.run(ops.request(function, FRAMEWORK, x, path, merge, backend), x)
        with torch._C._AutoDispatchBelowAutograd():
            return operate(x, function, path.text, merge, backend)

    @staticmethod
    @run_as_it_is
    def setup_context(ctx, inputs, output):
        x, *ctx.options = inputs
        ctx.shared = x.dim() == 2 + len(ctx.options[1].size)  # one map for all routes

    @staticmethod
    @run_as_it_is
    def backward(ctx, dy):
        function, path, _, backend = ctx.options
        back = "scatter" if function == "gather" else "gather"
        dx = move(dy.resolve_conj().resolve_neg(), back, path, ctx.shared, backend)
        return dx, None, None, None, None

    @staticmethod
    def jvp(ctx, dx, *_):
        return move(dx, *ctx.options)

    @staticmethod
    def vmap(info, in_dims, x, *options):
        return mapped(lambda x: move(x, *options), x, in_dims[0])


def mapped(call, x, axis):
    """The rule of vmap: what is mapped over becomes part of the batch."""
    x = x.movedim(axis, 0)
    return call(x.flatten(0, 1)).unflatten(0, x.shape[:2]), 0


def options_of(text, *merge_and_backend):
    """Path, merge and backend from the arguments of an operator; a gather has no merge."""
    *merge, backend = merge_and_backend
    return Path.from_text(text), *(merge or (True,)), backend


def output_of(function, x, path, merge, backend):
    """The checks, and the Output; sizes may be symbolic, so nothing is cached by them."""
    [signature] = FRAMEWORK.signatures((x,))
    device = FRAMEWORK.device(signature)
    # Tensors on no device are described as on the CPU.
    module = backends.choose(function, function, backend, "cpu" if device == "meta" else device)
    request = ops.Request(function, FRAMEWORK, module, signature, path, merge)
    return ops.check(request)[1]


def operator(function, arguments):
    """Define an operator, and what autograd and vmap do with it."""

    def kernel(x, *given):
        return ops.run(ops.request(function, FRAMEWORK, x, *options_of(*given)), x)

    def without_data(x, *given):
        return empty_output(output_of(function, x, *options_of(*given)), x)

    def recorded(x, *given):
        return apply_at_this_level(Move, x, function, *options_of(*given))

    def vmap(info, in_dims, x, *given):
        return mapped(lambda x: found(x, *given), x, in_dims[0])

    found = define(function, kernel, without_data, no_flops, arguments, "Tensor")
    look_at(found, kernel, recorded, vmap)
    return found


def no_flops(*_, **__):
    """Nothing is multiplied, and sums are not counted anywhere in torch."""
    return 0


GATHER = operator("gather", "Tensor x, str path, str? backend")
SCATTER = operator("scatter", "Tensor y, str path, bool merge, str? backend")
