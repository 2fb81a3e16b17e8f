"""Scans of maps that are put in the order of the routes first, where that takes less time.

The kernel that walks maps (maps.py) copies squares of pixels for each chunk, from rows far apart in
memory. Where routes leave most pixels out, or a map is much larger than a cache, it is faster to
gather whole channels (gather.py), to scan them by the same kernel as sequences, and to scatter the
results. This is done for a run of channels of one batch entry at a time, or for several entries
that are small: memory grows neither with the batch nor with the channels.
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
# Bytes of an operand in order, for as many channels as are scanned together, but for some blocks at
# the least. A property of the machine, not of the threads in force, as are the others.
MOST_BYTES = 1 << 25
_CORES = os.cpu_count() or 1
_FEWEST_BLOCKS = max(4, _CORES)
# And for as many batch entries: a launch costs threads some time, and a cache should have these.
JOINED_BYTES = min(MOST_BYTES, max(2, _CORES) * 5 << 19)


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

    @property
    def parts(self):
        """Parts of dB and dC."""
        return int(self.scan.template[at.SLICES])


class _Share(NamedTuple):
    """Batch entries that are put in order together."""

    batch: int  # how many
    comes: dict  # B and C
    runs: list  # one, where there are several entries
    goes: dict  # dB and dC


class OrderedPlan:
    """Launches, one after the other.

    `make(problem, operands, part_steps, apart)` plans a scan of what is in order then; routes are
    apart, each in tasks of its own, unless a map is rounded, which the kernel writes. `states` is
    how many elements the states have that a forward keeps.
    """

    def __init__(self, problem, operands, make, states):
        path, real = problem.path, np.dtype(problem.real)
        self.path, self.real, self.batch = path, real, problem.batch
        self.dim, self.d_state = problem.dim, problem.d_state
        self.operands, self.make = operands, make
        self.is_backward = "dy" in operands
        self.kept, self.states = kept(problem), states
        maps = {x for x, (_, axes) in operands.items() if axes.is_map}
        self.moved = {x for x in maps if operands[x][0].dtype == real.name}  # others are rounded
        self.apart = self.moved == maps
        self.sums = [x for x in _SUMS if x in operands]
        self.lanes = lanes_of(from_dtype(real))
        self.row = self.lanes * real.itemsize
        self.blocks = -(-problem.dim // self.lanes)
        channels = self._channels()
        batches = self._batches(channels)
        plans = {n: self._share(problem, n, channels) for n in {y - x for x, y in batches}}
        self.shares = [(first, plans[last - first]) for first, last in batches]
        batch = max(x.batch for _, x in self.shares)
        rows = max(last - first for first, last in channels)
        self.sizes = {  # of what is in order in memory of a call
            x: self._numbers(batch, self._rows(x, rows))
            for x in self.moved.union(self.sums)
            if x in self.moved or not self._is_in_place(x)
        }
        parts = max(x.parts for _, share in self.shares for x in share.runs)
        is_whole = parts == len(channels) == 1  # dB and dC need no sum
        self.in_parts = 0 if is_whole else parts * self._numbers(batch, self.d_state)

    @property
    def nbytes(self):
        """Bytes of the arrays of its plans."""
        plans = {}
        for share in {id(x): x for _, x in self.shares}.values():
            for part in (share, *share.runs):
                plans |= {id(x): x for x in (*part.comes.values(), *part.goes.values())}
            plans |= {id(x.scan): x.scan for x in share.runs}
        return sum(x.nbytes for x in plans.values())

    def _numbers(self, batch, rows):
        """Elements of an operand in order."""
        return batch * rows * self.path.table.size

    def _steps(self, rows):
        """Bytes between neighbours of it: batch entries, routes, rows and steps."""
        length, size = self.path.length, self.real.itemsize
        return tuple(x * size for x in (self._numbers(1, rows), rows * length, length, 1))

    def _rows(self, name, channels):
        """Channels of an operand, or states."""
        return self.d_state if name in _COEFFICIENTS else channels

    def _channels(self):
        """Bounds of the channels that are scanned together: of whole blocks."""
        most = MOST_BYTES // (self.path.table.size * self.row)
        bounds = _bounds(self.blocks, -(-self.blocks // max(most, _FEWEST_BLOCKS)))
        return [(x * self.lanes, min(y * self.lanes, self.dim)) for x, y in bounds]

    def _batches(self, channels):
        """Bounds of the batch entries that are put in order together."""
        size = self._numbers(1, max(self.dim, self.d_state)) * self.real.itemsize
        most = max(1, JOINED_BYTES // size) if len(channels) == 1 else 1
        return _bounds(self.batch, -(-self.batch // most))

    def _is_in_place(self, name):
        """Whether dB or dC is wanted as it comes: in order, and dense."""
        layout, _ = self.operands[name]
        steps = zip(layout.shape, layout.steps, self._steps(self.d_state), strict=True)
        return name not in self.moved and all(n == 1 or x == y for n, x, y in steps)

    def _share(self, problem, batch, channels):
        """Plans for so many batch entries."""
        runs = {n: self._run(problem, batch, n) for n in {y - x for x, y in channels}}
        return _Share(
            batch,
            self._gathers(("B", "C"), batch, self.d_state),
            [runs[last - first]._replace(first=first) for first, last in channels],
            self._scatters(_SUMS, batch, self.d_state),
        )

    def _run(self, problem, batch, channels):
        """Plans for so many of their channels."""
        operands, axes = dict(self.operands), dict(problem.axes)
        none = dict.fromkeys("hp")
        for name in self.moved.union(self.sums):
            layout, own = operands[name]
            rows = self._rows(name, channels)
            shape = batch, self.path.routes, rows, self.path.length
            layout = layout._replace(shape=shape, steps=self._steps(rows), dtype=self.real.name)
            d, n = (None, 2) if name in _COEFFICIENTS else (2, None)
            own = own._replace(b=0, r=1, d=d, n=n, t=3, is_shared=False, **none)
            operands[name] = layout, own
            if name in axes:
                axes[name] = own
        part = self._numbers(batch, self.d_state) * self.real.itemsize
        part_steps = dict.fromkeys(_SUMS, part)
        small = replace(problem, batch=batch, dim=channels, axes=axes)
        scan = self.make(small, operands, part_steps, self.apart)
        scan.template[at.STATE_BLOCKS] = self.blocks
        comes = self._gathers(("u", "delta", "dy"), batch, channels)
        return _Run(0, comes, scan, self._scatters(("y", "du", "ddelta"), batch, channels))

    def _gathers(self, names, batch, rows):
        """Plans of gathers of those of these operands that move."""
        found = {}
        for name in names:
            if name in self.moved and not (self.is_backward and name in self.kept):
                layout, axes = self.operands[name]
                own = axes.b, axes.r, axes.n if axes.d is None else axes.d, axes.p, axes.h, axes.t
                steps = tuple(0 if x is None else layout.steps[x] for x in own)
                found[name] = self._move("gather", batch, rows, steps)
        return found

    def _scatters(self, names, batch, rows):
        """Plans of scatters: to a map of each route, or to their sum."""
        (*outer, step), found = self._steps(rows), {}
        steps = (*outer, 0, 0, step)
        for name in names:
            if name in self.moved:
                layout, axes = self.operands[name]
                if axes.r is None:
                    found[name] = self._move("merge", batch, rows, steps)
                else:
                    found[name] = self._move("place", batch, rows, steps)
                    found[name].set_route_step(layout.steps[axes.r])
        return found

    def _move(self, kernel, batch, rows, steps):
        return RoutesPlan(_Moved(kernel, self.path, batch, rows, self.real.name, steps))

    def launch(self, start, addresses, threads):
        """Start all kernels by `start(plan, addresses, threads)`."""
        held = self.kept if "states" in addresses else ()  # in memory that is kept
        own = {x: np.empty(size, self.real) for x, size in self.sizes.items() if x not in held}
        parts = {x: np.empty(self.in_parts, self.real) for x in self.sums}
        memory = {x: array.ctypes.data for x, array in own.items()}
        for b, share in self.shares:
            memory |= {x: self._held(addresses, x, b) for x in held if x in _COEFFICIENTS}
            for name, plan in share.comes.items():
                start(plan, self._move_of(addresses, name, b, memory), threads)
            size = self._numbers(share.batch, self.d_state)
            sums = {
                x: own[x][:size] if x in own else self._view(self._place(addresses, x, b), size)
                for x in self.sums
            }
            for run in share.runs:
                of_channels = (x for x in held if x not in _COEFFICIENTS)
                memory |= {x: self._held(addresses, x, b, run.first) for x in of_channels}
                to = sums if run.first == 0 and run.parts == 1 else parts
                memory |= {x: array.ctypes.data for x, array in to.items()}
                self._launch_run(run, b, start, addresses, memory, threads)
                for name in parts if to is parts else ():
                    _add_up(parts[name][: run.parts * size], sums[name], run.first > 0)
            for name in own.keys() & sums.keys():
                place = self._place(addresses, name, b)
                if name in share.goes:
                    source = {"source": own[name].ctypes.data}
                    start(share.goes[name], source | {"result": place}, threads)
                else:
                    self._copy(sums[name], share.batch, name, place)

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

    def _copy(self, array, batch, name, address):
        """A gradient that was given in order, to where it is wanted."""
        layout, axes = self.operands[name]
        shape = batch, self.path.routes, self.d_state, self.path.length
        steps = tuple(layout.steps[x] for x in (axes.b, axes.r, axes.n, axes.t))
        size = sum((n - 1) * x for n, x in zip(shape, steps, strict=True)) // self.real.itemsize + 1
        memory = self._view(address, size)
        np.ndarray(shape, self.real, memory, strides=steps)[...] = array.reshape(shape)

    def _view(self, address, size):
        """The array of so many numbers at an address."""
        memory = (ctypes.c_char * (size * self.real.itemsize)).from_address(address)
        return np.frombuffer(memory, self.real)


def _bounds(total, count):
    """Bounds of so many shares of nearly the same size."""
    return list(itertools.pairwise(total * i // count for i in range(count + 1)))


def _add_up(parts, total, to_it):
    """The sum of parts, and of what is there if `to_it`."""
    parts = parts.reshape(-1, total.size)
    if to_it:
        for part in parts:
            total += part
    else:
        np.add.reduce(parts, axis=0, out=total)
