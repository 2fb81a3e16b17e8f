"""The arguments of the selective scan in one form, and its scalar functions; all in float64."""

from typing import NamedTuple

import numpy as np


class Problem(NamedTuple):
    """The inputs in float64 (complex128 where A is complex), in layout bdl; None: not given."""

    u: np.ndarray  # (b, d, l)
    x: np.ndarray  # (b, d, l), delta + delta_bias
    delta: np.ndarray  # (b, d, l), delta' of (1)
    A: np.ndarray  # (d, n)
    B: np.ndarray  # (b, d, l, n)
    C: np.ndarray  # (b, d, l, n)
    D: np.ndarray | None  # (d,)
    z: np.ndarray | None  # (b, d, l)
    state: np.ndarray | None  # (b, d, n), h[-1]
    order: range  # the time steps as visited
    first: np.ndarray  # (b, l), true where there is no h[t-1]
    padding: np.ndarray  # (l,), true where nothing goes in
    k: int  # of (3)
    delta_softplus: bool
    layout: str

    @property
    def rows(self):
        """The pairs (batch element, channel)."""
        return np.ndindex(self.u.shape[:2])


def prepare(
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
    reverse=False,
    seq_idx=None,
    padding=None,
    layout="bdl",
):
    """The Problem of scan's arguments."""
    u, x = (to_bdl(np.asarray(a, np.float64), layout) for a in (u, delta))
    b, d, l = u.shape
    A = np.asarray(A, np.complex128 if np.iscomplexobj(A) else np.float64)
    B, C = (spread(to_bdl(np.asarray(a, A.dtype), layout), b, d, l) for a in (B, C))
    if delta_bias is not None:
        x = x + np.asarray(delta_bias, np.float64)[:, None]
    order = range(l)[::-1] if reverse else range(l)
    padding = np.zeros(l, bool) if padding is None else np.asarray(padding)
    return Problem(
        u=u,
        x=x,
        delta=softplus(x) if delta_softplus else x,
        A=A,
        B=B,
        C=C,
        D=None if D is None else np.asarray(D, np.float64),
        z=None if z is None else to_bdl(np.asarray(z, np.float64), layout),
        state=None if initial_state is None else np.asarray(initial_state, A.dtype),
        order=order,
        first=first_steps(restarts(seq_idx, b, l, reverse), padding, order, initial_state is None),
        padding=padding,
        k=2 if np.iscomplexobj(A) else 1,
        delta_softplus=delta_softplus,
        layout=layout,
    )


def times(x, z):
    """x z for a real x: a complex z without products by an imaginary part that x does not have."""
    if not np.iscomplexobj(z):
        return x * z
    product = np.empty(np.broadcast(x, z).shape, np.complex128)
    product.real, product.imag = x * z.real, x * z.imag
    return product


def decay(delta, A):
    """exp(delta A); for a complex A 0 where its modulus is, whatever the angle."""
    if not np.iscomplexobj(A):
        return np.exp(delta * A)
    size, turned = np.exp(delta * A.real), np.empty(A.shape, np.complex128)
    turned.real, turned.imag = np.cos(delta * A.imag), np.sin(delta * A.imag)
    return np.where(size == 0, 0, times(size, turned))


def softplus(x):
    """log(1 + exp(x)); the identity above 20, as mamba has it."""
    return np.where(x > 20, x, np.logaddexp(0, x))


def sigmoid(x):
    """1 / (1 + exp(-x)), as the exponential of its logarithm: no overflow."""
    return np.exp(-np.logaddexp(0, -x))


def silu(x):
    """x sigmoid(x)."""
    return x * sigmoid(x)


def to_bdl(a, layout):
    """(b, l, ...) -> (b, ..., l) for layout "bld"; arrays without a time axis stay."""
    return np.moveaxis(a, 1, -1) if layout == "bld" and a.ndim > 2 else a


def from_bdl(a, layout):
    """The inverse of `to_bdl`."""
    return np.moveaxis(a, -1, 1) if layout == "bld" and a.ndim > 2 else a


def spread(B, b, d, l):
    """B or C, (d, n), (b, n, l) or (b, g, n, l), as (b, d, l, n): channel c has group c g // d."""
    if B.ndim == 2:
        return np.broadcast_to(B[:, None], (b, d, l, B.shape[1]))
    B = B[:, None] if B.ndim == 3 else B
    return np.repeat(np.moveaxis(B, -1, 2), d // B.shape[1], axis=1)


def restarts(seq_idx, b, l, reverse):
    """True (b, l) where seq_idx differs from that of the step visited before."""
    restart = np.zeros((b, l), bool)
    if seq_idx is not None:
        seq_idx = np.asarray(seq_idx)
        changes = seq_idx[:, 1:] != seq_idx[:, :-1]
        if reverse:
            restart[:, :-1] = changes
        else:
            restart[:, 1:] = changes
    return restart


def first_steps(restart, padding, order, fresh):
    """True (b, l) where no pixel or step was visited since the scan, or the sequence, began."""
    first = np.zeros(restart.shape, bool)
    for i in range(len(restart)):
        nothing = fresh
        for t in order:
            nothing = first[i, t] = nothing or restart[i, t]
            nothing = nothing and padding[t]
    return first
