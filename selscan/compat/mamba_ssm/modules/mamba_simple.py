"""mamba_ssm.modules.mamba_simple: the mixer of Mamba, and the block of the first releases."""

import torch
from torch import nn

from .... import nn as mixers
from ....messages import describe, fail
from . import block

TYPES = ("none", "v1", "v2")


class Mamba(mixers.BiMamba):
    """`selscan.nn.Mamba`, or `selscan.nn.BiMamba`, with the arguments of mamba_ssm and its forks.

    Those up to `dtype` are the original's. Vim and LocalMamba have three more: bimamba_type,
    "none", "v1" or "v2"; if_divide_out, or in LocalMamba's spelling if_devide_out, whether the sum
    of both directions is halved; init_layer_scale, what the factors of the output begin with.
    """

    def __init__(
        self,
        d_model,
        d_state=16,
        d_conv=4,
        expand=2,
        dt_rank="auto",
        dt_min=0.001,
        dt_max=0.1,
        dt_init="random",
        dt_scale=1.0,
        dt_init_floor=1e-4,
        conv_bias=True,
        bias=False,
        use_fast_path=True,
        layer_idx=None,
        device=None,
        dtype=None,
        bimamba_type="none",
        if_divide_out=False,
        init_layer_scale=None,
        *,
        if_devide_out=False,
    ):
        if bimamba_type not in TYPES:
            fail("Mamba", "bimamba_type", "'none', 'v1' or 'v2'", describe(bimamba_type))
        options = {
            "dt_rank": dt_rank,
            "dt_min": dt_min,
            "dt_max": dt_max,
            "dt_init": dt_init,
            "dt_scale": dt_scale,
            "dt_init_floor": dt_init_floor,
            "conv_bias": bool(conv_bias),
            "bias": bool(bias),
            "layer_idx": layer_idx,
            "device": device,
            "dtype": dtype,
        }
        halved = bool(if_divide_out or if_devide_out)
        if bimamba_type == "none":
            mixers.Mamba.__init__(self, d_model, d_state, d_conv, expand, **options)
        else:
            super().__init__(d_model, d_state, d_conv, expand, bimamba_type, halved, **options)
        self.bimamba_type, self.use_fast_path = bimamba_type, use_fast_path
        self.activation, self.act = "silu", nn.SiLU()
        self.init_layer_scale = init_layer_scale
        if init_layer_scale is not None:
            self.gamma = nn.Parameter(
                torch.full((d_model,), float(init_layer_scale), device=device)
            )

    def forward(self, hidden_states, inference_params=None):
        y = super().forward(hidden_states, inference_params)
        return y if self.init_layer_scale is None else y * self.gamma

    def mix(self, x, z):
        if self.bimamba_type == "none":
            return mixers.Mamba.mix(self, x, z)
        return super().mix(x, z)


class Block(block.Block):
    """`block.Block` as it was when it had no MLP: norm_cls is the third argument."""

    def __init__(
        self,
        dim,
        mixer_cls,
        norm_cls=nn.LayerNorm,
        fused_add_norm=False,
        residual_in_fp32=False,
    ):
        super().__init__(dim, mixer_cls, nn.Identity, norm_cls, fused_add_norm, residual_in_fp32)
