"""Scan forward.

    h[t] = exp(delta[t] A) h[t-1] + delta[t] B[t] u[t],   y[t] = C[t] . h[t] + D u[t],

times silu(z[t]) where z is given. Without D its term is not computed, nor is that of h[t-1] where a
state begins (segments.py): zero times infinity is NaN.

Lanes are channels. A task is one batch entry and a run of channel blocks, w channels each, of one
group; it walks time in chunks. A chunk of u and delta is copied into tiles (tiles.py), B and C into
coefficient tiles that all blocks of the task share; then all states of a block run over the chunk.
No array with both a time and a state axis exists.
"""

from numba.extending import overload

from . import layout as at
from .blocks import (
    ONE,
    ZERO,
    arguments,
    channels_of,
    chunk_start,
    copy_tile,
    load_channels,
    prefetch_next,
    prefetch_steps,
    routes_of,
    slice_of,
    states_address,
)
from .coefficients import (
    coefficient,
    is_constant,
    load_shared,
    state_step,
    time_step,
)
from .complex_states import begin_complex, complex_chunk
from .exponential import all_inside, exp2, exp2_inside, largest
from .jit import INLINE, helper, inline, kernel
from .maps import clear_padding, load_steps, store_steps
from .planes import REAL_TYPE, load_planes, load_rates, parts, store_planes
from .segments import find_segments, segment, segment_table, segments_of
from .simd import fma, itemsize, load, splat, store, width
from .stops import stop_index, stop_row, stops_of
from .vector_math import sigmoid, softplus


def state_loop(power):
    """m steps of all states of a block, with one way to take the exponential.

    delta, x, y, b and c are those of the first step in scan order.
    """

    @helper
    def loop(real, kind_b, kind_c, delta, x, y, h, a, b, c, step, b_step, c_step, d_state, m):
        row = width(real) * itemsize(real)
        bn, cn = state_step(kind_b, real), state_step(kind_c, real)
        for _ in range(m):
            dt, xt, s = load(real, delta), load(real, x), load(real, y)
            o, bt, ct = 0, b, c
            for _ in range(d_state):
                xb = xt * coefficient(kind_b, real, bt)
                hn = fma(power(dt * load(real, a + o)), load(real, h + o), xb)
                store(h + o, hn)
                s = fma(hn, coefficient(kind_c, real, ct), s)
                o += row
                bt += bn
                ct += cn
            store(y, s)
            delta += step
            x += step
            y += step
            b += b_step
            c += c_step

    return loop


states_inside, states_anywhere = state_loop(exp2_inside), state_loop(exp2)


@helper
def one_state(real, kind_b, kind_c, delta, x, y, h, a, b, c, step, b_step, c_step, m):
    """The same of one state, in a register. To look at all steps first takes what it would save."""
    h0, a0 = load(real, h), load(real, a)
    for _ in range(m):
        xb = load(real, x) * coefficient(kind_b, real, b)
        h0 = fma(exp2(load(real, delta) * a0), h0, xb)
        store(y, fma(h0, coefficient(kind_c, real, c), load(real, y)))
        delta += step
        x += step
        y += step
        b += b_step
        c += c_step
    store(h, h0)


@helper
def scan_chunk(real, kind_b, kind_c, delta, x, y, h, a, b, c, b_step, c_step, d_state, m, reverse):
    """m steps of one block: y += C . h. x is delta * u, a is A log2(e), (d_state, w) like h."""
    step = width(real) * itemsize(real)
    last = m - 1
    inside = d_state > 1 and all_inside(largest(real, delta, m) * largest(real, a, d_state))
    if reverse:
        delta, x, y = delta + last * step, x + last * step, y + last * step
        b, c = b + last * b_step, c + last * c_step
        step, b_step, c_step = -step, -b_step, -c_step
    operands = delta, x, y, h, a, b, c, step, b_step, c_step
    if d_state == 1:
        one_state(real, kind_b, kind_c, *operands, m)
    elif inside:
        states_inside(real, kind_b, kind_c, *operands, d_state, m)
    else:
        states_anywhere(real, kind_b, kind_c, *operands, d_state, m)


def run_states(
    kind_a, real, kind_b, kind_c, delta, x, y, h, a, b, c, b_step, c_step, d_state, m, reverse
):
    """The state loop for real or complex states."""


@overload(run_states, jit_options=INLINE)
def _run_states(
    kind_a, real, kind_b, kind_c, delta, x, y, h, a, b, c, b_step, c_step, d_state, m, reverse
):
    loop = scan_chunk if kind_a == REAL_TYPE else complex_chunk

    def run(
        kind_a, real, kind_b, kind_c, delta, x, y, h, a, b, c, b_step, c_step, d_state, m, reverse
    ):
        loop(real, kind_b, kind_c, delta, x, y, h, a, b, c, b_step, c_step, d_state, m, reverse)

    return run


@helper
def begin_chunk(real, kind_b, kind_c, x, y, h, b, c, d_state):
    """The first step of a state: h = x B, y += C . h."""
    row = width(real) * itemsize(real)
    bn, cn = state_step(kind_b, real), state_step(kind_c, real)
    xt, s = load(real, x), load(real, y)
    for n in range(d_state):
        h0 = xt * coefficient(kind_b, real, b + n * bn)
        s = fma(h0, coefficient(kind_c, real, c + n * cn), s)
        store(h + n * row, h0)
    store(y, s)


def begin_states(kind_a, real, kind_b, kind_c, x, y, h, b, c, d_state):
    """The first step of real or complex states."""


@overload(begin_states, jit_options=INLINE)
def _begin_states(kind_a, real, kind_b, kind_c, x, y, h, b, c, d_state):
    step = begin_chunk if kind_a == REAL_TYPE else begin_complex
    return lambda kind_a, real, kind_b, kind_c, x, y, h, b, c, d_state: step(
        real, kind_b, kind_c, x, y, h, b, c, d_state
    )


@helper
def prepare_chunk(real, delta, u, y, bias, skip, m, with_softplus, with_skip):
    """delta becomes delta', u becomes delta' u, y becomes D u or 0."""
    row = width(real) * itemsize(real)
    bias, skip = load(real, bias), load(real, skip)
    for t in range(m):
        dt, ut = load(real, delta + t * row) + bias, load(real, u + t * row)
        if with_softplus:
            dt = softplus(real, dt)
        store(delta + t * row, dt)
        store(y + t * row, skip * ut if with_skip else splat(real, 0.0))
        store(u + t * row, dt * ut)


@helper
def gate_chunk(real, y, z, m):
    """y *= silu(z)."""
    row = width(real) * itemsize(real)
    for t in range(m):
        zt = load(real, z + t * row)
        store(y + t * row, load(real, y + t * row) * (zt * sigmoid(real, zt)))


@inline
def forward_block(
    real, kind_a, kind_b, kind_c, args, scratch, table, b, r, g, c, block, first, last
):
    """One chunk of one block."""
    row = width(real) * itemsize(real)
    d_state = args[at.D_STATE]
    t, m = chunk_start(args, c)
    d, rows = channels_of(real, args, g, block)
    u, delta = scratch + args[at.TILE_U], scratch + args[at.TILE_DELTA]
    y, z = scratch + args[at.TILE_Y], scratch + args[at.TILE_Z]
    own = (block - first) * d_state * row * parts(kind_a)
    h, a = scratch + args[at.TILE_H] + own, scratch + args[at.TILE_A] + own
    bias, skip = scratch + args[at.TILE_ROW], scratch + args[at.TILE_ROW] + row
    tile_b, tile_c = scratch + args[at.TILE_B], scratch + args[at.TILE_C]
    if is_constant(kind_b):
        load_planes(real, kind_a, args, at.B, ZERO, r, d, rows, d_state, tile_b)
    if is_constant(kind_c):
        load_planes(real, kind_a, args, at.C, ZERO, r, d, rows, d_state, tile_c)
    load_channels(real, args, at.DELTA_BIAS, ZERO, r, d, rows, ONE, ZERO, bias)
    load_channels(real, args, at.D, ZERO, r, d, rows, ONE, ZERO, skip)
    load_steps(real, args, scratch, at.U, b, r, d, rows, block - first, c, u)
    load_steps(real, args, scratch, at.DELTA, b, r, d, rows, block - first, c, delta)
    prefetch_next(real, args, b, r, g, c, c + 1, block, first, last)
    prefetch_steps(args, at.Z, b, r, d, t, rows, m)
    prefetch_steps(args, at.Y, b, r, d, t, rows, m)
    if args[at.STATES]:
        states = states_address(real, args, b, r, g, block, c, parts(kind_a))
        copy_tile(real, h, states, d_state * parts(kind_a))
    bt, ct = time_step(kind_a, kind_b, real, d_state), time_step(kind_a, kind_c, real, d_state)
    prepare_chunk(real, delta, u, y, bias, skip, m, args[at.SOFTPLUS], args[at.D] != 0)
    clear_padding(real, args, b, r, t, m, u, row)
    stop, last_stop = stops_of(args, c)
    for i in range(segments_of(table)):
        start, end, begins = segment(table, i)
        while start < end:
            until, stops = end, stop < last_stop and stop_row(args, stop) < end
            if stops:
                until = stop_row(args, stop) + 1
            o, steps = m - until if args[at.REVERSE] else start, until - start
            if begins:
                steps -= 1
                p = o + steps if args[at.REVERSE] else o
                o += 0 if args[at.REVERSE] else 1
                begin_states(
                    kind_a, real, kind_b, kind_c, u + p * row, y + p * row, h, tile_b + p * bt,
                    tile_c + p * ct, d_state,
                )  # fmt: skip
            p = o * row
            run_states(
                kind_a, real, kind_b, kind_c, delta + p, u + p, y + p, h, a, tile_b + o * bt,
                tile_c + o * ct, bt, ct, d_state, steps, args[at.REVERSE],
            )  # fmt: skip
            if stops:
                k = stop_index(args, stop)
                store_planes(real, kind_a, args, at.STATES_AT, b, k, d, rows, d_state, h)
                stop += 1
            start, begins = until, False
    if args[at.Y] == 0:
        return
    if args[at.Z]:
        load_steps(real, args, scratch, at.Z, b, r, d, rows, block - first, c, z)
        gate_chunk(real, y, z, m)
    store_steps(real, args, scratch, at.Y, b, r, d, rows, block - first, c, y)


@inline
def start_route(real, kind_a, args, scratch, b, r, g, first, last):
    """Load A and the initial states."""
    d_state = args[at.D_STATE]
    size = d_state * width(real) * itemsize(real) * parts(kind_a)
    h, a = scratch + args[at.TILE_H], scratch + args[at.TILE_A]
    for block in range(first, last):
        d, rows = channels_of(real, args, g, block)
        own = (block - first) * size
        load_rates(real, kind_a, args, r, d, rows, d_state, a + own)
        load_planes(real, kind_a, args, at.INITIAL_STATE, b, r, d, rows, d_state, h + own)


@helper
def forward_task(real, kind_a, kind_b, kind_c, args, scratch, task):
    """All chunks of the blocks of one task, route by route."""
    d_state = args[at.D_STATE]
    b, g, _, first, last = slice_of(args, task)
    table = segment_table(args, scratch)
    first_route, last_route = routes_of(args, task)
    for r in range(first_route, last_route):
        if r == 0 or not args[at.JOINED]:
            start_route(real, kind_a, args, scratch, b, r, g, first, last)
        for c in range(args[at.CHUNKS]):
            find_segments(args, table, b, r, c)
            if not is_constant(kind_b):
                tile = scratch + args[at.TILE_B]
                load_shared(real, kind_a, args, scratch, at.B, b, r, g, c, tile)
            if not is_constant(kind_c):
                tile = scratch + args[at.TILE_C]
                load_shared(real, kind_a, args, scratch, at.C, b, r, g, c, tile)
            for block in range(first, last):
                forward_block(
                    real, kind_a, kind_b, kind_c, args, scratch, table, b, r, g, c, block, first,
                    last,
                )  # fmt: skip
    if args[at.LAST_STATE]:
        for block in range(first, last):
            d, rows = channels_of(real, args, g, block)
            own = (block - first) * d_state * width(real) * itemsize(real) * parts(kind_a)
            h = scratch + args[at.TILE_H] + own
            store_planes(real, kind_a, args, at.LAST_STATE, b, ZERO, d, rows, d_state, h)


def compile_forward(real, kind_a, kind_b, kind_c):
    """The entry point for one type of arithmetic, states and coefficients (see tasks.py)."""

    @kernel
    def scan_forward(address, worker, first, last):
        args = arguments(address)
        scratch = args[at.SCRATCH] + worker * args[at.SCRATCH_STEP]
        for task in range(first, last):
            forward_task(real, kind_a, kind_b, kind_c, args, scratch, task)

    return scan_forward
