"""Small layers that several of the papers' models share; names of parameters are the official ones.

All take and return maps (b, h, w, channels) where nothing else is said.
"""

import operator

import torch
from torch import nn
from torch.nn import functional as F


class ChannelsFirst(nn.Module):
    """(b, h, w, c) to (b, c, h, w), without a copy."""

    def forward(self, x):
        return x.permute(0, 3, 1, 2)


class ChannelsLast(nn.Module):
    """(b, c, h, w) to (b, h, w, c), without a copy."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1)


class DropPath(nn.Module):
    """Stochastic depth: in training, a branch is left out for a share of the batch.

    What is kept is divided by 1 - rate, so that the mean stays.

    Parameters
    ----------
    rate : float
        The share that is left out, from 0 to 1.
    """

    def __init__(self, rate=0.0):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        kept = x.new_empty((x.shape[0], *(1,) * (x.dim() - 1))).bernoulli_(keep)
        return x * (kept if keep == 0 else kept / keep)

    def extra_repr(self):
        return f"rate={self.rate}"


class Mlp(nn.Module):
    """linear -> GELU -> linear, over the last axis of any tensor."""

    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class ConvFFN(nn.Module):
    """An Mlp of 1 x 1 convolutions, with a depthwise 3 x 3 one around the middle (MSVMamba)."""

    def __init__(self, dim, hidden):
        super().__init__()
        self.linear1 = nn.Conv2d(dim, hidden, 1)
        self.dwc = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.linear2 = nn.Conv2d(hidden, dim, 1)

    def forward(self, x):
        x = self.linear1(x.permute(0, 3, 1, 2))
        x = self.linear2(F.gelu(x + self.dwc(x)))
        return x.permute(0, 2, 3, 1)


class BiAttn(nn.Module):
    """Attention over channels: x times a sigmoid of the mean of its norm.

    LocalMamba (Huang et al. 2024) and EfficientVMamba (Pei et al. 2024) have it. The mean is over
    all axes between the first and the last, of a map (b, h, w, dim) or a sequence (b, l, dim).

    Parameters
    ----------
    dim : int
        Channels; one eighth of them, but at least one, between the two linear layers.
    """

    def __init__(self, dim):
        super().__init__()
        hidden = max(1, dim // 8)
        self.norm = nn.LayerNorm(dim)
        self.global_reduce = nn.Linear(dim, hidden)
        self.channel_select = nn.Linear(hidden, dim)

    def forward(self, x):
        middle = tuple(range(1, x.dim() - 1))
        mean = self.norm(x).mean(middle, keepdim=True)
        return x * self.channel_select(F.gelu(self.global_reduce(mean))).sigmoid()


class SqueezeExcite(nn.Module):
    """x times a sigmoid of its mean over the map, through a bottleneck (MSVMamba)."""

    def __init__(self, dim, reduction=8):
        super().__init__()
        hidden = max(1, dim // reduction)
        self.fc = nn.Sequential(
            nn.Linear(dim, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, dim, bias=False),
        )

    def forward(self, x):
        return x * self.fc(x.mean((1, 2), keepdim=True)).sigmoid()


def drop_path_rates(rate, depths):
    """For each stage the rates of its blocks: from 0 in the first block to `rate` in the last."""
    rates = torch.linspace(0, rate, sum(depths), device="cpu").tolist()
    return [[rates.pop(0) for _ in range(depth)] for depth in depths]


def size_of(x, sides=2):
    """The last axes of a map, (..., h, w), as numbers, on which paths depend.

    torch.compile then takes them for constants, and so does torch.jit.trace, which has tensors.
    """
    return tuple(operator.index(side) for side in x.shape[-sides:])
