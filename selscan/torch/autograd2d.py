"""torch's automatic differentiation of the scan along a path, as autograd.py has the scan's.

The way of a call is the one of route.py.
"""

import torch

from ..ops import scan2d as ops
from . import operators2d
from .autograd import (
    Gradients,
    OperatorGradients,
    apply_here,
    gradient_of_y,
    look_at,
    no_forward_mode,
    no_vmap,
    ordinary,
    records,
    transforming,
)
from .operators import FRAMEWORK, run_as_it_is


class Scan2d(torch.autograd.Function):
    """y; saves the inputs and the states at chunk starts."""

    jvp = staticmethod(no_forward_mode)

    @staticmethod
    @run_as_it_is
    def forward(ctx, request, *inputs):
        y, states = ops.forward(request, inputs, keep_states=True)
        ctx.save_for_backward(*inputs, states)
        ctx.call = request
        return y

    @staticmethod
    @run_as_it_is
    def backward(ctx, dy):
        *inputs, states = ctx.saved_tensors
        request = ctx.call
        states = states.contiguous()  # hooks on saved tensors may have changed strides
        dy = gradient_of_y(request, dy)
        if not ordinary((dy,)):
            call = operators2d.Call.of(request)
            return behind_none(inputs, gradients2d_by_operator(call, inputs, dy, states))
        found = FRAMEWORK.signatures(inputs)
        if found != request.signatures:  # hooks again, or x.data = ...
            request = request._replace(signatures=found)
        if records((dy, *inputs)):
            return behind_none(inputs, Gradients2d.apply(request, states, dy, *inputs))
        return behind_none(inputs, ops.backward(request, inputs, dy, states))


def behind_none(inputs, gradients):
    """Of a call and its inputs: orders per sample, the last of them, have no gradient."""
    return None, *gradients, *[None] * (len(inputs) - len(gradients))


class Gradients2d(Gradients):
    """The gradients, which refuse to be differentiated again."""

    @staticmethod
    @run_as_it_is
    def forward(ctx, request, states, dy, *inputs):
        ctx.call = request
        return ops.backward(request, inputs, dy, states)


class OperatorScan2d(torch.autograd.Function):
    """(y, states), by operators."""

    jvp = staticmethod(no_forward_mode)
    vmap = staticmethod(no_vmap)

    @staticmethod
    @run_as_it_is
    def forward(call, *inputs):
        with torch._C._AutoDispatchBelowAutograd():
            return operators2d.SCAN2D_FORWARD(*call.arguments(inputs))

    @staticmethod
    @run_as_it_is
    def setup_context(ctx, inputs, output):
        ctx.call, *inputs = inputs
        states = output[1]
        ctx.save_for_backward(*inputs, states)
        ctx.mark_non_differentiable(states)

    @staticmethod
    @run_as_it_is
    def backward(ctx, dy, _):
        *inputs, states = ctx.saved_tensors
        dy = gradient_of_y(ctx.call, dy)
        found = gradients2d_by_operator(ctx.call, inputs, dy, states.contiguous())
        return behind_none(inputs, found)


class OperatorGradients2d(OperatorGradients):
    """As Gradients2d, by operators."""

    @staticmethod
    @run_as_it_is
    def forward(call, states, dy, *inputs):
        with torch._C._AutoDispatchBelowAutograd():
            return operators2d.scan2d_backward(call, inputs, dy, states)


def gradients2d_by_operator(call, inputs, dy, states=None):
    """Gradients by an operator, recorded if theirs may be asked for, which raises."""
    if transforming():
        return OperatorGradients2d.apply(call, states, dy, *inputs)
    return operators2d.scan2d_backward(call, inputs, dy, states)


def recorded_scan2d(*arguments):
    """selscan::scan2d where a gradient may be asked for."""
    call, inputs = operators2d.split(arguments)
    return apply_here(OperatorScan2d, call, *inputs)[0]


def recorded_scan2d_backward(dy, states, *arguments):
    """selscan::scan2d_backward where a gradient may be asked for, which raises."""
    call, inputs = operators2d.split(arguments)
    gradients = apply_here(OperatorGradients2d, call, states, dy, *inputs)
    return [x for x in gradients if x is not None]


def refuse(*_):
    raise RuntimeError(
        "selscan: the operator scan2d_forward records no gradients; call selscan.scan2d, or use "
        "torch.no_grad()."
    )


look_at(operators2d.SCAN2D, operators2d.run_scan2d, recorded_scan2d)
look_at(operators2d.SCAN2D_FORWARD, operators2d.run_scan2d_forward, refuse)
look_at(operators2d.SCAN2D_BACKWARD, operators2d.run_scan2d_backward, recorded_scan2d_backward)
