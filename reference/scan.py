"""The selective scan, one time step, and the matrix it stands for, as literal loops in float64.

Gu and Dao 2023 (Mamba), eq. 2a and 2b, zero-order hold on A and Euler on B, for one batch element
and one channel, h (n,):

    delta'[t] = softplus(delta[t] + delta_bias)                                          (1)
    h[t]      = exp(delta'[t] A) h[t-1] + delta'[t] B[t] u[t],   h[-1] = initial_state    (2)
    y[t]      = k Re(C[t] . h[t]) + D u[t],   k = 1, or 2 for complex A                   (3)
    out[t]    = y[t] silu(z[t])                                                          (4)

t - 1 is the step visited before t: `reverse` visits l - 1, ..., 0. What is not given has no part:
without initial_state there is no h[-1], nor is there h[t-1] where seq_idx changes between the two,
and the first term of (2) is missing; without D its term is, without z there is no (4). At padding
the second term of (2) is missing, and padding in front of all else is not visited.
"""

import numpy as np

from reference.problem import decay, from_bdl, prepare, silu, times


# Infinities and NaN go where IEEE arithmetic takes them, without a warning.
@np.errstate(all="ignore")
def scan(
    u,
    delta,
    A,
    B,
    C,
    D=None,
    z=None,
    delta_bias=None,
    *,
    delta_softplus=False,
    initial_state=None,
    return_last_state=False,
    reverse=False,
    seq_idx=None,
    padding=None,
    layout="bdl",
):
    """Selective scan (S6), equations (1) to (4) at the top of this file, always in float64.

    Parameters
    ----------
    u, delta, z : array, (b, d, l), or (b, l, d) for layout "bld"
    A : array, (d, n), real or complex
    B, C : array, (d, n), (b, n, l) or (b, g, n, l); "bld": (b, l, n), (b, l, g, n)
    D, delta_bias : array, (d,), real
    initial_state : array, (b, d, n)
    seq_idx : array, (b, l), integers
    padding : array, (l,), bool

    Returns
    -------
    y : array like u, float64
    last_state : array, (b, d, n), float64 or complex128, if asked for

    Examples
    --------
    >>> one = np.ones((1, 1, 4))
    >>> scan(one, one, np.zeros((1, 1)), one, one)
    array([[[1., 2., 3., 4.]]])
    """
    p = prepare(
        u,
        delta,
        A,
        B,
        C,
        D,
        z,
        delta_bias,
        delta_softplus=delta_softplus,
        initial_state=initial_state,
        reverse=reverse,
        seq_idx=seq_idx,
        padding=padding,
        layout=layout,
    )
    y, _, h = run(p)
    if z is not None:
        y = y * silu(p.z)  # (4)
    y = from_bdl(y, layout)
    return (y, h) if return_last_state else y


def run(p):
    """y (b, d, l) before the gate, the state before each step (b, d, l, n), the last state."""
    y = np.zeros(p.u.shape)
    before = np.zeros_like(p.B)
    last = states_like(p)
    for i, c in p.rows:
        h = last[i, c] if p.state is None else p.state[i, c]
        for t in p.order:
            delta, u, B, C = p.delta[i, c, t], p.u[i, c, t], p.B[i, c, t], p.C[i, c, t]
            before[i, c, t] = 0 if p.first[i, t] else h
            h = np.zeros_like(h) if p.first[i, t] else decay(delta, p.A[c]) * h
            if not p.padding[t]:
                h = h + times(delta * u, B)  # (2)
            y[i, c, t] = p.k * np.sum(C * h).real  # (3)
            if p.D is not None:
                y[i, c, t] += p.D[c] * u
        last[i, c] = h
    return y, before, last


def states_like(p):
    """Zeros (b, d, n) of the states' type."""
    return np.zeros((len(p.u), *p.A.shape), p.A.dtype)


def scan_step(state, u, delta, A, B, C, D=None, z=None, delta_bias=None, *, delta_softplus=False):
    """One time step of `scan`; `state` is not written.

    Parameters
    ----------
    state : array, (b, d, n)
    u, delta, z : array, (b, d)
    B, C : array, (b, n), (b, g, n) or (d, n); where b = d, two axes mean (b, n)

    Returns
    -------
    y : array, (b, d), float64
    state : array, (b, d, n), float64 or complex128

    Examples
    --------
    >>> one = np.ones((1, 1))
    >>> scan_step(np.zeros((1, 1, 1)), one, one, -one, one, one)
    (array([[1.]]), array([[[1.]]]))
    """
    b = len(u)

    def with_time(a):
        """a with a time axis of length 1; (d, n) has none."""
        a = None if a is None else np.asarray(a)
        return a if a is None or len(a) != b else a[..., None]

    y, state = scan(
        with_time(u),
        with_time(delta),
        A,
        with_time(B),
        with_time(C),
        D,
        with_time(z),
        delta_bias,
        delta_softplus=delta_softplus,
        initial_state=state,
        return_last_state=True,
    )
    return y[..., 0], state


def dense_matrix(delta, A, B, C, D=0.0, *, reverse=False, seq_idx=None):
    """The semiseparable matrix M with y = M u, for one batch element and channel, h[-1] = 0.

    M[t, s] = k Re sum_n C[t, n] exp(A[n] sum of delta'[r], s < r <= t) delta'[s] B[s, n] for
    s <= t, plus D on the diagonal (Dao and Gu 2024, section 3); `reverse` swaps the triangle.

    Parameters
    ----------
    delta : array, (l,), delta' of (1)
    A : array, (n,)
    B, C : array, (l, n) or (n,)
    D : float
    seq_idx : array, (l,), integers

    Returns
    -------
    M : array, (l, l), float64

    Examples
    --------
    >>> dense_matrix([1.0, 1.0], [0.0], [2.0], [1.0])
    array([[2., 0.],
           [2., 2.]])
    """
    delta, A = np.asarray(delta, np.float64), np.asarray(A)
    l, k = len(delta), 2 if np.iscomplexobj(A) else 1
    B, C = (np.broadcast_to(a, (l, len(A))) for a in (B, C))
    seq_idx = np.zeros(l, int) if seq_idx is None else np.asarray(seq_idx)
    segment = np.cumsum(np.diff(seq_idx, prepend=seq_idx[:1]) != 0)
    M = D * np.eye(l)
    for t, s in np.ndindex(l, l):
        if (s >= t if reverse else s <= t) and segment[s] == segment[t]:
            decay = np.exp(A * (delta[t:s].sum() if reverse else delta[s + 1 : t + 1].sum()))
            M[t, s] += k * np.sum(C[t] * decay * delta[s] * B[s]).real
    return M
