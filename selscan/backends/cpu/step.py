"""One step of the scan where states are neighbours in memory: lanes are states.

A step of a large model reads each state and each row of A once and is over. Walking channels as
lanes, as forward.py does, would transpose both first; here they are used as they lie. Only y, the
sum over the states, is computed with channels as lanes, from new states that are transposed as
they are read again: so its terms are added in the order of forward.py, and a step has the bits of a
scan.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import layout as at
from .blocks import ONE, ZERO, arguments
from .exponential import exp2
from .forward import gate_chunk
from .jit import helper, kernel
from .simd import (
    Vector,
    broadcast,
    call,
    emit_broadcast,
    emit_fma,
    emit_load,
    fma,
    itemsize,
    keep_first,
    load,
    load_first,
    shuffle,
    splat,
    store,
    store_first,
    width,
)
from .vector_math import LOG2_E, emit_transpose, softplus

# Bytes of a row that are updated before y is added up from them, while they are in the first-level
# cache. Few long rows are what the CPU's own prefetching follows.
PIECE = 1024


@intrinsic
def add_outputs(typingctx, real, h, step, rows, c, total):
    """total + C . h of w states; rows of channels are `step` bytes apart, the last is there for w.

    Halves of two rows meet in a vector as they are loaded, so that shuffles have only squares of
    half the width to transpose.
    """
    vector = Vector(real)
    w, half, size = vector.width, vector.width // 2, real.bitwidth // 8

    def codegen(context, builder, sig, args):
        h, step, rows, c = (
            context.cast(builder, value, kind, types.int64)
            for value, kind in zip(args[1:5], sig.args[1:5], strict=True)
        )
        part, total, places = ir.VectorType(vector.llvm.element, half), args[5], [h]
        for r in range(1, w):
            is_there = builder.icmp_signed("<", rows.type(r), rows)
            places.append(builder.add(places[-1], builder.select(is_there, step, step.type(0))))
        for first in (0, half):
            parts = [
                emit_load(builder, part, builder.add(place, place.type(first * size)))
                for place in places
            ]
            pairs = zip(parts[:half], parts[half:], strict=True)
            joined = [shuffle(builder, x, y, range(w)) for x, y in pairs]
            for i, column in enumerate(emit_transpose(builder, joined), first):
                number = emit_broadcast(builder, vector.llvm, builder.add(c, c.type(i * size)))
                total = emit_fma(builder, column, number, total)
        return total

    return vector(real, h, step, rows, c, vector), codegen


@helper
def add_up(real, h, h_step, c, y, rows, length):
    """y += C . h for `length` bytes of states of at most 2 w channels.

    Each sum waits for the one before it, so two blocks are added up together.
    """
    w, row = width(real), width(real) * itemsize(real)
    if rows == 2 * w:
        y0, y1, second = load(real, y), load(real, y + row), h + w * h_step
        for o in range(0, length, row):
            y0 = add_outputs(real, h + o, h_step, w, c + o, y0)
            y1 = add_outputs(real, second + o, h_step, w, c + o, y1)
        store(y, y0)
        store(y + row, y1)
        return
    for first in range(0, rows, w):
        total, start = load(real, y + first * itemsize(real)), h + first * h_step
        for o in range(0, length, row):
            total = add_outputs(real, start + o, h_step, rows - first, c + o, total)
        store(y + first * itemsize(real), total)


@helper
def update_states(real, h, h_step, a, a_step, b, delta, x, rows, length):
    """h = exp(delta a) h + x b in place, for `length` bytes of states of some channels.

    Two vectors at a time: the CPU works on one while the other waits. The last of an odd number is
    both, the same numbers written twice. Of channels with one vector each two are taken.
    """
    size, log2_e = itemsize(real), splat(real, LOG2_E)
    row = width(real) * size
    if length == row:
        bt = load(real, b)
        for r in range(0, rows, 2):
            s = min(r + 1, rows - 1)
            h0, h1, a0, a1 = h + r * h_step, h + s * h_step, a + r * a_step, a + s * a_step
            decay0 = exp2(broadcast(real, delta + r * size) * (load(real, a0) * log2_e))
            decay1 = exp2(broadcast(real, delta + s * size) * (load(real, a1) * log2_e))
            new0 = fma(decay0, load(real, h0), broadcast(real, x + r * size) * bt)
            new1 = fma(decay1, load(real, h1), broadcast(real, x + s * size) * bt)
            store(h0, new0)
            store(h1, new1)
        return
    for r in range(rows):
        dt, xt = broadcast(real, delta + r * size), broadcast(real, x + r * size)
        for o in range(0, length, 2 * row):
            p = min(o + row, length - row)
            decay0 = exp2(dt * (load(real, a + o) * log2_e))
            decay1 = exp2(dt * (load(real, a + p) * log2_e))
            new0 = fma(decay0, load(real, h + o), xt * load(real, b + o))
            new1 = fma(decay1, load(real, h + p), xt * load(real, b + p))
            store(h + o, new0)
            store(h + p, new1)
        h += h_step
        a += a_step


@helper
def update_last(real, h, h_step, a, a_step, b, delta, x, rows, count, block):
    """The same of the last `count` states; a copy goes to `block`, w a row, zeros behind them."""
    size = itemsize(real)
    bt, log2_e = load(real, b), splat(real, LOG2_E)
    for r in range(rows):
        decay = exp2(broadcast(real, delta + r * size) * (load_first(real, a, count) * log2_e))
        new = fma(decay, load_first(real, h, count), broadcast(real, x + r * size) * bt)
        store_first(h, new, count)
        store(block + r * width(real) * size, keep_first(new, count))
        h += h_step
        a += a_step


@helper
def update_channels(real, h, h_step, a, a_step, b, c, delta, x, y, rows, d_state, block):
    """New states of at most 2 w channels; y += C . h. `block` has room for as many vectors.

    Behind the states c is minus zero: with that the sum stays what it is.
    """
    size, o = itemsize(real), 0
    row, end = width(real) * size, d_state * size
    whole = end - end % row
    while o < whole:
        n = min(PIECE, whole - o)
        update_states(real, h + o, h_step, a + o, a_step, b + o, delta, x, rows, n)
        add_up(real, h + o, h_step, c + o, y, rows, n)
        o += n
    if o < end:
        n = (end - o) // size
        update_last(real, h + o, h_step, a + o, a_step, b + o, delta, x, rows, n, block)
        add_up(real, block, row, c + o, y, rows, row)


@helper
def load_blocks(real, args, slot, b, d, end, tile):
    """Channels d .. end-1 of an operand without a time axis, w a row; zeros if it is not given."""
    w, size, step, code = width(real), itemsize(real), args[slot + at.STEP_D], args[slot + at.DTYPE]
    source, count = args[slot] + b * args[slot + at.STEP_B] + d * step, w if args[slot] else 0
    blocks, rest = (end - d) // w, (end - d) % w
    if blocks:
        call(args[at.LOAD_TILE], (code, source, step, w * step, count, blocks, tile, w * size))
    if rest:
        done = blocks * w
        source, tile, count = source + done * step, tile + done * size, min(count, rest)
        call(args[at.LOAD_TILE], (code, source, step, ZERO, count, ONE, tile, w * size))


@helper
def store_blocks(real, args, slot, b, d, end, tile):
    """Write such rows."""
    w, size, step, code = width(real), itemsize(real), args[slot + at.STEP_D], args[slot + at.DTYPE]
    target = args[slot] + b * args[slot + at.STEP_B] + d * step
    blocks, rest = (end - d) // w, (end - d) % w
    if blocks:
        call(args[at.STORE_TILE], (code, tile, w * size, w, blocks, target, step, w * step))
    if rest:
        done = blocks * w
        target, tile = target + done * step, tile + done * size
        call(args[at.STORE_TILE], (code, tile, w * size, rest, ONE, target, step, ZERO))


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
    for first in range(d, end, 2 * w):
        o, hr, ar = (first - d) * size, h + (first - d) * h_step, a + (first - d) * a_step
        update_channels(
            real, hr, h_step, ar, a_step, tile_b, tile_c, delta + o, u + o, y + o,
            min(2 * w, end - first), args[at.D_STATE], scratch + args[at.TILE_X],
        )  # fmt: skip
    if args[at.Z]:
        load_blocks(real, args, at.Z, b, d, end, other)
        gate_chunk(real, y, other, m)
    store_blocks(real, args, at.Y, b, d, end, y)


@helper
def load_step(real, args, slot, b, g, tile):
    """B or C of group g; behind it minus zeros, which `update_channels` asks for."""
    w, size, d_state = width(real), itemsize(real), args[at.D_STATE]
    step, code, whole = args[slot + at.STEP_N], args[slot + at.DTYPE], d_state // w
    source = args[slot] + b * args[slot + at.STEP_B] + g * args[slot + at.STEP_D]
    if whole:
        call(args[at.LOAD_TILE], (code, source, step, w * step, w, whole, tile, w * size))
    if d_state % w:
        done = whole * w
        source, to, rest = source + done * step, tile + done * size, d_state % w
        call(args[at.LOAD_TILE], (code, source, step, ZERO, rest, ONE, to, w * size))
        store_first(tile + d_state * size, splat(real, -0.0), w - rest)


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
