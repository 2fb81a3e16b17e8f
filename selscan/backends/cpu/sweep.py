"""The inner loops of the backward: one chunk of one block, four states at a time.

`replay` runs the chunk forward from its saved state and keeps h and exp(delta A) in scratch, which
then sits in the first-level cache when `reverse_sweep` runs it backward (backward.py has the
equations).
"""

from numba.extending import overload

from . import layout as at
from .blocks import ZERO, chunk_start, copy_tile
from .coefficients import (
    add_to_sum,
    add_to_sums,
    clear,
    coefficient,
    finish_sums,
    gradient_step,
    state_step,
    store_shared,
    sum_rows,
    sums_of,
    time_step,
)
from .complex_states import complex_sweep, finish_pairs, pair_rows
from .exponential import all_inside, exp2, exp2_inside, largest
from .jit import INLINE, helper
from .planes import REAL_STATES, REAL_TYPE
from .segments import segment, segments_of
from .simd import fma, itemsize, keep_first, load, splat, store, width
from .stops import add_tile, stop_row, stops_of, swept_to


def replay_loop(power):
    """Run `count` states over m steps, with one way to take the exponential.

    past[i] and decay[i] hold h[t-1] and exp(delta[t] A). The i-th step in scan order has row i of
    both, `count` vectors each; row m of `past` is the last state. delta and x are those of the
    first step, `step` leads to the next one.
    """

    @helper
    def replay(real, kind, delta, x, past, decay, a, b, b_step, count, m, step):
        row = width(real) * itemsize(real)
        bn, wide = state_step(kind, real), count * row
        if count == 1:  # stays in a register
            h0, a0 = load(real, past), load(real, a)
            for _ in range(m):
                e = power(load(real, delta) * a0)
                h0 = fma(e, h0, load(real, x) * coefficient(kind, real, b))
                past += row
                store(decay, e)
                store(past, h0)
                decay += row
                delta += step
                x += step
                b += b_step
            return
        for _ in range(m):
            dt, xt = load(real, delta), load(real, x)
            bt = b
            for o in range(0, wide, row):
                e = power(dt * load(real, a + o))
                store(decay + o, e)
                h = fma(e, load(real, past + o), xt * coefficient(kind, real, bt))
                store(past + wide + o, h)
                bt += bn
            past += wide
            decay += wide
            delta += step
            x += step
            b += b_step

    return replay


replay_inside, replay_anywhere = replay_loop(exp2_inside), replay_loop(exp2)


@helper
def begin_state(real, kind, x, past, b, count):
    """The first step of `count` states: h = x B, which nothing comes before."""
    row = width(real) * itemsize(real)
    bn, xt = state_step(kind, real), load(real, x)
    for n in range(count):
        store(past + (count + n) * row, xt * coefficient(kind, real, b + n * bn))


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
def adjoint_at(real, dh, g, x, dt, past, wide, decay, a, b, c, da, s_x, s_dt):
    """The same with h[t-1] at `past`, h[t] `wide` bytes on: registers are few."""
    h, before, e = load(real, past + wide), load(real, past), load(real, decay)
    return adjoint(real, dh, g, x, dt, h, before, e, a, b, c, da, s_x, s_dt)


@helper
def reverse_sweep(
    real, kind_b, kind_c, delta, x, g, dx, ddelta, past, decay, a, b, c, b_step, c_step,
    dh, da, db, dc, count, m, first, step, rows,
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
        da0, da1, da2, da3 = zero, zero, zero, zero
        for _ in range(m):
            past -= wide
            decay -= wide
            gt, xt, dt = load(real, g + p), load(real, x + p), load(real, delta + p)
            s_x, s_dt = load(real, dx + p), load(real, ddelta + p)
            dh0, da0, s_dt, s_x, db0, dc0 = adjoint_at(
                real, dh0, gt, xt, dt, past, wide, decay, a0,
                coefficient(kind_b, real, b), coefficient(kind_c, real, c), da0, s_x, s_dt,
            )  # fmt: skip
            dh1, da1, s_dt, s_x, db1, dc1 = adjoint_at(
                real, dh1, gt, xt, dt, past + row, wide, decay + row, a1,
                coefficient(kind_b, real, b + bn), coefficient(kind_c, real, c + cn),
                da1, s_x, s_dt,
            )  # fmt: skip
            dh2, da2, s_dt, s_x, db2, dc2 = adjoint_at(
                real, dh2, gt, xt, dt, past + 2 * row, wide, decay + 2 * row, a2,
                coefficient(kind_b, real, b + 2 * bn), coefficient(kind_c, real, c + 2 * cn),
                da2, s_x, s_dt,
            )  # fmt: skip
            dh3, da3, s_dt, s_x, db3, dc3 = adjoint_at(
                real, dh3, gt, xt, dt, past + 3 * row, wide, decay + 3 * row, a3,
                coefficient(kind_b, real, b + 3 * bn), coefficient(kind_c, real, c + 3 * cn),
                da3, s_x, s_dt,
            )  # fmt: skip
            add_to_sums(kind_b, real, db, db0, db1, db2, db3, rows)
            add_to_sums(kind_c, real, dc, dc0, dc1, dc2, dc3, rows)
            store(dx + p, s_x)
            store(ddelta + p, s_dt)
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
        add_to_sum(real, db, keep_first(db0, rows))
        add_to_sum(real, dc, keep_first(dc0, rows))
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
def sweep_states(real, kind_b, kind_c, args, scratch, table, states, own, db, dc, c, m, rows):
    """All states of one block over one chunk, four at a time, each segment from its start."""
    row = width(real) * itemsize(real)
    d_state, chunk = args[at.D_STATE], args[at.CHUNK]
    past = scratch + args[at.TILE_PAST]
    dh, da = scratch + args[at.TILE_DH] + own, scratch + args[at.TILE_DA] + own
    largest_step = largest(real, scratch + args[at.TILE_DELTA], m)
    n = ZERO
    while n < d_state:
        count = 4 if n + 4 <= d_state else 1
        db_n = sums_of(kind_b, real, db, n, chunk, d_state)
        dc_n = sums_of(kind_c, real, dc, n, chunk, d_state)
        first, stop = stops_of(args, c)
        for i in range(segments_of(table) - 1, -1, -1):
            start, end, begins = segment(table, i)
            if begins:
                clear(real, past, count)
            else:
                copy_tile(real, states + n * row, past, count)
            stop = sweep_segment(
                real, kind_b, kind_c, args, scratch, own, n, count, start, end, begins,
                dh + n * row, da + n * row, db_n, dc_n, m, rows, first, stop, largest_step,
            )  # fmt: skip
            if begins:
                clear(real, dh + n * row, count)
        n += count


@helper
def sweep_segment(
    real, kind_b, kind_c, args, scratch, own, n, count, start, stop_at, begins, dh, da, db, dc, m,
    rows, first_stop, stop, largest_step,
):  # fmt: skip
    """`count` states from n on, forward and back over a segment of the chunk.

    If they begin there, the first step has no state before it: its parts of dA and ddelta, which
    would be products with one, go where nobody reads them. Behind the stops (stops.py), from
    `stop` - 1 back, the gradients of states come in; returned is what `stop` is then.
    """
    row = width(real) * itemsize(real)
    steps = stop_at - start
    r = m - stop_at if args[at.REVERSE] else start
    d_state, o = args[at.D_STATE], r * row
    delta, x, g = (
        scratch + args[at.TILE_DELTA] + o,
        scratch + args[at.TILE_X] + o,
        scratch + args[at.TILE_G] + o,
    )
    dx, ddelta = scratch + args[at.TILE_DX] + o, scratch + args[at.TILE_DDELTA] + o
    past, decay = scratch + args[at.TILE_PAST], scratch + args[at.TILE_DECAY]
    a = scratch + args[at.TILE_A] + own + n * row
    bt = time_step(REAL_STATES, kind_b, real, d_state)
    ct = time_step(REAL_STATES, kind_c, real, d_state)
    b = scratch + args[at.TILE_B] + n * state_step(kind_b, real) + r * bt
    c = scratch + args[at.TILE_C] + n * state_step(kind_c, real) + r * ct
    begin, sign = 0, 1
    if args[at.REVERSE]:
        begin, sign = steps - 1, -1
    alone = 1 if begins else 0
    second, skipped = begin + sign * alone, alone * count * row
    if begins:
        begin_state(real, kind_b, x + begin * row, past, b + begin * bt, count)
    operands = (
        delta + second * row, x + second * row, past + skipped, decay + skipped, a,
        b + second * bt, sign * bt, count, steps - alone, sign * row,
    )  # fmt: skip
    if all_inside(largest_step * largest(real, a, count)):
        replay_inside(real, kind_b, *operands)
    else:
        replay_anywhere(real, kind_b, *operands)
    if args[at.Z]:
        y = scratch + args[at.TILE_Y] + o
        outputs(
            real, kind_c, y, past, c + begin * ct, sign * ct, count, steps, begin * row, sign * row
        )
    db, dc = db + gradient_step(kind_b, real, o), dc + gradient_step(kind_c, real, o)
    left, unread = steps, decay + 4 * args[at.CHUNK] * row
    gradients = scratch + args[at.TILE_STOPS] + n * row
    while left > 0:
        if stop > first_stop and stop_row(args, stop - 1) == start + left - 1:
            stop -= 1
            add_tile(real, dh, gradients + (stop - first_stop) * d_state * row, count)
        low = swept_to(args, start, left, alone, first_stop, stop)
        last, before = begin + sign * (left - 1), low * count * row
        if left <= alone:
            ddelta, da = unread - begin * row, unread + row
        back = (
            delta, x, g, dx, ddelta, past + before, decay + before, a,
            b + last * bt, c + last * ct, -sign * bt, -sign * ct, dh, da, db, dc, count,
            left - low, last * row, -sign * row,
        )  # fmt: skip
        if rows == width(real):
            reverse_sweep(real, kind_b, kind_c, *back, None)
        else:
            reverse_sweep(real, kind_b, kind_c, *back, rows)
        left = low
    return stop


# What the backward calls, for real or complex states.


def sweep(kind_a, real, kind_b, kind_c, args, scratch, table, states, own, db, dc, c, m, rows):
    """All states of one block over one chunk, forward and back."""


@overload(sweep, jit_options=INLINE)
def _sweep(kind_a, real, kind_b, kind_c, args, scratch, table, states, own, db, dc, c, m, rows):
    loop = sweep_states if kind_a == REAL_TYPE else complex_sweep

    def run(kind_a, real, kind_b, kind_c, args, scratch, table, states, own, db, dc, c, m, rows):
        loop(real, kind_b, kind_c, args, scratch, table, states, own, db, dc, c, m, rows)

    return run


def clear_sums(kind_a, real, tile, chunk, d_state):
    """Clear the sums of shared coefficients."""


@overload(clear_sums, jit_options=INLINE)
def _clear_sums(kind_a, real, tile, chunk, d_state):
    rows = sum_rows if kind_a == REAL_TYPE else pair_rows
    return lambda kind_a, real, tile, chunk, d_state: clear(real, tile, rows(real, chunk, d_state))


def finish(kind_a, real, args, sums, m, finished):
    """From the sums of shared coefficients of a chunk to a coefficient tile."""


@overload(finish, jit_options=INLINE)
def _finish(kind_a, real, args, sums, m, finished):
    if kind_a != REAL_TYPE:
        return lambda kind_a, real, args, sums, m, finished: finish_pairs(
            real, sums, m, args[at.D_STATE], finished
        )
    return lambda kind_a, real, args, sums, m, finished: finish_sums(
        real, sums, m, args[at.CHUNK], args[at.D_STATE], finished
    )


@helper
def store_sums(kind_a, real, args, scratch, slot, b, r, g, c, sums, offset):
    """Write the sums of shared coefficients to chunk c of group g on route r."""
    finished = scratch + args[at.TILE_SUM]
    _, m = chunk_start(args, c)
    finish(kind_a, real, args, sums, m, finished)
    store_shared(real, kind_a, args, scratch, slot, b, r, g, c, finished, offset)
