"""Scan backward: the adjoint recurrence, chunk by chunk from the end of the scan.

    dh[t] = dy[t] C[t] + exp(delta[t+1] A) dh[t+1]          (dy already times silu(z))
    du[t] = delta[t] (B[t] . dh[t]) + D dy[t]
    ddelta[t] = u[t] (B[t] . dh[t]) + A . (exp(delta[t] A) h[t-1] dh[t])
    dA = sum_t delta[t] exp(delta[t] A) h[t-1] dh[t]
    dB[t] = delta[t] u[t] dh[t],  dC[t] = dy[t] h[t],  summed over the channels of the group

Without D, and with h[t-1] where a state begins, terms are missing as in forward.py.

States are kept at chunk starts only; sweep.py runs a chunk forward again from there and then back.
The sums over time of dA, dD and d(delta_bias) are taken per chunk before they join the total, which
keeps their error small.

A task walks all blocks of its slice for one chunk before it takes the next, so that dB and dC of
the chunk are complete when it writes them: no atomics, the same bits every run.
"""

from . import layout as at
from .blocks import (
    ONE,
    ZERO,
    arguments,
    channels_of,
    chunk_start,
    load_channels,
    prefetch_next,
    prefetch_steps,
    routes_of,
    slice_of,
    states_address,
    store_channels,
)
from .coefficients import (
    add_to_sum,
    clear,
    is_constant,
    load_shared,
)
from .jit import helper, inline, kernel
from .maps import clear_padding, load_steps, store_steps
from .planes import load_planes, load_rates, parts, store_planes
from .segments import find_segments, segment_table
from .simd import fma, itemsize, load, splat, store, width
from .stops import load_gradients
from .sweep import clear_sums, store_sums, sweep
from .vector_math import LN_2, sigmoid, softplus, softplus_slope


@helper
def prepare_chunk(real, args, scratch, m):
    """delta', its slope, x = delta' u, D u, and with z the gated dy and the factor of dz."""
    row = width(real) * itemsize(real)
    bias = load(real, scratch + args[at.TILE_ROW])
    skip = load(real, scratch + args[at.TILE_ROW] + row)
    u, delta = scratch + args[at.TILE_U], scratch + args[at.TILE_DELTA]
    x, y = scratch + args[at.TILE_X], scratch + args[at.TILE_Y]
    slope = scratch + args[at.TILE_SLOPE]
    g, z = scratch + args[at.TILE_G], scratch + args[at.TILE_Z]
    one = splat(real, 1.0)
    for p in range(0, m * row, row):
        ut, raw = load(real, u + p), load(real, delta + p) + bias
        dt, st = raw, one
        if args[at.SOFTPLUS]:
            dt, st = softplus(real, raw), softplus_slope(real, raw)
        store(delta + p, dt)
        store(slope + p, st)
        store(x + p, dt * ut)
        if args[at.Z]:
            gt, zt = load(real, g + p), load(real, z + p)
            gate = sigmoid(real, zt)
            store(y + p, skip * ut if args[at.D] else splat(real, 0.0))
            store(g + p, gt * (zt * gate))
            store(z + p, gt * (gate * fma(zt, one - gate, one)))


@helper
def finish_chunk(real, args, scratch, drow, m):
    """From the sums over states to du, ddelta, dz, and the parts of d(delta_bias) and dD."""
    row = width(real) * itemsize(real)
    skip = load(real, scratch + args[at.TILE_ROW] + row)
    u, delta = scratch + args[at.TILE_U], scratch + args[at.TILE_DELTA]
    slope, g = scratch + args[at.TILE_SLOPE], scratch + args[at.TILE_G]
    y, z = scratch + args[at.TILE_Y], scratch + args[at.TILE_Z]
    dx, ddelta = scratch + args[at.TILE_DX], scratch + args[at.TILE_DDELTA]
    dbias, dskip = splat(real, 0.0), splat(real, 0.0)
    for p in range(0, m * row, row):
        ut, gt, s = load(real, u + p), load(real, g + p), load(real, dx + p)
        dd = fma(s, ut, load(real, ddelta + p) * splat(real, LN_2)) * load(real, slope + p)
        du = s * load(real, delta + p)
        if args[at.D]:
            du = fma(s, load(real, delta + p), gt * skip)
        store(dx + p, du)
        store(ddelta + p, dd)
        dbias = dbias + dd
        dskip = fma(gt, ut, dskip)
        if args[at.Z]:
            store(z + p, load(real, z + p) * load(real, y + p))
    add_to_sum(real, drow, dbias)
    add_to_sum(real, drow + row, dskip)


@inline
def backward_block(
    real, kind_a, kind_b, kind_c, args, scratch, table, b, r, g, c, block, first, last
):
    """One chunk of one block."""
    row = width(real) * itemsize(real)
    d_state = args[at.D_STATE]
    t, m = chunk_start(args, c)
    d, rows = channels_of(real, args, g, block)
    own = (block - first) * d_state * row * parts(kind_a)
    tile_b, tile_c = scratch + args[at.TILE_B], scratch + args[at.TILE_C]
    db, dc = scratch + args[at.TILE_DB], scratch + args[at.TILE_DC]
    if is_constant(kind_b):
        load_planes(real, kind_a, args, at.B, ZERO, r, d, rows, d_state, tile_b)
        db += own
    if is_constant(kind_c):
        load_planes(real, kind_a, args, at.C, ZERO, r, d, rows, d_state, tile_c)
        dc += own
    bias = scratch + args[at.TILE_ROW]
    load_channels(real, args, at.DELTA_BIAS, ZERO, r, d, rows, ONE, ZERO, bias)
    load_channels(real, args, at.D, ZERO, r, d, rows, ONE, ZERO, bias + row)
    i = block - first
    load_steps(real, args, scratch, at.U, b, r, d, rows, i, c, scratch + args[at.TILE_U])
    load_steps(real, args, scratch, at.DELTA, b, r, d, rows, i, c, scratch + args[at.TILE_DELTA])
    load_steps(real, args, scratch, at.DY, b, r, d, rows, i, c, scratch + args[at.TILE_G])
    if args[at.Z]:
        load_steps(real, args, scratch, at.Z, b, r, d, rows, i, c, scratch + args[at.TILE_Z])
    prefetch_next(real, args, b, r, g, c, c - 1, block, first, last)
    prefetch_steps(args, at.DU, b, r, d, t, rows, m)
    prefetch_steps(args, at.DDELTA, b, r, d, t, rows, m)
    prepare_chunk(real, args, scratch, m)
    clear_padding(real, args, b, r, t, m, scratch + args[at.TILE_X], row)
    clear(real, scratch + args[at.TILE_DX], m)
    clear(real, scratch + args[at.TILE_DDELTA], m)
    states = states_address(real, args, b, r, g, block, c, parts(kind_a))
    load_gradients(real, kind_a, args, b, d, rows, c, scratch + args[at.TILE_STOPS])
    sweep(kind_a, real, kind_b, kind_c, args, scratch, table, states, own, db, dc, c, m, rows)
    clear_padding(real, args, b, r, t, m, scratch + args[at.TILE_DX], row)
    finish_chunk(real, args, scratch, scratch + args[at.TILE_DROW] + (block - first) * 2 * row, m)
    store_steps(real, args, scratch, at.DU, b, r, d, rows, i, c, scratch + args[at.TILE_DX])
    store_steps(real, args, scratch, at.DDELTA, b, r, d, rows, i, c, scratch + args[at.TILE_DDELTA])
    if args[at.Z]:
        store_steps(real, args, scratch, at.DZ, b, r, d, rows, i, c, scratch + args[at.TILE_Z])


@inline
def start_route(real, kind_a, kind_b, kind_c, args, scratch, b, r, g, first, last):
    """Load A and the gradient of the last state, clear the sums over time."""
    row = width(real) * itemsize(real)
    d_state = args[at.D_STATE]
    for block in range(first, last):
        d, rows = channels_of(real, args, g, block)
        own = (block - first) * d_state * row * parts(kind_a)
        load_rates(real, kind_a, args, r, d, rows, d_state, scratch + args[at.TILE_A] + own)
        dh = scratch + args[at.TILE_DH] + own
        load_planes(real, kind_a, args, at.DLAST_STATE, b, r, d, rows, d_state, dh)
    rows = (last - first) * d_state * parts(kind_a)
    clear(real, scratch + args[at.TILE_DA], rows)
    clear(real, scratch + args[at.TILE_DROW], (last - first) * 2)
    if is_constant(kind_b):
        clear(real, scratch + args[at.TILE_DB], rows)
    if is_constant(kind_c):
        clear(real, scratch + args[at.TILE_DC], rows)


@inline
def finish_route(real, kind_a, kind_b, kind_c, args, scratch, b, r, g, first, last):
    """Write what was summed over time, one part for each batch entry."""
    row = width(real) * itemsize(real)
    d_state = args[at.D_STATE]
    for block in range(first, last):
        d, rows = channels_of(real, args, g, block)
        own = (block - first) * d_state * row * parts(kind_a)
        da = scratch + args[at.TILE_DA] + own
        store_planes(real, kind_a, args, at.DA, b, r, d, rows, d_state, da)
        drow = scratch + args[at.TILE_DROW] + (block - first) * 2 * row
        if args[at.DDELTA_BIAS]:
            store_channels(real, args, at.DDELTA_BIAS, b, r, d, rows, ONE, ZERO, drow)
        if args[at.DD]:
            store_channels(real, args, at.DD, b, r, d, rows, ONE, ZERO, drow + row)
        if args[at.DINITIAL_STATE]:
            dh = scratch + args[at.TILE_DH] + own
            store_planes(real, kind_a, args, at.DINITIAL_STATE, b, r, d, rows, d_state, dh)
        if is_constant(kind_b):
            db = scratch + args[at.TILE_DB] + own
            store_planes(real, kind_a, args, at.DB, b, r, d, rows, d_state, db)
        if is_constant(kind_c):
            dc = scratch + args[at.TILE_DC] + own
            store_planes(real, kind_a, args, at.DC, b, r, d, rows, d_state, dc)


@inline
def backward_chunk(real, kind_a, kind_b, kind_c, args, scratch, table, b, r, g, s, c, first, last):
    """One chunk of all blocks of a task."""
    d_state, chunk = args[at.D_STATE], args[at.CHUNK]
    db, dc = scratch + args[at.TILE_DB], scratch + args[at.TILE_DC]
    find_segments(args, table, b, r, c)
    if not is_constant(kind_b):
        load_shared(real, kind_a, args, scratch, at.B, b, r, g, c, scratch + args[at.TILE_B])
        clear_sums(kind_a, real, db, chunk, d_state)
    if not is_constant(kind_c):
        load_shared(real, kind_a, args, scratch, at.C, b, r, g, c, scratch + args[at.TILE_C])
        clear_sums(kind_a, real, dc, chunk, d_state)
    for block in range(first, last):
        backward_block(
            real, kind_a, kind_b, kind_c, args, scratch, table, b, r, g, c, block, first, last
        )
    if not is_constant(kind_b):
        offset = s * args[at.SLICE_STEP_B]
        store_sums(kind_a, real, args, scratch, at.DB, b, r, g, c, db, offset)
    if not is_constant(kind_c):
        offset = s * args[at.SLICE_STEP_C]
        store_sums(kind_a, real, args, scratch, at.DC, b, r, g, c, dc, offset)


@helper
def backward_task(real, kind_a, kind_b, kind_c, args, scratch, task):
    """All chunks of the blocks of one task, route by route, each from its end."""
    b, g, s, first, last = slice_of(args, task)
    routes, joined = args[at.ROUTES], args[at.JOINED]
    table = segment_table(args, scratch)
    first_route, last_route = routes_of(args, task)
    for i in range(first_route, last_route):
        r = routes - 1 - i if joined else i
        if i == 0 or not joined:
            start_route(real, kind_a, kind_b, kind_c, args, scratch, b, r, g, first, last)
        for c in range(args[at.CHUNKS] - 1, -1, -1):
            backward_chunk(
                real, kind_a, kind_b, kind_c, args, scratch, table, b, r, g, s, c, first, last
            )
        if i == routes - 1 or not joined:
            finish_route(real, kind_a, kind_b, kind_c, args, scratch, b, r, g, first, last)


def compile_backward(real, kind_a, kind_b, kind_c):
    """The entry point for one type of arithmetic, states and coefficients (see tasks.py)."""

    @kernel
    def scan_backward(address, worker, first, last):
        args = arguments(address)
        scratch = args[at.SCRATCH] + worker * args[at.SCRATCH_STEP]
        for task in range(first, last):
            backward_task(real, kind_a, kind_b, kind_c, args, scratch, task)

    return scan_backward
