"""Other people's kernels for scans, as scan(u, delta, A, B, C, D, delta_bias), with softplus.

u and delta are (b, k * d, l), B and C (b, k, n, l). None of them is installed here or imported
before it is asked for: what is not there raises NotAvailable.
"""

import importlib.util

from bench.gpu import mamba
from bench.gpu.outcomes import NotAvailable

OFLEX = "selective_scan_cuda_oflex"


def differentiable(forward, backward):
    """A scan of forward(*tensors) -> (y, states) and backward(*tensors, dy, states)."""
    import torch

    class Scan(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            y, states = forward(*tensors)
            ctx.save_for_backward(*tensors, states)
            return y

        @staticmethod
        def backward(ctx, dy):
            *tensors, states = ctx.saved_tensors
            return tuple(backward(*tensors, dy.contiguous(), states))

    return Scan.apply


def library(name):
    """An extension that is installed."""
    if importlib.util.find_spec(name) is None:
        raise NotAvailable(f"{name} is not installed")
    return importlib.import_module(name)


def oflex(options):
    """VMamba's kernels, which give y as float32."""
    found = library(OFLEX)
    return differentiable(
        lambda *tensors: found.fwd(*tensors, True, 1, True)[:2],
        lambda *tensors: found.bwd(*tensors, True, 1)[:7],
    )


def mamba_ssm(options):
    """mamba_ssm's kernels."""
    found = mamba.library(options["mamba"])

    def with_gate(u, delta, A, B, C, D, bias):
        return u, delta, A, B, C, D, None, bias

    return differentiable(
        lambda *tensors: found.fwd(*with_gate(*tensors), True)[:2],
        lambda *tensors: found.bwd(*with_gate(*tensors[:7]), *tensors[7:], None, None, True, False)[
            :7
        ],
    )
