"""Slices of batch and channels, which a scan does not mix."""

from itertools import pairwise
from typing import NamedTuple

from ..ops.contract import ARGUMENTS, STATE_AXES

_LEAST = 16  # channels: a vector of the kernels


class Slice(NamedTuple):
    """Some batch entries, some groups, and some channels of those."""

    b: slice
    g: slice
    d: slice

    def of(self, name, x, axes):
        """The part of an argument that belongs to it, a view; `axes` says where what is."""
        if x is None:
            return None
        index = [slice(None)] * x.dim()
        if axes.b is not None:
            index[axes.b] = self.b
        if axes.d is not None:
            index[axes.d] = self.g if name in ("B", "C") and axes.b is not None else self.d
        return x[tuple(index)]

    def parts(self, problem, inputs):
        """The inputs of a scan that belong to it, None where not given.

        Among them may be a state that the call was not given, as it came from another rank.
        """
        axes = {"initial_state": STATE_AXES} | problem.axes
        named = zip(ARGUMENTS, inputs, strict=True)
        return tuple(self.of(name, x, axes.get(name)) for name, x in named)

    def state_shape(self, n):
        return self.b.stop - self.b.start, self.d.stop - self.d.start, n


def cut(problem, wanted):
    """About as many slices as wanted, of whole groups if there are enough; and whether they are."""
    batch, groups, dim = problem.batch, problem.groups, problem.dim
    entries = ranges(batch, wanted)
    wanted = -(-wanted // len(entries))
    size = dim // groups
    parts = -(-wanted // groups) if wanted > groups else 1
    within = ranges(size, parts, _LEAST)
    if len(within) == 1:
        some = [(g, slice(g.start * size, g.stop * size)) for g in ranges(groups, wanted)]
    else:
        some = [
            (slice(g, g + 1), slice(g * size + d.start, g * size + d.stop))
            for g in range(groups)
            for d in within
        ]
    return [Slice(b, g, d) for b in entries for g, d in some], len(within) == 1


def ranges(count, parts, unit=1):
    """Slices of 0 .. count, up to `parts` of them; all but the last of a multiple of `unit`."""
    units = -(-count // unit)
    parts = max(1, min(parts, units))
    ends = [min(count, unit * (i * units // parts)) for i in range(parts)] + [count]
    return [slice(start, end) for start, end in pairwise(ends)]
