"""The mixer of Mamba on sequences (b, l, dim), in one direction or in both.

A *branch* takes channels x (b, d, l) through convolution, projections and scan:

    u = silu(conv1d(x)),   [dt, B, C] = x_proj u,   y = scan(u, dt_proj dt, -exp(A_log), B, C, D)

Names of parameters are those of mamba_ssm; the branch that runs backward has a "b" in them, as in
Vim (Zhu et al. 2024).
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ..api import scan
from ..messages import describe, fail
from . import initial


class Branch(NamedTuple):
    """The parameters of one direction."""

    conv1d: nn.Conv1d
    x_proj: nn.Linear
    dt_proj: nn.Linear
    A_log: torch.Tensor  # (d, n)
    D: torch.Tensor  # (d,)


def new_branch(channels, d_state, d_conv, rank):
    """A branch as Mamba begins it."""
    dt_proj = nn.Linear(rank, channels)
    dt_proj.weight = initial.dt_weight(channels, rank)
    dt_proj.bias = initial.dt_bias(channels)
    return Branch(
        nn.Conv1d(channels, channels, d_conv, groups=channels, padding=d_conv - 1),
        nn.Linear(channels, rank + 2 * d_state, bias=False),
        dt_proj,
        initial.A_logs(channels, d_state),
        nn.Parameter(torch.ones(channels)),
    )


def causal_conv(x, conv, reverse=False):
    """Each of x (b, d, l) with those before it, or with those behind it where time runs back.

    conv pads both ends, and so gives l + width - 1 results: the first l are causal, the last l are
    it in reverse. Nothing is flipped but the few weights.
    """
    weight = conv.weight.flip(-1) if reverse else conv.weight
    padding = conv.padding[0]
    # As a map of one row: where channels are last in memory, conv2d takes half of conv1d's time on
    # the CPU, or less.
    options = {"padding": (0, padding), "groups": conv.groups}
    y = F.conv2d(x[:, :, None], weight[:, :, None], conv.bias, **options)[:, :, 0]
    return y[..., padding:] if reverse else y[..., : x.shape[-1]]


def coefficients(branch, x, reverse=False):
    """u and delta (b, d, l), B and C (b, n, l) of a scan of x (b, d, l)."""
    u = F.silu(causal_conv(x, branch.conv1d, reverse))
    n, rank = branch.A_log.shape[1], branch.dt_proj.in_features
    dt, B, C = branch.x_proj(u.transpose(1, 2)).split((rank, n, n), dim=-1)
    delta = F.linear(dt, branch.dt_proj.weight)  # its bias goes into the softplus
    return u, delta.transpose(1, 2), B.transpose(1, 2), C.transpose(1, 2)


def decay(A_log):
    """A, in at least 32 bits."""
    return -(A_log if A_log.dtype == torch.float64 else A_log.float()).exp()


def run_branch(branch, x, z=None, reverse=False):
    """y (b, d, l) of x, times silu(z) if given."""
    u, delta, B, C = coefficients(branch, x, reverse)
    bias = branch.dt_proj.bias
    options = {"delta_softplus": True, "reverse": reverse}
    return scan(u, delta, decay(branch.A_log), B, C, branch.D, z, bias, **options)


class Mamba(nn.Module):
    """The mixer of Mamba (Gu and Dao 2023), from (b, l, dim) to (b, l, dim).

    Parameters
    ----------
    dim : int
        Width of the block.
    d_state : int
        States of each channel.
    d_conv : int
        Width of the convolution along time.
    expand : int
        Channels of the scan are dim * expand.

    Examples
    --------
    >>> import torch
    >>> from selscan import nn
    >>> nn.Mamba(32)(torch.zeros(2, 9, 32)).shape
    torch.Size([2, 9, 32])
    """

    def __init__(self, dim, d_state=16, d_conv=4, expand=2):
        super().__init__()
        channels = dim * expand
        self.sizes = channels, d_state, d_conv, initial.dt_rank(dim)
        self.in_proj = nn.Linear(dim, 2 * channels, bias=False)
        branch = new_branch(*self.sizes)
        self.conv1d, self.x_proj, self.dt_proj, self.A_log, self.D = branch
        self.out_proj = nn.Linear(channels, dim, bias=False)

    @property
    def branch(self):
        return Branch(self.conv1d, self.x_proj, self.dt_proj, self.A_log, self.D)

    def forward(self, x):
        return self.out_proj(self.mix(*self.split(x)).transpose(1, 2))

    def split(self, x):
        """x and z, (b, d, l) each, of the sequence."""
        return self.in_proj(x).transpose(1, 2).chunk(2, dim=1)

    def mix(self, x, z):
        """(b, d, l) between the outer projections."""
        return run_branch(self.branch, x, z)


class BiMamba(Mamba):
    """Mamba forward and backward in time, added up (Vim, Zhu et al. 2024).

    Parameters
    ----------
    dim, d_state, d_conv, expand
        As in `Mamba`.
    version : {"v2", "v1"}
        Version 2 has a branch for each direction. In version 1 both scan the result of one
        convolution with the same coefficients, and only A is a second one.
    halved : bool
        Whether the sum is divided by 2.

    Raises
    ------
    ValueError
        Another version.

    Examples
    --------
    >>> import torch
    >>> from selscan import nn
    >>> nn.BiMamba(32, version="v1", halved=False)(torch.zeros(2, 9, 32)).shape
    torch.Size([2, 9, 32])
    """

    def __init__(self, dim, d_state=16, d_conv=4, expand=2, version="v2", halved=True):
        super().__init__(dim, d_state, d_conv, expand)
        if version not in ("v1", "v2"):
            fail("BiMamba", "version", "'v1' or 'v2'", describe(version))
        self.version, self.halved = version, halved
        backward = new_branch(*self.sizes)
        self.A_b_log = backward.A_log
        if version == "v2":
            self.conv1d_b, self.x_proj_b, self.dt_proj_b, _, self.D_b = backward
            nn.init.zeros_(self.dt_proj_b.bias)  # other than dt_proj's: so Vim was trained

    @property
    def branch_back(self):
        return Branch(self.conv1d_b, self.x_proj_b, self.dt_proj_b, self.A_b_log, self.D_b)

    def mix(self, x, z):
        both = self.mix_shared if self.version == "v1" else self.mix_apart
        ahead, back = both(x, z)
        return (ahead + back) / 2 if self.halved else ahead + back

    def mix_apart(self, x, z):
        """A branch in each direction."""
        return run_branch(self.branch, x, z), run_branch(self.branch_back, x, z, reverse=True)

    def mix_shared(self, x, z):
        """One branch, but for A."""
        u, delta, B, C = coefficients(self.branch, x)
        rest = B, C, self.D, z, self.dt_proj.bias
        return [
            scan(u, delta, decay(A_log), *rest, delta_softplus=True, reverse=reverse)
            for A_log, reverse in ((self.A_log, False), (self.A_b_log, True))
        ]
