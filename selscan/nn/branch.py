"""A branch of Mamba: channels x (b, d, l) through convolution, projections and scan,

    u = silu(conv1d(x)),   [dt, B, C] = x_proj u,   y = scan(u, dt_proj dt, -exp(A_log), B, C, D)

along a whole sequence, or token by token with the two states that decoding keeps: the last inputs
of the convolution and the state of the scan.
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from .. import distributed
from ..api import scan, scan_step
from ..messages import fail
from . import initial
from .checks import (
    check_choice,
    check_count,
    check_positive,
    check_switch,
    checked_rank,
    checked_width,
)
from .depthwise import depthwise


class Branch(NamedTuple):
    """The parameters of one direction."""

    conv1d: nn.Conv1d
    x_proj: nn.Linear
    dt_proj: nn.Linear
    A_log: torch.Tensor  # (d, n)
    D: torch.Tensor  # (d,)


class State(NamedTuple):
    """What a branch knows of the steps before: as `step_branch` takes it, which writes to it."""

    conv_state: torch.Tensor  # (b, d, width): the last inputs of the convolution
    ssm_state: torch.Tensor  # (b, d, n)


class Form(NamedTuple):
    """How a branch is made: sizes, what its parameters begin with, and where they are."""

    channels: int
    d_state: int = 16
    d_conv: int = 4
    dt_rank: int = 1
    dt_min: float = initial.DELTA_MIN
    dt_max: float = initial.DELTA_MAX
    dt_init: str = "random"
    dt_scale: float = 1.0
    dt_init_floor: float = initial.DELTA_FLOOR
    conv_bias: bool = True
    device: torch.device | None = None
    dtype: torch.dtype | None = None

    @classmethod
    def of(cls, function, d_model, d_state, d_conv, expand, dt_rank, **options):
        """That of a mixer's options, which are checked; `options`: fields behind dt_rank."""
        for name in options.keys() - {*cls._fields[4:]}:
            raise TypeError(
                f"{function}: options must be {', '.join(cls._fields[4:])}; got {name}."
            )
        for name, size in (("d_model", d_model), ("d_state", d_state), ("d_conv", d_conv)):
            check_count(function, name, size)
        channels = checked_width(function, "expand", expand, d_model)
        rank = checked_rank(function, dt_rank, d_model)
        form = cls(channels, d_state, d_conv, rank, **options)
        for name in ("dt_min", "dt_max", "dt_scale", "dt_init_floor"):
            check_positive(function, name, getattr(form, name))
        if form.dt_min > form.dt_max:
            fail(function, "dt_min", f"at most dt_max, {form.dt_max}", form.dt_min)
        check_choice(function, "dt_init", form.dt_init, ("random", "constant"))
        check_switch(function, "conv_bias", form.conv_bias)
        return form

    def new_branch(self):
        """A branch as Mamba begins it; A and D are in float32 whatever the dtype."""
        d, n, width, rank = self[:4]
        factory = {"device": self.device, "dtype": self.dtype}
        dt_proj = nn.Linear(rank, d, **factory)
        options = {"init": self.dt_init, "scale": self.dt_scale}
        dt_proj.weight = initial.dt_weight(d, rank, **options, **factory)
        span = {"low": self.dt_min, "high": self.dt_max, "floor": self.dt_init_floor}
        dt_proj.bias = initial.dt_bias(d, **span, **factory)
        conv = {"groups": d, "padding": width - 1, "bias": self.conv_bias}
        return Branch(
            nn.Conv1d(d, d, width, **conv, **factory),
            nn.Linear(d, rank + 2 * n, bias=False, **factory),
            dt_proj,
            initial.A_logs(d, n, self.device),
            initial.skip(d, self.device),
        )


def causal_conv(x, weight, bias, reverse=False, group=None):
    """Each of x (b, d, l) with those before it, or with those behind it where time runs back.

    Both ends are padded, which gives l + width - 1 results by weight (d, width): the first l are
    causal, the last l are it in reverse. Nothing is flipped but the few weights. Where the sequence
    is cut over the ranks of a group, the neighbour's end comes first.
    """
    padding, steps = weight.shape[1] - 1, x.shape[-1]
    weight = weight.flip(-1) if reverse else weight
    if group is not None:
        x = distributed.halo(x, padding, group, reverse=reverse)
    y = depthwise(x, weight, bias, padding)
    start = padding if reverse or group is not None else 0
    return y[..., start : start + steps]


def conv_step(x, conv_state, weight, bias):
    """The convolution at one token x (b, d, 1); conv_state (b, d, s) moves on, in place.

    It holds the inputs before, s of them and at least width - 1. A product and a sum take a fifth
    of the time of a convolution of one token. The result has at least 32 bits.
    """
    inputs = torch.cat((conv_state, x), -1)
    conv_state.copy_(inputs[..., 1:])
    window = inputs[..., inputs.shape[-1] - weight.shape[1] :]
    y = (window * wide(weight)).sum(-1, keepdim=True)
    return y if bias is None else y + bias[:, None]


def coefficients(u, x_proj, dt_weight, d_state):
    """delta (b, ..., d), B and C (b, ..., n) at each u (b, ..., d); delta lacks its bias."""
    dt, B, C = x_proj(u).split((dt_weight.shape[1], d_state, d_state), dim=-1)
    return F.linear(dt, dt_weight), B, C


def wide(x):
    """x in at least 32 bits."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def decay(A_log):
    """A, in at least 32 bits."""
    return -wide(A_log).exp()


def inputs_of_scan(branch, x, reverse=False, group=None):
    """u and delta (b, d, l), B and C (b, n, l) of the scan of x (b, d, l)."""
    u = F.silu(causal_conv(x, branch.conv1d.weight[:, 0], branch.conv1d.bias, reverse, group))
    found = coefficients(
        u.transpose(1, 2), branch.x_proj, branch.dt_proj.weight, branch.A_log.shape[1]
    )
    return u, *(x.transpose(1, 2) for x in found)


def scan_with(branch, inputs, z=None, group=None, **options):
    """y (b, d, l) of `inputs_of_scan`, times silu(z) if given."""
    over = scan if group is None else partial(distributed.scan, group=group)
    u, delta, B, C = inputs
    bias = branch.dt_proj.bias  # here, inside of the softplus
    A = decay(branch.A_log)
    return over(u, delta, A, B, C, branch.D, z, bias, delta_softplus=True, **options)


def run_branch(branch, x, z=None, reverse=False, group=None, **options):
    """y (b, d, l) of x, times silu(z) if given."""
    inputs = inputs_of_scan(branch, x, reverse, group)
    return scan_with(branch, inputs, z, group, reverse=reverse, **options)


def prefill_branch(branch, x, z, conv_state, state):
    """y (b, d, l) of x from the beginning; both states become those behind its end."""
    last = conv_state.shape[-1]
    conv_state.copy_(F.pad(x, (last - x.shape[-1], 0)))  # cuts where there are more
    y, last_state = run_branch(branch, x, z, return_last_state=True)
    state.copy_(last_state)
    return y


def continue_branch(branch, x, z, state, positions=None):
    """y (b, d, l) of x behind a State, the State at its end, and a list of those after some steps.

    Nothing is written to, and all is differentiable; None is the state before the first step.
    """
    weight, steps = branch.conv1d.weight[:, 0], x.shape[-1]
    width = weight.shape[1]
    before = x.new_zeros(*x.shape[:-1], width) if state is None else state.conv_state.to(x.dtype)
    inputs, u = torch.cat((before, x), -1), x
    if steps:
        u = F.silu(depthwise(inputs[..., 1:], weight, branch.conv1d.bias))
    d_state = branch.A_log.shape[1]
    found = coefficients(u.transpose(1, 2), branch.x_proj, branch.dt_proj.weight, d_state)
    y, last, *at = scan_with(
        branch,
        (u, *(x.transpose(1, 2) for x in found)),
        z,
        initial_state=None if state is None else state.ssm_state,
        return_last_state=True,
        return_states_at=positions,
    )
    ends = [] if positions is None else [p + 1 for p in positions]
    states = [State(inputs[..., p : p + width], at[0][:, :, i]) for i, p in enumerate(ends)]
    return y, State(inputs[..., steps:], last), states


def step_branch(branch, x, z, conv_state, state):
    """y (b, d) of one token x (b, d); both states move on, in place."""
    u = conv_step(x[..., None], conv_state, branch.conv1d.weight[:, 0], branch.conv1d.bias)
    u = F.silu(u)[..., 0].to(x.dtype)
    delta, B, C = coefficients(u, branch.x_proj, branch.dt_proj.weight, branch.A_log.shape[1])
    bias, A = branch.dt_proj.bias, decay(branch.A_log)
    return scan_step(state, u, delta, A, B, C, branch.D, z, bias, delta_softplus=True)[0]
