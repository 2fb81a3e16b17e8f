"""B and C in the state loop: shared by the channels of a group, or constant in time.

Which of the two is decided when a kernel is compiled, by the *type* of a marker argument, so that
the loop reads one address either way.
"""

import numpy as np
from numba import types
from numba.extending import overload

from . import layout as at
from .formats import COMPLEX, size_of
from .jit import INLINE, helper, inline
from .maps import load_rows, store_rows
from .planes import parts
from .simd import broadcast, itemsize, keep_first, load, poke, splat, store, width
from .vector_math import interleave_sums, store_interleaved, sum_lanes

# (b, g, n, l): a coefficient tile has a row of scalars for each step, one a state.
SHARED = np.int8(0)
# (d, n): a tile has a vector for each state, one lane a channel, as A has.
CONSTANT = np.uint8(0)
SHARED_TYPE = types.int8


def coefficient(kind, real, address):
    """The coefficient of one state in every lane."""


@overload(coefficient, jit_options=INLINE)
def _coefficient(kind, real, address):
    if kind == SHARED_TYPE:
        return lambda kind, real, address: broadcast(real, address)
    return lambda kind, real, address: load(real, address)


def is_constant(kind):
    """Whether a coefficient has no time axis, known at compile time."""


@overload(is_constant, jit_options=INLINE)
def _is_constant(kind):
    constant = kind != SHARED_TYPE
    return lambda kind: constant


def state_step(kind, real):
    """Bytes from one state to the next in a coefficient tile."""


@overload(state_step, jit_options=INLINE)
def _state_step(kind, real):
    if kind == SHARED_TYPE:
        return lambda kind, real: itemsize(real)
    return lambda kind, real: width(real) * itemsize(real)


@helper
def padded(real, d_state):
    """d_state rounded up to whole vectors: the row length of a shared coefficient tile."""
    w = width(real)
    return (d_state + w - 1) // w * w


def part_step(kind, real, d_state):
    """Bytes from the real parts to the imaginary ones in a coefficient tile."""


@overload(part_step, jit_options=INLINE)
def _part_step(kind, real, d_state):
    if kind == SHARED_TYPE:
        return lambda kind, real, d_state: padded(real, d_state) * itemsize(real)
    return lambda kind, real, d_state: d_state * width(real) * itemsize(real)


def time_step(kind_a, kind, real, d_state):
    """Bytes from one time step to the next in a coefficient tile."""


@overload(time_step, jit_options=INLINE)
def _time_step(kind_a, kind, real, d_state):
    if kind == SHARED_TYPE:
        return lambda kind_a, kind, real, d_state: (
            parts(kind_a) * padded(real, d_state) * itemsize(real)
        )
    return lambda kind_a, kind, real, d_state: np.int64(0)


@helper
def load_shared(real, kind_a, args, scratch, slot, b, r, g, c, tile):
    """Chunk c of group g on route r, states as lanes."""
    w, size, d_state = width(real), itemsize(real), args[at.D_STATE]
    step_n, code = args[slot + at.STEP_N], args[slot + at.DTYPE]
    source = args[slot] + b * args[slot + at.STEP_B] + r * args[slot + at.STEP_R]
    source += g * args[slot + at.STEP_D]
    row, plane = time_step(kind_a, SHARED, real, d_state), part_step(SHARED, real, d_state)
    for p in range(parts(kind_a)):
        given = p == 0 or code & COMPLEX
        for n in range(0, d_state, w):
            at_n = source + n * step_n + p * size_of(code)
            rows = min(w, d_state - n) if given else 0
            o = p * plane + n * size
            load_rows(real, args, scratch, slot, at_n, step_n, rows, b, r, c, o, tile + o, row)


# Gradients: sums over lanes (shared) or over time (constant).
#
# While a chunk runs, dB and dC collect in vectors. Shared: a vector for each step and each four
# states (interleave_sums), or for each state of the d_state % 4 left over; lanes without a channel,
# where zero may have met infinity, add nothing. Constant: one vector for each state of a block, as
# dA has.


def gradient_step(kind, real, step):
    """Bytes between the sums of neighbouring time steps, which are `step` apart in a tile."""


@overload(gradient_step, jit_options=INLINE)
def _gradient_step(kind, real, step):
    if kind == SHARED_TYPE:
        return lambda kind, real, step: step
    return lambda kind, real, step: np.int64(0)


def add_to_sums(kind, real, address, v0, v1, v2, v3, rows):
    """Add the terms of four states, of the `rows` lanes that are channels."""


@overload(add_to_sums, jit_options=INLINE)
def _add_to_sums(kind, real, address, v0, v1, v2, v3, rows):
    def shared(kind, real, address, v0, v1, v2, v3, rows):
        v0, v1 = keep_first(v0, rows), keep_first(v1, rows)
        v2, v3 = keep_first(v2, rows), keep_first(v3, rows)
        store(address, load(real, address) + interleave_sums(v0, v1, v2, v3))

    def constant(kind, real, address, v0, v1, v2, v3, rows):
        row = width(real) * itemsize(real)
        add_to_sum(real, address, v0)
        add_to_sum(real, address + row, v1)
        add_to_sum(real, address + 2 * row, v2)
        add_to_sum(real, address + 3 * row, v3)

    return shared if kind == SHARED_TYPE else constant


@inline
def add_to_sum(real, address, value):
    """Add the terms of one state."""
    store(address, load(real, address) + value)


@helper
def sums_of(kind, real, tile, n, chunk, d_state):
    """Where the sums of state n (and the three after it) begin."""
    row = width(real) * itemsize(real)
    if is_constant(kind):
        return tile + n * row
    paired = d_state // 4 * 4
    slot = n // 4 if n < paired else paired // 4 + n - paired
    return tile + slot * chunk * row


@helper
def clear(real, tile, rows):
    row = width(real) * itemsize(real)
    for i in range(rows):
        store(tile + i * row, splat(real, 0.0))


@inline
def sum_rows(real, chunk, d_state):
    """Vectors that the sums of a chunk take."""
    return (d_state // 4 + d_state % 4) * chunk


@helper
def finish_sums(real, tile, m, chunk, d_state, finished):
    """From the sums of a chunk in vectors to a coefficient tile of scalars."""
    size = itemsize(real)
    row, vector = padded(real, d_state) * size, width(real) * size
    n = 0
    while n < d_state:
        sums = sums_of(SHARED, real, tile, n, chunk, d_state)
        count = 4 if n + 4 <= d_state else 1
        for i in range(m):
            target = finished + i * row + n * size
            if count == 4:
                store_interleaved(target, load(real, sums + i * vector))
            else:
                poke(target, sum_lanes(load(real, sums + i * vector)))
        n += count


@helper
def store_shared(real, kind_a, args, scratch, slot, b, r, g, c, tile, offset):
    """Write a coefficient tile to chunk c of group g on route r; real parts where that is real."""
    w, size, d_state = width(real), itemsize(real), args[at.D_STATE]
    step_n, code = args[slot + at.STEP_N], args[slot + at.DTYPE]
    target = args[slot] + b * args[slot + at.STEP_B] + r * args[slot + at.STEP_R]
    target += g * args[slot + at.STEP_D] + offset
    row, plane = time_step(kind_a, SHARED, real, d_state), part_step(SHARED, real, d_state)
    for p in range(parts(kind_a)):
        if p == 0 or code & COMPLEX:
            for n in range(0, d_state, w):
                to, o = target + n * step_n + p * size_of(code), p * plane + n * size
                rows = min(w, d_state - n)
                store_rows(real, args, scratch, slot, to, step_n, rows, b, r, c, o, tile + o, row)
