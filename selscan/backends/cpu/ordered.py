"""Scans of maps that are put in the order of the routes first, where that takes less time.

The kernel that walks maps (maps.py) copies squares of pixels for each chunk, from rows far apart in
memory. Where routes leave most pixels out, or a map is much larger than a cache, it is faster to
gather whole channels (gather.py), to scan them by the same kernel as sequences, and to scatter the
results. This is done for one batch entry and a run of channels at a time, so that memory grows with
neither.
"""

import ctypes
import itertools
import os
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype

from . import layout as at
from .gather_plan import RoutesPlan
from .simd import lanes_of

_MAPS = ("u", "delta", "B", "C")
_COEFFICIENTS = ("B", "C", "dB", "dC")
_SUMS = ("dB", "dC")  # of tasks
# Maps of more pixels than that for each lane of a vector are too large for walking over them: what
# is read are squares of as many rows and columns as lanes, of which large ones use whole lines.
PIXELS_PER_LANE = 1 << 13
# Bytes of an operand in order, for as many channels as are scanned together, but for some blocks
# at the least. A property of the machine, not of the threads in force.
MOST_BYTES = 1 << 25
_FEWEST_BLOCKS = max(4, os.cpu_count() or 1)


def in_order_first(problem, kernel):
    """Whether that is done: by sizes, dtypes, axes, the path and the width of vectors alone."""
    path = problem.path
    if path is None or path.table is None or path.routes == 1 or path.joined:
        return False
    maps = [problem.layouts[x] for x in _MAPS if problem.axes[x].is_map]
    # What is scattered is copied without a conversion, and is in C order.
    same = all(x.dtype == problem.real for x in problem.layouts.values())
    if not same or not all(map(_is_c_order, maps)):
        return False
    backward, apart = kernel == "backward", problem.axes["delta"].is_map
    if _is_sparse(path):
        return backward or apart or _is_large(problem)
    return apart and _is_large(problem)


def kept_size(problem):
    """Elements of what a forward keeps in order for the backward, behind the states."""
    steps = problem.batch * problem.path.table.size
    return sum(
        steps * (problem.d_state if x in _COEFFICIENTS else problem.dim) for x in kept(problem)
    )


def kept(problem):
    """Names of it: nothing but where delta is a map, all of which would be read again."""
    if not in_order_first(problem, "forward") or not problem.axes["delta"].is_map:
        return ()
    return tuple(x for x in _MAPS if problem.axes[x].is_map)


def _is_large(problem):
    return problem.path.pixels > PIXELS_PER_LANE * lanes_of(from_dtype(np.dtype(problem.real)))


def _is_c_order(layout):
    """Whether a result that is allocated like this array has its axes in C order."""
    return list(layout.steps) == sorted(layout.steps, reverse=True) and layout.steps[-1] > 0


def _is_sparse(path):
    """Whether no two routes come to the same pixel, so that each leaves out most of them."""
    visited = np.count_nonzero(path.table >= 0)
    return visited <= path.pixels and (path.inverse >= 0).sum(axis=0).max() == 1


class _Moved(NamedTuple):
    """What a RoutesPlan is made of."""

    kernel: str
    path: Any
    batch: int
    dim: int
    dtype: str
    steps: tuple


class _Run(NamedTuple):
    """Channels that are scanned together."""

    first: int
    comes: dict  # name -> RoutesPlan
    scan: Any
    goes: dict


class OrderedPlan:
    """Launches, one after the other.

    `make(problem, operands, part_steps, apart)` plans a scan of what is in order then; routes are
    apart, each in tasks of its own, unless a map is rounded, which the kernel writes. `states` is
    how many elements the states have that a forward keeps.
    """

    def __init__(self, problem, operands, make, states):
        path, real = problem.path, np.dtype(problem.real)
        self.path, self.real, self.batch = path, real, problem.batch
        self.dim = problem.dim
        self.operands, self.make = operands, make
        self.is_backward = "dy" in operands
        self.kept, self.states = kept(problem), states
        maps = {x for x, (_, axes) in operands.items() if axes.is_map}
        self.moved = {x for x in maps if operands[x][0].dtype == real.name}  # others are rounded
        self.apart = self.moved == maps
        self.row = lanes_of(from_dtype(real)) * real.itemsize
        self.lanes, self.d_state = self.row // real.itemsize, problem.d_state
        self.blocks = -(-problem.dim // self.lanes)
        most = MOST_BYTES // (path.table.size * self.row)
        count = -(-self.blocks // max(most, _FEWEST_BLOCKS))
        bounds = [self.blocks * i // count * self.lanes for i in range(count)] + [problem.dim]
        pairs = list(itertools.pairwise(bounds))
        plans = {n: self._run(problem, n) for n in {last - first for first, last in pairs}}
        self.runs = [plans[last - first]._replace(first=first) for first, last in pairs]
        self.before = self._gathers(("B", "C"), self.d_state)
        self.behind = self._scatters(_SUMS, self.d_state)
        self.sizes = {x: path.table.size * self._rows(x, max(plans)) for x in self._own()}
        self.parts = max(int(x.scan.template[at.SLICES]) for x in plans.values())

    @property
    def nbytes(self):
        """Bytes of the arrays of its plans."""
        plans = [*self.before.values(), *self.behind.values()]
        for run in {id(x.scan): x for x in self.runs}.values():
            plans += [run.scan, *run.comes.values(), *run.goes.values()]
        return sum(x.nbytes for x in plans)

    def _own(self):
        """Operands that are in order in memory of the plan: all that move, and dB and dC."""
        return self.moved | {x for x in _SUMS if x in self.operands}

    def _rows(self, name, channels):
        """Channels of an operand, or states."""
        return self.d_state if name in _COEFFICIENTS else channels

    def _run(self, problem, channels):
        """Plans for so many channels of one batch entry."""
        operands, axes = dict(self.operands), dict(problem.axes)
        size, length = self.real.itemsize, self.path.length
        for name in self._own():
            layout, old = operands[name]
            rows = self._rows(name, channels)
            steps = (rows * length * size, length * size, size)
            layout = layout._replace(
                shape=(self.path.routes, rows, length), steps=steps, dtype=self.real.name
            )
            d, n = (None, 1) if old.d is None else (1, None)
            none = dict.fromkeys(("b", "h", "p"))
            operands[name] = layout, old._replace(d=d, n=n, t=2, r=0, is_shared=False, **none)
            if name in axes:
                axes[name] = operands[name][1]
        part = self.path.table.size * self.d_state * size
        small = replace(problem, batch=1, dim=channels, axes=axes)
        scan = self.make(small, operands, dict.fromkeys(_SUMS, part), self.apart)
        scan.template[at.STATE_BLOCKS] = self.blocks
        names = ("u", "delta", "dy"), ("y", "du", "ddelta")
        return _Run(0, self._gathers(names[0], channels), scan, self._scatters(names[1], channels))

    def _gathers(self, names, rows):
        """Plans of gathers of those of these operands that move."""
        found = {}
        for name in names:
            if name in self.moved and not (self.is_backward and name in self.kept):
                layout, axes = self.operands[name]
                own = (axes.r, axes.n if axes.d is None else axes.d, axes.p, axes.h, axes.t)
                steps = (0, *(0 if x is None else layout.steps[x] for x in own))
                found[name] = self._move("gather", rows, steps)
        return found

    def _scatters(self, names, rows):
        """Plans of scatters: to a map of each route, or to their sum."""
        size, length, found = self.real.itemsize, self.path.length, {}
        steps = (0, rows * length * size, length * size, 0, 0, size)
        for name in names:
            if name in self.moved:
                layout, axes = self.operands[name]
                if axes.r is None:
                    found[name] = self._move("merge", rows, steps)
                else:
                    found[name] = self._move("place", rows, steps)
                    found[name].set_route_step(layout.steps[axes.r])
        return found

    def _move(self, kernel, rows, steps):
        return RoutesPlan(_Moved(kernel, self.path, 1, rows, self.real.name, steps))

    def launch(self, start, addresses, threads):
        """Start all kernels by `start(plan, addresses, threads)`."""
        held = self.kept if "states" in addresses else ()  # in memory that is kept
        own = {
            x: np.empty(size, self.real)
            for x, size in self.sizes.items()
            if x in addresses and x not in held
        }
        parts = {x: np.empty((self.parts, own[x].size), self.real) for x in _SUMS if x in own}
        memory = {x: array.ctypes.data for x, array in (own | parts).items()}
        for b in range(self.batch):
            memory |= {x: self._held(addresses, x, b) for x in held if x in _COEFFICIENTS}
            for name, plan in self.before.items():
                start(plan, self._move_of(addresses, name, b, memory), threads)
            for run in self.runs:
                of_channels = (x for x in held if x not in _COEFFICIENTS)
                memory |= {x: self._held(addresses, x, b, run.first) for x in of_channels}
                self._launch_run(run, b, start, addresses, memory, threads)
                for name, array in parts.items():
                    found = array[: run.scan.template[at.SLICES]]
                    _add_up(found, own[name], run.first > 0)
            for name in parts:
                if name in self.behind:
                    source, result = own[name].ctypes.data, self._place(addresses, name, b)
                    start(self.behind[name], {"source": source, "result": result}, threads)
                else:
                    self._copy(own[name], addresses, name, b)

    def _launch_run(self, run, b, start, addresses, memory, threads):
        """Gather, scan and scatter the channels of a run."""
        for name, plan in run.comes.items():
            start(plan, self._move_of(addresses, name, b, memory, run.first), threads)
        places = {x: self._place(addresses, x, b, run.first) for x in addresses if x != "states"}
        operands = places | memory
        if "states" in addresses:
            chunks = int(run.scan.template[at.CHUNKS])
            first = b * self.path.routes * self.blocks + run.first // self.lanes
            operands["states"] = addresses["states"] + first * chunks * self.d_state * self.row
        start(run.scan, operands, threads)
        for name, plan in run.goes.items():
            start(plan, {"source": memory[name], "result": places[name]}, threads)

    def _move_of(self, addresses, name, b, memory, channel=0):
        """Addresses of a gather."""
        return {"source": self._place(addresses, name, b, channel), "result": memory[name]}

    def _held(self, addresses, name, b, channel=0):
        """Where an operand is in order behind the states: one after the other, by batch entry."""
        steps, elements = self.path.table.size, self.states
        for other in self.kept:
            rows = self._rows(other, self.dim)
            if other == name:
                break
            elements += self.batch * rows * steps
        elements += (b * rows + channel) * steps
        return addresses["states"] + elements * self.real.itemsize

    def _place(self, addresses, name, b, channel=0):
        """Where a batch entry and a channel of an operand is."""
        layout, axes = self.operands[name]
        place = addresses[name] + (0 if axes.b is None else b * layout.steps[axes.b])
        return place + (0 if axes.d is None else channel * layout.steps[axes.d])

    def _copy(self, array, addresses, name, b):
        """A gradient that was given in order, to where it is wanted."""
        layout, axes = self.operands[name]
        shape = self.path.routes, self.d_state, self.path.length
        steps = tuple(layout.steps[x] for x in (axes.r, axes.n, axes.t))
        size = sum((n - 1) * x for n, x in zip(shape, steps, strict=True)) + self.real.itemsize
        memory = (ctypes.c_char * size).from_address(self._place(addresses, name, b))
        np.ndarray(shape, self.real, memory, strides=steps)[...] = array.reshape(shape)


def _add_up(parts, total, to_it):
    """The sum of parts, and of what is there if `to_it`."""
    if to_it:
        for part in parts:
            total += part
    else:
        np.add.reduce(parts, axis=0, out=total)
