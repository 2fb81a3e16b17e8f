"""Scan backward: the adjoint recurrence, chunk by chunk from the end of the scan.

    dh[t] = dy[t] C[t] + exp(delta[t+1] A) dh[t+1]          (dy already times silu(z))
    du[t] = delta[t] (B[t] . dh[t]) + D dy[t]
    ddelta[t] = u[t] (B[t] . dh[t]) + A . (exp(delta[t] A) h[t-1] dh[t])
    dA = sum_t delta[t] exp(delta[t] A) h[t-1] dh[t]
    dB[t] = delta[t] u[t] dh[t],  dC[t] = dy[t] h[t],  summed over the channels of the group

States are kept at chunk starts only. Four states at a time, `replay` runs a chunk forward from
there and keeps h and exp(delta A) in scratch, which then sits in the first-level cache when
`reverse_sweep` runs it backward. The sums over time of dA, dD and d(delta_bias) are taken per chunk
before they join the total, which keeps their error small.

A task walks all blocks of its slice for one chunk before it takes the next, so that dB and dC of
the chunk are complete when it writes them: no atomics, the same bits every run.
"""

import numpy as np
from numba import prange

from . import layout as at
from .blocks import (
    channels_of,
    chunk_start,
    copy_tile,
    load_channels,
    load_steps,
    scale_tile,
    slice_of,
    states_address,
    store_channels,
    store_steps,
)
from .coefficients import (
    add_to_sum,
    add_to_sums,
    clear,
    coefficient,
    finish_sums,
    gradient_step,
    is_constant,
    load_shared,
    state_step,
    store_shared,
    sums_of,
    time_step,
)
from .jit import helper, kernel, merge
from .simd import fma, itemsize, load, splat, store, width
from .vector_math import LN_2, LOG2_E, exp2, sigmoid, softplus, softplus_slope

ONE = np.int64(1)  # a plain 1 would have Numba compile the tile functions once more


@helper
def replay(real, kind, delta, x, past, decay, a, b, b_step, count, m, first, step):
    """Run `count` (1 or 4) states over a chunk; past[i], decay[i] hold h[t-1], exp(delta[t] A).

    The i-th step in scan order has row i of `past` and `decay`, `count` vectors each; row m of
    `past` is the last state. `first` and `step` say which row of delta and x comes first.
    """
    row = width(real) * itemsize(real)
    bn = state_step(kind, real)
    wide = count * row
    if count == 4:
        h0, h1 = load(real, past), load(real, past + row)
        h2, h3 = load(real, past + 2 * row), load(real, past + 3 * row)
        a0, a1 = load(real, a), load(real, a + row)
        a2, a3 = load(real, a + 2 * row), load(real, a + 3 * row)
        p = first
        for _ in range(m):
            dt, xt = load(real, delta + p), load(real, x + p)
            e0, e1, e2, e3 = exp2(dt * a0), exp2(dt * a1), exp2(dt * a2), exp2(dt * a3)
            h0 = fma(e0, h0, xt * coefficient(kind, real, b))
            h1 = fma(e1, h1, xt * coefficient(kind, real, b + bn))
            h2 = fma(e2, h2, xt * coefficient(kind, real, b + 2 * bn))
            h3 = fma(e3, h3, xt * coefficient(kind, real, b + 3 * bn))
            past += wide
            store(decay, e0)
            store(decay + row, e1)
            store(decay + 2 * row, e2)
            store(decay + 3 * row, e3)
            store(past, h0)
            store(past + row, h1)
            store(past + 2 * row, h2)
            store(past + 3 * row, h3)
            decay += wide
            p += step
            b += b_step
        return
    h0, a0 = load(real, past), load(real, a)
    p = first
    for _ in range(m):
        dt, xt = load(real, delta + p), load(real, x + p)
        e0 = exp2(dt * a0)
        h0 = fma(e0, h0, xt * coefficient(kind, real, b))
        past += row
        store(decay, e0)
        store(past, h0)
        decay += row
        p += step
        b += b_step


@helper
def outputs(real, kind, y, past, c, c_step, count, m, first, step):
    """y += C . h for the states that `replay` left; only the gradient of z needs it."""
    row = width(real) * itemsize(real)
    cn = state_step(kind, real)
    p = first
    for _ in range(m):
        past += count * row
        s = load(real, y + p)
        for n in range(count):
            s = fma(load(real, past + n * row), coefficient(kind, real, c + n * cn), s)
        store(y + p, s)
        p += step
        c += c_step


@helper
def adjoint(real, dh, g, x, dt, h, h_before, decay, a, b, c, da, s_x, s_dt):
    """One state, one step back: dh, dA, the sums over states, and the terms of dB and dC."""
    dh = fma(g, c, dh)
    db, dc = dh * x, g * h
    s_x = fma(dh, b, s_x)
    dh = dh * decay
    q = dh * h_before
    return dh, fma(q, dt, da), fma(q, a, s_dt), s_x, db, dc


@helper
def reverse_sweep(
    real, kind_b, kind_c, delta, x, g, dx, ddelta, past, decay, a, b, c, b_step, c_step,
    dh, da, db, dc, count, m, first, step,
):  # fmt: skip
    """Run back over the chunk that `replay` left, for `count` states.

    `first`, b and c are those of the last step in scan order, the steps lead backward. dx collects
    B . dh, ddelta A log2(e) . (q), db and dc the sums over lanes, all over the blocks of a slice.
    """
    row = width(real) * itemsize(real)
    bn, cn = state_step(kind_b, real), state_step(kind_c, real)
    wide = count * row
    past += m * wide
    decay += m * wide
    db_step, dc_step = gradient_step(kind_b, real, step), gradient_step(kind_c, real, step)
    db += gradient_step(kind_b, real, first)
    dc += gradient_step(kind_c, real, first)
    p = first
    zero = splat(real, 0.0)
    if count == 4:
        dh0, dh1 = load(real, dh), load(real, dh + row)
        dh2, dh3 = load(real, dh + 2 * row), load(real, dh + 3 * row)
        a0, a1 = load(real, a), load(real, a + row)
        a2, a3 = load(real, a + 2 * row), load(real, a + 3 * row)
        h0, h1 = load(real, past), load(real, past + row)
        h2, h3 = load(real, past + 2 * row), load(real, past + 3 * row)
        da0, da1, da2, da3 = zero, zero, zero, zero
        for _ in range(m):
            past -= wide
            decay -= wide
            gt, xt, dt = load(real, g + p), load(real, x + p), load(real, delta + p)
            s_x, s_dt = load(real, dx + p), load(real, ddelta + p)
            e0, e1 = load(real, past), load(real, past + row)
            e2, e3 = load(real, past + 2 * row), load(real, past + 3 * row)
            dh0, da0, s_dt, s_x, db0, dc0 = adjoint(
                real, dh0, gt, xt, dt, h0, e0, load(real, decay), a0,
                coefficient(kind_b, real, b), coefficient(kind_c, real, c), da0, s_x, s_dt,
            )  # fmt: skip
            dh1, da1, s_dt, s_x, db1, dc1 = adjoint(
                real, dh1, gt, xt, dt, h1, e1, load(real, decay + row), a1,
                coefficient(kind_b, real, b + bn), coefficient(kind_c, real, c + cn),
                da1, s_x, s_dt,
            )  # fmt: skip
            dh2, da2, s_dt, s_x, db2, dc2 = adjoint(
                real, dh2, gt, xt, dt, h2, e2, load(real, decay + 2 * row), a2,
                coefficient(kind_b, real, b + 2 * bn), coefficient(kind_c, real, c + 2 * cn),
                da2, s_x, s_dt,
            )  # fmt: skip
            dh3, da3, s_dt, s_x, db3, dc3 = adjoint(
                real, dh3, gt, xt, dt, h3, e3, load(real, decay + 3 * row), a3,
                coefficient(kind_b, real, b + 3 * bn), coefficient(kind_c, real, c + 3 * cn),
                da3, s_x, s_dt,
            )  # fmt: skip
            add_to_sums(kind_b, real, db, db0, db1, db2, db3)
            add_to_sums(kind_c, real, dc, dc0, dc1, dc2, dc3)
            store(dx + p, s_x)
            store(ddelta + p, s_dt)
            h0, h1, h2, h3 = e0, e1, e2, e3
            p += step
            b += b_step
            c += c_step
            db += db_step
            dc += dc_step
        store(dh, dh0)
        store(dh + row, dh1)
        store(dh + 2 * row, dh2)
        store(dh + 3 * row, dh3)
        store(da, load(real, da) + da0)
        store(da + row, load(real, da + row) + da1)
        store(da + 2 * row, load(real, da + 2 * row) + da2)
        store(da + 3 * row, load(real, da + 3 * row) + da3)
        return
    dh0, a0, h0, da0 = load(real, dh), load(real, a), load(real, past), zero
    for _ in range(m):
        past -= row
        decay -= row
        e0 = load(real, past)
        dh0, da0, s_dt, s_x, db0, dc0 = adjoint(
            real, dh0, load(real, g + p), load(real, x + p), load(real, delta + p), h0, e0,
            load(real, decay), a0, coefficient(kind_b, real, b), coefficient(kind_c, real, c),
            da0, load(real, dx + p), load(real, ddelta + p),
        )  # fmt: skip
        add_to_sum(real, db, db0)
        add_to_sum(real, dc, dc0)
        store(dx + p, s_x)
        store(ddelta + p, s_dt)
        h0 = e0
        p += step
        b += b_step
        c += c_step
        db += db_step
        dc += dc_step
    store(dh, dh0)
    store(da, load(real, da) + da0)


@helper
def prepare_chunk(real, args, scratch, m):
    """delta', its slope, x = delta' u, D u, and with z the gated dy and the factor of dz."""
    row = width(real) * itemsize(real)
    bias = load(real, scratch + args[at.TILE_ROW])
    skip = load(real, scratch + args[at.TILE_ROW] + row)
    u, delta, x = (
        scratch + args[at.TILE_U],
        scratch + args[at.TILE_DELTA],
        scratch + args[at.TILE_X],
    )
    slope, y = scratch + args[at.TILE_SLOPE], scratch + args[at.TILE_Y]
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
            store(y + p, skip * ut)
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
        store(dx + p, fma(s, load(real, delta + p), gt * skip))
        store(ddelta + p, dd)
        dbias = dbias + dd
        dskip = fma(gt, ut, dskip)
        if args[at.Z]:
            store(z + p, load(real, z + p) * load(real, y + p))
    add_to_sum(real, drow, dbias)
    add_to_sum(real, drow + row, dskip)


@helper
def sweep_states(real, kind_b, kind_c, args, scratch, states, own, db, dc, m):
    """All states of one block over one chunk, four at a time."""
    row = width(real) * itemsize(real)
    d_state, chunk, with_z = args[at.D_STATE], args[at.CHUNK], args[at.Z] != 0
    delta, x, g = (
        scratch + args[at.TILE_DELTA],
        scratch + args[at.TILE_X],
        scratch + args[at.TILE_G],
    )
    dx, ddelta = scratch + args[at.TILE_DX], scratch + args[at.TILE_DDELTA]
    past, decay = scratch + args[at.TILE_PAST], scratch + args[at.TILE_DECAY]
    a, dh, da = scratch + args[at.TILE_A] + own, scratch + args[at.TILE_DH] + own, 0
    da = scratch + args[at.TILE_DA] + own
    b, c = scratch + args[at.TILE_B], scratch + args[at.TILE_C]
    bn, cn = state_step(kind_b, real), state_step(kind_c, real)
    bt, ct = time_step(kind_b, real, d_state), time_step(kind_c, real, d_state)
    begin, end, sign = 0, m - 1, 1
    if args[at.REVERSE]:
        begin, end, sign = m - 1, 0, -1
    n = 0
    while n < d_state:
        count = 4 if n + 4 <= d_state else 1
        copy_tile(real, states + n * row, past, count)
        b_n, c_n, a_n = b + n * bn, c + n * cn, a + n * row
        replay(
            real, kind_b, delta, x, past, decay, a_n, b_n + begin * bt, sign * bt, count, m,
            begin * row, sign * row,
        )  # fmt: skip
        if with_z:
            y = scratch + args[at.TILE_Y]
            outputs(
                real, kind_c, y, past, c_n + begin * ct, sign * ct, count, m,
                begin * row, sign * row,
            )  # fmt: skip
        reverse_sweep(
            real, kind_b, kind_c, delta, x, g, dx, ddelta, past, decay, a_n,
            b_n + end * bt, c_n + end * ct, -sign * bt, -sign * ct, dh + n * row, da + n * row,
            sums_of(kind_b, real, db, n, chunk, d_state),
            sums_of(kind_c, real, dc, n, chunk, d_state), count, m, end * row, -sign * row,
        )  # fmt: skip
        n += count


@merge
def backward_block(real, kind_b, kind_c, args, scratch, b, g, c, block, first):
    """One chunk of one block."""
    row = width(real) * itemsize(real)
    d_state = args[at.D_STATE]
    t, m = chunk_start(args, c)
    d, rows = channels_of(real, args, g, block)
    own = (block - first) * d_state * row
    tile_b, tile_c = scratch + args[at.TILE_B], scratch + args[at.TILE_C]
    db, dc = scratch + args[at.TILE_DB], scratch + args[at.TILE_DC]
    if is_constant(kind_b):
        load_channels(real, args, at.B, 0, d, rows, d_state, tile_b)
        db += own
    if is_constant(kind_c):
        load_channels(real, args, at.C, 0, d, rows, d_state, tile_c)
        dc += own
    load_channels(real, args, at.DELTA_BIAS, 0, d, rows, ONE, scratch + args[at.TILE_ROW])
    load_channels(real, args, at.D, 0, d, rows, ONE, scratch + args[at.TILE_ROW] + row)
    load_steps(real, args, at.U, b, d, t, rows, m, scratch + args[at.TILE_U])
    load_steps(real, args, at.DELTA, b, d, t, rows, m, scratch + args[at.TILE_DELTA])
    load_steps(real, args, at.DY, b, d, t, rows, m, scratch + args[at.TILE_G])
    if args[at.Z]:
        load_steps(real, args, at.Z, b, d, t, rows, m, scratch + args[at.TILE_Z])
    prepare_chunk(real, args, scratch, m)
    clear(real, scratch + args[at.TILE_DX], m)
    clear(real, scratch + args[at.TILE_DDELTA], m)
    states = states_address(real, args, b, g, block, c)
    sweep_states(real, kind_b, kind_c, args, scratch, states, own, db, dc, m)
    finish_chunk(real, args, scratch, scratch + args[at.TILE_DROW] + (block - first) * 2 * row, m)
    store_steps(real, args, at.DU, b, d, t, rows, m, scratch + args[at.TILE_DX])
    store_steps(real, args, at.DDELTA, b, d, t, rows, m, scratch + args[at.TILE_DDELTA])
    if args[at.Z]:
        store_steps(real, args, at.DZ, b, d, t, rows, m, scratch + args[at.TILE_Z])


@merge
def start_task(real, kind_b, kind_c, args, scratch, b, g, first, last):
    """Load A and the gradient of the last state, clear the sums over time."""
    row = width(real) * itemsize(real)
    d_state = args[at.D_STATE]
    for block in range(first, last):
        d, rows = channels_of(real, args, g, block)
        own = (block - first) * d_state * row
        a = scratch + args[at.TILE_A] + own
        load_channels(real, args, at.A, 0, d, rows, d_state, a)
        scale_tile(real, a, d_state, LOG2_E)
        dh = scratch + args[at.TILE_DH] + own
        load_channels(real, args, at.DLAST_STATE, b, d, rows, d_state, dh)
    rows = (last - first) * d_state
    clear(real, scratch + args[at.TILE_DA], rows)
    clear(real, scratch + args[at.TILE_DROW], (last - first) * 2)
    if is_constant(kind_b):
        clear(real, scratch + args[at.TILE_DB], rows)
    if is_constant(kind_c):
        clear(real, scratch + args[at.TILE_DC], rows)


@merge
def finish_task(real, kind_b, kind_c, args, scratch, b, g, first, last):
    """Write what was summed over time, one part for each batch entry."""
    row = width(real) * itemsize(real)
    d_state = args[at.D_STATE]
    for block in range(first, last):
        d, rows = channels_of(real, args, g, block)
        own = (block - first) * d_state * row
        store_channels(real, args, at.DA, b, d, rows, d_state, scratch + args[at.TILE_DA] + own)
        drow = scratch + args[at.TILE_DROW] + (block - first) * 2 * row
        store_channels(real, args, at.DDELTA_BIAS, b, d, rows, ONE, drow)
        store_channels(real, args, at.DD, b, d, rows, ONE, drow + row)
        if args[at.DINITIAL_STATE]:
            dh = scratch + args[at.TILE_DH] + own
            store_channels(real, args, at.DINITIAL_STATE, b, d, rows, d_state, dh)
        if is_constant(kind_b):
            store_channels(real, args, at.DB, b, d, rows, d_state, scratch + args[at.TILE_DB] + own)
        if is_constant(kind_c):
            store_channels(real, args, at.DC, b, d, rows, d_state, scratch + args[at.TILE_DC] + own)


@helper
def backward_task(real, kind_b, kind_c, args, scratch, task):
    """All chunks of the blocks of one task, from the end of the scan."""
    b, g, s, first, last = slice_of(args, task)
    d_state, chunk = args[at.D_STATE], args[at.CHUNK]
    db, dc = scratch + args[at.TILE_DB], scratch + args[at.TILE_DC]
    finished = scratch + args[at.TILE_SUM]
    slots = d_state // 4 + d_state % 4
    start_task(real, kind_b, kind_c, args, scratch, b, g, first, last)
    for c in range(args[at.CHUNKS] - 1, -1, -1):
        t, m = chunk_start(args, c)
        if not is_constant(kind_b):
            load_shared(real, args, at.B, b, g, t, m, scratch + args[at.TILE_B])
            clear(real, db, slots * chunk)
        if not is_constant(kind_c):
            load_shared(real, args, at.C, b, g, t, m, scratch + args[at.TILE_C])
            clear(real, dc, slots * chunk)
        for block in range(first, last):
            backward_block(real, kind_b, kind_c, args, scratch, b, g, c, block, first)
        if not is_constant(kind_b):
            offset = s * args[at.SLICE_STEP_B]
            finish_sums(real, db, m, chunk, d_state, finished)
            store_shared(real, args, at.DB, b, g, t, m, finished, offset)
        if not is_constant(kind_c):
            offset = s * args[at.SLICE_STEP_C]
            finish_sums(real, dc, m, chunk, d_state, finished)
            store_shared(real, args, at.DC, b, g, t, m, finished, offset)
    finish_task(real, kind_b, kind_c, args, scratch, b, g, first, last)


def compile_backward(version):
    """The entry point; `version` is there for Numba's cache (see jit.source_version)."""

    @kernel
    def scan_backward(real, kind_b, kind_c, args):
        tasks = args[at.BATCH] * args[at.GROUPS] * args[at.SLICES]
        workers = args[at.WORKERS] if version else 0
        if workers == 1:  # no parallel region: cheaper, and safe in a forked child
            for task in range(tasks):
                backward_task(real, kind_b, kind_c, args, args[at.SCRATCH], task)
            return
        for worker in prange(workers):
            i = np.int64(worker)  # prange gives uint64; uint64 * int64 is float64 in Numba
            scratch = args[at.SCRATCH] + i * args[at.SCRATCH_STEP]
            for task in range(i * tasks // workers, (i + 1) * tasks // workers):
                backward_task(real, kind_b, kind_c, args, scratch, task)

    return scan_backward
