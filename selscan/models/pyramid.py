"""What VMamba and its relatives have in common: four stages, each on a map of half the size."""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from ..messages import describe, fail
from ..nn.checks import LARGEST, check_count, check_switch, check_tensor
from ..nn.initial import init_weights
from ..nn.layers import drop_path_rates
from ..nn.patches import PatchMerging, conv_merging, conv_stem, patch_embed
from .checkpoints import keep_own
from .interface import BEFORE, Blocks, Model, new_head
from .registry import LAYERS, chosen_maps, shown


class Shell(NamedTuple):
    """What makes the maps of the stages."""

    # From (in_chans, dim) to a module, which takes images (b, in_chans, h, w) to (b, h, w, dim).
    embed: Callable
    merging: Callable  # from (dim, out) to a module, which takes maps to maps of half the size
    least: int  # channels of the first stage


PATCHES = Shell(patch_embed, PatchMerging, 1)
CONVOLUTIONS = Shell(conv_stem, conv_merging, 2)
REDUCTION = 4  # of the first map; each later one is half as large


class Stage(nn.Module):
    """Blocks on maps of one size, and what makes the map for the next stage."""

    merging = "downsample"  # the name of that

    def __init__(self, blocks, downsample=None):
        super().__init__()
        self.blocks = Blocks(*blocks)
        self.downsample = downsample or nn.Identity()
        self.last = f"blocks.{len(blocks) - 1}"  # the module behind which a map is taken


class MeanOfMap(nn.Module):
    """(b, h, w, c) to (b, c)."""

    def forward(self, x):
        return x.mean((1, 2))


class Pyramid(Model):
    """Patches, stages, and a classifier; or a norm for the map of each stage.

    Parameters
    ----------
    depths : sequence of int
        Blocks of each stage.
    dim : int or sequence of int
        Channels of the first stage, and twice as many in each later one; or those of each.
    block : callable
        From the number of a stage, its channels and a rate of stochastic depth to a block, a
        torch.nn.Module from maps (b, h, w, channels) to the same. Called in the order of the
        blocks, but for those behind the last map, which are not built.
    shell : Shell
    drop_path_rate, num_classes, in_chans, features_only
        As in `selscan.models.create`.
    out_indices : sequence of int, optional
        The stages whose maps are returned; all if not given.
    """

    STEM, HEAD = "patch_embed.0", "classifier.head"

    def __init__(
        self,
        depths,
        dim,
        block,
        shell=PATCHES,
        *,
        drop_path_rate=0.0,
        num_classes=1000,
        in_chans=3,
        features_only=False,
        out_indices=None,
    ):
        dims = widths(dim, depths, shell.least)
        maps, built = chosen_maps(features_only, out_indices, len(dims), range(len(dims)))
        stages = []
        # Before anything of this model: mixers check their own options.
        for i, rates in enumerate(drop_path_rates(drop_path_rate, depths)[:built]):
            blocks = [block(i, dims[i], rate) for rate in rates]
            merging = shell.merging(dims[i], dims[i + 1]) if i + 1 < built else None
            stages.append(self.new_stage(i, blocks, merging))
        info = [
            {"num_chs": dims[i], "reduction": REDUCTION * 2**i, "module": f"layers.{i}.{x.last}"}
            for i, x in enumerate(stages)
        ]
        super().__init__(info, maps, num_classes)
        self.patch_embed = shell.embed(in_chans, dims[0])
        self.layers = nn.ModuleList(stages)
        self.depth = len(dims)
        if maps:
            for i in maps:
                self.add_module(f"outnorm{i}", nn.LayerNorm(dims[i]))
        else:
            head = new_head(dims[-1], num_classes)
            parts = {"norm": nn.LayerNorm(dims[-1]), "pool": MeanOfMap(), "head": head}
            self.classifier = nn.Sequential(OrderedDict(parts))
        self.apply(init_weights)

    def new_stage(self, number, blocks, merging):
        """A stage: it has `blocks` and `downsample`, and the names `merging` and `last`."""
        return Stage(blocks, merging)

    def forward_maps(self, images):
        """The maps of the chosen stages, a list of (b, channels, h, w)."""
        self.check(images)
        x, maps = self.patch_embed(images), []
        for i, stage in enumerate(self.layers):
            x = stage.blocks(x)
            if i in self.out_indices:
                maps.append(getattr(self, f"outnorm{i}")(x).permute(0, 3, 1, 2))
            x = stage.downsample(x)
        return maps

    def forward_features(self, images):
        """The norm of the last map, (b, channels, h, w)."""
        self.check_classifier("forward_features")
        self.check(images)
        x = self.patch_embed(images)
        for stage in self.layers:
            x = stage.downsample(stage.blocks(x))
        return self.classifier.norm(x).permute(0, 3, 1, 2)

    def pooled(self, x):
        """(b, channels): the mean over the map (b, channels, h, w)."""
        self.check_classifier("forward_head")
        if x.dim() != 4 or x.shape[1] != self.num_features:
            fail("forward_head", "x", f"(b, {self.num_features}, h, w)", tuple(x.shape))
        return self.classifier.pool(x.permute(0, 2, 3, 1))

    def group_matcher(self, coarse=False):
        """Patterns of the parameters' names by depth: of stages if `coarse`, or else of blocks."""
        check_switch("group_matcher", "coarse", coarse)
        stem = r"^patch_embed\."
        if coarse:
            return {"stem": stem, "blocks": r"^layers\.(\d+)"}
        merging = [(rf"^layers\.({i})\.{x.merging}\.", BEFORE) for i, x in enumerate(self.layers)]
        blocks = [(r"^layers\.(\d+)(?:\.blocks)?\.(\d+)\.", None)]
        return {"stem": stem, "blocks": [*merging, *blocks, (r"^classifier\.norm\.", BEFORE)]}

    def check(self, images):
        """That images have their channels, and a patch at least."""
        check_tensor("forward", "images", images)
        conv = self.patch_embed[0]
        least = conv.kernel_size[0] - 2 * conv.padding[0]
        shape = tuple(images.shape)
        if len(shape) != 4 or shape[1] != conv.in_channels or min(shape[2:]) < least:
            expected = f"(b, {conv.in_channels}, h, w) with h and w of at least {least}"
            fail("forward", "images", expected, shape)

    def adapt(self, state):
        """A state dict of this family, as far as it is meant for this model.

        One of a classifier fits a model of feature maps: norms of maps stay as they begin, and
        what is behind the last map is left out.
        """
        if self.out_indices is None:
            return keep_own(self, state, "classifier.head.", of_other_shape=True)
        left_out = ("classifier.", *self.behind())
        state = {k: v for k, v in state.items() if not k.startswith(left_out)}
        return keep_own(self, state, "outnorm")

    def behind(self):
        """How the names begin that a larger model has, and this one does not need."""
        stages, norms = range(len(self.layers), self.depth), range(self.depth)
        yield from (f"layers.{i}." for i in stages)
        if stages:
            yield f"layers.{stages[0] - 1}.{self.layers[-1].merging}."
        yield from (f"outnorm{i}." for i in norms if i not in self.out_indices)


def widths(dim, depths, least=1):
    """The channels of each stage."""
    check_depths(depths)
    if type(dim) is int:
        check_count("create", "dim", dim, least=least)
        dim = [dim * 2**i for i in range(len(depths))]
    expected = f"an integer of at least {least}, or {len(depths)} of them"
    if not isinstance(dim, list | tuple) or len(dim) != len(depths):
        fail("create", "dim", expected, shown(dim))
    if not all(type(c) is int and least <= c <= LARGEST for c in dim):
        fail("create", "dim", f"{expected}, up to {LARGEST}", shown(dim))
    return list(dim)


def check_depths(depths):
    """The numbers of blocks of all stages."""
    expected = "a sequence of integers of at least 1"
    if not isinstance(depths, list | tuple) or not depths:
        fail("create", "depths", expected, describe(depths))
    if not all(type(x) is int and x >= 1 for x in depths):
        fail("create", "depths", expected, shown(depths))
    if sum(depths) > LAYERS:
        fail("create", "depths", f"at most {LAYERS} blocks", describe(sum(depths)))
