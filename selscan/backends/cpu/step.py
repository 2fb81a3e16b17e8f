"""One step of the scan where states are neighbours in memory: lanes are states.

A step of a large model reads each state and each row of A once and is over. Walking channels as
lanes, as forward.py does, would transpose both first; here they are used as they lie, and only the
sum over states crosses lanes, four channels at a time.
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
    keep_first,
    load,
    load_first,
    poke,
    splat,
    store,
    store_first,
    width,
)
from .vector_math import LOG2_E, exp2, interleave_sums, softplus, store_interleaved, sum_lanes


@inline
def update(real, h, a, b, c, delta, x, total):
    """h = exp2(delta a) h + x b in place, all lanes; total + C h, to be summed over lanes."""
    new = fma(exp2(delta * load(real, a)), load(real, h), x * b)
    store(h, new)
    return fma(new, c, total)


@inline
def update_first(real, h, a, b, c, delta, x, total, count):
    """The same for the first `count` lanes; c is zero behind them."""
    decay = exp2(delta * load_first(real, a, count))
    new = fma(decay, load_first(real, h, count), x * b)
    store_first(h, new, count)
    return fma(keep_first(new, count), c, total)


@helper
def update_four(real, h, h_step, a, a_step, b, c, delta, x, y, d_state):
    """y[r] = C . h[r] for four channels."""
    w, size = width(real), itemsize(real)
    d0, d1 = broadcast(real, delta), broadcast(real, delta + size)
    d2, d3 = broadcast(real, delta + 2 * size), broadcast(real, delta + 3 * size)
    x0, x1 = broadcast(real, x), broadcast(real, x + size)
    x2, x3 = broadcast(real, x + 2 * size), broadcast(real, x + 3 * size)
    h1, h2, h3 = h + h_step, h + 2 * h_step, h + 3 * h_step
    a1, a2, a3 = a + a_step, a + 2 * a_step, a + 3 * a_step
    s0 = s1 = s2 = s3 = splat(real, 0.0)
    o, end = 0, d_state * size
    while o + w * size <= end:
        bt, ct = load(real, b + o), load(real, c + o)
        s0 = update(real, h + o, a + o, bt, ct, d0, x0, s0)
        s1 = update(real, h1 + o, a1 + o, bt, ct, d1, x1, s1)
        s2 = update(real, h2 + o, a2 + o, bt, ct, d2, x2, s2)
        s3 = update(real, h3 + o, a3 + o, bt, ct, d3, x3, s3)
        o += w * size
    if o < end:
        rest = (end - o) // size
        bt, ct = load(real, b + o), load(real, c + o)
        s0 = update_first(real, h + o, a + o, bt, ct, d0, x0, s0, rest)
        s1 = update_first(real, h1 + o, a1 + o, bt, ct, d1, x1, s1, rest)
        s2 = update_first(real, h2 + o, a2 + o, bt, ct, d2, x2, s2, rest)
        s3 = update_first(real, h3 + o, a3 + o, bt, ct, d3, x3, s3, rest)
    store_interleaved(y, interleave_sums(s0, s1, s2, s3))


@helper
def update_one(real, h, a, b, c, delta, x, y, d_state):
    """y = C . h for one channel."""
    w, size = width(real), itemsize(real)
    dt, xt, s = broadcast(real, delta), broadcast(real, x), splat(real, 0.0)
    for n in range(0, d_state, w):
        o = n * size
        bt, ct, rest = load(real, b + o), load(real, c + o), min(w, d_state - n)
        s = update_first(real, h + o, a + o, bt, ct, dt, xt, s, rest)
    poke(y, sum_lanes(s))


@helper
def update_channels(real, h, h_step, a, a_step, b, c, delta, x, y, rows, d_state):
    """y[r] = C . h[r] for `rows` channels."""
    size = itemsize(real)
    r = 0
    while r + 4 <= rows:
        o, hr, ar = r * size, h + r * h_step, a + r * a_step
        update_four(real, hr, h_step, ar, a_step, b, c, delta + o, x + o, y + o, d_state)
        r += 4
    while r < rows:
        o, hr, ar = r * size, h + r * h_step, a + r * a_step
        update_one(real, hr, ar, b, c, delta + o, x + o, y + o, d_state)
        r += 1


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
def prepare(real, u, delta, bias, m, with_softplus):
    """u becomes delta' u, and delta becomes delta' log2(e), for exp2."""
    row = width(real) * itemsize(real)
    for o in range(0, m * row, row):
        dt = load(real, delta + o) + load(real, bias + o)
        if with_softplus:
            dt = softplus(real, dt)
        store(u + o, dt * load(real, u + o))
        store(delta + o, dt * splat(real, LOG2_E))


@helper
def add_skip(real, y, u, skip, m):
    """y += D u."""
    row = width(real) * itemsize(real)
    for o in range(0, m * row, row):
        store(y + o, fma(load(real, skip + o), load(real, u + o), load(real, y + o)))


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
    load_blocks(real, args, at.DELTA_BIAS, 0, d, end, other)
    prepare(real, u, delta, other, m, args[at.SOFTPLUS])
    before_step, h_step = args[at.INITIAL_STATE + at.STEP_D], args[at.LAST_STATE + at.STEP_D]
    before = args[at.INITIAL_STATE] + b * args[at.INITIAL_STATE + at.STEP_B] + d * before_step
    h, a_step = args[at.LAST_STATE], args[at.A + at.STEP_D]
    h += b * args[at.LAST_STATE + at.STEP_B] + d * h_step
    if h != before:
        copy_states(real, before, before_step, h, h_step, end - d, args[at.D_STATE])
    a = args[at.A] + d * a_step
    tile_b, tile_c = scratch + args[at.TILE_B], scratch + args[at.TILE_C]
    update_channels(
        real, h, h_step, a, a_step, tile_b, tile_c, delta, u, y, end - d, args[at.D_STATE]
    )
    if args[at.D]:
        load_blocks(real, args, at.U, b, d, end, u)
        load_blocks(real, args, at.D, 0, d, end, other)
        add_skip(real, y, u, other, m)
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
