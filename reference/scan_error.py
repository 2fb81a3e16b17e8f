"""How far a correct low-precision scan may be from `scan`, element by element.

A first-order running error analysis (Higham 2002, section 3.3) of equations (1) to (15). Every
quantity q is followed by its size |q|, in which each term is replaced by its absolute value (so
nothing cancels), and its error e(q), counted in roundings of half an epsilon:

    |x y| = |x| |y|         e(x y) = e(x) |y| + |x| e(y) + |x y|
    |x + y| = |x| + |y|     e(x + y) = e(x) + e(y) + |x + y|     a sum of m terms: m |sum|
    |exp(q)| = exp(Re q)    e(exp(q)) = (FUNCTION + 2 |q| + e(q)) |exp(q)|

where 2 |q| is for kernels that scale q by log2(e) first. So long memory, long sums, a large
|delta' A| (which magnifies the rounding of delta') and a very negative argument of softplus or
silu are charged what they cost. Not charged: storing results in 16 bits, and underflow.

Sizes and errors of complex numbers are moduli, and bound those of both parts. A sum, and a product
with a real number, round each part once, which is one rounding of the modulus; other than for real
numbers are only

    |x y|, both complex     COMPLEX_PRODUCT |x y| in place of |x y|
    |exp(q)|                (COMPLEX_FUNCTION + 2 |q| + e(q)) |exp(q)|:  the imaginary part of e(q)
                            is an error of the phase, the real one of the size
    Re(sum of m terms)      2 m |sum|: kernels add two real products for each term
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reference.problem import from_bdl, prepare, sigmoid, to_bdl
from reference.scan import states_like
from reference.scan_backward import ScanGrads, collect, softplus_slope

# Roundings in an exponential, a logarithm or a division: 2 ulp, as CUDA's fast ones have.
FUNCTION = 4

# Brent, Percival and Zimmermann 2007; with fused operations it is 2 (Jeannerod and others 2017).
COMPLEX_PRODUCT = math.sqrt(5)
# An exponential, a cosine and a sine, and their products.
COMPLEX_FUNCTION = 2 * FUNCTION + 1


@dataclass
class Rounded:
    """A quantity q as its size |q| and its error e(q), arrays of one shape."""

    size: np.ndarray
    error: np.ndarray
    parts: int = 1  # 2: complex

    @classmethod
    def of(cls, value, roundings=0.0):
        """A value known up to some relative roundings."""
        return cls(np.abs(value), np.abs(value) * roundings, 2 if np.iscomplexobj(value) else 1)

    def __mul__(self, other):
        """The product."""
        size = self.size * other.size
        error = self.error * other.size + self.size * other.error
        both = self.parts == other.parts == 2
        error = error + (COMPLEX_PRODUCT * size if both else size)
        return Rounded(size, error, max(self.parts, other.parts))

    def __add__(self, other):
        """The sum, or the difference."""
        size = self.size + other.size
        return Rounded(size, self.error + other.error + size, max(self.parts, other.parts))

    def __getitem__(self, index):
        """A part."""
        return Rounded(self.size[index], self.error[index], self.parts)

    def __setitem__(self, index, value):
        """Write a part."""
        self.size[index], self.error[index] = value.size, value.error

    def cleared(self, where):
        """Zero in some places."""
        return Rounded(np.where(where, 0, self.size), np.where(where, 0, self.error), self.parts)

    def sum(self):
        """The real part of the sum over the last axis."""
        terms = self.parts * self.size.shape[-1]
        return Rounded(self.size.sum(-1), self.as_one_of(terms).sum(-1))

    def as_one_of(self, terms):
        """Errors that add up to the error of a sum of so many terms."""
        return self.error + terms * self.size


@np.errstate(all="ignore")
def scan_error_bound(
    u, delta, A, B, C, D=None, z=None, delta_bias=None, *, return_last_state=False, **options
):
    """Bound E on the error of `scan` in low precision: |computed - scan(...)| <= eps * E.

    eps is that of the arithmetic, `np.finfo(np.float32).eps` for float32. Inputs in 16 bits are
    exact; an output in 16 bits adds its own half epsilon times |y|. Add the smallest normal
    number for underflow. E counts half epsilons, so half of it is to spare.

    Parameters
    ----------
    u, delta, A, B, C, D, z, delta_bias, **options
        As for `scan`.

    Returns
    -------
    E : array like y, float64
    E of last_state : array, (b, d, n), float64, if asked for

    Examples
    --------
    >>> one = np.ones((1, 1, 3))
    >>> E = scan_error_bound(one, one, np.zeros((1, 1)), one, one)
    >>> bool(E[0, 0, 0] < E[0, 0, 1] < E[0, 0, 2])
    True
    """
    p = prepare(u, delta, A, B, C, D, z, delta_bias, **options)
    f = forward(p)
    y = f.y if z is None else f.y * silu_of(p)  # (4)
    y, last = from_bdl(y.error, p.layout), f.last.error
    return (y, last) if return_last_state else y


@np.errstate(all="ignore")
def scan_backward_error_bound(
    dy, u, delta, A, B, C, D=None, z=None, delta_bias=None, *, dlast_state=None, **options
):
    """Bounds E on the error of `scan_backward` in low precision, used as in `scan_error_bound`.

    Parameters
    ----------
    dy, u, delta, A, B, C, D, z, delta_bias, dlast_state, **options
        As for `scan_backward`.

    Returns
    -------
    ScanGrads
        float64 arrays in the shapes of the inputs, None where the input was not given.

    Examples
    --------
    >>> one = np.ones((1, 1, 3))
    >>> E = scan_backward_error_bound(one, one, one, np.zeros((1, 1)), one, one).u
    >>> bool(E[0, 0, 0] > E[0, 0, 1] > E[0, 0, 2])
    True
    """
    p = prepare(u, delta, A, B, C, D, z, delta_bias, **options)
    given = ScanGrads(u, delta, A, B, C, D, z, delta_bias, options.get("initial_state"))
    bounds = backward(p, to_bdl(np.asarray(dy, np.float64), p.layout), dlast_state, given)
    return collect(bounds, given, p.layout)


class Forward(NamedTuple):
    """What the forward pass leaves to the backward pass; delta and u have a trailing axis."""

    u: Rounded  # (b, d, l, 1)
    delta: Rounded  # (b, d, l, 1), delta'
    a: Rounded  # (b, d, l, n), exp(delta' A)
    before: Rounded  # (b, d, l, n), h[t-1]
    h: Rounded  # (b, d, l, n), h[t]
    last: Rounded  # (b, d, n)
    y: Rounded  # (b, d, l), before the gate


def forward(p):
    """Equations (1) to (3)."""
    u, A = Rounded.of(p.u[..., None]), Rounded.of(p.A[:, None])
    delta = Rounded.of(p.delta, delta_roundings(p))[..., None]
    q = delta * A
    function = FUNCTION if q.parts == 1 else COMPLEX_FUNCTION
    a = Rounded.of(np.exp(p.delta[..., None] * p.A[:, None]), function + 2 * q.size + q.error)
    a = a.cleared(p.first[:, None, :, None])
    x = (delta * Rounded.of(p.B) * u).cleared(p.padding[:, None])
    before, after = (Rounded.of(np.zeros_like(p.B)) for _ in "ab")
    h = Rounded.of(states_like(p) if p.state is None else p.state)
    for t in p.order:
        before[:, :, t] = h = h.cleared(p.first[:, t, None, None])
        after[:, :, t] = h = a[:, :, t] * h + x[:, :, t]  # (2)
    skip = skip_of(p, u[..., 0])  # one term more of the sum over states, which may begin with it
    skip = Rounded(skip.size, skip.as_one_of(x.parts * p.A.shape[1]))
    y = Rounded.of(p.k) * (Rounded.of(p.C) * after).sum() + skip  # (3)
    return Forward(u, delta, a, before, after, h, y)


def backward(p, dout, dlast_state, given):
    """Equations (5) to (15), as errors that `collect` may add up."""
    f, A, B = forward(p), *map(Rounded.of, (p.A[:, None], p.B))
    dy = Rounded.of(dout) if p.z is None else Rounded.of(dout) * silu_of(p)  # (5)
    ky = Rounded.of(p.k) * dy[..., None]
    g, carry, dstate = adjoint(p, f.a, ky * Rounded.of(p.C), dlast_state)
    past = (carry * f.before).cleared(p.first[:, None, :, None])
    inner = (B * g).cleared(p.padding[:, None])
    ddelta = ((A * past).sum() + (inner * f.u).sum()) * slope_of(p)  # (13), (14)
    terms = len(dout) * dout.shape[-1]
    return ScanGrads(
        u=(f.delta[..., 0] * inner.sum() + skip_of(p, dy)).error,  # (10)
        delta=ddelta.error,
        A=(f.delta * past).as_one_of(terms).sum(2),  # (12)
        B=(f.delta * f.u * g).as_one_of(shared_by(p, given.B)),  # (9)
        C=(ky * f.h).as_one_of(shared_by(p, given.C)),  # (8)
        D=(dy * f.u[..., 0]).as_one_of(terms).sum(-1),  # (11)
        z=None if p.z is None else (Rounded.of(dout) * f.y * silu_slope_of(p)).error,  # (6)
        delta_bias=ddelta.as_one_of(terms).sum(-1),  # (14)
        initial_state=dstate.error,
    )


def adjoint(p, a, source, dlast_state):
    """g (b, d, l, n) of (7), exp(delta' A) g, and the gradient (15) of the initial state."""
    g, carried = (Rounded.of(np.zeros_like(p.B)) for _ in "ab")
    last = states_like(p) if dlast_state is None else np.asarray(dlast_state, p.A.dtype)
    carry = Rounded.of(last)
    for t in reversed(p.order):
        g[:, :, t] = source[:, :, t] + carry
        carried[:, :, t] = carry = a[:, :, t] * g[:, :, t]
        carry = carry.cleared(p.first[:, t, None, None])
    return g, carried, carry


def skip_of(p, x):
    """D x (b, d, l), and nothing without D."""
    return x.cleared(True) if p.D is None else Rounded.of(p.D[:, None]) * x


def delta_roundings(p):
    """Relative roundings of delta' (b, d, l): softplus(x) is like exp(x) for negative x."""
    if p.delta_softplus:
        return 2 * FUNCTION + 1 + 3 * np.maximum(-p.x, 0)
    return 1.0


def slope_of(p):
    """softplus'(x), got from x or as 1 - exp(-delta')."""
    slope = softplus_slope(p)
    return Rounded.of(slope, delta_roundings(p) + FUNCTION + 2 if p.delta_softplus else 0)


def sigmoid_of(z):
    """1 / (1 + exp(-z)), which is like exp(z) for negative z."""
    return Rounded.of(sigmoid(z), 2 * FUNCTION + 1 + 2 * np.maximum(-z, 0))


def silu_of(p):
    """z sigmoid(z)."""
    return Rounded.of(p.z) * sigmoid_of(p.z)


def silu_slope_of(p):
    """s (1 + z (1 - s)), s = sigmoid(z)."""
    one, z, s = Rounded.of(np.ones_like(p.z)), Rounded.of(p.z), sigmoid_of(p.z)
    return s * (one + z * (one + s))


def shared_by(p, B):
    """How many (batch element, channel, time) share one value of B, or of C."""
    return p.B.size // max(np.size(B), 1)
