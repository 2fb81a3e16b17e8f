"""EfficientVMamba (Pei et al. 2024): atrous scans beside convolutions, then convolutions alone."""

from torch import nn
from torch.nn import functional as F

from .. import paths
from ..nn import Mixer2d
from ..nn.layers import BiAttn, ChannelsFirst, ChannelsLast, DropPath
from .interface import Blocks
from .pyramid import Pyramid, Stage
from .registry import Variant

VARIANTS = {
    "efficientvmamba_tiny": Variant(
        {"depths": (2, 2, 4, 2), "dim": 48, "drop_path_rate": 0.1}, 6, 0.8, 76.5
    ),
    "efficientvmamba_small": Variant(
        {"depths": (2, 2, 4, 2), "dim": 64, "drop_path_rate": 0.1}, 11, 1.3, 78.7
    ),
    "efficientvmamba_base": Variant(
        {"depths": (2, 2, 9, 2), "dim": 96, "drop_path_rate": 0.1}, 33, 4.0, 81.8
    ),
}
SCANNED = 2  # the stages with scans


class ConvBranch(nn.Sequential):
    """A depthwise convolution and a full one of one pixel, (b, h, w, dim) to the same."""

    def __init__(self, dim):
        super().__init__(
            nn.Conv2d(dim, dim, 3, padding=1, groups=dim),
            nn.BatchNorm2d(dim),
            nn.GELU(),
            nn.Conv2d(dim, dim, 1),
        )

    def forward(self, x):
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Block(nn.Module):
    """EVSS: x + se(mixer(norm(x))) + se(convolutions(norm(x))), with one `se` for both."""

    def __init__(self, dim, drop_path):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.op = Mixer2d(dim, paths.atrous)
        self.conv_branch = ConvBranch(dim)
        self.se = BiAttn(dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x):
        y = self.norm(x)
        return x + self.drop_path(self.se(self.op(y)) + self.se(self.conv_branch(y)))


class ConvSqueezeExcite(nn.Module):
    """x (b, c, h, w) times a sigmoid of its mean over the map, by convolutions of one pixel."""

    def __init__(self, dim):
        super().__init__()
        self.conv_reduce = nn.Conv2d(dim, max(1, dim // 8), 1)
        self.conv_expand = nn.Conv2d(max(1, dim // 8), dim, 1)

    def forward(self, x):
        mean = x.mean((2, 3), keepdim=True)
        return x * self.conv_expand(F.relu(self.conv_reduce(mean))).sigmoid()


class InvertedResidual(nn.Module):
    """x (b, c, h, w) + convolutions, wide in the middle (MobileNet, Howard et al. 2019)."""

    def __init__(self, dim, drop_path):
        super().__init__()
        wide = 4 * dim
        depthwise = nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False)
        self.conv_pw = normed(nn.Conv2d(dim, wide, 1, bias=False))
        self.conv_dw = normed(depthwise)
        self.se = ConvSqueezeExcite(wide)
        self.conv_pw2 = normed(nn.Conv2d(wide, dim, 1, bias=False))
        self.drop_path = DropPath(drop_path)

    def forward(self, x):
        y = F.relu(self.conv_dw(F.relu(self.conv_pw(x))))
        return x + self.drop_path(self.conv_pw2(self.se(y)))


def normed(conv):
    """A convolution and the norm of its results over the batch."""
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels))


class ConvStage(Blocks):
    """Blocks of convolutions as a `Stage`, in the flat list of the official checkpoints."""

    def __init__(self, blocks, downsample=None):
        super().__init__(ChannelsFirst(), *blocks, ChannelsLast(), downsample or nn.Identity())
        self.last, self.merging = str(len(self) - 2), str(len(self) - 1)

    def blocks(self, x):
        return self.through(list(self)[:-1], x)  # a slice would be another ConvStage

    def downsample(self, x):
        return self[-1](x)


class EfficientVMamba(Pyramid):
    """The family.

    Parameters
    ----------
    depths, dim
        As in `selscan.models.pyramid.Pyramid`.
    drop_path_rate, num_classes, in_chans, features_only, out_indices
        As in `selscan.models.create`.
    """

    def __init__(self, depths, dim, **options):
        def block(stage, dim, rate):
            return Block(dim, rate) if stage < SCANNED else InvertedResidual(dim, rate)

        super().__init__(depths, dim, block, **options)

    def new_stage(self, number, blocks, merging):
        return (Stage if number < SCANNED else ConvStage)(blocks, merging)


FAMILY = EfficientVMamba
