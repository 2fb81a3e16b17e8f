"""How parameters begin: as in Mamba, and as in vision transformers."""

import math

import torch
from torch import nn

DELTA_MIN, DELTA_MAX, DELTA_FLOOR = 1e-3, 1e-1, 1e-4


def width(function, d_model, dim):
    """The width of a block, which goes by two names."""
    given = [x for x in (d_model, dim) if x is not None]
    if len(given) != 1:
        got = "both d_model and dim" if given else "None"
        raise TypeError(f"{function}: d_model must be an integer of at least 1; got {got}.")
    return given[0]


def A_logs(channels, d_state, device=None):
    """log(1 .. n) for each channel, (channels, n): states that forget at n different rates."""
    rates = torch.arange(1.0, d_state + 1, device=device)
    return without_decay(nn.Parameter(rates.log().repeat(channels, 1)))


def skip(channels, device=None):
    """D, (channels,)."""
    return without_decay(nn.Parameter(torch.ones(channels, device=device)))


def without_decay(parameter):
    """Marked as people's optimizers look for it: regularised, states would forget less."""
    parameter._no_weight_decay = True
    return parameter


def dt_weight(*shape, init="random", scale=1.0, **factory):
    """(..., d, rank), uniform within scale * rank ** -0.5, or that number with init="constant"."""
    bound = scale * shape[-1] ** -0.5
    weight = torch.empty(shape, **factory)
    return nn.Parameter(
        weight.fill_(bound) if init == "constant" else weight.uniform_(-bound, bound)
    )


def dt_bias(*shape, low=DELTA_MIN, high=DELTA_MAX, floor=DELTA_FLOOR, device=None, dtype=None):
    """What softplus takes to a delta that is log-uniform in low .. high."""
    span = math.log(low), math.log(high)
    delta = torch.empty(shape, device=device).uniform_(*span).exp().clamp(min=floor)
    bias = nn.Parameter((delta + torch.log(-torch.expm1(-delta))).to(dtype))
    bias._no_reinit = True  # as language models look for it, which set all other biases to zero
    return bias


def init_weights(module):
    """For `Module.apply`: linear layers begin as in vision transformers."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
