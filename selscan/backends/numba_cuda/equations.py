"""The recurrence, for one state of one channel: what a kernel of another recurrence changes.

    delta' = softplus(delta + delta_bias)                                                (1)
    h[t]   = f(delta'[t] A) h[t-1] + delta'[t] B[t] u[t],   f = exp                       (2)
    y[t]   = k Re(sum over n of C[t] h[t]) + D u[t],   k = 1, or 2 for complex A          (3)
    out[t] = y[t] silu(z[t])                                                             (4)

The numbers are those of docs/maths.md and of reference/. Constants are float32, the narrowest
dtype of the arithmetic: in float64 kernels they become float64.
"""

import numpy as np
from numba.cuda.extending import register_jitable

from .formats import ONE, exp, log1p

IDENTITY = np.float32(20)  # above which softplus is the identity


@register_jitable
def decay(x):
    """f of (2): what is left of a state after a step, x = delta' A."""
    return exp(x)


@register_jitable
def decay_slope(x):
    """f', of which the gradient is made; d conj(f) follows by conjugation."""
    return exp(x)


@register_jitable
def step_size(x, softplus):
    """delta' of (1), x = delta + delta_bias."""
    if not softplus or x > IDENTITY:
        return x
    return log1p(exp(x))


@register_jitable
def step_size_slope(x, softplus):
    """Its derivative."""
    if not softplus or x > IDENTITY:
        return ONE
    return sigmoid(x)


@register_jitable
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return ONE / (ONE + exp(-x))


@register_jitable
def silu(z):
    """The gate of (4)."""
    return z * sigmoid(z)


@register_jitable
def silu_slope(z):
    """Its derivative; 1 - sigmoid(z) is sigmoid(-z), without cancellation."""
    return sigmoid(z) * (ONE + z * sigmoid(-z))
