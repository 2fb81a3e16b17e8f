"""What VMamba and its relatives have in common: four stages, each on a map of half the size."""

from collections import OrderedDict

from torch import nn

from ..messages import describe, fail
from ..nn.initial import init_weights
from .checkpoints import keep_own
from .registry import checked_indices


class Stage(nn.Module):
    """Blocks on maps of one size, and what makes the map for the next stage."""

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
        Each has `blocks` and `downsample`, from maps to maps.
    dims : sequence of int
        Channels of each stage.
    num_classes, features_only, out_indices
        As in `selscan.models.create`.
    """

    def __init__(self, patch_embed, stages, dims, num_classes, features_only, out_indices):
        super().__init__()
        self.patch_embed = patch_embed
        self.layers = nn.ModuleList(stages)
        chosen = range(len(dims)) if out_indices is None else out_indices
        self.out_indices = checked_indices(chosen, len(dims)) if features_only else None
        if features_only:
            for i in self.out_indices:
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
        conv = self.patch_embed[0]
        least = conv.kernel_size[0] - 2 * conv.padding[0]
        shape = tuple(images.shape)
        if len(shape) != 4 or shape[1] != conv.in_channels or min(shape[2:]) < least:
            expected = f"(b, {conv.in_channels}, h, w) with h and w of at least {least}"
            fail("forward", "images", expected, shape)

    def adapt(self, state):
        """A state dict of this family, as far as it is meant for this model.

        One of a classifier fits a model of feature maps: norms of maps stay as they begin.
        """
        if self.out_indices:
            state = {k: v for k, v in state.items() if not k.startswith("classifier.")}
            return keep_own(self, state, "outnorm")
        return keep_own(self, state, "classifier.head.", of_other_shape=True)


def widths(dim, depths):
    """The channels of each stage."""
    if not are_counts(depths):
        fail("create", "depths", "a sequence of integers of at least 1", describe(depths))
    found = [dim * 2**i for i in range(len(depths))] if type(dim) is int else dim
    if not are_counts(found) or len(found) != len(depths):
        expected = f"an integer of at least 1, or {len(depths)} of them"
        fail("create", "dim", expected, describe(dim))
    return list(found)


def are_counts(numbers):
    """Whether there are numbers, and all are integers of at least 1."""
    if not isinstance(numbers, list | tuple):
        return False
    return bool(numbers) and all(type(x) is int and x >= 1 for x in numbers)
