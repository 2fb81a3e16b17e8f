"""MSVMamba (Shi et al. 2024): scans at two scales.

Version 1 has a gate, the shell of VMamba's first models and a feed-forward of twice the width;
version 3 the shell of the later ones, four times the width, and the norm of the feed-forward behind
it. A gate has the largest model of version 3 only.
"""

from torch import nn

from ..nn import MultiScaleMixer2d
from ..nn.checks import check_choice
from ..nn.layers import ConvFFN, DropPath
from .pyramid import CONVOLUTIONS, PATCHES, Pyramid
from .registry import Variant

_V1 = {"drop_path_rate": 0.2, "ratio": 2.0, "gate": True, "version": 1}
_V3 = {"drop_path_rate": 0.2, "ratio": 1.0, "gate": False, "version": 3}

VARIANTS = {
    "msvmamba_nano": Variant({"depths": (1, 2, 5, 2), "dim": 48, **_V1}, 7, 0.9, 77.3),
    "msvmamba_micro": Variant({"depths": (1, 2, 5, 2), "dim": 64, **_V1}, 12, 1.5, 79.8),
    "msvmamba_tiny": Variant({"depths": (1, 2, 9, 2), "dim": 96, **_V1}, 33, 4.6, 82.8),
    "msvmambav3_tiny": Variant({"depths": (2, 2, 9, 2), "dim": 96, **_V3}, 32, 5.0, 83.0),
    "msvmambav3_small": Variant({"depths": (2, 3, 20, 2), "dim": 96, **_V3}, 50, 8.8, 84.1),
    "msvmambav3_base": Variant(
        {"depths": (2, 4, 18, 2), "dim": 128, **_V3, "gate": True}, 91, 16.3, 84.4
    ),
}


class Block(nn.Module):
    """x + mixer(norm(x)), then x + ffn(norm(x)); in version 3 x + norm(ffn(x))."""

    def __init__(self, dim, mixer, version, drop_path):
        super().__init__()
        self.version = version
        self.norm = nn.LayerNorm(dim)
        self.op = mixer
        self.convFFN = ConvFFN(dim, dim * (2 if version == 1 else 4))
        self.norm2 = nn.LayerNorm(dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x):
        x = x + self.drop_path(self.op(self.norm(x)))
        first = self.version == 1
        y = self.convFFN(self.norm2(x)) if first else self.norm2(self.convFFN(x))
        return x + self.drop_path(y)


class MSVMamba(Pyramid):
    """The family.

    Parameters
    ----------
    depths, dim
        As in `selscan.models.pyramid.Pyramid`.
    d_state, ratio, gate, version
        As in `selscan.nn.MultiScaleMixer2d`.
    drop_path_rate, num_classes, in_chans, features_only, out_indices
        As in `selscan.models.create`.
    """

    def __init__(self, depths, dim, *, ratio, gate, version, d_state=1, **options):
        check_choice("create", "version", version, (1, 3))
        mixer = {"d_state": d_state, "ratio": ratio, "gate": gate, "version": version}

        def block(stage, dim, rate):
            return Block(dim, MultiScaleMixer2d(dim, **mixer), version, rate)

        shell = PATCHES if version == 1 else CONVOLUTIONS
        super().__init__(depths, dim, block, shell, **options)


FAMILY = MSVMamba
