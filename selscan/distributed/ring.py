"""The scan in which each rank waits for the state of the one before it.

Batch and channels do not mix, so they are cut into slices, and a rank scans one while the next rank
scans the one before. Nothing is computed twice, and every number of y is computed as in one
process.
"""

import torch
import torch.distributed as dist
from torch.autograd import Function

from ..ops import contract
from ..ops import scan as ops
from ..torch.operators import FRAMEWORK, run_as_it_is
from . import local
from .links import BACKWARD, FORWARD, Link
from .local import crossed
from .parcels import Parcel
from .slices import cut

_SLICES = 8  # for each rank: the last one waits for one in nine


class RingScan(Function):
    """(y, last_state or None)."""

    @staticmethod
    @run_as_it_is
    def forward(ctx, call, *inputs):
        line, (state_shape, state_dtype) = call.line, call.state
        slices, _ = slices_of(call)
        link = Link(line, FORWARD, [parcel_of(call, x, inputs) for x in slices])
        y = FRAMEWORK.on(call.problem.device).allocate(call.y)
        last = inputs[0].new_empty(state_shape, dtype=state_dtype) if call.wants_last else None
        saved = []
        for i, piece in enumerate(slices):
            part = piece.parts(call.problem, inputs)
            part, goes_on, before, edges = received(call, link, i, part)
            request = call.request(part)
            found, state, kept, _ = ops.forward(
                request, part, keep_states=call.recorded, want_last=True
            )
            link.send([state, *edges], i, before + call.problem.length)
            piece.of("u", y, call.problem.axes["u"]).copy_(found)
            if call.wants_last:
                piece.of("last_state", last, contract.STATE_AXES).copy_(state)
            saved += [part[local.STATE] if line.place else None, goes_on, kept]
        link.finish()
        if call.wants_last:
            dist.broadcast(real(last), group=line.group, group_src=line.rank(line.size - 1))
        if call.recorded:
            ctx.call = call
            ctx.save_for_backward(*inputs, *saved)
            ctx.set_materialize_grads(False)
        return y, last

    @staticmethod
    @run_as_it_is
    def backward(ctx, dy, dlast):
        call, line = ctx.call, ctx.call.line
        count = len(contract.ARGUMENTS)
        tensors = ctx.saved_tensors  # once: checkpoints want it so
        inputs, saved = tensors[:count], tensors[count:]
        dy = local.incoming(call, dy, inputs[0])
        dlast = last_gradient(call, dlast, dy) if call.wants_last else None
        slices, whole_groups = slices_of(call)
        link = Link(line, BACKWARD, [parcel_of(call, x) for x in slices])
        gradients = Gradients(call, inputs, whole_groups)
        for i, piece in enumerate(slices):
            state, goes_on, kept = saved[3 * i : 3 * i + 3]
            part = piece.parts(call.problem, gradients.inputs)
            part = local.with_state(part, state) if line.place else part
            behind = piece.of("last_state", dlast, contract.STATE_AXES)
            if arrived := link.receive(i):
                [behind] = arrived[1]
            own = piece.of("u", dy, call.problem.axes["u"])
            found = ops.backward(call.request(part), part, own, behind, states=kept.contiguous())
            if line.place:
                link.send([crossed(found[local.STATE], goes_on)], i)
            gradients.add(piece, found)
        link.finish()
        return local.outgoing(call, gradients.done())


class Gradients:
    """Of the inputs, from those of slices: put in place, or added up where slices share an input.

    Those that are added up are in the dtype of the arithmetic until the end, and for that the
    inputs, which are small, are too.
    """

    def __init__(self, call, inputs, whole_groups):
        axes = call.problem.axes
        self.given, self.axes = inputs, axes
        self.shared = {x for x in axes if axes[x].b is None} - {"seq_idx"}
        self.shared |= set() if whole_groups else {"B", "C"}
        self.inputs, self.gradients = list(inputs), {}
        for i, (name, x) in enumerate(zip(contract.ARGUMENTS, inputs, strict=True)):
            if name in self.shared:
                dtype = call.state[1] if x.is_complex() else call.real
                self.inputs[i] = x.to(dtype)
                self.gradients[name] = torch.zeros_like(x, dtype=dtype)
            elif name in ops.GRADIENT_OF and x is not None:
                self.gradients[name] = torch.empty_like(x)

    def add(self, piece, found):
        """Those of a slice."""
        for name, gradient in zip(ops.GRADIENT_OF, found, strict=True):
            if name in self.gradients:
                own = piece.of(name, self.gradients[name], self.axes[name])
                own.add_(gradient) if name in self.shared else own.copy_(gradient)

    def done(self):
        """In the order and the dtypes of the inputs."""
        return [
            None if x is None else self.gradients[name].to(x.dtype)
            for name, x in zip(ops.GRADIENT_OF, self.given, strict=False)
        ]


def slices_of(call):
    return cut(call.problem, _SLICES * call.line.size)


def parcel_of(call, piece, inputs=None):
    """For a state, and on the way of the scan with the last seq_idx if there are any."""
    shape = piece.state_shape(call.problem.d_state)
    has_edges = inputs is not None and inputs[-1] is not None
    parts = [(shape, call.state[1])] + has_edges * [(shape[:1], torch.int64)]
    return Parcel(torch.device(call.problem.device), *parts)


def received(call, link, i, part):
    """The inputs of a slice with the state before it, (b,) whether that goes on, the number of
    steps before, and what is sent on with the state behind it.
    """
    arrived, seq_idx, steps, goes_on, edges = link.receive(i), part[-1], 0, None, []
    if seq_idx is not None and call.problem.length:
        first, last, _ = local.edges_of(call, seq_idx).unbind(1)
        edges = [last]
    elif seq_idx is not None:
        edges = [seq_idx.new_zeros(len(seq_idx))]
    if arrived is not None:
        steps, (state, *before) = arrived
        if before and steps and call.problem.length:
            goes_on = before[0] == first
        elif before and not call.problem.length:
            edges = before
        part = local.with_state(part, crossed(state, goes_on))
    return part, goes_on, steps, edges


def last_gradient(call, dlast, like):
    """The gradient of the last state on the rank that has it: the sum of those of all ranks."""
    shape, dtype = call.state
    total = like.new_zeros(shape, dtype=dtype)
    if dlast is not None:
        total += dlast
    line = call.line
    last = line.size - 1
    dist.reduce(real(total), group=line.group, group_dst=line.rank(last))
    return total if line.place == last else None


def real(x):
    """A complex tensor as real numbers, on the same memory."""
    return torch.view_as_real(x) if x.is_complex() else x
