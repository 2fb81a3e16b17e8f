"""torch's automatic differentiation of the scan: what is saved and what is passed on. No maths.

`Scan` and `Gradients` call kernels. `OperatorScan` and `OperatorGradients` call the operators of
operators.py instead, which compilers and modes see, and have the form that torch.func takes apart.
"""

import contextlib
from types import SimpleNamespace

import torch
from torch import is_grad_enabled
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from ..ops import scan as ops
from . import operators
from .operators import run_as_it_is


def _nothing(*_):
    """In place of what another torch may lack."""


_functorch = torch._C._functorch
_transform = getattr(_functorch, "peek_interpreter_stack", _nothing)
is_batched = getattr(_functorch, "is_legacy_batchedtensor", _nothing)
_tracing = getattr(torch._C, "_get_tracing_state", _nothing)
# Without these there is always a mode: slower, but right.
_dispatch_modes = getattr(torch._C, "_len_torch_dispatch_stack", lambda: 1)
_function_modes = getattr(torch._C, "_len_torch_function_stack", lambda: 1)
_single_level = getattr(
    torch._functorch.utils, "enable_single_level_autograd_function", contextlib.nullcontext
)
_TENSORS = frozenset((torch.Tensor, torch.nn.Parameter, type(None)))


def ordinary(tensors):
    """Whether nothing but autograd has to know what is done to these, the first of them given."""
    return (
        not is_compiling()
        and _transform() is None
        and not _dispatch_modes()
        and not _function_modes()
        and _TENSORS.issuperset(map(type, tensors))
        and not tensors[0].is_meta
        and _tracing() is None
    )


def transforming():
    """Whether a transform of torch.func is at work, and not in a compiler's hands."""
    return not is_compiling() and _transform() is not None


def records(tensors):
    """Whether autograd has to see what is done to these, None among them."""
    if is_grad_enabled():
        for x in tensors:
            if x is not None and x.requires_grad:
                return True
    # Dual tensors: a Function refuses them, a kernel would drop the tangents.
    return getattr(forward_ad, "_current_level", 0) >= 0


def no_forward_mode(ctx, *_):
    raise NotImplementedError(
        f"{ctx.call.function}: forward-mode automatic differentiation is not supported; use "
        ".backward(), torch.autograd.grad or torch.func.grad."
    )


def no_double_backward(ctx, *_):
    raise RuntimeError(
        f"{ctx.call.function}: double backward is not supported; to use gradients of a scan as "
        "constants, call .detach() on them."
    )


def no_vmap(info, in_dims, call, *_):
    raise vmap_error(call.function)


def vmap_error(function):
    return RuntimeError(
        f"{function}: vmap is not supported; put what it maps over into the batch, or loop."
    )


class Scan(torch.autograd.Function):
    """(y, last_state, states_at) = scan, None for what is not wanted; saves what a backward needs:
    the inputs, and the states at chunk starts.
    """

    jvp = staticmethod(no_forward_mode)

    @staticmethod
    @run_as_it_is
    def forward(ctx, request, want_last, *inputs):
        y, last_state, states, states_at = ops.forward(
            request, inputs, keep_states=True, want_last=want_last
        )
        ctx.save_for_backward(*inputs, states)
        ctx.call = request
        ctx.set_materialize_grads(False)
        return y, last_state, states_at

    @staticmethod
    @run_as_it_is
    def backward(ctx, *upstream):
        *inputs, states = ctx.saved_tensors
        if upstream == (None, None, None):
            return (None,) * (2 + len(inputs))
        request = ctx.call
        states = states.contiguous()  # hooks on saved tensors may have changed strides
        upstream = incoming(request, inputs, *upstream)
        if ordinary(upstream):
            found = operators.FRAMEWORK.signatures(inputs)
            if found != request.signatures:  # hooks again, or x.data = ...
                request = request._replace(signatures=found)
            gradients = recorded_gradients(request, inputs, upstream, states)
        else:
            call = operators.Call.of(request)
            gradients = gradients_by_operator(call, inputs, upstream, states)
        return None, None, *gradients, None  # seq_idx has none


class Gradients(torch.autograd.Function):
    """The gradients of a scan, which refuse to be differentiated again.

    torch's once_differentiable looks at dy only, and gives a silent zero where that is constant.
    """

    jvp = staticmethod(no_forward_mode)
    backward = staticmethod(no_double_backward)

    @staticmethod
    @run_as_it_is
    def forward(ctx, request, states, dy, dlast_state, dstates_at, *inputs):
        ctx.call = request
        return ops.backward(request, inputs, dy, dlast_state, dstates_at, states)


class OperatorScan(torch.autograd.Function):
    """(kept states, y, last_state) and, if wanted, states_at, by operators."""

    jvp = staticmethod(no_forward_mode)
    vmap = staticmethod(no_vmap)

    @staticmethod
    @run_as_it_is
    def forward(call, *inputs):
        with torch._C._AutoDispatchBelowAutograd():
            return tuple(operators.scan_forward(call, inputs))

    @staticmethod
    @run_as_it_is
    def setup_context(ctx, inputs, output):
        ctx.call, *inputs = inputs
        states = output[0]
        ctx.save_for_backward(*inputs, states)
        ctx.mark_non_differentiable(states)
        ctx.set_materialize_grads(False)

    @staticmethod
    @run_as_it_is
    def backward(ctx, _, dy, dlast_state, dstates_at=None):
        *inputs, states = ctx.saved_tensors
        if dy is None and dlast_state is None and dstates_at is None:
            return (None,) * (1 + len(inputs))
        upstream = incoming(ctx.call, inputs, dy, dlast_state, dstates_at)
        states = states.contiguous()  # hooks on saved tensors may have changed strides
        return None, *gradients_by_operator(ctx.call, inputs, upstream, states), None


class OperatorGradients(torch.autograd.Function):
    """As Gradients, by operators."""

    jvp = staticmethod(no_forward_mode)
    vmap = staticmethod(no_vmap)
    backward = staticmethod(no_double_backward)

    @staticmethod
    @run_as_it_is
    def forward(call, states, dy, dlast_state, dstates_at, *inputs):
        with torch._C._AutoDispatchBelowAutograd():
            return operators.scan_backward(call, inputs, (dy, dlast_state, dstates_at), states)

    @staticmethod
    @run_as_it_is
    def setup_context(ctx, inputs, output):
        ctx.call = inputs[0]


def incoming(call, inputs, dy, *states):
    """The gradients of the outputs, dy given, and to be read as they stand in memory."""
    if dy is None:
        dy = torch.zeros_like(inputs[0])
    return gradient_of_y(call, dy), *(gradient_of_state(call, x) for x in states)


def gradient_of_state(call, gradient):
    """That of the last state, or of those that were wanted; None as it is."""
    if gradient is None:
        return None
    check_not_batched(call, gradient)
    return gradient.resolve_conj().resolve_neg()


def gradient_of_y(call, dy):
    """dy, to be read as it stands in memory."""
    check_not_batched(call, dy)
    return dy.resolve_neg()


def check_not_batched(call, gradient):
    if not is_compiling() and is_batched(gradient):
        raise vmap_error(call.function)  # of torch.autograd.grad(..., is_grads_batched=True)


def recorded_gradients(request, inputs, upstream, states=None):
    """Gradients by a kernel, recorded if theirs may be asked for, which raises."""
    if records((*upstream, *inputs)):
        return Gradients.apply(request, states, *upstream, *inputs)
    return ops.backward(request, inputs, *upstream, states)


def gradients_by_operator(call, inputs, upstream, states=None):
    """Gradients by an operator, which does the same."""
    if transforming():
        return OperatorGradients.apply(call, states, *upstream, *inputs)
    return operators.scan_backward(call, inputs, upstream, states)


def scan_by_operator(call, inputs):
    """[y, last_state] and, if wanted, states_at, by an operator."""
    if transforming():
        return OperatorScan.apply(call, *inputs)[1:]
    return operators.SCAN(*inputs, *call.constants(), True)


def recorded_scan(*arguments):
    """selscan::scan where a gradient may be asked for."""
    call, inputs = operators.split("scan", arguments[:-1])
    _, y, last_state, *states_at = apply_here(OperatorScan, call, *inputs)
    return [y, last_state, *states_at] if arguments[-1] else [y, *states_at]


def recorded_backward(dy, dlast_state, dstates_at, states, *arguments):
    """selscan::scan_backward where a gradient may be asked for, which raises."""
    call, inputs = operators.split("scan_backward", arguments)
    upstream = dy, dlast_state, dstates_at
    gradients = apply_here(OperatorGradients, call, states, *upstream, *inputs)
    return [x for x in gradients if x is not None]


def apply_here(function, call, *arguments):
    """`apply_at_this_level` of a function without forward mode."""
    if _transform() is not None and getattr(forward_ad, "_current_level", 0) >= 0:
        no_forward_mode(SimpleNamespace(call=call))
    return apply_at_this_level(function, call, *arguments)


def apply_at_this_level(function, *arguments):
    """function.apply, also where a transform of torch.func has reached the operator already."""
    if _transform() is None:
        return function.apply(*arguments)
    with _single_level():
        return super(torch.autograd.Function, function).apply(*arguments)


def refuse(*_):
    raise RuntimeError(
        "selscan: the operators scan_forward and scan_step record no gradients; call selscan.scan "
        "or selscan.scan_step, or use torch.no_grad()."
    )


def look_at(operator, kernel, recorded, vmap=None):
    """Have autograd see an operator: `recorded` is called if a gradient may be asked for."""
    kinds = [str(x.type) for x in operator._schema.arguments]
    places = [i for i, kind in enumerate(kinds) if "Tensor" in kind]

    @run_as_it_is
    def call(*arguments):
        tensors = [arguments[i] for i in places if i < len(arguments)]  # orders come last, if any
        if records(tensors):
            return recorded(*arguments)
        if ordinary(tensors):
            return kernel(*arguments)
        with torch._C._AutoDispatchBelowAutograd():
            return operator(*arguments)

    name = operator._schema.name.removeprefix("selscan::")

    def refuse_vmap(info, in_dims, *_):
        raise vmap_error(name)

    operators.LIBRARY.impl(name, call, "Autograd")
    torch.library.register_vmap(operator, vmap or refuse_vmap, lib=operators.LIBRARY)


look_at(operators.SCAN, operators.run_scan, recorded_scan)
look_at(operators.SCAN_FORWARD, operators.run_scan_forward, refuse)
look_at(operators.SCAN_BACKWARD, operators.run_scan_backward, recorded_backward)
look_at(operators.SCAN_STEP, operators.run_scan_step, refuse)
