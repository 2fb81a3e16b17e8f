"""The steps before a piece that a convolution needs, from the ranks that have them.

A rank sends the last steps of what it knows: its own, and where those are too few, what it has
received. So pieces may be shorter than the convolution, or empty; only then do ranks wait for each
other.
"""

import torch
from torch.autograd import Function

from ..torch.operators import run_as_it_is
from .links import BACKWARD, FORWARD, Link
from .parcels import Parcel


class Halo(Function):
    """x with `width` steps before those that a line visits first."""

    @staticmethod
    @run_as_it_is
    def forward(ctx, line, width, x):
        ctx.options = line, width
        x = x.resolve_conj().resolve_neg()
        before = x.new_zeros(*x.shape[:-1], width)
        link = Link(line, FORWARD, [Parcel(x.device, (before.shape, x.dtype))])
        early = x.shape[-1] >= width
        if early:
            link.send([ends(line, width, x)])
        received = link.receive()
        if received is not None:
            [before] = received[1]
        x = torch.cat([x, before] if line.reverse else [before, x], -1)
        if not early:
            link.send([ends(line, width, x)])
        link.finish()
        return x

    @staticmethod
    @run_as_it_is
    def backward(ctx, dx):
        line, width = ctx.options
        dx = dx.resolve_conj().resolve_neg().clone()
        before, own = split(line, width, dx)
        link = Link(line, BACKWARD, [Parcel(dx.device, (before.shape, dx.dtype))])
        early = own.shape[-1] >= width
        if early:  # what comes does not reach as far
            link.send([before])
        received = link.receive()
        if received is not None:
            ends(line, width, dx).add_(received[1][0])
        if not early:
            link.send([before])
        link.finish()
        return None, None, own


def split(line, width, x):
    """The steps that were added, and the others."""
    steps = x.shape[-1] - width
    first, second = (steps, width) if line.reverse else (width, steps)
    parts = x.split((first, second), -1)
    return parts[::-1] if line.reverse else parts


def ends(line, width, x):
    """The last steps that the line visits, as many as a halo has."""
    return x.narrow(-1, 0 if line.reverse else x.shape[-1] - width, width)
