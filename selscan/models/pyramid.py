"""What VMamba and its relatives have in common: four stages, each on a map of half the size."""

from collections import OrderedDict

from torch import nn

from ..messages import describe, fail
from ..nn.checks import LARGEST, check_count, check_tensor
from ..nn.initial import init_weights
from .checkpoints import keep_own
from .registry import LAYERS, chosen_maps, shown


class Stage(nn.Module):
    """Blocks on maps of one size, and what makes the map for the next stage."""

    merging = "downsample"  # the name of that

    def __init__(self, blocks, downsample=None):
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.downsample = downsample or nn.Identity()


class MeanOfMap(nn.Module):
    """(b, h, w, c) to (b, c)."""

    def forward(self, x):
        return x.mean((1, 2))


class Pyramid(nn.Module):
    """Patches, stages, and a classifier; or a norm for the map of each stage.

    Parameters
    ----------
    patch_embed : torch.nn.Module
        Images (b, in_chans, h, w) to maps (b, h, w, dims[0]).
    stages : sequence of torch.nn.Module
        Each has `blocks` and `downsample`, from maps to maps, and the name of the latter,
        `merging`. Those behind the last map are not among them.
    dims : sequence of int
        Channels of each stage of the family's classifier.
    num_classes
        As in `selscan.models.create`.
    maps : tuple of int, optional
        The stages whose maps are returned; scores of classes if not given.
    """

    def __init__(self, patch_embed, stages, dims, num_classes, maps=None):
        super().__init__()
        self.patch_embed = patch_embed
        self.layers = nn.ModuleList(stages)
        self.depth, self.out_indices = len(dims), maps
        if maps:
            for i in maps:
                self.add_module(f"outnorm{i}", nn.LayerNorm(dims[i]))
        else:
            head = nn.Linear(dims[-1], num_classes)
            parts = {"norm": nn.LayerNorm(dims[-1]), "pool": MeanOfMap(), "head": head}
            self.classifier = nn.Sequential(OrderedDict(parts))
        self.apply(init_weights)

    def forward(self, images):
        """Scores (b, num_classes), or a list of maps (b, channels, h, w)."""
        self.check(images)
        x, maps = self.patch_embed(images), []
        for i, stage in enumerate(self.layers):
            x = stage.blocks(x)
            if self.out_indices and i in self.out_indices:
                norm = getattr(self, f"outnorm{i}")
                maps.append(norm(x).permute(0, 3, 1, 2))
                if len(maps) == len(self.out_indices):
                    return maps
            x = stage.downsample(x)
        return self.classifier(x)

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


def stages_of(dims, features_only, out_indices):
    """Which stages give maps, None for a classifier, and how many have to be built."""
    return chosen_maps(features_only, out_indices, len(dims), range(len(dims)))
