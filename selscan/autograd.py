"""torch's view of the scan: what is saved and what is passed on. No maths here."""

import torch
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable

from .ops import scan as ops


class Scan(torch.autograd.Function):
    """(y, last_state or None) = scan; saves the inputs and the states at chunk starts."""

    @staticmethod
    def forward(ctx, function, options, backend, want_last, framework, *inputs):
        y, last_state, states = ops.forward(
            function, framework, inputs, options, backend, keep_states=True, want_last=want_last
        )
        ctx.save_for_backward(*inputs, states)
        ctx.call = function, options, backend, framework
        ctx.set_materialize_grads(False)
        return y, last_state

    @staticmethod
    @once_differentiable
    def backward(ctx, dy, dlast_state):
        function, options, backend, framework = ctx.call
        *inputs, states = ctx.saved_tensors
        skipped = (None,) * 5
        if dy is None and dlast_state is None:
            return skipped + (None,) * len(inputs)
        if dy is None:
            dy = torch.zeros_like(inputs[0])
        gradients = ops.backward(
            function, framework, inputs, dy, dlast_state, options, states, backend
        )
        wanted = ctx.needs_input_grad[len(skipped) :]
        return skipped + tuple(g if w else None for g, w in zip(gradients, wanted, strict=True))


def scan(framework, inputs, options, backend, want_last):
    """(y, last_state or None) of torch tensors, recorded if a gradient may be asked for."""
    refuse_transforms("scan")
    if records(inputs):
        return Scan.apply("scan", options, backend, want_last, framework, *inputs)
    return ops.forward("scan", framework, inputs, options, backend, want_last=want_last)[:2]


def scan_step(framework, state, inputs, delta_softplus, backend):
    """(y, state); in place on `state` unless a gradient may be asked for."""
    refuse_transforms("scan_step")
    if not records((state, *inputs)):
        return ops.step("scan_step", framework, state, inputs, delta_softplus, backend)
    # With a gradient a step is a scan of length 1, and the state is a new tensor.
    ops.check_step("scan_step", framework, state, inputs, delta_softplus)
    u, delta, A, B, C, D, z, delta_bias = inputs
    batch = u.shape[0]
    B, C = (x if x.dim() == 2 and x.shape[0] != batch else x.unsqueeze(-1) for x in (B, C))
    u, delta, z = (x if x is None else x.unsqueeze(-1) for x in (u, delta, z))
    options = ops.switches("scan_step", delta_softplus)
    inputs = (u, delta, A, B, C, D, z, delta_bias, state)
    y, state = Scan.apply("scan_step", options, backend, True, framework, *inputs)
    return y.squeeze(-1), state


def records(inputs):
    """Whether autograd has to see the call."""
    if torch.is_grad_enabled():
        for x in inputs:
            if isinstance(x, torch.Tensor) and x.requires_grad:
                return True
    # Dual tensors: autograd.Function refuses them, a direct call would drop the tangents.
    return forward_ad._current_level >= 0


def refuse_transforms(function):
    """torch.func works on wrapped tensors, which have no memory that a kernel could read."""
    if torch._C._functorch.peek_interpreter_stack() is not None:
        raise RuntimeError(
            f"{function}: torch.func transforms (grad, vmap, jvp, ...) are not supported yet; "
            "use .backward() or torch.autograd.grad."
        )
