"""One step of the scan where states are neighbours in memory: lanes are states.

A step of a large model reads each state and each row of A once and is over. Walking channels as
lanes, as forward.py does, would transpose both first; here they are used as they lie. Only y, the
sum over the states, is computed with channels as lanes, from the new states while they are in the
first-level cache: so its terms are added in the order of forward.py, and a step has the bits of a
scan.
"""

import numpy as np

from . import layout as at
from .blocks import ONE, ZERO, arguments, load_channels, store_channels
from .forward import gate_chunk
from .jit import helper, inline, kernel
from .simd import (
    broadcast,
    call,
    fma,
    itemsize,
    load,
    load_first,
    splat,
    store,
    store_first,
    width,
)
from .vector_math import LOG2_E, add_products, exp2, softplus, transpose_part


@inline
def update(real, h, a, b, delta, x):
    """h = exp(delta a) h + x b in place, all lanes."""
    decay = exp2(delta * (load(real, a) * splat(real, LOG2_E)))
    store(h, fma(decay, load(real, h), x * b))


@inline
def update_first(real, h, a, b, delta, x, count):
    """The same for the first `count` lanes."""
    decay = exp2(delta * (load_first(real, a, count) * splat(real, LOG2_E)))
    store_first(h, fma(decay, load_first(real, h, count), x * b), count)


@helper
def update_four(real, h, h_step, a, a_step, b, delta, x, d_state):
    """The states of four channels."""
    w, size = width(real), itemsize(real)
    d0, d1 = broadcast(real, delta), broadcast(real, delta + size)
    d2, d3 = broadcast(real, delta + 2 * size), broadcast(real, delta + 3 * size)
    x0, x1 = broadcast(real, x), broadcast(real, x + size)
    x2, x3 = broadcast(real, x + 2 * size), broadcast(real, x + 3 * size)
    h1, h2, h3 = h + h_step, h + 2 * h_step, h + 3 * h_step
    a1, a2, a3 = a + a_step, a + 2 * a_step, a + 3 * a_step
    o, end = 0, d_state * size
    while o + w * size <= end:
        bt = load(real, b + o)
        update(real, h + o, a + o, bt, d0, x0)
        update(real, h1 + o, a1 + o, bt, d1, x1)
        update(real, h2 + o, a2 + o, bt, d2, x2)
        update(real, h3 + o, a3 + o, bt, d3, x3)
        o += w * size
    if o < end:
        rest = (end - o) // size
        bt = load(real, b + o)
        update_first(real, h + o, a + o, bt, d0, x0, rest)
        update_first(real, h1 + o, a1 + o, bt, d1, x1, rest)
        update_first(real, h2 + o, a2 + o, bt, d2, x2, rest)
        update_first(real, h3 + o, a3 + o, bt, d3, x3, rest)


@helper
def update_one(real, h, a, b, delta, x, d_state):
    """The states of one channel."""
    w, size = width(real), itemsize(real)
    dt, xt = broadcast(real, delta), broadcast(real, x)
    for n in range(0, d_state, w):
        o = n * size
        update_first(real, h + o, a + o, load(real, b + o), dt, xt, min(w, d_state - n))


@helper
def add_outputs_of_pair(real, h, h_step, c, y, d_state):
    """y += C . h of 2 w channels, for as many states as whole vectors have; their number.

    Each sum is a chain of additions that wait for each other: with two there is less to wait for.
    """
    w, size = width(real), itemsize(real)
    first, second = load(real, y), load(real, y + w * size)
    n = 0
    while n + w <= d_state:
        o = n * size
        first = add_products(real, h + o, h_step, c + o, first)
        second = add_products(real, h + w * h_step + o, h_step, c + o, second)
        n += w
    store(y, first)
    store(y + w * size, second)
    return n


@helper
def add_outputs(real, h, h_step, c, y, rows, n, d_state, block):
    """y += C . h of at most w channels, from state n on; `block` has room for w vectors."""
    w, size = width(real), itemsize(real)
    row = w * size
    total = load(real, y)
    while n + w <= d_state and rows == w:
        total = add_products(real, h + n * size, h_step, c + n * size, total)
        n += w
    while n < d_state:
        count = min(w, d_state - n)
        transpose_part(real, h + n * size, h_step, rows, count, block, row, 1)
        for i in range(count):
            total = fma(load(real, block + i * row), broadcast(real, c + (n + i) * size), total)
        n += count
    store(y, total)


@helper
def update_channels(real, h, h_step, a, a_step, b, c, delta, x, y, rows, d_state, block):
    """New states of `rows` channels, and what they add to y: a vector of channels at a time.

    Two where their states are few, so that they are still in the first-level cache.
    """
    w, size = width(real), itemsize(real)
    channels = 2 * w if d_state <= 2 * w else w
    for first in range(0, rows, channels):
        end = min(first + channels, rows)
        r = first
        while r + 4 <= end:
            o, hr, ar = r * size, h + r * h_step, a + r * a_step
            update_four(real, hr, h_step, ar, a_step, b, delta + o, x + o, d_state)
            r += 4
        while r < end:
            o, hr, ar = r * size, h + r * h_step, a + r * a_step
            update_one(real, hr, ar, b, delta + o, x + o, d_state)
            r += 1
        n = ZERO
        if end - first == 2 * w:
            n = add_outputs_of_pair(real, h + first * h_step, h_step, c, y + first * size, d_state)
        if n < d_state:
            for r in range(first, end, w):
                hr, o, count = h + r * h_step, r * size, min(w, end - r)
                add_outputs(real, hr, h_step, c, y + o, count, n, d_state, block)


@helper
def load_blocks(real, args, slot, b, d, end, tile):
    """Channels d .. end-1 of an operand without a time axis, w a row; zeros if it is not given."""
    w = width(real)
    for first in range(d, end, w):
        rows = min(w, end - first)
        load_channels(
            real, args, slot, b, ZERO, first, rows, ONE, ZERO, tile + (first - d) * itemsize(real)
        )


@helper
def prepare(real, u, delta, y, skip, m, with_softplus, with_skip):
    """delta becomes delta', u becomes delta' u, and y, the bias before, D u or 0."""
    row = width(real) * itemsize(real)
    for o in range(0, m * row, row):
        dt, ut = load(real, delta + o) + load(real, y + o), load(real, u + o)
        if with_softplus:
            dt = softplus(real, dt)
        store(delta + o, dt)
        store(y + o, load(real, skip + o) * ut if with_skip else splat(real, 0.0))
        store(u + o, dt * ut)


@helper
def copy_states(real, source, source_step, target, target_step, rows, d_state):
    """States of some channels to where they are updated."""
    w, size = width(real), itemsize(real)
    for r in range(rows):
        for n in range(0, d_state, w):
            values = load_first(real, source + r * source_step + n * size, d_state - n)
            store_first(target + r * target_step + n * size, values, d_state - n)


@helper
def step_channels(real, args, scratch, b, d, end):
    """One step of channels d .. end-1, all of one group, in three passes over them."""
    w, size = width(real), itemsize(real)
    m = (end - d + w - 1) // w
    u, delta = scratch + args[at.TILE_U], scratch + args[at.TILE_DELTA]
    y, other = scratch + args[at.TILE_Y], scratch + args[at.TILE_Z]
    load_blocks(real, args, at.U, b, d, end, u)
    load_blocks(real, args, at.DELTA, b, d, end, delta)
    load_blocks(real, args, at.DELTA_BIAS, 0, d, end, y)
    if args[at.D]:
        load_blocks(real, args, at.D, 0, d, end, other)
    prepare(real, u, delta, y, other, m, args[at.SOFTPLUS], args[at.D] != 0)
    before_step, h_step = args[at.INITIAL_STATE + at.STEP_D], args[at.LAST_STATE + at.STEP_D]
    before = args[at.INITIAL_STATE] + b * args[at.INITIAL_STATE + at.STEP_B] + d * before_step
    h, a_step = args[at.LAST_STATE], args[at.A + at.STEP_D]
    h += b * args[at.LAST_STATE + at.STEP_B] + d * h_step
    if h != before:
        copy_states(real, before, before_step, h, h_step, end - d, args[at.D_STATE])
    a = args[at.A] + d * a_step
    tile_b, tile_c = scratch + args[at.TILE_B], scratch + args[at.TILE_C]
    update_channels(
        real, h, h_step, a, a_step, tile_b, tile_c, delta, u, y, end - d, args[at.D_STATE],
        scratch + args[at.TILE_X],
    )  # fmt: skip
    if args[at.Z]:
        load_blocks(real, args, at.Z, b, d, end, other)
        gate_chunk(real, y, other, m)
    for first in range(d, end, w):
        rows = min(w, end - first)
        store_channels(real, args, at.Y, b, ZERO, first, rows, ONE, ZERO, y + (first - d) * size)


@helper
def load_step(real, args, slot, b, g, tile):
    """B or C of group g."""
    w, step_n, d_state = width(real), args[slot + at.STEP_N], args[at.D_STATE]
    source = args[slot] + b * args[slot + at.STEP_B] + g * args[slot + at.STEP_D]
    for n in range(0, d_state, w):
        rows, to = min(w, d_state - n), tile + n * itemsize(real)
        start, code = source + n * step_n, args[slot + at.DTYPE]
        call(args[at.LOAD_TILE], (code, start, step_n, ZERO, rows, ONE, to, w * itemsize(real)))


@helper
def step_runs(real, args, scratch, first, last):
    """Runs of CHUNK blocks, counted over batch entries and groups."""
    run = args[at.CHUNK] * width(real)
    channels = args[at.DIM] // args[at.GROUPS]
    loaded = np.int64(-1)
    for i in range(first, last):
        bg, d = i // args[at.CHUNKS], i % args[at.CHUNKS] * run
        b, g = bg // args[at.GROUPS], bg % args[at.GROUPS]
        if bg != loaded:
            tile_b, tile_c = scratch + args[at.TILE_B], scratch + args[at.TILE_C]
            load_step(real, args, at.B, b, g, tile_b)
            load_step(real, args, at.C, b, g, tile_c)
            loaded = bg
        d += g * channels
        step_channels(real, args, scratch, b, d, min(d + run, (g + 1) * channels))


def compile_step(real, kind_a, kind_b, kind_c):
    """The entry point for real states and shared coefficients (see tasks.py)."""

    @kernel
    def scan_step(address, worker, first, last):
        args = arguments(address)
        scratch = args[at.SCRATCH] + worker * args[at.SCRATCH_STEP]
        step_runs(real, args, scratch, first, last)

    return scan_step
