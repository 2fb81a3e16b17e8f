"""Steps of a scan in a program of torch.export, as operators of torch that every exporter knows.

A program has no writes: torch has taken `selscan::scan_step`, which writes to its state, apart into
a node that wraps it, and exporters know no such nodes.
"""

import torch
from torch.nn import functional as F

from ..torch import operators

WRAPPED = torch.ops.higher_order.auto_functionalized_v2
BASES, INDEX = "_all_bases", "_state_base_index"  # where the state is, among its arguments


def is_step(node):
    """Whether a node is a wrapped step."""
    return node.target is WRAPPED and node.args[0] is operators.SCAN_STEP


def state_of(node):
    """The state of a wrapped step; None if it is a part of a larger tensor."""
    hidden = {name for name in node.kwargs if name.startswith("_")}
    return node.kwargs[BASES][node.kwargs[INDEX]] if hidden == {BASES, INDEX} else None


def without_steps(program):
    """The program with all steps taken apart into operators of torch."""
    steps = [node for node in program.graph.nodes if is_step(node)]
    for node in steps:
        given = {name: x for name, x in node.kwargs.items() if not name.startswith("_")}
        node.args, node.kwargs = (), given | {"state": state_of(node)}
        node.target = step
    return program.run_decompositions({}) if steps else program


def step(state, u, delta, A, B, C, D, z, delta_bias, delta_softplus, backend):
    """(y, the new state) of `selscan.scan_step`, in as many bits."""
    given = u, delta, A, B, C, D, z, delta_bias, state
    wide = any(x is not None and x.dtype == torch.float64 for x in given)
    real = torch.float64 if wide else torch.float32
    u_, delta, A, B, C, D, z, bias, h = (x if x is None else x.to(real) for x in given)
    B, C = (of_channels(x, state) for x in (B, C))
    delta = delta if bias is None else delta + bias
    delta = F.softplus(delta) if delta_softplus else delta
    h = (delta[..., None] * A).exp() * h + (delta * u_)[..., None] * B
    y = (h * C).sum(-1)
    y = y if D is None else y + D * u_
    y = y if z is None else y * z / (1 + (-z).exp())  # not by Sigmoid: see translate.py
    return y.to(u.dtype), h.to(state.dtype)


def of_channels(x, state):
    """B or C as a factor of the state (b, d, n)."""
    batch, d, _ = state.shape
    if x.dim() == 3:  # (b, g, n)
        return x.repeat_interleave(d // x.shape[1], dim=1)
    return x if x.shape[0] != batch and x.shape[0] == d else x[:, None]
