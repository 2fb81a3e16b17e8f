"""Vim (Zhu et al. 2024): Mamba, forward and backward, over the patches of an image in a row."""

import math

from torch import nn

from ..messages import fail
from ..nn import BiMamba
from ..nn.checks import check_choice, check_count, check_switch
from ..nn.initial import init_weights
from .plain import Plain, is_table
from .registry import Variant
from .tokens import CLASS_TOKENS


def _vim(dim, drop_path_rate, stride=16):
    return {"dim": dim, "stride": stride, "drop_path_rate": drop_path_rate}


VARIANTS = {
    "vim_tiny": Variant(_vim(192, 0.0), 7, None, 76.1, sized=True),
    "vim_tiny_stride8": Variant(_vim(192, 0.0, stride=8), 7, None, 78.3, sized=True),
    "vim_small": Variant(_vim(384, 0.05), 26, None, 80.5, sized=True),
    "vim_small_stride8": Variant(_vim(384, 0.05, stride=8), 26, None, 81.6, sized=True),
    "vim_base": Variant(_vim(768, 0.05), 98, None, 81.9, sized=True),
}


class Vim(Plain):
    """The family.

    Parameters
    ----------
    dim, depth : int
        Channels, and number of layers.
    d_state, version, halved
        As in `selscan.nn.BiMamba`. Models of January 2024 have version "v1", not halved, and
        rotated tokens; no weights of them are published.
    class_token : {None, "first", "middle", "both"}
        Where there are class tokens, whose mean is classified; without any it is that of all.
    img_size, patch, stride, rope
        As in `selscan.models.plain.Plain`.
    drop_path_rate, num_classes, in_chans, features_only
        As in `selscan.models.create`.
    out_indices : sequence of int, optional
        Layers; the maps are norms of the stream behind them.
    """

    def __init__(
        self,
        dim,
        depth=24,
        *,
        d_state=16,
        version="v2",
        halved=True,
        class_token="middle",
        **options,
    ):
        check_count("create", "d_state", d_state)
        check_choice("create", "version", version, ("v1", "v2"))
        check_switch("create", "halved", halved)

        def mixer(number):
            return BiMamba(dim, d_state=d_state, version=version, halved=halved)

        super().__init__(mixer, dim, depth, class_token=class_token, **options)

    def reset(self):
        super().reset()
        conv = self.patch_embed.proj
        # Variance 1 / inputs after truncation at two standard deviations.
        std = conv.weight[0].numel() ** -0.5 / 0.87962566
        nn.init.trunc_normal_(conv.weight, std=std, a=-2 * std, b=2 * std)
        nn.init.zeros_(conv.bias)
        for name in CLASS_TOKENS[self.class_token]:
            nn.init.trunc_normal_(getattr(self, name), std=0.02)
        if self.out_indices is None:
            init_weights(self.head)

    def adapt(self, state):
        """Also refuses weights for overlapping patches, which have the same names."""
        cut = self.patch_embed.cut
        half = cut._replace(stride=cut.patch // 2 or 1).grid(*self.img_size)
        count = math.prod(half) + len(CLASS_TOKENS[self.class_token])
        table = state.get("pos_embed")
        if self.grid != half and is_table(table, self.pos_embed) and table.shape[1] == count:
            grid, found = ("{} x {} patches".format(*x) for x in (self.grid, half))
            hint = " Are the weights for half the stride?"
            fail("load", "pos_embed", f"that of {grid}", found, hint)
        return super().adapt(state)


FAMILY = Vim
