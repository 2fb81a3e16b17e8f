"""selective_scan_cuda_core: VMamba's first form, without a gate; selective_scan_cuda_nrow as well.

`nrows`, channels that a block of threads shares, does not matter here.
"""

from . import calls


def fwd(u, delta, A, B, C, D=None, delta_bias=None, delta_softplus=False, nrows=1):
    """[out, x]."""
    return list(calls.forward(u, delta, A, B, C, D, delta_bias, delta_softplus, None))


def bwd(u, delta, A, B, C, D, delta_bias, dout, x=None, delta_softplus=False, nrows=1):
    """[du, ddelta, dA, dB, dC, dD, ddelta_bias]."""
    found = calls.backward(dout, u, delta, A, B, C, D, None, delta_bias, delta_softplus)
    return [found.u, found.delta, found.A, found.B, found.C, found.D, found.delta_bias]
