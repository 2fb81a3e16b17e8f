"""selective_scan_cuda_oflex: VMamba's form whose result is in float32 also for 16-bit inputs."""

from . import calls
from .selective_scan_cuda_core import bwd

__all__ = ["bwd", "fwd"]


def fwd(u, delta, A, B, C, D=None, delta_bias=None, delta_softplus=False, nrows=1, out_float=True):
    """[out, x]; out in at least 32 bits with out_float, else in the dtype of u."""
    dtype = calls.at_least_float32(u.dtype) if out_float else None
    return list(calls.forward(u, delta, A, B, C, D, delta_bias, delta_softplus, dtype))
