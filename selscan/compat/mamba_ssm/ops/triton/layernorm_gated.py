"""mamba_ssm.ops.triton.layernorm_gated: norms with a gate silu(z) before or behind them."""

import torch
from torch import nn
from torch.nn import functional as F


def layernorm_fn(
    x,
    weight,
    bias,
    z=None,
    eps=1e-6,
    group_size=None,
    norm_before_gate=True,
    is_rms_norm=False,
):
    """norm(x) * silu(z), or norm(x * silu(z)), in x's dtype.

    With group_size each group of so many channels is normalised by itself.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    y, gate = x.to(dtype), None if z is None else F.silu(z.to(dtype))
    if gate is not None and not norm_before_gate:
        y = y * gate
    size = group_size or y.shape[-1]
    norm = F.rms_norm if is_rms_norm else F.layer_norm
    y = norm(y.unflatten(-1, (-1, size)), (size,), eps=eps).flatten(-2) * weight.to(dtype)
    y = y if bias is None else y + bias.to(dtype)
    return (y * gate if gate is not None and norm_before_gate else y).to(x.dtype)


def rmsnorm_fn(x, weight, bias, z=None, eps=1e-6, group_size=None, norm_before_gate=True):
    """`layernorm_fn` without a mean."""
    return layernorm_fn(x, weight, bias, z, eps, group_size, norm_before_gate, True)


class LayerNorm(nn.Module):
    """`layernorm_fn` with its parameters."""

    is_rms_norm = False

    def __init__(
        self,
        hidden_size,
        eps=1e-5,
        group_size=None,
        norm_before_gate=True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.eps, self.group_size, self.norm_before_gate = eps, group_size, norm_before_gate
        factory = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.ones(hidden_size, **factory))
        bias = None if self.is_rms_norm else nn.Parameter(torch.zeros(hidden_size, **factory))
        self.register_parameter("bias", bias)

    def reset_parameters(self):
        nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x, z=None):
        form = self.eps, self.group_size, self.norm_before_gate, self.is_rms_norm
        return layernorm_fn(x, self.weight, self.bias, z, *form)


class RMSNorm(LayerNorm):
    """`rmsnorm_fn` with its weight; there is no bias."""

    is_rms_norm = True
