"""torch's view of the scan: what is saved and what is passed on. No maths here."""

import functools

import torch
from torch.autograd import forward_ad

from .ops import scan as ops


def outside_graphs(function):
    """Have torch.compile break its graph at the function.

    torch.compiler.disable does that, but takes a second to import: it waits until torch.compile
    is at work.
    """
    disabled = None

    @functools.wraps(function)
    def call(*arguments):
        nonlocal disabled
        if not torch.compiler.is_compiling():
            return function(*arguments)
        if disabled is None:
            disabled = torch.compiler.disable(function)
        return disabled(*arguments)

    return call


class Scan(torch.autograd.Function):
    """(y, last_state or None) = scan; saves the inputs and the states at chunk starts."""

    @staticmethod
    def forward(ctx, request, want_last, *inputs):
        y, last_state, states = ops.forward(request, inputs, keep_states=True, want_last=want_last)
        ctx.save_for_backward(*inputs, states)
        ctx.request = request
        ctx.set_materialize_grads(False)
        return y, last_state

    @staticmethod
    def backward(ctx, dy, dlast_state):
        refuse_transforms(ctx.request.function, dy, dlast_state)
        *inputs, states = ctx.saved_tensors
        if dy is None and dlast_state is None:
            return (None,) * (2 + len(inputs))
        if dy is None:
            dy = torch.zeros_like(inputs[0])
        gradients = backward(ctx.request, inputs, dy, dlast_state, states)
        return None, None, *gradients, None  # seq_idx has none


class Gradients(torch.autograd.Function):
    """The gradients of a scan, which refuse to be differentiated again.

    torch's once_differentiable looks at dy only, and gives a silent zero where that is constant.
    """

    @staticmethod
    def forward(ctx, request, states, dy, dlast_state, *inputs):
        ctx.function = request.function
        return ops.backward(request, inputs, dy, dlast_state, states)

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError(
            f"{ctx.function}: double backward is not supported; to use gradients of a scan as "
            "constants, call .detach() on them."
        )


@outside_graphs
def scan(framework, inputs, options, backend, want_last):
    """(y, last_state or None) of torch tensors, recorded if a gradient may be asked for."""
    refuse_transforms("scan")
    request = ops.request("scan", framework, inputs, options, backend)
    if records(inputs):
        return Scan.apply(request, want_last, *inputs)
    return ops.forward(request, inputs, want_last=want_last)[:2]


@outside_graphs
def scan_step(framework, state, inputs, delta_softplus, backend):
    """(y, state); in place on `state` unless a gradient may be asked for."""
    refuse_transforms("scan_step")
    request = ops.step_request("scan_step", framework, state, inputs, delta_softplus, backend)
    if not records((state, *inputs)):
        return ops.step(request, state, inputs)
    # With a gradient a step is a scan of length 1, and the state is a new tensor.
    u, delta, A, B, C, D, z, delta_bias = inputs
    batch = state.shape[0]
    B, C = (x if x.dim() == 2 and x.shape[0] != batch else x.unsqueeze(-1) for x in (B, C))
    u, delta, z = (x if x is None else x.unsqueeze(-1) for x in (u, delta, z))
    inputs = (u, delta, A, B, C, D, z, delta_bias, state, None)
    options = ops.switches("scan_step", delta_softplus)
    request = ops.request("scan_step", framework, inputs, options, backend)
    y, state = Scan.apply(request, True, *inputs)
    return y.squeeze(-1), state


@outside_graphs
def scan_backward(framework, inputs, dy, dlast_state, options, backend):
    """Gradients of all given inputs, in the order of contract.ARGUMENTS."""
    refuse_transforms("scan_backward")
    request = ops.request("scan_backward", framework, inputs, options, backend)
    return backward(request, inputs, dy, dlast_state)


def backward(request, inputs, dy, dlast_state, states=None):
    """Gradients, recorded if theirs may be asked for, which raises."""
    if records((dy, dlast_state, *inputs)):
        return Gradients.apply(request, states, dy, dlast_state, *inputs)
    return ops.backward(request, inputs, dy, dlast_state, states)


def records(inputs):
    """Whether autograd has to see the call."""
    if torch.is_grad_enabled():
        for x in inputs:
            if isinstance(x, torch.Tensor) and x.requires_grad:
                return True
    # Dual tensors: autograd.Function refuses them, a direct call would drop the tangents.
    return forward_ad._current_level >= 0


def refuse_transforms(function, *gradients):
    """torch.func works on wrapped tensors, which have no memory that a kernel could read."""
    if torch._C._get_tracing_state() is not None:
        raise RuntimeError(
            f"{function}: torch.jit.trace is not supported: it would record the result as memory "
            "that nobody writes. Use torch.compile."
        )
    functorch = torch._C._functorch
    # torch.autograd.grad(..., is_grads_batched=True) wraps the gradients in another way.
    batched = any(x is not None and functorch.is_legacy_batchedtensor(x) for x in gradients)
    if batched or functorch.peek_interpreter_stack() is not None:
        raise RuntimeError(
            f"{function}: torch.func transforms (grad, vmap, jvp, ...) are not supported yet; "
            "use .backward() or torch.autograd.grad, for one gradient at a time."
        )
