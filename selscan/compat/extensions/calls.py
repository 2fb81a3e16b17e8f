"""What the forms of selective_scan_cuda have in common: one forward, one backward."""

import torch

from ...api import scan, scan_backward
from ...messages import fail
from ..mamba_ssm.ops.selective_scan_interface import as_complex, as_real

CHUNK = 2048  # steps for each of which the original keeps states


@torch.no_grad()
def forward(u, delta, A, B, C, D, delta_bias, delta_softplus, out_dtype):
    """(out, x); x (b, d, chunks, 2 n) has the last state where the original has it, or zeros."""
    check_axes(A, B, C)
    if A.is_complex():
        B, C = as_complex(B), as_complex(C)
    options = {"delta_softplus": bool(delta_softplus), "return_last_state": True}
    inputs = u, delta, A, B, C, D, None, delta_bias
    out, last_state = scan(*inputs, **options, out_dtype=out_dtype)
    b, d, l = u.shape
    x = A.new_zeros(b, d, -(-l // CHUNK), 2 * A.shape[1])
    x[:, :, -1:, 1::2] = last_state[:, :, None]
    return out, x


@torch.no_grad()
def backward(dout, u, delta, A, B, C, D, z, delta_bias, delta_softplus):
    """The gradients by name, of B and C in the form that they were given in.

    The states are computed once more, which takes less time than keeping them in x would be worth.
    """
    check_axes(A, B, C)
    inputs = u, delta, A, B, C
    if A.is_complex():
        inputs = u, delta, A, as_complex(B), as_complex(C)
    found = scan_backward(dout, *inputs, D, z, delta_bias, delta_softplus=bool(delta_softplus))
    if A.is_complex():
        dB, dC = (
            as_real(g).to(given.dtype) if given.dim() > 2 else g
            for g, given in ((found.B, B), (found.C, C))
        )
        found = found._replace(B=dB, C=dC)
    return found


def check_axes(A, B, C):
    """Groups are always named here."""
    if A.dim() != 2:
        fail("fwd", "A", "(d, n)", tuple(A.shape))
    for name, given in (("B", B), ("C", C)):
        if given.dim() not in (2, 4):
            fail("fwd", name, "(b, g, n, l) or (d, n)", tuple(given.shape))


def at_least_float32(dtype):
    return torch.promote_types(dtype, torch.float32)
