"""mamba_ssm.ops.selective_scan_interface: the scan, and the mixer between its projections.

Names that end in `_ref` are the same functions: selscan has no slower one, and its tests hold it to
loops in float64. Classes have `apply` alone. docs/drop-in.md says what differs.
"""

import functools

import torch
from torch.nn import functional as F

from ....api import scan
from ....nn.branch import coefficients
from ...causal_conv1d import causal_conv1d_fn


def selective_scan_fn(
    u,
    delta,
    A,
    B,
    C,
    D=None,
    z=None,
    delta_bias=None,
    delta_softplus=False,
    return_last_state=False,
):
    """y (b, d, l), or (y, last_state), by `selscan.scan`; flags count by truth.

    B and C are (d, n), (b, n, l) or (b, g, n, l); where A is complex they are real with a last axis
    of 2 l instead, in which real and imaginary parts take turns.
    """
    if A.is_complex():
        B, C = as_complex(B), as_complex(C)
    options = {"delta_softplus": bool(delta_softplus), "return_last_state": bool(return_last_state)}
    return scan(u, delta, A, B, C, D, z, delta_bias, **options)


def as_complex(x):
    """(..., 2 l) real as (..., l) complex; what is constant in time is complex as it is."""
    if x.dim() == 2 or x.is_complex():
        return x
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    return torch.complex(x[..., 0::2], x[..., 1::2])


def as_real(x):
    """(..., l) complex as (..., 2 l) real."""
    return torch.view_as_real(x).flatten(-2)


def inputs_of_scan(
    xz, conv1d_weight, conv1d_bias, x_proj_weight, delta_proj_weight, A, B, C, B_bias, C_bias
):
    """u, delta, B, C and z of the scan; B and C of u where they are not given."""
    x, z = xz.chunk(2, dim=1)
    u = causal_conv1d_fn(x, conv1d_weight[:, 0], conv1d_bias, activation="silu")
    numbers = A.shape[1] * (2 if A.is_complex() else 1)
    project = functools.partial(F.linear, weight=x_proj_weight)
    delta, own_B, own_C = coefficients(u.transpose(1, 2), project, delta_proj_weight, numbers)
    B = own_coefficients(own_B, B_bias, A) if B is None else B
    C = own_coefficients(own_C, C_bias, A) if C is None else C
    return u, delta.transpose(1, 2), B, C, z


def own_coefficients(x, bias, A):
    """(b, l, numbers) in the form that `selective_scan_fn` takes."""
    x = x if bias is None else x + bias.to(x.dtype)
    if not A.is_complex():
        return x.transpose(1, 2)
    return x.unflatten(-1, (-1, 2)).transpose(1, 2).flatten(-2)


def mamba_inner_fn_no_out_proj(
    xz,
    conv1d_weight,
    conv1d_bias,
    x_proj_weight,
    delta_proj_weight,
    A,
    B=None,
    C=None,
    D=None,
    delta_bias=None,
    B_proj_bias=None,
    C_proj_bias=None,
    delta_softplus=True,
    checkpoint_lvl=1,
):
    """The mixer of xz (b, 2 d, l), x above z, without its outer projections: (b, d, l)."""
    weights = conv1d_weight, conv1d_bias, x_proj_weight, delta_proj_weight
    u, delta, B, C, z = inputs_of_scan(xz, *weights, A, B, C, B_proj_bias, C_proj_bias)
    return selective_scan_fn(u, delta, A, B, C, D, z, delta_bias, delta_softplus)


def mamba_inner_fn(
    xz,
    conv1d_weight,
    conv1d_bias,
    x_proj_weight,
    delta_proj_weight,
    out_proj_weight,
    out_proj_bias,
    A,
    B=None,
    C=None,
    D=None,
    delta_bias=None,
    B_proj_bias=None,
    C_proj_bias=None,
    delta_softplus=True,
    checkpoint_lvl=1,
    b_rms_weight=None,
    c_rms_weight=None,
    dt_rms_weight=None,
    b_c_dt_rms_eps=1e-6,
):
    """The mixer of xz (b, 2 d, l) with the projection behind it: (b, l, d_model).

    None where there are norms of B, C or delta: transformers then takes its own steps to the scan,
    in which delta is normalised before its projection, as in FalconMamba's training.
    """
    if not all(x is None for x in (b_rms_weight, c_rms_weight, dt_rms_weight)):
        return None
    weights = conv1d_weight, conv1d_bias, x_proj_weight, delta_proj_weight
    rest = B, C, D, delta_bias, B_proj_bias, C_proj_bias, delta_softplus
    y = mamba_inner_fn_no_out_proj(xz, *weights, A, *rest)
    return projected(y, out_proj_weight, out_proj_bias)


def projected(y, weight, bias):
    """(b, l, d_model) of y (b, d, l)."""
    return F.linear(y.transpose(1, 2), weight, bias if bias is None else bias.to(weight.dtype))


def bimamba_inner_fn(
    xz,
    conv1d_weight,
    conv1d_bias,
    x_proj_weight,
    delta_proj_weight,
    out_proj_weight,
    out_proj_bias,
    A,
    A_b,
    B=None,
    C=None,
    D=None,
    delta_bias=None,
    B_proj_bias=None,
    C_proj_bias=None,
    delta_softplus=True,
    checkpoint_lvl=1,
):
    """`mamba_inner_fn` with a second scan, backward in time and by A_b, added to the first."""
    weights = conv1d_weight, conv1d_bias, x_proj_weight, delta_proj_weight
    u, delta, B, C, z = inputs_of_scan(xz, *weights, A, B, C, B_proj_bias, C_proj_bias)
    if A.is_complex():
        B, C = as_complex(B), as_complex(C)
    both = [
        scan(u, delta, a, B, C, D, z, delta_bias, delta_softplus=bool(delta_softplus), reverse=back)
        for a, back in ((A, False), (A_b, True))
    ]
    return projected(sum(both), out_proj_weight, out_proj_bias)


selective_scan_ref = selective_scan_fn
mamba_inner_ref = mamba_inner_fn
bimamba_inner_ref = bimamba_inner_fn


class SelectiveScanFn:
    """`apply` is `selective_scan_fn`."""

    apply = staticmethod(selective_scan_fn)


class MambaInnerFn:
    """`apply` is `mamba_inner_fn`."""

    apply = staticmethod(mamba_inner_fn)


class MambaInnerFnNoOutProj:
    """`apply` is `mamba_inner_fn_no_out_proj`."""

    apply = staticmethod(mamba_inner_fn_no_out_proj)


class BiMambaInnerFn:
    """`apply` is `bimamba_inner_fn`."""

    apply = staticmethod(bimamba_inner_fn)
