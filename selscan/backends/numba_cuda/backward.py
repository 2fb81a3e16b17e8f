"""The gradient of the selective scan: the adjoint recurrence, from the last step to the first.

With g[t] the gradient with respect to h[t], and f the decay of equations.py:

    dy[t]      = dout[t] silu(z[t])                                                       (5)
    dz[t]      = dout[t] y[t] silu'(z[t])                                                 (6)
    g[t]       = k dy[t] conj(C[t]) + conj(f(delta'[t+1] A)) g[t+1]                       (7)
    dC[t]      = k dy[t] conj(h[t])                                                       (8)
    dB[t]      = delta'[t] u[t] g[t]                                                      (9)
    du[t]      = delta'[t] Re(sum over n of conj(B[t]) g[t]) + D dy[t]                    (10)
    dD         = sum over t of dy[t] u[t]                                                 (11)
    dA         = sum over t of delta'[t] conj(f'(delta'[t] A) h[t-1]) g[t]                (12)
    ddelta'[t] = Re(sum over n of conj(A f'(delta'[t] A) h[t-1] + B[t] u[t]) g[t])        (13)
    ddelta[t]  = ddelta'[t] softplus'(delta[t] + delta_bias),   ddelta_bias = their sum   (14)
    dinitial_state = conj(f(delta'[0] A)) g[0]                                            (15)

What is not there has no part: (12) and the first term of (13) where no state comes to a step, the
second at padding.

Threads, blocks and arrays are those of forward.py. A block walks along its tiles from the last to
the first. In each, its threads

    1. find delta', u and dy, in shared memory;
    2. walk forward from the state that the forward has kept, and leave the state before each step;
    3. walk back, and leave what each state adds to sums over states and over channels;
    4. sum up: over the states for du, ddelta and dz, over the block's channels for dB and dC.

dB and dC have a part for each slice, and what has no batch axis one for each batch entry; moves.py
adds the parts. Nothing depends on the order of blocks or threads.
"""

from numba import cuda

from . import equations
from .equations import silu, silu_slope, step_size, step_size_slope
from .formats import NUMBERS, REALS, conj, narrow, times, widen
from .places import begins, first_step, is_padding, place_of
from .shapes import CHANNELS, THREADS, tile_of


def make_backward(dtype):
    """The kernel for states of a dtype."""
    number, real, TILE = NUMBERS[dtype], REALS[dtype], tile_of(dtype)
    k = real(2 if dtype.startswith("complex") else 1)

    def scan_backward(
        u, delta, A, B, C, D, z, delta_bias, initial_state, seq_idx, pixels, dy, dlast_state, saved,
        du, ddelta, dA, dB, dC, dB_constant, dC_constant, dD, dz, ddelta_bias, dinitial_state,
        groups, softplus,
    ):  # fmt: skip
        steps = cuda.shared.array((TILE, CHANNELS), real)  # delta'
        inputs = cuda.shared.array((TILE, CHANNELS), real)  # u
        slopes = cuda.shared.array((TILE, CHANNELS), real)  # dy
        # What each state adds: to the sums of (9) and (8), of (10) and (13), and to y.
        to_dB = cuda.shared.array((TILE, THREADS), number)  # before that, the state before a step
        to_dC = cuda.shared.array((TILE, THREADS), number)
        to_du = cuda.shared.array((TILE, THREADS), real)
        to_ddelta = cuda.shared.array((TILE, THREADS), real)
        to_y = cuda.shared.array((TILE, THREADS), real)

        batch, channels, length = u.shape
        c, n, width, states = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockDim.x, cuda.blockDim.y
        b, g, s = place_of(cuda.blockIdx.x, cuda.gridDim.x, batch, groups)
        own_channels = min(width, channels // groups - s * width)  # of the block
        d, is_here = g * (channels // groups) + s * width + c, c < own_channels
        g_b, g_c = d * B.shape[1] // channels, d * C.shape[1] // channels
        own = n * width + c

        rate, skip, bias = number(0), real(0), real(0)
        carry = number(0)  # the second term of (7)
        sum_dA, sum_dB, sum_dC, sum_dD, sum_bias = number(0), number(0), number(0), real(0), real(0)
        if is_here:
            rate = number(widen(A[d, n]))
            if D.size > 0:
                skip = real(widen(D[d]))
            if delta_bias.size > 0:
                bias = real(widen(delta_bias[d]))
            if dlast_state.size > 0:
                carry = number(widen(dlast_state[b, d, n]))
        begin, ahead = first_step(initial_state, pixels), seq_idx.shape[1] - length

        for tile in range((length - 1) // TILE, -1, -1):
            first = tile * TILE
            count = min(TILE, length - first)
            if is_here:
                for i in range(n, count, states):
                    t = first + i
                    steps[i, c] = step_size(real(widen(delta[b, d, t])) + bias, softplus)
                    inputs[i, c] = real(widen(u[b, d, t]))
                    slopes[i, c] = real(widen(dy[b, d, t]))
                    if z.size > 0:
                        slopes[i, c] *= silu(real(widen(z[b, d, t])))  # (5)
            cuda.syncthreads()

            if is_here:
                h = number(0)
                if tile > 0:
                    h = saved[b, tile - 1, n, d]
                elif initial_state.size > 0:
                    h = number(widen(initial_state[b, d, n]))
                for i in range(count):
                    t = first + i
                    to_dB[i, own] = h
                    if begins(seq_idx, b, t, begin, ahead):
                        h = number(0)
                    else:
                        h *= equations.decay(times(steps[i, c], rate))
                    if not is_padding(pixels, t):
                        h += times(steps[i, c] * inputs[i, c], number(widen(B[b, g_b, n, t])))

                for i in range(count - 1, -1, -1):
                    t, step, u_t, dy_t = first + i, steps[i, c], inputs[i, c], slopes[i, c]
                    B_t, C_t = number(widen(B[b, g_b, n, t])), number(widen(C[b, g_c, n, t]))
                    grad = times(k * dy_t, conj(C_t)) + carry  # (7)
                    h, carry, to_ddelta[i, own] = number(0), number(0), real(0)
                    if not begins(seq_idx, b, t, begin, ahead):
                        before, exponent = to_dB[i, own], times(step, rate)
                        share = equations.decay(exponent)
                        slope = conj(equations.decay_slope(exponent) * before) * grad
                        h, carry = share * before, conj(share) * grad
                        sum_dA += times(step, slope)  # (12)
                        to_ddelta[i, own] = (
                            conj(rate) * slope
                        ).real  # (13), without the step's own
                    to_du[i, own] = real(0)
                    if not is_padding(pixels, t):
                        h += times(step * u_t, B_t)
                        to_du[i, own] = (conj(B_t) * grad).real  # (10)
                    to_dC[i, own] = times(k * dy_t, conj(h))  # (8)
                    to_dB[i, own] = times(step * u_t, grad)  # (9)
                    to_y[i, own] = k * (C_t * h).real
                    sum_dB += to_dB[i, own]
                    sum_dC += to_dC[i, own]
            cuda.syncthreads()

            if is_here:
                for i in range(n, count, states):
                    t, step, dy_t = first + i, steps[i, c], slopes[i, c]
                    du_t, ddelta_t, y_t = real(0), real(0), real(0)
                    for m in range(states):
                        du_t += to_du[i, m * width + c]
                        ddelta_t += to_ddelta[i, m * width + c]
                        y_t += to_y[i, m * width + c]
                    ddelta_t += inputs[i, c] * du_t  # (13), the other
                    ddelta_t *= step_size_slope(real(widen(delta[b, d, t])) + bias, softplus)
                    du_t *= step
                    if D.size > 0:
                        y_t += skip * inputs[i, c]
                        du_t += skip * dy_t
                    du[b, d, t] = narrow(du_t, du)  # (10)
                    ddelta[b, d, t] = narrow(ddelta_t, ddelta)  # (14)
                    if z.size > 0:
                        slope_z = silu_slope(real(widen(z[b, d, t])))
                        dz[b, d, t] = narrow(real(widen(dy[b, d, t])) * y_t * slope_z, dz)  # (6)
                    sum_dD += dy_t * inputs[i, c]  # (11)
                    sum_bias += ddelta_t
            for i in range(c, count, width):
                dB_t, dC_t = number(0), number(0)
                for m in range(n * width, n * width + own_channels):
                    dB_t += to_dB[i, m]
                    dC_t += to_dC[i, m]
                if dB.size > 0:
                    dB[s, b, g, n, first + i] = narrow(dB_t, dB)
                if dC.size > 0:
                    dC[s, b, g, n, first + i] = narrow(dC_t, dC)

        cuda.syncthreads()
        to_du[0, own], to_y[0, own] = sum_dD, sum_bias
        cuda.syncthreads()
        if is_here:
            dA[b, d, n] = narrow(sum_dA, dA)
            if dB_constant.size > 0:
                dB_constant[b, d, n] = narrow(sum_dB, dB_constant)
            if dC_constant.size > 0:
                dC_constant[b, d, n] = narrow(sum_dC, dC_constant)
            if dinitial_state.size > 0:
                dinitial_state[b, d, n] = narrow(carry, dinitial_state)  # (15)
            if n == 0:
                for m in range(1, states):
                    sum_dD += to_du[0, m * width + c]
                    sum_bias += to_y[0, m * width + c]
                if dD.size > 0:
                    dD[b, d] = narrow(sum_dD, dD)
                if ddelta_bias.size > 0:
                    ddelta_bias[b, d] = narrow(sum_bias, ddelta_bias)

    return scan_backward
