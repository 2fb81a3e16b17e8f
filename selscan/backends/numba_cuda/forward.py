"""The selective scan, forward: equations (1) to (4) of equations.py.

    thread   one state n of one channel d: threadIdx.x is the channel, threadIdx.y the state
    block    some channels of one group of one batch entry, with all their states
    grid     batch * groups * slices; a slice is the channels of a block

A block walks along time in tiles of a few steps. In each tile its threads

    1. find delta' and u of all steps and channels, which all states of a channel need, and put them
       into shared memory: the thread of state n takes the steps n, n + N, n + 2 N, ... of N states;
    2. walk through the steps, each with its state in a register, and leave there what it adds to y;
    3. sum that up over the states, in their order, and write y.

Arrays have the axes (b, d, t), A (d, n), B and C (b, g, n, t), states (b, d, n). An axis that an
argument lacks has steps of zero bytes, a scan in reverse gets the axis of time turned around, and
what was not given has no elements. It has no part in the arithmetic: a zero in its place would make
NaN of an infinity. Along a path, `pixels` is less than zero at padding, where u, B and C are zero.
"""

from numba import cuda

from . import equations
from .equations import silu, step_size
from .formats import NUMBERS, REALS, narrow, times, widen
from .places import begins, first_step, is_padding, place_of
from .shapes import CHANNELS, THREADS, tile_of


def make_forward(dtype):
    """The kernel for states of a dtype."""
    number, real, TILE = NUMBERS[dtype], REALS[dtype], tile_of(dtype)
    k = real(2 if dtype.startswith("complex") else 1)

    def scan_forward(
        u, delta, A, B, C, D, z, delta_bias, initial_state, seq_idx, pixels, y, last_state, saved,
        groups, softplus,
    ):  # fmt: skip
        steps = cuda.shared.array((TILE, CHANNELS), real)  # delta'
        inputs = cuda.shared.array((TILE, CHANNELS), real)  # u
        outputs = cuda.shared.array((TILE, THREADS), real)  # k Re(C h) of each state

        batch, channels, length = u.shape
        c, n, width, states = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockDim.x, cuda.blockDim.y
        b, g, s = place_of(cuda.blockIdx.x, cuda.gridDim.x, batch, groups)
        own_channels = min(width, channels // groups - s * width)  # of the block
        d, is_here = g * (channels // groups) + s * width + c, c < own_channels
        g_b, g_c = d * B.shape[1] // channels, d * C.shape[1] // channels

        h, rate, skip, bias = number(0), number(0), real(0), real(0)
        if is_here:
            rate = number(widen(A[d, n]))
            if initial_state.size > 0:
                h = number(widen(initial_state[b, d, n]))
            if D.size > 0:
                skip = real(widen(D[d]))
            if delta_bias.size > 0:
                bias = real(widen(delta_bias[d]))
        begin, ahead = first_step(initial_state, pixels), seq_idx.shape[1] - length

        for first in range(0, length, TILE):
            count = min(TILE, length - first)
            if is_here:
                for i in range(n, count, states):
                    steps[i, c] = step_size(real(widen(delta[b, d, first + i])) + bias, softplus)
                    inputs[i, c] = real(widen(u[b, d, first + i]))
            cuda.syncthreads()

            if is_here:
                if saved.size > 0 and first > 0:
                    saved[b, first // TILE - 1, n, d] = h
                for i in range(count):
                    t = first + i
                    B_t, C_t = number(widen(B[b, g_b, n, t])), number(widen(C[b, g_c, n, t]))
                    if begins(seq_idx, b, t, begin, ahead):
                        h = number(0)
                    else:
                        h *= equations.decay(times(steps[i, c], rate))
                    if not is_padding(pixels, t):
                        h += times(steps[i, c] * inputs[i, c], B_t)
                    outputs[i, n * width + c] = k * (C_t * h).real
            cuda.syncthreads()

            if is_here and y.size > 0:
                for i in range(n, count, states):
                    total = skip * inputs[i, c] if D.size > 0 else real(0)
                    for m in range(states):
                        total += outputs[i, m * width + c]
                    if z.size > 0:
                        total *= silu(real(widen(z[b, d, first + i])))
                    y[b, d, first + i] = narrow(total, y)

        if is_here and last_state.size > 0:
            last_state[b, d, n] = narrow(h, last_state)

    return scan_forward
