"""selective_scan_cuda_oflex_rh: Spatial-Mamba's form, which gives states: one, as C = 1 does."""

import torch

from ...messages import fail
from . import selective_scan_cuda_core, selective_scan_cuda_oflex


def fwd(u, delta, A, B, D=None, delta_bias=None, delta_softplus=False, nrows=1, out_float=True):
    """[out, x]."""
    inputs = u, delta, A, B, ones(A), D, delta_bias, delta_softplus
    return selective_scan_cuda_oflex.fwd(*inputs, nrows, out_float)


def bwd(u, delta, A, B, D, delta_bias, dout, x=None, delta_softplus=False, nrows=1):
    """[du, ddelta, dA, dB, dD, ddelta_bias]."""
    inputs = u, delta, A, B, ones(A), D, delta_bias, dout, x, delta_softplus
    du, ddelta, dA, dB, _, *rest = selective_scan_cuda_core.bwd(*inputs, nrows)
    return [du, ddelta, dA, dB, *rest]


def ones(A):
    """C, constant in time."""
    if A.dim() != 2 or A.shape[1] != 1:
        fail("selective_scan_cuda_oflex_rh", "A", "(d, 1): one state", tuple(A.shape))
    return torch.ones_like(A)
