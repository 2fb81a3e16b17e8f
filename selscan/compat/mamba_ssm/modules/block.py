"""mamba_ssm.modules.block: a mixer, and perhaps an MLP, on a stream that goes past them."""

import torch
from torch import nn

from ....messages import describe, fail
from ..ops.triton.layer_norm import RMSNorm, layer_norm_fn


class Block(nn.Module):
    """residual += the result of the block before; then mixer(norm(residual)), and so the MLP.

    `mixer_cls`, `mlp_cls` and `norm_cls` are called with the width; without an MLP `mlp_cls` is
    torch.nn.Identity. fused_add_norm says where sums are rounded in 16 bits: behind the norm only.
    """

    def __init__(
        self,
        dim,
        mixer_cls,
        mlp_cls,
        norm_cls=nn.LayerNorm,
        fused_add_norm=False,
        residual_in_fp32=False,
    ):
        super().__init__()
        self.residual_in_fp32, self.fused_add_norm = residual_in_fp32, fused_add_norm
        self.norm = norm_cls(dim)
        self.mixer = mixer_cls(dim)
        self.mlp = None
        if mlp_cls is not nn.Identity:
            self.norm2 = norm_cls(dim)
            self.mlp = mlp_cls(dim)
        if fused_add_norm and not isinstance(self.norm, nn.LayerNorm | RMSNorm):
            expected = "a LayerNorm or this package's RMSNorm with fused_add_norm"
            fail("Block", "norm_cls", expected, describe(self.norm))

    def forward(self, hidden_states, residual=None, inference_params=None, **mixer_kwargs):
        """(hidden_states, residual) for the next block."""
        hidden, residual = self.add_norm(self.norm, hidden_states, residual)
        hidden = self.mixer(hidden, inference_params=inference_params, **mixer_kwargs)
        if self.mlp is not None:
            hidden, residual = self.add_norm(self.norm2, hidden, residual)
            hidden = self.mlp(hidden)
        return hidden, residual

    def add_norm(self, norm, hidden, residual):
        return add_norm(norm, hidden, residual, self.fused_add_norm, self.residual_in_fp32)

    def allocate_inference_cache(self, batch_size, max_seqlen, dtype=None, **kwargs):
        return self.mixer.allocate_inference_cache(batch_size, max_seqlen, dtype=dtype, **kwargs)


def add_norm(norm, hidden, residual, fused, in_fp32):
    """norm(residual + hidden), and that sum."""
    if fused:
        form = {"eps": norm.eps, "is_rms_norm": isinstance(norm, RMSNorm)}
        options = {"prenorm": True, "residual_in_fp32": in_fp32}
        return layer_norm_fn(hidden, norm.weight, norm.bias, residual, **form, **options)
    residual = hidden if residual is None else hidden + residual
    hidden = norm(residual.to(norm.weight.dtype))
    return hidden, residual.to(torch.float32) if in_fp32 else residual
