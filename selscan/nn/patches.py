"""From images to maps of patches, and from maps to smaller ones.

Places in the Sequentials follow from the names of the official checkpoints.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .layers import ChannelsFirst, ChannelsLast


def patch_embed(in_chans, dim, patch=4):
    """Images (b, in_chans, h, w) to maps (b, h // patch, w // patch, dim)."""
    return nn.Sequential(
        nn.Conv2d(in_chans, dim, patch, stride=patch),
        ChannelsLast(),
        nn.LayerNorm(dim),
    )


def conv_stem(in_chans, dim):
    """Images (b, in_chans, h, w) to maps (b, h / 4, w / 4, dim), rounded up, by convolutions."""
    return nn.Sequential(
        nn.Conv2d(in_chans, dim // 2, 3, stride=2, padding=1),
        ChannelsLast(),
        nn.LayerNorm(dim // 2),
        ChannelsFirst(),
        nn.GELU(),
        nn.Conv2d(dim // 2, dim, 3, stride=2, padding=1),
        ChannelsLast(),
        nn.LayerNorm(dim),
    )


class PatchMerging(nn.Module):
    """Squares of 2 x 2 pixels to one: (b, h, w, dim) to (b, h / 2, w / 2, out), rounded up.

    Zeros are added at the bottom and on the right of maps with odd sides, before the norm.
    """

    def __init__(self, dim, out):
        super().__init__()
        self.reduction = nn.Linear(4 * dim, out, bias=False)
        self.norm = nn.LayerNorm(4 * dim)

    def forward(self, x):
        _, h, w, _ = x.shape
        x = F.pad(x, (0, 0, 0, w % 2, 0, h % 2))
        # The row of a pixel in its square changes first.
        pixels = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(pixels, dim=-1)))


def conv_merging(dim, out):
    """Maps to half the size, rounded up, by a 3 x 3 convolution of stride 2 and a norm."""
    return nn.Sequential(
        ChannelsFirst(),
        nn.Conv2d(dim, out, 3, stride=2, padding=1),
        ChannelsLast(),
        nn.LayerNorm(out),
    )
