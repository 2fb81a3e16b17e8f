"""How parameters begin: as in Mamba, and as in vision transformers."""

import math

import torch
from torch import nn

DELTA_MIN, DELTA_MAX, DELTA_FLOOR = 1e-3, 1e-1, 1e-4


def dt_rank(dim):
    """The width of the bottleneck that delta comes through, from the width of the block."""
    return math.ceil(dim / 16)


def A_logs(channels, d_state):
    """log(1 .. n) for each channel, (channels, n): states that forget at n different rates."""
    return nn.Parameter(torch.arange(1.0, d_state + 1).log().repeat(channels, 1))


def dt_weight(*shape):
    """(..., d, rank), uniform within rank ** -0.5."""
    bound = shape[-1] ** -0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


def dt_bias(*shape):
    """What softplus takes to a delta that is log-uniform in 1e-3 .. 1e-1."""
    span = math.log(DELTA_MIN), math.log(DELTA_MAX)
    delta = torch.empty(shape).uniform_(*span).exp().clamp(min=DELTA_FLOOR)
    return nn.Parameter(delta + torch.log(-torch.expm1(-delta)))


def init_weights(module):
    """For `Module.apply`: linear layers begin as in vision transformers."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
