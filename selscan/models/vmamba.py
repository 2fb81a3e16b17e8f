"""VMamba (Liu et al. 2024): a pyramid of cross scans.

The models of January 2024 (v0) have a gate, 16 states and no MLP. The later ones have neither gate
nor bias in the convolutions, one state and an MLP behind each mixer; s1 or s2 is the width of the
scan as a multiple of the block's, l8 the blocks of the third stage.
"""

from torch import nn

from ..nn import Mixer2d
from ..nn.checks import check_choice, checked_width
from ..nn.layers import DropPath, Mlp
from .pyramid import CONVOLUTIONS, PATCHES, Pyramid, widths
from .registry import Variant


def _v0(third, dim, drop_path_rate):
    return {
        "depths": (2, 2, third, 2),
        "dim": dim,
        "drop_path_rate": drop_path_rate,
        "d_state": 16,
        "ratio": 2.0,
        "gate": True,
        "mlp_ratio": 0.0,
        "stem": "patches",
    }


def _v05(third, dim, drop_path_rate, ratio):
    return {
        "depths": (2, 2, third, 2),
        "dim": dim,
        "drop_path_rate": drop_path_rate,
        "d_state": 1,
        "ratio": ratio,
        "gate": False,
        "mlp_ratio": 4.0,
        "stem": "conv",
    }


VARIANTS = {
    "vmamba_v0_tiny": Variant(_v0(9, 96, 0.2), 23, 5.6, 82.2),
    "vmamba_v0_small": Variant(_v0(27, 96, 0.3), 44, 11.2, 83.5),
    "vmamba_v0_base": Variant(_v0(27, 128, 0.6), 76, 18.0, 83.7),
    "vmamba_tiny_s2l5": Variant(_v05(5, 96, 0.2, 2.0), 31, 4.9, 82.5),
    "vmamba_small_s2l15": Variant(_v05(15, 96, 0.3, 2.0), 50, 8.7, 83.6),
    "vmamba_base_s2l15": Variant(_v05(15, 128, 0.6, 2.0), 89, 15.4, 83.9),
    "vmamba_tiny_s1l8": Variant(_v05(8, 96, 0.2, 1.0), 30, 4.9, 82.6),
    "vmamba_small_s1l20": Variant(_v05(20, 96, 0.3, 1.0), 49, 8.6, 83.3),
    "vmamba_base_s1l20": Variant(_v05(20, 128, 0.5, 1.0), 87, 15.2, 83.8),
}

# Names of January 2024, by their beginning or by a part.
OLD_BEGINNINGS = {
    "patch_embed.proj.": "patch_embed.0.",
    "patch_embed.norm.": "patch_embed.2.",
    "norm.": "classifier.norm.",
    "head.": "classifier.head.",
}
OLD_PARTS = {".ln_1.": ".norm.", ".self_attention.": ".op."}


class Block(nn.Module):
    """x + mixer(norm(x)), and then x + mlp(norm(x)) if there are channels for one in its middle."""

    def __init__(self, dim, mixer, hidden, drop_path):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.op = mixer
        self.drop_path = DropPath(drop_path)
        if hidden:
            self.norm2 = nn.LayerNorm(dim)
            self.mlp = Mlp(dim, hidden)

    def forward(self, x):
        x = x + self.drop_path(self.op(self.norm(x)))
        return x + self.drop_path(self.mlp(self.norm2(x))) if hasattr(self, "mlp") else x


class VMamba(Pyramid):
    """The family.

    Parameters
    ----------
    depths, dim
        As in `selscan.models.pyramid.Pyramid`.
    d_state, ratio, gate
        As in `selscan.nn.Mixer2d`.
    mlp_ratio : float
        Channels in the middle of the MLP, as a multiple of the block's; without one if 0.
    stem : {"patches", "conv"}
        Whether patches are cut out and squares of pixels merged, or convolutions do both.
    drop_path_rate, num_classes, in_chans, features_only, out_indices
        As in `selscan.models.create`.
    """

    def __init__(self, depths, dim, *, d_state, ratio, gate, mlp_ratio, stem, **options):
        check_choice("create", "stem", stem, ("patches", "conv"))
        is_conv = stem == "conv"
        shell = CONVOLUTIONS if is_conv else PATCHES
        dims = widths(dim, depths, shell.least)
        hidden = [checked_width("create", "mlp_ratio", mlp_ratio, c, or_none=True) for c in dims]
        mixer = {"d_state": d_state, "ratio": ratio, "gate": gate, "conv_bias": not is_conv}

        def block(stage, dim, rate):
            return Block(dim, Mixer2d(dim, **mixer), hidden[stage], rate)

        super().__init__(depths, dim, block, shell, **options)

    def adapt(self, state):
        """Also from the names of January 2024."""
        return super().adapt({renamed(name): value for name, value in state.items()})


def renamed(name):
    """A name of January 2024 as it is now; others as they are."""
    for old, new in OLD_BEGINNINGS.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    for old, new in OLD_PARTS.items():
        name = name.replace(old, new)
    return name


FAMILY = VMamba
