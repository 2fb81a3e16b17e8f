"""The launches of a scan in pieces (pieces.py), forward and backward.

The operand seq_idx of a later piece has one step more, the last one of the piece before: a kernel
sees there whether the initial state is left out.

In the backward the gradient of the state between two pieces is that of the initial state of the
later one and that of the wanted state together.

States are moved and added up by scans of one step that decay nothing: A is zero there.
"""

import dataclasses
import functools
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

from ..arrays.layouts import Axes, Layout, dense_steps
from .contract import STATE_AXES, Problem
from .memory import SIZES

_UNIT = 64  # elements: what is kept for a piece, or written for one, begins at a multiple
_SEQUENCE = Axes(0, 1, None, 2)
_MATRIX = Axes(None, 0, 1, None)


class Source(NamedTuple):
    """Where an operand of a launch is found: an address of the call, and bytes behind it."""

    name: str
    offset: int
    layout: Layout
    axes: Axes


class Launch(NamedTuple):
    """A plan of the backend, and its operands by name; as a list for sums: (parts, result)."""

    plan: Any
    operands: Any
    needs: str | None = None  # what the call must have for it


class Piece(NamedTuple):
    """Steps of a sequence, in the order of time."""

    first: int
    end: int
    stop: int | None  # the wanted state behind it, by number


def pieces_of(problem):
    """In scan order."""
    length, positions = problem.length, problem.positions
    if problem.reverse:
        ends = [length, *reversed(positions)]
        found = [
            Piece(first, end, len(positions) - 1 - i)
            for i, (end, first) in enumerate(pairwise(ends))
        ]
        return found + [Piece(0, ends[-1], None)] * (ends[-1] > 0)
    starts = [0, *(p + 1 for p in positions)]
    found = [Piece(first, end, i) for i, (first, end) in enumerate(pairwise(starts))]
    return found + [Piece(starts[-1], length, None)] * (starts[-1] < length)


class Memory:
    """The scratch memory of a backward: where its parts begin, in elements."""

    def __init__(self, backend, problem):
        found = [part_of(problem, x) for x in pieces_of(problem)]
        most = max(backend.backward_scratch(x) for x in found)
        self.gradients = padded(most), padded(most) + padded(state_size(problem))
        self.parts = {"B": self.gradients[1] + padded(state_size(problem))}
        sizes = dict.fromkeys("BC", 0)
        for part in found:
            slices = backend.backward_parts(part)[0]
            for name in "BC":
                if slices > 1 and problem.axes[name].b is not None:
                    one = prod(part.layouts[name].shape) * (2 if problem.is_complex else 1)
                    sizes[name] = max(sizes[name], slices * one)
        self.parts["C"] = self.parts["B"] + padded(sizes["B"])
        self.size = self.parts["C"] + padded(sizes["C"])


class Walk:
    """What the launches of a forward and of a backward have in common."""

    def __init__(self, backend, problem, operands):
        self.backend, self.problem, self.operands = backend, problem, operands
        self.pieces = pieces_of(problem)
        self.launches = []
        self.unit = SIZES[problem.real]
        offsets = [0]
        for piece in self.pieces:
            size = backend.states_size(part_of(problem, piece))
            offsets.append(offsets[-1] + padded(size) + padded(state_size(problem)))
        self.kept_at = offsets

    def given(self, name):
        """An operand of the call as it is."""
        layout, axes = self.operands[name]
        return Source(name, 0, layout, axes)

    def cut(self, name, i):
        """An operand of the call, the steps of the i-th piece if it has time."""
        layout, axes = self.operands[name]
        piece = self.pieces[i]
        if name == "seq_idx" and i > 0:
            piece = self.with_step_before(piece)
        offset = 0 if axes.t is None else piece.first * layout.steps[axes.t]
        return Source(name, offset, _cut(layout, axes, piece), axes)

    def with_step_before(self, piece):
        """A piece, and the step before it in the order of the scan."""
        if self.problem.reverse:
            return piece._replace(end=piece.end + 1)
        return piece._replace(first=piece.first - 1)

    def stop(self, name, k):
        """One of the states, or gradients of states, that lie at steps."""
        layout, axes = self.operands[name]
        steps, shape = list(layout.steps), list(layout.shape)
        step = steps.pop(axes.r)
        shape.pop(axes.r)
        return Source(name, k * step, Layout(tuple(shape), tuple(steps), layout.dtype), STATE_AXES)

    def state(self, name, offset):
        """A state in memory of ours, `offset` elements behind an address."""
        shape, dtype = self.problem.state_shape, self.problem.state_dtype
        layout = Layout(shape, dense_steps(shape, range(3), SIZES[dtype]), dtype)
        return Source(name, offset * self.unit, layout, STATE_AXES)

    def initial_state(self, i):
        """What is kept of the state before the i-th piece."""
        return self.state("states", self.kept_at[i])

    def kept(self, i):
        """What the backend keeps of the i-th piece; it knows how that lies."""
        offset = self.kept_at[i] + padded(state_size(self.problem))
        layout = Layout((), (), self.problem.real)
        return Source("states", offset * self.unit, layout, None)

    def keeps(self, i):
        return self.backend.states_size(part_of(self.problem, self.pieces[i])) > 0

    def add(self, problem, sources, make, needs=None):
        """A launch, whose plan `make` makes of operands."""
        self.launches.append(Launch(make(problem, operands_of(sources)), sources, needs))

    def move(self, source, target, *, added=None, needs=None):
        """target = source + another state: a scan h = exp(delta 0) h + delta B u of one step."""
        problem = self.problem
        b, d, n = problem.state_shape
        zero, one = (_constant(x, problem) for x in (0, 1))
        step = zero if added is None else one
        sources = {
            "u": step((b, d, 1), _SEQUENCE),
            "delta": step((b, d, 1), _SEQUENCE),
            "A": zero((d, n), _MATRIX, problem.state_dtype),
            "B": zero((d, n), _MATRIX),
            "C": zero((d, n), _MATRIX),
            "initial_state": source,
            "last_state": target,
        }
        if added is not None:
            sources["B"] = added._replace(axes=Axes(0, 1, 2, None))
        given = {n: x for n, x in sources.items() if n != "last_state"}
        small = Problem(
            batch=b,
            dim=d,
            length=1,
            d_state=n,
            groups=1 if added is None else d,
            real=problem.real,
            is_complex=problem.is_complex,
            layouts={name: x.layout for name, x in given.items()},
            axes={name: x.axes for name, x in given.items()},
            constant_b=added is None,
            constant_c=True,
            softplus=False,
            reverse=False,
            device=problem.device,
        )
        self.add(small, sources, self.backend.forward_plan, needs)


class Forward(Walk):
    """Launches of a forward."""

    def __init__(self, backend, problem, operands, keeps):
        super().__init__(backend, problem, operands)
        self.keeps_states = keeps
        self.scratch = 0

    def made(self):
        for i, piece in enumerate(self.pieces):
            self.scan(i, piece)
        if self.pieces[-1].stop is not None:  # the scan ends where a state is wanted
            wanted = self.stop("states_at", self.pieces[-1].stop)
            self.move(wanted, self.given("last_state"), needs="last_state")
        return self.launches

    def scan(self, i, piece):
        sources = {name: self.cut(name, i) for name in self.operands if name != "states_at"}
        if i > 0:
            sources["initial_state"] = self.carried(i)
        if piece.stop is not None:
            sources["last_state"] = self.stop("states_at", piece.stop)
        if self.keeps_states and self.keeps(i):
            sources["states"] = self.kept(i)
        part = part_of(self.problem, piece, i > 0)
        if size := self.backend.forward_scratch(part, operands_of(sources)):
            self.scratch = max(self.scratch, size)
            layout = Layout((), (), part.real)
            sources["carries"] = Source("carries", 0, layout, None)
        self.add(part, sources, self.backend.forward_plan)

    def carried(self, i):
        """The state before the i-th piece."""
        wanted = self.stop("states_at", self.pieces[i - 1].stop)
        if not self.keeps_states:
            return wanted
        self.move(wanted, self.initial_state(i))
        return self.initial_state(i)


class Backward(Walk):
    """Launches of a backward."""

    def made(self):
        self.memory = Memory(self.backend, self.problem)
        parts = [self.backend.backward_parts(part_of(self.problem, x))[1] for x in self.pieces]
        before = [sum(parts[:i]) for i in range(len(parts))]
        for i in range(len(self.pieces) - 1, -1, -1):
            self.sweep(i, self.pieces[i], before[i])
        return self.launches

    def sweep(self, i, piece, rows):
        problem = part_of(self.problem, piece, i > 0)
        left_out = "dlast_state", "dstates_at", "dinitial_state"
        sources = {name: self.cut(name, i) for name in self.operands if name not in left_out}
        behind = self.gradient_behind(i, piece)
        if behind is not None:
            sources["dlast_state"] = behind
        if i > 0:
            sources["initial_state"] = self.initial_state(i)
            self.gradient = sources["dinitial_state"] = self.apart_from(behind)
        elif "dinitial_state" in self.operands:
            sources["dinitial_state"] = self.given("dinitial_state")
        if self.keeps(i):
            sources["states"] = self.kept(i)
        if self.backend.backward_scratch(problem):
            layout = Layout((), (), problem.real)
            sources["carries"] = Source("carries", 0, layout, None)
        for name in [x for x in sources if x.startswith("d") and self.is_summed(x)]:
            found = sources[name]
            sources[name] = found._replace(offset=rows * found.layout.steps[0])
        slices, part_steps, sums = self.backend.backward_parts(problem)[0], {}, []
        for name in ("dB", "dC"):
            if slices > 1 and name in sources and not self.is_summed(name):
                parts, step = self.parts_of(name, sources[name], slices)
                sums.append((parts, sources[name]))
                part_steps[name] = step
                one = Layout(parts.layout.shape[1:], parts.layout.steps[1:], parts.layout.dtype)
                sources[name] = parts._replace(layout=one)
        make = functools.partial(self.backend.backward_plan, part_steps=part_steps)
        self.add(problem, sources, make)
        if sums:
            layouts = [(parts.layout, result.layout) for parts, result in sums]
            self.launches.append(Launch(self.backend.sum_plan(problem, layouts), sums))

    def is_summed(self, name):
        """Whether a gradient has a part for each batch entry."""
        axes = self.problem.axes.get(name[1:])
        return axes is not None and axes.b is None

    def parts_of(self, name, result, slices):
        """dB or dC of a piece in parts, which are summed at once, and the bytes between two."""
        shape = slices, *result.layout.shape
        problem = self.problem
        is_complex = result.layout.dtype.startswith("complex")
        dtype = problem.state_dtype if is_complex else problem.real
        steps = dense_steps(shape, range(len(shape)), SIZES[dtype])
        offset = self.memory.parts[name[1]] * self.unit
        return Source("carries", offset, Layout(shape, steps, dtype), result.axes), steps[0]

    def gradient_behind(self, i, piece):
        """dlast_state of a piece, or None: of the next piece and of the state wanted."""
        if i == len(self.pieces) - 1:
            found = self.given("dlast_state") if "dlast_state" in self.operands else None
        else:
            found = self.gradient
        if piece.stop is not None and "dstates_at" in self.operands:
            wanted = self.stop("dstates_at", piece.stop)
            if found is None:
                return wanted
            target = self.apart_from(found)
            self.move(found, target, added=wanted)
            found = target
        return found

    def apart_from(self, source):
        """One of two places for a gradient of states: a launch may read its inputs twice."""
        first, second = (self.state("carries", x) for x in self.memory.gradients)
        return second if source == first else first


def operands_of(sources):
    """Name -> (Layout, axes), of those whose place the backend does not know by itself."""
    return {n: (x.layout, x.axes) for n, x in sources.items() if x.axes is not None}


def padded(size):
    return -(-size // _UNIT) * _UNIT


def state_size(problem):
    return prod(problem.state_shape) * (2 if problem.is_complex else 1)


def _constant(value, problem):
    """A function that makes a Source of a number in every element."""

    def of(shape, axes, dtype=problem.real):
        return Source(f"number {value}", 0, Layout(shape, (0,) * len(shape), dtype), axes)

    return of


def _cut(layout, axes, piece):
    if axes.t is None:
        return layout
    shape = (*layout.shape[: axes.t], piece.end - piece.first, *layout.shape[axes.t + 1 :])
    return layout._replace(shape=shape)


def part_of(problem, piece, has_state=False):
    """The Problem of a piece; of later ones has an initial state."""
    layouts = {n: _cut(x, problem.axes[n], piece) for n, x in problem.layouts.items()}
    axes = dict(problem.axes)
    if has_state and "initial_state" not in layouts:
        shape, dtype = problem.state_shape, problem.state_dtype
        layouts["initial_state"] = Layout(shape, dense_steps(shape, range(3), SIZES[dtype]), dtype)
        axes["initial_state"] = STATE_AXES
    length = piece.end - piece.first
    changed = {"length": length, "positions": (), "layouts": layouts, "axes": axes}
    return dataclasses.replace(problem, **changed)
