"""The scan in which all ranks exchange the states of their pieces at once.

A does not depend on time, so two small arrays say what a piece does to the state before it: the
state S that it ends in from zero, and the sum of its delta',

    h_out = exp(A sum delta') h_in + S

Each rank scans its piece for S, all gather both of all, each folds those of the pieces before its
own, and scans from the state that it finds. The gradient of the state goes the other way in the
same manner.
"""

import torch
import torch.distributed as dist
from torch.autograd import Function

from ..ops import scan as ops
from ..torch.operators import run_as_it_is
from . import local
from .links import BACKWARD, FORWARD
from .local import crossed
from .parcels import Parcel


class Piece:
    """What a rank tells of its piece."""

    def __init__(self, steps, total, edges):
        self.steps, self.total = steps, total  # number of steps; sum of delta', (b, d)
        self.first, self.last, changes = [None] * 3 if edges is None else edges.unbind(1)
        self.goes_through = None if edges is None else changes == 0  # (b,)

    def goes_on_from(self, pieces):
        """(b,) whether the state goes on into this piece from those before it; None: it does."""
        before = [x for x in pieces if x.steps]
        if self.first is None or not self.steps or not before:
            return None
        return before[-1].last == self.first


class GatheredScan(Function):
    """(y, last_state or None)."""

    @staticmethod
    @run_as_it_is
    def forward(ctx, call, *inputs):
        A, seq_idx = inputs[2], inputs[-1]
        total = local.total(call, inputs)
        edges = None if seq_idx is None else local.edges_of(call, seq_idx)
        found = gather(call, FORWARD, local.last_state(call, inputs), total, edges)
        steps, states, totals, all_edges = zip(*found, strict=True)
        pieces = list(map(Piece, steps, totals, all_edges))
        if call.line.place > 0:
            state = fold(A, pieces[: call.line.place], states)
            goes_on = pieces[call.line.place].goes_on_from(pieces[: call.line.place])
            inputs = local.with_state(inputs, crossed(state, goes_on))
        y, _, kept, _ = ops.forward(call.request(inputs), inputs, keep_states=call.recorded)
        if call.recorded:
            ctx.call, ctx.steps = call, steps
            all_edges = None if edges is None else torch.stack(all_edges)
            ctx.save_for_backward(*inputs, kept, torch.stack(totals), all_edges)
            ctx.set_materialize_grads(False)
        return y, fold(A, pieces, states) if call.wants_last else None

    @staticmethod
    @run_as_it_is
    def backward(ctx, dy, dlast):
        call, (*inputs, kept, totals, edges) = ctx.call, ctx.saved_tensors
        dy = local.incoming(call, dy, inputs[0])
        edges = [None] * call.line.size if edges is None else edges
        pieces = list(map(Piece, ctx.steps, totals, edges))
        own = local.adjoint(call, inputs, dy)
        if call.wants_last and dlast is None:
            dlast = torch.zeros_like(own)
        found = gather(call, BACKWARD, own, dlast)
        _, adjoints, dlasts = zip(*found, strict=True)
        last = sum(dlasts) if call.wants_last else torch.zeros_like(own)
        gradient = fold_back(inputs[2], pieces, adjoints, last, call.line.place)
        request = call.request(inputs)
        gradients = ops.backward(request, inputs, dy, gradient, states=kept.contiguous())
        return local.outgoing(call, gradients)


def gather(call, direction, *tensors):
    """[(steps, *tensors)] of all ranks, in the order in which pieces are visited.

    A tensor that is None is so on every rank, and not sent.
    """
    line, given = call.line, [x for x in tensors if x is not None]
    parcel = Parcel(given[0].device, *((x.shape, x.dtype) for x in given))
    own = line.pack(parcel, direction, call.problem.length, given)
    buffers = [parcel.empty() for _ in range(line.size)]
    dist.all_gather(buffers, own, group=line.group)
    found = []
    for place in range(line.size):
        steps, received = line.unpack(parcel, direction, place, buffers[line.rank(place)])
        received = iter(received)
        found.append((steps, *(None if x is None else next(received) for x in tensors)))
    return found


def passed_on(A, piece, state):
    """What a piece leaves of a state before it; with conj(A), of a gradient behind it."""
    decay = torch.exp(A.to(state.dtype) * piece.total[:, :, None])
    return crossed(decay * state, piece.goes_through)


def fold(A, pieces, states):
    """The state behind some pieces, from the first one on; each alone would end in its own."""
    state = states[0]
    for i, piece in enumerate(pieces[1:], 1):
        if piece.steps:
            before = crossed(state, piece.goes_on_from(pieces[:i]))
            state = states[i] + passed_on(A, piece, before)
    return state


def fold_back(A, pieces, adjoints, last, place):
    """The gradient of the state behind the piece at a place; `last` is that of the last state."""
    A = A.conj().resolve_conj() if A.is_complex() else A
    for i in range(len(pieces) - 1, place, -1):
        piece = pieces[i]
        if piece.steps:
            last = adjoints[i] + passed_on(A, piece, last)
            last = crossed(last, piece.goes_on_from(pieces[:i]))
    return last
