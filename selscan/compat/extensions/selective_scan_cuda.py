"""selective_scan_cuda: the extension of mamba_ssm, with a gate and complex states."""

import torch
from torch.nn import functional as F

from ...messages import fail
from . import calls


def fwd(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False):
    """[out, x], or with z [out before the gate, x, gated]; see `calls.forward` for x."""
    wide = None if z is None else calls.at_least_float32(u.dtype)  # rounded behind the gate
    out, x = calls.forward(u, delta, A, B, C, D, delta_bias, delta_softplus, wide)
    if z is None:
        return [out, x]
    return [out.to(u.dtype), x, gated(out, z).to(u.dtype)]


def bwd(
    u, delta, A, B, C, D, z, delta_bias, dout, x, out, dz, delta_softplus, recompute_out_z=False
):
    """[du, ddelta, dA, dB, dC, dD, ddelta_bias], with z dz, and the gated output if asked for.

    A given dz is written. `out` is that of `fwd`, before the gate; x is not needed.
    """
    if z is not None and out is None:
        fail("bwd", "out", "the first result of fwd where there is z", "None")
    found = calls.backward(dout, u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    results = [found.u, found.delta, found.A, found.B, found.C, found.D, found.delta_bias]
    if z is not None:
        results.append(found.z if dz is None else dz.copy_(found.z))
        if recompute_out_z:
            results.append(gated(out, z).to(u.dtype))
    return results


@torch.no_grad()
def gated(out, z):
    """out * silu(z) in at least 32 bits."""
    wide = calls.at_least_float32(out.dtype)
    return out.to(wide) * F.silu(z.to(wide))
