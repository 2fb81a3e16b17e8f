"""The state loops for complex A, B and C: one complex state at a time, two vectors.

    h[t] = e[t] h[t-1] + x[t] B[t],   y[t] = 2 Re(C[t] . h[t]),   e = exp(delta A),   x = delta u

Backward, as torch has it for a real loss (dh stands for dL/dRe(h) + i dL/dIm(h)):

    dh[t] = 2 dy[t] conj(C[t]) + conj(e[t+1]) dh[t+1],   q[t] = conj(e[t] h[t-1]) dh[t]
    dx[t] = Re(conj(B[t]) . dh[t]),   ddelta[t] = Re(conj(A) . q[t]),   dA = sum_t delta[t] q[t]
    dB[t] = x[t] dh[t],   dC[t] = 2 dy[t] conj(h[t])

Tiles are those of forward.py and sweep.py, with two planes (planes.py).
"""

from numba.extending import overload

from . import layout as at
from .blocks import copy_tile
from .coefficients import (
    SHARED,
    SHARED_TYPE,
    add_to_sum,
    clear,
    coefficient,
    is_constant,
    part_step,
    state_step,
    time_step,
)
from .exponential import exp2
from .jit import INLINE, helper, inline
from .planes import COMPLEX_STATES
from .segments import segment, segments_of
from .simd import fma, itemsize, keep_first, load, peek, poke, splat, store, width
from .stops import add_tile, stop_row, stops_of, swept_to
from .trigonometry import cos_sin
from .vector_math import LOG2_E, add_pair, unless_zero


@inline
def multiply(x_re, x_im, y_re, y_im):
    """x y."""
    return fma(x_re, y_re, -(x_im * y_im)), fma(x_re, y_im, x_im * y_re)


@inline
def multiply_conjugate(x_re, x_im, y_re, y_im):
    """conj(x) y."""
    return fma(x_re, y_re, x_im * y_im), fma(x_re, y_im, -(x_im * y_re))


@inline
def decay_of(dt, a_re, a_im):
    """exp(dt A), A as load_rates leaves it; 0 where its modulus is, whatever the angle."""
    size = exp2(dt * a_re)
    cos, sin = cos_sin(dt * a_im)
    return unless_zero(size, size * cos), unless_zero(size, size * sin)


@inline
def advance(real, kind, h_re, h_im, e_re, e_im, x, b, b_part):
    """e h + x B."""
    term_re, term_im = x * coefficient(kind, real, b), x * coefficient(kind, real, b + b_part)
    h_re, h_im = (
        fma(-e_im, h_im, fma(e_re, h_re, term_re)),
        fma(e_im, h_re, fma(e_re, h_im, term_im)),
    )
    return h_re, h_im


@inline
def output(real, kind, y, h_re, h_im, c, c_part):
    """y + 2 Re(C h)."""
    y = fma(h_re + h_re, coefficient(kind, real, c), y)
    return fma(-(h_im + h_im), coefficient(kind, real, c + c_part), y)


@helper
def complex_chunk(
    real, kind_b, kind_c, delta, x, y, h, a, b, c, b_step, c_step, d_state, m, reverse
):
    """scan_chunk of forward.py."""
    row = width(real) * itemsize(real)
    bn, cn, plane = state_step(kind_b, real), state_step(kind_c, real), d_state * row
    b_part, c_part = part_step(kind_b, real, d_state), part_step(kind_c, real, d_state)
    first, step, b_first, c_first = 0, row, 0, 0
    if reverse:
        first, step = (m - 1) * row, -row
        b_first, c_first = (m - 1) * b_step, (m - 1) * c_step
        b_step, c_step = -b_step, -c_step
    for n in range(d_state):
        hn, an = h + n * row, a + n * row
        h_re, h_im = load(real, hn), load(real, hn + plane)
        a_re, a_im = load(real, an), load(real, an + plane)
        p, pb, pc = first, b + n * bn + b_first, c + n * cn + c_first
        for _ in range(m):
            e_re, e_im = decay_of(load(real, delta + p), a_re, a_im)
            xt = load(real, x + p)
            h_re, h_im = advance(real, kind_b, h_re, h_im, e_re, e_im, xt, pb, b_part)
            store(y + p, output(real, kind_c, load(real, y + p), h_re, h_im, pc, c_part))
            p += step
            pb += b_step
            pc += c_step
        store(hn, h_re)
        store(hn + plane, h_im)


@helper
def begin_complex(real, kind_b, kind_c, x, y, h, b, c, d_state):
    """begin_chunk of forward.py."""
    row = width(real) * itemsize(real)
    bn, cn, plane = state_step(kind_b, real), state_step(kind_c, real), d_state * row
    b_part, c_part = part_step(kind_b, real, d_state), part_step(kind_c, real, d_state)
    xt, s = load(real, x), load(real, y)
    for n in range(d_state):
        h_re = xt * coefficient(kind_b, real, b + n * bn)
        h_im = xt * coefficient(kind_b, real, b + n * bn + b_part)
        s = output(real, kind_c, s, h_re, h_im, c + n * cn, c_part)
        store(h + n * row, h_re)
        store(h + n * row + plane, h_im)
    store(y, s)


@helper
def complex_replay(real, kind, delta, x, past, decay, a, plane, b, b_part, b_step, m, first, step):
    """Replay of sweep.py; rows of `past` and `decay` are pairs of vectors."""
    row = width(real) * itemsize(real)
    h_re, h_im = load(real, past), load(real, past + row)
    a_re, a_im = load(real, a), load(real, a + plane)
    p = first
    for _ in range(m):
        e_re, e_im = decay_of(load(real, delta + p), a_re, a_im)
        h_re, h_im = advance(real, kind, h_re, h_im, e_re, e_im, load(real, x + p), b, b_part)
        past += 2 * row
        store(decay, e_re)
        store(decay + row, e_im)
        store(past, h_re)
        store(past + row, h_im)
        decay += 2 * row
        p += step
        b += b_step


@helper
def complex_outputs(real, kind, y, past, c, c_part, c_step, m, first, step):
    """y += 2 Re(C h) for the state that `complex_replay` left."""
    row = width(real) * itemsize(real)
    p = first
    for _ in range(m):
        past += 2 * row
        h_re, h_im = load(real, past), load(real, past + row)
        store(y + p, output(real, kind, load(real, y + p), h_re, h_im, c, c_part))
        p += step
        c += c_step


def add_to_pair(kind, real, address, plane, re, im, rows):
    """Add the terms of one complex state to its sums, of the `rows` lanes that are channels."""


@overload(add_to_pair, jit_options=INLINE)
def _add_to_pair(kind, real, address, plane, re, im, rows):
    if kind == SHARED_TYPE:
        return lambda kind, real, address, plane, re, im, rows: add_pair(
            address, keep_first(re, rows), keep_first(im, rows)
        )

    def constant(kind, real, address, plane, re, im, rows):
        add_to_sum(real, address, re)
        add_to_sum(real, address + plane, im)

    return constant


@helper
def complex_reverse_sweep(
    real, kind_b, kind_c, delta, x, g, dx, ddelta, past, decay, a, plane, b, c, b_part, c_part,
    b_step, c_step, dh, da, db, dc, db_step, dc_step, m, first, step, rows,
):  # fmt: skip
    """Run back over the rows that `complex_replay` left; b, c, db and dc are those of the last."""
    row = width(real) * itemsize(real)
    past += 2 * m * row
    decay += 2 * m * row
    zero = splat(real, 0.0)
    dh_re, dh_im = load(real, dh), load(real, dh + plane)
    a_re, a_im = load(real, a), load(real, a + plane) * splat(real, LOG2_E)
    h_re, h_im = load(real, past), load(real, past + row)
    da_re, da_im = zero, zero
    p = first
    for _ in range(m):
        past -= 2 * row
        decay -= 2 * row
        gt, xt, dt = load(real, g + p), load(real, x + p), load(real, delta + p)
        before_re, before_im = load(real, past), load(real, past + row)
        e_re, e_im = load(real, decay), load(real, decay + row)
        twice = gt + gt
        dh_re = fma(twice, coefficient(kind_c, real, c), dh_re)
        dh_im = fma(-twice, coefficient(kind_c, real, c + c_part), dh_im)
        add_to_pair(kind_c, real, dc, plane, twice * h_re, -(twice * h_im), rows)
        add_to_pair(kind_b, real, db, plane, xt * dh_re, xt * dh_im, rows)
        s = fma(dh_re, coefficient(kind_b, real, b), load(real, dx + p))
        store(dx + p, fma(dh_im, coefficient(kind_b, real, b + b_part), s))
        moved_re, moved_im = multiply(e_re, e_im, before_re, before_im)
        q_re, q_im = multiply_conjugate(moved_re, moved_im, dh_re, dh_im)
        da_re, da_im = fma(q_re, dt, da_re), fma(q_im, dt, da_im)
        store(ddelta + p, fma(q_im, a_im, fma(q_re, a_re, load(real, ddelta + p))))
        dh_re, dh_im = multiply_conjugate(e_re, e_im, dh_re, dh_im)
        h_re, h_im = before_re, before_im
        p += step
        b += b_step
        c += c_step
        db += db_step
        dc += dc_step
    store(dh, dh_re)
    store(dh + plane, dh_im)
    add_to_sum(real, da, da_re)
    add_to_sum(real, da + plane, da_im)


@helper
def complex_sweep(real, kind_b, kind_c, args, scratch, table, states, own, db, dc, c, m, rows):
    """sweep_states of sweep.py."""
    row = width(real) * itemsize(real)
    d_state = args[at.D_STATE]
    plane = d_state * row
    past = scratch + args[at.TILE_PAST]
    dh = scratch + args[at.TILE_DH] + own
    for n in range(d_state):
        first, stop = stops_of(args, c)
        for i in range(segments_of(table) - 1, -1, -1):
            start, end, begins = segment(table, i)
            if begins:
                clear(real, past, 2)
            else:
                copy_tile(real, states + n * row, past, 1)
                copy_tile(real, states + n * row + plane, past + row, 1)
            stop = complex_segment(
                real, kind_b, kind_c, args, scratch, own, db, dc, n, start, end, begins, m, rows,
                first, stop,
            )  # fmt: skip
            if begins:
                clear(real, dh + n * row, 1)
                clear(real, dh + n * row + plane, 1)


@helper
def complex_segment(
    real, kind_b, kind_c, args, scratch, own, db, dc, n, start, stop_at, begins, m, rows,
    first_stop, stop,
):  # fmt: skip
    """sweep_segment of sweep.py, for one state."""
    row = width(real) * itemsize(real)
    steps = stop_at - start
    r = m - stop_at if args[at.REVERSE] else start
    d_state = args[at.D_STATE]
    plane, o = d_state * row, r * row
    delta, x, g = (
        scratch + args[at.TILE_DELTA] + o,
        scratch + args[at.TILE_X] + o,
        scratch + args[at.TILE_G] + o,
    )
    dx, ddelta = scratch + args[at.TILE_DX] + o, scratch + args[at.TILE_DDELTA] + o
    past, decay = scratch + args[at.TILE_PAST], scratch + args[at.TILE_DECAY]
    a, dh, da = (
        scratch + args[at.TILE_A] + own + n * row,
        scratch + args[at.TILE_DH] + own + n * row,
        scratch + args[at.TILE_DA] + own + n * row,
    )
    bt = time_step(COMPLEX_STATES, kind_b, real, d_state)
    ct = time_step(COMPLEX_STATES, kind_c, real, d_state)
    b_part, c_part = part_step(kind_b, real, d_state), part_step(kind_c, real, d_state)
    b = scratch + args[at.TILE_B] + n * state_step(kind_b, real) + r * bt
    c = scratch + args[at.TILE_C] + n * state_step(kind_c, real) + r * ct
    begin, sign = 0, 1
    if args[at.REVERSE]:
        begin, sign = steps - 1, -1
    alone = 1 if begins else 0
    second, skipped = begin + sign * alone, alone * 2 * row
    if begins:
        at_b, xt = b + begin * bt, load(real, x + begin * row)
        store(past + 2 * row, xt * coefficient(kind_b, real, at_b))
        store(past + 3 * row, xt * coefficient(kind_b, real, at_b + b_part))
    complex_replay(
        real, kind_b, delta, x, past + skipped, decay + skipped, a, plane, b + second * bt, b_part,
        sign * bt, steps - alone, second * row, sign * row,
    )  # fmt: skip
    if args[at.Z]:
        y = scratch + args[at.TILE_Y] + o
        complex_outputs(
            real, kind_c, y, past, c + begin * ct, c_part, sign * ct, steps, begin * row, sign * row
        )
    db_step, dc_step = pair_step(kind_b, real, d_state), pair_step(kind_c, real, d_state)
    db += r * db_step + n * pair_size(kind_b, real)
    dc += r * dc_step + n * pair_size(kind_c, real)
    left, unread = steps, decay + 2 * args[at.CHUNK] * row
    gradients = scratch + args[at.TILE_STOPS] + n * row
    while left > 0:
        if stop > first_stop and stop_row(args, stop - 1) == start + left - 1:
            stop -= 1
            gradient = gradients + (stop - first_stop) * 2 * plane
            add_tile(real, dh, gradient, 1)
            add_tile(real, dh + plane, gradient + plane, 1)
        low = swept_to(args, start, left, alone, first_stop, stop)
        last, before = begin + sign * (left - 1), low * 2 * row
        if left <= alone:
            ddelta, da = unread - begin * row, unread + row
        complex_reverse_sweep(
            real, kind_b, kind_c, delta, x, g, dx, ddelta, past + before, decay + before, a, plane,
            b + last * bt, c + last * ct, b_part, c_part, -sign * bt, -sign * ct, dh, da,
            db + last * db_step, dc + last * dc_step, -sign * db_step, -sign * dc_step, left - low,
            last * row, -sign * row, rows,
        )  # fmt: skip
        left = low
    return stop


# Sums of dB and dC. Shared: a pair of numbers for each step and state. Constant: two planes of
# vectors, as dA has.


@inline
def pair_size(kind, real):
    """Bytes from the sums of one state to those of the next."""
    return width(real) * itemsize(real) if is_constant(kind) else 2 * itemsize(real)


@inline
def pair_step(kind, real, d_state):
    """Bytes from the sums of one step to those of the next."""
    return 0 if is_constant(kind) else 2 * d_state * itemsize(real)


@helper
def pair_rows(real, chunk, d_state):
    """Vectors that the pairs of a chunk take."""
    return (2 * chunk * d_state + width(real) - 1) // width(real)


@helper
def finish_pairs(real, pairs, m, d_state, finished):
    """From the pairs of a chunk to a coefficient tile."""
    size = itemsize(real)
    row = time_step(COMPLEX_STATES, SHARED, real, d_state)
    plane = part_step(SHARED, real, d_state)
    for i in range(m):
        for n in range(d_state):
            pair, to = pairs + (i * d_state + n) * 2 * size, finished + i * row + n * size
            poke(to, peek(real, pair))
            poke(to + plane, peek(real, pair + size))
