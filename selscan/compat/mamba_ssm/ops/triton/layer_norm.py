"""mamba_ssm.ops.triton.layer_norm: norms of a stream to which something is added first, by torch.

Older code imports the same from mamba_ssm.ops.triton.layernorm.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .....messages import fail


def layer_norm_fn(
    x,
    weight,
    bias,
    residual=None,
    x1=None,
    weight1=None,
    bias1=None,
    eps=1e-6,
    dropout_p=0.0,
    rowscale=None,
    prenorm=False,
    residual_in_fp32=False,
    is_rms_norm=False,
    return_dropout_mask=False,
):
    """y = norm(s) in x's dtype, of s = dropout(rowscale x) + dropout(x1) + residual.

    Returns y; y1, the norm by weight1 and bias1, if these are given; with prenorm s, in the dtype
    of the residual, or of x, or in float32 with residual_in_fp32; with return_dropout_mask the
    masks of x and x1. Sums and norms are in at least 32 bits.
    """
    if x1 is not None and rowscale is not None:
        fail("layer_norm_fn", "rowscale", "None where there is x1", "both")
    dtype = torch.promote_types(x.dtype, torch.float32)
    stream = x.to(dtype) if rowscale is None else x.to(dtype) * rowscale[..., None]
    stream, mask = _dropped(stream, dropout_p)
    mask1 = None
    if x1 is not None:
        more, mask1 = _dropped(x1.to(dtype), dropout_p)
        stream = stream + more
    if residual is not None:
        stream = stream + residual
    results = [_norm(stream, weight, bias, eps, is_rms_norm).to(x.dtype)]
    if weight1 is not None:
        results.append(_norm(stream, weight1, bias1, eps, is_rms_norm).to(x.dtype))
    if prenorm:
        narrow = x.dtype if residual is None else residual.dtype
        keep = residual is None and residual_in_fp32
        results.append(stream if keep else stream.to(narrow))
    if return_dropout_mask:
        results += [mask, mask1]
    return results[0] if len(results) == 1 else tuple(results)


def rms_norm_fn(
    x,
    weight,
    bias,
    residual=None,
    x1=None,
    weight1=None,
    bias1=None,
    eps=1e-6,
    dropout_p=0.0,
    rowscale=None,
    prenorm=False,
    residual_in_fp32=False,
    return_dropout_mask=False,
):
    """`layer_norm_fn` without a mean."""
    parts = residual, x1, weight1, bias1, eps, dropout_p, rowscale
    return layer_norm_fn(
        x, weight, bias, *parts, prenorm, residual_in_fp32, True, return_dropout_mask
    )


def _dropped(x, p):
    """x with a share of zeros, and the mask of what is left; None without dropout."""
    if p == 0:
        return x, None
    mask = torch.rand_like(x) > p
    return x.where(mask, 0) / (1 - p), mask


def _norm(x, weight, bias, eps, is_rms_norm):
    """In the dtype of x."""
    size, weight = weight.shape, weight.to(x.dtype)
    bias = bias if bias is None else bias.to(x.dtype)
    if not is_rms_norm:
        return F.layer_norm(x, size, weight, bias, eps)
    y = F.rms_norm(x, size, weight, eps)
    return y if bias is None else y + bias


class RMSNorm(nn.Module):
    """`rms_norm_fn` with its weight; there is no bias."""

    def __init__(self, hidden_size, eps=1e-5, dropout_p=0.0, device=None, dtype=None):
        super().__init__()
        self.eps = eps
        self.drop = nn.Dropout(dropout_p) if dropout_p > 0 else None
        self.weight = nn.Parameter(torch.ones(hidden_size, device=device, dtype=dtype))
        self.register_parameter("bias", None)

    def reset_parameters(self):
        nn.init.ones_(self.weight)

    def forward(self, x, residual=None, prenorm=False, residual_in_fp32=False):
        rate = self.drop.p if self.drop is not None and self.training else 0.0
        options = {"prenorm": prenorm, "residual_in_fp32": residual_in_fp32, "dropout_p": rate}
        return rms_norm_fn(x, self.weight, self.bias, residual, eps=self.eps, **options)
