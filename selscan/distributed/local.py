"""What a rank computes of its own piece, before it knows of the others."""

import torch
from torch.nn import functional as F

from ..ops import contract
from ..ops import scan as ops
from .slices import cut

STATE = contract.ARGUMENTS.index("initial_state")
# Elements of temporary arrays: larger ones cost more time than what is computed with them.
_AT_ONCE = {"cpu": 2**22, "cuda": 2**26}
_TINY = 1e-20  # exp(1e-20 A) is 1, and what is divided by it stays finite


def with_state(inputs, state):
    """The inputs of a scan from a state."""
    return (*inputs[:STATE], state, *inputs[STATE + 1 :])


def last_state(call, inputs):
    """The state that the piece ends in, from zero, or from the initial state; y is left out."""
    u, delta, A, B, C, _, _, bias, state, seq_idx = inputs
    inputs = (u, delta, A, B, C, None, None, bias, state, seq_idx)
    request = call.request(inputs, call.options._replace(out_dtype=None))
    return ops.forward(request, inputs, want_last=True, want_y=False)[1]


def in_slices(call, inputs):
    """Slices for which temporary arrays are small, and the inputs of each."""
    u, problem = inputs[0], call.problem
    wanted = -(-u.numel() // _AT_ONCE[u.device.type])
    for piece in cut(problem, max(1, wanted))[0]:
        yield piece, piece.parts(problem, inputs)


def new_state(call, inputs):
    shape, dtype = call.state
    return inputs[0].new_zeros(shape, dtype=dtype)


def step_sizes(call, inputs):
    """delta', in the dtype of the arithmetic and in memory of its own."""
    delta, bias = inputs[1].to(call.real), inputs[7]
    if bias is not None:
        delta = delta + (bias if call.time == 1 else bias[:, None])
    if call.options.softplus:
        return F.softplus(delta)
    return delta.clone() if delta is inputs[1] else delta


def total(call, inputs):
    """The sum of delta' over time, (b, d)."""
    result = inputs[0].new_empty(call.problem.state_shape[:2], dtype=call.real)
    for piece, part in in_slices(call, inputs):
        result[piece.b, piece.d] = step_sizes(call, part).sum(call.time)
    return result


def adjoint(call, inputs, dy):
    """What dy alone makes of the gradient of the state before the piece, (b, d, n)."""
    result = new_state(call, inputs)
    if call.problem.length:
        for piece, part in in_slices(call, inputs):
            own = piece.of("u", dy, call.problem.axes["u"])
            result[piece.b, piece.d] = adjoint_of_slice(call, part, own)
    return result


def adjoint_of_slice(call, inputs, dy):
    """The same for a part of batch and channels.

    With w = dy silu(z) and the gradient g of the state after each step (docs/maths.md),

        g[t] = exp(delta'[t+1] A) g[t+1] + C[t] w[t]

    is a scan in the other direction. Its input is multiplied by the step size of its decay, and so
    divided by it before; where that is zero a tiny one takes its place, which decays as little.
    """
    _, _, A, _, C, _, z, _, _, seq_idx = inputs
    back = not call.options.reverse
    steps = step_sizes(call, inputs)
    steps.masked_fill_(steps.abs() < _TINY, _TINY)
    first = steps.select(call.time, 0 if back else -1).clone()
    steps = steps.roll(-1 if back else 1, call.time)
    steps.select(call.time, -1 if back else 0).fill_(_TINY)  # nothing comes from there
    w = dy.to(call.real) / steps
    if z is not None:
        w *= F.silu(z.to(call.real))
    if call.problem.is_complex:  # y = 2 Re(C . h)
        w *= 2
        A, C = A.conj().resolve_conj(), C.conj().resolve_conj()
    scanned = (w, steps, A, C, C, None, None, None, None, seq_idx)
    options = call.options._replace(softplus=False, reverse=back, out_dtype=None)
    request = call.request(scanned, options)
    g = ops.forward(request, scanned, want_last=True, want_y=False)[1]
    return torch.exp(A * first[:, :, None]) * g


def edges_of(call, seq_idx):
    """(b, 3): seq_idx of the first and the last step that are visited, and whether it changes."""
    if not call.problem.length:
        return seq_idx.new_zeros(len(seq_idx), 3)
    ends = [seq_idx[:, 0], seq_idx[:, -1]]
    changes = (seq_idx[:, 1:] != seq_idx[:, :-1]).any(1)
    ends = ends[::-1] if call.options.reverse else ends
    return torch.stack([*ends, changes.to(seq_idx.dtype)], 1)


def crossed(state, goes_on):
    """A state (b, d, n) where it goes on, zero elsewhere; goes_on is (b,), None if it does."""
    return state if goes_on is None else torch.where(goes_on[:, None, None], state, 0)


def incoming(call, dy, like):
    """The gradient of y, zeros if there is none; raises where a second derivative is asked for."""
    if torch.is_grad_enabled():
        raise RuntimeError(
            f"{call.line.function}: double backward is not supported; leave create_graph out."
        )
    return torch.zeros_like(like) if dy is None else dy.resolve_neg()


def outgoing(call, gradients):
    """What a backward returns; the state before a piece is an input of the first one only."""
    *others, state = gradients
    return None, *others, state if call.line.place == 0 else None, None
