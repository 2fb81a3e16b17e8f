"""selective_scan_cuda_ndstate: VMamba's form for one state, whose axis is left out.

A is (d,), and B and C are (b, g, l).
"""

from ...messages import fail
from . import selective_scan_cuda_core as core


def fwd(u, delta, A, B, C, D=None, delta_bias=None, delta_softplus=False, nrows=1):
    """[out, x]."""
    return core.fwd(u, delta, *with_axis(A, B, C), D, delta_bias, delta_softplus)


def bwd(u, delta, A, B, C, D, delta_bias, dout, x=None, delta_softplus=False, nrows=1):
    """[du, ddelta, dA, dB, dC, dD, ddelta_bias]."""
    inputs = u, delta, *with_axis(A, B, C), D, delta_bias
    du, ddelta, dA, dB, dC, *rest = core.bwd(*inputs, dout, x, delta_softplus)
    return [du, ddelta, dA[:, 0], dB[:, :, 0], dC[:, :, 0], *rest]


def with_axis(A, B, C):
    """As (d, 1) and (b, g, 1, l)."""
    for name, given, axes in (("A", A, "(d,)"), ("B", B, "(b, g, l)"), ("C", C, "(b, g, l)")):
        if given.dim() != len(axes.strip("(),").split(",")):
            fail("selective_scan_cuda_ndstate", name, axes, tuple(given.shape))
    return A[:, None], B[:, :, None], C[:, :, None]
