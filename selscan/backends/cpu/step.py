"""One step of the scan where states are neighbours in memory: lanes are states.

A step of a large model reads each state and each row of A once and is over. Walking channels as
lanes, as forward.py does, would transpose both first; here they are used as they lie. Only y, the
sum over the states, is computed with channels as lanes, from new states that are transposed in
registers: so its terms are added in the order of forward.py, and a step has the bits of a scan.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import layout as at
from .blocks import ONE, ZERO, arguments
from .forward import gate_chunk
from .jit import helper, kernel
from .simd import (
    Vector,
    broadcast,
    call,
    constant,
    emit_broadcast,
    emit_fma,
    emit_keep_first,
    emit_load,
    emit_load_first,
    emit_prefetch,
    emit_store,
    emit_store_first,
    fma,
    itemsize,
    keep_first,
    load,
    load_first,
    splat,
    store,
    store_first,
    width,
)
from .vector_math import LOG2_E, emit_exp2, emit_transpose, exp2, softplus

# Vectors of a row from the one in use to that which is asked for: the CPU's own prefetching cannot
# follow as many rows at a time as a vector has lanes.
AHEAD = 4


def emit_number(builder, real, address, i):
    """The i-th of the numbers at a byte address, in every lane."""
    offset = ir.Constant(ir.IntType(64), i * real.bitwidth // 8)
    return emit_broadcast(builder, Vector(real).llvm, builder.add(address, offset))


def emit_outputs(builder, real, states, c, total):
    """total + C . h, state by state; `states` of w channels are transposed in registers."""
    for i, column in enumerate(emit_transpose(builder, states)):
        total = emit_fma(builder, column, emit_number(builder, real, c, i), total)
    return total


@intrinsic
def add_outputs(typingctx, real, states, c, total):
    """total + C . h of w channels and w states; the vectors of channels follow each other."""
    vector = Vector(real)

    def codegen(context, builder, sig, args):
        size = ir.Constant(ir.IntType(64), vector.width * real.bitwidth // 8)
        address, rows = args[1], []
        for _ in range(vector.width):
            rows.append(emit_load(builder, vector.llvm, address))
            address = builder.add(address, size)
        return emit_outputs(builder, real, rows, args[2], args[3])

    return vector(real, types.int64, types.int64, vector), codegen


@intrinsic
def update_block(
    typingctx, real, h, h_step, h_ahead, a, a_step, a_ahead, b, c, delta, x, total, count
):
    """h = exp(delta a) h + x b of w channels and w states in place; total + C . h.

    `count` is None, or there are so many states, and behind them c is minus zero: with that the
    sum stays what it is. Memory `h_ahead` and `a_ahead` bytes further is asked for.
    """
    vector = Vector(real)

    def codegen(context, builder, sig, args):
        h, h_step, h_ahead, a, a_step, a_ahead, b, c, delta, x = (
            context.cast(builder, value, kind, types.int64)
            for value, kind in zip(args[1:11], sig.args[1:11], strict=True)
        )
        some = None if count == types.none else context.cast(builder, args[12], count, types.int64)
        bt, log2_e, states = emit_load(builder, vector.llvm, b), constant(vector.llvm, LOG2_E), []
        for i in range(vector.width):
            emit_prefetch(builder, builder.add(h, h_ahead), 3)
            emit_prefetch(builder, builder.add(a, a_ahead), 3)
            if some is None:
                before, rate = (emit_load(builder, vector.llvm, p) for p in (h, a))
            else:
                before, rate = (emit_load_first(builder, vector.llvm, p, some) for p in (h, a))
            dt, xt = emit_number(builder, real, delta, i), emit_number(builder, real, x, i)
            decay = emit_exp2(builder, builder.fmul(dt, builder.fmul(rate, log2_e)), real)
            new = emit_fma(builder, decay, before, builder.fmul(xt, bt))
            if some is None:
                emit_store(builder, new, h)
            else:
                emit_store_first(builder, new, h, some)
                new = emit_keep_first(builder, new, some)
            states.append(new)
            h, a = builder.add(h, h_step), builder.add(a, a_step)
        return emit_outputs(builder, real, states, c, args[11])

    addresses = h, h_step, h_ahead, a, a_step, a_ahead, b, c, delta, x
    return vector(real, *addresses, vector, count), codegen


@helper
def update_channels(real, h, h_step, a, a_step, b, c, delta, x, y, d_state):
    """New states of w channels; y += C . h."""
    w, size = width(real), itemsize(real)
    row, end = w * size, d_state * size
    total, o = load(real, y), 0
    while o < end:
        h_ahead = a_ahead = AHEAD * row
        if o + AHEAD * row >= end:
            h_ahead, a_ahead = h_ahead + w * h_step - end, a_ahead + w * a_step - end
        if o + row <= end:
            total = update_block(
                real, h + o, h_step, h_ahead, a + o, a_step, a_ahead, b + o, c + o, delta, x, total,
                None,
            )  # fmt: skip
        else:
            total = update_block(
                real, h + o, h_step, h_ahead, a + o, a_step, a_ahead, b + o, c + o, delta, x, total,
                (end - o) // size,
            )  # fmt: skip
        o += row
    store(y, total)


@helper
def update_few(real, h, h_step, a, a_step, b, c, delta, x, y, rows, d_state, block):
    """The same for less than w channels, one by one; `block` has room for w vectors."""
    w, size = width(real), itemsize(real)
    row, total = w * size, load(real, y)
    for r in range(rows, w):
        store(block + r * row, splat(real, 0.0))
    for n in range(0, d_state, w):
        o, count = n * size, min(w, d_state - n)
        bt = load(real, b + o)
        for r in range(rows):
            hr = h + r * h_step + o
            rate = load_first(real, a + r * a_step + o, count) * splat(real, LOG2_E)
            decay = exp2(broadcast(real, delta + r * size) * rate)
            new = fma(decay, load_first(real, hr, count), broadcast(real, x + r * size) * bt)
            store_first(hr, new, count)
            store(block + r * row, keep_first(new, count))
        total = add_outputs(real, block, c + o, total)
    store(y, total)


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
    for first in range(d, end, w):
        o, hr, ar = (first - d) * size, h + (first - d) * h_step, a + (first - d) * a_step
        if first + w <= end:
            update_channels(
                real, hr, h_step, ar, a_step, tile_b, tile_c, delta + o, u + o, y + o,
                args[at.D_STATE],
            )  # fmt: skip
        else:
            update_few(
                real, hr, h_step, ar, a_step, tile_b, tile_c, delta + o, u + o, y + o,
                end - first, args[at.D_STATE], scratch + args[at.TILE_X],
            )  # fmt: skip
    if args[at.Z]:
        load_blocks(real, args, at.Z, b, d, end, other)
        gate_chunk(real, y, other, m)
    store_blocks(real, args, at.Y, b, d, end, y)


@helper
def load_step(real, args, slot, b, g, tile):
    """B or C of group g; behind it minus zeros, which `update_block` asks for."""
    w, step_n, d_state = width(real), args[slot + at.STEP_N], args[at.D_STATE]
    source = args[slot] + b * args[slot + at.STEP_B] + g * args[slot + at.STEP_D]
    for n in range(0, d_state, w):
        rows, to = min(w, d_state - n), tile + n * itemsize(real)
        start, code = source + n * step_n, args[slot + at.DTYPE]
        call(args[at.LOAD_TILE], (code, start, step_n, ZERO, rows, ONE, to, w * itemsize(real)))
    store_first(tile + d_state * itemsize(real), splat(real, -0.0), -d_state % w)


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
