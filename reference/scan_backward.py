"""The adjoint of the selective scan, derived by hand from equations (1) to (4) of scan.py.

For one batch element and channel: g[t] is the gradient of the loss with respect to h[t], and
t + 1 the step visited after t. As in torch, the gradient of a complex p is
dL/d(Re p) + i dL/d(Im p): w = f(p) with f holomorphic passes on grad p = conj(f'(p)) grad w, a
real p takes the real part, and conj does nothing to real numbers.

    dy[t]      = dout[t] silu(z[t])                                                      (5)
    dz[t]      = dout[t] y[t] silu'(z[t]),   silu'(z) = s (1 + z (1 - s)),  s = sigmoid(z) (6)
    g[t]       = k dy[t] conj(C[t]) + conj(exp(delta'[t+1] A)) g[t+1]                    (7)
                 with dlast_state as the second term at the last step, none where there is no h[t]
                 in h[t+1]
    dC[t]      = k dy[t] conj(h[t])                                                      (8)
    dB[t]      = delta'[t] u[t] g[t]                                                     (9)
    du[t]      = delta'[t] Re(conj(B[t]) . g[t]) + D dy[t]                               (10)
    dD         = sum over t of dy[t] u[t]                                                (11)
    dA         = sum over t of delta'[t] conj(exp(delta'[t] A) h[t-1]) g[t]              (12)
    ddelta'[t] = Re(conj(A exp(delta'[t] A) h[t-1]) . g[t]) + u[t] Re(conj(B[t]) . g[t]) (13)
    ddelta[t]  = ddelta'[t] softplus'(delta[t] + delta_bias),   ddelta_bias = their sum  (14)
    dinitial_state = conj(exp(delta'[0] A)) g[0],   0 the step visited first             (15)

What is not there has no part: (12) and the first term of (13) at a step without h[t-1], the second
at padding, D dy[t] without D. A parameter's gradient is also summed over the batch elements and
channels that share it.
"""

from typing import NamedTuple

import numpy as np

from reference.problem import decay, from_bdl, prepare, sigmoid, silu, times, to_bdl
from reference.scan import run, states_like


class ScanGrads(NamedTuple):
    """One value for each input of `scan`, None where the input was not given."""

    u: np.ndarray
    delta: np.ndarray
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray | None
    z: np.ndarray | None
    delta_bias: np.ndarray | None
    initial_state: np.ndarray | None


@np.errstate(all="ignore")
def scan_backward(
    dy, u, delta, A, B, C, D=None, z=None, delta_bias=None, *, dlast_state=None, **options
):
    """Vector-Jacobian product of `scan`, equations (5) to (15) at the top of this file.

    Parameters
    ----------
    dy : array like u
        Gradient of the loss with respect to y.
    u, delta, A, B, C, D, z, delta_bias : array
        As for `scan`.
    dlast_state : array, (b, d, n)
        Gradient of the loss with respect to last_state.
    **options
        The keywords of `scan`, except return_last_state.

    Returns
    -------
    ScanGrads
        Arrays in the shapes of the inputs, complex128 where the input is complex, else float64.

    Examples
    --------
    >>> one = np.ones((1, 1, 3))
    >>> scan_backward(one, one, one, np.zeros((1, 1)), one, one).u
    array([[[3., 2., 1.]]])
    """
    p = prepare(u, delta, A, B, C, D, z, delta_bias, **options)
    given = ScanGrads(u, delta, A, B, C, D, z, delta_bias, options.get("initial_state"))
    dout = to_bdl(np.asarray(dy, np.float64), p.layout)
    dy = dout if z is None else dout * silu(p.z)  # (5)
    y, before, _ = run(p)
    grads = adjoint(p, dy, before, dlast_state)
    return collect(
        grads._replace(
            D=np.sum(dy * p.u, axis=-1),  # (11)
            z=None if z is None else dout * y * silu_slope(p.z),  # (6)
            delta_bias=grads.delta.sum(axis=-1),
        ),
        given,
        p.layout,
    )


def adjoint(p, dy, before, dlast_state):
    """The gradients that pass through the state, one for each batch element and channel."""
    du, ddelta, slope = np.zeros(dy.shape), np.zeros(dy.shape), softplus_slope(p)
    dB, dC = np.zeros_like(before), np.zeros_like(before)
    dA, dstate = states_like(p), states_like(p)
    last = states_like(p) if dlast_state is None else np.asarray(dlast_state, p.A.dtype)
    for i, c in p.rows:
        A, carry = p.A[c], last[i, c]
        for t in reversed(p.order):
            delta, u, B, C = p.delta[i, c, t], p.u[i, c, t], p.B[i, c, t], p.C[i, c, t]
            g = times(p.k * dy[i, c, t], np.conj(C)) + carry  # (7)
            h = np.zeros_like(g)
            carry = np.zeros_like(g)
            if not p.first[i, t]:
                a = decay(delta, A)
                h = a * before[i, c, t]
                q = np.conj(h) * g
                dA[i, c] += times(delta, q)  # (12)
                ddelta[i, c, t] = np.sum(np.conj(A) * q).real  # (13)
                carry = np.conj(a) * g
            if not p.padding[t]:
                h = h + times(delta * u, B)
                inner = np.sum(np.conj(B) * g).real
                ddelta[i, c, t] += u * inner
                du[i, c, t] = delta * inner  # (10)
                dB[i, c, t] = times(delta * u, g)  # (9)
            dC[i, c, t] = times(p.k * dy[i, c, t], np.conj(h))  # (8)
            if p.D is not None:
                du[i, c, t] += p.D[c] * dy[i, c, t]
            ddelta[i, c, t] *= slope[i, c, t]  # (14)
        dstate[i, c] = carry  # (15)
    return ScanGrads(du, ddelta, dA, dB, dC, None, None, None, dstate)


def softplus_slope(p):
    """The derivative of delta' with respect to delta: sigmoid below 20, else 1."""
    return np.where(p.x > 20, 1.0, sigmoid(p.x)) if p.delta_softplus else np.ones_like(p.x)


def silu_slope(z):
    """silu'(z) of (6), with 1 - sigmoid(z) written as sigmoid(-z): no cancellation."""
    return sigmoid(z) * (1 + z * sigmoid(-z))


def collect(full, given, layout):
    """Gradients of one (batch element, channel, time) each, summed to the shapes of the inputs.

    `full` holds u, delta, z (b, d, l), A and initial_state (b, d, n), B and C (b, d, l, n),
    D and delta_bias (b, d).
    """
    summed = full._replace(
        u=from_bdl(full.u, layout),
        delta=from_bdl(full.delta, layout),
        A=full.A.sum(axis=0),
        B=unspread(full.B, given.B, layout),
        C=unspread(full.C, given.C, layout),
        D=full.D.sum(axis=0),
        z=None if given.z is None else from_bdl(full.z, layout),
        delta_bias=full.delta_bias.sum(axis=0),
    )
    return ScanGrads(*map(like, summed, given))


def unspread(dB, B, layout):
    """The adjoint of `spread`: (b, d, l, n) summed to the shape of B."""
    B = to_bdl(np.asarray(B), layout)
    if B.ndim == 2:
        return dB.sum(axis=(0, 2))
    b, d, l, n = dB.shape
    g = 1 if B.ndim == 3 else B.shape[1]
    dB = np.moveaxis(dB.reshape(b, g, d // g, l, n).sum(axis=2), 2, -1)
    return from_bdl(dB.reshape(B.shape), layout)


def like(grad, given):
    """None for an input that was not given, the real part for a real one."""
    if given is None:
        return None
    return grad if np.iscomplexobj(given) else grad.real
